/** How far the outputs of two networks are apart. */
import { stepOf } from "./inputs.js";
import type { TensorData, Tensors } from "./runtime.js";

/** One output before and after. */
export interface Difference {
  readonly output: string;
  readonly dtype: string;
  /** The largest finite magnitude before. */
  readonly largest: number;
  /** The largest difference, relative to `largest`; Infinity where what was finite is not any more, or the shapes differ. */
  readonly difference: number;
  /** Values that were not finite, and are now. */
  readonly mended: number;
}

/** A float output may move by so many of its type's steps, about 10⁻⁵ in float32, of its largest value. */
const STEPS: Readonly<Record<string, number>> = { float64: 2 ** 16, float32: 84, float16: 2, bfloat16: 2 };

/** Outputs whose largest value is less are compared as if it were this. */
const LEAST = 1e-6;

/** By how much an output of this type may move, relative to its largest value; nothing at all of integers. */
export const toleranceOf = (dtype: string, tolerance?: number): number =>
  stepOf(dtype) === 0 ? 0 : (tolerance ?? STEPS[dtype] * stepOf(dtype));

/** The difference of one output. */
export function differenceOf(output: string, before: TensorData, after: TensorData): Difference {
  const { dtype, values: a } = before;
  const b = after.values;
  let [largest, most, mended] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [was, is] = [Number(a[i]), Number(b[i])];
    if (!Number.isFinite(was)) {
      if (Number.isFinite(is)) mended++;
      continue;
    }
    largest = Math.max(largest, Math.abs(was));
    most = Math.max(most, Number.isFinite(is) ? Math.abs(is - was) : Number.POSITIVE_INFINITY);
  }
  const alike = String(before.shape) === String(after.shape);
  return {
    output,
    dtype,
    largest,
    difference: alike ? most / Math.max(largest, LEAST) : Number.POSITIVE_INFINITY,
    mended,
  };
}

/** Those of all outputs. */
export const differencesOf = (before: Tensors, after: Tensors): Difference[] =>
  Object.entries(before).map(([name, tensor]) =>
    Object.hasOwn(after, name)
      ? differenceOf(name, tensor, after[name])
      : { output: name, dtype: tensor.dtype, largest: 0, difference: Number.POSITIVE_INFINITY, mended: 0 },
  );

/** The largest distance of values from the true ones, relative to the largest of these; Infinity where one is not finite that is to be. */
export function errorOf(values: ArrayLike<number | bigint>, truth: ArrayLike<number>): number {
  if (values.length !== truth.length) return Number.POSITIVE_INFINITY;
  let [largest, most] = [0, 0];
  for (let i = 0; i < truth.length; i++) {
    const [is, right] = [Number(values[i]), truth[i]];
    if (!Number.isFinite(right)) continue;
    largest = Math.max(largest, Math.abs(right));
    most = Math.max(most, Number.isFinite(is) ? Math.abs(is - right) : Number.POSITIVE_INFINITY);
  }
  return most / Math.max(largest, LEAST);
}
