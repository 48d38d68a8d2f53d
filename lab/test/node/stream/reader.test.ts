/** Records of bytes: whatever pieces they come in, the same records, numbers and positions. */
import { Buffer } from "node:buffer";
import { expect, test } from "vitest";
import { UsageError } from "../../../src/errors.js";
import { type BytePosition, LONGEST } from "../../../src/node/stream/cutter.js";
import { type Reading, RecordReader } from "../../../src/node/stream/reader.js";
import { type Batch, type Layout, TroubleCounter, type Troubles } from "../../../src/node/stream/records.js";

interface Told {
  layout: Layout | undefined;
  rows: number[][];
  targets: number[];
  times: string[];
  said: string[];
  counts: Troubles;
  position: BytePosition;
}

/** What is read of these bytes in pieces of `size`, at most `most` records at a time. */
function read(
  text: string | Buffer,
  asked: Reading = {},
  { size = Number.POSITIVE_INFINITY, most = 1000 }: { size?: number; most?: number } = {},
  before?: { position: BytePosition; layout: Layout },
  goesOn = false,
): Told {
  const bytes = Buffer.from(text as string);
  const said: string[] = [];
  const troubles = new TroubleCounter(undefined, (line) => said.push(line));
  const reader = new RecordReader(asked, troubles, (line) => said.push(line), before, goesOn);
  const batches: Batch[] = [];
  const drain = () => {
    for (let batch = reader.take(most); batch; batch = reader.take(most)) batches.push(batch);
  };
  for (let at = 0; at < bytes.length; at += size) {
    reader.feed(bytes.subarray(at, Math.min(bytes.length, at + size)));
    drain();
  }
  reader.end();
  drain();
  const width = reader.layout?.inputs.length ?? 0;
  return {
    layout: reader.layout,
    rows: batches.flatMap(({ records, rows }) =>
      Array.from({ length: records }, (_, i) => [...rows.subarray(i * width, (i + 1) * width)]),
    ),
    targets: batches.flatMap(({ targets }) => [...targets]),
    times: batches.flatMap(({ times }) => times),
    said,
    counts: troubles.counts,
    position: reader.position,
  };
}

const NAN = Number.NaN;

test.each<[string, string | Buffer, Reading, number[][]]>([
  [
    "NDJSON",
    '{"a":1,"b":2.5}\n{"b":-3e-2,"a":4}\n',
    {},
    [
      [1, 2.5],
      [4, -0.03],
    ],
  ],
  [
    "NDJSON with CRLF, blank lines, a BOM and no end",
    '\ufeff{"a":1}\r\n\r\n\n{"a":2}\r\n{"a":3}',
    {},
    [[1], [2], [3]],
  ],
  [
    "NDJSON with missing and other fields",
    '{"a":1,"b":2}\n{"a":null}\n{"b":1,"c":9}\n',
    {},
    [
      [1, 2],
      [NAN, NAN],
      [NAN, 1],
    ],
  ],
  [
    "numbers in texts, and truth values",
    '{"a":" 1.5 ","b":true}\n{"a":"n/a","b":false}\n',
    {},
    [
      [1.5, 1],
      [NAN, 0],
    ],
  ],
  [
    "names that every object has",
    '{"toString":1,"__proto__":2}\n{}\n',
    {},
    [
      [1, 2],
      [NAN, NAN],
    ],
  ],
  [
    "CSV",
    "a,b\n1,2\n3,4\n",
    {},
    [
      [1, 2],
      [3, 4],
    ],
  ],
  [
    "CSV without a header",
    "1,2\n3,4\n",
    {},
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ["CSV whose header is declared", "1,2\n3,4\n", { header: true }, [[3, 4]]],
  ["CSV with names of its own", "1,2\n3,4\n", { columns: ["x", "y"], ignore: ["x"] }, [[2], [4]]],
  [
    "CSV of chosen columns",
    "a,b,c\n1,2,3\n4,5,6\n",
    { columns: ["c", "a"] },
    [
      [3, 1],
      [6, 4],
    ],
  ],
  [
    "CSV with CRLF, a BOM, blank lines and no end",
    '\ufeff"a",b\r\n\r\n1,"2"\r\n\r\n3,4',
    {},
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ["CSV with lines and quotes within quotes", 'name,a\n"x\n""y"",1",1\n"z, ",2\n', {}, [[1], [2]]],
  ["semicolons", "a;b\n1;2\n", {}, [[1, 2]]],
  ["tabs", "a\tb\n1\t\n", {}, [[1, NAN]]],
  [
    "missing and infinite values",
    "a,b\n1,\nNA,?\n-inf,Infinity\n",
    {},
    [
      [1, NAN],
      [NAN, NAN],
      [-Infinity, Infinity],
    ],
  ],
  ["no number where blanks are", "a,b\n1,  \n", {}, [[1, NAN]]],
  [
    "a first record whose value is missing",
    "a,b\n1,\n2,3\n",
    {},
    [
      [1, NAN],
      [2, 3],
    ],
  ],
  ["letters of several bytes", 'größe,"ä,ö"\n1,2\n', {}, [[1, 2]]],
])("%s, in pieces of any size", (_, text, asked, rows) => {
  const whole = read(text, asked);
  expect(whole.rows).toEqual(rows);
  for (const size of [1, 2, 3, 7, 64]) {
    for (const most of [1, 2, 1000]) expect(read(text, asked, { size, most })).toEqual(whole);
  }
});

test("what is no record is passed over, told with its line, and counted", () => {
  const { rows, said, counts } = read('{"a":1}\nnonsense\n[1]\n\n3\n{"a":2}\n{"a":');
  expect(rows).toEqual([[1], [2]]);
  expect(counts).toEqual({ record: 4, number: 0, class: 0, field: 0 });
  expect(said[0]).toMatch(/^line 2 is no record: "nonsense" is no JSON \(.*\)$/);
  expect(said.slice(1, 3)).toEqual([
    'line 3 is no record: "[1]" is no object',
    'line 5 is no record: "3" is no object',
  ]);
  expect(said[3]).toMatch(/^line 7 is no record: "\{"a":" is no JSON/);
});

test("lines of CSV of another number of fields, or with quotes where none may be, are no records", () => {
  const text = 'a,b\n1,2\n1\n1,2,3\n1,2"3\n"1"x,2\n"5",6\n';
  for (const size of [1, 5, 1000]) {
    const { rows, said } = read(text, {}, { size });
    expect(rows).toEqual([
      [1, 2],
      [5, 6],
    ]);
    expect(said).toEqual([
      "line 3 is no record: expected 2 fields, got 1",
      "line 4 is no record: expected 2 fields, got 3",
      "line 5 is no record: quotes are not where a field begins or ends",
      "line 6 is no record: quotes are not where a field begins or ends",
    ]);
  }
});

test("a quote that nothing closes costs its line alone", () => {
  const text = `a,b\n1,2\n3,"4\n5,6\n7,8\n`;
  for (const size of [1, 9, 1000]) {
    const { rows, said, position } = read(text, {}, { size });
    expect(rows).toEqual([
      [1, 2],
      [5, 6],
      [7, 8],
    ]);
    expect(said).toEqual(["line 3 is no record: a quote is not closed"]);
    expect(position).toMatchObject({ bytes: text.length, lines: 5, open: false });
  }
});

test.each([
  ["NDJSON", '{"a":1}\n', '{"a":2}\n'],
  ["CSV", "a\n1\n", "2\n"],
])("a line of %s that has no end fills no memory, and is dropped alone", (_, before, after) => {
  const long = `${"x".repeat(3 * LONGEST)}\n`;
  for (const size of [LONGEST / 16 + 1, LONGEST + 1, 10 * LONGEST]) {
    const { rows, counts, said } = read(before + long + after, {}, { size });
    expect(rows).toEqual([[1], [2]]);
    expect(counts.record).toBe(1);
    expect(said[0]).toMatch(/ is no record: more than 1,048,576 bytes$/);
  }
});

test("the first ones of each kind are told, all are counted", () => {
  const { said, counts } = read(`a,b\n1,2\n${"x,y\n".repeat(50)}`);
  expect(counts.number).toBe(100);
  expect(said).toHaveLength(6);
  expect(said[0]).toBe('line 3: "a" is no number, taken as missing: "x"');
  expect(said[5]).toBe("more of this kind are counted, and told at the end");
});

test("fields of texts are left out, new ones too, each once and with a word", () => {
  const { layout, said } = read('{"city":"Rome","a":1}\n{"a":2,"c":3}\n{"a":2,"c":4}\n');
  expect(layout?.inputs).toEqual(["a"]);
  expect(said).toEqual([
    '"city": left out (no number in the first record); --columns names the inputs',
    'line 2: "c" is new, and left out',
  ]);
});

test("a field that objects do not have at first is looked for in later ones", () => {
  const { rows, said, layout } = read('{"a":1}\n{"a":2,"b":3,"c":4,"y":5}\n', {
    columns: ["a", "b"],
    ignore: ["c"],
    learn: "y",
  });
  expect(layout?.inputs).toEqual(["a", "b"]);
  expect(rows).toEqual([
    [1, NAN],
    [2, 3],
  ]);
  expect(said).toEqual([
    '"y" (--learn): not in the first record; looked for in later ones',
    '"c" (--ignore): not in the first record; looked for in later ones',
    '"b" (--columns): not in the first record; looked for in later ones',
  ]);
});

test("targets are numbers, or the indexes of classes; what is not known is not learned", () => {
  expect(read("a,y\n1,2\n2,\n3,inf\n", { learn: "y" }).targets).toEqual([2, NAN, NAN]);
  const classes = read('{"a":1,"y":"yes"}\n{"a":2,"y":"no"}\n{"a":3}\n{"a":4,"y":"maybe"}\n', {
    learn: "y",
    classes: ["no", "yes"],
  });
  expect(classes.targets).toEqual([1, 0, NAN, NAN]);
  expect(classes.said).toEqual(['line 4: "y" is none of --classes, not learned: "maybe"']);
  expect(classes.layout?.inputs).toEqual(["a"]);
  expect(read("t,a\n2024-01-01,1\n,2\n", { time: "t" }).times).toEqual(["2024-01-01", ""]);
});

test.each<[string, string | Buffer, Reading, RegExp]>([
  [
    "a column that is not there",
    "a,b\n1,2\n",
    { learn: "bb" },
    /^--learn: there is no column "bb"; did you mean "b"\?/,
  ],
  [
    "no column of numbers",
    "a,b\nx,y\n",
    {},
    /^stream: expected at least one column of numbers, got "a", "b"; name them with --columns a$/,
  ],
  ["an object without fields", "{}\n", {}, /got a record without fields/],
  [
    "names of other fields",
    "1,2,3\n",
    { columns: ["a"] },
    /^--columns: expected the names of all 3 fields of a line, for no line names them, got 1;/,
  ],
  [
    "a list in JSON",
    '[\n{"a":1}]\n',
    {},
    /got a list in JSON; write an object a line, as jq -c '\.\[\]' does$/,
  ],
  ["a list on one line", '[{"a":1}]\n', {}, /got a list in JSON/],
  ["UTF-16", Buffer.from("\ufeffa,b\n1,2\n", "utf16le"), {}, /got UTF-16; use iconv/],
  ["gzip", Buffer.from([0x1f, 0x8b, 8, 0, 10, 10]), {}, /got gzip; use gzip -dc$/],
  ["bytes of something else", Buffer.from([65, 0, 1, 2, 10, 10]), {}, /got bytes of something else$/],
  [
    "more columns than anything needs",
    `${"1,".repeat(10_000)}1\n`,
    {},
    /^stream: expected at most 10,000 columns, got 10,001; name those/,
  ],
])("%s is told at once", (_, text, asked, message) => {
  expect(() => read(text, asked)).toThrow(UsageError);
  expect(() => read(text, asked)).toThrow(message);
});

test.each([
  ["NDJSON", '{"a":1,"b":"x"}\n\n{"a":2}\nbad\n{"a":"3"}\n{"a":4,"c":1}'],
  ["CSV", 'a,"b\nc"\r\n1,2\r\n"3","4"\r\n\r\n5\r\n7,8'],
])("after any number of records %s goes on as if it had never stopped", (_, text) => {
  const bytes = Buffer.from(text);
  const whole = read(bytes);
  for (let records = 1; records < whole.rows.length; records++) {
    const reader = new RecordReader({}, new TroubleCounter(undefined, () => {}), () => {});
    reader.feed(bytes);
    const first: number[][] = [];
    while (first.length < records) {
      const { rows } = reader.take(1) as Batch;
      first.push([...rows]);
    }
    const { position, layout } = JSON.parse(
      JSON.stringify({ position: reader.position, layout: reader.layout }),
    );
    const rest = read(bytes.subarray(position.bytes), {}, { size: 3 }, { position, layout });
    expect([...first, ...rest.rows]).toEqual(whole.rows);
    expect(rest.position).toEqual(whole.position);
  }
});

test("names that all objects have are fields like others", () => {
  const first = '{"__proto__":1,"constructor":2,"toString":3,"y":"valueOf"}\n';
  const { layout, rows, times, targets, said } = read(`${first}{"y":"no"}\n{"constructor":4}\n`, {
    learn: "y",
    classes: ["no", "valueOf"],
    time: "hasOwnProperty",
  });
  expect(layout?.inputs).toEqual(["__proto__", "constructor", "toString"]);
  expect(rows).toEqual([
    [1, 2, 3],
    [NAN, NAN, NAN],
    [NAN, 4, NAN],
  ]);
  expect(times).toEqual(["", "", ""]);
  expect(targets).toEqual([1, 0, NAN]);
  expect(said).toEqual(['"hasOwnProperty" (--time): not in the first record; looked for in later ones']);
});

test("a first line of names with numbers among them is told, for it may be a record", () => {
  const told = (text: string, asked: Reading = {}) => read(text, asked).said.join();
  expect(told("2024-05-01T12:00,3,4\n2024-05-01T13:00,5,6\n")).toContain(
    'the first line is taken for names, though there are numbers in it ("3", "4"); --header no where it is a record',
  );
  expect(told("day,2023\n1,2\n")).toContain("though there is a number in it");
  for (const asked of [{ header: true }, { header: false }])
    expect(told("day,2023\n1,2\n", asked)).not.toContain("though");
  expect(told("day,NA\n1,2\n")).toBe("");
});

test("the line of names is no record where files follow each other, a record that is like it is one", () => {
  expect(read("a,b\n1,2\na,b\n3,4\n")).toMatchObject({
    rows: [
      [1, 2],
      [3, 4],
    ],
    said: [],
  });
  expect(read("a,b\n1,2\na,c\n").said).toHaveLength(2);
  expect(read("1,2\n3,4\n1,2\n", { header: true }).rows).toEqual([
    [3, 4],
    [1, 2],
  ]);
});

test("a source that goes on by itself may begin with its header again", () => {
  const { position, layout } = read("a,b\n1,2\n");
  const before = { position, layout: layout as Layout };
  expect(read("a,b\n3,4\n", {}, {}, before, true).rows).toEqual([[3, 4]]);
  expect(read("3,4\n", {}, {}, before, true).rows).toEqual([[3, 4]]);
});

test("what follows a last line without an end is the rest of that line, and no record", () => {
  const { position, layout } = read("a\n1\n23");
  expect(position.open).toBe(true);
  expect(read("4\n5\n", {}, {}, { position, layout: layout as Layout }).rows).toEqual([[5]]);
});
