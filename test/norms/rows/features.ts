/** Norms over features: RMS with an offset, scale, unit, AdaNorm, layer scale, and those without statistics. */
import {
  adaNorm,
  boundedNorm,
  dynamicErf,
  dynamicISRU,
  layerScale,
  rmsNorm,
  rmsPresets,
  scaleNorm,
  thresholdedLinearUnit,
  unitNorm,
} from "../../../src/index.js";
import { type Row, scaled, standardized } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];
const firstTwo = ([a, b]: readonly number[]) => `${a},${b}`;

/** x by the length of each row of it; a length by squares or absolute values, kept from 0 as told. */
const byLength =
  (length: (row: readonly number[]) => number): Row["expected"] =>
  ([{ shape, data }], _, { mask }) => {
    const width = shape[shape.length - 1];
    const of = (i: number) => {
      const start = i - (i % width);
      return length([...data.subarray(start, start + width)]);
    };
    return { y: data.map((value, i) => (mask?.[i] === 0 ? 0 : value / of(i))) };
  };
const squares = (row: readonly number[]) => row.reduce((sum, value) => sum + value ** 2, 0);

/** The error function, by Simpson's rule. */
function erf(x: number): number {
  const steps = 2000;
  const density = (at: number) => Math.exp(-at * at);
  let sum = density(0) + density(x);
  for (let i = 1; i < steps; i++) sum += density((x * i) / steps) * (i % 2 === 0 ? 2 : 4);
  return ((2 / Math.sqrt(Math.PI)) * sum * x) / steps / 3;
}

/** Rows of x brought between two lengths, by so much of the way. */
const bounded =
  (length: (row: readonly number[]) => number, least: number, most: number, rate = 1): Row["expected"] =>
  ([{ shape, data }]) => {
    const width = shape[shape.length - 1];
    const y = data.map((value, i) => {
      const start = i - (i % width);
      const own = length([...data.subarray(start, start + width)]);
      if (own >= least && own <= most) return value;
      const bound = Math.min(Math.max(own, least), most);
      return (value * (rate * bound + (1 - rate) * own)) / (own + 1e-7);
    });
    return { y };
  };

export const features: Row[] = [
  {
    norm: boundedNorm({ axis: 0, most: 2 }),
    shapes: [[6, 4]],
    expected: bounded((row) => Math.sqrt(squares(row)), 0, 2),
  },
  {
    name: "from below too, by half, of order 1",
    norm: boundedNorm({ axis: 0, least: 3, most: 4, rate: 0.5, order: 1 }),
    shapes: [[6, 4]],
    expected: bounded((row) => row.map(Math.abs).reduce((a, b) => a + b), 3, 4, 0.5),
  },
  {
    name: "with Gemma's offset",
    norm: rmsNorm(rmsPresets.gemma),
    shapes: [[3, 4, 5]],
    expected([x], { gamma }, { mask }) {
      const { xHat } = standardized(x, firstTwo, { epsilon: 1e-6, centered: false, mask });
      return { y: scaled(x.shape, xHat, last, { gamma: gamma.map((value) => 1 + value) }, mask) };
    },
  },
  {
    norm: scaleNorm({ epsilon: 0.01 }),
    shapes: [[3, 4, 5]],
    expected(inputs, { gamma }, call) {
      const { y } = byLength((row) => Math.sqrt(squares(row) + 0.01))(inputs, {}, call);
      return { y: y.map((value) => value * gamma[0]) };
    },
  },
  {
    norm: unitNorm({ epsilon: 0.01 }),
    shapes: [[3, 4, 5]],
    expected: byLength((row) => Math.sqrt(squares(row) + 0.01)),
  },
  {
    name: "guarded by its square",
    norm: unitNorm({ epsilon: 3, guard: "square" }),
    shapes: [[3, 4, 5]],
    expected: byLength((row) => Math.sqrt(Math.max(squares(row), 3))),
  },
  {
    name: "guarded by its length",
    norm: unitNorm({ epsilon: 1.8, guard: "length" }),
    shapes: [[3, 4, 5]],
    expected: byLength((row) => Math.max(Math.sqrt(squares(row)), 1.8)),
  },
  {
    name: "of order 1",
    norm: unitNorm({ order: 1, epsilon: 3.5 }),
    shapes: [[3, 4, 5]],
    expected: byLength((row) =>
      Math.max(
        row.map(Math.abs).reduce((a, b) => a + b),
        3.5,
      ),
    ),
  },
  {
    name: "of order 3",
    norm: unitNorm({ order: 3, epsilon: 1.5 }),
    shapes: [[3, 4, 5]],
    expected: byLength((row) =>
      Math.max(row.reduce((sum, value) => sum + Math.abs(value) ** 3, 0) ** (1 / 3), 1.5),
    ),
  },
  {
    name: "by the largest value",
    norm: unitNorm({ order: Number.POSITIVE_INFINITY }),
    shapes: [[3, 4, 5]],
    expected: byLength((row) => Math.max(...row.map(Math.abs))),
  },
  {
    norm: adaNorm({ c: 1.5 }),
    shapes: [[3, 4, 5]],
    expected([x], _, { mask }) {
      const { xHat } = standardized(x, firstTwo, { epsilon: 1e-5 });
      return { y: xHat.map((value, i) => (mask?.[i] === 0 ? 0 : 1.5 * (1 - 0.1 * value) * value)) };
    },
  },
  {
    norm: layerScale(),
    shapes: [[3, 4, 5]],
    expected: ([x], weights, { mask }) => ({ y: scaled(x.shape, x.data, last, weights, mask) }),
  },
  {
    norm: thresholdedLinearUnit(),
    shapes: [[3, 4, 5]],
    expected: ([x], { tau }, { mask }) => ({
      y: x.data.map((value, i) => (mask?.[i] === 0 ? 0 : Math.max(value, tau[i % 5]))),
    }),
  },
  {
    name: "affine, per element",
    norm: thresholdedLinearUnit({ axis: [1, 2], affine: true }),
    shapes: [[3, 4, 5]],
    expected: ([x], { tau, alpha }, { mask }) => ({
      y: x.data.map((value, i) =>
        mask?.[i] === 0 ? 0 : Math.max(value, alpha[i % 20] * value + tau[i % 20]),
      ),
    }),
  },
  {
    norm: dynamicErf(),
    shapes: [[3, 4, 5]],
    expected([x], { alpha, shift, ...weights }, { mask }) {
      const squashed = x.data.map((value) => erf(alpha[0] * value + shift[0]));
      return { y: scaled(x.shape, squashed, last, weights, mask) };
    },
  },
  {
    norm: dynamicISRU({ width: 2 }),
    shapes: [[3, 4, 5]],
    expected([x], { width, ...weights }, { mask }) {
      const squashed = x.data.map((value) => (Math.sqrt(5) * value) / Math.sqrt(width[0] + value ** 2));
      return { y: scaled(x.shape, squashed, last, weights, mask) };
    },
  },
];
