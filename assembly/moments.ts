/**
 * Mean and centred second moment (Σ (x − mean)²), of a contiguous segment and of the columns of a matrix.
 *
 * Both are taken from Σ d and Σ d², with d = x − about. At first about is 0; where the mean then turns out to be within two
 * spreads of 0 (that is checked), the difference of the two sums loses two bits or so, and no more. Anywhere else the
 * sums are taken again about the mean, rounded to float32, and Σ d takes that rounding out again: centred, in two passes.
 *
 * Sums run in float32 lanes over short chunks, and from chunk to chunk in float64.
 */
import { highLanes, laneSum, lowLanes, zero } from "./simd";

/** Elements whose float32 sums are joined in float64: 16 lanes of 64. */
const CHUNK = 1024;

/** How many spreads the mean may be from 0 for sums about 0 to be enough. */
const NEAR: f64 = 2;

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
      s0 = f32x4.add(s0, f32x4.mul(d0, d0));
      s1 = f32x4.add(s1, f32x4.mul(d1, d1));
      s2 = f32x4.add(s2, f32x4.mul(d2, d2));
      s3 = f32x4.add(s3, f32x4.mul(d3, d3));
    }
    for (; i + 4 <= end; i += 4, x += 16) {
      const d = distance(v128.load(x), center, shifted);
      f0 = f32x4.add(f0, d);
      s0 = f32x4.add(s0, f32x4.mul(d, d));
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
 * Chunks of rows that stay in cache for a second look are measured one by one and merged.
 */
export function columnMoments(x: usize, rows: i32, columns: i32, mean: usize, m2: usize, centered: bool): void {
  const stride = <usize>columns << 2;
  const chunk = chunkRows(columns);
  for (let row = 0; row < rows; row += chunk) {
    const count = min(chunk, rows - row);
    const top = x + <usize>row * stride;
    let j = 0;
    for (; j + 16 <= columns; j += 16) {
      const p = top + (<usize>j << 2);
      const at = <usize>j << 3;
      let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero();
      let f0 = zero(), f1 = zero(), f2 = zero(), f3 = zero();
      let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
      for (let i = 0, q = p; i < count; i++, q += stride) {
        const d0 = v128.load(q);
        const d1 = v128.load(q, 16);
        const d2 = v128.load(q, 32);
        const d3 = v128.load(q, 48);
        f0 = f32x4.add(f0, d0);
        f1 = f32x4.add(f1, d1);
        f2 = f32x4.add(f2, d2);
        f3 = f32x4.add(f3, d3);
        s0 = f32x4.add(s0, f32x4.mul(d0, d0));
        s1 = f32x4.add(s1, f32x4.mul(d1, d1));
        s2 = f32x4.add(s2, f32x4.mul(d2, d2));
        s3 = f32x4.add(s3, f32x4.mul(d3, d3));
      }
      const near = v128.and(
        v128.and(lanesNear(f0, s0, count), lanesNear(f1, s1, count)),
        v128.and(lanesNear(f2, s2, count), lanesNear(f3, s3, count)),
      );
      if (centered && !i32x4.all_true(near)) {
        const share = f32x4.splat(<f32>1 / <f32>count);
        a0 = f32x4.mul(f0, share);
        a1 = f32x4.mul(f1, share);
        a2 = f32x4.mul(f2, share);
        a3 = f32x4.mul(f3, share);
        f0 = zero(), f1 = zero(), f2 = zero(), f3 = zero();
        s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
        for (let i = 0, q = p; i < count; i++, q += stride) {
          const d0 = f32x4.sub(v128.load(q), a0);
          const d1 = f32x4.sub(v128.load(q, 16), a1);
          const d2 = f32x4.sub(v128.load(q, 32), a2);
          const d3 = f32x4.sub(v128.load(q, 48), a3);
          f0 = f32x4.add(f0, d0);
          f1 = f32x4.add(f1, d1);
          f2 = f32x4.add(f2, d2);
          f3 = f32x4.add(f3, d3);
          s0 = f32x4.add(s0, f32x4.mul(d0, d0));
          s1 = f32x4.add(s1, f32x4.mul(d1, d1));
          s2 = f32x4.add(s2, f32x4.mul(d2, d2));
          s3 = f32x4.add(s3, f32x4.mul(d3, d3));
        }
      }
      mergeFour(mean + at, m2 + at, row, count, a0, f0, s0, centered);
      mergeFour(mean + at + 32, m2 + at + 32, row, count, a1, f1, s1, centered);
      mergeFour(mean + at + 64, m2 + at + 64, row, count, a2, f2, s2, centered);
      mergeFour(mean + at + 96, m2 + at + 96, row, count, a3, f3, s3, centered);
    }
    for (; j + 4 <= columns; j += 4) {
      const p = top + (<usize>j << 2);
      const at = <usize>j << 3;
      let about = zero(), first = zero(), second = zero();
      for (let i = 0, q = p; i < count; i++, q += stride) {
        const d = v128.load(q);
        first = f32x4.add(first, d);
        second = f32x4.add(second, f32x4.mul(d, d));
      }
      if (centered && !i32x4.all_true(lanesNear(first, second, count))) {
        about = f32x4.mul(first, f32x4.splat(<f32>1 / <f32>count));
        first = zero(), second = zero();
        for (let i = 0, q = p; i < count; i++, q += stride) {
          const d = f32x4.sub(v128.load(q), about);
          first = f32x4.add(first, d);
          second = f32x4.add(second, f32x4.mul(d, d));
        }
      }
      mergeFour(mean + at, m2 + at, row, count, about, first, second, centered);
    }
    for (; j < columns; j++) {
      const p = top + (<usize>j << 2);
      let about: f64 = 0;
      if (centered) {
        for (let i = 0, q = p; i < count; i++, q += stride) about += <f64>f32.load(q);
        about /= <f64>count;
      }
      let second: f64 = 0;
      for (let i = 0, q = p; i < count; i++, q += stride) {
        const d = <f64>f32.load(q) - about;
        second += d * d;
      }
      const at = <usize>j << 3;
      mergeInto(mean + at, m2 + at, row, count, about, second);
    }
  }
}

/** Rows of a chunk whose lines, of three arrays, stay in a first-level cache while its columns are walked. */
// @ts-ignore: decorator
@inline
export function rowsInFirstCache(columns: i32): i32 {
  return max(8, min(128, 2048 / columns));
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
