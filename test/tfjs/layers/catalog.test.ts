/** Every normalization as a TensorFlow.js layer: in a model that trains on wasm without a leak, is saved, loaded and cloned. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { catalog } from "../../../src/index.js";
import { sizeOf } from "../../../src/shape.js";
import { install, layers, type NormalizationArgs, type NormalizationLayer } from "../../../src/tfjs/index.js";
import { conditionsOf } from "../../support/layers.js";
import { normal } from "../../support/numerics.js";
import { artifacts } from "../../support/tfjs-artifacts.js";
import { use } from "../../support/tfjs-backends.js";

/** What a layer needs to be told for inputs [4, 5, 6]. */
const options: Record<string, object> = {
  groupNorm: { groups: 3 },
  evoNormS0: { groups: 3 },
  ghostBatchNorm: { batchSize: 2 },
  normalizedAttention: { heads: 2, seed: 1 },
  layerNormLSTM: { units: 3, returnSequences: true, seed: 1 },
  layerNormGRU: { units: 3, returnSequences: true, seed: 1 },
  layerNormRNN: { units: 3, returnSequences: true, seed: 1 },
  recurrentBatchNorm: { units: 3, returnSequences: true, seed: 1 },
};

const names = Object.values(catalog)
  .map(({ about }) => about)
  .filter(({ takes }) => takes !== "weight")
  .map(({ name, takes }) => ({ name, takes, layer: name.replace(/norm$/i, (end) => `${end}alization`) }));

beforeAll(async () => {
  await use("wasm");
  await install();
});

/** Shapes of inputs beside x. */
const conditionsFor = (name: string) =>
  name === "adaptiveInstanceNorm" ? [[7, 6]] : conditionsOf(name, [5, 6], [3]);

it("there is a layer for every entry but those for weights", () => {
  expect(Object.keys(layers).sort()).toEqual(names.map(({ layer }) => layer).sort());
});

describe.each(names)("$layer", ({ name, takes, layer }) => {
  const make = (args: object = {}) =>
    (layers as unknown as Record<string, (args: NormalizationArgs) => NormalizationLayer>)[layer]({
      ...options[name],
      ...args,
    });
  const build = () => {
    const x = tfl.input({ shape: [5, 6] });
    const condition = takes === "condition" ? conditionsFor(name).map((shape) => tfl.input({ shape })) : [];
    const given = make({ name: `made_${name}` }).apply(condition.length > 0 ? [x, ...condition] : x);
    const [y] = [given].flat() as tfl.SymbolicTensor[];
    const flat = tfl.layers.flatten().apply(y) as tfl.SymbolicTensor;
    const last = tfl.layers
      .dense({ units: 1, kernelInitializer: tfl.initializers.glorotNormal({ seed: 5 }) })
      .apply(flat) as tfl.SymbolicTensor;
    return tfl.model({ inputs: [x, ...condition], outputs: last });
  };
  const data = (seed: number) => {
    const x = tf.tensor(normal(120, seed, 0.5), [4, 5, 6]);
    if (takes !== "condition") return x;
    const others = conditionsFor(name).map((lengths, i) => {
      const shape = [4, ...lengths];
      return tf.tensor(normal(sizeOf(shape), seed + 1 + i), shape);
    });
    return [x, ...others];
  };
  const predicted = (model: tfl.LayersModel) =>
    tf.tidy(() => (model.predict(data(3)) as tf.Tensor).dataSync().slice());

  it("trains on wasm without a leaked tensor, and survives save, load and clone", async () => {
    const model = build();
    model.compile({ optimizer: tf.train.sgd(0.002), loss: "meanSquaredError" });
    const target = tf.tensor(normal(4, 9), [4, 1]);
    const x = data(1);
    const losses: number[] = [];
    let tensors = 0;
    for (let step = 0; step < 4; step++) {
      losses.push((await model.trainOnBatch(x, target)) as number);
      if (step === 0) tensors = tf.memory().numTensors;
    }
    expect(tf.memory().numTensors, "tensors after the first step").toBe(tensors);
    for (const loss of losses) expect(loss).toSatisfy(Number.isFinite);
    expect(losses[3]).toBeLessThan(losses[0]);

    const before = predicted(model);
    const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(model)));
    const [original, copy] = [model, loaded].map((one) => one.getLayer(`made_${name}`));
    expect(copy.getConfig()).toEqual(original.getConfig());
    expect([...predicted(loaded)]).toEqual([...before]);

    const cloned = make(original.getConfig());
    expect(cloned.getConfig()).toEqual(original.getConfig());
    for (const one of [model, loaded]) one.dispose();
    tf.dispose([target, x].flat());
  });
});

it("no gradient grows with the size of what is broadcast: kernels of a step are as many for 2 examples as for 200", async () => {
  const kernels = async (name: string, examples: number) => {
    const layer = (layers as unknown as Record<string, (args: object) => NormalizationLayer>)[name]({
      ...options[name.replace(/alization$/, "")],
    });
    const x = tf.ones([examples, 5, 6]);
    const step = () =>
      tf.variableGrads(() => tf.sum(layer.apply(x, { training: true }) as tf.Tensor) as tf.Scalar);
    // the first one builds the layer
    layer.apply(x);
    const { kernels: run } = await tf.profile(() => {
      tf.dispose(step());
    });
    tf.dispose(x);
    layer.dispose();
    return run.length;
  };
  for (const name of ["dynamicISRU", "dynamicTanh", "dynamicErf"]) {
    expect([name, await kernels(name, 200)]).toEqual([name, await kernels(name, 2)]);
  }
});
