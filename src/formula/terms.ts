/** Terms that formulas share, composed from a host's `Ops`. */
import type { View } from "../view.js";
import type { ElementaryOps, Operand } from "./ops.js";

export function square<T>(ops: ElementaryOps<T>, x: T): T {
  return ops.mul(x, x);
}

export function mean<T>(ops: ElementaryOps<T>, x: T, axes: readonly number[]): T {
  const shape = ops.shape(x);
  return ops.div(
    ops.sum(x, axes),
    axes.reduce((count, axis) => count * shape[axis], 1),
  );
}

/** Means over some axes, which stay with length 1, of what counts: `counts` is ones and zeros of the whole shape. */
export interface Averaging<T> {
  /** How many values count. */
  readonly count: Operand<T>;
  /** The values, and 0 where they do not count. */
  counting(values: T): T;
  /** The mean of values that are 0 where they do not count. */
  average(values: T): T;
}

export function averaging<T>(
  ops: ElementaryOps<T>,
  shape: readonly number[],
  axes: readonly number[],
  counts?: T,
): Averaging<T> {
  const count: Operand<T> =
    counts === undefined
      ? axes.reduce((product, axis) => product * shape[axis], 1)
      : ops.max(ops.sum(counts, axes), 1);
  return {
    count,
    counting: (values) => (counts === undefined ? values : ops.where(counts, values, 0)),
    average: (values) => ops.div(ops.sum(values, axes), count),
  };
}

/**
 * The mean, and x − mean, 0 where x does not count. Values are centred twice, about any value near the mean (by default the mean
 * as it is rounded) and about what rests: a float32 mean far above the standard deviation is too coarse to be subtracted once.
 */
export function centered<T>(
  ops: ElementaryOps<T>,
  x: T,
  { counting, average }: Averaging<T>,
  near?: T,
): { mean: T; distance: T } {
  const values = counting(x);
  const about = ops.stop(near ?? average(values));
  const first = counting(ops.sub(values, about));
  const rest = average(first);
  return { mean: ops.add(about, rest), distance: counting(ops.sub(first, rest)) };
}

/** What is measured of values over some axes, which stay with length 1. */
export interface Moments<T> extends Averaging<T> {
  readonly mean: T;
  /** Biased. */
  readonly variance: T;
  /** x − mean, of the shape of x; 0 where x does not count. Formulas go on with it, not with the rounded mean. */
  readonly distance: T;
}

/**
 * Mean and biased variance over these axes, differentiable: for formulas in which a statistic is more than a constant of the
 * normalization. With a mask (as x, but for lengths of 1) of what it does not leave out.
 */
export function moments<T>(ops: ElementaryOps<T>, x: T, axes: readonly number[], mask?: T): Moments<T> {
  const shape = ops.shape(x);
  const over = averaging(ops, shape, axes, mask === undefined ? undefined : broadcastMask(ops, mask, shape));
  const { mean, distance } = centered(ops, x, over);
  return { ...over, mean, distance, variance: over.average(square(ops, distance)) };
}

/**
 * √(mean(x²) + epsilon) = scale · root, and x / scale: by the largest |x|, so that no square leaves float32's range. Where all of x
 * and epsilon are 0, root is far below 1, and nothing is divided by 0.
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
  const share = epsilon > 0 ? square(ops, ops.div(Math.sqrt(epsilon), scale)) : 0;
  return { scaled, scale, power, root: ops.sqrt(ops.max(ops.add(power, share), LEAST)) };
}

/** Far below the mean of squares of which the largest is 1. */
const LEAST = 1e-30;

/**
 * All of x about one origin, in one unit: x = values·unit + origin, 0 where x does not count. Both are constants to the gradient.
 * For formulas that move with x and scale with it: what they subtract and square then stays in float32's range.
 * @param least the smallest unit, above 0
 */
export function inUnits<T>(
  ops: ElementaryOps<T>,
  x: T,
  counts: T | undefined,
  least: Operand<T>,
): { values: T; origin: T; unit: T } {
  const shape = ops.shape(x);
  const all = [...shape.keys()];
  const { average, counting } = averaging(ops, shape, all, counts);
  const origin = ops.stop(average(counting(x)));
  const distance = counting(ops.sub(counting(x), origin));
  const largest = ops.largest(ops.abs(distance), all);
  const unit = ops.stop(ops.max(largest, least));
  return { values: ops.div(distance, unit), origin, unit };
}

/** The length √Σx² over these axes, in range wherever it is itself; its gradient is 0 where all of x is. */
export function lengthOf<T>(ops: ElementaryOps<T>, x: T, axes: readonly number[]): T {
  const { scale, power, root } = rootMeanSquare(ops, x, axes, (squares) => ops.sum(squares, axes), 0);
  return ops.where(power, ops.mul(scale, root), 0);
}

/** A mask as ones and zeros of the whole shape. */
export function broadcastMask<T>(ops: ElementaryOps<T>, mask: T, shape: readonly number[]): T {
  const lengths = ops.shape(mask);
  const spread = ops.reshape(mask, [...lengths, ...shape.slice(lengths.length).map(() => 1)]);
  return ops.where(
    spread,
    ops.constant(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape),
    0,
  );
}

/** A per-channel array as one that broadcasts over x: its values along `axis`, length 1 elsewhere. */
export function along<T>(ops: ElementaryOps<T>, values: T, rank: number, axis: number): T {
  const shape = new Array<number>(rank).fill(1);
  shape[axis] = ops.shape(values).reduce((a, b) => a * b, 1);
  return ops.reshape(values, shape);
}

/** All axes but those named. */
export function axesBut(rank: number, ...kept: number[]): number[] {
  return [...Array(rank).keys()].filter((axis) => !kept.includes(axis));
}

/** x·gamma + beta, with a gamma and beta per kept position of the view; either may be absent. */
export function affine<T>(ops: ElementaryOps<T>, x: T, view: View, gamma?: T, beta?: T): T {
  const shape = ops.shape(x);
  if (gamma === undefined && beta === undefined) return x;
  const { k1, r1, k2, r2 } = view;
  let y = ops.reshape(x, [k1, r1, k2, r2]);
  const spread = (values: T) => ops.reshape(values, [k1, 1, k2, 1]);
  if (gamma !== undefined) y = ops.mul(y, spread(gamma));
  if (beta !== undefined) y = ops.add(y, spread(beta));
  return ops.reshape(y, shape);
}

/**
 * Sums over a window along an axis: of each place, of so many `before` it and `after` it. Beyond the ends there are zeros.
 * Widths double (sums over 2, 4, 8, ... places), so that a window costs the logarithm of its width.
 */
export function windowSum<T>(ops: ElementaryOps<T>, x: T, axis: number, before: number, after: number): T {
  const shape = ops.shape(x);
  const length = shape[axis];
  const [left, right] = [before, after].map((reach) => Math.min(reach, length - 1));
  const zeros = (count: number) => {
    const lengths = shape.map((all, one) => (one === axis ? count : all));
    return count === 0 ? [] : [ops.constant(new Float32Array(lengths.reduce((a, b) => a * b, 1)), lengths)];
  };
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
