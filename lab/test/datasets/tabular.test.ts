import { expect, test } from "vitest";
import type { DatasetOptions } from "../../src/datasets/dataset.js";
import { toDataset } from "../../src/datasets/tabular.js";
import { errorOf } from "../support/files.js";
import { rows, scattered, tableOf } from "../support/tables.js";

const N = 100;
const a = rows(N, (i) => scattered(i));
const label = rows(N, (i) => (scattered(i, Math.PI) > 0.5 ? "yes" : "no"));
const made = (columns: Parameters<typeof tableOf>[0], options: DatasetOptions = {}) =>
  toDataset(tableOf(columns), options, "made up");

test("categories are one input each, which no trial standardizes", () => {
  const city = rows(N, (i) => `c${i % 30}`);
  const { form, x, scaled, inputs } = made({ a, city, b: a.toReversed(), label });
  expect(form.input).toEqual({ kind: "features", shape: [3], categories: [{ at: 1, levels: 31 }] });
  expect([...scaled]).toEqual([1, 0, 1]);
  expect(inputs[1]).toEqual({ column: "city", how: "30 categories, embedded", names: ["city"] });
  const numbers = rows(N, (row) => x[3 * row + 1]);
  expect(new Set(numbers)).toEqual(new Set(rows(30, (i) => i + 1)));
  expect(rows(N, (row) => numbers[row] === numbers[row % 30])).not.toContain(false);
});

test("texts are tokens, and nothing else is an input", () => {
  const text = rows(N, (i) => `the ${["good", "bad", "late"][i % 3]} thing number${i} was here`);
  const { form, x, scaled, inputs } = made({ a, text, label }, { text: "text" });
  expect(form).toEqual({ input: { kind: "tokens", shape: [6], vocabulary: 8 }, outputs: [2] });
  expect(scaled).toEqual(new Uint8Array(6));
  expect(inputs.map(({ column, names }) => [column, names])).toEqual([["text", ["text"]]]);
  // the, thing, here and was are in every row, the three others in a third of them
  const known = ["here", "the", "thing", "was", "good", "bad", "late"];
  expect([...x.subarray(0, 6)]).toEqual([3, 6, 4, 1, 5, 2]);
  expect(known).toHaveLength((form.input.vocabulary ?? 0) - 1);
});

test("the numbers of things are no sizes: what is next to them gives nothing away", () => {
  // as sizes, those of a single row would be told by their neighbours
  const store_id = rows(N, (i) => (i < 60 ? Math.floor(i / 2) : i) * 7);
  const late = rows(N, (i) => (i >= 50 ? "yes" : "no"));
  const shuffled = rows(N, (i) => (37 * i) % N);
  const columns = { store_id: shuffled.map((i) => store_id[i]), a, late: shuffled.map((i) => late[i]) };
  const { warnings, inputs } = made(columns, { target: "late" });
  expect(inputs[0].how).toBe("30 categories, embedded");
  expect(warnings.join()).not.toContain("store_id");
});

test("too many values of texts: fewer inputs would not help", async () => {
  const text = rows(N, (i) => `some words of ${i} that are here`);
  expect(await errorOf(() => made({ text, label }, { text: "text", limits: { cells: 600 } }))).toBe(
    "UsageError: expected at most 600 values (rows × inputs), got 100 × 7; use fewer rows with --limit",
  );
});
