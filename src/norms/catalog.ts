/** The catalog of normalizations: layers, tests and documentation are generated from it. */
import { actNorm } from "./act.js";
import { adaNorm } from "./ada.js";
import { adaptiveInstanceNorm } from "./adaptive-instance.js";
import { adaptiveLayerNorm } from "./adaptive-layer.js";
import { normalizedAttention } from "./attention.js";
import { batchNorm } from "./batch.js";
import { batchLayerNorm } from "./batch-layer.js";
import { batchRenorm } from "./batch-renorm.js";
import { boundedNorm } from "./bounded.js";
import { conditionalBatchNorm } from "./conditional-batch.js";
import { cumulativeLayerNorm } from "./cumulative-layer.js";
import { deepAdaptiveInputNorm } from "./deep-adaptive-input.js";
import { divisiveNorm } from "./divisive.js";
import { dynamicErf, dynamicISRU, dynamicTanh } from "./dynamic.js";
import { evoNormB0, evoNormS0 } from "./evo.js";
import { featureWiseLinearModulation } from "./feature-wise-linear-modulation.js";
import { filterResponseNorm } from "./filter-response.js";
import { gatedRMSNorm } from "./gated-rms.js";
import { ghostBatchNorm } from "./ghost-batch.js";
import { globalResponseNorm } from "./global-response.js";
import { graphNorm } from "./graph.js";
import { groupNorm } from "./group.js";
import { instanceNorm } from "./instance.js";
import { iterNorm } from "./iter.js";
import { layerNorm } from "./layer.js";
import { layerNormGRU } from "./layer-norm-gru.js";
import { layerNormLSTM } from "./layer-norm-lstm.js";
import { layerNormRNN } from "./layer-norm-rnn.js";
import { layerScale } from "./layer-scale.js";
import { localResponseNorm } from "./local-response.js";
import { meanOnlyBatchNorm } from "./mean-only-batch.js";
import { onlineNorm } from "./online.js";
import { pairNorm } from "./pair.js";
import { positionNorm } from "./position.js";
import { recurrentBatchNorm } from "./recurrent-batch.js";
import { reversibleInstanceNorm } from "./reversible-instance.js";
import { rmsNorm } from "./rms.js";
import { robustReversibleInstanceNorm } from "./robust-reversible-instance.js";
import { scaleNorm } from "./scale.js";
import { seeDNorm } from "./see-d.js";
import { spatiallyAdaptiveNorm } from "./spatially-adaptive.js";
import { spectralNorm } from "./spectral.js";
import { switchableNorm } from "./switchable.js";
import { thresholdedLinearUnit } from "./thresholded-linear.js";
import { unitNorm } from "./unit.js";
import { weightNorm } from "./weight.js";
import { weightDemodulation } from "./weight-demodulation.js";
import { weightStandardization } from "./weight-standardization.js";

/** Every normalization's factory, by name. */
export const catalog = Object.freeze({
  layerNorm,
  rmsNorm,
  gatedRMSNorm,
  seeDNorm,
  batchNorm,
  ghostBatchNorm,
  batchRenorm,
  meanOnlyBatchNorm,
  iterNorm,
  onlineNorm,
  batchLayerNorm,
  groupNorm,
  instanceNorm,
  graphNorm,
  pairNorm,
  positionNorm,
  cumulativeLayerNorm,
  localResponseNorm,
  filterResponseNorm,
  globalResponseNorm,
  divisiveNorm,
  scaleNorm,
  unitNorm,
  adaNorm,
  dynamicTanh,
  dynamicErf,
  dynamicISRU,
  layerScale,
  thresholdedLinearUnit,
  evoNormB0,
  evoNormS0,
  actNorm,
  normalizedAttention,
  weightNorm,
  spectralNorm,
  weightStandardization,
  weightDemodulation,
  boundedNorm,
  adaptiveInstanceNorm,
  adaptiveLayerNorm,
  conditionalBatchNorm,
  spatiallyAdaptiveNorm,
  deepAdaptiveInputNorm,
  featureWiseLinearModulation,
  reversibleInstanceNorm,
  robustReversibleInstanceNorm,
  switchableNorm,
  layerNormLSTM,
  layerNormGRU,
  layerNormRNN,
  recurrentBatchNorm,
});

/** The type of `catalog`. */
export type Catalog = typeof catalog;

/** Normalizations of a layer's weights rather than its activations. */
export type WeightNormName = {
  [K in keyof Catalog]: Catalog[K]["about"]["takes"] extends "weight" ? K : never;
}[keyof Catalog];
