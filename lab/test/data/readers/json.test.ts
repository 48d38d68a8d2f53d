import { expect, test } from "vitest";
import { parseJson } from "../../../src/data/readers/json.js";
import type { RawTable, Value } from "../../../src/data/table.js";
import { errorOf } from "../../support/files.js";

const ROWS = [
  { age: 31, name: "Ada", member: true },
  { name: "", age: null, code: "7" },
];
const TABLE: RawTable = {
  rowCount: 2,
  columns: [
    { name: "age", type: "number", cells: [31, null] },
    { name: "name", cells: ["Ada", ""] },
    { name: "member", type: "text", cells: ["true", null] },
    { name: "code", cells: [null, "7"] },
  ],
  decisions: [],
};
const lines = ROWS.map((row) => JSON.stringify(row));

/** The cells by column, without what is known of them. */
function cellsOf(text: string): Record<string, Value[]> {
  return Object.fromEntries(parseJson(text, "f.json").columns.map(({ name, cells }) => [name, cells]));
}

test.each([
  ["an array", JSON.stringify(ROWS, null, 2)],
  ["a byte order mark", `\ufeff${JSON.stringify(ROWS)}`],
  ["a line each", `\n${lines.join("\r\n\r\n")}\n`],
  ["one after the other", lines.join("")],
  ["over several lines each", ROWS.map((row) => JSON.stringify(row, null, 1)).join("\n")],
  ["commas at the ends of lines", lines.join(",\n")],
  ["record separators", lines.map((line) => `\u001e${line}\n`).join("")],
  ["two on a line, after a line of one", `${JSON.stringify({ age: null })}\n${lines.join(" ")}`],
  ["a list on each line", lines.map((line) => `[${line}]`).join("\n")],
])("rows: %s", (name, text) => {
  const { columns, rowCount } = parseJson(text, "f.json");
  const extra = name.startsWith("two") ? 1 : 0;
  expect(columns.map((column) => ({ ...column, cells: column.cells.slice(extra) }))).toEqual(TABLE.columns);
  expect(rowCount).toBe(2 + extra);
});

const AY = { a: [1, 2, 3], y: [0, null, 1] };

test.each([
  ["columns", AY],
  [
    "lists with a header",
    [
      ["a", "y"],
      [1, 0],
      [2, null],
      [3, 1],
    ],
  ],
  ["pandas: columns", { a: { 0: 1, 1: 2, 2: 3 }, y: { 0: 0, 1: null, 2: 1 } }],
  ["pandas: index", { 0: { a: 1, y: 0 }, 1: { a: 2, y: null }, 2: { a: 3, y: 1 } }],
  [
    "pandas: split",
    {
      columns: ["a", "y"],
      index: [0, 1, 2],
      data: [
        [1, 0],
        [2, null],
        [3, 1],
      ],
    },
  ],
  [
    "names of columns as objects",
    {
      fields: [{ id: "a" }, { id: "y" }],
      rows: [
        [1, 0],
        [2, null],
        [3, 1],
      ],
    },
  ],
  [
    "within an object",
    {
      count: 3,
      data: [
        { a: 1, y: 0 },
        { a: 2, y: null },
        { a: 3, y: 1 },
      ],
      tags: ["x", "y", "z"],
    },
  ],
  ["deeper in it", { response: { docs: [{ a: 1, y: 0 }, { a: 2 }, { a: 3, y: 1 }] }, header: { q: 1 } }],
  ["columns, and what is about them", { ...AY, name: "toy" }],
  ["columns within an object", { version: 1, dataset: { train: AY } }],
  [
    "data, names and a target",
    { data: [[1], [2], [3]], feature_names: ["a"], y: [0, null, 1], DESCR: "toy" },
  ],
  ["records by number within an object", { people: { 0: { a: 1, y: 0 }, 1: { a: 2 }, 2: { a: 3, y: 1 } } }],
])("%s", (_, value) => {
  expect(cellsOf(JSON.stringify(value))).toEqual({ a: [1, 2, 3], y: [0, null, 1] });
});

test("pandas' schema, and rows whose labels are words", () => {
  const table = {
    schema: { fields: [{ name: "index", type: "integer" }], primaryKey: ["index"] },
    data: [{ index: 0, a: 1 }],
  };
  expect(parseJson(JSON.stringify(table), "f.json")).toEqual({
    rowCount: 1,
    columns: [
      { name: "index", type: "number", cells: [0] },
      { name: "a", type: "number", cells: [1] },
    ],
    decisions: [
      { columns: [], what: 'rows read from "data"', why: 'beside "schema.fields"', option: "--member NAME" },
    ],
  });
  const people = {
    ada: { age: 1, pets: [{ x: 1 }] },
    bob: { age: 2, pets: [{ x: 2 }] },
    eve: { age: 3, pets: [] },
  };
  expect(cellsOf(JSON.stringify(people))).toEqual({ index: ["ada", "bob", "eve"], age: [1, 2, 3] });
  expect(cellsOf('{"a": {"x": 1, "y": 2, "z": 3}, "b": {"x": 4, "z": 6, "__proto__": 7}}')).toEqual({
    index: ["x", "y", "z", "__proto__"],
    a: [1, 2, 3, null],
    b: [4, null, 6, 7],
  });
});

test("an index of pandas that counts is none of the columns, others are", () => {
  const split = (index: unknown[]) => JSON.stringify({ columns: ["a"], index, data: [[1], [2]] });
  expect(cellsOf(split([0, 1]))).toEqual({ a: [1, 2] });
  expect(cellsOf(split(["x", "y"]))).toEqual({ a: [1, 2], index: ["x", "y"] });
});

test("lists without a header, and with one that is asked for", () => {
  const text = '[["x", 1], ["y", 2]]';
  expect(parseJson(text, "f")).toEqual({
    rowCount: 2,
    columns: [
      { name: "", cells: ["x", "y"] },
      { name: "", type: "number", cells: [1, 2] },
    ],
    decisions: [
      {
        columns: [],
        what: "read without a header",
        why: "its first list is not one of names alone",
        option: "--header yes",
      },
    ],
  });
  expect(parseJson(text, "f", { header: true }).columns.map(({ name }) => name)).toEqual(["x", "1"]);
  expect(parseJson('[["a", "b"], [1, 2]]', "f", { header: false }).rowCount).toBe(2);
  expect(
    parseJson('[[[1], {"a": 1}], [1, 2]]', "f", { header: true }).columns.map(({ name }) => name),
  ).toEqual(["", ""]);
});

test("GeoJSON: the properties of the features, and where they are", () => {
  const feature = (n: number) => ({
    type: "Feature",
    properties: { n },
    geometry: { type: "Point", coordinates: [n, -n] },
  });
  const cells = cellsOf(JSON.stringify({ type: "FeatureCollection", features: [feature(1), feature(2)] }));
  expect(Object.entries(cells)).toEqual([
    ["geometry.type", ["Point", "Point"]],
    ["geometry.coordinates.0", [1, 2]],
    ["geometry.coordinates.1", [-1, -2]],
    ["n", [1, 2]],
  ]);
});

test("several lists of rows: the one that is named for rows, or chosen", async () => {
  const text = JSON.stringify({ train: [{ a: 1 }], test: [{ a: 2 }], meta: { more: [{ a: 3 }] } });
  expect(await errorOf(() => parseJson(text, "f.json"))).toBe(
    'UsageError: f.json: expected one list of rows, got "train" and "test"; choose with --member "train"',
  );
  expect(parseJson(text, "f.json", { member: "meta.more" }).columns[0].cells).toEqual([3]);
  expect(cellsOf('{"other": [{"a": 1}], "rows": [{"a": 2}]}')).toEqual({ a: [2] });
});

test("answers of services: a table beside objects that are about it, or in a list of its own", async () => {
  const days = { t: ["2024-01-01", "2024-01-02"], rain: [0, 1.5] };
  const meteo = { latitude: 52.5, daily_units: { t: "iso8601", rain: "mm" }, daily: days };
  expect(parseJson(JSON.stringify(meteo), "f.json")).toMatchObject({
    columns: [
      { name: "t", cells: days.t },
      { name: "rain", cells: days.rain },
    ],
    decisions: [{ columns: [], what: 'rows read from "daily"' }],
  });
  const two = JSON.stringify({ ...meteo, hourly: { t: ["a"], rain: [7] } });
  expect(await errorOf(() => parseJson(two, "f.json"))).toBe(
    'UsageError: f.json: expected one list of rows, got "daily" and "hourly"; choose with --member "daily"',
  );
  expect(parseJson(two, "f.json", { member: "hourly" }).columns[1].cells).toEqual([7]);

  const prices = { Info: { "1. text": "daily", "2. zone": "UTC" }, Series: {} as Record<string, unknown> };
  for (const day of days.t.concat("2024-01-03")) prices.Series[day] = { open: "1.5" };
  expect(cellsOf(JSON.stringify(prices))).toEqual({
    index: [...days.t, "2024-01-03"],
    open: ["1.5", "1.5", "1.5"],
  });

  const rows = [
    [1, "x"],
    [2, "y"],
  ];
  const influx = { results: [{ id: 0, series: [{ name: "cpu", columns: ["a", "b"], values: rows }] }] };
  expect(cellsOf(JSON.stringify(influx))).toEqual({ a: [1, 2], b: ["x", "y"] });
  expect(cellsOf(JSON.stringify([{ page: 1, pages: 1 }, ROWS]))).toEqual(cellsOf(JSON.stringify(ROWS)));
  expect(parseJson(JSON.stringify({ rows }), "f.json").decisions.map(({ what }) => what)).toEqual([
    'rows read from "rows"',
    "read without a header",
  ]);
});

test("Python's numbers, and integers that a double cannot hold", () => {
  const row =
    '{"a": NaN, "b": -Infinity, "c": 9007199254740993, "d": 0.12345678901234566, "NaN 1234567890123456789": "\\"NaN"}';
  for (const text of [`[${row}]`, `${row}\n{}`]) {
    expect(Object.entries(cellsOf(text)).map(([name, [cell]]) => [name, cell])).toEqual([
      ["a", null],
      ["b", Number.NEGATIVE_INFINITY],
      ["c", "9007199254740993"],
      ["d", 0.12345678901234566],
      ["NaN 1234567890123456789", '"NaN'],
    ]);
  }
  expect(
    cellsOf('[{"a": 1234567890123456789e-5, "b": -9007199254740993, "c": 1e1234567890123456789}]'),
  ).toEqual({
    a: [12345678901234.568],
    b: ["-9007199254740993"],
    c: [Number.POSITIVE_INFINITY],
  });
});

test("a sample is drawn of rows and of columns, and knows their numbers", () => {
  const n = Array.from({ length: 50 }, (_, i) => i + 1);
  const rows = parseJson(JSON.stringify(n.map((a) => ({ a }))), "f", { sample: 5 });
  const columns = parseJson(JSON.stringify({ a: n, b: n }), "f", { sample: 5 });
  expect(rows.rowCount).toBe(50);
  expect(rows.columns[0].cells).toHaveLength(5);
  expect(rows.columns[0].cells).toEqual(Array.from(rows.rowNumbers ?? []));
  expect(columns).toMatchObject({ rowCount: 50, rowNumbers: rows.rowNumbers });
  expect(columns.columns[1].cells).toEqual(rows.columns[0].cells);
});

test("a long list is read by its pieces, wherever they are cut", async () => {
  const rows = Array.from({ length: 60_000 }, (_, i) => ({ i, list: [1, 2], s: `"],[${i % 7}`, n: null }));
  const text = JSON.stringify(rows).replaceAll('"n":null', '"n":NaN,"id":12345678901234567');
  expect(text.length).toBeGreaterThan(3e6);
  const { columns, rowCount } = parseJson(text, "f.json");
  expect(rowCount).toBe(rows.length);
  expect(columns.map(({ name }) => name)).toEqual(["i", "list.0", "list.1", "s", "n", "id"]);
  expect(columns[0].cells).toEqual(rows.map(({ i }) => i));
  expect(columns[3].cells).toEqual(rows.map(({ s }) => s));
  const long = `[{"a": "${"x".repeat(2 ** 20)}"}`;
  for (const end of [",]", ",,{}]", ",{}", ",{}]]"]) {
    expect(await errorOf(() => parseJson(long + end, "f.json"))).toContain("f.json: line 1: invalid JSON");
  }
  expect(parseJson(`${long},{"a": 1}]`, "f.json").rowCount).toBe(2);
});

test("deep nesting and long lines take no longer than they are long", async () => {
  const n = 100_000;
  const start = performance.now();
  for (const text of [
    "[".repeat(n),
    "[".repeat(n) + "]".repeat(n),
    '[{"a":'.repeat(n),
    `${'{"a":'.repeat(n)}1${"}".repeat(n)}`,
    `{"columns": [${"[".repeat(n)}${"]".repeat(n)}], "data": [[1]]}`,
    `{}\n"${'\\"'.repeat(n)}`,
    `{}\n${"1234567890123456 ".repeat(n)}"`,
    "{}x".repeat(n),
    "'\u001b[2J".repeat(n),
  ]) {
    const message = await errorOf(() => parseJson(text, "f"));
    expect(message.length).toBeLessThan(400);
    expect(message).not.toMatch(/RangeError|\p{Cc}/u);
  }
  expect(performance.now() - start).toBeLessThan(5000);
});

test("values and different keys are counted before memory is taken for them", async () => {
  const refused = (text: string, cells: number) =>
    errorOf(() => parseJson(text, "f.json", { limits: { cells, columns: 3 } }));
  const rows = JSON.stringify([
    { a: "1, [2], {3", b: null },
    { b: 1, c: 2 },
  ]);
  expect(await refused(rows, 6)).toBe("none");
  expect(await refused(rows, 5)).toBe(
    "UsageError: f.json: expected at most 5 values, got more; write it as .csv or .parquet, or allow more with --max-cells",
  );
  // keys of lines, with blanks before their colons, and in objects within; places in a list and texts are none
  const lines = [{ a: "x:", b: 1 }, { a: "y", 0: 1, 1: 2 }, { c: { d: [":"] } }];
  const text = lines.map((line) => JSON.stringify(line).replaceAll('":', '" :')).join("\n");
  expect(await refused(text, 4 * 64)).toContain("at most 3 columns, got 4");
  expect(await refused(text, 4 * 64 - 1)).toBe(
    "UsageError: f.json: expected at most 3 different keys, got more; give all rows the same, or allow more with --max-cells",
  );
});

test.each([
  [
    "cut.json",
    '[{"a": 1},\n\n{"a": 2]',
    "FailureError: cut.json: line 3: invalid JSON: Expected ',' or '}' after property value; correct it there, or write the file again if it was cut off",
  ],
  [
    "cut.ndjson",
    '{"a": 1}\n{"a":',
    "FailureError: cut.ndjson: line 2: invalid JSON: Unexpected end of JSON input; correct it there, or write the file again if it was cut off",
  ],
  [
    "python.json",
    "[{'a': 1}]",
    "FailureError: python.json: line 1: invalid JSON: Expected property name or '}'; write it with json.dumps, where Python printed it",
  ],
  [
    "none.json",
    '[{"a": 1},\n{"a": None}]',
    "FailureError: none.json: line 2: invalid JSON: Unexpected token 'N'; write it with json.dumps, where Python printed it",
  ],
  [
    "comma.json",
    '[\n  {"a": 1, "b": "x"},\n  {"a": 2, "b": "y"},\n]',
    "FailureError: comma.json: line 4: invalid JSON: Unexpected token ']'; remove the comma before it",
  ],
  [
    "short.json",
    "[1,\n//\n2]",
    "FailureError: short.json: line 2: invalid JSON: Unexpected token '/'; remove the comments",
  ],
  [
    "open.json",
    '[\n{"a": 1},\n{"a":\n\n',
    "FailureError: open.json: line 3: invalid JSON: Unexpected end of JSON input; correct it there, or write the file again if it was cut off",
  ],
  [
    "deep.json",
    "[".repeat(1001) + "]".repeat(1001),
    "UsageError: deep.json: expected values in at most 1,000 lists and objects around them, got more; save the rows as a list of objects",
  ],
  [
    "object.json",
    '{"error": "not\\u001b found", "status": 404}',
    'UsageError: object.json: expected rows, [{"a": 1, "b": 2}, …] or such an object on each line, or columns, {"a": [1, …], "b": [2, …]}, got an object of "error" and "status"; save the rows as such a list',
  ],
  [
    "text.json",
    '"a\u0000b"',
    "FailureError: text.json: line 1: invalid JSON: Bad control character in string literal; correct it there, or write the file again if it was cut off",
  ],
  [
    "scalar.json",
    '"a\\u202eb"',
    'UsageError: scalar.json: expected rows, [{"a": 1, "b": 2}, …] or such an object on each line, or columns, {"a": [1, …], "b": [2, …]}, got "a�b"',
  ],
  [
    "number.json",
    '[{"a": 1}, 5]',
    'UsageError: number.json: row 2: expected an object, {"a": 1, …}, got 5; save each row as an object',
  ],
  [
    "ragged.json",
    '[["a", "b"], [1, 2], [3]]',
    "FailureError: ragged.json: row 3: expected a list of 2 values as in the first, got 1; give each row a value for each column, null where there is none",
  ],
  [
    "lengths.json",
    '{"a": [1, 2], "b": [1]}',
    'FailureError: lengths.json: expected columns of one length, got "a" with 2 values and "b" with 1; give each a value for each row, null where there is none',
  ],
])("%s", async (name, text, message) => {
  expect(await errorOf(() => parseJson(text, name))).toBe(message);
});
