/**
 * Group normalization: statistics of each group of channels of each example over all positions, parameters per channel.
 *
 *     y = (x − mean) / √(variance + epsilon) · gamma + beta        variance biased
 *
 * Wu & He 2018, arXiv 1803.08494. Axes: batch and group are kept; positions and the channels of a group are reduced.
 * With one group it is layer normalization over channels and positions; with one channel per group, instance normalization.
 */
import type { ChannelOptions } from "../formula/channels.js";
import { channelAxis } from "../formula/channels.js";
import { checkCount, checkEpsilon } from "../formula/checks.js";
import type { AffineOptions } from "../formula/fused-norm.js";
import { affineDefaults, fusedNorm } from "../formula/fused-norm.js";
import { keepingLast, planOf } from "../formula/plan.js";
import type { Settled } from "../options.js";

/** Options of `groupNorm`. */
export interface GroupNormOptions extends ChannelOptions, AffineOptions {
  /** Number of groups; must divide the channels. Default 32, as in the paper. */
  groups?: number;
  /** Whether gamma and beta are per channel (default) or per group (MXNet 1, ONNX up to opset 20). */
  parameters?: "channel" | "group";
}

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma and beta [channels], or [groups].
 * @throws RangeError for options out of range; when called, if the groups do not divide the channels, or a group has one value
 */
export const groupNorm = fusedNorm(
  {
    name: "groupNorm",
    title: "Group normalization",
    summary: "standardizes groups of channels of each example; for images in small batches",
    paper: "Wu & He 2018, arXiv 1803.08494",
    takes: "features",
  },
  { groups: 32, axis: -1, epsilon: 1e-5, parameters: "channel", ...affineDefaults },
  ({ groups, axis, epsilon, parameters }: Settled<GroupNormOptions>) => {
    checkEpsilon("groupNorm", epsilon);
    if (parameters !== "channel" && parameters !== "group") {
      throw new RangeError(`groupNorm: parameters must be "channel" or "group", got "${parameters}"`);
    }
    if (!Number.isInteger(groups) || groups < 1) {
      throw new RangeError(`groupNorm: groups must be an integer of at least 1, got ${groups}`);
    }
    return {
      epsilon,
      centered: true,
      plan: keepingLast((shape) => {
        const channel = channelAxis("groupNorm", shape, axis);
        const channels = shape[channel];
        if (channels % groups !== 0) {
          throw new RangeError(
            `groupNorm: groups must divide the ${channels} channels of axis ${axis}, got ${groups}; ` +
              `${legalGroups(channels).join(", ")} would`,
          );
        }
        const grouped = [...shape.slice(0, channel), groups, channels / groups, ...shape.slice(channel + 1)];
        const perChannel = parameters === "channel";
        const plan = {
          ...planOf(shape, grouped, [0, channel], perChannel ? [channel, channel + 1] : [channel]),
          parameterShape: [perChannel ? channels : groups],
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

/**
 * The divisor of `channels` that is nearest to the wanted number of groups; of two equally near, the larger.
 * @throws RangeError for channels or groups that are not integers of at least 1
 */
export function nearestGroups(channels: number, wanted: number): number {
  for (const [name, value] of Object.entries({ channels, wanted })) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new RangeError(`nearestGroups: ${name} must be an integer of at least 1, got ${value}`);
  }
  const distance = (groups: number) => Math.abs(groups - wanted);
  return legalGroups(channels).reduce((best, groups) => (distance(groups) <= distance(best) ? groups : best));
}
