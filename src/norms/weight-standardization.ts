/**
 * Weight standardization: the weights of each output with mean 0 and variance 1.
 *
 *     y = (w − mean) / √(variance + epsilon)                          variance biased, epsilon inside the root
 *     scaled:  y = gain · (w − mean) / √(fanIn · (variance + epsilon))        gain one learned factor per output
 *
 * Qiao, Wang, Liu, Shen & Yuille 2019, arXiv 1903.10520; scaled: Brock, De & Smith 2021, arXiv 2101.08692. Axes: that of the
 * outputs is kept, every other one is reduced; fanIn is the number of weights that an output has.
 */
import { checkCount, checkEpsilon } from "../formula/checks.js";
import { type Normalization, normalization, trained, type Weight } from "../formula/normalization.js";
import type { FusedNorm } from "../formula/plan.js";
import { type WeightAxisOptions, weightPlan } from "../formula/weights.js";
import type { Settled } from "../options.js";
import { reducedSize } from "../view.js";

export interface WeightStandardizationOptions extends WeightAxisOptions {
  /** Default 1e-5. */
  epsilon?: number;
  /** Divides by √fanIn and learns a gain, for networks without batch normalization. Default false. */
  scaled?: boolean;
  /** What the gain starts with, where scaled: √2 / √(1 − 1/π) keeps the variance through a relu. Default 1. */
  gain?: number;
}

/**
 * x is the weight. Throws RangeError for an epsilon below 0, for axes that the weight does not have, and where an output has
 * one weight, whose variance is 0.
 */
export const weightStandardization = normalization(
  {
    name: "weightStandardization",
    title: "Weight standardization",
    summary:
      "weights of each output with mean 0 and variance 1; with group norm, for images in small batches",
    paper: "Qiao et al. 2019, arXiv 1903.10520",
    takes: "weight",
  },
  { axis: -1, epsilon: 1e-5, scaled: false, gain: 1 },
  ({ axis, epsilon, scaled, gain }: Settled<WeightStandardizationOptions>) => {
    const name = "weightStandardization";
    checkEpsilon(name, epsilon);
    if (!Number.isFinite(gain)) {
      throw new RangeError(`${name}: gain must be a finite number, got ${gain}; leave it out for 1`);
    }
    const norm: FusedNorm = { name, epsilon, centered: true, plan: weightPlan(name, axis) };
    return {
      handles: { mask: true },
      weights(shape): Record<string, Weight> {
        const plan = norm.plan(shape);
        checkCount(name, plan, "leave such a weight as it is, or name fewer axes");
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
