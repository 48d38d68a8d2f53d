/** Data as networks take them: shapes, numbers of words, losses; and what does not fit, in full. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, expect, test } from "vitest";
import { type Examples, fitted, randomFit } from "../src/fitting.js";
import { startTensorFlow } from "../src/node/tensorflow.js";
import { errorOf } from "./support/files.js";

beforeAll(startTensorFlow);

const { layers: keras } = tfl;
const wanted = { seed: 1, batchSize: 4, raw: false };

function examples(inputs: number, classes: string[], values?: (i: number) => number): Examples {
  const count = 10;
  return {
    name: "some.csv",
    count,
    inputShape: [inputs],
    x: Float32Array.from({ length: count * inputs }, (_, i) => values?.(i) ?? i),
    scaled: new Uint8Array(inputs).fill(1),
    y: Float32Array.from({ length: count }, (_, i) => (classes.length > 0 ? i % classes.length : i)),
    classes,
  };
}

function model(
  shape: (number | null)[],
  outputs: number,
  activation?: "softmax" | "sigmoid",
): tfl.LayersModel {
  const x = tfl.input({ shape: shape as number[] });
  const flat = shape.length > 1 ? (keras.flatten().apply(x) as tfl.SymbolicTensor) : x;
  const y = keras.dense({ units: outputs, ...(activation && { activation }) }).apply(flat);
  return tfl.model({ inputs: x, outputs: y as tfl.SymbolicTensor });
}

test("inputs are reshaped where sizes agree, and standardized over all rows", () => {
  const { probes, batchOf, about, batchSize } = fitted(model([2, 3, 1], 1), examples(6, []), wanted);
  expect([probes.length, batchSize]).toEqual([2, 4]);
  expect(probes[0].xs[0].shape).toEqual([4, 2, 3, 1]);
  expect(about).toEqual([
    'input: 2 × 3 × 1 values of "some.csv"',
    "inputs are centred and scaled by all rows; --raw takes them as they are",
    "the target is centred and scaled by all rows",
  ]);
  // of numbers that go up by 6 from row to row, every input of a row is as far from its mean
  const [first] = batchOf(0).xs[0].arraySync() as number[][][][];
  expect(new Set(first.flat(2).map((value) => value.toFixed(5))).size).toBe(1);
  const raw = fitted(model([2, 3, 1], 1), examples(6, []), { ...wanted, raw: true });
  expect(raw.batchOf(0).xs[0].dataSync()[1] - raw.batchOf(0).xs[0].dataSync()[0]).toBe(1);
  expect(raw.about).not.toContain(about[1]);
});

test("columns go to several inputs in their order", () => {
  const [a, b] = [tfl.input({ shape: [2] }), tfl.input({ shape: [1] })];
  const y = keras.dense({ units: 1 }).apply(keras.concatenate().apply([a, b])) as tfl.SymbolicTensor;
  const { batchOf } = fitted(tfl.model({ inputs: [a, b], outputs: y }), examples(3, []), {
    ...wanted,
    raw: true,
  });
  const [first, second] = batchOf(0).xs.map((x) => x.arraySync() as number[][]);
  expect(second[0][0]).toBe(first[0][1] + 1);
});

test.each([
  ["softmax", 3, "cross-entropy of the probabilities that it gives", Math.log(3)],
  [undefined, 3, "cross-entropy of the softmax of what it gives", Math.log(3)],
  ["sigmoid", 3, "binary cross-entropy of the probabilities that it gives", Math.LN2],
  ["sigmoid", 1, "binary cross-entropy of the probabilities that it gives", Math.LN2],
  [undefined, 1, "binary cross-entropy of the sigmoid of what it gives", Math.LN2],
] as const)(
  "an output that ends in %s, of %i, has the loss that suits it",
  (activation, outputs, name, guess) => {
    const network = model([2], outputs, activation);
    for (const layer of network.layers)
      layer.setWeights(layer.getWeights().map((weight) => tf.zerosLike(weight)));
    const classes = outputs === 1 ? ["no", "yes"] : ["a", "b", "c"];
    const { loss, lossName, batchOf } = fitted(network, examples(2, classes), wanted);
    const { xs, ys } = batchOf(0);
    expect(lossName).toBe(name);
    expect(loss([network.apply(xs[0]) as tf.Tensor], ys).dataSync()[0]).toBeCloseTo(guess, 4);
  },
);

test("words are taken as they are", async () => {
  const words = tfl.sequential();
  words.add(keras.embedding({ inputDim: 20, outputDim: 3, inputLength: 2 }));
  words.add(keras.flatten());
  words.add(keras.dense({ units: 1 }));
  const { batchOf } = fitted(
    words,
    examples(2, [], (i) => i % 20),
    wanted,
  );
  expect([...batchOf(0).xs[0].dataSync()].every(Number.isInteger)).toBe(true);
  expect(await errorOf(() => fitted(words, examples(2, []), wanted).batchOf(0))).toBe("none");
  expect(
    await errorOf(() =>
      fitted(
        words,
        examples(2, [], (i) => i + 1),
        wanted,
      ),
    ),
  ).toBe(
    'UsageError: --data: expected whole numbers from 0 to 19, which the network\'s embedding takes, got 20 in input 2 of "some.csv"; name data whose inputs are such numbers',
  );
});

test("what does not fit is told with both shapes", async () => {
  expect(await errorOf(() => fitted(model([28, 28, 1], 10), examples(6, []), wanted))).toBe(
    'UsageError: --data: expected 28 × 28 × 1 values for each example, which the network takes, got 6 in "some.csv"; choose columns with --ignore and --keep (constant ones are left out otherwise), give the size of images with --image, or name the data that the network is for',
  );
  expect(await errorOf(() => fitted(model([6], 10), examples(6, ["a", "b"]), wanted))).toBe(
    'UsageError: --target: expected a network with 2 outputs for 2 classes, or 1, the target of "some.csv", got one that gives 10; name another --target or --task, or leave --data out (random inputs and targets)',
  );
  expect(await errorOf(() => fitted(model([6], 2), examples(6, []), wanted))).toBe(
    'UsageError: --target: expected a network with 1 output for a number, the target of "some.csv", got one that gives 2; name another --target or --task, or leave --data out (random inputs and targets)',
  );
});

test("without data, any network has inputs and targets, the same for a seed", () => {
  const image = tfl.input({ shape: [null, null, 3] as unknown as number[] });
  const tokens = tfl.input({ shape: [null] as unknown as number[], dtype: "int32" });
  const conv = keras
    .conv2d({ filters: 2, kernelSize: 3, activation: "softmax" })
    .apply(image) as tfl.SymbolicTensor;
  const embedded = keras.embedding({ inputDim: 5, outputDim: 3 }).apply(tokens) as tfl.SymbolicTensor;
  const each = keras.dense({ units: 1, activation: "sigmoid" }).apply(embedded) as tfl.SymbolicTensor;
  const network = tfl.model({ inputs: [image, tokens], outputs: [conv, each] });
  const { batchOf, loss } = randomFit(network, wanted);
  const { xs, ys } = batchOf(3);
  expect([...xs, ...ys].map(({ shape }) => shape)).toEqual([
    [4, 32, 32, 3],
    [4, 16],
    [4, 30, 30, 2],
    [4, 16, 1],
  ]);
  expect(Math.max(...xs[1].dataSync())).toBe(4);
  expect(batchOf(3).xs[0].dataSync()).toEqual(xs[0].dataSync());
  expect(loss(network.apply(xs) as tf.Tensor[], ys).dataSync()[0]).toBeGreaterThan(1);
});

test("windows of a series are cut from its steps, with what follows as the target", async () => {
  const steps = 20;
  const series: Examples = {
    name: "series.csv",
    count: 12,
    inputShape: [4, 1],
    x: Float32Array.from({ length: steps }, (_, step) => step),
    scaled: Uint8Array.of(1),
    y: new Float32Array(),
    classes: [],
    windows: { starts: Int32Array.from({ length: 12 }, (_, i) => i), ahead: 4 },
    question: {
      name: "the next 2 steps",
      targetShape: [2, 1],
      outputs: [2, 1],
      targetsOf: (_, values) => ({ values, shape: [2, 1] }),
      loss: (y, target) => tf.mean(tf.squaredDifference(y, target)) as tf.Scalar,
    },
  };
  const network = model([4, 1], 2);
  const { batchOf, loss, lossName } = fitted(network, series, { ...wanted, raw: true });
  const { xs, ys } = batchOf(0);
  const [seen, next] = [xs[0].dataSync(), ys[0].dataSync()];
  expect([xs[0].shape, ys[0].shape]).toEqual([
    [4, 4, 1],
    [4, 2, 1],
  ]);
  expect([seen[1] - seen[0], next[0] - seen[3], next[1] - seen[3]]).toEqual([1, 1, 2]);
  expect(loss([network.apply(xs[0]) as tf.Tensor], ys).shape).toEqual([]);
  expect(lossName).toBe("that of the next 2 steps");
  const standardized = fitted(network, series, wanted).batchOf(0);
  const apart = standardized.ys[0].dataSync()[0] - standardized.xs[0].dataSync()[3];
  expect(apart).toBeCloseTo(1 / Math.sqrt((steps ** 2 - 1) / 12), 5);
  expect(await errorOf(() => fitted(model([4, 1], 3), series, wanted))).toBe(
    'UsageError: --data: expected a network that gives 2 × 1 for the next 2 steps, the question of "series.csv", got one that gives 3; name other data, or leave --data out (random inputs and targets)',
  );
});
