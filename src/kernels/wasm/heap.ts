/** Memory for kernels: their own, or a host's (TensorFlow.js's) that offers the same. */
export interface Heap {
  readonly memory: WebAssembly.Memory;
  /** Allocates `bytes` bytes; their address is aligned to 16 at least, and never 0. */
  allocate(bytes: number): number;
  release(address: number): void;
}

const PAGE = 65536;
/** 4 GiB, the most that a 32-bit address reaches. */
const MOST_PAGES = 65536;
/** The initial size of a heap. */
const FIRST_PAGES = 16;
/** A cache line: arrays do not share one. */
const ALIGNMENT = 64;
/**
 * Arrays from this many bytes on are followed by this many empty lines: arrays of a power of two would
 * otherwise map to the same cache sets, and their rows would evict each other.
 */
const STAGGERED_BYTES = 4096;
const STAGGER_LINES = 17;

interface Range {
  readonly start: number;
  readonly size: number;
}

/** A range in use, or a spare one that waits for the next request of its size. */
interface Block extends Range {
  taken: boolean;
}

/**
 * A heap on a memory of its own. Networks request the same few sizes over and over: a released block becomes
 * spare, and the next request of its size takes it without a search. A request that finds no other room
 * merges spare blocks with their free neighbours; only where that is not enough does the memory grow.
 */
export class OwnHeap implements Heap {
  /** Ranges outside of any block, by address, neighbours merged. A block is cut from the first one with room. */
  private free: Range[] = [];
  /** Blocks in use and spare, by address. */
  private readonly blocks = new Map<number, Block>();
  /** Spare blocks by size; the last one released, which is likeliest to be in cache, is taken first. */
  private readonly spare = new Map<number, Block[]>();

  /** Uses all of a memory that nothing else uses; it may be shared. */
  constructor(readonly memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES })) {
    // address 0 is excluded: it stands for an absent array
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

  /** Cuts a new block. */
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

  /** Adds ranges to the free ones. */
  private join(ranges: readonly Range[]): void {
    const joined: { start: number; size: number }[] = [];
    for (const { start, size } of [...this.free, ...ranges].sort((a, b) => a.start - b.start)) {
      const before = joined.at(-1);
      if (before && before.start + before.size === start) before.size += size;
      else joined.push({ start, size });
    }
    this.free = joined;
  }

  /** Grows by at least half, so that many small arrays do not grow it many times. */
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

  /** Grows by `wanted` pages or, where the machine does not have that many, by `needed`. */
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

/**
 * Memory for an `OwnHeap` that threads share; undefined where the page may not use it, or the machine cannot
 * reserve it.
 */
export function sharedMemory(): WebAssembly.Memory | undefined {
  if (typeof SharedArrayBuffer === "undefined" || globalThis.crossOriginIsolated === false) return undefined;
  try {
    return new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES, shared: true });
  } catch {
    return undefined;
  }
}
