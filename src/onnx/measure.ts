/** What a normalization meets: the values that it normalizes, as a run gave them, and what becomes of them where squares are summed. */
import type { Found } from "../checkpoints/graphs/found.js";
import { biasedVariance, momentsOf } from "../moments.js";
import { checkNumbers, sizeOf } from "../shape.js";

/** Of the values that are finite; NaN where there are none. Statistics are those of each row, group, instance or channel. */
export interface Measure {
  readonly min: number;
  readonly max: number;
  /** The largest in magnitude. */
  readonly largest: number;
  readonly notFinite: number;
  /** How many statistics there are, and of how many values each. */
  readonly statistics: number;
  readonly each: number;
  /** Of the statistics: the largest mean in magnitude, and standard deviations (of RMS and l2 normalization the root of the mean square). */
  readonly mean: number;
  readonly leastSpread: number;
  readonly spread: number;
  readonly mostSpread: number;
  /** Statistics with a variance, or mean square, of at most epsilon. */
  readonly belowEpsilon: number;
  /** The most that mean²/variance is: E[x²] − E[x]² loses so much of what its type has. Infinity for a constant row that is not 0. */
  readonly cancellation: number;
  /** What is squared: the largest, and the largest sum of squares of one statistic. */
  readonly largestSquare: number;
  readonly largestSum: number;
  /** The largest number of the type that squares are summed in, by the largest sum: below 1 it overflows. */
  readonly headroom: number;
}

/** The largest finite number of float16. */
export const MOST_HALF = 65504;
const MOST: Readonly<Record<string, number>> = {
  float16: MOST_HALF,
  bfloat16: (2 - 2 ** -7) * 2 ** 127,
  float64: Number.MAX_VALUE,
};
const MOST_FLOAT = (2 - 2 ** -23) * 2 ** 127;

/**
 * Measures in float64.
 * @param x of the shape that the normalization has in the run, row-major
 * @throws RangeError for a shape that is not the normalization's, or values that are not as many
 */
export function measure(
  norm: Pick<
    Found,
    "norm" | "shape" | "axes" | "channels" | "groups" | "epsilon" | "cancels" | "statisticsType"
  >,
  { shape, data }: { readonly shape: readonly number[]; readonly data: ArrayLike<number> },
): Measure {
  checkNumbers("measure", "x.data", data);
  const { groups = 1, channels = 0 } = norm;
  // lengths are those of the run, whatever the file says
  const fits = shape.length === norm.shape.length && shape[channels] % groups === 0;
  if (!fits || data.length !== sizeOf(shape)) {
    throw new RangeError(
      `measure: expected x of ${norm.shape.length} axes${groups > 1 ? `, in ${groups} groups,` : ""} with all its values, ` +
        `got ${data.length} of [${shape.join(", ")}]`,
    );
  }
  const centred = norm.norm !== "rmsNorm" && norm.norm !== "unitNorm";
  // a difference is squared, unless the formula is E[x²] − E[x]²
  const differs = centred && !norm.cancels;
  const rows = rowsOf(norm, shape, data);
  const spreads: number[] = [];
  let [min, max, mean] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  let [notFinite, belowEpsilon, cancellation, largestSquare, largestSum] = [0, 0, 0, 0, 0];
  for (const row of rows) {
    const finite = row.filter(Number.isFinite);
    notFinite += row.length - finite.length;
    if (finite.length === 0) continue;
    const moments = momentsOf(finite);
    const variance = biasedVariance(moments);
    const square = moments.mean ** 2;
    const statistic = centred ? variance : variance + square;
    let [rowMin, rowMax] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const value of finite) {
      rowMin = Math.min(rowMin, value);
      rowMax = Math.max(rowMax, value);
    }
    [min, max] = [Math.min(min, rowMin), Math.max(max, rowMax)];
    if (Math.abs(moments.mean) > Math.abs(mean)) mean = moments.mean;
    spreads.push(Math.sqrt(statistic));
    if (statistic <= norm.epsilon) belowEpsilon++;
    cancellation = Math.max(cancellation, square === 0 ? 0 : square / variance);
    const from = differs ? moments.mean : 0;
    largestSquare = Math.max(largestSquare, (rowMin - from) ** 2, (rowMax - from) ** 2);
    largestSum = Math.max(largestSum, moments.m2 + (differs ? 0 : square * finite.length));
  }
  spreads.sort((a, b) => a - b);
  const isEmpty = spreads.length === 0;
  const known = (value: number) => (isEmpty ? Number.NaN : value);
  return {
    min: known(min),
    max: known(max),
    largest: known(Math.max(Math.abs(min), Math.abs(max))),
    notFinite,
    statistics: rows.length,
    each: rows[0]?.length ?? 0,
    mean: known(mean),
    leastSpread: known(spreads[0]),
    spread: known(spreads[spreads.length >> 1]),
    mostSpread: known(spreads[spreads.length - 1]),
    belowEpsilon,
    cancellation: known(cancellation),
    largestSquare: known(largestSquare),
    largestSum: known(largestSum),
    headroom: known((MOST[norm.statisticsType ?? ""] ?? MOST_FLOAT) / largestSum),
  };
}

/** The values of each statistic. */
function rowsOf(
  { axes, channels, groups }: Pick<Found, "axes" | "channels" | "groups">,
  shape: readonly number[],
  data: ArrayLike<number>,
): Float64Array[] {
  const size = sizeOf(shape);
  // along each axis, which statistic a position is of
  const counts = shape.map((length, axis) => {
    if (axis === channels && groups !== undefined) return groups;
    return axes.includes(axis) ? 1 : length;
  });
  const count = sizeOf(counts);
  if (size === 0 || count === 0) return [];
  const each = size / count;
  const rows = Array.from({ length: count }, () => new Float64Array(each));
  const filled = new Uint32Array(count);
  const steps = shape.map((length, axis) => length / counts[axis]);
  const strides = counts.map((_, axis) => sizeOf(counts.slice(axis + 1)));
  const index = shape.map(() => 0);
  const last = shape.length - 1;
  for (let i = 0; i < size; i++) {
    let statistic = 0;
    for (let axis = 0; axis <= last; axis++)
      statistic += Math.floor(index[axis] / steps[axis]) * strides[axis];
    rows[statistic][filled[statistic]++] = data[i];
    for (let axis = last; axis >= 0; axis--) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
  return rows;
}
