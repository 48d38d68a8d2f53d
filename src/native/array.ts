/// <reference lib="esnext.disposable" preserve="true" />
/** Arrays that functions and layers take and give: such as live in the backend, and plain ones. */
import type { Kernels, StorageType, Values } from "../kernels/contract.js";
import { checkNumbers, described, isNumbers, sizeOf } from "../shape.js";

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
  make(shape: readonly number[], type?: StorageType): BackendArray {
    return this.makeOf(Object.freeze([...shape]), type);
  }

  /** The same of a shape that nobody changes, such as a plan's, which serves call after call. */
  makeOf(shape: readonly number[], type: StorageType = "float32"): BackendArray {
    const size = sizeOf(shape);
    const array = new BackendArray(this, this.kernels.allocate(size, type), shape, size, type);
    this.arrays++;
    this.elements += size;
    return array;
  }

  /** A copy of another type. */
  cast(array: BackendArray, type: StorageType): BackendArray {
    if (array.type !== type && array.type !== "float32" && type !== "float32") {
      const wide = this.cast(array, "float32");
      try {
        return this.cast(wide, type);
      } finally {
        wide.dispose();
      }
    }
    const copy = this.makeOf(array.shape, type);
    if (array.type === type) this.kernels.transpose(array.handle, copy.handle, [array.size], [0], type);
    else this.kernels.cast(array.handle, array.type, copy.handle, type, array.size);
    return copy;
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
  // read-only: another size or handle would read and write what belongs to others
  readonly #store: Store;
  readonly #handle: unknown;
  readonly #shape: readonly number[];
  readonly #size: number;
  readonly #type: StorageType;
  #disposed = false;
  declare [Symbol.dispose]: () => void;

  constructor(
    store: Store,
    handle: unknown,
    shape: readonly number[],
    size: number,
    type: StorageType = "float32",
  ) {
    this.#store = store;
    this.#handle = handle;
    this.#shape = shape;
    this.#size = size;
    this.#type = type;
  }

  /** The backend's own name for it: a byte address in wasm. */
  get handle(): unknown {
    return this.#handle;
  }

  /** Frozen. */
  get shape(): readonly number[] {
    return this.#shape;
  }

  /** How many values it has. */
  get size(): number {
    return this.#size;
  }

  /** How its values are stored. */
  get type(): StorageType {
    return this.#type;
  }

  /** The backend that it lives in. */
  get kernels(): Kernels<unknown> {
    return this.#store.kernels;
  }

  /**
   * The values themselves, not a copy: to read or write at once, since the backend's memory may move when it grows.
   * `data.slice()` is a copy of one's own (and is not shared memory, as the backend's may be). Throws where the backend's
   * memory is not the host's own (none yet); `read` serves every backend.
   * @throws TypeError for float16 and bfloat16, which JavaScript has no numbers of
   */
  get data(): Values {
    this.check("data");
    if (this.type !== "float32") {
      throw new TypeError(
        `data: a ${this.type} array of shape [${this.shape.join(", ")}] has no float32 values in memory; await read() gives a copy of ` +
          'them, and cast(array, "float32") an array',
      );
    }
    return this.kernels.values(this.handle, this.size);
  }

  /**
   * A copy of the values, as they are after all calls so far: float32, which holds those of the narrower types exactly, or float64 of
   * the reference backend.
   */
  async read(): Promise<Values> {
    this.check("read");
    if (this.type === "float32") return this.kernels.read(this.handle, this.size);
    const wide = this.#store.cast(this, "float32");
    try {
      return await this.kernels.read(wide.handle, this.size);
    } finally {
      wide.dispose();
    }
  }

  /** The values, not for writing. */
  get #values(): Values {
    if (this.type === "float32") return this.data;
    const wide = this.#store.cast(this, "float32");
    try {
      return wide.data.slice();
    } finally {
      wide.dispose();
    }
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Gives the memory back. More than once is the same as once. Also by `using y = …`. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#store.release(this);
  }

  check(caller: string): void {
    if (this.#disposed) {
      throw new Error(
        `${caller}: this array of shape [${this.shape.join(", ")}] was disposed; keep it until its last use`,
      );
    }
  }

  /** Shape and values, to read: six digits; of more than 100 values, the ends. */
  toString(): string {
    const { shape } = this;
    return `[${shape.join(", ")}] ${this.#disposed ? "disposed" : written(this.#values, shape)}`;
  }

  /** Shape and all values, as `array` takes them: `ek.array(json.shape, json.data)`; and the type, unless it is float32. */
  toJSON():
    | { shape: readonly number[]; data: number[]; type?: StorageType }
    | { shape: readonly number[]; disposed: true } {
    const { shape, type } = this;
    if (this.#disposed) return { shape, disposed: true };
    return { shape, data: Array.from(this.#values), ...(type === "float32" ? {} : { type }) };
  }
}

disposable(BackendArray, "dispose");
Object.defineProperty(BackendArray.prototype, Symbol.for("nodejs.util.inspect.custom"), {
  value(this: BackendArray) {
    return `BackendArray ${this}`;
  },
});

/** Lets `using` end what a class makes, in engines that have it. */
export function disposable(made: { prototype: object }, method: string): void {
  if (!Symbol.dispose) return;
  Object.defineProperty(made.prototype, Symbol.dispose, {
    value(this: Record<string, () => void>) {
      this[method]();
    },
  });
}

/** @throws TypeError where data are no numbers, RangeError where they are not as many as the shape says */
export function checkData(norm: string, name: string, shape: readonly number[], data: unknown): void {
  if (data !== undefined && data !== null && !isNumbers(data)) {
    throw new TypeError(
      `${norm}: ${name} must have its values in a Float32Array, got ${described(data)} for its data`,
    );
  }
  if (data?.length !== sizeOf(shape)) {
    throw new RangeError(
      `${norm}: ${name} of shape [${shape.join(", ")}] must have ${sizeOf(shape)} values, got ${data?.length ?? "no data"}`,
    );
  }
  checkNumbers(norm, name, data);
}

/** As many values are written in full; of more, the ends of the last two axes, and the first entry of the others. */
const WRITTEN_VALUES = 100;
const END = 3;

/** Values from index `from` on, as nested lists; lists of lists have a line for each. */
function written(data: Values, shape: readonly number[], from = 0, indent = 1): string {
  if (shape.length === 0) return String(Number(data[from].toPrecision(6)));
  const [length, ...inner] = shape;
  const size = sizeOf(inner);
  // of more values than are written
  const outer = inner.length > 1;
  const whole = data.length <= WRITTEN_VALUES || length <= (outer ? 1 : 2 * END);
  const [first, last] = whole ? [length, 0] : outer ? [1, 0] : [END, END];
  const entry = (i: number) => written(data, inner, from + i * size, indent + 1);
  const entries = [
    ...Array.from({ length: first }, (_, i) => entry(i)),
    ...(first + last < length ? ["…"] : []),
    ...Array.from({ length: last }, (_, i) => entry(length - last + i)),
  ];
  return `[${entries.join(inner.length > 0 ? `,\n${" ".repeat(indent)}` : ", ")}]`;
}
