/**
 * Robust reversible instance normalization (R²-IN): removes each series' median and median absolute deviation before a forecast,
 * and restores them after it. An outlier in a series moves neither.
 *
 *     y = (x − median) / std · gamma + beta                          std = √(spread² + epsilon)
 *     spread = 1.4826 · MAD,  MAD = median(|x − median|)             or, where MAD is 0, 1.2533 · mean(|x − median|)
 *     forecast = (z − beta) / (gamma + epsilon²) · std + median      (`reversibleInstanceDenorm`)
 *
 * Fu & Yang 2025, "Noise or Signal? Deconstructing Contradictions and An Adaptive Remedy for Reversible Normalization in Time
 * Series Forecasting", arXiv 2510.04667: RevIN with these statistics. Axes: batch and feature are kept, time is reduced; gamma
 * and beta per feature. No gradient flows through the statistics. The median of an even number of values is the mean of the
 * middle two. Assumed here, not taken from the paper: the factors, by which either spread estimates the standard deviation of
 * normal values, so that the network meets the scale that it meets after RevIN; and the second spread (as in Iglewicz & Hoaglin
 * 1993), for series of which half of the values or more are equal, such as demand that is mostly 0: divided by epsilon alone, all
 * other values would be outliers.
 */
import { type AffineOptions, affineDefaults } from "../formula/fused-norm.js";
import { normalization } from "../formula/normalization.js";
import { standardizedSeries } from "../formula/series.js";
import { median, rootMeanSquare } from "../formula/terms.js";
import type { Settled } from "../options.js";

/** Options of `robustReversibleInstanceNorm`. */
export interface RobustReversibleInstanceNormOptions extends AffineOptions {
  /** The axis of the features: −1 (default) for [batch, time, features], 1 for [batch, features, time]. */
  axis?: number;
  /** Added to the square of the spread. Default 1e-5. */
  epsilon?: number;
}

/** Of normal values, standard deviation ÷ median absolute deviation, and ÷ mean absolute deviation: 1/Φ⁻¹(¾) and √(π/2). */
const [OF_MEDIAN, OF_MEAN] = [1.4826, 1.2533];

/** A median absolute deviation within this share of the median is rounding of float32: 0. */
const ROUNDING = 2 ** -22;

const NAME = "robustReversibleInstanceNorm";

/**
 * x [batch, time, features], y of its shape; `more` is [median, std], each [batch, 1, features], for `reversibleInstanceDenorm`.
 * Weights: gamma and beta [features]. Several axes between batch and features are all reduced as time.
 * @throws RangeError for a negative epsilon; when called, for an x without a time axis
 */
export const robustReversibleInstanceNorm = normalization(
  {
    name: NAME,
    title: "Robust reversible instance normalization",
    summary:
      "reversible instance normalization by median and median absolute deviation (R²-IN); for series with outliers",
    paper: "Fu & Yang 2025, arXiv 2510.04667",
    takes: "forecast",
  },
  { axis: -1, epsilon: 1e-5, ...affineDefaults },
  (options: Settled<RobustReversibleInstanceNormOptions>) =>
    standardizedSeries(NAME, options, (ops, x, time, over) => {
      const { near, rest } = median(ops, x, time, over);
      const level = ops.add(near, rest);
      const distance = ops.abs(over.masked(ops.sub(ops.sub(over.masked(x), near), rest)));
      const middle = median(ops, distance, time, over);
      const deviation = ops.add(middle.near, middle.rest);
      const spread = ops.where(
        ops.greater(deviation, ops.mul(ops.abs(level), ROUNDING)),
        ops.mul(deviation, OF_MEDIAN),
        ops.mul(over.average(distance), OF_MEAN),
      );
      return { level, near, rest, ...rootMeanSquare(ops, spread, time, (power) => power, options.epsilon) };
    }),
);
