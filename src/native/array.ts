/** Arrays that functions and layers take and give: such as live in the backend, and plain ones. */
import type { Kernels, Values } from "../kernels/contract.js";
import { sizeOf } from "../shape.js";

/** Row-major values with a shape. Float32Array; Float64Array where the reference backend made it. */
export interface PlainArray {
  readonly data: Values;
  readonly shape: readonly number[];
}

/** The arrays that live in a backend: made here, and counted until they are disposed. */
export class Store {
  arrays = 0;
  elements = 0;

  constructor(readonly kernels: Kernels<unknown>) {}

  /** An array whose values are not set to anything. */
  make(shape: readonly number[]): BackendArray {
    const size = sizeOf(shape);
    const array = new BackendArray(this, this.kernels.allocate(size), [...shape], size);
    this.arrays++;
    this.elements += size;
    return array;
  }

  /** Takes back an array that was made here. */
  release({ handle, size }: BackendArray): void {
    this.kernels.release(handle);
    this.arrays--;
    this.elements -= size;
  }
}

/**
 * An array that lives in the backend: nothing is copied on its way in or out of a function. It belongs to whoever
 * called the function that made it, until `dispose`.
 */
export class BackendArray implements PlainArray {
  private released = false;

  constructor(
    private readonly store: Store,
    /** The backend's own name for it: a byte address in wasm. */
    readonly handle: unknown,
    readonly shape: readonly number[],
    /** How many values it has. */
    readonly size: number,
  ) {}

  /** The backend that it lives in. */
  get kernels(): Kernels<unknown> {
    return this.store.kernels;
  }

  /**
   * The values themselves, not a copy: to read or write at once, since the backend's memory may move when it grows.
   * `data.slice()` is a copy of one's own (and is not shared memory, as the backend's may be).
   */
  get data(): Values {
    this.check("data");
    return this.kernels.values(this.handle, this.size);
  }

  get disposed(): boolean {
    return this.released;
  }

  /** Gives the memory back. More than once is the same as once. */
  dispose(): void {
    if (this.released) return;
    this.released = true;
    this.store.release(this);
  }

  check(caller: string): void {
    if (this.released) {
      throw new Error(
        `${caller}: this array of shape [${this.shape.join(", ")}] was disposed; keep it until its last use`,
      );
    }
  }
}
