/** Series from tables of every shape: which columns they are, their regular steps, and what fills them. */
import { describe, expect, test } from "vitest";
import { latestOf, type SeriesOptions, seriesLayout, seriesOf, timesOf } from "../../src/data/series.js";
import type { Value } from "../../src/data/table.js";
import { errorOf } from "../support/files.js";
import { rows, tableOf } from "../support/tables.js";

type Columns = Record<string, readonly (Value | Date)[]>;

const HOUR = 3_600_000;
const at = (...date: [number, number, number, number?]) =>
  new Date(Date.UTC(date[0], date[1] - 1, date[2], date[3] ?? 0));
const days = (count: number, first = at(2024, 1, 1)) =>
  rows(count, (i) => new Date(first.getTime() + 24 * HOUR * i));

function read(columns: Columns, options: SeriesOptions = {}) {
  const table = tableOf(columns);
  const { layout, decisions } = seriesLayout(table, options);
  const { series, decisions: filled } = seriesOf(table, layout);
  const width = layout.names.length;
  return {
    layout,
    decisions: [...decisions, ...filled],
    /** Of each series, by its name. */
    values: Object.fromEntries(
      layout.names.map((name, at) => [name, rows(series.steps, (step) => series.values[step * width + at])]),
    ),
    dates: series.times && Array.from(series.times, (time) => new Date(time).toISOString().slice(0, 13)),
  };
}
const failure = (columns: Columns, options: SeriesOptions = {}) => errorOf(() => read(columns, options));

test("rows come in the order of time, whatever their order in the file", () => {
  const when = days(4);
  const { values, layout, decisions } = read({
    when: [when[2], when[0], when[3], when[1]],
    a: [2, 0, 3, 1],
  });
  expect(values).toEqual({ a: [0, 1, 2, 3] });
  expect(layout).toEqual({
    time: "when",
    values: ["a"],
    names: ["a"],
    grid: { unit: "milliseconds", size: 24 * HOUR },
  });
  expect(decisions).toEqual([]);
});

describe("columns", () => {
  const when = days(4);

  test("all numbers that vary are series; what is left out is told, and kept on request", () => {
    const columns = {
      when,
      a: [1, 2, 3, 5],
      same: [7, 7, 7, 7],
      city: ["x", "y", "x", "y"],
      b: [4, 3, 2, 0],
    };
    const { layout, decisions } = read(columns);
    expect(layout.names).toEqual(["a", "b"]);
    expect(decisions).toEqual([
      { columns: ["same"], what: "left out", why: "one value only", option: "--keep same" },
      { columns: ["city"], what: "left out", why: "not a number" },
    ]);
    expect(read(columns, { keep: ["same"] }).layout.names).toEqual(["a", "same", "b"]);
  });

  test("of a target, or several, the others are left out", () => {
    const columns = { when, a: [1, 2, 3, 5], b: [4, 3, 2, 0], c: [1, 0, 1, 1] };
    const { layout, decisions } = read(columns, { target: "b" });
    expect(layout.names).toEqual(["b"]);
    expect(decisions).toEqual([
      { columns: ["a", "c"], what: "left out", why: "a forecast is of the target, from its own past" },
    ]);
    expect(read(columns, { target: "a,c" }).layout.names).toEqual(["a", "c"]);
    expect(read(columns, { ignore: ["a"] }).layout.names).toEqual(["b", "c"]);
  });

  test("a bare series needs no column that says when; beside others, that is told", () => {
    const { layout, decisions } = read({ y: [3, 1, 2] });
    expect(layout).toEqual({ values: ["y"], names: ["y"], grid: { unit: "rows", size: 1 } });
    expect(decisions).toEqual([]);
    expect(read({ y: [3, 1, 2], z: [1, 2, 9] }).decisions).toEqual([
      {
        columns: [],
        what: "rows taken in their order, a step each",
        why: "no column says when",
        option: "--time NAME",
      },
    ]);
  });

  test("whole numbers that are called a time and count up say when", () => {
    const { layout, decisions } = read({ year: [1990, 1992, 1994, 1996], y: [3, 1, 2, 5] });
    expect(layout).toMatchObject({ time: "year", names: ["y"], grid: { unit: "number", size: 2 } });
    expect(decisions).toEqual([
      {
        columns: ["year"],
        what: "says when",
        why: "its name says so, and it counts up",
        option: "--time NAME",
      },
    ]);
    // a gap, from the latest on, and in each series by itself
    const years = [2005, 2004, 2003, 2001, 2000, 1999, 1998, 1997];
    expect(read({ year: years, y: years.map((one) => one % 4) }).decisions[0]).toMatchObject({
      columns: ["year"],
      why: "its name says so, and it counts down",
    });
    const weeks = {
      week: [1, 2, 3, 1, 2, 3],
      shop: rows(6, (i) => "ab"[i < 3 ? 0 : 1]),
      y: [3, 1, 2, 5, 6, 4],
    };
    expect(read(weeks, { series: "shop" }).values).toEqual({ a: [3, 1, 2], b: [5, 6, 4] });
    // one that goes up and down is a series
    expect(read({ time: [3, 1, 2, 5], y: [3, 1, 2, 7] }).layout.names).toEqual(["time", "y"]);
  });
});

describe("steps", () => {
  const dated = (when: Date[]) => read({ when, a: rows(when.length, (i) => (i * i) % 7) });

  test("months are of one length, their firsts and their ends", () => {
    const firsts = dated([at(1958, 3, 1), at(1958, 4, 1), at(1958, 5, 1), at(1958, 6, 1), at(1958, 8, 1)]);
    expect(firsts.layout.grid).toEqual({ unit: "months", size: 1 });
    expect(firsts.dates?.map((date) => date.slice(0, 10)).slice(3)).toEqual([
      "1958-06-01",
      "1958-07-01",
      "1958-08-01",
    ]);
    const ends = dated([
      at(2023, 11, 30),
      at(2023, 12, 31),
      at(2024, 1, 31),
      at(2024, 2, 29),
      at(2024, 3, 31),
    ]);
    expect(ends.layout.grid).toEqual({ unit: "months", size: 1, ends: true });
    expect(ends.values.a).toHaveLength(5);
    // also those that follow the end of February
    const later = timesOf(ends.layout.grid, at(2023, 2, 28).getTime(), 3);
    expect(Array.from(later, (time) => new Date(time).toISOString().slice(0, 10))).toEqual([
      "2023-02-28",
      "2023-03-31",
      "2023-04-30",
    ]);
    const quarters = dated([at(2023, 1, 1), at(2023, 4, 1), at(2023, 7, 1), at(2023, 10, 1)]);
    expect(quarters.layout.grid).toEqual({ unit: "months", size: 3 });
  });

  test("days without weekends follow each other, and a holiday is missing", () => {
    const week = days(19, at(2024, 1, 1)).filter((date) => date.getUTCDay() % 6 !== 0);
    const { layout, values, dates } = dated(week.filter((_, i) => i !== 7));
    expect(layout.grid).toEqual({ unit: "weekdays", size: 1 });
    expect(values.a).toHaveLength(week.length);
    expect(dates).toEqual(week.map((date) => date.toISOString().slice(0, 13)));
  });

  test("midnights of a zone in the east are of the day that they begin", () => {
    const tokyo = dated([13, 14, 15, 16, 20, 21, 22, 23, 24].map((day) => at(2024, 5, day - 1, 15)));
    expect(tokyo.layout.grid).toEqual({ unit: "weekdays", size: 1, evenings: true });
    expect(tokyo.dates?.slice(3)).toEqual([
      "2024-05-15T15",
      "2024-05-16T15",
      "2024-05-19T15",
      "2024-05-20T15",
      "2024-05-21T15",
      "2024-05-22T15",
      "2024-05-23T15",
    ]);
  });

  test("a clock that drifts from its quarters of an hour", () => {
    const drifts = dated(rows(400, (i) => new Date(at(2024, 5, 1).getTime() + 900_000 * i + 1000 * (i % 3))));
    expect(drifts.layout.grid).toEqual({ unit: "milliseconds", size: 900_000 });
  });

  test("clocks that are a little off, and before 1970", () => {
    const when = rows(
      6,
      (i) => new Date(at(1969, 12, 31, 22).getTime() + i * HOUR + (i % 5 === 4 ? 90_000 : 0)),
    );
    const { layout, values, dates } = dated(when);
    expect(layout.grid).toEqual({ unit: "milliseconds", size: HOUR });
    expect(values.a).toHaveLength(6);
    expect(dates?.[2]).toBe("1970-01-01T00");
  });

  test("seconds and milliseconds since 1970, where a column is called a time", () => {
    const seconds = rows(5, (i) => 1_700_000_000 + 3600 * i);
    const y = [3, 1, 2, 5, 4];
    const gridOf = (columns: Columns) => read(columns).layout.grid;
    expect(gridOf({ timestamp: seconds, y })).toEqual({ unit: "seconds", size: 3600 });
    expect(gridOf({ ts: seconds.map((time) => 1000 * time), y })).toEqual({
      unit: "milliseconds",
      size: HOUR,
    });
    expect(read({ x: seconds, y }, { time: "x" }).layout.grid).toEqual({ unit: "number", size: 3600 });
  });

  test("where no regular step fits, rows are steps in the order of time, and that is told", () => {
    const { layout, values, decisions } = dated([
      at(2024, 1, 1),
      at(2024, 1, 2),
      at(2024, 1, 9),
      at(2024, 5, 1),
    ]);
    expect(layout.grid).toEqual({ unit: "rows", size: 1 });
    expect(values.a).toEqual([0, 1, 4, 2]);
    expect(decisions).toEqual([
      {
        columns: ["when"],
        what: "gives the order of the steps alone, a row each",
        why: "times are not one regular step apart",
        option: "--time NAME",
      },
    ]);
  });
});

describe("days beside times of day", () => {
  const day = rows(60, (i) => at(2024, 5, 1 + Math.floor(i / 24)));
  const hr = rows(60, (i) => i % 24);
  const y = rows(60, (i) => (i * i) % 7);

  test("say together when: hours, or minutes", async () => {
    const { layout, dates, decisions, values } = read({ day, season: day.map(() => 2), hr, y });
    expect(layout).toMatchObject({ time: "day", clock: { column: "hr", size: HOUR }, values: ["y"] });
    expect(layout.grid).toEqual({ unit: "milliseconds", size: HOUR });
    expect([dates?.[0], dates?.[59], values.y]).toEqual(["2024-05-01T00", "2024-05-03T11", y]);
    expect(decisions[0]).toEqual({
      columns: ["day", "hr"],
      what: "together say when",
      why: "several rows of each day, each at its own time",
      option: "--series hr",
    });
    const minutes = read({ day, time: hr.map((hour) => 60 * hour), y });
    expect(minutes.layout.clock).toEqual({ column: "time", size: HOUR / 60 });
    expect(minutes.dates).toEqual(dates);
    const { clock, ...without } = layout;
    expect(clock).toBeDefined();
    const table = tableOf({ day, hr, y });
    expect([...latestOf(table, layout, 10).series.values].slice(-10)).toEqual(y.slice(-10));
    expect(await errorOf(() => latestOf(table, without, 10))).toContain("expected one row for each step");
  });

  test("of each series, or not where they are the series", () => {
    const twice = <T>(values: T[]) => values.flatMap((value) => [value, value]);
    const shops = { day: twice(day), hr: twice(hr), shop: rows(120, (i) => "ab"[i % 2]), y: twice(y) };
    expect(read(shops, { series: "shop" }).layout).toMatchObject({
      clock: { column: "hr" },
      names: ["a", "b"],
    });
    const own = read({ day, hr, y }, { series: "hr" }).layout;
    expect([own.clock, own.names[1]]).toEqual([undefined, "1"]);
  });
});

describe("gaps", () => {
  test("missing steps and values are what was there last, so that none tells of later ones, and all are counted", () => {
    const when = days(10).filter((_, i) => i !== 3);
    const { values, decisions } = read({
      when,
      a: [null, 1, 2, 4, 5, 6, null, null, 9],
      b: [3, 1, 4, 1, 5, 9, 2, 6, null],
    });
    expect(values).toEqual({ a: [1, 1, 2, 2, 4, 5, 6, 6, 6, 9], b: [3, 1, 4, 4, 1, 5, 9, 2, 6, 6] });
    expect(decisions).toEqual([
      {
        columns: [],
        what: "6 missing values filled with the last one before them, at the beginning with the first",
        why: "of 20 values in 10 steps",
      },
    ]);
  });

  test("a series with a value at less than half of the steps is left out", () => {
    const columns = { when: days(6), a: [1, 2, 3, 4, 5, 7], b: [1, null, null, null, 5, null] };
    const { layout, decisions } = read(columns);
    expect(layout.names).toEqual(["a"]);
    expect(decisions).toEqual([
      { columns: ["b"], what: "left out", why: "a value at less than half of the steps", option: "--keep b" },
    ]);
    expect(read(columns, { keep: ["b"] }).values.b).toEqual([1, 1, 1, 1, 5, 5]);
    // as the command line has several
    const two = { ...columns, c: [2, null, null, null, 3, null] };
    expect(read(two, { keep: ["b,c"] }).layout.names).toEqual(["a", "b", "c"]);
  });

  test("a few rows of one time, as where clocks go back, are averaged", () => {
    const when = [...days(30), at(2024, 1, 3)];
    const { values, decisions } = read({ when, a: rows(31, (i) => (i * i) % 31) });
    expect(values.a[2]).toBe((4 + 1) / 2);
    expect(values.a).toHaveLength(30);
    expect(decisions).toEqual([
      { columns: ["when"], what: "2 values of one time averaged", why: "a series has one value at each" },
    ]);
  });
});

describe("a row for each time and series", () => {
  const when = days(5);
  const long = {
    when: rows(10, (i) => when[i >> 1]),
    shop: rows(10, (i) => ["north", "south"][i % 2]),
    sales: rows(10, (i) => i * i),
  };

  test("a series for each value of the column", () => {
    const { layout, values, decisions } = read(long, { series: "shop" });
    expect(layout).toMatchObject({
      time: "when",
      series: "shop",
      values: ["sales"],
      names: ["north", "south"],
    });
    expect(values).toEqual({ north: [0, 4, 16, 36, 64], south: [1, 9, 25, 49, 81] });
    expect(decisions).toEqual([]);
  });

  test("without a time, each series has its rows in their order", () => {
    const { values } = read({ shop: long.shop, sales: long.sales }, { series: "shop" });
    expect(values).toEqual({ north: [0, 4, 16, 36, 64], south: [1, 9, 25, 49, 81] });
  });

  test("another table has the series of the layout, in its order", () => {
    const { layout } = seriesLayout(tableOf(long), { series: "shop" });
    const other = tableOf({
      when: rows(9, (i) => when[Math.floor(i / 3)]),
      shop: rows(9, (i) => ["east", "south", "north"][i % 3]),
      sales: rows(9, (i) => i),
    });
    expect([...seriesOf(other, layout).series.values]).toEqual([2, 1, 5, 4, 8, 7]);
  });

  test("one with too few values is left out", () => {
    const { layout, decisions } = read(
      { when: [...long.when, when[4]], shop: [...long.shop, "new"], sales: [...long.sales, 5] },
      { series: "shop" },
    );
    expect(layout.names).toEqual(["north", "south"]);
    expect(decisions).toEqual([
      { columns: ["new"], what: "left out", why: "a value at less than half of the steps" },
    ]);
  });

  test.each<[string, Columns, SeriesOptions, string]>([
    [
      "several rows of each time",
      long,
      {},
      "--time when: expected one row for each time, got 10 rows of 5 times; say which series a row is of with --series shop",
    ],
    [
      "no column that tells them apart",
      { when: long.when, sales: long.sales },
      {},
      "--time when: expected one row for each time, got 10 rows of 5 times; say which series a row is of with --series NAME, or sum or average the rows of one time first",
    ],
    [
      "a measurement that happens to tell them apart",
      {
        when: rows(40, (i) => days(37)[Math.max(0, i - 3)]),
        delay: rows(40, (i) => i % 10),
        distance: rows(40, (i) => i * i),
      },
      {},
      "--time when: expected one row for each time, got 40 rows of 37 times; say which series a row is of with --series NAME, or sum or average the rows of one time first",
    ],
    [
      "several rows of each time and series",
      { ...long, when: rows(10, (i) => when[i >> 2]) },
      { series: "shop" },
      "--series shop: expected one row for each series and time, got 10 rows for 6 of them; sum or average the rows of one time first, or name another column",
    ],
    [
      "several columns of values",
      { ...long, price: rows(10, (i) => i % 3) },
      { series: "shop" },
      '--series: expected one column of values, got "sales", "price"; name the one to forecast, for example with --target sales',
    ],
    [
      "a series for each row",
      { ...long, shop: rows(10, () => null) },
      { series: "shop", target: "sales" },
      "--series shop: expected from 1 to 2,000 series, got 0; name another column, or bring the rows of fewer series",
    ],
  ])("%s", async (_, columns, options, message) => {
    expect(await failure(columns, options)).toBe(`UsageError: ${message}`);
  });
});

describe("what is no series", () => {
  const when = days(4);
  const a = [1, 2, 3, 5];
  const city = ["x", "y", "x", "y"];
  test.each<[string, Columns, SeriesOptions, string]>([
    [
      "two columns of dates",
      { when, seen: when, a },
      {},
      'expected one column of dates, got "when", "seen"; name the one that says when with --time, or leave the others out with --ignore',
    ],
    [
      "text that says when",
      { city, a },
      { time: "city" },
      '--time: expected a column of dates or numbers, got text in "city"; name another one',
    ],
    [
      "a target of text",
      { when, city, a },
      { target: "city" },
      '--target city: expected a column of numbers, got text ("x", for example); name another one, or leave out --target',
    ],
    [
      "a target that never varies",
      { when, a: [1, 1, 1, 1] },
      { target: "a" },
      "--target a: expected numbers that vary, got one value only; name another column, or leave out --target",
    ],
    [
      "no numbers",
      { when, city },
      {},
      'expected a column of numbers that vary, to forecast, got "city" (not a number); bring one, or check --ignore and --numeric',
    ],
    [
      "a time that is the target",
      { when, a },
      { target: "when", time: "when" },
      'column "when" is named by --time and by --target; remove it from one of them',
    ],
    [
      "an ignored target",
      { when, a },
      { target: "a", ignore: ["a"] },
      'column "a" is both the target and ignored; remove it from --target or --ignore',
    ],
    [
      "a time that is the series",
      { when, a },
      { series: "when", time: "when" },
      '--series and --time: expected two columns, got "when" for both; name another one of them',
    ],
    [
      "one time only",
      { when: [when[0], when[0], when[1], when[1]], a },
      {},
      "--time when: expected at least 3 different times, got 2; name another column, or bring more rows",
    ],
    [
      "several columns that say when",
      { when, a, b: a },
      { time: "a,b" },
      '--time: expected one column, got "a", "b"; name one of them',
    ],
  ])("%s", async (_, columns, options, message) => {
    expect(await failure(columns, options)).toBe(`UsageError: ${message}`);
  });
});

describe("the latest steps, for a forecast", () => {
  const second = (i: number) => new Date(at(2024, 1, 1).getTime() + 1000 * i);
  const columns = { when: rows(40, second), a: rows(40, (i) => i % 7) };
  const { layout } = seriesLayout(tableOf(columns), {});
  const latest = (other: Columns) => latestOf(tableOf(other), layout, 5);

  test("come without the earlier ones, however far these are", () => {
    const { series, strangers, decisions } = latest({
      when: [at(1, 1, 1), ...columns.when],
      a: [1, ...columns.a],
    });
    expect([...series.values]).toEqual(columns.a.slice(20));
    expect([series.filled.some((one) => one > 0), strangers, decisions]).toEqual([false, [], []]);
  });

  test.each<[string, Columns, string]>([
    [
      "a wrong time after all others",
      { when: [...columns.when, at(9999, 1, 1)], a: [...columns.a, 1] },
      "UsageError: test: expected values at half of the last 5 steps (1 second each) and more, which a forecast is made from, got 1, the last at 9999-01-01; bring rows that are as far apart as in the training, and correct or remove rows of a wrong time",
    ],
    [
      "other steps",
      { when: columns.when.map((_, i) => new Date(at(2024, 1, 1).getTime() + 100 * i)), a: columns.a },
      "UsageError: test: expected one row for each step (1 second), as in the file of the training, got 40 rows for 5; sum or average the rows of one step first",
    ],
    [
      "no time in any row",
      { when: columns.when.map(() => null), a: columns.a },
      'UsageError: test, column "when": expected times as in the file of the training, got none; write them so',
    ],
    [
      "too few rows",
      { when: columns.when.slice(0, 4), a: columns.a.slice(0, 4) },
      "UsageError: test: expected at least 5 steps, which a forecast is made from, got 4; bring more rows",
    ],
  ])("%s", async (_, other, error) => {
    expect(await errorOf(() => latest(other))).toBe(error);
  });

  test("series that are not known are told, and refused where none is", async () => {
    const shops = (names: string[]) =>
      tableOf({
        when: rows(80, (i) => second(i >> 1)),
        shop: rows(80, (i) => names[i % 2]),
        a: rows(80, (i) => i * (i % 5)),
      });
    const known = seriesLayout(shops(["north", "south"]), { series: "shop" }).layout;
    const { series, strangers } = latestOf(shops(["south", "east"]), known, 5);
    expect(strangers).toEqual(["east"]);
    expect([...series.filled.subarray(0, 4)]).toEqual([1, 0, 1, 0]);
    expect(await errorOf(() => latestOf(shops(["east", "West"]), known, 5))).toBe(
      'UsageError: test, column "shop": expected the series that the network learnt from ("north", "south"), got "east", "West"; write them as in the file of the training',
    );
  });
});
