/**
 * What every norm file exports: a factory from options to a normalization, with its metadata. Pure: a normalization holds no
 * arrays, calls no kernels and depends on no host.
 */
import { type Defaults, optionNames, settle } from "../options.js";
import { resolveAxes, sizeOf } from "../shape.js";
import type { Merge, Ops } from "./ops.js";

/** An array that a normalization learns, or stores between calls: a parameter or a buffer. */
export interface Weight {
  readonly shape: readonly number[];
  /** Initial value: one for all, or one per element; a function if they are expensive to compute. */
  readonly initial: number | ArrayLike<number> | (() => ArrayLike<number>);
  /** False: state, such as running statistics, which calls may replace and gradients do not reach. */
  readonly trained: boolean;
  /** True for state that `resetState` preserves until a call replaces it, such as the last epoch's statistics. */
  readonly outlastsReset?: boolean;
}

/** Options of a call, besides its inputs and weights. */
export interface ApplyOptions<T> {
  /** Whether norms with running statistics measure the batch and update them. */
  readonly training: boolean;
  /** Broadcasts to x: axes may have length 1, trailing ones may be omitted. 0 excludes a value from statistics and gradients. */
  readonly mask?: T;
  /** Shape of x; added to x first. */
  readonly residual?: T;
  /** Merges statistics of the batch with those of other places; for normalizations that handle it. */
  readonly merge?: Merge<T>;
  /** Reports a problem that is not an error in every host; a layer without a framework throws it. */
  warn?(message: string): void;
  /** Receives state that the backward pass updates; absent in hosts that do not store it. */
  moveState?(state: Readonly<Record<string, T>>): void;
}

/** What a normalization gives. */
export interface ApplyResult<T> {
  /** Of the shape of x, unless `outputs` says otherwise. */
  readonly y: T;
  /** Further outputs, as documented by the norm. */
  readonly more?: readonly T[];
  /** x + residual, if there was one. */
  readonly sum?: T;
  /** New values of weights that are not trained; those absent are unchanged. */
  readonly state?: Readonly<Record<string, T>>;
}

/** A normalization: its weights for given shapes, and its formula in any host's operations. */
export interface Normalization {
  /** Used in errors and in the catalog: `layerNorm`, `dynamicTanh`, ... */
  readonly name: string;
  /** Its parameters and buffers for inputs of these shapes. @throws RangeError for a shape that does not fit */
  weights(...shapes: (readonly number[])[]): Record<string, Weight>;
  /**
   * Whether the formula itself handles a mask or a residual; otherwise `run` does. The mask is that of x, or of the `last`
   * input. `merge`: true where the formula measures the batch, and merges what it measures with that of other places; false where it
   * measures the batch and cannot. Absent: its statistics are of an example, of a part of the batch, or stored, and no other place's.
   */
  readonly handles?: {
    readonly mask?: boolean | "last";
    readonly residual?: boolean;
    readonly merge?: boolean;
  };
  /**
   * The lengths of x along the normalization's axes (features, channels, or a weight's outputs): what a layer is made for, whether
   * or not it has weights of these lengths. Absent: the weights' shapes alone say what it is made for.
   */
  featureShape?(...shapes: (readonly number[])[]): readonly number[];
  /** Shapes of y and of further outputs; absent if y has the shape of x and is the only output. */
  outputs?(...shapes: (readonly number[])[]): (readonly number[])[];
  /** The formula. `inputs` are x and, if the norm takes one, a condition or style. */
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

/** Metadata of a normalization, for lists and documentation. */
export interface About {
  readonly name: string;
  /** The heading of its page. */
  readonly title: string;
  /** One line: what it does, and when to use it. */
  readonly summary: string;
  /** Authors, year, arXiv number. */
  readonly paper: string;
  /**
   * What it applies to: `features` normalizes any [batch, ..., features], `positions` needs positions between batch and
   * channels, `condition` takes a second input, `weight` is applied to a layer's weight, `sequence` is a recurrent layer,
   * `forecast` wraps a model.
   */
  readonly takes: "features" | "positions" | "condition" | "weight" | "sequence" | "forecast";
}

/** Makes a normalization from options; carries its metadata and defaults. */
export type Factory<O, N extends Normalization = Normalization, A extends About = About> = ((
  options?: O,
) => N) & {
  readonly about: A;
  /** Every option with its default; undefined if it has none. */
  readonly defaults: Defaults<O>;
};

/**
 * A normalization's factory, from its metadata, every option's default, and `make`, which builds it from settled options and
 * checks options without a default. (The annotation lets bundlers drop unused normalizations.)
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
  return Object.assign(factory, {
    about: Object.freeze(about),
    defaults: Object.freeze({ ...defaults }),
  }) as unknown as Factory<Partial<S>, N & { readonly name: string } & Normalization, A>;
}

type Axes = number | readonly number[] | null;

/** The lengths of x along these axes; null names none. */
function lengthsAlong(norm: string, axes: Axes) {
  return (shape: readonly number[]) =>
    axes === null ? [] : resolveAxes(norm, axes, shape.length).map((axis) => shape[axis]);
}

/** A parameter: a weight that gradients train. */
export const trained = (shape: readonly number[], initial: Weight["initial"]): Weight => ({
  shape,
  initial,
  trained: true,
});
/** A buffer: state that calls replace. */
export const buffer = (
  shape: readonly number[],
  initial: Weight["initial"],
  outlastsReset = false,
): Weight => ({
  shape,
  initial,
  trained: false,
  ...(outlastsReset && { outlastsReset }),
});
