/**
 * From series in a table to what a network trains on: windows of steps, each with the steps after it as its target. Parts
 * follow each other in time, and no target reaches from one into the next.
 */
import { count, listed, quote } from "@evenkeel/report/format";
import { type Grid, type Series, type SeriesLayout, seriesLayout, seriesOf } from "../data/series.js";
import { percent, SAME_PARTS, usualShares } from "../data/split.js";
import { meanAndDeviation } from "../data/standardize.js";
import { type Decision, type Table, usualLimits } from "../data/table.js";
import { UsageError } from "../errors.js";
import { metricOf, taskFrom } from "../tasks/registry.js";
import type { Dataset, DatasetOptions } from "./dataset.js";
import { type FileReading, fileReading } from "./reading.js";

/** How series are read, for those that come later. */
export interface SeriesReading extends Record<string, unknown> {
  from: "series";
  layout: SeriesLayout;
  file: FileReading;
  /** [series]: x is (value − mean) / deviation. */
  mean: number[];
  deviation: number[];
  window: number;
  horizon: number;
}

/** What forecasts are of, in steps. */
interface Sizes {
  season: number;
  horizon: number;
  window: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Horizons, where the user does not say: a season of up to so many steps, else some of them. */
const LONGEST_SEASON = 96;
const USUAL_HORIZON = 24;
/** Windows, in horizons or seasons. */
const USUAL_WINDOW = 3;
/** Seasons that the training part holds at least. */
const FEWEST_SEASONS = 3;
/** Windows, and their values, of an epoch. */
const MOST_WINDOWS = 20_000;
const MOST_VALUES = 1.2e8;
/** Series that are named. */
const MOST_NAMED = 3;
/** The series, lags and steps at which a season is looked for, and the autocorrelation that it has. */
const LOOK = { series: 8, lags: 800, steps: 20_000 };
const LEAST_CORRELATION = 0.3;
/** Of the highest autocorrelation, that of the first lag which is taken for the season. */
const NEARLY = 0.75;

/**
 * The dataset of the series in `table`, with every decision on the way; `limit` is of its first steps. Throws UsageError
 * for options and data that do not fit.
 */
export function toSeries(table: Table, options: DatasetOptions, provenance: string): Dataset {
  const { layout, decisions: read } = seriesLayout(table, options);
  const { series, decisions: filled } = seriesOf(table, layout);
  const decisions = [...table.decisions, ...read, ...filled];
  const width = layout.names.length;
  const steps = Math.min(series.steps, options.limit ?? Infinity);
  checkCells(steps, width, options);
  const values = series.values.subarray(0, steps * width);
  const parts = partsOf(steps, options);
  const sizes = sizesOf({ values, steps, layout }, parts, options, decisions);
  const { season, horizon, window } = sizes;
  const starts = startsOf(steps, sizes, parts, width, decisions);
  const task = options.task ?? taskFrom("series");
  const { x, mean, deviation } = standardized(values, layout.names);
  const targetShape = [horizon, width];
  const [, validation, heldOut] = parts.shares.map(percent);
  const used = [layout.time, layout.clock?.column, layout.series, ...layout.values].filter(
    (name) => name !== undefined,
  );
  const file = fileReading(table, used, options);
  const reading: SeriesReading = { from: "series", layout, file, mean, deviation, window, horizon };
  return {
    name: table.name,
    provenance,
    task,
    metric: metricOf(task, [], options.metric),
    target: width <= MOST_NAMED ? listed(layout.names) : count(width, "series", "series"),
    inputs: layout.names.map((name) => ({ column: name, how: "a series", names: [name] })),
    form: { input: { kind: "series", shape: [window, width] }, outputs: targetShape },
    classes: [],
    count: starts.length,
    x,
    scaled: new Uint8Array(width).fill(1),
    y: new Float32Array(),
    targetShape,
    yScale: 1,
    windows: { starts, ahead: window },
    season,
    parts: {
      strata: new Int32Array(starts.length),
      time: Float64Array.from(starts, (start) => start + window),
      span: horizon,
      ...(options.shares && { shares: options.shares }),
    },
    drawn: `${SAME_PARTS}: the latest ${heldOut} of the steps${spanText(series, layout, parts)} are held out, and the ${validation} before them are for validation`,
    fileRows: table.fileRows,
    decisions,
    warnings: [],
    reading,
  };
}

// ---- parts ----

interface Lengths {
  shares: readonly [number, number, number];
  /** Steps of each part. */
  lengths: [train: number, validation: number, heldOut: number];
}

/** As `splitOf` cuts them. */
function partsOf(steps: number, options: DatasetOptions): Lengths {
  const shares: Lengths["shares"] = options.shares ?? usualShares;
  const [first, second] = [shares[0], shares[0] + shares[1]].map((share) => Math.round(share * steps));
  return { shares, lengths: [first, second - first, steps - second] };
}

/** " (from 2018-02-20)" */
function spanText(
  { times }: Series,
  { grid }: SeriesLayout,
  { lengths: [train, validation] }: Lengths,
): string {
  if (times === undefined || grid.unit === "rows" || grid.unit === "number") return "";
  const unit = grid.unit === "seconds" ? SECOND : 1;
  return ` (from ${new Date(unit * times[train + validation]).toISOString().slice(0, 10)} on)`;
}

// ---- season, horizon and window ----

interface Given {
  values: Float64Array;
  steps: number;
  layout: SeriesLayout;
}

function sizesOf(given: Given, parts: Lengths, options: DatasetOptions, decisions: Decision[]): Sizes {
  const { steps } = given;
  const [train, validation, heldOut] = parts.lengths;
  const shared = parts.shares.map((share) => Number((100 * share).toPrecision(3))).join(", ");
  const room = Math.min(validation, heldOut);
  if (train < 2 || room < 1) {
    throw new UsageError(
      `expected steps enough for parts of ${shared} % of them (2 for training, 1 each for validation and held out, at least), got ${count(steps, "step")}: ` +
        `${train}, ${validation} and ${heldOut}; ${moreRows(options)}, or give the parts other shares with --parts`,
    );
  }
  const season = seasonOf(given, train, options, decisions);
  const usual = season > 1 && season <= LONGEST_SEASON ? season : USUAL_HORIZON;
  const horizon = options.horizon ?? Math.max(1, Math.min(usual, Math.floor(room / 2), train - 1));
  const most = Math.min(room, train - 1);
  const raised = `give the parts other shares with --parts, or ${moreRows(options)}`;
  if (horizon > most) {
    throw new UsageError(
      `--horizon: expected at most ${most}, since parts of ${shared} % of ${count(steps, "step")} are ${train}, ${validation} and ${heldOut}, ` +
        `in each of which a forecast lies whole, got ${horizon}; use --horizon ${most} or less, ${raised}`,
    );
  }
  const longest = train - horizon;
  const window =
    options.window ??
    Math.max(1, Math.min(USUAL_WINDOW * Math.max(horizon, season), Math.floor(longest / 2)));
  if (window > longest) {
    throw new UsageError(
      `--window: expected at most ${longest}, since a window and the ${count(horizon, "step")} of its forecast lie in the ${count(train, "step")} ` +
        `of the training part (${percent(parts.shares[0])} of ${steps}), got ${window}; use --window ${longest} or less, a shorter --horizon, ${raised}`,
    );
  }
  if (options.horizon === undefined) {
    decisions.push({
      columns: [],
      what: `a forecast is of ${count(horizon, "step")}`,
      why:
        horizon < usual
          ? "half of what validation and held-out part have"
          : horizon === season
            ? "a season"
            : "the usual ones",
      option: "--horizon STEPS",
    });
  }
  if (options.window === undefined) {
    decisions.push({
      columns: [],
      what: `made from the ${count(window, "step")} before it`,
      why:
        window < USUAL_WINDOW * Math.max(horizon, season)
          ? "half of the training part"
          : `${USUAL_WINDOW} ${horizon >= season ? "times as many" : "seasons"}`,
      option: "--window STEPS",
    });
  }
  return { season, horizon, window };
}

const moreRows = ({ limit }: DatasetOptions): string =>
  limit === undefined ? "bring more rows" : "raise --limit where there are more rows";

function seasonOf(given: Given, train: number, { season }: DatasetOptions, decisions: Decision[]): number {
  if (season !== undefined) {
    if (season < train) return season;
    throw new UsageError(
      `--season: expected at most ${train - 1}, since the naive forecast of a season is measured in the ${count(train, "step")} of the training part, got ${season}; ` +
        "use a shorter one, or --season 1 for none",
    );
  }
  const { grid } = given.layout;
  const known = cycles(grid).find(({ length }) => FEWEST_SEASONS * length <= train);
  const found = known?.length ?? (hasClock(grid) ? 1 : correlated(given, train));
  decisions.push({
    columns: [],
    what: found === 1 ? "no season" : `a season is ${count(found, "step")}`,
    why:
      known?.name ??
      (hasClock(grid) ? "of the length of its steps" : found === 1 ? "none shows" : "by the autocorrelation"),
    option: "--season STEPS",
  });
  return found;
}

const hasClock = ({ unit }: Grid): boolean => unit !== "number" && unit !== "rows";

/** What may come again, the likeliest first: whole steps. */
function cycles({ unit, size }: Grid): { name: string; length: number }[] {
  const spans: [name: string, length: number][] =
    unit === "months"
      ? [["a year", 12]]
      : unit === "weekdays"
        ? [["a week", 5]]
        : unit === "milliseconds" || unit === "seconds"
          ? [
              ["a day", DAY],
              ["an hour", HOUR],
              ["a minute", MINUTE],
              ["a week", 7 * DAY],
              ["a year", 364 * DAY],
            ]
          : [];
  return spans
    .map(([name, span]) => ({ name, length: span / size / (unit === "seconds" ? SECOND : 1) }))
    .filter(({ length }) => Number.isInteger(length) && length > 1);
}

/** The first lag at which the training part is nearly as like itself as at any: a season; 1 where it is like itself at none. */
function correlated({ values, layout }: Given, train: number): number {
  const width = layout.names.length;
  const steps = Math.min(train, LOOK.steps);
  const lags = Math.min(LOOK.lags, Math.floor(train / FEWEST_SEASONS));
  const series = Math.min(width, LOOK.series);
  const means = new Float64Array(2 * lags + 1);
  for (let at = 0; at < series; at++) {
    const off = withoutTrend(Float64Array.from({ length: steps }, (_, step) => values[step * width + at]));
    const energy = off.reduce((sum, value) => sum + value * value, 0) || 1;
    for (let lag = 1; lag < means.length; lag++) {
      let sum = 0;
      for (let step = lag; step < steps; step++) sum += off[step] * off[step - lag];
      // as many products as there are squares
      means[lag] += ((sum / energy) * steps) / Math.max(1, steps - lag) / series;
    }
  }
  /** How far it rises at a lag from its lowest since another. */
  const rise = (from: number, lag: number) =>
    means[lag] - means.subarray(from, lag).reduce((least, one) => Math.min(least, one), Infinity);
  const around = (lag: number) => means.subarray(lag - Math.ceil(lag / 4), lag + Math.ceil(lag / 4) + 1);
  // what drifts is like itself at short lags, and less at longer ones; what comes again does so twice
  const peaks = Array.from({ length: Math.max(0, lags - 1) }, (_, index) => index + 2).filter(
    (lag) =>
      Math.min(means[lag], rise(1, lag)) >= LEAST_CORRELATION &&
      Math.min(means[2 * lag], rise(lag + 1, 2 * lag)) >= LEAST_CORRELATION / 2 &&
      around(lag).every((near) => near <= means[lag]),
  );
  const highest = peaks.reduce((most, lag) => Math.max(most, means[lag]), 0);
  return peaks.find((lag) => means[lag] >= NEARLY * highest) ?? 1;
}

/** What is left of values without the straight line through them. */
function withoutTrend(values: Float64Array): Float64Array {
  const middle = (values.length - 1) / 2;
  const { mean } = meanAndDeviation(values);
  let along = 0;
  let squares = 0;
  for (const [step, value] of values.entries()) {
    along += (step - middle) * (value - mean);
    squares += (step - middle) ** 2;
  }
  const slope = squares === 0 ? 0 : along / squares;
  return values.map((value, step) => value - mean - slope * (step - middle));
}

// ---- windows ----

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/** Where windows begin: at each step, or at every so many, none of which would leave out a part of the season; the last one ends with the series. */
function startsOf(
  steps: number,
  { season, horizon, window }: Sizes,
  { lengths }: Lengths,
  width: number,
  decisions: Decision[],
): Int32Array {
  const all = steps - window - horizon + 1;
  const most = Math.min(MOST_WINDOWS, Math.max(1, Math.floor(MOST_VALUES / ((window + horizon) * width))));
  // each part has one
  const widest = Math.min(lengths[0] - window, lengths[1], lengths[2]) - horizon + 1;
  let stride = Math.ceil(all / most);
  while (stride > 1 && divisor(stride, season) > 1) stride++;
  stride = Math.min(stride, widest);
  const number = Math.floor((all - 1) / stride) + 1;
  if (stride > 1) {
    decisions.push({
      columns: [],
      what: `a window begins at every ${ordinal(stride)} step`,
      why: `there would be ${count(all, "window")} of ${count((window + horizon) * width, "value")}`,
      option: "--limit STEPS",
    });
  }
  return Int32Array.from({ length: number }, (_, index) => all - 1 - (number - 1 - index) * stride);
}

const ORDINALS: Record<string, string> = { one: "st", two: "nd", few: "rd", other: "th" };
const ordinal = (n: number): string =>
  `${n}${ORDINALS[new Intl.PluralRules("en", { type: "ordinal" }).select(n)]}`;

function checkCells(steps: number, width: number, { limits }: DatasetOptions): void {
  const most = limits?.cells ?? usualLimits.cells;
  if (steps * width <= most) return;
  throw new UsageError(
    `expected at most ${most.toLocaleString("en-US")} values (steps × series), got ${steps.toLocaleString("en-US")} × ${width.toLocaleString("en-US")}; use fewer steps with --limit, or fewer series with --ignore`,
  );
}

/** Centred and scaled by all steps, so that float32 keeps the digits. Throws UsageError where float64 does not. */
function standardized(
  values: Float64Array,
  names: readonly string[],
): { x: Float32Array; mean: number[]; deviation: number[] } {
  const width = names.length;
  const steps = values.length / width;
  const x = new Float32Array(values.length);
  const mean: number[] = [];
  const deviation: number[] = [];
  for (let at = 0; at < width; at++) {
    const own = Float64Array.from({ length: steps }, (_, step) => values[step * width + at]);
    const moments = meanAndDeviation(own);
    const isConstant = own.every((value) => value === own[0]);
    if (!Number.isFinite(moments.deviation) || (moments.deviation === 0 && !isConstant)) {
      throw new UsageError(
        `series ${quote(names[at])}: its numbers are too large or too close to each other to be learnt from; use other units`,
      );
    }
    mean.push(moments.mean);
    deviation.push(moments.deviation || 1);
    for (let step = 0; step < steps; step++) x[step * width + at] = (own[step] - mean[at]) / deviation[at];
  }
  return { x, mean, deviation };
}
