/**
 * Terms: the graph that a formula is traced to. A term is one array of the formula, known by its shape and by what it is made of; it
 * holds no values.
 */
import type { Kernels } from "../kernels/contract.js";
import type { Binary, Strided, Ternary, Unary } from "../kernels/pass.js";
import type { AsyncReduce } from "../moments.js";
import { sizeOf } from "../shape.js";

export type Term = Input | Uniform | Constant | Elementwise | Reduction | Viewed | Joined | Output;

interface Base {
  /** In the order of creation: what a term is made of has lower numbers. */
  readonly id: number;
  readonly shape: readonly number[];
  /** Whether a gradient that comes here goes anywhere. */
  readonly wanted: boolean;
  /** Hands a gradient on: to which terms, and what. Absent where none is wanted, and for outputs of calls. */
  readonly back?: (gradient: Term) => readonly Contribution[];
}

export type Contribution = readonly [term: Term, gradient: Term];

/** Given with each run. */
export interface Input extends Base {
  readonly kind: "input";
}

/** One number in every place. */
export interface Uniform extends Base {
  readonly kind: "uniform";
  readonly value: number;
}

/** Values that the formula itself brings along. */
export interface Constant extends Base {
  readonly kind: "constant";
  readonly values: ArrayLike<number>;
}

/** One step of a pass; the operands broadcast to its shape. `copy` is none. */
export interface Elementwise extends Base {
  readonly kind: "elementwise";
  readonly operation: Unary | Binary | Ternary | "copy";
  readonly of: readonly Term[];
  readonly parameter?: number;
}

/** Over the axes that have length 1 here and another there. */
export interface Reduction extends Base {
  readonly kind: "reduction";
  readonly reduced: "sum" | "largest";
  readonly of: Term;
}

/** The elements of a dense array by strides: reshaped, sliced, transposed or repeated, without a copy. */
export interface Viewed extends Base, Strided {
  readonly kind: "viewed";
  /** What was viewed, perhaps a view itself. */
  readonly of: Term;
  /** The array that the strides are of. */
  readonly source: Source;
}

/** A term with an array of its own. */
export type Source = Exclude<Term, Viewed>;

/** Parts side by side along an axis. */
export interface Joined extends Base {
  readonly kind: "joined";
  readonly of: readonly Term[];
  readonly axis: number;
}

/** What a whole-array call gives. */
export interface Output extends Base {
  readonly kind: "output";
  readonly call: Called;
  readonly index: number;
}

/** A call in a graph. */
export interface Called extends Call {
  /** All that it gives, needed or not. */
  readonly gives: readonly Output[];
}

/** A whole-array call of a backend, between passes. Its operands are dense. */
export interface Call {
  readonly of: readonly Term[];
  /** Shapes of what it gives. */
  readonly outputs: readonly (readonly number[])[];
  /** Runs it on the arrays of its operands and of its outputs, in their order; a promise where it waits for a reduction. */
  run<A>(
    kernels: Kernels<A>,
    operands: readonly A[],
    outputs: readonly A[],
    reduce?: AsyncReduce,
  ): Promise<void> | void;
  /** Whether it calls the reduction, which sees each call once, in the same order everywhere. */
  readonly merges?: boolean;
  /** Hands on the gradients of its outputs, of which one at least is there. */
  back?(gradients: readonly (Term | undefined)[]): readonly Contribution[];
}

/** Strides of a dense array of this shape. */
export function denseStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/** A term as the elements of one that is not viewed. */
export function elementsOf(term: Term): Strided & { readonly source: Source } {
  if (term.kind === "viewed") return term;
  return { source: term, strides: denseStrides(term.shape), offset: 0 };
}

/** Whether a term has all elements of its source in their order. */
export function isWhole(term: Term): boolean {
  const { source, strides, offset } = elementsOf(term);
  if (offset !== 0 || sizeOf(source.shape) !== sizeOf(term.shape)) return false;
  const dense = denseStrides(term.shape);
  return term.shape.every((length, axis) => length === 1 || strides[axis] === dense[axis]);
}

/** What a term is directly made of. */
export function operandsOf(term: Term): readonly Term[] {
  if (term.kind === "elementwise" || term.kind === "joined") return term.of;
  if (term.kind === "reduction" || term.kind === "viewed") return [term.of];
  return term.kind === "output" ? term.call.of : [];
}
