/** Windows of series: what a forecast is of and made from, parts in time of which none reaches into the next, and what is too short. */
import { expect, test } from "vitest";
import { splitOf } from "../../src/data/split.js";
import type { Value } from "../../src/data/table.js";
import type { Dataset, DatasetOptions } from "../../src/datasets/dataset.js";
import { toSeries } from "../../src/datasets/series.js";
import { loadDataset } from "../../src/node/datasets.js";
import { errorOf, write } from "../support/files.js";
import { rows, scattered, tableOf } from "../support/tables.js";

const HOUR = 3_600_000;
const every = (count: number, ms: number) => rows(count, (i) => new Date(Date.UTC(2024, 0, 1) + ms * i));
const made = (columns: Record<string, readonly (Value | Date)[]>, options: DatasetOptions = {}) =>
  toSeries(tableOf(columns), options, "made up");
/** `count` hours of noise. */
const hourly = (count: number, options?: DatasetOptions) =>
  made({ when: every(count, HOUR), a: rows(count, (i) => scattered(i)) }, options);
const failure = (count: number, options: DatasetOptions) => errorOf(() => hourly(count, options));
const told = ({ decisions }: Dataset) => decisions.map(({ what, why, option }) => [what, why, option]);

test("a dataset of windows, each with the steps after it, standardized by all steps", () => {
  const count = 200;
  const a = rows(count, (i) => 1e6 + 3 * scattered(i));
  const data = made(
    { when: every(count, HOUR), a, b: rows(count, (i) => scattered(i, Math.PI)) },
    { horizon: 4, window: 10, season: 2 },
  );
  expect(data).toMatchObject({
    name: "test",
    provenance: "made up",
    metric: "MSE",
    target: "a and b",
    inputs: [
      { column: "a", how: "a series", names: ["a"] },
      { column: "b", how: "a series", names: ["b"] },
    ],
    form: { input: { kind: "series", shape: [10, 2] }, outputs: [4, 2] },
    classes: [],
    count: 187,
    targetShape: [4, 2],
    yScale: 1,
    season: 2,
    drawn:
      "has the same parts: the latest 20 % of the steps (from 2024-01-07 on) are held out, and the 16 % before them are for validation",
    fileRows: count,
    decisions: [],
    warnings: [],
  });
  expect([...data.scaled]).toEqual([1, 1]);
  expect(data.y).toHaveLength(0);
  expect(data.windows?.ahead).toBe(10);
  expect([...(data.windows?.starts ?? [])]).toEqual(rows(187, (i) => i));
  const { mean, deviation } = data.reading as { mean: number[]; deviation: number[] };
  for (const step of [0, 77, 199]) expect(data.x[2 * step] * deviation[0] + mean[0]).toBeCloseTo(a[step], 5);
  expect(data.reading).toMatchObject({
    from: "series",
    layout: { time: "when", names: ["a", "b"], grid: { unit: "milliseconds", size: HOUR } },
    window: 10,
    horizon: 4,
  });
});

test.each([
  ["the usual shares", undefined, [128, 160]],
  ["shares of one's own", [0.6, 0.2, 0.2] as [number, number, number], [120, 160]],
])("no target of one part reaches into another, and all steps are used: %s", (_, shares, [first, second]) => {
  const data = hourly(200, { horizon: 7, window: 20, shares });
  const { train, validation, heldOut } = splitOf(data.parts, data.count, 1);
  const starts = data.windows?.starts ?? new Int32Array();
  /** [first step, end) of the targets of a part. */
  const targets = (part: Int32Array) => {
    const begins = Array.from(part, (row) => starts[row] + 20);
    return [Math.min(...begins), Math.max(...begins) + 7];
  };
  expect(targets(train)).toEqual([20, first]);
  expect(targets(validation)).toEqual([first, second]);
  expect(targets(heldOut)).toEqual([second, 200]);
});

test.each([1e200, 1e-200])("numbers whose squares are none, such as %d, are refused", async (size) => {
  const a = rows(50, (i) => size * (7 + scattered(i)));
  expect(await errorOf(() => made({ when: every(50, HOUR), a }, { horizon: 2, window: 4 }))).toBe(
    'UsageError: series "a": its numbers are too large or too close to each other to be learnt from; use other units',
  );
});

test("the first steps alone, where so many are asked for", () => {
  const data = hourly(300, { limit: 120, horizon: 3, window: 5 });
  expect(data.x).toHaveLength(120);
  expect(data.count).toBe(120 - 8 + 1);
});

test("of a file, all rows are read before the first steps are taken", async () => {
  const lines = rows(
    6000,
    (i) => `${new Date(Date.UTC(2020, 0, 1) + HOUR * i).toISOString()},${(i * i) % 7}`,
  );
  const file = write("long.csv", ["when,a", ...lines].join("\n"));
  const data = await loadDataset(file, { limit: 100, horizon: 2, window: 4, season: 7 });
  expect(data.windows).toBeDefined();
  const scaled = [...data.x.subarray(0, 7)];
  expect([...data.x]).toEqual(rows(100, (i) => scaled[i % 7]));
});

test("season, horizon and window by the length of a step, and told", () => {
  expect(told(hourly(2000))).toEqual([
    ["a season is 24 steps", "a day", "--season STEPS"],
    ["a forecast is of 24 steps", "a season", "--horizon STEPS"],
    ["made from the 72 steps before it", "3 times as many", "--window STEPS"],
  ]);
  expect(told(hourly(2000, { horizon: 6 })).slice(1)).toEqual([
    ["made from the 72 steps before it", "3 seasons", "--window STEPS"],
  ]);
  // 32 steps for validation
  expect(told(hourly(200)).slice(1)).toEqual([
    ["a forecast is of 16 steps", "half of what validation and held-out part have", "--horizon STEPS"],
    ["made from the 56 steps before it", "half of the training part", "--window STEPS"],
  ]);
});

test.each<[string, number, number]>([
  ["half-hours", HOUR / 2, 48],
  ["days", 24 * HOUR, 7],
  ["weeks", 7 * 24 * HOUR, 52],
  ["minutes, of which there are no three days", HOUR / 60, 60],
  ["seven hours, which make no day", 7 * HOUR, 24],
])("the season of %s", (_, ms, season) => {
  expect(made({ when: every(400, ms), a: rows(400, (i) => scattered(i)) }).season).toBe(season);
});

/** From 0 to 1, of no period. */
const noise = (i: number) => (43758.5453 * (1 + Math.sin(12.9898 * (i + 1)))) % 1;

test.each<[string, (i: number) => number, number, string]>([
  [
    "comes again",
    (i) => Math.sin((2 * Math.PI * i) / 12) + scattered(i) / 5 + i / 10,
    12,
    "by the autocorrelation",
  ],
  [
    "comes again in noise",
    (i) => Math.sin((2 * Math.PI * i) / 24) + 2 * noise(i),
    24,
    "by the autocorrelation",
  ],
  ["is noise", (i) => noise(i), 1, "none shows"],
  ["drifts", (i) => rows(i, (step) => noise(step) - 0.5).reduce((a, b) => a + b, 0), 1, "none shows"],
])("rows without times have a season where one %s", (_, value, season, why) => {
  const data = made({ y: rows(300, value) });
  expect(data.season).toBe(season);
  expect(data.decisions[0]).toMatchObject({ why, option: "--season STEPS" });
});

test("of very many windows some are left out, at every time of the day", () => {
  const data = hourly(45_000, { horizon: 24, window: 48 });
  const starts = data.windows?.starts ?? new Int32Array();
  expect(data.count).toBeLessThanOrEqual(20_000);
  expect(starts.at(-1)).toBe(45_000 - 72);
  expect(new Set(Array.from(starts, (start) => start % 24)).size).toBe(24);
  expect(told(data).at(-1)).toEqual([
    "a window begins at every 5th step",
    "there would be 44,929 windows of 72 values",
    "--limit STEPS",
  ]);
});

test.each<[string, number, DatasetOptions, string]>([
  [
    "too few steps",
    4,
    {},
    "expected steps enough for parts of 64, 16, 20 % of them (2 for training, 1 each for validation and held out, at least), got 4 steps: 3, 0 and 1; bring more rows, or give the parts other shares with --parts",
  ],
  [
    "a horizon that is longer than a part",
    200,
    { horizon: 33 },
    "--horizon: expected at most 32, since parts of 64, 16, 20 % of 200 steps are 128, 32 and 40, in each of which a forecast lies whole, got 33; use --horizon 32 or less, give the parts other shares with --parts, or bring more rows",
  ],
  [
    "a window that is longer than the training part",
    200,
    { horizon: 30, window: 99 },
    "--window: expected at most 98, since a window and the 30 steps of its forecast lie in the 128 steps of the training part (64 % of 200), got 99; use --window 98 or less, a shorter --horizon, give the parts other shares with --parts, or bring more rows",
  ],
  [
    "a season that is longer than the training part",
    200,
    { season: 128 },
    "--season: expected at most 127, since the naive forecast of a season is measured in the 128 steps of the training part, got 128; use a shorter one, or --season 1 for none",
  ],
  [
    "too many values",
    200,
    { limits: { cells: 150 } },
    "expected at most 150 values (steps × series), got 200 × 1; use fewer steps with --limit, or fewer series with --ignore",
  ],
])("%s", async (_, count, options, message) => {
  expect(await failure(count, options)).toBe(`UsageError: ${message}`);
});

test("steps that --limit leaves out are not asked for as rows", async () => {
  expect(await failure(40, { limit: 4 })).toContain(
    "got 4 steps: 3, 0 and 1; raise --limit where there are more rows, or give the parts other shares with --parts",
  );
});

test("what an error proposes is possible", () => {
  const data = hourly(200, { horizon: 32 });
  expect(splitOf(data.parts, data.count, 1).validation).toHaveLength(1);
  const narrow = hourly(200, { horizon: 30, window: 98 });
  expect(splitOf(narrow.parts, narrow.count, 1).train).toHaveLength(1);
  // and so is the least number of steps
  const least = hourly(5, {});
  const { train, validation, heldOut } = splitOf(least.parts, least.count, 1);
  expect(Math.min(train.length, validation.length, heldOut.length)).toBe(1);
});

test.each(["etth1", "electricity", "co2"])("%s comes with the lab as a series", async (name) => {
  const data = await loadDataset(name, { limit: 400 });
  expect(data.form.input.kind).toBe("series");
  expect(data.season).toBe({ etth1: 24, electricity: 48, co2: 12 }[name]);
});
