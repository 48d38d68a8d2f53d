/**
 * state_t = factor_t·state_(t−1) + term_t for each of `width` columns, with the state in float64: before [steps, width] is the state
 * before each step, last [width] the one after all.
 */
export function recurrence(
  start: usize, factors: usize, terms: usize, before: usize, last: usize, steps: i32, width: i32,
): void {
  const row = <usize>width << 2;
  for (let column: usize = 0; column < row; column += 4) {
    let state = <f64>f32.load(start + column);
    let at = column;
    for (let step = 0; step < steps; step++, at += row) {
      f32.store(before + at, <f32>state);
      state = state * <f64>f32.load(factors + at) + <f64>f32.load(terms + at);
    }
    f32.store(last + column, <f32>state);
  }
}
