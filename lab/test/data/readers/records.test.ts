import { expect, test } from "vitest";
import { tableOfColumns, tableOfRecords } from "../../../src/data/readers/records.js";

test("numbers, text, booleans and dates, each told as what it is; a key that is absent is missing", () => {
  const day = new Date(Date.UTC(2024, 1, 29));
  expect(
    tableOfRecords(
      [
        { n: 1, t: "1,5", b: true, d: day, mixed: 1 },
        { n: Number.NaN, b: false, d: new Date(Number.NaN), mixed: "x" },
        { t: null, late: 3, mixed: day, b: undefined },
      ],
      "f",
    ),
  ).toEqual({
    rowCount: 3,
    columns: [
      { name: "n", cells: [1, null, null], type: "number" },
      { name: "t", cells: ["1,5", null, null] },
      { name: "b", cells: ["true", "false", null], type: "text" },
      { name: "d", cells: [day.getTime(), null, null], type: "date" },
      { name: "mixed", cells: [1, "x", "2024-02-29T00:00:00.000Z"] },
      { name: "late", cells: [null, null, 3], type: "number" },
    ],
    decisions: [],
  });
});

test("integers that a double cannot hold keep their digits, and those beside them are text too", () => {
  const { columns } = tableOfRecords(
    [
      { id: 5n, n: 7n },
      { id: 2n ** 60n + 1n, n: -7n },
    ],
    "f",
  );
  expect(columns).toEqual([
    { name: "id", cells: ["5", "1152921504606846977"] },
    { name: "n", cells: [7, -7], type: "number" },
  ]);
});

test("objects become columns of their own, beside what their fields hold otherwise", () => {
  const { columns, decisions } = tableOfRecords(
    [{ a: { b: 1, c: { d: "x" } }, "a.b": 5 }, { a: null }, { a: 7 }, { a: {} }],
    "f",
  );
  expect(columns).toEqual([
    { name: "a", cells: [null, null, 7, null], type: "number" },
    { name: "a.b", cells: [1, null, null, null], type: "number" },
    { name: "a.c.d", cells: ["x", null, null, null] },
    { name: "a.b", cells: [5, null, null, null], type: "number" },
  ]);
  expect(decisions).toEqual([]);
});

test("lists of numbers of one length become columns; other lists, bytes and dictionaries are left out, and told once", () => {
  let deep: unknown = 1;
  for (let i = 0; i < 10_000; i++) deep = { a: deep };
  const counts = (from: number) => Object.fromEntries(Array.from({ length: 200 }, (_, i) => [from + i, 1]));
  const rows = [
    {
      e: [1, null],
      f: new Float32Array([0.5]),
      words: ["x"],
      bytes: new Uint8Array(3),
      deep,
      counts: counts(0),
    },
    { e: [3, 4n], f: null, words: [], uneven: [1], sometimes: 5, map: new Map(), counts: counts(150) },
    { uneven: [1, 2], sometimes: [5], "\u202ebad": [] },
  ];
  const { columns, decisions } = tableOfRecords(rows, "f");
  expect(columns).toEqual([
    { name: "e.0", cells: [1, 3, null], type: "number" },
    { name: "e.1", cells: [null, 4, null], type: "number" },
    { name: "f.0", cells: [0.5, null, null], type: "number" },
    { name: "sometimes", cells: [null, 5, null], type: "number" },
  ]);
  expect(decisions).toEqual([
    { columns: ["e", "f"], what: "read as columns of their own", why: "lists of numbers, all of one length" },
    { columns: ["words", "uneven", "�bad"], what: "left out", why: "lists" },
    { columns: ["bytes"], what: "left out", why: "bytes" },
    { columns: [`deep${".a".repeat(8)}`], what: "left out", why: "objects nested too deep" },
    { columns: ["counts"], what: "left out", why: "dictionaries of many keys" },
    { columns: ["map"], what: "left out", why: "values of no known type" },
    { columns: ["sometimes"], what: "missing in some rows", why: "lists" },
  ]);
});

test("keys that mean something to JavaScript are names like others", () => {
  const row = JSON.parse('{"__proto__": 1, "constructor": {"prototype": 2}, "toString": null}');
  expect(tableOfRecords([row], "f").columns).toEqual([
    { name: "__proto__", cells: [1], type: "number" },
    { name: "constructor.prototype", cells: [2], type: "number" },
    { name: "toString", cells: [null] },
  ]);
  expect(({} as Record<string, unknown>).prototype).toBeUndefined();
});

test("names known beforehand come first, with or without values; columns as records", () => {
  expect(tableOfRecords([{ a: 1, b: 2 }], "f", ["c", "b"]).columns.map(({ name }) => name)).toEqual([
    "c",
    "b",
    "a",
  ]);
  expect(
    tableOfColumns(
      [
        { name: "a", values: new Int32Array([1, 2]) },
        { name: "a", values: [{ x: true }, null] },
        { name: "", values: [[1], [2]] },
      ],
      2,
      "f",
    ).columns,
  ).toEqual([
    { name: "a", cells: [1, 2], type: "number" },
    { name: "a.x", cells: ["true", null], type: "text" },
    { name: ".0", cells: [1, 2], type: "number" },
  ]);
});

test("long keys in long keys give short names", () => {
  const long = "k".repeat(100_000);
  const { columns } = tableOfRecords([{ [long]: { a: { [long]: [1] } } }], "f");
  expect(columns[0].name.length).toBeLessThan(210);
});

test("fields are counted before memory is taken for the cells of one", () => {
  const rows: Record<string, number>[] = new Array(500_000).fill({});
  rows.push(Object.fromEntries(Array.from({ length: 601 }, (_, i) => [`k${i}`, 1])));
  const start = performance.now();
  expect(() => tableOfRecords(rows, "f", [], { cells: 600 * rows.length })).toThrow("cells, got 300,500,601");
  expect(performance.now() - start).toBeLessThan(700);
});

test("limits are told before memory is taken", () => {
  const rows = Array.from({ length: 1000 }, (_, i) => ({ [`k${i}`]: 1 }));
  expect(() => tableOfRecords(rows, "f.json", [], { columns: 500 })).toThrow(
    "f.json: expected at most 500 columns, got 501; write a file without those that are not needed",
  );
  expect(() => tableOfRecords(rows, "f.json", [], { cells: 50_000 })).toThrow(
    "f.json: expected at most 50,000 cells, got 51,000; read fewer rows with --limit, or allow more with --max-cells",
  );
  expect(() => tableOfRecords([{ e: new Array(2000).fill(1) }], "f", [], { columns: 1000 })).toThrow(
    /at most 1,000 columns/,
  );
});
