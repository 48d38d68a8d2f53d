/** Which normalizations have a place in which models; each one that does trains in it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { catalog } from "evenkeel";
import * as tfjs from "evenkeel/tfjs";
import { afterAll, expect, test } from "vitest";
import {
  acceptingModels,
  fits,
  type ModelName,
  modelNames,
  models,
  usualModel,
} from "../../src/models/registry.js";
import { kebab, type NormName, normNames } from "../../src/norms.js";
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

test("every model is listed by its own name", () => {
  for (const name of modelNames) expect(models[name].name).toBe(name);
});

test("the usual model is the most particular one that accepts the inputs", () => {
  expect([usualModel([30]), usualModel([8, 8, 1]), usualModel([2, 2, 1])]).toEqual(["mlp", "cnn", "mlp"]);
  expect(acceptingModels([2, 2, 1], 1)).toEqual(["mlp", "cnn"]);
});

test("a normalization of weights is compared where TensorFlow.js has a wrapper for it", () => {
  for (const { about } of Object.values(catalog)) {
    if (about.takes !== "weight") continue;
    const wrapper = about.name.replace(/norm$/i, (end) => `${end}alization`);
    expect([about.name, fits(kebab(about.name), "mlp")]).toEqual([about.name, wrapper in tfjs]);
  }
});

test("fits: instance normalization needs positions, all others fit both networks", () => {
  const norms: NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];
  expect(norms.filter((norm) => fits(norm, "mlp"))).toEqual(["none", "layer", "rms", "batch", "group"]);
  expect(norms.filter((norm) => fits(norm, "cnn"))).toEqual(norms);
});

test.each<ModelName>([...modelNames])("--norms all trains every one that fits a %s", (kind) => {
  const network = `--data digits --limit 120 --model ${kind} --depth 2 --width 8 --epochs 1 --seeds 1`;
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
