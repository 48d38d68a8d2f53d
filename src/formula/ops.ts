/**
 * The operations that a host provides: a few differentiable ones on its own arrays. A norm file writes its formula once, in
 * these, and runs without a framework (src/program), in TensorFlow.js and in jax-js.
 *
 * `T` is the host's array. Shapes broadcast as in NumPy; a number is a scalar. Formulas neither retain nor release arrays: the
 * host does.
 */
import type { AsyncReduce, MomentsList } from "../moments.js";
import type { View } from "../view.js";
import type { FusedNorm } from "./plan.js";

/** A host's array, or a number as a scalar. */
export type Operand<T> = T | number;

/** Types of 11 and of 8 significant bits. */
export type NarrowType = "float16" | "bfloat16";

/** All operations except the fused one, which hosts without kernels compose from these. */
export interface ElementaryOps<T> {
  shape(x: T): readonly number[];
  constant(values: ArrayLike<number>, shape: readonly number[]): T;

  add(a: Operand<T>, b: Operand<T>): T;
  sub(a: Operand<T>, b: Operand<T>): T;
  mul(a: Operand<T>, b: Operand<T>): T;
  div(a: Operand<T>, b: Operand<T>): T;
  /** The larger one, which gets the gradient; `a` does on ties. */
  max(a: Operand<T>, b: Operand<T>): T;
  /** The smaller one, likewise. */
  min(a: Operand<T>, b: Operand<T>): T;
  /** 1 where a > b, else 0; no gradient. */
  greater(a: Operand<T>, b: Operand<T>): T;
  /** `a` where the condition is not 0, else `b`; the gradient goes to the selected one only. */
  where(condition: T, a: Operand<T>, b: Operand<T>): T;

  abs(x: T): T;
  exp(x: T): T;
  sqrt(x: T): T;
  tanh(x: T): T;
  sigmoid(x: T): T;
  erf(x: T): T;
  /** x to a constant power. */
  pow(x: T, exponent: number): T;

  /** Rounded to a narrower type and back; the gradient passes unchanged. */
  rounded(x: T, type: NarrowType): T;

  /** Sum over these axes, which remain with length 1. */
  sum(x: T, axes: readonly number[]): T;
  /** Maximum over these axes, which remain with length 1; no gradient. */
  largest(x: T, axes: readonly number[]): T;
  /** Ascending along the last axis, NaN last; no gradient. */
  sorted(x: T): T;
  /** [..., m, k] by [..., k, n], with the same leading axes. */
  matMul(a: T, b: T): T;
  reshape(x: T, shape: readonly number[]): T;
  transpose(x: T, order: readonly number[]): T;
  /** From `from` up to but excluding `to` along an axis. */
  slice(x: T, axis: number, from: number, to: number): T;
  concat(parts: readonly T[], axis: number): T;
  /** exp(x) over its sum along the last axis, x less the largest of it. Absent where a host has none that is better than its parts. */
  softmax?(x: T): T;
  /**
   * Sums of each place with `before` places before and `after` after it along an axis, zeros beyond the ends. Absent likewise.
   */
  windowSum?(x: T, axis: number, before: number, after: number): T;
  /**
   * state_t = factor_t·state_(t−1) + term_t along the first axis of `terms` [steps, width], from `start` [width]: the states before
   * each step, and the last one [width]; no gradient. Factors broadcast to the terms. Absent likewise.
   */
  recurrence?(start: T, factors: T, terms: T): { before: T; last: T };
  /**
   * A loop: each step goes from its part of the inputs, along their first axis, and the states before it to the states after it. Gives
   * the first state after each step, along a new first axis, and after the last one; no gradient. Absent likewise.
   */
  scan?(
    inputs: readonly T[],
    start: readonly T[],
    step: (inputs: readonly T[], states: readonly T[]) => readonly T[],
  ): { each: T; last: T };
  /** The same values, without gradient. */
  stop(x: T): T;
  /** The values of y, whose gradient goes to x alone, times `slope`. Absent likewise. */
  withSlope?(y: T, x: T, slope: T): T;
  /**
   * x, whose gradient in the backward pass is replaced by `through` of it and the saved arrays, called once per backward pass.
   * Absent where a host does not support custom gradients with state.
   */
  intercept?(x: T, saved: readonly T[], through: (gradient: T, saved: readonly T[]) => T): T;
}

/** All operations of a host: the elementary ones and the fused normalization. */
export interface Ops<T> extends ElementaryOps<T> {
  /**
   * The fused operation, by kernels where the host has them. Gives y, and mean and biased variance (mean square if not
   * centred), which have no gradient and are absent if they were passed in.
   */
  normalize(norm: FusedNorm, x: T, parameters?: NormalizeOperands<T>): NormalizeResult<T>;
}

/** Moments as a host's arrays hold them, all of one shape. */
export interface PartedMoments<T> {
  /** The mean is near + rest·unit. No gradient. */
  readonly near: T;
  readonly rest: T;
  /** Biased, in units: variance·unit². */
  readonly variance: T;
  /** Above 0. No gradient. */
  readonly unit: T;
  /** Number of values, from 0. No gradient. */
  readonly count: T;
}

/** The order in which hosts list the parts. */
export const PARTS = ["near", "rest", "variance", "unit", "count"] as const;

/** From the moments measured here to those of all places, differentiable: what a host makes of a `Reduce`, by rules that a norm brings. */
export type Merge<T> = (local: PartedMoments<T>, rules: MergeRules) => PartedMoments<T>;

type Numbers = ArrayLike<number>;
type Writable = Float32Array | Float64Array;

/** What a merge does with the numbers in a host's arrays (merging.ts); hosts do not carry it for norms that merge nothing. */
export interface MergeRules {
  /**
   * Calls a reduction, and goes on with what it gives: at once, or when it is there.
   * @throws TypeError for what is not the moments of as many statistics, RangeError for those of fewer values than are in the list
   */
  reduced<R>(reduce: AsyncReduce, list: MomentsList, use: (all: MomentsList) => R): R | Promise<R>;
  /** The moments of parts. */
  listOf(parts: PartedMoments<Numbers>): MomentsList;
  /** Writes moments in parts. */
  writeParts(list: MomentsList, into: PartedMoments<Writable>): void;
  /** Gradients of merged moments, in absolute terms, as moments of no spread: those of the mean, then those of the variance. */
  gradientList(rest: Numbers, variance: Numbers, unit: Numbers): MomentsList;
  /** Writes the gradients of the parts measured here, from those of what all places made of the merged ones. */
  writeGradients(
    sums: MomentsList,
    local: PartedMoments<Numbers>,
    all: PartedMoments<Numbers>,
    into: { readonly rest: Writable; readonly variance: Writable },
  ): void;
}

/** x standardized by statistics that were merged, with what was measured. */
export interface Standardized<T> {
  /** Of the shape of x: xHat·gamma + beta, 0 where masked. */
  readonly y: T;
  /** [k1, 1, k2, 1], as are all statistics. */
  readonly mean: T;
  readonly variance: T;
  readonly count: T;
  /** What the mean lacks as it is rounded. */
  readonly remainder: T;
}

/** The operation's own work, by statistics that are merged with those of other places. */
export type Standardize<T> = (ops: ElementaryOps<T>, call: ComposedCall<T>) => Standardized<T>;

/** A call of the operation; arrays are already transposed to the plan's order. */
export interface ComposedCall<T> {
  readonly x: T;
  readonly statistics: View;
  readonly parameters: View;
  readonly epsilon: number;
  readonly centered: boolean;
  /** The mask as ones and zeros of the shape of x; absent: nothing is masked. */
  readonly counts?: T;
  readonly gamma?: T;
  readonly beta?: T;
  /** Whether statistics were passed in, as constants. */
  readonly given: boolean;
  /** Passed in, or, in the backward pass, those measured in the forward pass. */
  readonly mean?: T;
  readonly variance?: T;
  readonly standardize?: Standardize<T>;
}

/** Optional operands of the fused operation. */
export interface NormalizeOperands<T> {
  /** Of the plan's parameterShape; absent: 1. */
  gamma?: T;
  /** Of the plan's parameterShape; absent: 0. */
  beta?: T;
  /** Statistics to use instead of those of x, without gradient; no mean if the norm is not centred. */
  mean?: T;
  variance?: T;
  /** Broadcasts to x: axes may have length 1, trailing ones may be omitted. 0 excludes a value. */
  mask?: T;
  /** Shape of x; added to x first. */
  residual?: T;
  /** Instead of the operation's own way, by statistics that are merged with those of other places (merging.ts); if none are given. */
  standardize?: Standardize<T>;
}

/** What the fused operation gives. */
export interface NormalizeResult<T> {
  /** Of the shape of x. */
  y: T;
  /** x + residual, if there is one. */
  sum?: T;
  mean?: T;
  variance?: T;
  /** Of statistics that were merged: how many values they are of, and what the mean lacks as it is rounded. No gradient. */
  count?: T;
  remainder?: T;
}
