/**
 * Where the chunks of an HDF5 dataset lie, by every index that the library writes: a B-tree of version 1 (specification, III.A.1), and
 * those of appendix C: a single chunk, implicit, fixed array, extensible array, B-tree of version 2.
 */
import { sizeOf } from "../../../shape.js";
import type { Fields, Structures } from "./fields.js";
import type { ChunkedLayout } from "./layouts.js";
import { leaves, records } from "./trees.js";
import type { Dataspace } from "./types.js";

export interface Chunk {
  readonly address: number;
  readonly byteLength: number;
  /** A bit for each filter that was left out. */
  readonly mask: number;
  /** Of its first element. */
  readonly at: readonly number[];
}

/**
 * The chunks that were written, those within the shape.
 * @param size bytes of a chunk
 */
export async function chunksOf(
  structures: Structures,
  space: Dataspace,
  layout: ChunkedLayout,
  size: number,
  filtered: boolean,
): Promise<Chunk[]> {
  const { shape } = space;
  const { chunk, address, index } = layout;
  if (address === undefined) return [];
  const found: Chunk[] = [];
  const add = (at: readonly number[], where: number | undefined, byteLength = size, mask = 0) => {
    if (where === undefined || at.some((start, axis) => start >= shape[axis])) return;
    structures.own(where, byteLength);
    found.push({ address: where, byteLength, mask, at });
  };
  if (index.kind === "single chunk") {
    add(new Array(shape.length).fill(0), address, index.stored, index.mask);
  } else if (index.kind === "B-tree 1") {
    for await (const child of leaves(structures, address, 1, 8 + 8 * (shape.length + 1))) {
      const [byteLength, mask] = [child.uint32(), child.uint32()];
      const at = shape.map(() => child.uint(8));
      add(at, child.skip(8).addressOrNone(), byteLength, mask);
    }
  } else if (index.kind === "B-tree 2") {
    for await (const record of records(structures, address, filtered ? 11 : 10)) {
      const where = record.addressOrNone();
      const byteLength = filtered ? record.uint(record.left - 4 - 8 * shape.length) : undefined;
      const mask = filtered ? record.uint32() : 0;
      const at = chunk.map((length) => length * record.uint(8));
      add(at, where, byteLength, mask);
    }
  } else if (index.kind === "implicit") {
    const total = sizeOf(chunkCounts(space, chunk));
    if (!(address + total * size <= structures.bytes.byteLength)) {
      throw structures.fail(`expected ${total} chunks of ${size} bytes, the file ends before`, address);
    }
    const placeOf = numbered(space, chunk);
    for (let number = 0; number < total; number++) add(placeOf(number), address + number * size);
  } else {
    const placeOf = numbered(space, chunk);
    const entries = index.kind === "fixed array" ? fixedArray : extensibleArray;
    for await (const { from, size: entrySize, fields } of entries(structures, address)) {
      const widthOfSize = entrySize - structures.offsetWidth - 4;
      for (let number = from; fields.left > 0; number++) {
        const where = fields.addressOrNone();
        if (widthOfSize < 0) add(placeOf(number), where);
        else add(placeOf(number), where, fields.uint(widthOfSize), fields.uint32());
      }
    }
  }
  return found;
}

/** Of the shape that a dataset may grow to. */
function chunkCounts({ shape, most }: Dataspace, chunk: readonly number[]): number[] {
  return most.map((length, axis) => Math.ceil((length ?? shape[axis]) / chunk[axis]));
}

/** Where chunks begin by their numbers: in the order of the shape that the dataset may grow to, an endless axis first. */
function numbered(space: Dataspace, chunk: readonly number[]): (number: number) => number[] {
  const counts = chunkCounts(space, chunk);
  const endless = space.most.indexOf(undefined);
  const axes = [...counts.keys()].sort((a, b) => Number(b === endless) - Number(a === endless) || a - b);
  return (number) => {
    const at: number[] = new Array(counts.length).fill(0);
    for (const axis of [...axes].reverse()) {
      const place = axis === axes[0] ? number : number % counts[axis];
      at[axis] = place * chunk[axis];
      number = Math.floor(number / counts[axis]);
    }
    return at;
  };
}

/** Entries in a row: each an address; of filtered chunks size and mask too. */
interface Entries {
  /** The first one's number. */
  readonly from: number;
  /** Bytes of each. */
  readonly size: number;
  readonly fields: Fields;
}

/** Entries of an array have one of its kind's lengths. */
function checkEntries(head: Fields, size: number, pageBits: number): void {
  const { offsetWidth } = head.structures;
  const more = size - offsetWidth - 4;
  if ((size !== offsetWidth && (more < 1 || more > 8)) || pageBits > 32) {
    throw head.fail(`expected entries of ${offsetWidth} bytes or a few more, got ${size}`);
  }
}

/** Entries of pages, each of them followed by a checksum; those that were never written are left out. */
async function* pagesOf(
  structures: Structures,
  address: number,
  { from, count, size, perPage }: { from: number; count: number; size: number; perPage: number },
  isWritten: (page: number) => boolean,
): AsyncGenerator<Entries> {
  for (let page = 0; page * perPage < count; page++) {
    if (!isWritten(page)) continue;
    const inside = Math.min(perPage, count - page * perPage);
    const fields = await structures.claim(address + page * (perPage * size + 4), inside * size);
    yield { from: from + page * perPage, size, fields };
  }
}

const bitIn = (bits: Uint8Array, at: number) => (bits[at >> 3] & (0x80 >> (at & 7))) !== 0;

async function* fixedArray(structures: Structures, address: number): AsyncGenerator<Entries> {
  const { offsetWidth, lengthWidth } = structures;
  const head = (await structures.claim(address, 8 + lengthWidth + offsetWidth)).expect("FAHD").skip(2);
  const size = head.uint8();
  const pageBits = head.uint8();
  const count = head.length();
  const block = head.addressOrNone();
  checkEntries(head, size, pageBits);
  if (block === undefined) return;
  const prefix = 6 + offsetWidth;
  const perPage = 2 ** pageBits;
  if (count <= perPage) {
    const fields = (await structures.claim(block, prefix + count * size)).expect("FADB").skip(prefix - 4);
    yield { from: 0, size, fields };
    return;
  }
  const bitBytes = Math.ceil(Math.ceil(count / perPage) / 8);
  const bits = (await structures.claim(block, prefix + bitBytes))
    .expect("FADB")
    .skip(prefix - 4)
    .take(bitBytes);
  const pages = { from: 0, count, size, perPage };
  yield* pagesOf(structures, block + prefix + bitBytes + 4, pages, (page) => bitIn(bits, page));
}

/**
 * Entries in the index block, then in data blocks whose addresses stand there, then in those of super blocks. Of super block i there are
 * 2^⌊i/2⌋ data blocks of 2^⌈i/2⌉ times the least number of entries.
 */
async function* extensibleArray(structures: Structures, address: number): AsyncGenerator<Entries> {
  const { offsetWidth, lengthWidth } = structures;
  const head = (await structures.claim(address, 12 + 6 * lengthWidth + offsetWidth)).expect("EAHD").skip(2);
  const [size, bits, inIndex, least, pointers, pageBits] = Array.from({ length: 6 }, () => head.uint8());
  const end = head.skip(4 * lengthWidth).length();
  const index = head.skip(lengthWidth).addressOrNone();
  checkEntries(head, size, pageBits);
  if (least === 0 || pointers === 0 || bits > 64) throw head.fail("expected an extensible array");
  if (index === undefined) return;
  const direct = 2 * Math.log2(pointers);
  const supers = 1 + bits - Math.log2(least) - direct;
  if (!Number.isInteger(direct) || !Number.isInteger(supers) || supers < 0)
    throw head.fail("expected powers of 2");
  const addresses = 2 * (pointers - 1) + supers;
  const block = (await structures.claim(index, 6 + offsetWidth + inIndex * size + addresses * offsetWidth))
    .expect("EAIB")
    .skip(2 + offsetWidth);
  yield { from: 0, size, fields: block.inner(inIndex * size) };
  const prefix = 6 + offsetWidth + Math.ceil(bits / 8);
  const perPage = 2 ** pageBits;
  const dataBlock = async function* (
    at: number,
    from: number,
    count: number,
    isWritten: (page: number) => boolean,
  ): AsyncGenerator<Entries> {
    if (count > perPage) {
      (await structures.claim(at, prefix)).expect("EADB");
      yield* pagesOf(structures, at + prefix + 4, { from, count, size, perPage }, isWritten);
      return;
    }
    const fields = (await structures.claim(at, prefix + count * size)).expect("EADB").skip(prefix - 4);
    yield { from, size, fields };
  };
  let from = inIndex;
  for (let i = 0; i < direct + supers && from < end; i++) {
    const blocks = 2 ** Math.floor(i / 2);
    const count = 2 ** Math.ceil(i / 2) * least;
    let inside = block;
    let written: Uint8Array | undefined;
    if (i >= direct) {
      const at = block.addressOrNone();
      if (at === undefined) {
        from += blocks * count;
        continue;
      }
      const bitBytes = count > perPage ? blocks * Math.ceil(count / perPage / 8) : 0;
      inside = (await structures.claim(at, prefix + bitBytes + blocks * offsetWidth))
        .expect("EASB")
        .skip(prefix - 4);
      written = inside.take(bitBytes);
    }
    for (let j = 0; j < blocks; j++, from += count) {
      const at = inside.addressOrNone();
      const pages = j * Math.ceil(count / perPage);
      if (at !== undefined && from < end) {
        yield* dataBlock(at, from, count, (page) => written === undefined || bitIn(written, pages + page));
      }
    }
  }
}
