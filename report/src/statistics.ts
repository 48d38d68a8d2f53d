/** What a handful of measurements say: median, range and quantiles. */

/** Median and range; null where no value was a number. */
export interface Range {
  median: number | null;
  min: number | null;
  max: number | null;
}

export const isNumber = (value: number | null | undefined): value is number =>
  value !== null && value !== undefined && Number.isFinite(value);

/** Median and range of the finite values. */
export function rangeOf(values: readonly (number | null | undefined)[]): Range {
  const sorted = values.filter(isNumber).sort((a, b) => a - b);
  if (sorted.length === 0) return { median: null, min: null, max: null };
  return { median: quantile(sorted, 0.5), min: sorted[0], max: sorted[sorted.length - 1] };
}

/** Value at the given share (0 to 1) of numbers sorted in ascending order, linearly interpolated. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const position = share * (sorted.length - 1);
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  return below + (above - below) * (position % 1);
}
