/**
 * Elementary functions of four float32, to 3 units in the last place, with the limits of Math's at ±∞, NaN and denormals.
 *
 * Constants come from a table in memory, since V8 makes a vector constant anew at each use. Minima and maxima are those that keep
 * a NaN in the first operand.
 */
import { fraction, odd } from "../src/kernels/wasm/pass-words";
import { madd } from "./simd";

// The table: what several functions use, then the polynomials, lowest power first.
const ONE = 0;
const SIGN = 4;
const MOST = 8;
const LEAST = 12;
const LOG2E = 16;
const MAGIC = 20;
const LN2_HIGH = 24;
const LN2_LOW = 28;
const EXP = 32;
const TANH_MOST = 52;
const ERF_MOST = 56;
const ERF = 60;

/** Writes the table, of which src/kernels/wasm/pass-words.ts has the size. */
export function tabulate(at: usize): void {
  f32.store(at, 1, ONE);
  i32.store(at, i32.MIN_VALUE, SIGN);
  // e^x is ∞, or 0, beyond these
  f32.store(at, 89, MOST);
  f32.store(at, -104.5, LEAST);
  f32.store(at, 1.44269504, LOG2E);
  // rounds to an integer what is added to it, which is then in its lowest bits
  f32.store(at, 12582912, MAGIC);
  f32.store(at, -0.693145751953125, LN2_HIGH);
  f32.store(at, -1.428606765330187e-6, LN2_LOW);
  f32.store(at, 0.49999994, EXP);
  f32.store(at, 0.166665196, EXP + 4);
  f32.store(at, 0.0416683927, EXP + 8);
  f32.store(at, 0.00836878084, EXP + 12);
  f32.store(at, 0.00138144672, EXP + 16);
  f32.store(at, 10, TANH_MOST);
  f32.store(at, 4, ERF_MOST);
  f32.store(at, -1.128379225730896, ERF);
  f32.store(at, -0.6366164684295654, ERF + 4);
  f32.store(at, -0.10281441360712051, ERF + 8);
  f32.store(at, 0.019321724772453308, ERF + 12);
  f32.store(at, -0.00020572697394527495, ERF + 16);
  f32.store(at, -0.0012517389841377735, ERF + 20);
  f32.store(at, 0.00038099801167845726, ERF + 24);
  f32.store(at, -4.0707574953557923e-05, ERF + 28);
}

/** e^r − 1 = r + r²·p(r) for |r| ≤ ln 2 / 2. */
// @ts-ignore: decorator
@inline
function nearExp(r: v128, t: usize): v128 {
  const square = f32x4.mul(r, r);
  let high = madd(v128.load32_splat(t, EXP + 16), r, v128.load32_splat(t, EXP + 12));
  high = madd(high, r, v128.load32_splat(t, EXP + 8));
  const low = madd(v128.load32_splat(t, EXP + 4), r, v128.load32_splat(t, EXP));
  return madd(square, madd(high, square, low), r);
}

/** x − n·ln 2. */
// @ts-ignore: decorator
@inline
function rest(x: v128, n: v128, t: usize): v128 {
  return madd(n, v128.load32_splat(t, LN2_LOW), madd(n, v128.load32_splat(t, LN2_HIGH), x));
}

/** 2^n as float32, −127 < n < 128. */
// @ts-ignore: decorator
@inline
function powerOfTwo(n: v128, t: usize): v128 {
  return i32x4.add(i32x4.shl(n, 23), v128.load32_splat(t, ONE));
}

// @ts-ignore: decorator
@inline
export function exp(x: v128, t: usize): v128 {
  x = f32x4.pmin(f32x4.pmax(x, v128.load32_splat(t, LEAST)), v128.load32_splat(t, MOST));
  const magic = v128.load32_splat(t, MAGIC);
  const shifted = madd(x, v128.load32_splat(t, LOG2E), magic);
  const q = nearExp(rest(x, f32x4.sub(shifted, magic), t), t);
  // in two factors, since 2^n may be no float32
  const n = i32x4.sub(shifted, magic);
  const half = i32x4.shr_s(n, 1);
  const p = f32x4.mul(f32x4.add(q, v128.load32_splat(t, ONE)), powerOfTwo(half, t));
  return f32x4.mul(p, powerOfTwo(i32x4.sub(n, half), t));
}

/** e^x − 1 for |x| < 80. */
// @ts-ignore: decorator
@inline
function expMinusOne(x: v128, t: usize): v128 {
  const magic = v128.load32_splat(t, MAGIC);
  const shifted = madd(x, v128.load32_splat(t, LOG2E), magic);
  const power = powerOfTwo(shifted, t);
  const q = nearExp(rest(x, f32x4.sub(shifted, magic), t), t);
  return madd(power, q, f32x4.sub(power, v128.load32_splat(t, ONE)));
}

/** e/(e + 2) with e = exp(2·|x|) − 1, and the sign of x. */
// @ts-ignore: decorator
@inline
export function tanh(x: v128, t: usize): v128 {
  const sign = v128.load32_splat(t, SIGN), one = v128.load32_splat(t, ONE);
  const a = f32x4.pmin(v128.andnot(x, sign), v128.load32_splat(t, TANH_MOST));
  const e = expMinusOne(f32x4.add(a, a), t);
  return v128.or(f32x4.div(e, f32x4.add(e, f32x4.add(one, one))), v128.and(x, sign));
}

/** From e^−|x|, which is never infinite. */
// @ts-ignore: decorator
@inline
export function sigmoid(x: v128, t: usize): v128 {
  const one = v128.load32_splat(t, ONE);
  const e = exp(v128.or(x, v128.load32_splat(t, SIGN)), t);
  return f32x4.div(v128.bitselect(e, one, i32x4.shr_s(x, 31)), f32x4.add(one, e));
}

/** Two terms of a polynomial; by pairs, fewer steps wait for one another. */
// @ts-ignore: decorator
@inline
function pair(at: i32, x: v128, t: usize): v128 {
  return madd(v128.load32_splat(t + at + 4), x, v128.load32_splat(t + at));
}

/** 1 − e^q with q = |x|·p(|x|), the logarithm of 1 − erf |x|, and the sign of x: as accurate near 0 as elsewhere. */
// @ts-ignore: decorator
@inline
export function erf(x: v128, t: usize): v128 {
  const sign = v128.load32_splat(t, SIGN);
  const a = f32x4.pmin(v128.andnot(x, sign), v128.load32_splat(t, ERF_MOST));
  const square = f32x4.mul(a, a);
  let p = pair(ERF + 24, a, t);
  p = madd(p, square, pair(ERF + 16, a, t));
  p = madd(p, square, pair(ERF + 8, a, t));
  p = madd(p, square, pair(ERF, a, t));
  const e = expMinusOne(f32x4.mul(p, a), t);
  return v128.or(v128.andnot(e, sign), v128.and(x, sign));
}

/** √x as x to the power ½ has it: of −0 it is 0, of −∞ it is ∞. */
// @ts-ignore: decorator
@inline
export function root(x: v128): v128 {
  const infinite = f32x4.eq(x, f32x4.splat(-Infinity));
  return f32x4.sqrt(f32x4.add(v128.bitselect(f32x4.neg(x), x, infinite), f32x4.splat(0)));
}

/** Rounds off the lowest `bits` bits, ties to even; to ∞ where it carries over. */
// @ts-ignore: decorator
@inline
function roundOff(x: v128, bits: i32): v128 {
  const even = v128.and(i32x4.shr_u(x, bits), i32x4.splat(1));
  const sum = i32x4.add(i32x4.add(x, even), i32x4.splat((1 << bits - 1) - 1));
  return v128.and(sum, i32x4.splat(-1 << bits));
}

/** NaN where x is, else y. */
// @ts-ignore: decorator
@inline
function unlessNaN(x: v128, y: v128): v128 {
  return v128.bitselect(y, x, f32x4.eq(x, x));
}

// @ts-ignore: decorator
@inline
export function bfloat16(x: v128): v128 {
  return unlessNaN(x, roundOff(x, 16));
}

// @ts-ignore: decorator
@inline
export function float16(x: v128, t: usize): v128 {
  const sign = v128.load32_splat(t, SIGN);
  const a = v128.andnot(x, sign);
  // below 2^−14 the steps are those of float32 at 1/2
  const half = f32x4.splat(0.5);
  const low = f32x4.sub(f32x4.add(a, half), half);
  const high = roundOff(a, 13);
  const y = v128.bitselect(low, high, f32x4.lt(a, f32x4.splat(6.103515625e-5)));
  const bounded = v128.bitselect(f32x4.splat(Infinity), y, f32x4.gt(y, f32x4.splat(65504)));
  return unlessNaN(x, v128.or(bounded, v128.and(x, sign)));
}

/** x to the power of an exponent other than 0, for `bytes` of float32, two at a time in float64. */
export function power(x: usize, y: usize, bytes: usize, exponent: f64, kind: i32): void {
  const one = f64x2.splat(1);
  for (let i: usize = 0; i < bytes; i += 8) {
    const v = f64x2.promote_low_f32x4(v128.load64_zero(x + i));
    const a = f64x2.abs(v);
    // a = m·2^n with m in [√½, √2)
    const shifted = i64x2.sub(a, i64x2.splat(0x3fe6a09e667f3bcd));
    const n = i64x2.shr_s(shifted, 52);
    const m = i64x2.sub(a, i64x2.shl(n, 52));
    // log2 m = 2·log2 e·atanh s, by its series
    const s = f64x2.div(f64x2.sub(m, one), f64x2.add(m, one));
    const square = f64x2.mul(s, s);
    let p = f64x2.splat(0);
    for (let k: f64 = 17; k > 0; k -= 2) p = f64x2.add(f64x2.mul(p, square), f64x2.splat(1 / k));
    const whole = f64x2.convert_low_i32x4_s(i32x4.shuffle(n, n, 0, 2, 0, 2));
    let log = f64x2.add(whole, f64x2.mul(f64x2.splat(2.8853900817779268), f64x2.mul(s, p)));
    log = v128.bitselect(f64x2.splat(-Infinity), log, f64x2.eq(a, f64x2.splat(0)));
    // ∞ and NaN as they are
    log = v128.bitselect(log, a, f64x2.lt(a, f64x2.splat(Infinity)));
    let e = f64x2.mul(log, f64x2.splat(exponent));
    // 2^e by its series about an integer
    e = f64x2.pmin(f64x2.pmax(e, f64x2.splat(-1000)), f64x2.splat(1000));
    const nearest = f64x2.nearest(e);
    const r = f64x2.mul(f64x2.sub(e, nearest), f64x2.splat(0.6931471805599453));
    let q = one;
    for (let k: f64 = 9; k > 0; k--) q = f64x2.add(f64x2.div(f64x2.mul(q, r), f64x2.splat(k)), one);
    const integers = i64x2.extend_low_i32x4_s(i32x4.trunc_sat_f64x2_s_zero(nearest));
    q = f64x2.mul(q, i64x2.add(i64x2.shl(integers, 52), one));
    const negative = f64x2.lt(v, f64x2.splat(0));
    if (kind == odd) q = v128.or(q, v128.and(v, f64x2.splat(-0.0)));
    if (kind == fraction) {
      const finite = f64x2.gt(v, f64x2.splat(-Infinity));
      q = v128.bitselect(f64x2.splat(NaN), q, v128.and(negative, finite));
    }
    v128.store64_lane(y + i, f32x4.demote_f64x2_zero(q), 0);
  }
}
