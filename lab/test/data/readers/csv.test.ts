import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { readTable } from "../../../src/node/file.js";
import { errorOf, write } from "../../support/files.js";

test("numbers, text and gaps, with a byte order mark, quotes, blanks and Windows line ends", async () => {
  const text =
    '\ufeffage, "name, full",city\r\n31,"Ada ""L"" Byron" , Oslo\r\n\r\nNA,Bo,""\r\n4.5e1,"two\nlines",null\r\n';
  expect(await readTable(write("people.csv", text))).toEqual({
    name: "people",
    rowCount: 3,
    columns: [
      { name: "age", kind: "number", values: [31, null, 45] },
      { name: "name, full", kind: "text", values: ['Ada "L" Byron', "Bo", "two\nlines"] },
      { name: "city", kind: "text", values: ["Oslo", null, null] },
    ],
  });
});

test("tab-separated and compressed, with an empty first field", async () => {
  const table = await readTable(write("a.TSV.gz", gzipSync("x\ty\n\t2\n-.5\tNaN\n")));
  expect(table.name).toBe("a");
  expect(table.columns.map(({ values }) => values)).toEqual([
    [null, -0.5],
    [2, null],
  ]);
});

test("a column is numbers when more than half of what is there is", async () => {
  const table = await readTable(
    write("mixed.csv", "mostly,barely,half,gone\n1,a,1,\n2,b,x,\nx,7,,\n,1e999,,\n"),
  );
  expect(table.columns.map(({ kind, values }) => [kind, values])).toEqual([
    ["number", [1, 2, "x", null]],
    ["text", ["a", "b", "7", "1e999"]],
    ["text", ["1", "x", null, null]],
    ["number", [null, null, null, null]],
  ]);
});

test("rows wider than the parser's default limit", async () => {
  const names = Array.from({ length: 30_000 }, (_, index) => `gene${index}`);
  const table = await readTable(write("wide.csv", `${names.join(",")}\n${names.map(() => "1").join(",")}\n`));
  expect(table.columns).toHaveLength(30_000);
});

test.each([
  [
    "short.csv",
    "a,b\n1,2\n\n1\n",
    "FailureError: short.csv: row 2 (line 4): expected 2 fields as in the header, got 1; add or remove fields, or quote a field that holds a comma",
  ],
  [
    "long.tsv",
    "a\tb\n1\t2\t3\n",
    "FailureError: long.tsv: row 1 (line 2): expected 2 fields as in the header, got 3; add or remove fields, or quote a field that holds a tab",
  ],
  [
    "open.csv",
    'a,b\n1,"2\n3,4\n',
    "FailureError: open.csv: row 1: a quote opens or closes in the wrong place; close it, quote the whole field, or double a quote inside a quoted field",
  ],
  [
    "inside.csv",
    'a,b"c\n1,2\n',
    "FailureError: inside.csv: the header: a quote opens or closes in the wrong place; close it, quote the whole field, or double a quote inside a quoted field",
  ],
  [
    "twice.csv",
    "a,b,a\n1,2,3\n",
    'UsageError: twice.csv: columns 1 and 3 are both named "a"; rename one of them',
  ],
  [
    "unnamed.csv",
    ",b\n1,2\n",
    "UsageError: unnamed.csv: column 1 has no name; name it in the header (row names that pandas or R wrote are left out there with index=False or row.names=FALSE)",
  ],
  [
    "header.csv",
    "a,b\n",
    "UsageError: header.csv: expected at least one row of data, got only the names of the columns; check that the file was written to its end",
  ],
  [
    "bare.csv",
    "5.1,3.5,1.4,0\n4.9,3.0,1.4,0\n",
    "UsageError: bare.csv: expected a header row with the names of the columns, got numbers (5.1, 3.5, 1.4, …); add a first line that names them",
  ],
])("%s", async (name, text, message) => {
  expect(await errorOf(() => readTable(write(name, text)))).toBe(message);
});

test("separated by semicolons, with decimal commas, as spreadsheets save it", async () => {
  const { columns } = await readTable(write("semicolons.csv", 'Größe;"a, b";n\n182,9;x,y;1\n-3,5;"z;w";2\n'));
  expect(columns.map(({ name, kind, values }) => [name, kind, values])).toEqual([
    ["Größe", "number", [182.9, -3.5]],
    ["a, b", "text", ["x,y", "z;w"]],
    ["n", "number", [1, 2]],
  ]);
});

test("a comma in the header makes it comma-separated, whatever else stands there", async () => {
  const { columns } = await readTable(write("both.csv", "a;b,c\n1;2,3\n"));
  expect(columns.map(({ name }) => name)).toEqual(["a;b", "c"]);
});
