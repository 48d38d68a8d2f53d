/**
 * Tables of sorted keys in LevelDB's format, in which TensorFlow writes the index of a checkpoint:
 * https://github.com/google/leveldb/blob/main/doc/table_format.md. Blocks are as they are or Snappy's; other compressions are refused, and
 * filters passed over.
 */
import { CheckpointError } from "../errors.js";
import { type Bytes, bytesInMemory } from "../source.js";
import { unsnappy } from "./snappy.js";
import { viewOf } from "./zip.js";

const FOOTER = 48;
const MAGIC = 0xdb4775248b80fb57n;
/** After each block: its compression, and a checksum of both. */
const TRAILER = 5;
/** What keys may be together: so many times the table, since they share what they begin with, and this in any case. */
const MOST_KEY_BYTES = 64;
const ALWAYS_KEY_BYTES = 2 ** 20;

/** Whether the file ends as a table does. */
export async function isTable(table: Bytes): Promise<boolean> {
  if (table.byteLength < FOOTER) return false;
  return viewOf(await table.read(table.byteLength - 8)).getBigUint64(0, true) === MAGIC;
}

export interface TableEntry {
  readonly key: Uint8Array;
  readonly value: Bytes;
}

/** All entries, in the order of their keys. */
export async function tableEntries(format: string, table: Bytes): Promise<TableEntry[]> {
  const fail: Fail = (problem, offset, remedy) =>
    new CheckpointError(table.file, format, problem, { offset, remedy });
  if (!(await isTable(table))) {
    throw fail("expected a table, which ends in 57 fb 80 8b 24 75 47 db; the file is cut off, or none");
  }
  const end = table.byteLength - FOOTER;
  const footer = new Cursor(await table.read(end), (problem, at) => fail(problem, end + at));
  // of the filters
  handleAt(footer);
  const index = await blockAt(table, handleAt(footer), end, fail);
  const entries: TableEntry[] = [];
  let before = 0;
  let keyBytes = 0;
  for (const { value } of entriesIn(table.file, index, fail)) {
    const bytes = await value.read();
    const handle = handleAt(new Cursor(bytes, (problem, at) => fail(problem, (value.offset ?? 0) + at)));
    // else few bytes of the index could name one block any number of times
    if (handle.offset < before) throw fail("expected blocks one after the other", handle.offset);
    before = handle.offset + handle.size + TRAILER;
    for (const entry of entriesIn(table.file, await blockAt(table, handle, end, fail), fail)) {
      keyBytes += entry.key.length;
      if (keyBytes > Math.max(ALWAYS_KEY_BYTES, MOST_KEY_BYTES * table.byteLength)) {
        throw fail(`expected keys that ${table.byteLength} bytes can hold, got ${keyBytes} bytes`);
      }
      entries.push(entry);
    }
  }
  return entries;
}

type Fail = (problem: string, offset?: number, remedy?: string) => CheckpointError;

interface Handle {
  readonly offset: number;
  readonly size: number;
}

interface Block {
  readonly bytes: Uint8Array;
  /** Of the first byte in the file; undefined where it lies there compressed. */
  readonly offset?: number;
  /** Of the block in the file, for errors. */
  readonly at: number;
}

/** Reads numbers one after the other. */
class Cursor {
  at = 0;
  readonly bytes: Uint8Array;
  readonly #fail: (problem: string, at: number) => CheckpointError;

  constructor(bytes: Uint8Array, fail: (problem: string, at: number) => CheckpointError) {
    this.bytes = bytes;
    this.#fail = fail;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 63 && this.at < this.bytes.length; scale *= 128) {
      const byte = this.bytes[this.at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80 && value <= Number.MAX_SAFE_INTEGER) return value;
    }
    throw this.#fail("expected a number of at most 53 bits", this.at);
  }

  take(count: number): Uint8Array {
    if (count > this.bytes.length - this.at) {
      throw this.#fail(`expected ${count} more bytes, there are ${this.bytes.length - this.at}`, this.at);
    }
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
}

function handleAt(cursor: Cursor): Handle {
  return { offset: cursor.varint(), size: cursor.varint() };
}

async function blockAt(table: Bytes, { offset, size }: Handle, end: number, fail: Fail): Promise<Block> {
  if (offset + size + TRAILER > end) {
    throw fail(`expected a block of ${size} bytes before the footer at ${end}`, offset);
  }
  const bytes = await table.read(offset, offset + size + TRAILER);
  const view = viewOf(bytes);
  if (unmasked(view.getUint32(size + 1, true)) !== crc32c(bytes.subarray(0, size + 1))) {
    throw fail("a block's checksum (CRC-32C) differs from what is stored", offset);
  }
  const stored = bytes.subarray(0, size);
  if (bytes[size] === 0) return { bytes: stored, offset, at: offset };
  if (bytes[size] === 1) {
    return { bytes: unsnappy(stored, (problem, at) => fail(problem, offset + at)), at: offset };
  }
  throw fail(
    `expected a block as it is (0) or of Snappy (1), got compression ${bytes[size]}`,
    offset,
    "write it anew with TensorFlow",
  );
}

function* entriesIn(file: string, { bytes, offset, at }: Block, fail: Fail): Generator<TableEntry> {
  const count = bytes.length < 4 ? 0 : viewOf(bytes).getUint32(bytes.length - 4, true);
  // one key in so many is stored in whole; where they lie stands at the end
  const end = bytes.length - 4 - 4 * count;
  if (count < 1 || end < 0) throw fail(`expected a block with its restart points, got ${count}`, at);
  const cursor = new Cursor(bytes.subarray(0, end), (problem, inside) =>
    fail(problem, at + (offset === undefined ? 0 : inside)),
  );
  let key: Uint8Array = new Uint8Array();
  while (cursor.at < end) {
    const shared = cursor.varint();
    const own = cursor.varint();
    const size = cursor.varint();
    if (shared > key.length) {
      throw fail(`expected at most ${key.length} bytes shared with the key before, got ${shared}`, at);
    }
    const rest = cursor.take(own);
    const whole = new Uint8Array(shared + own);
    whole.set(key.subarray(0, shared));
    whole.set(rest, shared);
    key = whole;
    const value = cursor.take(size);
    const where = offset === undefined ? undefined : offset + cursor.at - size;
    yield { key, value: bytesInMemory(file, value, where) };
  }
}

let table: Uint32Array | undefined;

/** CRC-32C (Castagnoli), of these bytes after those of which it was `before`. */
export function crc32c(bytes: Uint8Array, before = 0): number {
  table ??= Uint32Array.from({ length: 256 }, (_, i) => {
    let value = i;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    return value;
  });
  let crc = ~before;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The checksum as it was before LevelDB turned it, so that a checksum of what holds checksums is a good one. */
export function unmasked(stored: number): number {
  const turned = (stored - 0xa282ead8) >>> 0;
  return ((turned << 15) | (turned >>> 17)) >>> 0;
}
