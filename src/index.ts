/** Public names of `evenkeel`. */

export type { Values } from "./kernels/contract.js";
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
  type AffineOptions,
  BatchNorm,
  type BatchNormOptions,
  type FeatureLayerOptions,
  GroupNorm,
  InstanceNorm,
  LayerNorm,
  type NormLayer,
  RMSNorm,
  type StateDict,
} from "./layers/layers.js";
export { biasedVariance, type Moments, merge, momentsOf, noMoments, unbiasedVariance } from "./moments.js";
export { batchNorm, type ChannelOptions } from "./norms/batch.js";
export { type GroupNormOptions, groupNorm, legalGroups } from "./norms/group.js";
export { instanceNorm } from "./norms/instance.js";
export { type LayerNormOptions, layerNorm } from "./norms/layer.js";
export type { Norm, Plan } from "./norms/norm.js";
export { rmsNorm } from "./norms/rms.js";
export type { View } from "./view.js";
