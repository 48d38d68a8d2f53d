/**
 * What follows from the mean and variance of a statistic: the root, and whether float32 arithmetic is enough for its elements or
 * they need float64 (elements.ts).
 */
import { epsilon, given, mean, variance } from "./call";

/** Variances whose roots, squares and inverses float32 represents with room to spare: standard deviations from 2⁻⁴⁰ to 2⁴⁰. */
const LEAST: f64 = 8.271806125530277e-25;
const MOST: f64 = 1.2089258196146292e24;
/** How many standard deviations the mean may be from 0 for sums about 0 to be accurate. */
const NEAR: f64 = 1;
/** Mean over standard deviation beyond which the rounding of the stored mean shows in xHat: up to there it is below 5e-7. */
const FAR: f64 = 8;
/** A variance below this fraction of mean² (2⁻⁴⁴) is lost in the rounding of the mean to float32. */
const LOST: f64 = 5.684341886080802e-14;
/** With this many values per statistic, or fewer, dx cancels almost completely. */
export const FEW: i32 = 2;

/** √(variance + epsilon), or Infinity where that is 0, so that xHat and dx are 0. */
// @ts-ignore: decorator
@inline
export function rootOf(variance: f64): f64 {
  const sum = variance + epsilon;
  return sum == 0 ? Infinity : Math.sqrt(sum);
}

/** 1/√(variance + epsilon) of two statistics, float64×2. */
// @ts-ignore: decorator
@inline
export function rstdOfPair(variances: v128): v128 {
  return f64x2.div(f64x2.splat(1), f64x2.sqrt(f64x2.add(variances, f64x2.splat(epsilon))));
}

/** Whether float32 represents all that is computed with this variance; false for NaN. */
// @ts-ignore: decorator
@inline
export function fitsFloat32(variance: f64): bool {
  const sum = variance + epsilon;
  return sum >= LEAST && sum <= MOST;
}

/** The same, given the root. */
// @ts-ignore: decorator
@inline
export function rootFits(root: f64): bool {
  const sum = root * root;
  return sum >= LEAST && sum <= MOST;
}

/** Whether this variance, from float32 sums about a rounded mean, is accurate. */
// @ts-ignore: decorator
@inline
export function isResolved(mean: f64, variance: f64): bool {
  return fitsFloat32(variance) && variance + epsilon >= LOST * mean * mean;
}

/** Whether the mean is close enough to 0 for sums about 0. */
// @ts-ignore: decorator
@inline
export function isNear(mean: f64, variance: f64): bool {
  return mean * mean <= NEAR * NEAR * variance;
}

/** `isNear` of two statistics, float64×2. */
// @ts-ignore: decorator
@inline
export function areNear(means: v128, variances: v128): bool {
  return i64x2.all_true(f64x2.le(f64x2.mul(means, means), f64x2.mul(variances, f64x2.splat(NEAR * NEAR))));
}

/** `isResolved` of two statistics, float64×2. */
// @ts-ignore: decorator
@inline
export function areResolved(means: v128, variances: v128): bool {
  const sum = f64x2.add(variances, f64x2.splat(epsilon));
  const plain = v128.and(f64x2.ge(sum, f64x2.splat(LEAST)), f64x2.le(sum, f64x2.splat(MOST)));
  const above = f64x2.ge(sum, f64x2.mul(f64x2.mul(means, means), f64x2.splat(LOST)));
  return i64x2.all_true(v128.and(plain, above));
}

/** Whether the rounding of the stored mean shows in xHat. A mean that was given is exact. */
// @ts-ignore: decorator
@inline
export function isFar(mean: f64, variance: f64): bool {
  return !given && mean * mean > FAR * FAR * (variance + epsilon);
}

/** Whether four stored statistics, float32×4, suffice as they are: all fit float32, and no mean is far from 0. */
// @ts-ignore: decorator
@inline
export function fourSuffice(means: v128, variances: v128): bool {
  const sum = f32x4.add(variances, f32x4.splat(<f32>epsilon));
  const plain = v128.and(f32x4.ge(sum, f32x4.splat(<f32>LEAST)), f32x4.le(sum, f32x4.splat(<f32>MOST)));
  const close = f32x4.le(f32x4.mul(means, means), f32x4.mul(sum, f32x4.splat(<f32>(FAR * FAR))));
  return i32x4.all_true(v128.and(plain, close));
}

/** The stored mean and variance of a statistic. */
// @ts-ignore: decorator
@inline
export function meanAt(statistic: i32): f64 {
  return mean == 0 ? 0 : <f64>f32.load(mean + (<usize>statistic << 2));
}

// @ts-ignore: decorator
@inline
export function varianceAt(statistic: i32): f64 {
  return <f64>f32.load(variance + (<usize>statistic << 2));
}

/** A measured variance as both passes use it: rounded, as it is stored, unless float32 does not represent it. */
// @ts-ignore: decorator
@inline
export function asStored(variance: f64): f64 {
  return fitsFloat32(variance) ? <f64>(<f32>variance) : variance;
}
