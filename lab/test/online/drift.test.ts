/** Drift: what shifts is found and named, what only varies is not. */
import { expect, test } from "vitest";
import { DriftWatch } from "../../src/online/drift.js";
import type { Drift } from "../../src/online/history.js";
import { deviateOf, twoTails } from "../../src/online/normal.js";
import { drawsOf } from "./support/draws.js";

/** t, degrees of freedom, and the normal deviate as unlikely: scipy.stats, norm.isf(t.sf(t, freedom)). */
const T_AS_NORMAL = [
  [2, 34, 1.930541038348752],
  [7, 34, 5.471226475428357],
  [8, 60, 6.573934935125108],
  [6, 500, 5.893088077837152],
];

/** So many false alarms in a million records would be usual. */
const CHANCE = 0.1;

/** What is found in values by their record. */
function found(count: number, next: (record: number) => number, block = 64): Drift[] {
  const watch = new DriftWatch(0, "x", CHANCE, block);
  const drifts: Drift[] = [];
  for (let record = 0; record < count; record++) {
    const drift = watch.add(next(record), record);
    if (drift) drifts.push(drift);
  }
  return drifts;
}

/** x_t = part · x_(t−1) + noise, of unit variance. */
function correlated(part: number, normal: () => number): () => number {
  let x = 0;
  return () => {
    x = part * x + Math.sqrt(1 - part ** 2) * normal();
    return x;
  };
}

const { normal, uniform } = drawsOf(14);
const still: [string, (record: number) => number][] = [
  ["normal values", normal],
  ["values far from 0", () => 1e9 + normal()],
  ["heavy tails", () => normal() / normal()],
  ["skewed values", () => Math.exp(2 * normal())],
  ["values that depend on the one before", correlated(0.9, normal)],
  ["values that depend on those long before", correlated(0.99, normal)],
  [
    "a random walk",
    (() => {
      let x = 0;
      return () => (x += normal());
    })(),
  ],
  ["a season", (record) => 2 * Math.sin((2 * Math.PI * record) / 48) + normal()],
  ["rare events", () => Number(uniform() < 0.001)],
  [
    "a few events close together",
    (record) => Number(record > 30_000 && record < 30_200 && record % 40 === 0),
  ],
  ["values that are missing now and then", () => (uniform() < 0.002 ? Number.NaN : normal())],
  ["values that are mostly missing", () => (uniform() < 0.9 ? Number.NaN : normal())],
  ["a constant", () => 0.1],
  ["nothing at all", () => Number.NaN],
];

test.each(still)("no drift of %s", (_, next) => {
  expect(found(40_000, next)).toEqual([]);
});

/** Records before the shift: of these a few blocks scale and make the reference. */
const LEAD = 10_000;

test.each([
  ["mean", 0.5, 1, 0, 1000],
  ["mean", 1, 1, 0, 600],
  ["mean", -4, 1, 0, 400],
  ["spread", 0, 1.5, 0, 1000],
  ["spread", 0, 0.5, 0, 1000],
  ["missing", 0, 1, 0.3, 600],
  ["missing", 0, 1, 1, 400],
] as const)(
  "%s: a shift of %f sd, spread × %f, %f missing is found within %i records",
  (of, shift, factor, missing, within) => {
    const draws = drawsOf(5);
    const drifts = found(LEAD + 20_000, (record) => {
      const x = draws.normal();
      if (record < LEAD) return 100 + 5 * x;
      return draws.uniform() < missing ? Number.NaN : 100 + 5 * (shift + factor * x);
    });
    expect(drifts.length).toBe(1);
    const [drift] = drifts;
    expect(drift).toMatchObject({ column: 0, name: "x", of });
    expect(drift.found).toBeGreaterThanOrEqual(LEAD);
    expect(drift.found).toBeLessThan(LEAD + within);
    expect(Math.abs(drift.since - LEAD)).toBeLessThan(200);
    expect(drift.before.mean).toBeCloseTo(100, 0);
    expect(drift.before.deviation).toBeCloseTo(5, 0);
    expect(drift.chance).toBeLessThan(1e-7);
    const { after } = drift;
    if (shift !== 0) expect(after.mean / 5 - 20).toBeCloseTo(shift, 0);
    if (of === "spread") expect(Math.abs(after.deviation / 5 - factor)).toBeLessThan(0.15);
    expect(Math.abs(after.missing - missing)).toBeLessThan(0.2);
  },
);

test("after a drift the reference starts anew: going back is a drift too", () => {
  const draws = drawsOf(6);
  const drifts = found(3 * LEAD, (record) => draws.normal() + (Math.floor(record / LEAD) === 1 ? 2 : 0));
  expect(drifts.map(({ of, found }) => [of, Math.floor(found / LEAD)])).toEqual([
    ["mean", 1],
    ["mean", 2],
  ]);
  expect(drifts[1].before.mean).toBeCloseTo(2, 1);
});

test("a column that was constant, or had no values, and then varies", () => {
  const draws = drawsOf(7);
  const constant = found(2 * LEAD, (record) => (record < LEAD ? 3 : 3 + draws.normal()));
  expect(constant[0].found - LEAD).toBeLessThan(600);
  const absent = found(4 * LEAD, (record) => (record < 2 * LEAD ? Number.NaN : draws.normal()));
  expect(absent.map(({ of }) => of)).toEqual(["missing"]);
  const rare = found(4 * LEAD, (record) => (record < 2 * LEAD && record % 300 > 0 ? Number.NaN : 7));
  expect(rare[0].before).toMatchObject({ mean: 7, missing: expect.closeTo(299 / 300, 4) });
});

test("a shift of values that are mostly missing", () => {
  const draws = drawsOf(9);
  const drifts = found(4 * LEAD, (record) =>
    draws.uniform() < 0.85 ? Number.NaN : draws.normal() + (record < 2 * LEAD ? 0 : 2),
  );
  expect(drifts.map(({ of }) => of)).toEqual(["mean"]);
  expect(drifts[0].found - 2 * LEAD).toBeLessThan(3000);
});

test("a season longer than the reference is no drift where blocks are as long as it", () => {
  const draws = drawsOf(8);
  const season = 4000;
  const seasonal = (record: number) => 3 * Math.sin((2 * Math.PI * record) / season) + draws.normal();
  expect(found(45 * season, seasonal, season)).toEqual([]);
});

test("tails", () => {
  // scipy.stats: 2 * norm.sf(z)
  for (const [z, chance] of [
    [0, 1],
    [1, 0.31731050786291415],
    [1.959963984540054, 0.05],
    [6, 1.973175290075402e-9],
    [10, 1.5239706048321e-23],
  ]) {
    expect(Math.abs(twoTails(z) / chance - 1)).toBeLessThan(2e-7);
  }
  for (const [t, freedom, z] of T_AS_NORMAL)
    expect(Math.abs(deviateOf(t, freedom) / z - 1)).toBeLessThan(2e-3);
});
