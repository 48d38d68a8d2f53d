import type { Tensor } from "evenkeel/checkpoints";
import { expect, test } from "vitest";
import {
  givenFeeds,
  lengthsText,
  lengthsTried,
  madeSamples,
  notMade,
  shapeWith,
} from "../../src/doctor/inputs.js";
import type { Port } from "../../src/doctor/runtime.js";
import { tensorOf } from "../support/synthetic-checkpoint.js";

const ids: Port = { name: "input_ids", dtype: "int64", shape: ["batch", "sequence"] };
const mask: Port = { name: "attention_mask", dtype: "int64", shape: ["batch", "past_sequence + sequence"] };
const image: Port = { name: "pixels", dtype: "float32", shape: ["", 3, "", ""] };
const last: Port = { name: "x", dtype: "float32", shape: [1, "h", "w", 3] };

test("lengths that are open by what they are of, one name one length", () => {
  const [first, ...others] = lengthsTried([ids, mask]);
  expect(Object.fromEntries(first)).toEqual({ batch: 2, sequence: 16, past_sequence: 4 });
  expect(shapeWith(mask, first)).toEqual([2, 20]);
  expect(lengthsText(first)).toBe("Batch 2, sequence 16 and past_sequence 4");
  expect(others.length).toBeGreaterThan(5);
  expect(shapeWith(image, lengthsTried([image])[0])).toEqual([2, 3, 64, 64]);
  expect(shapeWith(last, lengthsTried([last])[0])).toEqual([1, 64, 64, 3]);
  expect(lengthsTried([{ ...ids, shape: [1, 8] }])).toEqual([new Map()]);
});

test("indices stay within their table, masks are ones, and both are the same each time", () => {
  const make = () =>
    madeSamples([ids, mask], lengthsTried([ids, mask])[0], { below: new Map([["input_ids", 7]]) });
  const [{ kind, feeds }, ...hard] = make();
  const values = Array.from(feeds.input_ids.values, Number);
  expect([kind, hard]).toEqual(["ordinary", []]);
  expect(new Set(values)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
  expect(feeds.attention_mask.values).toEqual(new BigInt64Array(40).fill(1n));
  expect(make()[0].feeds).toEqual(feeds);
});

test("hard inputs are what they are called, in every type of floats", () => {
  for (const dtype of ["float32", "float16", "float64"]) {
    const port: Port = { name: "x", dtype, shape: [8, 32] };
    const of = new Map(
      madeSamples([port], new Map()).map(({ kind, feeds }) => [kind, Array.from(feeds.x.values, Number)]),
    );
    expect([...of.keys()]).toEqual(["ordinary", "far", "huge", "narrow", "zeros"]);
    const mean = (kind: string) => (of.get(kind as "far") ?? []).reduce((sum, value) => sum + value / 256, 0);
    expect(Math.abs(mean("ordinary"))).toBeLessThan(0.3);
    expect(Math.abs(mean("far") / 1e4 - 1)).toBeLessThan(0.01);
    expect(of.get("huge")?.filter((value) => value === 1e4)).toHaveLength(1);
    expect(Math.max(...(of.get("narrow") ?? []))).toBeLessThan(1e-4);
    expect(new Set(of.get("zeros"))).toEqual(new Set([0]));
  }
  // a spread that float16 could not hold beside its mean would be zeros
  const [, far] = madeSamples([{ name: "x", dtype: "float16", shape: [64] }], new Map());
  expect(
    new Set(Array.from(far.feeds.x.values as Float32Array, (value) => 8 * Math.round(value / 8))).size,
  ).toBeGreaterThan(30);
});

test("what is not made is told, and what would fill the memory is refused", () => {
  expect(notMade([ids, { name: "text", dtype: "string", shape: [1] }])).toBe(
    'its input "text" is of string, of which none is made',
  );
  expect(notMade([ids, image])).toBeUndefined();
  expect(() => madeSamples([{ name: "x", dtype: "float32", shape: [1e5, 1e5] }], new Map())).toThrow(
    'its input "x" of [100000, 100000] is too large to be made',
  );
});

const given = (entries: Record<string, Partial<Tensor>>) =>
  new Map(
    Object.entries(entries).map(([name, more]) => [name, tensorOf(name, Float32Array.of(1, 2, 3, 4), more)]),
  );

test("given inputs are matched by name and brought into the network's types", async () => {
  const port: Port = { name: "x", dtype: "int64", shape: ["n", 2] };
  const values = Int32Array.of(1, 2, 3, 4);
  const feeds = await givenFeeds(
    [port],
    given({ x: { shape: [2, 2], dtype: "int32", read: async () => values } }),
  );
  expect(feeds.x).toEqual({ dtype: "int64", shape: [2, 2], values: BigInt64Array.of(1n, 2n, 3n, 4n) });
});

test.each([
  [
    { x: { shape: [2, 2] }, y: { shape: [2, 2] } },
    '--inputs: expected an array for each of the network\'s inputs ("x" and "z"), got "x" and "y"; add "z"',
  ],
  [
    { x: { shape: [4] }, z: { shape: [2, 2] } },
    '--inputs: expected "x" of [n, ?], got [4]; bring it in that shape',
  ],
  [
    { x: { shape: [2, 2] }, z: { shape: [1, 4] } },
    '--inputs: expected "z" of [n, 2], got [1, 4]; bring it in that shape',
  ],
  [
    { x: { shape: [2, 2], dtype: "int64" }, z: { shape: [2, 2] } },
    '--inputs: expected "x" of float32, got int64; convert it with NumPy\'s astype',
  ],
])("refuses %o", async (entries, message) => {
  const ports: Port[] = [
    { name: "x", dtype: "float32", shape: ["n", ""] },
    { name: "z", dtype: "float32", shape: ["n", 2] },
  ];
  await expect(givenFeeds(ports, given(entries))).rejects.toThrow(message);
});
