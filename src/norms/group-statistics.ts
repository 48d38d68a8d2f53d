/**
 * Group statistics by themselves: what group normalization measures, with gradients, and the same of any norm that is the
 * one operation.
 *
 *     mean = Σ x / n        variance = Σ (x − mean)² / n        over a group's channels and all positions; n values, biased
 *
 * Wu & He 2018, arXiv 1803.08494. Axes: [batch, groups] are kept. Epsilon has no part in them.
 */
import { type GroupNormOptions, groupNorm } from "./group.js";
import type { Norm } from "./norm.js";
import { type Normalization, normalization } from "./normalization.js";
import { moments, type Ops, spreadMask, square } from "./ops.js";

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
  ({ groups, axis }: GroupStatisticsOptions) => {
    const { name, ...statistics } = statisticsOf(groupNorm({ groups, axis }));
    return statistics;
  },
);

/**
 * What a norm measures of x, as a normalization that any host's `apply` runs: the mean and, beside it (`more`), the biased
 * variance, of the norm's `plan(shape).statisticsShape`; of a norm that centres nothing (RMS) the mean square alone.
 * @throws TypeError for what is not the one operation with a plan of its own: those are `layerNorm`, `rmsNorm`, `batchNorm`, ...
 */
export function statisticsOf(norm: Norm): Normalization {
  if (typeof norm?.plan !== "function") {
    throw new TypeError(
      "statisticsOf: expected a norm with a plan, such as groupNorm(), got " +
        `${(norm as { name?: string } | undefined)?.name ?? typeof norm}; other normalizations measure otherwise, or nothing`,
    );
  }
  return {
    name: `statistics of ${norm.name}`,
    handles: { mask: true },
    weights(shape) {
      norm.plan(shape);
      return {};
    },
    outputs(shape) {
      const { statisticsShape } = norm.plan(shape);
      return norm.centered ? [statisticsShape, statisticsShape] : [statisticsShape];
    },
    apply(ops, [x], _, { mask }) {
      const [y, ...more] = measured(ops, norm, x, mask);
      return { y, more };
    },
  };
}

/** Mean and variance, or the mean square, with gradients. */
function measured<T>(ops: Ops<T>, norm: Norm, x: T, mask: T | undefined): T[] {
  const { statistics, statisticsShape, shape, order } = norm.plan(ops.shape(x));
  const { k1, r1, k2, r2 } = statistics;
  const seen = (values: T) => ops.reshape(order ? ops.transpose(values, order) : values, [k1, r1, k2, r2]);
  const counts = mask === undefined ? undefined : seen(spreadMask(ops, mask, shape));
  const values = counts === undefined ? seen(x) : ops.where(counts, seen(x), 0);
  const { mean, variance } = moments(ops, norm.centered ? values : square(ops, values), [1, 3], counts);
  return (norm.centered ? [mean, variance] : [mean]).map((result) => ops.reshape(result, statisticsShape));
}
