/** The backward pass over a contiguous run of elements that share their statistics. */
import { masked } from "./masked";
import { laneSum, load, madd, nearHat, nearShift, zero } from "./simd";

/** Elements that are summed in float32 before float64. */
const CHUNK = 1024;

/** Results of the last loop: Σ dy and Σ dy·(x − mean), or Σ g and Σ g·xHat. */
export let sumDy: f64 = 0;
export let sumDyX: f64 = 0;

/** sumDy = Σ dy, sumDyX = Σ dy·(x − mean); `near`: the mean is near 0. */
export function runSums(dy: usize, x: usize, n: i32, mean: f64, near: bool): void {
  if (near) sumRun(dy, x, 0, n, mean, true, false);
  else sumRun(dy, x, 0, n, mean, false, false);
}

/** The same where the mask's `values`, of which there is one per element, are not 0. */
export function maskedRunSums(dy: usize, x: usize, values: usize, n: i32, mean: f64): void {
  sumRun(dy, x, values, n, mean, false, true);
}

/** `near` (Σ dy·x is as exact as Σ dy·(x − mean)) and `masks` are constant at each call site. */
// @ts-ignore: decorator
@inline
function sumRun(dy: usize, x: usize, values: usize, n: i32, mean: f64, near: bool, masks: bool): void {
  const high = <f32>mean;
  const m = f32x4.splat(high);
  let total: f64 = 0;
  let totalX: f64 = 0;
  const bytes = <usize>n << 2;
  let i: usize = 0;
  while (i < bytes) {
    const end = min(i + (CHUNK << 2), bytes);
    let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
    for (; i + 64 <= end; i += 64) {
      const p = dy + i, q = x + i;
      let u0 = v128.load(p), u1 = v128.load(p, 16), u2 = v128.load(p, 32), u3 = v128.load(p, 48);
      let d0 = near ? v128.load(q) : f32x4.sub(v128.load(q), m);
      let d1 = near ? v128.load(q, 16) : f32x4.sub(v128.load(q, 16), m);
      let d2 = near ? v128.load(q, 32) : f32x4.sub(v128.load(q, 32), m);
      let d3 = near ? v128.load(q, 48) : f32x4.sub(v128.load(q, 48), m);
      if (masks) {
        const v = values + i;
        const v0 = v128.load(v), v1 = v128.load(v, 16), v2 = v128.load(v, 32), v3 = v128.load(v, 48);
        u0 = masked(u0, v0), u1 = masked(u1, v1), u2 = masked(u2, v2), u3 = masked(u3, v3);
        d0 = masked(d0, v0), d1 = masked(d1, v1), d2 = masked(d2, v2), d3 = masked(d3, v3);
      }
      s0 = f32x4.add(s0, u0);
      s1 = f32x4.add(s1, u1);
      s2 = f32x4.add(s2, u2);
      s3 = f32x4.add(s3, u3);
      t0 = madd(u0, d0, t0);
      t1 = madd(u1, d1, t1);
      t2 = madd(u2, d2, t2);
      t3 = madd(u3, d3, t3);
    }
    for (; !masks && i + 16 <= end; i += 16) {
      const u = load(dy + i);
      s0 = f32x4.add(s0, u);
      t0 = madd(u, near ? load(x + i) : f32x4.sub(load(x + i), m), t0);
    }
    for (; i < end; i += 4) {
      if (masks && f32.load(values + i) == 0) continue;
      const u = <f64>f32.load(dy + i);
      total += u;
      totalX += u * (near ? <f64>f32.load(x + i) : <f64>f32.load(x + i) - <f64>high);
    }
    total += laneSum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
    totalX += laneSum(f32x4.add(f32x4.add(t0, t1), f32x4.add(t2, t3)));
  }
  sumDy = total;
  sumDyX = totalX - (near ? mean : mean - <f64>high) * total;
}

/**
 * sumDy = Σ g, sumDyX = Σ g·xHat, with g = dy·gamma; dy·xHat and dy are added to the partial sums of the parameters'
 * gradients. gamma: 0 where absent.
 */
export function vectorSums(
  dy: usize, x: usize, n: i32, mean: f64, rstd: f64, near: bool, gamma: usize, dGamma: usize, dBeta: usize,
): void {
  if (gamma == 0) sumVector(dy, x, n, mean, rstd, 0, dGamma, dBeta, false, false);
  else if (near) sumVector(dy, x, n, mean, rstd, gamma, dGamma, dBeta, true, true);
  else sumVector(dy, x, n, mean, rstd, gamma, dGamma, dBeta, false, true);
}

/** `near` and `scale` (whether there is a gamma) are constant at each call site. */
// @ts-ignore: decorator
@inline
function sumVector(
  dy: usize, x: usize, n: i32, mean: f64, rstd: f64, gamma: usize, dGamma: usize, dBeta: usize, near: bool, scale: bool,
): void {
  // the mean in two parts: x − high is exact where the mean is far from 0
  const high = <f32>mean;
  const low = <f32>((mean - <f64>high) * rstd);
  const m = f32x4.splat(high);
  const r = f32x4.splat(<f32>rstd);
  const t = f32x4.splat(near ? nearShift(mean, rstd) : -low);
  let total: f64 = 0;
  let totalX: f64 = 0;
  let i: usize = 0;
  const bytes = <usize>n << 2;
  while (i < bytes) {
    const end = min(i + (CHUNK << 2), bytes);
    let s0 = zero(), s1 = zero(), t0 = zero(), t1 = zero();
    // one address of each array serves four vectors
    for (; i + 64 <= end; i += 64) {
      const p = dy + i, q = x + i, toBeta = dBeta + i, toGamma = dGamma + i, factors = gamma + i;
      const u0 = v128.load(p);
      const g0 = scale ? f32x4.mul(u0, v128.load(factors)) : u0;
      const h0 = near ? nearHat(v128.load(q), r, t) : madd(f32x4.sub(v128.load(q), m), r, t);
      v128.store(toBeta, f32x4.add(v128.load(toBeta), u0));
      v128.store(toGamma, madd(u0, h0, v128.load(toGamma)));
      s0 = f32x4.add(s0, g0);
      t0 = madd(g0, h0, t0);
      const u1 = v128.load(p, 16);
      const g1 = scale ? f32x4.mul(u1, v128.load(factors, 16)) : u1;
      const h1 = near ? nearHat(v128.load(q, 16), r, t) : madd(f32x4.sub(v128.load(q, 16), m), r, t);
      v128.store(toBeta, f32x4.add(v128.load(toBeta, 16), u1), 16);
      v128.store(toGamma, madd(u1, h1, v128.load(toGamma, 16)), 16);
      s1 = f32x4.add(s1, g1);
      t1 = madd(g1, h1, t1);
      const u2 = v128.load(p, 32);
      const g2 = scale ? f32x4.mul(u2, v128.load(factors, 32)) : u2;
      const h2 = near ? nearHat(v128.load(q, 32), r, t) : madd(f32x4.sub(v128.load(q, 32), m), r, t);
      v128.store(toBeta, f32x4.add(v128.load(toBeta, 32), u2), 32);
      v128.store(toGamma, madd(u2, h2, v128.load(toGamma, 32)), 32);
      s0 = f32x4.add(s0, g2);
      t0 = madd(g2, h2, t0);
      const u3 = v128.load(p, 48);
      const g3 = scale ? f32x4.mul(u3, v128.load(factors, 48)) : u3;
      const h3 = near ? nearHat(v128.load(q, 48), r, t) : madd(f32x4.sub(v128.load(q, 48), m), r, t);
      v128.store(toBeta, f32x4.add(v128.load(toBeta, 48), u3), 48);
      v128.store(toGamma, madd(u3, h3, v128.load(toGamma, 48)), 48);
      s1 = f32x4.add(s1, g3);
      t1 = madd(g3, h3, t1);
    }
    for (; i < end; i += 4) {
      const u = f32.load(dy + i);
      const w = u * ((f32.load(x + i) - high) * <f32>rstd - low);
      f32.store(dBeta + i, f32.load(dBeta + i) + u);
      f32.store(dGamma + i, f32.load(dGamma + i) + w);
      const g = scale ? <f64>f32.load(gamma + i) : 1;
      total += <f64>u * g;
      totalX += <f64>w * g;
    }
    total += laneSum(f32x4.add(s0, s1));
    totalX += laneSum(f32x4.add(t0, t1));
  }
  sumDy = total;
  sumDyX = totalX;
}

/** dx = dy·scale − (x − mean)·slope − level + dSum; dSum: 0 where absent */
export function dxRun(
  dy: usize, x: usize, dx: usize, n: i32, mean: f64, scale: f32, slope: f64, level: f64, near: bool, dSum: usize,
): void {
  if (dSum != 0) writeVector(dy, x, dx, n, mean, scale, slope, level, 0, dSum, false, false, true);
  else if (slope == 0 && level == 0) scaleRun(dy, dx, n, scale);
  else if (near) writeVector(dy, x, dx, n, mean, scale, slope, level, 0, 0, true, false, false);
  else writeVector(dy, x, dx, n, mean, scale, slope, level, 0, 0, false, false, false);
}

/** dx = dy·scale, where the statistics were given */
function scaleRun(dy: usize, dx: usize, n: i32, scale: f32): void {
  const s = f32x4.splat(scale);
  const bytes = <usize>n << 2;
  let i: usize = 0;
  for (; i + 64 <= bytes; i += 64) {
    const u = dy + i, to = dx + i;
    v128.store(to, f32x4.mul(v128.load(u), s));
    v128.store(to, f32x4.mul(v128.load(u, 16), s), 16);
    v128.store(to, f32x4.mul(v128.load(u, 32), s), 32);
    v128.store(to, f32x4.mul(v128.load(u, 48), s), 48);
  }
  for (; i < bytes; i += 4) f32.store(dx + i, f32.load(dy + i) * scale);
}

/** dx = dy·gamma·rstd − (x − mean)·slope − level + dSum, gamma per element; dSum: 0 where absent */
export function dxVector(
  dy: usize, x: usize, dx: usize, n: i32, mean: f64, rstd: f32, slope: f64, level: f64, near: bool, gamma: usize, dSum: usize,
): void {
  if (near) {
    if (dSum == 0) writeVector(dy, x, dx, n, mean, rstd, slope, level, gamma, 0, true, true, false);
    else writeVector(dy, x, dx, n, mean, rstd, slope, level, gamma, dSum, true, true, true);
  } else if (dSum == 0) {
    writeVector(dy, x, dx, n, mean, rstd, slope, level, gamma, 0, false, true, false);
  } else {
    writeVector(dy, x, dx, n, mean, rstd, slope, level, gamma, dSum, false, true, true);
  }
}

/** `near`, `scale` and `adds` (whether there is a dSum) are constant at each call site. */
// @ts-ignore: decorator
@inline
function writeVector(
  dy: usize, x: usize, dx: usize, n: i32, mean: f64, rstd: f32, slope: f64, level: f64, gamma: usize, dSum: usize,
  near: bool, scale: bool, adds: bool,
): void {
  const high = near ? <f32>0 : <f32>mean;
  const down = <f32>-slope, away = <f32>((mean - <f64>high) * slope - level);
  const m = f32x4.splat(high);
  const s = f32x4.splat(rstd);
  const t = f32x4.splat(down);
  const l = f32x4.splat(away);
  let i: usize = 0;
  const fours = <usize>(n & -16) << 2;
  for (; i < fours; i += 64) {
    const p = x + i, q = dy + i, g = gamma + i, more = dSum + i, to = dx + i;
    const away0 = near ? madd(v128.load(p), t, l) : madd(f32x4.sub(v128.load(p), m), t, l);
    const g0 = scale ? f32x4.mul(v128.load(q), v128.load(g)) : v128.load(q);
    v128.store(to, madd(g0, s, adds ? f32x4.add(away0, v128.load(more)) : away0));
    const away1 = near ? madd(v128.load(p, 16), t, l) : madd(f32x4.sub(v128.load(p, 16), m), t, l);
    const g1 = scale ? f32x4.mul(v128.load(q, 16), v128.load(g, 16)) : v128.load(q, 16);
    v128.store(to, madd(g1, s, adds ? f32x4.add(away1, v128.load(more, 16)) : away1), 16);
    const away2 = near ? madd(v128.load(p, 32), t, l) : madd(f32x4.sub(v128.load(p, 32), m), t, l);
    const g2 = scale ? f32x4.mul(v128.load(q, 32), v128.load(g, 32)) : v128.load(q, 32);
    v128.store(to, madd(g2, s, adds ? f32x4.add(away2, v128.load(more, 32)) : away2), 32);
    const away3 = near ? madd(v128.load(p, 48), t, l) : madd(f32x4.sub(v128.load(p, 48), m), t, l);
    const g3 = scale ? f32x4.mul(v128.load(q, 48), v128.load(g, 48)) : v128.load(q, 48);
    v128.store(to, madd(g3, s, adds ? f32x4.add(away3, v128.load(more, 48)) : away3), 48);
  }
  for (; i < <usize>n << 2; i += 4) {
    let g = f32.load(dy + i);
    if (scale) g *= f32.load(gamma + i);
    let value = g * rstd + ((f32.load(x + i) - high) * down + away);
    if (adds) value += f32.load(dSum + i);
    f32.store(dx + i, value);
  }
}
