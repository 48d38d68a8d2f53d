/**
 * HDF5's B-trees (specification, III.A): version 1, which lists the symbols of groups and the chunks of datasets; version 2, whose records
 * list links, attributes, long objects of heaps and chunks. Of both everything is listed, nothing looked up.
 */
import { Fields, type Structures, widthOf } from "./fields.js";

/** Levels of a tree; each of them multiplies what it holds. */
const MOST_LEVELS = 32;

/** The children of the lowest nodes of a B-tree of version 1, each with its key before it, in order. */
export async function* leaves(
  structures: Structures,
  root: number,
  type: number,
  keyLength: number,
): AsyncGenerator<Fields> {
  const { offsetWidth } = structures;
  const headLength = 8 + 2 * offsetWidth;
  const stack: { address: number; level?: number }[] = [{ address: root }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { address, level: expected } = next;
    const head = (await structures.peek(address, headLength)).expect("TREE");
    const found = head.uint8();
    const level = head.uint8();
    const count = head.uint16();
    if (found !== type || (expected ?? level) !== level || level > MOST_LEVELS) {
      throw head.fail(
        `expected a B-tree's node of type ${type} and level ${expected ?? 0}, got ${found} and ${level}`,
      );
    }
    const length = count * (keyLength + offsetWidth);
    const node = (await structures.claim(address, headLength + length)).skip(headLength);
    const children = Array.from({ length: count }, () => node.inner(keyLength + offsetWidth));
    if (level === 0) yield* children;
    else {
      for (const child of children.reverse()) {
        stack.push({ address: child.skip(keyLength).addressOf("a node"), level: level - 1 });
      }
    }
  }
}

interface Node {
  readonly address: number;
  /** Of its records. */
  readonly count: number;
  readonly level: number;
}

/** The records of a B-tree of version 2, in order. */
export async function* records(
  structures: Structures,
  address: number,
  type: number,
): AsyncGenerator<Fields> {
  const { offsetWidth, lengthWidth } = structures;
  const head = (await structures.claim(address, 22 + offsetWidth + lengthWidth)).expect("BTHD").skip(1);
  const found = head.uint8();
  if (found !== type) throw head.fail(`expected a B-tree of type ${type}, got ${found}`);
  const nodeSize = head.uint32();
  const recordSize = head.uint16();
  const depth = head.uint16();
  const root = head.skip(2).addressOrNone();
  const rootCount = head.uint16();
  if (root === undefined || rootCount === 0) return;
  if (depth > MOST_LEVELS || recordSize === 0 || nodeSize < 10 + recordSize)
    throw head.fail("expected a B-tree");
  // what a node of each level holds at the most, which its counts' widths follow from
  const most = [Math.floor((nodeSize - 10) / recordSize)];
  const total = [most[0]];
  const countWidth = widthOf(most[0]);
  const totalWidth = (level: number) => (level > 1 ? widthOf(total[level - 1]) : 0);
  for (let level = 1; level <= depth; level++) {
    const pointer = offsetWidth + countWidth + totalWidth(level);
    most[level] = Math.floor((nodeSize - 10 - pointer) / (recordSize + pointer));
    if (most[level] < 1) throw head.fail("expected nodes that hold a record");
    total[level] = (most[level] + 1) * total[level - 1] + most[level];
  }
  const stack: (Fields | Node)[] = [{ address: root, count: rootCount, level: depth }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (next instanceof Fields) {
      yield next;
      continue;
    }
    const { address, count, level } = next;
    if (count > most[level])
      throw structures.fail(`expected at most ${most[level]} records, got ${count}`, address);
    const node = (await structures.claim(address, nodeSize)).expect(level === 0 ? "BTLF" : "BTIN").skip(2);
    const inside = Array.from({ length: count }, () => node.inner(recordSize));
    if (level === 0) {
      yield* inside;
      continue;
    }
    // records lie between the nodes
    const children = Array.from({ length: count + 1 }, () => {
      const child = { address: node.addressOf("a node"), count: node.uint(countWidth), level: level - 1 };
      node.skip(totalWidth(level));
      return child;
    });
    for (let i = count; i >= 0; i--) {
      if (i < count) stack.push(inside[i]);
      stack.push(children[i]);
    }
  }
}
