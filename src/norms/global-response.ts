/**
 * Global response normalization: channels compete by how strongly they respond over all positions.
 *
 *     G = √(Σ x²) over positions, per channel        N = G / (mean of G over channels + epsilon)
 *     y = gamma · (x · N) + beta + x
 *
 * Woo et al. 2023 (ConvNeXt V2), arXiv 2301.00808. Axes: batch and channel are kept, positions are reduced; then channels are.
 * No mean or variance; epsilon is outside the root, on G's mean. gamma and beta are per channel and start at 0: y is x.
 */
import { channelAxis, WITH_POSITIONS } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import { along, axesBut, broadcastMask, lengthOf, mean } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis } from "../shape.js";

export interface GlobalResponseNormOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Default 1e-6. */
  epsilon?: number;
}

/** @throws RangeError for an epsilon that is not above 0, and for arrays without positions. */
export const globalResponseNorm = normalization(
  {
    name: "globalResponseNorm",
    title: "Global response normalization",
    summary: "channels compete by their power over all positions; inside ConvNeXt V2's blocks",
    paper: "Woo et al. 2023, arXiv 2301.00808",
    takes: "positions",
  },
  { axis: -1, epsilon: 1e-6 },
  ({ axis, epsilon }: Settled<GlobalResponseNormOptions>) => {
    checkEpsilon("globalResponseNorm", epsilon);
    if (epsilon === 0) {
      throw new RangeError(
        "globalResponseNorm: epsilon must be above 0, got 0; x of zeros would be divided by it",
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
        const positions = axesBut(shape.length, 0, channel);
        const counts = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const values = counts === undefined ? x : ops.where(counts, x, 0);
        const response = lengthOf(ops, values, positions);
        let average: typeof x;
        if (counts === undefined) {
          average = mean(ops, response, [channel]);
        } else {
          // over the channels of which anything counts
          const there = ops.sum(ops.min(ops.sum(counts, positions), 1), [channel]);
          average = ops.div(ops.sum(response, [channel]), ops.max(there, 1));
        }
        const share = ops.div(response, ops.add(average, epsilon));
        const [factor, offset] = [gamma, beta].map((weight) => along(ops, weight, shape.length, channel));
        const y = ops.add(ops.add(ops.mul(values, ops.mul(share, factor)), offset), values);
        return { y: counts === undefined ? y : ops.where(counts, y, 0) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
