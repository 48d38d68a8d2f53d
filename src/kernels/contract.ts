/**
 * What a backend must do: hold arrays, and normalize them forward and backward over any pair of views.
 *
 * A backend is not a tensor library: it knows no shapes beyond views, no broadcasting and no graph, and it keeps
 * nothing between calls but the arrays that it was asked to hold. Calls are enqueued and run in that order, each as if
 * those before it had ended; a backend on the host's own memory ends each before it returns. Every array belongs to the
 * caller, who may release it at once after the last call that takes it; a call writes its outputs whole and nothing else, and
 * its outputs share memory with no other array of the call, so that any part of it may run twice. Sizes are the caller's to check, and may be 0.
 */
import type { View } from "../view.js";

export type Values = Float32Array | Float64Array;

/** `A` is the backend's handle of an array: float32 in wasm, float64 in the reference. */
export interface Kernels<A> {
  readonly name: string;
  /** Of the values that it holds. */
  readonly precision: "float32" | "float64";
  /** That share large arrays now, the calling one included. */
  readonly threads: number;
  /** Room for `length` values, which are not set to anything. Throws a RangeError where there is none. */
  allocate(length: number): A;
  release(array: A): void;
  /**
   * The array's values themselves, to read or to write; only until the next `allocate`. Throws where memory is not the
   * host's own, as a GPU's is not: there `read` alone gives values.
   */
  values(array: A, length: number): Values;
  /** A copy of the array's values, as they are after all calls so far. */
  read(array: A, length: number): Promise<Values>;
  forward(call: Forward<A>): void;
  backward(call: Backward<A>): void;
  /** Ends what runs beside the caller (threads). Arrays stay, and calls go on. */
  close(): void;
  /** y [shape in `order`] takes x [shape] with its axes in the given order, as numpy.transpose. */
  transpose(x: A, y: A, shape: readonly number[], order: readonly number[]): void;
}

interface Call<A> {
  /** As many values as the views have elements. In the backward pass of a call with a residual: the sum. */
  x: A;
  /** One per statistic. Absent: nothing is centred (RMS). */
  mean?: A;
  /**
   * Biased variance, or the mean square where nothing is centred. One per statistic. A spread beyond 1.8·10¹⁹ is stored as
   * Infinity and one below 3·10⁻²³ as 0, since float32 represents no more; y and the gradients are right nevertheless.
   */
  variance: A;
  /** Statistics come with the call and are constants, instead of being measured from x. */
  given: boolean;
  /** Added to the variance inside the root. Where both are 0, xHat and dx are 0. */
  epsilon: number;
  statistics: View;
  /** Kept: one gamma and one beta per kept position. */
  parameters: View;
  /** One per parameter; absent: 1. */
  gamma?: A;
  /**
   * One per kept position of `masks`; where it is 0, x and dy count nowhere, whatever they hold (NaN too), and y is 0.
   * Absent: all counts. A statistic of which nothing counts has mean 0 and variance 0, as has one of an empty array.
   */
  mask?: A;
  /** Of the mask; without one it says nothing. */
  masks?: View;
}

/**
 * y = (x − mean) / √(variance + epsilon) · gamma + beta; `mean` and `variance` are written unless given. With a
 * residual, x in this formula is the sum, as it was rounded when it was written. The sum passes by the mask.
 */
export interface Forward<A> extends Call<A> {
  y: A;
  /** As x; added to x before anything else. */
  residual?: A;
  /** As x; takes x + residual. There exactly where a residual is. */
  sum?: A;
  /** One per parameter; absent: 0. */
  beta?: A;
}

/**
 * Unless the statistics were given, they are measured from x again wherever their stored float32 is not accurate enough:
 * xHat agrees with the forward pass's to about 10⁻⁶ of a spread, however far the mean is from 0.
 *
 * With g = dy·gamma and mean_s over the statistics view (no mean_s(g) where nothing is centred):
 * dx = rstd·(g − mean_s(g) − xHat·mean_s(g·xHat)) + dSum, or rstd·g + dSum where the statistics were given;
 * dGamma = Σ dy·xHat and dBeta = Σ dy over the parameter view. With a residual, dx is its gradient as well as that
 * of x. Where the mask is 0, dx = dSum; mean_s and Σ run over what counts.
 */
export interface Backward<A> extends Call<A> {
  dy: A;
  /** As x; the gradient that reaches x (the sum) by its other way, past the normalization. Absent: 0. */
  dSum?: A;
  dx: A;
  dGamma?: A;
  dBeta?: A;
}
