/** Residual blocks: what is added to what, where normalizations stand, and that depth does not hurt. */
import * as tf from "@tensorflow/tfjs-core";
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, test } from "vitest";
import { type Form, sizeOf } from "../../src/data/form.js";
import { buildNetwork } from "../../src/models/network.js";
import { type ModelName, models } from "../../src/models/registry.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import type { NormName } from "../../src/norms.js";

beforeAll(startTensorFlow);

const forms: Record<string, Form> = {
  "residual-mlp": { input: { kind: "features", shape: [5] }, outputs: [3] },
  "residual-cnn": { input: { kind: "image", shape: [8, 8, 1] }, outputs: [3] },
};
const names = Object.keys(forms) as ModelName[];
const build = (name: ModelName, norm: NormName, depth = 2, seed = 1, width = 8) =>
  buildNetwork(models[name], { depth, width, activation: "relu" }, norm, forms[name], seed);

describe.each(names)("%s", (name) => {
  const layersOf = (norm: NormName, depth = 2) =>
    build(name, norm, depth)
      .model.layers.map((layer) => layer.getClassName())
      .filter((kind) => !/^(InputLayer|AveragePooling2D)$/.test(kind))
      .map(
        (kind) =>
          ({ Dense: "kernel", Conv2D: "kernel", LayerNormalization: "norm", Activation: "relu" })[kind] ??
          kind,
      );
  const end = name === "residual-cnn" ? ["GlobalAveragePooling2D", "kernel"] : ["kernel"];

  test("pre: normalized and activated before each layer with a kernel; the way past is clear", () => {
    expect(layersOf("layer", 1)).toEqual([
      "kernel", // the width
      ...["norm", "relu", "kernel", "norm", "relu", "kernel", "Add"],
      ...["norm", "relu", ...end],
    ]);
  });

  test("post: normalized and activated after each sum", () => {
    expect(layersOf("post-layer", 1)).toEqual([
      ...["kernel", "norm", "relu"],
      ...["kernel", "norm", "relu", "kernel", "Add", "norm", "relu"],
      ...end,
    ]);
  });

  test("a normalization of weights is around every kernel but the last", () => {
    const { model, kernels } = build(name, "weight");
    const wrapped = model.layers.filter((layer) => layer.getClassName() === "WeightNormalization");
    expect([wrapped.length, kernels.length]).toEqual([5, 6]);
  });

  test("what blocks give is probed, and every kernel", () => {
    for (const norm of ["layer", "post-layer"]) {
      const { blocks, kernels } = build(name, norm, 3);
      const kinds = blocks.map((layer) => layer.getClassName());
      expect(kinds).toEqual(Array(3).fill(norm === "layer" ? "Add" : "Activation"));
      expect(kernels).toHaveLength(1 + 2 * 3 + 1);
    }
  });

  test("of one seed, the kernels are the same whatever is normalized, and wherever", () => {
    const kernels = (norm: NormName) => {
      const { model, kernels: all } = build(name, norm);
      return all.map((kernel) => {
        const weight = model.trainableWeights.find((each) => each.name === kernel);
        return Array.from(weight?.read().dataSync() ?? []);
      });
    };
    const none = kernels("none");
    for (const norm of ["batch", "post-layer", "weight"]) expect([norm, kernels(norm)]).toEqual([norm, none]);
  });

  test("deep ones pass on what they are given: the first layer's gradient is of the last one's size", () => {
    const gradients = (kind: ModelName, depth: number) => {
      const { model, kernels } = buildNetwork(
        models[kind],
        { depth, width: 8, activation: "sigmoid" },
        "none",
        forms[name],
        1,
      );
      const x = tf.randomNormal([16, ...forms[name].input.shape], 0, 1, "float32", 5);
      const { grads } = tf.variableGrads(() =>
        tf.mean(tf.square(model.apply(x, { training: true }) as tf.Tensor)),
      );
      const [first, last] = [kernels[0], kernels.at(-1) ?? ""].map(
        (kernel) => tf.norm(grads[kernel]).dataSync()[0],
      );
      return first / last;
    };
    expect(gradients(name, 8)).toBeGreaterThan(1e-2);
    expect(gradients(name.replace("residual-", "") as ModelName, 16)).toBeLessThan(1e-6);
  });

  test("saved and loaded, it gives the same", async () => {
    const { model } = build(name, "post-batch");
    let saved: tf.io.ModelArtifacts = {};
    await model.save(
      tf.io.withSaveHandler(async (artifacts) => {
        saved = artifacts;
        return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
      }),
    );
    const loaded = await loadLayersModel(tf.io.fromMemory(saved));
    const shape = [3, ...forms[name].input.shape];
    const x = tf.tensor(
      Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i)),
      shape,
    );
    const [was, is] = [model, loaded].map((each) => Array.from((each.predict(x) as tf.Tensor).dataSync()));
    expect(is).toEqual(was);
  });
});

test("a series is a row of features to it, and its forecast has the horizon's shape", () => {
  const form: Form = { input: { kind: "series", shape: [8, 2] }, outputs: [4, 2] };
  for (const norm of ["layer", "layer+reversible-instance"]) {
    const settings = { depth: 1, width: 8, activation: "relu" } as const;
    const { model } = buildNetwork(models["residual-mlp"], settings, norm, form, 1);
    expect((model.predict(tf.ones([3, 8, 2])) as tf.Tensor).shape).toEqual([3, 4, 2]);
  }
});
