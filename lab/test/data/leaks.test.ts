import { expect, test } from "vitest";
import type { Value } from "../../src/data/table.js";
import type { DatasetOptions } from "../../src/datasets/dataset.js";
import { toDataset } from "../../src/datasets/tabular.js";
import { rows, scattered, tableOf } from "../support/tables.js";

const warnings = (columns: Record<string, readonly (Value | Date)[]>, options: DatasetOptions = {}) =>
  toDataset(tableOf(columns), options, "").warnings;

const N = 200;
const a = rows(N, (i) => scattered(i));
const b = rows(N, (i) => scattered(i, Math.PI));
/** Two classes that a and b tell of, not perfectly. */
const y = rows(N, (i) => (a[i] + 0.5 * b[i] + 0.6 * scattered(i, Math.E) > 1 ? "yes" : "no"));
const amount = rows(N, (i) => 3 * a[i] + b[i] + scattered(i, Math.E));

test("good data are not suspected", () => {
  expect(warnings({ a, b, y })).toEqual([]);
  expect(warnings({ a, b, amount })).toEqual([]);
  const sorted = rows(N, (i) => i).sort((i, j) => Number(y[i] > y[j]));
  expect(warnings({ id: rows(N, (i) => i), a: sorted.map((i) => a[i]), y: sorted.map((i) => y[i]) })).toEqual(
    [],
  );
});

test("rows that are in two parts", () => {
  const twice = <T>(values: T[]) => [...values, ...values.slice(0, 100)];
  const [warning, ...others] = warnings({ a: twice(a), b: twice(b), y: twice(y) });
  expect(warning).toMatch(
    /^\d\d held-out rows of 60 \(\d\d %\) are in the training part too, equal in every input and the target; remove the copies from the file, or keep them together with --group$/,
  );
  // of 60 held-out rows 40 have a copy, 64 % of which train
  expect(Number.parseInt(warning, 10)).toBeGreaterThan(15);
  expect(Number.parseInt(warning, 10)).toBeLessThan(36);
  expect(others).toEqual([]);
});

test("rows of few different values are equal by chance", () => {
  const bit = (shift: number) => rows(N, (i) => (i >> shift) & 1);
  expect(warnings({ a: bit(0), b: bit(1), c: bit(3), y: rows(N, (i) => ((i >> 1) ^ i) & 1) })).toEqual([]);
});

test("scores that go together are equal without being copies", () => {
  const score = (step: number) => (_: unknown, i: number) => {
    const severe = i % 3 === 0;
    return severe ? Math.floor(10 * scattered(i, step)) : Number(scattered(i, step) > 0.95);
  };
  const scores = Object.fromEntries(
    [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31].map((n) => [`s${n}`, a.map(score(Math.sqrt(n)))]),
  );
  expect(warnings({ ...scores, y: a.map((_, i) => (i % 3 === 0 ? "malignant" : "benign")) })).toEqual([]);
  // three different rows in all
  const loss = a.map((_, i) => (i % 5) % 3);
  expect(
    warnings({ loss, half: loss.map((one) => one / 2), y: loss.map((one) => one ** 3) }),
  ).not.toContainEqual(expect.stringContaining("held-out rows"));
});

test("rows that are equal only as their levels became other are no copies", () => {
  const word = (step: number) => rows(600, (i) => `w${Math.floor(300 * scattered(i, step))}`);
  const labels = rows(600, (i) => Number(scattered(i) > 0.5));
  expect(warnings({ a: word(Math.PI), b: word(Math.E), labels }, { levels: 1 })).toEqual([]);
});

test("images that are in two parts", () => {
  const pixel = (step: number) => rows(N, (i) => Math.floor(16 * scattered(i % 120, step)));
  const columns = { p: pixel(Math.PI), q: pixel(Math.E), r: pixel(Math.SQRT2), s: pixel(Math.sqrt(7)) };
  const labels = rows(N, (i) => (i % 120) % 2);
  expect(warnings({ ...columns, labels }, { image: [2, 2] })).toHaveLength(1);
});

test("one copy is not told", () => {
  const copied = (values: readonly Value[]) => values.with(0, values[1]);
  expect(warnings({ a: copied(a), b: copied(b), y: copied(y) })).toEqual([]);
});

test.each<[string, readonly Value[]]>([
  ["a code of the classes", y.map((label) => (label === "yes" ? 7 : 3))],
  ["a text of them, with a gap", y.map((label, i) => (i % 100 === 0 ? null : `is ${label}`))],
  ["numbers on two sides of a threshold", y.map((label, i) => (label === "yes" ? 1 : -1) * (0.1 + b[i]))],
])("an input gives the target away: %s", (_, code) => {
  const found = warnings({ a, code, y });
  expect(found).toEqual([
    '"code" alone predicts "y" (nearly) perfectly; if it is known only with the target, leave it out: --ignore code',
  ]);
});

test("an input that is right in 19 of 20 rows is not suspected", () => {
  expect(warnings({ a, code: y.map((label, i) => (i % 20 ? label : "no")), b, y })).toEqual([]);
});

test("uneven classes: always the same answer is no gift", () => {
  const rare = rows(1000, (i) => (i % 200 === 0 ? "yes" : "no"));
  const some = rows(1000, (i) => scattered(i));
  expect(warnings({ some, flag: rows(1000, (i) => `f${i % 7}`), rare })).toEqual([]);
});

test("inputs give a number away, each alone", () => {
  expect(
    warnings({
      a,
      euros: amount.map((one) => 0.9 * one + 3),
      "log (1)": amount.map((one) => Math.log(1 + one)),
      amount,
    }),
  ).toEqual([
    '"euros" and "log (1)" each alone predict "amount" (nearly) perfectly; if they are known only with the target, leave them out: --ignore euros --ignore "log (1)"',
  ]);
  // with noise of a twentieth it may be a good measurement
  expect(
    warnings({ a, b, near: amount.map((one, i) => one + 0.3 * scattered(i, Math.sqrt(7))), amount }),
  ).toEqual([]);
});

test("a single input is meant to predict", () => {
  expect(warnings({ a, y: rows(N, (i) => 2 * a[i]) })).toEqual([]);
});

/** 20 patients of 10 rows, each with its own place and its own class. */
const patient = rows(N, (i) => Math.floor(i / 10));
const grouped = {
  a: rows(N, (i) => scattered(patient[i]) + 0.01 * a[i]),
  y: rows(N, (i) => (scattered(patient[i], Math.E) > 0.5 ? "ill" : "well")),
};
const groupWarning = (name: string) =>
  `"${name}" looks like a group: each of its 20 values has several rows (10 on average) with one and the same target; keep them in one part with --group ${name}`;

test("groups: by what they are called, whatever the order of the rows", () => {
  const order = rows(N, (i) => (i * 37) % N);
  const shuffled = {
    patient_id: order.map((i) => patient[i]),
    a: order.map((i) => grouped.a[i]),
    y: order.map((i) => grouped.y[i]),
  };
  expect(warnings(shuffled)).toEqual([groupWarning("patient_id")]);
  expect(warnings(shuffled, { group: "patient_id" })).toEqual([]);
  expect(warnings(shuffled, { split: "random" })).toHaveLength(1);
});

test("groups of similar targets, where a column is called as what names things", () => {
  const near = patient.map((one, i) => 1.2 * scattered(one, Math.PI) + scattered(i, Math.SQRT2));
  expect(warnings({ patient, a, near })).toEqual([
    groupWarning("patient").replace("one and the same target", "similar targets"),
  ]);
  expect(warnings({ where: patient.map((one) => `w${one}`), a, near })).toEqual([]);
});

test("many small groups are seen as well", () => {
  const many = rows(12_000, (i) => i);
  const user = many.map((i) => Math.floor(i / 2));
  const columns = {
    user,
    a: many.map((i) => scattered(i)),
    y: user.map((one) => Number(scattered(one, Math.E) > 0.5)),
  };
  expect(warnings(columns)).toEqual([
    '"user" looks like a group: each of its 6,000 values has several rows (2 on average) with one and the same target; keep them in one part with --group user',
  ]);
});

test("groups: texts whose rows stand together", () => {
  expect(warnings({ who: patient.map((one) => `w${one}`), ...grouped })).toEqual([groupWarning("who")]);
});

test("what names things but says no more of the target than chance is no group to keep together", () => {
  expect(warnings({ patient, a, b, y })).toEqual([]);
  expect(warnings({ patient, a, b, amount })).toEqual([]);
});

test("dates, unless time divides", () => {
  const when = rows(N, (i) => new Date(Date.UTC(2024, 0, 1 + i)));
  expect(warnings({ when, a, b, y })).toEqual([
    '"when" says when, and the parts are drawn at random: where later rows are to be predicted from earlier ones, use --split time',
  ]);
  expect(warnings({ when, sold: when.toReversed(), a, y })).toEqual([
    '"when" says when, and the parts are drawn at random: where later rows are to be predicted from earlier ones, use --split time --time when',
  ]);
  expect(warnings({ when, a, b, y }, { split: "time" })).toEqual([]);
  expect(warnings({ when, a, b, y }, { split: "random" })).toEqual([]);
});

test("a counter along which the target changes slowly", () => {
  const waves = rows(N, (i) => Math.sin(i / 9) + 0.1 * a[i]);
  expect(warnings({ t: rows(N, (i) => i), b, waves })).toEqual([
    '"waves" changes slowly along "t", and the parts are drawn at random: a row\'s neighbours give it away; use --split time --time t',
  ]);
  expect(
    warnings({ second: rows(N, (i) => i / 4), b, state: waves.map((one) => (one > 0 ? "up" : "down")) }),
  ).toHaveLength(1);
  expect(warnings({ t: rows(N, (i) => i), b, amount })).toEqual([]);
});

test("few rows are not suspected, but told", () => {
  expect(warnings({ a: [1, 1, 1, 2, 2, 2], b: [0, 1, 2, 3, 4, 9], y: [0, 0, 0, 1, 1, 1] })).toEqual([
    "2 rows are held out, so few that networks can hardly be told apart by them; bring more rows",
  ]);
});
