import { expect, test } from "vitest";
import { readCsv } from "../../../src/data/readers/csv.js";
import { Records } from "../../../src/data/readers/delimited.js";
import { drawn } from "../../../src/data/readers/sample.js";
import { textOf } from "../../../src/data/readers/source.js";
import type { RawTable, ReadOptions } from "../../../src/data/table.js";
import { errorOf } from "../../support/files.js";
import { sourceOf } from "../../support/sources.js";
import { rows } from "../../support/tables.js";

/** As a file with the ending of `name`. */
async function read(content: string, options: ReadOptions = {}, name = "t.csv"): Promise<RawTable> {
  const usual = { csv: ",", tsv: "\t" }[name.replace(/.*\./, "")];
  return readCsv(await textOf(sourceOf(name, content)), name, options, usual);
}

/** The names, a row per line, cells between bars; then what was decided, with its option. */
function shown({ columns, decisions }: RawTable): string[] {
  const names = columns.map(({ name }) => name);
  const lines = columns[0].cells.map((_, row) => columns.map(({ cells }) => cells[row] ?? "∅"));
  return [
    ...[names, ...lines].map((line) => line.join("|")),
    ...decisions.map(
      ({ what, why, option }) => `${what}${why ? ` (${why})` : ""}${option ? ` [${option}]` : ""}`,
    ),
  ];
}

const NO_HEADER = "read without a header (its first row is like those below it) [--header yes]";
const SEMICOLONS = 'read with semicolons between its fields [--delimiter ","]';
/** Where commas would give no table. */
const SEMICOLONS_ALONE = "read with semicolons between its fields";
const NAMED = "read with its first row as the names of the columns [--header no]";

test.each<[kind: string, file: string, text: string, expected: string[]]>([
  [
    "quotes, blanks, Windows line ends, blank lines",
    "t.csv",
    '\ufeffage, "name, full",city\r\n31,"Ada ""L"" Byron" , Oslo\r\n\r\nNA,Bo,""\r\n4.5e1,"two\nlines",null\r\n',
    ["age|name, full|city", '31|Ada "L" Byron|Oslo', "NA|Bo|", "4.5e1|two\nlines|null"],
  ],
  ["old Mac line ends", "t.csv", "a,b\r1,x\r2,y\r", ["a|b", "1|x", "2|y"]],
  [
    "the end of a file of DOS",
    "t.csv",
    "a,b\r\n1,x\r\n2,y\r\n\x1a",
    ["a|b", "1|x", "2|y", "read without its last row (fewer than 2 fields)"],
  ],
  ["mixed line ends, none at the end", "t.csv", "a,b\r\n1,x\n2,y\r3,z", ["a|b", "1|x", "2|y", "3|z"]],
  ["tabs", "t.tsv", "x\ty\n\t2\n-.5\tNaN\n", ["x|y", "|2", "-.5|NaN"]],
  [
    "commas named as tabs",
    "t.tsv",
    "a,y\n1,x\n2,z\n",
    ["a|y", "1|x", "2|z", "read with commas between its fields"],
  ],
  [
    "tabs with decimal commas",
    "t.txt",
    "a\tb\n1,29\t1,45\n0,07\t-0,76\n",
    ["a|b", "1,29|1,45", "0,07|-0,76"],
  ],
  [
    "semicolons with commas in the names and the numbers",
    "t.csv",
    "weight, kg;height, cm\n60,5;170,2\n61,5;171\n",
    ["weight, kg|height, cm", "60,5|170,2", "61,5|171", SEMICOLONS_ALONE],
  ],
  [
    "semicolons with commas in the text",
    "t.csv",
    "a;note;y\n1.2;x, y;1\n0.7;x, y;0\n",
    ["a|note|y", "1.2|x, y|1", "0.7|x, y|0", SEMICOLONS],
  ],
  [
    "commas with semicolons in the cells",
    "t.csv",
    "id,genres\n1,3;5;7\n2,1;2;4\n3,1;1;1\n",
    ["id|genres", "1|3;5;7", "2|1;2;4", "3|1;1;1"],
  ],
  [
    "commas with bars in the cells, and none in the header",
    "t.csv",
    "url,y\na.b/c?d=1|2,1\na.b/c?d=3|4,0\n",
    ["url|y", "a.b/c?d=1|2|1", "a.b/c?d=3|4|0"],
  ],
  [
    "bars around every line, and rules",
    "t.txt",
    "+---+----+\n| a | b  |\n+---+----+\n| 1 | x  |\n| 2 | y  |\n+---+----+\n",
    [
      "a|b",
      "1|x",
      "2|y",
      "read without 3 lines of comments and rules",
      "read without 2 columns that have neither a name nor a value",
    ],
  ],
  [
    "runs of blanks and tabs, with a quoted text",
    "t.data",
    '18.0   8 \t130.\t"a b"\n 15.0  10   ?.\t"c"  \n',
    ["|||", "18.0|8|130.|a b", "15.0|10|?.|c", NO_HEADER],
  ],
  [
    "double colons",
    "t.dat",
    "1::Heat: a film::5\n2::Up::4\n",
    ["||", "1|Heat: a film|5", "2|Up|4", NO_HEADER],
  ],
  ["carets", "t.txt", "a^y\n1^0\n2^1\n", ["a|y", "1|0", "2|1"]],
  [
    "single quotes",
    "t.csv",
    "a,'the note',y\n1,'x, y',0\n2,'it''s',1\n",
    ["a|the note|y", "1|x, y|0", "2|it's|1", "read with ' as the quote around fields"],
  ],
  [
    "apostrophes that are no quotes",
    "t.csv",
    "name,y\nO'Brien,1\n's-Hertogenbosch,2\nAda,3\n",
    ["name|y", "O'Brien|1", "'s-Hertogenbosch|2", "Ada|3"],
  ],
  [
    "quotes escaped by backslashes",
    "t.csv",
    'a,note\n1,"say \\"hi\\", then"\n2,"\\"x\\""\n',
    [
      "a|note",
      '1|say "hi", then',
      '2|"x"',
      "read with a backslash before a character that is meant as it is",
    ],
  ],
  [
    "delimiters escaped by backslashes",
    "t.csv",
    "a,note,y\n1,x\\, y,0\n2,z,1\n",
    ["a|note|y", "1|x, y|0", "2|z|1", "read with a backslash before a character that is meant as it is"],
  ],
  [
    "backslashes that escape nothing",
    "t.csv",
    'a,path\n1,"C:\\dir\\"\n2,"D:\\"\n',
    ["a|path", "1|C:\\dir\\", "2|D:\\"],
  ],
  [
    "quotes inside fields",
    "t.csv",
    'size,note\n5" pipe,a "b" c\n6" pipe,"d "e" f"\n',
    ["size|note", '5" pipe|a "b" c', '6" pipe|d "e" f', NAMED],
  ],
  [
    "quotes that enclose nothing",
    "t.tsv",
    'y\ttext\nham\t"I am\nspam\tgo\nham\t"no" he said\n',
    [
      "y|text",
      'ham|"I am',
      "spam|go",
      'ham|"no" he said',
      'read with " as a character like any other (not all of them are closed)',
      NAMED,
    ],
  ],
  [
    "comments, at the start and between",
    "t.csv",
    '# by "x, 2020\n# y\na,b\n1,2\n# z\n3,4\n',
    ["a|b", "1|2", "3|4", "read without 3 lines of comments and rules"],
  ],
  [
    "the names in a comment",
    "t.txt",
    "# a b\n1.5 2\n2.5 4\n",
    [
      "a|b",
      "1.5|2",
      "2.5|4",
      "read without 1 line of comments and rules",
      "read with the names in the line above the table [--header no]",
    ],
  ],
  [
    "comments that begin with !, and end the file",
    "t.txt",
    "! made by a tool\n! x\na b\n1 2\n3 4\n!end\n",
    ["a|b", "1|2", "3|4", "read without 3 lines of comments and rules"],
  ],
  ["units of a database", "t.txt", "id\x1fa\n1\x1f2.5\n2\x1f3.5\n", ["id|a", "1|2.5", "2|3.5"]],
  ["a column named #", "t.csv", "#,name\n1,x\n2,y\n", ["#|name", "1|x", "2|y"]],
  [
    "titles above the header",
    "t.csv",
    "Report, 2024\n\ndate;temp;rain\n1;1,5;3\n2;2,5;4\n",
    [
      "date|temp|rain",
      "1|1,5|3",
      "2|2,5|4",
      SEMICOLONS_ALONE,
      'read without its first line ("Report, 2024")',
    ],
  ],
  [
    "titles filled up with delimiters",
    "t.csv",
    "My report,,\n,,\nname,age,city\nAda,36,London\nBo,41,Oslo\n",
    ["name|age|city", "Ada|36|London", "Bo|41|Oslo", 'read without its first line ("My report")'],
  ],
  [
    "a title and notes filled up with delimiters",
    "t.csv",
    "My report,,\nCreated,2024-01-31,\nBy,Ada,\nname,age,city\nAda,36,London\nBo,41,Oslo\nCy,27,Rome\n",
    [
      "name|age|city",
      "Ada|36|London",
      "Bo|41|Oslo",
      "Cy|27|Rome",
      'read without its first 3 lines ("My report", "Created, 2024-01-31", "By, Ada")',
    ],
  ],
  [
    "scikit-learn's line instead of a header",
    "t.csv",
    "3,2,setosa,virginica\n5.1,3.5,0\n4.9,3.0,1\n6.2,3.4,0\n",
    [
      "||",
      "5.1|3.5|0",
      "4.9|3.0|1",
      "6.2|3.4|0",
      'read without its first line ("3, 2, setosa, virginica")',
      NO_HEADER,
    ],
  ],
  [
    "that line with as many fields as the rows have",
    "t.csv",
    "3,4,setosa,versicolor,virginica\n5.1,3.5,1.4,0.2,0\n4.9,3.0,1.4,0.2,1\n6.2,3.4,5.4,2.3,2\n",
    [
      "||||",
      "5.1|3.5|1.4|0.2|0",
      "4.9|3.0|1.4|0.2|1",
      "6.2|3.4|5.4|2.3|2",
      'read without its first line ("3, 4, setosa, versicolor, virginica")',
      NO_HEADER,
    ],
  ],
  [
    "the separator in Excel's own line",
    "t.csv",
    "sep=;\na;b\n1,5;2,5\n",
    ["a|b", "1,5|2,5", SEMICOLONS_ALONE],
  ],
  [
    "R's names of rows",
    "t.txt",
    '"a" "y"\n"1" 0.5 "yes"\n"2" 0.7 "no"\n',
    [
      "|a|y",
      "1|0.5|yes",
      "2|0.7|no",
      "read with its first column as names of the rows (the header has one name fewer than the rows have fields)",
    ],
  ],
  [
    "a delimiter at the end of all lines",
    "t.csv",
    "a,y,\n1,x,\n2,z,\n",
    ["a|y", "1|x", "2|z", "read without 1 column that has neither a name nor a value"],
  ],
  [
    "a delimiter at the end of the rows",
    "t.csv",
    "a,y\n1,x,\n2,z,\n",
    ["a|y", "1|x", "2|z", "read without 1 column that has neither a name nor a value"],
  ],
  [
    "a delimiter at the end of the header, or of some rows",
    "t.csv",
    "a,y,\n1,x\n2,z,\n3,x\n",
    ["a|y", "1|x", "2|z", "3|x", "read without 1 column that has neither a name nor a value"],
  ],
  [
    "short rows",
    "t.csv",
    "a,b,y\n1,2,3\n4,5\n6,7,8\n9,1,2\n",
    [
      "a|b|y",
      "1|2|3",
      "4|5|∅",
      "6|7|8",
      "9|1|2",
      "read with nothing for what 1 row lacks at the end (row 2 has fewer than 3 fields)",
    ],
  ],
  [
    "a last row that is cut, and sources below the table",
    "t.csv",
    "a,b,y\n1,2,3\n4,5,6\n9,1\n\nSource: x\n",
    ["a|b|y", "1|2|3", "4|5|6", "read without its last 2 rows (fewer than 3 fields)"],
  ],
  [
    "the header once more",
    "t.csv",
    "a,y\n1,x\na,y\n2,z\n",
    ["a|y", "1|x", "2|z", "read without 1 row that repeats the header"],
  ],
  [
    "no header: numbers over numbers, text that comes again",
    "t.csv",
    "0,1.250,yes\n1,-0.259,no\n2,0.158,yes\n",
    ["||", "0|1.250|yes", "1|-0.259|no", "2|0.158|yes", NO_HEADER],
  ],
  [
    "no header: a first value that is missing",
    "t.csv",
    "?,1.2,a\n3,1.4,b\n4,1.5,a\n",
    ["||", "?|1.2|a", "3|1.4|b", "4|1.5|a", NO_HEADER],
  ],
  [
    "no header: text alone",
    "t.csv",
    "red,s,yes\nblue,m,no\nred,m,yes\nblue,s,no\n",
    ["||", "red|s|yes", "blue|m|no", "red|m|yes", "blue|s|no", NO_HEADER],
  ],
  [
    "a header over text alone",
    "t.csv",
    "color,size\nred,s\nblue,m\nred,m\nblue,s\n",
    ["color|size", "red|s", "blue|m", "red|m", "blue|s"],
  ],
  [
    "a header of years",
    "t.csv",
    "country,2019,2020\nA,1.5,2.5\nB,3.5,4.5\n",
    ["country|2019|2020", "A|1.5|2.5", "B|3.5|4.5", NAMED],
  ],
  [
    "a header of wavelengths",
    "t.csv",
    "1100.5,1102.5,1104.5,1106.5,1108.5,y\n0.1,0.2,0.3,0.2,0.3,1\n0.3,0.2,0.1,0.4,0.2,0\n",
    ["1100.5|1102.5|1104.5|1106.5|1108.5|y", "0.1|0.2|0.3|0.2|0.3|1", "0.3|0.2|0.1|0.4|0.2|0", NAMED],
  ],
  [
    "a header of other delimiters than the rows",
    "t.csv",
    "a,b,y\n1;2,5;p\n2;3,5;q\n",
    [
      "a|b|y",
      "1|2,5|p",
      "2|3,5|q",
      SEMICOLONS_ALONE,
      'read without its first line ("a,b,y")',
      "read with the names in the line above the table [--header no]",
    ],
  ],
  [
    "a header of dates",
    "t.csv",
    "store,2020-01-01,2020-02-01\nA,15,25\nB,35,45\n",
    ["store|2020-01-01|2020-02-01", "A|15|25", "B|35|45"],
  ],
  [
    "pandas' own names and index",
    "t.csv",
    ",0,1,2\n0,1.5,2.5,9\n1,3.5,4.5,8\n",
    ["|0|1|2", "0|1.5|2.5|9", "1|3.5|4.5|8", NAMED],
  ],
  [
    "units below the header",
    "t.csv",
    "time,temp,note\ns,°C,\n0,20.5,a\n1,20.6,b\n",
    [
      "time|temp|note",
      "0|20.5|a",
      "1|20.6|b",
      'read without the row of text between its header and its values ("s, °C")',
    ],
  ],
  [
    "a logger's title, names, units and ways to measure",
    "t.csv",
    '"TOA5","CR1000","1234"\n"TS","Temp_Avg"\n"TS","Deg C"\n"","Avg"\n"2024-01-05 10:00",12.5\n"2024-01-05 10:10",12.6\n"2024-01-05 10:20",12.7\n',
    [
      "TS|Temp_Avg",
      "2024-01-05 10:00|12.5",
      "2024-01-05 10:10|12.6",
      "2024-01-05 10:20|12.7",
      'read without its first line ("TOA5, CR1000, 1234")',
      'read without the 2 rows of text between its header and its values ("TS, Deg C", "Avg")',
    ],
  ],
  [
    "bounds in the first row are no units",
    "t.csv",
    "a,b\n<0.1,<0.2\n0.5,0.6\n0.7,0.8\n",
    ["a|b", "<0.1|<0.2", "0.5|0.6", "0.7|0.8"],
  ],
  [
    "what an instrument says of itself, as wide as the table",
    "t.csv",
    "Instrument,XYZ-100\nSerial,12345\n\nnm,A\n400,0.1\n401,0.2\n402,0.3\n",
    [
      "nm|A",
      "400|0.1",
      "401|0.2",
      "402|0.3",
      'read without its first 2 lines ("Instrument, XYZ-100", "Serial, 12345")',
    ],
  ],
  [
    "names above several names",
    "t.csv",
    ",2023,,2024,\nregion,sales,cost,sold,costs\nN,1,2,3,4\nS,5,6,7,8\n",
    ["region|sales|cost|sold|costs", "N|1|2|3|4", "S|5|6|7|8", 'read without its first line ("2023, 2024")'],
  ],
  [
    "titles above two columns",
    "t.csv",
    "Anomalies\nMissing: -999\nYear,Value\n1880,-0.15\n1881,-0.10\n",
    [
      "Year|Value",
      "1880|-0.15",
      "1881|-0.10",
      'read without its first 2 lines ("Anomalies", "Missing: -999")',
    ],
  ],
  [
    "blanks between tabs",
    "t.tsv",
    "full name\tage\nAda Lovelace\t36\nBo Derek\t41\n",
    ["full name|age", "Ada Lovelace|36", "Bo Derek|41"],
  ],
  [
    "titles above tabs, names with blanks",
    "t.txt",
    "Model: A\n\nTime [s]\tVoltage [V]\n0.0\t1.5\n0.1\t1.6\n",
    ["Time [s]|Voltage [V]", "0.0|1.5", "0.1|1.6", 'read without its first line ("Model: A")'],
  ],
  [
    "short rules",
    "t.txt",
    "id  val\n--  ---\n1   1.5\n2   2.0\n",
    ["id|val", "1|1.5", "2|2.0", "read without 1 line of comments and rules"],
  ],
  [
    "numbers as formulas, so that they stay text",
    "t.csv",
    'id,zip,y\n1,="02139",a\n2,"=""10001""",b\n3,=1+1,a\n',
    ["id|zip|y", "1|02139|a", "2|10001|b", "3|=1+1|a"],
  ],
  [
    "whole lines in quotes",
    "t.csv",
    '"a,b,y"\n"1,""p, q"",x"\n"3,r,z"\n',
    ["a|b|y", "1|p, q|x", "3|r|z", "read without the quotes around whole lines"],
  ],
  [
    "whole lines in quotes, but for the header",
    "t.csv",
    'a,b,y\n"1,2,x"\n"3,4,z"\n',
    ["a|b|y", "1|2|x", "3|4|z", "read without the quotes around whole lines"],
  ],
  [
    "a title of as many words as blanks would make fields",
    "t.csv",
    "Report of 2024\n\nday,kg,next\n2024-01-05 10:00,5,2024-02-05 11:00\n2024-01-06 10:00,6,2024-02-06 11:00\n",
    [
      "day|kg|next",
      "2024-01-05 10:00|5|2024-02-05 11:00",
      "2024-01-06 10:00|6|2024-02-06 11:00",
      'read without its first line ("Report of 2024")',
    ],
  ],
  [
    "the same above tabs, filled up",
    "t.tsv",
    "Report of 2024\t\t\n\t\t\na\tb\ty\n1\tp\t3\n2\tq\t5\n",
    ["a|b|y", "1|p|3", "2|q|5", 'read without its first line ("Report of 2024")'],
  ],
  [
    "two titles above two columns, the first row without a number",
    "t.csv",
    "Report of 2024\nSource: x\n\na,b\np,?\nq,1\nr,2\n",
    ["a|b", "p|?", "q|1", "r|2", 'read without its first 2 lines ("Report of 2024", "Source: x")'],
  ],
  ["one row", "t.csv", "1,2,x\n", ["||", "1|2|x", NO_HEADER]],
  ["one column", "t.csv", '"y"\n1\n2\n', ["y", "1", "2"]],
])("%s", async (_, file, text, expected) => {
  expect(shown(await read(text, {}, file))).toEqual(expected);
});

test("--delimiter and --header decide otherwise", async () => {
  expect(shown(await read("a;b,c\n1;2,3\n", { delimiter: ";" }))).toEqual(["a|b,c", "1|2,3"]);
  expect(shown(await read("1--2\n3--4\n", { delimiter: "--", header: true }))).toEqual(["1|2", "3|4"]);
  expect(shown(await read("a,b\n1,2\n", { header: false }))).toEqual(["|", "a|b", "1|2"]);
  expect(shown(await read("a\tb c\n1\t2 3\n", { delimiter: "tab" }))).toEqual(["a|b c", "1|2 3"]);
});

test("pieces of any size give the records that the whole gives", () => {
  const text = 'a;"b ""c""\r\n;";d\r\n# x\r\n\r\n1;  2 ;\r\n"x";5" y;\\;\n';
  const split = (size: number): string[][] => {
    const found: string[][] = [];
    const dialect = { delimiter: ";", quote: '"', backslash: false, comment: "#" } as const;
    const records = new Records(dialect, 10, (record) => {
      found.push(Array.from({ length: record.count }, (_, index) => record.cell(index)));
      return true;
    });
    for (let at = 0; at < text.length; at += size) records.push(text.slice(at, at + size));
    records.push("", true);
    return found;
  };
  const expected = [
    ["a", 'b "c"\r\n;', "d"],
    ["1", "2", ""],
    ["x", '5" y', "\\", ""],
  ];
  for (let size = 1; size <= text.length; size++) expect(split(size)).toEqual(expected);
});

test("quotes that are none, far below the first lines", async () => {
  const plain = rows(30_000, (i) => `${i}\tabcdefgh\t${i % 2}`).join("\n");
  const { rowCount, decisions } = await read(
    `id\ttitle\ty\n${plain}\n7\t"10" And On\t1\n8\tx\t0\n9\t"Giliap"\t0\n`,
    {},
    "t.tsv",
  );
  expect(rowCount).toBe(30_003);
  expect(decisions.map(({ what }) => what)).toEqual(['read with " as a character like any other']);
});

test("a cell of megabytes, and one that is quoted", async () => {
  const long = "x,\n".repeat(400_000);
  const { columns, decisions } = await read(`a,b\n1,${"y".repeat(1e6)}\n2,"${long}"\n3,z\n`);
  expect(columns[1].cells.map((cell) => String(cell).length)).toEqual([1e6, long.length, 1]);
  expect(decisions).toEqual([]);
});

test("a header of megabytes", async () => {
  const { columns } = await read(
    `${rows(1000, (i) => "n".repeat(5000) + i).join()}\n${rows(3, () => "1,".repeat(999).concat("2")).join("\n")}\n`,
  );
  expect(columns).toHaveLength(1000);
});

test("a sample is uniform, always the same, in the order of the file, and knows its rows", async () => {
  const text = `n,y\n${rows(20_000, (i) => `${i + 1},${i % 3}`).join("\n")}\n`;
  const { columns, rowCount, rowNumbers } = await read(text, { sample: 500 });
  const numbers = Array.from(rowNumbers ?? []);
  expect(rowCount).toBe(20_000);
  expect(columns[0].cells.map(Number)).toEqual(numbers);
  expect(new Set(numbers).size).toBe(500);
  // other formats, which know the number of their rows, draw the same ones
  expect(Array.from(drawn(20_000, 500) ?? [], (row) => row + 1)).toEqual(numbers);
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  // five standard deviations of a count of 100
  for (let fifth = 0; fifth < 5; fifth++) {
    const among = numbers.filter((n) => Math.floor((n - 1) / 4000) === fifth).length;
    expect(Math.abs(among - 100)).toBeLessThan(5 * Math.sqrt(500 * 0.2 * 0.8));
  }
  expect((await read(text, { sample: 500 })).rowNumbers).toEqual(rowNumbers);
  expect((await read("n,y\n1,2\n3,4\n", { sample: 5 })).rowNumbers).toBeUndefined();
});

const RAGGED = "add or remove fields, or quote a field that holds a";

test.each<[kind: string, file: string, text: string, options: ReadOptions, message: string]>([
  [
    "a row that is too long",
    "t.csv",
    "a,b\n1,2\n\n1,2,3\n4,5\n6,7\n",
    {},
    `FailureError: t.csv: row 2 (line 4): expected 2 fields as in the header, got 3; ${RAGGED} comma`,
  ],
  [
    "one of a file without header",
    "t.tsv",
    "1\t2\n1\t2\n1\t2\t3\n4\t5\n",
    {},
    `FailureError: t.tsv: row 3 (line 3): expected 2 fields as in the other rows, got 3; ${RAGGED} tab`,
  ],
  [
    "a short row between blanks",
    "t.txt",
    "a b c\n1 2 3\n4 5\n6 7 8\n9 9 9\n",
    {},
    "FailureError: t.txt: row 2 (line 3): expected 3 fields as in the header, got 2; write NA for a value that is missing, or quote a field that holds a blank",
  ],
  [
    "a header of more names than fields",
    "t.csv",
    "weight, kg,y\n60,1\n70,2\n",
    {},
    "FailureError: t.csv: row 1: expected 3 fields as in the header, got 2; quote what holds a delimiter, add or remove fields or names, or say --header no where the first line is no header",
  ],
  [
    "delimiters within fields of every row",
    "t.csv",
    "day,price\nJan 5, 2020,3.5\nJan 6, 2020,4.5\nJan 7, 2020,5.5\n",
    {},
    "FailureError: t.csv: row 1: expected 2 fields as in the header, got 3; quote what holds a delimiter, add or remove fields or names, or say --header no where the first line is no header",
  ],
  [
    "decimal commas between commas",
    "t.csv",
    "a,b\n1,5,2,5\n1,6,2,7\n",
    {},
    "FailureError: t.csv: row 1: expected 2 fields as in the header, got 4; quote what holds a delimiter, add or remove fields or names, or say --header no where the first line is no header",
  ],
  [
    "a row below the separator in Excel's own line",
    "t.csv",
    "sep=;\na;b\n1;2\n1;2;3\n3;4\n",
    {},
    `FailureError: t.csv: row 2 (line 4): expected 2 fields as in the header, got 3; ${RAGGED} semicolon`,
  ],
  [
    "a quote that is not closed",
    "t.csv",
    'a,b\n1,"x, y"\n2,"z\n3,4\n',
    {},
    "FailureError: t.csv: row 2 (line 3): a quote opens or closes in the wrong place; close it, quote the whole field, or double a quote inside a quoted field",
  ],
  [
    "prose",
    "t.txt",
    `One, two.\nThree four five\n${rows(20, (i) => "six, seven ".repeat((i * 7) % 9)).join("\n")}\nG.\n`,
    {},
    "UsageError: t.txt: expected a table, got text whose lines have different numbers of fields, whatever may separate them; name what does with --delimiter",
  ],
  [
    "too many columns",
    "t.csv",
    `${"a,".repeat(50)}\n${"1,".repeat(50)}\n`,
    { limits: { columns: 40 } },
    "UsageError: t.csv: expected at most 40 columns, got more; name what separates the fields with --delimiter, or leave columns out of the file",
  ],
  [
    "too many cells",
    "t.csv",
    "a,b\n1,2\n3,4\n5,6\n",
    { limits: { cells: 4 } },
    "UsageError: t.csv: expected at most 4 cells, got more (row 3 of 2 columns); read a sample of the rows with --limit, or allow more with --max-cells",
  ],
  [
    "no character",
    "t.csv",
    "a,b\n1,2\n",
    { delimiter: "" },
    'UsageError: --delimiter: expected a character such as ";", tab, or " " for any number of blanks, got ""',
  ],
  ["blanks alone", "t.csv", " \n\t\n", {}, "UsageError: t.csv: the file is empty; expected a table of data"],
])("%s", async (_, file, text, options, message) => {
  expect(await errorOf(() => read(text, options, file))).toBe(message);
});

test.each([
  ["quotes", `a,b\n"${'" '.repeat(500_000)}\n`],
  ["fields that each open a quote", `a,b\n${'"x,1\n'.repeat(200_000)}`],
  ["blanks", `a b\n1${" ".repeat(4_000_000)}2\n`],
  ["backslashes", `a,b\n"${"\\".repeat(2_000_000)}",1\n`],
  ["digits", "1".repeat(8_000_000)],
  ["line ends", "\r".repeat(4_000_000)],
  ["comments", "# x\n".repeat(300_000)],
])("in linear time: millions of %s", async (_, text) => {
  const start = performance.now();
  await read(text).catch(() => {});
  // quadratic, each of them would take hours
  expect(performance.now() - start).toBeLessThan(10_000);
});
