/** Where normalizations are put, in networks of anybody's making. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { layers as ours, reversible, weightNormalization } from "evenkeel/tfjs";
import { beforeAll, expect, test } from "vitest";
import { placesOf, withNorm } from "../../src/models/with-norm.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { errorOf } from "../support/files.js";

beforeAll(startTensorFlow);

const { layers: keras } = tfl;
const on = (layer: unknown, x: tfl.SymbolicTensor | tfl.SymbolicTensor[]) =>
  (layer as tfl.layers.Layer).apply(x) as tfl.SymbolicTensor;
const stack = (...layers: unknown[]) => {
  const model = tfl.sequential();
  for (const layer of layers) model.add(layer as tfl.layers.Layer);
  return model;
};
const classesOf = (model: tfl.LayersModel) => model.layers.map((layer) => layer.getClassName());

test("between a layer and the activation within it, and before one that is a layer", () => {
  const model = stack(
    keras.dense({ units: 4, inputShape: [3], activation: "tanh", name: "a" }),
    keras.dense({ units: 4, name: "b" }),
    keras.reLU(),
    keras.dense({ units: 2, activation: "softmax", name: "c" }),
  );
  const { model: other, placed } = withNorm(model, "group");
  expect(placed).toEqual(["a", "b"]);
  expect(classesOf(other)).toEqual([
    "Dense",
    "GroupNormalization",
    "Activation",
    "Dense",
    "GroupNormalization",
    "ReLU",
    "Dense",
  ]);
  const [a, , activation] = other.layers;
  expect([a.getConfig().activation, activation.getConfig().activation]).toEqual(["linear", "tanh"]);
  expect(model.layers[0].getConfig().activation).toBe("tanh");
  // with weights that normalize nothing away, it computes what the formula says
  const x = tf.randomNormal([5, 3]);
  const [kernel, bias] = model.layers[0].getWeights();
  const z = tf.add(tf.matMul(x, kernel as tf.Tensor2D), bias);
  const { mean, variance } = tf.moments(z, 1, true);
  const expected = tf.tanh(tf.div(tf.sub(z, mean), tf.sqrt(tf.add(variance, 1e-5)))).dataSync();
  const inner = tfl.model({ inputs: other.inputs, outputs: activation.output as tfl.SymbolicTensor });
  const got = (inner.predict(x) as tf.Tensor).dataSync();
  for (const [i, value] of expected.entries()) expect(got[i]).toBeCloseTo(value, 5);
});

test("not where there is one already, before or after the activation", () => {
  const model = stack(
    keras.dense({ units: 4, inputShape: [3], name: "a" }),
    keras.batchNormalization(),
    keras.dense({ units: 4, activation: "relu", name: "b" }),
    keras.dropout({ rate: 0.5 }),
    ours.rmsNormalization(),
    keras.dense({ units: 4, name: "c" }),
    keras.dense({ units: 1 }),
  );
  expect(placesOf(model)).toEqual(["c"]);
});

test("a layer that is called twice has one normalization, called twice", () => {
  const [p, q] = [tfl.input({ shape: [3] }), tfl.input({ shape: [3] })];
  const shared = keras.dense({ units: 3, activation: "relu", name: "shared" });
  const sum = on(keras.add(), [on(shared, on(shared, p)), on(shared, q)]);
  const model = tfl.model({ inputs: [p, q], outputs: on(keras.dense({ units: 1 }), sum) });
  const { model: other } = withNorm(model, "layer");
  expect(other.getLayer("shared_layer").inboundNodes).toHaveLength(3);
  expect((other.predict([tf.ones([2, 3]), tf.ones([2, 3])]) as tf.Tensor).shape).toEqual([2, 1]);
});

test("within models in models, and in wrappers of ours; a layer whose weights are normalized is one like others", () => {
  const inner = stack(
    keras.dense({ units: 4, inputShape: [6], activation: "relu", name: "one" }),
    weightNormalization(keras.dense({ units: 4, activation: "relu" }), { name: "two" }),
    keras.dense({ units: 6, name: "end" }),
  );
  const whole = tfl.model({
    inputs: inner.inputs,
    outputs: on(keras.reshape({ targetShape: [6, 1] }), inner.outputs[0]),
  });
  const x = tfl.input({ shape: [6, 1] });
  const flat = tfl.model({ inputs: x, outputs: on(whole, on(keras.flatten(), x)) });
  const series = tfl.input({ shape: [6, 1] });
  const model = tfl.model({
    inputs: series,
    outputs: on(reversible(flat as never, { name: "around" }), series),
  });
  const { model: other, placed } = withNorm(model, "layer");
  expect(placed.map((path) => path.split("/").at(-1))).toEqual(["one", "two"]);
  expect((other.predict(tf.randomNormal([2, 6, 1])) as tf.Tensor).shape).toEqual([2, 6, 1]);
});

test("recurrent layers have it after them, and keep their states", () => {
  const x = tfl.input({ shape: [5, 2] });
  const [y, , c] = keras.lstm({ units: 3, returnState: true, name: "lstm" }).apply(x) as tfl.SymbolicTensor[];
  const end = on(keras.dense({ units: 1 }), on(keras.concatenate(), [y, c]));
  const { model: other, placed } = withNorm(tfl.model({ inputs: x, outputs: end }), "layer");
  expect(placed).toEqual(["lstm"]);
  expect(classesOf(other)).not.toContain("Activation");
  expect((other.predict(tf.ones([2, 5, 2])) as tf.Tensor).shape).toEqual([2, 1]);
});

test("one over positions comes after what has such", async () => {
  const model = stack(
    keras.conv1d({ filters: 2, kernelSize: 2, inputShape: [5, 1], name: "conv" }),
    keras.flatten(),
    keras.dense({ units: 4 }),
    keras.dense({ units: 1 }),
  );
  expect(withNorm(model, "instance").placed).toEqual(["conv"]);
  const flat = stack(keras.dense({ units: 4, inputShape: [3] }), keras.dense({ units: 1 }));
  expect(await errorOf(() => withNorm(flat, "instance"))).toBe(
    "UsageError: --try: expected a network with a layer that gives values at several positions, such as a convolution, for instance normalization, got one without; name layer, batch or another that needs none",
  );
});

test("what has no place, or stands elsewhere, is told", async () => {
  const model = stack(keras.dense({ units: 1, inputShape: [3] }));
  expect(await errorOf(() => withNorm(model, "layer"))).toBe(
    "UsageError: --try: expected a network with a layer that no normalization follows, besides the last; every one has its normalization, or there is only one layer: leave --try out",
  );
  expect(await errorOf(() => withNorm(model, "weight"))).toBe(
    "UsageError: --try: expected normalizations that stand between two layers, such as layer or batch, got weight; name others (evenkeel norms lists them)",
  );
});
