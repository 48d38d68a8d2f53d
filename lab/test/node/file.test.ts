import { chmodSync, mkdirSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { readTable } from "../../src/node/file.js";
import { errorOf, pathOf, write } from "../support/files.js";

const zipped = gzipSync(`a,b\n${"1,2\n".repeat(1000)}`);

test.each([
  ["empty.csv", "", "UsageError: empty.csv: the file is empty; expected a table of data"],
  ["blank.json", " \n", "UsageError: blank.json: the file is empty; expected a table of data"],
  ["empty.csv.gz", "", "UsageError: empty.csv.gz: the file is empty; expected a table of data"],
  [
    "cut.csv.gz",
    zipped.subarray(0, -12),
    "FailureError: cut.csv.gz: the compressed data ends too early, the file is truncated; fetch or write it again",
  ],
  [
    "plain.csv.gz",
    "a,b\n1,2\n",
    "FailureError: plain.csv.gz: expected gzip-compressed data, got something else (incorrect header check); fetch it again, or remove .gz from its name",
  ],
  [
    "latin1.csv",
    Buffer.from("a,b\n\xe9,2\n", "latin1"),
    "FailureError: latin1.csv: expected UTF-8 text, got other bytes; save it as UTF-8 (iconv -f latin1 -t utf-8, for example)",
  ],
  [
    "book.xlsx",
    "PK",
    'UsageError: book.xlsx: expected a name that ends in .csv, .tsv, .arff, .json, .ndjson, .jsonl, .parquet (each also with .gz), got ".xlsx"; convert the file, to .csv for example',
  ],
  [
    "data.gz",
    "PK",
    "UsageError: data.gz: expected a name that ends in .csv, .tsv, .arff, .json, .ndjson, .jsonl, .parquet (each also with .gz), got no ending; convert the file, to .csv for example",
  ],
])("%s", async (name, content, message) => {
  expect(await errorOf(() => readTable(write(name, content)))).toBe(message);
});

test("a file that is not there", async () => {
  expect(await errorOf(() => readTable(pathOf("absent.csv")))).toBe(
    "UsageError: absent.csv: there is no such file; check the path",
  );
});

test("a folder", async () => {
  mkdirSync(pathOf("folder.csv"));
  expect(await errorOf(() => readTable(pathOf("folder.csv")))).toBe(
    "UsageError: folder.csv: expected a file, got a folder; name a file in it",
  );
});

// Windows keeps permissions otherwise; the superuser reads what nobody may, and so becomes nobody for a moment.
test.skipIf(process.platform === "win32")("a file that may not be read", async () => {
  const path = write("secret.csv", "a,b\n1,2\n");
  chmodSync(path, 0o000);
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65534);
  try {
    expect(await errorOf(() => readTable(path))).toBe(
      "FailureError: secret.csv: no permission to read it; allow it (chmod +r), or use a copy",
    );
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});
