/** The kernels that the suites run on: one line per build and setting of the WASM backend, and the reference. */
import type { Kernels } from "../../src/kernels/contract.js";
import { reference } from "../../src/kernels/reference/reference.js";
import { OwnHeap } from "../../src/kernels/wasm/heap.js";
import { hasRelaxedSimd } from "../../src/kernels/wasm/module.js";
import { normalizationModule, WasmKernels } from "../../src/kernels/wasm/wasm.js";

export interface Backend {
  name: string;
  open(): Promise<Kernels<unknown>>;
}

export const backends: Backend[] = [
  {
    name: "wasm",
    open: async () => new WasmKernels(await normalizationModule({ relaxed: false }), new OwnHeap()),
  },
  { name: "reference", open: async () => reference },
];

if (hasRelaxedSimd) {
  backends.push({
    name: "wasm, relaxed SIMD",
    open: async () => new WasmKernels(await normalizationModule({ relaxed: true }), new OwnHeap()),
  });
}

/** A handle of the same array without its first values. */
export function handleFrom(handle: unknown, first: number): unknown {
  return typeof handle === "number" ? handle + first * 4 : (handle as Float64Array).subarray(first);
}
