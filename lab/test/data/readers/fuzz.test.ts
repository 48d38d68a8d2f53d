/**
 * Hostile tables: small files of every format with bytes damaged, parts moved, and words put in that mean something to
 * some reader. Each must give a table or be refused with an error for its user: soon, in a few words that can be printed,
 * and without a rejection that nobody handles.
 *
 * FUZZ=100000 npx vitest run --project fast lab/test/data/readers/fuzz    damages each format so often; 150 times by default
 */
import { readFileSync } from "node:fs";
import { printable } from "@evenkeel/report/format";
import { tableFromArrays, tableToIPC } from "@uwdata/flechette";
import { gzipSync, zipSync } from "fflate";
import { expect, test } from "vitest";
import { mutated, random } from "../../../../test/checkpoints/support/fuzz.js";
import { readTable } from "../../../src/data/readers/registry.js";
import type { Source } from "../../../src/data/readers/source.js";
import type { Decision, ReadOptions, Table } from "../../../src/data/table.js";
import { FailureError, UsageError } from "../../../src/errors.js";

const TIMES = Number(process.env.FUZZ ?? 150);
const MOST_MS = 2000;
const LONGEST_MESSAGE = 600;

type Damage = (bytes: Uint8Array) => Uint8Array;
type Next = () => number;

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const fixture = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../fixtures/${name}`, import.meta.url)));
const pick = <T>(from: readonly T[], next: Next): T => from[Math.floor(next() * from.length)];

/** What means something to a reader, or to whoever prints it. */
const WORDS = [
  ..."\"'\\{}[],;:|\t%@?$\r\n\0",
  ..."@data @end {5} NaN -Infinity 1e999 __proto__ null true 0x1f 1.415 1,5 2024-02-30 03/04/2024 N/A -".split(
    " ",
  ),
  "\n@attribute a {",
  "\n@attribute b relational\n",
  "\n{0 1, 9999999999 2}\n",
  '{"a":[{"b":',
  "\u202e",
  "\u001b]52;c;AAAA\u0007",
  "\ufeff",
  "\ud83d\ude00",
  "9".repeat(500),
  "x".repeat(3000),
  "' ".repeat(500),
  '"'.repeat(501),
  "[".repeat(5000),
  "1,".repeat(2000),
  " \t".repeat(1000),
];

/** A text with one to four of those words put in, or with bytes damaged. */
function altered(bytes: Uint8Array, next: Next): Uint8Array {
  if (next() < 0.4) return mutated(bytes, next);
  let text = new TextDecoder().decode(bytes);
  for (let faults = 1 + Math.floor(next() * 4); faults > 0; faults--) {
    const at = Math.floor(next() * (text.length + 1));
    const cut = next() < 0.7 ? 0 : Math.floor(next() ** 3 * 40);
    text = text.slice(0, at) + pick(WORDS, next) + text.slice(at + cut);
  }
  return encode(text);
}

const rows = Array.from({ length: 12 }, (_, i) => ({
  id: i + 1,
  size: `${i}.${i}`,
  kind: ["red", "blue, light", "green"][i % 3],
  day: `2024-0${1 + (i % 9)}-1${i % 10}`,
  y: i % 2,
}));
const names = Object.keys(rows[0]) as (keyof (typeof rows)[0])[];
const lines = (delimiter: string) =>
  [names.join(delimiter), ...rows.map((row) => names.map((name) => `"${row[name]}"`).join(delimiter))].join(
    "\n",
  );
const columns = Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])]));

const ARFF = `% sizes
@relation 'a b'
@attribute id integer [0, 99]
@attribute size real
@attribute kind {red, 'blue, light', green}
@attribute day date "yyyy-MM-dd"
@attribute y {0,1}
@data
${rows.map((row) => `${row.id},${row.size},'${row.kind}',${row.day},${row.y}${row.y ? ", {2}" : ""} % c`).join("\n")}
${rows.map((row) => `{0 ${row.id}, 2 '${row.kind}', 4 ${row.y}}`).join("\n")}
`;

const SHEETS: Record<string, string> = {
  "[Content_Types].xml":
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
  "_rels/.rels":
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
  "xl/workbook.xml":
    '<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="One" sheetId="1" r:id="rId1"/></sheets></workbook>',
  "xl/_rels/workbook.xml.rels":
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
  "xl/worksheets/sheet1.xml": `<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>${[
    names,
    ...rows.map((row) => names.map((name) => row[name])),
  ]
    .map(
      (cells, row) =>
        `<row r="${row + 1}">${cells
          .map((cell, column) => {
            const place = `r="${"ABCDE"[column]}${row + 1}"`;
            return typeof cell === "number"
              ? `<c ${place}><v>${cell}</v></c>`
              : `<c ${place} t="inlineStr"><is><t>${cell}</t></is></c>`;
          })
          .join("")}</row>`,
    )
    .join("")}</sheetData></worksheet>`,
};

/** Its members damaged before they are packed. */
function workbook(damage: (name: string, bytes: Uint8Array) => Uint8Array): Uint8Array {
  const members = Object.entries(SHEETS).map(([name, text]) => [name, damage(name, encode(text))] as const);
  return zipSync(Object.fromEntries(members), { level: 1 });
}

/** The workbook with another text in its sheet. */
const withSheet = (edit: (text: string) => string): Uint8Array =>
  workbook((name, bytes) =>
    name.includes("sheet1") ? encode(edit(new TextDecoder().decode(bytes))) : bytes,
  );

/** The elements of a sheet, and its places, with the prefix of a namespace. */
const prefixed = (text: string): string =>
  text
    .replace("xmlns=", "xmlns:x=")
    .replaceAll(/<(\/?)(?=[a-z])/g, "<$1x:")
    .replaceAll(' r="', ' x:r="');

/** How a damaged file of each format is made; `bytes` damages bytes, `text` a text. */
const FORMATS: Record<string, (bytes: Damage, text: Damage, next: Next) => Uint8Array> = {
  "f.csv": (_, text, next) => text(encode(lines(pick([",", ";", "\t", " ", "|"], next)))),
  "f.arff": (_, text) => text(encode(ARFF)),
  "f.json": (_, text, next) =>
    text(
      encode(
        pick(
          [
            JSON.stringify(rows),
            JSON.stringify(columns, null, 1),
            JSON.stringify({
              meta: { at: [{ a: 1 }] },
              data: rows.map((row) => ({ row, list: [1, 2], text: ["x"] })),
            }),
            JSON.stringify({ columns: names, data: rows.map((row) => names.map((name) => row[name])) }),
            rows.map((row) => JSON.stringify(row)).join("\n"),
          ],
          next,
        ),
      ),
    ),
  "f.parquet": (bytes, _, next) => bytes(pick(PARQUET, next)),
  "f.arrow": (bytes, _, next) => bytes(pick(ARROW, next)),
  "f.xlsx": (bytes, text, next) => {
    if (next() < 0.4) return bytes(workbook((_, content) => content));
    const damaged = pick(Object.keys(SHEETS), next);
    return workbook((name, content) => (name === damaged ? text(content) : content));
  },
  "f.csv.gz": (bytes, text, next) =>
    next() < 0.2 ? gzipSync(text(encode(lines(",")))) : bytes(gzipSync(encode(lines(",")))),
  "f.zip": (bytes, _, next) =>
    bytes(zipSync({ "a/f.csv": encode(lines(",")) }, { level: next() < 0.5 ? 0 : 6 })),
};

const PARQUET = [fixture("people.parquet"), fixture("nested.parquet")];
const ARROW = (["file", "stream"] as const).map((format) => {
  const bytes = tableToIPC(tableFromArrays({ ...columns, list: rows.map(({ id }) => [id, 2]) }), { format });
  return bytes as Uint8Array;
});

/** What a table may not be, in words. */
function problemOf(table: Table): string | undefined {
  for (const { name, kind, values } of table.columns) {
    if (name === "" || printable(name) !== name) return `the name ${JSON.stringify(name)}`;
    if (values.length !== table.rowCount) return `${values.length} values in ${table.rowCount} rows`;
    const type = kind === "text" ? "string" : "number";
    const stray = values.find((value) => value !== null && typeof value !== type);
    if (stray !== undefined) return `${JSON.stringify(stray)} in a column of ${kind}`;
  }
  return table.decisions
    .map(textOf)
    .find((text) => text.length > LONGEST_MESSAGE || printable(text) !== text);
}

const textOf = ({ what, why = "", option = "" }: Decision): string => `${what} ${why} ${option}`;

const sourceOf = (name: string, bytes: Uint8Array): Source => ({
  name,
  byteLength: bytes.length,
  slice: async (start, end) => bytes.slice(start, end).buffer as ArrayBuffer,
});

/** Throws where a file gives a table that is none, or an error that is none for a user. */
async function check(source: Source, options: ReadOptions): Promise<void> {
  let table: Table;
  try {
    table = await readTable(source, options);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof FailureError)) throw error;
    const { message } = error;
    if (message.length > LONGEST_MESSAGE || printable(message) !== message) {
      throw new Error(`a message of ${message.length} characters: ${JSON.stringify(message.slice(0, 2000))}`);
    }
    return;
  }
  const problem = problemOf(table);
  if (problem !== undefined) throw new Error(`a table with ${problem}`);
}

test.each(Object.entries(FORMATS))(
  `%s: ${TIMES} damaged files are read or refused`,
  async (name, make) => {
    const next = random(name.length + 11);
    const prototype = Object.getOwnPropertyNames(Object.prototype).join();
    let slowest = 0;
    for (let i = 0; i < TIMES; i++) {
      const damaged = make(
        (bytes) => mutated(bytes, next),
        (bytes) => altered(bytes, next),
        next,
      );
      const options = next() < 0.8 ? {} : { sample: 1 + Math.floor(next() * 20) };
      const start = performance.now();
      try {
        await check(sourceOf(name, damaged), options);
      } catch (error) {
        throw new Error(`file ${i}, ${Buffer.from(damaged).toString("base64").slice(0, 20_000)}`, {
          cause: error,
        });
      }
      slowest = Math.max(slowest, performance.now() - start);
    }
    // a rejection that nobody handles shows now
    await new Promise((done) => setImmediate(done));
    expect(slowest).toBeLessThan(MOST_MS);
    expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(prototype);
  },
  Math.max(60_000, TIMES * 20),
);

test.each(Object.entries(FORMATS))("%s: the file is read when it is not damaged", async (name, make) => {
  for (let i = 0; i < 8; i++) {
    const whole = make(
      (bytes) => bytes,
      (bytes) => bytes,
      random(i),
    );
    expect((await readTable(sourceOf(name, whole))).columns.length).toBeGreaterThan(0);
  }
});

test.each<[string, (text: string) => string]>([
  ["a column", (text) => text.replace('r="E5"', 'r="ZZZZZ5"')],
  ["a column without a number", (text) => text.replace('r="E5"', "r=\"E' '5\"")],
  ["a row", (text) => text.replace('<row r="5"', '<row r="1e9"')],
  ["a cell's row", (text) => text.replace('r="E5"', 'r="E1e9"')],
  ["an entity", (text) => text.replace('r="E5"', 'r="&#90;ZZZZZ5"')],
  ["a column with a prefix", (text) => prefixed(text.replace('r="E5"', 'r="ZZZZZ5"'))],
  ["a row with a prefix", (text) => prefixed(text.replace('<row r="5"', '<row r="1e8"'))],
  ["after a tag that is none", (text) => text.replace('<c r="E5"', '<?a "?><c x=">" r="ZZZZZ5"')],
])("f.xlsx: a place beyond all sheets is refused before memory is taken: %s", async (_, edit) => {
  const start = performance.now();
  await expect(readTable(sourceOf("f.xlsx", withSheet(edit)))).rejects.toThrow(
    'f.xlsx, "sheet1.xml": expected cells from A1 to XFD1048576, got others; save the workbook again',
  );
  expect(performance.now() - start).toBeLessThan(MOST_MS);
});

test("f.xlsx: what looks like a place in a text is none", async () => {
  const bytes = withSheet((text) => text.replace("<t>red", '<t>x r="Hello"'));
  expect((await readTable(sourceOf("f.xlsx", bytes))).rowCount).toBe(rows.length);
});
