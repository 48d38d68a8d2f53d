/**
 * Mergeable moments: count, mean, and the sum of squared distances from the mean.
 *
 * The merge is exact up to rounding, in any order (Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise
 * algorithm for computing sample variances"). It joins batches, micro-batches, replicas, shards and streams.
 */
export interface Moments {
  /** Number of values. */
  readonly count: number;
  readonly mean: number;
  /** Σ (value − mean)². */
  readonly m2: number;
}

/** The moments of no values, the identity of `merge`. */
export const noMoments: Moments = { count: 0, mean: 0, m2: 0 };

/** The moments of these values, float64, in two passes; the second also corrects the mean's rounding error. `noMoments` for none. */
export function momentsOf(values: ArrayLike<number>): Moments {
  const count = values.length;
  if (count === 0) return noMoments;
  let sum = 0;
  for (let i = 0; i < count; i++) sum += values[i];
  const about = sum / count;
  let first = 0;
  let second = 0;
  for (let i = 0; i < count; i++) {
    const distance = values[i] - about;
    first += distance;
    second += distance * distance;
  }
  return { count, mean: about + first / count, m2: Math.max(0, second - (first * first) / count) };
}

/** The moments of both sets of values together; inputs are unchanged. */
export function merge(a: Moments, b: Moments): Moments {
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const count = a.count + b.count;
  const distance = b.mean - a.mean;
  return {
    count,
    mean: a.mean + (distance * b.count) / count,
    m2: a.m2 + b.m2 + (distance * distance * a.count * b.count) / count,
  };
}

/** Population variance: m2 / count. NaN without values. */
export function biasedVariance({ count, m2 }: Moments): number {
  return count === 0 ? Number.NaN : m2 / count;
}

/** Sample variance: m2 / (count − 1). NaN below two values. */
export function unbiasedVariance({ count, m2 }: Moments): number {
  return count < 2 ? Number.NaN : m2 / (count - 1);
}
