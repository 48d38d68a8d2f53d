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

/** Adds the four lanes of v to four float64 at `address`. */
// @ts-ignore: decorator
@inline
export function accumulate(address: usize, v: v128): void {
  v128.store(address, f64x2.add(v128.load(address), lowLanes(v)));
  v128.store(address, f64x2.add(v128.load(address, 16), highLanes(v)), 16);
}
