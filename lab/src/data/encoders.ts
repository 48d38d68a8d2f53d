/**
 * From the columns of a table to the inputs of a network. Whatever is learnt from the data (means, deviations, the
 * levels of text) is learnt from the training rows alone.
 */
import { biasedVariance, momentsOf } from "evenkeel";
import { UsageError } from "../errors.js";
import { type Column, looksNumeric } from "./column.js";

const MOST_LEVELS = 100;
const MOST_FLOAT32 = 3.4028234663852886e38;

/** One or more inputs made from one column: their names, and what writes them for one row into x from `at` on. */
export interface Encoder {
  names: string[];
  write(row: number, x: Float32Array, at: number): void;
}

/** The numbers of a column [rowCount], NaN where they are missing. Throws UsageError at the first value that is not a number, or not finite in float32. */
export function numbers(column: Column): Float64Array {
  return Float64Array.from(column.values, (value, row) => {
    if (value === null) return Number.NaN;
    if (typeof value === "number" && Math.abs(value) <= MOST_FLOAT32) return value;
    throw new UsageError(
      typeof value === "number" || looksNumeric(value)
        ? `row ${row + 1}, column "${column.name}": expected a finite number, at most 3.4e38 in size, got ${JSON.stringify(String(value))}; correct the value, or leave it empty where it is missing`
        : `row ${row + 1}, column "${column.name}": expected a number, got ${JSON.stringify(value)}; correct the value, or name the column with --categorical ${argument(column.name)}`,
    );
  });
}

/**
 * Mean and standard deviation (the biased one) of `values` [rowCount] over the training rows, without NaN. The
 * deviation is exactly 0 where they do not vary.
 */
export function standardize(
  values: Float64Array,
  train: readonly number[],
): { mean: number; deviation: number } {
  const present = train.map((row) => values[row]).filter((value) => !Number.isNaN(value));
  // exactly 0, which rounding in the mean could miss
  if (present.every((value) => value === present[0])) return { mean: present[0] ?? 0, deviation: 0 };
  const moments = momentsOf(present);
  return { mean: moments.mean, deviation: Math.sqrt(biasedVariance(moments)) };
}

/** One input of mean 0 and standard deviation 1 over the training rows; undefined where the column is constant in them. */
export function standardized(column: Column, train: readonly number[]): Encoder | undefined {
  const values = numbers(column);
  const { mean, deviation } = standardize(values, train);
  if (deviation === 0) return undefined;
  return {
    names: [column.name],
    write(row, x, at) {
      x[at] = Number.isNaN(values[row]) ? 0 : inFloat32((values[row] - mean) / deviation, column, row);
    },
  };
}

/** Passes a standardized value through; throws UsageError where one far outside the training rows overflowed float32. */
export function inFloat32(value: number, column: Column, row: number): number {
  if (Number.isFinite(Math.fround(value))) return value;
  throw new UsageError(
    `row ${row + 1}, column "${column.name}": ${column.values[row]} is too far from the training rows' values to be standardized; correct the value, or leave it empty where it is missing`,
  );
}

/** One input per level found in the training rows, 1 where the row has it; undefined where there is a single level. */
export function oneHot(column: Column, train: readonly number[]): Encoder | undefined {
  const present = column.values.filter((value) => value !== null);
  const count = new Set(present.map(String)).size;
  if (count > MOST_LEVELS) {
    throw new UsageError(
      `column "${column.name}": expected at most ${MOST_LEVELS} different texts for one-hot inputs, got ${count}; leave it out with --ignore ${argument(column.name)}`,
    );
  }
  const inTrain = new Set(train.map((row) => column.values[row]));
  const levels = [...new Set([...inTrain].filter((value) => value !== null).map(String))].sort(byLevel);
  const gap = inTrain.has(null) ? levels.length : -1;
  const names = levels.map((level) => `${column.name}=${level}`);
  if (gap >= 0) names.push(`${column.name}=(missing)`);
  if (names.length < 2) return undefined;
  const indexOf = new Map(levels.map((level, index) => [level, index]));
  return {
    names,
    write(row, x, at) {
      const value = column.values[row];
      const index = value === null ? gap : (indexOf.get(String(value)) ?? -1);
      if (index >= 0) x[at + index] = 1;
    },
  };
}

/**
 * All columns as the pixels of an image, divided by the largest of the training rows; a missing one becomes its column's
 * mean. `text` is a column among them that holds no numbers.
 */
export function pixels(
  columns: Column[],
  train: readonly number[],
  [height, width]: [number, number],
  text: Column | undefined,
): Encoder {
  if (text) {
    throw new UsageError(
      `--image: expected pixels in every feature column, got text or categories in "${text.name}"; leave it out with --ignore ${argument(text.name)}`,
    );
  }
  if (!(Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0)) {
    throw new UsageError(
      `--image: expected a height and a width of at least 1 pixel each, got ${height}x${width}`,
    );
  }
  if (height * width !== columns.length) {
    throw new UsageError(
      `--image ${height}x${width}: expected ${height * width} columns of pixels, got ${columns.length} feature columns; correct the size, or leave columns out with --ignore`,
    );
  }
  const planes = columns.map((column) => {
    const values = numbers(column);
    const { mean } = standardize(values, train);
    return values.map((value, row) => {
      if (value < 0) {
        throw new UsageError(
          `row ${row + 1}, column "${column.name}": expected a pixel of 0 or more, got ${value}; correct the value, or leave out --image`,
        );
      }
      return Number.isNaN(value) ? mean : value;
    });
  });
  let most = 0;
  for (const plane of planes) for (const row of train) most = Math.max(most, plane[row]);
  if (most === 0) {
    throw new UsageError("--image: expected pixels that vary, got 0 in every training row; check --ignore");
  }
  return {
    names: columns.map((column) => column.name),
    write(row, x, at) {
      for (const [index, plane] of planes.entries()) x[at + index] = plane[row] / most;
    },
  };
}

/** Orders levels: numbers by value, then text by its characters. */
export function byLevel(a: string, b: string): number {
  const difference = Number(a) - Number(b);
  if (!Number.isNaN(difference)) return difference;
  const order = Number(Number.isNaN(Number(a))) - Number(Number.isNaN(Number(b)));
  return order !== 0 ? order : a < b ? -1 : 1;
}

/** A name as one would type it after an option. */
function argument(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : JSON.stringify(name);
}
