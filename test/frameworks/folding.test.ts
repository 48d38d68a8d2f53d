/** Folding of batch normalization into the layer before it. */
import { describe, expect, it } from "vitest";
import { apply, batchNorm, foldBatchNorm, foldCentering, layerNorm, open, rmsNorm } from "../../src/index.js";
import { expectClose, normal } from "../support/numerics.js";

const ek = await open({ backend: "reference" });
const [inputs, channels, rows] = [5, 3, 4];
const kernel = normal(inputs * channels, 1);
const bias = normal(channels, 2);
const statistics = {
  runningMean: normal(channels, 3),
  runningVariance: normal(channels, 4).map((value) => value * value + 0.1),
  gamma: normal(channels, 5),
  beta: normal(channels, 6),
};
const x = normal(rows * inputs, 7);

/** x [rows, inputs] by a kernel whose element for input i and channel c is where `at` says. */
const dense = (weights: ArrayLike<number>, offset: ArrayLike<number>, at: (i: number, c: number) => number) =>
  Float64Array.from({ length: rows * channels }, (_, place) => {
    const [row, c] = [Math.floor(place / channels), place % channels];
    let sum = offset[c];
    for (let i = 0; i < inputs; i++) sum += x[row * inputs + i] * weights[at(i, c)];
    return sum;
  });

describe.each([
  { axis: -1, shape: [inputs, channels], at: (i: number, c: number) => i * channels + c },
  { axis: 0, shape: [channels, inputs], at: (i: number, c: number) => c * inputs + i },
])("outputs on axis $axis", ({ axis, shape, at }) => {
  it("one layer does what two did", () => {
    const before = { shape: [rows, channels], data: dense(kernel, bias, at) };
    const { y } = apply(ek, batchNorm({ epsilon: 0.01 }), before, statistics, { training: false });
    const folded = foldBatchNorm({ kernel: { shape, data: kernel }, bias, axis, statistics, epsilon: 0.01 });
    expectClose("y", dense(folded.kernel, folded.bias, at), y.data, () => 1e-5);
  });

  it("without bias, gamma and beta", () => {
    const before = { shape: [rows, channels], data: dense(kernel, new Float32Array(channels), at) };
    const { runningMean, runningVariance } = statistics;
    const plain = { runningMean, runningVariance };
    const { y } = apply(ek, batchNorm({ scale: false, center: false }), before, plain, { training: false });
    const folded = foldBatchNorm({ kernel: { shape, data: kernel }, axis, statistics: plain });
    expectClose("y", dense(folded.kernel, folded.bias, at), y.data, () => 1e-5);
  });
});

it("says which length does not fit", () => {
  const folded = () =>
    foldBatchNorm({ kernel: { shape: [5, 3], data: kernel }, bias: normal(5, 1), statistics });
  expect(folded).toThrow(
    new RangeError("foldBatchNorm: bias must have 3 values, one per channel of the kernel's axis -1, got 5"),
  );
});

describe("foldCentering", () => {
  const parameters = { gamma: normal(channels, 8), beta: normal(channels, 9) };
  const layered = (y: Float64Array) =>
    apply(ek, layerNorm(), { shape: [rows, channels], data: y }, parameters).y;

  it.each([
    { axis: -1, shape: [inputs, channels], at: (i: number, c: number) => i * channels + c },
    { axis: 0, shape: [channels, inputs], at: (i: number, c: number) => c * inputs + i },
  ])("layer normalization becomes RMS normalization, outputs on axis $axis", ({ axis, shape, at }) => {
    const far = bias.map((value) => value + 7);
    const centred = foldCentering({ kernel: { shape, data: kernel }, bias: far, axis });
    const y = { shape: [rows, channels], data: dense(centred.kernel, centred.bias, at) };
    const ran = apply(ek, rmsNorm({ center: true }), y, parameters).y;
    expectClose("y", ran.data, layered(dense(kernel, far, at)).data, () => 1e-5);
  });

  it("sums of what centred layers and tables give are centred too", () => {
    const table = foldCentering({
      kernel: { shape: [rows, channels], data: normal(rows * channels, 11, 3) },
    });
    const layer = foldCentering({ kernel: { shape: [inputs, channels], data: kernel }, bias });
    const sums = dense(layer.kernel, layer.bias, (i, c) => i * channels + c).map(
      (value, i) => value + table.kernel[i],
    );
    for (let row = 0; row < rows; row++) {
      const values = sums.subarray(row * channels, (row + 1) * channels);
      expect(values.reduce((a, b) => a + b)).toBeCloseTo(0, 5);
    }
    expect([...table.bias]).toEqual([0, 0, 0]);
  });

  it("an axis in the middle of a convolution's kernel", () => {
    const data = normal(2 * 3 * 4, 12);
    const folded = foldCentering({ kernel: { shape: [2, 3, 4], data }, axis: 1 });
    for (let a = 0; a < 2; a++) {
      for (let d = 0; d < 4; d++) {
        const of = (values: ArrayLike<number>) => [0, 1, 2].map((c) => values[(a * 3 + c) * 4 + d]);
        const mean = of(data).reduce((p, q) => p + q) / 3;
        expectClose(
          "kernel",
          Float64Array.from(of(folded.kernel)),
          of(data).map((one) => one - mean),
          () => 1e-6,
        );
      }
    }
  });

  it.each<[object, Error]>([
    [
      { kernel: { shape: [2, 3], data: [1] } },
      new RangeError("foldCentering: a kernel of shape [2, 3] must have 6 values, got 1"),
    ],
    [
      { kernel: { shape: [1, 2], data: [1, 2] }, bias: [1] },
      new RangeError(
        "foldCentering: bias must have 2 values, one per channel of the kernel's axis -1, got 1",
      ),
    ],
    [{ kernel: null }, new TypeError("foldCentering: kernel must be { shape, data }, got null")],
  ])("refuses %o", (options, error) => expect(() => foldCentering(options as never)).toThrow(error));
});
