/**
 * A pass: elementwise steps over a space of elements, in one walk over memory. Arrays are seen from the space by strides, so that a
 * broadcast, a slice, a transposition and a reduction are the same thing: an array that some axes of the space do not move.
 *
 * Values have numbers: first those that are read, then the constants, then the results of the steps in their order. A backend may walk
 * the space in any order and in any parts; it computes in its own precision, and sums in float64 or as accurately.
 */

/** An array as the space sees it: element `offset + Σ index·stride`, row-major lengths apart. */
export interface Strided {
  /** In elements, one for each axis of the space; 0 where the array is repeated or reduced. */
  readonly strides: readonly number[];
  /** In elements. */
  readonly offset: number;
}

/** Of one value. `power` takes its exponent as the parameter; float16 and bfloat16 round, ties to even. */
export type Unary = "abs" | "sqrt" | "exp" | "tanh" | "sigmoid" | "erf" | "power" | "float16" | "bfloat16";

/** Of two values; `max` and `min` are NaN where one is; `greater` and `atLeast` are 1 or 0, and 0 where one is NaN. */
export type Binary = "add" | "sub" | "mul" | "div" | "max" | "min" | "greater" | "atLeast";

/** Of three values: the second where the first is not 0 (NaN is not), else the third. */
export type Ternary = "where";

export interface Step {
  readonly operation: Unary | Binary | Ternary;
  /** Numbers of values before this one. */
  readonly of: readonly number[];
  readonly parameter?: number;
}

/**
 * Where a value goes. Stored: to the elements that the strides name, each once. Reduced: over the axes with stride 0, to a dense array
 * of the other axes in their order; the largest is NaN where one is.
 */
export interface Result extends Strided {
  /** The number of the value. */
  readonly value: number;
  readonly reduced?: "sum" | "largest";
}

export interface Pass {
  /** Of the axes of the space, outermost first; none is 1, unless there is one axis only. None is 0. */
  readonly lengths: readonly number[];
  readonly reads: readonly Strided[];
  readonly constants: readonly number[];
  readonly steps: readonly Step[];
  readonly results: readonly Result[];
}
