import { expect, test } from "vitest";
import { isText, textOf, wholeOf } from "../../../src/data/readers/source.js";
import { errorOf } from "../../support/files.js";
import { sourceOf } from "../../support/sources.js";

const utf16 = (text: string, mark = true): Buffer => Buffer.from((mark ? "\ufeff" : "") + text, "utf16le");

/** The text of bytes, and how they were read. */
async function read(bytes: string | Uint8Array, encoding?: string): Promise<[string, string]> {
  const text = await textOf(sourceOf("t.csv", bytes), { encoding });
  return [
    await wholeOf(text, "t.csv"),
    text.decisions.map(({ what, why, option }) => `${what}: ${why} [${option}]`).join(),
  ];
}

const MIXED = `name,city\n${"é,Zürich\n".repeat(20)}`;

test.each<[kind: string, bytes: string | Uint8Array, text: string, told: string]>([
  ["UTF-8", "é,€\n", "é,€\n", ""],
  ["UTF-8 with its mark", "\ufeffa\n", "a\n", ""],
  ["UTF-8 with two marks", "\ufeff\ufeffa\n", "a\n", ""],
  ["UTF-16", utf16("é,1\n"), "é,1\n", ""],
  ["UTF-16, the higher byte first", utf16("é,1\n").swap16(), "é,1\n", ""],
  [
    "UTF-16 without its mark",
    utf16("é,1\n", false),
    "é,1\n",
    "read as UTF-16LE text: every other byte is 0 [--encoding NAME]",
  ],
  [
    "that, the higher byte first",
    utf16("é,1\n", false).swap16(),
    "é,1\n",
    "read as UTF-16BE text: every other byte is 0 [--encoding NAME]",
  ],
  [
    "Latin-1",
    Buffer.from("größe\n", "latin1"),
    "größe\n",
    "read as Windows-1252 text: it is not UTF-8 [--encoding NAME]",
  ],
  [
    "what Windows has besides",
    Buffer.from([0x80, 0x93, 0x61, 0x94, 0x9f]),
    "€“a”Ÿ",
    "read as Windows-1252 text: it is not UTF-8 [--encoding NAME]",
  ],
  [
    "UTF-8 with one broken character",
    Buffer.concat([Buffer.from(MIXED), Buffer.from([0xe9, 0x0a])]),
    `${MIXED}\ufffd\n`,
    "read as UTF-8 text: but for 1 broken character [--encoding NAME]",
  ],
  ["a character of value 0", "a,b\n1,x\0y\n3,4\n", "a,b\n1,x\0y\n3,4\n", ""],
  ["fields as databases separate them", "1\x01a\x1f2\n", "1\x01a\x1f2\n", ""],
  ["UTF-8 that is cut within a character", Buffer.from("é,€").subarray(0, -1), "é,\ufffd", ""],
])("%s", async (_, bytes, text, told) => {
  expect(await read(bytes)).toEqual([text, told]);
});

test("--encoding decides otherwise", async () => {
  expect(await read(Buffer.from([0x93, 0x8c, 0x8b, 0x9e]), "shift_jis")).toEqual(["東京", ""]);
  expect(await read(utf16("é,1\n").swap16(), "utf-16")).toEqual(["é,1\n", ""]);
  expect(await read(Buffer.from([0xe8]), "iso-8859-2")).toEqual(["č", ""]);
  expect(await read(Buffer.from([0x80]), "latin1")).toEqual(["€", ""]);
  expect(await errorOf(() => read("a", "utf-9\u001b"))).toBe(
    'UsageError: --encoding: expected the name of an encoding (utf-8, windows-1252, utf-16le, iso-8859-2, shift_jis, gb18030, …), got "utf-9�"',
  );
});

test("characters that lie across two pieces", async () => {
  const text = `${"x".repeat(2 ** 20 - 1)}€${"é".repeat(2 ** 19)}`;
  expect(await read(text)).toEqual([text, ""]);
});

test("what is no text", async () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 89) % 256);
  expect(isText(bytes)).toBe(false);
  expect(isText(utf16("a,b\n", false))).toBe(true);
  expect(await errorOf(() => read(bytes))).toBe(
    "UsageError: t.csv: expected text (CSV, JSON, ARFF), Parquet, Arrow or a workbook (.xlsx), got binary data of another format; export it as .csv or .parquet",
  );
  expect(await errorOf(() => read(" \n"))).toBe(
    "UsageError: t.csv: the file is empty; expected a table of data",
  );
});

test("UTF-32, whose mark begins as that of UTF-16 does, is named", async () => {
  for (const swapped of [false, true]) {
    const bytes = new DataView(new ArrayBuffer(12));
    for (const [at, code] of [0xfeff, 0x61, 0x2c].entries()) bytes.setUint32(4 * at, code, !swapped);
    expect(await errorOf(() => textOf(sourceOf("a.csv", new Uint8Array(bytes.buffer))))).toBe(
      "UsageError: a.csv: expected text in UTF-8, UTF-16 or an older encoding, got UTF-32; save it as UTF-8",
    );
  }
});
