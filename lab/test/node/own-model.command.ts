/** What Node makes of the module of a user's own network, and a comparison of it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import type { Comparison } from "../../src/results.js";
import { evenkeel } from "../support/evenkeel.js";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-own-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MODULES: Readonly<Record<string, string>> = {
  "size.mjs": "export const units = 12;",
  "imports.mjs": `import * as tf from "@tensorflow/tfjs";
import * as node from "@tensorflow/tfjs-node";
import { Tensor } from "@tensorflow/tfjs-core";
import { sequential } from "@tensorflow/tfjs-layers";
import { layerNorm } from "evenkeel";
import { layers } from "evenkeel/tfjs";
import { units } from "./size.mjs";
class Doubled extends tf.layers.Layer {
  static className = "Doubled";
  call(x) { return [x].flat()[0].mul(2).add(tf.scalar(layerNorm.about.name.length)); }
}
export default function build({ norm, inputShape, outputs, tf: given }) {
  if (tf.Tensor !== Tensor || node.Tensor !== Tensor || given.Tensor !== Tensor) throw new Error("two copies");
  if (given.layers.groupNormalization !== layers.groupNormalization) throw new Error("two of Evenkeel");
  return sequential({
    layers: [tf.layers.dense({ units, inputShape }), norm(), new Doubled({}), tf.layers.dense({ units: outputs })],
  });
}
`,
  "syntax.mjs": "export default () => {\n  const y = ;\n};",
  "commonjs.cjs": "export default () => {};",
  "missing.mjs": 'import nothing from "evenkeel-nothing";\nexport default nothing;',
  "typed.ts": `interface Given { norm: () => object; inputShape: number[]; outputs: number; tf: any }
export default ({ norm, inputShape, outputs, tf }: Given): object =>
  tf.sequential({ layers: [tf.layers.dense({ units: 8, inputShape }), norm(), tf.layers.dense({ units: outputs })] });`,
  "enums.ts": "enum Size { small = 1 }\nexport default () => Size.small;",
};

test("a module finds the lab's own copies; TypeScript is taken where Node takes it; faults have their lines", () => {
  for (const [name, text] of Object.entries(MODULES)) writeFileSync(join(folder, name), text);
  const own = fileURLToPath(new URL("../../dist/node/own-model.js", import.meta.url));
  const form = { input: { kind: "features", shape: [6] }, outputs: [3] };
  const names = ["imports.mjs", "syntax.mjs", "commonjs.cjs", "missing.mjs", "typed.ts", "enums.ts"];
  const script = `
const { loadOwnModel } = await import(${JSON.stringify(own)});
const results = {};
for (const name of ${JSON.stringify(names)}) {
  results[name] = await loadOwnModel(name).then((own) => own.on(${JSON.stringify(form)}).parameters, (error) => error.message);
}
console.log(JSON.stringify(results));`;
  const results = JSON.parse(
    execFileSync(process.execPath, ["--input-type=module", "-e", script], {
      cwd: folder,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }),
  );
  const strips = (process.features as { typescript?: unknown }).typescript === "strip";
  const needs = (name: string) =>
    `${name}: TypeScript is read by Node 22.18 and later, and this is Node ${process.versions.node}; use such a Node, or compile it to JavaScript (npx -p typescript tsc ${name}) and name that`;
  expect(results).toEqual({
    "imports.mjs": 84 + 39,
    "syntax.mjs":
      "syntax.mjs:2: it cannot be imported: SyntaxError: Unexpected token ';'; mend it, or name another module",
    "commonjs.cjs":
      "commonjs.cjs:1: it cannot be imported: SyntaxError: Unexpected token 'export'; give the module a name that ends in .mjs",
    "missing.mjs": `missing.mjs: it cannot be imported: Cannot find package 'evenkeel-nothing' imported from ${join(folder, "missing.mjs")}; take TensorFlow.js from the tf that the function is given, and install whatever else it needs beside it, or beside Evenkeel where a worker runs it`,
    "typed.ts": strips ? 56 + 27 : needs("typed.ts"),
    "enums.ts": strips
      ? "enums.ts:1: SyntaxError: TypeScript enum is not supported in strip-only mode; Node takes types away and nothing else: write it without enum, namespace and parameter properties, or compile it to JavaScript"
      : needs("enums.ts"),
  });
});

test("it is compared as the lab's own are, and what it draws is of the seed", async () => {
  writeFileSync(
    join(folder, "my-model.mjs"),
    `export default ({ norm, inputShape, outputs, tf: { layers, sequential } }) =>
  sequential({
    layers: [
      layers.conv2d({ filters: 8, kernelSize: 3, inputShape }),
      norm(),
      layers.reLU(),
      layers.dropout({ rate: 0.5 }),
      layers.flatten(),
      layers.dense({ units: outputs, activation: "softmax" }),
    ],
  });`,
  );
  const line =
    "compare my-model.mjs --data digits --limit 120 --norms none,group,instance --epochs 2 --seeds 1 --no-tune --json";
  const run = async (out: string): Promise<Comparison> =>
    JSON.parse((await evenkeel(folder, ...line.split(" "), "--out", out)).stdout);
  const [one, two] = [await run("one"), await run("two")];
  expect(one.trials.map(({ norm, outcome }) => [norm, outcome])).toEqual([
    ["none", "finished"],
    ["group", "finished"],
    ["instance", "finished"],
  ]);
  expect(one.model).toMatchObject({
    kind: "my-model",
    depth: 1,
    module: { digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
  });
  expect(two.trials.map(({ epochs }) => epochs.map(({ trainLoss }) => trainLoss))).toEqual(
    one.trials.map(({ epochs }) => epochs.map(({ trainLoss }) => trainLoss)),
  );

  const module = join(folder, "my-model.mjs");
  writeFileSync(module, `${readFileSync(module, "utf8")}\n`);
  const { code, stderr } = await evenkeel(folder, "compare", "--resume", "one");
  expect([code, stderr]).toEqual([
    2,
    expect.stringContaining(
      `"${module}", the network of the comparison in "one", has changed since, or is not there any more; bring back what it was, or begin anew: `,
    ),
  ]);
});
