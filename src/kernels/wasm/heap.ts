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
/** A cache line: arrays do not share one. */
const ALIGNMENT = 64;

/** A memory of its own, given out first-fit; neighbouring free blocks are joined. */
export class OwnHeap implements Heap {
  readonly memory = new WebAssembly.Memory({ initial: 16, maximum: MOST_PAGES });
  /** In order of their addresses. Address 0 is left out: it stands for an absent array. */
  private readonly free = [{ start: ALIGNMENT, size: 16 * PAGE - ALIGNMENT }];
  private readonly taken = new Map<number, number>();

  allocate(bytes: number): number {
    const size = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
    const at = this.free.findIndex((block) => block.size >= size);
    if (at < 0) {
      this.grow(size);
      return this.allocate(bytes);
    }
    const block = this.free[at];
    const address = block.start;
    block.start += size;
    block.size -= size;
    if (block.size === 0) this.free.splice(at, 1);
    this.taken.set(address, size);
    return address;
  }

  release(address: number): void {
    const size = this.taken.get(address);
    if (size === undefined) return;
    this.taken.delete(address);
    this.giveBack(address, size);
  }

  private giveBack(start: number, size: number): void {
    const found = this.free.findIndex((block) => block.start > start);
    const at = found < 0 ? this.free.length : found;
    this.free.splice(at, 0, { start, size });
    for (const left of [at, at - 1]) {
      const block = this.free[left];
      const next = this.free[left + 1];
      if (block && next && block.start + block.size === next.start) {
        block.size += next.size;
        this.free.splice(left + 1, 1);
      }
    }
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
    this.giveBack(before * PAGE, pages * PAGE);
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
