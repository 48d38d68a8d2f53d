import { dictionary, int32, tableFromArrays, tableToIPC, utf8 } from "@uwdata/flechette";
import { expect, test } from "vitest";
import { concatenated } from "../../../../src/checkpoints/encodings/zip.js";
import { mutated, random } from "../../../../test/checkpoints/support/fuzz.js";
import { readArrow } from "../../../src/data/readers/arrow.js";
import { lz4 } from "../../../src/data/readers/lz4.js";
import { zstd } from "../../../src/data/readers/zstd.js";
import type { ReadOptions } from "../../../src/data/table.js";
import { FailureError, UsageError } from "../../../src/errors.js";
import { errorOf } from "../../support/files.js";
import { bytesOf, cellsOf, expectCuts, sourceOf } from "../../support/sources.js";

const read = (bytes: Uint8Array, options: ReadOptions = {}) =>
  readArrow(sourceOf("a.arrow", bytes), "a.arrow", options);

const WHEN = -3_598_500;
/** As test/fixtures/tables.py writes them. */
const TYPES = {
  i8: ["(number)", 1, null, -128, 127],
  u32: ["(number)", 1, null, 4294967295, 0],
  i64: ["(number)", 1, null, -9007199254740991, 2],
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
  grade: ["(text)", ["low", "high"], "low", null, "high", "low"],
  plain: ["ab", null, "cd", ""],
  "home.street.no": ["(number)", 1, null, null, 4],
  "home.zip": ["0150", null, null, "5003"],
  "embedding.0": ["(number)", 1.5, null, 3.5, 5.5],
  "embedding.1": ["(number)", 2.5, null, null, 6.5],
  view: ["short", null, "a text of more than 12", "x"],
  runs: ["(number)", 5, 5, null, null],
  lasted: ["(number)", 1.5, null, 0, 0.001],
  "pair.0": ["(number)", 1, null, 3, 5],
  "pair.1": ["(number)", 2, null, 4, 6],
  y: ["(number)", 1, 2, 3, 4],
};

test.each([
  ["types.arrow", "a file"],
  ["lz4.arrows", "a stream with LZ4"],
  ["zstd.feather", "Feather with Zstandard"],
])("%s: %s, in two batches", async (name) => {
  const table = await read(bytesOf(name));
  expect(cellsOf(table)).toEqual(TYPES);
  expect(table.rowCount).toBe(4);
  expect(table.decisions).toEqual([
    { columns: ["clock"], what: "read as seconds since midnight" },
    { columns: ["bytes"], what: "left out", why: "bytes" },
    {
      columns: ["embedding", "pair"],
      what: "read as columns of their own",
      why: "lists of numbers, all of one length",
    },
    { columns: ["tags", "rooms"], what: "left out", why: "lists" },
    { columns: ["pairs"], what: "left out", why: "maps" },
    { columns: ["lasted"], what: "read as seconds" },
    { columns: ["either"], what: "left out", why: "unions" },
  ]);
});

test("a dictionary that grows", async () => {
  expect(cellsOf(await read(bytesOf("delta.arrows")))).toEqual({
    y: ["(number)", 0, 1, 0, 1, 2],
    level: ["(text)", ["a", "b", "c"], "a", "b", "a", "b", "c"],
  });
});

/** The messages of a stream of columns of levels, its schema first, without the mark of its end. */
function messagesOf(columns: Record<string, string[]>): Uint8Array[] {
  const types = Object.fromEntries(Object.keys(columns).map((name) => [name, dictionary(utf8(), int32())]));
  const stream = tableToIPC(tableFromArrays(columns, { types }), { format: "stream" }) as Uint8Array;
  const ends = [...cutsOf(stream)];
  return ends.map((end, index) => stream.slice(ends[index - 1] ?? 0, end));
}

test("a dictionary that is replaced: each batch has the one before it", async () => {
  const first = messagesOf({ level: ["a", "b"] });
  const second = messagesOf({ level: ["c", "a", "c"] });
  expect(cellsOf(await read(concatenated([...first, ...second.slice(1)])))).toEqual({
    level: ["(text)", ["a", "b", "c"], "a", "b", "c", "a", "c"],
  });
});

test("many batches with one large dictionary: its levels are gathered once", async () => {
  const large = messagesOf({ level: Array.from({ length: 40_000 }, (_, i) => `level ${i}`) });
  const [, , batch] = messagesOf({ level: ["a"] });
  const table = await read(concatenated([...large.slice(0, 2), ...Array<Uint8Array>(4000).fill(batch)]));
  expect(table.rowCount).toBe(4000);
  expect(table.columns[0].levels?.length).toBe(40_000);
  // once for each batch, it took twice as long
}, 8000);

test("many dictionaries: no batch has a list of them", async () => {
  const [schema, , second, batch] = messagesOf({ a: ["x", "y"], b: ["z", "x"] });
  const [a, b] = [messagesOf({ a: ["x", "y"] })[1], second];
  const table = tableOf(b, 8);
  const place = table.at + table.slot(4);
  const more = Array.from({ length: 15_000 }, (_, i) => {
    const message = b.slice();
    new DataView(message.buffer).setInt32(place, i + 2, true);
    return message;
  });
  expect(cellsOf(await read(concatenated([schema, a, b, ...more, batch])))).toEqual({
    a: ["(text)", ["x", "y"], "x", "y"],
    b: ["(text)", ["z", "x"], "z", "x"],
  });
});

test("dictionaries count among the cells", async () => {
  const messages = messagesOf({ a: ["x", "y", "z"], b: ["x", "y", "z"] });
  const one = (bytes: Uint8Array[]) => read(concatenated(bytes), { limits: { cells: 9 } });
  expect((await one(messages)).rowCount).toBe(3);
  const long = messagesOf({ a: [..."0123456"], b: [..."0123456"] });
  expect(await errorOf(() => one([...long.slice(0, -1), messages[messages.length - 1]]))).toBe(
    "UsageError: a.arrow: expected at most 9 cells, got 14; read fewer rows with --limit, or allow more with --max-cells",
  );
});

test("a file by its index alone: what Polars writes is no stream between the magic words", async () => {
  const bytes = bytesOf("types.arrow");
  expect(cellsOf(await read(bytes.fill(7, 8, 64)))).toEqual(TYPES);
});

test("a sample", async () => {
  const table = await read(bytesOf("types.arrow"), { sample: 2 });
  const rows = Array.from(table.rowNumbers ?? [], (row) => row - 1);
  expect(rows.length).toBe(2);
  expect(table.rowCount).toBe(4);
  const { y, city } = cellsOf(table);
  expect(y).toEqual(["(number)", ...rows.map((row) => row + 1)]);
  expect(city).toEqual(rows.map((row) => TYPES.city[row]));
});

test("a stream without a mark at its end may be cut off", async () => {
  const whole = bytesOf("delta.arrows");
  const { decisions } = await read(whole.subarray(0, -8));
  expect(decisions).toEqual([
    { columns: [], what: "read to its end", why: "it has no mark there, and may be cut off" },
  ]);
  expect((await read(whole)).decisions).toEqual([]);
});

test.each([
  [{ limits: { columns: 20 } }, "columns, got 29; write a file without those that are not needed"],
  [{ limits: { cells: 99 } }, "cells, got 116; read fewer rows with --limit, or allow more with --max-cells"],
  [
    { limits: { bytes: 20 } },
    "bytes once its texts are unpacked, got more; where it is to be trusted, allow more with --max-bytes",
  ],
])("%j", async (options, message) => {
  const [most] = Object.values(options.limits);
  expect(await errorOf(() => read(bytesOf("lz4.arrows"), options))).toBe(
    `UsageError: a.arrow: expected at most ${most} ${message}`,
  );
});

const damaged = (why: string) =>
  `FailureError: a.arrow: not a complete Arrow file (${why}); it may be truncated: fetch or write it again`;
const magic = [...new TextEncoder().encode("ARROW1")];

test.each([
  ["nothing", [], "it is empty"],
  ["its first word", magic, "it ends too early"],
  [
    "an index longer than the file",
    [...magic, 0, 0, 255, 255, 0, 0, ...magic],
    "its index is longer than the file",
  ],
  ["a message of 2 GB", [255, 255, 255, 255, 255, 255, 255, 127], "a message ends beyond the file"],
  // a root whose table of offsets is before the start
  [
    "a message that points elsewhere",
    [255, 255, 255, 255, 8, 0, 0, 0, 4, 0, 0, 0, 255, 255, 255, 127],
    "its bytes are damaged",
  ],
])("%s", async (_, bytes, why) => {
  expect(await errorOf(() => read(Uint8Array.from(bytes)))).toBe(damaged(why));
});

/** A table of the first message of a stream: that at its root, or the one in a field of it. */
function tableOf(bytes: Uint8Array, field?: number) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const table = (place: number) => {
    const at = place + view.getUint32(place, true);
    const offsets = at - view.getInt32(at, true);
    return { at, offsets, slot: (slot: number) => view.getUint16(offsets + slot, true) };
  };
  const root = table(8);
  return field === undefined ? root : table(root.at + root.slot(field));
}

test("big-endian", async () => {
  const bytes = bytesOf("delta.arrows");
  // the schema's first field is its order of bytes, which is left out: the vector of fields is taken for it
  const schema = tableOf(bytes, 8);
  new DataView(bytes.buffer).setUint16(schema.offsets + 4, schema.slot(6), true);
  expect(await errorOf(() => read(bytes))).toBe(
    "UsageError: a.arrow: expected an Arrow file that can be read, got one in big-endian order; write it as .parquet",
  );
});

test("an index that lists one batch a hundred times", async () => {
  const bytes = bytesOf("types.arrow");
  const length = new DataView(bytes.buffer).getInt32(bytes.length - 10, true);
  const index = bytes.slice(-10 - length, -10);
  const view = new DataView(index.buffer);
  const root = view.getUint32(0, true);
  const slot = root + view.getUint16(root - view.getInt32(root, true) + 10, true);
  const batches = slot + view.getUint32(slot, true);
  view.setUint32(slot, index.length - slot, true);
  const count = 100;
  const block = index.slice(batches + 4, batches + 28);
  const tail = new Int32Array([length + 4 + 24 * count]);
  const more = [
    Uint8Array.of(count, 0, 0, 0),
    ...Array<Uint8Array>(count).fill(block),
    new Uint8Array(tail.buffer),
  ];
  const file = concatenated([bytes.slice(0, -10 - length), index, ...more, Uint8Array.from(magic)]);
  expect(await errorOf(() => read(file))).toBe(damaged("its index lists more than the file holds"));
});

test("a schema that says one long name 20,000 times", async () => {
  const [count, length] = [20_000, 1_000_000];
  const field = 60 + 4 * count;
  const message = new Uint8Array(field + 16 + length).fill(120);
  const view = new DataView(message.buffer);
  const words = (at: number, ...values: number[]) => {
    for (const [i, value] of values.entries()) view.setInt16(at + 2 * i, value, true);
  };
  const number = (at: number, value: number) => view.setUint32(at, value, true);
  // each table after its offsets: the message, its schema, and a field of type Bool
  number(0, 16);
  words(4, 12, 16, 4, 6, 8, 0, 12, 0, 4, 1);
  number(24, 12);
  words(28, 8, 8, 0, 4, 8, 0, 4, 0);
  number(44, count);
  for (let at = 48; at < 48 + 4 * count; at += 4) number(at, field - at);
  words(field - 12, 12, 12, 4, 0, 8, 0, 12, 0, 8, 0, 6, 0);
  number(field + 12, length);
  const start = new Int32Array([-1, message.length]);
  expect(await errorOf(() => read(concatenated([new Uint8Array(start.buffer), message])))).toBe(
    damaged("its schema is too large"),
  );
});

test("a file is refused wherever it is cut; of a stream, only what ends between two messages is read", async () => {
  const read4 = (bytes: Uint8Array) => read(bytes, { limits: { columns: 100 } });
  expect(await expectCuts(bytesOf("delta.arrows"), read4)).toEqual([...cutsOf(bytesOf("delta.arrows"))]);
  expect(await expectCuts(bytesOf("types.arrow").subarray(0, 3000), read4)).toEqual([]);
});

/** Where a stream's messages end, and its mark is whole. */
function* cutsOf(bytes: Uint8Array): Generator<number> {
  const view = new DataView(bytes.buffer);
  for (let at = 0; ; ) {
    const length = view.getInt32(at + 4, true);
    if (length === 0) return;
    const root = at + 8 + view.getUint32(at + 8, true);
    const offsets = root - view.getInt32(root, true);
    const body = view.getUint16(offsets, true) > 10 ? view.getUint16(offsets + 10, true) : 0;
    at += 8 + length + (body === 0 ? 0 : Number(view.getBigInt64(root + body, true)));
    yield at;
  }
}

test.each(["types.arrow", "lz4.arrows", "zstd.feather", "delta.arrows"])(
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

/** A frame of LZ4 with one block. */
const frame = (block: number[], size = block.length) =>
  Uint8Array.from([
    4,
    0x22,
    0x4d,
    0x18,
    0x60,
    0x40,
    0x82,
    size & 255,
    (size >> 8) & 255,
    0,
    size >>> 24,
    ...block,
    0,
    0,
    0,
    0,
  ]);

test("LZ4: literals, a match that overlaps itself, and lengths beyond 15", () => {
  expect([...lz4(frame([0x11, 7, 1, 0]), 6)]).toEqual([7, 7, 7, 7, 7, 7]);
  expect([...lz4(frame([0x1f, 7, 1, 0, 5, 0x10, 9]), 26)]).toEqual([...Array(25).fill(7), 9]);
  expect([...lz4(frame([1, 2, 3], 0x80000003 | 0), 3)]).toEqual([1, 2, 3]);
});

test.each([
  ["a length that is not the frame's", [0x11, 7, 1, 0], 5],
  ["more than there is", [0x11, 7, 1, 0], 7],
  ["a match before the start", [0x11, 7, 2, 0], 6],
  ["literals beyond the end", [0xf0, 200, 1], 215],
])("LZ4: %s", (_, block, length) => {
  expect(() => lz4(frame(block), length)).toThrow("its LZ4 data are damaged");
});

test("Zstandard: the frame's own length is compared before memory is taken", () => {
  // a single segment of 3 bytes, stored
  const bytes = Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 3, 0x19, 0, 0, 1, 2, 3]);
  expect([...zstd(bytes, 3)]).toEqual([1, 2, 3]);
  expect(() => zstd(bytes, 2 ** 40)).toThrow("its Zstandard data are damaged");
});
