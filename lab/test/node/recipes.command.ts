/** `evenkeel recipe` as its user meets it: stopped, gone on with, and answered. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { recipes } from "../../src/recipes/registry.js";
import { evenkeel, start } from "../support/evenkeel.js";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-recipes-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("the recipes are listed; a wrong name is told the nearest", async () => {
  const { code, stdout } = await evenkeel(folder, "recipes");
  expect(code).toBe(0);
  for (const { name } of recipes) expect(stdout).toContain(`  ${name} `);
  const wrong = await evenkeel(folder, "recipe", "helthcare");
  expect(wrong).toMatchObject({ code: 2, stdout: "" });
  expect(wrong.stderr.replaceAll(/\s+/g, " ")).toBe(
    'error: recipe: "helthcare" is not known; did you mean "healthcare"? (evenkeel recipes lists all) ',
  );
});

test("a recipe that is stopped goes on where it was, and ends in its report and its answer", async () => {
  const stopped = start(folder, "recipe", "healthcare");
  await stopped.said(/\(2 of 24\)/);
  stopped.child.kill("SIGINT");
  const { code, stderr } = await stopped.ended;
  expect(code).toBe(130);
  expect(stderr).toMatch(/Go on: .* recipe healthcare\n/);

  const { code: done, stdout, stderr: told } = await evenkeel(folder, "recipe", "healthcare");
  expect(done).toBe(0);
  expect(told).toMatch(/24 trials, [2-9] finished already/);
  expect(told).toContain("Report  evenkeel-healthcare/report.html");
  expect(stdout).toMatch(
    /\nDoes layer normalization diagnose .*\n(.*\n)*(Held|Did not hold|Not shown): better with layer/,
  );
  expect(existsSync(join(folder, "evenkeel-healthcare/report.html"))).toBe(true);
  const comparison = JSON.parse(readFileSync(join(folder, "evenkeel-healthcare/comparison.json"), "utf8"));
  expect(comparison.command).toMatch(/ recipe healthcare$/);
  expect(comparison.trials).toHaveLength(24);

  // another comparison is not written over
  const other = await evenkeel(folder, "recipe", "finance", "--out", "evenkeel-healthcare");
  expect(other.code).toBe(2);
  expect(other.stderr.replaceAll(/\s+/g, " ")).toContain(
    '--out: the folder "evenkeel-healthcare" holds another comparison (its plan.json), which is not overwritten',
  );
});
