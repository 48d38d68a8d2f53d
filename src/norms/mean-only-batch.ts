/**
 * Mean-only batch normalization: the batch's mean is subtracted, and nothing is divided. It goes with weight normalization, which
 * takes care of the scale.
 *
 *     training:     y = x − mean + beta        runningMean = momentum · runningMean + (1 − momentum) · mean
 *     evaluation:   y = x − runningMean + beta
 *
 * Salimans & Kingma 2016, arXiv 1602.07868 (section 4). Axes: the channel axis is kept, every other one is reduced. No variance, and
 * no epsilon. The gradient flows through the mean: dx is dy less its mean.
 */
import { channelAxes, channelPlan, hasSingleValue, valuesPerChannel } from "../formula/channels.js";
import { meanOf, mergedMoments } from "../formula/merging.js";
import { buffer, type Normalization, normalization, trained } from "../formula/normalization.js";
import type { FusedNorm } from "../formula/plan.js";
import { checkMomentum, movingAverage, runningDefaults, whereMeasured } from "../formula/running.js";
import { averaging, axesExcept, broadcastMask, centered } from "../formula/terms.js";
import type { Settled } from "../options.js";

const NAME = "meanOnlyBatchNorm";

/** Options of `meanOnlyBatchNorm`. */
export interface MeanOnlyBatchNormOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Weight of the old running mean. Default 0.9. */
  momentum?: number;
  /** Whether it has an offset, beta, initialized to 0. Default true. */
  center?: boolean;
}

/**
 * x [batch, ..., channels], y of its shape. Weights: beta [channels]; the running mean (state).
 * @throws RangeError for a momentum that is not from 0 to 1; when called, for an axis that x does not have
 */
export const meanOnlyBatchNorm = normalization(
  {
    name: NAME,
    title: "Mean-only batch normalization",
    summary:
      "subtracts each channel's mean over the batch and divides by nothing; goes with weight normalization",
    paper: "Salimans & Kingma 2016, arXiv 1602.07868",
    takes: "features",
  },
  { axis: -1, momentum: runningDefaults.momentum, center: true },
  ({ axis, momentum, center }: Settled<MeanOnlyBatchNormOptions>) => {
    checkMomentum(NAME, "momentum", momentum);
    /** Whose channels' values are counted. */
    const norm: FusedNorm = { name: NAME, epsilon: 0, centered: true, plan: channelPlan(NAME, axis) };
    return {
      handles: { mask: true, merge: true },
      weights(shape) {
        const { parameterShape } = norm.plan(shape);
        return {
          ...(center && { beta: trained(parameterShape, 0) }),
          runningMean: buffer(parameterShape, 0),
        };
      },
      apply(ops, [x], { beta, runningMean }, { training, mask, warn, merge }) {
        const shape = ops.shape(x);
        const channels = channelAxes(NAME, shape.length, axis);
        const lengths = shape.map((length, one) => (channels.includes(one) ? length : 1));
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const axes = axesExcept(shape.length, ...channels);
        const over = averaging(ops, shape, axes, fullMask);
        const offset = beta === undefined ? 0 : ops.reshape(beta, lengths);
        if (!training) {
          const distance = ops.sub(over.masked(x), ops.reshape(runningMean, lengths));
          return { y: over.masked(ops.add(distance, offset)) };
        }
        const all = merge && mergedMoments(ops, x, axes, merge, fullMask);
        const { mean, distance } = all
          ? { mean: meanOf(ops, all), distance: ops.mul(all.distance, all.unit) }
          : centered(ops, x, over);
        const y = over.masked(ops.add(distance, offset));
        if (!all && hasSingleValue(NAME, norm, shape, warn)) return { y };
        const flat = ops.reshape(ops.stop(mean), ops.shape(runningMean));
        const next = { runningMean: movingAverage(ops, runningMean, flat, 1 - momentum) };
        const count = all
          ? ops.reshape(all.count, ops.shape(runningMean))
          : valuesPerChannel(ops, norm, shape, mask, axis);
        return { y, state: whereMeasured(ops, count, 2, next, { runningMean }) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
