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
import { memoizeLast, type Plan, planOf } from "../formula/plan.js";
import type { Settled } from "../options.js";
import { MOST_VALUES } from "../shape.js";

/** Options of `groupNorm`. */
export interface GroupNormOptions extends ChannelOptions, AffineOptions {
  /** Number of groups; must divide the channels. Default 32, as in the paper. */
  groups?: number;
  /** Whether gamma and beta are per channel (default) or per group (MXNet 1, ONNX up to opset 20). */
  parameters?: "channel" | "group";
}

/** Options of relatives: `global` is Conv-TasNet's global layer normalization (Luo & Mesgarani 2019, arXiv 1809.07454), one group. */
export const groupPresets = {
  global: { groups: 1, epsilon: 1e-8 },
} as const satisfies Record<string, GroupNormOptions>;

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
    checkGroups("groupNorm", groups);
    return {
      epsilon,
      centered: true,
      plan: memoizeLast((shape) => {
        const plan = planGroups("groupNorm", shape, groups, axis, parameters);
        checkCount("groupNorm", plan, "use fewer groups");
        return plan;
      }),
    };
  },
);

/** @throws RangeError for groups that are not an integer of at least 1 */
export function checkGroups(norm: string, groups: number): void {
  if (Number.isInteger(groups) && groups >= 1) return;
  throw new RangeError(`${norm}: groups must be an integer of at least 1, got ${groups}`);
}

/** The plan that keeps batch and group. @throws RangeError for groups that do not divide the channels */
export function planGroups(
  norm: string,
  shape: readonly number[],
  groups: number,
  axis: number,
  parameters: Required<GroupNormOptions>["parameters"] = "channel",
): Plan {
  const channel = channelAxis(norm, shape, axis);
  const channels = shape[channel];
  if (channels % groups !== 0) {
    throw new RangeError(
      `${norm}: groups must divide the ${channels} channels of axis ${axis}, got ${groups}; ` +
        `${nearestLegal(channels, groups).join(", ")} would`,
    );
  }
  const grouped = [...shape.slice(0, channel), groups, channels / groups, ...shape.slice(channel + 1)];
  const perChannel = parameters === "channel";
  return {
    ...planOf(shape, grouped, [0, channel], perChannel ? [channel, channel + 1] : [channel]),
    parameterShape: [perChannel ? channels : groups],
  };
}

/**
 * Every number of groups that divides this many channels, in rising order: `legalGroups(12)` is 1, 2, 3, 4, 6, 12.
 * @throws RangeError for channels that are not an integer from 1 to 2³⁰, the most that an array has
 */
export function legalGroups(channels: number): number[] {
  checkCountOf("legalGroups", "channels", channels);
  const [low, high]: number[][] = [[], []];
  for (let groups = 1; groups * groups <= channels; groups++) {
    if (channels % groups !== 0) continue;
    low.push(groups);
    if (groups * groups !== channels) high.push(channels / groups);
  }
  return [...low, ...high.reverse()];
}

/**
 * The number of groups nearest to the wanted one that divides this many channels; of two that are equally near, the larger.
 * @throws RangeError for channels or groups that are not an integer from 1 to 2³⁰
 */
export function nearestGroups(channels: number, wanted: number): number {
  checkCountOf("nearestGroups", "channels", channels);
  checkCountOf("nearestGroups", "wanted", wanted);
  const distance = (groups: number) => Math.abs(groups - wanted);
  return legalGroups(channels).reduce((best, groups) => (distance(groups) <= distance(best) ? groups : best));
}

/** How many numbers of groups an error suggests. */
const SUGGESTED = 6;

/** The legal numbers of groups nearest to one that is not, in rising order. */
function nearestLegal(channels: number, groups: number): number[] {
  return legalGroups(channels)
    .sort((a, b) => Math.abs(a - groups) - Math.abs(b - groups))
    .slice(0, SUGGESTED)
    .sort((a, b) => a - b);
}

function checkCountOf(caller: string, name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= MOST_VALUES) return;
  throw new RangeError(
    `${caller}: ${name} must be an integer from 1 to ${MOST_VALUES}, got ${String(value)}`,
  );
}
