/**
 * Running statistics: what batch normalization and its relatives store of training batches for evaluation.
 *
 *     exponential   running = momentum·running + (1 − momentum)·batch
 *     cumulative    running = the plain mean over all batches so far             (PyTorch's momentum=None)
 *     epoch         running = the exact statistics of all examples since the last reset, merged by count
 *                   (Chan, Golub & LeVeque 1979)
 *
 * With micro-batches, the statistics of that many calls are merged first and then update the running ones once, as one batch.
 *
 * A mask may leave a batch fewer than two values of a channel, which have no variance: its running statistics are then unchanged
 * (an epoch's accept a single value). Counts are float32, exact up to 2²⁴: a cumulative average stops counting after 16.8 million
 * batches, and in an epoch of more values per channel batches have weights of 7 digits.
 */
import { warnOnce } from "../options.js";
import { described, sameShape } from "../shape.js";
import { buffer, type Weight } from "./normalization.js";
import type { Operand, Ops } from "./ops.js";

/** Options of running statistics. */
export interface RunningOptions {
  /** Weight of the old running value. Default 0.9 (ONNX, MXNet; PyTorch's momentum 0.1 is the same). */
  momentum?: number;
  /** Estimator of the running variance: biased (default), or unbiased, count/(count − 1) times it, as in PyTorch. */
  runningVariance?: "biased" | "unbiased";
  /** How batches are averaged. Default `exponential`. */
  average?: "exponential" | "cumulative" | "epoch";
  /** Number of calls merged into one update, for gradient accumulation. Default 1. */
  microBatches?: number;
}

/** Mean and biased variance of `count` values. */
export interface Measured<T> {
  readonly mean: T;
  readonly variance: T;
  readonly count: Operand<T>;
}

export const runningDefaults = {
  momentum: 0.9,
  runningVariance: "biased",
  average: "exponential",
  microBatches: 1,
} as const satisfies RunningOptions;

/** @throws RangeError for an option out of range. */
export function checkRunning(
  norm: string,
  { momentum, runningVariance, average, microBatches }: Required<RunningOptions>,
): Required<RunningOptions> {
  checkMomentum(norm, "momentum", momentum);
  if (runningVariance !== "biased" && runningVariance !== "unbiased") {
    throw new RangeError(`${norm}: runningVariance must be "biased" or "unbiased", got "${runningVariance}"`);
  }
  if (average !== "exponential" && average !== "cumulative" && average !== "epoch") {
    throw new RangeError(`${norm}: average must be "exponential", "cumulative" or "epoch", got "${average}"`);
  }
  if (!Number.isInteger(microBatches) || microBatches < 1) {
    throw new RangeError(`${norm}: microBatches must be an integer of at least 1, got ${microBatches}`);
  }
  return { momentum, runningVariance, average, microBatches };
}

/**
 * Momentum is the weight of the old value; PyTorch's is that of the new one, and a value below a half is most likely meant so: warns.
 * @throws RangeError for a momentum that is not from 0 to 1
 */
export function checkMomentum(norm: string, name: string, momentum: number): void {
  if (!(typeof momentum === "number" && momentum >= 0 && momentum <= 1)) {
    throw new RangeError(
      `${norm}: ${name} must be from 0 to 1 (the weight of the old value), got ${described(momentum)}`,
    );
  }
  if (momentum > 0 && momentum < 0.5) {
    warnOnce(
      `${norm}: ${name} ${momentum} is the weight of the old value here, so that the running statistics are little more than the ` +
        `last batch's; did you mean ${Number((1 - momentum).toFixed(6))}, which PyTorch calls ${momentum}?`,
    );
  }
}

/** The state of running statistics: one mean and variance per kept position. */
export function runningWeights(
  shape: readonly number[],
  { average, microBatches }: Required<RunningOptions>,
): Record<string, Weight> {
  const counting = average !== "exponential";
  return {
    runningMean: buffer(shape, 0, counting),
    runningVariance: buffer(shape, 1, counting),
    // of batches (cumulative) or values (epoch); per channel, since a mask may differ between channels
    ...(counting && { runningCount: buffer(shape, 0) }),
    ...(microBatches > 1 && {
      pendingMean: buffer(shape, 0),
      pendingVariance: buffer(shape, 0),
      pendingCount: buffer(shape, 0),
      pendingBatches: buffer([1], 0),
    }),
  };
}

/** The new state after a training batch with these statistics. */
export function track<T>(
  ops: Ops<T>,
  state: Readonly<Record<string, T>>,
  measured: Measured<T>,
  options: Required<RunningOptions>,
): Record<string, T> {
  const shape = ops.shape(state.runningMean);
  const shaped = (statistic: T) =>
    sameShape(ops.shape(statistic), shape) ? statistic : ops.reshape(statistic, shape);
  const batch = {
    mean: shaped(measured.mean),
    variance: shaped(measured.variance),
    count: measured.count,
  };
  if (options.microBatches === 1) return updated(ops, state, batch, options);
  const { pendingMean, pendingVariance, pendingCount, pendingBatches } = state;
  const pending = merged(ops, { mean: pendingMean, variance: pendingVariance, count: pendingCount }, batch);
  const batches = ops.add(pendingBatches, 1);
  const complete = ops.greater(batches, options.microBatches - 0.5);
  const after: Record<string, T> = {
    pendingMean: ops.where(complete, 0, pending.mean),
    pendingVariance: ops.where(complete, 0, pending.variance),
    pendingCount: ops.where(complete, 0, pending.count),
    pendingBatches: ops.where(complete, 0, batches),
  };
  const next = updated(ops, state, pending, options);
  for (const [name, values] of Object.entries(next)) after[name] = ops.where(complete, values, state[name]);
  return after;
}

/** Chan, Golub & LeVeque 1979, with the variance instead of m2. */
function merged<T>(ops: Ops<T>, a: Measured<T>, b: Measured<T>): Measured<T> & { count: T } {
  const count = ops.add(a.count, b.count);
  const fraction = ops.div(b.count, ops.max(count, 1));
  const distance = ops.sub(b.mean, a.mean);
  const within = ops.add(ops.mul(a.variance, ops.sub(1, fraction)), ops.mul(b.variance, fraction));
  const between = ops.mul(ops.mul(distance, distance), ops.mul(fraction, ops.sub(1, fraction)));
  return { mean: ops.add(a.mean, ops.mul(distance, fraction)), variance: ops.add(within, between), count };
}

/** The running statistics after a complete batch. */
function updated<T>(
  ops: Ops<T>,
  state: Readonly<Record<string, T>>,
  batch: Measured<T>,
  { momentum, runningVariance, average }: Required<RunningOptions>,
): Record<string, T> {
  const { runningMean, runningVariance: oldVariance, runningCount } = state;
  const unbiased = runningVariance === "unbiased";
  const corrected = (variance: T, count: Operand<T>) =>
    unbiased ? unbiasedOf(ops, variance, count) : variance;
  if (average === "epoch") {
    // the stored variance may be unbiased, the merged ones are biased. A reset clears the count only: evaluation still uses the old ones
    const biased = unbiased
      ? ops.mul(oldVariance, ops.div(ops.max(ops.sub(runningCount, 1), 0), ops.max(runningCount, 1)))
      : oldVariance;
    const before = {
      mean: ops.where(runningCount, runningMean, 0),
      variance: ops.where(runningCount, biased, 0),
      count: runningCount,
    };
    const all = merged(ops, before, batch);
    const next = {
      runningMean: all.mean,
      runningVariance: corrected(all.variance, all.count),
      runningCount: all.count,
    };
    return whereMeasured(ops, batch.count, 1, next, state);
  }
  const batches = average === "cumulative" ? ops.add(runningCount, 1) : undefined;
  const weight: Operand<T> = batches === undefined ? 1 - momentum : ops.div(1, batches);
  const next = {
    runningMean: movingAverage(ops, runningMean, batch.mean, weight),
    runningVariance: movingAverage(ops, oldVariance, corrected(batch.variance, batch.count), weight),
    ...(batches !== undefined && { runningCount: batches }),
  };
  return whereMeasured(ops, batch.count, 2, next, state);
}

/** The unbiased variance of `count` values from the biased one. */
export function unbiasedOf<T>(ops: Ops<T>, variance: T, count: Operand<T>): T {
  return ops.mul(variance, ops.div(count, ops.max(ops.sub(count, 1), 1)));
}

/** A moving average's next value; `weight` is that of the new value. */
export function movingAverage<T>(ops: Ops<T>, old: T, value: T, weight: Operand<T>): T {
  const rest = typeof weight === "number" ? 1 - weight : ops.sub(1, weight);
  return ops.add(ops.mul(old, rest), ops.mul(value, weight));
}

/** The next state where at least `least` values were measured, the old one elsewhere. */
export function whereMeasured<T>(
  ops: Ops<T>,
  count: Operand<T>,
  least: number,
  next: Readonly<Record<string, T>>,
  state: Readonly<Record<string, T>>,
): Record<string, T> {
  if (typeof count === "number") return { ...next };
  const enough = ops.greater(count, least - 0.5);
  return Object.fromEntries(
    Object.entries(next).map(([name, values]) => [name, ops.where(enough, values, state[name])]),
  );
}
