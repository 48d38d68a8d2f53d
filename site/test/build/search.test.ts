/** The search finds normalizations by what people call them. */
import MiniSearch from "minisearch";
import { describe, expect, it } from "vitest";
import { docs } from "../../build/docs.ts";
import { initialsOf, namesElsewhere } from "../../build/search.ts";
import { find, SEARCH } from "../../src/norms/search.ts";

const index = MiniSearch.loadJSON(docs().index, SEARCH);
const found = (query: string): string[] => find(index, query).map(({ name }) => name);

describe("the first that is found", () => {
  it.each([
    ["nn.GroupNorm", "groupNorm"],
    ["GroupNormalization", "groupNorm"],
    ["group norm", "groupNorm"],
    ["AdaLN", "adaptiveLayerNorm"],
    ["FRN", "filterResponseNorm"],
    ["PONO", "positionNorm"],
    ["DyT", "dynamicTanh"],
    ["GRN", "globalResponseNorm"],
    ["LRN", "localResponseNorm"],
    ["RevIN", "reversibleInstanceNorm"],
    ["SPADE", "spatiallyAdaptiveNorm"],
    ["FiLM", "featureWiseLinearModulation"],
    ["layers.LayerNormalization", "layerNorm"],
    ["nn.utils.spectral_norm", "spectralNorm"],
    ["PixelNorm", "rmsNorm"],
    ["layr norm", "layerNorm"],
    ["R²-IN", "robustReversibleInstanceNorm"],
    ["BATCH RENORM", "batchRenorm"],
    ["layer norm", "layerNorm"],
    ["lstm layer norm", "layerNormLSTM"],
    ["batch", "batchNorm"],
  ])("for %s is %s", (query, name) => expect(found(query)[0]).toBe(name));
});

it.each([
  ["1803.08494", "groupNorm"],
  ["ConvNeXt", "globalResponseNorm"],
  ["max_norm", "boundedNorm"],
])("finds %s in the text: %s", (query, name) => expect(found(query)).toContain(name));

it("finds while one types", () => {
  for (let length = 3; length <= "nn.GroupNorm".length; length++)
    expect(found("nn.GroupNorm".slice(0, length)), `${length} letters`).toContain("groupNorm");
});

it("finds nothing for what is nowhere", () => expect(found("zqxjk")).toEqual([]));
it("narrows with each word", () => expect(found("group zqxjk")).toEqual([]));

it("has what a result shows", () => {
  const [first] = find(index, "nn.GroupNorm");
  expect(first).toMatchObject({ title: "Group normalization", summary: expect.any(String) });
  expect(first.matched).toContain("nn.GroupNorm (PyTorch)");
  expect(first.matched).not.toContain("layers.GroupNormalization (Keras 3)");
});

it("reads what covers a name", () => {
  const names = namesElsewhere(
    "### Flax\n\n| Framework | Here | Notes |\n| --- | --- | --- |\n| `nn.X` | `apply`, [aNorm](aNorm.md) | as `f` |\n| `nn.Y` | `fold` |  |\n",
  );
  expect([...names]).toEqual([["aNorm", [{ framework: "Flax", name: "nn.X", how: "as `f`" }]]]);
});

it.each([
  ["Filter response normalization", "FRN"],
  ["Mean-only batch normalization", "MOBN"],
  ["Gated RMS normalization", "GRMSN"],
  ["AdaNorm", ""],
])("abbreviates %s to “%s”", (title, initials) => expect(initialsOf(title)).toBe(initials));
