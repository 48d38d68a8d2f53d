/**
 * Scale normalization: each example is scaled to the same, learned length.
 *
 *     y = gamma · x / √(Σ x² + epsilon)        gamma a scalar, initialized to √features
 *
 * Nguyen & Salazar 2019, arXiv 1910.05895 (who clamp the length from below instead of adding epsilon). Axes: those named
 * (the last by default) are reduced. Up to the factor √features it is RMS normalization with one gamma for all features.
 */
import { checkEpsilon } from "../formula/checks.js";
import type { FeatureOptions } from "../formula/features.js";
import { planFeatures } from "../formula/features.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import { memoizeLast, oneParameter } from "../formula/plan.js";
import type { Settled } from "../options.js";
import { reducedSize } from "../view.js";

/**
 * x [..., features], y of its shape. Weights: gamma [1].
 * @throws RangeError for a negative epsilon; when called, for axes that x does not have
 */
export const scaleNorm = normalization(
  {
    name: "scaleNorm",
    title: "Scale normalization",
    summary: "one learned length for all examples; a lighter layer normalization for small transformers",
    paper: "Nguyen & Salazar 2019, arXiv 1910.05895",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-5 },
  ({ axis, epsilon }: Settled<FeatureOptions>) => {
    checkEpsilon("scaleNorm", epsilon);
    const plan = memoizeLast((shape) => oneParameter(planFeatures("scaleNorm", shape, axis)));
    return {
      weights: (shape) => ({ gamma: trained([1], Math.sqrt(reducedSize(plan(shape).statistics))) }),
      apply(ops, [x], { gamma }) {
        const features = reducedSize(plan(ops.shape(x)).statistics);
        // Σ x² = features · mean(x²)
        const norm = { name: "scaleNorm", epsilon: epsilon / features, centered: false, plan };
        return { y: ops.normalize(norm, x, { gamma: ops.div(gamma, Math.sqrt(features)) }).y };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
