/**
 * Arithmetic on whole arrays: what the tape needs of a backend, beside the fused operation. It differentiates nothing, but has the
 * elementwise loops of both passes. Calls run in the order in which they are made; a result is an array of its own, which shares
 * memory with no operand unless it says so. A backend whose memory is not the host's gives handles, and nobody reads them here.
 */
import type { PlainArray } from "./array.js";

/** Of one array, elementwise; `pow` takes its exponent as the parameter. */
export type Unary = "abs" | "exp" | "sqrt" | "tanh" | "sigmoid" | "erf" | "pow" | "float16" | "bfloat16";

/** Of two arrays that broadcast as numpy's do, elementwise; `greater` has no gradient. */
export type Binary = "add" | "sub" | "mul" | "div" | "max" | "min" | "greater";

export interface Arithmetic {
  constant(values: ArrayLike<number>, shape: readonly number[]): PlainArray;
  zeros(shape: readonly number[]): PlainArray;

  unary(name: Unary, x: PlainArray, parameter?: number): PlainArray;
  /** The gradient of x, from that of y. */
  unaryGradient(
    name: Unary,
    gradient: PlainArray,
    x: PlainArray,
    y: PlainArray,
    parameter?: number,
  ): PlainArray;
  binary(name: Binary, a: PlainArray, b: PlainArray): PlainArray;
  /** The gradient of one operand, of that operand's shape: where it was broadcast, its copies' gradients are summed. */
  binaryGradient(
    name: Exclude<Binary, "greater">,
    of: "a" | "b",
    gradient: PlainArray,
    a: PlainArray,
    b: PlainArray,
  ): PlainArray;
  /** `a` where the condition is not 0, else `b`; the three broadcast. */
  where(condition: PlainArray, a: PlainArray, b: PlainArray): PlainArray;

  /** Over these axes, which stay with length 1. Sums are accumulated in float64. */
  sum(x: PlainArray, axes: readonly number[]): PlainArray;
  /** The largest over these axes, which stay with length 1; NaN where one is. */
  largest(x: PlainArray, axes: readonly number[]): PlainArray;
  /** Ascending along the last axis, NaN last. */
  sorted(x: PlainArray): PlainArray;
  /** Undoes a broadcast by sums: to a shape that broadcasts to that of x. May be x itself. */
  sumTo(x: PlainArray, shape: readonly number[]): PlainArray;
  /** May be x itself. */
  broadcastTo(x: PlainArray, shape: readonly number[]): PlainArray;

  /** [..., m, k] by [..., k, n], with the same leading axes; each stored transposed where so said. */
  matMul(a: PlainArray, b: PlainArray, transposeA?: boolean, transposeB?: boolean): PlainArray;
  /** The same values; may share memory with x. */
  reshape(x: PlainArray, shape: readonly number[]): PlainArray;
  transpose(x: PlainArray, order: readonly number[]): PlainArray;
  /** From `from` up to, not with, `to` along an axis. */
  slice(x: PlainArray, axis: number, from: number, to: number): PlainArray;
  /** Zeros before and after, along an axis. */
  pad(x: PlainArray, axis: number, before: number, after: number): PlainArray;
  concat(parts: readonly PlainArray[], axis: number): PlainArray;
}
