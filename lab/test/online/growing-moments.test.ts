/** Moments written over: those of the library, whatever is merged with what. */
import { type Moments, merge, noMoments } from "evenkeel";
import { expect, test } from "vitest";
import { include, mergeInto, startMoments } from "../../src/online/growing-moments.js";
import { drawsOf } from "./support/draws.js";

const kinds: [string, number, number][] = [
  ["usual", 0, 1],
  ["of a mean far above the spread", 1e9, 1],
  ["whose squares are as large as is let through", 0, 1e139],
  ["denormal", 0, 1e-320],
  ["equal", 7, 0],
];

test.each(kinds)("values that are %s", (_, mean, spread) => {
  const { normal } = drawsOf(21);
  const values = Array.from({ length: 65 }, () => mean + spread * normal());
  const growing = startMoments();
  let expected = noMoments;
  const halves = [startMoments(), startMoments()];
  for (const [i, value] of values.entries()) {
    include(growing, value);
    include(halves[i < 4 ? 0 : 1], value);
    expected = merge(expected, { count: 1, mean: value, m2: 0 });
    expect(growing).toEqual(expected);
  }
  for (const [a, b] of [halves, [...halves].reverse()]) {
    const both: Moments = merge(a, b);
    const into = startMoments();
    mergeInto(into, a, b);
    expect(into.count).toBe(both.count);
    expect(Math.abs(into.mean - both.mean)).toBeLessThanOrEqual(1e-15 * (Math.abs(mean) + spread));
    expect(Math.abs(into.m2 - both.m2)).toBeLessThanOrEqual(1e-13 * both.m2);
    const own = { ...a };
    mergeInto(own, own, b);
    expect(own).toEqual(into);
  }
});

test("of none", () => {
  const some = { count: 3, mean: 5, m2: 2 };
  for (const [a, b, both] of [
    [some, noMoments, some],
    [noMoments, some, some],
    [noMoments, noMoments, noMoments],
  ]) {
    const into = { count: 9, mean: 9, m2: 9 };
    mergeInto(into, a, b);
    expect(into).toEqual(both);
  }
});
