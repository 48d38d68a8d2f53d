/** `evenkeel diagnose` as its user meets it: a file of Keras without data, JSON of a table's network, and what is refused. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import type { Diagnosis } from "../../src/ailments.js";
import { evenkeel } from "../support/evenkeel.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-diagnose-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const fixture = (name: string) =>
  fileURLToPath(new URL(`../../../test/fixtures/checkpoints/${name}`, import.meta.url));

test("a Keras network is measured without data, and with a normalization put in", async () => {
  const { code, stdout, stderr } = await evenkeel(
    workplace,
    "diagnose",
    fixture("keras3/recurrent.keras"),
    ...["--steps", "2", "--try", "layer", "--json"],
  );
  expect([code, stderr]).toEqual([0, ""]);
  const { courses, data, steps } = JSON.parse(stdout) as Diagnosis;
  expect([data, steps]).toEqual([undefined, 2]);
  expect(courses.map(({ norm, probes }) => [norm, probes.length])).toEqual([
    [undefined, 3],
    ["layer", 3],
  ]);
  expect(courses[0].layers.map(({ name }) => name)).toContain("both_ways");
});

test("what is no network, and what is no normalization between layers, exit with 2", async () => {
  const table = await evenkeel(workplace, "diagnose", fixture("../../../lab/data/breast-cancer.csv"));
  expect(table.code).toBe(2);
  expect(table.stderr).toContain("got another file: name the model.json or its folder");
  const norm = await evenkeel(workplace, "diagnose", fixture("keras3/recurrent.keras"), "--try", "weight");
  expect(norm.code).toBe(2);
  expect(norm.stderr).toContain('got "weight", which does not');
});
