/** Arrays of a backend: read, shown, bounded before they are made, and not to be changed into others. */
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { layerNorm, open } from "../../src/index.js";

const ek = await open();

it("read gives a copy of the values, after all calls so far", async () => {
  for (const backend of ["wasm", "reference"] as const) {
    const each = await open({ backend });
    const x = each.array([2, 2], [1, 3, 2, 6]);
    const { y } = each.forward(layerNorm({ epsilon: 0 }), x);
    const values = await y.read();
    expect(Array.from(values, Math.round)).toEqual([-1, 1, -1, 1]);
    expect(values.buffer).toBeInstanceOf(ArrayBuffer);
    values.fill(7);
    expect(y.data[0]).not.toBe(7);
    y.dispose();
    await expect(y.read()).rejects.toThrow(
      new Error("read: this array of shape [2, 2] was disposed; keep it until its last use"),
    );
  }
});

it("nothing but its values can be changed", () => {
  const [x, next] = [ek.array([2], [1, 2]), ek.array([2], [3, 4])];
  for (const change of [
    () => Object.assign(x.shape, [1000]),
    () => Object.assign(x, { shape: [1000] }),
    () => Object.assign(x, { size: 1000 }),
    () => Object.assign(x, { handle: next.handle }),
    () => (x.shape as number[]).push(500),
  ]) {
    expect(change).toThrow(TypeError);
  }
  expect([x.shape, x.size, Array.from(x.data)]).toEqual([[2], 2, [1, 2]]);
  const shape = [2];
  const y = ek.array(shape, [1, 2]);
  shape[0] = 1000;
  expect(y.shape).toEqual([2]);
});

describe("shows shape and values", () => {
  it.each([
    [[], [0.1], "[] 0.1"],
    [[3], [1, -2.5, 1 / 3], "[3] [1, -2.5, 0.333333]"],
    [[2, 2], [1, 2, Number.NaN, Number.POSITIVE_INFINITY], "[2, 2] [[1, 2],\n [NaN, Infinity]]"],
    [[0, 3], [], "[0, 3] []"],
    [[2, 1, 2], [1, 2, 3, 4], "[2, 1, 2] [[[1, 2]],\n [[3, 4]]]"],
  ])("%j", (shape, values, expected) => {
    const array = ek.array(shape, values);
    expect(String(array)).toBe(expected);
    expect(inspect(array)).toBe(`BackendArray ${expected}`);
    const json = JSON.parse(JSON.stringify(array));
    expect(json.shape).toEqual(shape);
    expect(json.data.length).toBe(values.length);
  });

  it("of large arrays the ends", () => {
    const array = ek.array(
      [1000],
      Float32Array.from({ length: 1000 }, (_, i) => i),
    );
    expect(String(array)).toBe("[1000] [0, 1, 2, …, 997, 998, 999]");
    const deep = ek.array(new Array(20).fill(2));
    expect(String(deep).length).toBeLessThan(500);
    expect(String(ek.array([3, 7, 50], new Array(1050).fill(0)))).toBe(
      "[3, 7, 50] [[[0, 0, 0, …, 0, 0, 0],\n  [0, 0, 0, …, 0, 0, 0],\n  [0, 0, 0, …, 0, 0, 0],\n  …,\n" +
        "  [0, 0, 0, …, 0, 0, 0],\n  [0, 0, 0, …, 0, 0, 0],\n  [0, 0, 0, …, 0, 0, 0]],\n …]",
    );
  });

  it("round trips through JSON", () => {
    const { shape, data } = JSON.parse(JSON.stringify(ek.array([2, 2], [1, 0.1, 3, 4])));
    expect(Array.from(ek.array(shape, data).data)).toEqual(Array.from(Float32Array.of(1, 0.1, 3, 4)));
  });

  it("says when it was disposed", () => {
    const array = ek.array([2, 2]);
    array.dispose();
    expect(String(array)).toBe("[2, 2] disposed");
    expect(inspect({ array })).toBe("{ array: BackendArray [2, 2] disposed }");
    expect(JSON.stringify(array)).toBe('{"shape":[2,2],"disposed":true}');
  });
});

describe("is bounded before anything is allocated", () => {
  it.each<[string, unknown, unknown, Error]>([
    ["no list", 3, undefined, new TypeError("array: shape must be a list of lengths such as [2, 3], got 3")],
    [
      "null",
      null,
      undefined,
      new TypeError("array: shape must be a list of lengths such as [2, 3], got null"),
    ],
    [
      "{ length }",
      { length: 2 },
      undefined,
      new TypeError("array: shape must be a list of lengths such as [2, 3], got [object Object]"),
    ],
    [
      "a hole",
      new Array(2),
      undefined,
      new RangeError("array: shape must have non-negative integer lengths, got [undefined, undefined]"),
    ],
    [
      "a bigint",
      [2n],
      undefined,
      new RangeError("array: shape must have non-negative integer lengths, got [2]"),
    ],
    [
      "a string",
      ["2"],
      undefined,
      new RangeError("array: shape must have non-negative integer lengths, got [2]"),
    ],
    [
      "many axes",
      new Array(1e9),
      undefined,
      new RangeError("array: shape must have at most 32 axes, got 1000000000"),
    ],
    [
      "large",
      [1e5, 1e5],
      undefined,
      new RangeError("array: shape [100000, 100000] must hold at most 1073741824 values"),
    ],
    [
      "beyond doubles",
      [1e200, 1e200],
      undefined,
      new RangeError("array: shape [1e+200, 1e+200] must hold at most 1073741824 values"),
    ],
    [
      "large beside 0",
      [0, 2 ** 40],
      undefined,
      new RangeError("array: shape [0, 1099511627776] must hold at most 1073741824 values"),
    ],
    ["few values", [2], [1], new RangeError("array: shape [2] holds 2 values, got 1")],
    [
      "a length alone",
      [2 ** 29],
      { length: 2 ** 29 },
      new TypeError("array: values must be numbers, got undefined at index 0"),
    ],
    ["null values", [2], null, new RangeError("array: shape [2] holds 2 values, got null")],
    ["a string of values", [2], "12", new TypeError("array: values must be numbers, got string at index 0")],
    ["strings", [2], [1, "2"], new TypeError("array: values must be numbers, got string at index 1")],
    [
      "bigints",
      [2],
      BigInt64Array.of(1n, 2n),
      new TypeError("array: values must be numbers, got bigint at index 0"),
    ],
  ])("%s", (_, shape, values, error) => {
    const before = ek.memory();
    expect(() => ek.array(shape as number[], values as number[])).toThrow(error);
    expect(ek.memory()).toEqual(before);
  });

  it("and says where memory is at its end", () => {
    const before = ek.memory();
    expect(() => ek.array([2 ** 30])).toThrow("do not fit into WebAssembly memory");
    expect(ek.memory()).toEqual(before);
  });
});
