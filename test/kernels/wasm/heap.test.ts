/** Memory that is given back is given out again; there is no hole that grows. */
import { describe, expect, it } from "vitest";
import { OwnHeap } from "../../../src/kernels/wasm/heap.js";
import { normalizationModule, Scratch, WasmKernels } from "../../../src/kernels/wasm/wasm.js";
import { random } from "../../support/numerics.js";

const bytesOf = (heap: OwnHeap) => heap.memory.buffer.byteLength;

describe("OwnHeap", () => {
  it("does not grow while as much is given back as is taken", () => {
    const heap = new OwnHeap();
    for (let round = 0; round < 100; round++) {
      const addresses = [300_000, 200_000, 100_000].map((bytes) => heap.allocate(bytes));
      for (const address of addresses) heap.release(address);
    }
    expect(bytesOf(heap)).toBe(16 * 65536);
  });

  it("gives the block that was released last to the next request of its size", () => {
    const heap = new OwnHeap();
    const [a, b, other] = [1000, 1000, 5000].map((bytes) => heap.allocate(bytes));
    for (const address of [a, b, other]) heap.release(address);
    // 1000 and 1020 bytes are as many cache lines
    expect([1020, 5000, 1000].map((bytes) => heap.allocate(bytes))).toEqual([b, other, a]);
    expect(heap.allocate(1000)).toBeGreaterThan(other);
  });

  it("joins blocks of every size before it grows, and leaves those alone that are taken", () => {
    const heap = new OwnHeap();
    const sizes = Array.from({ length: 40 }, (_, i) => 1000 + 1000 * i);
    const parts = sizes.map((bytes) => heap.allocate(bytes));
    const before = bytesOf(heap);
    const held = parts[20];
    for (const address of parts) if (address !== held) heap.release(address);
    // large arrays are followed by empty lines
    const room = (from: number, to: number) => to - from - 17 * 64;
    expect(heap.allocate(room(parts[21], parts[39]))).toBe(parts[21]);
    expect(heap.allocate(room(parts[0], held))).toBe(parts[0]);
    expect(bytesOf(heap)).toBe(before);
  });

  it("releases an address once, and none that it did not give", () => {
    const heap = new OwnHeap();
    const address = heap.allocate(100);
    heap.release(address);
    heap.release(address);
    heap.release(address + 64);
    expect(heap.allocate(100)).toBe(address);
    expect(heap.allocate(100)).not.toBe(address);
  });

  it("does not grow without end under sizes that are always new", () => {
    const heap = new OwnHeap();
    const next = random(5);
    const held: number[] = [];
    for (let round = 0; round < 20_000; round++) {
      if (held.length === 10) heap.release(held.splice(Math.floor(next() * 10), 1)[0]);
      held.push(heap.allocate(1 + Math.floor(next() * 40_000)));
    }
    expect(bytesOf(heap)).toBe(16 * 65536);
  });

  it("stands on a memory that it is given, shared or not", () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 64, shared: true });
    const heap = new OwnHeap(memory);
    const first = heap.allocate(32 * 1024);
    const before = new Float32Array(memory.buffer, first, 8192).fill(3);
    const second = heap.allocate(1024 * 1024);
    expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(second + 1024 * 1024).toBeLessThanOrEqual(bytesOf(heap));
    // a view of before the growth still shows the same bytes
    expect(new Float32Array(memory.buffer, first, 1).fill(5)[0]).toBe(before[0]);
    expect(() => heap.allocate(4 * 1024 * 1024)).toThrow("do not fit into WebAssembly memory");
  });

  it("joins neighbours that are free, in whatever order they became so", () => {
    const heap = new OwnHeap();
    const parts = Array.from({ length: 10 }, () => heap.allocate(100_000));
    const before = bytesOf(heap);
    for (const i of [3, 1, 2, 0, 9, 7, 8, 4, 6, 5]) heap.release(parts[i]);
    expect(heap.allocate(1_000_000)).toBe(parts[0]);
    expect(bytesOf(heap)).toBe(before);
  });

  it("never gives out the same bytes twice, nor address 0, and aligns to a cache line", () => {
    const heap = new OwnHeap();
    const next = random(3);
    const held: [start: number, end: number][] = [];
    for (let round = 0; round < 2000; round++) {
      if (held.length > 20 || (held.length > 0 && next() < 0.4)) {
        const [[start]] = held.splice(Math.floor(next() * held.length), 1);
        heap.release(start);
      } else {
        const bytes = Math.floor(next() * 5000);
        const start = heap.allocate(bytes);
        expect(start % 64).toBe(0);
        expect(start).toBeGreaterThan(0);
        expect(held.every(([from, to]) => start + bytes <= from || start >= to)).toBe(true);
        held.push([start, start + bytes]);
      }
    }
  });

  it("reaches beyond 2 GiB, and says when there is no room", () => {
    const heap = new OwnHeap();
    const large = heap.allocate(2 ** 31);
    const beyond = heap.allocate(1024);
    expect(beyond).toBeGreaterThan(2 ** 31);
    const values = new Float32Array(heap.memory.buffer, beyond, 256).fill(7);
    expect(values[255]).toBe(7);
    expect(() => heap.allocate(2 ** 32)).toThrow("4294968384 bytes more do not fit into WebAssembly memory");
    heap.release(large);
    expect(heap.allocate(2 ** 31)).toBe(large);
  });
});

it("a call whose scratch no address reaches raises, and writes nothing", async () => {
  const kernels = new WasmKernels(await normalizationModule(), new OwnHeap());
  const view = { k1: 1, r1: 2, k2: 70_000_000, r2: 1 };
  const call = {
    x: 64,
    mean: 64,
    variance: 64,
    given: false,
    epsilon: 1e-5,
    statistics: view,
    parameters: view,
  };
  expect(() => kernels.backward({ ...call, dy: 64, dx: 64, gamma: 64, dGamma: 64, dBeta: 64 })).toThrow(
    "bytes more do not fit into WebAssembly memory",
  );
});

it("Scratch gives back what it outgrew", () => {
  const heap = new OwnHeap();
  const scratch = new Scratch(heap);
  for (let bytes = 1000; bytes < 500_000; bytes += 1000) scratch.atLeast(bytes);
  expect(bytesOf(heap)).toBeLessThan(32 * 65536);
  expect(scratch.atLeast(10)).toBe(scratch.atLeast(499_000));
});
