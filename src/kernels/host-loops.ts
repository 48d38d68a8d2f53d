/** Loops over memory that is the host's own, for calls that are seldom or short; sums in float64. */
import type { Values } from "./contract.js";

/** y = each row of x ascending, NaN last. */
export function sortRows(x: Values, y: Values, rows: number, length: number): void {
  y.set(x);
  for (let row = 0; row < rows; row++) y.subarray(row * length, (row + 1) * length).sort();
}

/** The error function, to the precision of float64: its series, and further out its continued fraction. */
export function erf(x: number): number {
  const distance = Math.abs(x);
  if (distance > 6) return Math.sign(x);
  if (distance < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-x * x) / n;
      const next = term / (2 * n + 1);
      if (sum + next === sum) break;
      sum += next;
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (distance + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * (distance + fraction)));
}

/** Rounds to a narrower type. */
export const narrow = {
  float16: rounding(11, -14, 65504),
  bfloat16: rounding(8, -126, 2 ** 127 * (2 - 2 ** -7)),
};

/** To so many significant bits, ties to even; subnormal below 2^least, infinite above the largest. */
export function rounding(bits: number, least: number, most: number): (x: number) => number {
  return (x) => {
    if (x === 0 || !Number.isFinite(x)) return x;
    const size = Math.abs(x);
    const quantum = 2 ** (Math.max(Math.floor(Math.log2(size)), least) - bits + 1);
    const steps = size / quantum;
    const below = Math.floor(steps);
    const rest = steps - below;
    const rounded = (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below) * quantum;
    return Math.sign(x) * (rounded > most ? Number.POSITIVE_INFINITY : rounded);
  };
}
