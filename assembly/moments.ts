/**
 * Mean and centred second moment (Σ (x − mean)²), of a contiguous segment and of the columns of a matrix.
 *
 * Sums run in float32 lanes over short chunks, and from chunk to chunk in float64. The second pass, over data that
 * is in cache by then, measures distances from a rounded mean. Where that mean is far from 0 against the spread, the
 * sum of those distances is taken out again, so that no rounding error of the first pass stays in either moment.
 */
import { highLanes, laneSum, load, lowLanes, zero } from "./simd";

/** Elements whose float32 sums are joined in float64: 16 lanes of 64. */
const CHUNK = 1024;

/**
 * How many spreads the mean may lie from 0 before its own rounding shows in xHat: up to there the float32 mean of
 * the first pass is as good as the exact one.
 */
const NEAR: f64 = 4;

/** What `segmentMoments` found. */
export let segmentMean: f64 = 0;
export let segmentM2: f64 = 0;

/** Moments of x[0..n). Not centred: the mean is taken as 0. */
export function segmentMoments(x: usize, n: i32, centered: bool): void {
  if (!centered) {
    segmentMean = 0;
    segmentM2 = squaresAbout(x, n, 0);
    return;
  }
  const about = <f32>(segmentSum(x, n) / <f64>n);
  segmentMean = <f64>about;
  segmentM2 = squaresAbout(x, n, about);
  if (segmentMean * segmentMean * <f64>n <= NEAR * NEAR * segmentM2) return;
  const first = distanceFrom(x, n, about);
  segmentMean = <f64>about + first / <f64>n;
  segmentM2 = max(0, segmentM2 - (first * first) / <f64>n);
}

/** Σ (x − about)² */
function squaresAbout(x: usize, n: i32, about: f32): f64 {
  const center = f32x4.splat(about);
  let total: f64 = 0;
  let i = 0;
  while (i < n) {
    const end = min(i + CHUNK, n);
    let a = zero(), b = zero(), c = zero(), d = zero();
    for (; i + 16 <= end; i += 16) {
      const p = x + (<usize>i << 2);
      const d0 = f32x4.sub(v128.load(p), center);
      const d1 = f32x4.sub(v128.load(p, 16), center);
      const d2 = f32x4.sub(v128.load(p, 32), center);
      const d3 = f32x4.sub(v128.load(p, 48), center);
      a = f32x4.add(a, f32x4.mul(d0, d0));
      b = f32x4.add(b, f32x4.mul(d1, d1));
      c = f32x4.add(c, f32x4.mul(d2, d2));
      d = f32x4.add(d, f32x4.mul(d3, d3));
    }
    for (; i + 4 <= end; i += 4) {
      const d0 = f32x4.sub(load(x + (<usize>i << 2)), center);
      a = f32x4.add(a, f32x4.mul(d0, d0));
    }
    for (; i < end; i++) {
      const d0 = <f64>(f32.load(x + (<usize>i << 2)) - about);
      total += d0 * d0;
    }
    total += laneSum(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
  }
  return total;
}

/** Σ (x − about), each difference exact where x is near `about`. */
function distanceFrom(x: usize, n: i32, about: f32): f64 {
  const center = f32x4.splat(about);
  let total: f64 = 0;
  let i = 0;
  while (i < n) {
    const end = min(i + CHUNK, n);
    let a = zero();
    for (; i + 4 <= end; i += 4) a = f32x4.add(a, f32x4.sub(load(x + (<usize>i << 2)), center));
    for (; i < end; i++) total += <f64>(f32.load(x + (<usize>i << 2)) - about);
    total += laneSum(a);
  }
  return total;
}

function segmentSum(x: usize, n: i32): f64 {
  let total: f64 = 0;
  let i = 0;
  while (i < n) {
    const end = min(i + CHUNK, n);
    let a = zero(), b = zero(), c = zero(), d = zero();
    for (; i + 16 <= end; i += 16) {
      const p = x + (<usize>i << 2);
      a = f32x4.add(a, v128.load(p));
      b = f32x4.add(b, v128.load(p, 16));
      c = f32x4.add(c, v128.load(p, 32));
      d = f32x4.add(d, v128.load(p, 48));
    }
    for (; i + 4 <= end; i += 4) a = f32x4.add(a, load(x + (<usize>i << 2)));
    for (; i < end; i++) total += <f64>f32.load(x + (<usize>i << 2));
    total += laneSum(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
  }
  return total;
}

/**
 * Moments of each column of x [rows, columns] into float64 mean [columns] and m2 [columns].
 * Chunks of rows that fit a cache are centred in two passes and merged.
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
      let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero();
      if (centered) {
        for (let i = 0, q = p; i < count; i++, q += stride) {
          a0 = f32x4.add(a0, v128.load(q));
          a1 = f32x4.add(a1, v128.load(q, 16));
          a2 = f32x4.add(a2, v128.load(q, 32));
          a3 = f32x4.add(a3, v128.load(q, 48));
        }
        const share = f32x4.splat(<f32>1 / <f32>count);
        a0 = f32x4.mul(a0, share);
        a1 = f32x4.mul(a1, share);
        a2 = f32x4.mul(a2, share);
        a3 = f32x4.mul(a3, share);
      }
      let f0 = zero(), f1 = zero(), f2 = zero(), f3 = zero();
      let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
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
      const at = <usize>j << 3;
      mergeFour(mean + at, m2 + at, row, count, a0, f0, s0, centered);
      mergeFour(mean + at + 32, m2 + at + 32, row, count, a1, f1, s1, centered);
      mergeFour(mean + at + 64, m2 + at + 64, row, count, a2, f2, s2, centered);
      mergeFour(mean + at + 96, m2 + at + 96, row, count, a3, f3, s3, centered);
    }
    for (; j + 4 <= columns; j += 4) {
      const p = top + (<usize>j << 2);
      let about = zero();
      if (centered) {
        for (let i = 0, q = p; i < count; i++, q += stride) about = f32x4.add(about, load(q));
        about = f32x4.mul(about, f32x4.splat(<f32>1 / <f32>count));
      }
      let first = zero(), second = zero();
      for (let i = 0, q = p; i < count; i++, q += stride) {
        const d = f32x4.sub(load(q), about);
        first = f32x4.add(first, d);
        second = f32x4.add(second, f32x4.mul(d, d));
      }
      const at = <usize>j << 3;
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
