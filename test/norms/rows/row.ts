/** A row of the table that proves every normalization: what it is, the shapes to run it on, and its formula in plain loops. */
import type { Normalization } from "../../../src/index.js";
import { sizeOf } from "../../../src/shape.js";

/** float64, row-major. */
export interface Values64 {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export interface Call {
  readonly training: boolean;
  /** Of the shape of x, 0 where x counts for nothing; absent without a mask. */
  readonly mask?: Float64Array;
}

/** What a formula gives: y, and what replaces weights that are kept. */
export interface Expected {
  readonly y: Float64Array;
  readonly more?: readonly Float64Array[];
  readonly state?: Readonly<Record<string, Float64Array>>;
}

export interface Row {
  /** Which of the norm's options these are, where there are several rows. */
  readonly name?: string;
  readonly norm: Normalization;
  /** Of x, and of a condition where there is one. */
  readonly shapes: readonly (readonly number[])[];
  /**
   * The formula, written from its paper element by element in float64, without Evenkeel's code. Its `mask` is of x's whole
   * shape; y is 0 where it is 0.
   */
  expected(
    inputs: readonly Values64[],
    weights: Readonly<Record<string, Float64Array>>,
    call: Call,
  ): Expected;
  /** The shape of a mask to run it with too; default: all axes of x but the last, where x has more than two. null: none. */
  readonly mask?: readonly number[] | null;
  /** Weights to run it with, where random ones of the spread that they start with do not do. */
  weights?(name: string, values: Float64Array): Float64Array;
  /** Inputs on which it is not differentiable, or not defined, are kept away from: applied to each value of the random x. */
  input?(value: number): number;
  /** Where false, evaluation is the same as training, and is not run again. Default: whether something is kept. */
  readonly evaluates?: boolean;
  /** What float32 is allowed to differ by, relative to the largest value. Default 2e-5, and ten times that for gradients. */
  readonly tolerance?: number;
}

/** The index of each element along an axis, and the element's place without that axis: for plain loops over any layout. */
export function positions(shape: readonly number[]): number[][] {
  const all: number[][] = [];
  for (let i = 0; i < sizeOf(shape); i++) {
    const position: number[] = [];
    let rest = i;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position[axis] = rest % shape[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    all.push(position);
  }
  return all;
}

/** Elements by what they have in common: for each key, the indexes that have it and that the mask lets count. */
export function groupsBy(
  shape: readonly number[],
  key: (position: readonly number[]) => string | number,
  mask?: Float64Array,
): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  positions(shape).forEach((position, i) => {
    const name = String(key(position));
    if (!groups.has(name)) groups.set(name, []);
    if (mask?.[i] !== 0) groups.get(name)?.push(i);
  });
  return groups;
}

export function average(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;
}

/** xHat over such groups: (x − mean)/√(variance + epsilon), or without the mean; and the statistics by key. */
export function standardized(
  { shape, data }: Values64,
  key: (position: readonly number[]) => string | number,
  { epsilon, centered = true, mask }: { epsilon: number; centered?: boolean; mask?: Float64Array },
) {
  const xHat = new Float64Array(data.length);
  const statistics = new Map<string, { mean: number; variance: number; count: number }>();
  for (const [name, indexes] of groupsBy(shape, key, mask)) {
    const values = indexes.map((i) => data[i]);
    const mean = centered ? average(values) : 0;
    const variance = average(values.map((value) => (value - mean) ** 2));
    statistics.set(name, { mean, variance, count: values.length });
    for (const i of indexes) xHat[i] = (data[i] - mean) / Math.sqrt(variance + epsilon);
  }
  return { xHat, statistics };
}

/** y = xHat·gamma + beta with parameters by key (a flat index); 0 where masked. */
export function scaled(
  shape: readonly number[],
  xHat: ArrayLike<number>,
  index: (position: readonly number[]) => number,
  { gamma, beta }: Readonly<Record<string, Float64Array | undefined>>,
  mask?: Float64Array,
): Float64Array {
  return Float64Array.from(positions(shape), (position, i) => {
    if (mask && mask[i] === 0) return 0;
    const p = index(position);
    return xHat[i] * (gamma ? gamma[p] : 1) + (beta ? beta[p] : 0);
  });
}
