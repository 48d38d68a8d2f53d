/**
 * Layer normalization: statistics over the features of each example, parameters per feature.
 *
 *     y = (x − mean) / √(variance + epsilon) · gamma + beta        variance biased, epsilon inside the root
 *
 * Ba, Kiros & Hinton 2016, arXiv 1607.06450. Axes: those named (the last by default) are reduced; gamma and beta
 * have their shape. RMS normalization (rms.ts) is the same without the mean.
 */
import { checkEpsilon } from "../formula/checks.js";
import { planFeatures } from "../formula/features.js";
import { coreNorm } from "../formula/fused-norm.js";
import { keepingLast } from "../formula/plan.js";

export interface LayerNormOptions {
  /** The axis, or axes, of the features; negative ones count from the end. Default −1. */
  axis?: number | readonly number[];
  /** Default 1e-5 (PyTorch, ONNX; Keras has 1e-3). */
  epsilon?: number;
}

/** @throws RangeError for an epsilon below 0; its `plan` throws for axes that the array does not have. */
export const layerNorm = coreNorm(
  {
    name: "layerNorm",
    title: "Layer normalization",
    summary: "each example over its features; the usual one of transformers and recurrent networks",
    paper: "Ba, Kiros & Hinton 2016, arXiv 1607.06450",
    takes: "features",
  },
  ({ axis = -1, epsilon = 1e-5 }: LayerNormOptions) => {
    checkEpsilon("layerNorm", epsilon);
    return { epsilon, centered: true, plan: keepingLast((shape) => planFeatures("layerNorm", shape, axis)) };
  },
);
