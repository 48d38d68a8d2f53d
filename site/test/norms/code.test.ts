import * as evenkeel from "evenkeel";
import { catalog, open } from "evenkeel";
import { describe, expect, it } from "vitest";
import { codeOf } from "../../src/norms/code.ts";
import { experimentOf, type Factory, run, subjectOf } from "../../src/norms/experiment.ts";
import { type State, UNCHANGED } from "../../src/norms/state.ts";

const ek = await open({ backend: "reference" });
const plain = await open();

/** Runs a program of the plain library here, and gives its y and dx. */
async function results(code: string): Promise<{ y: { data: Float32Array }; dx: { data: Float32Array } }> {
  const [, imported] = /^import \{ (.*) \} from "evenkeel";$/m.exec(code) ?? [];
  const body = code.replace(/^import .*$/m, "").replace(/^console\.log.*$/gm, "");
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  const make = new AsyncFunction("evenkeel", `const { ${imported} } = evenkeel;\n${body}\nreturn { y, dx };`);
  return make({ ...evenkeel, open: () => plain });
}

/** Farthest apart, in units of the largest value. */
function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a).toHaveLength(b.length);
  const size = Math.max(1, ...Array.from(b, Math.abs));
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]) / size));
}

describe.each(Object.values(catalog) as Factory[])("the program of $about.name", (factory) => {
  it("gives the y and the dx that are shown", async () => {
    const subject = subjectOf(ek, factory);
    const experiment = experimentOf(subject, {});
    const state: State = { ...UNCHANGED, edits: { x: new Map([[3, -1.75]]), dy: new Map([[0, 2]]) } };
    const shown = run(ek, experiment, state);
    const { y, dx } = await results(codeOf("plain", experiment, shown, state));
    // float32 against float64
    expect(apart(y.data, shown.y.data)).toBeLessThan(2e-5);
    expect(apart(dx.data, shown.gradients[0].data)).toBeLessThan(2e-4);
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
