/** Public names of `evenkeel/tfjs`. Needs @tensorflow/tfjs-core and @tensorflow/tfjs-layers, or @tensorflow/tfjs. */
export { type Installed, install } from "./install.js";
export { type Normalized, type NormalizeParameters, normalize } from "./kernels/normalize.js";
export { apply, layers, type NormalizationArgs, NormalizationLayer, type WeightArgs } from "./layers.js";
export type { Batches, HeldOut } from "./model-runs.js";
export { type ResidualArgs, ResidualBlock, residual } from "./residual.js";
export { Reversible, type ReversibleArgs, reversible } from "./reversible.js";
export {
  type Evaluated,
  epochStatistics,
  freezeStatistics,
  recalibrate,
  type Selection,
  type SelectOptions,
  type StatisticsGap,
  selectStatistics,
  statisticsGap,
} from "./statistics.js";
export {
  initializeWeightNormalization,
  SpectralNormalization,
  type SpectralNormalizationArgs,
  spectralNormalization,
  WeightNormalization,
  WeightStandardization,
  type WeightStandardizationArgs,
  WeightWrapper,
  type WeightWrapperArgs,
  weightNormalization,
  weightStandardization,
  withoutWeightNormalization,
} from "./wrappers.js";
