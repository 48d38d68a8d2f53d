/** Outliers and a shift where they are said to be, and nowhere else. */
import { expect, test } from "vitest";
import { disturbed } from "../../src/data/disturbed.js";
import type { Column, Table } from "../../src/data/table.js";
import type { DatasetOptions } from "../../src/datasets/dataset.js";
import { datasetOf } from "../../src/datasets/registry.js";

const ROWS = 1000;
const column = (name: string, of: (row: number) => number | string | null): Column => {
  const values = Array.from({ length: ROWS }, (_, row) => of(row));
  return { name, kind: typeof values[0] === "string" ? "text" : "number", values };
};
const table: Table = {
  name: "made",
  columns: [
    column("load", (row) => (row % 10 === 3 ? null : row % 7)),
    column("site", (row) => (row % 2 ? "a" : "b")),
    column("when", (row) => row),
  ],
  rowCount: ROWS,
  fileRows: ROWS,
  rowNumber: (row) => row + 1,
  decisions: [],
};
const numbers = ({ columns }: Table, at = 0) => columns[at]?.values ?? [];
const load = numbers(table).filter((value) => typeof value === "number");
const mean = load.reduce((sum, value) => sum + value, 0) / load.length;
const deviation = Math.sqrt(load.reduce((sum, value) => sum + (value - mean) ** 2, 0) / load.length);

test("a share of the numbers is moved up or down, the same ones for a seed", () => {
  const outliers = { share: 0.1, size: 10, seed: 1 };
  const made = disturbed(table, { outliers }, ["when"]);
  const moves = numbers(made).flatMap((value, row) => {
    const before = numbers(table)[row];
    if (typeof before !== "number") {
      expect(value).toBeNull();
      return [];
    }
    return Math.round(((value as number) - before) / deviation);
  });
  const [up, down] = [10, -10].map((by) => moves.filter((move) => move === by).length / moves.length);
  expect(moves.every((move) => [0, 10, -10].includes(move))).toBe(true);
  expect(up).toBeGreaterThan(0.03);
  expect(down).toBeGreaterThan(0.03);
  expect((up ?? 0) + (down ?? 0)).toBeCloseTo(0.1, 1);
  for (const at of [1, 2]) expect(numbers(made, at)).toBe(numbers(table, at));
  expect(numbers(disturbed(table, { outliers }, ["when"]))).toEqual(numbers(made));
  expect(numbers(disturbed(table, { outliers: { ...outliers, seed: 2 } }))).not.toEqual(numbers(made));
  expect(made.decisions).toEqual([
    {
      columns: ["load"],
      what: "10 % of the values moved by 10 standard deviations, up or down",
      why: "as the recipe has it",
    },
  ]);
});

test("a shift raises all that comes after it, and nothing before", () => {
  const made = disturbed(table, { shift: { from: 0.8, by: 2 } });
  for (const [row, value] of numbers(made).entries()) {
    const before = numbers(table)[row];
    const expected = typeof before !== "number" ? before : row < 800 ? before : before + 2 * deviation;
    expect(value).toEqual(expected);
  }
  expect(made.decisions[0]?.what).toBe("all values from row 801 on raised by 2 standard deviations");
  expect(made.decisions[0]?.columns).toEqual(["load", "when"]);
});

test("a dataset is of the disturbed table; neither the target nor the time is changed", () => {
  const options = { target: "load", split: "time", time: "when" } as const;
  const plain = datasetOf(table, options, "here");
  const made = datasetOf(table, { ...options, disturb: { shift: { from: 0.5, by: 5 } } }, "here");
  expect(made.y).toEqual(plain.y);
  expect(made.parts.time).toEqual(plain.parts.time);
  const series: DatasetOptions = {
    task: "forecasting",
    ignore: ["site", "when"],
    horizon: 10,
    window: 20,
  };
  const [before, after] = [{}, { disturb: { shift: { from: 0.5, by: 5 } } }].map((more) =>
    datasetOf(table, { ...series, ...more }, "here"),
  );
  expect(after?.x).not.toEqual(before?.x);
  expect(after?.decisions.map(({ what }) => what)).toContain(
    "all values from row 501 on raised by 5 standard deviations",
  );
});
