import { expect, test } from "vitest";
import { parseArff } from "../../../src/data/readers/arff.js";
import { errorOf } from "../../support/files.js";

const HEADER = `% a comment
@RELATION 'a b'

@Attribute 'the size' REAL
@ATTRIBUTE kind{small, 'very large', "don't"} % what it is
@attribute note string
@attribute day date "yyyy-MM-dd"
@attribute n integer
`;
const day = (text: string) => Date.parse(`${text}Z`);
const cells = (text: string) => parseArff(text, "f.arff").columns.map((column) => column.cells);

test("dense rows: either quote, escapes, gaps, comments, any case", () => {
  const text = `${HEADER}@DATA % here
1.5, small, 'it\\'s, ok', 2020-01-01, 3
% between
?,'very large','?',?,NaN \r
-2e1,"don't","NA",2020-2-29,twelve, % at the end
,very large,'it''s\\n100%',?,5% of it%
`;
  expect(parseArff(text, "things.arff")).toEqual({
    rowCount: 4,
    columns: [
      { name: "the size", type: "number", cells: [1.5, null, -20, null] },
      {
        name: "kind",
        type: "text",
        cells: ["small", "very large", "don't", "very large"],
        levels: ["small", "very large", "don't"],
      },
      { name: "note", type: "text", cells: ["it's, ok", "?", "NA", "it's\n100%"] },
      { name: "day", type: "date", cells: [day("2020-01-01T00:00"), null, day("2020-02-29T00:00"), null] },
      // yet to be understood: a decimal comma, a unit or no number
      { name: "n", cells: [3, null, "twelve", "5% of it%"] },
    ],
    decisions: [],
  });
});

test("sparse rows: 0, the first level, or missing for what is left out", () => {
  const rows = `{0 7, 1 'very large', 2 'a, }b', 4 ?}\n{}\n{ 4 2 } % c\n{\t0\t1,1 very large,}\n`;
  expect(cells(`${HEADER}@data\n${rows}`)).toEqual([
    [7, 0, 0, 1],
    ["very large", "small", "small", "very large"],
    ["a, }b", null, null, null],
    [null, null, null, null],
    [null, 0, 2, 0],
  ]);
});

test("tabs or blanks between the values, and rows that do not agree on it", () => {
  const header = "@attribute a numeric\n@attribute b {x,'y z'}\n@attribute c string\n@data\n";
  for (const rows of [
    "1\tx\tp q\n2\ty z\t\n",
    "1 x 'p q'\n2   'y z'  ?\n",
    "1\tx\tp q\n2, y z,\n",
    "1 x, 'p q'\n2,y z,?",
  ]) {
    expect(cells(header + rows), rows).toEqual([
      [1, 2],
      ["x", "y z"],
      ["p q", null],
    ]);
  }
});

test("attributes as they are written: %, ranges, weights, blanks in braces, other names of types", () => {
  const text = `@relation
@attribute pct% integer [0,10]
@attribute "a {b}" real[0, 1] % of all
@attribute 'it\\'s' { yes,  no } {0.5}
@attribute d {1 2 3}
@attribute e Float {2}
@attribute f {}
@data
1,2,yes,3,4,?`;
  expect(parseArff(text, "f").columns).toEqual([
    { name: "pct%", type: "number", cells: [1] },
    { name: "a {b}", type: "number", cells: [2] },
    { name: "it's", type: "text", cells: ["yes"], levels: ["yes", "no"] },
    { name: "d", type: "text", cells: ["3"], levels: ["1", "2", "3"] },
    { name: "e", type: "number", cells: [4] },
    { name: "f", type: "text", cells: [null], levels: [] },
  ]);
});

test("weights of rows and relational attributes are left out, and told", () => {
  const text = `@attribute bag relational
  @attribute f numeric
  @attribute inner relational
    @attribute g numeric
  @end inner
@end bag
@attribute y {yes,no}
@data
'1\\n2',no,{5}
{1 yes}, { 0.25 } % c
'3',no {2}
`;
  expect(parseArff(text, "f")).toEqual({
    rowCount: 3,
    columns: [{ name: "y", type: "text", cells: ["no", "yes", "no"], levels: ["yes", "no"] }],
    decisions: [
      { columns: ["bag"], what: "left out", why: "relational attributes hold a table in each cell" },
      { columns: [], what: "weights of rows not used", why: "{2} after a row" },
    ],
  });
});

test.each([
  ["date", "2020-01-02T03:04:05", "2020-01-02T03:04:05"],
  ['date "yyyy-MM-dd HH:mm:ss"', "'2020-01-02 03:04:05'", "2020-01-02T03:04:05"],
  ["DATE yyyy-MM-dd", "2020-1-2", "2020-01-02T00:00"],
  ["date 'dd-MMM-yy'", "03-Jan-98", "1998-01-03T00:00"],
  ["date \"yyyy-MM-dd'T'HH:mm:ssZ\"", "2020-01-02T03:04:05+0100", "2020-01-02T02:04:05"],
  ['date "yyyyMMdd"', "20200102", "2020-01-02T00:00"],
  ['date "HH:mm"', "10:30", "1970-01-01T10:30"],
  ["date \"dd. MMMM 'of the y'\"", "'03. May of the y'", "1970-05-03T00:00"],
])("%s", (type, value, iso) => {
  expect(parseArff(`@attribute d ${type}\n@data\n${value}\n?\n`, "f").columns).toEqual([
    { name: "d", type: "date", cells: [day(iso), null] },
  ]);
});

test("dates of another format than the declared are text yet to be understood", () => {
  const text = "@attribute d date 'yyyy-MM-dd'\n@attribute e date qq'\n@data\n2020-01-02,x\n2/1/2020,\n";
  expect(parseArff(text, "f").columns).toEqual([
    { name: "d", cells: ["2020-01-02", "2/1/2020"] },
    { name: "e", cells: ["x", null] },
  ]);
});

test("a sample of the rows, which know their numbers; the others are not read", () => {
  const rows = Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? `${i + 1}` : `{0 ${i + 1}}`));
  const text = `@attribute a real\n@data\n%\n${rows.join("\n\n")}`;
  const { columns, rowCount, rowNumbers } = parseArff(text, "f", { sample: 7, limits: { cells: 7 } });
  expect(rowCount).toBe(50);
  expect(columns[0].cells).toHaveLength(7);
  expect(Array.from(rowNumbers ?? [])).toEqual(columns[0].cells);
});

test("lines that end as on an old Macintosh", () => {
  expect(cells("@attribute a real\r@data\r1\r\r2\r")).toEqual([[1, 2]]);
});

test("no line takes longer than it is long", () => {
  const long = 200_000;
  const start = performance.now();
  for (const line of [
    `@attribute ${"'\\".repeat(long)}`,
    `@attribute a {${"a ".repeat(long)}`,
    `@attribute a ${"x".repeat(long)}%`,
    `@attribute a date ${"Z'".repeat(long)}\n@data\nx`,
    `@attribute a real\n@data\n${"1".repeat(long)}x`,
    `@attribute a real\n@data\n${",'".repeat(long)}`,
    `@attribute a real\n@data\n{0 ${" 1".repeat(long)}`,
    `@attribute a real\n@data\n1${" {5}".repeat(long)}x`,
    `@attribute a real\n@data\n1${" \t".repeat(long)}x`,
  ]) {
    try {
      parseArff(line, "f");
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(400);
    }
  }
  expect(performance.now() - start).toBeLessThan(5000);
});

const SMALL = "@relation r\n@attribute a numeric\n@attribute c {x,y}\n";

test.each([
  [
    "word.arff",
    "@relation r\nhello\u001b there\n",
    'FailureError: word.arff: line 2: expected @relation, @attribute, @data or a % comment, got "hello\ufffd there"',
  ],
  [
    "noname.arff",
    "@relation r\n@attribute\n",
    'FailureError: noname.arff: line 2: expected @attribute name numeric, string or {level, …}, got "@attribute"; put a name that holds blanks in quotes',
  ],
  [
    "unclosed.arff",
    "@relation r\n@attribute c {x,y\n",
    'FailureError: unclosed.arff: line 2: expected @attribute name numeric, string or {level, …}, got "@attribute c {x,y"; put a name that holds blanks in quotes',
  ],
  [
    "type.arff",
    "@relation r\n\n@attribute big bag numeric\n",
    'FailureError: type.arff: line 3: attribute "big": expected the type numeric, real, integer, string, date, relational or {level, …}, got "bag"; put a name that holds blanks in quotes',
  ],
  [
    "early.arff",
    "@relation r\n@data\n",
    "FailureError: early.arff: line 2: @data comes before any @attribute; declare the attributes first",
  ],
  [
    "open.arff",
    "@attribute b relational\n@attribute c numeric\n@data\n",
    "FailureError: open.arff: line 3: @data comes before the @end of a relational attribute; close it",
  ],
  [
    "nodata.arff",
    SMALL,
    "FailureError: nodata.arff: expected a line @data and rows below it, got none; the file may be truncated: fetch or write it again",
  ],
  [
    "ragged.arff",
    `${SMALL}@data\n1,x\n\n2\n`,
    "FailureError: ragged.arff: row 2 (line 7): expected 2 values, one for each attribute, got 1; add or remove values, or quote a value that holds a comma",
  ],
  [
    "level.arff",
    `${SMALL}@data\n1,z\n`,
    'FailureError: level.arff: row 1 (line 5): attribute "c": expected one of x, y, got "z"; correct the value, or declare it',
  ],
  [
    "quote.arff",
    `${SMALL}@data\n1,'x\n`,
    "FailureError: quote.arff: row 1 (line 5): the quotes do not match in \"1,'x\"; close the quote, or write \\' inside one",
  ],
  [
    "brace.arff",
    `${SMALL}@data\n{0 1\n`,
    "FailureError: brace.arff: row 1 (line 5): a sparse row must end in }; close it",
  ],
  [
    "index.arff",
    `${SMALL}@data\n{2 1}\n`,
    'FailureError: index.arff: row 1 (line 5): expected pairs "index value" with rising indices from 0 to 1, got "{2 1}"',
  ],
  [
    "falling.arff",
    `${SMALL}@data\n{1 x, 0 1}\n`,
    'FailureError: falling.arff: row 1 (line 5): expected pairs "index value" with rising indices from 0 to 1, got "{1 x, 0 1}"',
  ],
  [
    "after.arff",
    `${SMALL}@data\n{1 x} 1\n`,
    'FailureError: after.arff: row 1 (line 5): expected pairs "index value" with rising indices from 0 to 1, got "{1 x} 1"',
  ],
  [
    "twice.arff",
    `${SMALL}@data\n1,x\n${SMALL}@data\n1,x\n`,
    'FailureError: twice.arff: row 2 (line 6): expected a row, got "@relation r", as if another file began here; keep only one header, above all rows',
  ],
])("%s", async (name, text, message) => {
  expect(await errorOf(() => parseArff(text, name))).toBe(message);
});

test("limits are told before memory is taken", async () => {
  const wide = Array.from({ length: 500 }, (_, i) => `@attribute a${i} numeric\n`).join("");
  const text = `${wide}@data\n${"{}\n".repeat(1000)}`;
  expect(await errorOf(() => parseArff(text, "f.arff", { limits: { cells: 10_000 } }))).toBe(
    "UsageError: f.arff: expected at most 10,000 cells, got 500,000; read fewer rows with --limit, or allow more with --max-cells",
  );
  expect(await errorOf(() => parseArff(text, "f.arff", { limits: { columns: 499 } }))).toBe(
    "UsageError: f.arff: expected at most 499 columns, got 500; write a file without those that are not needed",
  );
});
