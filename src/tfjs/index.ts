/** Public names of `evenkeel/tfjs`. Needs @tensorflow/tfjs-core and @tensorflow/tfjs-layers, or @tensorflow/tfjs. */
export { type Installed, install } from "./install.js";
export { apply, layers, type NormalizationArgs, NormalizationLayer, type WeightArgs } from "./layers.js";
export { type Normalized, type NormalizeParameters, normalize } from "./operation.js";
