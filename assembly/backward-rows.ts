/**
 * Rows of features with a gamma per feature (layer and RMS normalization), backward. Narrow rows, where what is done once
 * per row would cost more than the row, are taken four at a time.
 */
import { dxVector, isMeanNear, sumDy, sumDyX, vectorSums } from "./backward-runs";
import { dSum, dx, dy, epsilon, gamma, mean, variance, x } from "./call";
import { addRun } from "./forward-runs";
import { keepShort, partialBeta, partialGamma } from "./parameters";
import { foldPairs, load, madd, splatLane, zero } from "./simd";
import { inverseRoot, r2 } from "./views";

/** Rows up to this are taken four at a time; one float32 sum per lane is then short enough. */
const NARROW = 256;

/** Rows `from` to `to`. */
export function backwardRows(from: i32, to: i32): void {
  let row = from;
  if (r2 <= NARROW) {
    for (; row + 4 <= to; row += 4) fourRows(row);
  }
  for (; row < to; row++) oneRow(row);
}

function oneRow(row: i32): void {
  const statistic = <usize>row << 2;
  const at = statistic * <usize>r2;
  const m = mean == 0 ? <f32>0 : f32.load(mean + statistic);
  const spread = f32.load(variance + statistic);
  const near = isMeanNear(m, spread);
  const rstd = inverseRoot(spread, epsilon);
  keepShort(1);
  vectorSums(dy + at, x + at, r2, m, <f32>rstd, near, gamma, partialGamma, partialBeta);
  const share = rstd / <f64>r2;
  const slope = <f32>(rstd * share * sumDyX);
  const level = mean == 0 ? <f32>0 : <f32>(share * sumDy);
  dxVector(dy + at, x + at, dx + at, r2, m, <f32>rstd, slope, level, near, gamma, dSum == 0 ? 0 : dSum + at);
}

function fourRows(row: i32): void {
  const bytes = <usize>r2 << 2;
  const vectors = bytes & -16;
  const at = <usize>row * bytes;
  const statistic = <usize>row << 2;
  const means = mean == 0 ? zero() : load(mean + statistic);
  const p0 = x + at, p1 = p0 + bytes, p2 = p1 + bytes, p3 = p2 + bytes;
  const u0 = dy + at, u1 = u0 + bytes, u2 = u1 + bytes, u3 = u2 + bytes;
  const factors = gamma;
  const m0 = splatLane(means, 0), m1 = splatLane(means, 1), m2 = splatLane(means, 2), m3 = splatLane(means, 3);
  // Σ g and Σ g·(x − mean)
  let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  let i: usize = 0;
  for (; i < vectors; i += 16) {
    const f = load(factors + i);
    const a = f32x4.mul(load(u0 + i), f), b = f32x4.mul(load(u1 + i), f);
    s0 = f32x4.add(s0, a), s1 = f32x4.add(s1, b);
    t0 = madd(a, f32x4.sub(load(p0 + i), m0), t0), t1 = madd(b, f32x4.sub(load(p1 + i), m1), t1);
    const c = f32x4.mul(load(u2 + i), f), d = f32x4.mul(load(u3 + i), f);
    s2 = f32x4.add(s2, c), s3 = f32x4.add(s3, d);
    t2 = madd(c, f32x4.sub(load(p2 + i), m2), t2), t3 = madd(d, f32x4.sub(load(p3 + i), m3), t3);
  }
  for (; i < bytes; i += 4) {
    const f = v128.load32_zero(factors + i);
    const a = f32x4.mul(v128.load32_zero(u0 + i), f), b = f32x4.mul(v128.load32_zero(u1 + i), f);
    s0 = f32x4.add(s0, a), s1 = f32x4.add(s1, b);
    t0 = madd(a, f32x4.sub(v128.load32_zero(p0 + i), m0), t0), t1 = madd(b, f32x4.sub(v128.load32_zero(p1 + i), m1), t1);
    const c = f32x4.mul(v128.load32_zero(u2 + i), f), d = f32x4.mul(v128.load32_zero(u3 + i), f);
    s2 = f32x4.add(s2, c), s3 = f32x4.add(s3, d);
    t2 = madd(c, f32x4.sub(v128.load32_zero(p2 + i), m2), t2), t3 = madd(d, f32x4.sub(v128.load32_zero(p3 + i), m3), t3);
  }
  keepShort(4);
  twoCoefficients(statistic, foldPairs(s0, s1), foldPairs(t0, t1));
  writeTwo(u0, u1, p0, p1, dx + at, m0, m1);
  twoCoefficients(statistic + 8, foldPairs(s2, s3), foldPairs(t2, t3));
  writeTwo(u2, u3, p2, p3, dx + at + 2 * bytes, m2, m3);
  if (dSum != 0) addRun(dx + at, dSum + at, dx + at, r2 << 2);
}

// Of two rows, float32 in lanes 0 and 1: rstd, −mean(g·xHat)·rstd, and −mean(g)·rstd.
let rstds: v128 = i64x2.splat(0);
let slopes: v128 = i64x2.splat(0);
let levels: v128 = i64x2.splat(0);

// @ts-ignore: decorator
@inline
function twoCoefficients(statistic: usize, sums: v128, sumsX: v128): void {
  const root = f64x2.add(f64x2.promote_low_f32x4(v128.load64_zero(variance + statistic)), f64x2.splat(epsilon));
  const rstd = f64x2.div(f64x2.splat(1), f64x2.sqrt(root));
  const share = f64x2.mul(rstd, f64x2.splat(-1.0 / <f64>r2));
  rstds = f32x4.demote_f64x2_zero(rstd);
  slopes = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.mul(sumsX, rstd), share));
  levels = mean == 0 ? zero() : f32x4.demote_f64x2_zero(f64x2.mul(sums, share));
}

/** dx of two rows, and what they add to the parameters' gradients. */
// @ts-ignore: decorator
@inline
function writeTwo(u0: usize, u1: usize, p0: usize, p1: usize, q0: usize, m0: v128, m1: v128): void {
  const bytes = <usize>r2 << 2;
  const vectors = bytes & -16;
  const q1 = q0 + bytes;
  const factors = gamma, toGamma = partialGamma, toBeta = partialBeta;
  const r0 = splatLane(rstds, 0), a0 = splatLane(slopes, 0), l0 = splatLane(levels, 0);
  const r1 = splatLane(rstds, 1), a1 = splatLane(slopes, 1), l1 = splatLane(levels, 1);
  let i: usize = 0;
  for (; i < vectors; i += 16) {
    const f = load(factors + i), u = load(u0 + i), v = load(u1 + i);
    const h = f32x4.mul(f32x4.sub(load(p0 + i), m0), r0), k = f32x4.mul(f32x4.sub(load(p1 + i), m1), r1);
    v128.store(toBeta + i, f32x4.add(load(toBeta + i), f32x4.add(u, v)));
    v128.store(toGamma + i, madd(u, h, madd(v, k, load(toGamma + i))));
    v128.store(q0 + i, madd(f32x4.mul(u, f), r0, madd(h, a0, l0)));
    v128.store(q1 + i, madd(f32x4.mul(v, f), r1, madd(k, a1, l1)));
  }
  for (; i < bytes; i += 4) {
    const f = v128.load32_zero(factors + i), u = v128.load32_zero(u0 + i), v = v128.load32_zero(u1 + i);
    const h = f32x4.mul(f32x4.sub(v128.load32_zero(p0 + i), m0), r0), k = f32x4.mul(f32x4.sub(v128.load32_zero(p1 + i), m1), r1);
    v128.store32_lane(toBeta + i, f32x4.add(v128.load32_zero(toBeta + i), f32x4.add(u, v)), 0);
    v128.store32_lane(toGamma + i, madd(u, h, madd(v, k, v128.load32_zero(toGamma + i))), 0);
    v128.store32_lane(q0 + i, madd(f32x4.mul(u, f), r0, madd(h, a0, l0)), 0);
    v128.store32_lane(q1 + i, madd(f32x4.mul(v, f), r1, madd(k, a1, l1)), 0);
  }
}
