/** Arrays that functions and layers take and give: such as live in the backend, and plain ones. */
import type { Kernels, Values } from "../kernels/contract.js";
import { sizeOf } from "../view.js";

/** Row-major values with a shape. Float32Array; Float64Array where the reference backend made it. */
export interface PlainArray {
  readonly data: Values;
  readonly shape: readonly number[];
}

/**
 * An array that lives in the backend: nothing is copied on its way in or out of a function. It belongs to whoever
 * called the function that made it, until `dispose`.
 */
export class BackendArray implements PlainArray {
  private released = false;

  constructor(
    /** The backend that it lives in. */
    readonly kernels: Kernels<unknown>,
    /** The backend's own name for it: a byte address in wasm. */
    readonly handle: unknown,
    readonly shape: readonly number[],
    private readonly onDispose: () => void,
  ) {}

  get size(): number {
    return sizeOf(this.shape);
  }

  /** The values themselves, not a copy: to read or write at once, since the backend's memory may move when it grows. */
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
    this.kernels.release(this.handle);
    this.onDispose();
  }

  check(caller: string): void {
    if (this.released) {
      throw new Error(
        `${caller}: this array of shape [${this.shape.join(", ")}] was disposed; keep it until its last use`,
      );
    }
  }
}
