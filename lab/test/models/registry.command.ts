/** Each normalization that has a place in a model trains in it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { fits, type ModelName, modelNames } from "../../src/models/registry.js";
import { normNames } from "../../src/norms.js";
import type { Comparison } from "../../src/results.js";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const workplace = mkdtempSync(join(tmpdir(), "evenkeel-norms-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));

const evenkeel = (line: string): string =>
  execFileSync(process.execPath, [cli, ...line.split(" ")], {
    cwd: workplace,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });

test.each<ModelName>([...modelNames])("--norms all trains every one that fits a %s", (kind) => {
  const network = `--data digits --limit 120 --model ${kind} --depth 2 --width 8 --epochs 1 --seeds 1 --no-tune`;
  const comparison: Comparison = JSON.parse(
    evenkeel(`compare ${network} --norms all --json --out all-${kind}`),
  );
  expect(comparison.summaries.map(({ norm }) => norm)).toEqual(normNames.filter((norm) => fits(norm, kind)));
  for (const { norm, outcome, epochs, probes } of comparison.trials) {
    expect([norm, outcome]).toEqual([norm, "finished"]);
    // ten classes: no better than guessing, and not much worse
    expect(epochs[0].trainLoss, norm).toBeGreaterThan(1.5);
    expect(epochs[0].trainLoss, norm).toBeLessThan(4);
    expect(Math.min(...probes[0].gradientNorm.map(Number)), norm).toBeGreaterThan(0);
  }
});
