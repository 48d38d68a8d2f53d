/** Means and standard deviations of data with missing values (NaN). */
import { biasedVariance, momentsOf } from "evenkeel";

/** Of `values`, without NaN: the deviation (the biased one) is exactly 0 where they do not vary; mean 0 where there are none. */
export function meanAndDeviation(values: ArrayLike<number>): { mean: number; deviation: number } {
  const present = Float64Array.from(values).filter((value) => !Number.isNaN(value));
  const first = present[0] ?? 0;
  // exactly 0, which rounding in the mean could miss
  if (present.every((value) => value === first)) return { mean: first, deviation: 0 };
  const moments = momentsOf(present);
  return { mean: moments.mean, deviation: Math.sqrt(biasedVariance(moments)) };
}

/** What standardizes the inputs of a network: (x − mean) · factor, each [inputs]. */
export interface Standardization {
  mean: Float64Array;
  /** 0 where the input does not vary among the rows. */
  factor: Float64Array;
}

/** `size` values of x from `first` on, as a network sees them; what is missing is the mean, 0. */
export function standardized(
  x: Float32Array,
  first: number,
  size: number,
  { mean, factor }: Record<keyof Standardization, ArrayLike<number>>,
): Float32Array {
  const width = mean.length;
  const values = new Float32Array(size);
  for (let i = 0, input = first % width; i < size; i++, input++) {
    if (input === width) input = 0;
    const value = (x[first + i] - mean[input]) * factor[input];
    values[i] = Number.isNaN(value) ? 0 : value;
  }
  return values;
}

/** By these rows of x [count, inputs]; inputs that are not `scaled` keep their values. */
export function standardizationOf(
  x: Float32Array,
  scaled: Uint8Array,
  rows: ArrayLike<number>,
): Standardization {
  const inputs = scaled.length;
  const mean = new Float64Array(inputs);
  const factor = new Float64Array(inputs).fill(1);
  const values = new Float64Array(rows.length);
  for (let input = 0; input < inputs; input++) {
    if (!scaled[input]) continue;
    for (let i = 0; i < rows.length; i++) values[i] = x[rows[i] * inputs + input];
    const { mean: center, deviation } = meanAndDeviation(values);
    mean[input] = center;
    factor[input] = deviation > 0 ? 1 / deviation : 0;
  }
  return { mean, factor };
}
