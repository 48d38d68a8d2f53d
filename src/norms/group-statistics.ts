/**
 * Group statistics: what group normalization measures, as outputs with gradients.
 *
 *     mean = Σ x / n        variance = Σ (x − mean)² / n        over a group's channels and all positions; n values, biased
 *
 * Wu & He 2018, arXiv 1803.08494. Axes: [batch, groups] are kept. Epsilon is not included.
 */
import { statisticsOf } from "../formula/measured.js";
import { normalization } from "../formula/normalization.js";
import type { Settled } from "../options.js";
import { type GroupNormOptions, groupNorm } from "./group.js";

/** Options of `groupStatistics`. */
export interface GroupStatisticsOptions {
  /** Number of groups. Default 32. */
  groups?: GroupNormOptions["groups"];
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
}

/**
 * x [batch, ..., channels]; y is the mean of each group, [batch, groups], and `more[0]` the biased variance. No weights.
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
