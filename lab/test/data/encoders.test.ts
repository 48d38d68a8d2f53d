import { expect, test } from "vitest";
import {
  category,
  dateParts,
  type Encoded,
  given,
  inputsOf,
  levels,
  marked,
  numeric,
  pixels,
  tokens,
} from "../../src/data/encoders.js";
import type { Column, Value } from "../../src/data/table.js";
import { errorOf } from "../support/files.js";
import { columnOf, rows, tableOf } from "../support/tables.js";

/** [rows][inputs]: of JSON that was kept, and a table that is there later. */
function written({ encoders }: Encoded, ...columns: Column[]): number[][] {
  const count = columns[0].values.length;
  const x = inputsOf(JSON.parse(JSON.stringify(encoders)), { columns }, upTo(count));
  const width = x.length / count;
  return rows(count, (row) => [...x.subarray(row * width, (row + 1) * width)]);
}
const upTo = (count: number) => rows(count, (row) => row);
const number = (values: Value[], used = upTo(values.length)) =>
  numeric(columnOf("a", values), tableOf({ a: values }), used);
const numbers = (values: Value[], used?: number[]) =>
  written(number(values, used), columnOf("a", values)).flat();

test("numbers have mean 0 and deviation 1 over the rows that are used; a missing one is NaN", () => {
  const values = numbers([1, 3, null, 100], [0, 1, 2]);
  expect(values).toEqual([-1, 1, Number.NaN, 98]);
});

test("timestamps keep their digits: a millisecond in 10¹² is a step of its own", () => {
  const values = numbers(rows(1000, (i) => 1.7e12 + i));
  const steps = values.slice(1).map((value, index) => value - values[index]);
  for (const step of steps) expect(step).toBeCloseTo(steps[0], 6);
  expect(steps[0]).toBeGreaterThan(0.003);
});

test.each([1e308, 1e-320])("numbers as large and as small as a double has them: %g", (size) => {
  const values = numbers([-size, size, -size, size]);
  for (const [row, value] of values.entries()) expect(value).toBeCloseTo(row % 2 ? 1 : -1, 3);
});

test("a constant is 0", () => {
  expect(numbers([0.1, 0.1, 0.1])).toEqual([0, 0, 0]);
});

test("an infinity is named", async () => {
  expect(await errorOf(() => number([1, 2, Number.POSITIVE_INFINITY]))).toBe(
    'UsageError: row 3, column "a": expected a finite number, got Infinity; correct the value, or leave it empty where it is missing',
  );
});

test("levels: the most frequent, others, missing; sorted, numbers by their size", () => {
  const values = ["10", "9", "9", "10", "10", "x", "y", null, "9", "a"];
  const encoder = levels(columnOf("c", values), upTo(10), 2);
  expect(encoder).toMatchObject({
    how: "2 levels, other and missing",
    names: ["c=9", "c=10", "c=(other)", "c=(missing)"],
    scaled: [false, false, false, false],
    all: 5,
    merged: 3,
  });
  const all = written(encoder, columnOf("c", values));
  expect(all.map((row) => row.indexOf(1))).toEqual([1, 0, 0, 1, 1, 2, 2, 3, 0, 2]);
  for (const row of all) expect(row.reduce((a, b) => a + b)).toBe(1);
});

test("all levels are kept where there are no more than asked for; declared ones in their order", () => {
  const values = ["low", "high", "mid", "low"];
  const encoder = levels(columnOf("c", values, ["low", "mid", "high", "never"]), upTo(4), 3);
  expect(encoder).toMatchObject({ how: "3 levels", names: ["c=low", "c=mid", "c=high"], merged: 0 });
  expect(levels(columnOf("c", values), upTo(4), 3).names).toEqual(["c=high", "c=low", "c=mid"]);
});

test("a level of one row is other, where there are too many", () => {
  expect(levels(columnOf("c", ["a", "a", "b", "d"]), upTo(4), 2).names).toEqual(["c=a", "c=(other)"]);
});

test("whether there is a value", () => {
  const column = columnOf("c", ["x", null, "y"]);
  expect(given(column).names).toEqual(["c=(given)"]);
  expect(written(given(column), column)).toEqual([[1], [0], [1]]);
});

const dates = (texts: (string | null)[]) =>
  columnOf(
    "d",
    texts.map((text) => (text === null ? null : new Date(text))),
  );
const dated = (texts: (string | null)[]) =>
  dateParts(dates(texts), tableOf({ d: texts }), upTo(texts.length));

test("dates: the parts that vary", () => {
  expect(dated(["2023-01-02T06:00Z", "2024-04-09T18:00Z"])).toMatchObject({
    how: "a date: year, month, weekday, hour, elapsed",
    names: [
      "d (year)",
      "d (month, sine)",
      "d (month, cosine)",
      "d (Mon)",
      "d (Tue)",
      "d (hour, sine)",
      "d (hour, cosine)",
      "d (elapsed)",
    ],
    scaled: [true, false, false, false, false, false, false, true],
  });
  expect(dated(["1970-01-01", "1971-01-01"]).varying).toEqual(["year"]);
  expect(dated(["1970-01-01", "1970-02-01"]).varying).toEqual(["month", "elapsed"]);
  expect(dated(["1970-01-01", "1970-01-08"]).varying).toEqual(["elapsed"]);
  expect(dated(["1970-01-01T00:00Z", "1970-01-01T12:00Z"]).varying).toEqual(["hour", "elapsed"]);
  expect(dated(["1970-01-01", "1970-01-01"]).varying).toEqual([]);
});

test("dates in numbers: months and hours on a circle, before 1970 too, a missing one at the centre", () => {
  const texts = ["1969-12-31T18:00Z", "1970-07-01T00:00Z", null];
  const all = written(dated(texts), dates(texts));
  const near = (row: number[], expected: number[]) =>
    row.forEach((value, index) => {
      expect(value).toBeCloseTo(expected[index], 5);
    });
  // year, month (sine, cosine), Wed (both are), hour (sine, cosine), elapsed
  near(all[0], [-1, -0.5, 0.866025, -1, 0, -1]);
  near(all[1], [1, 0, -1, 0, 1, 1]);
  expect(all[2]).toEqual([Number.NaN, 0, 0, 0, 0, Number.NaN]);
});

test("pixels: divided by the largest, a missing one the mean of its column", () => {
  const columns = [columnOf("p", [0, 4, null]), columnOf("q", [8, 2, 2])];
  const encoder = pixels(columns, tableOf({ p: [0, 4, null] }), upTo(3), [1, 2]);
  expect(encoder).toMatchObject({ how: "pixels of 1×2", names: ["p", "q"], scaled: [false, false] });
  expect(written(encoder, ...columns)).toEqual([
    [0, 1],
    [0.5, 0.25],
    [0.25, 0.25],
  ]);
});

test("categories: numbers from 1 of those in several rows; 0 for a rare, an unknown and a missing one", () => {
  const values = ["b", "a", "b", "rare", null, "c", "c", "a", "a"];
  const made = category(columnOf("c", values), upTo(9), 3);
  expect(made).toMatchObject({ how: "3 categories, embedded", names: ["c"], scaled: [false], categories: 3 });
  expect(written(made, columnOf("c", values)).flat()).toEqual([2, 1, 2, 0, 0, 3, 3, 1, 1]);
  expect(written(made, columnOf("c", ["new", "c"])).flat()).toEqual([0, 3]);
  const two = category(columnOf("c", values), upTo(9), 2);
  expect(two.encoders[0].parts).toEqual([{ kind: "category", levels: ["a", "b"] }]);
});

test("what the training had not: a level is other, or none; a weekday none; whatever is missing is marked", () => {
  const column = columnOf("c", ["a", "a", "b", "b", "x"]);
  expect(written(levels(column, upTo(5), 2), columnOf("c", ["new", null, "b"]))).toEqual([
    [0, 0, 1],
    [0, 0, 0],
    [0, 1, 0],
  ]);
  expect(written(levels(column, upTo(5), 3), columnOf("c", ["new", null]))).toEqual([
    [0, 0, 0],
    [0, 0, 0],
  ]);
  // Monday and Tuesday, elapsed; then a Wednesday
  const made = marked(dated(["2024-01-01", "2024-01-02"]), dates([]));
  expect(written(made, dates(["2024-01-03", null]))).toEqual([
    [0, 0, 3, 0],
    [0, 0, Number.NaN, 1],
  ]);
});

test("texts: words from 2 by how many rows have them, 1 for any other, 0 behind the end", () => {
  const values = ["A b, b c", "a B", "b! a", "only here", null];
  const made = tokens(columnOf("t", values), upTo(5));
  expect(made).toMatchObject({
    how: "the numbers of its first 4 words, of 2 known ones",
    names: ["t"],
    scaled: [false, false, false, false],
    words: ["a", "b"],
  });
  expect(written(made, columnOf("t", ["B x a b a a", "", null]))).toEqual([
    [3, 1, 2, 3],
    [1, 0, 0, 0],
    [1, 0, 0, 0],
  ]);
});
