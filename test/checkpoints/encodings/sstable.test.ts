import { describe, expect, it } from "vitest";
import { crc32c, isTable, tableEntries, unmasked } from "../../../src/checkpoints/encodings/sstable.js";
import { bytesInMemory } from "../../../src/checkpoints/source.js";
import { masked, table } from "../support/sstable.js";

const text = (value: string) => new TextEncoder().encode(value);
const inMemory = (bytes: Uint8Array) => bytesInMemory("x.index", bytes, 0);
const entries = Array.from(
  { length: 40 },
  (_, i) => [text(`layer/${String(i).padStart(3, "0")}/gamma`), text(`value ${i * i}`)] as const,
);

async function read(bytes: Uint8Array) {
  const found = await tableEntries("test", inMemory(bytes));
  return Promise.all(found.map(async ({ key, value }) => [key, await value.read()]));
}

async function refusal(bytes: Uint8Array): Promise<string> {
  return read(bytes).then(
    () => "read",
    (error: Error) => error.message,
  );
}

/** With a block's checksum made right again. */
function repaired(bytes: Uint8Array, { offset, size }: { offset: number; size: number }): Uint8Array {
  const crc = masked(crc32c(bytes.subarray(offset, offset + size + 1)));
  new DataView(bytes.buffer).setUint32(offset + size + 1, crc, true);
  return bytes;
}

describe("crc32c", () => {
  it("has the values of RFC 3720", () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
  });

  it("goes on from what came before, and is masked as LevelDB does", () => {
    expect(crc32c(text("world"), crc32c(text("hello ")))).toBe(crc32c(text("hello world")));
    for (const crc of [0, 1, 0x8a9136aa, 0xffffffff]) expect(unmasked(masked(crc))).toBe(crc);
  });
});

describe("tables", () => {
  it.each([false, true])(
    "gives entries of several blocks whose keys share prefixes, Snappy %s",
    async (snappy) => {
      const { bytes } = table(entries, { snappy, perBlock: 7 });
      expect(await isTable(inMemory(bytes))).toBe(true);
      expect(await read(bytes)).toEqual(entries);
    },
  );

  it("tells where a value lies, but not one that lies compressed", async () => {
    const { bytes } = table(entries);
    const [first] = await tableEntries("test", inMemory(bytes));
    const at = first.value.offset as number;
    expect(bytes.subarray(at, at + 7)).toEqual(text("value 0"));
    const [compressed] = await tableEntries("test", inMemory(table(entries, { snappy: true }).bytes));
    expect(compressed.value.offset).toBeUndefined();
  });

  it("refuses a checksum that differs", async () => {
    const { bytes } = table(entries);
    bytes[5] ^= 1;
    expect(await refusal(bytes)).toBe(
      "x.index (test at byte 0): a block's checksum (CRC-32C) differs from what is stored; the file seems damaged: fetch or write it again",
    );
  });

  it("refuses a compression that is not read, by its number", async () => {
    const { bytes, blocks } = table(entries);
    const [{ offset, size }] = blocks;
    bytes[offset + size] = 2;
    expect(await refusal(repaired(bytes, blocks[0]))).toBe(
      "x.index (test at byte 0): expected a block as it is (0) or of Snappy (1), got compression 2; write it anew with TensorFlow",
    );
  });

  it("refuses a file that is none, a block out of the file, and a key that shares more than there is", async () => {
    expect(await refusal(new Uint8Array(100))).toMatch(/expected a table, which ends in 57 fb 80 8b/);
    const { bytes, blocks } = table(entries, { perBlock: 7 });
    expect(await refusal(bytes.slice(60))).toMatch(/checksum|expected a block of/);
    bytes[0] = 9;
    expect(await refusal(repaired(bytes, blocks[0]))).toMatch(
      /expected at most 0 bytes shared with the key before, got 9/,
    );
  });

  it("refuses an index that names one block again and again", async () => {
    expect(await refusal(table(entries, { perBlock: 20, repeated: true }).bytes)).toMatch(
      /expected blocks one after the other/,
    );
  });
});
