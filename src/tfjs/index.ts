/** Public names of `evenkeel/tfjs`. Needs @tensorflow/tfjs-core and @tensorflow/tfjs-layers, or @tensorflow/tfjs. */
export { type Installed, install } from "./install.js";
export {
  BatchNormalization,
  type BatchNormalizationArgs,
  GroupNormalization,
  type GroupNormalizationArgs,
  InstanceNormalization,
  LayerNormalization,
  type LayerNormalizationArgs,
  layers,
  RMSNormalization,
  type RMSNormalizationArgs,
} from "./layers.js";
export { type Normalized, type NormalizeParameters, normalize } from "./operation.js";
