import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import { type FileSource, openFile, readBytes } from "../../src/node/file.js";
import { errorOf, pathOf, write } from "../support/files.js";

const open: FileSource[] = [];
afterEach(async () => {
  for (const file of open.splice(0)) await file.close();
});

async function opened(path: string, options = {}): Promise<FileSource> {
  const file = await openFile(path, options);
  open.push(file);
  return file;
}

test("ranges of a file, up to its end and not beyond", async () => {
  const path = write("ten.csv", "0123456789");
  const file = await opened(path);
  expect(file.name).toBe(path);
  expect(file.byteLength).toBe(10);
  const text = async (start: number, end: number) => Buffer.from(await file.slice(start, end)).toString();
  expect(await text(2, 5)).toBe("234");
  expect(await text(8, 20)).toBe("89");
  expect(await text(10, 12)).toBe("");
  expect(await text(0, 10)).toBe("0123456789");
});

test("the bytes of a packed file", async () => {
  const path = write("a.csv.gz", gzipSync("a,b\n1,2\n"));
  expect(Buffer.from(await readBytes(path)).toString()).toBe("a,b\n1,2\n");
});

test("a file that is not there, a folder, and what is empty", async () => {
  mkdirSync(pathOf("folder.csv"));
  expect(await errorOf(() => opened(pathOf("absent.csv")))).toBe(
    "UsageError: absent.csv: there is no such file; check the path",
  );
  expect(await errorOf(() => opened(`${write("a.csv", "a")}/b.csv`))).toBe(
    "UsageError: a.csv/b.csv: there is no such file; check the path",
  );
  expect(await errorOf(() => opened(pathOf("folder.csv")))).toBe(
    "UsageError: folder.csv: expected a file, got a folder; name a file in it",
  );
  expect(await errorOf(() => opened(write("empty.csv", "")))).toBe(
    "UsageError: empty.csv: the file is empty; expected a table of data",
  );
});

test("a limit", async () => {
  const path = write("long.csv", "0123456789");
  expect(await errorOf(() => opened(path, { limits: { bytes: 9 } }))).toBe(
    "UsageError: long.csv: expected at most 9 bytes, got 10 bytes; allow more with --max-bytes 10",
  );
  expect((await opened(path, { limits: { bytes: 10 } })).byteLength).toBe(10);
});

test("a name that a terminal would obey, or that has no end", async () => {
  expect(await errorOf(() => opened(pathOf("\u001b]52;c\u0007.csv")))).toBe(
    "UsageError: \ufffd]52;c\ufffd.csv: there is no such file; check the path",
  );
  expect(await errorOf(() => opened("x".repeat(9000)))).toBe(
    `UsageError: ${"x".repeat(299)}…: there is no such file; check the path`,
  );
  const message = await errorOf(() => opened(`${"x".repeat(9000)}\0`));
  expect(message).toMatch(/^FailureError: x{299}…: could not be read: The argument 'path' must be/);
  expect(message.length).toBeLessThan(700);
});

test.each([
  ["shrinks", "0123", 4],
  ["grows", "0123456789abc", 13],
])("a file that %s while it is read", async (_, text, bytes) => {
  const path = write("moving.csv", "0123456789");
  const file = await opened(path);
  writeFileSync(path, text);
  expect(await errorOf(() => file.slice(0, 10))).toBe(
    `FailureError: moving.csv: the file changed while it was read (10 bytes, then ${bytes}); wait until it is written, or read a copy`,
  );
});

// other systems have no such files
const onLinux = test.skipIf(process.platform !== "linux");

onLinux("links in a circle", async () => {
  symlinkSync(pathOf("circle.csv"), pathOf("circle.csv"));
  expect(await errorOf(() => opened(pathOf("circle.csv")))).toBe(
    "UsageError: circle.csv: its links lead in a circle; name the file itself",
  );
});

onLinux("what is no file is refused without waiting for it", async () => {
  const socket = createServer().listen(pathOf("socket"));
  await new Promise((listening) => socket.once("listening", listening));
  symlinkSync("/dev/zero", pathOf("zero.csv"));
  for (const [path, what] of [
    [pathOf("zero.csv"), "zero.csv: expected a file, got a device"],
    [pathOf("socket"), "socket: expected a file, got a socket"],
  ]) {
    expect(await errorOf(() => opened(path))).toBe(
      `UsageError: ${what}; write its data to a file first, and name that`,
    );
  }
  socket.close();
});

onLinux("a file that its system writes while it is read", async () => {
  expect(await errorOf(() => opened("/proc/self/status"))).toBe(
    "UsageError: /proc/self/status: expected a file of known size, got one that its system writes while it is read; copy it (cat /proc/self/status > copy.csv), and read the copy",
  );
});

// Windows keeps permissions otherwise; the superuser reads what nobody may, and so becomes nobody for a moment.
test.skipIf(process.platform === "win32")("a file that may not be read", async () => {
  const path = write("secret.csv", "a,b\n1,2\n");
  chmodSync(path, 0o000);
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65534);
  try {
    expect(await errorOf(() => opened(path))).toBe(
      "FailureError: secret.csv: no permission to read it; allow it (chmod +r), or use a copy",
    );
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});
