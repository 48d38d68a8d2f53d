/** Activation normalization of flows over several calls: its first batch, its inverse, its determinant. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { actNorm, actNormInverse, apply, Layer, open, type PlainArray } from "../../src/index.js";
import { layers } from "../../src/tfjs/index.js";
import { expectClose, largest, normal } from "../support/numerics.js";
import { use } from "../support/tfjs-backends.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const array = (shape: readonly number[], seed: number, mean = 0, spread = 1): PlainArray => ({
  shape,
  data: Float64Array.from(normal(size(shape), seed, mean, spread)),
});
const close = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5) =>
  expectClose(name, Float64Array.from(actual), expected, () => tolerance * Math.max(1, largest(expected)));

/** Mean and deviation of each channel of rows × channels. */
function channels({ data }: PlainArray, count: number) {
  return Array.from({ length: count }, (_, c) => {
    const values = Array.from(data).filter((_, i) => i % count === c);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return { mean, deviation: Math.sqrt(squares / values.length) };
  });
}

const determined = { logDeterminant: true };

describe("the first batch", () => {
  it("comes out with mean 0 and deviation 1, and later ones through the same map", () => {
    for (const ek of [truth, wasm]) {
      const layer = new Layer(ek, actNorm(), [8, 5, 3]);
      const first = layer.forward(array([8, 5, 3], 1, 40, 7));
      for (const { mean, deviation } of channels(first, 3)) {
        expect(mean).toBeCloseTo(0, 5);
        expect(deviation).toBeCloseTo(1, 5);
      }
      const saved = layer.stateDict();
      const other = array([8, 5, 3], 2, -3, 2);
      const trained = layer.forward(other);
      expect(layer.stateDict()).toEqual(saved);
      close("y", layer.eval().forward(other).data, trained.data, 1e-6);
      close(
        "its map",
        trained.data,
        other.data.map((value, i) => (value - saved.initialMean[i % 3]) / saved.initialDeviation[i % 3]),
      );
      layer.resetState();
      expect([...layer.stateDict().initialized]).toEqual([0, 0, 0]);
    }
  });

  it("in evaluation, before it, x is what it was", () => {
    const x = array([4, 3], 3, 5);
    close("y", apply(truth, actNorm(), x, {}, { training: false }).y.data, x.data, 0);
  });

  it("far from 0 is as exact as it can be, and what does not vary is only centred", () => {
    const far = array([64, 2], 4, 1e6);
    const x = { shape: [64, 2], data: far.data.map((value, i) => (i % 2 === 0 ? value : 3e4 + 0.1)) };
    const { y, state } = apply(wasm, actNorm(), x);
    const float32 = { shape: x.shape, data: Float64Array.from(Float32Array.from(x.data)) };
    close("y", y.data, apply(truth, actNorm(), float32).y.data);
    expect(state.initialDeviation.data[1]).toBe(1);
    expect([...y.data].filter((_, i) => i % 2 === 1).every((value) => Math.abs(value) < 1e-2)).toBe(true);
  });

  it("of one value for each channel initializes nothing, and says so", () => {
    const warned: string[] = [];
    const { y, state } = apply(wasm, actNorm(), array([1, 3], 5), {}, { warn: (text) => warned.push(text) });
    expect(state).toEqual({});
    close("y", y.data, array([1, 3], 5).data, 0);
    expect(warned).toEqual([
      "actNorm: a training batch of shape [1, 3] has one value per channel, which has no deviation, and did not initialize it; " +
        "begin with a larger batch",
    ]);
  });

  it("that a mask leaves too little of a channel waits for another", () => {
    const mask = { shape: [4, 2], data: Float32Array.of(1, 1, 0, 1, 0, 1, 0, 1) };
    const { state } = apply(truth, actNorm(), array([4, 2], 6, 3), {}, { mask });
    expect([...state.initialized.data]).toEqual([0, 1]);
    expect([state.initialMean.data[0], state.initialDeviation.data[0]]).toEqual([0, 1]);
  });

  it("that is not finite changes nothing", () => {
    const layer = new Layer(wasm, actNorm(), [4, 2]);
    const before = layer.stateDict();
    const bad = array([4, 2], 7);
    bad.data[3] = Number.NaN;
    expect(() => layer.forward(bad)).toThrow("not finite");
    expect(layer.stateDict()).toEqual(before);
    layer.dispose();
  });
});

describe("the inverse", () => {
  it.each([
    { shape: [6, 3], axis: -1 },
    { shape: [2, 3, 4, 2], axis: 1 },
  ])("gives x back, and the determinant with the other sign: $shape", ({ shape, axis }) => {
    for (const [ek, tolerance] of [
      [truth, 1e-12],
      [wasm, 1e-5],
    ] as const) {
      const layer = new Layer(ek, actNorm({ axis, ...determined }), shape);
      layer.forward(array(shape, 1, 2, 5));
      const trained = layer.stateDict();
      const weights = { ...trained, logScale: Float32Array.of(0.3, -1, 0.1), beta: Float32Array.of(1, 2, 3) };
      const x = array(shape, 2, 2, 5);
      const there = apply(ek, actNorm({ axis, ...determined }), x, weights, { training: false });
      const back = apply(ek, actNormInverse({ axis, ...determined }), there.y, weights);
      close("x", back.y.data, x.data, tolerance);
      close(
        "determinant",
        back.more[0].data,
        there.more[0].data.map((value) => -value),
        tolerance,
      );
    }
  });
});

describe("the determinant", () => {
  it("is that of the derivative, of a deviation of any size", () => {
    for (const scale of [1e-30, 1e-7, 0.5, 1, 3, 1e9, 1e30]) {
      const deviation = Float64Array.of(scale, 2 * scale);
      const weights = {
        logScale: Float64Array.of(0.7, -0.2),
        initialDeviation: deviation,
        initialized: Float64Array.of(1, 1),
      };
      const expected = 3 * (0.7 - 0.2 - Math.log(deviation[0]) - Math.log(deviation[1]));
      for (const [ek, tolerance] of [
        [truth, 1e-12],
        [wasm, 3e-6],
      ] as const) {
        const x = array([2, 3, 2], 3);
        const { more } = apply(ek, actNorm(determined), x, weights, { training: false });
        close(`${scale}`, more[0].data, [expected, expected], tolerance);
      }
    }
  });

  it("has gradients, of unmasked places alone", () => {
    const x = array([2, 4, 3], 4);
    const mask = { shape: [2, 4], data: Float32Array.of(1, 1, 0, 1, 1, 0, 0, 0) };
    const weights = { initialized: Float64Array.of(1, 1, 1) };
    const { backward } = apply(truth, actNorm(determined), x, weights, { mask });
    const nothing = { shape: x.shape, data: new Float64Array(24) };
    const dMore = [{ shape: [2], data: Float64Array.of(1, 10) }];
    expect([...backward(nothing, { dMore }).weights.logScale.data]).toEqual([13, 13, 13]);
  });
});

it("is a layer of TensorFlow.js, with the determinant as a second output", async () => {
  await use("cpu");
  const layer = layers.actNormalization({ logDeterminant: true });
  expect(layer.computeOutputShape([null, 5, 3])).toEqual([[null, 5, 3], [null]]);
  tf.tidy(() => {
    const x = tf.tensor3d(normal(60, 1, 9, 4), [4, 5, 3]);
    const [y, determinant] = layer.apply(x, { training: true }) as tf.Tensor[];
    const { mean, variance } = tf.moments(y, [0, 1]);
    close("mean", mean.dataSync(), [0, 0, 0]);
    close("variance", variance.dataSync(), [1, 1, 1]);
    const deviations = layer.variables.initialDeviation.read().dataSync() as Float32Array;
    const expected = -5 * deviations.reduce((sum, value) => sum + Math.log(value), 0);
    close("determinant", determinant.dataSync(), new Array(4).fill(expected));
  });
  layer.dispose();
});

it("refuses another estimator, and the batch as its channels", () => {
  expect(() => actNorm({ variance: "none" as "biased" })).toThrow(
    new RangeError('actNorm: variance must be "biased" or "unbiased", got "none"'),
  );
  expect(() => actNorm({ axis: 0 }).weights([2, 3])).toThrow(
    new RangeError(
      "actNorm: axis must name the channels or features, got 0, which is the batch axis; use 1 or -1",
    ),
  );
  expect(() => actNormInverse().weights([3])).toThrow(
    new RangeError("actNormInverse: x must have at least 2 axes (batch and channels), got shape [3]"),
  );
});
