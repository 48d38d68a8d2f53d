/** Whole networks train on the wasm backend, and leave no tensor behind. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, expect, it } from "vitest";
import { makeTransformer } from "../../../bench/transformer.mjs";
import { layerNorm } from "../../../src/index.js";
import { install, layers, normalize } from "../../../src/tfjs/index.js";
import { random } from "../../support/numerics.js";
import { use } from "../../support/tfjs-backends.js";

beforeAll(async () => {
  await use("wasm");
  expect(await install()).toMatchObject({ backend: "wasm", fused: true });
});

const layer = (made: object) => made as tfl.layers.Layer;

/** Fits, and returns the share of right answers on the training data before and after. */
async function train(model: tfl.LayersModel, x: tf.Tensor, y: tf.Tensor, epochs: number, batchSize = 16) {
  model.compile({ optimizer: tf.train.adam(0.01), loss: "categoricalCrossentropy", metrics: ["accuracy"] });
  const before = tf.memory().numTensors;
  const first = await model.fit(x, y, { epochs: 1, batchSize, verbose: 0 });
  const tensors = tf.memory().numTensors;
  const rest = await model.fit(x, y, { epochs, batchSize, verbose: 0 });
  expect(tf.memory().numTensors, "tensors after training on").toBe(tensors);
  expect(tensors).toBeGreaterThanOrEqual(before);
  return {
    first: first.history.loss[0] as number,
    last: rest.history.loss.at(-1) as number,
    accuracy: rest.history.acc.at(-1) as number,
  };
}

it("a small convolutional network with every norm for images, depthwise convolution and pooling", async () => {
  // bars across or along the image
  const next = random(1);
  const count = 64;
  const pixels = Float32Array.from({ length: count * 64 }, (_, i) => {
    const [image, row, column] = [Math.floor(i / 64), Math.floor(i / 8) % 8, i % 8];
    return Number((image % 2 === 0 ? row : column) % 4 < 2) + next() * 0.5;
  });
  const x = tf.tensor(pixels, [count, 8, 8, 1]);
  const y = tf.oneHot(
    tf.tensor1d(
      Array.from({ length: count }, (_, i) => i % 2),
      "int32",
    ),
    2,
  );
  const seeded = (seed: number) => tfl.initializers.glorotUniform({ seed });
  const model = tfl.sequential();
  model.add(
    tfl.layers.conv2d({
      inputShape: [8, 8, 1],
      filters: 8,
      kernelSize: 3,
      padding: "same",
      kernelInitializer: seeded(1),
    }),
  );
  model.add(layer(layers.batchNormalization()));
  model.add(tfl.layers.reLU());
  model.add(tfl.layers.maxPooling2d({ poolSize: 2 }));
  model.add(tfl.layers.depthwiseConv2d({ kernelSize: 3, padding: "same", depthwiseInitializer: seeded(2) }));
  model.add(layer(layers.groupNormalization({ groups: 2 })));
  model.add(tfl.layers.conv2d({ filters: 8, kernelSize: 3, padding: "same", kernelInitializer: seeded(3) }));
  model.add(layer(layers.instanceNormalization()));
  model.add(tfl.layers.reLU());
  model.add(tfl.layers.averagePooling2d({ poolSize: 2 }));
  model.add(tfl.layers.batchNormalization());
  model.add(tfl.layers.flatten());
  model.add(layer(layers.rmsNormalization()));
  model.add(tfl.layers.dense({ units: 2, activation: "softmax", kernelInitializer: seeded(4) }));
  const { first, last, accuracy } = await train(model, x, y, 8);
  expect(last).toBeLessThan(0.3 * first);
  expect(accuracy).toBeGreaterThan(0.95);
}, 30_000);

it("an embedding and an LSTM followed by layer normalization", async () => {
  // whether a sequence rises or falls
  const next = random(2);
  const count = 64;
  const tokens = Int32Array.from({ length: count * 6 }, (_, i) => {
    const [sequence, step] = [Math.floor(i / 6), i % 6];
    return 2 * (sequence % 2 === 0 ? step : 5 - step) + Math.floor(next() * 2);
  });
  const x = tf.tensor(tokens, [count, 6], "int32");
  const y = tf.oneHot(
    tf.tensor1d(
      Array.from({ length: count }, (_, i) => i % 2),
      "int32",
    ),
    2,
  );
  const seeded = (seed: number) => tfl.initializers.glorotUniform({ seed });
  const model = tfl.sequential();
  model.add(
    tfl.layers.embedding({ inputDim: 12, outputDim: 8, inputLength: 6, embeddingsInitializer: seeded(1) }),
  );
  model.add(tfl.layers.lstm({ units: 12, kernelInitializer: seeded(2), recurrentInitializer: seeded(3) }));
  model.add(layer(layers.layerNormalization()));
  model.add(tfl.layers.dense({ units: 2, activation: "softmax", kernelInitializer: seeded(4) }));
  const { first, last, accuracy } = await train(model, x, y, 8);
  expect(last).toBeLessThan(0.3 * first);
  expect(accuracy).toBe(1);
}, 30_000);

it("a small transformer", () => {
  const [batch, time, width] = [8, 6, 16];
  const variables: tf.Variable[] = [];
  const transformer = makeTransformer(tf, {
    blocks: 2,
    width,
    heads: 2,
    normalization: () => {
      const gamma = tf.variable(tf.ones([width]));
      const beta = tf.variable(tf.zeros([width]));
      variables.push(gamma, beta);
      return (x) => normalize(layerNorm(), x, { gamma, beta }).y;
    },
  });
  // gives back each sequence in reverse, which takes attention
  const x = tf.randomNormal([batch, time, width], 0, 1, "float32", 5);
  const y = tf.reverse(x, 1);
  const optimizer = tf.train.adam(0.005);
  const step = () =>
    tf.tidy(
      () =>
        (
          optimizer.minimize(
            () => tf.losses.meanSquaredError(y, transformer(x)) as tf.Scalar,
            true,
          ) as tf.Scalar
        ).dataSync()[0],
    );
  const first = step();
  const tensors = tf.memory().numTensors;
  let last = first;
  for (let i = 0; i < 60; i++) last = step();
  expect(tf.memory().numTensors).toBe(tensors);
  expect(last).toBeLessThan(0.5 * first);
  // every gamma and beta took part
  for (const [i, variable] of variables.entries()) {
    const moved = variable.dataSync().map((value) => Math.abs(value - (i % 2 === 0 ? 1 : 0)));
    expect(Math.max(...moved), `variable ${i}`).toBeGreaterThan(1e-4);
  }
}, 30_000);
