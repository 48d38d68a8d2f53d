/**
 * What a host offers to a formula: a few differentiable operations on its own arrays. A norm file writes its formula
 * once, in these, and runs without a framework (src/native/tape.ts), in TensorFlow.js and in jax-js.
 *
 * `T` is the host's array. Shapes broadcast as numpy's do; a number stands for a scalar. Nothing here keeps or
 * releases an array: that is the host's.
 */
import type { FusedNorm } from "./plan.js";

export type Operand<T> = T | number;

/** Of 11 and of 8 significant bits. */
export type NarrowType = "float16" | "bfloat16";

/** All of them but the fused operation, which hosts without kernels compose of these. */
export interface ElementaryOps<T> {
  shape(x: T): readonly number[];
  constant(values: ArrayLike<number>, shape: readonly number[]): T;

  add(a: Operand<T>, b: Operand<T>): T;
  sub(a: Operand<T>, b: Operand<T>): T;
  mul(a: Operand<T>, b: Operand<T>): T;
  div(a: Operand<T>, b: Operand<T>): T;
  /** The larger one; the gradient goes to it, to `a` where they are equal. */
  max(a: Operand<T>, b: Operand<T>): T;
  /** The smaller one, likewise. */
  min(a: Operand<T>, b: Operand<T>): T;
  /** 1 where a > b, else 0; no gradient. */
  greater(a: Operand<T>, b: Operand<T>): T;
  /** `a` where the condition is not 0, else `b`; what is not taken is not in the gradient either. */
  where(condition: T, a: Operand<T>, b: Operand<T>): T;

  abs(x: T): T;
  exp(x: T): T;
  sqrt(x: T): T;
  tanh(x: T): T;
  sigmoid(x: T): T;
  erf(x: T): T;
  /** x to a constant power. */
  pow(x: T, exponent: number): T;

  /** Rounded to a narrower type, and wide again; the gradient passes as it is. */
  rounded(x: T, type: NarrowType): T;

  /** Over these axes, which stay with length 1. */
  sum(x: T, axes: readonly number[]): T;
  /** The largest over these axes, which stay with length 1; constant to the gradient. */
  largest(x: T, axes: readonly number[]): T;
  /** [..., m, k] by [..., k, n], with the same leading axes. */
  matMul(a: T, b: T): T;
  reshape(x: T, shape: readonly number[]): T;
  transpose(x: T, order: readonly number[]): T;
  /** From `from` up to, not with, `to` along an axis. */
  slice(x: T, axis: number, from: number, to: number): T;
  concat(parts: readonly T[], axis: number): T;
  /** The same values, constant to the gradient. */
  stop(x: T): T;
  /**
   * x, whose gradient is replaced on its way back by what `through` makes of it, and of the arrays that are saved for it. It is
   * called once in each backward pass. Absent where a host knows no gradient but its own.
   */
  intercept?(x: T, saved: readonly T[], through: (gradient: T, saved: readonly T[]) => T): T;
}

export interface Ops<T> extends ElementaryOps<T> {
  /**
   * The one operation, by its kernels where the host has them: y, and mean and biased variance (mean square where
   * nothing is centred), which are constants to the gradient and absent where they were given.
   */
  normalize(norm: FusedNorm, x: T, parameters?: NormalizeOperands<T>): NormalizeResult<T>;
}

export interface NormalizeOperands<T> {
  /** One per parameter; absent: 1, and 0. */
  gamma?: T;
  beta?: T;
  /** Statistics to use instead of x's, as constants; mean is left out where nothing is centred. */
  mean?: T;
  variance?: T;
  /** Shape of x, but for lengths of 1 and trailing axes that are left out; 0 where x counts for nothing. */
  mask?: T;
  /** Shape of x; added to x before anything else. */
  residual?: T;
}

export interface NormalizeResult<T> {
  y: T;
  /** x + residual, where there is one. */
  sum?: T;
  mean?: T;
  variance?: T;
}
