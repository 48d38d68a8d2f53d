/**
 * Scale normalization: each example is given the same length, one learned number.
 *
 *     y = gamma · x / √(Σ x² + epsilon)        gamma one number, at first √features
 *
 * Nguyen & Salazar 2019, arXiv 1910.05895 (who bound the length from below instead of adding epsilon). Axes: those named
 * (the last by default) are reduced. RMS normalization with one gamma for all features, but for the factor √features.
 */
import { checkEpsilon } from "../formula/checks.js";
import type { FeatureOptions } from "../formula/features.js";
import { planFeatures } from "../formula/features.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import { keepingLast, oneParameter } from "../formula/plan.js";
import type { Settled } from "../options.js";
import { reducedSize } from "../view.js";

/** Throws RangeError for an epsilon below 0, and for axes that the array does not have. */
export const scaleNorm = normalization(
  {
    name: "scaleNorm",
    title: "Scale normalization",
    summary: "one learned length for every example; a light layer norm for small transformers",
    paper: "Nguyen & Salazar 2019, arXiv 1910.05895",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-5 },
  ({ axis, epsilon }: Settled<FeatureOptions>) => {
    checkEpsilon("scaleNorm", epsilon);
    // one gamma for all
    const plan = keepingLast((shape) => oneParameter(planFeatures("scaleNorm", shape, axis)));
    return {
      weights: (shape) => ({ gamma: trained([1], Math.sqrt(reducedSize(plan(shape).statistics))) }),
      apply(ops, [x], { gamma }) {
        const features = reducedSize(plan(ops.shape(x)).statistics);
        // the length from the mean square
        const norm = { name: "scaleNorm", epsilon: epsilon / features, centered: false, plan };
        return { y: ops.normalize(norm, x, { gamma: ops.div(gamma, Math.sqrt(features)) }).y };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
