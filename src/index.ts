/** Public names of `evenkeel`. */

export {
  type ActivatedOptions,
  type ActivationName,
  type ActivationOptions,
  type DeepNormOptions,
  deepNorm,
  type ResidualOptions,
  residualBlock,
  withActivation,
  withDropout,
} from "./blocks.js";
export type { ChannelOptions } from "./formula/channels.js";
export type { StatisticsSource, StatisticsSources } from "./formula/evaluation-sources.js";
export type { AffineOptions } from "./formula/fused-norm.js";
export { statisticsOf } from "./formula/measured.js";
export type { About, ApplyResult, Factory, Normalization, Weight } from "./formula/normalization.js";
export type { NormalizeOperands, NormalizeResult, Operand, Ops } from "./formula/ops.js";
export type { FusedNorm, Plan } from "./formula/plan.js";
export type { RunningOptions } from "./formula/running.js";
export type { RecurrentOptions, SequenceOptions } from "./formula/sequences.js";
export type { WeightAxis, WeightAxisOptions } from "./formula/weights.js";
export { conventions, convertRunningVariance, type Framework } from "./frameworks/conventions.js";
export {
  type CenteringOptions,
  type Folded,
  type FoldOptions,
  foldBatchNorm,
  foldCentering,
} from "./frameworks/folding.js";
export type { BackendName, OpenOptions } from "./kernels/backends.js";
export type { StorageType, Values } from "./kernels/contract.js";
export { type Mask, maskOfLengths } from "./mask.js";
export {
  type AsyncReduce,
  biasedVariance,
  type Moments,
  type MomentsList,
  merge,
  mergeLists,
  momentsOf,
  noMoments,
  type Reduce,
  unbiasedVariance,
} from "./moments.js";
export {
  type Applied,
  type AppliedOver,
  type ApplyOptions,
  type ApplyOverOptions,
  apply,
  applyOver,
  type Gradients,
} from "./native/apply.js";
export { BackendArray, type PlainArray } from "./native/array.js";
export {
  type ArrayOptions,
  type BackwardResult,
  type Evenkeel,
  type ForwardOptions,
  type ForwardResult,
  type Input,
  open,
  type Parameters,
  type Saved,
} from "./native/evenkeel.js";
export { type AddedAndNormalized, Layer, type StateDict, type StateDictOptions } from "./native/layer.js";
export {
  BatchNorm,
  type FeatureLayerOptions,
  GroupNorm,
  InstanceNorm,
  LayerNorm,
  RMSNorm,
} from "./native/named-layers.js";
export { type Statistics, statistics } from "./native/statistics.js";
export { type ActNormInverseOptions, type ActNormOptions, actNorm, actNormInverse } from "./norms/act.js";
export { type AdaNormOptions, adaNorm } from "./norms/ada.js";
export { adaptiveInstanceNorm } from "./norms/adaptive-instance.js";
export { type AdaptiveLayerNormOptions, adaptiveLayerNorm } from "./norms/adaptive-layer.js";
export { type AttentionOptions, normalizedAttention } from "./norms/attention.js";
export { type BatchNormOptions, batchNorm } from "./norms/batch.js";
export { type BatchLayerNormOptions, batchLayerNorm } from "./norms/batch-layer.js";
export { type BatchRenormOptions, batchRenorm, renormSchedule } from "./norms/batch-renorm.js";
export { type BoundedNormOptions, boundedNorm } from "./norms/bounded.js";
export { type Catalog, catalog } from "./norms/catalog.js";
export { type ConditionalBatchNormOptions, conditionalBatchNorm } from "./norms/conditional-batch.js";
export { type CumulativeLayerNormOptions, cumulativeLayerNorm } from "./norms/cumulative-layer.js";
export { type DeepAdaptiveInputNormOptions, deepAdaptiveInputNorm } from "./norms/deep-adaptive-input.js";
export { type DivisiveNormOptions, divisiveNorm } from "./norms/divisive.js";
export {
  type DynamicISRUOptions,
  type DynamicOptions,
  type DynamicTanhOptions,
  dynamicErf,
  dynamicISRU,
  dynamicTanh,
} from "./norms/dynamic.js";
export { type EvoNormB0Options, type EvoNormS0Options, evoNormB0, evoNormS0 } from "./norms/evo.js";
export {
  type FeatureWiseLinearModulationOptions,
  featureWiseLinearModulation,
} from "./norms/feature-wise-linear-modulation.js";
export { type FilterResponseNormOptions, filterResponseNorm } from "./norms/filter-response.js";
export { type GatedRMSNormOptions, gatedRMSNorm, gatedRMSPresets } from "./norms/gated-rms.js";
export { type GhostBatchNormOptions, ghostBatchNorm } from "./norms/ghost-batch.js";
export { type GlobalResponseNormOptions, globalResponseNorm } from "./norms/global-response.js";
export { type GraphNormOptions, graphNorm } from "./norms/graph.js";
export {
  type GroupNormOptions,
  groupNorm,
  groupPresets,
  legalGroups,
  nearestGroups,
} from "./norms/group.js";
export { type GroupStatisticsOptions, groupStatistics } from "./norms/group-statistics.js";
export { type InstanceNormOptions, instanceNorm } from "./norms/instance.js";
export { type IterNormOptions, iterNorm } from "./norms/iter.js";
export { type LayerNormOptions, layerNorm } from "./norms/layer.js";
export { layerNormGRU, layerNormGRUCell } from "./norms/layer-norm-gru.js";
export {
  type LayerNormLSTMCellOptions,
  type LayerNormLSTMOptions,
  layerNormLSTM,
  layerNormLSTMCell,
} from "./norms/layer-norm-lstm.js";
export { layerNormRNN, layerNormRNNCell } from "./norms/layer-norm-rnn.js";
export { type LayerScaleOptions, layerScale } from "./norms/layer-scale.js";
export { type LocalResponseNormOptions, localResponseNorm } from "./norms/local-response.js";
export { type MeanOnlyBatchNormOptions, meanOnlyBatchNorm } from "./norms/mean-only-batch.js";
export { type OnlineNormOptions, onlineNorm } from "./norms/online.js";
export { type PairNormOptions, pairNorm } from "./norms/pair.js";
export {
  type MomentShortcutOptions,
  momentShortcut,
  type PositionNormOptions,
  positionNorm,
} from "./norms/position.js";
export { type RecurrentBatchNormOptions, recurrentBatchNorm } from "./norms/recurrent-batch.js";
export {
  type ReversibleInstanceDenormOptions,
  type ReversibleInstanceNormOptions,
  reversibleInstanceDenorm,
  reversibleInstanceNorm,
} from "./norms/reversible-instance.js";
export { type RMSNormOptions, rmsNorm, rmsPresets } from "./norms/rms.js";
export {
  type RobustReversibleInstanceNormOptions,
  robustReversibleInstanceNorm,
} from "./norms/robust-reversible-instance.js";
export { scaleNorm } from "./norms/scale.js";
export { seeDNorm } from "./norms/see-d.js";
export {
  type SpatiallyAdaptiveNormOptions,
  spatiallyAdaptiveNorm,
} from "./norms/spatially-adaptive.js";
export { type SpectralNormOptions, spectralNorm } from "./norms/spectral.js";
export { type SwitchableNormOptions, switchableNorm } from "./norms/switchable.js";
export { type ThresholdedLinearUnitOptions, thresholdedLinearUnit } from "./norms/thresholded-linear.js";
export { type UnitNormOptions, unitNorm } from "./norms/unit.js";
export { type WeightNormOptions, weightNorm, weightNormGain } from "./norms/weight.js";
export { type WeightDemodulationOptions, weightDemodulation } from "./norms/weight-demodulation.js";
export { type WeightStandardizationOptions, weightStandardization } from "./norms/weight-standardization.js";
export type { ColumnMoments, Numeric, StandardizerJSON } from "./standardizer/restore.js";
export type {
  MomentsSQLOptions,
  SQLEngine,
  StandardizerSQL,
  StandardizerSQLOptions,
} from "./standardizer/sql.js";
export {
  type FitOptions,
  type Standardized,
  Standardizer,
  type StandardizerOptions,
  type TransformOptions,
} from "./standardizer/standardizer.js";
export type { Float16Values, IntegerValues, Table, TableData, Tabular } from "./standardizer/table.js";
export type { View } from "./view.js";
