import { checkNumbers, described } from "./shape.js";

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

/**
 * The moments of these values, float64, in two passes; the second also corrects the mean's rounding error. `noMoments` for none.
 * @throws TypeError for what is neither a typed array nor a list of numbers
 */
export function momentsOf(values: ArrayLike<number>): Moments {
  checkNumbers("momentsOf", "values", values);
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

/**
 * The moments of both sets of values together; inputs are unchanged.
 * @throws TypeError for what are no moments, RangeError for a count that is negative or NaN
 */
export function merge(a: Moments, b: Moments): Moments {
  checkMoments("merge", "a", a);
  checkMoments("merge", "b", b);
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

/**
 * Population variance: m2 / count. NaN without values.
 * @throws as `merge`
 */
export function biasedVariance(moments: Moments): number {
  checkMoments("biasedVariance", "moments", moments);
  const { count, m2 } = moments;
  return count === 0 ? Number.NaN : m2 / count;
}

/**
 * Sample variance: m2 / (count − 1). NaN below two values.
 * @throws as `merge`
 */
export function unbiasedVariance(moments: Moments): number {
  checkMoments("unbiasedVariance", "moments", moments);
  const { count, m2 } = moments;
  return count < 2 ? Number.NaN : m2 / (count - 1);
}

function checkMoments(caller: string, name: string, moments: unknown): void {
  const { count, mean, m2 } = (moments ?? {}) as Partial<Moments>;
  if (typeof count !== "number" || typeof mean !== "number" || typeof m2 !== "number") {
    throw new TypeError(
      `${caller}: ${name} must be { count, mean, m2 }, as momentsOf() gives, got ${described(moments)}`,
    );
  }
  if (!(count >= 0)) throw new RangeError(`${caller}: ${name}.count must be at least 0, got ${count}`);
}
