/** Models out as PyTorch's state dicts, and in again. `load_state_dict(strict=True)` and the outputs in PyTorch 2.8 were checked by hand. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { open, writeSafetensors } from "../../../src/checkpoints/index.js";
import { layers, loadInto, stateDictOf } from "../../../src/tfjs/index.js";
import { normal } from "../../support/numerics.js";
import { use } from "../../support/tfjs-backends.js";
import { images, sequences } from "./layouts.js";

/** Weights that are nobody's initial values. */
function stirred(model: tfl.Sequential): tfl.Sequential {
  for (const [i, variable] of model.weights.entries()) {
    const shape = variable.shape as number[];
    const length = shape.reduce((a, b) => a * b, 1);
    variable.write(tf.tensor(normal(length, i + 1, 0.5, 0.3), shape));
  }
  return model;
}

describe("stateDictOf", () => {
  beforeAll(async () => {
    await use("cpu");
    vi.spyOn(console, "warn").mockImplementation(() => {});
  });

  it.each([
    ["images", images],
    ["sequences", sequences],
  ] as const)("%s: out and in again is the identity", async (_, make) => {
    const model = stirred(make());
    const again = make();
    const loaded = await loadInto(again, await open(writeSafetensors(stateDictOf(model), { format: "pt" })));
    expect(loaded.unmatched).toEqual({ layers: [], tensors: [] });
    const values = (one: tfl.Sequential) => one.weights.map((weight) => [...weight.read().dataSync()]);
    expect(values(again)).toEqual(values(model));
  });

  it("names and shapes are PyTorch's", () => {
    const shapes = [...stateDictOf(images())].map(([name, { shape }]) => `${name} [${shape.join(", ")}]`);
    expect(shapes.slice(0, 12)).toEqual([
      "conv.weight [4, 2, 3, 3]",
      "conv.bias [4]",
      "batch.weight [4]",
      "batch.bias [4]",
      "batch.running_mean [4]",
      "batch.running_var [4]",
      "batch.num_batches_tracked []",
      "depthwise.weight [8, 1, 2, 2]",
      "depthwise.bias [8]",
      "prelu.weight [8]",
      "group.weight [8]",
      "group.bias [8]",
    ]);
    expect(shapes).toContain("separable.depthwise.weight [8, 1, 2, 2]");
    expect(shapes).toContain("weighted.weight_g [3, 1, 1, 1]");
    expect(shapes).toContain("spectral.parametrizations.weight.0._v [12]");
    expect([...stateDictOf(sequences()).keys()].slice(1, 5)).toEqual([
      "both.weight_ih_l0",
      "both.weight_hh_l0",
      "both.bias_ih_l0",
      "both.bias_hh_l0",
    ]);
  });

  it("gamma as PyTorch multiplies by it: with its offset, per channel", () => {
    const model = tfl.sequential();
    model.add(layers.rmsNormalization({ name: "rms", offset: 1, inputShape: [2, 4] }));
    model.add(layers.groupNormalization({ name: "group", groups: 2, parameters: "group" }));
    const [gamma, , , perGroup] = [0, 0, 0, 1].map((i) => model.weights[i]);
    gamma.write(tf.tensor1d([0.5, 0, -1, 2]));
    perGroup.write(tf.tensor1d([3, 4]));
    const dict = stateDictOf(model);
    expect([...(dict.get("rms.weight")?.data ?? [])]).toEqual([1.5, 1, 0, 3]);
    expect([...(dict.get("group.weight")?.data ?? [])]).toEqual([3, 3, 4, 4]);
  });

  it("under the layers' own names", () => {
    const dict = stateDictOf(images(), { names: "tensorflowjs" });
    expect(dict.get("conv/kernel")?.shape).toEqual([3, 3, 2, 4]);
  });

  it("refuses what PyTorch does not have, and other names", () => {
    const model = tfl.sequential();
    model.add(
      tfl.layers.gru({ name: "r", units: 2, inputShape: [4, 3], recurrentInitializer: "glorotNormal" }),
    );
    expect(() => stateDictOf(model)).toThrow(
      "stateDictOf: r resets before its product, PyTorch's GRU after it: make the layer with gru() of evenkeel/tfjs",
    );
    expect(() => stateDictOf(images(), { names: "flax" as "pytorch" })).toThrow(
      'stateDictOf: names must be "pytorch" or "tensorflowjs", got "flax"',
    );
    expect(() => stateDictOf([] as never)).toThrow("stateDictOf: model must be a LayersModel");
  });
});
