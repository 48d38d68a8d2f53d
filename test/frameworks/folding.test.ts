/** Folding of batch normalization into the layer before it. */
import { describe, expect, it } from "vitest";
import { apply, batchNorm, foldBatchNorm, open } from "../../src/index.js";
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
