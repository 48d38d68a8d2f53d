/** Terms that formulas share, composed from a host's `Ops`. */
import type { View } from "../view.js";
import type { Operand, Ops } from "./ops.js";

export function square<T>(ops: Ops<T>, x: T): T {
  return ops.mul(x, x);
}

export function mean<T>(ops: Ops<T>, x: T, axes: readonly number[]): T {
  const shape = ops.shape(x);
  return ops.div(
    ops.sum(x, axes),
    axes.reduce((count, axis) => count * shape[axis], 1),
  );
}

/**
 * Mean and biased variance over these axes, differentiable, with their axes of length 1: for formulas in which a
 * statistic is more than a constant of the normalization. With a mask (as x, but for lengths of 1) only where it is not 0.
 */
export function moments<T>(
  ops: Ops<T>,
  x: T,
  axes: readonly number[],
  mask?: T,
): { mean: T; variance: T; count: Operand<T> } {
  if (mask === undefined) {
    const average = mean(ops, x, axes);
    const shape = ops.shape(x);
    const count = axes.reduce((product, axis) => product * shape[axis], 1);
    return { mean: average, variance: mean(ops, square(ops, ops.sub(x, average)), axes), count };
  }
  const counts = spreadMask(ops, mask, ops.shape(x));
  const count = ops.max(ops.sum(counts, axes), 1);
  const kept = ops.where(counts, x, 0);
  const average = ops.div(ops.sum(kept, axes), count);
  const distance = ops.where(counts, ops.sub(kept, average), 0);
  return { mean: average, variance: ops.div(ops.sum(square(ops, distance), axes), count), count };
}

/** A mask as ones and zeros of the whole shape. */
export function spreadMask<T>(ops: Ops<T>, mask: T, shape: readonly number[]): T {
  const lengths = ops.shape(mask);
  const spread = ops.reshape(mask, [...lengths, ...shape.slice(lengths.length).map(() => 1)]);
  return ops.where(
    spread,
    ops.constant(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape),
    0,
  );
}

/** A per-channel array as one that broadcasts over x: its values along `axis`, length 1 elsewhere. */
export function along<T>(ops: Ops<T>, values: T, rank: number, axis: number): T {
  const shape = new Array<number>(rank).fill(1);
  shape[axis] = ops.shape(values).reduce((a, b) => a * b, 1);
  return ops.reshape(values, shape);
}

/** All axes but those named. */
export function axesBut(rank: number, ...kept: number[]): number[] {
  return [...Array(rank).keys()].filter((axis) => !kept.includes(axis));
}

/** x·gamma + beta, with a gamma and beta per kept position of the view; either may be absent. */
export function affine<T>(ops: Ops<T>, x: T, view: View, gamma?: T, beta?: T): T {
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
export function windowSum<T>(ops: Ops<T>, x: T, axis: number, before: number, after: number): T {
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
