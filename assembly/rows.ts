/**
 * Rows of features with parameters per feature (layer and RMS normalization) in one loop over memory: while a row is
 * written, the next one is read for its statistics (the sums of moments.ts), so that memory and arithmetic overlap.
 */
import { isNear, momentsFromSums, segmentM2, segmentMean, segmentMoments } from "./moments";
import { normalizeVector } from "./runs";
import { laneSum, load, zero } from "./simd";
import { inverseRoot } from "./views";

/** Elements whose float32 sums are joined in float64: 8 lanes of 64. */
const CHUNK = 512;

// Σ x and Σ x² of the row that was read ahead.
let sumX: f64 = 0;
let sumXX: f64 = 0;

export function forwardRows(
  x: usize,
  y: usize,
  gamma: usize,
  beta: usize,
  mean: usize,
  variance: usize,
  rows: i32,
  n: i32,
  epsilon: f64,
): void {
  const stride = <usize>n << 2;
  const centered = mean != 0;
  segmentMoments(x, n, centered);
  for (let row = 0; row < rows; row++, x += stride, y += stride) {
    const exact = segmentMean;
    const high = <f32>exact;
    const spread = <f32>(segmentM2 / <f64>n);
    if (centered) f32.store(mean + (<usize>row << 2), high);
    f32.store(variance + (<usize>row << 2), spread);
    const rstd = <f32>inverseRoot(spread, epsilon);
    // what rounding takes from the mean shows where the mean is far from 0
    const low = isNear(exact * exact * <f64>n, segmentM2) ? <f32>0 : <f32>(exact - <f64>high);
    if (low != 0 || row + 1 == rows) {
      normalizeVector(x, y, n, high, rstd, -low * rstd, gamma, beta);
      if (row + 1 < rows) segmentMoments(x + stride, n, centered);
      continue;
    }
    if (centered) {
      if (gamma != 0 && beta != 0) writeRow(x, y, gamma, beta, n, high, rstd, true, true, true);
      else if (gamma != 0) writeRow(x, y, gamma, beta, n, high, rstd, true, false, true);
      else if (beta != 0) writeRow(x, y, gamma, beta, n, high, rstd, false, true, true);
      else writeRow(x, y, gamma, beta, n, high, rstd, false, false, true);
    } else {
      if (gamma != 0 && beta != 0) writeRow(x, y, gamma, beta, n, 0, rstd, true, true, false);
      else if (gamma != 0) writeRow(x, y, gamma, beta, n, 0, rstd, true, false, false);
      else if (beta != 0) writeRow(x, y, gamma, beta, n, 0, rstd, false, true, false);
      else writeRow(x, y, gamma, beta, n, 0, rstd, false, false, false);
    }
    momentsFromSums(x + stride, n, centered, sumX, sumXX);
  }
}

/**
 * Writes one row, y = (x − high)·rstd·gamma + beta, and sums the one behind it. `scale`, `offset` and `centered` are
 * constants of each call, so that each has a loop without the operations that it does not need.
 */
// @ts-ignore: decorator
@inline
function writeRow(
  x: usize,
  y: usize,
  gamma: usize,
  beta: usize,
  n: i32,
  high: f32,
  rstd: f32,
  scale: bool,
  offset: bool,
  centered: bool,
): void {
  const bytes = <usize>n << 2;
  const h = f32x4.splat(high);
  const r = f32x4.splat(rstd);
  const ahead = x + bytes;
  let total: f64 = 0;
  let totalSquares: f64 = 0;
  let i: usize = 0;
  while (i < bytes) {
    const end = min(i + (CHUNK << 2), bytes);
    let s0 = zero(), s1 = zero(), q0 = zero(), q1 = zero();
    // one address of each array serves four vectors
    for (; i + 64 <= end; i += 64) {
      const next = ahead + i;
      const from = x + i;
      const to = y + i;
      const g = gamma + i;
      const b = beta + i;
      let u: v128;
      const a0 = v128.load(next);
      if (centered) s0 = f32x4.add(s0, a0);
      q0 = f32x4.add(q0, f32x4.mul(a0, a0));
      u = normalized(v128.load(from), h, r, scale ? v128.load(g) : r, offset ? v128.load(b) : r, scale, offset, centered);
      v128.store(to, u);
      const a1 = v128.load(next, 16);
      if (centered) s1 = f32x4.add(s1, a1);
      q1 = f32x4.add(q1, f32x4.mul(a1, a1));
      u = normalized(v128.load(from, 16), h, r, scale ? v128.load(g, 16) : r, offset ? v128.load(b, 16) : r, scale, offset, centered);
      v128.store(to, u, 16);
      const a2 = v128.load(next, 32);
      if (centered) s0 = f32x4.add(s0, a2);
      q0 = f32x4.add(q0, f32x4.mul(a2, a2));
      u = normalized(v128.load(from, 32), h, r, scale ? v128.load(g, 32) : r, offset ? v128.load(b, 32) : r, scale, offset, centered);
      v128.store(to, u, 32);
      const a3 = v128.load(next, 48);
      if (centered) s1 = f32x4.add(s1, a3);
      q1 = f32x4.add(q1, f32x4.mul(a3, a3));
      u = normalized(v128.load(from, 48), h, r, scale ? v128.load(g, 48) : r, offset ? v128.load(b, 48) : r, scale, offset, centered);
      v128.store(to, u, 48);
    }
    for (; i < end; i += 4) {
      const a = <f64>f32.load(ahead + i);
      total += a;
      totalSquares += a * a;
      let u = (f32.load(x + i) - high) * rstd;
      if (scale) u *= f32.load(gamma + i);
      if (offset) u += f32.load(beta + i);
      f32.store(y + i, u);
    }
    total += laneSum(f32x4.add(s0, s1));
    totalSquares += laneSum(f32x4.add(q0, q1));
  }
  sumX = total;
  sumXX = totalSquares;
}

// @ts-ignore: decorator
@inline
function normalized(x: v128, high: v128, rstd: v128, gamma: v128, beta: v128, scale: bool, offset: bool, centered: bool): v128 {
  let u = f32x4.mul(centered ? f32x4.sub(x, high) : x, rstd);
  if (scale) u = f32x4.mul(u, gamma);
  return offset ? f32x4.add(u, beta) : u;
}
