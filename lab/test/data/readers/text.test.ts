/** Plain text: ends of lines, marks, encodings, what is packed, how much is read; and what is prose. */
import { gzipSync, zipSync } from "fflate";
import { expect, test } from "vitest";
import { holdsProse, readText } from "../../../src/data/readers/text.js";
import { errorOf } from "../../support/files.js";
import { sourceOf } from "../../support/sources.js";

const bytes = (text: string) => new TextEncoder().encode(text);

test("a mark is left out, ends of lines are one sign, accents belong to their letters", async () => {
  const source = sourceOf("a/b/letters.txt", "\ufeffone\r\ntwo\rthree\ncafe\u0301\r\n");
  expect(await readText(source, {})).toEqual({
    name: "letters.txt",
    text: "one\ntwo\nthree\ncafé\n",
    more: false,
    end: "",
    decisions: [],
  });
});

test("packed text is unpacked, and an older encoding is told", async () => {
  const packed = sourceOf("book.txt.gz", gzipSync(bytes("Call me Ishmael.")));
  expect(await readText(packed, {})).toMatchObject({ name: "book.txt", text: "Call me Ishmael." });
  const zipped = sourceOf("book.zip", zipSync({ "book.txt": bytes("Call me Ishmael.") }));
  expect((await readText(zipped, {})).text).toBe("Call me Ishmael.");
  const latin = await readText(sourceOf("latin.txt", Uint8Array.of(0x63, 0x61, 0x66, 0xe9, 0x21)), {});
  expect(latin.text).toBe("café!");
  expect(latin.decisions).toEqual([
    { columns: [], what: "read as Windows-1252 text", why: "it is not UTF-8", option: "--encoding NAME" },
  ]);
});

test("of a long text no more is read than is asked for", async () => {
  const source = sourceOf("long.txt", "A line of prose, and another. ".repeat(300_000));
  const start = source.read;
  const { text, more } = await readText(source, { encoding: "utf-8" }, { most: 1000 });
  expect(text.length).toBeGreaterThanOrEqual(1000);
  expect(more).toBe(true);
  expect(source.read - start).toBeLessThan(source.byteLength / 2);
});

test("the end of a long text is read without what is between", async () => {
  const source = sourceOf(
    "long.txt",
    `${"A line of prose, and another. ".repeat(100_000)}\r\n🎉 The e\u0301nd`,
  );
  const { text, more, end } = await readText(source, {}, { most: 10, end: 10 });
  expect([text.length < source.byteLength, more, end]).toEqual([true, true, "\n🎉 The énd"]);
  expect((await readText(sourceOf("short.txt", "abc"), {}, { most: 10, end: 2 })).end).toBe("bc");
});

test("a file without text", async () => {
  expect(
    await errorOf(() =>
      readText(
        sourceOf(
          "a.txt",
          Uint8Array.from({ length: 64 }, (_, i) => i % 7),
        ),
        {},
      ),
    ),
  ).toBe(
    "UsageError: a.txt: expected plain text, also packed (.gz, .zip), got binary data of another format; save it as a .txt file, or say how it is written with --encoding (utf-8, for example)",
  );
  expect(await errorOf(() => readText(sourceOf("none.txt", " \n \n"), {}))).toBe(
    "UsageError: none.txt: the file is empty; expected a text",
  );
});

test.each([
  ["book.txt", "It was the best of times, it was the worst of times,\nit was the age of wisdom.\n", true],
  ["notes.md", "# Notes\n\nWhat was said on the first day, in short, and what was not.\n", true],
  ["table.txt", "size\tweight\tcolour of the thing\n1\t2\tred\n3\t4\tblue\n", false],
  ["table.txt", "what was said,who said it to whom\nthat is all of it,he said that to us\n", false],
  ["numbers.txt", "1.5 2.5 3.5\n2.5 1.5 4.5\n", false],
  ["words.txt", "red\ngreen\nblue\n", false],
  ["book.csv", "It was the best of times; it was the worst\nof times it was the age of wisdom\n", false],
  ["none.txt", "", false],
  ["a.b/book", "It was the best of times, it was the worst of times,\nit was the age of wisdom.\n", true],
  ["talk.log", "<ann> What do you say to that then?\n<bob> Nothing at all, as it seems to me.\n", true],
  ["table", "what was said;who said it to whom\nthat is all of it;he said that to us\n", false],
])("%s, %j: is it prose? %s", async (name, text, prose) => {
  expect(await holdsProse(sourceOf(name, text), {})).toBe(prose);
});
