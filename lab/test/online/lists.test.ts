/** Numbers as bytes: all come back, and equal lists are equal bytes. */
import { expect, test } from "vitest";
import { packed, partOf, unpacked, within } from "../../src/online/lists.js";

test("lists come back to the bit, of both widths, empty ones too", () => {
  const lists = {
    a: Float64Array.of(-0, 5e-324, Number.NEGATIVE_INFINITY, Number.NaN, 0.1),
    none: new Float64Array(),
    b: Float32Array.of(-0, 1e-45, Number.POSITIVE_INFINITY, Number.NaN, Math.fround(0.1)),
  };
  const { layout, bytes } = packed(lists);
  expect(bytes.byteLength).toBe(60);
  const back = unpacked(JSON.parse(JSON.stringify(layout)), bytes);
  expect(back).toEqual(lists);
  expect([Object.is(back.a[0], -0), Object.is(back.b[0], -0)]).toEqual([true, true]);
});

test("bytes that lie within others, as those of a Buffer do, come back too, and the lists are not views of them", () => {
  const lists = { a: Float32Array.of(1), b: Float64Array.of(2, 3) };
  const { layout, bytes } = packed(lists);
  const inside = Buffer.concat([Buffer.alloc(3, 255), bytes, Buffer.alloc(5, 255)]).subarray(3, -5);
  const back = unpacked(layout, inside);
  inside.fill(0);
  expect(back).toEqual(lists);
});

test("whichever NaN a value is, it is the same bytes", () => {
  const other = new Float64Array(new BigUint64Array([0xfff8_0000_dead_beefn]).buffer);
  const narrow = new Float32Array(new Uint32Array([0xffc0_1234]).buffer);
  expect([other[0], narrow[0]]).toEqual([Number.NaN, Number.NaN]);
  const one = packed({ a: Float64Array.of(Number.NaN), b: Float32Array.of(Number.NaN) });
  expect(packed({ a: other, b: narrow })).toEqual(one);
  expect(new Uint8Array(other.buffer)[0]).toBe(0xef);
});

test("parts of lists, and parts of these", () => {
  const x = Float64Array.of(1);
  const all = { ...within("p", within("q", { x })), ...within("pq", { x: Float64Array.of(2) }) };
  expect(Object.keys(all)).toEqual(["p/q/x", "pq/x"]);
  expect(partOf("q", partOf("p", all)).x).toBe(x);
  expect(() => unpacked([["a", 8, 2]], new Uint8Array(15))).toThrow(
    new RangeError("openOnline: saved.weights must have 16 bytes, as saved.json says, got 15"),
  );
});
