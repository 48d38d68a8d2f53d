/**
 * What operators mean, in `Ops`: once for the values that a graph computes, for the polynomials that normalizations are known by, and for
 * shapes. Operators that are nothing but data movement are here too; what has no meaning in `Ops` is unknown, and stays as it is.
 */
import { type Call, Operands, UNKNOWN } from "./operators.js";
import { onnxMeaning } from "./operators-onnx.js";
import { tensorflowMeaning } from "./operators-tensorflow.js";

export type { Call } from "./operators.js";

/**
 * What a node gives, each output; undefined where it is not known what it means: of an operator that has none in `Ops`, of operands that
 * are not known, of shapes that do not fit. Optional outputs that have no meaning are missing at the end.
 */
export function meaningOf<T>(call: Call<T>): readonly T[] | undefined {
  const { domain, operator, opset } = call.node;
  const meaning = opset === 0 ? tensorflowMeaning(operator) : onnxMeaning(domain, operator, opset);
  if (!meaning) return undefined;
  try {
    return meaning(new Operands(call));
  } catch (error) {
    if (error === UNKNOWN || error instanceof RangeError) return undefined;
    throw error;
  }
}
