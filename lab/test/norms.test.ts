/** The normalizations that the lab knows, by the names of the command line; each one that fits a network trains in it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { catalog } from "evenkeel";
import * as tfjs from "evenkeel/tfjs";
import { afterAll, expect, test } from "vitest";
import { wrap } from "../src/format.js";
import {
  fits,
  kebab,
  labelOf,
  listText,
  nameOf,
  near,
  normNames,
  optionsOf,
  usualNorms,
} from "../src/norms.js";
import { looksOf } from "../src/report/series.js";
import type { Comparison } from "../src/results.js";
import { type ModelKind, modelKinds } from "../src/settings.js";

const cli = fileURLToPath(new URL("../dist/cli.js", import.meta.url));
const workplace = mkdtempSync(join(tmpdir(), "evenkeel-norms-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));

const evenkeel = (line: string): string =>
  execFileSync(process.execPath, [cli, ...line.split(" ")], {
    cwd: workplace,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });

test.each([
  ["layerNorm", "layer"],
  ["rmsNorm", "rms"],
  ["batchRenorm", "batch-renorm"],
  ["dynamicTanh", "dynamic-tanh"],
  ["dynamicISRU", "dynamic-isru"],
  ["layerScale", "layer-scale"],
  ["filterResponseNorm", "filter-response"],
])("%s is called %s", (name, expected) => expect(kebab(name)).toBe(expected));

test("there is a name for every normalization of the catalog, each its own, and none", () => {
  expect(normNames).toHaveLength(Object.keys(catalog).length + 1);
  expect(new Set(normNames).size).toBe(normNames.length);
  expect(usualNorms.filter((norm) => !normNames.includes(norm))).toEqual([]);
});

test.each([
  ["none", "none", "no normalization"],
  ["rms", "RMS", "RMS normalization"],
  ["batch-renorm", "batch renorm", "batch renormalization"],
  ["dynamic-tanh", "dynamic tanh", "dynamic tanh"],
  ["of-another-version", "of another version", "of another version normalization"],
])("%s is labelled %s, and is %s in a sentence", (norm, label, name) => {
  expect([labelOf(norm), nameOf(norm)]).toEqual([label, name]);
});

test.each([
  ["lyer", "layer"],
  ["layerNorm", "layer"],
  ["LayerNormalization", "layer"],
  ["batch_renorm", "batch-renorm"],
  ["tanh", "dynamic-tanh"],
  ["dyt", undefined],
])("%s is near %s", (typed, expected) => {
  const found = near(typed, normNames);
  expect(found.length).toBeLessThanOrEqual(3);
  if (expected === undefined) expect(found.length).toBeGreaterThan(0);
  else expect(found[0]).toBe(expected);
});

test("epsilon, momentum and groups go to those that have them", () => {
  expect(optionsOf("none", 64)).toBeUndefined();
  expect(optionsOf("layer", 64)).toEqual({ name: "layerNorm", options: { epsilon: 1e-5 } });
  expect(optionsOf("batch", 64)).toEqual({ name: "batchNorm", options: { epsilon: 1e-5, momentum: 0.9 } });
  expect(optionsOf("group", 16)).toEqual({ name: "groupNorm", options: { epsilon: 1e-5, groups: 4 } });
  expect(optionsOf("weight", 64)).toEqual({ name: "weightNorm", options: {} });
  expect(optionsOf("dynamic-tanh", 64)).toEqual({ name: "dynamicTanh", options: {} });
});

test("a normalization of weights is compared where TensorFlow.js has a wrapper for it", () => {
  for (const { about } of Object.values(catalog)) {
    if (about.takes !== "weight") continue;
    const wrapper = about.name.replace(/norm$/i, (end) => `${end}alization`);
    expect([about.name, fits(kebab(about.name), "mlp")]).toEqual([about.name, wrapper in tfjs]);
  }
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
  for (const line of ["--help", "compare --help", "norms --help"].flatMap((call) =>
    evenkeel(call).split("\n"),
  )) {
    expect(line.length, line).toBeLessThanOrEqual(80);
  }
});

test("however many are compared, no two look alike, and the usual six look as ever", () => {
  const many = [...normNames, ...Array.from({ length: 40 }, (_, i) => `other-${i}`)];
  for (const norms of [many, [...many].reverse(), many.slice(7, 15), [...usualNorms]]) {
    const looks = looksOf(norms);
    expect(new Set([...looks.values()].map(({ hue, dash }) => `${hue} ${dash}`)).size).toBe(norms.length);
    for (const norm of usualNorms)
      if (looks.has(norm)) expect(looks.get(norm)).toEqual(looksOf([norm]).get(norm));
  }
  const eight = looksOf(["none", ...normNames.filter((norm) => !usualNorms.includes(norm)).slice(0, 7)]);
  expect(new Set([...eight.values()].map(({ hue }) => hue)).size).toBe(8);
});

test.each<ModelKind>([...modelKinds])("--norms all trains every one that fits a %s", (kind) => {
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

test("breaks a label before its second word, never before its first", () => {
  expect(wrap("switchable", 9)).toBe("switchable");
  expect(wrap("batch renorm", 9)).toBe("batch\nrenorm");
});
