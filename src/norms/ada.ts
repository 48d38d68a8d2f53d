/**
 * AdaNorm: layer normalization without parameters, whose scale shrinks large positive values and enlarges large negative ones.
 *
 *     y = c · (1 − k · xHat) · xHat        xHat = (x − mean) / √(variance + epsilon), variance biased
 *
 * No gradient flows through the factor c·(1 − k·xHat). Xu, Sun, Zhang, Zhao & Lin 2019, arXiv 1911.07013. Axes: those
 * named (the last by default) are reduced.
 */
import { checkEpsilon, checkFinite } from "../formula/checks.js";
import type { FeatureOptions } from "../formula/features.js";
import { planFeatures } from "../formula/features.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { type FusedNorm, memoizeLast } from "../formula/plan.js";
import type { Settled } from "../options.js";

/** Options of `adaNorm`. */
export interface AdaNormOptions extends FeatureOptions {
  /** Scale of the output. Default 1. */
  c?: number;
  /** Slope of the factor in xHat. Default 0.1, as in the paper. */
  k?: number;
}

/**
 * x [..., features], y of its shape; no weights.
 * @throws RangeError for a negative epsilon; when called, for axes that x does not have
 */
export const adaNorm = normalization(
  {
    name: "adaNorm",
    title: "AdaNorm",
    summary:
      "layer normalization with a scale computed from xHat instead of learned parameters; overfits less",
    paper: "Xu et al. 2019, arXiv 1911.07013",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-5, c: 1, k: 0.1 },
  ({ axis, epsilon, c, k }: Settled<AdaNormOptions>) => {
    checkEpsilon("adaNorm", epsilon);
    checkFinite("adaNorm", "c", c);
    checkFinite("adaNorm", "k", k);
    const plan = memoizeLast((shape) => planFeatures("adaNorm", shape, axis));
    const norm: FusedNorm = { name: "adaNorm", epsilon, centered: true, plan };
    return {
      weights(shape) {
        plan(shape);
        return {};
      },
      apply(ops, [x]) {
        const { y: xHat } = ops.normalize(norm, x);
        const factor = ops.stop(ops.mul(ops.sub(1, ops.mul(xHat, k)), c));
        return { y: ops.mul(factor, xHat) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
