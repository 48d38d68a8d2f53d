import { gzipSync, strToU8, type Zippable, zipSync } from "fflate";
import { expect, test } from "vitest";
import { unpack } from "../../../src/data/readers/unpack.js";
import type { ReadOptions } from "../../../src/data/table.js";
import { FailureError, UsageError } from "../../../src/errors.js";
import { errorOf } from "../../support/files.js";
import { bytesOf, sourceOf } from "../../support/sources.js";

const CSV = `a,b\n${"1,2\n".repeat(1000)}`;
const csv = strToU8(CSV);
const gz = gzipSync(csv);

/** The name and the text of what is unpacked. */
async function unpacked(
  name: string,
  bytes: Uint8Array,
  options: ReadOptions = {},
): Promise<[string, string]> {
  const source = await unpack(sourceOf(name, bytes), options);
  const text = new TextDecoder().decode(await source.slice(0, source.byteLength));
  expect(source.byteLength).toBe(text.length);
  return [source.name, text];
}

const failure = (bytes: Uint8Array, options: ReadOptions = {}, name = "a.zip") =>
  errorOf(() => unpacked(name, bytes, options));

test.each([
  ["folder/a.csv.gz", gz, "folder/a.csv"],
  ["a.csv", gz, "a.csv"],
  ["a.CSV.GZ", new Uint8Array([...gz, ...gz]), "a.CSV"],
  ["a.zip", zipSync({ "a.csv": csv }), "a.zip/a.csv"],
  ["stored", zipSync({ "a.csv": csv }, { level: 0 }), "stored/a.csv"],
  ["a.zip", zipSync({ "x/a.csv.gz": gz }), "a.zip/a.csv"],
  ["a.zip.gz", gzipSync(zipSync({ "a.csv": csv })), "a.zip/a.csv"],
  // what a Mac adds, folders, hidden files, and what is about the table
  [
    "a.zip",
    zipSync({
      "x/": new Uint8Array(0),
      "x/a.csv": csv,
      "__MACOSX/x/._a.csv": csv,
      "x/.hidden.csv": csv,
      "LICENSE.txt": csv,
      "a.pdf": csv,
    }),
    "a.zip/a.csv",
  ],
  ["a.zip", zipSync({ "a.txt": csv, "about.md": csv }), "a.zip/a.txt"],
])("%s", async (name, bytes, unpackedName) => {
  const [found, text] = await unpacked(name, bytes);
  expect(found).toBe(unpackedName);
  expect(text).toBe(bytes.length === 2 * gz.length ? CSV + CSV : CSV);
});

test("what is not packed, and a workbook, stay as they are", async () => {
  for (const source of [sourceOf("a.csv", csv), sourceOf("book.xlsx", bytesOf("book.xlsx"))]) {
    expect(await unpack(source, {})).toBe(source);
  }
  expect((await unpack(sourceOf("a.zip", zipSync({ "book.xlsx": bytesOf("book.xlsx") })), {})).name).toBe(
    "a.zip/book.xlsx",
  );
});

test("ranges of what is unpacked", async () => {
  const source = await unpack(sourceOf("a.gz", gzipSync(strToU8("0123456789".repeat(20_000)))), {});
  const text = async (start: number, end: number) => new TextDecoder().decode(await source.slice(start, end));
  expect(await text(65_530, 65_545)).toBe("012345678901234");
  expect(await text(199_995, 300_000)).toBe("56789");
  expect((await text(0, 200_000)).length).toBe(200_000);
  expect(await text(65_530, 65_545)).toBe("012345678901234");
});

const several = zipSync({ "a/one.csv": csv, "b/one.csv": csv, "two.tsv": gz });

test("--member chooses, by its name with its folder or without", async () => {
  expect(await unpacked("a.zip", several, { member: "two.tsv" })).toEqual(["a.zip/two.tsv", CSV]);
  expect(await unpacked("a.zip", several, { member: "b/one.csv" })).toEqual(["a.zip/one.csv", CSV]);
});

test.each<[string, Uint8Array, ReadOptions, string]>([
  [
    "several",
    several,
    {},
    'UsageError: a.zip: expected an archive with one table in it, got 3; choose with --member: "a/one.csv", "b/one.csv", "two.tsv"',
  ],
  [
    "no such member",
    several,
    { member: "tow.tsv" },
    'UsageError: --member: a.zip has no "tow.tsv"; did you mean "two.tsv"? It has "a/one.csv", "b/one.csv", "two.tsv"',
  ],
  [
    "two of that name",
    several,
    { member: "one.csv" },
    'UsageError: --member: a.zip has several "one.csv"; name one with its folder: "a/one.csv", "b/one.csv"',
  ],
  [
    "none",
    zipSync({ "x/": new Uint8Array(0) }),
    {},
    "UsageError: a.zip: the archive is empty; expected a table in it",
  ],
  [
    "an empty one",
    zipSync({ "a.csv": new Uint8Array(0) }),
    {},
    "UsageError: a.zip: the file is empty; expected a table of data",
  ],
  [
    "many of long names",
    zipSync(Object.fromEntries([..."abcdef"].map((name) => [`${name.repeat(90)}.csv`, csv]))),
    {},
    `UsageError: a.zip: expected an archive with one table in it, got 6; choose with --member: ${[..."abcd"].map((name) => `"${name.repeat(59)}…"`).join(", ")} and 2 more`,
  ],
  [
    "many",
    zipSync(Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`${i}.csv`, csv]))),
    {},
    `UsageError: a.zip: expected an archive with one table in it, got 12; choose with --member: ${[...Array(10).keys()].map((i) => `"${i}.csv"`).join(", ")} and 2 more`,
  ],
  [
    "a control character",
    zipSync({ "\u001b]52;a.csv": csv, "b.csv": csv }),
    {},
    'UsageError: a.zip: expected an archive with one table in it, got 2; choose with --member: "\ufffd]52;a.csv", "b.csv"',
  ],
  [
    "a document",
    zipSync({ mimetype: csv, "content.xml": csv }),
    {},
    "UsageError: a.zip: expected a table, got an OpenDocument file; save the table as .xlsx or .csv",
  ],
  [
    "archives in archives",
    zipSync({ "a.zip": zipSync({ "a.zip": zipSync({ "a.zip": zipSync({ "a.csv": csv }) }) }) }),
    {},
    "UsageError: a.zip: expected a table, got an archive in an archive in an archive; unpack it, and name the table in it",
  ],
])("an archive with %s", async (_, bytes, options, message) => {
  expect(await failure(bytes, options)).toBe(message);
});

const most = { limits: { bytes: 100_000 } };
const tooLarge = (file: string) =>
  `UsageError: ${file}: expected at most 100,000 bytes once it is unpacked, got more; where it is to be trusted, allow more with --max-bytes`;

test("bombs are let go at the limit, whatever size they declare", async () => {
  const zeros = new Uint8Array(2e6);
  expect(await failure(gzipSync(zeros), most, "a.gz")).toBe(tooLarge("a.gz"));
  const zip = zipSync({ "a.csv": zeros });
  expect(await failure(zip, most)).toBe(tooLarge('a.zip, "a.csv"'));
  expect(await failure(changed(zip, 24, 1000), most)).toBe(tooLarge('a.zip, "a.csv"'));
  expect(
    await failure(zipSync({ "a.csv": csv.slice(0, 2000) }, { level: 0 }), { limits: { bytes: 1000 } }),
  ).toBe(tooLarge('a.zip, "a.csv"').replace("100,000", "1,000"));
});

test("a bomb that says how large it is, is let go once it is seen to be one", async () => {
  const bomb = sourceOf("a.gz", gzipSync(new Uint8Array(3e7), { level: 0 }));
  const limits = { bytes: 2.5e7 };
  await expect(unpack(bomb, { limits })).rejects.toThrow("a.gz: expected at most 25,000,000 bytes");
  expect(bomb.read / bomb.byteLength).toBeLessThan(0.7);
});

/** An archive with a 32-bit number of its first member changed in the directory. */
function changed(zip: Uint8Array, at: number, value: number): Uint8Array {
  const copy = zip.slice();
  const view = new DataView(copy.buffer);
  const end = copy.length - 22;
  view.setUint32(view.getUint32(end + 16, true) + at, value, true);
  return copy;
}

const zip = zipSync({ "a.csv": csv } satisfies Zippable);
const DAMAGED = 'FailureError: a.zip, "a.csv": the compressed data is damaged; fetch or write the file again';
const CUT = "FailureError: a.zip: not a complete zip archive; it may be truncated: fetch or write it again";

test.each([
  ["a size that is too small", changed(zip, 24, 10), DAMAGED],
  ["a size of 4 GB", changed(zip, 24, 0xfffffffe), DAMAGED],
  ["another sum", changed(zip, 16, 1), DAMAGED],
  ["more packed bytes than there are", changed(zip, 20, 0xfffffff), CUT.replace("a.zip", 'a.zip, "a.csv"')],
  ["a place beyond the end", changed(zip, 42, 0xfffffff), CUT.replace("a.zip", 'a.zip, "a.csv"')],
  [
    "a password",
    changed(zip, 8, 0x00080001),
    'UsageError: a.zip, "a.csv": expected a file without a password, got an encrypted one; unpack it, and name the unpacked file',
  ],
  [
    "Zstandard",
    changed(zip, 10, 93),
    'UsageError: a.zip, "a.csv": expected a file packed with Deflate, got Zstandard; unpack it, and name the unpacked file',
  ],
  ["its end missing", zip.subarray(0, -10), CUT],
])("an archive with %s", async (_, bytes, message) => {
  expect(await failure(bytes)).toBe(message);
});

test.each([
  [
    "cut",
    gz.subarray(0, -12),
    "the compressed data ends too early, the file is truncated; fetch or write it again",
  ],
  [
    "of two bytes",
    gz.subarray(0, 2),
    "the compressed data ends too early, the file is truncated; fetch or write it again",
  ],
  [
    "of another sum",
    gz.with(-8, gz[gz.length - 8] ^ 1),
    "the compressed data is damaged; fetch or write the file again",
  ],
  ["damaged", gz.with(30, gz[30] ^ 255), "the compressed data is damaged; fetch or write the file again"],
])("gzip that is %s", async (_, bytes, message) => {
  expect(await failure(bytes, {}, "a.csv.gz")).toBe(`FailureError: a.csv.gz: ${message}`);
});

test("gzip and zip, cut at every byte", async () => {
  for (const whole of [gzipSync(csv.slice(0, 100)), zipSync({ "a.csv": csv.slice(0, 100) })]) {
    for (let length = 4; length < whole.length; length++) {
      const error = await unpack(sourceOf("a", whole.subarray(0, length)), {}).catch(
        (error: unknown) => error,
      );
      expect(error instanceof UsageError || error instanceof FailureError, `cut at ${length}`).toBe(true);
    }
  }
});
