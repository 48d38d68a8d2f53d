/** Layer, RMS, batch, group and instance normalization, and dynamic tanh. */
import { batchNorm, dynamicTanh, groupNorm, instanceNorm, layerNorm, rmsNorm } from "../../../src/index.js";
import { type Row, scaled, standardized } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];

function batch(options: { unbiased?: boolean }): Row["expected"] {
  return ([x], weights, { training, mask }) => {
    const { gamma, beta, runningMean, runningVariance } = weights;
    const measured = standardized(x, last, { epsilon: 1e-5, mask });
    if (!training) {
      const xHat = x.data.map((value, i) => {
        const c = i % runningMean.length;
        return (value - runningMean[c]) / Math.sqrt(runningVariance[c] + 1e-5);
      });
      return { y: scaled(x.shape, xHat, last, { gamma, beta }, mask) };
    }
    const of = (c: number) => measured.statistics.get(String(c)) ?? { mean: 0, variance: 0, count: 0 };
    return {
      y: scaled(x.shape, measured.xHat, last, { gamma, beta }, mask),
      state: {
        runningMean: runningMean.map((old, c) => 0.9 * old + 0.1 * of(c).mean),
        runningVariance: runningVariance.map((old, c) => {
          const { variance, count } = of(c);
          return 0.9 * old + 0.1 * variance * (options.unbiased ? count / (count - 1) : 1);
        }),
      },
    };
  };
}

export const core: Row[] = [
  {
    norm: layerNorm(),
    shapes: [[3, 4, 5]],
    expected([x], weights, { mask }) {
      const { xHat } = standardized(x, ([a, b]) => `${a},${b}`, { epsilon: 1e-5, mask });
      return { y: scaled(x.shape, xHat, last, weights, mask) };
    },
  },
  {
    name: "over alternating axes",
    norm: layerNorm({ axis: [1, 3], epsilon: 0.1 }),
    shapes: [[2, 3, 2, 4]],
    expected([x], weights, { mask }) {
      const { xHat } = standardized(x, ([a, , c]) => `${a},${c}`, { epsilon: 0.1, mask });
      return { y: scaled(x.shape, xHat, ([, b, , d]) => b * 4 + d, weights, mask) };
    },
  },
  {
    norm: rmsNorm({ center: true }),
    shapes: [[3, 4, 5]],
    expected([x], weights, { mask }) {
      const { xHat } = standardized(x, ([a, b]) => `${a},${b}`, { epsilon: 1e-5, centered: false, mask });
      return { y: scaled(x.shape, xHat, last, weights, mask) };
    },
  },
  { norm: batchNorm(), shapes: [[4, 5, 3]], expected: batch({}) },
  {
    name: "unbiased running variance",
    norm: batchNorm({ runningVariance: "unbiased" }),
    shapes: [[6, 3]],
    mask: [6],
    expected: batch({ unbiased: true }),
  },
  {
    norm: groupNorm({ groups: 2, axis: 1 }),
    shapes: [[2, 6, 3]],
    mask: [2, 1, 3],
    expected([x], weights, { mask }) {
      const { xHat } = standardized(x, ([a, c]) => `${a},${Math.floor(c / 3)}`, { epsilon: 1e-5, mask });
      return { y: scaled(x.shape, xHat, ([, c]) => c, weights, mask) };
    },
  },
  {
    name: "with parameters per group, channels last",
    norm: groupNorm({ groups: 2, parameters: "group" }),
    shapes: [[2, 3, 6]],
    expected([x], weights, { mask }) {
      const { xHat } = standardized(x, ([a, , c]) => `${a},${Math.floor(c / 3)}`, { epsilon: 1e-5, mask });
      return { y: scaled(x.shape, xHat, ([, , c]) => Math.floor(c / 3), weights, mask) };
    },
  },
  {
    name: "with parameters per group, channels first",
    norm: groupNorm({ groups: 3, axis: 1, parameters: "group" }),
    shapes: [[2, 6, 3]],
    mask: [2, 1, 3],
    expected([x], weights, { mask }) {
      const { xHat } = standardized(x, ([a, c]) => `${a},${Math.floor(c / 2)}`, { epsilon: 1e-5, mask });
      return { y: scaled(x.shape, xHat, ([, c]) => Math.floor(c / 2), weights, mask) };
    },
  },
  {
    norm: instanceNorm(),
    shapes: [[2, 5, 3]],
    expected([x], weights, { mask }) {
      const { xHat } = standardized(x, ([a, , c]) => `${a},${c}`, { epsilon: 1e-5, mask });
      return { y: scaled(x.shape, xHat, last, weights, mask) };
    },
  },
  {
    norm: dynamicTanh(),
    shapes: [[3, 4, 5]],
    expected([x], { alpha, ...weights }, { mask }) {
      const squashed = x.data.map((value) => Math.tanh(alpha[0] * value));
      return { y: scaled(x.shape, squashed, last, weights, mask) };
    },
  },
];
