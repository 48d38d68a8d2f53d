/** The WASM backend: kernels from assembly/normalization.ts, on any heap, on one thread or several. */
import { sizeOf } from "../../shape.js";
import type { Backward, Forward, Kernels, MatMul, Recurrence, StorageType } from "../contract.js";
import type { Encoders } from "../encoders.js";
import { sortRows } from "../host-loops.js";
import type { Pass } from "../pass.js";
import { binary } from "./binary.js";
import * as at from "./call-words.js";
import type { Heap } from "./heap.js";
import { type CompileOptions, compile } from "./module.js";
import type { Encoded } from "./pass.js";
import { pool } from "./pool.js";
import type { Parts } from "./tickets.js";

/** Exports of assembly/normalization.ts. */
interface Exports extends Parts {
  /** The number of parts of the loaded call, and whether they have a second stage. */
  parts(): number;
  hasSecond(): number;
  /** Runs once between the stages. */
  between(): void;
  /** Runs the whole call. */
  run(): void;
  recurrence(
    start: number,
    factors: number,
    terms: number,
    before: number,
    last: number,
    steps: number,
    width: number,
  ): void;
  /** Scratch of `product`. */
  productBytes(k: number): number;
  product(
    a: number,
    b: number,
    y: number,
    scratch: number,
    count: number,
    m: number,
    k: number,
    n: number,
  ): void;
  transpose(
    x: number,
    y: number,
    layout: number,
    position: number,
    rank: number,
    size: number,
    narrow: boolean,
  ): void;
  cast(x: number, y: number, length: number, type: number, widens: boolean, work: number): void;
}

/** Numbers of the types in a call. */
const TYPES = { float32: 0, float16: 1, bfloat16: 2 };
/** Scratch of `cast`. */
const CAST_BYTES = 128;

export const EXPORTS = [
  "begin",
  "parts",
  "hasSecond",
  "first",
  "between",
  "second",
  "run",
  "recurrence",
  "productBytes",
  "product",
  "transpose",
  "cast",
];

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/** The compiled normalization kernels; each build is compiled once. */
export function normalizationModule(options: CompileOptions = {}): Promise<WebAssembly.Module> {
  const kind = JSON.stringify(options);
  const module = compiled.get(kind) ?? compile(binary, options);
  compiled.set(kind, module);
  return module;
}

/** Scratch memory, which grows to the largest request and never shrinks. */
export class Scratch {
  private address = 0;
  private bytes = 0;

  constructor(private readonly heap: Heap) {}

  atLeast(bytes: number): number {
    if (bytes > this.bytes) {
      if (this.address !== 0) this.heap.release(this.address);
      // so that nothing is held where there is no room
      this.address = 0;
      this.bytes = 0;
      this.address = this.heap.allocate(bytes);
      this.bytes = bytes;
    }
    return this.address;
  }
}

/** Passes as they lie in memory. */
const encoded = new WeakMap<Pass, Encoded>();

/** Arrays are addresses on the heap. */
export class WasmKernels implements Kernels<number> {
  readonly name = "wasm";
  readonly precision = "float32";
  private readonly exports: Exports;
  private readonly scratch: Scratch;
  private readonly call: number;
  private words = new Int32Array();
  private epsilon = new Float64Array();
  /** Id in the pool; 0 before the first call that is worth sharing. */
  private id = 0;

  /** At most `most` threads share a call; more than one need a module for shared memory, and a heap on one. */
  constructor(
    private readonly module: WebAssembly.Module,
    private readonly heap: Heap,
    private most = 1,
  ) {
    const instance = new WebAssembly.Instance(module, { env: { memory: heap.memory } });
    this.exports = instance.exports as unknown as Exports;
    this.scratch = new Scratch(heap);
    this.call = heap.allocate(at.length * 4);
  }

  get threads(): number {
    return pool.threads(this.id);
  }

  allocate(length: number, type: StorageType = "float32"): number {
    return this.heap.allocate(length * (type === "float32" ? 4 : 2));
  }

  release(array: number): void {
    this.heap.release(array);
  }

  values(array: number, length: number): Float32Array {
    return new Float32Array(this.heap.memory.buffer, array, length);
  }

  async read(array: number, length: number): Promise<Float32Array> {
    return this.values(array, length).slice();
  }

  forward(call: Forward<number>): void {
    const words = this.wordsOf(call);
    words[at.y] = call.y;
    words[at.beta] = call.beta ?? 0;
    words[at.residual] = call.residual ?? 0;
    words[at.sum] = call.sum ?? 0;
    this.run();
  }

  backward(call: Backward<number>): void {
    const words = this.wordsOf(call);
    words[at.backward] = 1;
    words[at.dy] = call.dy;
    words[at.dx] = call.dx;
    words[at.dGamma] = call.dGamma ?? 0;
    words[at.dBeta] = call.dBeta ?? 0;
    words[at.dSum] = call.dSum ?? 0;
    this.run();
  }

  pass(pass: Pass, reads: readonly number[], results: readonly number[], { wasm }: Encoders): void {
    const known = encoded.get(pass) ?? wasm(pass);
    encoded.set(pass, known);
    const call = this.scratch.atLeast(known.bytes);
    const words = new Int32Array(this.heap.memory.buffer, call, known.words.length);
    words.set(known.words);
    for (const at of known.scratch) words[at] += call;
    known.reads.forEach((at, i) => {
      words[at] += reads[i];
    });
    known.results.forEach((at, i) => {
      words[at] += results[i];
    });
    this.exports.begin(call);
    this.runParts(call);
  }

  recurrence({ start, factors, terms, before, last, steps, width }: Recurrence<number>): void {
    this.exports.recurrence(start, factors, terms, before, last, steps, width);
  }

  matMul({ a, b, y, count, m, k, n }: MatMul<number>): void {
    const scratch = this.scratch.atLeast(this.exports.productBytes(k));
    this.exports.product(a, b, y, scratch, count, m, k, n);
  }

  sort(x: number, y: number, rows: number, length: number): void {
    sortRows(this.values(x, rows * length), this.values(y, rows * length), rows, length);
  }

  transpose(
    x: number,
    y: number,
    shape: readonly number[],
    order: readonly number[],
    type: StorageType = "float32",
  ): void {
    const rank = order.length;
    const layout = this.scratch.atLeast(rank * 12);
    const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
    new Int32Array(this.heap.memory.buffer, layout, rank * 2).set([
      ...order.map((axis) => shape[axis]),
      ...order.map((axis) => strides[axis]),
    ]);
    this.exports.transpose(x, y, layout, layout + rank * 8, rank, sizeOf(shape), type !== "float32");
  }

  cast(x: number, from: StorageType, y: number, to: StorageType, length: number): void {
    const widens = to === "float32";
    const type = TYPES[widens ? from : to];
    this.exports.cast(x, y, length, type, widens, this.scratch.atLeast(CAST_BYTES));
  }

  close(): void {
    pool.leave(this.id);
    this.most = 1;
  }

  /** Writes the arguments that both passes have in common, and 0 to the rest. */
  private wordsOf(call: Forward<number> | Backward<number>): Int32Array {
    const { buffer } = this.heap.memory;
    // a memory that grew has a new buffer
    if (this.words.buffer !== buffer) {
      this.words = new Int32Array(buffer, this.call, at.length);
      this.epsilon = new Float64Array(buffer, this.call + at.epsilon * 4, 1);
    }
    const { words } = this;
    const { statistics: s, parameters: p } = call;
    words.fill(0);
    words[at.x] = call.x;
    words[at.gamma] = call.gamma ?? 0;
    words[at.mean] = call.mean ?? 0;
    words[at.variance] = call.variance;
    words[at.scratch] = this.scratch.atLeast(0);
    words[at.given] = call.given ? 1 : 0;
    words[at.storage] = TYPES[call.type ?? "float32"];
    words[at.k1] = s.k1;
    words[at.r1] = s.r1;
    words[at.k2] = s.k2;
    words[at.r2] = s.r2;
    words[at.pk1] = p.k1;
    words[at.pr1] = p.r1;
    words[at.pk2] = p.k2;
    words[at.pr2] = p.r2;
    if (call.mask !== undefined && call.masks) {
      words[at.mask] = call.mask;
      words[at.mr1] = call.masks.r1;
      words[at.mk2] = call.masks.k2;
      words[at.mr2] = call.masks.r2;
    }
    this.epsilon[0] = call.epsilon;
    return words;
  }

  private run(): void {
    const { exports, call } = this;
    const known = this.words[at.scratch];
    const scratch = this.scratch.atLeast(exports.begin(call));
    if ((scratch | 0) !== known) {
      // the memory may have grown
      new Int32Array(this.heap.memory.buffer)[(call >>> 2) + at.scratch] = scratch;
      exports.begin(call);
    }
    this.runParts(call);
  }

  /** Runs the call that has begun. */
  private runParts(call: number): void {
    const { exports } = this;
    const parts = this.most > 1 ? exports.parts() : 1;
    if (parts === 1 || !this.isHelped()) {
      exports.run();
      return;
    }
    pool.share(this.id, exports, call, 0, parts);
    exports.between();
    if (exports.hasSecond()) pool.share(this.id, exports, call, 1, parts);
  }

  private isHelped(): boolean {
    this.id ||= pool.join(this, this.module, this.heap.memory, this.most);
    return pool.helps(this.id);
  }
}
