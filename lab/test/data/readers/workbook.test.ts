import { strFromU8, strToU8, unzipSync, zipSync } from "fflate";
import { expect, test } from "vitest";
import { readWorkbook } from "../../../src/data/readers/workbook.js";
import type { ReadOptions } from "../../../src/data/table.js";
import { errorOf } from "../../support/files.js";
import { bytesOf, cellsOf, expectCuts, sourceOf } from "../../support/sources.js";

const book = bytesOf("book.xlsx");
const members = unzipSync(book);

const read = (bytes: Uint8Array, options: ReadOptions = {}) =>
  readWorkbook(sourceOf("a.xlsx", bytes), "a.xlsx", options);

/** The workbook with its table's cells replaced by these rows of XML. */
const withRows = (rows: string, sheet = "xl/worksheets/sheet2.xml", after = "") =>
  zipSync({
    ...members,
    [sheet]: strToU8(
      strFromU8(members["xl/worksheets/sheet2.xml"]).replace(
        /<sheetData>.*<\/sheetData>/s,
        `<sheetData>${rows}</sheetData>${after}`,
      ),
    ),
  });

/** Rows of cells: numbers, and text. */
const rowsOf = (rows: (number | string | null)[][]) =>
  rows
    .map((cells, row) => {
      const inner = cells.map((cell, column) => {
        const place = `r="${"ABCDEF"[column]}${row + 1}"`;
        if (cell === null) return `<c ${place}/>`;
        return typeof cell === "number"
          ? `<c ${place}><v>${cell}</v></c>`
          : `<c ${place} t="inlineStr"><is><t>${cell}</t></is></c>`;
      });
      return `<row r="${row + 1}">${inner.join("")}</row>`;
    })
    .join("");

test("the first sheet with data: its title, empty rows and empty columns left out, dates, times, values of formulas", async () => {
  const table = await read(book);
  expect(cellsOf(table)).toEqual({
    size: ["(number)", 1.5, 2, null],
    sold: ["(date)", Date.UTC(2024, 0, 5, 10, 10, 10), Date.UTC(1960, 1, 29), null],
    city: ["Oslo", "Bergen", null],
    new: ["(text)", "true", "false", null],
    at: ["(number)", 45_000, 3600, null],
    share: ["(number)", 0.5, 0.25, 1],
  });
  expect(table.rowCount).toBe(3);
  expect(table.decisions).toEqual([
    {
      columns: [],
      what: 'the sheet "Flats" read',
      why: 'the first with data; there is "Prices" too',
      option: "--member NAME",
    },
    { columns: [], what: "the first row left out", why: "they have one cell, and are no part of the table" },
    { columns: ["at"], what: "read as seconds since midnight" },
  ]);
});

test("--member names a sheet", async () => {
  const table = await read(book, { member: "Prices" });
  expect(cellsOf(table)).toEqual({ price: ["(number)", 10] });
  expect(table.decisions).toEqual([]);
  expect(await errorOf(() => read(book, { member: "Price" }))).toBe(
    'UsageError: --member: a.xlsx has no sheet "Price"; did you mean "Prices"? It has "Notes", "Flats", "Prices"',
  );
  expect(await errorOf(() => read(book, { member: "Notes" }))).toBe(
    'UsageError: a.xlsx: the sheet "Notes" is empty; expected a table of data',
  );
});

/** The table of these rows, in which cells are merged. */
const readMerged = (rows: (number | string | null)[][], ...ranges: string[]) => {
  const merged = ranges.map((range) => `<mergeCell ref="${range}"/>`).join("");
  return read(withRows(rowsOf(rows), undefined, `<mergeCells>${merged}</mergeCells>`), { member: "Flats" });
};

test("merged cells: each row has their value, and names stand below those of several columns", async () => {
  const table = await readMerged(
    [
      ["Flats, and what they cost", null, null],
      ["city", "size", null],
      [null, "width", "length"],
      ["Oslo", 1, 2],
      [null, 3, 4],
      ["Bergen", 5, 6],
      [null, 7, null],
      ["from the land register", null, null],
    ],
    "A1:C1",
    "A2:A3",
    "B2:C2",
    "A4:A5",
    "A6:A7",
    "A8:C8",
    // none of a whole workbook
    "A6:A1048576",
    "B5:B4",
    "XFD1:XFD1048576",
  );
  expect(cellsOf(table)).toEqual({
    city: ["Oslo", "Oslo", "Bergen", "Bergen"],
    "size width": ["(number)", 1, 3, 5, 7],
    "size length": ["(number)", 2, 4, 6, null],
  });
  const why = "they have one cell, and are no part of the table";
  expect(table.decisions.slice(-2)).toEqual([
    { columns: [], what: "the first row left out", why },
    { columns: [], what: "the last row left out", why },
  ]);
});

test("merged cells: the name of an index below those of the columns, and headings between the rows", async () => {
  const table = await readMerged(
    [
      [null, "size", null, "price", null],
      [null, "width", "length", "net", "gross"],
      ["id", null, null, null, null],
      ["Oslo", null, null, null, null],
      [1, 2, 3, 4, 5],
      ["Bergen", null, null, null, null],
      [4, 5, 6, 7, 8],
    ],
    "B1:C1",
    "D1:E1",
    "A4:E4",
    "A6:E6",
  );
  expect(cellsOf(table)).toEqual({
    id: ["(number)", 1, 4],
    "size width": ["(number)", 2, 5],
    "size length": ["(number)", 3, 6],
    "price net": ["(number)", 4, 7],
    "price gross": ["(number)", 5, 8],
  });
  expect(table.decisions).toContainEqual({
    columns: [],
    what: "2 rows left out",
    why: "merged over all columns, as headings are",
  });
});

test("dates in ISO 8601 are of no zone; durations", async () => {
  const cells = ["2024-03-31", "2024-03-31T02:30:00", "10:30:00"].map(
    (value, column) => `<c r="${"ABC"[column]}2" t="d"><v>${value}</v></c>`,
  );
  const rows = `${rowsOf([["day", "at", "time"]])}<row r="2">${cells.join("")}</row><row r="3"><c r="A3" s="1"><v>45000</v></c><c r="C3" s="1"><v>1.5</v></c></row>`;
  const { columns, decisions } = await read(withRows(rows), { member: "Flats" });
  expect(columns.map((column) => column.cells)).toEqual([
    [Date.UTC(2024, 2, 31), Date.UTC(2023, 2, 15)],
    [Date.UTC(2024, 2, 31, 2, 30), null],
    [10.5 * 3600, 36 * 3600],
  ]);
  expect(decisions).toEqual([{ columns: ["time"], what: "read as durations in seconds" }]);
});

test("merged cells of a million rows each take no time", async () => {
  const rows = [["a", "b"], ...Array.from({ length: 300 }, (_, i) => [i, i])];
  const start = performance.now();
  const { rowCount } = await readMerged(rows, ...new Array(20_000).fill("B2:B1048576"));
  expect(rowCount).toBe(300);
  expect(performance.now() - start).toBeLessThan(1500);
});

test("a hidden sheet is read where it is named, or no other has data", async () => {
  const hidden = (name: RegExp) => ({
    ...members,
    "xl/workbook.xml": strToU8(
      strFromU8(members["xl/workbook.xml"]).replaceAll(name, '$&state="veryHidden" '),
    ),
  });
  const { decisions, columns } = await read(zipSync(hidden(/<sheet (?=[^>]*name="Flats")/g)));
  expect(columns.map(({ name }) => name)).toEqual(["price"]);
  expect(decisions[0]).toEqual({
    columns: [],
    what: 'the sheet "Prices" read',
    why: 'the first with data that is shown; there is "Flats" too',
    option: "--member NAME",
  });
  const all = await read(zipSync(hidden(/<sheet (?=[^>]*name="(?:Flats|Prices)")/g)), { member: "Prices" });
  expect(all.columns.map(({ name }) => name)).toEqual(["price"]);
});

test("a sheet of notes before the data is passed over", async () => {
  const rows = Array.from({ length: 400 }, (_, i) => [i * 1.5, i % 3]);
  const { decisions, columns } = await read(
    withRows(rowsOf([["size", "rooms"], ...rows]), "xl/worksheets/sheet3.xml"),
  );
  expect(columns.map(({ name }) => name)).toEqual(["size", "rooms"]);
  expect(decisions[0]).toEqual({
    columns: [],
    what: 'the sheet "Prices" read',
    why: 'the first that is not small beside the others; there is "Flats" too',
    option: "--member NAME",
  });
});

test("notes above the names, and units below them", async () => {
  const rows = Array.from({ length: 9 }, (_, i) => [i * 1.5, ["Oslo", "Bergen"][i % 2], i % 3]);
  const above = [["Report"], ["Created", "2024-01-31"], ["By", "Ada"]];
  const table = await read(
    withRows(rowsOf([...above, ["size", "city", "rooms"], ["m2", "-", "count"], ...rows])),
    { member: "Flats" },
  );
  expect(cellsOf(table).size).toEqual(["(number)", ...rows.map(([size]) => size)]);
  expect(table.columns.map(({ name }) => name)).toEqual(["size", "city", "rooms"]);
  expect(table.decisions).toEqual([
    { columns: [], what: "the first 3 rows left out", why: "above the names of the columns" },
    {
      columns: [],
      what: "read without the row of text between its header and its values",
      why: '"m2, -, count"',
    },
  ]);
});

test("a first row that is like those below it names no columns", async () => {
  const rows = Array.from({ length: 9 }, (_, i) => [["Oslo", "Bergen"][i % 2], i * 1.5, i % 3]);
  const table = await read(withRows(rowsOf(rows)), { member: "Flats" });
  expect(table.rowCount).toBe(9);
  expect(table.decisions).toEqual([
    {
      columns: [],
      what: "read without a header",
      why: "its first row is like those below it",
      option: "--header yes",
    },
  ]);
});

test("the first row names the columns unless it has numbers alone, or --header says otherwise", async () => {
  const names = async (rows: (number | string)[][], options: ReadOptions = {}) => {
    const { columns, rowCount } = await read(withRows(rowsOf(rows)), { member: "Flats", ...options });
    return [columns.map(({ name }) => name), rowCount];
  };
  expect(
    await names([
      ["a", 2020],
      [1, 2],
    ]),
  ).toEqual([["a", "2020"], 1]);
  expect(
    await names([
      [1, 2],
      [3, 4],
    ]),
  ).toEqual([["", ""], 2]);
  expect(
    await names(
      [
        [1, 2],
        [3, 4],
      ],
      { header: true },
    ),
  ).toEqual([["1", "2"], 1]);
  expect(
    await names(
      [
        ["a", "b"],
        ["c", "d"],
      ],
      { header: false },
    ),
  ).toEqual([["", ""], 2]);
});

test("a prefix that is named r is no place of a cell", async () => {
  const sheet = strFromU8(members["xl/worksheets/sheet3.xml"]);
  const declared = sheet.replace("<worksheet ", '<worksheet xmlns:r="http://schemas.openxmlformats.org/x" ');
  const bytes = zipSync({ ...members, "xl/worksheets/sheet3.xml": strToU8(declared) });
  expect(cellsOf(await read(bytes, { member: "Prices" }))).toEqual({ price: ["(number)", 10] });
});

test("a sample", async () => {
  const rows = [["n"], ...Array.from({ length: 50 }, (_, i) => [i])];
  const { columns, rowCount, rowNumbers } = await read(withRows(rowsOf(rows)), {
    member: "Flats",
    sample: 5,
  });
  expect(rowCount).toBe(50);
  expect(columns[0].cells).toEqual(Array.from(rowNumbers ?? [], (row) => row - 1));
  expect(columns[0].cells.length).toBe(5);
});

const STRAY =
  'FailureError: a.xlsx, "sheet2.xml": expected cells from A1 to XFD1048576, got others; save the workbook again';

test.each([
  ["a row of 10 digits", '<row r="1000000000"><c r="A1000000000"><v>1</v></c></row>', STRAY],
  ["a column of 8 letters", '<row r="1"><c r="AAAAAAAA1"><v>1</v></c></row>', STRAY],
  ["a column in small letters", '<row r="1"><c r="zzzzzz1"><v>1</v></c></row>', STRAY],
  ["a row behind an entity", `<row r='&#57;99999999'><c r="A1"><v>1</v></c></row>`, STRAY],
  ["an exponent", '<row r = "1e9"><c r="A1"><v>1</v></c></row>', STRAY],
  [
    "a cell far away",
    '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
    'UsageError: a.xlsx, "sheet2.xml": expected at most 100,000,000 cells, got 1,048,576 rows of 16,384 columns; remove cells that are far from the table, or save it as .csv',
  ],
  [
    "no end",
    "<row>",
    "FailureError: a.xlsx: not a complete Excel workbook (closing tag mismatch); save it again, or as .csv",
  ],
])("%s", async (_, rows, message) => {
  expect(await errorOf(() => read(withRows(rows)))).toBe(message);
});

test.each([
  ["text", `<row r="1"><c r="A1" t="inlineStr"><is><t>${"x".repeat(1.1e6)}</t></is></c></row>`],
  ["tags that do not close", "<c ".repeat(4e5)],
])("a sheet of endless %s", async (_, rows) => {
  expect(await errorOf(() => read(withRows(rows)))).toBe(
    "FailureError: a.xlsx: not a complete Excel workbook (a text or tag of a million characters); save it again, or as .csv",
  );
});

test("a sheet in a place that is none for sheets is checked too", async () => {
  const elsewhere = unzipSync(withRows('<row r="1000000000"></row>', "xl/sharedStrings.xml"));
  expect(await errorOf(() => read(zipSync(elsewhere)))).toBe(STRAY.replace("sheet2", "sharedStrings"));
});

test("limits, by what is unpacked in truth", async () => {
  const large = withRows(`<!--${" ".repeat(1e6)}-->`);
  expect(large.length).toBeLessThan(20_000);
  expect(await errorOf(() => read(large, { limits: { bytes: 500_000 } }))).toMatch(
    /^UsageError: a\.xlsx, "xl\/worksheets\/sheet2\.xml": expected at most 4\d\d,\d\d\d bytes once it is unpacked, got more; where it is to be trusted, allow more with --max-bytes$/,
  );
  expect(await errorOf(() => read(book, { limits: { columns: 3 } }))).toBe(
    "UsageError: a.xlsx: expected at most 3 columns, got 6; write a file without those that are not needed",
  );
});

test("an empty workbook, and one that is cut at every byte", async () => {
  const { "xl/worksheets/sheet3.xml": _, ...rest } = members;
  expect(await errorOf(() => read(zipSync(rest)))).toBe(
    'FailureError: a.xlsx: not a complete Excel workbook ("xl/worksheets/sheet3.xml" file not found inside the `.xlsx` file); save it again, or as .csv',
  );
  const empty = unzipSync(withRows(""));
  empty["xl/worksheets/sheet3.xml"] = empty["xl/worksheets/sheet2.xml"];
  expect(await errorOf(() => read(zipSync(empty)))).toBe(
    "UsageError: a.xlsx: the workbook is empty; expected a table of data",
  );
  expect(await expectCuts(book, read)).toEqual([]);
});
