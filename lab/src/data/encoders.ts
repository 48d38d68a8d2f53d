/**
 * From one column of a table to inputs of a network, in two steps: what is to be done is found once, as plain JSON, and
 * done to any table by one function, that of the training and any that comes later. Numbers are centred and scaled, and
 * levels found, by all rows that are used: neither sees the target, and what a trial learns from the data (means,
 * deviations) it learns again from its own training part.
 */

import { count, listed } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { FIRST_TOKEN } from "./form.js";
import { byLevel } from "./levels.js";
import { argument } from "./names.js";
import { meanAndDeviation } from "./standardize.js";
import type { Column, Kind, Table, Value, Written } from "./table.js";
import { tokensOf, type Vocabulary, vocabularyOf } from "./texts.js";

/** Some inputs made from a value: plain JSON. What no value of the training was has an encoding too. */
export type Part =
  /** One: the number, or the year of a date, less `mean` and over `deviation`, in units of `size`; NaN where missing. */
  | { kind: "number"; of: "value" | "year"; size: number; mean: number; deviation: number }
  /** Two, sine and cosine: the month or the time of day on a circle; a missing date is at its centre. */
  | { kind: "circle"; of: "month" | "hour" }
  /** One for each of these days (from 0, Monday), 1 on it; none on any other. */
  | { kind: "weekday"; days: number[] }
  /** One: 1 where there is a value; where there is none. */
  | { kind: "given" }
  | { kind: "missing" }
  /** One for each level, 1 where the value is that; then one for all others, and one for missing values, where there are such inputs. */
  | { kind: "levels"; levels: string[]; other: boolean; missing: boolean }
  /** One: the number of the category, from 1 in the order of `levels`; 0 for any other, and where missing. */
  | { kind: "category"; levels: string[] }
  /** One: the pixel over `most`, `mean` where missing. */
  | { kind: "pixel"; mean: number; most: number }
  /** `length`: the numbers of the text's first words, from 2 in the order of `words`; 1 for any other, 0 after the last. */
  | { kind: "tokens"; words: string[]; length: number };

/** How one column becomes inputs: plain JSON. */
export interface Encoder {
  column: string;
  kind: Kind;
  written?: Written;
  parts: Part[];
}

/** What was made from one column, or from the pixels of an image. */
export interface Encoded {
  /** As the report lists it: "a number", "20 levels and other". */
  how: string;
  /** One per input, but of a text a single one. */
  names: string[];
  /** [inputs]: whether a trial standardizes it. */
  scaled: boolean[];
  encoders: Encoder[];
}

const LONGEST_LEVEL = 60;
const MONTHS = 12;
const MS_PER_DAY = 86_400_000;
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

export function widthOf(part: Part): number {
  switch (part.kind) {
    case "circle":
      return 2;
    case "weekday":
      return part.days.length;
    case "levels":
      return part.levels.length + Number(part.other) + Number(part.missing);
    case "tokens":
      return part.length;
    default:
      return 1;
  }
}

/** Writes the inputs of one value into x, which is 0 there, from `at` on; NaN for one that a trial standardizes and that is missing. */
type Write = (value: Value, x: Float32Array, at: number) => void;

function writerOf(part: Part): Write {
  switch (part.kind) {
    case "number": {
      const { size, mean, deviation } = part;
      const of = part.of === "year" ? yearOf : (value: number) => value;
      return (value, x, at) => {
        x[at] = value === null ? Number.NaN : (of(value as number) / size - mean) / (deviation || 1);
      };
    }
    case "circle": {
      const turn = part.of === "month" ? monthTurn : hourTurn;
      return (value, x, at) => {
        if (value === null) return;
        x[at] = Math.sin(2 * Math.PI * turn(value as number));
        x[at + 1] = Math.cos(2 * Math.PI * turn(value as number));
      };
    }
    case "weekday":
      return (value, x, at) => {
        const index = value === null ? -1 : part.days.indexOf(weekdayOf(value as number));
        if (index >= 0) x[at + index] = 1;
      };
    case "given":
    case "missing":
      return (value, x, at) => {
        x[at] = Number((value === null) === (part.kind === "missing"));
      };
    case "levels": {
      const { levels, other, missing } = part;
      const indexOf = new Map(levels.map((level, index) => [level, index]));
      const otherAt = other ? levels.length : -1;
      const missingAt = missing ? levels.length + Number(other) : -1;
      return (value, x, at) => {
        const index = value === null ? missingAt : (indexOf.get(String(value)) ?? otherAt);
        if (index >= 0) x[at + index] = 1;
      };
    }
    case "category": {
      const numbers = new Map(part.levels.map((level, index) => [level, index + 1]));
      return (value, x, at) => {
        x[at] = value === null ? 0 : (numbers.get(String(value)) ?? 0);
      };
    }
    case "pixel":
      return (value, x, at) => {
        x[at] = ((value as number | null) ?? part.mean) / part.most;
      };
    case "tokens": {
      const numbers = new Map(part.words.map((word, index) => [word, index + FIRST_TOKEN]));
      return (value, x, at) => {
        x.set(tokensOf(value as string | null, numbers, part.length), at);
      };
    }
  }
}

/** x [rows, inputs]: the inputs of these rows of a table, which has the columns of all encoders. */
export function inputsOf(
  encoders: readonly Encoder[],
  { columns }: Pick<Table, "columns">,
  rows: readonly number[],
): Float32Array {
  const byName = new Map(columns.map((column) => [column.name, column]));
  const inputs = encoders.flatMap(({ parts }) => parts.map(widthOf)).reduce((sum, width) => sum + width, 0);
  const x = new Float32Array(rows.length * inputs);
  let first = 0;
  for (const { column, parts } of encoders) {
    const values = byName.get(column)?.values;
    if (values === undefined) throw new RangeError(`inputsOf: table must have the column "${column}"`);
    for (const part of parts) {
      const write = writerOf(part);
      for (const [at, row] of rows.entries()) write(values[row], x, at * inputs + first);
      first += widthOf(part);
    }
  }
  return x;
}

/** One input of mean 0 and deviation 1 over `rows`, in float64 until then: timestamps keep their digits. Throws UsageError for an infinity. */
export function numeric(column: Column, table: Table, rows: readonly number[]): Encoded {
  return encoded(column, "a number", [column.name], [true], [standardized(column, table, rows, "value")]);
}

const encoded = (
  { name, kind }: Column,
  how: string,
  names: string[],
  scaled: boolean[],
  parts: Part[],
): Encoded => ({
  how,
  names,
  scaled,
  encoders: [{ column: name, kind, parts }],
});

function standardized(
  column: Column,
  table: Table,
  rows: readonly number[],
  of: "value" | "year",
): Part & { kind: "number" } {
  const at = (row: number) => {
    const value = column.values[row] as number | null;
    if (value === null) return Number.NaN;
    return of === "year" ? yearOf(value) : value;
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
  return { kind: "number", of, size, mean, deviation };
}

/** With one more input, 1 where there is no value. */
export function marked<T extends Encoded>(made: T, { name }: Column): T {
  const [{ parts, ...encoder }] = made.encoders;
  return {
    ...made,
    how: `${made.how}, and whether it is missing`,
    names: [...made.names, `${name} (missing)`],
    scaled: [...made.scaled, false],
    encoders: [{ ...encoder, parts: [...parts, { kind: "missing" }] }],
  };
}

/** Whether there is a value: one input. */
export const given = (column: Column): Encoded =>
  encoded(column, "whether there is a value", [`${column.name}=(given)`], [false], [{ kind: "given" }]);

/** How many rows have each level, and how many none; `inOrder` sorts levels in their declared order, or else by themselves. */
function levelsOf(column: Column, rows: readonly number[]) {
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
  return { times, missing, inOrder };
}

/** The `most` most frequent levels, in order; a level of one row says nothing of others. */
function frequent({ times, inOrder }: ReturnType<typeof levelsOf>, most: number): string[] {
  const several = [...times].filter(([, rows]) => rows > 1);
  several.sort(([a, rows], [b, others]) => others - rows || inOrder(a, b));
  return several
    .slice(0, most)
    .map(([level]) => level)
    .sort(inOrder);
}

/**
 * One input per level, 1 where the row has it: the `most` most frequent ones, in their declared order or else sorted;
 * then one for all others, if any, and one for missing values, if any. Of `all` levels, `merged` are "other".
 */
export function levels(
  column: Column,
  rows: readonly number[],
  most: number,
): Encoded & { all: number; merged: number } {
  const found = levelsOf(column, rows);
  const all = found.times.size;
  const kept = all <= most ? [...found.times.keys()].sort(found.inOrder) : frequent(found, most);
  const merged = all - kept.length;
  const others = [...(merged > 0 ? ["other"] : []), ...(found.missing > 0 ? ["missing"] : [])];
  const names = [
    ...kept.map((level) => `${column.name}=${short(level)}`),
    ...others.map((other) => `${column.name}=(${other})`),
  ];
  const how = listed([count(kept.length, "level"), ...others]);
  const scaled = names.map(() => false);
  const part: Part = { kind: "levels", levels: kept, other: merged > 0, missing: found.missing > 0 };
  return { ...encoded(column, how, names, scaled, [part]), all, merged };
}

/** One input, for a network to embed: the number of the value's category, of the `most` most frequent ones in at least two rows. There are `categories`. */
export function category(
  column: Column,
  rows: readonly number[],
  most: number,
): Encoded & { categories: number } {
  const kept = frequent(levelsOf(column, rows), most);
  const how = `${count(kept.length, "category", "categories")}, embedded`;
  const made = encoded(column, how, [column.name], [false], [{ kind: "category", levels: kept }]);
  return { ...made, categories: kept.length };
}

/**
 * Dates, by the parts that vary: the year (a number), the month and the time of day (a point on a circle each, so that
 * December is beside January), the weekday (one input each), and the time elapsed (a number). `varying` are their names.
 */
export function dateParts(
  column: Column,
  table: Table,
  rows: readonly number[],
): Encoded & { varying: string[] } {
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
  const varying: string[] = [];
  const names: string[] = [];
  const scaled: boolean[] = [];
  const parts: Part[] = [];
  const add = (what: string, part: Part, isScaled: boolean, of: readonly string[]) => {
    varying.push(what);
    names.push(...of.map((each) => `${name} (${each})`));
    scaled.push(...of.map(() => isScaled));
    parts.push(part);
  };
  const number = (what: string, of: "value" | "year") =>
    add(what, standardized(column, table, rows, of), true, [what]);
  const circle = (of: "month" | "hour") =>
    add(of, { kind: "circle", of }, false, [`${of}, sine`, `${of}, cosine`]);
  if (seen.year.size > 1) number("year", "year");
  if (seen.month.size > 1) circle("month");
  // dates of months or years fall on any weekday
  if (seen.day.size > 1 && weekdays.size > 1) {
    const days = [...weekdays].sort((a, b) => a - b);
    const named = days.map((day) => WEEKDAYS[day]);
    add("weekday", { kind: "weekday", days }, false, named);
  }
  if (times.size > 1) circle("hour");
  if (seen.month.size > 1 || seen.day.size > 1 || times.size > 1) number("elapsed", "value");
  return { ...encoded(column, `a date: ${varying.join(", ")}`, names, scaled, parts), varying };
}

/** A column of texts as the numbers of their words, in their order. Throws UsageError where texts have no words in common. */
export function tokens(column: Column, rows: readonly number[]): Encoded & Vocabulary {
  const found = vocabularyOf(column, rows);
  const { words, length } = found;
  const how = `the numbers of its first ${count(length, "word")}, of ${count(words.length, "known one")}`;
  const scaled = new Array<boolean>(length).fill(false);
  return { ...encoded(column, how, [column.name], scaled, [{ kind: "tokens", words, length }]), ...found };
}

const yearOf = (value: number): number => new Date(value).getUTCFullYear();

/** From 0, Monday. */
const weekdayOf = (value: number): number => (new Date(value).getUTCDay() + 6) % 7;

/** ms since midnight. */
const timeOfDay = (value: number): number => ((value % MS_PER_DAY) + MS_PER_DAY) % MS_PER_DAY;

/** Shares of a whole circle. */
const monthTurn = (value: number): number => new Date(value).getUTCMonth() / MONTHS;
const hourTurn = (value: number): number => timeOfDay(value) / MS_PER_DAY;

/** All columns as the pixels of an image, divided by the largest of `rows`; a missing one becomes its column's mean. Throws UsageError for what is no such image. */
export function pixels(
  columns: readonly Column[],
  table: Table,
  rows: readonly number[],
  [height, width]: [number, number],
): Encoded {
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
    encoders: columns.map(({ name, kind }, index) => ({
      column: name,
      kind,
      parts: [{ kind: "pixel", mean: means[index], most }],
    })),
  };
}

const short = (level: string): string =>
  level.length > LONGEST_LEVEL ? `${level.slice(0, LONGEST_LEVEL - 1)}…` : level;
