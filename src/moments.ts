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

/** Moments of several statistics (channels, columns): one entry for each in every list, float64 [statistics]. */
export interface MomentsList {
  readonly count: Float64Array;
  readonly mean: Float64Array;
  readonly m2: Float64Array;
}

/**
 * What stands between measuring and normalizing where a batch lies in several places: from the moments that were measured here to
 * those of all places, the same everywhere. It is called in the same order with as many statistics in every place, in the backward
 * pass too, where sums over all places (of the gradients of mean and variance) are moments of no spread, with a count of 1 in each.
 * Counts that it gives are finite, and at least those that it gets.
 */
export type Reduce = (moments: MomentsList) => MomentsList;

/** The same where an answer takes time: over a network. */
export type AsyncReduce = (moments: MomentsList) => MomentsList | Promise<MomentsList>;

/**
 * The reduction where nothing can wait for its answer.
 * @throws TypeError for a promise of one
 */
export function atOnce(reduce: AsyncReduce): Reduce {
  return (list) => {
    const all = reduce(list);
    if (!isPromise(all)) return all;
    // nobody is there for what it ends in
    Promise.resolve(all).catch(() => {});
    throw new TypeError(
      "reduce: expected the moments of all places at once, got a promise of them; without a framework applyOver() waits for it, " +
        "and TensorFlow.js cannot: use a transport that answers at once, such as one over shared memory",
    );
  };
}

/** Whether it is to be waited for: a promise, of whatever library. */
export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Partial<Promise<T>> | undefined | null)?.then === "function";
}

/** @throws TypeError for a `reduce` that is no function */
export function checkReduce(caller: string, reduce: unknown): void {
  if (reduce === undefined || typeof reduce === "function") return;
  throw new TypeError(
    `${caller}: reduce must be a function from moments to those of all places, got ${described(reduce)}; leave it out for one place`,
  );
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
  // from the heavier on: towards a mean that is far and weighs more, this one's rounding would be all that is left
  const [heavy, light] = a.count < b.count ? [b, a] : [a, b];
  const count = heavy.count + light.count;
  const distance = light.mean - heavy.mean;
  return {
    count,
    mean: heavy.mean + (distance * light.count) / count,
    // in an order that overflows where the result does
    m2: heavy.m2 + light.m2 + distance * (distance * (light.count * (heavy.count / count))),
  };
}

/**
 * The moments of all lists together, statistic by statistic, merged in their order: who merges the same lists in the same order gets
 * the same bits. Inputs are unchanged.
 * @throws RangeError for no list, or lists of unequal lengths
 */
export function mergeLists(lists: readonly MomentsList[]): MomentsList {
  const [first, ...others] = lists;
  if (first === undefined) throw new RangeError("mergeLists: expected at least one list, got none");
  const all = { count: first.count.slice(), mean: first.mean.slice(), m2: first.m2.slice() };
  for (const other of others) {
    if (other.count.length !== all.count.length) {
      throw new RangeError(
        `mergeLists: expected lists of ${all.count.length} statistics, as the first, got ${other.count.length}`,
      );
    }
    for (let i = 0; i < all.count.length; i++) {
      const a = { count: all.count[i], mean: all.mean[i], m2: all.m2[i] };
      const { count, mean, m2 } = merge(a, { count: other.count[i], mean: other.mean[i], m2: other.m2[i] });
      all.count[i] = count;
      all.mean[i] = mean;
      all.m2[i] = m2;
    }
  }
  return all;
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
