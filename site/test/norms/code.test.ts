import * as jax from "@jax-js/jax";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import * as evenkeel from "evenkeel";
import { catalog, open } from "evenkeel";
import * as ofJax from "evenkeel/jax";
import * as ofTensorFlow from "evenkeel/tfjs";
import { transformSync } from "rolldown/utils";
import { describe, expect, it } from "vitest";
import { codeOf } from "../../src/norms/code.ts";
import { experimentOf, type Factory, run, subjectOf } from "../../src/norms/experiment.ts";
import { type State, UNCHANGED } from "../../src/norms/state.ts";

const ek = await open({ backend: "reference" });
const plain = await open();

/** Runs a program here, and gives what it prints, which is y and dx. */
async function results(code: string): Promise<{ y: ArrayLike<number>; dx: ArrayLike<number> }> {
  const modules: Record<string, object> = {
    evenkeel: { ...evenkeel, open: () => plain },
    "evenkeel/tfjs": ofTensorFlow,
    "evenkeel/jax": ofJax,
    "@jax-js/jax": jax,
  };
  const { code: script } = transformSync("program.ts", code);
  const printed: unknown[] = [];
  const used: Record<string, unknown> = {};
  for (const [, list, from] of script.matchAll(/^import \{ (.*) \} from "(.*)";$/gm)) {
    for (const name of list.split(", ")) {
      const [imported, local = imported] = name.split(" as ");
      used[local] = (modules[from] as Record<string, unknown>)[imported];
    }
  }
  used.tf = tf;
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  const run = new AsyncFunction("console", ...Object.keys(used), script.replace(/^import .*$/gm, ""));
  await run({ log: (value: unknown) => printed.push(value) }, ...Object.values(used));
  const [y, dx] = printed.map((values) =>
    Float64Array.from(
      (values as number[][]).flat ? (values as number[]).flat(9) : (values as unknown as number[]),
    ),
  );
  return { y, dx };
}

/** Farthest apart, in units of the largest value. */
function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a).toHaveLength(b.length);
  const size = Math.max(1, ...Array.from(b, Math.abs));
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]) / size));
}

const factories = Object.entries(catalog) as [string, Factory][];

describe.each(factories)("the program of %s", (_, factory) => {
  it("gives the y and the dx that are shown", async () => {
    const subject = subjectOf(ek, factory);
    const experiment = experimentOf(subject, {});
    const state: State = { ...UNCHANGED, edits: { x: new Map([[3, -1.75]]), dy: new Map([[0, 2]]) } };
    const shown = run(ek, experiment, state);
    const { y, dx } = await results(codeOf("plain", experiment, shown, state));
    // float32 against float64
    expect(apart(y, shown.y.data)).toBeLessThan(2e-5);
    expect(apart(dx, shown.gradients[0].data)).toBeLessThan(2e-4);
  });
});

describe.each(["tensorflow", "jax"] as const)("for %s", (host) => {
  it.each(["layerNorm", "batchNorm", "adaptiveLayerNorm", "weightDemodulation"] as const)(
    "the program of %s gives them too",
    async (name) => {
      const experiment = experimentOf(subjectOf(ek, catalog[name] as Factory), { epsilon: 0.01 });
      const shown = run(ek, experiment, UNCHANGED);
      const { y, dx } = await results(codeOf(host, experiment, shown, UNCHANGED));
      expect(apart(y, shown.y.data)).toBeLessThan(2e-5);
      expect(apart(dx, shown.gradients[0].data)).toBeLessThan(2e-4);
    },
  );

  it("says what a function cannot do", async () => {
    const experiment = experimentOf(subjectOf(ek, catalog.onlineNorm as Factory), {});
    const shown = run(ek, experiment, UNCHANGED);
    const code = codeOf(host, experiment, shown, UNCHANGED);
    expect(code).toContain("onlineNorm({ control: false }); // a function stores no state");
    expect(apart((await results(code)).y, shown.y.data)).toBeLessThan(2e-5);
  });
});

it("has the options that are set, what was stored if it was changed, and the pass", () => {
  const subject = subjectOf(ek, catalog.batchNorm as Factory);
  const experiment = experimentOf(subject, { epsilon: 0.001, average: "cumulative" });
  const state: State = { ...UNCHANGED, training: false, edits: { "w.runningMean": new Map([[0, 5]]) } };
  const code = codeOf("plain", experiment, run(ek, experiment, state), state);
  expect(code).toContain(
    'apply(ek, batchNorm({ epsilon: 0.001, average: "cumulative" }), x, weights, { training: false })',
  );
  expect(code).toContain("runningMean: Float32Array.of(5, 0, 0, 0, 0, 0)");
  expect(code).not.toContain("runningVariance");
});
