/** The README's examples run as they stand, and print what they say. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(`${root}README.md`, "utf8");
const examples = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);

/** What each example prints, in the README's order. */
const printed = [
  /-1\.34.*-0\.44.*0\.44.*1\.34.*\[ 2, 4 \] \[ 4 \]\n0\n$/s,
  /gamma: Float32Array.*runningVariance/s,
  /fused: true/,
];

it("has an example for each expectation", () => expect(examples.length).toBe(printed.length));

it.each(examples.map((code, i) => ({ code, expected: printed[i], first: code.split("\n")[0] })))(
  "$first",
  ({ code, expected }) => {
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", code], {
      cwd: root,
      encoding: "utf8",
    });
    expect(output).toMatch(expected);
  },
);
