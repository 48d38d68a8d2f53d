import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import {
  concatenated,
  crc32,
  firstEntryOf,
  inflate,
  isZip,
  viewOf,
  writeZip,
  zipEntries,
} from "../../../src/checkpoints/encodings/zip.js";
import { CheckpointError } from "../../../src/checkpoints/errors.js";
import { bytesOf } from "../../../src/checkpoints/source.js";
import { mutated, random } from "../support/fuzz.js";

const next = random(5);
const noise = Uint8Array.from({ length: 200_000 }, () => Math.floor(next() * 256));
/** At once: element by element takes a second. */
const isNoise = (bytes: Uint8Array) => Buffer.from(noise.buffer).equals(bytes);
const text = (value: string) => new TextEncoder().encode(value);

/** An archive of one deflated entry, with what its directory says of it changed. */
function deflated(
  data: Uint8Array,
  {
    size = data.length,
    crc = crc32(data),
    method = 8,
    flags = 0,
    packed = deflateRawSync(data) as Uint8Array,
  } = {},
): Uint8Array {
  const stored = writeZip([["a", packed]]);
  const view = viewOf(stored);
  const directory = stored.length - 22 - 47;
  for (const [at, shift] of [
    [0, 0],
    [directory, 2],
  ]) {
    view.setUint16(at + 6 + shift, flags, true);
    view.setUint16(at + 8 + shift, method, true);
    view.setUint32(at + 14 + shift, crc, true);
    view.setUint32(at + 22 + shift, size, true);
  }
  return stored;
}

/** The bytes of an archive as a source that counts what is read of it. */
function opened(bytes: Uint8Array) {
  const counted = { read: 0 };
  const source = {
    byteLength: bytes.length,
    slice(start: number, end: number) {
      counted.read += end - start;
      return bytes.slice(start, end).buffer as ArrayBuffer;
    },
  };
  return { counted, entries: zipEntries("format", bytesOf("f", source)) };
}

const only = async (bytes: Uint8Array) => {
  const entry = (await opened(bytes).entries).get("a");
  if (entry === undefined) throw new Error("expected an entry a");
  return entry;
};

describe("stored entries", () => {
  const archive = writeZip([
    ["a.txt", text("first")],
    ["folder/", new Uint8Array()],
    ["folder/b", noise],
    ["é", new Uint8Array()],
    ["a.txt", text("second")],
    ["__proto__", text("name")],
  ]);

  it("are read as ranges; the later of a name counts, folders do not", async () => {
    const { counted, entries } = opened(archive);
    const all = await entries;
    expect([...all.keys()]).toEqual(["a.txt", "folder/b", "é", "__proto__"]);
    expect(await all.get("a.txt")?.read()).toEqual(text("second"));
    expect(await all.get("é")?.read()).toEqual(new Uint8Array());
    expect(await all.get("__proto__")?.read()).toEqual(text("name"));
    const before = counted.read;
    expect(await all.get("folder/b")?.read(100_000, 100_010)).toEqual(noise.slice(100_000, 100_010));
    expect(counted.read - before).toBeLessThan(40_000);
  });

  it("give parts, which cannot leave them", async () => {
    const entry = (await opened(archive).entries).get("folder/b");
    const part = entry?.part(10, 20).part(2, 5);
    expect(await part?.read()).toEqual(noise.slice(12, 15));
    expect(part?.byteLength).toBe(3);
    for (const beyond of [entry?.part(199_999, 200_001), entry?.part(-1, 1), entry?.part(10, 5)]) {
      await expect(beyond?.read()).rejects.toThrow(
        /f \(format at byte \d+\): entry "folder\/b": expected -?\d+ bytes, there are/,
      );
    }
  });

  it("are those that zip and Python make too", async () => {
    const folder = mkdtempSync(join(tmpdir(), "evenkeel-"));
    afterAll(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "a.zip");
    const script = [
      "import sys, zipfile",
      "z = zipfile.ZipFile(sys.argv[1], 'w')",
      "z.comment = b'PK\\x05\\x06 in a comment'",
      "z.writestr('stored', b'abc' * 9)",
      "z.writestr('deflated', b'abc' * 99999, zipfile.ZIP_DEFLATED)",
      "z.writestr('bzip2', b'abc', zipfile.ZIP_BZIP2)",
      "with z.open('large', 'w', force_zip64=True) as f: f.write(b'zip64')",
      "z.close()",
    ].join("\n");
    execFileSync("python3", ["-c", script, path]);
    const entries = await opened(new Uint8Array(readFileSync(path))).entries;
    expect(await entries.get("stored")?.read()).toEqual(text("abc".repeat(9)));
    expect(await entries.get("deflated")?.read(299_990)).toEqual(text("cabcabc".slice(-7)));
    expect(await entries.get("large")?.read()).toEqual(text("zip64"));
    // one entry that is not read keeps no other from being so
    await expect(entries.get("bzip2")?.read()).rejects.toThrow(
      /^f \(format at byte \d+\): entry "bzip2": compression method 12 is not read; write it stored or deflated$/,
    );
  });

  it("are written as archives that Python tests", () => {
    const folder = mkdtempSync(join(tmpdir(), "evenkeel-"));
    const path = join(folder, "a.zip");
    const script =
      "import sys, zipfile; z = zipfile.ZipFile(sys.stdin.buffer if 0 else sys.argv[1]); print(z.testzip(), z.namelist())";
    try {
      execFileSync(
        "python3",
        ["-c", "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())", path],
        { input: archive },
      );
      const seen = execFileSync("python3", ["-c", script, path], { encoding: "utf8" });
      expect(seen.trim()).toBe("None ['a.txt', 'folder/', 'folder/b', 'é', 'a.txt', '__proto__']");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("are told by the first of them", () => {
    expect([isZip(archive), firstEntryOf(archive)]).toEqual([true, "a.txt"]);
    expect([isZip(text("PK")), firstEntryOf(text("PK\u0003\u0004"))]).toEqual([false, undefined]);
  });
});

describe("deflated entries", () => {
  it("are inflated", async () => {
    const entry = await only(deflated(noise));
    expect(isNoise(await entry.read())).toBe(true);
    expect(await entry.part(100, 200).read(0, 10)).toEqual(noise.slice(100, 110));
    expect(await entry.read(150_000, 150_010)).toEqual(noise.slice(150_000, 150_010));
  });

  it("give their beginning without being read further", async () => {
    const { counted, entries } = opened(deflated(noise));
    const entry = (await entries).get("a");
    const before = counted.read;
    expect(await entry?.read(0, 10)).toEqual(noise.slice(0, 10));
    expect(await entry?.read(10_000, 16_000)).toEqual(noise.slice(10_000, 16_000));
    expect(counted.read - before).toBeLessThan(200_000);
  });

  it.each<[string, Uint8Array, string]>([
    ["another checksum", deflated(noise, { crc: 1 }), "its checksum (CRC-32) differs from what is stored"],
    [
      "more than is declared",
      deflated(noise, { size: 100_000 }),
      "expected 100000 bytes when inflated, got more",
    ],
    [
      "less than is declared",
      deflated(noise, { size: 200_001 }),
      "expected 200001 bytes when inflated, got 200000",
    ],
    [
      "what is not deflated",
      deflated(noise, { packed: new Uint8Array(999).fill(7) }),
      "its compressed data is damaged (",
    ],
    ["a cut", deflated(noise, { packed: deflateRawSync(noise).subarray(0, 50_000) }), 'entry "a": '],
    ["a password", deflated(noise, { flags: 1 }), "it is encrypted; write the archive without a password"],
    [
      "another method",
      deflated(noise, { method: 93 }),
      "compression method 93 is not read; write it stored or deflated",
    ],
  ])("with %s are refused", async (_, bytes, problem) => {
    const entry = await only(bytes);
    await expect(entry.read()).rejects.toThrow(problem);
    await expect(entry.read()).rejects.toThrow(CheckpointError);
  });

  it("whose beginning is damaged are refused", async () => {
    const entry = await only(deflated(noise, { packed: new Uint8Array(999).fill(7) }));
    await expect(entry.read(0, 9)).rejects.toThrow(
      'f (format at byte 0): entry "a": its compressed data is damaged (',
    );
    const short = await only(deflated(noise, { packed: deflateRawSync(noise.subarray(0, 5)) }));
    await expect(short.read(0, 9)).rejects.toThrow("expected 9 bytes when inflated, got 5");
  });
});

describe("bombs", () => {
  it("that declare more than deflate can hold are refused before anything is inflated", async () => {
    const packed = deflateRawSync(new Uint8Array(2 ** 20));
    await expect(opened(deflated(new Uint8Array(1), { packed, size: 2 ** 31 })).entries).rejects.toThrow(
      `entry "a": ${packed.length} compressed bytes cannot hold the ${2 ** 31} that are declared`,
    );
  });

  it("that declare less than they hold stop there", async () => {
    const entry = await only(
      deflated(new Uint8Array(1), { packed: deflateRawSync(new Uint8Array(2 ** 26)), size: 1000 }),
    );
    const start = performance.now();
    await expect(entry.read()).rejects.toThrow("expected 1000 bytes when inflated, got more");
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it("of entries that share their data are bounded by the directory", async () => {
    const archive = writeZip([["a", noise]]);
    const [view, directory] = [viewOf(archive), archive.length - 22 - 47];
    view.setUint16(archive.length - 12, 60_000, true);
    await expect(opened(archive).entries).rejects.toThrow(
      `f (format): expected a ZIP directory of 60000 entries in 47 bytes from byte ${directory}`,
    );
  });
});

describe("damaged directories", () => {
  const archive = writeZip([
    ["a", text("abc")],
    ["b", text("def")],
  ]);
  const changed = (change: (view: DataView, end: number, directory: number) => void) => {
    const bytes = archive.slice();
    change(viewOf(bytes), bytes.length - 22, bytes.length - 22 - 94);
    return opened(bytes).entries;
  };

  it.each<[string, () => Promise<unknown>, string]>([
    [
      "none",
      () => opened(archive.subarray(0, 60)).entries,
      "expected a ZIP directory at its end, there is none; the file is cut off",
    ],
    ["no bytes", () => opened(new Uint8Array()).entries, "expected a ZIP directory at its end"],
    [
      "one out of the file",
      () => changed((view, end) => view.setUint32(end + 16, 999, true)),
      "expected a ZIP directory of 2 entries in 94 bytes from byte 999",
    ],
    [
      "one of more bytes",
      () => changed((view, end) => view.setUint32(end + 12, 999, true)),
      "expected a ZIP directory of 2 entries in 999 bytes",
    ],
    [
      "an entry that is none",
      () => changed((view, _, at) => view.setUint32(at + 47, 0, true)),
      "expected entry 2 of 2 of the ZIP directory",
    ],
    [
      "a name beyond it",
      () => changed((view, _, at) => view.setUint16(at + 47 + 28, 999, true)),
      "expected an entry within the ZIP directory",
    ],
    [
      "data beyond the file",
      () =>
        changed((view, _, at) => {
          view.setUint32(at + 20, 999, true);
          view.setUint32(at + 24, 999, true);
        }),
      'entry "a": expected 999 bytes, the file ends before',
    ],
    [
      "two sizes of stored data",
      () => changed((view, _, at) => view.setUint32(at + 24, 4, true)),
      'entry "a": expected 3 bytes',
    ],
    [
      "a header beyond the file",
      () => changed((view, _, at) => view.setUint32(at + 42, 2 ** 31, true)),
      'entry "a": expected 3 bytes, the file ends before',
    ],
  ])("%s", async (_, read, problem) => {
    await expect(read()).rejects.toThrow(problem);
    await expect(read()).rejects.toThrow(CheckpointError);
  });

  it("a local header that is none", async () => {
    const entries = await changed((view) => view.setUint32(0, 0, true));
    await expect(entries.get("a")?.read()).rejects.toThrow(
      'f (format at byte 0): entry "a": expected its local header',
    );
    expect(await entries.get("b")?.read()).toEqual(text("def"));
  });

  it("a ZIP64 locator that leads nowhere", async () => {
    const bytes = concatenated([archive.subarray(0, -22), new Uint8Array(20), archive.subarray(-22)]);
    const view = viewOf(bytes);
    view.setUint32(bytes.length - 42, 0x07064b50, true);
    view.setUint16(bytes.length - 12, 0xffff, true);
    view.setBigUint64(bytes.length - 34, 2n ** 63n, true);
    await expect(opened(bytes).entries).rejects.toThrow("expected a ZIP64 directory within the file");
    view.setBigUint64(bytes.length - 34, 0n, true);
    await expect(opened(bytes).entries).rejects.toThrow("f (format at byte 0): expected a ZIP64 directory");
  });

  it("3,000 of them open or are refused", async () => {
    const full = concatenated([deflated(noise.subarray(0, 500))]);
    for (let i = 0; i < 3000; i++) {
      const bytes = mutated(i % 2 ? full : archive, next);
      try {
        for (const entry of (await opened(bytes).entries).values()) {
          await entry.read().catch((error: unknown) => expect(error).toBeInstanceOf(CheckpointError));
          await entry
            .read(0, Math.min(4, entry.byteLength))
            .catch((error: unknown) => expect(error).toBeInstanceOf(CheckpointError));
        }
      } catch (error) {
        expect(error).toBeInstanceOf(CheckpointError);
      }
    }
  });
});

describe("inflate", () => {
  const fail = (problem: string) => new CheckpointError("f", "format", problem);
  it("reads raw deflate, zlib and gzip", async () => {
    expect(isNoise(await inflate(deflateRawSync(noise), noise.length, fail))).toBe(true);
    expect(isNoise(await inflate(deflateSync(noise), noise.length, fail, "deflate"))).toBe(true);
    expect(isNoise(await inflate(gzipSync(noise), noise.length, fail, "gzip"))).toBe(true);
  });

  it("refuses a size that no memory has", async () => {
    await expect(inflate(deflateRawSync(noise), 2 ** 50, fail)).rejects.toThrow(CheckpointError);
  });
});

it("crc32 is that of the check value", () => {
  expect(crc32(text("123456789"))).toBe(0xcbf43926);
  expect(crc32(new Uint8Array())).toBe(0);
});
