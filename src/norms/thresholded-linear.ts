/**
 * Thresholded linear unit: a ReLU whose threshold is learned. It belongs behind filter response normalization, whose outputs
 * have no mean of 0 for a ReLU to cut at.
 *
 *     y = max(x, tau)                     affine: y = max(x, alpha · x + tau)
 *
 * Singh & Krishnan 2019, arXiv 1911.09737. Axes: none is reduced; tau and alpha are per feature or channel (`axis`).
 */
import { planFeatures } from "../formula/features.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import type { Settled } from "../options.js";

export interface ThresholdedLinearUnitOptions {
  /** The axis, or axes, that have thresholds of their own. Default −1, the channels. */
  axis?: number | readonly number[];
  /** Whether the threshold has a slope, alpha, at first 0. Default false. */
  affine?: boolean;
}

/** Throws RangeError for axes that the array does not have. */
export const thresholdedLinearUnit = normalization(
  {
    name: "thresholdedLinearUnit",
    title: "Thresholded linear unit",
    summary: "a ReLU with a learned threshold; the activation of filter response normalization",
    paper: "Singh & Krishnan 2019, arXiv 1911.09737",
    takes: "features",
  },
  { axis: -1, affine: false },
  ({ axis, affine }: Settled<ThresholdedLinearUnitOptions>) =>
    ({
      weights(shape) {
        const { parameterShape } = planFeatures("thresholdedLinearUnit", shape, axis);
        return { tau: trained(parameterShape, 0), ...(affine && { alpha: trained(parameterShape, 0) }) };
      },
      apply(ops, [x], { tau, alpha }) {
        const shape = ops.shape(x);
        const { k1, r1, k2, r2 } = planFeatures("thresholdedLinearUnit", shape, axis).parameters;
        const seen = ops.reshape(x, [k1, r1, k2, r2]);
        const spread = (values: typeof x) => ops.reshape(values, [k1, 1, k2, 1]);
        const threshold = spread(tau);
        const line = alpha === undefined ? threshold : ops.add(ops.mul(seen, spread(alpha)), threshold);
        return { y: ops.reshape(ops.max(seen, line), shape) };
      },
    }) satisfies Omit<Normalization, "name">,
);
