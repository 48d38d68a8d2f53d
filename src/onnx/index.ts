/**
 * Public names of `evenkeel/onnx`: normalizations in networks' files (ONNX models, TensorFlow.js's graph models) found, said what is ill of them,
 * and mended; and any normalization as an ONNX model.
 *
 *     const model = await openModel("model.onnx");
 *     const found = await find(model);
 *     const { files } = await written(model, { mends: await mendsOf(model, found) });
 */
export { type EvaluateOptions, evaluated } from "../checkpoints/graphs/evaluate.js";
export type { Found, FoundActivation, FoundNorm, Parameter } from "../checkpoints/graphs/found.js";
export type {
  Attribute,
  Callable,
  Constant,
  Graph,
  Mend,
  NewConstant,
  NewNode,
  Node,
  ValueInfo,
} from "../checkpoints/graphs/graph.js";
export { type FoundInModel, find } from "./find.js";
export { type Ill, type IllKind, illsOf } from "./ills.js";
export { type Measure, measure } from "./measure.js";
export { type MendOptions, mendsOf } from "./mends.js";
export { type Model, type OpenModelOptions, openModel } from "./model.js";
export { canRaise, raising } from "./opsets.js";
export { type Part, partOf } from "./part.js";
export { type OnnxWeight, type OpenLength, type ToOnnxOptions, toOnnx } from "./to-onnx.js";
export { bytesOfParts, type Changes, type Piece, type Written, type WrittenFile, written } from "./write.js";
