/**
 * Thresholded linear unit: a ReLU with a learned threshold. It follows filter response normalization, whose outputs do not
 * have the mean 0 that a ReLU expects.
 *
 *     y = max(x, tau)                     affine: y = max(x, alpha · x + tau)
 *
 * Singh & Krishnan 2019, arXiv 1911.09737. Axes: none is reduced; tau and alpha are per feature or channel (`axis`).
 */
import { planFeatures } from "../formula/features.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import type { Settled } from "../options.js";

/** Options of `thresholdedLinearUnit`. */
export interface ThresholdedLinearUnitOptions {
  /** The axis or axes with separate thresholds. Default −1, the channels. */
  axis?: number | readonly number[];
  /** Whether the threshold has a slope, alpha, initialized to 0. Default false. */
  affine?: boolean;
}

/**
 * x [..., channels], y of its shape. Weights: tau [channels], initialized to 0; alpha [channels] if affine.
 * @throws RangeError, when called, for axes that x does not have
 */
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
        const viewed = ops.reshape(x, [k1, r1, k2, r2]);
        const broadcast = (values: typeof x) => ops.reshape(values, [k1, 1, k2, 1]);
        const threshold = broadcast(tau);
        const line = alpha === undefined ? threshold : ops.add(ops.mul(viewed, broadcast(alpha)), threshold);
        return { y: ops.reshape(ops.max(viewed, line), shape) };
      },
    }) satisfies Omit<Normalization, "name">,
);
