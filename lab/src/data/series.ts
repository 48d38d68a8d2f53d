/**
 * Series in a table: a column of numbers for each, or rows that say which series they are of. Their steps are those of one
 * regular grid; what is missing is filled.
 */
import { count, listed, quote } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { argument, columnsNamed, quoted } from "./names.js";
import { isTimeName, natureOf } from "./nature.js";
import type { Column, Decision, Table, Value } from "./table.js";
import { Told } from "./told.js";

export interface SeriesOptions {
  target?: string;
  ignore?: string[];
  keep?: string[];
  time?: string;
  series?: string;
}

/**
 * The times that are steps: `size` milliseconds apart, or seconds since 1970, months, days from Monday to Friday, or so
 * much of a number; rows in their order, whatever their times are.
 */
export interface Grid {
  unit: "milliseconds" | "seconds" | "months" | "weekdays" | "number" | "rows";
  size: number;
  /** Months are told by their last days. */
  ends?: boolean;
  /** Days begin on the evening before, in UTC: their times are midnights of a zone in the east. */
  evenings?: boolean;
}

/** How a table is read: plain JSON, so that another one is read in the same way. */
export interface SeriesLayout {
  /** The column that says when; without it rows are in their order. */
  time?: string;
  /** Beside a column of days, one that says when on a day: so many milliseconds each. */
  clock?: { column: string; size: number };
  /** The column that says which series a row is of; `values` is then one column. */
  series?: string;
  values: string[];
  /** Of the series: of the columns, or the different values of `series`. */
  names: string[];
  grid: Grid;
}

export interface Series {
  /** [steps]: when each was, where there is a column of dates or numbers and steps are not rows. */
  times?: Float64Array;
  steps: number;
  /** [steps, series], without any NaN. */
  values: Float64Array;
  /** [steps, series]: 1 where a value was filled in. */
  filled: Uint8Array;
}

const DAY = 86_400_000;
/** Series that are forecast together. */
const MOST_SERIES = 2000;
/** The share of the steps that may be missing, and of the rows that may be at one time. */
const MOST_MISSING = 0.2;
const MOST_DOUBLED = 0.05;
/** The share of the steps at which a series has a value. */
const LEAST_PRESENT = 0.5;
/** Seconds since 1970, in this century. */
const SINCE = { from: 9.5e8, to: 4.1e9 };
/** How far from its step a time may be, in steps. */
const MOST_OFF = 0.25;
/** How far a length may be from a whole one that is meant. */
const MOST_NEAR = 0.02;
/** Rows of a series that says something. */
const FEWEST = 3;
/** Names of what says when on a day, besides those of any time. */
const CLOCK = /^(hrs?|hours?|clock|uhrzeit|stunde|heure|hora|ora)$/i;

/** How a table is read as series, with what was decided. Throws UsageError where it holds none. */
export function seriesLayout(
  table: Table,
  options: SeriesOptions,
): { layout: SeriesLayout; decisions: Decision[] } {
  const names = table.columns.map(({ name }) => name);
  const ignored = columnsNamed(options.ignore ?? [], names, "--ignore");
  const one = (name: string | undefined, option: string): Column | undefined => {
    if (name === undefined) return undefined;
    const found = [...columnsNamed([name], names, option)];
    if (found.length > 1) {
      throw new UsageError(`${option}: expected one column, got ${quoted(found)}; name one of them`);
    }
    return table.columns.find((column) => column.name === found[0]);
  };
  const named = columnsNamed(options.target === undefined ? [] : [options.target], names, "--target");
  const decisions: Decision[] = [];
  const series = one(options.series, "--series");
  const used = table.columns.filter(({ name }) => !ignored.has(name) && name !== series?.name);
  const time = one(options.time, "--time") ?? usualTime(used, named, series, decisions);
  checkRoles({ named, ignored, series, time });
  const clock = time && clockBeside(time, used, { named, series });
  if (time && clock) {
    const { layout, decisions: others } = seriesLayout(joined(table, { time: time.name, clock }), {
      ...options,
      time: time.name,
    });
    const together: Decision = {
      columns: [time.name, clock.column],
      what: "together say when",
      why: "several rows of each day, each at its own time",
      ...(series === undefined && { option: `--series ${argument(clock.column)}` }),
    };
    return { layout: { ...layout, clock }, decisions: [...decisions, together, ...others] };
  }
  const keep = columnsNamed(options.keep ?? [], names, "--keep");
  const values = valuesIn(
    used.filter((column) => column !== time),
    named,
    { table, series, keep },
    decisions,
  );
  if (time === undefined && table.columns.length > 1) {
    decisions.push({
      columns: [],
      what: "rows taken in their order, a step each",
      why: "no column says when",
      option: "--time NAME",
    });
  }
  const layout = {
    ...(time && { time: time.name }),
    ...(series && { series: series.name }),
    values: values.map(({ name }) => name),
  };
  const grid = time ? gridOf(time, decisions) : { unit: "rows" as const, size: 1 };
  const all = series ? seriesNames(series) : layout.values;
  const full = { ...layout, names: all, grid };
  checkDoubled(table, full);
  return {
    layout: { ...full, names: wellFilled(table, full, new Set([...named, ...keep]), decisions) },
    decisions,
  };
}

/** One column that says when, where only one can: dates, or whole numbers that are called a time and count up. */
function usualTime(
  used: readonly Column[],
  named: ReadonlySet<string>,
  series: Column | undefined,
  decisions: Decision[],
): Column | undefined {
  const dates = used.filter(({ kind, name }) => kind === "date" && !named.has(name));
  if (dates.length > 1) {
    throw new UsageError(
      `expected one column of dates, got ${quoted(dates.map(({ name }) => name))}; name the one that says when with --time, or leave the others out with --ignore`,
    );
  }
  if (dates.length === 1) return dates[0];
  const numbers = used.filter(
    (column) =>
      column.kind === "number" &&
      !named.has(column.name) &&
      isTimeName(column.name) &&
      direction(column, series) !== 0,
  );
  if (numbers.length !== 1 || used.length < 2) return undefined;
  decisions.push({
    columns: [numbers[0].name],
    what: "says when",
    why: `its name says so, and it counts ${direction(numbers[0], series) > 0 ? "up" : "down"}`,
    option: "--time NAME",
  });
  return numbers[0];
}

/** 1 where the numbers of a column count up in nearly regular steps, in each series, −1 where they count down; 0 where they do neither. */
function direction({ name, values }: Column, series: Column | undefined): number {
  const before = new Map<Value, number>();
  let found = 0;
  for (const [row, value] of values.entries()) {
    if (value === null) return 0;
    const key = series?.values[row] ?? null;
    const step = Math.sign((value as number) - (before.get(key) ?? Number.NaN));
    before.set(key, value as number);
    if (Number.isNaN(step)) continue;
    if (step === 0 || step === -found) return 0;
    found = step;
  }
  const times = sorted(values);
  return times.length > 1 && candidates(times, name).some((grid) => fits(grid, times)) ? found : 0;
}

/** The different numbers, from the lowest to the highest. */
const sorted = (values: readonly Value[]): number[] =>
  Array.from(Float64Array.from(new Set(values.filter((value) => value !== null) as number[])).sort());

/** The one column that says when on a day each row of these days is, where days alone do not tell rows apart. */
function clockBeside(
  time: Column,
  used: readonly Column[],
  { named, series }: Pick<Roles, "named" | "series">,
): SeriesLayout["clock"] {
  if (time.kind !== "date" || time.values.some((value) => value !== null && (value as number) % DAY !== 0)) {
    return undefined;
  }
  const tellApart = (clock?: Column) => {
    const row = (at: number) => [series, time, clock].map((column) => column?.values[at]).join(" ");
    return new Set(time.values.map((_, at) => row(at))).size >= (1 - MOST_DOUBLED) * time.values.length;
  };
  if (tellApart()) return undefined;
  const clocks = used.filter((column) => {
    const { name, kind, values } = column;
    const isClock = (value: Value) => value === null || ((value as number) >= 0 && (value as number) < 1440);
    const isCalled = isTimeName(name) || CLOCK.test(name);
    return kind === "number" && !named.has(name) && isCalled && values.every(isClock) && tellApart(column);
  });
  const [clock] = clocks;
  if (clocks.length !== 1) return undefined;
  const latest = clock.values.reduce<number>((most, value) => Math.max(most, (value as number) ?? 0), 0);
  // times of day are read in minutes
  return { column: clock.name, size: latest <= 24 ? DAY / 24 : DAY / 1440 };
}

/** A table in which one column says when, as far as a layout has two. */
function joined(table: Table, { time, clock }: Pick<SeriesLayout, "time" | "clock">): Table {
  if (clock === undefined) return table;
  const hours = table.columns.find(({ name }) => name === clock.column)?.values;
  const when = (value: Value, row: number): Value => {
    const hour = hours?.[row] ?? null;
    return value === null || hour === null ? null : (value as number) + (hour as number) * clock.size;
  };
  return {
    ...table,
    columns: table.columns.flatMap((column) =>
      column.name === clock.column
        ? []
        : column.name === time
          ? { ...column, values: column.values.map(when) }
          : column,
    ),
  };
}

interface Roles {
  named: ReadonlySet<string>;
  ignored: ReadonlySet<string>;
  series?: Column;
  time?: Column;
}

function checkRoles({ named, ignored, series, time }: Roles): void {
  for (const [column, option] of [
    [series, "--series"],
    [time, "--time"],
  ] as const) {
    if (column === undefined) continue;
    for (const [others, other] of [
      [named, "--target"],
      [ignored, "--ignore"],
    ] as const) {
      if (!others.has(column.name)) continue;
      throw new UsageError(
        `column ${quote(column.name)} is named by ${option} and by ${other}; remove it from one of them`,
      );
    }
  }
  if (series && series === time) {
    throw new UsageError(
      `--series and --time: expected two columns, got ${quote(series.name)} for both; name another one of them`,
    );
  }
  for (const name of named) {
    if (!ignored.has(name)) continue;
    throw new UsageError(
      `column ${quote(name)} is both the target and ignored; remove it from --target or --ignore`,
    );
  }
  if (time?.kind === "text") {
    throw new UsageError(
      `--time: expected a column of dates or numbers, got text in ${quote(time.name)}; name another one`,
    );
  }
}

/** The columns that hold the series: those that are named, or all numbers that vary. */
function valuesIn(
  used: readonly Column[],
  named: ReadonlySet<string>,
  { table, series, keep }: { table: Table; series?: Column; keep: ReadonlySet<string> },
  decisions: Decision[],
): Column[] {
  const told = new Told();
  const rows = Array.from({ length: table.rowCount }, (_, row) => row);
  const kept = used.filter((column) => {
    const { name, kind, values } = column;
    if (named.size > 0 && !named.has(name)) {
      told.add("left out", name, { reason: "a forecast is of the target, from its own past" });
      return false;
    }
    const { useless, single } = natureOf(column, table, rows);
    if (named.has(name) && kind !== "number") {
      const such = values.find((value) => value !== null);
      const what = kind === "date" ? "dates" : `text (${quote(String(such))}, for example)`;
      throw new UsageError(
        `--target ${argument(name)}: expected a column of numbers, got ${such == null ? "no value" : what}; name another one, or leave out --target`,
      );
    }
    const reason = kind === "number" ? (useless ?? (single ? "one value only" : undefined)) : "not a number";
    if (reason === undefined || (kind === "number" && keep.has(name))) return true;
    if (named.has(name)) {
      if (reason !== "one value only" && reason !== "no value") return true;
      throw new UsageError(
        `--target ${argument(name)}: expected numbers that vary, got ${reason}; name another column, or leave out --target`,
      );
    }
    told.add("left out", name, {
      reason,
      ...(kind === "number" && reason !== "no value" && { option: (columns) => `--keep ${columns}` }),
    });
    return false;
  });
  decisions.push(...told.decisions);
  if (kept.length === 0) {
    const why = told.decisions.map(({ columns, why }) => `${quoted(columns)} (${why})`);
    throw new UsageError(
      `expected a column of numbers that vary, to forecast, got ${why.length > 0 ? listed(why) : "none"}; bring one, or check --ignore and --numeric`,
    );
  }
  if (series && kept.length > 1) {
    const [first] = kept.map(({ name }) => argument(name));
    throw new UsageError(
      `--series: expected one column of values, got ${quoted(kept.map(({ name }) => name))}; name the one to forecast, for example with --target ${first}`,
    );
  }
  if (kept.length > MOST_SERIES) {
    throw new UsageError(
      `expected at most ${MOST_SERIES.toLocaleString("en-US")} columns to forecast, got ${kept.length.toLocaleString("en-US")}; name some of them with --target`,
    );
  }
  return kept;
}

function seriesNames({ name, values }: Column): string[] {
  const names = [...new Set(values)].filter((value) => value !== null).map(String);
  if (names.length > 0 && names.length <= MOST_SERIES) return names;
  throw new UsageError(
    `--series ${argument(name)}: expected from 1 to ${MOST_SERIES.toLocaleString("en-US")} series, got ${names.length.toLocaleString("en-US")}; ` +
      "name another column, or bring the rows of fewer series",
  );
}

// ---- steps ----

const monthOf = (time: number): number => {
  const date = new Date(time);
  return 12 * date.getUTCFullYear() + date.getUTCMonth();
};
/** Days from Monday to Friday since one of them; a Saturday and a Sunday are their Friday. */
const weekdayOf = (time: number): number => {
  // the first day of 1970 was a Thursday
  const day = Math.floor(time / DAY) + 3;
  const week = Math.floor(day / 7);
  return 5 * week + Math.min(4, day - 7 * week);
};

const EVENING = DAY / 2;

/** A time in steps from any. */
function stepOf({ unit, size, evenings }: Grid, time: number): number {
  if (unit === "months") return monthOf(time) / size;
  return unit === "weekdays" ? weekdayOf(time + (evenings ? EVENING : 0)) : time / size;
}

/** The grid of the times in a column; rows, where there is none that fits. */
function gridOf({ name, kind, values }: Column, decisions: Decision[]): Grid {
  const times = sorted(values);
  if (times.length < FEWEST) {
    throw new UsageError(
      `--time ${argument(name)}: expected at least ${FEWEST} different times, got ${times.length}; name another column, or bring more rows`,
    );
  }
  const found = candidates(times, kind === "date" ? undefined : name).find((grid) => fits(grid, times));
  if (found) return found;
  decisions.push({
    columns: [name],
    what: "gives the order of the steps alone, a row each",
    why: "times are not one regular step apart",
    option: "--time NAME",
  });
  return { unit: "rows", size: 1 };
}

/** `number` is the name of a column of numbers. */
function candidates(times: readonly number[], number: string | undefined): Grid[] {
  const size = mostFrequent(differences(times));
  if (number !== undefined) {
    const isSince = (unit: number) =>
      times[0] >= SINCE.from * unit && times[times.length - 1] <= SINCE.to * unit && isTimeName(number);
    const unit = isSince(1) ? "seconds" : isSince(1000) ? "milliseconds" : "number";
    if (unit === "number") return [{ unit, size }];
    return sizesNear(size, unit === "seconds" ? 1000 : 1).map((each) => ({ unit, size: each }));
  }
  const grids: Grid[] = sizesNear(size, 1).map((each) => ({ unit: "milliseconds", size: each }));
  const dayOf = (time: number) => new Date(time).getUTCDate();
  // firsts of months, or their ends
  const [day] = times.map(dayOf);
  if (size >= 28 * DAY && times.every((time) => dayOf(time) === day || Math.min(day, dayOf(time)) >= 28)) {
    const ends = times.every((time) => dayOf(time + DAY) === 1);
    const months = mostFrequent(differences(times.map(monthOf)));
    grids.unshift({ unit: "months", size: months, ...(ends && { ends }) });
  }
  const isWeekend = (time: number) => (Math.floor(time / DAY) + 3) % 7 > 4;
  const isLong = times[times.length - 1] - times[0] >= 7 * DAY;
  if (size === DAY && isLong) {
    if (!times.some(isWeekend)) grids.unshift({ unit: "weekdays", size: 1 });
    else if (!times.some((time) => isWeekend(time + EVENING))) {
      grids.unshift({ unit: "weekdays", size: 1, evenings: true });
    }
  }
  return grids;
}

/** A length, and the whole days, hours, minutes or seconds that it nearly is, where clocks are a little off; of `ms` milliseconds each. */
function sizesNear(size: number, ms: number): number[] {
  const whole = LENGTHS.map(([, length]) => (Math.round((size * ms) / length) * length) / ms).find(
    (near) => near > 0 && Math.abs(near - size) <= MOST_NEAR * size,
  );
  return whole === undefined || whole === size ? [size] : [size, whole];
}

/** Whether nearly all steps from the first time to the last one are there, and every time is near one. */
function fits(grid: Grid, times: readonly number[]): boolean {
  if (!(grid.size > 0)) return false;
  const [first] = times.map((time) => stepOf(grid, time));
  const steps = Math.round(stepOf(grid, times[times.length - 1]) - first) + 1;
  return (
    times.length >= (1 - MOST_MISSING) * steps &&
    times.every((time) => {
      const step = stepOf(grid, time) - first;
      return Math.abs(step - Math.round(step)) <= MOST_OFF;
    })
  );
}

const differences = (values: readonly number[]): number[] =>
  values.slice(1).map((value, index) => value - values[index]);

function mostFrequent(values: readonly number[]): number {
  const times = new Map<number, number>();
  let most = values[0];
  for (const value of values) {
    times.set(value, (times.get(value) ?? 0) + 1);
    if ((times.get(value) ?? 0) > (times.get(most) ?? 0)) most = value;
  }
  return most;
}

// ---- values ----

/** The rows of each series, each with its step from the first one; rows without a time or a series are none's. */
interface Placed {
  steps: number;
  times?: Float64Array;
  /** [rows]: −1 where a row has no place. */
  step: Int32Array;
  series: Int32Array;
}

function placed(table: Table, { time, series, names, grid }: SeriesLayout): Placed {
  const byName = new Map(table.columns.map((column) => [column.name, column.values]));
  const numbers = new Map(names.map((name, index) => [name, index]));
  const of = series === undefined ? undefined : byName.get(series);
  const seriesOf = Int32Array.from({ length: table.rowCount }, (_, row) =>
    of === undefined ? 0 : of[row] === null ? -1 : (numbers.get(String(of[row])) ?? -1),
  );
  const when = time === undefined ? undefined : byName.get(time);
  const step = new Int32Array(table.rowCount).fill(-1);
  if (when === undefined) {
    // each series has its rows in their order
    const next = new Int32Array(Math.max(1, names.length));
    for (let row = 0; row < step.length; row++) if (seriesOf[row] >= 0) step[row] = next[seriesOf[row]]++;
    return { steps: next.reduce((most, one) => Math.max(most, one), 0), step, series: seriesOf };
  }
  const known = when.flatMap((value) => (value === null ? [] : (value as number)));
  if (grid.unit === "rows") {
    const times = Float64Array.from(new Set(known)).sort();
    const ranks = new Map(Array.from(times, (value, rank) => [value, rank]));
    for (let row = 0; row < step.length; row++) step[row] = ranks.get(when[row] as number) ?? -1;
    return { steps: times.length, times, step, series: seriesOf };
  }
  const firstTime = known.reduce((least, value) => Math.min(least, value), Infinity);
  const first = stepOf(grid, firstTime);
  let steps = 0;
  for (let row = 0; row < step.length; row++) {
    if (when[row] === null) continue;
    step[row] = Math.round(stepOf(grid, when[row] as number) - first);
    steps = Math.max(steps, step[row] + 1);
  }
  return { steps, times: timesOf(grid, firstTime, steps), step, series: seriesOf };
}

/** When `steps` of a grid are, the first of which is at `first`. */
export function timesOf({ unit, size, ends, evenings }: Grid, first: number, steps: number): Float64Array {
  const clock = first - Math.floor(first / DAY) * DAY;
  return Float64Array.from({ length: steps }, (_, step) => {
    if (unit === "months") {
      const date = new Date(first);
      const month = date.getUTCMonth() + step * size;
      // the 31st of a short month is its last day
      const last = new Date(Date.UTC(date.getUTCFullYear(), month + 1, 0)).getUTCDate();
      return Date.UTC(date.getUTCFullYear(), month, ends ? last : Math.min(date.getUTCDate(), last)) + clock;
    }
    if (unit !== "weekdays") return first + step * size;
    const position = weekdayOf(first + (evenings ? EVENING : 0)) + step;
    return (7 * Math.floor(position / 5) + (position % 5) - (evenings ? 4 : 3)) * DAY + clock;
  });
}

/** Throws UsageError where more than a few rows share their place: whatever is done about them should be the user's choice. */
function checkDoubled(table: Table, layout: SeriesLayout): void {
  const { steps, step, series } = placed(table, layout);
  const taken = new Set<number>();
  let rows = 0;
  for (let row = 0; row < step.length; row++) {
    if (step[row] < 0 || series[row] < 0) continue;
    rows++;
    taken.add(series[row] * steps + step[row]);
  }
  if (rows - taken.size <= MOST_DOUBLED * rows) return;
  const [some, there] = [rows, taken.size].map((one) => one.toLocaleString("en-US"));
  const time = argument(layout.time ?? "");
  if (layout.series !== undefined) {
    throw new UsageError(
      `--series ${argument(layout.series)}: expected one row for each series and time, got ${some} rows for ${there} of them; ` +
        "sum or average the rows of one time first, or name another column",
    );
  }
  const which = table.columns.find((column) => tellsApart(column, table, layout, step));
  throw new UsageError(
    `--time ${time}: expected one row for each time, got ${some} rows of ${there} times; ` +
      (which
        ? `say which series a row is of with --series ${argument(which.name)}`
        : "say which series a row is of with --series NAME, or sum or average the rows of one time first"),
  );
}

/** Whether a column has another value in each row of one time. */
function tellsApart(column: Column, table: Table, { time, values }: SeriesLayout, step: Int32Array): boolean {
  if (column.name === time || (column.kind === "number" && values.length < 2)) return false;
  const distinct = new Set(column.values);
  if (distinct.size > MOST_SERIES || distinct.size > table.rowCount / FEWEST) return false;
  // a series is there at many of the times
  if (table.rowCount < (LEAST_PRESENT / 2) * distinct.size * new Set(step).size) return false;
  const pairs = new Set(column.values.map((value, row) => `${step[row]} ${value}`));
  return pairs.size >= (1 - MOST_DOUBLED) * table.rowCount;
}

/** The means of what is at each step, [steps, series], NaN where there is nothing, and how many rows had to be averaged. */
function meansOf(
  table: Table,
  layout: SeriesLayout,
  { steps, step, series }: Placed,
): { values: Float64Array; averaged: number } {
  const width = layout.names.length;
  const values = new Float64Array(steps * width);
  const counts = new Uint32Array(steps * width);
  const add = (cell: number, value: Value) => {
    if (value === null) return;
    values[cell] += value as number;
    counts[cell]++;
  };
  const byName = new Map(table.columns.map((column) => [column.name, column.values]));
  const columns = (layout.series === undefined ? layout.names : layout.values).map(
    (name) => byName.get(name) ?? [],
  );
  for (let row = 0; row < step.length; row++) {
    if (step[row] < 0 || series[row] < 0) continue;
    const first = step[row] * width + series[row];
    for (const [at, column] of columns.entries()) add(first + at, column[row] ?? null);
  }
  let averaged = 0;
  for (const [cell, many] of counts.entries()) {
    if (many > 1) averaged += many;
    // NaN without any
    values[cell] /= many;
  }
  return { values, averaged };
}

/** The names of the series that have a value at most steps, or are columns that are named; the others are told. */
function wellFilled(
  table: Table,
  layout: SeriesLayout,
  named: ReadonlySet<string>,
  decisions: Decision[],
): string[] {
  const place = placed(table, layout);
  const { values } = meansOf(table, layout, place);
  const { names } = layout;
  const present = new Float64Array(names.length);
  const first = new Float64Array(names.length).fill(Number.NaN);
  const varies = new Uint8Array(names.length);
  for (const [cell, value] of values.entries()) {
    if (Number.isNaN(value)) continue;
    const at = cell % names.length;
    present[at]++;
    if (Number.isNaN(first[at])) first[at] = value;
    else if (value !== first[at]) varies[at] = 1;
  }
  const told = new Told();
  const kept = names.filter((name, at) => {
    const isSparse = present[at] < LEAST_PRESENT * place.steps;
    const isNamed = layout.series === undefined && named.has(name);
    if (isNamed || (!isSparse && varies[at])) return true;
    const reason = isSparse ? "a value at less than half of the steps" : "one value only";
    const option =
      layout.series === undefined && isSparse ? { option: (columns: string) => `--keep ${columns}` } : {};
    told.add("left out", name, { reason, ...option });
    return false;
  });
  decisions.push(...told.decisions);
  if (kept.length > 0) return kept;
  throw new UsageError(
    `expected a series with values at half of the ${count(place.steps, "step")} and more, got none of ${quoted(names)}; bring rows for the others, or check --time and --series`,
  );
}

/** The series of a table in this layout, and what was done to have a value at every step. */
export function seriesOf(read: Table, layout: SeriesLayout): { series: Series; decisions: Decision[] } {
  const table = joined(read, layout);
  const place = placed(table, layout);
  const { values, averaged } = meansOf(table, layout, place);
  const decisions: Decision[] = [];
  if (averaged > 0) {
    decisions.push({
      columns: layout.time === undefined ? [] : [layout.time],
      what: `${count(averaged, "value")} of one time averaged`,
      why: "a series has one value at each",
    });
  }
  const filled = Uint8Array.from(values, (value) => (Number.isNaN(value) ? 1 : 0));
  const many = fill(values, layout.names.length);
  if (many > 0) {
    decisions.push({
      columns: [],
      what: `${count(many, "missing value")} filled with the last one before ${many === 1 ? "it" : "them"}, at the beginning with the first`,
      why: `of ${count(values.length, "value")} in ${count(place.steps, "step")}`,
    });
  }
  const { steps, times } = place;
  return { series: { steps, values, filled, ...(times && { times }) }, decisions };
}

/** Steps before those that a forecast is made from, in windows, from which what is missing in these is filled. */
const BEFORE = 3;

/**
 * The latest steps in a table with the columns of a layout, `window` of them at least, for a forecast from these.
 * Earlier rows are left out before they are placed, for a wrong time may be any number of steps away. `strangers` are
 * series that the layout has not. Throws UsageError where most of the window is missing, or rows are no steps.
 */
export function latestOf(
  read: Table,
  { clock, ...layout }: SeriesLayout,
  window: number,
): { series: Series; decisions: Decision[]; strangers: string[] } {
  const table = joined(read, { ...layout, clock });
  const { time, series: by, names, grid } = layout;
  const valuesOf = (name: string | undefined) => table.columns.find((column) => column.name === name)?.values;
  const [when, which] = [valuesOf(time), valuesOf(by)];
  const known = new Set(names);
  const found = new Set(which?.flatMap((value) => (value === null ? [] : String(value))));
  let rows = Array.from({ length: table.rowCount }, (_, row) => row);
  if (which !== undefined) rows = rows.filter((row) => known.has(String(which[row])));
  if (rows.length === 0) {
    const got = found.size > 0 ? quoted([...found]) : "no value";
    throw new UsageError(
      `${table.name}, column ${quote(by ?? "")}: expected the series that the network learnt from (${quoted(names)}), got ${got}; write them as in the file of the training`,
    );
  }
  if (when !== undefined) {
    const last = rows.reduce((most, row) => Math.max(most, (when[row] as number | null) ?? most), -Infinity);
    if (last === -Infinity) {
      throw new UsageError(
        `${table.name}, column ${quote(time ?? "")}: expected times as in the file of the training, got none; write them so`,
      );
    }
    const from = stepOf(grid, last) - (1 + BEFORE) * window;
    const timed = rows.filter((row) => when[row] !== null);
    const recent =
      grid.unit === "rows" ? timed : timed.filter((row) => stepOf(grid, when[row] as number) > from);
    checkRecent(table, layout, { rows: timed, recent, last, window });
    rows = recent;
  }
  const { series, decisions } = seriesOf(onlyRows(table, rows), layout);
  if (series.steps < window) {
    throw new UsageError(
      `${table.name}: expected at least ${count(window, "step")}, which a forecast is made from, got ${series.steps}; bring more rows`,
    );
  }
  return { series, decisions, strangers: [...found].filter((name) => !known.has(name)) };
}

function checkRecent(
  { name, columns }: Table,
  { time, series, grid }: SeriesLayout,
  { rows, recent, last, window }: { rows: number[]; recent: number[]; last: number; window: number },
): void {
  if (grid.unit === "rows") return;
  const byName = new Map(columns.map((column) => [column.name, column.values]));
  const when = byName.get(time ?? "") as number[];
  const which = series === undefined ? undefined : byName.get(series);
  const step = (row: number) => Math.round(stepOf(grid, last) - stepOf(grid, when[row]));
  const places = new Set(recent.map((row) => `${step(row)} ${which?.[row] ?? ""}`));
  if (recent.length - places.size > MOST_DOUBLED * recent.length) {
    const [some, there] = [recent.length, places.size].map((one) => one.toLocaleString("en-US"));
    throw new UsageError(
      `${name}: expected one row for each ${series === undefined ? "" : "series and "}step (${stepName(grid)}), as in the file of the training, got ${some} rows for ${there}; sum or average the rows of one step first`,
    );
  }
  const present = new Set(recent.map(step).filter((before) => before < window)).size;
  if (present >= LEAST_PRESENT * window || (present === rows.length && rows.length < window)) return;
  throw new UsageError(
    `${name}: expected values at half of the last ${count(window, "step")} (${stepName(grid)} each) and more, which a forecast is made from, got ${present}, the last at ${timeText(grid, last)}; ` +
      "bring rows that are as far apart as in the training, and correct or remove rows of a wrong time",
  );
}

/** A table of some rows of another. */
const onlyRows = (table: Table, rows: readonly number[]): Table => ({
  ...table,
  columns: table.columns.map((column) => ({ ...column, values: rows.map((row) => column.values[row]) })),
  rowCount: rows.length,
  rowNumber: (row) => table.rowNumber(rows[row]),
});

const LENGTHS: [name: string, length: number][] = [
  ["day", DAY],
  ["hour", DAY / 24],
  ["minute", DAY / 1440],
  ["second", 1000],
];

/** How long a step is: "1 day". */
function stepName({ unit, size }: Grid): string {
  if (unit === "months") return count(size, "month");
  if (unit === "weekdays") return "1 weekday";
  if (unit === "number" || unit === "rows") return String(size);
  const ms = unit === "seconds" ? 1000 * size : size;
  const [name, length] = LENGTHS.find(([, each]) => ms % each === 0) ?? ["millisecond", 1];
  return count(ms / length, name);
}

/** When a time is: a date, or a number as its column has it. */
function timeText({ unit }: Grid, time: number): string {
  const date = new Date(unit === "seconds" ? 1000 * time : time);
  const isNumber = unit === "number" || Number.isNaN(date.getTime());
  return isNumber ? String(time) : date.toISOString().replace(/T00:00:00.000Z$/, "");
}

/** Fills what is NaN in [steps, width] with the value before it, for a forecast knows no later one; before the first with that. Says how many values. */
function fill(values: Float64Array, width: number): number {
  let filled = 0;
  for (let at = 0; at < width; at++) {
    let first = at;
    while (first < values.length && Number.isNaN(values[first])) first += width;
    let last = values[first];
    for (let i = at; i < values.length; i += width) {
      if (Number.isNaN(values[i])) {
        values[i] = last;
        filled++;
      } else last = values[i];
    }
  }
  return filled;
}
