/**
 * What a backend must do: hold arrays, and normalize them forward and backward over any pair of views.
 *
 * A backend is not a tensor library: it knows no shapes beyond views, no broadcasting and no graph, and its
 * only state between calls is the arrays that it was asked to hold. Calls are enqueued and run in that order,
 * each as if those before it had ended; a backend on the host's own memory ends each before it returns. Every
 * array belongs to the caller, who may release it right after the last call that uses it; a call writes its
 * outputs completely (a pass: the elements that its results name) and nothing else, and its outputs share memory with no other array of the call, so that
 * any part of it may run twice. Sizes are checked by the caller, and may be 0.
 */
import type { View } from "../view.js";
import type { Encoders } from "./encoders.js";
import type { Pass } from "./pass.js";

/** Values of an array: float32 in the wasm backend, float64 in the reference. */
export type Values = Float32Array | Float64Array;

/**
 * How values are stored: float32 stands for the backend's own precision (float64 in the reference); the others take half the bytes of
 * a float32. Arithmetic and statistics are in the backend's precision whatever the type; results are rounded to the nearest, ties to
 * even, and those beyond the type become infinite: from 65520 on in float16.
 */
export type StorageType = "float32" | "float16" | "bfloat16";

/** `A` is the backend's handle of an array: float32 in wasm, float64 in the reference. */
export interface Kernels<A> {
  readonly name: string;
  /** Of the values in its arrays. */
  readonly precision: "float32" | "float64";
  /** Threads that share large arrays now, the calling one included. */
  readonly threads: number;
  /**
   * Allocates `length` values, which are not initialized. `type` defaults to float32; arrays of another go to `cast`, to `transpose`
   * and, of the shape of x, to calls of their type, and nowhere else.
   * @throws RangeError where there is no room
   */
  allocate(length: number, type?: StorageType): A;
  release(array: A): void;
  /**
   * The array's values themselves, to read or write; valid until the next `allocate`. Throws where memory is
   * not the host's own, such as a GPU's: there only `read` gives values.
   */
  values(array: A, length: number): Values;
  /** A copy of the array's values after all calls so far. */
  read(array: A, length: number): Promise<Values>;
  forward(call: Forward<A>): void;
  backward(call: Backward<A>): void;
  /** Runs a pass; arrays are those of its reads and of its results, in their order. */
  pass(pass: Pass, reads: readonly A[], results: readonly A[], encoders: Encoders): void;
  recurrence(call: Recurrence<A>): void;
  matMul(call: MatMul<A>): void;
  /** y = each row of x ascending, NaN last. */
  sort(x: A, y: A, rows: number, length: number): void;
  /** Ends threads beside the calling one. Arrays stay valid, and calls still run. */
  close(): void;
  /** Copies x [shape] to y, of the same type (default float32), with its axes in the given order, as numpy.transpose. */
  transpose(x: A, y: A, shape: readonly number[], order: readonly number[], type?: StorageType): void;
  /** y = x, of `from` and `to`, one of which is float32. NaN stays NaN. */
  cast(x: A, from: StorageType, y: A, to: StorageType, length: number): void;
}

interface Call<A> {
  /** Of the arrays of the shape of x: x, y, residual, sum, dy, dSum, dx. The others are float32. Default float32. */
  type?: StorageType;
  /** As many values as the views have elements. In the backward pass of a call with a residual: the sum. */
  x: A;
  /** One per statistic. Absent: nothing is centred (RMS). */
  mean?: A;
  /**
   * Biased variance, or the mean square where nothing is centred. One per statistic. For a standard deviation
   * beyond 1.8·10¹⁹ it is stored as Infinity, and below 3·10⁻²³ as 0, since float32 represents no more; y and
   * the gradients are right nevertheless.
   */
  variance: A;
  /** Statistics are given with the call, as constants, instead of being measured from x. */
  given: boolean;
  /** Added to the variance inside the root. Where both are 0, xHat and dx are 0. */
  epsilon: number;
  statistics: View;
  /** View of gamma and beta: one of each per kept position. */
  parameters: View;
  /** One per parameter; absent: 1. */
  gamma?: A;
  /**
   * One per kept position of `masks`; where it is 0, x and dy are ignored, even NaN, and y is 0. Absent:
   * nothing is masked. A statistic whose elements are all masked has mean 0 and variance 0, as has one of an
   * empty array.
   */
  mask?: A;
  /** View of the mask; ignored without one. */
  masks?: View;
}

/**
 * y = (x − mean) / √(variance + epsilon) · gamma + beta; `mean` and `variance` are written unless given. With
 * a residual, x in this formula is the sum, rounded as it was stored. The mask does not apply to the sum.
 */
export interface Forward<A> extends Call<A> {
  y: A;
  /** Shape of x; added to x before normalization. */
  residual?: A;
  /** Shape of x; set to x + residual. Present if and only if a residual is. */
  sum?: A;
  /** One per parameter; absent: 0. */
  beta?: A;
}

/**
 * Unless statistics were given, they are measured from x again wherever their stored float32 is not accurate
 * enough: xHat agrees with the forward pass's to about 10⁻⁶, however far the mean is from 0.
 *
 * With g = dy·gamma and mean_s over the statistics view (no mean_s(g) where nothing is centred):
 * dx = rstd·(g − mean_s(g) − xHat·mean_s(g·xHat)) + dSum, or rstd·g + dSum where the statistics were given;
 * dGamma = Σ dy·xHat and dBeta = Σ dy over the parameter view. With a residual, dx is its gradient as well as
 * that of x. Where the mask is 0, dx = dSum; mean_s and Σ run over unmasked elements.
 */
export interface Backward<A> extends Call<A> {
  dy: A;
  /** Shape of x; the gradient of x (the sum) from its other use, past the normalization. Absent: 0. */
  dSum?: A;
  dx: A;
  dGamma?: A;
  dBeta?: A;
}

/** state_t = factor_t·state_(t−1) + term_t for each of `width` columns; `before_t` is state_(t−1), `last` the final state. */
export interface Recurrence<A> {
  /** [width] */
  start: A;
  /** [steps, width] */
  factors: A;
  terms: A;
  before: A;
  /** [width] */
  last: A;
  steps: number;
  width: number;
}

/** y [count, m, n] = a [count, m, k] by b [count, k, n]. */
export interface MatMul<A> {
  a: A;
  b: A;
  y: A;
  count: number;
  m: number;
  k: number;
  n: number;
}
