/** The normalizations that the lab knows, by the names of the command line. */
import { catalog } from "evenkeel";
import { expect, test } from "vitest";
import { groupsOf, kebab, labelOf, nameOf, near, normNames, optionsOf, usualNorms } from "../src/norms.js";

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
  ["batch-layer", "batch layer", "batch layer normalization"],
  [
    "post-layer+reversible-instance",
    "post-layer + RevIN",
    "post-layer normalization within reversible instance normalization",
  ],
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

test("groupsOf: at most eight, of four channels or more; one where the width allows no others", () => {
  const widths = [1, 2, 4, 7, 8, 12, 16, 20, 22, 24, 32, 64, 67, 100, 4096];
  expect(widths.map((width) => [width, groupsOf(width)])).toEqual([
    [1, 1],
    [2, 1],
    [4, 1],
    [7, 1],
    [8, 2],
    [12, 3],
    [16, 4],
    [20, 5],
    [22, 2],
    [24, 6],
    [32, 8],
    [64, 8],
    [67, 1],
    [100, 5],
    [4096, 8],
  ]);
});

test("a name that is only spelled otherwise is that one alone", () => {
  expect(["LayerNorm", "batch_norm", "GroupNormalization"].map((typed) => near(typed, normNames))).toEqual([
    ["layer"],
    ["batch"],
    ["group"],
  ]);
});
