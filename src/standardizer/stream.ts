/** The moments of each column of a stream, with forgetting. */
import { type Moments, merge } from "../moments.js";
import { convertRows, type Read, refuse } from "./table.js";

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
  { rows, features, data }: Read,
  forgetting: number,
  given?: ArrayLike<number>,
): void {
  const width = Math.min(features, BLOCK_COLUMNS);
  const height = Math.min(rows, Math.floor(BLOCK_VALUES / width), longest(forgetting));
  const decayed = new Float64Array(height);
  for (let age = 0; age < height; age++) decayed[age] = forgetting ** age;
  const block: Block = {
    values: new Float64Array(height * width),
    weights: new Float64Array(height),
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
      for (let row = 0; row < blockRows; row++) {
        block.weights[row] = decayed[blockRows - 1 - row] * (given ? given[top + row] : 1);
      }
      convertRows(caller, { features, data }, top, blockRows, left, columns, block.values);
      if (forgetting < 1) decay(state, left, columns, forgetting ** blockRows);
      sumBlock(caller, block, top, blockRows, left, columns);
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
  /** [rows, columns] */
  readonly values: Float64Array;
  /** [rows] */
  readonly weights: Float64Array;
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
  { values, weights, anchor, count, squares, missing, first, second }: Block,
  top: number,
  rows: number,
  left: number,
  columns: number,
): void {
  for (let j = 0; j < columns; j++) {
    let row = 0;
    while (row < rows - 1 && (weights[row] === 0 || Number.isNaN(values[row * columns + j]))) row++;
    anchor[j] = values[row * columns + j];
  }
  count.fill(0);
  squares.fill(0);
  missing.fill(0);
  first.fill(0);
  second.fill(0);
  for (let row = 0, at = 0; row < rows; row++, at += columns) {
    const weight = weights[row];
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
  for (let row = 0, at = 0; row < rows; row++, at += columns) {
    const weight = weights[row];
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
