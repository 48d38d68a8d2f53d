/**
 * Rows of features with parameters per feature (layer and RMS normalization), forward.
 *
 * A row is written while the next one is read for its statistics (the sums of moments.ts), in one loop, so that memory and
 * arithmetic overlap; one row at a time, since hardware prefetches one sequence of reads best. Narrow rows, where the overhead
 * per row would exceed the row's own work, are taken four at a time; rows so wide that gamma and beta do not stay in cache beside
 * them, two.
 */
import { beta, epsilon, gamma, mean, residual, sum, variance, x, y } from "./call";
import { normalizeElements } from "./elements";
import { momentsFromSums, segmentM2, segmentMean, segmentMoments } from "./moments";
import { addRun, affine, normalizeVector } from "./forward-runs";
import { foldPairs, laneSum, load, madd, nearHat, nearHatOf, nearShift, splatLane, zero } from "./simd";
import { areNearAndFit, asStored, isNear, fitsFloat32, rootFits, rootOf } from "./precision";
import { r2 } from "./views";

/** Elements that are summed in float32 before float64: 8 lanes of 64. */
const CHUNK = 512;
/** Rows up to this length are taken four at a time; one float32 sum per lane is then short enough. */
const NARROW = 256;
/** Longer rows evict gamma and beta from the first-level cache: two at once halve the reloads. */
const OVERFLOWS = 3000;

// Σ x and Σ x² of the row that was read ahead.
let sumX: f64 = 0;
let sumXX: f64 = 0;

/** Rows from `from` to before `to`. */
export function forwardRows(from: i32, to: i32): void {
  let row = from;
  // four rows share their loads of gamma and beta: there are loops for both, gamma alone and neither
  if (r2 <= NARROW && (beta == 0 || gamma != 0)) {
    for (; row + 4 <= to; row += 4) {
      if (gamma == 0) fourRows(row, false, false);
      else if (beta == 0) fourRows(row, true, false);
      else fourRows(row, true, true);
    }
  }
  if (r2 > OVERFLOWS && (beta == 0 || gamma != 0)) {
    for (; row + 2 <= to; row += 2) twoRows(row);
  }
  if (row < to) wideRows(row, to);
}

function wideRows(from: i32, to: i32): void {
  const bytes = <usize>r2 << 2;
  const centered = mean != 0;
  // far from 0, x − mean must be exact; the combinations without a loop here go the same way
  const loops = centered ? gamma != 0 || beta == 0 : beta == 0;
  let p = (residual == 0 ? x : sum) + <usize>from * bytes;
  let q = y + <usize>from * bytes;
  let near = measureRow(from);
  for (let row = from; row < to; row++, p += bytes, q += bytes) {
    const exact = segmentMean, root = rowRoot;
    const next = row + 1;
    if (next == to || !loops || !near) {
      normalizeRow(row, exact, root);
      if (next < to) near = measureRow(next);
      continue;
    }
    const rstd = 1.0 / root;
    const shift = nearShift(exact, rstd);
    const offset = <usize>next * bytes;
    if (residual == 0) writeAhead(p, q, p + bytes, 0, 0, <f32>rstd, shift, false);
    else writeAhead(p, q, x + offset, residual + offset, sum + offset, <f32>rstd, shift, true);
    momentsFromSums(p + bytes, r2, centered, sumX, sumXX);
    near = settleRow(next);
  }
}

/**
 * Two rows at once, which share their loads of gamma and beta; each is summed first. Rows whose mean is far from 0 are normalized
 * one by one.
 */
function twoRows(row: i32): void {
  const bytes = <usize>r2 << 2;
  const at = <usize>row * bytes;
  const from = (residual == 0 ? x : sum) + at;
  const into = y + at;
  const nearA = measureRow(row);
  const rootA = rowRoot, meanA = segmentMean;
  const nearB = measureRow(row + 1);
  const rootB = rowRoot, meanB = segmentMean;
  const rstdA = 1.0 / rootA, rstdB = 1.0 / rootB;
  if (!(nearA && nearB)) {
    normalizeRow(row, meanA, rootA);
    normalizeRow(row + 1, meanB, rootB);
  } else if (gamma == 0) {
    writeTwoRows(from, into, meanA, rstdA, meanB, rstdB, false, false);
  } else if (beta == 0) {
    writeTwoRows(from, into, meanA, rstdA, meanB, rstdB, true, false);
  } else {
    writeTwoRows(from, into, meanA, rstdA, meanB, rstdB, true, true);
  }
}

// The root of the row that was measured last.
let rowRoot: f64 = 0;

/** Sums a row, and writes its statistics; returns whether its mean is near 0 and its variance fits float32. */
function measureRow(row: i32): bool {
  const at = <usize>row * <usize>r2 << 2;
  if (residual != 0) addRun(x + at, residual + at, sum + at, r2);
  segmentMoments((residual == 0 ? x : sum) + at, r2, mean != 0);
  return settleRow(row);
}

/** The second half of `measureRow`. */
function settleRow(row: i32): bool {
  const spread = segmentM2 / <f64>r2;
  if (mean != 0) f32.store(mean + (<usize>row << 2), <f32>segmentMean);
  f32.store(variance + (<usize>row << 2), <f32>spread);
  rowRoot = rootOf(asStored(spread));
  return isNear(segmentMean, spread) && fitsFloat32(spread);
}

/** With the mean in two parts, so that x − mean is exact where the mean is far from 0. */
function normalizeRow(row: i32, exact: f64, root: f64): void {
  if (!rootFits(root)) {
    normalizeElements(row * r2, r2, exact, root);
    return;
  }
  const at = <usize>row * <usize>r2 << 2;
  const high = <f32>exact;
  const rstd = 1.0 / root;
  normalizeVector((residual == 0 ? x : sum) + at, y + at, r2, high, <f32>rstd, <f32>((<f64>high - exact) * rstd), gamma, beta);
}

/** `scale` and `offset` are constant at each call site. */
// @ts-ignore: decorator
@inline
function writeTwoRows(from: usize, into: usize, meanA: f64, rstdA: f64, meanB: f64, rstdB: f64, scale: bool, offset: bool): void {
  const bytes = <usize>r2 << 2;
  const factors = gamma, terms = beta;
  const ra = f32x4.splat(<f32>rstdA), ca = f32x4.splat(nearShift(meanA, rstdA));
  const rb = f32x4.splat(<f32>rstdB), cb = f32x4.splat(nearShift(meanB, rstdB));
  let i: usize = 0;
  for (; i + 64 <= bytes; i += 64) {
    const p0 = from + i, p1 = p0 + bytes, q0 = into + i, q1 = q0 + bytes, pg = factors + i, pb = terms + i;
    const g0 = scale ? v128.load(pg) : ra, b0 = offset ? v128.load(pb) : ra;
    v128.store(q0, affine(nearHat(v128.load(p0), ra, ca), g0, b0, scale, offset));
    v128.store(q1, affine(nearHat(v128.load(p1), rb, cb), g0, b0, scale, offset));
    const g1 = scale ? v128.load(pg, 16) : ra, b1 = offset ? v128.load(pb, 16) : ra;
    v128.store(q0, affine(nearHat(v128.load(p0, 16), ra, ca), g1, b1, scale, offset), 16);
    v128.store(q1, affine(nearHat(v128.load(p1, 16), rb, cb), g1, b1, scale, offset), 16);
    const g2 = scale ? v128.load(pg, 32) : ra, b2 = offset ? v128.load(pb, 32) : ra;
    v128.store(q0, affine(nearHat(v128.load(p0, 32), ra, ca), g2, b2, scale, offset), 32);
    v128.store(q1, affine(nearHat(v128.load(p1, 32), rb, cb), g2, b2, scale, offset), 32);
    const g3 = scale ? v128.load(pg, 48) : ra, b3 = offset ? v128.load(pb, 48) : ra;
    v128.store(q0, affine(nearHat(v128.load(p0, 48), ra, ca), g3, b3, scale, offset), 48);
    v128.store(q1, affine(nearHat(v128.load(p1, 48), rb, cb), g3, b3, scale, offset), 48);
  }
  for (; i < bytes; i += 4) {
    const p0 = from + i, p1 = p0 + bytes, q0 = into + i, q1 = q0 + bytes;
    const g = scale ? v128.load32_zero(factors + i) : ra, b = offset ? v128.load32_zero(terms + i) : ra;
    v128.store32_lane(q0, affine(nearHat(v128.load32_zero(p0), ra, ca), g, b, scale, offset), 0);
    v128.store32_lane(q1, affine(nearHat(v128.load32_zero(p1), rb, cb), g, b, scale, offset), 0);
  }
}

/** `adds` is constant at each call site: whether the next row is first added to its residual. */
// @ts-ignore: decorator
@inline
function writeAhead(p: usize, q: usize, ahead: usize, other: usize, to: usize, rstd: f32, shift: f32, adds: bool): void {
  if (mean == 0) {
    if (gamma == 0) writeRow(p, q, ahead, other, to, rstd, shift, false, false, false, adds);
    else writeRow(p, q, ahead, other, to, rstd, shift, true, false, false, adds);
  } else if (gamma == 0) {
    writeRow(p, q, ahead, other, to, rstd, shift, false, false, true, adds);
  } else if (beta == 0) {
    writeRow(p, q, ahead, other, to, rstd, shift, true, false, true, adds);
  } else {
    writeRow(p, q, ahead, other, to, rstd, shift, true, true, true, adds);
  }
}

/**
 * Writes one row, y = xHat·gamma + beta, and sums the next one (`ahead`, or ahead + other, which goes to `to`).
 * `scale`, `offset`, `centered` and `adds` are constant at each call site, so that each has a loop without the operations
 * that it does not need.
 */
// @ts-ignore: decorator
@inline
function writeRow(
  p: usize, q: usize, ahead: usize, other: usize, to: usize, rstd: f32, shift: f32,
  scale: bool, offset: bool, centered: bool, adds: bool,
): void {
  const bytes = <usize>r2 << 2;
  const r = f32x4.splat(rstd);
  const t = f32x4.splat(shift);
  const factors = gamma, terms = beta;
  let total: f64 = 0;
  let totalSquares: f64 = 0;
  let i: usize = 0;
  while (i < bytes) {
    const end = min(i + (CHUNK << 2), bytes);
    let s0 = zero(), s1 = zero(), q0 = zero(), q1 = zero();
    // one address of each array serves four vectors
    for (; i + 64 <= end; i += 64) {
      const next = ahead + i, more = other + i, at = to + i;
      const from = p + i, into = q + i, g = factors + i, b = terms + i;
      let a = v128.load(next);
      if (adds) v128.store(at, (a = f32x4.add(a, v128.load(more))));
      if (centered) s0 = f32x4.add(s0, a);
      q0 = madd(a, a, q0);
      let u = centered ? nearHat(v128.load(from), r, t) : f32x4.mul(v128.load(from), r);
      v128.store(into, affine(u, scale ? v128.load(g) : r, offset ? v128.load(b) : r, scale, offset));
      a = v128.load(next, 16);
      if (adds) v128.store(at, (a = f32x4.add(a, v128.load(more, 16))), 16);
      if (centered) s1 = f32x4.add(s1, a);
      q1 = madd(a, a, q1);
      u = centered ? nearHat(v128.load(from, 16), r, t) : f32x4.mul(v128.load(from, 16), r);
      v128.store(into, affine(u, scale ? v128.load(g, 16) : r, offset ? v128.load(b, 16) : r, scale, offset), 16);
      a = v128.load(next, 32);
      if (adds) v128.store(at, (a = f32x4.add(a, v128.load(more, 32))), 32);
      if (centered) s0 = f32x4.add(s0, a);
      q0 = madd(a, a, q0);
      u = centered ? nearHat(v128.load(from, 32), r, t) : f32x4.mul(v128.load(from, 32), r);
      v128.store(into, affine(u, scale ? v128.load(g, 32) : r, offset ? v128.load(b, 32) : r, scale, offset), 32);
      a = v128.load(next, 48);
      if (adds) v128.store(at, (a = f32x4.add(a, v128.load(more, 48))), 48);
      if (centered) s1 = f32x4.add(s1, a);
      q1 = madd(a, a, q1);
      u = centered ? nearHat(v128.load(from, 48), r, t) : f32x4.mul(v128.load(from, 48), r);
      v128.store(into, affine(u, scale ? v128.load(g, 48) : r, offset ? v128.load(b, 48) : r, scale, offset), 48);
    }
    for (; i < end; i += 4) {
      let a = f32.load(ahead + i);
      if (adds) f32.store(to + i, (a += f32.load(other + i)));
      total += <f64>a;
      totalSquares += <f64>a * <f64>a;
      let u = centered ? nearHatOf(f32.load(p + i), rstd, shift) : f32.load(p + i) * rstd;
      if (scale) u *= f32.load(factors + i);
      if (offset) u += f32.load(terms + i);
      f32.store(q + i, u);
    }
    total += laneSum(f32x4.add(s0, s1));
    totalSquares += laneSum(f32x4.add(q0, q1));
  }
  sumX = total;
  sumXX = totalSquares;
}

/** Four narrow rows from `row` on: their sums in one loop, their statistics in vectors, their results in another loop. */
// @ts-ignore: decorator
@inline
function fourRows(row: i32, scale: bool, offset: bool): void {
  const bytes = <usize>r2 << 2;
  const vectors = bytes & -16;
  const at = <usize>row * bytes;
  if (residual != 0) addRun(x + at, residual + at, sum + at, r2 << 2);
  const p0 = (residual == 0 ? x : sum) + at, p1 = p0 + bytes, p2 = p1 + bytes, p3 = p2 + bytes;
  let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  let i: usize = 0;
  for (; i < vectors; i += 16) {
    const a = load(p0 + i), b = load(p1 + i), c = load(p2 + i), d = load(p3 + i);
    s0 = f32x4.add(s0, a), s1 = f32x4.add(s1, b), s2 = f32x4.add(s2, c), s3 = f32x4.add(s3, d);
    t0 = madd(a, a, t0), t1 = madd(b, b, t1), t2 = madd(c, c, t2), t3 = madd(d, d, t3);
  }
  for (; i < bytes; i += 4) {
    const a = v128.load32_zero(p0 + i), b = v128.load32_zero(p1 + i), c = v128.load32_zero(p2 + i), d = v128.load32_zero(p3 + i);
    s0 = f32x4.add(s0, a), s1 = f32x4.add(s1, b), s2 = f32x4.add(s2, c), s3 = f32x4.add(s3, d);
    t0 = madd(a, a, t0), t1 = madd(b, b, t1), t2 = madd(c, c, t2), t3 = madd(d, d, t3);
  }
  const share = f64x2.splat(1.0 / <f64>r2);
  const means: usize = mean == 0 ? 0 : mean + (<usize>row << 2);
  const spreads = variance + (<usize>row << 2);
  if (!twoStatistics(means, spreads, foldPairs(s0, s1), foldPairs(t0, t1), share)) {
    wideRows(row, row + 4);
    return;
  }
  const r01 = rstds, c01 = shifts;
  if (!twoStatistics(means == 0 ? 0 : means + 8, spreads + 8, foldPairs(s2, s3), foldPairs(t2, t3), share)) {
    wideRows(row, row + 4);
    return;
  }
  const r0 = splatLane(r01, 0), r1 = splatLane(r01, 1), r2_ = splatLane(rstds, 0), r3 = splatLane(rstds, 1);
  const c0 = splatLane(c01, 0), c1 = splatLane(c01, 1), c2 = splatLane(shifts, 0), c3 = splatLane(shifts, 1);
  const q0 = y + at, q1 = q0 + bytes, q2 = q1 + bytes, q3 = q2 + bytes;
  for (i = 0; i < vectors; i += 16) {
    const g = scale ? load(gamma + i) : r0;
    const b = offset ? load(beta + i) : r0;
    v128.store(q0 + i, affine(nearHat(load(p0 + i), r0, c0), g, b, scale, offset));
    v128.store(q1 + i, affine(nearHat(load(p1 + i), r1, c1), g, b, scale, offset));
    v128.store(q2 + i, affine(nearHat(load(p2 + i), r2_, c2), g, b, scale, offset));
    v128.store(q3 + i, affine(nearHat(load(p3 + i), r3, c3), g, b, scale, offset));
  }
  for (; i < bytes; i += 4) {
    const g = scale ? v128.load32_zero(gamma + i) : r0;
    const b = offset ? v128.load32_zero(beta + i) : r0;
    v128.store32_lane(q0 + i, affine(nearHat(v128.load32_zero(p0 + i), r0, c0), g, b, scale, offset), 0);
    v128.store32_lane(q1 + i, affine(nearHat(v128.load32_zero(p1 + i), r1, c1), g, b, scale, offset), 0);
    v128.store32_lane(q2 + i, affine(nearHat(v128.load32_zero(p2 + i), r2_, c2), g, b, scale, offset), 0);
    v128.store32_lane(q3 + i, affine(nearHat(v128.load32_zero(p3 + i), r3, c3), g, b, scale, offset), 0);
  }
}

// Of two rows, float32 in lanes 0 and 1: rstd, and the shift for `nearHat`.
let rstds: v128 = i64x2.splat(0);
let shifts: v128 = i64x2.splat(0);

/** Statistics of two rows from their sums, float64×2; false where sums about 0 are not enough. */
// @ts-ignore: decorator
@inline
function twoStatistics(means: usize, spreads: usize, sums: v128, squares: v128, share: v128): bool {
  const exact = means == 0 ? f64x2.splat(0) : f64x2.mul(sums, share);
  const spread = f64x2.sub(f64x2.mul(squares, share), f64x2.mul(exact, exact));
  if (!areNearAndFit(exact, spread)) return false;
  const rounded = f32x4.demote_f64x2_zero(spread);
  if (means != 0) v128.store64_lane(means, f32x4.demote_f64x2_zero(exact), 0);
  v128.store64_lane(spreads, rounded, 0);
  const root = f64x2.sqrt(f64x2.add(f64x2.promote_low_f32x4(rounded), f64x2.splat(epsilon)));
  const rstd = f64x2.div(f64x2.splat(1), root);
  rstds = f32x4.demote_f64x2_zero(rstd);
  shifts = f32x4.demote_f64x2_zero(ASC_FEATURE_RELAXED_SIMD ? f64x2.neg(f64x2.mul(exact, rstd)) : exact);
  return true;
}
