/** What iterative normalization and mean-only batch normalization have in common with others, over several calls. */
import { describe, expect, it } from "vitest";
import {
  apply,
  batchNorm,
  iterNorm,
  Layer,
  meanOnlyBatchNorm,
  type Normalization,
  open,
  type PlainArray,
} from "../../src/index.js";
import { expectClose, largest, normal } from "../support/numerics.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const array = (shape: readonly number[], seed: number, mean = 0, spread = 1): PlainArray => ({
  shape,
  data: Float64Array.from(normal(size(shape), seed, mean, spread)),
});
const close = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5) =>
  expectClose(name, Float64Array.from(actual), expected, () => tolerance * Math.max(1, largest(expected)));

/** Of rows × channels: Σ over rows of each pair, over their number. */
function covariances({ data }: PlainArray, channels: number): number[] {
  const rows = data.length / channels;
  return Array.from({ length: channels ** 2 }, (_, pair) => {
    const [a, b] = [Math.floor(pair / channels), pair % channels];
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += data[row * channels + a] * data[row * channels + b];
    return sum / rows;
  });
}

/** Channels that follow one another. */
function correlated(rows: number, channels: number, seed: number, mean = 0): PlainArray {
  const { data } = array([rows, channels], seed);
  return {
    shape: [rows, channels],
    data: data.map((value, i) => mean + value + (i % channels === 0 ? 0 : 0.9 * data[i - 1])),
  };
}

const identity = (channels: number) =>
  Array.from({ length: channels ** 2 }, (_, pair) => (pair % (channels + 1) === 0 ? 1 : 0));

describe("iterNorm", () => {
  it("whitens: after enough iterations the covariance is the identity", () => {
    const x = correlated(400, 5, 1);
    for (const ek of [truth, wasm]) {
      const { y } = apply(ek, iterNorm({ iterations: 20, epsilon: 0 }), x);
      close("covariance", covariances(y, 5), identity(5));
      // no rotation: what comes out is as near to what went in as whitening allows
      const before = covariances(apply(truth, batchNorm({ epsilon: 0 }), x).y, 5);
      const after = covariances(apply(ek, iterNorm({ epsilon: 0 }), x).y, 5);
      const apart = (values: readonly number[]) =>
        values.reduce((most, value, pair) => Math.max(most, Math.abs(value - identity(5)[pair])), 0);
      expect(apart(after)).toBeLessThan(apart(before));
    }
  });

  it("whitens within groups alone", () => {
    const { y } = apply(truth, iterNorm({ groups: 2, iterations: 20, epsilon: 0 }), correlated(400, 4, 2));
    const [a, ab, ac] = covariances(y, 4);
    expect(a).toBeCloseTo(1, 6);
    expect(ab).toBeCloseTo(0, 6);
    expect(Math.abs(ac) + Math.abs(covariances(y, 4)[6])).toBeGreaterThan(0.1);
  });

  it("of groups of one channel is batch normalization", () => {
    const x = array([6, 4, 3], 3, 5, 2);
    const one = apply(truth, iterNorm({ groups: 3 }), x);
    const other = apply(truth, batchNorm(), x);
    close("y", one.y.data, other.y.data, 1e-12);
    close("mean", one.state.runningMean.data, other.state.runningMean.data, 1e-12);
    const dy = array([6, 4, 3], 4);
    close("dx", one.backward(dy).dx.data, other.backward(dy).dx.data, 1e-12);
  });

  it.each([
    [3, 1],
    [64, 1],
    [65, 5],
    [128, 2],
    [97, 97],
  ])("%i channels are in %i groups", (channels, groups) => {
    expect(iterNorm().weights([2, channels]).runningWhitening.shape).toEqual([
      groups,
      channels / groups,
      channels / groups,
    ]);
  });

  it("evaluates by what it kept, to the batch's own with momentum 0", () => {
    const layer = new Layer(wasm, iterNorm({ momentum: 0 }), [50, 3]);
    const x = correlated(50, 3, 5, 20);
    const trained = layer.forward(x);
    close("y", layer.eval().forward(x).data, trained.data, 1e-4);
    layer.dispose();
  });

  it("far from 0, and of values whose squares float32 does not hold", () => {
    for (const [mean, scale] of [
      [1e5, 1],
      [0, 1e25],
      [0, 1e-25],
    ]) {
      const { shape, data } = correlated(40, 4, 6, mean / scale);
      const x = { shape, data: Float32Array.from(data, (value) => value * scale) };
      const [best, actual] = [truth, wasm].map((ek) => apply(ek, iterNorm({ epsilon: 0 }), x).y.data);
      close(`${mean}, ${scale}`, actual, best, 1e-4);
    }
  });

  it("says what is wrong with its options, and a group that does not divide", () => {
    const cases: [() => unknown, string][] = [
      [() => iterNorm({ iterations: 0 }), "iterNorm: iterations must be an integer from 1 to 100, got 0"],
      [() => iterNorm({ groups: 1.5 }), "iterNorm: groups must be an integer of at least 1, got 1.5"],
      [
        () => iterNorm({ groups: 4 }).weights([2, 6]),
        "iterNorm: groups must divide the 6 channels of axis -1, got 4; 1, 2, 3, 6 would",
      ],
      [
        () => iterNorm({ momentum: 2 }),
        "iterNorm: momentum must be from 0 to 1 (the weight of the old value), got 2",
      ],
    ];
    for (const [call, message] of cases) expect(call).toThrow(new RangeError(message));
  });
});

it("meanOnlyBatchNorm is batch normalization that was not divided", () => {
  const x = array([6, 4, 3], 7, 5, 2);
  const { y, state } = apply(truth, meanOnlyBatchNorm(), x);
  const other = apply(truth, batchNorm({ momentum: 0, epsilon: 0 }), x);
  const deviation = other.state.runningVariance.data.map(Math.sqrt);
  close(
    "y",
    y.data,
    other.y.data.map((value, i) => value * deviation[i % 3]),
    1e-12,
  );
  close(
    "mean",
    state.runningMean.data,
    other.state.runningMean.data.map((mean) => mean / 10),
    1e-12,
  );
});

describe.each([iterNorm(), meanOnlyBatchNorm()] as Normalization[])("$name", (norm) => {
  const x = array([6, 3], 8, 1);

  it("freezes, and a batch that is not finite moves nothing", () => {
    const layer = new Layer(wasm, norm, x.shape);
    layer.forward(x);
    const before = layer.stateDict();
    expect(() =>
      layer.forward({ shape: x.shape, data: x.data.map((value, i) => (i === 7 ? Number.NaN : value)) }),
    ).toThrow("not finite");
    expect(layer.stateDict()).toEqual(before);
    layer.freeze();
    layer.forward(array([6, 3], 9));
    expect(layer.stateDict()).toEqual(before);
    layer.dispose();
  });

  it("a batch of one value for each channel gives beta, moves nothing and says so", () => {
    const warned: string[] = [];
    const weights = { beta: Float32Array.of(1, 2, 3) };
    const given = { warn: (text: string) => warned.push(text) };
    const { y, state } = apply(wasm, norm, array([1, 3], 10), weights, given);
    expect([[...y.data], state, warned.length]).toEqual([[1, 2, 3], {}, 1]);
    expect(warned[0]).toMatch(/has one value per channel, so that y is beta/);
  });

  it("a mask that leaves fewer than two values moves nothing", () => {
    const layer = new Layer(truth, norm, x.shape);
    layer.forward(x);
    const before = layer.stateDict();
    layer.forward(x, undefined, { shape: [6], data: Float32Array.of(0, 1, 0, 0, 0, 0) });
    expect(layer.stateDict()).toEqual(before);
  });
});
