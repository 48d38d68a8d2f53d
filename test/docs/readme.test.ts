/** The README's examples run as they stand, and print what they say. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { examplesOf, root, runExample } from "../support/examples.js";

const examples = examplesOf(readFileSync(`${root}README.md`, "utf8"), "js");

/** What each example prints, in the README's order. */
const printed = [
  /-1\.34.*-0\.44.*0\.44.*1\.34.*\[ 2, 4 \] \[ 4 \]\n0\n$/s,
  /beta gamma tau\n2 × 8 × 8 × 16\n$|gamma/s,
  /gamma: Float32Array.*runningVariance/s,
  /fused: true/,
  /\[ 2, 4 \]\n$/,
];

it("has an example for each expectation", () => expect(examples.length).toBe(printed.length));

it.each(examples.map((code, i) => ({ code, expected: printed[i], first: code.split("\n")[0] })))(
  "$first",
  async ({ code, expected }) => expect(await runExample(code)).toMatch(expected),
);
