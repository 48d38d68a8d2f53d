/**
 * Layer normalization: statistics over the features of each example, parameters per feature.
 *
 *     y = (x − mean) / √(variance + epsilon) · gamma + beta        variance biased, epsilon inside the root
 *
 * Ba, Kiros & Hinton 2016, arXiv 1607.06450. Axes: those named (the last by default) are reduced; gamma and beta
 * have their shape. RMS normalization (rms.ts) omits the mean.
 */
import { checkEpsilon } from "../formula/checks.js";
import type { FeatureOptions } from "../formula/features.js";
import { planFeatures } from "../formula/features.js";
import type { AffineOptions } from "../formula/fused-norm.js";
import { affineDefaults, fusedNorm } from "../formula/fused-norm.js";
import { memoizeLast } from "../formula/plan.js";
import type { Settled } from "../options.js";

/** Options of `layerNorm`. */
export type LayerNormOptions = FeatureOptions & AffineOptions;

/**
 * x [..., features], y of its shape. Weights: gamma and beta [features].
 * @throws RangeError for a negative epsilon; when called, for axes that x does not have
 */
export const layerNorm = fusedNorm(
  {
    name: "layerNorm",
    title: "Layer normalization",
    summary: "standardizes each example over its features; standard in transformers and recurrent networks",
    paper: "Ba, Kiros & Hinton 2016, arXiv 1607.06450",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-5, ...affineDefaults },
  ({ axis, epsilon }: Settled<LayerNormOptions>) => {
    checkEpsilon("layerNorm", epsilon);
    return { epsilon, centered: true, plan: memoizeLast((shape) => planFeatures("layerNorm", shape, axis)) };
  },
);
