/** Memory that the kernels work on: their own here, or a host's (TensorFlow.js's) that offers the same. */
export interface Heap {
  readonly memory: WebAssembly.Memory;
  /** Address of `bytes` bytes, aligned to 16 at least; never 0. */
  allocate(bytes: number): number;
  release(address: number): void;
}

const PAGE = 65536;
/** 4 GiB, the most that a 32-bit address reaches. */
const MOST_PAGES = 65536;
/** What a heap begins with. */
const FIRST_PAGES = 16;
/** A cache line: arrays do not share one. */
const ALIGNMENT = 64;
/**
 * Arrays of so many bytes are followed by so many empty lines: one behind the other, arrays of a power of two would begin at
 * the same place of every cache, and their rows would drive each other out.
 */
const STAGGERED_BYTES = 4096;
const STAGGER_LINES = 17;

interface Range {
  readonly start: number;
  readonly size: number;
}

/** A range that is given out, or was and is kept as it is for the next request of its size. */
interface Block extends Range {
  taken: boolean;
}

/**
 * A memory of its own. Networks ask for the same few sizes over and over: a block that is released is spare, and the
 * next request of its size takes it without a search. A request that finds no room otherwise joins the spare blocks
 * with their free neighbours, and only where that makes no room either does the memory grow.
 */
export class OwnHeap implements Heap {
  /** What no block holds: in order of addresses, neighbours joined. Blocks are cut from the first one that has room. */
  private free: Range[] = [];
  /** Taken and spare, by address. */
  private readonly blocks = new Map<number, Block>();
  /** By size; the one released last, which is the likeliest to be in cache, is taken first. */
  private readonly spare = new Map<number, Block[]>();

  /** On a memory that nothing else uses, all of it. It may be shared. */
  constructor(readonly memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES })) {
    // address 0 is left out: it stands for an absent array
    this.join([{ start: ALIGNMENT, size: memory.buffer.byteLength - ALIGNMENT }]);
  }

  allocate(bytes: number): number {
    const lines = Math.max(1, Math.ceil(bytes / ALIGNMENT)) + (bytes < STAGGERED_BYTES ? 0 : STAGGER_LINES);
    const size = lines * ALIGNMENT;
    const block = this.spare.get(size)?.pop() ?? this.cut(size);
    block.taken = true;
    return block.start;
  }

  release(address: number): void {
    const block = this.blocks.get(address);
    if (!block?.taken) return;
    block.taken = false;
    const alike = this.spare.get(block.size);
    if (alike) alike.push(block);
    else this.spare.set(block.size, [block]);
  }

  /** A new block. */
  private cut(size: number): Block {
    let at = this.roomFor(size);
    if (at < 0) {
      this.joinSpare();
      at = this.roomFor(size);
    }
    if (at < 0) {
      this.grow(size);
      at = this.roomFor(size);
    }
    const { start, size: room } = this.free[at];
    if (room === size) this.free.splice(at, 1);
    else this.free[at] = { start: start + size, size: room - size };
    const block = { start, size, taken: false };
    this.blocks.set(start, block);
    return block;
  }

  private roomFor(size: number): number {
    return this.free.findIndex((range) => range.size >= size);
  }

  private joinSpare(): void {
    const spare = [...this.spare.values()].flat();
    this.spare.clear();
    for (const { start } of spare) this.blocks.delete(start);
    this.join(spare);
  }

  /** Adds ranges to what is free. */
  private join(ranges: readonly Range[]): void {
    const joined: { start: number; size: number }[] = [];
    for (const { start, size } of [...this.free, ...ranges].sort((a, b) => a.start - b.start)) {
      const before = joined.at(-1);
      if (before && before.start + before.size === start) before.size += size;
      else joined.push({ start, size });
    }
    this.free = joined;
  }

  /** By half again at least, so that many small arrays do not grow it many times. */
  private grow(bytes: number): void {
    const before = this.memory.buffer.byteLength / PAGE;
    const needed = Math.ceil(bytes / PAGE);
    let pages = Math.max(needed, Math.min(before >> 1, MOST_PAGES - before));
    try {
      pages = this.growBy(pages, needed);
    } catch {
      throw new RangeError(
        `evenkeel: ${bytes} bytes more do not fit into WebAssembly memory (${before * PAGE} of at most ${MOST_PAGES * PAGE} ` +
          "are in use); release arrays that are no longer needed with dispose()",
      );
    }
    this.join([{ start: before * PAGE, size: pages * PAGE }]);
  }

  /** By what is wanted, or, where the machine has not that much, by what is needed. */
  private growBy(wanted: number, needed: number): number {
    try {
      this.memory.grow(wanted);
      return wanted;
    } catch {
      this.memory.grow(needed);
      return needed;
    }
  }
}

/** For an `OwnHeap` that threads share; undefined where pages may not have it, or the machine cannot reserve it. */
export function sharedMemory(): WebAssembly.Memory | undefined {
  if (typeof SharedArrayBuffer === "undefined" || globalThis.crossOriginIsolated === false) return undefined;
  try {
    return new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES, shared: true });
  } catch {
    return undefined;
  }
}
