/** Recurrent layers: one unit, one gate, one example at a time, as their papers' equations have them. */
import {
  layerNormGRU,
  layerNormGRUCell,
  layerNormLSTM,
  layerNormLSTMCell,
  layerNormRNN,
  layerNormRNNCell,
  recurrentBatchNorm,
} from "../../../src/index.js";
import { average, type Row, type Values64 } from "./row.js";

type Weights = Readonly<Record<string, Float64Array>>;

const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));

/** values · matrix [values.length, width]. */
function product(values: readonly number[], matrix: Float64Array): number[] {
  const width = matrix.length / values.length;
  return Array.from({ length: width }, (_, j) =>
    values.reduce((sum, value, i) => sum + value * matrix[i * width + j], 0),
  );
}

function normalized(
  values: readonly number[],
  gamma: ArrayLike<number>,
  beta: ArrayLike<number>,
  epsilon: number,
): number[] {
  const mean = average(values);
  const variance = average(values.map((value) => (value - mean) ** 2));
  return values.map((value, i) => ((value - mean) / Math.sqrt(variance + epsilon)) * gamma[i] + beta[i]);
}

/** The states of one example after one step. */
type Advance = (x: readonly number[], states: readonly number[][], weights: Weights) => number[][];

interface LSTM {
  epsilon?: number;
  carry?: "cell" | "normalized";
}

const lstm =
  ({ epsilon = 1e-5, carry = "cell" }: LSTM): Advance =>
  (x, [h, c], weights) => {
    const units = h.length;
    const a = normalized(product(x, weights.kernel), weights.kernelGamma, weights.kernelBeta, epsilon);
    const b = normalized(
      product(h, weights.recurrentKernel),
      weights.recurrentGamma,
      weights.recurrentBeta,
      epsilon,
    );
    const gate = (which: number, unit: number) => {
      const at = which * units + unit;
      return a[at] + b[at] + (weights.bias ? weights.bias[at] : 0);
    };
    const cell = c.map((old, u) => sigmoid(gate(1, u)) * old + sigmoid(gate(0, u)) * Math.tanh(gate(2, u)));
    const scaled = normalized(cell, weights.cellGamma, weights.cellBeta, epsilon);
    const next = scaled.map((value, u) => sigmoid(gate(3, u)) * Math.tanh(value));
    return [next, carry === "cell" ? cell : scaled];
  };

const gru: Advance = (x, [h], weights) => {
  const units = h.length;
  const part = (values: ArrayLike<number>, from: number, to: number) => Array.from(values).slice(from, to);
  const both = (values: number[], gamma: Float64Array, beta: Float64Array) =>
    [
      [0, 2 * units],
      [2 * units, 3 * units],
    ].map(([from, to]) =>
      normalized(part(values, from, to), part(gamma, from, to), part(beta, from, to), 1e-5),
    );
  const [ofX, candidateOfX] = both(product(x, weights.kernel), weights.kernelGamma, weights.kernelBeta);
  const [ofH, candidateOfH] = both(
    product(h, weights.recurrentKernel),
    weights.recurrentGamma,
    weights.recurrentBeta,
  );
  const next = h.map((old, u) => {
    const z = sigmoid(ofX[u] + ofH[u]);
    const r = sigmoid(ofX[units + u] + ofH[units + u]);
    return z * old + (1 - z) * Math.tanh(candidateOfX[u] + r * candidateOfH[u]);
  });
  return [next];
};

const simple: Advance = (x, [h], weights) => {
  const ofInput = product(x, weights.kernel);
  const sums = product(h, weights.recurrentKernel).map((value, u) => value + ofInput[u]);
  return [normalized(sums, weights.gamma, weights.bias, 1e-5).map(Math.tanh)];
};

/** A layer: each example on its own, from states of 0. */
function layer(advance: Advance, units: number, states: number, returnSequences = true): Row["expected"] {
  return ([{ shape, data }], weights, { mask }) => {
    const [batch, steps, features] = shape;
    const y: number[] = [];
    for (let b = 0; b < batch; b++) {
      let now = Array.from({ length: states }, () => new Array<number>(units).fill(0));
      for (let t = 0; t < steps; t++) {
        const from = (b * steps + t) * features;
        const counts = mask?.[from] !== 0;
        if (counts) now = advance([...data.slice(from, from + features)], now, weights);
        if (returnSequences) y.push(...(counts ? now[0] : new Array<number>(units).fill(0)));
      }
      if (!returnSequences) y.push(...now[0]);
    }
    return { y: Float64Array.from(y) };
  };
}

/** One step, of states that are given. */
function cell(advance: Advance): Row["expected"] {
  return ([x, ...states], weights, { mask }) => {
    const [batch, features] = x.shape;
    const rowOf = ({ shape, data }: Values64, b: number) => [...data.slice(b * shape[1], (b + 1) * shape[1])];
    const after = Array.from({ length: batch }, (_, b) => {
      const before = states.map((state) => rowOf(state, b));
      return mask?.[b * features] === 0 ? before : advance(rowOf(x, b), before, weights);
    });
    const [y, ...more] = states.map((_, i) => Float64Array.from(after.flatMap((one) => one[i])));
    return { y, more };
  };
}

interface Batch {
  units: number;
  maxLength: number;
  returnSequences?: boolean;
  /** The weight of the old running value, for a step that was seen so often. */
  momentum?: (seen: number) => number;
  unbiased?: boolean;
}

function recurrentBatch({
  units,
  maxLength,
  returnSequences = true,
  momentum = () => 0.9,
  unbiased = false,
}: Batch): Row["expected"] {
  return ([{ shape, data }], weights, { training, mask }) => {
    const [batch, steps, features] = shape;
    const width = 9 * units;
    const { runningMean, runningVariance, runningCount } = weights;
    const state = {
      runningMean: runningMean.slice(),
      runningVariance: runningVariance.slice(),
      runningCount: runningCount.slice(),
    };
    let h = Array.from({ length: batch }, () => new Array<number>(units).fill(0));
    let c = h;
    const y = new Float64Array(batch * steps * units);
    let last = 0;
    for (let t = 0; t < steps; t++) {
      const counted = h.map((_, b) => mask?.[(b * steps + t) * features] !== 0);
      const those = [...counted.keys()].filter((b) => counted[b]);
      if (t < maxLength && runningCount[t] > 0) last = t;
      const at = t;
      const row = last;
      /** Standardizes one sum over the batch, which is column `column` of the running statistics. */
      const standardized = (values: readonly number[], column: number) => {
        const some = those.map((b) => values[b]);
        const mean = average(some);
        const variance = average(some.map((value) => (value - mean) ** 2));
        if (training && those.length > 1 && at < maxLength) {
          const keep = momentum(runningCount[at]);
          const i = at * width + column;
          const seen = variance * (unbiased ? those.length / (those.length - 1) : 1);
          state.runningMean[i] = keep * runningMean[i] + (1 - keep) * mean;
          state.runningVariance[i] = keep * runningVariance[i] + (1 - keep) * seen;
          state.runningCount[at] = runningCount[at] + 1;
        }
        const [centre, spread] = training
          ? [mean, variance]
          : [runningMean[row * width + column], runningVariance[row * width + column]];
        return values.map((value) => (value - centre) / Math.sqrt(spread + 1e-5));
      };
      const columnOf = (rows: readonly number[][], j: number) => rows.map((one) => one[j]);
      const ofX = h.map((_, b) => {
        const from = (b * steps + at) * features;
        return product([...data.slice(from, from + features)], weights.kernel);
      });
      const ofH = h.map((one) => product(one, weights.recurrentKernel));
      const sums = Array.from({ length: 4 * units }, (_, j) => {
        const first = standardized(columnOf(ofX, j), j);
        const second = standardized(columnOf(ofH, j), 4 * units + j);
        return first.map(
          (value, b) =>
            value * weights.kernelGamma[j] + second[b] * weights.recurrentGamma[j] + weights.bias[j],
        );
      });
      const gate = (which: number, u: number, b: number) => sums[which * units + u][b];
      const cells = c.map((old, b) =>
        old.map(
          (value, u) => sigmoid(gate(1, u, b)) * value + sigmoid(gate(0, u, b)) * Math.tanh(gate(2, u, b)),
        ),
      );
      const outer = Array.from({ length: units }, (_, u) =>
        standardized(columnOf(cells, u), 8 * units + u).map(
          (value, b) =>
            sigmoid(gate(3, u, b)) * Math.tanh(value * weights.cellGamma[u] + weights.cellBeta[u]),
        ),
      );
      h = h.map((old, b) => (counted[b] ? outer.map((values) => values[b]) : old));
      c = c.map((old, b) => (counted[b] ? cells[b] : old));
      h.forEach((values, b) => {
        if (counted[b]) y.set(values, (b * steps + at) * units);
      });
    }
    return { y: returnSequences ? y : Float64Array.from(h.flat()), ...(training && { state }) };
  };
}

export const recurrent: Row[] = [
  {
    norm: layerNormRNN({ units: 5 }),
    shapes: [[2, 3, 3]],
    expected: layer(simple, 5, 1),
  },
  {
    norm: layerNormRNNCell({ units: 4 }),
    shapes: [
      [3, 5],
      [3, 4],
    ],
    mask: [3],
    expected: cell(simple),
  },
  { norm: layerNormLSTM({ units: 3 }), shapes: [[2, 4, 3]], expected: layer(lstm({}), 3, 2) },
  {
    name: "as TensorFlow Addons, the last state",
    norm: layerNormLSTM({
      units: 2,
      epsilon: 1e-3,
      carry: "normalized",
      useBias: false,
      returnSequences: false,
    }),
    shapes: [[3, 5, 4]],
    expected: layer(lstm({ epsilon: 1e-3, carry: "normalized" }), 2, 2, false),
  },
  {
    norm: layerNormLSTMCell({ units: 3 }),
    shapes: [
      [4, 5],
      [4, 3],
      [4, 3],
    ],
    mask: [4],
    expected: cell(lstm({})),
  },
  { norm: layerNormGRU({ units: 3 }), shapes: [[2, 4, 3]], expected: layer(gru, 3, 1) },
  {
    name: "the last state",
    norm: layerNormGRU({ units: 4, returnSequences: false }),
    shapes: [[3, 3, 2]],
    expected: layer(gru, 4, 1, false),
  },
  {
    norm: layerNormGRUCell({ units: 3 }),
    shapes: [
      [4, 5],
      [4, 3],
    ],
    mask: [4],
    expected: cell(gru),
  },
  {
    norm: recurrentBatchNorm({ units: 2, maxLength: 3 }),
    shapes: [[5, 4, 3]],
    expected: recurrentBatch({ units: 2, maxLength: 3 }),
  },
  {
    name: "the last state, cumulative and unbiased, with steps that were never seen",
    norm: recurrentBatchNorm({
      units: 2,
      maxLength: 6,
      returnSequences: false,
      average: "cumulative",
      runningVariance: "unbiased",
    }),
    shapes: [[4, 5, 2]],
    expected: recurrentBatch({
      units: 2,
      maxLength: 6,
      returnSequences: false,
      momentum: (seen) => seen / (seen + 1),
      unbiased: true,
    }),
    weights: (name, values) =>
      name === "runningCount" ? values.map((_, step) => [4, 0, 2, 0, 0, 1][step]) : values,
  },
];
