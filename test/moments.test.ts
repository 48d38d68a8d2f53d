import { describe, expect, it } from "vitest";
import {
  biasedVariance,
  type Moments,
  merge,
  momentsOf,
  noMoments,
  unbiasedVariance,
  updateRunning,
} from "../src/moments.js";
import { normal } from "./numerics.js";

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

  it("give a variance only where there is one", () => {
    expect(biasedVariance(momentsOf([2, 4]))).toBe(1);
    expect(unbiasedVariance(momentsOf([2, 4]))).toBe(2);
    expect(biasedVariance(noMoments)).toBeNaN();
    expect(unbiasedVariance(momentsOf([2]))).toBeNaN();
  });
});

describe("updateRunning", () => {
  it("moves by the weight of the new value, and corrects the variance alone", () => {
    const [mean, variance] = [Float32Array.of(1, 0), Float32Array.of(1, 2)];
    expect(updateRunning(mean, variance, [3, 4], [5, 6], 0.5, 2)).toBe(-1);
    expect([...mean, ...variance]).toEqual([2, 2, 5.5, 7]);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])(
    "changes no channel for a batch with %s, and says which",
    (bad) => {
      const [mean, variance] = [Float32Array.of(1, 1), Float32Array.of(1, 1)];
      expect(updateRunning(mean, variance, [5, bad], [5, 5], 0.5, 1)).toBe(1);
      expect(updateRunning(mean, variance, [5, 5], [bad, 5], 0.5, 1)).toBe(0);
      expect([...mean, ...variance]).toEqual([1, 1, 1, 1]);
    },
  );
});
