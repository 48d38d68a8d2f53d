/** Intervals of differences: against Student's, and where values are few, missing, the same, or far apart. */
import { describe, expect, test } from "vitest";
import { type Difference, differencesOf, type Measure } from "../src/claims.js";

const measure = (values: Record<string, (number | null)[]>, resolution = 0): Measure => ({
  values: new Map(Object.entries(values)),
  resolution,
});
const only = (values: Record<string, (number | null)[]>, resolution = 0): Difference[] =>
  differencesOf(measure(values, resolution), "none", 0.05);
const width = ({ low, high }: Difference): number => (high ?? Number.NaN) - (low ?? Number.NaN);
/** What a seed's parts give to every normalization alike: it cancels out of the differences. */
const OF_SEED = [0.9, 0.7, 0.8, 0.85, 0.75, 0.72, 0.95, 0.81, 0.77, 0.88];
const plus = (differences: (number | null)[]) =>
  differences.map((each, seed) => (each === null ? null : (OF_SEED[seed] ?? 0) + each));
const base = (seeds: number) => OF_SEED.slice(0, seeds);

describe("a single normalization against the baseline", () => {
  test.each([
    [3, 4.303],
    [5, 2.776],
    [10, 2.262],
  ])("has the interval of Student’s t test with %i seeds", (seeds, quantile) => {
    const differences = Array.from({ length: seeds }, (_, seed) => 0.02 + 0.01 * Math.sin(7 * seed));
    const mean = differences.reduce((sum, each) => sum + each, 0) / seeds;
    const squares = differences.reduce((sum, each) => sum + (each - mean) ** 2, 0);
    const margin = quantile * Math.sqrt(squares / (seeds - 1) / seeds);
    const [found] = only({ none: base(seeds), layer: plus(differences) }) as [Difference];
    expect(found).toMatchObject({ norm: "layer", pairs: seeds });
    expect(found.mean).toBeCloseTo(mean, 12);
    // a quantile of so many draws has an error of 4 % with three seeds
    expect(width(found) / (2 * margin)).toBeGreaterThan(0.9);
    expect(width(found) / (2 * margin)).toBeLessThan(1.1);
  });

  test("is clear to either side of zero", () => {
    const values = { none: base(5), layer: plus([0.1, 0.11, 0.1, 0.09, 0.1]) };
    expect(only(values)[0]?.clear).toBe(true);
    const [worse] = differencesOf(measure(values), "layer", 0.05) as [Difference];
    expect(worse).toMatchObject({ norm: "none", clear: true });
    expect(worse.high).toBeLessThan(0);
  });
});

describe("too little", () => {
  test("one seed has a difference and no interval", () => {
    const [found] = only({ none: [0.25], layer: [0.75] });
    expect(found).toEqual({ norm: "layer", pairs: 1, mean: 0.5, low: null, high: null, clear: false });
  });

  test("two seeds that agree are too few", () => {
    const [found] = only({ none: [0.1, 0.1], layer: [0.97, 0.97] });
    expect(found).toMatchObject({ pairs: 2, low: null, high: null, clear: false });
  });

  test("no pair has no difference", () => {
    expect(only({ none: [null, 0.5], layer: [0.5, null], rms: [null, null] })).toEqual([
      { norm: "layer", pairs: 0, mean: null, low: null, high: null, clear: false },
      { norm: "rms", pairs: 0, mean: null, low: null, high: null, clear: false },
    ]);
  });

  test("the baseline alone has nothing to compare", () => {
    expect(only({ none: [0.5, 0.6, 0.7] })).toEqual([]);
    expect(differencesOf(measure({}), "none", 0.05)).toEqual([]);
  });

  test("a value that is null leaves its pair out, of one normalization only", () => {
    const [layer, rms] = only({
      none: base(5),
      layer: plus([0.1, null, 0.12, 0.11, 0.1]),
      rms: plus([0.1, 0.5, 0.12, 0.11, 0.1]),
    }) as [Difference, Difference];
    expect(layer).toMatchObject({ pairs: 4, clear: true });
    expect(layer.mean).toBeCloseTo(0.1075, 10);
    expect(rms).toMatchObject({ pairs: 5, clear: false });
  });
});

describe("no spread", () => {
  test("equal values differ by nothing", () => {
    const [found] = only({ none: [0.5, 0.5, 0.5, 0.5, 0.5], layer: [0.5, 0.5, 0.5, 0.5, 0.5] });
    expect(found).toMatchObject({ mean: 0, clear: false });
  });

  test("what differs by no more than rounding to float32 does not differ", () => {
    const [found] = only({
      none: [0.5, 0.5, 0.5, 0.5, 0.5],
      layer: plus([0, 0, 0, 0, 0]).map(() => 0.5 + 2e-8),
    });
    expect(found?.clear).toBe(false);
  });

  test("a constant difference is clear where it is more than a step or so", () => {
    const three = (steps: number) =>
      only({ none: [0.5, 0.5, 0.5], layer: Array(3).fill(0.5 + steps / 30) }, 1 / 30);
    expect(three(1)[0]?.clear).toBe(false);
    expect(three(3)[0]?.clear).toBe(true);
    expect(only({ none: [0, 0, 0], layer: [1, 1, 1] })[0]?.clear).toBe(true);
  });
});

describe("several", () => {
  const noisy = (size: number, shift: number) =>
    Array.from({ length: 5 }, (_, seed) => shift + size * Math.sin(3 * seed + 11 * size + 5 * shift));
  const values = {
    none: base(5),
    layer: plus(noisy(0.011, 0.1)),
    rms: plus(noisy(0.013, 0)),
    batch: plus(noisy(0.009, -0.02)),
    group: plus(noisy(0.012, 0.01)),
  };

  test("the order of normalizations and of seeds makes no difference", () => {
    const found = only(values);
    const turned = Object.fromEntries(
      Object.entries(values)
        .reverse()
        .map(([norm, own]) => [norm, own.toReversed()]),
    );
    const byName = new Map(only(turned).map((each) => [each.norm, each]));
    expect(found.map(({ norm }) => norm)).toEqual(["layer", "rms", "batch", "group"]);
    for (const each of found) {
      expect(byName.get(each.norm)?.low).toBeCloseTo(each.low ?? Number.NaN, 10);
      expect(byName.get(each.norm)?.high).toBeCloseTo(each.high ?? Number.NaN, 10);
    }
  });

  test("the same values give the same intervals, in any unit", () => {
    expect(only(values)).toEqual(only(values));
    const huge = Object.fromEntries(
      Object.entries(values).map(([norm, own]) => [norm, own.map((each) => (each ?? 0) * 2 ** 900)]),
    );
    expect(only(huge).map(({ low }) => (low ?? 0) / 2 ** 900)).toEqual(only(values).map(({ low }) => low));
  });

  test("more comparisons widen the intervals: they hold all at once", () => {
    const [alone] = only({ none: values.none, layer: values.layer }) as [Difference];
    const two = only({
      none: values.none,
      layer: values.layer,
      same: values.layer.map((each) => (each ?? 0) + 1),
    });
    expect(width(two[0] as Difference)).toBeGreaterThan(width(alone));
  });

  test("a smaller error widens them too", () => {
    const wide = differencesOf(measure(values), "none", 0.01);
    expect(wide.every((each, i) => width(each) > width(only(values)[i] as Difference))).toBe(true);
  });

  test("one that is nowhere near hides no difference of the others", () => {
    const wild = { ...values, wild: [-1e12, 0.5, -3e30, 0.7, 0.9] };
    const found = only(wild);
    const clear = (all: Difference[]) => all.filter((each) => each.clear).map(({ norm }) => norm);
    expect(clear(found)).toEqual(clear(only(values)));
    expect(clear(found)).toContain("layer");
  });

  test("a spread that five seeds show as small by chance is moderated by the others’", () => {
    const lucky = plus([0.003, 0.003, 0.0031, 0.003, 0.003]);
    expect(only({ none: values.none, lucky })[0]?.clear).toBe(true);
    expect(only({ ...values, lucky }).find(({ norm }) => norm === "lucky")?.clear).toBe(false);
  });
});
