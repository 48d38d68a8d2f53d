/** The list of normalizations, and the help, as a terminal of 80 columns shows them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { listText } from "../../src/node/norm-list.js";
import { normNames } from "../../src/norms.js";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const workplace = mkdtempSync(join(tmpdir(), "evenkeel-norms-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));

const evenkeel = (line: string): string =>
  execFileSync(process.execPath, [cli, ...line.split(" ")], {
    cwd: workplace,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });

test("the list has a line of at most 80 characters for each", () => {
  const text = evenkeel("norms");
  expect(text).toBe(`${listText(80)}\n`);
  for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  for (const norm of normNames.slice(1)) {
    expect(text.split("\n").filter((line) => line.startsWith(`  ${norm} `))).toHaveLength(1);
  }
});

test("help fits 80 columns", () => {
  for (const line of ["--help", "compare --help", "inspect --help", "convert --help", "norms --help"].flatMap(
    (call) => evenkeel(call).split("\n"),
  )) {
    expect(line.length, line).toBeLessThanOrEqual(80);
  }
});
