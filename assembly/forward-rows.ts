/**
 * Rows of features with parameters per feature (layer and RMS normalization), forward.
 *
 * A row is written while the next one is read for its statistics (the sums of moments.ts), in one loop, so that memory and
 * arithmetic overlap; one row at a time, since hardware prefetches one sequence of reads best. Narrow rows, where the overhead
 * per row would exceed the row's own work, are taken by fours, still in order; rows so wide that gamma and beta do not stay in
 * cache beside them, by twos.
 */
import { beta, epsilon, gamma, mean, residual, sum, variance, x, y } from "./call";
import { normalizeElements } from "./elements";
import { momentsFromSums, segmentM2, segmentMean, segmentMoments } from "./moments";
import { addRun, affine, normalizeVector } from "./forward-runs";
import { demotePairs, foldPairs, highLanes, laneSum, lowLanes, madd, nearHat, nearHatOf, nearShift, rotateLanes, splatLane, zero } from "./simd";
import { areNear, areResolved, asStored, isNear, fitsFloat32, rootFits, rootOf, rstdOfPair } from "./precision";
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
  const loops = beta == 0 || (gamma != 0 && mean != 0);
  // there are loops for gamma and beta, for gamma alone and for neither
  if (r2 <= NARROW && loops) {
    row += to - from & -4;
    narrowRows(from, row);
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

// Of four narrow rows, a lane for each: the coefficients of xHat = (x − high)·rstd + shift.
let rstds: v128 = i64x2.splat(0);
let shifts: v128 = i64x2.splat(0);
let highs: v128 = i64x2.splat(0);

/** Four rows are written after the sums of the next four, so that their roots and quotients do not hold up the reads. */
function narrowRows(from: i32, to: i32): void {
  let measured = from;
  for (let row = from; row < to; row += 4) {
    const r = rstds, t = shifts, h = highs;
    const suffices = mean == 0 ? measureFour(row, false) : measureFour(row, true);
    if (measured < row) writeFour(measured, r, t, h);
    measured = row;
    if (suffices) continue;
    wideRows(row, row + 4);
    measured = row + 4;
  }
  if (measured < to) writeFour(measured, rstds, shifts, highs);
}

function writeFour(row: i32, r: v128, t: v128, h: v128): void {
  const at = <usize>row * <usize>r2 << 2;
  const from = (residual == 0 ? x : sum) + at, into = y + at;
  if (mean == 0) {
    if (gamma == 0) writeFourRows(from, into, r, t, h, false, false, false);
    else writeFourRows(from, into, r, t, h, true, false, false);
  } else if (gamma == 0) {
    writeFourRows(from, into, r, t, h, false, false, true);
  } else if (beta == 0) {
    writeFourRows(from, into, r, t, h, true, false, true);
  } else {
    writeFourRows(from, into, r, t, h, true, true, true);
  }
}

/**
 * Statistics of four rows from `row` on, summed about the mean of each row's first values; where that is far from the row's,
 * about the row's. False where float32 is not enough. `centered` is constant at each call site.
 */
// @ts-ignore: decorator
@inline
function measureFour(row: i32, centered: bool): bool {
  const statistic = <usize>row << 2;
  const bytes = <usize>r2 << 2;
  const at = statistic * <usize>r2;
  if (residual != 0) addRun(x + at, residual + at, sum + at, r2 << 2);
  const from = (residual == 0 ? x : sum) + at;
  const share = f64x2.splat(1.0 / <f64>r2);
  let about = centered ? firstMeans(from, bytes) : zero();
  let again = !centered;
  while (true) {
    sumFourRows(from, about, centered);
    const leftA = centered ? f64x2.mul(sumsA, share) : zero(), leftB = centered ? f64x2.mul(sumsB, share) : zero();
    let spreadsA = f64x2.mul(squaresA, share), spreadsB = f64x2.mul(squaresB, share);
    if (centered) {
      spreadsA = f64x2.sub(spreadsA, f64x2.mul(leftA, leftA)), spreadsB = f64x2.sub(spreadsB, f64x2.mul(leftB, leftB));
    }
    const meansA = centered ? f64x2.add(lowLanes(about), leftA) : leftA;
    const meansB = centered ? f64x2.add(highLanes(about), leftB) : leftB;
    const means = demotePairs(meansA, meansB);
    const near = areNear(leftA, spreadsA) && areNear(leftB, spreadsB);
    if (near && areResolved(meansA, spreadsA) && areResolved(meansB, spreadsB)) {
      const spreads = demotePairs(spreadsA, spreadsB);
      if (centered) v128.store(mean + statistic, means);
      v128.store(variance + statistic, spreads);
      const rstdA = rstdOfPair(lowLanes(spreads)), rstdB = rstdOfPair(highLanes(spreads));
      rstds = demotePairs(rstdA, rstdB);
      if (centered) {
        highs = means;
        shifts = demotePairs(
          f64x2.mul(f64x2.sub(lowLanes(means), meansA), rstdA), f64x2.mul(f64x2.sub(highLanes(means), meansB), rstdB),
        );
      }
      return true;
    }
    if (again) return false;
    again = true;
    about = means;
  }
  return false;
}

/** The means of the first values of four rows: eight, or four, or one. */
// @ts-ignore: decorator
@inline
function firstMeans(p: usize, bytes: usize): v128 {
  const p1 = p + bytes, p2 = p1 + bytes, p3 = p2 + bytes;
  if (bytes < 16) return meansOf(v128.load32_zero(p), v128.load32_zero(p1), v128.load32_zero(p2), v128.load32_zero(p3), 1);
  if (bytes < 32) return meansOf(v128.load(p), v128.load(p1), v128.load(p2), v128.load(p3), 0.25);
  return meansOf(firstEight(p), firstEight(p1), firstEight(p2), firstEight(p3), 0.125);
}

// @ts-ignore: decorator
@inline
function firstEight(p: usize): v128 {
  return f32x4.add(v128.load(p), v128.load(p, 16));
}

// @ts-ignore: decorator
@inline
function meansOf(a: v128, b: v128, c: v128, d: v128, share: f32): v128 {
  return f32x4.mul(demotePairs(foldPairs(a, b), foldPairs(c, d)), f32x4.splat(share));
}

// Σ d and Σ d² of four rows, float64×2 of the first two and of the others.
let sumsA: v128 = i64x2.splat(0);
let sumsB: v128 = i64x2.splat(0);
let squaresA: v128 = i64x2.splat(0);
let squaresB: v128 = i64x2.splat(0);

/**
 * Sums four rows: d = x − about, `about` having a lane for each row; not `centered`: d = x, and Σ d² alone.
 */
// @ts-ignore: decorator
@inline
function sumFourRows(p: usize, about: v128, centered: bool): void {
  const bytes = <usize>r2 << 2;
  let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  for (const stop = p + 4 * bytes; p < stop; ) {
    const center = splatLane(about, 0), end = p + bytes, fours = p + (bytes & -64);
    about = rotateLanes(about);
    s0 = s1, s1 = s2, s2 = s3, t0 = t1, t1 = t2, t2 = t3;
    let s = zero(), more = zero(), t = zero(), u = zero();
    for (; p < fours; p += 64) {
      const a = distance(v128.load(p), center, centered), b = distance(v128.load(p, 16), center, centered);
      const c = distance(v128.load(p, 32), center, centered), d = distance(v128.load(p, 48), center, centered);
      if (centered) s = f32x4.add(s, a), more = f32x4.add(more, b), s = f32x4.add(s, c), more = f32x4.add(more, d);
      t = madd(a, a, t), u = madd(b, b, u), t = madd(c, c, t), u = madd(d, d, u);
    }
    for (; p + 16 <= end; p += 16) {
      const a = distance(v128.load(p), center, centered);
      if (centered) s = f32x4.add(s, a);
      t = madd(a, a, t);
    }
    for (; p < end; p += 4) {
      const a = tailDistance(p, center, centered);
      if (centered) s = f32x4.add(s, a);
      t = madd(a, a, t);
    }
    s3 = f32x4.add(s, more), t3 = f32x4.add(t, u);
  }
  if (centered) sumsA = foldPairs(s0, s1), sumsB = foldPairs(s2, s3);
  squaresA = foldPairs(t0, t1), squaresB = foldPairs(t2, t3);
}

// @ts-ignore: decorator
@inline
function distance(x: v128, about: v128, centered: bool): v128 {
  return centered ? f32x4.sub(x, about) : x;
}

/** Of one value, in lane 0; the others stay 0. */
// @ts-ignore: decorator
@inline
function tailDistance(p: usize, about: v128, centered: bool): v128 {
  if (!centered) return v128.load32_zero(p);
  return f32x4.replace_lane(zero(), 0, f32.load(p) - f32x4.extract_lane(about, 0));
}

/**
 * Writes four rows; `rstds`, `shifts` and `highs` have a lane for each; not `centered`: xHat = x·rstd. The last three are
 * constant at each call site.
 */
// @ts-ignore: decorator
@inline
function writeFourRows(
  p: usize, q: usize, rstds: v128, shifts: v128, highs: v128, scale: bool, offset: bool, centered: bool,
): void {
  const bytes = <usize>r2 << 2;
  const fours = bytes & -64, vectors = bytes & -16;
  const factors = gamma, terms = beta;
  for (const stop = p + 4 * bytes; p < stop; p += bytes, q += bytes) {
    const r = splatLane(rstds, 0), t = splatLane(shifts, 0), high = splatLane(highs, 0);
    rstds = rotateLanes(rstds), shifts = rotateLanes(shifts), highs = rotateLanes(highs);
    let i: usize = 0;
    for (; i < fours; i += 64) {
      const from = p + i, into = q + i, g = factors + i, b = terms + i;
      let u = hatOf(v128.load(from), r, t, high, centered);
      v128.store(into, affine(u, scale ? v128.load(g) : r, offset ? v128.load(b) : r, scale, offset));
      u = hatOf(v128.load(from, 16), r, t, high, centered);
      v128.store(into, affine(u, scale ? v128.load(g, 16) : r, offset ? v128.load(b, 16) : r, scale, offset), 16);
      u = hatOf(v128.load(from, 32), r, t, high, centered);
      v128.store(into, affine(u, scale ? v128.load(g, 32) : r, offset ? v128.load(b, 32) : r, scale, offset), 32);
      u = hatOf(v128.load(from, 48), r, t, high, centered);
      v128.store(into, affine(u, scale ? v128.load(g, 48) : r, offset ? v128.load(b, 48) : r, scale, offset), 48);
    }
    for (; i < vectors; i += 16) {
      const u = hatOf(v128.load(p + i), r, t, high, centered);
      v128.store(q + i, affine(u, scale ? v128.load(factors + i) : r, offset ? v128.load(terms + i) : r, scale, offset));
    }
    for (; i < bytes; i += 4) {
      const g = scale ? v128.load32_zero(factors + i) : r, b = offset ? v128.load32_zero(terms + i) : r;
      v128.store32_lane(q + i, affine(hatOf(v128.load32_zero(p + i), r, t, high, centered), g, b, scale, offset), 0);
    }
  }
}

// @ts-ignore: decorator
@inline
function hatOf(x: v128, rstd: v128, shift: v128, high: v128, centered: bool): v128 {
  return centered ? madd(f32x4.sub(x, high), rstd, shift) : f32x4.mul(x, rstd);
}
