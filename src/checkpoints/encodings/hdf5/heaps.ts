/**
 * HDF5's heaps (specification, III.D, III.E and III.G): local ones with the names of a group's members, global ones with texts of any
 * length, fractal ones with the messages of links and attributes. Filtered fractal heaps are refused.
 */
import { type Fields, REWRITE, type Structures, widthOf } from "./fields.js";
import { records } from "./trees.js";

/** Indirect blocks within one another. */
const MOST_LEVELS = 32;

/** All of a local heap's data. */
export async function localHeap(structures: Structures, address: number): Promise<Fields> {
  const { offsetWidth, lengthWidth } = structures;
  const head = (await structures.claim(address, 8 + 2 * lengthWidth + offsetWidth)).expect("HEAP").skip(4);
  const size = head.length();
  return structures.claim(head.skip(lengthWidth).addressOf("the heap's data"), size);
}

/** The objects of one collection of the global heap, by their numbers. */
export async function globalHeap(
  structures: Structures,
  address: number,
): Promise<ReadonlyMap<number, Fields>> {
  const headLength = 8 + structures.lengthWidth;
  const size = (await structures.peek(address, headLength)).expect("GCOL").skip(4).length();
  const heap = (await structures.claim(address, Math.max(size, headLength))).skip(headLength);
  const objects = new Map<number, Fields>();
  while (heap.left >= headLength) {
    const number = heap.uint16();
    const length = heap.skip(6).length();
    // object 0 is what is free
    if (number === 0) break;
    objects.set(number, heap.inner(length));
    heap.skip(Math.min(heap.left, (8 - (length % 8)) % 8));
  }
  return objects;
}

/** Messages of a fractal heap, by an index whose records name them after `before` bytes. */
export async function* fractalHeap(
  structures: Structures,
  heap: number,
  index: number,
  type: number,
  before: number,
): AsyncGenerator<Fields> {
  const { offsetWidth, lengthWidth } = structures;
  const head = (await structures.claim(heap, 22 + 12 * lengthWidth + 3 * offsetWidth)).expect("FRHP").skip(1);
  const idLength = head.uint16();
  if (head.uint16() !== 0) throw head.fail("a filtered heap is not read", REWRITE);
  const mostManaged = head.skip(1).uint32();
  const huge = head.skip(lengthWidth).addressOrNone();
  const width = head.skip(9 * lengthWidth + offsetWidth).uint16();
  const start = head.length();
  const mostDirect = head.length();
  const bits = head.uint16();
  const root = head.skip(2).addressOrNone();
  const rows = head.uint16();
  const offsetBytes = Math.ceil(bits / 8);
  const lengthBytes = Math.min(widthOf(mostDirect), widthOf(mostManaged));
  if (width === 0 || start === 0 || bits > 64) throw head.fail("expected a heap's table of blocks");
  const blocks =
    root === undefined
      ? []
      : await blocksOf(structures, root, rows, { width, start, mostDirect, offsetBytes });
  let long: Map<number, { address: number; length: number }> | undefined;
  for await (const record of records(structures, index, type)) {
    const id = record.skip(before).inner(Math.min(idLength, record.left));
    const first = id.uint8();
    const kind = (first >> 4) & 3;
    if (kind === 2) {
      yield id.inner((first & 0xf) + 1);
    } else if (kind === 1) {
      if (huge === undefined) throw id.fail("expected an index of a heap's long objects");
      long ??= await longObjects(structures, huge);
      const place = long.get(id.uint(Math.min(id.left, lengthWidth)));
      if (place === undefined) throw id.fail("expected a long object of its heap");
      yield structures.claim(place.address, place.length);
    } else {
      const at = id.uint(offsetBytes);
      const length = id.uint(lengthBytes);
      const block = blockAt(blocks, at);
      if (block === undefined || at + length > block.from + block.fields.bytes.length) {
        throw id.fail("expected an object within its heap");
      }
      structures.count(length, id.address);
      yield block.fields.seek(at - block.from).inner(length);
    }
  }
}

/** A direct block, and the offset in its heap where it begins. */
interface Block {
  readonly from: number;
  readonly fields: Fields;
}

/** How the blocks of a heap double: `width` to a row, those of the first rows as long as `start`. */
interface Table {
  readonly width: number;
  readonly start: number;
  readonly mostDirect: number;
  /** As wide as offsets in the heap are. */
  readonly offsetBytes: number;
}

/** Direct blocks in the order of their offsets; indirect ones hold those of the first rows, then indirect ones. */
async function blocksOf(
  structures: Structures,
  root: number,
  rootRows: number,
  { width, start, mostDirect, offsetBytes }: Table,
): Promise<Block[]> {
  if (rootRows === 0) return [{ from: 0, fields: await structures.claim(root, start) }];
  const { offsetWidth } = structures;
  const blocks: Block[] = [];
  const sizeIn = (row: number) => start * 2 ** Math.max(0, row - 1);
  const collect = async (address: number, rows: number, from: number, depth: number): Promise<void> => {
    if (depth > MOST_LEVELS || !(rows >= 1 && rows <= 64) || !Number.isInteger(rows))
      throw structures.fail("expected a heap's block of at most 64 rows", address);
    const directRows = Math.log2(mostDirect / start) + 2;
    const prefix = 5 + offsetWidth + offsetBytes;
    const block = (await structures.claim(address, prefix + rows * width * offsetWidth))
      .expect("FHIB")
      .skip(prefix - 4);
    let at = from;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < width; column++, at += sizeIn(row)) {
        const child = block.addressOrNone();
        if (child === undefined) continue;
        if (row < directRows) blocks.push({ from: at, fields: await structures.claim(child, sizeIn(row)) });
        else await collect(child, Math.log2(sizeIn(row) / (start * width)) + 1, at, depth + 1);
      }
    }
  };
  await collect(root, rootRows, 0, 0);
  return blocks;
}

/** The block that holds an offset; they lie in that order. */
function blockAt(blocks: readonly Block[], offset: number): Block | undefined {
  let [low, high] = [0, blocks.length];
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if (blocks[middle].from <= offset) low = middle;
    else high = middle;
  }
  return blocks[low]?.from <= offset ? blocks[low] : undefined;
}

/** Objects that are too long for a block lie alone; where, a B-tree says by their numbers. */
async function longObjects(structures: Structures, index: number) {
  const found = new Map<number, { address: number; length: number }>();
  for await (const record of records(structures, index, 1)) {
    const place = { address: record.addressOf("a long object"), length: record.length() };
    found.set(record.length(), place);
  }
  return found;
}
