/**
 * Layer scale: a learned factor per feature on a residual branch, initialized so small that a deep network starts as the
 * identity.
 *
 *     y = gamma · x        gamma initialized to `initial`
 *
 * Touvron et al. 2021 (CaiT), arXiv 2103.17239. Axes: none is reduced; gamma is per feature (`axis`).
 */
import { checkFinite } from "../formula/checks.js";
import { planFeatures } from "../formula/features.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import { affine } from "../formula/terms.js";
import type { Settled } from "../options.js";

/** Options of `layerScale`. */
export interface LayerScaleOptions {
  /** The axis, or axes, of the features; negative ones count from the end. Default −1. */
  axis?: number | readonly number[];
  /** Initial value of gamma. Default 1e-4; the paper has 0.1 up to depth 18, 1e-5 up to 24, and 1e-6 beyond. */
  initial?: number;
}

/**
 * x [..., features], y of its shape. Weights: gamma [features].
 * @throws RangeError, when called, for axes that x does not have
 */
export const layerScale = normalization(
  {
    name: "layerScale",
    title: "Layer scale",
    summary: "a small learned factor per feature on a residual branch; makes very deep networks trainable",
    paper: "Touvron et al. 2021, arXiv 2103.17239",
    takes: "features",
  },
  { axis: -1, initial: 1e-4 },
  ({ axis, initial }: Settled<LayerScaleOptions>) => {
    checkFinite("layerScale", "initial", initial);
    return {
      weights: (shape) => ({
        gamma: trained(planFeatures("layerScale", shape, axis).parameterShape, initial),
      }),
      apply(ops, [x], { gamma }) {
        const { parameters } = planFeatures("layerScale", ops.shape(x), axis);
        return { y: affine(ops, x, parameters, gamma) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
