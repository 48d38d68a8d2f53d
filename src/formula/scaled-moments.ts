/**
 * Moments with gradients, in units of the largest value: for formulas that divide x itself, not its distance from the mean, by a
 * standard deviation. x is read twice: for its sum and largest value, then for the distances and their squares.
 */
import { sizeOf } from "../shape.js";
import type { Operand, Ops } from "./ops.js";
import { averaging, axesExcept, mean, square } from "./terms.js";

/** Statistics over some axes, which remain with length 1: the mean is near + rest · unit, the biased variance variance · unit². */
export interface ScaledMoments<T> {
  /** The mean as a host's array holds it, without gradient. */
  readonly near: T;
  /** What is left of the mean, in units. */
  readonly rest: T;
  readonly variance: T;
  /** At least √epsilon, and above 0; without gradient. */
  readonly unit: T;
  /** (x − mean) / unit, of the shape of x; 0 where masked. */
  readonly distance: T;
}

/** Means of unmasked values, and what is largest among them, in arrays that broadcast to x. */
export interface Measuring<T> {
  /** The values, and 0 where masked. */
  masked(values: T): T;
  /** The mean of values that are 0 where masked. */
  average(values: T): T;
  /** The largest; of all that have one unit. */
  largest(values: T): T;
}

/**
 * Measures over axes, which remain with length 1.
 * @param units axes that share a unit, with `axes` among them, so that statistics of one unit can be merged; default: `axes`
 * @param fullMask the mask as ones and zeros of the whole shape; absent: nothing is masked
 */
export function measuring<T>(
  ops: Ops<T>,
  shape: readonly number[],
  axes: readonly number[],
  fullMask?: T,
  units = axes,
): Measuring<T> {
  const { masked, average } = averaging(ops, shape, axes, fullMask);
  return { masked, average, largest: (values) => ops.largest(values, units) };
}

/**
 * Measures over positions and groups of channels that follow one another. Values are only read by channel, as they lie in memory: what
 * belongs to a group is put together from its channels' sums, and given for each of them.
 */
export function measuringGroups<T>(
  ops: Ops<T>,
  shape: readonly number[],
  channel: number,
  groups: number,
  fullMask?: T,
): Measuring<T> {
  const positions = axesExcept(shape.length, 0, channel);
  const [batch, size] = [shape[0], shape[channel] / groups];
  const lengths = shape.map((length, axis) => (positions.includes(axis) ? 1 : length));
  const ones = ops.constant(new Float32Array(size).fill(1), [1, 1, size]);
  const grouped = (byChannel: T) => ops.reshape(byChannel, [batch, groups, size]);
  const forEach = (byGroup: T) => ops.reshape(ops.mul(byGroup, ones), lengths);
  const sumOf = (values: T) => forEach(ops.sum(grouped(ops.sum(values, positions)), [2]));
  const count: Operand<T> =
    fullMask === undefined ? (size * sizeOf(shape)) / sizeOf(lengths) : ops.max(sumOf(fullMask), 1);
  return {
    masked: (values) => (fullMask === undefined ? values : ops.where(fullMask, values, 0)),
    average: (values) => ops.div(sumOf(values), count),
    largest: (values) => forEach(ops.largest(grouped(ops.largest(values, positions)), [2])),
  };
}

/** @param epsilon what will be added to the variance; units are not below its root */
export function scaledMoments<T>(
  ops: Ops<T>,
  x: T,
  { masked, average, largest }: Measuring<T>,
  epsilon: number,
): ScaledMoments<T> {
  const values = masked(x);
  const near = ops.stop(average(values));
  const most = largest(ops.abs(values));
  const least = ops.max(most, Math.max(Math.sqrt(epsilon), LEAST_UNIT));
  const unit = ops.stop(epsilon > 0 ? least : ops.where(most, least, 1));
  const first = masked(ops.mul(ops.sub(values, near), ops.div(1, unit)));
  const rest = average(first);
  // not below 0 where rounding is all there is
  const variance = ops.max(ops.sub(average(square(ops, first)), square(ops, rest)), 0);
  return { near, rest, variance, unit, distance: masked(ops.sub(first, rest)) };
}

/** Its reciprocal is within float32's range. */
const LEAST_UNIT = 1e-37;

/**
 * √(variance · unit² + epsilon), of a variance in units. Where both are 0, it is far below the unit but not 0, so that its gradient is
 * finite.
 */
export function deviationOf<T>(ops: Ops<T>, variance: T, unit: T, epsilon: number): T {
  const guard = epsilon > 0 ? square(ops, ops.div(Math.sqrt(epsilon), unit)) : 0;
  return ops.mul(ops.sqrt(ops.max(ops.add(variance, guard), LEAST)), unit);
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
