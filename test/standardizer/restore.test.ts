/** Moments that others have summed, names of columns, missing values counted: in and out of JSON, and merged. */
import { describe, expect, it } from "vitest";
import { type Moments, merge, momentsOf } from "../../src/moments.js";
import type { ColumnMoments } from "../../src/standardizer/restore.js";
import { Standardizer } from "../../src/standardizer/standardizer.js";
import { expectClose, normal } from "../support/numerics.js";

function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return String(error);
  }
  return "nothing";
}

const { NaN: gap } = Number;

describe("fromMoments", () => {
  it("goes on where the moments end, as though it had seen the rows", () => {
    const rows = Array.from({ length: 300 }, (_, row) => [...normal(3, row + 1, 1e3)]);
    const columns = [0, 1, 2].map((j) => rows.slice(0, 200).map((row) => row[j]));
    const ours = Standardizer.fromMoments(columns.map(momentsOf)).partialFit(rows.slice(200));
    const whole = new Standardizer().fit(rows);
    expect([...ours.count]).toEqual([300, 300, 300]);
    expectClose("mean", ours.mean, whole.mean, () => 1e-12);
    expectClose("variance", ours.variance, whole.variance, () => 1e-11);
  });

  it("of shards that others merge is the standardizer of the whole", () => {
    const values = [...normal(1000, 5, 1e6)];
    const shards = [values.slice(0, 1), values.slice(1, 400), values.slice(400)].map(momentsOf);
    const ours = Standardizer.fromMoments([shards.reduce(merge)]);
    const parts = shards.map((shard) => Standardizer.fromMoments([shard]));
    for (const made of [ours, parts.reduce((all, one) => all.merge(one), new Standardizer())]) {
      expectClose("mean", made.mean, new Standardizer().fit(values.map((value) => [value])).mean, () => 1e-9);
      expect(made.variance[0]).toBeCloseTo(
        new Standardizer().fit(values.map((value) => [value])).variance[0],
        9,
      );
    }
  });

  it("takes what clients of databases give: strings, bigints, null; in any order", () => {
    const rows: ColumnMoments[] = [
      { name: "b", count: "4", mean: "-2.5e1", m2: "16", missing: "1", infinite: "0" },
      { name: "none", count: 0n, mean: null, m2: null, missing: 5n, infinite: 0n },
      { name: "a", count: 5, mean: 2, m2: 0.5, missing: 0 },
    ];
    const ours = Standardizer.fromMoments(rows, { columns: ["a", "b", "none"], variance: "unbiased" });
    expect(ours.columns).toEqual(["a", "b", "none"]);
    expect([...ours.count]).toEqual([5, 4, 0]);
    expect([...ours.missing]).toEqual([0, 1, 5]);
    expect([...ours.mean]).toEqual([2, -25, gap]);
    expect([...ours.variance]).toEqual([0.125, 16 / 3, gap]);
    expect(Standardizer.fromMoments(rows).columns).toEqual(["b", "none", "a"]);
  });

  it("takes weights' squares, and forgetting", () => {
    const x = [[1], [4], [9]];
    const weights = [1, 2, 0.5];
    const fitted = new Standardizer({ variance: "unbiased", forgetting: 0.9 }).fit(x, { weights });
    const { count, mean, m2, squares } = fitted.toJSON();
    const ours = Standardizer.fromMoments(
      [{ count: count[0], mean: mean[0], m2: m2[0], squares: squares[0] }],
      { variance: "unbiased", forgetting: 0.9 },
    );
    expect(JSON.stringify(ours)).toBe(JSON.stringify(fitted));
  });

  const good: Moments = { count: 2, mean: 1, m2: 3 };
  it.each<[unknown, string]>([
    [good, "TypeError: $: expected a list of { count, mean, m2 }, got an object (Object)"],
    [[], "RangeError: $: expected moments of at least 1 column, got none"],
    [[good, null], "TypeError: $: expected { count, mean, m2 } as moments[1], got null"],
    [[{ ...good, count: -1 }], "RangeError: $: expected at least 0 as moments[0].count, got -1"],
    [[{ ...good, count: gap }], "RangeError: $: expected a finite number as moments[0].count, got NaN"],
    [[good, { ...good, mean: null }], "TypeError: $: expected a finite number as moments[1].mean, got null"],
    [[{ ...good, mean: "NaN" }], 'TypeError: $: expected a finite number as moments[0].mean, got "NaN"'],
    [[{ ...good, mean: "" }], 'TypeError: $: expected a finite number as moments[0].mean, got ""'],
    [[{ ...good, mean: "1e999" }], 'RangeError: $: expected a finite number as moments[0].mean, got "1e999"'],
    [[{ ...good, m2: -1e-9 }], "RangeError: $: expected at least 0 as moments[0].m2, got -1e-9"],
    [[{ ...good, missing: true }], "TypeError: $: expected a finite number as moments[0].missing, got true"],
    [
      [{ ...good, name: "x", m2: Number.POSITIVE_INFINITY }],
      'RangeError: $: expected a finite number as moments[0].m2 (column "x"), got Infinity',
    ],
    [
      [{ ...good, name: "x", infinite: "3" }],
      'RangeError: $: expected finite values, got 3 that are infinite in column "x"; a missing value is NULL or NaN',
    ],
    [
      [{ ...good, name: "x" }, good],
      "TypeError: $: expected a name in all moments or in none, got undefined as moments[1].name",
    ],
    [
      [
        { ...good, name: "x" },
        { ...good, name: "x" },
      ],
      'RangeError: $: moments[1] is of "x", which was before; groups make a standardizer each',
    ],
  ])("refuses %j", (moments, message) => {
    expect(thrown(() => Standardizer.fromMoments(moments as ColumnMoments[]))).toBe(
      message.replace("$", "Standardizer.fromMoments"),
    );
  });

  it("refuses weights beyond float64, there and in a merge", () => {
    const most = { count: 1e308, mean: 1, m2: 0, squares: 1 };
    const message = "the weights of column 0 exceed float64; divide all of them by a constant first";
    expect(thrown(() => Standardizer.fromMoments([{ ...most, missing: 1e308 }]))).toBe(
      `RangeError: Standardizer.fromMoments: ${message}`,
    );
    const [one, other] = [Standardizer.fromMoments([most]), Standardizer.fromMoments([most])];
    const before = JSON.stringify(one);
    expect(thrown(() => one.merge(other))).toBe(`RangeError: Standardizer.merge: ${message}`);
    expect(JSON.stringify(one)).toBe(before);
  });

  it("refuses a variance beyond float64, as fromJSON does, and keeps no −0", () => {
    const message =
      "the sum of squared deviations of column 0 exceeds float64; divide the column by a constant first";
    expect(() => Standardizer.fromMoments([{ count: 5e-324, mean: 0, m2: 1 }])).toThrow(message);
    const json = Standardizer.fromMoments([{ count: 1, mean: -0, m2: 1 }]).toJSON();
    expect(() => Standardizer.fromJSON({ ...json, count: [5e-324] })).toThrow(message);
    expect(json.mean).toEqual([0]);
  });

  it("refuses names that are not those of the columns", () => {
    const named = [{ ...good, name: "a" }];
    expect(thrown(() => Standardizer.fromMoments(named, { columns: ["b"] }))).toBe(
      'RangeError: Standardizer.fromMoments: moments[0] is of "a", which is none of columns ("b")',
    );
    expect(thrown(() => Standardizer.fromMoments(named, { columns: ["a", "b"] }))).toBe(
      "RangeError: Standardizer.fromMoments: expected moments of 2 columns, as many as have names, got 1",
    );
  });
});

describe("names of columns", () => {
  const rows = [
    [1, 2],
    [3, 5],
  ];

  it("are kept in JSON, and only where they are given", () => {
    const named = new Standardizer({ columns: ["a", "b"] });
    expect(Standardizer.fromJSON(JSON.parse(JSON.stringify(named))).columns).toEqual(["a", "b"]);
    const back = Standardizer.fromJSON(JSON.parse(JSON.stringify(named.fit(rows))));
    expect(back.columns).toEqual(["a", "b"]);
    expect(JSON.stringify(back)).toBe(JSON.stringify(named));
    expect("columns" in new Standardizer().fit(rows).toJSON()).toBe(false);
    expect(new Standardizer().fit(rows).columns).toBe(undefined);
  });

  it("are copies", () => {
    const columns = ["a", "b"];
    const named = new Standardizer({ columns }).fit(rows);
    columns[0] = "z";
    named.toJSON().columns?.fill("y");
    expect(named.columns).toEqual(["a", "b"]);
    expect(() => (named.columns as string[]).push("c")).toThrow(TypeError);
  });

  it("are as many as features, in every method", () => {
    const named = new Standardizer({ columns: ["a", "b"] });
    for (const method of ["fit", "partialFit"] as const) {
      expect(thrown(() => named[method]([[1, 2, 3]]))).toBe(
        `RangeError: Standardizer.${method}: expected 2 features, as many as columns have names, got 3`,
      );
    }
    expect(thrown(() => named.merge(new Standardizer().fit([[1]])))).toBe(
      "RangeError: Standardizer.merge: expected 2 features, as many as columns have names, got 1",
    );
    expect(named.partialFit([]).partialFit(rows).count.length).toBe(2);
  });

  it("are the same in both that merge, or come with the one that has them", () => {
    const [ab, ac, plain] = [["a", "b"], ["a", "c"], undefined].map((columns) =>
      new Standardizer({ columns }).fit(rows),
    );
    const before = JSON.stringify(ab);
    expect(thrown(() => ab.merge(ac))).toBe(
      'RangeError: Standardizer.merge: both need the same columns, got "b" here and "c" there as column 1',
    );
    expect(JSON.stringify(ab)).toBe(before);
    expect(plain.merge(ab).columns).toEqual(["a", "b"]);
    expect(thrown(() => plain.merge(ac))).toContain("both need the same columns");
    expect(ab.merge(new Standardizer().fit(rows)).columns).toEqual(["a", "b"]);
  });

  it.each<[unknown, string]>([
    ["a", 'TypeError: Standardizer: columns must be a list of names, got "a"'],
    [[], "RangeError: Standardizer: columns must name at least 1 column, got none"],
    [["a", 3], "TypeError: Standardizer: columns must be names, got 3 as columns[1]"],
    [["a", "b", "a"], 'RangeError: Standardizer: columns must name each column once, got "a" twice'],
    [new Array(2), "TypeError: Standardizer: columns must be names, got undefined as columns[0]"],
  ])("that are none are refused: %j", (columns, message) => {
    expect(thrown(() => new Standardizer({ columns: columns as string[] }))).toBe(message);
    const json = { ...new Standardizer().toJSON(), columns };
    expect(thrown(() => Standardizer.fromJSON(json))).toBe(
      message.replace("Standardizer:", "Standardizer.fromJSON:"),
    );
  });

  it("in JSON are as many as the statistics", () => {
    const json = { ...new Standardizer().fit(rows).toJSON(), columns: ["a"] };
    expect(thrown(() => Standardizer.fromJSON(json))).toBe(
      "RangeError: Standardizer.fromJSON: count has 2 entries, columns has 1",
    );
  });
});

describe("missing values", () => {
  const x = [
    [gap, 10, gap],
    [1, gap, gap],
    [5, 30, gap],
  ];

  it("are counted apart, through merges and JSON", () => {
    const whole = new Standardizer().fit(x);
    expect([...whole.missing]).toEqual([1, 1, 3]);
    expect([...new Standardizer().missing]).toEqual([]);
    const merged = new Standardizer().fit(x.slice(0, 1)).merge(new Standardizer().fit(x.slice(1)));
    expect([...merged.missing]).toEqual([1, 1, 3]);
    expect([...Standardizer.fromJSON(JSON.parse(JSON.stringify(merged))).missing]).toEqual([1, 1, 3]);
    whole.missing.fill(9);
    expect([...whole.missing]).toEqual([1, 1, 3]);
  });

  it("weigh as values do: with count they make the weight of all rows, in any batches", () => {
    const weights = [2, 0.5, 3];
    for (const forgetting of [1, 0.8]) {
      const total = weights.reduce((sum, weight, row) => sum + weight * forgetting ** (2 - row), 0);
      const stream = new Standardizer({ forgetting });
      for (let row = 0; row < 3; row++) stream.partialFit([x[row]], { weights: [weights[row]] });
      for (const made of [stream, new Standardizer({ forgetting }).fit(x, { weights })]) {
        for (let j = 0; j < 3; j++) expect(made.count[j] + made.missing[j]).toBeCloseTo(total, 12);
        expect(made.missing[0]).toBeCloseTo(2 * forgetting ** 2, 12);
      }
    }
  });

  it("are 0 in what was saved before they were counted", () => {
    const { missing: _, ...json } = new Standardizer().fit(x).toJSON();
    expect([...Standardizer.fromJSON(json).missing]).toEqual([0, 0, 0]);
    expect(thrown(() => Standardizer.fromJSON({ ...json, missing: [0] }))).toBe(
      "RangeError: Standardizer.fromJSON: count has 3 entries, missing has 1",
    );
  });
});
