import { describe, expect, it } from "vitest";
import { bytesInMemory } from "../../src/checkpoints/source.js";
import {
  fitsStored,
  fromHalf,
  madeTensor,
  numbersOf,
  rowMajor,
  type StoredTensor,
  storedTensor,
} from "../../src/checkpoints/tensors.js";

const floats = Float32Array.from({ length: 12 }, (_, i) => i);
const lying = (array: { buffer: ArrayBufferLike }, offset?: number) =>
  bytesInMemory("f", new Uint8Array(array.buffer as ArrayBuffer), offset);
const stored = (given: Partial<StoredTensor>) =>
  storedTensor("format", { name: "t", shape: [12], dtype: "float32", bytes: lying(floats, 64), ...given });

describe("a stored tensor", () => {
  it("lies where its first value does, as far as its last one", async () => {
    const tensor = stored({ shape: [2, 2], strides: [4, 1], first: 3 });
    expect(tensor).toMatchObject({ strides: [4, 1], at: { file: "f", offset: 64 + 12, byteLength: 24 } });
    expect(await tensor.read()).toEqual(Float32Array.of(3, 4, 7, 8));
    expect(stored({ bytes: lying(floats) }).at.offset).toBeUndefined();
  });

  it.each<[string, number[], number[], number[]]>([
    ["transposed", [4, 3], [1, 4], [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]],
    ["every other column", [3, 2], [4, 2], [0, 2, 4, 6, 8, 10]],
    ["repeated by strides of 0", [2, 3], [0, 1], [0, 1, 2, 0, 1, 2]],
    ["overlapping", [3, 3], [1, 1], [0, 1, 2, 1, 2, 3, 2, 3, 4]],
    ["with an axis of length 1 of any stride", [1, 12], [999, 1], [...floats]],
    ["of three axes", [2, 2, 3], [6, 1, 2], [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]],
    ["a scalar", [], [], [0]],
    ["of no values", [3, 0, 2], [0, 5, 1], []],
  ])("is row-major when read: %s", async (_, shape, strides, expected) => {
    const tensor = stored({ shape, strides });
    expect(await tensor.read()).toEqual(Float32Array.from(expected));
    expect(tensor.strides).toEqual(strides);
  });

  it("of complex values keeps real and imaginary parts together", async () => {
    const complex = stored({ shape: [3, 2], strides: [1, 3], dtype: "complex64" });
    expect(await complex.read()).toEqual(Float32Array.of(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11));
  });

  it("of big-endian bytes", async () => {
    const view = new DataView(new ArrayBuffer(16));
    view.setFloat32(0, 1.5);
    view.setFloat32(4, -2);
    view.setFloat64(8, Math.PI);
    const of = (dtype: string, first: number, shape: number[]) =>
      stored({ dtype, first, shape, bytes: lying(view), bigEndian: true }).read();
    expect(await of("float32", 0, [2])).toEqual(Float32Array.of(1.5, -2));
    expect(await of("complex64", 0, [1])).toEqual(Float32Array.of(1.5, -2));
    expect(await of("float64", 1, [1])).toEqual(Float64Array.of(Math.PI));
    expect(await of("uint8", 8, [2])).toEqual(Uint8Array.of(0x40, 0x09));
  });

  it("takes its name for no type: those of Object.prototype are refused", async () => {
    for (const dtype of ["constructor", "__proto__", "toString"]) {
      await expect(stored({ dtype }).read()).rejects.toThrow(
        `f (format at byte 64): tensor "t": values of type ${dtype} are not read; ` +
          "convert it to float32, float16 or bfloat16 where it was written",
      );
    }
  });

  it.each<[Partial<StoredTensor>, string]>([
    [
      { shape: [13] },
      "expected 52 bytes for [13] of float32, there are 48; the file seems damaged: fetch or write it again",
    ],
    [{ shape: [12], first: 1 }, "expected 52 bytes for [12] of float32, there are 48"],
    [{ shape: [2, 2], strides: [11, 1] }, "expected 52 bytes for [2, 2] of float32, there are 48"],
    [
      { shape: [2 ** 30, 2 ** 30], dtype: "int8" },
      "bytes for [1073741824, 1073741824] of int8, there are 48",
    ],
    [{ shape: [-1] }, "expected at most 32 non-negative lengths, got [-1]"],
    [{ shape: [1.5] }, "expected at most 32 non-negative lengths, got [1.5]"],
    [{ shape: [Number.NaN] }, "expected at most 32 non-negative lengths, got [NaN]"],
    [{ shape: ["2"] as never }, "expected at most 32 non-negative lengths, got [2]"],
    [{ shape: "12" as never }, "expected at most 32 non-negative lengths, got [12]"],
    [{ shape: new Array(33).fill(1) }, "expected at most 32 non-negative lengths"],
    [{ strides: [-1] }, "expected a stride of at least 0 for each of 1 axes, got [-1] from 0"],
    [{ strides: [1, 1] }, "expected a stride of at least 0 for each of 1 axes, got [1,1] from 0"],
    [{ first: -1 }, "expected a stride of at least 0 for each of 1 axes, got [1] from -1"],
    [{ first: 0.5 }, "from 0.5"],
    [
      { shape: [2 ** 20], strides: [0] },
      "expected values that its 48 bytes can hold, got [1048576] of float32; write it contiguous",
    ],
    [{ shape: new Array(32).fill(2 ** 52), strides: new Array(32).fill(0) }, "bytes for ["],
  ])("refuses %j", (given, problem) => {
    expect(() => stored(given)).toThrow(`f (format at byte 64): tensor "t": `);
    expect(() => stored(given)).toThrow(problem);
  });

  it("of a long name is called by its beginning", () => {
    expect(() => stored({ name: "x".repeat(200), shape: [99] })).toThrow(
      `tensor "${"x".repeat(77)}...": expected`,
    );
  });
});

describe("values", () => {
  it("of float16 are float32, all 65,536 of them", () => {
    const halves = fromHalf(Uint16Array.from({ length: 65536 }, (_, i) => i));
    // by the definition: sign, 5 bits of exponent, 10 of fraction
    for (const [bits, value] of [
      [0x0000, 0],
      [0x8000, -0],
      [0x0001, 2 ** -24],
      [0x03ff, 1023 * 2 ** -24],
      [0x0400, 2 ** -14],
      [0x3555, 0.333251953125],
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x7c00, Number.POSITIVE_INFINITY],
      [0xfc00, Number.NEGATIVE_INFINITY],
      [0x7c01, Number.NaN],
    ]) {
      expect(halves[bits]).toBe(value);
    }
    for (let bits = 1; bits <= 0x7c00; bits++) {
      if (!(halves[bits] > halves[bits - 1]) || halves[bits | 0x8000] !== -halves[bits])
        expect.fail(`${bits}`);
    }
  });

  it("of bfloat16 are the upper halves of float32", async () => {
    const bytes = lying(Uint16Array.of(0x3f80, 0xc049, 0x7f80, 0x0001));
    const values = await stored({ shape: [4], dtype: "bfloat16", bytes }).read();
    expect(values).toEqual(Float32Array.of(1, -3.140625, Number.POSITIVE_INFINITY, 2 ** -133));
  });

  it("are numbers for whoever needs such", async () => {
    const big = stored({ shape: [1], dtype: "int64", bytes: lying(BigInt64Array.of(-(2n ** 53n) - 1n)) });
    expect(await numbersOf(big)).toEqual(Float64Array.of(-(2 ** 53)));
    const bools = stored({ shape: [2], dtype: "bool", bytes: lying(Uint8Array.of(1, 0)) });
    expect(await numbersOf(bools)).toEqual(Float64Array.of(1, 0));
    expect(await numbersOf(stored({}))).toEqual(floats);
  });

  it("made in memory have row-major strides", () => {
    const at = { file: "f", byteLength: 0 };
    const made = madeTensor({ name: "t", shape: [2, 3, 4], dtype: "float32", at, read: async () => floats });
    expect(made.strides).toEqual([12, 4, 1]);
    expect(rowMajor([])).toEqual([]);
    expect(rowMajor([2, 0, 3])).toEqual([0, 3, 1]);
  });

  it("fit what is stored up to 1024 times its bytes, and 1 MiB", () => {
    expect([fitsStored(2 ** 20, 0), fitsStored(2 ** 20 + 1, 0)]).toEqual([true, false]);
    expect([fitsStored(1024 * 5000, 5000), fitsStored(1024 * 5000 + 1, 5000)]).toEqual([true, false]);
  });
});
