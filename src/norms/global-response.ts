/**
 * Global response normalization: channels compete by their norms over all positions.
 *
 *     G = √(Σ x²) over positions, per channel        N = G / (mean of G over channels + epsilon)
 *     y = gamma · (x · N) + beta + x
 *
 * Woo et al. 2023 (ConvNeXt V2), arXiv 2301.00808. Axes: batch and channel are kept, positions are reduced; then channels are.
 * No mean or variance; epsilon is outside the root, on G's mean. gamma and beta are per channel and initialized to 0: y is x.
 */
import { channelAxis, WITH_POSITIONS } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import { axesExcept, broadcastAlong, broadcastMask, lengthOf, mean } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis } from "../shape.js";

/** Options of `globalResponseNorm`. */
export interface GlobalResponseNormOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Added to the mean of G; above 0. Default 1e-6. */
  epsilon?: number;
}

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma and beta [channels].
 * @throws RangeError for an epsilon that is not above 0; when called, for an x without positions
 */
export const globalResponseNorm = normalization(
  {
    name: "globalResponseNorm",
    title: "Global response normalization",
    summary: "channels compete by their norms over all positions; part of ConvNeXt V2 blocks",
    paper: "Woo et al. 2023, arXiv 2301.00808",
    takes: "positions",
  },
  { axis: -1, epsilon: 1e-6 },
  ({ axis, epsilon }: Settled<GlobalResponseNormOptions>) => {
    checkEpsilon("globalResponseNorm", epsilon);
    if (epsilon === 0) {
      throw new RangeError(
        "globalResponseNorm: epsilon must be above 0, got 0; an x of zeros would be divided by it",
      );
    }
    return {
      handles: { mask: true },
      weights(shape) {
        const channels = [shape[channelAxis("globalResponseNorm", shape, axis, WITH_POSITIONS)]];
        return { gamma: trained(channels, 0), beta: trained(channels, 0) };
      },
      apply(ops, [x], { gamma, beta }, { mask }) {
        const shape = ops.shape(x);
        const channel = resolveAxis("globalResponseNorm", axis, shape.length);
        const positions = axesExcept(shape.length, 0, channel);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const values = fullMask === undefined ? x : ops.where(fullMask, x, 0);
        const response = lengthOf(ops, values, positions);
        let average: typeof x;
        if (fullMask === undefined) {
          average = mean(ops, response, [channel]);
        } else {
          // over channels with any unmasked value
          const unmasked = ops.sum(ops.min(ops.sum(fullMask, positions), 1), [channel]);
          average = ops.div(ops.sum(response, [channel]), ops.max(unmasked, 1));
        }
        const relative = ops.div(response, ops.add(average, epsilon));
        const [factor, offset] = [gamma, beta].map((weight) =>
          broadcastAlong(ops, weight, shape.length, channel),
        );
        const y = ops.add(ops.add(ops.mul(values, ops.mul(relative, factor)), offset), values);
        return { y: fullMask === undefined ? y : ops.where(fullMask, y, 0) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
