/**
 * Statistics of a batch that lies in several places: what is measured here is merged with what is measured elsewhere before anything is
 * normalized by it, and in the backward pass so are the gradients of what was merged.
 *
 *     forward      count N = Σ n_k        mean M = Σ n_k·mean_k / N        variance V = Σ n_k·(variance_k + (mean_k − M)²) / N
 *     backward     dM = Σ dM_k and dV = Σ dV_k, over all places: each one's own y depends on the statistics of all
 *                  d mean_k = n_k/N · (dM + 2·dV·(mean_k − M))        d variance_k = n_k/N · dV
 *
 * With d M_k = −rstd·Σ g and d V_k = −rstd²/2·Σ g·xHat that is dx = rstd·(g − mean(g) − xHat·mean(g·xHat)) with means over all places.
 * Moments travel in float64. A host's arrays hold them in parts: the mean as a float32 near it and what is left of it, in units of
 * the deviation, so that a mean far above the spread loses nothing.
 */
import { isPromise, type MomentsList } from "../moments.js";
import { described, sizeOf } from "../shape.js";
import type { ElementaryOps, Merge, MergeRules, PartedMoments, Standardize } from "./ops.js";
import { affine, square as squared } from "./terms.js";

/**
 * Mean and variance over these axes, which remain with length 1, and over all places; with gradients.
 * @param fullMask the mask as ones and zeros of the whole shape; absent: nothing is masked
 * @returns beside them the values, 0 where masked
 */
function mergedStatistics<T>(
  ops: ElementaryOps<T>,
  x: T,
  axes: readonly number[],
  merge: Merge<T>,
  fullMask: T | undefined,
): PartedMoments<T> & { readonly values: T } {
  const shape = ops.shape(x);
  const masked = (values: T) => (fullMask === undefined ? values : ops.where(fullMask, values, 0));
  const count = fullMask === undefined ? numberOfValues(ops, shape, axes) : ops.sum(fullMask, axes);
  const divisor = fullMask === undefined ? count : ops.max(count, 1);
  const average = (values: T) => ops.div(ops.sum(values, axes), divisor);
  const values = masked(x);
  const most = ops.largest(ops.abs(values), axes);
  // where a sum is beyond float32, the mean is not
  const near = ops.stop(ops.min(ops.max(average(values), ops.mul(most, -1)), most));
  const unit = ops.stop(ops.where(most, ops.max(most, LEAST_UNIT), 1));
  const first = masked(ops.mul(ops.sub(values, near), ops.div(1, unit)));
  const [about, square] = [first, squared(ops, first)].map(average);
  // equal values are all as far from what is near their mean: rounding must not give them a spread
  const farthest = ops.largest(ops.abs(first), axes);
  const size = ops.abs(about);
  const equal = ops.greater(size, ops.mul(farthest, 1 - ROUNDING));
  const exact = ops.mul(ops.div(about, ops.where(size, size, 1)), farthest);
  const rest = ops.add(about, ops.stop(ops.where(equal, ops.sub(exact, about), 0)));
  const spread = ops.sub(square, squared(ops, rest));
  const variance = ops.sub(spread, ops.stop(ops.where(equal, spread, 0)));
  return { ...merge({ near, rest, variance, unit, count }, rules), values };
}

/** The same, and (x − mean) / unit, of the shape of x, 0 where masked. */
export function mergedMoments<T>(
  ops: ElementaryOps<T>,
  x: T,
  axes: readonly number[],
  merge: Merge<T>,
  fullMask?: T,
): PartedMoments<T> & { readonly distance: T } {
  const { values, ...all } = mergedStatistics(ops, x, axes, merge, fullMask);
  const distance = ops.sub(ops.mul(ops.sub(values, all.near), ops.div(1, all.unit)), all.rest);
  return { ...all, distance: fullMask === undefined ? distance : ops.where(fullMask, distance, 0) };
}

/** The fused operation's statistics and xHat, merged; undefined where nothing is to be merged. */
export function standardizing<T>(merge: Merge<T> | undefined): Standardize<T> | undefined {
  if (merge === undefined) return undefined;
  return (ops, call) => {
    const { statistics, parameters, epsilon, counts } = call;
    const shape = ops.shape(call.x);
    const { k1, r1, k2, r2 } = statistics;
    const viewed = (values: T) => ops.reshape(values, [k1, r1, k2, r2]);
    const fullMask = counts && viewed(counts);
    const { values, ...all } = mergedStatistics(ops, viewed(call.x), [1, 3], merge, fullMask);
    const mean = meanOf(ops, all);
    // where gamma and beta are as many as the statistics, they are one factor and one term with them: what is read of x is only how far
    // it is from near its mean
    const alike = (["k1", "r1", "k2", "r2"] as const).every((part) => statistics[part] === parameters[part]);
    const [gamma, beta] = [call.gamma, call.beta].map(
      (one) => alike && one && ops.reshape(one, [k1, 1, k2, 1]),
    );
    const inverse = reciprocalDeviation(ops, all, epsilon);
    const times = (values: T) => (gamma ? ops.mul(values, gamma) : values);
    const factor = times(ops.div(inverse, all.unit));
    const below = times(ops.mul(all.rest, inverse));
    const distance = ops.mul(ops.sub(values, all.near), factor);
    const whole = ops.reshape(ops.add(distance, ops.sub(beta || 0, below)), shape);
    const y = alike ? whole : affine(ops, whole, parameters, call.gamma, call.beta);
    return {
      y: counts === undefined ? y : ops.where(counts, y, 0),
      ...{ mean, variance: varianceOf(ops, all), count: all.count },
      // of a mean that is rounded to float32, what it was rounded by
      remainder: ops.add(ops.sub(all.near, mean), ops.mul(all.rest, all.unit)),
    };
  };
}

/** 1/√(variance·unit² + epsilon), times the unit; 0 where both are 0. */
export function reciprocalDeviation<T>(
  ops: ElementaryOps<T>,
  { variance, unit }: Pick<PartedMoments<T>, "variance" | "unit">,
  epsilon: number,
): T {
  // in the larger of both: a unit may be so far below the root of epsilon that the square of their ratio is beyond float32
  const root = Math.sqrt(epsilon);
  const scale = ops.max(unit, root);
  const [own, guard] = [unit, root].map((part) => ops.div(part, scale));
  const power = ops.add(ops.mul(ops.mul(variance, own), own), squared(ops, guard));
  return ops.where(power, ops.div(own, ops.sqrt(ops.where(power, power, 1))), 0);
}

/** The mean itself, rounded. */
export function meanOf<T>(ops: ElementaryOps<T>, { near, rest, unit }: PartedMoments<T>): T {
  return ops.add(near, ops.mul(rest, unit));
}

/** The variance itself, which float32 may not hold. */
export function varianceOf<T>(ops: ElementaryOps<T>, { variance, unit }: PartedMoments<T>): T {
  return ops.mul(ops.mul(variance, unit), unit);
}

/**
 * Statistics of all places, in the units of those that were measured here (mean·unit + origin), and as they are, the same everywhere.
 * @param of the shape of x, its mask, and the axes that the statistics are over
 */
export function mergedBatch<T>(
  ops: ElementaryOps<T>,
  here: { readonly mean: T; readonly variance: T },
  origin: T,
  unit: T,
  merge: Merge<T>,
  { shape, fullMask, axes }: { shape: readonly number[]; fullMask?: T; axes: readonly number[] },
): { mean: T; variance: T; measured: { mean: T; variance: T; count: T } } {
  const count = fullMask === undefined ? numberOfValues(ops, shape, axes) : ops.sum(fullMask, axes);
  const none = filled(ops, 0, ops.shape(here.mean));
  const local = {
    near: ops.stop(ops.add(none, origin)),
    rest: here.mean,
    variance: here.variance,
    unit: ops.stop(ops.add(none, unit)),
    count,
  };
  const all = merge(local, rules);
  const ratio = ops.div(all.unit, unit);
  return {
    mean: ops.add(ops.div(ops.sub(all.near, origin), unit), ops.mul(all.rest, ratio)),
    variance: ops.mul(ops.mul(all.variance, ratio), ratio),
    measured: { mean: meanOf(ops, all), variance: varianceOf(ops, all), count: all.count },
  };
}

/** Sums over all places, with gradients: means of what has no spread, times how many there are. */
export function mergedSums<T>(ops: ElementaryOps<T>, values: T, merge: Merge<T>): T {
  const [none, one] = [0, 1].map((value) => filled(ops, value, ops.shape(values)));
  const all = merge({ near: none, rest: values, variance: none, unit: one, count: one }, rules);
  return ops.mul(meanOf(ops, all), all.count);
}

/** The number of values along these axes, for each statistic. */
export function numberOfValues<T>(
  ops: ElementaryOps<T>,
  shape: readonly number[],
  axes: readonly number[],
): T {
  const kept = shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  return filled(ops, sizeOf(shape) / sizeOf(kept), kept);
}

function filled<T>(ops: ElementaryOps<T>, value: number, shape: readonly number[]): T {
  return ops.constant(new Float32Array(sizeOf(shape)).fill(value), shape);
}

/** Of means of so many values as a batch has of a channel, in float32 and float64. */
const ROUNDING = 1e-6;
/** Largest of float32, nearly. */
const BEYOND = 3e38;
/** Its reciprocal is within float32's range. */
const LEAST_UNIT = 1e-37;

const rules: MergeRules = {
  reduced(reduce, list, use) {
    // it may write to the list that it is given
    const here = list.count.slice();
    const checked = (all: MomentsList) => use(checkMerged(here, all));
    const all = reduce(list);
    return isPromise(all) ? Promise.resolve(all).then(checked) : checked(all);
  },

  listOf({ near, rest, variance, unit, count }) {
    const list = emptyList(near.length);
    for (let i = 0; i < near.length; i++) {
      list.count[i] = count[i];
      if (count[i] === 0) continue;
      list.mean[i] = near[i] + rest[i] * unit[i];
      list.m2[i] = Math.max(0, variance[i]) * unit[i] ** 2 * count[i];
    }
    return list;
  },

  writeParts({ count, mean, m2 }, into) {
    for (let i = 0; i < count.length; i++) {
      // below 0 by the rounding of who merges sums of squares
      const variance = count[i] === 0 ? 0 : Math.max(0, m2[i]) / count[i];
      // a power of two, in which float32 holds both the variance and what is left of the mean
      const unit =
        variance > 0 ? Math.min(Math.max(2 ** Math.round(Math.log2(variance) / 2), 2 ** -120), 2 ** 120) : 1;
      const near = Math.fround(mean[i]);
      into.near[i] = near;
      into.rest[i] = (mean[i] - near) / unit;
      into.variance[i] = variance / unit ** 2;
      into.unit[i] = unit;
      into.count[i] = count[i];
    }
  },

  gradientList(rest, variance, unit) {
    const size = unit.length;
    const list = emptyList(2 * size);
    list.count.fill(1);
    for (let i = 0; i < size; i++) {
      list.mean[i] = rest[i] / unit[i];
      list.mean[size + i] = variance[i] / unit[i] ** 2;
    }
    return list;
  },

  writeGradients({ count, mean }, local, all, into) {
    const size = local.near.length;
    for (let i = 0; i < size; i++) {
      const share = all.count[i] > 0 ? local.count[i] / all.count[i] : 0;
      const [ofMean, ofVariance] = [i, size + i].map((at) => count[at] * mean[at]);
      // near each other where both are far from 0
      const apart = local.near[i] - all.near[i] + (local.rest[i] * local.unit[i] - all.rest[i] * all.unit[i]);
      into.rest[i] = share === 0 ? 0 : held(share * (ofMean + 2 * ofVariance * apart) * local.unit[i]);
      into.variance[i] = share === 0 ? 0 : held(share * ofVariance * local.unit[i] ** 2);
    }
  },
};

/** @throws TypeError for what is not the moments of as many statistics; RangeError for fewer values than these counts of them here */
function checkMerged(here: Float64Array, all: MomentsList): MomentsList {
  const { count, mean, m2 } = (all ?? {}) as Partial<MomentsList>;
  if (![count, mean, m2].every((one) => one instanceof Float64Array && one.length === here.length)) {
    throw new TypeError(
      `reduce: expected the moments of ${here.length} statistics, { count, mean, m2 } as float64 lists of that length, as ` +
        `mergeLists() gives, got ${described(all)}`,
    );
  }
  const wrong = here.findIndex((least, i) => !(all.count[i] >= least && Number.isFinite(all.count[i])));
  if (wrong < 0) return all;
  throw new RangeError(
    `reduce: expected the moments of all places, with a count of at least the ${here[wrong]} here, got ${all.count[wrong]}; ` +
      "merge what each place measured, by mergeLists()",
  );
}

/** Within float32: the gradient of a variance is multiplied by distances, which are 0 where it is beyond. */
function held(value: number): number {
  return Math.min(Math.max(value, -BEYOND), BEYOND);
}

function emptyList(size: number): MomentsList {
  return { count: new Float64Array(size), mean: new Float64Array(size), m2: new Float64Array(size) };
}
