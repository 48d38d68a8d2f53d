import { expect, test } from "vitest";
import { readTable } from "../../../src/node/file.js";
import { errorOf, write } from "../../support/files.js";

const HEADER = `% a comment
@RELATION 'a b'

@Attribute 'the size' REAL
@ATTRIBUTE kind{small, 'very large', "don't"} % what it is
@attribute note string
@attribute day date "yyyy-MM-dd"
@attribute n integer
`;

test("dense rows: either quote, escapes, gaps, comments, any case", async () => {
  const text = `${HEADER}@DATA
1.5, small, 'it''s, ok', 2020-01-01, 3
% between
?,'very large','?',?,NaN\r
-2e1,"don't","NA",'a\\'b',twelve
`.replace("it''s", "it\\'s");
  expect(await readTable(write("things.arff", text))).toEqual({
    name: "things",
    rowCount: 3,
    columns: [
      { name: "the size", kind: "number", values: [1.5, null, -20] },
      { name: "kind", kind: "text", values: ["small", "very large", "don't"] },
      { name: "note", kind: "text", values: ["it's, ok", "?", "NA"] },
      { name: "day", kind: "text", values: ["2020-01-01", null, "a'b"] },
      { name: "n", kind: "number", values: [3, null, "twelve"] },
    ],
  });
});

test("sparse rows: 0, the first level, or missing for what is left out", async () => {
  const text = `${HEADER}@data\n{0 7, 1 'very large', 2 'a, b', 4 ?}\n{}\n{ 4 2 }\n`;
  const table = await readTable(write("sparse.arff", text));
  expect(table.columns.map(({ values }) => values)).toEqual([
    [7, 0, 0],
    ["very large", "small", "small"],
    ["a, b", null, null],
    [null, null, null],
    [null, 0, 2],
  ]);
});

test("levels that look like numbers stay text", async () => {
  const table = await readTable(write("levels.arff", "@relation r\n@attribute c {0,1}\n@data\n1\n0\n"));
  expect(table.columns[0]).toEqual({ name: "c", kind: "text", values: ["1", "0"] });
});

const SMALL = "@relation r\n@attribute a numeric\n@attribute c {x,y}\n";

test.each([
  [
    "word.arff",
    "@relation r\nhello there\n",
    'FailureError: word.arff: line 2: expected @relation, @attribute, @data or a % comment, got "hello there"',
  ],
  [
    "noname.arff",
    "@relation r\n@attribute\n",
    'FailureError: noname.arff: line 2: expected @attribute name numeric, string or {level, …}, got "@attribute"',
  ],
  [
    "unclosed.arff",
    "@relation r\n@attribute c {x,y\n",
    'FailureError: unclosed.arff: line 2: expected @attribute name numeric, string or {level, …}, got "@attribute c {x,y"',
  ],
  [
    "type.arff",
    "@relation r\n\n@attribute bag relational\n",
    'FailureError: type.arff: line 3: attribute "bag": expected the type numeric, real, integer, string, date or {level, …}, got "relational"',
  ],
  [
    "early.arff",
    "@relation r\n@data\n",
    "FailureError: early.arff: line 2: @data comes before any @attribute; declare the attributes first",
  ],
  [
    "nodata.arff",
    SMALL,
    "FailureError: nodata.arff: expected a line @data and rows below it, got none; the file may be truncated: fetch or write it again",
  ],
  [
    "norows.arff",
    `${SMALL}@data\n% nothing\n`,
    "UsageError: norows.arff: expected at least one row of data, got only the names of the columns; check that the file was written to its end",
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
    "double.arff",
    "@relation r\n@attribute a numeric\n@attribute a real\n@data\n1,2\n",
    'UsageError: double.arff: columns 1 and 2 are both named "a"; rename one of them',
  ],
])("%s", async (name, text, message) => {
  expect(await errorOf(() => readTable(write(name, text)))).toBe(message);
});
