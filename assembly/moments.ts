/**
 * Mean and centred second moment (Σ (x − mean)²), of a contiguous segment and of the columns of a matrix.
 *
 * Both are computed from Σ d and Σ d², with d = x − about. First about is 0; where the mean then turns out to be within one
 * standard deviation of 0 (this is checked), the difference of the two sums loses one bit, and no more. Otherwise the sums are
 * taken again about the mean, rounded to float32, and Σ d corrects for that rounding: centred, in two passes.
 *
 * Sums run in float32 lanes over short chunks, and in float64 across chunks. Where that is not accurate (precision.ts: squares that
 * leave the range of float32, differences below the rounding of the mean) everything is summed again in float64.
 */
import { compact, counts, maskRun, masked, valuesOf } from "./masked";
import { laneSum, madd, zero } from "./simd";
import { isNear, fitsFloat32, isResolved } from "./precision";

/** Elements that are summed in float32 before float64: 16 lanes of 64. */
const CHUNK = 1024;

// Results of `segmentSums`: Σ d and Σ d².
let sumD: f64 = 0;
let sumDD: f64 = 0;
// Results of `segmentMoments`.
export let segmentMean: f64 = 0;
export let segmentM2: f64 = 0;

/** Moments of x[0..n). Not centred: the mean is taken as 0. */
export function segmentMoments(x: usize, n: i32, centered: bool): void {
  segmentSums(x, 0, n, 0, false, true, false);
  momentsFromSums(x, n, centered, sumD, sumDD);
}

/** The same where Σ x and Σ x² are known already. */
export function momentsFromSums(x: usize, n: i32, centered: bool, sumX: f64, sumXX: f64): void {
  settleMoments(x, 0, 0, n, n, centered, sumX, sumXX);
}

/** Moments of the `ones` unmasked of n elements, from element `index` of the call on; `tile` is scratch for n float32. */
export function maskedMoments(x: usize, tile: usize, index: i32, n: i32, ones: i32, centered: bool): void {
  maskedSums(x, valuesOf(index, n, tile), n, 0);
  settleMoments(x, tile, index, n, ones, centered, sumD, sumDD);
}

function settleMoments(x: usize, tile: usize, index: i32, n: i32, ones: i32, centered: bool, sumX: f64, sumXX: f64): void {
  const share = 1.0 / <f64>ones;
  segmentMean = centered ? sumX * share : 0;
  segmentM2 = sumXX - segmentMean * sumX;
  if (isNear(segmentMean, segmentM2 * share) && fitsFloat32(segmentM2 * share)) return;
  if (centered) {
    if (ones < n) maskedSums(x, valuesOf(index, n, tile), n, <f32>segmentMean);
    else segmentSums(x, 0, n, <f32>segmentMean, true, true, false);
    const about = <f64>(<f32>segmentMean);
    const left = sumD * share;
    segmentMean = about + left;
    segmentM2 = max(0, sumDD - left * sumD);
    if (isResolved(segmentMean, segmentM2 * share)) return;
  }
  if (ones < n) compact(x, tile, index, n);
  segmentInDoubles(ones < n ? tile : x, ones, centered);
}

/** The same, summed in float64: exact for equal values. */
export function segmentInDoubles(x: usize, n: i32, centered: bool): void {
  let total: f64 = 0;
  for (let i: usize = 0; centered && i < <usize>n << 2; i += 4) total += <f64>f32.load(x + i);
  const mean = total / <f64>n;
  let squares: f64 = 0;
  for (let i: usize = 0; i < <usize>n << 2; i += 4) {
    const d = <f64>f32.load(x + i) - mean;
    squares += d * d;
  }
  segmentMean = mean;
  segmentM2 = squares;
}

/**
 * Moments of each column of x [rows, columns, length], in float64 throughout, are merged into float64 mean [columns] and
 * m2 [columns], which are of `known` values. With a mask (and nothing before), x starts at element `index` of the call, and `numbers` (else 0) is float64 [columns] for the numbers of unmasked elements.
 */
export function momentsInDoubles(
  x: usize, index: i32, rows: i32, columns: i32, length: i32, mean: usize, m2: usize, numbers: usize, known: i32, centered: bool,
): void {
  const plane = <usize>columns << 3;
  if (numbers != 0) {
    memory.fill(mean, 0, plane);
    memory.fill(m2, 0, plane);
    memory.fill(numbers, 0, plane);
  }
  for (let b = 0; b < rows; b++) {
    for (let c: usize = 0; c < plane; c += 8) {
      for (let i = 0, n = length; i < length; i += n, index += n, x += <usize>n << 2) {
        let before = known + b * length;
        if (numbers != 0) {
          n = maskRun(index, length - i);
          if (!counts) continue;
          before = <i32>f64.load(numbers + c);
          f64.store(numbers + c, <f64>(before + n));
        }
        segmentInDoubles(x, n, centered);
        mergeInto(mean + c, m2 + c, before, n, segmentMean, segmentM2);
      }
    }
  }
}

/** Σ (x − about) of x[0..n). */
export function sumAbout(x: usize, n: i32, about: f32): f64 {
  segmentSums(x, 0, n, about, true, false, false);
  return sumD;
}

/** The same where the mask's values, of which there is one per element, are not 0. */
export function maskedSumAbout(x: usize, values: usize, n: i32, about: f32): f64 {
  maskedSums(x, values, n, about);
  return sumD;
}

function maskedSums(x: usize, values: usize, n: i32, about: f32): void {
  segmentSums(x, values, n, about, true, true, true);
}

/**
 * Σ d and, where `squared`, Σ d² of x[0..n), d = x − about; not `shifted`: about is 0. `masks`: where `values` are not 0. All three
 * are constant at each call site.
 */
// @ts-ignore: decorator
@inline
function segmentSums(x: usize, values: usize, n: i32, about: f32, shifted: bool, squared: bool, masks: bool): void {
  const center = f32x4.splat(about);
  let total: f64 = 0;
  let totalSquares: f64 = 0;
  let i = 0;
  while (i < n) {
    const end = min(i + CHUNK, n);
    let f0 = zero(), f1 = zero(), f2 = zero(), f3 = zero();
    let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    for (; i + 16 <= end; i += 16, x += 64) {
      let d0 = distance(v128.load(x), center, shifted);
      let d1 = distance(v128.load(x, 16), center, shifted);
      let d2 = distance(v128.load(x, 32), center, shifted);
      let d3 = distance(v128.load(x, 48), center, shifted);
      if (masks) {
        d0 = masked(d0, v128.load(values));
        d1 = masked(d1, v128.load(values, 16));
        d2 = masked(d2, v128.load(values, 32));
        d3 = masked(d3, v128.load(values, 48));
        values += 64;
      }
      f0 = f32x4.add(f0, d0);
      f1 = f32x4.add(f1, d1);
      f2 = f32x4.add(f2, d2);
      f3 = f32x4.add(f3, d3);
      if (squared) {
        s0 = madd(d0, d0, s0);
        s1 = madd(d1, d1, s1);
        s2 = madd(d2, d2, s2);
        s3 = madd(d3, d3, s3);
      }
    }
    for (; i + 4 <= end; i += 4, x += 16) {
      let d = distance(v128.load(x), center, shifted);
      if (masks) d = masked(d, v128.load(values)), values += 16;
      f0 = f32x4.add(f0, d);
      if (squared) s0 = madd(d, d, s0);
    }
    for (; i < end; i++, x += 4) {
      if (masks) {
        values += 4;
        if (f32.load(values - 4) == 0) continue;
      }
      const d = <f64>(f32.load(x) - about);
      total += d;
      if (squared) totalSquares += d * d;
    }
    total += laneSum(f32x4.add(f32x4.add(f0, f1), f32x4.add(f2, f3)));
    if (squared) totalSquares += laneSum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  }
  sumD = total;
  sumDD = totalSquares;
}

// @ts-ignore: decorator
@inline
function distance(x: v128, center: v128, shifted: bool): v128 {
  return shifted ? f32x4.sub(x, center) : x;
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
