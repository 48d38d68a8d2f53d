import { expect, test } from "vitest";
import type { ReadOptions } from "../../src/data/table.js";
import { applyReading, readOptionsOf, type TableReading, tableReading } from "../../src/datasets/reading.js";
import { toDataset } from "../../src/datasets/tabular.js";
import { errorOf } from "../support/files.js";
import { columnOf, rows, scattered, tableOf } from "../support/tables.js";

const N = 90;
const table = tableOf({
  size: rows(N, (i) => (i % 9 ? scattered(i) : null)),
  city: rows(N, (i) => `c${i % 25}`),
  grade: rows(N, (i) => ["None", "A"][i % 2]),
  when: rows(N, (i) => new Date(Date.UTC(2024, i % 12, 1 + (i % 20)))),
  due: rows(N, (i) => new Date(Date.UTC(2025, 0, 1 + ((7 * i) % 100)))),
});
const dataset = toDataset(table, { target: "due", missing: ["-1"] }, "");
const reading = JSON.parse(JSON.stringify(dataset.reading)) as TableReading;

test("a reading that was kept makes the same inputs of the same table", () => {
  expect(applyReading(reading, table)).toEqual(dataset.x);
});

test("the target as its file has it: days since 1970 of a date, and what 0 stands for", () => {
  const { y, yScale } = dataset;
  expect(reading.target).toMatchObject({ column: "due", kind: "date" });
  const first = Date.UTC(2025, 0, 1) / 86_400_000;
  expect(reading.target.center + yScale * y[0]).toBeCloseTo(first, 3);
});

test("how another file is to be read: kinds, levels, what the user said; the columns are named as they were", () => {
  const options = readOptionsOf(reading, { delimiter: ";" });
  expect(options).toMatchObject({ delimiter: ";", header: true, missing: ["-1"] });
  expect(options.known?.get("grade")).toEqual({ kind: "text", values: new Set(["A", "None"]) });
  expect(options.known?.get("when")).toEqual({ kind: "date" });
  expect(options.known?.has("due")).toBe(false);
  const european = { ...reading, columns: [{ ...reading.columns[0], written: { decimal: "," } as const }] };
  const writtenAs = (said: ReadOptions) => readOptionsOf(european, said).known?.get("size")?.written;
  expect(writtenAs({})).toEqual({ decimal: "," });
  expect(writtenAs({ decimal: "." })).toEqual({ decimal: "." });
  const unnamed = tableOf({ "column 1": [1, 2], "column 2": [3, 4] });
  const target = { column: "column 2", kind: "number", center: 0 } as const;
  expect(tableReading([], unnamed, target, {}).read).toEqual({ header: false });
});

test("columns of another kind are named; of empty ones any kind will do", async () => {
  const others = table.columns.filter(({ name }) => name !== "size");
  const withSize = (values: (string | null)[]) => ({
    ...table,
    columns: [...others, columnOf("size", values)],
  });
  expect(await errorOf(() => applyReading(reading, withSize(rows(N, () => "big"))))).toBe(
    'UsageError: test, column "size": expected numbers, as the network learnt from, got text; write it as in the file of the training',
  );
  const x = applyReading(reading, withSize(rows(N, () => null)));
  expect(x[0]).toBeNaN();
});
