/**
 * Gzip files, and zip archives by their central directory: read in ranges and inflated as streams that are counted, so
 * that neither a size nor a ratio is believed. (fflate allocates what an archive declares.)
 */
import { FlateErrorCode, Gunzip } from "fflate";
import { FailureError, UsageError } from "../../errors.js";
import type { Source } from "./source.js";

export interface Member {
  /** Its path in the archive. */
  name: string;
  encrypted: boolean;
  method: number;
  crc: number;
  packed: number;
  /** As declared. */
  size: number;
  /** Of its local header. */
  offset: number;
}

/** Bytes in pieces, so that what is large need not be copied into one. */
export interface Pieces {
  parts: Uint8Array[];
  byteLength: number;
}

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
/** Of the record at the end, and the longest comment after it. */
const END_BYTES = 22;
const COMMENT = 65_535;
const MOST_DIRECTORY = 2 ** 26;
/** Bytes that are given to an inflater at a time; a thousand times as many may come out before they are counted. */
const FEED = 2 ** 16;
/** Unpacked bytes by which it is known whether a file is as large as it declares. */
const ENOUGH = 2 ** 24;

const METHODS: Record<number, string> = {
  9: "Deflate64",
  12: "bzip2",
  14: "LZMA",
  93: "Zstandard",
  95: "xz",
  98: "PPMd",
  99: "AES encryption",
};

/** The members of an archive; throws FailureError where its directory is not whole. */
export async function membersOf(source: Source, file: string): Promise<Member[]> {
  const tailStart = Math.max(0, source.byteLength - END_BYTES - COMMENT);
  const tail = new DataView(await source.slice(tailStart, source.byteLength));
  let end = tail.byteLength - END_BYTES;
  while (end >= 0 && tail.getUint32(end, true) !== END) end--;
  if (end < 0) throw cut(file);
  const count = tail.getUint16(end + 10, true);
  const bytes = tail.getUint32(end + 12, true);
  const start = tail.getUint32(end + 16, true);
  if (count === 0xffff || start === 0xffffffff || bytes > MOST_DIRECTORY) {
    throw new UsageError(
      `${file}: expected a zip archive of less than 4 GB and 65,535 files, got a larger one; unpack it, and name the table in it`,
    );
  }
  if (start + bytes > tailStart + end) throw cut(file);
  const directory = new DataView(await source.slice(start, start + bytes));
  const members: Member[] = [];
  for (let at = 0; members.length < count; ) {
    if (at + 46 > directory.byteLength || directory.getUint32(at, true) !== CENTRAL) throw cut(file);
    const nameEnd = at + 46 + directory.getUint16(at + 28, true);
    const extraEnd = nameEnd + directory.getUint16(at + 30, true);
    const next = extraEnd + directory.getUint16(at + 32, true);
    if (next > directory.byteLength) throw cut(file);
    members.push({
      name: new TextDecoder().decode(new Uint8Array(directory.buffer, at + 46, nameEnd - at - 46)),
      encrypted: (directory.getUint16(at + 8, true) & 1) !== 0,
      method: directory.getUint16(at + 10, true),
      crc: directory.getUint32(at + 16, true),
      ...sizesOf(directory, at, nameEnd, extraEnd),
    });
    at = next;
  }
  return members;
}

/** The sizes and the offset of a member, which stand in the record of zip64 where they are 2³² − 1. */
function sizesOf(view: DataView, at: number, extra: number, extraEnd: number) {
  const sizes = {
    size: view.getUint32(at + 24, true),
    packed: view.getUint32(at + 20, true),
    offset: view.getUint32(at + 42, true),
  };
  for (let field = extra; field + 4 <= extraEnd; field += 4 + view.getUint16(field + 2, true)) {
    if (view.getUint16(field, true) !== 1) continue;
    const end = Math.min(extraEnd, field + 4 + view.getUint16(field + 2, true));
    let value = field + 4;
    for (const key of ["size", "packed", "offset"] as const) {
      if (sizes[key] !== 0xffffffff || value + 8 > end) continue;
      sizes[key] = Number(view.getBigUint64(value, true));
      value += 8;
    }
  }
  return sizes;
}

/**
 * The bytes of a member; `most` is how many it may have. Throws UsageError for what is encrypted, too large or packed
 * by an unusual method, FailureError for what is not what the archive says of it.
 */
export async function contentOf(source: Source, file: string, member: Member, most: number): Promise<Pieces> {
  if (member.encrypted) {
    throw new UsageError(
      `${file}: expected a file without a password, got an encrypted one; unpack it, and name the unpacked file`,
    );
  }
  const header = new DataView(await source.slice(member.offset, member.offset + 30));
  if (header.byteLength < 30 || header.getUint32(0, true) !== LOCAL) throw cut(file);
  const start = member.offset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  const end = start + member.packed;
  if (end > source.byteLength) throw cut(file);
  let content: Pieces;
  if (member.method === 0) {
    if (member.packed > most) throw tooLarge(file, most);
    const bytes = new Uint8Array(await source.slice(start, end));
    content = { parts: [bytes], byteLength: bytes.length };
  } else if (member.method === 8) {
    content = await inflated(source, file, member, start, most);
  } else {
    throw new UsageError(
      `${file}: expected a file packed with Deflate, got ${METHODS[member.method] ?? `method ${member.method}`}; unpack it, and name the unpacked file`,
    );
  }
  if (content.byteLength !== member.size || content.parts.reduce(crc32, 0) !== member.crc) throw broken(file);
  return content;
}

/** What a member inflates to whose data start at `start`, in pieces; throws UsageError where it is more than `most` bytes. */
async function inflated(
  source: Source,
  file: string,
  { packed: length, size }: Member,
  start: number,
  most: number,
): Promise<Pieces> {
  const end = start + length;
  let at = start;
  const packed = new ReadableStream<BufferSource>({
    async pull(controller) {
      if (at >= end) return controller.close();
      const piece = await source.slice(at, Math.min(end, at + FEED));
      at += FEED;
      controller.enqueue(new Uint8Array(piece));
    },
  });
  const reader = packed.pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts: Uint8Array[] = [];
  let byteLength = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { parts, byteLength };
      byteLength += value.length;
      if (byteLength > most) throw tooLarge(file, most);
      // what declares more will be refused, for its size or for its lie
      if (size <= most) parts.push(value);
    }
  } catch (error) {
    await reader.cancel().catch(() => {});
    throw error instanceof UsageError || error instanceof FailureError ? error : broken(file);
  }
}

/**
 * What a gzip file unpacks to, in pieces: all of its members, of which a DecompressionStream takes only the first.
 * Throws UsageError where it is more than `most` bytes, FailureError where it is cut or damaged.
 */
export async function gunzipped(source: Source, file: string, most: number): Promise<Pieces> {
  const parts: Uint8Array[] = [];
  let byteLength = 0;
  /** What is known of each member, and what the eight bytes at its end must say. */
  const members = [{ end: source.byteLength, crc: 0, bytes: 0 }];
  const gunzip = new Gunzip((part) => {
    byteLength += part.length;
    if (byteLength > most) throw tooLarge(file, most);
    const member = members[members.length - 1];
    member.crc = crc32(member.crc, part);
    member.bytes += part.length;
    if (part.length > 0) parts.push(part);
  });
  gunzip.onmember = (start) => {
    members[members.length - 1].end = start;
    members.push({ end: source.byteLength, crc: 0, bytes: 0 });
  };
  const last = new DataView(await source.slice(Math.max(0, source.byteLength - 4), source.byteLength));
  const declared = last.byteLength === 4 ? last.getUint32(0, true) : 0;
  for (let at = 0; at < source.byteLength; at += FEED) {
    const end = Math.min(source.byteLength, at + FEED);
    // the declared size alone says nothing: where a file is cut, anything stands in its place
    if (declared > most && byteLength > ENOUGH && (byteLength / at) * source.byteLength > most) {
      throw tooLarge(file, most);
    }
    const bytes = new Uint8Array(await source.slice(at, end));
    try {
      gunzip.push(bytes, end === source.byteLength);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      const { code } = error as { code?: unknown };
      throw code === FlateErrorCode.UnexpectedEOF ? truncated(file) : broken(file);
    }
  }
  for (const { end, crc, bytes } of members) {
    const tail = new DataView(await source.slice(Math.max(0, end - 8), end));
    // what is cut within these bytes is inflated whole
    if (tail.byteLength < 8 || tail.getUint32(4, true) !== bytes % 2 ** 32) throw truncated(file);
    if (tail.getUint32(0, true) !== crc) throw broken(file);
  }
  return { parts, byteLength };
}

const cut = (file: string) =>
  new FailureError(`${file}: not a complete zip archive; it may be truncated: fetch or write it again`);

const truncated = (file: string) =>
  new FailureError(
    `${file}: the compressed data ends too early, the file is truncated; fetch or write it again`,
  );

const broken = (file: string) =>
  new FailureError(`${file}: the compressed data is damaged; fetch or write the file again`);

const tooLarge = (file: string, most: number) =>
  new UsageError(
    `${file}: expected at most ${most.toLocaleString("en-US")} bytes once it is unpacked, got more; where it is to be trusted, allow more with --max-bytes`,
  );

let table: Uint32Array | undefined;

function crc32(before: number, bytes: Uint8Array): number {
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    return crc;
  });
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
