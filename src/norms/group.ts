/**
 * Group normalization: statistics of each group of channels of each example over all positions, parameters per channel.
 *
 *     y = (x − mean) / √(variance + epsilon) · gamma + beta        variance biased
 *
 * Wu & He 2018, arXiv 1803.08494. Axes: batch and group are kept; positions and the channels of a group are reduced.
 * One group is layer normalization over channels and positions; as many groups as channels is instance normalization.
 */
import { resolveAxis } from "../view.js";
import type { ChannelOptions } from "./batch.js";
import { checkCount, checkEpsilon, checkShape, coreNorm, keepingLast, planOf } from "./norm.js";

export interface GroupNormOptions extends ChannelOptions {
  /** How many groups the channels are divided into. Default 32, as in the paper. */
  groups?: number;
}

/** @throws RangeError for groups that are no whole number above 0; its `plan` throws where they do not divide the channels. */
export const groupNorm = coreNorm(
  {
    name: "groupNorm",
    title: "Group normalization",
    summary: "groups of channels of each example; for images in small batches",
    paper: "Wu & He 2018, arXiv 1803.08494",
    takes: "features",
  },
  ({ groups = 32, axis = -1, epsilon = 1e-5 }: GroupNormOptions) => {
    checkEpsilon("groupNorm", epsilon);
    if (!Number.isInteger(groups) || groups < 1) {
      throw new RangeError(`groupNorm: groups must be a whole number of at least 1, got ${groups}`);
    }
    return {
      epsilon,
      centered: true,
      plan: keepingLast((shape) => {
        checkShape("groupNorm", shape, 2, "batch and channels");
        const channel = resolveAxis("groupNorm", axis, shape.length);
        if (channel === 0) {
          throw new RangeError(
            "groupNorm: axis must name the channels, got 0, which is the batch axis; use 1 or -1",
          );
        }
        const channels = shape[channel];
        if (channels % groups !== 0) {
          throw new RangeError(
            `groupNorm: groups must divide the ${channels} channels of axis ${axis}, got ${groups}; ` +
              `${legalGroups(channels).join(", ")} would`,
          );
        }
        const seen = [...shape.slice(0, channel), groups, channels / groups, ...shape.slice(channel + 1)];
        const plan = {
          ...planOf(shape, seen, [0, channel], [channel, channel + 1]),
          parameterShape: [channels],
        };
        checkCount("groupNorm", plan, "use fewer groups");
        return plan;
      }),
    };
  },
);

/** Every number of groups that divides this many channels, in rising order. */
export function legalGroups(channels: number): number[] {
  return Array.from({ length: channels }, (_, i) => i + 1).filter((groups) => channels % groups === 0);
}
