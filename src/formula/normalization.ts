/**
 * What every norm file gives: a function from options to a normalization, and a few words about it. Pure: it holds no
 * array, calls no kernel and knows no host.
 */
import { optionNames } from "../frameworks/names.js";
import { type Defaults, settle } from "../options.js";
import { resolveAxes, sizeOf } from "../shape.js";
import type { Ops } from "./ops.js";

/** Of an array that a normalization learns, or keeps between calls. */
export interface Weight {
  readonly shape: readonly number[];
  /** The value that it starts with: one for all, or one for each; a function where they take time to make. */
  readonly initial: number | ArrayLike<number> | (() => ArrayLike<number>);
  /** False: state, such as running statistics, which a call may replace and no gradient reaches. */
  readonly trained: boolean;
  /** True for state that `resetState` leaves: it serves until a call replaces it, such as the last epoch's statistics. */
  readonly outlastsReset?: boolean;
}

/** How a normalization is called, beside its inputs and weights. */
export interface ApplyOptions<T> {
  /** Whether statistics are measured where a normalization measures them in training alone. */
  readonly training: boolean;
  /** Shape of x, but for lengths of 1 and trailing axes that are left out; 0: counts in no statistic, gets no gradient. */
  readonly mask?: T;
  /** Shape of x; added to x before anything else. */
  readonly residual?: T;
  /** Something that is no error, but that the user should hear of: a layer without a framework throws it. */
  warn?(message: string): void;
  /** Takes state that the backward pass moves, when it does; absent where a host keeps none of it. */
  moveState?(state: Readonly<Record<string, T>>): void;
}

export interface ApplyResult<T> {
  readonly y: T;
  /** What it gives beside y, where its norm file says so. */
  readonly more?: readonly T[];
  /** x + residual, where there was one. */
  readonly sum?: T;
  /** What replaces weights that are not trained; those that are left out stay. */
  readonly state?: Readonly<Record<string, T>>;
}

export interface Normalization {
  /** As it is called in errors and in the catalog: `layerNorm`, `dynamicTanh`, ... */
  readonly name: string;
  /** What it learns and keeps, for inputs of these shapes. Throws RangeError where a shape does not fit. */
  weights(...shapes: (readonly number[])[]): Record<string, Weight>;
  /**
   * Whether the formula itself sees to a mask, or a residual. Where it does not, `run` does. A mask is that of x, or of the
   * `last` input.
   */
  readonly handles?: { readonly mask?: boolean | "last"; readonly residual?: boolean };
  /**
   * The lengths of x along the normalization's axes (features, channels, or a weight's outputs): what a layer is made for, whether
   * or not it has weights of these lengths. Absent: the weights' shapes alone say what it is made for.
   */
  featureShape?(...shapes: (readonly number[])[]): readonly number[];
  /** Shapes of y and of what it gives beside y, where y has not the shape of x or is not alone. */
  outputs?(...shapes: (readonly number[])[]): (readonly number[])[];
  /** The formula. `inputs` are x, and a condition or style where the norm file asks for one. */
  apply<T>(
    ops: Ops<T>,
    inputs: readonly T[],
    weights: Readonly<Record<string, T>>,
    options: ApplyOptions<T>,
  ): ApplyResult<T>;
}

/** Writes the values that a weight is initialized to; `values` has as many as its shape says. */
export function initialize({ initial }: Weight, values: Float32Array | Float64Array): void {
  if (typeof initial === "number") values.fill(initial);
  else values.set(typeof initial === "function" ? initial() : initial);
}

/** The values that a weight is initialized to. Its shape is checked by then (`weightsFor`), so that a host can hold them. */
export function initialValues(weight: Weight): Float64Array {
  const values = new Float64Array(sizeOf(weight.shape));
  initialize(weight, values);
  return values;
}

/** A few words about a normalization, for lists and pages. */
export interface About {
  readonly name: string;
  /** As in the heading of its page. */
  readonly title: string;
  /** One line: what it does, and when one takes it. */
  readonly summary: string;
  /** Authors, year, arXiv number. */
  readonly paper: string;
  /**
   * What it stands in the place of: `features` normalizes any [batch, ..., features], `positions` needs positions
   * between batch and channels, `condition` takes a second input, `weight` is applied to a layer's weight,
   * `sequence` is a recurrent layer, `forecast` wraps a model.
   */
  readonly takes: "features" | "positions" | "condition" | "weight" | "sequence" | "forecast";
}

export type Factory<O, N extends Normalization = Normalization, A extends About = About> = ((
  options?: O,
) => N) & {
  readonly about: A;
  /** Every option that it takes; undefined where it has no default of its own. */
  readonly defaults: Defaults<O>;
};

/**
 * Makes the factory of a normalization from its metadata, every option with its default, and what it makes of the options. An option
 * without a default says in `make` what it needs. (The comment lets bundlers leave out what a page does not use.)
 */
/* @__NO_SIDE_EFFECTS__ */
export function normalization<S extends object, N extends object, const A extends About>(
  about: A,
  defaults: Defaults<NoInfer<S>>,
  make: (options: S) => N,
): Factory<Partial<S>, N & { readonly name: string } & Normalization, A> {
  const factory = (options: Partial<S> = {}) => {
    const settled = settle<S>(about.name, options, defaults, optionNames);
    return {
      name: about.name,
      ...("axis" in settled && { featureShape: lengthsAlong(about.name, settled.axis as Axes) }),
      ...make(settled),
    };
  };
  return Object.assign(factory, { about, defaults }) as unknown as Factory<
    Partial<S>,
    N & { readonly name: string } & Normalization,
    A
  >;
}

type Axes = number | readonly number[] | null;

/** The lengths of x along these axes; null names none. */
function lengthsAlong(norm: string, axes: Axes) {
  return (shape: readonly number[]) =>
    axes === null ? [] : resolveAxes(norm, axes, shape.length).map((axis) => shape[axis]);
}

/** A trained weight, and state. */
export const trained = (shape: readonly number[], initial: Weight["initial"]): Weight => ({
  shape,
  initial,
  trained: true,
});
export const kept = (
  shape: readonly number[],
  initial: Weight["initial"],
  outlastsReset = false,
): Weight => ({
  shape,
  initial,
  trained: false,
  ...(outlastsReset && { outlastsReset }),
});
