/**
 * Position normalization (PONO): statistics of each position over its channels, which may be handed on.
 *
 *     y = (x − mean) / std        std = √(variance + epsilon), variance biased
 *
 * and the moment shortcut, which gives a later layer the statistics that an earlier one took out:
 *
 *     y = x · std + mean
 *
 * Li, Wu, Weinberger & Belongie 2019, arXiv 1907.04312. Axes: the channel axis is reduced, batch and positions are kept;
 * gamma and beta, which the paper has not, are per channel. Without the moments it is layer normalization over that axis.
 */
import { channelAxis } from "../formula/channels.js";
import { checkCount, checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineWeights } from "../formula/fused-norm.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { type FusedNorm, keepingLast, planOf } from "../formula/plan.js";
import { axesBut, moments } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis, sameShape } from "../shape.js";

export interface PositionNormOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Default 1e-5. */
  epsilon?: number;
  /** A factor per channel, gamma. Default false, as in the paper. */
  scale?: AffineOptions["scale"];
  /** An offset per channel, beta. Default false, as in the paper. */
  center?: AffineOptions["center"];
  /** Whether mean and std are given beside y (`more`), for `momentShortcut`: of x's shape with one channel. Default false. */
  moments?: boolean;
}

/** @throws RangeError for an epsilon below 0; its `plan` throws where there is one channel only, or axis is the batch's. */
export const positionNorm = normalization(
  {
    name: "positionNorm",
    title: "Position normalization",
    summary: "each position over its channels; hands the moments on to a generator's decoder",
    paper: "Li et al. 2019, arXiv 1907.04312",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-5, scale: false, center: false, moments: false },
  ({ axis, epsilon, scale, center, moments: given }: Settled<PositionNormOptions>) => {
    checkEpsilon("positionNorm", epsilon);
    const norm: FusedNorm = {
      name: "positionNorm",
      epsilon,
      centered: true,
      plan: keepingLast((shape) => {
        const channel = channelAxis("positionNorm", shape, axis);
        const plan = planOf(shape, shape, axesBut(shape.length, channel), [channel]);
        checkCount("positionNorm", plan, "use instance or batch normalization for a single channel");
        return plan;
      }),
    };
    return {
      ...norm,
      handles: { mask: true, residual: true },
      weights: (shape: readonly number[]) =>
        affineWeights(norm.plan(shape).parameterShape, { scale, center }),
      ...(given && {
        outputs(shape: readonly number[]) {
          const one = oneChannel(shape, resolveAxis("positionNorm", axis, shape.length));
          return [shape, one, one];
        },
      }),
      apply(ops, [x], { gamma, beta }, { mask, residual }) {
        const { y, sum } = ops.normalize(norm, x, { gamma, beta, mask, residual });
        if (!given) return { y, sum };
        // measured again, since what the operation measures is constant to the gradient
        const channel = resolveAxis("positionNorm", axis, ops.shape(x).length);
        const { mean, variance } = moments(ops, sum ?? x, [channel], mask);
        return { y, sum, more: [mean, ops.sqrt(ops.add(variance, epsilon))] };
      },
    } satisfies FusedNorm & Omit<Normalization, "name">;
  },
);

export interface MomentShortcutOptions {
  /** As in the `positionNorm` that the moments come from. */
  axis?: number;
}

/**
 * x·std + mean, of [x, mean, std] as `positionNorm({ moments: true })` gives them beside y: the same batch and positions as x,
 * one channel. Nothing is learned. Throws RangeError where their shapes do not fit.
 */
export const momentShortcut = normalization(
  {
    name: "momentShortcut",
    title: "Moment shortcut",
    summary: "gives back to a decoder the moments that position normalization took out",
    paper: "Li et al. 2019, arXiv 1907.04312",
    takes: "condition",
  },
  { axis: -1 },
  ({ axis }: Settled<MomentShortcutOptions>) =>
    ({
      weights(shape, ...moments) {
        const wanted = oneChannel(shape, channelAxis("momentShortcut", shape, axis));
        for (const [i, name] of ["mean", "std"].entries()) {
          if (moments[i] && sameShape(moments[i], wanted)) continue;
          throw new RangeError(
            `momentShortcut: ${name} must have shape [${wanted.join(", ")}] for x of shape [${shape.join(", ")}], ` +
              `got ${moments[i] ? `[${moments[i].join(", ")}]` : "none"}; give it [x, mean, std]`,
          );
        }
        return {};
      },
      apply: (ops, [x, mean, std]) => ({ y: ops.add(ops.mul(x, std), mean) }),
    }) satisfies Omit<Normalization, "name">,
);

function oneChannel(shape: readonly number[], channel: number): number[] {
  return shape.map((length, axis) => (axis === channel ? 1 : length));
}
