/**
 * From one column of a table to inputs of a network. Numbers are centred and scaled, and levels found, by all rows that
 * are used: neither sees the target, and what a trial learns from the data (means, deviations) it learns again from its
 * own training part.
 */
import { count, listed } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { byLevel } from "./levels.js";
import { argument } from "./names.js";
import { meanAndDeviation } from "./standardize.js";
import type { Column, Table } from "./table.js";

/** One or more inputs made from one column. */
export interface Encoder {
  /** What was made of it, as the report lists it: "a number", "20 levels and other". */
  how: string;
  names: string[];
  /** [names]: whether a trial standardizes it. */
  scaled: boolean[];
  /** Writes the inputs of one row into x from `at` on; NaN for a scaled one that is missing. */
  write(row: number, x: Float32Array, at: number): void;
}

const LONGEST_LEVEL = 60;
const MONTHS = 12;
const MS_PER_DAY = 86_400_000;
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** One input of mean 0 and deviation 1 over `rows`, in float64 until then: timestamps keep their digits. Throws UsageError for an infinity. */
export function numeric(column: Column, table: Table, rows: readonly number[]): Encoder {
  const write = standardized(column, table, rows, (value) => value);
  return { how: "a number", names: [column.name], scaled: [true], write };
}

function standardized(
  column: Column,
  table: Table,
  rows: readonly number[],
  of: (value: number) => number,
): Encoder["write"] {
  const at = (row: number) => {
    const value = column.values[row];
    return value === null ? Number.NaN : of(value as number);
  };
  let most = 0;
  for (const row of rows) {
    const value = at(row);
    if (Math.abs(value) === Number.POSITIVE_INFINITY) {
      throw new UsageError(
        `row ${table.rowNumber(row)}, column "${column.name}": expected a finite number, got ${value}; correct the value, or leave it empty where it is missing`,
      );
    }
    most = Math.max(most, Math.abs(value) || 0);
  }
  // a power of two, so that nothing is rounded, and no sum or square over- or underflows
  const size = most > 0 ? 2 ** Math.floor(Math.log2(most)) : 1;
  const { mean, deviation } = meanAndDeviation(Float64Array.from(rows, (row) => at(row) / size));
  return (row, x, index) => {
    x[index] = (at(row) / size - mean) / (deviation || 1);
  };
}

/** With one more input, 1 where there is no value. */
export function marked<T extends Encoder>(encoder: T, { name, values }: Column): T {
  const { how, names, scaled, write } = encoder;
  return {
    ...encoder,
    how: `${how}, and whether it is missing`,
    names: [...names, `${name} (missing)`],
    scaled: [...scaled, false],
    write(row: number, x: Float32Array, at: number) {
      write(row, x, at);
      x[at + names.length] = values[row] === null ? 1 : 0;
    },
  };
}

/** Whether there is a value: one input. */
export function given(column: Column): Encoder {
  return {
    how: "whether there is a value",
    names: [`${column.name}=(given)`],
    scaled: [false],
    write(row, x, at) {
      x[at] = column.values[row] === null ? 0 : 1;
    },
  };
}

/**
 * One input per level, 1 where the row has it: the `most` most frequent ones, in their declared order or else sorted;
 * then one for all others, if any, and one for missing values, if any. Of `all` levels, `merged` are "other".
 */
export function levels(
  column: Column,
  rows: readonly number[],
  most: number,
): Encoder & { all: number; merged: number } {
  const times = new Map<string, number>();
  let missing = 0;
  for (const row of rows) {
    const value = column.values[row];
    if (value === null) missing++;
    else times.set(String(value), (times.get(String(value)) ?? 0) + 1);
  }
  const place = new Map(column.levels?.map((level, index) => [level, index]));
  const inOrder = (a: string, b: string) =>
    (place.get(a) ?? place.size) - (place.get(b) ?? place.size) || byLevel(a, b);
  const all = [...times.keys()].sort(inOrder);
  const kept =
    all.length <= most
      ? all
      : all
          // a level of one row says nothing of others; sorting is stable
          .filter((level) => (times.get(level) ?? 0) > 1)
          .sort((a, b) => (times.get(b) ?? 0) - (times.get(a) ?? 0))
          .slice(0, most)
          .sort(inOrder);
  const merged = all.length - kept.length;
  const names = kept.map((level) => `${column.name}=${short(level)}`);
  const other = merged > 0 ? names.push(`${column.name}=(other)`) - 1 : -1;
  const gap = missing > 0 ? names.push(`${column.name}=(missing)`) - 1 : -1;
  const indexOf = new Map(kept.map((level, index) => [level, index]));
  return {
    how: listed([
      count(kept.length, "level"),
      ...(merged > 0 ? ["other"] : []),
      ...(missing > 0 ? ["missing"] : []),
    ]),
    names,
    scaled: names.map(() => false),
    all: all.length,
    merged,
    write(row, x, at) {
      const value = column.values[row];
      const index = value === null ? gap : (indexOf.get(String(value)) ?? other);
      if (index >= 0) x[at + index] = 1;
    },
  };
}

/**
 * Dates, by the parts that vary: the year (a number), the month and the time of day (a point on a circle each, so that
 * December is beside January), the weekday (one input each), and the time elapsed (a number). `parts` are their names.
 */
export function dateParts(
  column: Column,
  table: Table,
  rows: readonly number[],
): Encoder & { parts: string[] } {
  const { name, values } = column;
  const seen = { year: new Set<number>(), month: new Set<number>(), day: new Set<number>() };
  const weekdays = new Set<number>();
  const times = new Set<number>();
  for (const row of rows) {
    const value = values[row] as number | null;
    if (value === null) continue;
    const date = new Date(value);
    seen.year.add(date.getUTCFullYear());
    seen.month.add(date.getUTCMonth());
    seen.day.add(date.getUTCDate());
    weekdays.add(weekdayOf(value));
    times.add(timeOfDay(value));
  }
  const parts: string[] = [];
  const names: string[] = [];
  const scaled: boolean[] = [];
  const writers: { width: number; write: Encoder["write"] }[] = [];
  const number = (part: string, of: (value: number) => number) => {
    parts.push(part);
    names.push(`${name} (${part})`);
    scaled.push(true);
    writers.push({ width: 1, write: standardized(column, table, rows, of) });
  };
  /** `turn` is the share of a whole circle; a missing date is at its centre. */
  const circle = (part: string, turn: (value: number) => number) => {
    parts.push(part);
    names.push(`${name} (${part}, sine)`, `${name} (${part}, cosine)`);
    scaled.push(false, false);
    const write: Encoder["write"] = (row, x, at) => {
      const value = values[row] as number | null;
      if (value === null) return;
      x[at] = Math.sin(2 * Math.PI * turn(value));
      x[at + 1] = Math.cos(2 * Math.PI * turn(value));
    };
    writers.push({ width: 2, write });
  };
  if (seen.year.size > 1) number("year", (value) => new Date(value).getUTCFullYear());
  if (seen.month.size > 1) circle("month", (value) => new Date(value).getUTCMonth() / MONTHS);
  // dates of months or years fall on any weekday
  if (seen.day.size > 1 && weekdays.size > 1) {
    const found = [...weekdays].sort((a, b) => a - b);
    parts.push("weekday");
    names.push(...found.map((day) => `${name} (${WEEKDAYS[day]})`));
    scaled.push(...found.map(() => false));
    const write: Encoder["write"] = (row, x, at) => {
      const value = values[row] as number | null;
      if (value !== null) x[at + found.indexOf(weekdayOf(value))] = 1;
    };
    writers.push({ width: found.length, write });
  }
  if (times.size > 1) circle("hour", (value) => timeOfDay(value) / MS_PER_DAY);
  if (seen.month.size > 1 || seen.day.size > 1 || times.size > 1) number("elapsed", (value) => value);
  return {
    how: `a date: ${parts.join(", ")}`,
    names,
    scaled,
    parts,
    write(row, x, at) {
      for (const { width, write } of writers) {
        write(row, x, at);
        at += width;
      }
    },
  };
}

/** From 0, Monday. */
function weekdayOf(value: number): number {
  return (new Date(value).getUTCDay() + 6) % 7;
}

/** ms since midnight. */
function timeOfDay(value: number): number {
  return ((value % MS_PER_DAY) + MS_PER_DAY) % MS_PER_DAY;
}

/** All columns as the pixels of an image, divided by the largest of `rows`; a missing one becomes its column's mean. Throws UsageError for what is no such image. */
export function pixels(
  columns: readonly Column[],
  table: Table,
  rows: readonly number[],
  [height, width]: [number, number],
): Encoder {
  const other = columns.find(({ kind }) => kind !== "number");
  if (other) {
    throw new UsageError(
      `--image: expected pixels in every input column, got ${other.kind === "text" ? "text" : "dates"} in "${other.name}"; leave it out with --ignore ${argument(other.name)}`,
    );
  }
  if (!(Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0)) {
    throw new UsageError(
      `--image: expected a height and a width of at least 1 pixel each, got ${height}x${width}`,
    );
  }
  if (height * width !== columns.length) {
    throw new UsageError(
      `--image ${height}x${width}: expected ${height * width} columns of pixels, got ${count(columns.length, "input column")}; correct the size, or leave columns out with --ignore`,
    );
  }
  let most = 0;
  const means = columns.map(({ name, values }) => {
    let sum = 0;
    let present = 0;
    for (const row of rows) {
      const value = values[row] as number | null;
      if (value === null) continue;
      if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) {
        throw new UsageError(
          `row ${table.rowNumber(row)}, column "${name}": expected a pixel of 0 or more, got ${value}; correct the value, or leave out --image`,
        );
      }
      sum += value;
      present++;
      most = Math.max(most, value);
    }
    return present === 0 ? 0 : sum / present;
  });
  if (most === 0) {
    throw new UsageError("--image: expected pixels that vary, got 0 in every row; check --ignore");
  }
  return {
    how: `pixels of ${height}×${width}`,
    names: columns.map(({ name }) => name),
    scaled: columns.map(() => false),
    write(row, x, at) {
      for (const [index, { values }] of columns.entries()) {
        x[at + index] = ((values[row] as number | null) ?? means[index]) / most;
      }
    },
  };
}

const short = (level: string): string =>
  level.length > LONGEST_LEVEL ? `${level.slice(0, LONGEST_LEVEL - 1)}…` : level;
