import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { readTable } from "../../../src/data/readers/registry.js";
import type { ReadOptions } from "../../../src/data/table.js";
import { errorOf } from "../../support/files.js";
import { sourceOf } from "../../support/sources.js";

const people = readFileSync(new URL("../../fixtures/people.parquet", import.meta.url));
const read = (name: string, content: string | Uint8Array, options?: ReadOptions) =>
  readTable(sourceOf(`folder/${name}`, content), options);

const ARFF = "% about\n\n@RELATION r\n@attribute a numeric\n@attribute y {p,q}\n@data\n1,p\n2,q\n";

test.each<[kind: string, name: string, content: string | Uint8Array, columns: string[]]>([
  ["no ending", "data", "a,y\n1,p\n2,q\n", ["a", "y"]],
  ["an ending of its own", "iris.names.2", "a y\n1 p\n2 q\n", ["a", "y"]],
  ["packed, and without an ending", "data", gzipSync("a;y\n1;p\n2;q\n"), ["a", "y"]],
  ["JSON named .csv", "t.csv", ' [ {"a": 1, "y": "p"}]', ["a", "y"]],
  ["lines of JSON named .txt", "t.txt", '{"a": 1, "y": "p"}\n{"a": 2, "y": "q"}\n', ["a", "y"]],
  ["fields that look like JSON", "t.csv", "[a],{y}\n1,p\n2,q\n", ["[a]", "{y}"]],
  ["fields that look like SQL", "t.csv", "set a,insert into b\n1,p\n2,q\n", ["set a", "insert into b"]],
  ["fields that look like a page", "t.csv", "<b>a</b>,<i>y\n1,p\n2,q\n", ["<b>a</b>", "<i>y"]],
  ["ARFF named .data", "t.data", ARFF, ["a", "y"]],
  ["a table that speaks of ARFF", "t.csv", "name,@relation\n1,p\n2,q\n", ["name", "@relation"]],
  ["Parquet named .csv", "t.csv", people, ["age", "height", "city", "member", "joined", "label"]],
  [
    "text of a spreadsheet named .xls, in UTF-16",
    "t.xls",
    Buffer.from("\ufeffa\ty\r\n1\tp\r\n2\tq\r\n", "utf16le"),
    ["a", "y"],
  ],
])("%s", async (_, name, content, columns) => {
  expect((await read(name, content)).columns.map((column) => column.name)).toEqual(columns);
});

const GOT = "expected a table (.csv, .xlsx, .parquet, .json, …), got";

test.each<[name: string, content: string | Uint8Array, message: string]>([
  [
    "a.sav",
    "$FL2@(#) SPSS DATA FILE",
    `${GOT} data of SPSS; write it as .csv or .parquet, in Python for example: pandas.read_spss("FILE").to_csv("FILE.csv")`,
  ],
  ["a.csv", gzipSync("RDX3\nX\n\0\0"), `${GOT} data of R; write it in R: write.csv(data, "FILE.csv")`],
  [
    "a.csv",
    Buffer.from([0x93, ...Buffer.from("NUMPY\x01\0")]),
    `${GOT} an array of NumPy; write it in Python: numpy.savetxt("FILE.csv", array, delimiter=",")`,
  ],
  [
    "a.csv",
    Buffer.from([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, 0]),
    `${GOT} a workbook of old Excel (.xls), or another document of old Office; save it as .xlsx without a password, or as .csv`,
  ],
  ["a.csv.bz2", "BZh91AY&SY", `${GOT} a bzip2 file; unpack it (bunzip2)`],
  ["a.tar", `a.csv${"\0".repeat(252)}ustar\0`, `${GOT} a tar archive; unpack it, and name the table in it`],
  [
    "a.duckdb",
    `${"\0".repeat(8)}DUCK`,
    `${GOT} a database of DuckDB; write its table: duckdb FILE "copy TABLE to 'FILE.parquet'"`,
  ],
  [
    "a.dta",
    Buffer.from([0x72, 2, 1, 0, 0, 0, 0, 0]),
    `${GOT} data of Stata; write it as .csv or .parquet, in Python for example: pandas.read_stata("FILE").to_csv("FILE.csv")`,
  ],
  [
    "a.csv",
    "\n<!DOCTYPE html>\n<html>",
    `${GOT} a web page; download the file itself (on GitHub: Raw), or copy its table into a spreadsheet and save that`,
  ],
  [
    "a.xls",
    '<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n<Workbook/>',
    `${GOT} a workbook of old Excel in XML; open it and save it as .xlsx`,
  ],
  ["a.gpx", "<gpx version='1'><trk/></gpx>", `${GOT} XML; save its rows as .csv or .json`],
  ["a.yaml", "- a: 1\n  b: 2\n- a: 3\n  b: 4\n", `${GOT} YAML; save its rows as .csv or .json`],
  [
    "a.sql",
    "-- dump\n\nINSERT INTO t VALUES (1,'a');\n",
    `${GOT} SQL; run it in a database, and write the table as .csv`,
  ],
  [
    "a.mtx",
    "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 0.5\n",
    `${GOT} a matrix of Matrix Market; write it as .csv, in Python for example: scipy.io.mmread("FILE")`,
  ],
  ["a.xml", '<?xml version="1.0"?>\n<rows/>', `${GOT} XML; save its rows as .csv or .json`],
  [
    "a.csv",
    "version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    `${GOT} a pointer of Git LFS, not the file itself; fetch it: git lfs pull`,
  ],
  [
    "a.txt",
    "1 1:0.5 2:-1 7:3e-2\n-1 2:0.1 3:4\n",
    `${GOT} LIBSVM's sparse rows; write them as .csv, in Python for example: sklearn.datasets.load_svmlight_file("FILE")`,
  ],
  [
    "a.csv",
    Buffer.from("a,b\n1,2\n", "utf16le").fill(0, 2, 4),
    "expected text (CSV, JSON, ARFF), Parquet, Arrow or a workbook (.xlsx), got binary data of another format; export it as .csv or .parquet",
  ],
])("refused: %s", async (name, content, message) => {
  expect(await errorOf(() => read(name, content))).toBe(`UsageError: ${name}: ${message}`);
});

test("limits, and nothing at all", async () => {
  expect(await errorOf(() => read("a.csv", ""))).toBe(
    "UsageError: a.csv: the file is empty; expected a table of data",
  );
  expect(await errorOf(() => read("a.csv", "a,b\n1,2\n", { limits: { bytes: 5 } }))).toBe(
    "UsageError: a.csv: expected at most 0 MB, got 1 MB; allow more with --max-bytes",
  );
});

test("how a text was read is told with what was made of it", async () => {
  const { decisions } = await read("a.csv", Buffer.from("gr\xf6\xdfe;y\n1,5;p\n2,5;q\n", "latin1"));
  expect(decisions.map(({ what }) => what)).toEqual([
    "read as Windows-1252 text",
    "read with semicolons between its fields",
    "read with a decimal comma",
  ]);
});
