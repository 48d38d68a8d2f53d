/** What a trial sees, in one buffer and out of it again: exactly, whatever the task, and nothing that is not whole. */
import { describe, expect, test } from "vitest";
import type { DatasetOptions, TrialData } from "../../src/datasets/dataset.js";
import { apart, digestOf, together } from "../../src/datasets/dataset.js";
import { pack, unpack } from "../../src/datasets/packed.js";
import { datasetOf } from "../../src/datasets/registry.js";
import { shared } from "../../src/datasets/shared.js";
import { toText } from "../../src/datasets/text.js";
import { taskNames } from "../../src/tasks/registry.js";
import { rows, scattered, tableOf } from "../support/tables.js";

const N = 120;
const numbers = (step: number) => rows(N, (i) => (i % 11 === 3 ? null : scattered(i, step)));
const features = { a: numbers(Math.PI), b: numbers(Math.E), city: rows(N, (i) => ["Oslo", "Rome ☀"][i % 2]) };
const pixels = Object.fromEntries(rows(16, (i) => [`p${i}`, rows(N, (row) => scattered(row * 16 + i))]));
const label = rows(N, (i) => ["yes", "no", "perhaps"][i % 3]);
const days = rows(N, (i) => new Date(2024, 0, 1 + i));
const made = (columns: Parameters<typeof tableOf>[0], options: DatasetOptions = {}) =>
  datasetOf(tableOf(columns), options, "made up");

const all: Record<string, TrialData> = {
  classes: made({ ...features, label }),
  "numbers, grouped": made(
    { ...features, who: rows(N, (i) => `w${i % 20}`), y: rows(N, (i) => 1e6 + scattered(i)) },
    { target: "y", group: "who", shares: [0.5, 0.25, 0.25] },
  ),
  "the latest held out": made({ day: days, ...features, label }, { target: "label", split: "time" }),
  images: made({ ...pixels, label }, { target: "label", image: [4, 4] }),
  texts: made({ text: rows(N, (i) => `word${i % 7} and ☀ word${i % 5}`), label }, { text: "text" }),
  series: made(
    { day: days, load: rows(N, (i) => Math.sin(i)) },
    { task: "forecasting", horizon: 4, window: 12, season: 7 },
  ),
  users: made(
    {
      user: rows(10 * N, (i) => `u${i % N}`),
      item: rows(10 * N, (i) => `i${(i * 7 + Math.floor(i / N)) % 23}`),
    },
    { task: "recommendation" },
  ),
  characters: toText(
    {
      name: "test",
      text: "the quick brown fox ☀ jumps over the lazy dog; ".repeat(20),
      more: false,
      end: "",
      decisions: [],
    },
    { window: 16 },
    "made up",
  ),
};

/** In a buffer that begins elsewhere. */
function shifted(bytes: Uint8Array, by: number): Uint8Array {
  const moved = new Uint8Array(bytes.length + by + 3).fill(0xaa);
  moved.set(bytes, by);
  return moved.subarray(by, by + bytes.length);
}

test("every task is among them", () => {
  expect(new Set(Object.values(all).map(({ task }) => task))).toEqual(new Set(taskNames));
});

describe.each(Object.entries(all))("%s", (_, data) => {
  const { facts, arrays } = apart(data);

  test("out again as it was", async () => {
    const whole = unpack(pack(data));
    expect(apart(whole)).toEqual({ facts, arrays });
    expect(together(facts, arrays)).toEqual(whole);
    expect(await digestOf(whole)).toBe(await digestOf(data));
    expect(pack(whole)).toEqual(pack(data));
  });

  test("in memory that is shared, too", async () => {
    const whole = unpack(pack(shared(data)));
    expect(apart(whole)).toEqual({ facts, arrays });
    const bytes = pack(data);
    const memory = new Uint8Array(new SharedArrayBuffer(bytes.length));
    memory.set(bytes);
    expect(apart(unpack(memory))).toEqual({ facts, arrays });
  });

  test.each([0, 8, 1, 4])("wherever in memory the bytes begin: %i", (by) => {
    const bytes = shifted(pack(data), by);
    const whole = unpack(bytes);
    expect(apart(whole)).toEqual({ facts, arrays });
    // views, where they can be
    for (const array of Object.values(apart(whole).arrays)) {
      const isView = array.buffer === bytes.buffer;
      expect(isView).toBe(by % array.BYTES_PER_ELEMENT === 0);
    }
  });
});

test("bits of numbers that are none, and -0, are kept", () => {
  const x = new Float32Array(Uint32Array.of(0x7fc00001, 0xffc12345, 0x7f800000, 0x80000000, 1).buffer);
  const odd = { ...all.classes, x };
  const found = unpack(pack(odd)).x;
  expect(new Uint32Array(found.buffer, found.byteOffset, 5)).toEqual(new Uint32Array(x.buffer));
});

test("arrays without elements", () => {
  const none = { ...all.classes, x: new Float32Array(), y: new Float32Array(), scaled: new Uint8Array() };
  expect(apart(unpack(pack(none)))).toEqual(apart(none));
});

describe("what is not whole", () => {
  const bytes = pack(all["the latest held out"]);
  const changed = (change: (copy: Uint8Array<ArrayBuffer>) => Uint8Array | undefined) => {
    const copy = bytes.slice();
    return change(copy) ?? copy;
  };
  const withFacts = (facts: string) => {
    const text = new TextEncoder().encode(facts);
    const all = new Uint8Array(Math.ceil((16 + text.length) / 8) * 8);
    all.set(bytes.subarray(0, 16));
    all.set(text, 16);
    new DataView(all.buffer).setUint32(12, text.length, true);
    return all;
  };
  const header = (given: { facts?: object; lengths?: object }) => {
    const length = new DataView(bytes.buffer).getUint32(12, true);
    const { facts, lengths } = JSON.parse(new TextDecoder().decode(bytes.subarray(16, 16 + length)));
    return withFacts(
      JSON.stringify({ facts: { ...facts, ...given.facts }, lengths: { ...lengths, ...given.lengths } }),
    );
  };
  const cases: Record<string, [Uint8Array, RegExp]> = {
    nothing: [new Uint8Array(), /expected 16 bytes or more that begin with "evenkeel", got 0 others/],
    "another file": [new TextEncoder().encode("PAR1 and something else, of a length"), /got 36 others/],
    "another format": [
      changed((copy) => void new DataView(copy.buffer).setUint32(8, 7, true)),
      /expected format 1, got 7; run the same version/,
    ],
    "a machine of the other order": [
      changed((copy) => void new DataView(copy.buffer).setUint32(8, 1, false)),
      /expected format 1, got 16777216;/,
    ],
    "facts cut off": [bytes.slice(0, 100), /expected facts of \d+ bytes, got 84: the end is missing/],
    "an array cut off": [bytes.slice(0, -8), /expected \d+ bytes, got \d+/],
    "one byte too few": [bytes.slice(0, -1), /expected \d+ bytes, got \d+/],
    "more after the end": [changed((copy) => new Uint8Array([...copy, 0])), /expected \d+ bytes, got \d+/],
    "facts that are no JSON": [withFacts("{"), /the facts are no JSON/],
    "facts that are no UTF-8": [changed((copy) => void copy.fill(0xff, 16, 20)), /the facts are no JSON/],
    "facts that are null": [withFacts("null"), /expected facts and the lengths of arrays/],
    "a length that lies": [header({ lengths: { x: 1e15 } }), /expected \d+ bytes, got \d+/],
    "a length below 0": [header({ lengths: { y: -4 } }), /y: expected a length from 0, got -4/],
    "a length of half an element": [header({ lengths: { y: 0.5 } }), /y: expected a length/],
    "a length as text": [header({ lengths: { y: "8" } }), /y: expected a length/],
    "an array too many": [header({ lengths: { more: 1 } }), /there is no array "more"/],
    "an array too few": [header({ lengths: { strata: undefined } }), /strata is missing/],
    "windows without starts": [header({ facts: { ahead: 3 } }), /windows need both/],
  };
  test.each(Object.entries(cases))("%s", (_, [given, message]) => {
    expect(() => unpack(given)).toThrow(message);
    expect(() => unpack(given)).toThrow(/^unpack: this is no packed data: /);
  });

  test("cut off anywhere", () => {
    for (let length = 0; length < bytes.length; length += 13) {
      expect(() => unpack(bytes.subarray(0, length))).toThrow("unpack: this is no packed data");
    }
  });
});
