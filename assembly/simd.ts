/** Short names for the float32×4 instructions, and sums across their lanes. */

// @ts-ignore: decorator
@inline
export function load(address: usize): v128 {
  return v128.load(address);
}

// @ts-ignore: decorator
@inline
export function zero(): v128 {
  return f32x4.splat(0);
}

/** a·b + c, rounded once; where engines have no relaxed SIMD, src/kernels/wasm/unfused.ts makes a product and a sum of it. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_madd(a, b, c);
}

/** xHat where the mean is near 0; `shift` is −mean·rstd. */
// @ts-ignore: decorator
@inline
export function nearHat(x: v128, rstd: v128, shift: v128): v128 {
  return madd(x, rstd, shift);
}

/** `shift` for `nearHat`. */
// @ts-ignore: decorator
@inline
export function nearShift(mean: f64, rstd: f64): f32 {
  return <f32>(-mean * rstd);
}

/** `nearHat` of one value. */
// @ts-ignore: decorator
@inline
export function nearHatOf(x: f32, rstd: f32, shift: f32): f32 {
  return x * rstd + shift;
}

/** The four lanes added in float64. */
// @ts-ignore: decorator
@inline
export function laneSum(v: v128): f64 {
  return (
    (<f64>f32x4.extract_lane(v, 0) + <f64>f32x4.extract_lane(v, 1)) +
    (<f64>f32x4.extract_lane(v, 2) + <f64>f32x4.extract_lane(v, 3))
  );
}

/** Lanes 0 and 1, or 2 and 3, as float64×2. */
// @ts-ignore: decorator
@inline
export function lowLanes(v: v128): v128 {
  return f64x2.promote_low_f32x4(v);
}

// @ts-ignore: decorator
@inline
export function highLanes(v: v128): v128 {
  return f64x2.promote_low_f32x4(i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
}

/** The lanes of a added, and those of b: float64×2. */
// @ts-ignore: decorator
@inline
export function foldPairs(a: v128, b: v128): v128 {
  const p = f64x2.add(lowLanes(a), highLanes(a));
  const q = f64x2.add(lowLanes(b), highLanes(b));
  return f64x2.add(i64x2.shuffle(p, q, 0, 2), i64x2.shuffle(p, q, 1, 3));
}

/** Two float64×2 as one float32×4. */
// @ts-ignore: decorator
@inline
export function demotePairs(low: v128, high: v128): v128 {
  return i64x2.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
}

/** One lane in all four; `lane` is constant at each call site. */
// @ts-ignore: decorator
@inline
export function splatLane(v: v128, lane: i32): v128 {
  if (lane == 0) return i32x4.shuffle(v, v, 0, 0, 0, 0);
  if (lane == 1) return i32x4.shuffle(v, v, 1, 1, 1, 1);
  if (lane == 2) return i32x4.shuffle(v, v, 2, 2, 2, 2);
  return i32x4.shuffle(v, v, 3, 3, 3, 3);
}

/** Lane 1 first, lane 0 last. */
// @ts-ignore: decorator
@inline
export function rotateLanes(v: v128): v128 {
  return i32x4.shuffle(v, v, 1, 2, 3, 0);
}

/** Adds the four lanes of v to four float64 at `address`. */
// @ts-ignore: decorator
@inline
export function accumulate(address: usize, v: v128): void {
  v128.store(address, f64x2.add(v128.load(address), lowLanes(v)));
  v128.store(address, f64x2.add(v128.load(address, 16), highLanes(v)), 16);
}

/** Adds n float64 at `from` to those at `to`. */
export function addDoubles(to: usize, from: usize, n: i32): void {
  let i: usize = 0;
  const pairs = <usize>(n & -2) << 3;
  for (; i < pairs; i += 16) v128.store(to + i, f64x2.add(load(to + i), load(from + i)));
  if (i < <usize>n << 3) f64.store(to + i, f64.load(to + i) + f64.load(from + i));
}
