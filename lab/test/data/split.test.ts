import { expect, test } from "vitest";
import {
  checkLimit,
  drawnText,
  drawRows,
  type Parts,
  type Split,
  shuffledRows,
  splitOf,
} from "../../src/data/split.js";
import { errorOf } from "../support/files.js";

const strataOf = (count: number, of: (row: number) => number = () => 0): Parts => ({
  strata: Int32Array.from({ length: count }, (_, row) => of(row)),
});
const partsOf = ({ train, validation, heldOut }: Split) => [train, validation, heldOut];
const sizes = (split: Split) => partsOf(split).map(({ length }) => length);
const all = (split: Split) =>
  partsOf(split)
    .flatMap((part) => [...part])
    .sort((a, b) => a - b);
const upTo = (count: number) => Array.from({ length: count }, (_, row) => row);

test("64 % train, 16 % validate, 20 % are held out, each row in one part, the same for the same seed", () => {
  const parts = strataOf(1000);
  const split = splitOf(parts, 1000, 1);
  expect(sizes(split)).toEqual([640, 160, 200]);
  expect(all(split)).toEqual(upTo(1000));
  expect(splitOf(parts, 1000, 1)).toEqual(split);
  expect([...split.train]).not.toEqual([...split.train].sort((a, b) => a - b));
});

test("the parts of neighbouring seeds have no more in common than chance gives", () => {
  const held = upTo(30).map((seed) => new Set(splitOf(strataOf(500), 500, seed).heldOut));
  const shared = held.slice(1).map((rows, index) => [...rows].filter((row) => held[index].has(row)).length);
  // 20 of 100 are expected
  expect(shared.reduce((sum, one) => sum + one) / shared.length).toBeCloseTo(20, -0.5);
  expect(Math.max(...shared)).toBeLessThan(36);
  // the first rows that are drawn too
  const first = upTo(1000).map((seed) => shuffledRows(10, seed)[9]);
  for (const row of upTo(10)) {
    const times = first.filter((one) => one === row).length;
    expect(times).toBeGreaterThan(60);
    expect(times).toBeLessThan(140);
  }
});

test("each class has its share of each part", () => {
  const split = splitOf(
    strataOf(1000, (row) => (row < 900 ? 0 : 1)),
    1000,
    3,
  );
  expect(partsOf(split).map((part) => part.filter((row) => row >= 900).length)).toEqual([64, 16, 20]);
});

test.each([3, 4, 5, 6, 7, 11])("three classes of %i rows are in every part", (size) => {
  for (const seed of [1, 2, 3]) {
    const split = splitOf(
      strataOf(3 * size, (row) => row % 3),
      3 * size,
      seed,
    );
    expect(all(split)).toEqual(upTo(3 * size));
    for (const part of partsOf(split)) expect(new Set(part.map((row) => row % 3)).size).toBe(3);
  }
});

test.each([3, 4, 5, 8])("%i rows without classes leave no part empty", (count) => {
  for (const parts of [
    strataOf(count),
    { ...strataOf(count), groups: Int32Array.from(upTo(count)) },
    { ...strataOf(count), time: Float64Array.from(upTo(count)) },
    { ...strataOf(count), time: new Float64Array(count) },
  ]) {
    const split = splitOf(parts, count, 1);
    expect(Math.min(...sizes(split))).toBeGreaterThan(0);
    expect(all(split)).toEqual(upTo(count));
  }
});

test("groups stay together, and the classes near their shares", () => {
  // 100 groups of 1 to 9 rows; the rare class in every fifth
  const groups = Int32Array.from(upTo(100).flatMap((group) => new Array(1 + (group % 9)).fill(group)));
  const parts = { ...strataOf(groups.length, (row) => Number(groups[row] % 5 === 0)), groups };
  const seen = new Set<string>();
  for (const seed of [1, 2, 3]) {
    const split = splitOf(parts, groups.length, seed);
    const own = partsOf(split).map((part) => new Set([...part].map((row) => groups[row])));
    expect(own.reduce((sum, { size }) => sum + size, 0)).toBe(100);
    for (const [index, share] of [0.64, 0.16, 0.2].entries()) {
      const part = partsOf(split)[index];
      expect(part.length / groups.length).toBeCloseTo(share, 1);
      const rare = part.filter((row) => parts.strata[row] === 1).length;
      expect(rare / parts.strata.filter((stratum) => stratum === 1).length).toBeCloseTo(share, 1);
    }
    seen.add([...own[2]].sort((a, b) => a - b).join());
  }
  expect(seen.size).toBe(3);
});

test("one large group and two small ones fill three parts", () => {
  const groups = Int32Array.from([...new Array(98).fill(7), 8, 9]);
  const split = splitOf({ ...strataOf(100), groups }, 100, 1);
  expect(sizes(split).sort((a, b) => a - b)).toEqual([1, 1, 98]);
});

test("time: the latest are held out, those before them validate, whatever the seed and the order of the rows", () => {
  const time = Float64Array.from(upTo(100), (row) => (row * 37) % 100);
  const parts = { ...strataOf(100), time };
  const split = splitOf(parts, 100, 1);
  const times = (part: Int32Array) => [...part].map((row) => time[row]).sort((a, b) => a - b);
  expect(partsOf(split).map(times)).toEqual([
    upTo(64),
    upTo(16).map((row) => 64 + row),
    upTo(20).map((row) => 80 + row),
  ]);
  expect(partsOf(splitOf(parts, 100, 2)).map(times)).toEqual(partsOf(split).map(times));
});

test("rows of one time are in one part", () => {
  const time = Float64Array.from(upTo(100), (row) => Math.floor(row / 9));
  const split = splitOf({ ...strataOf(100), time }, 100, 1);
  const own = partsOf(split).map((part) => new Set([...part].map((row) => time[row])));
  expect(own.reduce((sum, { size }) => sum + size, 0)).toBe(12);
  expect(sizes(split)).toEqual([63, 18, 19]);
});

test("what the data hold out is held out; validation comes from the rest", () => {
  const heldOut = Int32Array.from([5, 50, 99]);
  const split = splitOf({ ...strataOf(103), heldOut }, 103, 4);
  expect([...split.heldOut].sort((a, b) => a - b)).toEqual([5, 50, 99]);
  expect(sizes(split)).toEqual([80, 20, 3]);
  expect([...splitOf({ ...strataOf(103), heldOut }, 103, 5).validation]).not.toEqual([...split.validation]);
});

test("drawn rows keep the classes' proportions, with some of each or all that there are", () => {
  const classOf = [...new Array(90).fill(0), ...new Array(8).fill(1), 2, 2];
  const { taken, rest } = drawRows(upTo(100), classOf, 3, 20, 3);
  expect([0, 1, 2].map((index) => taken.filter((row) => classOf[row] === index).length)).toEqual([15, 3, 2]);
  expect([...taken, ...rest].sort((a, b) => a - b)).toEqual(upTo(100));
});

test("how the parts are drawn, in words", () => {
  const classes = strataOf(9, (row) => row % 2);
  expect(drawnText(strataOf(9), {})).toBe("draws its own parts at random");
  expect(drawnText(classes, {})).toBe("draws its own parts at random, stratified by class");
  expect(drawnText({ ...classes, groups: new Int32Array(9) }, { group: "patient" })).toBe(
    'draws its own parts at random, stratified by class, all rows of one "patient" in one part',
  );
  expect(drawnText({ ...classes, time: new Float64Array(9) }, { time: "when" })).toBe(
    'has the same parts: the latest 20 % by "when" are held out, and what was just before is for validation',
  );
  expect(drawnText({ ...classes, heldOut: new Int32Array(1) }, {})).toBe(
    "draws its own validation part at random, stratified by class; the held-out part is the data's own",
  );
});

test("limits", async () => {
  checkLimit(6, 2);
  checkLimit(3, 0);
  expect(await errorOf(() => checkLimit(5, 2))).toBe(
    "UsageError: --limit: expected an integer number of rows, at least 6 (3 of each of the 2 classes), got 5",
  );
  expect(await errorOf(() => checkLimit(3.5, 0))).toBe(
    "UsageError: --limit: expected an integer number of rows, at least 3, got 3.5",
  );
});
