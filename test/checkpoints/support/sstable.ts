/** Tables in LevelDB's format, written as a test needs them. */
import { compress } from "snappyjs";
import { crc32c } from "../../../src/checkpoints/encodings/sstable.js";
import { concatenated } from "../../../src/checkpoints/encodings/zip.js";
import { varint } from "./protobuf.js";

const word = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);

/** A checksum as LevelDB stores it. */
export function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

export interface Table {
  bytes: Uint8Array;
  /** Data, filters, index. */
  blocks: { offset: number; size: number }[];
}

/** @param entries sorted by key, `perBlock` of them in a block, each key sharing what it can with the one before */
export function table(
  entries: readonly (readonly [Uint8Array, Uint8Array])[],
  { perBlock = 16, ...options }: TableOptions & { perBlock?: number } = {},
): Table {
  const blocks: Uint8Array[] = [];
  for (let i = 0; i < entries.length; i += perBlock) blocks.push(block(entries.slice(i, i + perBlock)));
  return tableOf(blocks, options);
}

export interface TableOptions {
  snappy?: boolean;
  /** Whether the index names the first block for all of them. */
  repeated?: boolean;
}

/** A table of blocks that are as they are. */
export function tableOf(
  contents: readonly Uint8Array[],
  { snappy = false, repeated = false }: TableOptions = {},
): Table {
  const parts: Uint8Array[] = [];
  const blocks: { offset: number; size: number }[] = [];
  let at = 0;
  const add = (content: Uint8Array): Uint8Array => {
    const stored = snappy ? compress(content) : content;
    const typed = concatenated([stored, Uint8Array.of(snappy ? 1 : 0)]);
    parts.push(typed, word(masked(crc32c(typed))));
    blocks.push({ offset: at, size: stored.length });
    const handle = concatenated([varint(at), varint(stored.length)]);
    at += stored.length + 5;
    return handle;
  };
  const handles = contents.map(add);
  const index = handles.map((handle, i) => [Uint8Array.of(i), repeated ? handles[0] : handle] as const);
  const footer = new Uint8Array(48);
  footer.set(concatenated([add(block([])), add(block(index))]));
  new DataView(footer.buffer).setBigUint64(40, 0xdb4775248b80fb57n, true);
  return { bytes: concatenated([...parts, footer]), blocks };
}

export function block(entries: readonly (readonly [Uint8Array, Uint8Array])[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let before = new Uint8Array();
  for (const [key, value] of entries) {
    let shared = 0;
    while (shared < Math.min(before.length, key.length) && before[shared] === key[shared]) shared++;
    const own = key.slice(shared);
    parts.push(
      Uint8Array.from([...varint(shared), ...varint(own.length), ...varint(value.length)]),
      own,
      value,
    );
    before = key.slice();
  }
  return concatenated([...parts, word(0), word(1)]);
}
