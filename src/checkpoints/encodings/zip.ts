/**
 * ZIP archives (APPNOTE 6.3.10; ZIP64), read by their central directory: entries as bytes, stored ones as ranges of the file, deflated
 * ones inflated when they are read. Nothing is extracted to a path.
 */
import { CheckpointError } from "../errors.js";
import type { Bytes } from "../source.js";
import { fitsStored } from "../tensors.js";

const END = 0x06054b50;
const END_64 = 0x06064b50;
const END_64_LOCATOR = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const FULL_32 = 0xffffffff;
/** What an archive may hold at the most; the files that frameworks write have thousands of entries. */
const MOST_ENTRIES = 2 ** 20;
/** What is inflated alone: up to so many bytes of an entry, from so many of them at a time. */
const BEGINNING = 2 ** 14;
/** What is inflated at a time of bytes that are in memory. */
const PIECE = 2 ** 16;
/** The longest comment after the end record, and that record. */
const TAIL = 0xffff + 22;

interface Entry {
  readonly method: number;
  readonly encrypted: boolean;
  readonly stored: number;
  readonly size: number;
  readonly crc: number;
  readonly header: number;
}

/**
 * The entries of an archive by name; the later one where a name is there twice, as for any reader of the directory. An entry is a file
 * of its own, called ARCHIVE/ENTRY: where it begins in the archive is not known before its local header is read.
 */
export async function zipEntries(format: string, archive: Bytes): Promise<ReadonlyMap<string, Bytes>> {
  const fail = (problem: string, offset?: number, remedy?: string) =>
    new CheckpointError(archive.file, format, problem, { offset, remedy });
  const { count, start, byteLength } = await directoryOf(archive, fail);
  if (count > MOST_ENTRIES || start + byteLength > archive.byteLength || count * 46 > byteLength) {
    throw fail(`expected a ZIP directory of ${count} entries in ${byteLength} bytes from byte ${start}`);
  }
  const bytes = await archive.read(start, start + byteLength);
  const view = viewOf(bytes);
  const entries = new Map<string, Bytes>();
  for (let i = 0, at = 0; i < count; i++) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== CENTRAL) {
      throw fail(`expected entry ${i + 1} of ${count} of the ZIP directory`, start + at);
    }
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) =>
      view.getUint16(at + field, true),
    );
    const next = at + 46 + nameLength + extraLength + commentLength;
    if (next > bytes.length) throw fail("expected an entry within the ZIP directory", start + at);
    const flags = view.getUint16(at + 8, true);
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const entry = {
      method: view.getUint16(at + 10, true),
      encrypted: (flags & 1) === 1,
      crc: view.getUint32(at + 16, true),
    };
    const [stored, size, header] = sizes64(view, at, at + 46 + nameLength, extraLength);
    // an entry of no bytes is a folder
    if (!name.endsWith("/"))
      entries.set(name, entryBytes(format, archive, name, { ...entry, stored, size, header }));
    at = next;
  }
  return entries;
}

/** Whether the bytes begin as an archive with entries does. */
export function isZip(head: Uint8Array): boolean {
  return head.length >= 4 && viewOf(head).getUint32(0, true) === LOCAL;
}

/** The name of the entry that an archive begins with, by which its kind is told; undefined of what is no archive. */
export function firstEntryOf(head: Uint8Array): string | undefined {
  if (!isZip(head) || head.length < 30) return undefined;
  return new TextDecoder().decode(head.subarray(30, 30 + viewOf(head).getUint16(26, true)));
}

type Fail = (problem: string, offset?: number, remedy?: string) => CheckpointError;

async function directoryOf(archive: Bytes, fail: Fail) {
  const tailStart = Math.max(0, archive.byteLength - TAIL);
  const tail = await archive.read(tailStart);
  const view = viewOf(tail);
  let end = tail.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end--;
  if (end < 0) throw fail("expected a ZIP directory at its end, there is none; the file is cut off");
  const at = tailStart + end;
  const count = view.getUint16(end + 10, true);
  const byteLength = view.getUint32(end + 12, true);
  const start = view.getUint32(end + 16, true);
  if (count !== 0xffff && byteLength !== FULL_32 && start !== FULL_32) return { count, byteLength, start };
  // what needs 64 bits stands in a record of its own, which a locator before this one names
  if (at < 20) return { count, byteLength, start };
  const locator = viewOf(await archive.read(at - 20, at));
  if (locator.getUint32(0, true) !== END_64_LOCATOR) return { count, byteLength, start };
  const where = Number(locator.getBigUint64(8, true));
  if (where + 56 > archive.byteLength) throw fail("expected a ZIP64 directory within the file", at - 20);
  const record = viewOf(await archive.read(where, where + 56));
  if (record.getUint32(0, true) !== END_64) throw fail("expected a ZIP64 directory", where);
  const [count64, byteLength64, start64] = [32, 40, 48].map((field) =>
    Number(record.getBigUint64(field, true)),
  );
  return { count: count64, byteLength: byteLength64, start: start64 };
}

/** Compressed size, size and offset of an entry, from its ZIP64 field where 32 bits are not enough. */
function sizes64(view: DataView, at: number, extra: number, extraLength: number): [number, number, number] {
  const size = view.getUint32(at + 24, true);
  const stored = view.getUint32(at + 20, true);
  const header = view.getUint32(at + 42, true);
  const short = [size, stored, header];
  for (let field = extra; field + 4 <= extra + extraLength; ) {
    const length = view.getUint16(field + 2, true);
    if (view.getUint16(field, true) === 1) {
      let value = field + 4;
      for (let i = 0; i < 3; i++) {
        if (short[i] !== FULL_32 || value + 8 > Math.min(field + 4 + length, extra + extraLength)) continue;
        short[i] = Number(view.getBigUint64(value, true));
        value += 8;
      }
    }
    field += 4 + length;
  }
  return [short[1], short[0], short[2]];
}

/** Lazily: where an entry's data begins stands in its local header. */
function entryBytes(format: string, archive: Bytes, name: string, entry: Entry): Bytes {
  const { method, stored, size } = entry;
  const fail: Fail = (problem, offset, remedy) =>
    new CheckpointError(archive.file, format, `entry "${name}": ${problem}`, { offset, remedy });
  if (
    entry.header + 30 + stored > archive.byteLength ||
    (method === 0 && !entry.encrypted && stored !== size)
  ) {
    throw fail(`expected ${stored} bytes, the file ends before`, entry.header);
  }
  if (!fitsStored(size, stored)) {
    throw fail(`${stored} compressed bytes cannot hold the ${size} that are declared`, entry.header);
  }
  const data = async (): Promise<Bytes> => {
    if (entry.encrypted) throw fail("it is encrypted", entry.header, "write the archive without a password");
    if (method !== 0 && method !== 8) {
      throw fail(`compression method ${method} is not read`, entry.header, "write it stored or deflated");
    }
    const header = viewOf(await archive.read(entry.header, entry.header + 30));
    if (header.getUint32(0, true) !== LOCAL) throw fail("expected its local header", entry.header);
    const start = entry.header + 30 + header.getUint16(26, true) + header.getUint16(28, true);
    return archive.part(start, start + stored);
  };
  const damaged = (problem: string) => fail(problem, entry.header);
  // held while anyone needs it, and no longer: an archive is not to stay in memory inflated
  let kept: WeakRef<Promise<Uint8Array>> | undefined;
  const whole = (): Promise<Uint8Array> => {
    const known = kept?.deref();
    if (known) return known;
    const made = data()
      .then((bytes) => bytes.read())
      .then((bytes) => inflate(bytes, size, damaged))
      .then((bytes) => {
        if (crc32(bytes) === entry.crc) return bytes;
        throw damaged("its checksum (CRC-32) differs from what is stored");
      });
    kept = new WeakRef(made);
    return made;
  };
  const file = `${archive.file}/${name}`;
  const ranged = (from: number, to: number): Bytes => ({
    file,
    byteLength: to - from,
    offset: from,
    async read(start = 0, end = to - from) {
      if (!(start >= 0 && start <= end && end <= to - from && from >= 0 && to <= size)) {
        throw fail(
          `expected ${end - start} bytes, there are ${Math.max(0, to - from - start)}`,
          entry.header,
        );
      }
      const [first, last] = [from + start, from + end];
      if (method !== 8) return (await data()).read(first, last);
      // headers are read without inflating what follows them
      if (last <= BEGINNING && last < size)
        return (await beginning(await data(), last, damaged)).subarray(first);
      return (await whole()).slice(first, last);
    },
    part: (start, end) => ranged(from + start, from + end),
  });
  return ranged(0, size);
}

/** The first bytes of raw deflate data, of which no more is read than they need; their checksum is not checked. */
function beginning(bytes: Bytes, count: number, fail: (problem: string) => Error): Promise<Uint8Array> {
  async function* pieces() {
    for (let at = 0; at < bytes.byteLength; at += BEGINNING) {
      // what the piece before gave is taken first
      if (at > 0) await new Promise((next) => setTimeout(next));
      yield await bytes.read(at, Math.min(bytes.byteLength, at + BEGINNING));
    }
  }
  return inflated(pieces(), count, fail, "deflate-raw", false);
}

type Compression = "deflate-raw" | "deflate" | "gzip";

/**
 * Inflates deflated data of a declared size, and stops at what is longer.
 * @param fail makes the error
 */
export function inflate(
  bytes: Uint8Array,
  size: number,
  fail: (problem: string) => Error,
  kind: Compression = "deflate-raw",
): Promise<Uint8Array> {
  // no more than a piece is inflated of what turns out too long
  function* pieces() {
    for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
  }
  return inflated(pieces(), size, fail, kind, true);
}

/** @param whole whether nothing may follow the `size` bytes */
async function inflated(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  size: number,
  fail: (problem: string) => Error,
  kind: Compression,
  whole: boolean,
): Promise<Uint8Array> {
  const stream = new DecompressionStream(kind) as ReadableWritablePair<Uint8Array, Uint8Array>;
  feed(pieces, stream.writable.getWriter());
  const reader = stream.readable.getReader();
  try {
    const result = new Uint8Array(size);
    let at = 0;
    while (whole || at < size) {
      const { done, value } = await reader.read();
      if (done) break;
      if (whole && at + value.length > size) throw fail(`expected ${size} bytes when inflated, got more`);
      result.set(value.subarray(0, size - at), at);
      at = Math.min(size, at + value.length);
    }
    if (at < size) throw fail(`expected ${size} bytes when inflated, got ${at}`);
    return result;
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw fail(`its compressed data is damaged (${error instanceof Error ? error.message : error})`);
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** One piece after the other has been taken: a pipe of Node's would take all of them at once. What fails is told to the reader. */
async function feed(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  try {
    for await (const piece of pieces) await writer.write(piece);
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => {});
  }
}

/** Of a whole archive in memory, nothing compressed: what `.npz` and PyTorch's files are. */
export function writeZip(entries: Iterable<readonly [string, Uint8Array]>): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const [name, bytes] of entries) {
    const encoded = new TextEncoder().encode(name);
    const common = new DataView(new ArrayBuffer(26));
    common.setUint16(0, 20, true);
    // names are UTF-8
    common.setUint16(2, 0x800, true);
    // 1980-01-01, the earliest date there is
    common.setUint16(8, 0x21, true);
    common.setUint32(10, crc32(bytes), true);
    common.setUint32(14, bytes.length, true);
    common.setUint32(18, bytes.length, true);
    common.setUint16(22, encoded.length, true);
    const fields = new Uint8Array(common.buffer);
    const local = concatenated([words(LOCAL), fields, encoded]);
    const tail = new DataView(new ArrayBuffer(14));
    tail.setUint32(10, at, true);
    directory.push(
      concatenated([words(CENTRAL), new Uint8Array([20, 0]), fields, new Uint8Array(tail.buffer), encoded]),
    );
    parts.push(local, bytes);
    at += local.length + bytes.length;
  }
  if (at > FULL_32 || directory.length >= 0xffff)
    throw new RangeError("writeZip: expected less than 4 GiB in at most 65,534 entries");
  const bytes = concatenated(directory);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, END, true);
  end.setUint16(8, directory.length, true);
  end.setUint16(10, directory.length, true);
  end.setUint32(12, bytes.length, true);
  end.setUint32(16, at, true);
  return concatenated([...parts, bytes, new Uint8Array(end.buffer)]);
}

function words(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

export function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

let table: Uint32Array | undefined;

/** CRC-32 as ZIP has it (IEEE 802.3). */
export function crc32(bytes: Uint8Array): number {
  table ??= Uint32Array.from({ length: 256 }, (_, i) => {
    let value = i;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });
  let crc = FULL_32;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ FULL_32) >>> 0;
}

/** Of exactly these bytes. */
export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
