/** Types of values: integers and floating point of every width, without loss; and the type of the result. */
import { describe, expect, it } from "vitest";
import { Standardizer } from "../../src/standardizer/standardizer.js";
import type { Float16Values, Table } from "../../src/standardizer/table.js";
import { normal } from "../support/numerics.js";

/** The host's own, or what looks like it where the host has none. */
const Float16: { of(...values: number[]): Float16Values } =
  (globalThis as { Float16Array?: never }).Float16Array ??
  (class extends Float32Array {
    override get [Symbol.toStringTag](): never {
      return "Float16Array" as never;
    }
  } as never);

const values = [3, 100, 0, 7, 127, 9];
const integers = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
].map((type) => type.from(values));
const big = [BigInt64Array, BigUint64Array].map((type) => type.from(values.map(BigInt)));
const expected = new Standardizer().fit({ shape: [3, 2], data: values });

describe("integers", () => {
  it.each([...integers, ...big].map((data) => [data.constructor.name, data] as const))("%s", (_, data) => {
    const x: Table = { shape: [3, 2], data };
    const standardizer = new Standardizer().fit(x);
    expect(JSON.stringify(standardizer)).toBe(JSON.stringify(expected));
    const y = standardizer.transform(x);
    expect(y.data).toEqual(expected.transform({ shape: [3, 2], data: Float64Array.from(values) }).data);
    expect(standardizer.transform(x, { type: "float32" }).data).toBeInstanceOf(Float32Array);
  });

  it("of both signs, of many blocks, in tables wider than a block", () => {
    const numbers = Array.from({ length: 90_000 }, (_, i) => ((i * 7919) % 65_521) - 30_000);
    for (const shape of [
      [45_000, 2],
      [100, 900],
    ]) {
      const plain = new Standardizer().fit({ shape, data: Float64Array.from(numbers) });
      for (const data of [Int32Array.from(numbers), BigInt64Array.from(numbers.map(BigInt))]) {
        const fitted = new Standardizer().fit({ shape, data });
        expect(JSON.stringify(fitted) === JSON.stringify(plain)).toBe(true);
        const [y, reference] = [
          { shape, data },
          { shape, data: Float64Array.from(numbers) },
        ].map((x) => plain.transform(x));
        expect(Buffer.from(y.data.buffer).equals(Buffer.from(reference.data.buffer))).toBe(true);
      }
    }
  });

  it.each([
    [BigInt64Array.of(1n, 2n ** 53n + 1n), "9007199254740993"],
    [BigInt64Array.of(1n, -(2n ** 53n) - 1n), "-9007199254740993"],
    [BigUint64Array.of(1n, 2n ** 64n - 1n), "18446744073709551615"],
    [BigInt64Array.of(1n, 2n ** 60n), "1152921504606846976"],
  ])("beyond 2⁵³ are refused: %s", (data, shown) => {
    const standardizer = new Standardizer().fit([[1], [2]]);
    for (const method of ["fit", "partialFit", "transform"] as const) {
      expect(() => standardizer[method]({ shape: [2, 1], data })).toThrow(
        new RangeError(
          `Standardizer.${method}: expected integers within ±2^53, which float64 holds exactly, got ${shown} in row 1, column 0; ` +
            "subtract an integer first",
        ),
      );
    }
    expect([...standardizer.mean]).toEqual([1.5]);
  });

  it("of ±2⁵³ are the last that are taken", () => {
    const data = BigInt64Array.of(2n ** 53n, -(2n ** 53n));
    expect(new Standardizer().fit({ shape: [2, 1], data }).mean[0]).toBe(0);
  });
});

describe("the result's type", () => {
  const fitted = new Standardizer().fit([
    [1, 10],
    [4, 30],
    [5, 20],
  ]);

  it("is float64 for float32 input where asked for, of the same values to the last bit", () => {
    const data = normal(600, 40, 3);
    const wide = fitted.transform({ shape: [300, 2], data: Float64Array.from(data) });
    const asked = fitted.transform({ shape: [300, 2], data }, { type: "float64" });
    const float64: Float64Array = asked.data;
    expect(float64).toEqual(wide.data);
    expect(fitted.inverse({ shape: [300, 2], data }, { type: "float64" }).data).toEqual(
      fitted.inverse({ shape: [300, 2], data: Float64Array.from(data) }).data,
    );
    const narrow: Float32Array = fitted.transform(wide, { type: "float32" }).data;
    expect(narrow).toEqual(Float32Array.from(fitted.transform(wide).data));
    const both = new Standardizer().fitTransform({ shape: [300, 2], data }, { type: "float64" });
    expect(both.data).toBeInstanceOf(Float64Array);
    expect(fitted.transform([[2, 3]], { type: "float32" })).toEqual(
      fitted.transform([[2, 3]]).map((row) => row.map(Math.fround)),
    );
  });

  it("is float32 for float16 input, whose statistics are float64", () => {
    const data = Float16.of(1, 10, 4, 30, Number.NaN, 20);
    const x = { shape: [3, 2], data };
    const made = new Standardizer().fit(x);
    expect([...made.mean, ...made.missing]).toEqual([2.5, 20, 1, 0]);
    const y: Float32Array = made.transform(x).data;
    expect(y).toEqual(Float32Array.of(-1, -Math.sqrt(1.5), 1, Math.sqrt(1.5), Number.NaN, 0));
    expect(made.transform(x, { type: "float64" }).data).toBeInstanceOf(Float64Array);
  });

  it("is one of two", () => {
    expect(() => fitted.transform([[1, 2]], { type: "float16" as never })).toThrow(
      new RangeError('Standardizer.transform: type must be "float32" or "float64", got "float16"'),
    );
    expect(() => fitted.inverse([[1, 2]], { dtype: "float32" } as never)).toThrow(
      new TypeError('Standardizer.inverse: no option is called "dtype"; it is called "type" here'),
    );
  });
});
