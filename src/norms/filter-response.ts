/**
 * Filter response normalization, with its thresholded linear unit.
 *
 *     z = x / √(nu² + epsilon) · gamma + beta        nu²: mean of x² over positions
 *     y = max(z, tau)
 *
 * Singh & Krishnan 2019, arXiv 1911.09737. Axes: batch and channel are kept, positions are reduced; gamma, beta and tau are
 * per channel. No mean is subtracted. Epsilon, inside the root, is 1e-6, or 1e-6 + |learnedEpsilon|.
 */
import { channelAxis, WITH_POSITIONS } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import { type FusedNorm, memoizeLast, planOf } from "../formula/plan.js";
import {
  affine,
  averaging,
  axesExcept,
  broadcastAlong,
  broadcastMask,
  rootMeanSquare,
} from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis } from "../shape.js";

/** Options of `filterResponseNorm`. */
export interface FilterResponseNormOptions extends AffineOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Default 1e-6. */
  epsilon?: number;
  /** Whether a learned number (initialized to 1e-4) has its absolute value added to epsilon. Default false. */
  learnedEpsilon?: boolean;
  /** Whether the thresholded linear unit, max(z, tau), follows; tau is learned, initialized to 0. Default true. */
  thresholded?: boolean;
}

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma, beta and tau [channels]; learnedEpsilon [1].
 * @throws RangeError for a negative epsilon; when called, for an x without positions, or with a single one (y would be the sign
 * of x) unless epsilon is learned
 */
export const filterResponseNorm = normalization(
  {
    name: "filterResponseNorm",
    title: "Filter response normalization",
    summary:
      "divides each channel by its RMS over positions, then applies a learned threshold; for any batch size",
    paper: "Singh & Krishnan 2019, arXiv 1911.09737",
    takes: "positions",
  },
  { axis: -1, epsilon: 1e-6, learnedEpsilon: false, thresholded: true, ...affineDefaults },
  ({ axis, epsilon, learnedEpsilon, thresholded, ...options }: Settled<FilterResponseNormOptions>) => {
    checkEpsilon("filterResponseNorm", epsilon);
    const norm: FusedNorm = {
      name: "filterResponseNorm",
      epsilon,
      centered: false,
      plan: memoizeLast((shape) => {
        const channel = channelAxis("filterResponseNorm", shape, axis, WITH_POSITIONS);
        const plan = planOf(shape, shape, [0, channel], [channel]);
        if (plan.statistics.r1 * plan.statistics.r2 === 1 && !learnedEpsilon) {
          throw new RangeError(
            `filterResponseNorm: shape [${shape.join(", ")}] has one position, so that y would be the sign of x; ` +
              "set learnedEpsilon, as the paper does there, or use layer normalization",
          );
        }
        return plan;
      }),
    };
    return {
      handles: { mask: true },
      weights(shape) {
        const { parameterShape } = norm.plan(shape);
        return {
          ...affineWeights(parameterShape, options),
          ...(thresholded && { tau: trained(parameterShape, 0) }),
          ...(learnedEpsilon && { learnedEpsilon: trained([1], 1e-4) }),
        };
      },
      apply(ops, [x], { gamma, beta, tau, learnedEpsilon: learned }, { mask }) {
        const shape = ops.shape(x);
        const { parameters } = norm.plan(shape);
        const channel = resolveAxis("filterResponseNorm", axis, shape.length);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        let y: typeof x;
        if (learned === undefined) {
          y = ops.normalize(norm, x, { gamma, beta, mask }).y;
        } else {
          // the fused operation's epsilon is a constant
          const axes = axesExcept(shape.length, 0, channel);
          const { masked: counting, average } = averaging(ops, shape, axes, fullMask);
          const { scaled, scale, power } = rootMeanSquare(
            ops,
            counting(x),
            axes,
            average,
            Math.max(epsilon, LEAST),
          );
          const guard = ops.div(ops.div(ops.add(ops.abs(learned), epsilon), scale), scale);
          y = affine(ops, ops.div(scaled, ops.sqrt(ops.add(power, guard))), parameters, gamma, beta);
        }
        if (tau !== undefined) {
          y = ops.max(y, broadcastAlong(ops, tau, shape.length, channel));
        }
        return { y: fullMask === undefined ? y : ops.where(fullMask, y, 0) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** Replaces an epsilon of 0, so that an x of zeros is not divided by 0. */
const LEAST = 1e-30;
