/** The README's examples run as they stand, and print what they say. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { catalog } from "../../src/norms/catalog.js";
import { examplesOf, root, runExample } from "../support/examples.js";

const readme = readFileSync(`${root}README.md`, "utf8");
const examples = examplesOf(readme, "js");

/** What each example prints, in the README's order. */
const printed = [
  /-1\.34.*-0\.44.*0\.44.*1\.34.*\n\[ 1, 4 \]\n$/s,
  /fused: true.*\[ 1, 6, 6, 16 \]\n$/s,
  /^1 of 1 outputs are Keras's\n$/,
  /^\[ 'layerNorm, epsilon 0\.00001' \]\n$/,
  /^\[ 2, 4 \] \[ 4 \]\n0\n$/,
  /^\[ 2, 4 \]\n$/,
];

it("says how many normalizations there are", () =>
  expect(readme).toContain(`\n${Object.keys(catalog).length} normalizations for deep learning`));

it("has an example for each expectation", () => expect(examples.length).toBe(printed.length));

/** The model that an example opens, and what Keras itself made of an input. */
const KERAS = "test/fixtures/checkpoints/keras3/normalizations";
const withModel = (code: string) =>
  !code.includes('"model.keras"')
    ? code
    : `import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
${code.replace("model.keras", `${KERAS}.keras`)}
const { input, output } = JSON.parse(readFileSync("${KERAS}.json", "utf8"));
const y = [model.predict(tf.tensor(input.values, input.shape))].flat();
const expected = [output].flat();
const equal = expected.filter(({ values }, i) => {
  const largest = Math.max(...values.map(Math.abs));
  return y[i].dataSync().every((value, j) => Math.abs(value - values[j]) <= 1e-5 * largest);
});
console.log(equal.length + " of " + y.length + " outputs are Keras's");
`;

it.each(examples.map((code, i) => ({ code, expected: printed[i], first: code.split("\n")[0] })))(
  "$first",
  async ({ code, expected }) => expect(await runExample(withModel(code))).toMatch(expected),
);
