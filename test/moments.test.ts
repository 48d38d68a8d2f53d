import { describe, expect, it } from "vitest";
import {
  biasedVariance,
  type Moments,
  merge,
  momentsOf,
  noMoments,
  unbiasedVariance,
} from "../src/moments.js";
import { normal } from "./support/numerics.js";

const close = (actual: Moments, expected: Moments) => {
  expect(actual.count).toBe(expected.count);
  expect(actual.mean).toBeCloseTo(expected.mean, 10);
  expect(Math.abs(actual.m2 - expected.m2)).toBeLessThan(1e-9 * (1 + expected.m2));
};

describe("moments", () => {
  it("are exact where E[x²] − E[x]² cancels", () => {
    const { mean, m2 } = momentsOf([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16]);
    expect(mean).toBe(1e9 + 10);
    expect(m2).toBe(90);
  });

  it("are exact for values that are all the same", () => {
    for (const value of [0.1, -7.3, 1 / 3, 1e30]) {
      for (const count of [1, 2, 7, 1000, 99_999]) {
        const same = momentsOf(new Float64Array(count).fill(value));
        expect(same).toEqual({ count, mean: value, m2: 0 });
        expect(merge(same, momentsOf([value, value]))).toEqual({ count: count + 2, mean: value, m2: 0 });
      }
    }
  });

  it("merge to those of the whole, in any order and any parts", () => {
    const values = [...normal(1000, 3, 50, 4)];
    const whole = momentsOf(values);
    for (const cut of [0, 1, 137, 999, 1000]) {
      const [left, right] = [momentsOf(values.slice(0, cut)), momentsOf(values.slice(cut))];
      close(merge(left, right), whole);
      close(merge(right, left), whole);
    }
    close(values.map((value) => momentsOf([value])).reduce(merge, noMoments), whole);
  });

  it("merge without what a light and far one would take from a heavy one, and overflow where the result does", () => {
    const before = { count: 1e-30, mean: 1e9, m2: 0 };
    const now = { count: 1, mean: 0.1, m2: 0 };
    expect(merge(before, now)).toEqual({ count: 1, mean: 0.1, m2: expect.closeTo(1e-12, 20) });
    expect(merge(now, before)).toEqual(merge(before, now));
    const [left, right] = [-1e20, 1e20].map((mean) => ({ count: 1e200, mean, m2: 0 }));
    expect(merge(left, right)).toEqual({ count: 2e200, mean: 0, m2: 2e240 });
  });

  it("give a variance only where there is one", () => {
    expect(biasedVariance(momentsOf([2, 4]))).toBe(1);
    expect(unbiasedVariance(momentsOf([2, 4]))).toBe(2);
    expect(biasedVariance(noMoments)).toBeNaN();
    expect(unbiasedVariance(momentsOf([2]))).toBeNaN();
  });
});
