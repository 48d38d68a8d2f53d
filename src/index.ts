/** Public names of `evenkeel`. */

export type { Values } from "./kernels/contract.js";
export { type Applied, type ApplyOptions, apply, type Gradients } from "./layers/apply.js";
export { BackendArray, type PlainArray } from "./layers/array.js";
export {
  type BackendName,
  type BackwardResult,
  type Evenkeel,
  type ForwardOptions,
  type ForwardResult,
  type Input,
  type OpenOptions,
  open,
  type Parameters,
  type Saved,
} from "./layers/evenkeel.js";
export {
  type AddedAndNormalized,
  BatchNorm,
  type FeatureLayerOptions,
  GroupNorm,
  InstanceNorm,
  Layer,
  LayerNorm,
  RMSNorm,
  type StateDict,
} from "./layers/layers.js";
export { type Mask, maskOfLengths } from "./mask.js";
export { biasedVariance, type Moments, merge, momentsOf, noMoments, unbiasedVariance } from "./moments.js";
export { type BatchNormOptions, batchNorm, type ChannelOptions } from "./norms/batch.js";
export { type GroupNormOptions, groupNorm, legalGroups } from "./norms/group.js";
export { instanceNorm } from "./norms/instance.js";
export { type LayerNormOptions, layerNorm } from "./norms/layer.js";
export type { AffineOptions, Norm, Plan } from "./norms/norm.js";
export type { About, ApplyResult, Factory, Normalization, Weight } from "./norms/normalization.js";
export type { NormalizeOperands, NormalizeResult, Operand, Ops } from "./norms/ops.js";
export { rmsNorm } from "./norms/rms.js";
export {
  type Standardized,
  Standardizer,
  type StandardizerJSON,
  type StandardizerOptions,
  type Table,
  type Tabular,
} from "./standardizer.js";
export type { View } from "./view.js";
