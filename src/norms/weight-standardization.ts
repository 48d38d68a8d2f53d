/**
 * Weight standardization: the weights of each output are standardized to mean 0 and variance 1.
 *
 *     y = (w − mean) / √(variance + epsilon)                          variance biased, epsilon inside the root
 *     scaled:  y = gain · (w − mean) / √(fanIn · (variance + epsilon))        gain: a learned factor per output
 *
 * Qiao, Wang, Liu, Shen & Yuille 2019, arXiv 1903.10520; scaled: Brock, De & Smith 2021, arXiv 2101.08692. Axes: that of the
 * outputs is kept, every other one is reduced; fanIn is the number of weights per output.
 */
import { checkCount, checkEpsilon } from "../formula/checks.js";
import { type Normalization, normalization, trained, type Weight } from "../formula/normalization.js";
import type { FusedNorm } from "../formula/plan.js";
import { type WeightAxisOptions, weightPlan } from "../formula/weights.js";
import type { Settled } from "../options.js";
import { reducedSize } from "../view.js";

/** Options of `weightStandardization`. */
export interface WeightStandardizationOptions extends WeightAxisOptions {
  /** Default 1e-5. */
  epsilon?: number;
  /** Whether to divide by √fanIn and learn a gain, for networks without batch normalization. Default false. */
  scaled?: boolean;
  /** Initial gain, if scaled: √2 / √(1 − 1/π) preserves the variance through a ReLU. Default 1. */
  gain?: number;
}

/**
 * x is the weight, of any shape; y has its shape. Weights: gain [outputs] if scaled.
 * @throws RangeError for options out of range; when called, for axes that the weight does not have, and for outputs with a single
 * weight, whose variance is 0
 */
export const weightStandardization = normalization(
  {
    name: "weightStandardization",
    title: "Weight standardization",
    summary: "standardizes each output's weights; with group normalization, for images in small batches",
    paper: "Qiao et al. 2019, arXiv 1903.10520",
    takes: "weight",
  },
  { axis: -1, epsilon: 1e-5, scaled: false, gain: 1 },
  ({ axis, epsilon, scaled, gain }: Settled<WeightStandardizationOptions>) => {
    const name = "weightStandardization";
    checkEpsilon(name, epsilon);
    if (!Number.isFinite(gain)) {
      throw new RangeError(`${name}: gain must be a finite number, got ${gain}; omit it for 1`);
    }
    const norm: FusedNorm = { name, epsilon, centered: true, plan: weightPlan(name, axis) };
    return {
      handles: { mask: true },
      weights(shape): Record<string, Weight> {
        const plan = norm.plan(shape);
        checkCount(name, plan, "do not normalize this weight, or name fewer axes");
        return scaled ? { gain: trained(plan.parameterShape, gain) } : {};
      },
      apply(ops, [x], { gain }, { mask }) {
        const fanIn = reducedSize(norm.plan(ops.shape(x)).statistics);
        const gamma = scaled ? ops.mul(gain, 1 / Math.sqrt(fanIn)) : undefined;
        return { y: ops.normalize(norm, x, { gamma, mask }).y };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
