/**
 * Moments with gradients, in units of the largest value: for formulas that divide x itself, not its distance from the mean, by a
 * standard deviation. x is read twice: for its sum and largest value, then for the distances and their squares.
 */
import type { Operand, Ops } from "./ops.js";
import { averaging, mean, square } from "./terms.js";

/** Statistics over some axes, which remain with length 1: the mean is near + rest · unit, the biased variance variance · unit². */
export interface ScaledMoments<T> {
  /** The mean as a host's array holds it, without gradient. */
  readonly near: T;
  /** What is left of the mean, in units. */
  readonly rest: T;
  readonly variance: T;
  /** At least √epsilon; without gradient. */
  readonly unit: T;
  /** (x − mean) / unit, of the shape of x; 0 where masked. */
  readonly distance: T;
}

/**
 * @param axes those that mean and variance run over
 * @param units those that share a unit: with `axes` among them, so that statistics of one unit can be merged
 * @param fullMask the mask as ones and zeros of the whole shape; absent: nothing is masked
 */
export function scaledMoments<T>(
  ops: Ops<T>,
  x: T,
  axes: readonly number[],
  units: readonly number[],
  epsilon: number,
  fullMask?: T,
): ScaledMoments<T> {
  const { masked, average } = averaging(ops, ops.shape(x), axes, fullMask);
  const values = masked(x);
  const near = ops.stop(average(values));
  const largest = ops.largest(ops.abs(values), units);
  const unit = ops.stop(epsilon > 0 ? ops.max(largest, Math.sqrt(epsilon)) : ops.where(largest, largest, 1));
  const first = masked(ops.div(ops.sub(values, near), unit));
  const rest = average(first);
  // not below 0 where rounding is all there is
  const variance = ops.max(ops.sub(average(square(ops, first)), square(ops, rest)), 0);
  return { near, rest, variance, unit, distance: masked(ops.sub(first, rest)) };
}

/** √(variance + epsilon), in units; far below 1 but not 0 where both are, so that its gradient is finite. */
export function deviationOf<T>(ops: Ops<T>, variance: T, unit: T, epsilon: number): T {
  const guard = epsilon > 0 ? square(ops, ops.div(Math.sqrt(epsilon), unit)) : 0;
  return ops.sqrt(ops.max(ops.add(variance, guard), LEAST));
}

/** Far below the variance, in units, of any values that float32 tells apart. */
const LEAST = 1e-30;

/** Mean and biased variance, with gradients. */
export interface Statistics<T> {
  readonly mean: T;
  readonly variance: T;
}

/** Statistics merged over these axes, which remain with length 1; weighted by `count`, equally if absent. */
export function pooled<T>(
  ops: Ops<T>,
  parts: Statistics<T>,
  axes: readonly number[],
  count: Operand<T> | undefined,
): Statistics<T> {
  const average = averageOver(ops, axes, count);
  const centre = average(parts.mean);
  const between = square(ops, ops.sub(parts.mean, centre));
  return { mean: centre, variance: average(ops.add(parts.variance, between)) };
}

/** The mean over these axes of values that stand for `count` others each; equally if absent. */
export function averageOver<T>(
  ops: Ops<T>,
  axes: readonly number[],
  count: Operand<T> | undefined,
): (values: T) => T {
  if (count === undefined || typeof count === "number") return (values) => mean(ops, values, axes);
  const total = ops.max(ops.sum(count, axes), 1);
  return (values) => ops.div(ops.sum(ops.mul(values, count), axes), total);
}
