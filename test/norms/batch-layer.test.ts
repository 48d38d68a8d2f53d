/** Batch Layer Normalization, step by step as in its paper: batch sizes, shapes, the population over epochs, every source. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import {
  apply,
  batchLayerNorm,
  batchNorm,
  Layer,
  layerNorm,
  open,
  type PlainArray,
  type StatisticsSource,
  type StatisticsSources,
} from "../../src/index.js";
import { sizeOf } from "../../src/shape.js";
import { layers } from "../../src/tfjs/index.js";
import { expectClose, normal } from "../support/numerics.js";
import { use } from "../support/tfjs-backends.js";
import { batchLayer } from "./rows/batch-layer.js";

const truth = await open({ backend: "reference" });

const array = (shape: readonly number[], seed: number, mean = 0.5, spread = 2) => ({
  shape,
  data: Float64Array.from(normal(sizeOf(shape), seed, mean, spread)),
});
const close = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-9) =>
  expectClose(name, Float64Array.from(actual), expected, (i) => tolerance * (1 + Math.abs(expected[i])));

/** The starting weights for a shape, as float64. */
function weightsFor(norm: ReturnType<typeof batchLayerNorm>, shape: readonly number[]) {
  const weights: Record<string, Float64Array> = {};
  for (const [name, weight] of Object.entries(norm.weights(shape))) {
    weights[name] = new Float64Array(sizeOf(weight.shape)).fill(weight.initial as number);
  }
  return weights;
}

const shapes: Record<string, number[]> = { "2-d": [6], "3-d": [4, 6], "4-d": [3, 2, 6] };
const sizes = [1, 2, 25];

describe.each(Object.entries(shapes))("%s", (_, example) => {
  const features = example.length;

  it.each(sizes)("is the paper's formula for a mini-batch of %i, whose gradient reaches every input", (m) => {
    const norm = batchLayerNorm();
    const x = array([m, ...example], 3);
    const weights = weightsFor(norm, x.shape);
    const applied = apply(truth, norm, x as PlainArray, weights);
    const expected = batchLayer(features)([x], weights, { training: true });
    close("y", applied.y.data, expected.y);
    for (const [name, values] of Object.entries(expected.state ?? {})) {
      close(name, applied.state[name].data, values);
    }
    const dy = array(x.shape, 5);
    const { dx } = applied.backward(dy as PlainArray);
    expect([...dx.data].every((value) => Number.isFinite(value) && value !== 0)).toBe(true);
  });

  it("takes the mean of the batches of an epoch, and begins anew with the next epoch's first batch", () => {
    const norm = batchLayerNorm();
    const layer = new Layer(truth, norm, [2, ...example]);
    const batchOf = (m: number, seed: number) => array([m, ...example], seed, seed / 10);
    const stateless = weightsFor(norm, [2, ...example]);
    /** Of each batch alone, and their plain mean. */
    const averaged = (batches: ReturnType<typeof batchOf>[]) => {
      const each = batches.map((x) => batchLayer(features)([x], stateless, { training: true }).state ?? {});
      return Object.fromEntries(
        Object.entries(each[0]).map(([name, first]) => [
          name,
          first.map((_, i) => {
            const sum = each.reduce((total, one) => total + one[name][i], 0);
            return name === "batches" ? sum : sum / each.length;
          }),
        ]),
      );
    };
    const expectState = (batches: ReturnType<typeof batchOf>[]) => {
      const state = layer.stateDict();
      for (const [name, values] of Object.entries(averaged(batches))) close(name, state[name], values, 1e-6);
    };
    const first = [batchOf(25, 1), batchOf(2, 2), batchOf(1, 3), batchOf(7, 4)];
    for (const x of first) layer.forward(x as PlainArray);
    expectState(first);
    const x = batchOf(3, 9);
    const before = layer
      .eval()
      .forward(x as PlainArray)
      .data.slice();
    layer.resetState();
    // until the new epoch's first batch, the last one's statistics serve
    expect([...layer.forward(x as PlainArray).data]).toEqual([...before]);
    layer.train();
    const second = [batchOf(4, 11), batchOf(4, 12)];
    for (const [i, one] of second.entries()) {
      layer.forward(one as PlainArray);
      expectState(second.slice(0, i + 1));
    }
  });

  it("takes each of the four statistics from where it is told to: 16 ways, all different", () => {
    const x = array([5, ...example], 21);
    const weights = weightsFor(batchLayerNorm(), x.shape);
    for (const [i, name] of Object.keys(weights).entries()) {
      weights[name] = weights[name].map((value, c) => value + 0.3 + 0.1 * Math.abs(Math.sin(i + c)));
    }
    weights.batchSize.fill(12);
    const found = new Set<string>();
    for (let i = 0; i < 16; i++) {
      const source = (bit: number): StatisticsSource => ((i >> bit) & 1 ? "population" : "batch");
      const sources = {
        batchMean: source(0),
        batchVariance: source(1),
        featureMean: source(2),
        featureVariance: source(3),
      };
      const { y } = apply(truth, batchLayerNorm({ sources }), x as PlainArray, weights, { training: false });
      const expected = batchLayer(features, sources)([x], weights, { training: false });
      close(JSON.stringify(sources), y.data, expected.y);
      found.add([...y.data].map((value) => value.toFixed(6)).join());
      // in training the choice is of no account
      const trained = apply(truth, batchLayerNorm({ sources }), x as PlainArray, weights).y;
      close("training", trained.data, batchLayer(features)([x], weights, { training: true }).y);
    }
    expect(found.size).toBe(16);
  });
});

it("is layer normalization over √d for one example, and batch normalization where the batch is large", () => {
  const d = 6;
  const one = array([1, d], 31);
  const alone = apply(truth, batchLayerNorm(), one as PlainArray).y.data;
  const layer = apply(truth, layerNorm({ epsilon: 1e-3 }), one as PlainArray).y.data;
  close(
    "one",
    alone,
    Float64Array.from(layer, (value) => ((1 - 1e-4) * value) / Math.sqrt(d)),
    1e-12,
  );
  const many = array([4000, d], 32);
  const y = apply(truth, batchLayerNorm(), many as PlainArray).y.data;
  const batch = apply(truth, batchNorm({ epsilon: 1e-3 }), many as PlainArray).y.data;
  // 1/4000 − 1e-4 of the features' part, and 1 − (1/4000 + 1e-4) of the batch's, are left of 3 spreads
  close(
    "many",
    y,
    Float64Array.from(batch, (value) => value / Math.sqrt(d)),
    1e-3,
  );
});

it("what an example gives in evaluation does not depend on those beside it", () => {
  const layer = new Layer(truth, batchLayerNorm(), [8, 3, 5]);
  layer.forward(array([8, 3, 5], 41) as PlainArray);
  layer.eval();
  const x = array([6, 3, 5], 42);
  const together = layer.forward(x as PlainArray).data.slice();
  for (let i = 0; i < 6; i++) {
    const [from, to] = [i * 15, (i + 1) * 15];
    const one = layer.forward({ shape: [1, 3, 5], data: x.data.slice(from, to) } as PlainArray);
    close(`example ${i}`, one.data, together.slice(from, to), 1e-12);
  }
});

it("under a mask, each position has the batch of the examples that reach it", () => {
  const lengths = [5, 2, 1];
  const [b, l, d] = [3, 5, 4];
  const x = array([b, l, d], 51);
  const mask = {
    shape: [b, l],
    data: Float64Array.from({ length: b * l }, (_, i) => (i % l < lengths[Math.floor(i / l)] ? 1 : 0)),
  };
  const { y, state } = apply(truth, batchLayerNorm(), x as PlainArray, {}, { mask });
  expect([...state.batchSize.data]).toEqual([3, 2, 1, 1, 1]);
  expect([...state.batches.data]).toEqual([1, 1, 1, 1, 1]);
  // the last position is reached by the first example alone: what one example gives
  const last = { shape: [1, d], data: x.data.slice(4 * d, 5 * d) };
  const alone = apply(truth, batchLayerNorm(), last as PlainArray);
  close("last position", y.data.slice(4 * d, 5 * d), alone.y.data, 1e-12);
  close("its statistics", state.batchMean.data.slice(4 * d), alone.state.batchMean.data, 1e-12);
  // a position that nobody reaches keeps what it had
  const nobody = { shape: [b, l], data: mask.data.map((value, i) => (i % l === 4 ? 0 : value)) };
  const kept = apply(
    truth,
    batchLayerNorm(),
    x as PlainArray,
    { batchMean: new Float64Array(l * d).fill(7) },
    {
      mask: nobody,
    },
  );
  expect([...kept.state.batchMean.data.slice(4 * d)]).toEqual([7, 7, 7, 7]);
  expect([...kept.state.batches.data]).toEqual([1, 1, 1, 1, 0]);
});

it("batch normalization takes its two statistics from both sources too", () => {
  const x = array([4, 3, 5], 61);
  const runningMean = array([5], 62).data;
  const runningVariance = array([5], 63).data.map((value) => value ** 2 + 0.5);
  const given = { runningMean, runningVariance };
  const evaluate = (sources: StatisticsSources) =>
    apply(truth, batchNorm({ sources }), x as PlainArray, given, { training: false });
  const fromBatch = evaluate({ batchMean: "batch", batchVariance: "batch" });
  const training = apply(truth, batchNorm(), x as PlainArray, given);
  expect([...fromBatch.y.data]).toEqual([...training.y.data]);
  expect(Object.keys(fromBatch.state)).toEqual([]);
  expect([...evaluate({}).y.data]).toEqual([
    ...apply(truth, batchNorm(), x as PlainArray, given, { training: false }).y.data,
  ]);
  const residual = array([4, 3, 5], 64);
  const sum = { shape: x.shape, data: x.data.map((value, i) => value + residual.data[i]) };
  const sources: StatisticsSources = { batchMean: "batch" };
  const added = apply(truth, batchNorm({ sources }), x as PlainArray, given, {
    training: false,
    residual: residual as PlainArray,
  });
  close("sum", added.sum?.data ?? [], sum.data);
  close(
    "y",
    added.y.data,
    apply(truth, batchNorm({ sources }), sum as PlainArray, given, { training: false }).y.data,
  );
});

it("says what does not fit", () => {
  expect(() => batchLayerNorm({ epsilon: -1 })).toThrow(
    new RangeError("batchLayerNorm: epsilon must be a finite number of at least 0, got -1"),
  );
  expect(() => batchLayerNorm({ sources: { batchMean: "running" as StatisticsSource } })).toThrow(
    new RangeError('batchLayerNorm: sources.batchMean must be "batch" or "population", got "running"'),
  );
  expect(() => batchNorm({ sources: { mean: "batch" } as StatisticsSources })).toThrow(
    new RangeError(
      'batchNorm: sources has no "mean"; it has batchMean, batchVariance, featureMean, featureVariance',
    ),
  );
  expect(() => batchLayerNorm().weights([3])).toThrow(
    new RangeError("batchLayerNorm: x must have at least 2 axes (batch and features), got shape [3]"),
  );
  expect(() => batchLayerNorm({ axis: 0 }).weights([3, 4])).toThrow(
    new RangeError(
      "batchLayerNorm: axis must name the channels or features, got 0, which is the batch axis; use 1 or -1",
    ),
  );
  const x = array([2, 3, 4], 71) as PlainArray;
  const mask = { shape: [2, 1, 4], data: new Float64Array(8).fill(1) };
  expect(() => apply(truth, batchLayerNorm(), x, {}, { mask })).toThrow(
    new RangeError(
      "batchLayerNorm: mask must be the same for all features, got shape [2, 1, 4]; give axis 2 length 1",
    ),
  );
});

it("a layer of TensorFlow.js takes other sources, also when it is built, but no other weights", async () => {
  await use("cpu");
  const layer = layers.batchLayerNormalization({ axis: -1 });
  layer.build([null, 3, 4]);
  const x = tf.tensor(normal(24, 81), [2, 3, 4]);
  const before = (layer.call(x, {}) as tf.Tensor).dataSync();
  layer.configure({ sources: { batchMean: "batch" } });
  expect(layer.getConfig().sources).toEqual({ batchMean: "batch" });
  expect([...(layer.call(x, {}) as tf.Tensor).dataSync()]).not.toEqual([...before]);
  layer.configure({ sources: undefined });
  expect(layer.getConfig().sources).toBeUndefined();
  expect([...(layer.call(x, {}) as tf.Tensor).dataSync()]).toEqual([...before]);
  expect(() => layer.configure({ center: false })).toThrow(
    "BatchLayerNormalization: this layer is built, and its weights would become batchMean [3, 4], batchSize [3], ",
  );
  expect(layer.getConfig().center).toBeUndefined();
  const batch = layers.batchNormalization().configure({ momentum: 0.5, frozen: true });
  expect([batch.frozen, batch.getConfig().momentum]).toEqual([true, 0.5]);
  expect(batch.configure({ momentum: undefined }).getConfig().momentum).toBe(0.99);
});
