/** The WASM backend: kernels from assembly/normalization.ts, standing on any heap, on one thread or several. */
import { sizeOf } from "../../shape.js";
import type { Backward, Forward, Kernels } from "../contract.js";
import { binaries } from "./binary.js";
import type { Heap } from "./heap.js";
import { type CompileOptions, compile } from "./module.js";
import { CONTROL_BYTES, type Parts, Pool } from "./pool.js";

/** What assembly/normalization.ts exports. */
interface Exports extends Parts {
  /** How many parts the call that was begun has, and whether they have a second stage. */
  parts(): number;
  hasSecond(): number;
  /** What lies between the stages. */
  between(): void;
  /** All of the call. */
  run(): void;
  transpose(x: number, y: number, layout: number, position: number, rank: number, size: number): void;
}

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/** The normalization kernels; each kind is compiled once. */
export function normalizationModule(options: CompileOptions = {}): Promise<WebAssembly.Module> {
  const kind = JSON.stringify(options);
  const module = compiled.get(kind) ?? compile(binaries, options);
  compiled.set(kind, module);
  return module;
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

// A call's arguments as assembly/call.ts reads them: int32 words, and a float64 behind them.
const WORDS = 28;
const CALL_BYTES = WORDS * 4 + 8;
const SCRATCH = 14;

/** Arrays are addresses on the heap. */
export class WasmKernels implements Kernels<number> {
  readonly name = "wasm";
  private readonly exports: Exports;
  private readonly scratch: Scratch;
  private readonly call: number;
  private words = new Int32Array();
  private epsilon = new Float64Array();
  private pool?: Pool;

  /** More threads than one need a module for shared memory, and a heap on one. */
  constructor(
    private readonly module: WebAssembly.Module,
    private readonly heap: Heap,
    public threads = 1,
  ) {
    const instance = new WebAssembly.Instance(module, { env: { memory: heap.memory } });
    this.exports = instance.exports as unknown as Exports;
    this.scratch = new Scratch(heap);
    this.call = heap.allocate(CALL_BYTES);
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
    const words = this.wordsOf(call);
    words[0] = 0;
    words[2] = call.y;
    words[6] = call.beta ?? 0;
    words[11] = call.residual ?? 0;
    words[12] = call.sum ?? 0;
    this.run();
  }

  backward(call: Backward<number>): void {
    const words = this.wordsOf(call);
    words[0] = 1;
    words[3] = call.dy;
    words[4] = call.dx;
    words[9] = call.dGamma ?? 0;
    words[10] = call.dBeta ?? 0;
    words[13] = call.dSum ?? 0;
    this.run();
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

  close(): void {
    this.pool?.close();
    this.threads = 1;
  }

  /** The call's arguments in memory, with what both passes have in common; the rest is 0. */
  private wordsOf(call: Forward<number> | Backward<number>): Int32Array {
    const { buffer } = this.heap.memory;
    // a memory that grew has a new buffer
    if (this.words.buffer !== buffer) {
      this.words = new Int32Array(buffer, this.call, WORDS);
      this.epsilon = new Float64Array(buffer, this.call + WORDS * 4, 1);
    }
    const { words } = this;
    const { statistics: s, parameters: p } = call;
    words.fill(0);
    words[1] = call.x;
    words[5] = call.gamma ?? 0;
    words[7] = call.mean ?? 0;
    words[8] = call.variance;
    words[SCRATCH] = this.scratch.atLeast(0);
    words[15] = call.given ? 1 : 0;
    words[16] = s.k1;
    words[17] = s.r1;
    words[18] = s.k2;
    words[19] = s.r2;
    words[20] = p.k1;
    words[21] = p.r1;
    words[22] = p.k2;
    words[23] = p.r2;
    if (call.mask !== undefined && call.masks) {
      words[24] = call.mask;
      words[25] = call.masks.r1;
      words[26] = call.masks.k2;
      words[27] = call.masks.r2;
    }
    this.epsilon[0] = call.epsilon;
    return words;
  }

  private run(): void {
    const { exports, call } = this;
    const known = this.words[SCRATCH];
    const scratch = this.scratch.atLeast(exports.begin(call));
    if ((scratch | 0) !== known) {
      // the memory may have grown
      new Int32Array(this.heap.memory.buffer)[(call >>> 2) + SCRATCH] = scratch;
      exports.begin(call);
    }
    const parts = this.threads > 1 ? exports.parts() : 1;
    if (parts === 1) {
      exports.run();
      return;
    }
    this.pool ??= new Pool(this.module, this.heap.memory, this.heap.allocate(CONTROL_BYTES), this.threads);
    this.pool.share(exports, call, 0, parts);
    exports.between();
    if (exports.hasSecond()) this.pool.share(exports, call, 1, parts);
  }
}
