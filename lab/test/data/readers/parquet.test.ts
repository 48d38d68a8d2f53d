import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { readTable } from "../../../src/node/file.js";
import { errorOf, write } from "../../support/files.js";

/** Written by pyarrow: people.parquet with zstd, nested.parquet with snappy. */
const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const people = readFileSync(fixture("people.parquet"));

const PEOPLE = {
  name: "people",
  rowCount: 4,
  columns: [
    { name: "age", kind: "number", values: [31, null, 45, 27] },
    { name: "height", kind: "number", values: [1.8, 1.7, null, 1.6] },
    { name: "city", kind: "text", values: ["Oslo", "Bergen", null, "Oslo"] },
    { name: "member", kind: "text", values: ["true", "false", "true", null] },
    {
      name: "joined",
      kind: "text",
      values: ["01", "02", "03", "04"].map((day) => `2020-01-${day}T00:00:00.000Z`),
    },
    { name: "label", kind: "text", values: ["yes", "no", "yes", "no"] },
  ],
};

test("integers, doubles, text, booleans, dates and dictionaries", async () => {
  expect(await readTable(fixture("people.parquet"))).toEqual(PEOPLE);
  expect(await readTable(write("people.parquet.gz", gzipSync(people)))).toEqual(PEOPLE);
});

test.each([
  [
    "cut.parquet",
    people.subarray(0, -10),
    "FailureError: cut.parquet: not a complete Parquet file (parquet file invalid (footer != PAR1)); it may be truncated: fetch or write it again",
  ],
  [
    "short.parquet",
    people.subarray(0, 5),
    "FailureError: short.parquet: not a complete Parquet file (parquet file is too short); it may be truncated: fetch or write it again",
  ],
  [
    "broken.parquet",
    Buffer.from(people).fill(7, 4, 300),
    "FailureError: broken.parquet: not a complete Parquet file (Offset is outside the bounds of the DataView); it may be truncated: fetch or write it again",
  ],
])("%s", async (name, bytes, message) => {
  expect(await errorOf(() => readTable(write(name, bytes)))).toBe(message);
});

test("lists in a column", async () => {
  expect(await errorOf(() => readTable(fixture("nested.parquet")))).toBe(
    'UsageError: nested.parquet: row 1, column "tags": expected a number, text, true, false or null, got a list; give each value in it a column of its own, or remove it from the file',
  );
});
