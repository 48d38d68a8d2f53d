/** The WASM backend: kernels from assembly/normalization.ts, standing on any heap. */
import { keptSize, sizeOf } from "../../view.js";
import type { Backward, Forward, Kernels } from "../contract.js";
import { binary } from "./binary.js";
import type { Heap } from "./heap.js";

/** What assembly/normalization.ts exports; addresses in bytes, 0 for an absent array. */
interface Exports {
  scratchBytes(k2: number, r2: number, parameters: number): number;
  forward(...sizes: number[]): void;
  backward(...sizes: number[]): void;
  transpose(x: number, y: number, layout: number, position: number, rank: number, size: number): void;
}

/** Compiles a binary that is embedded as base64. Throws where the engine has no SIMD. */
export async function compile(base64: string): Promise<WebAssembly.Module> {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  if (!WebAssembly.validate(bytes)) {
    throw new Error(
      "evenkeel: this engine does not run WebAssembly with SIMD; use Node 16.4, Chrome 91, Firefox 89, Safari 16.4 or newer, " +
        'or open({ backend: "reference" })',
    );
  }
  return WebAssembly.compile(bytes);
}

let compiled: Promise<WebAssembly.Module> | undefined;

/** The normalization kernels, compiled once. */
export function normalizationModule(): Promise<WebAssembly.Module> {
  compiled ??= compile(binary);
  return compiled;
}

/** Scratch that grows to the largest request and stays. */
export class Scratch {
  private address = 0;
  private bytes = 0;

  constructor(private readonly heap: Heap) {}

  atLeast(bytes: number): number {
    if (bytes > this.bytes) {
      if (this.address !== 0) this.heap.release(this.address);
      // where there is no room, nothing is held
      this.address = 0;
      this.bytes = 0;
      this.address = this.heap.allocate(bytes);
      this.bytes = bytes;
    }
    return this.address;
  }
}

/** Arrays are addresses on the heap. */
export class WasmKernels implements Kernels<number> {
  readonly name = "wasm";
  private readonly exports: Exports;
  private readonly scratch: Scratch;

  constructor(
    module: WebAssembly.Module,
    private readonly heap: Heap,
  ) {
    const instance = new WebAssembly.Instance(module, { env: { memory: heap.memory } });
    this.exports = instance.exports as unknown as Exports;
    this.scratch = new Scratch(heap);
  }

  allocate(length: number): number {
    return this.heap.allocate(length * 4);
  }

  release(array: number): void {
    this.heap.release(array);
  }

  values(array: number, length: number): Float32Array {
    return new Float32Array(this.heap.memory.buffer, array, length);
  }

  forward(call: Forward<number>): void {
    const { statistics: s, parameters: p } = call;
    this.exports.forward(
      call.x,
      call.y,
      call.gamma ?? 0,
      call.beta ?? 0,
      call.mean ?? 0,
      call.variance,
      this.scratchFor(call),
      ...[s.k1, s.r1, s.k2, s.r2],
      ...[p.k1, p.r1, p.k2, p.r2],
      call.epsilon,
      Number(call.given),
    );
  }

  backward(call: Backward<number>): void {
    const { statistics: s, parameters: p } = call;
    this.exports.backward(
      call.dy,
      call.x,
      call.mean ?? 0,
      call.variance,
      call.gamma ?? 0,
      call.dx,
      call.dGamma ?? 0,
      call.dBeta ?? 0,
      this.scratchFor(call),
      ...[s.k1, s.r1, s.k2, s.r2],
      ...[p.k1, p.r1, p.k2, p.r2],
      call.epsilon,
      Number(call.given),
    );
  }

  transpose(x: number, y: number, shape: readonly number[], order: readonly number[]): void {
    const rank = order.length;
    const layout = this.scratch.atLeast(rank * 12);
    const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
    new Int32Array(this.heap.memory.buffer, layout, rank * 2).set([
      ...order.map((axis) => shape[axis]),
      ...order.map((axis) => strides[axis]),
    ]);
    this.exports.transpose(x, y, layout, layout + rank * 8, rank, sizeOf(shape));
  }

  private scratchFor({ statistics, parameters }: Forward<number> | Backward<number>): number {
    return this.scratch.atLeast(
      this.exports.scratchBytes(statistics.k2, statistics.r2, keptSize(parameters)),
    );
  }
}
