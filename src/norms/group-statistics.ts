/**
 * Group statistics by themselves: what group normalization measures, with gradients, and the same of any norm that is the
 * one operation.
 *
 *     mean = Σ x / n        variance = Σ (x − mean)² / n        over a group's channels and all positions; n values, biased
 *
 * Wu & He 2018, arXiv 1803.08494. Axes: [batch, groups] are kept. Epsilon has no part in them.
 */
import { statisticsOf } from "../formula/measured.js";
import { normalization } from "../formula/normalization.js";
import type { Settled } from "../options.js";
import { type GroupNormOptions, groupNorm } from "./group.js";

export interface GroupStatisticsOptions {
  /** How many groups the channels are divided into. Default 32. */
  groups?: GroupNormOptions["groups"];
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
}

/**
 * Gives the mean of each group, [batch, groups], and beside it (`more`) the biased variance: any host's `apply` runs it.
 * @throws RangeError as `groupNorm` does
 */
export const groupStatistics = normalization(
  {
    name: "groupStatistics",
    title: "Group statistics",
    summary: "mean and variance of each group of channels of each example, with gradients",
    paper: "Wu & He 2018, arXiv 1803.08494",
    takes: "features",
  },
  { groups: 32, axis: -1 },
  ({ groups, axis }: Settled<GroupStatisticsOptions>) => {
    const { name, ...statistics } = statisticsOf(groupNorm({ groups, axis }));
    return statistics;
  },
);
