/** The moments of each column of a stream, with forgetting. */
import { type Moments, merge } from "../moments.js";
import { bufferFor, type Part, partOf, type Read, refuse } from "./table.js";

/** Moments per feature, float64 [features]; Σ weight², for the unbiased variance; and the weight of what is missing. */
export interface State {
  readonly count: Float64Array;
  readonly mean: Float64Array;
  readonly m2: Float64Array;
  readonly squares: Float64Array;
  readonly missing: Float64Array;
}

/** Below this fraction of the weight, the unbiased variance's divisor is rounding error: there is a single value. */
export const ONE_VALUE = 1e-12;

/**
 * Lower bound of decayed weights. The statistics of a feature that is missing for long remain, while 1e-100 is negligible
 * against a new value's weight of 1, and its square is far from underflow.
 */
const LEAST_WEIGHT = 1e-100;

/** A block, read twice, fits the cache: 256 KiB of float64, at most 512 columns wide. */
export const BLOCK_VALUES = 32768;
const BLOCK_COLUMNS = 512;

/** Merges all rows into the state, in place, a block at a time; row r weighs weights[r], and older rows less by forgetting. */
export function absorb(
  caller: string,
  state: State,
  input: Read,
  forgetting: number,
  weights?: ArrayLike<number>,
): void {
  const { rows, features } = input;
  const width = Math.min(features, BLOCK_COLUMNS);
  const height = Math.min(rows, Math.floor(BLOCK_VALUES / width), longest(forgetting));
  const ages = new Float64Array(height);
  for (let age = 0; age < height; age++) ages[age] = forgetting ** age;
  const buffer = bufferFor(input, height * width);
  const block: Block = {
    ages,
    weights,
    anchor: new Float64Array(width),
    count: new Float64Array(width),
    squares: new Float64Array(width),
    missing: new Float64Array(width),
    first: new Float64Array(width),
    second: new Float64Array(width),
  };
  for (let left = 0; left < features; left += width) {
    const columns = Math.min(width, features - left);
    for (let top = 0; top < rows; top += height) {
      const blockRows = Math.min(height, rows - top);
      const part = partOf(caller, input, top, blockRows, left, columns, buffer);
      if (forgetting < 1) decay(state, left, columns, forgetting ** blockRows);
      sumBlock(caller, part, block, top, blockRows, left, columns);
      const { anchor, count, squares, missing, first, second } = block;
      for (let j = 0; j < columns; j++) {
        state.missing[left + j] += missing[j];
        if (count[j] === 0) continue;
        const mean = anchor[j] + first[j] / count[j];
        const m2 = Math.max(0, second[j] - (first[j] * first[j]) / count[j]);
        add(state, left + j, { count: count[j], mean, m2 }, squares[j]);
      }
    }
  }
}

/** The most rows per block for which the oldest one's weight is not below LEAST_WEIGHT. */
function longest(forgetting: number): number {
  return forgetting === 1
    ? Number.POSITIVE_INFINITY
    : 1 + Math.floor(Math.log(LEAST_WEIGHT) / Math.log(forgetting));
}

function decay({ count, m2, squares, missing }: State, left: number, columns: number, factor: number): void {
  for (let j = left; j < left + columns; j++) {
    missing[j] *= factor;
    if (count[j] === 0) continue;
    const decayed = Math.min(1, Math.max(factor, LEAST_WEIGHT / count[j]));
    count[j] *= decayed;
    m2[j] *= decayed;
    squares[j] *= decayed * decayed;
  }
}

/** A block and its sums per column, float64 [columns]. */
interface Block {
  /** λ^age, [rows]. */
  readonly ages: Float64Array;
  /** Of all rows of the table; 1 for each where there are none. */
  readonly weights?: ArrayLike<number>;
  /** What `first` and `second` are centred about. */
  readonly anchor: Float64Array;
  /** Σ weight */
  readonly count: Float64Array;
  /** Σ weight² */
  readonly squares: Float64Array;
  /** Σ weight of the missing values */
  readonly missing: Float64Array;
  /** Σ weight · (value − anchor) */
  readonly first: Float64Array;
  /** Σ weight · (value − anchor)² */
  readonly second: Float64Array;
}

/**
 * Two passes: the first finds the mean as a distance from one of the column's values, so that the mean of equal values is
 * exactly that value; the second is centred about it. A row of weight 0 takes no part.
 */
function sumBlock(
  caller: string,
  { values, start, stride }: Part,
  { ages, weights, anchor, count, squares, missing, first, second }: Block,
  top: number,
  rows: number,
  left: number,
  columns: number,
): void {
  for (let j = 0; j < columns; j++) {
    let row = 0;
    while (row < rows - 1 && (weights?.[top + row] === 0 || Number.isNaN(values[start + row * stride + j])))
      row++;
    anchor[j] = values[start + row * stride + j];
  }
  count.fill(0);
  squares.fill(0);
  missing.fill(0);
  first.fill(0);
  second.fill(0);
  for (let row = 0, at = start; row < rows; row++, at += stride) {
    const weight = ages[rows - 1 - row] * (weights ? weights[top + row] : 1);
    for (let j = 0; j < columns; j++) {
      const value = values[at + j];
      if (Number.isFinite(value)) {
        // 0 · (value − anchor) is NaN where the distance overflows
        if (weight === 0) continue;
        count[j] += weight;
        squares[j] += weight * weight;
        first[j] += weight * (value - anchor[j]);
      } else if (Number.isNaN(value)) {
        missing[j] += weight;
      } else {
        refuse(caller, value, top + row, left + j);
      }
    }
  }
  for (let j = 0; j < columns; j++) {
    if (count[j] > 0) anchor[j] += first[j] / count[j];
    first[j] = 0;
  }
  for (let row = 0, at = start; row < rows; row++, at += stride) {
    const weight = ages[rows - 1 - row] * (weights ? weights[top + row] : 1);
    if (weight === 0) continue;
    for (let j = 0; j < columns; j++) {
      const distance = values[at + j] - anchor[j];
      if (Number.isNaN(distance)) continue;
      first[j] += weight * distance;
      second[j] += weight * distance * distance;
    }
  }
}

/** Merges moments into column j, in place. */
export function add(state: State, j: number, moments: Moments, squares: number): void {
  const { count, mean, m2 } = merge(momentsAt(state, j), moments);
  state.count[j] = count;
  state.mean[j] = mean;
  state.m2[j] = m2;
  state.squares[j] += squares;
}

export function momentsAt({ count, mean, m2 }: State, j: number): Moments {
  return { count: count[j], mean: mean[j], m2: m2[j] };
}

export function empty(features: number): State {
  const zeros = () => new Float64Array(features);
  return { count: zeros(), mean: zeros(), m2: zeros(), squares: zeros(), missing: zeros() };
}

export function copyOf({ count, mean, m2, squares, missing }: State): State {
  return {
    count: count.slice(),
    mean: mean.slice(),
    m2: m2.slice(),
    squares: squares.slice(),
    missing: missing.slice(),
  };
}
