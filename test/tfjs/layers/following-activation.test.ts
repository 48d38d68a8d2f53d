/** A normalization and the activation layer behind it run as one call, in models where nothing else reads what is between. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, expect, it } from "vitest";
import { freezeStatistics, install, layers } from "../../../src/tfjs/index.js";
import { expectClose, normal } from "../../support/numerics.js";
import { use } from "../../support/tfjs-backends.js";

type Layer = tfl.layers.Layer;
type Symbolic = tfl.SymbolicTensor;
const built = tfl.layers;
const norm = (args: object = {}) => layers.layerNormalization({ name: "norm", ...args }) as unknown as Layer;
const sigmoid = () => built.activation({ activation: "sigmoid", name: "after" });
const x = () => tf.tensor2d(normal(12, 3), [3, 4]);
const chain = (...made: Layer[]) =>
  tfl.sequential({ layers: [built.inputLayer({ inputShape: [4] }), ...made] });
const values = (y: unknown) => ([y].flat()[0] as tf.Tensor).dataSync() as Float32Array;

/** What the function gives, and whether an activation layer was called with values that were not activated yet. */
function watched<T>(model: tfl.LayersModel, run: () => T): { result: T; apart: boolean } {
  const activation = (
    model.getLayer("after") as unknown as { activation: { apply(x: tf.Tensor): tf.Tensor } }
  ).activation;
  const { apply } = activation;
  let apart = false;
  activation.apply = (y) => {
    apart = true;
    return apply.call(activation, y);
  };
  try {
    return { result: run(), apart };
  } finally {
    activation.apply = apply;
  }
}

beforeAll(async () => {
  await use("wasm");
  await install();
});

const first = {
  ours: norm,
  layer: () => built.layerNormalization({ name: "norm" }),
  batch: () => built.batchNormalization({ name: "norm" }),
};

it.each(Object.entries(first))("in prediction, evaluation and training: %s", async (_, make) => {
  const model = chain(make(), sigmoid());
  const expected = values(tf.sigmoid(make().apply(x()) as tf.Tensor));
  const { result, apart } = watched(model, () => values(model.predict(x())));
  expect(apart).toBe(false);
  expectClose("y", result, expected, () => 1e-5);
  expect(watched(model, () => model.predictOnBatch(x())).apart).toBe(false);
  model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
  const seen = watched(model, () => model.evaluate(x(), tf.zeros([3, 4])));
  expect(seen.apart).toBe(false);
  expect(values(seen.result)[0]).toBeCloseTo(expected.reduce((sum, y) => sum + y * y, 0) / 12, 5);
  const before = model.trainableWeights.map((one) => values(one.read()));
  const training = watched(model, () => model.trainOnBatch(x(), tf.zeros([3, 4])));
  await training.result;
  expect(training.apart).toBe(false);
  expect(model.trainableWeights.map((one) => values(one.read()))).not.toEqual(before);
});

it("leaves nothing behind", () => {
  const model = chain(norm(), built.reLU({ maxValue: 1 }));
  model.predict(x());
  const input = x();
  const before = tf.memory().numTensors;
  tf.dispose(model.predict(input));
  expect(tf.memory().numTensors).toBe(before);
});

it("each model says for itself what reads between: another one reads it apart, before and after", () => {
  const model = chain(norm(), sigmoid());
  const between = tfl.model({ inputs: model.inputs, outputs: model.getLayer("norm").output as Symbolic });
  const both = tfl.model({
    inputs: model.inputs,
    outputs: [...model.outputs, model.getLayer("norm").output as Symbolic],
  });
  const expected = values(tf.sigmoid(values(between.predict(x()))));
  expect(watched(model, () => values(model.predict(x()))).apart).toBe(false);
  expect(Math.min(...values(between.predict(x())))).toBeLessThan(0);
  const { result, apart } = watched(both, () => both.predict(x()) as tf.Tensor[]);
  expect(apart).toBe(true);
  expectClose("y", values(result[0]), expected, () => 1e-5);
  expect(values(result[1])).toEqual(values(between.predict(x())));
  // and layers that are called outside of a model
  expect(values(model.getLayer("norm").apply(x()))).toEqual(values(between.predict(x())));
});

it("apart where a call is replaced, a mask is used, or statistics are frozen; with the same numbers", () => {
  const watchedNorm = chain(norm(), sigmoid());
  const layer = watchedNorm.getLayer("norm");
  const { call } = layer;
  let seen = new Float32Array();
  layer.call = (...args) => {
    const y = call.apply(layer, args);
    seen = Float32Array.from(values(y));
    return y;
  };
  expect(watched(watchedNorm, () => watchedNorm.predict(x())).apart).toBe(true);
  expect(Math.min(...seen)).toBeLessThan(0);

  const masked = tfl.sequential({
    layers: [built.masking({ inputShape: [3, 4] }), norm({ useMask: true }), sigmoid()],
  });
  const padded = tf.concat([tf.ones([1, 1, 4]), tf.zeros([1, 2, 4])], 1);
  const { result, apart } = watched(masked, () => values(masked.predict(padded)));
  expect(apart).toBe(true);
  expect([...result]).toEqual(new Array(12).fill(0.5));

  const frozen = chain(built.batchNormalization({ name: "norm" }), sigmoid());
  freezeStatistics(frozen);
  expect(watched(frozen, () => frozen.predict(x())).apart).toBe(true);
});

it("follows options that change", () => {
  const leaky = built.leakyReLU({ alpha: 0.5, name: "leaky" });
  const normalization = layers.layerNormalization();
  const model = chain(normalization as unknown as Layer, leaky);
  const by = (alpha: number) => values(tf.leakyRelu(normalization.apply(x()) as tf.Tensor, alpha));
  expectClose("y", values(model.predict(x())), by(0.5), () => 1e-5);
  (leaky as unknown as { alpha: number }).alpha = 0.1;
  expectClose("y", values(model.predict(x())), by(0.1), () => 1e-5);
  normalization.configure({ epsilon: 1 });
  expectClose("y", values(model.predict(x())), by(0.1), () => 1e-5);
});

it("what is no number stays so", () => {
  const model = chain(norm(), built.reLU());
  const y = values(model.predict(tf.tensor2d([[1, Number.NaN, 2, 3]])));
  expect([...y]).toEqual([Number.NaN, Number.NaN, Number.NaN, Number.NaN]);
});
