/**
 * Rows of features with a gamma per feature (layer and RMS normalization), backward.
 *
 * Row by row, since hardware prefetches one sequence of reads best. For rows so wide that they evict the parameters' arrays from
 * the first-level cache, dx is written for two rows at once, which halves the reloads. Narrow rows, where the overhead per row
 * would exceed the row's own work, are taken by fours, still in order.
 */
import { dxVector, sumDy, sumDyX, vectorSums } from "./backward-runs";
import { dSum, dx, dy, epsilon, gamma, mean, variance, x } from "./call";
import { sumElements, sumOfG, sumOfGX, writeElements } from "./elements";
import { segmentInDoubles, segmentM2, segmentMean, sumAbout } from "./moments";
import { keepShort, partialBeta, partialGamma } from "./parameters";
import { demotePairs, foldPairs, highLanes, laneSum, load, lowLanes, madd, nearHat, rotateLanes, splatLane, zero } from "./simd";
import { fourSuffice, isFar, isNear, fitsFloat32, meanAt, rootOf, rstdOfPair, varianceAt } from "./precision";
import { r2 } from "./views";

/** Rows up to this length are taken four at a time; one float32 sum per lane is then short enough. */
const NARROW = 128;
/** Elements of a wide row that are summed in float32 before float64: 8 lanes of 64. */
const CHUNK = 512;
/** Longer rows evict the parameters' arrays from the first-level cache: two at once halve the reloads. */
const OVERFLOWS = 1700;

/** Rows from `from` to before `to`. */
export function backwardRows(from: i32, to: i32): void {
  let row = from;
  if (r2 <= NARROW) {
    if (dSum == 0) for (; row + 4 <= to; row += 4) fourRows(row, false);
    else for (; row + 4 <= to; row += 4) fourRows(row, true);
  } else if (r2 > OVERFLOWS) {
    for (; row + 2 <= to; row += 2) twoRows(row);
  }
  for (; row < to; row++) oneRow(row);
}

function oneRow(row: i32): void {
  const at = <usize>row * <usize>r2 << 2;
  const spread = varianceAt(row);
  if (!fitsFloat32(spread)) {
    rowByElement(row);
    return;
  }
  let m = meanAt(row);
  const near = isNear(m, spread);
  if (isFar(m, spread)) m += sumAbout(x + at, r2, <f32>m) / <f64>r2;
  const rstd = 1.0 / rootOf(spread);
  keepShort(1);
  vectorSums(dy + at, x + at, r2, m, rstd, near, gamma, partialGamma, partialBeta);
  const share = rstd / <f64>r2;
  const slope = rstd * share * sumDyX;
  const level = mean == 0 ? 0 : share * sumDy;
  dxVector(dy + at, x + at, dx + at, r2, m, <f32>rstd, slope, level, near, gamma, dSum == 0 ? 0 : dSum + at);
}

/** A row whose variance float32 does not represent. */
function rowByElement(row: i32): void {
  const count = <f64>r2;
  segmentInDoubles(x + (<usize>row * <usize>r2 << 2), r2, mean != 0);
  const m = segmentMean, root = rootOf(segmentM2 / count);
  sumElements(row * r2, r2, m, root);
  writeElements(row * r2, r2, m, root, mean == 0 ? 0 : sumOfG / count, sumOfGX / count);
}

// Coefficients of dx = g·rstd + xHat·slope + level for two rows, float32 in lanes 0 and 1.
let rstds: v128 = i64x2.splat(0);
let slopes: v128 = i64x2.splat(0);
let levels: v128 = i64x2.splat(0);

/** From Σ g and Σ g·(x − mean) of two rows, float64×2. */
// @ts-ignore: decorator
@inline
function twoCoefficients(statistic: usize, sums: v128, sumsX: v128): void {
  const spread = f64x2.promote_low_f32x4(v128.load64_zero(variance + statistic));
  const rstd = f64x2.div(f64x2.splat(1), f64x2.sqrt(f64x2.add(spread, f64x2.splat(epsilon))));
  const share = f64x2.mul(rstd, f64x2.splat(-1.0 / <f64>r2));
  rstds = f32x4.demote_f64x2_zero(rstd);
  slopes = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.mul(sumsX, rstd), share));
  levels = mean == 0 ? zero() : f32x4.demote_f64x2_zero(f64x2.mul(sums, share));
}

// Σ g and Σ g·(x − mean) of the row that was summed last.
let sumG: f64 = 0;
let sumGX: f64 = 0;

function twoRows(row: i32): void {
  if (!storedSuffices(row) || !storedSuffices(row + 1)) {
    oneRow(row);
    oneRow(row + 1);
    return;
  }
  const statistic = <usize>row << 2;
  const near = sumRow(row);
  const first = sumG, firstX = sumGX;
  const bothNear = sumRow(row + 1) && near;
  keepShort(2);
  twoCoefficients(statistic, f64x2.replace_lane(f64x2.splat(first), 1, sumG), f64x2.replace_lane(f64x2.splat(firstX), 1, sumGX));
  writeTwo(row, bothNear);
}

/** Whether the stored statistics of a row suffice: its variance fits float32, and its mean is not far from 0. */
function storedSuffices(row: i32): bool {
  return fitsFloat32(varianceAt(row)) && !isFar(meanAt(row), varianceAt(row));
}

/** Sums a row; returns whether its mean is near 0. */
function sumRow(row: i32): bool {
  const at = <usize>row * <usize>r2 << 2;
  const m = meanAt(row);
  const near = isNear(m, varianceAt(row));
  if (near) sumRowFrom(at, <f32>m, true);
  else sumRowFrom(at, <f32>m, false);
  return near;
}

/** `near` is constant at each call site: Σ g·x is as exact as Σ g·(x − mean). */
// @ts-ignore: decorator
@inline
function sumRowFrom(at: usize, about: f32, near: bool): void {
  const upstream = dy + at, from = x + at, factors = gamma;
  const bytes = <usize>r2 << 2;
  const m = f32x4.splat(about);
  let total: f64 = 0;
  let totalX: f64 = 0;
  let i: usize = 0;
  while (i < bytes) {
    const end = min(i + (CHUNK << 2), bytes);
    let s0 = zero(), s1 = zero(), t0 = zero(), t1 = zero();
    for (; i + 128 <= end; i += 128) {
      const u = upstream + i, p = from + i, f = factors + i;
      const g0 = f32x4.mul(v128.load(u), v128.load(f));
      s0 = f32x4.add(s0, g0);
      t0 = madd(g0, near ? v128.load(p) : f32x4.sub(v128.load(p), m), t0);
      const g1 = f32x4.mul(v128.load(u, 16), v128.load(f, 16));
      s1 = f32x4.add(s1, g1);
      t1 = madd(g1, near ? v128.load(p, 16) : f32x4.sub(v128.load(p, 16), m), t1);
      const g2 = f32x4.mul(v128.load(u, 32), v128.load(f, 32));
      s0 = f32x4.add(s0, g2);
      t0 = madd(g2, near ? v128.load(p, 32) : f32x4.sub(v128.load(p, 32), m), t0);
      const g3 = f32x4.mul(v128.load(u, 48), v128.load(f, 48));
      s1 = f32x4.add(s1, g3);
      t1 = madd(g3, near ? v128.load(p, 48) : f32x4.sub(v128.load(p, 48), m), t1);
      const g4 = f32x4.mul(v128.load(u, 64), v128.load(f, 64));
      s0 = f32x4.add(s0, g4);
      t0 = madd(g4, near ? v128.load(p, 64) : f32x4.sub(v128.load(p, 64), m), t0);
      const g5 = f32x4.mul(v128.load(u, 80), v128.load(f, 80));
      s1 = f32x4.add(s1, g5);
      t1 = madd(g5, near ? v128.load(p, 80) : f32x4.sub(v128.load(p, 80), m), t1);
      const g6 = f32x4.mul(v128.load(u, 96), v128.load(f, 96));
      s0 = f32x4.add(s0, g6);
      t0 = madd(g6, near ? v128.load(p, 96) : f32x4.sub(v128.load(p, 96), m), t0);
      const g7 = f32x4.mul(v128.load(u, 112), v128.load(f, 112));
      s1 = f32x4.add(s1, g7);
      t1 = madd(g7, near ? v128.load(p, 112) : f32x4.sub(v128.load(p, 112), m), t1);
    }
    for (; i < end; i += 4) {
      const g = <f64>f32.load(upstream + i) * <f64>f32.load(factors + i);
      total += g;
      totalX += g * (near ? <f64>f32.load(from + i) : <f64>f32.load(from + i) - <f64>about);
    }
    total += laneSum(f32x4.add(s0, s1));
    totalX += laneSum(f32x4.add(t0, t1));
  }
  sumG = total;
  sumGX = near ? totalX - <f64>about * total : totalX;
}

/**
 * Four narrow rows are summed one after the other, then written in the same way: their coefficients are made at once. `adds` is
 * constant at each call site: whether there is a dSum.
 */
// @ts-ignore: decorator
@inline
function fourRows(row: i32, adds: bool): void {
  const bytes = <usize>r2 << 2;
  const fours = bytes & -64, vectors = bytes & -16;
  const statistic = <usize>row << 2;
  const at = statistic * <usize>r2;
  const means = mean == 0 ? zero() : load(mean + statistic);
  const spreads = load(variance + statistic);
  if (!fourSuffice(means, spreads)) {
    for (let i = row; i < row + 4; i++) oneRow(i);
    return;
  }
  const factors = gamma, toGamma = partialGamma, toBeta = partialBeta;
  const rstdA = rstdOfPair(lowLanes(spreads)), rstdB = rstdOfPair(highLanes(spreads));
  const rstds = demotePairs(rstdA, rstdB);
  keepShort(4);
  let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  let ms = means, rs = rstds;
  const end = at + 4 * bytes;
  for (let row = at; row < end; row += bytes) {
    const p = x + row, u = dy + row, m = splatLane(ms, 0), r = splatLane(rs, 0);
    ms = rotateLanes(ms), rs = rotateLanes(rs);
    s0 = s1, s1 = s2, s2 = s3, t0 = t1, t1 = t2, t2 = t3;
    s3 = zero(), t3 = zero();
    let i: usize = 0;
    for (; i < fours; i += 64) {
      const q = p + i, v = u + i, f = factors + i, pb = toBeta + i, pg = toGamma + i;
      const u0 = v128.load(v), h0 = f32x4.mul(f32x4.sub(v128.load(q), m), r), g0 = f32x4.mul(u0, v128.load(f));
      s3 = f32x4.add(s3, g0), t3 = madd(g0, h0, t3);
      v128.store(pb, f32x4.add(v128.load(pb), u0));
      v128.store(pg, madd(u0, h0, v128.load(pg)));
      const u1 = v128.load(v, 16), h1 = f32x4.mul(f32x4.sub(v128.load(q, 16), m), r), g1 = f32x4.mul(u1, v128.load(f, 16));
      s3 = f32x4.add(s3, g1), t3 = madd(g1, h1, t3);
      v128.store(pb, f32x4.add(v128.load(pb, 16), u1), 16);
      v128.store(pg, madd(u1, h1, v128.load(pg, 16)), 16);
      const u2 = v128.load(v, 32), h2 = f32x4.mul(f32x4.sub(v128.load(q, 32), m), r), g2 = f32x4.mul(u2, v128.load(f, 32));
      s3 = f32x4.add(s3, g2), t3 = madd(g2, h2, t3);
      v128.store(pb, f32x4.add(v128.load(pb, 32), u2), 32);
      v128.store(pg, madd(u2, h2, v128.load(pg, 32)), 32);
      const u3 = v128.load(v, 48), h3 = f32x4.mul(f32x4.sub(v128.load(q, 48), m), r), g3 = f32x4.mul(u3, v128.load(f, 48));
      s3 = f32x4.add(s3, g3), t3 = madd(g3, h3, t3);
      v128.store(pb, f32x4.add(v128.load(pb, 48), u3), 48);
      v128.store(pg, madd(u3, h3, v128.load(pg, 48)), 48);
    }
    for (; i < vectors; i += 16) {
      const u0 = load(u + i), h0 = f32x4.mul(f32x4.sub(load(p + i), m), r), g0 = f32x4.mul(u0, load(factors + i));
      s3 = f32x4.add(s3, g0), t3 = madd(g0, h0, t3);
      v128.store(toBeta + i, f32x4.add(load(toBeta + i), u0));
      v128.store(toGamma + i, madd(u0, h0, load(toGamma + i)));
    }
    for (; i < bytes; i += 4) {
      const u0 = v128.load32_zero(u + i), h0 = f32x4.mul(f32x4.sub(v128.load32_zero(p + i), m), r);
      const g0 = f32x4.mul(u0, v128.load32_zero(factors + i));
      s3 = f32x4.add(s3, g0), t3 = madd(g0, h0, t3);
      v128.store32_lane(toBeta + i, f32x4.add(v128.load32_zero(toBeta + i), u0), 0);
      v128.store32_lane(toGamma + i, madd(u0, h0, v128.load32_zero(toGamma + i)), 0);
    }
  }
  // dx = g·rstd + (x − mean)·slope + level
  const share = f64x2.splat(-1.0 / <f64>r2);
  const shareA = f64x2.mul(rstdA, share), shareB = f64x2.mul(rstdB, share);
  let slopes = demotePairs(
    f64x2.mul(f64x2.mul(foldPairs(t0, t1), rstdA), shareA), f64x2.mul(f64x2.mul(foldPairs(t2, t3), rstdB), shareB),
  );
  let levels = mean == 0 ? zero() : demotePairs(f64x2.mul(foldPairs(s0, s1), shareA), f64x2.mul(foldPairs(s2, s3), shareB));
  ms = means, rs = rstds;
  for (let row = at; row < end; row += bytes) {
    const p = x + row, u = dy + row, to = dx + row, more = dSum + row;
    const m = splatLane(ms, 0), r = splatLane(rs, 0), a = splatLane(slopes, 0), l = splatLane(levels, 0);
    ms = rotateLanes(ms), rs = rotateLanes(rs), slopes = rotateLanes(slopes), levels = rotateLanes(levels);
    let i: usize = 0;
    for (; i < fours; i += 64) {
      const q = p + i, v = u + i, f = factors + i, into = to + i, from = more + i;
      const y0 = madd(f32x4.mul(v128.load(v), v128.load(f)), r, madd(f32x4.sub(v128.load(q), m), a, l));
      v128.store(into, adds ? f32x4.add(y0, v128.load(from)) : y0);
      const y1 = madd(f32x4.mul(v128.load(v, 16), v128.load(f, 16)), r, madd(f32x4.sub(v128.load(q, 16), m), a, l));
      v128.store(into, adds ? f32x4.add(y1, v128.load(from, 16)) : y1, 16);
      const y2 = madd(f32x4.mul(v128.load(v, 32), v128.load(f, 32)), r, madd(f32x4.sub(v128.load(q, 32), m), a, l));
      v128.store(into, adds ? f32x4.add(y2, v128.load(from, 32)) : y2, 32);
      const y3 = madd(f32x4.mul(v128.load(v, 48), v128.load(f, 48)), r, madd(f32x4.sub(v128.load(q, 48), m), a, l));
      v128.store(into, adds ? f32x4.add(y3, v128.load(from, 48)) : y3, 48);
    }
    for (; i < vectors; i += 16) {
      const y = madd(f32x4.mul(load(u + i), load(factors + i)), r, madd(f32x4.sub(load(p + i), m), a, l));
      v128.store(to + i, adds ? f32x4.add(y, load(more + i)) : y);
    }
    for (; i < bytes; i += 4) {
      const g = f32x4.mul(v128.load32_zero(u + i), v128.load32_zero(factors + i));
      const y = madd(g, r, madd(f32x4.sub(v128.load32_zero(p + i), m), a, l));
      v128.store32_lane(to + i, adds ? f32x4.add(y, v128.load32_zero(more + i)) : y, 0);
    }
  }
}

/** dx of two rows, and their contributions to the parameters' gradients. */
function writeTwo(row: i32, near: bool): void {
  if (near) {
    if (dSum == 0) writeTwoRows(row, true, false);
    else writeTwoRows(row, true, true);
  } else if (dSum == 0) {
    writeTwoRows(row, false, false);
  } else {
    writeTwoRows(row, false, true);
  }
}

/** `near` and `adds` (whether there is a dSum) are constant at each call site. */
// @ts-ignore: decorator
@inline
function writeTwoRows(row: i32, near: bool, adds: bool): void {
  const bytes = <usize>r2 << 2;
  const fours = bytes & -64;
  const statistic = <usize>row << 2;
  const at = statistic * <usize>r2;
  const x0 = x + at, x1 = x0 + bytes, dy0 = dy + at, dy1 = dy0 + bytes, dx0 = dx + at, dx1 = dx0 + bytes;
  const sum0 = dSum + at, sum1 = sum0 + bytes;
  const factors = gamma, toGamma = partialGamma, toBeta = partialBeta;
  const means = mean == 0 ? zero() : v128.load64_zero(mean + statistic);
  const shifts = near ? f32x4.neg(f32x4.mul(means, rstds)) : means;
  const r0 = splatLane(rstds, 0), c0 = splatLane(shifts, 0), a0 = splatLane(slopes, 0), l0 = splatLane(levels, 0);
  const r1 = splatLane(rstds, 1), c1 = splatLane(shifts, 1), a1 = splatLane(slopes, 1), l1 = splatLane(levels, 1);
  let i: usize = 0;
  for (; i < fours; i += 64) {
    const p = x0 + i, q = x1 + i, pu = dy0 + i, pv = dy1 + i, to0 = dx0 + i, to1 = dx1 + i;
    const more0 = sum0 + i, more1 = sum1 + i, pf = factors + i, pb = toBeta + i, pg = toGamma + i;
    const f0 = v128.load(pf), u0 = v128.load(pu), v0 = v128.load(pv);
    const h0 = near ? nearHat(v128.load(p), r0, c0) : f32x4.mul(f32x4.sub(v128.load(p), c0), r0);
    const k0 = near ? nearHat(v128.load(q), r1, c1) : f32x4.mul(f32x4.sub(v128.load(q), c1), r1);
    const y0 = madd(f32x4.mul(u0, f0), r0, madd(h0, a0, l0)), z0 = madd(f32x4.mul(v0, f0), r1, madd(k0, a1, l1));
    v128.store(to0, adds ? f32x4.add(y0, v128.load(more0)) : y0);
    v128.store(to1, adds ? f32x4.add(z0, v128.load(more1)) : z0);
    v128.store(pb, f32x4.add(v128.load(pb), f32x4.add(u0, v0)));
    v128.store(pg, madd(u0, h0, madd(v0, k0, v128.load(pg))));
    const f1 = v128.load(pf, 16), u1 = v128.load(pu, 16), v1 = v128.load(pv, 16);
    const h1 = near ? nearHat(v128.load(p, 16), r0, c0) : f32x4.mul(f32x4.sub(v128.load(p, 16), c0), r0);
    const k1 = near ? nearHat(v128.load(q, 16), r1, c1) : f32x4.mul(f32x4.sub(v128.load(q, 16), c1), r1);
    const y1 = madd(f32x4.mul(u1, f1), r0, madd(h1, a0, l0)), z1 = madd(f32x4.mul(v1, f1), r1, madd(k1, a1, l1));
    v128.store(to0, adds ? f32x4.add(y1, v128.load(more0, 16)) : y1, 16);
    v128.store(to1, adds ? f32x4.add(z1, v128.load(more1, 16)) : z1, 16);
    v128.store(pb, f32x4.add(v128.load(pb, 16), f32x4.add(u1, v1)), 16);
    v128.store(pg, madd(u1, h1, madd(v1, k1, v128.load(pg, 16))), 16);
    const f2 = v128.load(pf, 32), u2 = v128.load(pu, 32), v2 = v128.load(pv, 32);
    const h2 = near ? nearHat(v128.load(p, 32), r0, c0) : f32x4.mul(f32x4.sub(v128.load(p, 32), c0), r0);
    const k2 = near ? nearHat(v128.load(q, 32), r1, c1) : f32x4.mul(f32x4.sub(v128.load(q, 32), c1), r1);
    const y2 = madd(f32x4.mul(u2, f2), r0, madd(h2, a0, l0)), z2 = madd(f32x4.mul(v2, f2), r1, madd(k2, a1, l1));
    v128.store(to0, adds ? f32x4.add(y2, v128.load(more0, 32)) : y2, 32);
    v128.store(to1, adds ? f32x4.add(z2, v128.load(more1, 32)) : z2, 32);
    v128.store(pb, f32x4.add(v128.load(pb, 32), f32x4.add(u2, v2)), 32);
    v128.store(pg, madd(u2, h2, madd(v2, k2, v128.load(pg, 32))), 32);
    const f3 = v128.load(pf, 48), u3 = v128.load(pu, 48), v3 = v128.load(pv, 48);
    const h3 = near ? nearHat(v128.load(p, 48), r0, c0) : f32x4.mul(f32x4.sub(v128.load(p, 48), c0), r0);
    const k3 = near ? nearHat(v128.load(q, 48), r1, c1) : f32x4.mul(f32x4.sub(v128.load(q, 48), c1), r1);
    const y3 = madd(f32x4.mul(u3, f3), r0, madd(h3, a0, l0)), z3 = madd(f32x4.mul(v3, f3), r1, madd(k3, a1, l1));
    v128.store(to0, adds ? f32x4.add(y3, v128.load(more0, 48)) : y3, 48);
    v128.store(to1, adds ? f32x4.add(z3, v128.load(more1, 48)) : z3, 48);
    v128.store(pb, f32x4.add(v128.load(pb, 48), f32x4.add(u3, v3)), 48);
    v128.store(pg, madd(u3, h3, madd(v3, k3, v128.load(pg, 48))), 48);
  }
  for (; i < bytes; i += 4) {
    const f = v128.load32_zero(factors + i), u = v128.load32_zero(dy0 + i), v = v128.load32_zero(dy1 + i);
    const p = v128.load32_zero(x0 + i), q = v128.load32_zero(x1 + i);
    const h = near ? nearHat(p, r0, c0) : f32x4.mul(f32x4.sub(p, c0), r0), k = near ? nearHat(q, r1, c1) : f32x4.mul(f32x4.sub(q, c1), r1);
    let y = madd(f32x4.mul(u, f), r0, madd(h, a0, l0)), z = madd(f32x4.mul(v, f), r1, madd(k, a1, l1));
    if (adds) y = f32x4.add(y, v128.load32_zero(sum0 + i)), z = f32x4.add(z, v128.load32_zero(sum1 + i));
    v128.store32_lane(dx0 + i, y, 0);
    v128.store32_lane(dx1 + i, z, 0);
    v128.store32_lane(toBeta + i, f32x4.add(v128.load32_zero(toBeta + i), f32x4.add(u, v)), 0);
    v128.store32_lane(toGamma + i, madd(u, h, madd(v, k, v128.load32_zero(toGamma + i))), 0);
  }
}
