import { expect, test } from "vitest";
import { readTable } from "../../../src/node/file.js";
import { errorOf, write } from "../../support/files.js";

const ROWS = [
  { age: 31, name: "Ada", member: true },
  { name: "", age: null, code: "7" },
];
const TABLE = {
  rowCount: 2,
  columns: [
    { name: "age", kind: "number", values: [31, null] },
    { name: "name", kind: "text", values: ["Ada", null] },
    { name: "member", kind: "text", values: ["true", null] },
    { name: "code", kind: "number", values: [null, 7] },
  ],
};

test("an array of objects; a key that is absent is missing", async () => {
  expect(await readTable(write("rows.json", JSON.stringify(ROWS)))).toEqual({ name: "rows", ...TABLE });
});

test("an object per line", async () => {
  const text = `\n${ROWS.map((row) => JSON.stringify(row)).join("\r\n\r\n")}\n`;
  expect(await readTable(write("lines.ndjson", text))).toEqual({ name: "lines", ...TABLE });
  expect(await readTable(write("lines.jsonl", text))).toEqual({ name: "lines", ...TABLE });
});

test("numbers that a double cannot hold stay for their user to name", async () => {
  const table = await readTable(write("huge.json", '[{"a": 1e999}, {"a": 1}]'));
  expect(table.columns[0].values).toEqual([Number.POSITIVE_INFINITY, 1]);
});

test.each([
  [
    "cut.json",
    '[{"a": 1},',
    "FailureError: cut.json: invalid JSON: Unexpected end of JSON input; correct it, or name it .ndjson where each line is an object of its own",
  ],
  [
    "cut.ndjson",
    '{"a": 1}\n{"a":',
    "FailureError: cut.ndjson: line 2: invalid JSON: Unexpected end of JSON input; correct it, or name the file .json where it is one array",
  ],
  [
    "object.json",
    '{"a": [1, 2]}',
    'UsageError: object.json: expected an array of objects, [{"a": 1}, …], got an object; save the rows as such an array',
  ],
  [
    "number.json",
    '[{"a": 1}, 5]',
    'UsageError: number.json: row 2: expected an object, {"a": 1, …}, got 5; save each row as an object',
  ],
  [
    "nested.json",
    '[{"a": 1}, {"a": [1]}]',
    'UsageError: nested.json: row 2, column "a": expected a number, text, true, false or null, got a list; give each value in it a column of its own, or remove it from the file',
  ],
  [
    "none.json",
    "[]",
    "UsageError: none.json: expected at least one row of data, got none; check that the file was written to its end",
  ],
])("%s", async (name, text, message) => {
  expect(await errorOf(() => readTable(write(name, text)))).toBe(message);
});
