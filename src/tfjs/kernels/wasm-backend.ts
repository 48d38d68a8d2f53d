/**
 * What kernels on the memory of TensorFlow.js's wasm backend need of it: addresses of tensors, allocation of
 * outputs, and a heap. The threaded build's memory is shared, and needs modules compiled for shared memory.
 */
import type { DataType, TensorInfo } from "@tensorflow/tfjs-core";
import type { Heap } from "../../kernels/wasm/heap.js";

/** The parts of `BackendWasm` (tfjs-backend-wasm 4.22) that are used; they are internal to it. */
export interface WasmBackend {
  readonly wasm: {
    /** In the builds without threads. */
    readonly asm?: { readonly memory?: unknown };
    /** In the threaded build. */
    readonly wasmMemory?: unknown;
    _malloc(bytes: number): number;
    _free(address: number): void;
  };
  readonly dataIdMap: { get(dataId: object): { memoryOffset: number } };
  makeOutput(shape: number[], dtype: DataType): TensorInfo;
  /** One tensor more has these values. */
  incRef(dataId: object): void;
  /** One tensor less; the last one frees them. */
  disposeData(dataId: object): boolean;
}

/** The backend's own memory and allocator, or undefined where kernels cannot use them. */
export function heapOf(backend: WasmBackend): Heap | undefined {
  const memory = backend.wasm?.asm?.memory ?? backend.wasm?.wasmMemory;
  if (!(memory instanceof WebAssembly.Memory)) return undefined;
  return {
    memory,
    allocate(bytes) {
      // above 2 GiB the backend's allocator returns negative numbers
      const address = backend.wasm._malloc(bytes) >>> 0;
      if (address === 0) throw noRoom(bytes);
      return address;
    },
    release: (address) => backend.wasm._free(address),
  };
}

/** Whether threads share this backend's memory. */
export function isThreaded(backend: WasmBackend): boolean {
  const memory = heapOf(backend)?.memory;
  return typeof SharedArrayBuffer !== "undefined" && memory?.buffer instanceof SharedArrayBuffer;
}

/** The byte address of a tensor's values; valid until the next allocation. */
export function addressOf(backend: WasmBackend, tensor: TensorInfo): number {
  return backend.dataIdMap.get(tensor.dataId).memoryOffset >>> 0;
}

/**
 * Allocates a tensor (four bytes per element) for a kernel to write. The backend itself returns address 0
 * where there is no room.
 * @throws RangeError where there is no room
 */
export function outputOn(
  backend: WasmBackend,
  shape: readonly number[],
  dtype: "float32" | "int32" = "float32",
): TensorInfo {
  const output = backend.makeOutput([...shape], dtype);
  const elements = shape.reduce((size, length) => size * length, 1);
  if (elements > 0 && addressOf(backend, output) === 0) {
    backend.disposeData(output.dataId);
    throw noRoom(elements * 4);
  }
  return output;
}

function noRoom(bytes: number): RangeError {
  return new RangeError(
    `evenkeel: TensorFlow.js's wasm memory has no room for ${bytes} bytes more; dispose of tensors`,
  );
}
