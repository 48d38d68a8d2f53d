/**
 * Plain float64 loops, element by element: for parameters aligned with neither segments nor columns, and where float32 is not
 * enough (precision.ts): standard deviations whose squares leave its range, and statistics of so few values that dx cancels.
 *
 * Each function takes n elements, from element `index` of the call's arrays on, that share a statistic (mean and root).
 */
import { beta, dSum, dx, dy, gamma, hasVectors, parameterCount, residual, sum, x, y } from "./call";
import { addToParameter, keepShort } from "./parameters";
import { parameterIndex, pr2, runLength } from "./views";

// @ts-ignore: decorator
@inline
function at(array: usize, index: i32): f64 {
  return <f64>f32.load(array + (<usize>index << 2));
}

/** y = xHat·gamma + beta */
export function normalizeElements(index: i32, n: i32, mean: f64, root: f64): void {
  const from = residual == 0 ? x : sum;
  for (let i = index; i < index + n; i++) {
    let value = (at(from, i) - mean) / root;
    if (parameterCount > 0) {
      const parameter = parameterIndex(i);
      if (gamma != 0) value *= at(gamma, parameter);
      if (beta != 0) value += at(beta, parameter);
    }
    f32.store(y + (<usize>i << 2), <f32>value);
  }
}

// Results of `sumElements`.
export let sumOfG: f64 = 0;
export let sumOfGX: f64 = 0;

/** Σ g and Σ g·xHat; dy and dy·xHat are added to the gradients of their parameters. */
export function sumElements(index: i32, n: i32, mean: f64, root: f64): void {
  sumOfG = 0;
  sumOfGX = 0;
  const end = index + n;
  let i = index;
  while (i < end) {
    const step = pr2 == 1 ? 1 : 0;
    let parameter = parameterCount > 0 ? parameterIndex(i) : 0;
    const runEnd = parameterCount > 0 ? i + runLength(i, end - i) : end;
    if (parameterCount > 0 && hasVectors()) keepShort(1);
    for (; i < runEnd; i++, parameter += step) {
      const u = at(dy, i);
      const xHat = (at(x, i) - mean) / root;
      const g = parameterCount > 0 ? u * addToParameter(parameter, u, u * xHat) : u;
      sumOfG += g;
      sumOfGX += g * xHat;
    }
  }
}

/** dx = (g − level − xHat·slope)·rstd + dSum */
export function writeElements(index: i32, n: i32, mean: f64, root: f64, level: f64, slope: f64): void {
  for (let i = index; i < index + n; i++) {
    const xHat = (at(x, i) - mean) / root;
    let g = at(dy, i);
    if (gamma != 0) g *= at(gamma, parameterIndex(i));
    let value = (g - level - xHat * slope) / root;
    if (dSum != 0) value += at(dSum, i);
    f32.store(dx + (<usize>i << 2), <f32>value);
  }
}
