/** Weights of rows: against scikit-learn, rows repeated, two passes in float64; in any batches, shards and with forgetting. */
import { describe, expect, it } from "vitest";
import { Standardizer } from "../../src/standardizer/standardizer.js";
import sklearn from "../fixtures/standardizer/sklearn.json" with { type: "json" };
import { expectClose, normal, random } from "../support/numerics.js";

const gapped = (rows: (number | null)[][]) => rows.map((row) => row.map((value) => value ?? Number.NaN));

/** Weighted moments of a column in two passes, NaN left out. */
function direct(values: readonly number[], weights: readonly number[]) {
  const there = values.flatMap((value, i) =>
    Number.isNaN(value) || weights[i] === 0 ? [] : [{ value, weight: weights[i] }],
  );
  const sum = (of: (one: { value: number; weight: number }) => number) =>
    there.reduce((total, one) => total + of(one), 0);
  const count = sum(({ weight }) => weight);
  const rough = sum(({ value, weight }) => weight * value) / count;
  const mean = rough + sum(({ value, weight }) => weight * (value - rough)) / count;
  const m2 = sum(({ value, weight }) => weight * (value - mean) ** 2);
  const squares = sum(({ weight }) => weight * weight);
  const missing = weights.reduce((total, weight, i) => total + (Number.isNaN(values[i]) ? weight : 0), 0);
  return { count, mean, variance: m2 / count, unbiased: m2 / (count - squares / count), missing };
}

function expectDirect(
  actual: Standardizer,
  rows: readonly (readonly number[])[],
  weights: readonly number[],
  rounding = 1e-12,
) {
  const expected = rows[0].map((_, j) =>
    direct(
      rows.map((row) => row[j]),
      weights,
    ),
  );
  for (const part of ["count", "missing", "mean", "variance"] as const) {
    const values = expected.map((one) => one[part]);
    const size = (j: number) =>
      part === "mean"
        ? Math.abs(values[j]) + Math.sqrt(expected[j].variance)
        : Math.abs(values[j]) +
          (part === "variance" ? 1e-3 * Math.sqrt(values[j]) * Math.abs(expected[j].mean) : 0);
    expectClose(part, actual[part], values, (j) => rounding * size(j));
  }
  const unbiased = Standardizer.fromJSON({ ...actual.toJSON(), variance: "unbiased" }).variance;
  expectClose(
    "unbiased",
    unbiased,
    expected.map((one) => one.unbiased),
    (j) => 10 * rounding * expected[j].unbiased,
  );
}

/** Rows about a large mean, a tenth of them missing; weights from 0 on, a fifth of them 0. */
function weighted(count: number, seed: number) {
  const next = random(seed);
  const values = normal(count * 3, seed + 1);
  const rows = Array.from({ length: count }, (_, row) =>
    [0, 100, -1e4].map((mean, j) => (next() < 0.1 ? Number.NaN : mean + values[3 * row + j])),
  );
  const weights = rows.map(() => (next() < 0.2 ? 0 : 10 * next()));
  return { rows, weights };
}

describe("scikit-learn's sample_weight", () => {
  const x = gapped(sklearn.x);
  it.each(sklearn.cases)("$name", ({ weights, count, mean, variance, y }) => {
    const whole = new Standardizer().fit(x, { weights });
    const batched = new Standardizer();
    for (const [from, to] of [
      [0, 5],
      [5, 6],
      [6, 23],
    ]) {
      batched.partialFit(x.slice(from, to), { weights: weights.slice(from, to) });
    }
    for (const standardizer of [whole, batched]) {
      expectClose("count", standardizer.count, count, (j) => 1e-14 * count[j]);
      expectClose(
        "mean",
        standardizer.mean,
        mean,
        (j) => 1e-14 * (Math.abs(mean[j]) + Math.sqrt(variance[j])),
      );
      expectClose(
        "variance",
        standardizer.variance,
        variance,
        (j) => 1e-12 * variance[j] + 1e-18 * mean[j] ** 2,
      );
      const [made, expected] = [standardizer.transform(x).flat(), gapped(y).flat()];
      expect(made.map(Number.isNaN)).toEqual(expected.map(Number.isNaN));
      const there = (values: number[]) => values.filter((value) => !Number.isNaN(value));
      expectClose("y", Float64Array.from(there(made)), there(expected), () => 1e-8);
    }
  });
});

describe("weights", () => {
  it("of whole numbers count rows as often", () => {
    const { rows } = weighted(60, 30);
    const weights = rows.map((_, row) => row % 4);
    const repeated = rows.flatMap((row, i) => new Array<number[]>(weights[i]).fill(row));
    const [once, often] = [new Standardizer().fit(rows, { weights }), new Standardizer().fit(repeated)];
    for (const part of ["count", "missing", "mean", "variance"] as const) {
      expectClose(part, once[part], often[part], (j) => 1e-14 * Math.abs(often[part][j]) + 1e-12);
    }
  });

  it("are what two passes give, in any batches and shards", () => {
    const { rows, weights } = weighted(500, 31);
    expectDirect(new Standardizer().fit(rows, { weights }), rows, weights);
    for (let seed = 0; seed < 8; seed++) {
      const next = random(seed);
      const cuts = [0, 500, ...Array.from({ length: 6 }, () => Math.floor(500 * next()))].sort(
        (a, b) => a - b,
      );
      const [stream, merged] = [new Standardizer(), new Standardizer()];
      for (let i = 1; i < cuts.length; i++) {
        const [part, of] = [
          rows.slice(cuts[i - 1], cuts[i]),
          { weights: weights.slice(cuts[i - 1], cuts[i]) },
        ];
        stream.partialFit(part, of);
        merged.merge(new Standardizer().partialFit(part, of));
      }
      expectDirect(stream, rows, weights);
      expectDirect(merged, rows, weights);
    }
  });

  it.each([0.99, 0.5])("are multiplied by λ^age: λ = %s", (forgetting) => {
    const { rows, weights } = weighted(300, 32);
    const expected = weights.map((weight, row) => weight * forgetting ** (299 - row));
    for (const step of [1, 7, 300]) {
      const standardizer = new Standardizer({ forgetting });
      for (let at = 0; at < 300; at += step) {
        const of = Float64Array.from(weights.slice(at, at + step));
        standardizer.partialFit(rows.slice(at, at + step), { weights: of });
      }
      expectDirect(standardizer, rows, expected);
    }
  });

  it("of 0 take no part, whatever stands in the row", () => {
    const x = [[1e300], [1], [-1.7e308], [3], [Number.NaN]];
    for (const forgetting of [1, 0.9]) {
      const standardizer = new Standardizer({ forgetting }).fit(x, { weights: [0, 1, 0, 1, 0] });
      const alike = new Standardizer({ forgetting }).fit([[1], [Number.NaN], [3], [Number.NaN]]);
      expect(standardizer.mean[0]).toBe(alike.mean[0]);
      expect(standardizer.variance[0]).toBe(alike.variance[0]);
      expect(standardizer.missing[0]).toBe(0);
    }
    const before = new Standardizer().fit([[1], [2]]);
    expect(before.partialFit([[7]], { weights: [0] }).mean[0]).toBe(1.5);
  });

  it("keep equal values constant, to the bit", () => {
    const next = random(33);
    for (const value of [0.1, 1e6 + 0.1, -1 / 3]) {
      const x = Array.from({ length: 701 }, () => [value]);
      const standardizer = new Standardizer().fit(x, { weights: x.map(() => next()) });
      expect([standardizer.mean[0], standardizer.variance[0]]).toEqual([value, 0]);
    }
  });

  it.each<[unknown, string]>([
    [[1], "RangeError: Standardizer.$: expected 2 weights, one a row, got 1"],
    [[1, -1], "RangeError: Standardizer.$: weights must be 0 or from 1e-100 to 1e100, got -1 for row 1"],
    [
      [Number.NaN, 1],
      "RangeError: Standardizer.$: weights must be 0 or from 1e-100 to 1e100, got NaN for row 0",
    ],
    [
      Float32Array.of(1, Number.POSITIVE_INFINITY),
      "RangeError: Standardizer.$: weights must be 0 or from 1e-100 to 1e100, got Infinity for row 1",
    ],
    [[1, "1"], 'TypeError: Standardizer.$: weights must be 0 or from 1e-100 to 1e100, got "1" for row 1'],
    [2, "TypeError: Standardizer.$: weights must be a list or a typed array of numbers, got 2"],
    [
      BigInt64Array.of(1n, 2n),
      "TypeError: Standardizer.$: weights must be a list or a typed array of numbers, got an object (BigInt64Array)",
    ],
  ])("that are none are refused: %s", (weights, message) => {
    for (const method of ["fit", "partialFit"] as const) {
      const standardizer = new Standardizer().fit([[1], [5]]);
      const before = JSON.stringify(standardizer);
      let said = "nothing";
      try {
        standardizer[method]([[1], [2]], { weights: weights as number[] });
      } catch (error) {
        said = String(error);
      }
      expect(said).toBe(message.replace("$", method));
      expect(JSON.stringify(standardizer)).toBe(before);
    }
  });

  it("all 0 fit nothing, and say so", () => {
    const standardizer = new Standardizer();
    expect(() => standardizer.fit([[1], [2]], { weights: [0, 0] })).toThrow(
      "Standardizer.fit: expected a weight above 0, got 0 for every row",
    );
    expect(() => standardizer.fit([[1]], { sample_weight: [1] } as never)).toThrow(
      'Standardizer.fit: no option is called "sample_weight"; it is called "weights" here',
    );
    expect(() => standardizer.fitTransform([[1]], { sampleWeight: [1] } as never)).toThrow(
      'Standardizer.fitTransform: no option is called "sampleWeight"; it is called "weights" here',
    );
    expect(standardizer.fitTransform([[1], [5]], { weights: [3, 1] })[0][0]).toBeCloseTo(
      -1 / Math.sqrt(3),
      15,
    );
  });
});
