/**
 * Mean and centred second moment (Σ (x − mean)²), of a contiguous segment and of the columns of a matrix.
 *
 * Both are taken from Σ d and Σ d², with d = x − about. At first about is 0; where the mean then turns out to be within two
 * spreads of 0 (that is checked), the difference of the two sums loses two bits or so, and no more. Anywhere else the
 * sums are taken again about the mean, rounded to float32, and Σ d takes that rounding out again: centred, in two passes.
 *
 * Sums run in float32 lanes over short chunks, and from chunk to chunk in float64.
 */
import { highLanes, laneSum, load, lowLanes, madd, zero } from "./simd";

/** Elements whose float32 sums are joined in float64: 16 lanes of 64. */
const CHUNK = 1024;

/** How many spreads the mean may be from 0 for sums about 0 to be enough. */
export const NEAR: f64 = 2;

// Σ d and Σ d² as `segmentSums` left them.
export let sumD: f64 = 0;
export let sumDD: f64 = 0;
// What `segmentMoments` found.
export let segmentMean: f64 = 0;
export let segmentM2: f64 = 0;

/** Moments of x[0..n). Not centred: the mean is taken as 0. */
export function segmentMoments(x: usize, n: i32, centered: bool): void {
  segmentSums(x, n, 0, false);
  momentsFromSums(x, n, centered, sumD, sumDD);
}

/** The same where Σ x and Σ x² are known already. */
export function momentsFromSums(x: usize, n: i32, centered: bool, sumX: f64, sumXX: f64): void {
  segmentMean = centered ? sumX / <f64>n : 0;
  segmentM2 = sumXX - segmentMean * sumX;
  // taken again also where the sums are not finite
  if (!centered || isNear(segmentMean * sumX, segmentM2)) return;
  const about = <f32>segmentMean;
  segmentSums(x, n, about, true);
  const left = sumD / <f64>n;
  segmentMean = <f64>about + left;
  segmentM2 = max(0, sumDD - left * sumD);
}

/** Whether n·mean² is small enough against Σ (x − mean)². */
// @ts-ignore: decorator
@inline
export function isNear(squaredMeans: f64, m2: f64): bool {
  return squaredMeans <= NEAR * NEAR * m2;
}

/** Σ d and Σ d² of x[0..n), d = x − about; `shifted` is a constant of each call, false where about is 0. */
// @ts-ignore: decorator
@inline
function segmentSums(x: usize, n: i32, about: f32, shifted: bool): void {
  const center = f32x4.splat(about);
  let total: f64 = 0;
  let totalSquares: f64 = 0;
  let i = 0;
  while (i < n) {
    const end = min(i + CHUNK, n);
    let f0 = zero(), f1 = zero(), f2 = zero(), f3 = zero();
    let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    for (; i + 16 <= end; i += 16, x += 64) {
      const d0 = distance(v128.load(x), center, shifted);
      const d1 = distance(v128.load(x, 16), center, shifted);
      const d2 = distance(v128.load(x, 32), center, shifted);
      const d3 = distance(v128.load(x, 48), center, shifted);
      f0 = f32x4.add(f0, d0);
      f1 = f32x4.add(f1, d1);
      f2 = f32x4.add(f2, d2);
      f3 = f32x4.add(f3, d3);
      s0 = madd(d0, d0, s0);
      s1 = madd(d1, d1, s1);
      s2 = madd(d2, d2, s2);
      s3 = madd(d3, d3, s3);
    }
    for (; i + 4 <= end; i += 4, x += 16) {
      const d = distance(v128.load(x), center, shifted);
      f0 = f32x4.add(f0, d);
      s0 = madd(d, d, s0);
    }
    for (; i < end; i++, x += 4) {
      const d = <f64>(f32.load(x) - about);
      total += d;
      totalSquares += d * d;
    }
    total += laneSum(f32x4.add(f32x4.add(f0, f1), f32x4.add(f2, f3)));
    totalSquares += laneSum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  }
  sumD = total;
  sumDD = totalSquares;
}

// @ts-ignore: decorator
@inline
function distance(x: v128, center: v128, shifted: bool): v128 {
  return shifted ? f32x4.sub(x, center) : x;
}

/**
 * Moments of each column of x [rows, columns] into float64 mean [columns] and m2 [columns].
 *
 * Rows are read in sequence, a few at a time, into sums per column; chunks of them, few enough for float32 sums, are
 * merged. Four columns whose mean is far from 0 in a chunk are taken again, centred, while the chunk is in cache.
 * `sums` is scratch for float32 [2, columns].
 */
export function columnMoments(x: usize, rows: i32, columns: i32, mean: usize, m2: usize, sums: usize, centered: bool): void {
  const stride = <usize>columns << 2;
  const squares = sums + stride;
  const chunk = chunkRows(columns);
  for (let row = 0; row < rows; row += chunk) {
    const count = min(chunk, rows - row);
    const top = x + <usize>row * stride;
    memory.fill(sums, 0, 2 * stride);
    let i = 0;
    for (; i + 4 <= count; i += 4) addFourRows(top + <usize>i * stride, stride, sums, squares);
    for (; i < count; i++) addRow(top + <usize>i * stride, stride, sums, squares);
    let j = 0;
    for (; j + 4 <= columns; j += 4) {
      const at = <usize>j << 2;
      let about = zero(), first = load(sums + at), second = load(squares + at);
      if (centered && !i32x4.all_true(lanesNear(first, second, count))) {
        about = f32x4.mul(first, f32x4.splat(<f32>1 / <f32>count));
        first = zero(), second = zero();
        for (let k = 0, q = top + at; k < count; k++, q += stride) {
          const d = f32x4.sub(load(q), about);
          first = f32x4.add(first, d);
          second = madd(d, d, second);
        }
      }
      mergeFour(mean + (at << 1), m2 + (at << 1), row, count, about, first, second, centered);
    }
    for (; j < columns; j++) {
      const at = <usize>j << 2;
      const about: f64 = centered ? <f64>(f32.load(sums + at) / <f32>count) : 0;
      let first: f64 = 0;
      let second: f64 = 0;
      for (let k = 0, q = top + at; k < count; k++, q += stride) {
        const d = <f64>f32.load(q) - about;
        first += d;
        second += d * d;
      }
      const left = centered ? first / <f64>count : 0;
      mergeInto(mean + (at << 1), m2 + (at << 1), row, count, about + left, max(0, second - first * left));
    }
  }
}

/** Adds x and x² of four rows of `stride` bytes to the sums of their columns; of the columns behind the last four, x alone. */
function addFourRows(x: usize, stride: usize, sums: usize, squares: usize): void {
  const x1 = x + stride, x2 = x1 + stride, x3 = x2 + stride;
  const vectors = stride & -16;
  let i: usize = 0;
  for (; i < vectors; i += 16) {
    const a = load(x + i);
    const b = load(x1 + i);
    const c = load(x2 + i);
    const d = load(x3 + i);
    const sum = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
    const left = madd(a, a, f32x4.mul(b, b));
    const right = madd(c, c, f32x4.mul(d, d));
    v128.store(sums + i, f32x4.add(load(sums + i), sum));
    v128.store(squares + i, f32x4.add(load(squares + i), f32x4.add(left, right)));
  }
  for (; i < stride; i += 4) {
    const sum = f32.load(x + i) + f32.load(x1 + i) + (f32.load(x2 + i) + f32.load(x3 + i));
    f32.store(sums + i, f32.load(sums + i) + sum);
  }
}

/** The same for one row. */
function addRow(x: usize, stride: usize, sums: usize, squares: usize): void {
  const vectors = stride & -16;
  let i: usize = 0;
  for (; i < vectors; i += 16) {
    const a = load(x + i);
    v128.store(sums + i, f32x4.add(load(sums + i), a));
    v128.store(squares + i, madd(a, a, load(squares + i)));
  }
  for (; i < stride; i += 4) f32.store(sums + i, f32.load(sums + i) + f32.load(x + i));
}

/** `isNear` of four columns' Σ x and Σ x²: all ones where it holds. */
// @ts-ignore: decorator
@inline
function lanesNear(sum: v128, squares: v128, count: i32): v128 {
  const squaredMeans = f32x4.mul(f32x4.mul(sum, sum), f32x4.splat(<f32>1 / <f32>count));
  return f32x4.le(squaredMeans, f32x4.mul(f32x4.splat(<f32>(NEAR * NEAR)), f32x4.sub(squares, squaredMeans)));
}

/** Rows of a chunk: few enough for float32 sums, and for the chunk to stay in a second-level cache. */
// @ts-ignore: decorator
@inline
export function chunkRows(columns: i32): i32 {
  return max(16, min(128, 32768 / columns));
}

/** Merges the moments (about + first/count, second − first²/count) of four columns into those of the rows before. */
// @ts-ignore: decorator
@inline
function mergeFour(mean: usize, m2: usize, before: i32, count: i32, about: v128, first: v128, second: v128, centered: bool): void {
  mergeTwo(mean, m2, before, count, lowLanes(about), lowLanes(first), lowLanes(second), centered);
  mergeTwo(mean + 16, m2 + 16, before, count, highLanes(about), highLanes(first), highLanes(second), centered);
}

// @ts-ignore: decorator
@inline
function mergeTwo(mean: usize, m2: usize, before: i32, count: i32, about: v128, first: v128, second: v128, centered: bool): void {
  let batchMean = f64x2.splat(0);
  let batchM2 = second;
  if (centered) {
    const left = f64x2.mul(first, f64x2.splat(1.0 / <f64>count));
    batchMean = f64x2.add(about, left);
    batchM2 = f64x2.max(f64x2.splat(0), f64x2.sub(second, f64x2.mul(first, left)));
  }
  if (before == 0) {
    v128.store(mean, batchMean);
    v128.store(m2, batchM2);
    return;
  }
  const total = <f64>before + <f64>count;
  const distance = f64x2.sub(batchMean, v128.load(mean));
  v128.store(mean, f64x2.add(v128.load(mean), f64x2.mul(distance, f64x2.splat(<f64>count / total))));
  const spread = f64x2.mul(f64x2.mul(distance, distance), f64x2.splat((<f64>before * <f64>count) / total));
  v128.store(m2, f64x2.add(f64x2.add(v128.load(m2), batchM2), spread));
}

/** Merges the moments of `count` values into float64 moments at `mean` and `m2`, which are of `before` values. */
// @ts-ignore: decorator
@inline
export function mergeInto(mean: usize, m2: usize, before: i32, count: i32, otherMean: f64, otherM2: f64): void {
  if (before == 0) {
    f64.store(mean, otherMean);
    f64.store(m2, otherM2);
    return;
  }
  const total = <f64>before + <f64>count;
  const distance = otherMean - f64.load(mean);
  f64.store(mean, f64.load(mean) + (distance * <f64>count) / total);
  f64.store(m2, f64.load(m2) + otherM2 + (distance * distance * <f64>before * <f64>count) / total);
}
