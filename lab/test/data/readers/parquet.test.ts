import { expect, test } from "vitest";
import { mutated, random } from "../../../../test/checkpoints/support/fuzz.js";
import { lz4Page } from "../../../src/data/readers/lz4.js";
import { readParquet } from "../../../src/data/readers/parquet.js";
import { drawn } from "../../../src/data/readers/sample.js";
import type { ReadOptions } from "../../../src/data/table.js";
import { FailureError, UsageError } from "../../../src/errors.js";
import { errorOf } from "../../support/files.js";
import { bytesOf, cellsOf, expectCuts, sourceOf } from "../../support/sources.js";

const read = (bytes: Uint8Array, options: ReadOptions = {}) =>
  readParquet(sourceOf("a.parquet", bytes), "a.parquet", options);

const WHEN = -3_598_500;
/** As test/fixtures/tables.py writes them. */
const TYPES = {
  i8: ["(number)", 1, null, -128, 127],
  u32: ["(number)", 1, null, 4294967295, 0],
  i64: ["(number)", 1, null, -9007199254740991, 2],
  // an identifier beyond 2⁵³ keeps its digits, and those beside it are text too
  id: ["(text)", "1", null, "9007199254740993", "2"],
  u64: ["(text)", "1", null, "18446744073709551615", "2"],
  f16: ["(number)", 1.5, null, -0.25, 65504],
  f32: ["(number)", 1.5, null, null, -2.25],
  f64: ["(number)", 0.1, null, null, 1e300],
  flag: ["(text)", "true", null, "false", "true"],
  dec: ["(number)", 19.99, null, -0.01, 100],
  huge: ["(number)", 1.5, null, Number("-123456789012345678901234.5"), 0],
  day: ["(date)", -86_400_000, null, Date.UTC(2024, 1, 29), new Date("0001-01-01").getTime()],
  ms: ["(date)", WHEN, null, WHEN, WHEN],
  us: ["(date)", WHEN, null, WHEN, WHEN],
  ns: ["(date)", WHEN, null, WHEN, WHEN],
  clock: ["(number)", 45_000.5, null, 0, 86_399],
  city: ["Oslo", null, "Bergen, æøå", ""],
  grade: ["low", null, "high", "low"],
  plain: ["ab", null, "cd", ""],
  "home.street.no": ["(number)", 1, null, null, 4],
  "home.zip": ["0150", null, null, "5003"],
  "embedding.0": ["(number)", 1.5, null, 3.5, 5.5],
  "embedding.1": ["(number)", 2.5, null, null, 6.5],
  y: ["(number)", 1, 2, 3, 4],
};
const DECISIONS = [
  { columns: ["clock"], what: "read as seconds since midnight" },
  { columns: ["bytes"], what: "left out", why: "bytes" },
  {
    columns: ["embedding"],
    what: "read as columns of their own",
    why: "lists of numbers, all of one length",
  },
  { columns: ["tags", "rooms"], what: "left out", why: "lists" },
  { columns: ["pairs"], what: "left out", why: "maps" },
];

test.each([
  ["types.parquet", "dictionaries, Snappy"],
  ["types-v2.parquet", "pages of version 2, Zstandard, two groups of rows"],
  ["types-delta.parquet", "no dictionaries: deltas, shared prefixes, split bytes, INT96, gzip"],
])("%s: %s", async (name) => {
  const table = await read(bytesOf(name));
  expect(cellsOf(table)).toEqual(TYPES);
  expect(table.rowCount).toBe(4);
  expect(table.rowNumbers).toBeUndefined();
  expect(table.decisions).toEqual(DECISIONS);
});

test.each(["brotli", "lz4", "none"])("%s", async (codec) => {
  const { i8, city, y } = TYPES;
  expect(cellsOf(await read(bytesOf(`${codec}.parquet`)))).toEqual({ i8, city, y });
});

test("LZ4 is in blocks of Hadoop, or one block alone", () => {
  const literals = [1, 2, 3, 0x80, 5, 6, 7, 8, 9];
  const block = [0x90, ...literals];
  const blocks = [0, 0, 0, 9, 0, 0, 0, 10, ...block, 0, 0, 0, 4, 0, 0, 0, 5, 0x40, 1, 2, 3, 4];
  expect([...lz4Page(Uint8Array.from(block), 9)]).toEqual(literals);
  expect([...lz4Page(Uint8Array.from(blocks), 13)]).toEqual([...literals, 1, 2, 3, 4]);
  for (const [bytes, length] of [
    [block, 8],
    [block, 10],
    [blocks, 14],
    [blocks.slice(0, -1), 13],
  ] as const) {
    expect(() => lz4Page(Uint8Array.from(bytes), length)).toThrow("its LZ4 data are damaged");
  }
});

test("of a sample, the rows that are drawn, and no more pages than hold them", async () => {
  const bytes = bytesOf("pages.parquet");
  const sample = 3;
  const source = sourceOf("pages.parquet", bytes);
  const table = await readParquet(source, "pages.parquet", { sample });
  const rows = [...(drawn(2000, sample) ?? [])];
  expect(table.rowCount).toBe(2000);
  expect(table.rowNumbers).toEqual(Int32Array.from(rows, (row) => row + 1));
  expect(cellsOf(table)).toEqual({
    n: ["(number)", ...rows],
    text: rows.map((row) => (row % 5 === 0 ? null : `text ${row}`)),
    "list.0": ["(number)", ...rows],
    "list.1": ["(number)", ...rows.map((row) => 0 - row)],
  });
  // every page but those that are needed may be damaged
  let damaged = 0;
  for (let at = 4; at < bytes.length - 3000; at += 600) {
    const copy = bytes.slice();
    copy[at] ^= 255;
    const [one, all] = await Promise.all([
      errorOf(() => read(copy, { sample: 1 })),
      errorOf(() => read(copy)),
    ]);
    if (one === "none" && all !== "none") damaged++;
  }
  expect(damaged).toBeGreaterThan(4);
});

test("all rows over pages and groups, and lists that go on in the next page", async () => {
  const { n, text, "list.1": list } = cellsOf(await read(bytesOf("pages.parquet")));
  const rows = Array.from({ length: 2000 }, (_, row) => row);
  expect(n).toEqual(["(number)", ...rows]);
  expect(text).toEqual(rows.map((row) => (row % 5 === 0 ? null : `text ${row}`)));
  expect(list).toEqual(["(number)", ...rows.map((row) => 0 - row)]);
});

test("pandas: an index comes first and keeps its name, categories are levels in their order", async () => {
  expect(Object.entries(cellsOf(await read(bytesOf("pandas.parquet"))))).toEqual([
    ["plot", ["p", "q"]],
    ["size", ["(number)", 1.5, 2.5]],
    ["grade", ["(text)", ["high", "low", "none"], "low", "high"]],
    ["floor", ["(text)", "3", "1"]],
  ]);
  const [[name, cells]] = Object.entries(cellsOf(await read(bytesOf("pandas-unnamed.parquet"))));
  expect([name, cells]).toEqual(["__index_level_0__", ["u", "v"]]);
});

test.each([
  [{ limits: { columns: 20 } }, "columns, got 25; write a file without those that are not needed"],
  [{ limits: { cells: 99 } }, "cells, got 100; read fewer rows with --limit, or allow more with --max-cells"],
  [
    { limits: { bytes: 20 } },
    "bytes once its texts are unpacked, got more; where it is to be trusted, allow more with --max-bytes",
  ],
])("%j", async (options, message) => {
  const [most] = Object.values(options.limits);
  expect(await errorOf(() => read(bytesOf("types.parquet"), options))).toBe(
    `UsageError: a.parquet: expected at most ${most} ${message}`,
  );
});

const none = bytesOf("none.parquet");
const damaged = (why: string) =>
  `FailureError: a.parquet: not a complete Parquet file (${why}); it may be truncated: fetch or write it again`;

/** A file whose metadata are these bytes. */
const withFooter = (...footer: number[]) =>
  Uint8Array.from([
    0x50,
    0x41,
    0x52,
    0x31,
    ...footer,
    footer.length & 255,
    footer.length >> 8,
    0,
    0,
    0x50,
    0x41,
    0x52,
    0x31,
  ]);

test.each([
  ["nothing", new Uint8Array(0), "it is too short"],
  ["its first bytes", none.subarray(0, 100), "it does not end in PAR1"],
  [
    "a footer longer than the file",
    Uint8Array.from([...none.subarray(0, -8), 255, 255, 255, 0, ...none.subarray(-4)]),
    "its metadata is longer than the file",
  ],
  [
    "a list of 2³⁰ entries in 5 bytes",
    withFooter(0x19, 0xfc, 255, 255, 255, 255, 3, 0),
    "its metadata declares 1073741823 bytes where 1 are left",
  ],
  ["lists within lists", withFooter(0x19, ...Array(900).fill(0x19), 0), "its metadata is nested too deep"],
  [
    "a number of a thousand bytes",
    withFooter(0x16, ...Array(1000).fill(0x80), 0),
    "a number in its metadata is too long",
  ],
  ["no schema", withFooter(0), "its bytes are damaged"],
])("%s", async (_, bytes, why) => {
  expect(await errorOf(() => read(bytes))).toBe(damaged(why));
});

test("an encrypted file", async () => {
  const bytes = bytesOf("none.parquet");
  bytes.set([0x50, 0x41, 0x52, 0x45], bytes.length - 4);
  expect(await errorOf(() => read(bytes))).toBe(
    "UsageError: a.parquet: expected a file without encryption, got an encrypted one; write it without, or as .csv",
  );
});

test("a run of 2³⁰ levels in a page of four values is no more than four", async () => {
  // bytes of the levels of y: their length, a run of 4, the value 1
  const at = none.findLastIndex((_, i) => [2, 0, 0, 0, 8, 1].every((byte, j) => none[i + j] === byte));
  expect(at).toBeGreaterThan(0);
  const bytes = none.slice();
  bytes[at + 4] = 255; // the value is part of the number now, and the run ends too early
  expect(await errorOf(() => read(bytes))).toBe(
    damaged('column "y": a page holds fewer values than it declares'),
  );
});

test.each(["none.parquet"])("%s, cut at every byte", async (name) => {
  expect(await expectCuts(bytesOf(name), read)).toEqual([]);
});

test.each(["types.parquet", "types-v2.parquet", "types-delta.parquet", "pages.parquet", "lz4.parquet"])(
  "%s, damaged 30 times",
  async (name) => {
    const next = random(name.length);
    const bytes = bytesOf(name);
    for (let i = 0; i < 30; i++) {
      await read(mutated(bytes, next), i % 3 ? {} : { sample: 2 }).catch((error: unknown) => {
        expect(error instanceof UsageError || error instanceof FailureError, String(error)).toBe(true);
        expect(String(error)).not.toMatch(/undefined|is not a|DataView|Invalid/);
      });
    }
  },
);
