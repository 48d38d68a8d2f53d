/** Normalizations that adapt: to a condition or style, to learned shares of statistics, to each series. */
import {
  adaptiveInstanceNorm,
  adaptiveLayerNorm,
  conditionalBatchNorm,
  deepAdaptiveInputNorm,
  featureWiseLinearModulation,
  reversibleInstanceDenorm,
  reversibleInstanceNorm,
  robustReversibleInstanceNorm,
  switchableNorm,
} from "../../../src/index.js";
import { average, type Call, groupsBy, positions, type Row, standardized, type Values64 } from "./row.js";

type Arrays = Readonly<Record<string, Float64Array>>;

const last = (position: readonly number[]) => position[position.length - 1];
const exampleAndLast = (position: readonly number[]) => `${position[0]},${last(position)}`;
const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));

/** Row `b` of [batch, inner] times a kernel [inner, columns], column c, plus a bias. */
function dense(
  { shape, data }: Values64,
  kernel: Float64Array,
  b: number,
  c: number,
  bias?: Float64Array,
): number {
  const [, inner] = shape;
  const columns = kernel.length / inner;
  let sum = bias ? bias[c] : 0;
  for (let k = 0; k < inner; k++) sum += data[b * inner + k] * kernel[k * columns + c];
  return sum;
}

/** y at each element from its position, 0 where masked. */
function each(
  shape: readonly number[],
  value: (position: readonly number[], index: number) => number,
  mask?: Float64Array,
): Float64Array {
  return Float64Array.from(positions(shape), (position, i) =>
    mask && mask[i] === 0 ? 0 : value(position, i),
  );
}

/** The mean and variance of the named elements. */
function measure({ data }: Values64, indexes: readonly number[]) {
  const values = indexes.map((i) => data[i]);
  const mean = average(values);
  return { mean, variance: average(values.map((value) => (value - mean) ** 2)), count: values.length };
}

function adaptiveLayer(channel: number, zero = false, silu = true): Row["expected"] {
  return ([x, condition], { kernel, bias }, { mask }) => {
    const features = x.shape[channel];
    const others = (position: readonly number[]) => position.filter((_, axis) => axis !== channel).join();
    const { xHat } = standardized(x, others, { epsilon: 1e-6, mask });
    const active = {
      shape: condition.shape,
      data: condition.data.map((value) => (silu ? value * sigmoid(value) : value)),
    };
    const y = each(
      x.shape,
      (position, i) => {
        const c = position[channel];
        const shift = dense(active, kernel, position[0], c, bias);
        const scale = dense(active, kernel, position[0], features + c, bias);
        return xHat[i] * (1 + scale) + shift;
      },
      mask,
    );
    if (!zero) return { y };
    const gate = Float64Array.from({ length: x.shape[0] * features }, (_, i) =>
      dense(active, kernel, Math.floor(i / features), 2 * features + (i % features), bias),
    );
    return { y, more: [gate] };
  };
}

/** Batch statistics of the last axis; gamma and beta of each example are what the functions say. */
function conditional(
  gammaOf: (b: number, c: number, inputs: readonly Values64[], weights: Arrays) => number,
  betaOf: (b: number, c: number, inputs: readonly Values64[], weights: Arrays) => number,
): Row["expected"] {
  return (inputs, weights, { training, mask }) => {
    const [x] = inputs;
    const { runningMean, runningVariance } = weights;
    const groups = groupsBy(x.shape, last, mask);
    const batch = Array.from(runningMean, (_, c) => measure(x, groups.get(String(c)) ?? []));
    const y = each(
      x.shape,
      (position, i) => {
        const c = last(position);
        const { mean, variance } = training
          ? batch[c]
          : { mean: runningMean[c], variance: runningVariance[c] };
        const xHat = (x.data[i] - mean) / Math.sqrt(variance + 1e-5);
        return gammaOf(position[0], c, inputs, weights) * xHat + betaOf(position[0], c, inputs, weights);
      },
      mask,
    );
    if (!training) return { y };
    return {
      y,
      state: {
        runningMean: runningMean.map((old, c) => 0.9 * old + 0.1 * batch[c].mean),
        runningVariance: runningVariance.map((old, c) => 0.9 * old + 0.1 * batch[c].variance),
      },
    };
  };
}

const fromVector = conditional(
  (b, c, [, condition], { gamma, gammaKernel }) => dense(condition, gammaKernel, b, c, gamma),
  (b, c, [, condition], { beta, betaKernel }) => dense(condition, betaKernel, b, c, beta),
);
const fromShares = conditional(
  (b, c, [, condition], { gamma }) => dense(condition, gamma, b, c),
  (b, c, [, condition], { beta }) => dense(condition, beta, b, c),
);

function switchable(channel: number): Row["expected"] {
  return (inputs, weights, { training, mask }) => {
    const [x] = inputs;
    const { gamma, beta, meanLogits, varianceLogits, runningMean, runningVariance } = weights;
    const softmax = (logits: Float64Array) => {
      const raised = [...logits].map(Math.exp);
      return raised.map((one) => one / raised.reduce((a, b) => a + b, 0));
    };
    const [ofMean, ofVariance] = [softmax(meanLogits), softmax(varianceLogits)];
    const over = (key: (position: readonly number[]) => string | number) => {
      const measured = new Map(
        [...groupsBy(x.shape, key, mask)].map(([name, indexes]) => [name, measure(x, indexes)]),
      );
      return (position: readonly number[]) => measured.get(String(key(position))) ?? { mean: 0, variance: 0 };
    };
    const instance = over((position) => `${position[0]},${position[channel]}`);
    const layer = over(([b]) => b);
    const ofBatch = over((position) => position[channel]);
    const batch = (position: readonly number[]) => {
      const c = position[channel];
      return training ? ofBatch(position) : { mean: runningMean[c], variance: runningVariance[c] };
    };
    const y = each(
      x.shape,
      (position, i) => {
        const parts = [instance, layer, batch].map((one) => one(position));
        const mean = parts.reduce((sum, part, k) => sum + ofMean[k] * part.mean, 0);
        const variance = parts.reduce((sum, part, k) => sum + ofVariance[k] * part.variance, 0);
        const c = position[channel];
        return ((x.data[i] - mean) / Math.sqrt(variance + 1e-5)) * gamma[c] + beta[c];
      },
      mask,
    );
    if (!training) return { y };
    const at = (c: number) => {
      const position = x.shape.map(() => 0);
      position[channel] = c;
      return ofBatch(position);
    };
    return {
      y,
      state: {
        runningMean: runningMean.map((old, c) => 0.9 * old + 0.1 * at(c).mean),
        runningVariance: runningVariance.map((old, c) => 0.9 * old + 0.1 * at(c).variance),
      },
    };
  };
}

type Level = (values: number[]) => { level: number; variance: number };

const meanAndVariance: Level = (values) => {
  const level = average(values);
  return { level, variance: average(values.map((value) => (value - level) ** 2)) };
};

const lastAndVariance: Level = (values) => ({ ...meanAndVariance(values), level: values.at(-1) ?? 0 });

function middleOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return sorted.length === 0 ? 0 : (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

const medianAndDeviation: Level = (values) => {
  const level = middleOf(values);
  const distances = values.map((value) => Math.abs(value - level));
  const deviation = middleOf(distances);
  return { level, variance: (deviation > 0 ? 1.4826 * deviation : 1.2533 * average(distances)) ** 2 };
};

/** RevIN of [batch, ..., features], or of another order where `channel` says so. */
function reversible(channel: number, measureSeries = meanAndVariance): Row["expected"] {
  return ([x], { gamma, beta }, { mask }) => {
    const groups = groupsBy(x.shape, (position) => `${position[0]},${position[channel]}`, mask);
    const levels: number[] = [];
    const spreads: number[] = [];
    const y = new Float64Array(x.data.length);
    for (const [name, indexes] of groups) {
      const [b, c] = name.split(",").map(Number);
      const { level, variance } = measureSeries(indexes.map((i) => x.data[i]));
      const std = Math.sqrt(variance + 1e-5);
      levels[b * x.shape[channel] + c] = level;
      spreads[b * x.shape[channel] + c] = std;
      for (const i of indexes)
        y[i] = ((x.data[i] - level) / std) * (gamma ? gamma[c] : 1) + (beta ? beta[c] : 0);
    }
    return { y, more: [Float64Array.from(levels), Float64Array.from(spreads)] };
  };
}

function dain(channel: number, level: number): Row["expected"] {
  return ([x], weights, { mask }: Call) => {
    const [batch, features] = [x.shape[0], x.shape[channel]];
    const groups = groupsBy(x.shape, (position) => `${position[0]},${position[channel]}`, mask);
    const within = (b: number, c: number) => groups.get(`${b},${c}`) ?? [];
    const y = each(x.shape, (_, i) => x.data[i], mask);
    const statistic = (value: (values: number[]) => number): Values64 => ({
      shape: [batch, features],
      data: Float64Array.from({ length: batch * features }, (_, i) =>
        value(within(Math.floor(i / features), i % features).map((at) => y[at])),
      ),
    });
    const change = (value: (old: number, b: number, c: number) => number) => {
      for (let b = 0; b < batch; b++)
        for (let c = 0; c < features; c++) for (const i of within(b, c)) y[i] = value(y[i], b, c);
    };
    const means = statistic(average);
    change((old, b, c) =>
      level === 0 ? old - means.data[b * features + c] : old - dense(means, weights.shiftKernel, b, c),
    );
    if (level < 2) return { y };
    const spreads = statistic((values) => Math.sqrt(average(values.map((value) => value ** 2)) + 1e-8));
    change((old, b, c) => {
      const scale = dense(spreads, weights.scaleKernel, b, c);
      return scale <= 1e-8 ? old : old / scale;
    });
    if (level < 3) return { y };
    const after = statistic(average);
    change((old, b, c) => old * sigmoid(dense(after, weights.gateKernel, b, c, weights.gateBias)));
    return { y };
  };
}

/** Scales away from 0, where differences of a quotient say nothing. */
const positiveScales = (name: string, values: Float64Array) =>
  name === "scaleKernel" ? values.map(Math.abs) : values;

export const adaptive: Row[] = [
  {
    norm: adaptiveInstanceNorm(),
    shapes: [
      [2, 5, 3],
      [2, 4, 2, 3],
    ],
    expected([x, style], _, { mask }) {
      const { xHat } = standardized(x, exampleAndLast, { epsilon: 1e-5, mask });
      const groups = groupsBy(style.shape, exampleAndLast);
      const of = (position: readonly number[]) => measure(style, groups.get(exampleAndLast(position)) ?? []);
      return {
        y: each(
          x.shape,
          (position, i) => {
            const { mean, variance } = of(position);
            return Math.sqrt(variance + 1e-5) * xHat[i] + mean;
          },
          mask,
        ),
      };
    },
  },
  {
    name: "channels first",
    norm: adaptiveInstanceNorm({ axis: 1, epsilon: 0.1 }),
    shapes: [
      [2, 3, 2, 3],
      [2, 3, 7],
    ],
    mask: [2, 1, 2, 3],
    expected([x, style], _, { mask }) {
      const key = ([b, c]: readonly number[]) => `${b},${c}`;
      const { xHat } = standardized(x, key, { epsilon: 0.1, mask });
      const groups = groupsBy(style.shape, key);
      return {
        y: each(
          x.shape,
          (position, i) => {
            const { mean, variance } = measure(style, groups.get(key(position)) ?? []);
            return Math.sqrt(variance + 0.1) * xHat[i] + mean;
          },
          mask,
        ),
      };
    },
  },
  {
    norm: adaptiveLayerNorm(),
    shapes: [
      [3, 4, 5],
      [3, 2],
    ],
    expected: adaptiveLayer(2),
  },
  {
    name: "zero, channels first",
    norm: adaptiveLayerNorm({ zero: true, axis: 1, activation: "none" }),
    shapes: [
      [2, 4, 3, 2],
      [2, 3],
    ],
    mask: [2, 1, 3],
    expected: adaptiveLayer(1, true, false),
  },
  {
    norm: conditionalBatchNorm(),
    shapes: [
      [4, 5, 3],
      [4, 2],
    ],
    expected: fromVector,
  },
  {
    name: "shares of classes",
    norm: conditionalBatchNorm({ classes: 2 }),
    shapes: [
      [4, 2, 2, 3],
      [4, 2],
    ],
    expected: fromShares,
  },
  {
    norm: featureWiseLinearModulation(),
    shapes: [
      [3, 4, 5],
      [3, 2],
    ],
    expected([x, condition], { gamma, beta, gammaKernel, betaKernel }, { mask }) {
      const value = (position: readonly number[], i: number) => {
        const [b, c] = [position[0], last(position)];
        return (
          x.data[i] * dense(condition, gammaKernel, b, c, gamma) + dense(condition, betaKernel, b, c, beta)
        );
      };
      return { y: each(x.shape, value, mask) };
    },
  },
  {
    name: "channels first",
    norm: featureWiseLinearModulation({ axis: 1 }),
    shapes: [
      [2, 3, 2, 2],
      [2, 4],
    ],
    mask: null,
    expected([x, condition], { gamma, beta, gammaKernel, betaKernel }) {
      const value = ([b, c]: readonly number[], i: number) =>
        x.data[i] * dense(condition, gammaKernel, b, c, gamma) + dense(condition, betaKernel, b, c, beta);
      return { y: each(x.shape, value) };
    },
  },
  { norm: switchableNorm(), shapes: [[3, 5, 4]], expected: switchable(2) },
  {
    name: "channels first",
    norm: switchableNorm({ axis: 1 }),
    shapes: [[2, 3, 3, 2]],
    mask: [2, 1, 3],
    expected: switchable(1),
  },
  {
    norm: reversibleInstanceNorm(),
    shapes: [[2, 5, 3]],
    expected: reversible(2),
  },
  {
    name: "features first, without gamma and beta",
    norm: reversibleInstanceNorm({ axis: 1, scale: false, center: false }),
    shapes: [[2, 3, 5]],
    mask: [2, 1, 5],
    expected: reversible(1),
  },
  {
    name: "from the last value",
    norm: reversibleInstanceNorm({ subtractLast: true }),
    shapes: [[2, 6, 3]],
    expected: reversible(2, lastAndVariance),
  },
  {
    norm: robustReversibleInstanceNorm(),
    shapes: [[2, 7, 3]],
    expected: reversible(2, medianAndDeviation),
  },
  {
    name: "features first, without gamma and beta",
    norm: robustReversibleInstanceNorm({ axis: 1, scale: false, center: false }),
    shapes: [[2, 3, 6]],
    mask: [2, 1, 6],
    expected: reversible(1, medianAndDeviation),
  },
  {
    name: "over two axes of time",
    norm: robustReversibleInstanceNorm(),
    shapes: [[2, 3, 4, 3]],
    expected: reversible(3, medianAndDeviation),
  },
  {
    name: "mostly equal values",
    norm: robustReversibleInstanceNorm(),
    shapes: [[2, 8, 3]],
    input: (value) => Math.max(value, 0.9),
    expected: reversible(2, medianAndDeviation),
  },
  {
    norm: reversibleInstanceDenorm({ epsilon: 0.5 }),
    shapes: [
      [2, 4, 3],
      [2, 1, 3],
      [2, 1, 3],
    ],
    expected([z, level, std], { gamma, beta }, { mask }) {
      const value = ([b, , c]: readonly number[], i: number) =>
        ((z.data[i] - beta[c]) / (gamma[c] + 0.25)) * std.data[b * 3 + c] + level.data[b * 3 + c];
      return { y: each(z.shape, value, mask) };
    },
  },
  { norm: deepAdaptiveInputNorm(), shapes: [[3, 6, 4]], weights: positiveScales, expected: dain(2, 3) },
  {
    name: "up to the scale, features first",
    norm: deepAdaptiveInputNorm({ mode: "adaptiveScale", axis: 1 }),
    shapes: [[2, 4, 5]],
    weights: positiveScales,
    mask: [2, 1, 5],
    expected: dain(1, 2),
  },
  {
    name: "up to the shift",
    norm: deepAdaptiveInputNorm({ mode: "adaptiveShift" }),
    shapes: [[2, 5, 3]],
    expected: dain(2, 1),
  },
  {
    name: "the mean alone",
    norm: deepAdaptiveInputNorm({ mode: "averageOnly" }),
    shapes: [[2, 5, 3]],
    expected: dain(2, 0),
  },
];
