/** Series of timings: medians with percentiles, and ratios with their noise. */
import { quantile as quantileOfSorted } from "@evenkeel/report/statistics";

/** @typedef {{ median: number, p20: number, p80: number }} Percentiles */

/** Value at the given share (0 to 1), interpolated. @param {readonly number[]} values @param {number} share */
export const quantile = (values, share) =>
  quantileOfSorted(
    values.toSorted((a, b) => a - b),
    share,
  );

/** @param {readonly number[]} values @returns {Percentiles} */
export function percentiles(values) {
  return { median: quantile(values, 0.5), p20: quantile(values, 0.2), p80: quantile(values, 0.8) };
}

/** @param {readonly number[]} values */
export const geometricMean = (values) =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/**
 * The ratio of two contestants that took turns: the median of the ratios within each turn, so that whatever slows both
 * cancels; and its noise, half the distance from p20 to p80 relative to the median.
 * @param {readonly number[]} times @param {readonly number[]} base in the same turns
 */
export function ratioOf(times, base) {
  const { median, p20, p80 } = percentiles(times.map((time, turn) => time / base[turn]));
  return { ratio: median, noise: (p80 - p20) / 2 / median };
}
