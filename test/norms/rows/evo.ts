/** Normalization and activation in one: EvoNorms. */
import { evoNormB0, evoNormS0 } from "../../../src/index.js";
import { average, groupsBy, positions, type Row, scaled, standardized } from "./row.js";

const last = (position: readonly number[]) => position[position.length - 1];
const second = ([, channel]: readonly number[]) => channel;
const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));

function b0(channel: typeof last, epsilon: number, unbiased = false): Row["expected"] {
  return ([x], { v, gamma, beta, runningVariance }, { training, mask }) => {
    const own = standardized(x, (at) => `${at[0]},${channel(at)}`, { epsilon, mask }).statistics;
    const batch = standardized(x, channel, { epsilon, mask }).statistics;
    const y = Float64Array.from(positions(x.shape), (at, i) => {
      const c = channel(at);
      const ofBatch = training ? (batch.get(String(c))?.variance ?? 0) : runningVariance[c];
      const ofOne = own.get(`${at[0]},${c}`)?.variance ?? 0;
      return (
        x.data[i] / Math.max(Math.sqrt(ofBatch + epsilon), v[c] * x.data[i] + Math.sqrt(ofOne + epsilon))
      );
    });
    const next = runningVariance.map((old, c) => {
      const { variance, count } = batch.get(String(c)) ?? { variance: 0, count: 0 };
      return 0.9 * old + 0.1 * variance * (unbiased ? count / (count - 1) : 1);
    });
    return {
      y: scaled(x.shape, y, channel, { gamma, beta }, mask),
      ...(training && { state: { runningVariance: next } }),
    };
  };
}

function s0(channel: typeof last, groups: number, channels: number, epsilon: number): Row["expected"] {
  return ([x], { v, gamma, beta }, { mask }) => {
    const group = (at: readonly number[]) => `${at[0]},${Math.floor((channel(at) * groups) / channels)}`;
    const of = groupsBy(x.shape, group, mask);
    const y = Float64Array.from(positions(x.shape), (at, i) => {
      const values = (of.get(group(at)) ?? []).map((j) => x.data[j]);
      const mean = average(values);
      const variance = average(values.map((value) => (value - mean) ** 2));
      return (x.data[i] * sigmoid(v[channel(at)] * x.data[i])) / Math.sqrt(variance + epsilon);
    });
    return { y: scaled(x.shape, y, channel, { gamma, beta }, mask) };
  };
}

const affineAlone =
  (channel: typeof last): Row["expected"] =>
  ([x], weights, { mask }) => ({ y: scaled(x.shape, x.data, channel, weights, mask) });

export const evo: Row[] = [
  { norm: evoNormB0(), shapes: [[3, 5, 4]], expected: b0(last, 1e-5) },
  {
    name: "channels first, unbiased, epsilon 0.1",
    norm: evoNormB0({ axis: 1, epsilon: 0.1, runningVariance: "unbiased", center: false }),
    shapes: [[3, 2, 3, 2]],
    mask: [3, 1, 3],
    expected: b0(second, 0.1, true),
  },
  {
    name: "each channel masked for itself",
    norm: evoNormB0(),
    shapes: [[3, 7, 2]],
    mask: [3, 7, 2],
    expected: b0(last, 1e-5),
  },
  { name: "linear", norm: evoNormB0({ nonlinear: false }), shapes: [[2, 3, 4]], expected: affineAlone(last) },
  { norm: evoNormS0({ groups: 2 }), shapes: [[2, 4, 6]], expected: s0(last, 2, 6, 1e-5) },
  {
    name: "channels first, epsilon 0.1, without gamma",
    norm: evoNormS0({ axis: 1, groups: 3, epsilon: 0.1, scale: false }),
    shapes: [[2, 6, 2, 2]],
    mask: [2, 1, 2],
    expected: s0(second, 3, 6, 0.1),
  },
  {
    name: "of features alone, each masked for itself",
    norm: evoNormS0({ groups: 2 }),
    shapes: [[3, 8]],
    mask: [3, 8],
    expected: s0(last, 2, 8, 1e-5),
  },
  {
    name: "linear",
    norm: evoNormS0({ groups: 2, nonlinear: false }),
    shapes: [[2, 3, 4]],
    expected: affineAlone(last),
  },
];
