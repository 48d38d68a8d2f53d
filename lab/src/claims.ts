/** Which differences between normalizations the seeds can show: simultaneous intervals, paired by seed. */

/** Of one measure: values of each normalization by seed, null where a trial gave none. */
export type Measured = ReadonlyMap<string, readonly (number | null)[]>;

/** A normalization against the baseline: the mean of the differences paired by seed, and its interval. */
export interface Difference {
  norm: string;
  /** Seeds that have a value of both. */
  pairs: number;
  /** Null where no pair has values; low and high also where there are too few seeds for an interval. */
  mean: number | null;
  low: number | null;
  high: number | null;
  /** The interval does not hold zero. */
  clear: boolean;
}
