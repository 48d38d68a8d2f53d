/**
 * Layer normalization: statistics over the features of each example, parameters per feature.
 *
 *     y = (x − mean) / √(variance + epsilon) · gamma + beta        variance biased, epsilon inside the root
 *
 * Ba, Kiros & Hinton 2016, arXiv 1607.06450. Axes: those named (the last by default) are reduced; gamma and beta
 * have their shape. RMS normalization (rms.ts) is the same without the mean.
 */
import { checkEpsilon } from "../formula/checks.js";
import type { FeatureOptions } from "../formula/features.js";
import { planFeatures } from "../formula/features.js";
import type { AffineOptions } from "../formula/fused-norm.js";
import { affineDefaults, fusedNorm } from "../formula/fused-norm.js";
import { keepingLast } from "../formula/plan.js";
import type { Settled } from "../options.js";

export type LayerNormOptions = FeatureOptions & AffineOptions;

/** @throws RangeError for an epsilon below 0; its `plan` throws for axes that the array does not have. */
export const layerNorm = fusedNorm(
  {
    name: "layerNorm",
    title: "Layer normalization",
    summary: "each example over its features; the usual one of transformers and recurrent networks",
    paper: "Ba, Kiros & Hinton 2016, arXiv 1607.06450",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-5, ...affineDefaults },
  ({ axis, epsilon }: Settled<LayerNormOptions>) => {
    checkEpsilon("layerNorm", epsilon);
    return { epsilon, centered: true, plan: keepingLast((shape) => planFeatures("layerNorm", shape, axis)) };
  },
);
