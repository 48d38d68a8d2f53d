import { expect, test } from "vitest";
import { dateParts, type Encoder, given, levels, numeric, pixels } from "../../src/data/encoders.js";
import type { Value } from "../../src/data/table.js";
import { errorOf } from "../support/files.js";
import { columnOf, rows, tableOf } from "../support/tables.js";

/** [rows][inputs] */
function written(encoder: Encoder, count: number): number[][] {
  const width = encoder.names.length;
  const x = new Float32Array(count * width);
  for (let row = 0; row < count; row++) encoder.write(row, x, row * width);
  return rows(count, (row) => [...x.subarray(row * width, (row + 1) * width)]);
}
const upTo = (count: number) => rows(count, (row) => row);
const number = (values: Value[], used = upTo(values.length)) =>
  numeric(columnOf("a", values), tableOf({ a: values }), used);

test("numbers have mean 0 and deviation 1 over the rows that are used; a missing one is NaN", () => {
  const values = written(number([1, 3, null, 100], [0, 1, 2]), 4).flat();
  expect(values).toEqual([-1, 1, Number.NaN, 98]);
});

test("timestamps keep their digits: a millisecond in 10¹² is a step of its own", () => {
  const values = written(number(rows(1000, (i) => 1.7e12 + i)), 1000).flat();
  const steps = values.slice(1).map((value, index) => value - values[index]);
  for (const step of steps) expect(step).toBeCloseTo(steps[0], 6);
  expect(steps[0]).toBeGreaterThan(0.003);
});

test.each([1e308, 1e-320])("numbers as large and as small as a double has them: %g", (size) => {
  const values = written(number([-size, size, -size, size]), 4).flat();
  for (const [row, value] of values.entries()) expect(value).toBeCloseTo(row % 2 ? 1 : -1, 3);
});

test("a constant is 0", () => {
  expect(written(number([0.1, 0.1, 0.1]), 3).flat()).toEqual([0, 0, 0]);
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
  expect(written(encoder, 10).map((row) => row.indexOf(1))).toEqual([1, 0, 0, 1, 1, 2, 2, 3, 0, 2]);
  for (const row of written(encoder, 10)) expect(row.reduce((a, b) => a + b)).toBe(1);
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
  const encoder = given(columnOf("c", ["x", null, "y"]));
  expect(encoder.names).toEqual(["c=(given)"]);
  expect(written(encoder, 3)).toEqual([[1], [0], [1]]);
});

const dated = (texts: (string | null)[]) => {
  const values = texts.map((text) => (text === null ? null : new Date(text)));
  return dateParts(columnOf("d", values), tableOf({ d: values }), upTo(values.length));
};

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
  expect(dated(["1970-01-01", "1971-01-01"]).parts).toEqual(["year"]);
  expect(dated(["1970-01-01", "1970-02-01"]).parts).toEqual(["month", "elapsed"]);
  expect(dated(["1970-01-01", "1970-01-08"]).parts).toEqual(["elapsed"]);
  expect(dated(["1970-01-01T00:00Z", "1970-01-01T12:00Z"]).parts).toEqual(["hour", "elapsed"]);
  expect(dated(["1970-01-01", "1970-01-01"]).parts).toEqual([]);
});

test("dates in numbers: months and hours on a circle, before 1970 too, a missing one at the centre", () => {
  const all = written(dated(["1969-12-31T18:00Z", "1970-07-01T00:00Z", null]), 3);
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
  expect(written(encoder, 3)).toEqual([
    [0, 1],
    [0.5, 0.25],
    [0.25, 0.25],
  ]);
});
