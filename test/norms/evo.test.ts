/** EvoNorms: what they have in common with others, running variances over several calls, and errors. */
import { describe, expect, it } from "vitest";
import {
  apply,
  batchNorm,
  evoNormB0,
  evoNormS0,
  groupNorm,
  Layer,
  open,
  type PlainArray,
} from "../../src/index.js";
import { expectClose, largest, normal } from "../support/numerics.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const array = (shape: readonly number[], seed: number, mean = 0): PlainArray => ({
  shape,
  data: Float64Array.from(normal(size(shape), seed, mean)),
});
const close = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-12) =>
  expectClose(name, Float64Array.from(actual), expected, () => tolerance * Math.max(1, largest(expected)));

describe("evoNormB0", () => {
  it("where v is far below 0 divides by the batch's deviation, and keeps its variance as batch norm does", () => {
    const x = { shape: [4, 6, 3], data: array([4, 6, 3], 1, 5).data.map(Math.abs) };
    const { y, state } = apply(truth, evoNormB0(), x, { v: new Float64Array(3).fill(-1e3) });
    const batch = apply(truth, batchNorm({ momentum: 0 }), x).state;
    const { runningMean, runningVariance } = batch;
    close(
      "y",
      y.data,
      x.data.map((value, i) => value / Math.sqrt(runningVariance.data[i % 3] + 1e-5)),
    );
    close(
      "running variance",
      state.runningVariance.data,
      runningVariance.data.map((variance) => 0.9 + 0.1 * variance),
    );
    expect(runningMean.data[0]).toBeGreaterThan(4);
  });

  it("evaluates by the running variance, and freezes", () => {
    const layer = new Layer(wasm, evoNormB0({ momentum: 0 }), [3, 5, 2]);
    const x = array([3, 5, 2], 2, 1);
    const trained = layer.forward(x);
    close("y", layer.eval().forward(x).data, trained.data, 1e-5);
    const before = layer.stateDict();
    layer.train().freeze();
    layer.forward(array([3, 5, 2], 3));
    expect(layer.stateDict()).toEqual(before);
    layer.unfreeze();
    const bad = { shape: x.shape, data: x.data.map((value, i) => (i === 4 ? Number.NaN : value)) };
    expect(() => layer.forward(bad)).toThrow("not finite");
    expect(layer.stateDict()).toEqual(before);
    layer.dispose();
  });

  it("of one value for each channel keeps its variance, and says so", () => {
    const warned: string[] = [];
    const { y, state } = apply(
      truth,
      evoNormB0({ epsilon: 0.25 }),
      { shape: [1, 1, 2], data: Float64Array.of(3, -2) },
      {},
      { warn: (text) => warned.push(text) },
    );
    close("y", y.data, [3 / 3.5, -4]);
    expect([state, warned]).toEqual([
      {},
      [
        "evoNormB0: a training batch of shape [1, 1, 2] has one value per channel, whose variance is 0, and the running " +
          "variance was left as it was; train on larger batches, or use evoNormS0",
      ],
    ]);
  });

  it("compares examples whose means are far from 0, and far from each other", () => {
    const spread = normal(60, 4);
    const data = Float32Array.from(spread, (value, i) => 1e5 + value + (i < 30 ? 2 : 0));
    const x = { shape: [2, 15, 2], data };
    // v far below 0, so that the batch's variance decides
    const weights = { v: Float32Array.of(-1, -1) };
    const [best, actual] = [truth, wasm].map((ek) => apply(ek, evoNormB0(), x, weights));
    close("y", actual.y.data, best.y.data, 2e-6);
    close("variance", actual.state.runningVariance.data, best.state.runningVariance.data, 2e-6);
  });
});

describe("evoNormS0", () => {
  it("is x / deviation, as in group norm, times a sigmoid", () => {
    const x = array([3, 4, 6], 5, 1);
    const { y } = apply(truth, evoNormS0({ groups: 2 }), x, { v: new Float64Array(6) });
    const group = apply(truth, groupNorm({ groups: 2 }), x).y.data;
    // differences within a group do not know of the mean
    const differences = (data: ArrayLike<number>) =>
      Array.from({ length: 36 }, (_, pair) => data[2 * pair] - data[2 * pair + 1]).filter(
        (_, pair) => pair % 3 !== 1,
      );
    close(
      "differences",
      differences(y.data).map((value) => 2 * value),
      differences(group),
    );
  });

  it("says what is wrong with its groups", () => {
    const cases: [() => unknown, string][] = [
      [() => evoNormS0({ groups: 0 }), "evoNormS0: groups must be an integer of at least 1, got 0"],
      [
        () => evoNormS0({ groups: 4 }).weights([2, 3, 6]),
        "evoNormS0: groups must divide the 6 channels of axis -1, got 4; 1, 2, 3, 6 would",
      ],
      [
        () => evoNormS0({ groups: 6 }).weights([2, 6]),
        "evoNormS0: shape [2, 6] has one value per statistic, whose variance is 0, so that y would be beta whatever x is; use fewer groups",
      ],
    ];
    for (const [call, message] of cases) expect(call).toThrow(new RangeError(message));
  });
});

it("linear, both are gamma and beta alone, and keep nothing", () => {
  for (const norm of [evoNormB0({ nonlinear: false }), evoNormS0({ nonlinear: false, groups: 1 })]) {
    const weights = { gamma: Float64Array.of(2, 3), beta: Float64Array.of(1, 0) };
    const { y, state } = apply(truth, norm, { shape: [1, 2, 2], data: Float64Array.of(1, 2, 3, 4) }, weights);
    expect([[...y.data], state]).toEqual([[3, 6, 7, 12], {}]);
  }
});
