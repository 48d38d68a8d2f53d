/** Terms shared by formulas, composed from a host's `Ops`. */
import type { View } from "../view.js";
import type { ElementaryOps, Operand } from "./ops.js";

export function square<T>(ops: ElementaryOps<T>, x: T): T {
  return ops.mul(x, x);
}

/** The values of y, a function of x, whose derivative is `slope`: where its own parts' derivatives would cancel. */
export function withSlope<T>(ops: ElementaryOps<T>, y: T, x: T, slope: T): T {
  if (ops.withSlope) return ops.withSlope(y, x, slope);
  const finite = ops.min(ops.max(x, -3e38), 3e38);
  return ops.add(ops.stop(y), ops.mul(ops.sub(finite, ops.stop(finite)), ops.stop(slope)));
}

/** Mean over these axes, which remain with length 1. */
export function mean<T>(ops: ElementaryOps<T>, x: T, axes: readonly number[]): T {
  const shape = ops.shape(x);
  return ops.div(
    ops.sum(x, axes),
    axes.reduce((count, axis) => count * shape[axis], 1),
  );
}

/** Masked means over some axes, which remain with length 1. */
export interface Averaging<T> {
  /** Number of unmasked values, at least 1. */
  readonly count: Operand<T>;
  /** The values, and another where masked: 0 by default. */
  masked(values: T, other?: Operand<T>): T;
  /** The mean of values that are 0 where masked. */
  average(values: T): T;
}

/** @param fullMask the mask as ones and zeros of the whole shape; absent: nothing is masked */
export function averaging<T>(
  ops: ElementaryOps<T>,
  shape: readonly number[],
  axes: readonly number[],
  fullMask?: T,
): Averaging<T> {
  const count: Operand<T> =
    fullMask === undefined
      ? axes.reduce((product, axis) => product * shape[axis], 1)
      : ops.max(ops.sum(fullMask, axes), 1);
  return {
    count,
    masked: (values, other = 0) => (fullMask === undefined ? values : ops.where(fullMask, values, other)),
    average: (values) => ops.div(ops.sum(values, axes), count),
  };
}

/**
 * The mean, and x − mean, 0 where masked. Values are centred twice, about a value near the mean (by default the rounded mean) and
 * about the mean of the result, `rest`: a float32 mean far above the standard deviation is too coarse to be subtracted once.
 */
export function centered<T>(
  ops: ElementaryOps<T>,
  x: T,
  { masked: counting, average }: Averaging<T>,
  near?: T,
): { mean: T; near: T; rest: T; distance: T } {
  const values = counting(x);
  const about = ops.stop(near ?? average(values));
  const first = counting(ops.sub(values, about));
  const rest = average(first);
  return { mean: ops.add(about, rest), near: about, rest, distance: counting(ops.sub(first, rest)) };
}

/**
 * The median of unmasked values over these axes, which remain with length 1; 0 where there are none. It is near + rest, the lower
 * of the middle two values and half the distance to the other, which a float32 far from 0 may not hold. No gradient.
 */
export function median<T>(
  ops: ElementaryOps<T>,
  x: T,
  axes: readonly number[],
  { masked: counting, count }: Averaging<T>,
): { near: T; rest: T } {
  const shape = ops.shape(x);
  const kept = axesExcept(shape.length, ...axes);
  const size = (some: readonly number[]) => some.reduce((product, axis) => product * shape[axis], 1);
  const [rows, length] = [size(kept), size(axes)];
  const statistics = shape.map((all, axis) => (axes.includes(axis) ? 1 : all));
  const ordered = (values: T) =>
    ops.sorted(ops.reshape(ops.transpose(values, [...kept, ...axes]), [rows, length]));
  const between = (lower: T, upper: T) => {
    const [near, next] = [lower, upper].map((one) => ops.reshape(one, statistics));
    return { near, rest: ops.mul(ops.sub(next, near), 0.5) };
  };
  if (typeof count === "number") {
    const sorted = ordered(x);
    const at = (place: number) => ops.slice(sorted, 1, place, place + 1);
    return between(at(Math.ceil(count / 2) - 1), at(Math.floor(count / 2)));
  }
  // what is masked goes behind what is not
  const sorted = ordered(counting(x, ops.largest(counting(x), axes)));
  const least = ops.slice(sorted, 1, 0, 1);
  const twice = ops.constant(
    Float32Array.from({ length }, (_, place) => 2 * place),
    [1, length],
  );
  /** The last value at a place before half of `end`. */
  const before = (end: T) => ops.largest(ops.where(ops.greater(end, twice), sorted, least), [1]);
  const counts = ops.reshape(count, [rows, 1]);
  return between(before(counts), before(ops.add(counts, 1)));
}

/** Statistics over some axes, which remain with length 1. */
export interface Moments<T> extends Averaging<T> {
  readonly mean: T;
  /** Biased. */
  readonly variance: T;
  /** x − mean, of the shape of x; 0 where masked. More exact than subtracting the rounded mean. */
  readonly distance: T;
}

/**
 * Mean and biased variance of unmasked values over these axes, with gradients: for formulas that use statistics beyond the fused
 * operation. The mask broadcasts to x.
 */
export function moments<T>(ops: ElementaryOps<T>, x: T, axes: readonly number[], mask?: T): Moments<T> {
  const shape = ops.shape(x);
  const over = averaging(ops, shape, axes, mask === undefined ? undefined : broadcastMask(ops, mask, shape));
  const { mean, distance } = centered(ops, x, over);
  return { ...over, mean, distance, variance: over.average(square(ops, distance)) };
}

/**
 * √(mean(x²) + epsilon) = scale · root, and x / scale: scaled by the largest |x|, so that no square leaves float32's range.
 * If x and epsilon are all 0, root is far below 1 but not 0.
 */
export function rootMeanSquare<T>(
  ops: ElementaryOps<T>,
  x: T,
  axes: readonly number[],
  average: (values: T) => T,
  epsilon: number,
): { scaled: T; scale: T; power: T; root: T } {
  const largest = ops.largest(ops.abs(x), axes);
  const scale = epsilon > 0 ? ops.max(largest, Math.sqrt(epsilon)) : ops.where(largest, largest, 1);
  const scaled = ops.div(x, scale);
  const power = average(square(ops, scaled));
  const guard = epsilon > 0 ? square(ops, ops.div(Math.sqrt(epsilon), scale)) : 0;
  return { scaled, scale, power, root: ops.sqrt(ops.max(ops.add(power, guard), LEAST)) };
}

/** Far below any mean of squares of which the largest is 1. */
const LEAST = 1e-30;

/**
 * x = values·unit + origin with one origin and unit for all of x, both without gradient; values are 0 where masked. For formulas
 * that are shift- and scale-equivariant: their differences and squares then stay in float32's range.
 * @param fullMask the mask as ones and zeros of the whole shape
 * @param least the smallest unit, above 0
 */
export function inUnits<T>(
  ops: ElementaryOps<T>,
  x: T,
  fullMask: T | undefined,
  least: Operand<T>,
): { values: T; origin: T; unit: T } {
  const shape = ops.shape(x);
  const all = [...shape.keys()];
  const { average, masked: counting } = averaging(ops, shape, all, fullMask);
  const origin = ops.stop(average(counting(x)));
  const distance = counting(ops.sub(counting(x), origin));
  const largest = ops.largest(ops.abs(distance), all);
  const unit = ops.stop(ops.max(largest, least));
  return { values: ops.mul(distance, ops.div(1, unit)), origin, unit };
}

/** The length √Σx² over these axes, without overflow of squares; its gradient is 0 where x is all 0. */
export function lengthOf<T>(ops: ElementaryOps<T>, x: T, axes: readonly number[]): T {
  const { scale, power, root } = rootMeanSquare(ops, x, axes, (squares) => ops.sum(squares, axes), 0);
  return ops.where(power, ops.mul(scale, root), 0);
}

/** A mask as ones and zeros of the whole shape. */
export function broadcastMask<T>(ops: ElementaryOps<T>, mask: T, shape: readonly number[]): T {
  const lengths = ops.shape(mask);
  const padded = ops.reshape(mask, [...lengths, ...shape.slice(lengths.length).map(() => 1)]);
  return ops.where(
    padded,
    ops.constant(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape),
    0,
  );
}

/** A per-channel array as one that broadcasts over x: its values along `axis`, length 1 elsewhere. */
export function broadcastAlong<T>(ops: ElementaryOps<T>, values: T, rank: number, axis: number): T {
  const shape = new Array<number>(rank).fill(1);
  shape[axis] = ops.shape(values).reduce((a, b) => a * b, 1);
  return ops.reshape(values, shape);
}

/** All axes except those named. */
export function axesExcept(rank: number, ...excluded: number[]): number[] {
  return [...Array(rank).keys()].filter((axis) => !excluded.includes(axis));
}

/** x·gamma + beta, with a gamma and beta per kept position of the view; either may be absent. */
export function affine<T>(ops: ElementaryOps<T>, x: T, view: View, gamma?: T, beta?: T): T {
  const shape = ops.shape(x);
  if (gamma === undefined && beta === undefined) return x;
  const { k1, r1, k2, r2 } = view;
  let y = ops.reshape(x, [k1, r1, k2, r2]);
  const broadcast = (values: T) => ops.reshape(values, [k1, 1, k2, 1]);
  if (gamma !== undefined) y = ops.mul(y, broadcast(gamma));
  if (beta !== undefined) y = ops.add(y, broadcast(beta));
  return ops.reshape(y, shape);
}

/** Wider windows than this are not worth a reading of the array for each place. */
const MOST_SHIFTED = 16;

/**
 * Sums over a window along an axis: each place with `before` places before and `after` after it, zeros beyond the ends. Widths
 * double (sums over 2, 4, 8, ... places), so that the cost is logarithmic in the window's width.
 */
export function windowSum<T>(ops: ElementaryOps<T>, x: T, axis: number, before: number, after: number): T {
  const shape = ops.shape(x);
  const length = shape[axis];
  const [left, right] = [before, after].map((reach) => Math.min(reach, length - 1));
  const zeros = (count: number) => {
    const lengths = shape.map((all, one) => (one === axis ? count : all));
    return count === 0 ? [] : [ops.constant(new Float32Array(lengths.reduce((a, b) => a * b, 1)), lengths)];
  };
  if (ops.windowSum && left + right < MOST_SHIFTED) return ops.windowSum(x, axis, left, right);
  const window = left + right + 1;
  let sums = window === 1 ? x : ops.concat([...zeros(left), x, ...zeros(right)], axis);
  let total: T | undefined;
  let taken = 0;
  for (let width = 1; width <= window; width *= 2) {
    if (width > 1) {
      const places = ops.shape(sums)[axis];
      const half = width / 2;
      sums = ops.add(ops.slice(sums, axis, 0, places - half), ops.slice(sums, axis, half, places));
    }
    if (Math.floor(window / width) % 2 === 0) continue;
    const part = ops.slice(sums, axis, taken, taken + length);
    total = total === undefined ? part : ops.add(total, part);
    taken += width;
  }
  return total as T;
}

/**
 * Sums along an axis up to and including each place. Widths double, so that the cost is logarithmic in the length; the order of
 * additions at a place does not depend on what comes after it.
 */
export function cumulativeSum<T>(ops: ElementaryOps<T>, x: T, axis: number): T {
  const length = ops.shape(x)[axis];
  let sums = x;
  for (let width = 1; width < length; width *= 2) sums = ops.add(sums, delayed(ops, sums, axis, width));
  return sums;
}

/** Each place has the value of so many places before it; the first ones have 0. At most as many as there are. */
export function delayed<T>(ops: ElementaryOps<T>, x: T, axis: number, places: number): T {
  const shape = ops.shape(x);
  const lengths = shape.map((all, one) => (one === axis ? places : all));
  const zeros = ops.constant(new Float32Array(lengths.reduce((a, b) => a * b, 1)), lengths);
  const kept = shape[axis] - places;
  return kept === 0 ? zeros : ops.concat([zeros, ops.slice(x, axis, 0, kept)], axis);
}
