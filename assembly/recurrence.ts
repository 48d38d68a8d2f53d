import { demotePairs, highLanes, lowLanes } from "./simd";

/**
 * state_t = factor_t·state_(t−1) + term_t for each of `width` columns, with the state in float64: before [steps, width] is the state
 * before each step, last [width] the one after all. Columns are taken a cache line at a time, then four, then one.
 */
export function recurrence(
  start: usize, factors: usize, terms: usize, before: usize, last: usize, steps: i32, width: i32,
): void {
  const row = <usize>width << 2;
  const end = <usize>steps * row;
  let column: usize = 0;
  for (; column + 64 <= row; column += 64) {
    const from = start + column, to = last + column;
    let a = v128.load(from), b = v128.load(from, 16), c = v128.load(from, 32), d = v128.load(from, 48);
    let aLow = lowLanes(a), aHigh = highLanes(a), bLow = lowLanes(b), bHigh = highLanes(b);
    let cLow = lowLanes(c), cHigh = highLanes(c), dLow = lowLanes(d), dHigh = highLanes(d);
    for (let at = column; at < end; at += row) {
      v128.store(before + at, demotePairs(aLow, aHigh));
      v128.store(before + at, demotePairs(bLow, bHigh), 16);
      v128.store(before + at, demotePairs(cLow, cHigh), 32);
      v128.store(before + at, demotePairs(dLow, dHigh), 48);
      aLow = next(aLow, factors + at, terms + at);
      aHigh = next(aHigh, factors + at + 8, terms + at + 8);
      bLow = next(bLow, factors + at + 16, terms + at + 16);
      bHigh = next(bHigh, factors + at + 24, terms + at + 24);
      cLow = next(cLow, factors + at + 32, terms + at + 32);
      cHigh = next(cHigh, factors + at + 40, terms + at + 40);
      dLow = next(dLow, factors + at + 48, terms + at + 48);
      dHigh = next(dHigh, factors + at + 56, terms + at + 56);
    }
    v128.store(to, demotePairs(aLow, aHigh));
    v128.store(to, demotePairs(bLow, bHigh), 16);
    v128.store(to, demotePairs(cLow, cHigh), 32);
    v128.store(to, demotePairs(dLow, dHigh), 48);
  }
  for (; column + 16 <= row; column += 16) {
    const first = v128.load(start + column);
    let low = lowLanes(first), high = highLanes(first);
    for (let at = column; at < end; at += row) {
      v128.store(before + at, demotePairs(low, high));
      low = next(low, factors + at, terms + at);
      high = next(high, factors + at + 8, terms + at + 8);
    }
    v128.store(last + column, demotePairs(low, high));
  }
  for (; column < row; column += 4) {
    let state = <f64>f32.load(start + column);
    for (let at = column; at < end; at += row) {
      f32.store(before + at, <f32>state);
      state = state * <f64>f32.load(factors + at) + <f64>f32.load(terms + at);
    }
    f32.store(last + column, <f32>state);
  }
}

/** Two states after a step. */
// @ts-ignore: decorator
@inline
function next(states: v128, factors: usize, terms: usize): v128 {
  const product = f64x2.mul(states, f64x2.promote_low_f32x4(v128.load64_zero(factors)));
  return f64x2.add(product, f64x2.promote_low_f32x4(v128.load64_zero(terms)));
}
