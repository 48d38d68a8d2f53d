/** A table that is hard on a database: names that break out of quotes, and numbers on which careless moments fail. */
import { expect } from "vitest";
import { Standardizer } from "../../src/standardizer/standardizer.js";
import { expectClose, normal, random } from "../support/numerics.js";

/** Names that SQL may stumble over. */
export const hostileNames = [
  "plain",
  "select",
  "Upper Case ",
  'double"quote',
  "it's",
  "back`tick",
  "back\\slash",
  "dot.ted",
  "dollar$1 {x} %s ? :name",
  'x"; DROP TABLE data; --',
  "line\nend",
  "größe 漢字 😀",
  // what the queries call things themselves
  "v0",
  "x1",
  "part",
  "count",
  "source_rows",
  "about0",
];

/** One value of every column, null for NULL. */
export type Row = (number | null)[];

const ROWS = 3000;

/** Spread 1 about means up to 10⁹, at every scale, gaps, constants, denormals; NULL and NaN in turns where there are gaps. */
export function hardTable(): { names: string[]; rows: Row[]; groups: (string | null)[] } {
  const next = random(50);
  const noise = normal(ROWS * hostileNames.length, 51);
  const kinds: ((value: number, row: number) => number | null)[] = [
    (value) => value,
    (value) => 1e9 + value,
    (value) => -1e-3 * value,
    () => 0.1,
    (value, row) => (row < 2000 ? null : 1e6 + value),
    (value) => (next() < 0.3 ? null : next() < 0.3 ? Number.NaN : value),
    () => null,
    (value) => value * 5e-324 * 2 ** 30,
    (value) => value * 1e150,
    (_, row) => (row === 7 ? 1e12 : row % 5),
    (_, row) => (row < 1500 ? Number.NaN : 1 / 3),
    (_, row) => (row === 9 ? -12.75 : null),
  ];
  const rows = Array.from({ length: ROWS }, (_, row) =>
    hostileNames.map((_, j) => kinds[j % kinds.length](noise[row * hostileNames.length + j], row)),
  );
  const groups = rows.map((_, row) => [null, "it's", "b", "ü"][row % 4]);
  return { names: [...hostileNames], rows, groups };
}

/** As a standardizer reads it. */
export function numbersOf(rows: readonly Row[]): number[][] {
  return rows.map((row) => row.map((value) => value ?? Number.NaN));
}

/** What a database says of rows is what they say themselves: counts to the bit, mean and variance within rounding. */
export function expectAlike(actual: Standardizer, rows: readonly Row[]): void {
  const expected = new Standardizer().fit(numbersOf(rows));
  expect([...actual.count]).toEqual([...expected.count]);
  expect([...actual.missing]).toEqual([...expected.missing]);
  const [mean, variance] = [expected.mean, expected.variance];
  expect([...actual.mean].map(Number.isNaN)).toEqual([...mean].map(Number.isNaN));
  const there = Array.from(mean, (_, j) => j).filter((j) => !Number.isNaN(mean[j]));
  const of = (values: Float64Array) => Float64Array.from(there, (j) => values[j]);
  const [m, v] = [of(mean), of(variance)];
  const eps = Number.EPSILON;
  expectClose("mean", of(actual.mean), m, (j) => 8 * eps * Math.abs(m[j]) + 1e-13 * Math.sqrt(v[j]) + 1e-321);
  // a variance feels the mean's rounding
  expectClose(
    "variance",
    of(actual.variance),
    v,
    (j) => 1e-12 * v[j] + 20 * eps * Math.abs(m[j]) * Math.sqrt(v[j]),
  );
  there.forEach((j) => {
    const values = numbersOf(rows).flatMap((row) => (Number.isNaN(row[j]) ? [] : [row[j]]));
    if (new Set(values).size > 1) return;
    expect([actual.mean[j], actual.variance[j]], `column ${j} is constant`).toEqual([mean[j], 0]);
  });
}
