/** Normalization whose gamma and beta are maps of the shape of x. */
import { spatiallyAdaptiveNorm } from "../../../src/index.js";
import { type Row, standardized } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];

const mapped = (
  xHat: ArrayLike<number>,
  gamma: Float64Array,
  beta: Float64Array,
  mask: Float64Array | undefined,
  offset = 1,
) => gamma.map((factor, i) => (mask?.[i] === 0 ? 0 : xHat[i] * (offset + factor) + beta[i]));

const same = (shape: readonly number[]) => [shape, shape, shape];

export const maps: Row[] = [
  {
    norm: spatiallyAdaptiveNorm(),
    shapes: same([4, 5, 3]),
    expected([x, gamma, beta], { runningMean, runningVariance }, { training, mask }) {
      const { xHat, statistics } = standardized(x, last, { epsilon: 1e-5, mask });
      if (!training) {
        const population = x.data.map(
          (value, i) => (value - runningMean[i % 3]) / Math.sqrt(runningVariance[i % 3] + 1e-5),
        );
        return { y: mapped(population, gamma.data, beta.data, mask) };
      }
      const of = (c: number) => statistics.get(String(c)) ?? { mean: 0, variance: 0 };
      return {
        y: mapped(xHat, gamma.data, beta.data, mask),
        state: {
          runningMean: runningMean.map((old, c) => 0.9 * old + 0.1 * of(c).mean),
          runningVariance: runningVariance.map((old, c) => 0.9 * old + 0.1 * of(c).variance),
        },
      };
    },
  },
  {
    name: "of instances, channels first",
    norm: spatiallyAdaptiveNorm({ statistics: "instance", axis: 1, epsilon: 0.1 }),
    shapes: same([2, 3, 2, 4]),
    mask: [2, 1, 2, 4],
    expected([x, gamma, beta], _, { mask }) {
      const { xHat } = standardized(x, ([b, c]) => `${b},${c}`, { epsilon: 0.1, mask });
      return { y: mapped(xHat, gamma.data, beta.data, mask) };
    },
  },
  {
    name: "of groups, without an offset",
    norm: spatiallyAdaptiveNorm({ statistics: "group", groups: 2, offset: 0, epsilon: 1e-6 }),
    shapes: same([2, 5, 6]),
    expected([x, gamma, beta], _, { mask }) {
      const { xHat } = standardized(x, ([b, , c]) => `${b},${Math.floor(c / 3)}`, { epsilon: 1e-6, mask });
      return { y: mapped(xHat, gamma.data, beta.data, mask, 0) };
    },
  },
];
