/** Cumulative layer normalization on inputs that cost digits, and what streams ask of it. */
import { describe, expect, it } from "vitest";
import { apply, cumulativeLayerNorm, groupNorm, groupPresets, layerNorm, open } from "../../src/index.js";
import { expectClose, largest, normal } from "../support/numerics.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });
const norm = cumulativeLayerNorm();

/** Every step from all values up to it, in float64. */
function plain({ shape, data }: { shape: number[]; data: Float32Array }, epsilon = 1e-8): Float64Array {
  const [batch, time, channels] = shape;
  const y = new Float64Array(data.length);
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      const from = b * time * channels;
      const heard = data.subarray(from, from + (t + 1) * channels);
      const mean = heard.reduce((sum, value) => sum + value, 0) / heard.length;
      const variance = heard.reduce((sum, value) => sum + (value - mean) ** 2, 0) / heard.length;
      for (let c = 0; c < channels; c++) {
        const i = from + t * channels + c;
        y[i] = (data[i] - mean) / Math.sqrt(variance + epsilon);
      }
    }
  }
  return y;
}

describe("in float32", () => {
  const shape = [2, 67, 5];
  const noise = normal(2 * 67 * 5, 1);
  const step = (i: number) => Math.floor(i / 5) % 67;
  it.each<[string, (value: number, i: number) => number]>([
    ["a mean of 1e5, standard deviation 1", (value) => 1e5 + value],
    ["a drift from 0 to 1e5", (value, i) => value + 1500 * step(i)],
    ["silence, then 1e5 times as loud", (value, i) => (step(i) < 40 ? 1e-3 : 100) * value],
    ["a start far from everything after it", (value, i) => value + (step(i) === 0 ? 1e4 : 0)],
    ["constants", () => 0.1],
    ["values of 1e25", (value) => 1e25 * value],
    ["values of 1e-25", (value) => 1e-25 * value],
  ])("%s", (_, of) => {
    const x = { shape, data: noise.map(of) };
    const expected = plain(x);
    for (const ek of [truth, wasm]) {
      const { y } = apply(ek, norm, x);
      // each step by its own scale: what is quiet counts as much as what is loud
      for (let at = 0; at < expected.length; at += 5) {
        const own = expected.subarray(at, at + 5);
        const actual = Float64Array.from(y.data.subarray(at, at + 5) as Float32Array);
        expectClose(`${ek.backend}, from ${at}`, actual, own, () => 2e-5 * Math.max(largest(own), 1e-3));
      }
    }
  });
});

it("a step has the same bits whatever follows it", () => {
  const x = { shape: [1, 40, 3], data: normal(120, 2, 3) };
  const whole = apply(wasm, norm, x).y.data;
  for (const length of [1, 2, 3, 7, 32, 39]) {
    const heard = apply(wasm, norm, { shape: [1, length, 3], data: x.data.slice(0, 3 * length) }).y.data;
    expect([...heard]).toEqual([...whole.subarray(0, 3 * length)]);
  }
  const louder = { shape: x.shape, data: x.data.map((value, i) => (i < 60 ? value : 1e6 * value)) };
  expect([...apply(wasm, norm, louder).y.data.subarray(0, 60)]).toEqual([...whole.subarray(0, 60)]);
});

it("padding before a sequence is as though it were not there", () => {
  const heard = { shape: [1, 6, 3], data: normal(18, 3, 5) };
  const padded = {
    shape: [1, 9, 3],
    data: Float32Array.from({ length: 27 }, (_, i) => heard.data[i - 9] ?? NaN),
  };
  const mask = { shape: [1, 9], data: [0, 0, 0, 1, 1, 1, 1, 1, 1] };
  for (const ek of [truth, wasm]) {
    const { y } = apply(ek, norm, padded, {}, { mask });
    expect([...y.data.slice(0, 9)]).toEqual(new Array(9).fill(0));
    expectClose("y", Float64Array.from(y.data.slice(9)), apply(ek, norm, heard).y.data, () => 2e-6);
  }
});

it("the last step is global layer normalization's, and a single step is layer normalization's", () => {
  const x = { shape: [2, 6, 4], data: normal(48, 4, 1) };
  const last = (data: ArrayLike<number>) => Array.from(data).filter((_, i) => i % 24 >= 20);
  const global = apply(truth, groupNorm(groupPresets.global), x).y.data;
  expectClose("y", Float64Array.from(last(apply(truth, norm, x).y.data)), last(global), () => 1e-12);
  const one = { shape: [12, 1, 4], data: x.data };
  const layer = apply(truth, layerNorm({ epsilon: 1e-8 }), one).y.data;
  expectClose("y", Float64Array.from(apply(truth, norm, one).y.data), layer, () => 1e-12);
});

it.each([
  [
    { timeAxis: 0 },
    "cumulativeLayerNorm: timeAxis must be neither the batch axis nor that of the channels, -1, got 0",
  ],
  [
    { timeAxis: 2 },
    "cumulativeLayerNorm: timeAxis must be neither the batch axis nor that of the channels, -1, got 2",
  ],
])("refuses %o", (options, message) =>
  expect(() => apply(truth, cumulativeLayerNorm(options), { shape: [1, 2, 3], data: normal(6, 1) })).toThrow(
    new RangeError(message),
  ),
);
