/** Normalizations of weights: x is the weight itself, its outputs last unless the row names another axis. */
import { spectralNorm, weightDemodulation, weightNorm, weightStandardization } from "../../../src/index.js";
import { groupsBy, positions, type Row, scaled, standardized, type Values64 } from "./row.js";

/** Each output's weights divided by their length, times its g. */
function lengthened(
  { shape, data }: Values64,
  key: (position: readonly number[]) => number,
  g: Float64Array,
  epsilon = 1e-12,
): Float64Array {
  const y = new Float64Array(data.length);
  for (const [output, indexes] of groupsBy(shape, key)) {
    const length = Math.sqrt(indexes.reduce((sum, i) => sum + data[i] ** 2, 0) + epsilon);
    for (const i of indexes) y[i] = (g[Number(output)] * data[i]) / length;
  }
  return y;
}

/** W [outputs, rest] as a function of row and column, its power iteration and W / sigma. */
function spectral(
  count: readonly [number, number],
  place: (output: number, rest: number) => number,
  iterations: number,
): Row["expected"] {
  const [rows, columns] = count;
  const unit = (values: number[]) => {
    const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
    return values.map((value) => value / length);
  };
  return ([x], weights, { training }) => {
    const at = (i: number, j: number) => x.data[place(i, j)];
    let u = [...weights.u];
    let v = [...weights.v];
    const down = () =>
      Array.from({ length: columns }, (_, j) => u.reduce((sum, value, i) => sum + value * at(i, j), 0));
    const up = () =>
      Array.from({ length: rows }, (_, i) => v.reduce((sum, value, j) => sum + value * at(i, j), 0));
    for (let n = 0; training && n < iterations; n++) {
      v = unit(down());
      u = unit(up());
    }
    if (v.every((value) => value === 0)) v = unit(down());
    const sigma = up().reduce((sum, value, i) => sum + value * u[i], 0);
    const y = x.data.map((value) => value / sigma);
    return training ? { y, state: { u: Float64Array.from(u), v: Float64Array.from(v) } } : { y };
  };
}

/** A weight for each example: its inputs by their style, and each output of length 1. */
const demodulated =
  (input: number, output: number, epsilon = 1e-8): Row["expected"] =>
  ([w, style]) => {
    const [batch, inputs] = style.shape;
    const outputs = w.shape[output];
    const all = positions(w.shape);
    const y: number[] = [];
    const factors: number[] = [];
    for (let b = 0; b < batch; b++) {
      const modulated = w.data.map((value, i) => value * style.data[b * inputs + all[i][input]]);
      const powers = new Float64Array(outputs);
      modulated.forEach((value, i) => {
        powers[all[i][output]] += value ** 2;
      });
      const own = [...powers].map((power) => 1 / Math.sqrt(power + epsilon));
      factors.push(...own);
      y.push(...modulated.map((value, i) => value * own[all[i][output]]));
    }
    return { y: Float64Array.from(y), more: [Float64Array.from(factors)] };
  };

// far from 0, so that the largest singular value is well apart and few iterations find it: u and v are then as good as
// constant, which the gradient takes them for, and central differences do not
const apart = (value: number) => value + 3;
// every weight counts
const mask = null;

export const weights: Row[] = [
  {
    norm: weightNorm(),
    shapes: [[5, 4]],
    mask,
    expected: ([x], { g }) => ({ y: lengthened(x, ([, o]) => o, g) }),
  },
  {
    name: "outputs first, masked, with an epsilon",
    norm: weightNorm({ axis: 0, epsilon: 0.5 }),
    shapes: [[3, 2, 4]],
    expected([{ shape, data }], { g }, { mask }) {
      const kept = data.map((value, i) => (mask?.[i] === 0 ? 0 : value));
      return { y: lengthened({ shape, data: kept }, ([o]) => o, g, 0.5) };
    },
  },
  {
    name: "outputs on two axes apart",
    norm: weightNorm({ axis: [3, 1] }),
    shapes: [[2, 3, 2, 4]],
    mask,
    expected: ([x], { g }) => ({ y: lengthened(x, ([, a, , b]) => a * 4 + b, g) }),
  },
  {
    name: "one length for all",
    norm: weightNorm({ axis: null }),
    shapes: [[5, 4]],
    mask,
    expected: ([x], { g }) => ({ y: lengthened(x, () => 0, g) }),
  },
  {
    norm: spectralNorm({ iterations: 8 }),
    shapes: [[6, 4]],
    mask,
    input: apart,
    expected: spectral([4, 6], (i, j) => j * 4 + i, 8),
  },
  {
    name: "outputs first",
    norm: spectralNorm({ axis: 0, iterations: 7 }),
    shapes: [[4, 2, 3]],
    mask,
    input: apart,
    expected: spectral([4, 6], (i, j) => i * 6 + j, 7),
  },
  {
    name: "from u alone",
    norm: spectralNorm({ axis: 1, iterations: 9, warmUp: 0 }),
    shapes: [[2, 3, 2]],
    mask,
    input: apart,
    // the first left singular vector is close to this, so that evaluation has the gradient of central differences too
    weights: (name, values) => (name === "v" ? values.fill(0) : values.fill(1 / Math.sqrt(3))),
    expected: spectral([3, 4], (i, j) => Math.floor(j / 2) * 6 + i * 2 + (j % 2), 9),
  },
  {
    name: "with a learned value",
    norm: spectralNorm({ iterations: 8, scale: true }),
    shapes: [[6, 4]],
    mask,
    input: apart,
    expected(inputs, weights, call) {
      const { y, state } = spectral([4, 6], (i, j) => j * 4 + i, 8)(inputs, weights, call);
      return { y: y.map((value) => value * weights.gamma[0]), state };
    },
  },
  {
    norm: weightStandardization(),
    shapes: [[2, 3, 4]],
    expected([x], _, { mask }) {
      return {
        y: scaled(x.shape, standardized(x, ([, , o]) => o, { epsilon: 1e-5, mask }).xHat, () => 0, {}, mask),
      };
    },
  },
  {
    name: "scaled",
    norm: weightStandardization({ axis: 1, epsilon: 0.1, scaled: true, gain: 1.7 }),
    shapes: [[3, 4, 2]],
    mask,
    expected([x], { gain }) {
      const { xHat } = standardized(x, ([, o]) => o, { epsilon: 0.1 });
      return { y: scaled(x.shape, xHat, ([, o]) => o, { gamma: gain.map((one) => one / Math.sqrt(6)) }) };
    },
  },
  {
    norm: weightDemodulation(),
    shapes: [
      [2, 3, 4],
      [5, 3],
    ],
    mask,
    expected: demodulated(1, 2),
  },
  {
    name: "outputs first",
    norm: weightDemodulation({ axis: 0, epsilon: 0.1 }),
    shapes: [
      [4, 3, 2, 2],
      [2, 3],
    ],
    mask,
    expected: demodulated(1, 0, 0.1),
  },
  {
    name: "inputs apart from outputs",
    norm: weightDemodulation({ inputAxis: 0 }),
    shapes: [
      [3, 2, 4],
      [2, 3],
    ],
    mask,
    expected: demodulated(0, 2),
  },
];
