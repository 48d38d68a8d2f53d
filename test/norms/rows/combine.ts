/** Normalizations with their neighbours. */
import {
  type ActivationName,
  batchNorm,
  deepNorm,
  layerNorm,
  type Normalization,
  residualBlock,
  rmsNorm,
  withActivation,
  withDropout,
} from "../../../src/index.js";
import { type Row, scaled, standardized } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];
const firstTwo = ([a, b]: readonly number[]) => `${a},${b}`;

/** Layer (or RMS) normalization of [.., .., features]. */
const normalized = (
  x: { shape: readonly number[]; data: Float64Array },
  weights: Readonly<Record<string, Float64Array>>,
  part = "",
  centered = true,
) => {
  const { xHat } = standardized(x, firstTwo, { epsilon: 1e-5, centered });
  return scaled(x.shape, xHat, last, { gamma: weights[`${part}gamma`], beta: weights[`${part}beta`] });
};

/** A branch of a residual block: tanh(x · factor), with a factor per feature. */
const branch: Normalization = {
  name: "branch",
  weights: (shape) => ({ factor: { shape: [shape[shape.length - 1]], initial: 1, trained: true } }),
  apply: (ops, [x], { factor }) => ({ y: ops.tanh(ops.mul(x, factor)) }),
};
const branched = (data: Float64Array, factor: Float64Array) =>
  data.map((value, i) => Math.tanh(value * factor[i % factor.length]));

const only = (y: Float64Array, mask: Float64Array | undefined) =>
  y.map((value, i) => (mask?.[i] === 0 ? 0 : value));
const sum = (a: Float64Array, b: Float64Array) => a.map((value, i) => value + b[i]);

/** Φ by Simpson's rule. */
function normalDistribution(x: number): number {
  const steps = 2000;
  const density = (at: number) => Math.exp((-at * at) / 2) / Math.sqrt(2 * Math.PI);
  let total = density(0) + density(x);
  for (let i = 1; i < steps; i++) total += density((x * i) / steps) * (i % 2 === 0 ? 2 : 4);
  return 0.5 + (total * x) / steps / 3;
}

const activated = (
  activation: ActivationName,
  value: (x: number) => number,
  negativeSlope?: number,
): Row => ({
  name: `and ${activation}${negativeSlope === undefined ? "" : ` of ${negativeSlope}`}`,
  norm: withActivation(layerNorm(), activation, { negativeSlope }),
  shapes: [[3, 4, 5]],
  mask: null,
  expected: ([x], weights) => ({ y: normalized(x, weights).map(value) }),
});

export const combined: Row[] = [
  activated("relu", (x) => Math.max(x, 0)),
  activated("leakyRelu", (x) => (x > 0 ? x : 0.01 * x)),
  activated("leakyRelu", (x) => (x > 0 ? x : 1.5 * x), 1.5),
  activated("gelu", (x) => x * normalDistribution(x)),
  activated("silu", (x) => x / (1 + Math.exp(-x))),
  activated("tanh", Math.tanh),
  activated("sigmoid", (x) => 1 / (1 + Math.exp(-x))),
  {
    name: "and dropout",
    norm: withDropout(layerNorm(), 0.3),
    shapes: [
      [3, 4, 5],
      [3, 4, 5],
    ],
    evaluates: true,
    expected: ([x, noise], weights, { training, mask }) => ({
      y: only(
        normalized(x, weights).map((value, i) =>
          training ? (noise.data[i] < 0.3 ? 0 : value / 0.7) : value,
        ),
        mask,
      ),
    }),
  },
  {
    name: "before the norm",
    norm: residualBlock(branch),
    shapes: [[3, 4, 5]],
    expected([x], weights, { mask }) {
      const inner = branched(normalized(x, weights, "norm/"), weights["branch/factor"]);
      return { y: only(sum(x.data, inner), mask) };
    },
  },
  {
    name: "behind the sum",
    norm: residualBlock(branch, { placement: "post", norm: rmsNorm() }),
    shapes: [[3, 4, 5]],
    expected([x], weights, { mask }) {
      const data = sum(x.data, branched(x.data, weights["branch/factor"]));
      return { y: only(normalized({ shape: x.shape, data }, weights, "norm/", false), mask) };
    },
  },
  {
    name: "behind the sum, as in DeepNorm",
    norm: residualBlock(branch, { ...deepNorm({ decoder: 8 }).decoder, norm: layerNorm() }),
    shapes: [[3, 4, 5]],
    expected([x], weights, { mask }) {
      const data = sum(
        x.data.map((value) => 2 * value),
        branched(x.data, weights["branch/factor"]),
      );
      return { y: only(normalized({ shape: x.shape, data }, weights, "norm/"), mask) };
    },
  },
  {
    name: "on the branch's output",
    norm: residualBlock(branch, { placement: "reordered", norm: rmsNorm() }),
    shapes: [[3, 4, 5]],
    expected([x], weights, { mask }) {
      const inner = { shape: x.shape, data: branched(x.data, weights["branch/factor"]) };
      return { y: only(sum(x.data, normalized(inner, weights, "norm/", false)), mask) };
    },
  },
  {
    name: "as a sandwich, with running statistics in it",
    norm: residualBlock(branch, { placement: "sandwich", norm: batchNorm() }),
    shapes: [[3, 4, 5]],
    expected([x], weights, { training, mask }) {
      const { xHat, statistics } = standardized(x, last, { epsilon: 1e-5, mask });
      const [mean, variance] = [weights["norm/runningMean"], weights["norm/runningVariance"]];
      const of = (c: number) => statistics.get(String(c)) ?? { mean: 0, variance: 0 };
      const hat = training
        ? xHat
        : x.data.map((value, i) => (value - mean[i % 5]) / Math.sqrt(variance[i % 5] + 1e-5));
      const first = scaled(x.shape, hat, last, { gamma: weights["norm/gamma"], beta: weights["norm/beta"] });
      const inner = { shape: x.shape, data: branched(first, weights["branch/factor"]) };
      const y = only(sum(x.data, normalized(inner, weights, "after/")), mask);
      if (!training) return { y };
      return {
        y,
        state: {
          "norm/runningMean": mean.map((old, c) => 0.9 * old + 0.1 * of(c).mean),
          "norm/runningVariance": variance.map((old, c) => 0.9 * old + 0.1 * of(c).variance),
        },
      };
    },
  },
];
