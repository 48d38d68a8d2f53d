/** float16 and bfloat16: conversions over all their values and what lies between, on every backend; parts on several instances. */
import { describe, expect, it } from "vitest";
import type { Kernels, StorageType } from "../../src/kernels/contract.js";
import * as at from "../../src/kernels/wasm/call-words.js";
import { OwnHeap } from "../../src/kernels/wasm/heap.js";
import { normalizationModule } from "../../src/kernels/wasm/wasm.js";
import { backends } from "../support/backends.js";
import { normal } from "../support/numerics.js";

type Half = Exclude<StorageType, "float32">;
const types: Half[] = ["float16", "bfloat16"];
const opened = await Promise.all(backends.map(async ({ name, open }) => ({ name, kernels: await open() })));
const PATTERNS = 2 ** 16;

/** What a pattern stands for, by the definition of its type. */
function worthOf(type: Half, bits: number): number {
  const [fractionBits, bias] = type === "float16" ? [10, 15] : [7, 127];
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> fractionBits;
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  if (exponent === 2 * bias + 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias);
  return sign * (1 + fraction) * 2 ** (exponent - bias);
}

/** Values that went through an array of the type, and back. */
function rounded(kernels: Kernels<unknown>, type: Half, values: ArrayLike<number>): number[] {
  const { length } = values;
  const [from, narrow, to] = [
    kernels.allocate(length),
    kernels.allocate(length, type),
    kernels.allocate(length),
  ];
  kernels.values(from, length).set(values);
  kernels.cast(from, "float32", narrow, type, length);
  kernels.cast(narrow, type, to, "float32", length);
  const result = Array.from(kernels.values(to, length));
  for (const array of [from, narrow, to]) kernels.release(array);
  return result;
}

const word = new Float32Array(1);
const wordBits = new Int32Array(word.buffer);

/** The float32 that is `steps` after the value. */
function after(value: number, steps: number): number {
  word[0] = value;
  wordBits[0] += steps;
  return word[0];
}

describe.each(types)("%s", (type) => {
  const values = Array.from({ length: PATTERNS }, (_, bits) => worthOf(type, bits));

  it.each(opened)("$name: holds all of its values", ({ kernels }) => {
    const result = rounded(kernels, type, values);
    expect(result.findIndex((value, bits) => !Object.is(value, values[bits]))).toBe(-1);
  });

  it("wasm: all patterns, read from memory and written there", () => {
    for (const { name, kernels } of opened) {
      if (name === "reference") continue;
      const narrow = kernels.allocate(PATTERNS, type);
      const wide = kernels.allocate(PATTERNS);
      const bits = () => {
        const { buffer, byteOffset } = kernels.values(narrow, PATTERNS / 2);
        return new Uint16Array(buffer, byteOffset, PATTERNS);
      };
      bits().set(Array.from({ length: PATTERNS }, (_, i) => i));
      kernels.cast(narrow, type, wide, "float32", PATTERNS);
      const read = kernels.values(wide, PATTERNS);
      expect(read.findIndex((value, i) => !Object.is(value, values[i]))).toBe(-1);
      bits().fill(0x1234);
      kernels.cast(wide, "float32", narrow, type, PATTERNS);
      const wrong = bits().findIndex((pattern, i) =>
        Number.isNaN(values[i]) ? !Number.isNaN(worthOf(type, pattern)) : pattern !== i,
      );
      expect(wrong).toBe(-1);
      for (const array of [narrow, wide]) kernels.release(array);
    }
  });

  it.each(opened)("$name: rounds to the nearest, ties to even", ({ kernels }) => {
    const infinite = values.indexOf(Number.POSITIVE_INFINITY);
    // the next power of two stands for infinity
    const beyond = 2 ** (type === "float16" ? 16 : 128);
    for (const sign of [1, -1]) {
      const middles = Array.from({ length: infinite }, (_, i) => {
        const above = i + 1 === infinite ? beyond : values[i + 1];
        return (sign * (values[i] + above)) / 2;
      });
      const even = (i: number) => sign * values[i % 2 === 0 ? i : i + 1];
      const ties = rounded(kernels, type, middles);
      const wrongTie = ties.findIndex((value, i) => !Object.is(value, even(i)));
      expect([wrongTie, middles[wrongTie], ties[wrongTie]]).toEqual([-1, undefined, undefined]);
      for (const [steps, of] of [
        [-1, 0],
        [1, 1],
      ]) {
        // the middle below bfloat16's least number is float32's own least but 2¹⁵: its neighbours are there too
        const near = rounded(
          kernels,
          type,
          middles.map((middle) => after(middle, steps)),
        );
        const wrong = near.findIndex((value, i) => !Object.is(value, sign * values[i + of]));
        expect([steps, wrong, near[wrong]]).toEqual([steps, -1, undefined]);
      }
    }
  });

  it.each(opened)("$name: NaN of any payload stays NaN", ({ kernels }) => {
    const nans = new Int32Array(24);
    for (let i = 0; i < 24; i++) nans[i] = 0x7f800000 | (i < 23 ? 1 << i : 0x7fffff);
    nans.set([-1, -0x7fffff], 3);
    const result = rounded(kernels, type, new Float32Array(nans.buffer));
    expect(result.every(Number.isNaN)).toBe(true);
    // among numbers, which it does not change
    const mixed = rounded(kernels, type, [1, Number.NaN, -0.5, 0, Number.NaN, -1, 2, 4, 8]);
    expect(mixed).toEqual([1, Number.NaN, -0.5, 0, Number.NaN, -1, 2, 4, 8]);
  });

  it("writes as many values as it is asked to", () => {
    for (const { kernels } of opened) {
      for (let length = 0; length <= 17; length++) {
        const [narrow, wide] = [kernels.allocate(32, type), kernels.allocate(32)];
        const all = kernels.values(wide, 32);
        all.fill(7);
        kernels.cast(wide, "float32", narrow, type, 32);
        all.fill(-3);
        kernels.cast(wide, "float32", narrow, type, length);
        all.fill(5);
        kernels.cast(narrow, type, wide, "float32", 32);
        expect(Array.from(all)).toEqual(Array.from({ length: 32 }, (_, i) => (i < length ? -3 : 7)));
        all.fill(5);
        kernels.cast(narrow, type, wide, "float32", length);
        expect(Array.from(all)).toEqual(Array.from({ length: 32 }, (_, i) => (i < length ? -3 : 5)));
      }
    }
  });
});

const places: Readonly<Record<string, number>> = { ...at };

/** What threads call. */
interface Instance {
  begin(call: number): number;
  parts(): number;
  hasSecond(): number;
  first(part: number): void;
  between(): void;
  second(part: number): void;
  cast(x: number, y: number, length: number, type: number, widens: boolean, work: number): void;
}

describe("parts that several instances run, in any order and twice, give the same bits as one", () => {
  const views = {
    "rows of features": [96, 1, 1, 1031, 1, 96, 1031, 1],
    "long rows": [3, 1, 1, 40009, 3, 1, 1, 40009],
    columns: [1, 4001, 24, 1, 1, 4001, 24, 1],
    "wide columns": [1, 70, 5000, 1, 1, 70, 5000, 1],
    "channels of images": [1, 5, 30, 700, 1, 5, 30, 700],
    "large images": [6, 1, 1, 20011, 1, 2, 3, 20011],
    "groups of channels, last": [3, 500, 5, 8, 1, 1500, 40, 1],
  };
  it.each(Object.entries(views))("%s", async (_, sizes) => {
    const module = await normalizationModule({ relaxed: false });
    const heap = new OwnHeap();
    const call = heap.allocate(512);
    const instances = [0, 1].map(
      () => new WebAssembly.Instance(module, { env: { memory: heap.memory } }).exports as unknown as Instance,
    );
    const [k1, r1, k2, r2, pk1, , pk2] = sizes;
    const size = k1 * r1 * k2 * r2;
    const wide = heap.allocate(size * 4);
    const [x, dy, more] = [1, 2, 3].map((seed) => {
      const array = heap.allocate(size * 2);
      new Float32Array(heap.memory.buffer, wide, size).set(normal(size, seed, seed));
      instances[0].cast(wide, array, size, 2, false, call + 256);
      return array;
    });
    for (const backward of [0, 1]) {
      const outputs = [0, 1].map(() => {
        const [bytes, statistics, parameters] = [size * 2, k1 * k2 * 4, pk1 * pk2 * 4];
        return [bytes, bytes, statistics, statistics, parameters, parameters].map((length) => {
          const array = heap.allocate(length);
          new Uint8Array(heap.memory.buffer, array, length).fill(0xff);
          return [array, length];
        });
      });
      const gamma = heap.allocate(pk1 * pk2 * 4);
      new Float32Array(heap.memory.buffer, gamma, pk1 * pk2).fill(1.5);
      let needed = 0;
      const results = outputs.map(([y, sum, mean, variance, dGamma, dBeta], run) => {
        for (const [array, length] of [mean, variance]) {
          new Float32Array(heap.memory.buffer, array, length / 4).fill(1.25);
        }
        const load = (scratch: number) => {
          const words = new Int32Array(heap.memory.buffer, call, at.length).fill(0);
          words.set(sizes, at.k1);
          const given = { x, gamma, mean: mean[0], variance: variance[0], scratch, storage: 2 };
          const own = backward
            ? { backward, dy, dSum: more, dx: y[0], dGamma: dGamma[0], dBeta: dBeta[0] }
            : { y: y[0], residual: more, sum: sum[0] };
          for (const [name, value] of Object.entries({ ...given, ...own })) {
            words[places[name]] = value;
          }
          new Float64Array(heap.memory.buffer, call + at.epsilon * 4, 1)[0] = 1e-5;
        };
        load(0);
        needed = instances[0].begin(call);
        load(heap.allocate(needed));
        for (const instance of instances) instance.begin(call);
        const parts = instances[0].parts();
        expect(parts).toBeGreaterThan(1);
        for (const stage of ["first", "second"] as const) {
          for (let i = 0; i < parts; i++) {
            // forward in one instance; then backward, by turns, each part once more
            if (run === 0) instances[0][stage](i);
            else
              for (const instance of instances) {
                instance.begin(call);
                instance[stage](parts - 1 - i);
              }
          }
          if (stage === "first") instances[run].between();
          if (!instances[0].hasSecond()) break;
        }
        return [y, sum, mean, variance, dGamma, dBeta].map(([array, length]) =>
          Buffer.from(new Uint8Array(heap.memory.buffer, array, length).slice()),
        );
      });
      for (const [i, bytes] of results[0].entries()) expect(bytes.equals(results[1][i]), `${i}`).toBe(true);
    }
  });
});
