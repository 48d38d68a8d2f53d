import { expect, it } from "vitest";
import { measure } from "../../src/onnx/measure.js";

const layer = {
  norm: "layerNorm",
  shape: [2, 4],
  axes: [1],
  epsilon: 1e-5,
  cancels: false,
} as const;

it("statistics are those of each row", () => {
  const data = [1, 2, 3, 4, 10, 10, 10, 14];
  const { mean, leastSpread, mostSpread, ...more } = measure(layer, { shape: [2, 4], data });
  expect(more).toMatchObject({ min: 1, max: 14, largest: 14, notFinite: 0, statistics: 2, each: 4 });
  expect([mean, leastSpread ** 2, mostSpread ** 2]).toEqual([
    11,
    expect.closeTo(1.25, 12),
    expect.closeTo(3, 12),
  ]);
  // 14 − 11, squared; 3 · 1² + 3²
  expect([more.largestSquare, more.largestSum]).toEqual([9, 12]);
  expect(more.cancellation).toBeCloseTo(121 / 3, 12);
});

it("what is squared is x where there is no mean, or where it is E[x²]", () => {
  const data = [1, 2, 3, 4, 10, 10, 10, 14];
  for (const norm of [{ ...layer, norm: "rmsNorm" } as const, { ...layer, cancels: true }]) {
    const { largestSquare, largestSum } = measure(norm, { shape: [2, 4], data });
    expect([largestSquare, largestSum]).toEqual([196, expect.closeTo(496, 9)]);
  }
  expect(measure({ ...layer, norm: "rmsNorm" }, { shape: [2, 4], data }).mostSpread).toBeCloseTo(
    Math.sqrt(124),
    12,
  );
});

it("statistics of groups, of instances, and over channels", () => {
  const data = Float32Array.from({ length: 24 }, (_, i) => i);
  const group = {
    norm: "groupNorm",
    shape: [2, 4, 3],
    axes: [1, 2],
    channels: 1,
    groups: 2,
    epsilon: 0,
    cancels: false,
  } as const;
  const of = measure(group, { shape: [2, 4, 3], data });
  expect([of.statistics, of.each, of.mean]).toEqual([4, 6, 20.5]);
  expect(of.spread ** 2).toBeCloseTo(35 / 12, 12);
  const instance = { ...group, norm: "instanceNorm", axes: [2], groups: undefined } as const;
  expect(measure(instance, { shape: [2, 4, 3], data }).spread ** 2).toBeCloseTo(2 / 3, 12);
  // channels last: 2 statistics of channels 0, 1 and 2, 3 at 3 positions
  const last = { ...group, shape: [1, 3, 4], channels: 2 } as const;
  const rows = measure(last, { shape: [1, 3, 4], data: data.subarray(0, 12) });
  expect([rows.statistics, rows.each, rows.mean]).toEqual([2, 6, 6.5]);
  const over = measure({ ...layer, shape: [2, 4, 3] }, { shape: [2, 4, 3], data });
  expect([over.statistics, over.each]).toEqual([6, 4]);
  expect(over.spread ** 2).toBeCloseTo((9 * 15) / 12, 12);
});

it("headroom is that of the type that squares are summed in", () => {
  const data = [0, 0, 100, -100, 0, 0, 0, 0];
  const of = (statisticsType?: string) =>
    measure({ ...layer, statisticsType }, { shape: [2, 4], data }).headroom;
  expect(of("float16")).toBeCloseTo(65504 / 20000, 12);
  expect(of()).toBeCloseTo(3.4028235e38 / 20000, -30);
  expect(measure(layer, { shape: [2, 4], data: new Float32Array(8) }).headroom).toBe(
    Number.POSITIVE_INFINITY,
  );
});

it("far from zero float64 loses nothing", () => {
  const data = Float64Array.from([0, 1, 2, 3], (value) => 1e9 + value);
  const { spread, cancellation } = measure({ ...layer, shape: [1, 4] }, { shape: [1, 4], data });
  expect(spread ** 2).toBeCloseTo(1.25, 12);
  expect(cancellation / 1e18).toBeCloseTo(1 / 1.25, 6);
});

it("what is not finite is counted, and is in no statistic", () => {
  const met = measure(layer, {
    shape: [2, 4],
    data: [1, Number.NaN, 3, Number.POSITIVE_INFINITY, 0, 0, 0, 0],
  });
  expect(met).toMatchObject({ notFinite: 2, min: 0, max: 3, mean: 2, mostSpread: 1, belowEpsilon: 1 });
  const none = measure(layer, { shape: [2, 4], data: new Array(8).fill(Number.NaN) });
  expect(none).toMatchObject({ notFinite: 8, min: Number.NaN, spread: Number.NaN, largestSum: Number.NaN });
  expect(measure({ ...layer, shape: [Number.NaN, 4] }, { shape: [0, 4], data: [] })).toMatchObject({
    statistics: 0,
  });
});

it("a constant row has lost everything", () => {
  const met = measure(layer, { shape: [2, 4], data: [5, 5, 5, 5, 0, 0, 0, 0] });
  expect([met.cancellation, met.belowEpsilon]).toEqual([Number.POSITIVE_INFINITY, 2]);
});

it("other axes are none of the normalization's", () => {
  expect(() => measure(layer, { shape: [8], data: new Float32Array(8) })).toThrow(
    new RangeError("measure: expected x of 2 axes with all its values, got 8 of [8]"),
  );
  expect(() => measure(layer, { shape: [2, 4], data: new Float32Array(7) })).toThrow(RangeError);
  const group = { ...layer, norm: "groupNorm", axes: [1], channels: 1, groups: 3 } as const;
  expect(() => measure(group, { shape: [2, 4], data: new Float32Array(8) })).toThrow(
    new RangeError("measure: expected x of 2 axes, in 3 groups, with all its values, got 8 of [2, 4]"),
  );
});
