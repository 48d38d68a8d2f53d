/**
 * The LSTM with batch-normalized input and recurrent pre-activations, and cell, with separate statistics for each time step.
 *
 *     (i, f, g, o) = BN(x·W; gamma₁) + BN(h·U; gamma₂) + b
 *     c' = sigmoid(f)·c + sigmoid(i)·tanh(g)        h' = sigmoid(o)·tanh(BN(c'; gamma₃, beta₃))
 *
 * Cooijmans, Ballas, Laurent, Gülçehre & Courville 2017, arXiv 1603.09025. Axes: x is [batch, time, features]; each
 * pre-activation of each step is normalized over the batch: variance biased, epsilon inside the root. The gammas are initialized
 * to 0.1; a beta of the first two would duplicate b. Gates in Keras's order i, f, c, o.
 *
 * Evaluation uses running statistics (formula/running.ts) of the time step; a step that training has not seen, or beyond
 * `maxLength`, uses those of the last earlier step that has them.
 */
import { channelPlan } from "../formula/channels.js";
import { checkEpsilon, checkFinite } from "../formula/checks.js";
import { standardizing } from "../formula/merging.js";
import { buffer, type Normalization, normalization, trained } from "../formula/normalization.js";
import type { NormalizeResult, Operand, Ops } from "../formula/ops.js";
import { type FusedNorm, memoizeLast, planOf } from "../formula/plan.js";
import { checkRunning, type RunningOptions, runningDefaults, track } from "../formula/running.js";
import {
  byTime,
  checkSequence,
  checkUnits,
  kernelsFor,
  lstmBias,
  lstmStep,
  outputsOf,
  parts,
  type SequenceOptions,
  type Sequences,
  unrolled,
} from "../formula/sequences.js";
import type { Settled } from "../options.js";

/** Options of `recurrentBatchNorm`. */
export interface RecurrentBatchNormOptions extends SequenceOptions, Omit<RunningOptions, "microBatches"> {
  /** Number of time steps with running statistics; later ones use the last step's. Default 100. */
  maxLength?: number;
  /** Initial value of the gammas. Default 0.1, as in the paper: with 1 the gradient vanishes in the saturated tanh. */
  gamma?: number;
  /** Whether b is initialized to 1 for the forget gate (default, as in Keras) instead of 0. */
  unitForgetBias?: boolean;
}

/** Statistics of each step, one row each: of x·W (4·units columns), h·U (4·units) and the cell (units). */
interface Statistics<T> {
  readonly mean: T;
  readonly variance: T;
}

/**
 * x [batch, time, features] to y [batch, time, units], or [batch, units] if `returnSequences` is false.
 * Weights: kernel [features, 4·units], recurrentKernel [units, 4·units], bias [4·units]; kernelGamma and recurrentGamma [4·units],
 * cellGamma and cellBeta [units]; running statistics [maxLength, 9·units] (state).
 * @throws TypeError without units; RangeError for options out of range and, when called, for an x without three axes
 */
export const recurrentBatchNorm = normalization(
  {
    name: "recurrentBatchNorm",
    title: "Recurrent batch normalization",
    summary: "an LSTM with batch normalization at each time step; for large batches of aligned sequences",
    paper: "Cooijmans et al. 2017, arXiv 1603.09025",
    takes: "sequence",
  },
  {
    units: undefined,
    returnSequences: true,
    epsilon: 1e-5,
    seed: 0,
    maxLength: 100,
    gamma: 0.1,
    unitForgetBias: true,
    momentum: runningDefaults.momentum,
    runningVariance: runningDefaults.runningVariance,
    average: runningDefaults.average,
  },
  ({
    units: length,
    returnSequences,
    epsilon,
    seed,
    maxLength,
    gamma: start,
    unitForgetBias,
    momentum,
    runningVariance,
    average,
  }: Settled<RecurrentBatchNormOptions, "units">) => {
    const name = "recurrentBatchNorm";
    const units = checkUnits(name, length, 1);
    checkEpsilon(name, epsilon);
    checkFinite(name, "gamma", start);
    if (!Number.isInteger(maxLength) || maxLength < 1) {
      throw new RangeError(`${name}: maxLength must be an integer of at least 1, got ${maxLength}`);
    }
    const running = checkRunning(name, { ...runningDefaults, momentum, runningVariance, average });
    const kernels = kernelsFor(name, units, 4, seed);
    const norm = { name, epsilon, centered: true };
    // all steps at once: [time, batch, 4·units]
    const ofInput: FusedNorm = {
      ...norm,
      plan: memoizeLast((shape) => planOf(shape, shape, [0, 2], [2])),
    };
    const [ofState, ofCell] = [0, 1].map((): FusedNorm => ({ ...norm, plan: channelPlan(name, -1) }));

    return {
      handles: { mask: true, merge: true },
      weights(shape) {
        checkSequence(name, shape);
        return {
          ...kernels(shape[2]),
          bias: lstmBias(units, unitForgetBias),
          kernelGamma: trained([4 * units], start),
          recurrentGamma: trained([4 * units], start),
          cellGamma: trained([units], start),
          cellBeta: trained([units], 0),
          runningMean: buffer([maxLength, 9 * units], 0),
          runningVariance: buffer([maxLength, 9 * units], 1),
          // number of batches that a step occurred in; of values, if the average is an epoch's
          runningCount: buffer([maxLength, 1], 0),
        };
      },
      outputs: (shape) => outputsOf(shape, units, returnSequences),
      apply(ops, [x], { kernel, recurrentKernel, bias, ...weights }, { training, mask, warn, merge }) {
        const { kernelGamma, recurrentGamma, cellGamma, cellBeta, ...state } = weights;
        const sequences = byTime(ops, name, x, mask);
        const { batch, steps, rows, counts } = sequences;
        const given = training ? undefined : runningOf(ops, state, steps);
        /** Columns of the running statistics: of all steps, and per step. */
        const part = (from: number, to: number) => {
          if (!given) return { all: {}, each: undefined };
          const mean = ops.slice(given.mean, 1, from * units, to * units);
          const variance = ops.slice(given.variance, 1, from * units, to * units);
          const means = parts(ops, mean, steps);
          const variances = parts(ops, variance, steps);
          return {
            all: { mean, variance },
            each: means.map((row, i) => ({ mean: row, variance: variances[i] })),
          };
        };
        const standardize = standardizing(merge);
        const projected = ops.normalize(
          ofInput,
          ops.reshape(ops.matMul(rows, kernel), [steps, batch, 4 * units]),
          {
            gamma: kernelGamma,
            beta: bias,
            mask: counts && ops.reshape(counts.rows, [steps, batch, 1]),
            standardize,
            ...part(0, 4).all,
          },
        );
        const [stateStatistics, cellStatistics] = [part(4, 8).each, part(8, 9).each];
        const measured: NormalizeResult<typeof x>[][] = [];
        const input = ops.reshape(projected.y, [steps * batch, 4 * units]);
        const y = unrolled(
          ops,
          sequences,
          [input],
          { units, states: 2, returnSequences },
          ([now], [h, c], time, counted) => {
            const recurrent = ops.normalize(ofState, ops.matMul(h, recurrentKernel), {
              gamma: recurrentGamma,
              mask: counted,
              standardize,
              ...stateStatistics?.[time],
            });
            const next = lstmStep(ops, ops.add(now, recurrent.y), c, (cell) => {
              const normalized = ops.normalize(ofCell, cell, {
                gamma: cellGamma,
                beta: cellBeta,
                mask: counted,
                standardize,
                ...cellStatistics?.[time],
              });
              measured.push([recurrent, normalized]);
              return normalized.y;
            });
            return [next.h, next.cell];
          },
        );
        if (!training) return { y };
        if (!merge && batch === 1) {
          warn?.(
            `${name}: a training batch of shape [${ops.shape(x).join(", ")}] has one sequence, of which every step is its own mean: ` +
              "y does not depend on x, and the running statistics were left as they were; train on larger batches, or use layerNormLSTM",
          );
          return { y };
        }
        /** One row per step. */
        const gathered = (statistic: "mean" | "variance") => {
          const of = (results: readonly NormalizeResult<typeof x>[], width: number) =>
            ops.concat(
              results.map((result) => ops.reshape(found(result[statistic]), [1, width * units])),
              0,
            );
          const ofInputs = ops.reshape(found(projected[statistic]), [steps, 4 * units]);
          return ops.concat(
            [
              ofInputs,
              of(
                measured.map(([first]) => first),
                4,
              ),
              of(
                measured.map(([, second]) => second),
                1,
              ),
            ],
            1,
          );
        };
        const statistics = { mean: gathered("mean"), variance: gathered("variance") };
        const { count } = projected;
        // all columns of a step have as many
        const perStep = count && ops.slice(ops.reshape(count, [steps, 4 * units]), 1, 0, 1);
        return { y, state: updated(ops, state, statistics, sequences, running, perStep) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

function found<T>(statistic: T | undefined): T {
  if (statistic === undefined) throw new Error("recurrentBatchNorm: the host measured nothing");
  return statistic;
}

/** Running statistics of `steps` steps, one row each: those of the last step so far that training has seen. */
function runningOf<T>(
  ops: Ops<T>,
  { runningMean, runningVariance, runningCount }: Readonly<Record<string, T>>,
  steps: number,
): Statistics<T> {
  const columns = ops.concat([runningMean, runningVariance], 1);
  const [maxLength, width] = ops.shape(columns);
  const rows: T[] = [ops.slice(columns, 0, 0, 1)];
  for (let time = 1; time < steps; time++) {
    const last = rows[time - 1];
    if (time >= maxLength) {
      rows.push(last);
      continue;
    }
    const trained = ops.greater(ops.slice(runningCount, 0, time, time + 1), 0.5);
    rows.push(ops.where(trained, ops.slice(columns, 0, time, time + 1), last));
  }
  const all = ops.concat(rows, 0);
  return { mean: ops.slice(all, 1, 0, width / 2), variance: ops.slice(all, 1, width / 2, width) };
}

/**
 * The state after a training batch: steps with fewer than two unmasked sequences are unchanged.
 * @param merged the number of sequences in all places, [steps, 1]; absent: they are all here
 */
function updated<T>(
  ops: Ops<T>,
  state: Readonly<Record<string, T>>,
  { mean, variance }: Statistics<T>,
  { batch, steps, counts }: Sequences<T>,
  running: Required<RunningOptions>,
  merged: T | undefined,
): Record<string, T> {
  const [maxLength] = ops.shape(state.runningMean);
  const tracked = Math.min(steps, maxLength);
  const first = (rows: T, length = tracked) => ops.slice(rows, 0, 0, length);
  const before = Object.fromEntries(Object.entries(state).map(([name, rows]) => [name, first(rows)]));
  const perStep = merged ?? (counts && ops.reshape(ops.sum(counts.mask, [0]), [steps, 1]));
  const count: Operand<T> = perStep === undefined ? batch : first(perStep);
  const after = {
    runningCount: ops.add(before.runningCount, 1),
    ...track(ops, before, { mean: first(mean), variance: first(variance), count }, running),
  };
  const enough = ops.greater(count, 1.5);
  return Object.fromEntries(
    Object.entries(after).map(([name, rows]) => {
      const next = ops.where(enough, rows, before[name]);
      const rest = tracked < maxLength ? [ops.slice(state[name], 0, tracked, maxLength)] : [];
      return [name, ops.concat([next, ...rest], 0)];
    }),
  );
}
