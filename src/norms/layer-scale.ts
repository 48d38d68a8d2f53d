/**
 * Layer scale: a learned factor per feature on a branch, so small at first that a deep residual network starts as the
 * identity.
 *
 *     y = gamma · x        gamma at first `initial`
 *
 * Touvron et al. 2021 (CaiT), arXiv 2103.17239. Axes: none is reduced; gamma is per feature (`axis`).
 */
import { planFeatures } from "../formula/features.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import { affine } from "../formula/terms.js";
import type { Settled } from "../options.js";

export interface LayerScaleOptions {
  /** The axis, or axes, of the features; negative ones count from the end. Default −1. */
  axis?: number | readonly number[];
  /** What gamma starts with. Default 1e-4; the paper has 0.1 to depth 18, 1e-5 to 24, and 1e-6 beyond. */
  initial?: number;
}

/** Throws RangeError for axes that the array does not have. */
export const layerScale = normalization(
  {
    name: "layerScale",
    title: "Layer scale",
    summary: "a small learned factor per feature on a residual branch; lets very deep networks start",
    paper: "Touvron et al. 2021, arXiv 2103.17239",
    takes: "features",
  },
  { axis: -1, initial: 1e-4 },
  ({ axis, initial }: Settled<LayerScaleOptions>) =>
    ({
      weights: (shape) => ({
        gamma: trained(planFeatures("layerScale", shape, axis).parameterShape, initial),
      }),
      apply(ops, [x], { gamma }) {
        const { parameters } = planFeatures("layerScale", ops.shape(x), axis);
        return { y: affine(ops, x, parameters, gamma) };
      },
    }) satisfies Omit<Normalization, "name">,
);
