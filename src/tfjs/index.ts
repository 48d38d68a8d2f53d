/** Public names of `evenkeel/tfjs`. Needs @tensorflow/tfjs-core and @tensorflow/tfjs-layers, or @tensorflow/tfjs. */
export { type Installed, type InstallOptions, install } from "./install.js";
export type { Normalized, NormalizeParameters } from "./kernels/normalize.js";
export { apply } from "./layers/apply.js";
export { layers } from "./layers/catalog.js";
export { type GRUArgs, gru } from "./layers/keras-only.js";
export { type NormalizationArgs, NormalizationLayer, type WeightArgs } from "./layers/normalization-layer.js";
export { type NormalizeOverParameters, normalize } from "./layers/normalize.js";
export { type ResidualArgs, ResidualBlock, residual } from "./layers/residual.js";
export { Reversible, type ReversibleArgs, reversible } from "./layers/reversible.js";
export { withoutWeightNormalization } from "./layers/unwrapped-model.js";
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
} from "./layers/weight-wrappers.js";
export {
  type Averaged,
  type AverageOptions,
  type AverageOverOptions,
  averageModels,
  averageOver,
} from "./models/average-models.js";
export type { Batches, HeldOut } from "./models/batches.js";
export {
  type Replica,
  type ReplicaCallback,
  type ReplicaFitOptions,
  type ReplicaOptions,
  replicaOf,
  type StepResult,
} from "./models/data-parallel.js";
export { type FoldedModel, foldStatistics } from "./models/fold-statistics.js";
export { epochStatistics, freezeStatistics } from "./models/freeze.js";
export { type FusedModel, fuse } from "./models/fuse.js";
export type { GraphModel } from "./models/graph-executor.js";
export { layersModelFrom } from "./models/layers-model-from.js";
export { type Loaded, type LoadedLayer, type LoadOptions, loadInto } from "./models/load-into.js";
export { recalibrate } from "./models/recalibrate.js";
export {
  type Evaluated,
  type Selection,
  type SelectOptions,
  selectStatistics,
} from "./models/select-statistics.js";
export { stateDictOf } from "./models/state-dict.js";
export { type StatisticsGap, statisticsGap } from "./models/statistics-gap.js";
export { synchronizeStatistics } from "./models/synchronize.js";
