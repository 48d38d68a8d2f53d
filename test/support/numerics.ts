/** What the numeric tests share: seeded inputs, hard inputs, one tolerance table, and comparisons that explain themselves. */
import { expect } from "vitest";
import type { Values } from "../../src/kernels/contract.js";

/** Uniform numbers from 0 to 1, the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Normally distributed float32 values. */
export function normal(length: number, seed: number, mean = 0, deviation = 1): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - next()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * next());
  });
}

/** Inputs on which careless kernels fail. */
export const hardInputs: Record<string, (length: number, seed: number) => Float32Array> = {
  "unit normal": (length, seed) => normal(length, seed),
  "variance far below epsilon": (length, seed) => normal(length, seed, 0, 1e-6),
  constant: (length) => new Float32Array(length).fill(0.1),
  "mean just within one standard deviation of 0": (length, seed) => normal(length, seed, -0.95, 1),
  "mean just beyond one standard deviation of 0": (length, seed) => normal(length, seed, 1.05, 1),
  "mean at one and a half standard deviations": (length, seed) => normal(length, seed, -1.5, 1),
  "mean 10⁴, standard deviation 1": (length, seed) => normal(length, seed, 1e4, 1),
  "one huge value": (length, seed) => {
    const values = normal(length, seed);
    for (let i = 0; i < length; i += 97) values[i] = 1e5;
    return values;
  },
  "large values": (length, seed) => normal(length, seed, 0, 1e8),
};

/** Inputs whose squares, or whose inverse squares, float32 does not hold. */
export const extremeInputs: Record<string, (length: number, seed: number) => Float32Array> = {
  "standard deviation 10²⁰": (length, seed) => normal(length, seed, 0, 1e20),
  "mean 10²⁴, standard deviation 10²⁰": (length, seed) => normal(length, seed, 1e24, 1e20),
  "standard deviation 10³⁰": (length, seed) => normal(length, seed, 1e30, 1e30),
  "±3·10³⁸": (length, seed) => normal(length, seed).map((value) => Math.sign(value) * 3e38),
  "constant 3·10³⁸": (length) => new Float32Array(length).fill(3e38),
  "standard deviation 10⁻²⁰": (length, seed) => normal(length, seed, 1e-20, 1e-20),
  "standard deviation 10⁻³⁰": (length, seed) => normal(length, seed, 0, 1e-30),
  denormal: (length, seed) => normal(length, seed, 0, 1e-40),
  "one value 10³⁰": (length, seed) => {
    const values = normal(length, seed);
    values[length >> 1] = 1e30;
    return values;
  },
  "every scale": (length, seed) =>
    normal(length, seed).map((value, i) => value * 10 ** (((7 * i) % 73) - 36)),
};

/**
 * Allowed error, in units of the result's own scale.
 *
 * forward: a few roundings of float32 (6e-8 each) on top of a variance summed in float32 over short chunks.
 * backward: sums of dy·xHat run in float32 over stretches of 64. A mean within 8 standard deviations of 0 is
 * used as stored, rounded to float32: an error of 5e-7 of a standard deviation. Beyond that, the rounding
 * error is measured.
 * cancelling: where dx cancels to (nearly) nothing, float64 up to the variance, and one rounding.
 * addition: one rounding to float32 of a sum that is at most twice as large.
 */
export const tolerance = { forward: 2e-6, backward: 1e-5, cancelling: 1e-12, addition: 1.2e-7 };

/** Every value within `allowed(i)` of the expected one; the message has the worst index, both values, and how many are off. */
export function expectClose(
  name: string,
  actual: Values,
  expected: ArrayLike<number>,
  allowed: (index: number) => number,
): void {
  expect(actual.length, `${name}: length`).toBe(expected.length);
  let worst = -1;
  let worstExcess = 0;
  let off = 0;
  for (let i = 0; i < expected.length; i++) {
    // infinities too
    if (actual[i] === expected[i]) continue;
    const excess = Math.abs(actual[i] - expected[i]) / allowed(i);
    if (excess <= 1) continue;
    off++;
    if (!(excess <= worstExcess)) {
      worst = i;
      worstExcess = excess;
    }
  }
  if (off > 0) {
    expect.fail(
      `${name}: ${off} of ${expected.length} values are off; worst at ${worst}: ` +
        `got ${actual[worst]}, expected ${expected[worst]} ± ${allowed(worst)}`,
    );
  }
}

export function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]));
  return most;
}
