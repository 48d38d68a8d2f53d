/**
 * What operators mean, in `Ops`: once for the values that a graph computes, for the polynomials that normalizations are known by, and for
 * shapes. Operators that are nothing but data movement are here too; what has no meaning in `Ops` is unknown, and stays as it is.
 */
import { type Call, Operands, ofDialect, unlessUnknown } from "./operators.js";
import { microsoft, onnx } from "./operators-onnx.js";
import { tensorflow } from "./operators-tensorflow.js";

export type { Call } from "./operators.js";

/** Before this opset, ONNX's binary operators do not broadcast as numpy does. */
const FIRST_OPSET = 7;

/**
 * What a node gives, each output; undefined where it is not known what it means: of an operator that has none in `Ops`, of operands that
 * are not known, of shapes that do not fit. Optional outputs that have no meaning are missing at the end.
 */
export function meaningOf<T>(call: Call<T>): readonly T[] | undefined {
  const { node } = call;
  if (node.domain === "" && node.opset > 0 && node.opset < FIRST_OPSET) return undefined;
  const meaning = ofDialect(node, { onnx, microsoft, tensorflow });
  return meaning && unlessUnknown(() => meaning(new Operands(call)));
}
