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
  /^2\.000 3\.000\n$/,
  /^\[ 2, 4 \] \[ 4 \]\n0\n$/,
  /^\[ 2, 4 \]\n$/,
];

it("says how many normalizations there are", () =>
  expect(readme).toContain(`\n${Object.keys(catalog).length} normalizations for deep learning`));

it("has an example for each expectation", () => expect(examples.length).toBe(printed.length));

it.each(examples.map((code, i) => ({ code, expected: printed[i], first: code.split("\n")[0] })))(
  "$first",
  async ({ code, expected }) => expect(await runExample(code)).toMatch(expected),
);
