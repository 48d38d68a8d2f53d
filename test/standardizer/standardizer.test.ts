import { describe, expect, it } from "vitest";
import { Standardizer } from "../../src/standardizer/standardizer.js";
import type { Tabular } from "../../src/standardizer/table.js";
import { expectClose, largest, normal, random } from "../support/numerics.js";

/** Roundings of float64 in a chain of merges: a few units in the last place. */
const ROUNDING = 1e-13;

/** float64 [rows, features], column j about `mean·(j + 1)`, with a spread of j + 1. */
function table(rows: number, features: number, seed: number, mean = 0) {
  const data = Float64Array.from(
    normal(rows * features, seed),
    (value, i) => (value + mean) * ((i % features) + 1),
  );
  return { shape: [rows, features], data };
}

function rowsOf({ shape: [rows, features], data }: { shape: number[]; data: Float64Array }): number[][] {
  return Array.from({ length: rows }, (_, row) => [...data.subarray(row * features, (row + 1) * features)]);
}

/** Plain two-pass weighted moments of each column; row r weighs weights[r]; NaN is left out. */
function direct(rows: number[][], weights: (row: number) => number = () => 1) {
  const columns = rows[0].map((_, j) => {
    const values = rows
      .map((row, r) => ({ value: row[j], weight: weights(r) }))
      .filter(({ value }) => !Number.isNaN(value));
    const sum = (of: (entry: { value: number; weight: number }) => number) =>
      values.reduce((total, entry) => total + of(entry), 0);
    const count = sum(({ weight }) => weight);
    const about = values[0]?.value ?? 0;
    const rough = about + sum(({ value, weight }) => weight * (value - about)) / count;
    const mean = rough + sum(({ value, weight }) => weight * (value - rough)) / count;
    const m2 = sum(({ value, weight }) => weight * (value - mean) ** 2);
    const squares = sum(({ weight }) => weight * weight);
    return { count, mean, variance: m2 / count, unbiased: m2 / (count - squares / count) };
  });
  return {
    count: columns.map(({ count }) => count),
    mean: columns.map(({ mean }) => mean),
    variance: columns.map(({ variance }) => variance),
    unbiased: columns.map(({ unbiased }) => unbiased),
  };
}

/** `count` to the bit without forgetting; mean relative to its size, and variance to its own. */
function expectMoments(
  actual: Standardizer,
  expected: { count: ArrayLike<number>; mean: ArrayLike<number>; variance: ArrayLike<number> },
) {
  if (actual.forgetting === 1) expect([...actual.count]).toEqual(Array.from(expected.count));
  for (const part of ["count", "mean", "variance"] as const) {
    const allowed = (j: number) => {
      const [size, spread] = [Math.abs(expected.mean[j]), Math.sqrt(expected.variance[j])];
      if (part === "mean") return ROUNDING * (size + spread);
      // A variance feels the mean's rounding: |mean|/spread units in the last place, at most.
      return ROUNDING * (part === "count" ? expected.count[j] : spread * (spread + 1e-3 * size)) + 1e-300;
    };
    expectClose(part, actual[part], expected[part], allowed);
  }
}

/** The full text of what a call throws, with its class. */
function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return String(error);
  }
  return "nothing";
}

/** The entries in an order that the seed decides. */
function shuffled<T>(list: readonly T[], seed: number): T[] {
  const next = random(seed);
  return list
    .map((entry) => ({ entry, key: next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ entry }) => entry);
}

describe("the moments", () => {
  it.each([
    { mean: 0, rows: 1 },
    { mean: 0, rows: 2 },
    { mean: 0, rows: 997 },
    { mean: 1e6, rows: 997 },
    { mean: -1e6, rows: 40_000 },
  ])("are those of a two-pass reference: mean $mean, $rows rows", ({ mean, rows }) => {
    for (const features of [1, 3]) {
      const x = table(rows, features, 5, mean);
      expectMoments(new Standardizer().fit(x), direct(rowsOf(x)));
    }
  });

  it("are right in tables wider and longer than a block", () => {
    const x = table(150, 1100, 6, 50);
    expectMoments(new Standardizer().fit(x), direct(rowsOf(x)));
  });

  it("are right after a first value far from all others", () => {
    const rows = rowsOf(table(1000, 1, 7));
    const standardizer = new Standardizer({ forgetting: 0.9 }).fit([[1e12], ...rows]);
    const weigh = (row: number) => 0.9 ** (1000 - row);
    expectMoments(standardizer, direct([[1e12], ...rows], weigh));
    expect(standardizer.variance[0]).toBeLessThan(10);
  });

  it("unbiased: divided by one value less; NaN for one value", () => {
    const standardizer = new Standardizer({ variance: "unbiased" }).fit([[1], [3], [8]]);
    expect(standardizer.variance[0]).toBe(13);
    expect(new Standardizer().fit([[1], [3], [8]]).variance[0]).toBeCloseTo(26 / 3, 14);
    expect(new Standardizer({ variance: "unbiased" }).fit([[1]]).variance[0]).toBeNaN();
  });

  it("are copies", () => {
    const standardizer = new Standardizer().fit([[1], [3]]);
    for (const values of [standardizer.count, standardizer.mean, standardizer.variance]) values.fill(-7);
    expect([standardizer.count[0], standardizer.mean[0], standardizer.variance[0]]).toEqual([2, 2, 1]);
  });

  it("are empty before any fit", () => {
    const { count, mean, variance } = new Standardizer();
    expect([count.length, mean.length, variance.length]).toEqual([0, 0, 0]);
  });
});

describe("shards", () => {
  it.each([0, 1e6])("merge to the whole, whatever the split and the order: mean %s", (mean) => {
    const x = table(1000, 3, 8, mean);
    const rows = rowsOf(x);
    const expected = direct(rows);
    for (let seed = 0; seed < 20; seed++) {
      const next = random(seed);
      const cuts = Array.from({ length: 1 + Math.floor(next() * 9) }, () => Math.floor(next() * 1001));
      const bounds = [0, ...cuts.sort((a, b) => a - b), 1000];
      const shards = bounds.slice(1).map((bound, i) => rows.slice(bounds[i], bound));
      const fitted = shuffled(shards, seed).map((shard) => new Standardizer().partialFit(shard));
      const pairs = fitted.map((one) => Standardizer.fromJSON(one.toJSON()));
      expectMoments(
        fitted.slice(1).reduce((all, one) => all.merge(one), fitted[0]),
        expected,
      );
      while (pairs.length > 1)
        pairs.push((pairs.shift() as Standardizer).merge(pairs.shift() as Standardizer));
      expectMoments(pairs[0], direct(rows));
      const stream = new Standardizer();
      for (const shard of shards) stream.partialFit(shard);
      expectMoments(stream, expected);
    }
  });

  it("leave the other as it is, and count twice when merged with themselves", () => {
    const [one, other] = [new Standardizer().fit([[1], [3]]), new Standardizer().fit([[5], [9]])];
    const before = JSON.stringify(other);
    one.merge(other).partialFit([[100]]);
    expect(JSON.stringify(other)).toBe(before);
    other.merge(other);
    expect([other.count[0], other.mean[0], other.variance[0]]).toEqual([4, 7, 4]);
  });

  it("that are empty change nothing", () => {
    const fitted = new Standardizer().fit([
      [1, 2],
      [3, 5],
    ]);
    const before = JSON.stringify(fitted);
    expect(JSON.stringify(fitted.merge(new Standardizer()))).toBe(before);
    expect(JSON.stringify(new Standardizer().merge(fitted))).toBe(before);
    expect(JSON.stringify(fitted.partialFit([]).partialFit({ shape: [0, 2], data: [] }))).toBe(before);
  });

  it("with forgetting end at the same moment", () => {
    const [left, right] = [rowsOf(table(30, 2, 9)), rowsOf(table(50, 2, 10, 4))];
    const fitted = [left, right].map((rows) => new Standardizer({ forgetting: 0.9 }).fit(rows));
    const weigh = (row: number) => 0.9 ** (row < 30 ? 29 - row : 79 - row);
    expectMoments(fitted[0].merge(fitted[1]), direct([...left, ...right], weigh));
  });

  it("are refused where they do not fit", () => {
    const fitted = new Standardizer().fit([[1, 2]]);
    const before = JSON.stringify(fitted);
    expect(thrown(() => fitted.merge(new Standardizer().fit([[1, 2, 3]])))).toBe(
      "RangeError: Standardizer.merge: expected 2 features, as fitted, got 3",
    );
    expect(thrown(() => fitted.merge(new Standardizer({ forgetting: 0.5 }).fit([[1, 2]])))).toBe(
      "RangeError: Standardizer.merge: both need the same forgetting factor, got 1 here and 0.5 there",
    );
    expect(thrown(() => fitted.merge({} as Standardizer))).toBe(
      "TypeError: Standardizer.merge: expected a Standardizer, got an object (Object)",
    );
    const [low, high] = [-1e154, 1e154].map((value) => new Standardizer().fit([[0, value]]));
    const far = JSON.stringify(low);
    expect(thrown(() => low.merge(high))).toBe(
      "RangeError: Standardizer.merge: the sum of squared deviations of column 1 exceeds float64; divide the column by a constant first",
    );
    expect(JSON.stringify(low)).toBe(far);
    expect(JSON.stringify(fitted)).toBe(before);
  });
});

describe("forgetting", () => {
  const rows = rowsOf(table(700, 2, 11, 3));

  it.each([0.999, 0.9, 0.5, 1e-3])("%s is the weighted sum, however the stream is cut", (forgetting) => {
    const expected = direct(rows, (row) => forgetting ** (rows.length - 1 - row));
    for (const step of [1, 2, 37, 700]) {
      const standardizer = new Standardizer({ forgetting });
      for (let at = 0; at < rows.length; at += step) standardizer.partialFit(rows.slice(at, at + step));
      expectMoments(standardizer, expected);
      const unbiased = Standardizer.fromJSON({ ...standardizer.toJSON(), variance: "unbiased" });
      const size = expected.unbiased;
      expectClose("unbiased", unbiased.variance, size, (j) => (ROUNDING * size[j]) / Math.min(1, forgetting));
    }
  });

  it("counts the rows in which a value is missing as time", () => {
    const withGaps = rows.map(([a, b], row) => [row % 3 === 1 ? Number.NaN : a, b]);
    const expected = direct(withGaps, (row) => 0.95 ** (rows.length - 1 - row));
    expectMoments(new Standardizer({ forgetting: 0.95 }).fit(withGaps), expected);
  });

  it("follows a drift that a plain standardizer does not", () => {
    const calm = rowsOf(table(2000, 1, 12));
    const shifted = rowsOf(table(500, 1, 13)).map(([value]) => [100 + 5 * value]);
    const [plain, forgetful] = [new Standardizer(), new Standardizer({ forgetting: 0.99 })];
    for (const standardizer of [plain, forgetful]) standardizer.fit(calm).partialFit(shifted);
    expect(Math.abs(plain.mean[0] - 20)).toBeLessThan(1);
    expect(Math.abs(forgetful.mean[0] - 100)).toBeLessThan(3);
    expect(forgetful.variance[0]).toBeGreaterThan(15);
    expect(forgetful.variance[0]).toBeLessThan(110);
    expect(forgetful.count[0]).toBeCloseTo(100, 6);
  });

  it("keeps what it last knew of a feature that is missing for long", () => {
    const standardizer = new Standardizer({ forgetting: 0.5 }).fit([
      [1, 1],
      [3, 3],
      [3, 3],
    ]);
    const before = standardizer.variance[0];
    const gap = Array.from({ length: 5000 }, () => [Number.NaN, 1]);
    for (const chunk of [gap, gap.slice(0, 1), gap]) standardizer.partialFit(chunk);
    expect(standardizer.count[0]).toBeGreaterThan(0);
    expect(standardizer.mean[0]).toBeCloseTo(19 / 7, 12);
    expect(standardizer.variance[0]).toBeCloseTo(before, 12);
    const atOnce = new Standardizer({ forgetting: 0.5 }).fit([[1, 1], [3, 3], [3, 3], ...gap]);
    expect(atOnce.mean[0]).toBeCloseTo(19 / 7, 12);
    expect(atOnce.variance[0]).toBeCloseTo(before, 12);
    standardizer.partialFit([[8, 1]]);
    expect([standardizer.count[0], standardizer.mean[0]]).toEqual([1, 8]);
  });

  it.each([0, -0.5, 1.01, Number.NaN, "0.9"])("refuses %s", (forgetting) => {
    expect(thrown(() => new Standardizer({ forgetting: forgetting as number }))).toBe(
      `RangeError: Standardizer: forgetting must be above 0 and at most 1, got ${typeof forgetting === "string" ? `"${forgetting}"` : forgetting}; 1 forgets nothing`,
    );
  });
});

describe("missing values", () => {
  const { NaN: gap } = Number;
  const x = [
    [gap, 10, gap],
    [1, gap, gap],
    [5, 30, gap],
  ];

  it("are left out of their own feature, and stay missing", () => {
    const standardizer = new Standardizer().fit(x);
    expect([...standardizer.count]).toEqual([2, 2, 0]);
    expect([...standardizer.mean]).toEqual([3, 20, gap]);
    expect([...standardizer.variance]).toEqual([4, 100, gap]);
    const y = standardizer.transform(x);
    expect(y).toEqual([
      [gap, -1, gap],
      [-1, gap, gap],
      [1, 1, gap],
    ]);
    expect(standardizer.inverse(y)).toEqual(x);
    expect(standardizer.transform([[3, 20, 7]])).toEqual([[0, 0, gap]]);
  });

  it("do not make a merge forget", () => {
    const [left, right] = [new Standardizer().fit(x.slice(0, 1)), new Standardizer().fit(x.slice(1))];
    expect(left.merge(right).transform(x)).toEqual(new Standardizer().fit(x).transform(x));
  });

  it("may be the first of many", () => {
    const rows = rowsOf(table(500, 2, 14, 1e6));
    const gapped = rows.map(([a, b], row) => [row < 400 ? gap : a, row > 3 ? gap : b]);
    expectMoments(new Standardizer().fit(gapped), direct(gapped));
  });
});

describe("constant features", () => {
  it.each([0.1, 1e6 + 0.1, -1 / 3, 0, 1e-300])("%s becomes 0 exactly, and comes back", (value) => {
    for (const forgetting of [1, 0.97]) {
      const standardizer = new Standardizer({ forgetting });
      const x = Array.from({ length: 1003 }, () => [value, value]);
      standardizer.fit(x.slice(0, 300)).partialFit(x.slice(300));
      standardizer.merge(new Standardizer({ forgetting }).fit(x));
      expect(standardizer.mean[0]).toBe(value);
      expect(standardizer.variance[0]).toBe(0);
      expect(standardizer.transform([[value, value + 2]])).toEqual([[0, value + 2 - value]]);
      expect(standardizer.inverse([[0, 0]])).toEqual([[value, value]]);
    }
  });

  it("are so to the bit, whatever the value, the length and the weights", () => {
    const next = random(21);
    for (let trial = 0; trial < 300; trial++) {
      const [value, rows] = [10 ** (12 * next() - 6), 1 + Math.floor(200 * next())];
      const x = Array.from({ length: rows }, () => [value]);
      const standardizer = new Standardizer({ forgetting: trial % 2 ? 1 : 0.5 + next() / 2 }).fit(x);
      expect([standardizer.mean[0], standardizer.variance[0]]).toEqual([value, 0]);
    }
  });

  it("may differ by the rounding of their mean, and no more", () => {
    const sum = 0.1 + 0.2;
    for (const [value] of new Standardizer().fitTransform([[0.3], [sum]])) {
      expect(Math.abs(value)).toBeLessThan(1e-16);
    }
    const near = new Standardizer().fitTransform([[1e6], [1e6 + 1e-8]]);
    expect(near[0][0]).toBeCloseTo(-1, 6);
  });

  it("one row alone is constant", () => {
    for (const variance of ["biased", "unbiased"] as const) {
      const standardizer = new Standardizer({ variance }).fit([[3, -4]]);
      expect(standardizer.transform([[3, -2]])).toEqual([[0, 2]]);
      expect(standardizer.inverse([[0, 2]])).toEqual([[3, -2]]);
    }
    for (const forgetting of [0.99, 0.97, 0.9, 0.83, 0.7]) {
      const old = new Standardizer({ variance: "unbiased", forgetting }).fit([[3], [Number.NaN]]);
      for (let row = 0; row < 100; row++) old.partialFit([[Number.NaN]]);
      expect(old.variance[0]).toBeNaN();
      expect(old.transform([[5]])).toEqual([[2]]);
    }
  });
});

describe("transform and inverse", () => {
  it("give mean 0 and variance 1, and undo each other", () => {
    const x = table(1000, 3, 15, 1e6);
    const standardizer = new Standardizer();
    const y = standardizer.fitTransform(x);
    const after = new Standardizer().fit(y);
    expectClose("mean", after.mean, [0, 0, 0], () => 1e-9);
    expectClose("variance", after.variance, [1, 1, 1], () => 1e-12);
    const back = standardizer.inverse(y);
    expectClose("inverse", back.data, x.data, () => 4 * Number.EPSILON * largest(x.data));
    expectClose("again", standardizer.transform(back).data, y.data, () => 1e-8);
  });

  it("keep the container, and never the memory", () => {
    const standardizer = new Standardizer().fit([
      [0, 0],
      [2, 4],
    ]);
    const [shape, values] = [
      [2, 2],
      [0, 0, 2, 4],
    ];
    const kinds = { float32: Float32Array.from(values), float64: Float64Array.from(values) };
    for (const data of [kinds.float32, kinds.float64]) {
      for (const made of [standardizer.transform({ shape, data }), standardizer.inverse({ shape, data })]) {
        expect(made.shape).toEqual(shape);
        expect(made.shape).not.toBe(shape);
        expect(made.data.constructor).toBe(data.constructor);
        expect(made.data.buffer).not.toBe(data.buffer);
      }
      expect([...data]).toEqual(values);
    }
    const float32: Float32Array = standardizer.transform({ shape, data: kinds.float32 }).data;
    const float64: Float64Array = standardizer.transform({ shape, data: values }).data;
    const rows: number[][] = standardizer.transform([
      [0, 0],
      [2, 4],
    ]);
    expect(float32).toEqual(Float32Array.of(-1, -1, 1, 1));
    expect(float64).toEqual(Float64Array.of(-1, -1, 1, 1));
    expect(rows).toEqual([
      [-1, -1],
      [1, 1],
    ]);
    expect(standardizer.transform([])).toEqual([]);
  });

  it("round a float32 once, at the end", () => {
    const data = normal(3000, 16, 1e4);
    const wide = { shape: [1000, 3], data: Float64Array.from(data) };
    const standardizer = new Standardizer().fit({ shape: [1000, 3], data });
    expect(JSON.stringify(standardizer)).toBe(JSON.stringify(new Standardizer().fit(wide)));
    const y = standardizer.transform({ shape: [1000, 3], data });
    expect(y.data).toEqual(Float32Array.from(standardizer.transform(wide).data));
    expectClose("inverse", standardizer.inverse(y).data, data, () => 6e-8 * 1e4 + 6e-8 * 5);
  });

  it("need a fit before them", () => {
    expect(thrown(() => new Standardizer().transform([[1]]))).toBe(
      "Error: Standardizer.transform: not fitted yet; call fit or partialFit first",
    );
    expect(thrown(() => new Standardizer().partialFit([]).inverse([[1]]))).toBe(
      "Error: Standardizer.inverse: not fitted yet; call fit or partialFit first",
    );
  });
});

describe("fit", () => {
  it("forgets what was before, of any width", () => {
    const standardizer = new Standardizer({ forgetting: 0.9 })
      .fit([
        [1, 2],
        [7, 9],
      ])
      .fit([[1], [4]]);
    expect(JSON.stringify(standardizer)).toBe(
      JSON.stringify(new Standardizer({ forgetting: 0.9 }).fit([[1], [4]])),
    );
  });
});

/** Input, and what is said of it after the name of the method. */
const refused: [Tabular, string][] = [
  [
    [
      [1, 2],
      [3, Number.POSITIVE_INFINITY],
    ],
    "RangeError: $: expected finite values, got Infinity in row 1, column 1; a missing value is NaN",
  ],
  [
    { shape: [2, 2], data: Float32Array.of(1, 2, Number.NEGATIVE_INFINITY, 4) },
    "RangeError: $: expected finite values, got -Infinity in row 1, column 0; a missing value is NaN",
  ],
  [
    [[Number.NEGATIVE_INFINITY, 1]],
    "RangeError: $: expected finite values, got -Infinity in row 0, column 0; a missing value is NaN",
  ],
  [[[1, 2], [3]], "RangeError: $: row 1 has 1 values, row 0 has 2"],
  [[[], []], "RangeError: $: expected rows of at least 1 feature, got 0"],
  [
    [[1, null as never]],
    "TypeError: $: expected numbers, got null in row 0, column 1; a missing value is NaN",
  ],
  [
    { shape: [1, 2], data: [1, "2" as never] },
    'TypeError: $: expected numbers, got "2" in row 0, column 1; a missing value is NaN',
  ],
  [[1, 2] as never, "TypeError: $: expected rows, each an array of numbers, got 1 as row 0"],
  [
    null as never,
    "TypeError: $: expected rows of numbers or { shape, data } with a typed array or array of numbers, got null",
  ],
  [
    { shape: [1, 2], data: new DataView(new ArrayBuffer(8)) as never },
    "TypeError: $: expected rows of numbers or { shape, data } with a typed array or array of numbers, got data that is an object (DataView)",
  ],
  [
    { shape: [4], data: [1, 2, 3, 4] },
    "RangeError: $: expected a shape of [rows, features] with at least 1 feature, got [4]",
  ],
  [
    { shape: [4, 0], data: [] },
    "RangeError: $: expected a shape of [rows, features] with at least 1 feature, got [4, 0]",
  ],
  [
    { shape: [1.5, 2], data: [1, 2, 3] },
    "RangeError: $: expected a shape of [rows, features] with at least 1 feature, got [1.5, 2]",
  ],
  [{ shape: [2, 2], data: [1, 2, 3] }, "RangeError: $: shape [2, 2] needs 4 values, got 3"],
];

describe("a refused call says why and changes nothing:", () => {
  const methods = ["fit", "partialFit", "transform", "inverse", "fitTransform"] as const;

  it.each(refused)("%j", (x, message) => {
    for (const method of methods) {
      const standardizer = new Standardizer({ forgetting: 0.9 }).fit([
        [1, 2],
        [5, 3],
      ]);
      const before = JSON.stringify(standardizer);
      const name = method === "fitTransform" ? "fit" : method;
      expect(thrown(() => standardizer[method](x))).toBe(message.replace("$", `Standardizer.${name}`));
      expect(JSON.stringify(standardizer)).toBe(before);
    }
  });

  it("rows of another width", () => {
    const standardizer = new Standardizer().fit([[1, 2]]);
    const before = JSON.stringify(standardizer);
    const x = { shape: [2, 3], data: new Float32Array(6) };
    expect(thrown(() => standardizer.partialFit(x))).toBe(
      "RangeError: Standardizer.partialFit: expected 2 features, as fitted, got 3; fit(x) starts over",
    );
    expect(thrown(() => standardizer.transform(x))).toBe(
      "RangeError: Standardizer.transform: expected 2 features, as fitted, got 3",
    );
    expect(thrown(() => standardizer.inverse([[1]]))).toBe(
      "RangeError: Standardizer.inverse: expected 2 features, as fitted, got 1",
    );
    expect(thrown(() => standardizer.fit({ shape: [0, 2], data: [] }))).toBe(
      "RangeError: Standardizer.fit: expected at least 1 row, got 0",
    );
    expect(JSON.stringify(standardizer)).toBe(before);
  });

  it("an infinity late in a wide table, after most was taken", () => {
    const x = table(5000, 600, 17);
    x.data[4999 * 600 + 599] = Number.POSITIVE_INFINITY;
    const standardizer = new Standardizer().fit(table(3, 600, 18));
    const before = JSON.stringify(standardizer);
    expect(thrown(() => standardizer.partialFit(x))).toBe(
      "RangeError: Standardizer.partialFit: expected finite values, got Infinity in row 4999, column 599; a missing value is NaN",
    );
    expect(JSON.stringify(standardizer)).toBe(before);
  });

  it.each([
    [[1e200], [-1e200]],
    [[1.7e308], [-1.7e308], [1]],
  ])("a spread beyond float64", (...x) => {
    const standardizer = new Standardizer().fit([[1]]);
    expect(thrown(() => standardizer.partialFit(x))).toBe(
      "RangeError: Standardizer.partialFit: the sum of squared deviations of column 0 exceeds float64; divide the column by a constant first",
    );
    expect([standardizer.count[0], standardizer.mean[0]]).toEqual([1, 1]);
  });

  it("an unknown variance", () => {
    expect(thrown(() => new Standardizer({ variance: "sample" as never }))).toBe(
      'RangeError: Standardizer: variance must be "biased" or "unbiased", got "sample"',
    );
  });
});

describe("JSON", () => {
  it("comes back to the last bit, and goes on the same", () => {
    for (const forgetting of [1, 0.987]) {
      const standardizer = new Standardizer({ forgetting, variance: "unbiased" });
      standardizer.fit(table(333, 3, 19, 1e6)).partialFit([[Number.NaN, -0, 1 / 3]]);
      const text = JSON.stringify(standardizer);
      const back = Standardizer.fromJSON(JSON.parse(text));
      expect(JSON.stringify(back)).toBe(text);
      const x = table(50, 3, 20);
      expect(back.partialFit(x).transform(x)).toEqual(standardizer.partialFit(x).transform(x));
      for (const part of ["count", "mean", "variance"] as const)
        expect(back[part]).toEqual(standardizer[part]);
    }
  });

  it("holds a standardizer before any fit", () => {
    const back = Standardizer.fromJSON(JSON.parse(JSON.stringify(new Standardizer({ forgetting: 0.5 }))));
    expect(back.forgetting).toBe(0.5);
    expect(back.fit([[1, 2]]).count.length).toBe(2);
  });

  it("shares nothing with what it was made from", () => {
    const json = new Standardizer().fit([[1], [3]]).toJSON();
    const back = Standardizer.fromJSON(json);
    json.mean[0] = 7;
    back.toJSON().mean[0] = 8;
    expect(back.mean[0]).toBe(2);
  });

  const good = new Standardizer()
    .fit([
      [1, 2],
      [3, 5],
    ])
    .toJSON();
  it.each<[unknown, string]>([
    [
      JSON.stringify(good),
      'TypeError: Standardizer.fromJSON: expected the result of toJSON, got "{\\"type\\":\\"Standardize…"; parse a string with JSON.parse first',
    ],
    [null, "TypeError: Standardizer.fromJSON: expected the result of toJSON, got null"],
    [{}, 'TypeError: Standardizer.fromJSON: expected type "Standardizer", got undefined'],
    [
      { ...good, type: "Scaler" },
      'TypeError: Standardizer.fromJSON: expected type "Standardizer", got "Scaler"',
    ],
    [
      { ...good, version: 2 },
      "RangeError: Standardizer.fromJSON: expected version 1, got 2; a newer evenkeel may read it",
    ],
    [
      { ...good, forgetting: 0 },
      "RangeError: Standardizer: forgetting must be above 0 and at most 1, got 0; 1 forgets nothing",
    ],
    [
      { ...good, forgetting: undefined },
      "TypeError: Standardizer.fromJSON: expected a number as forgetting, got undefined",
    ],
    [
      { ...good, variance: undefined },
      "TypeError: Standardizer.fromJSON: expected a string as variance, got undefined",
    ],
    [
      { ...good, variance: "x" },
      'RangeError: Standardizer: variance must be "biased" or "unbiased", got "x"',
    ],
    [
      { ...good, count: undefined },
      "TypeError: Standardizer.fromJSON: expected a list of numbers as count, got undefined",
    ],
    [
      { ...good, mean: "1,2" },
      'TypeError: Standardizer.fromJSON: expected a list of numbers as mean, got "1,2"',
    ],
    [{ ...good, m2: [1] }, "RangeError: Standardizer.fromJSON: count has 2 entries, m2 has 1"],
    [
      { ...good, mean: [1, null] },
      "TypeError: Standardizer.fromJSON: expected a finite number as mean[1], got null",
    ],
    [
      { ...good, squares: [2, Number.NaN] },
      "TypeError: Standardizer.fromJSON: expected a finite number as squares[1], got NaN",
    ],
    [{ ...good, m2: [-1, 2] }, "RangeError: Standardizer.fromJSON: expected at least 0 as m2[0], got -1"],
  ])("that is corrupted is refused: %j", (json, message) => {
    expect(thrown(() => Standardizer.fromJSON(json))).toBe(message);
  });
});
