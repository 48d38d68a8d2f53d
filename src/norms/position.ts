/**
 * Positional normalization (PONO): statistics of each position over its channels, which may be passed on.
 *
 *     y = (x − mean) / std        std = √(variance + epsilon), variance biased
 *
 * and the moment shortcut, which restores in a later layer the statistics that an earlier one removed:
 *
 *     y = x · std + mean
 *
 * Li, Wu, Weinberger & Belongie 2019, arXiv 1907.04312. Axes: the channel axis is reduced, batch and positions are kept;
 * gamma and beta, which the paper omits, are per channel. Without the moments it is layer normalization over that axis.
 */
import { channelAxis } from "../formula/channels.js";
import { checkCount, checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineWeights } from "../formula/fused-norm.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { type FusedNorm, memoizeLast, planOf } from "../formula/plan.js";
import { axesExcept, moments } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis, sameShape } from "../shape.js";

/** Options of `positionNorm`. */
export interface PositionNormOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Default 1e-5. */
  epsilon?: number;
  /** A factor per channel, gamma. Default false, as in the paper. */
  scale?: AffineOptions["scale"];
  /** An offset per channel, beta. Default false, as in the paper. */
  center?: AffineOptions["center"];
  /** Whether mean and std are returned as `more`, for `momentShortcut`: the shape of x with one channel. Default false. */
  moments?: boolean;
}

/**
 * x [batch, ..., channels], y of its shape. Weights: none by default; gamma and beta [channels] if set.
 * @throws RangeError for a negative epsilon; when called, for a single channel, or the batch axis as `axis`
 */
export const positionNorm = normalization(
  {
    name: "positionNorm",
    title: "Positional normalization",
    summary: "standardizes each position over its channels, and passes the moments on (PONO); for generators",
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
      plan: memoizeLast((shape) => {
        const channel = channelAxis("positionNorm", shape, axis);
        const plan = planOf(shape, shape, axesExcept(shape.length, channel), [channel]);
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
        // measured again, since no gradient flows through the fused operation's statistics
        const channel = resolveAxis("positionNorm", axis, ops.shape(x).length);
        const { mean, variance } = moments(ops, sum ?? x, [channel], mask);
        return { y, sum, more: [mean, ops.sqrt(ops.add(variance, epsilon))] };
      },
    } satisfies FusedNorm & Omit<Normalization, "name">;
  },
);

/** Options of `momentShortcut`. */
export interface MomentShortcutOptions {
  /** As in the `positionNorm` that the moments come from. Default −1. */
  axis?: number;
}

/**
 * x·std + mean. Inputs [x, mean, std]: x [batch, ..., channels]; mean and std, `more` of `positionNorm({ moments: true })`, have
 * the shape of x with one channel. No weights.
 * @throws RangeError, when called, for a mean or std of another shape
 */
export const momentShortcut = normalization(
  {
    name: "momentShortcut",
    title: "Moment shortcut",
    summary: "restores in a decoder the moments that positional normalization removed",
    paper: "Li et al. 2019, arXiv 1907.04312",
    takes: "condition",
  },
  { axis: -1 },
  ({ axis }: Settled<MomentShortcutOptions>) =>
    ({
      weights(shape, ...moments) {
        const expected = oneChannel(shape, channelAxis("momentShortcut", shape, axis));
        for (const [i, name] of ["mean", "std"].entries()) {
          if (moments[i] && sameShape(moments[i], expected)) continue;
          throw new RangeError(
            `momentShortcut: ${name} must have shape [${expected.join(", ")}] for x of shape [${shape.join(", ")}], ` +
              `got ${moments[i] ? `[${moments[i].join(", ")}]` : "none"}; give [x, mean, std]`,
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
