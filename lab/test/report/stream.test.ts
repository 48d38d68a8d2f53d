/** The page of a stream: of any stream, self-contained, escaped, and honest about what could not be seen. */
import { serverDocument } from "@evenkeel/report/server-document";
import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import type { Contender, Errors, History, HistoryPoint } from "../../src/online/history.js";
import { isCompared, type OnlineSettings, usualOnline } from "../../src/online/settings.js";
import { renderStream } from "../../src/report/stream.js";

const NaNs = { mae: Number.NaN, rmse: Number.NaN, wrong: Number.NaN };

function errorsOf(settings: OnlineSettings, size: number): Errors[] {
  const { learn } = settings;
  if (learn === undefined) return [];
  const guess: Contender = learn.kind === "number" ? "mean" : "majority";
  const contenders: Contender[] = [
    "network",
    ...(isCompared(settings) ? (["plain"] as const) : []),
    guess,
    "last",
  ];
  return contenders.map((of, i) => ({
    of,
    count: size,
    ...NaNs,
    ...(size > 0 &&
      (learn.kind === "number" ? { mae: 1 + i, rmse: 1.5 * (1 + i) } : { wrong: (1 + i) / 10 })),
  }));
}

/** A stream of so many points of 100 records; every third has no value of the first column, and no known target. */
function historyOf(
  points: number,
  more: Partial<OnlineSettings> = {},
  others: Partial<History> = {},
): History {
  const settings: OnlineSettings = { ...usualOnline, columns: ["a", "b"], ...more };
  const { columns } = settings;
  const made = Array.from({ length: points }, (_, i): HistoryPoint => {
    const list = (value: (j: number) => number) => Float64Array.from(columns, (_, j) => value(j));
    const has = (j: number) => j > 0 || i % 3 !== 2;
    return {
      from: 100 * i,
      to: 100 * (i + 1),
      moments: {
        count: list((j) => (has(j) ? 100 : 0)),
        mean: list((j) => (has(j) ? 10 * j + i : 0)),
        m2: list((j) => (has(j) ? 400 : 0)),
      },
      errors: errorsOf(settings, i % 3 === 2 ? 0 : 100),
    };
  });
  return {
    settings,
    records: 100 * points,
    points: made,
    drawn: columns.length,
    drifts: [],
    driftCount: 0,
    watched: columns.map(() => ({ ready: true, block: 64 })),
    notes: [],
    infinite: 0,
    errors: errorsOf(settings, 90),
    overall: errorsOf(settings, 100 * points),
    ...others,
  };
}

const drift = {
  column: 1,
  name: "b",
  of: "mean" as const,
  found: 650,
  since: 500,
  before: { count: 500, mean: 1, deviation: 2, missing: 0 },
  after: { count: 150, mean: 5, deviation: 2.5, missing: 0 },
  chance: 1e-9,
};
const strange = `<b>tag</b>\u202e${"very ".repeat(30)}`;

const CASES: Record<string, History> = {
  "nothing has come": historyOf(0, { learn: { column: "y", kind: "number" } }),
  "one point": historyOf(1, { learn: { column: "y", kind: "number" }, compared: true }),
  "a number, with drift": historyOf(
    12,
    { learn: { column: "y", kind: "number" }, compared: true },
    {
      drifts: [
        drift,
        { ...drift, of: "spread", found: 900, chance: 0 },
        {
          ...drift,
          ...{ column: 0, name: "a", of: "missing", found: 950 },
          after: { count: 0, mean: Number.NaN, deviation: Number.NaN, missing: 1 },
        },
      ],
      driftCount: 3,
    },
  ),
  classes: historyOf(9, {
    learn: { column: "kind", kind: "classes", classes: ["x", "y", "z"] },
    compared: true,
    norm: "none",
  }),
  "watched alone": historyOf(5, { forgetting: 0.99 }),
  "not even watched": historyOf(5, { drift: { chance: 0, block: 64 } }, { watched: [] }),
  "strange names, notes and very many columns": historyOf(
    240,
    {
      columns: Array.from({ length: 70 }, (_, j) => `${strange}${j}`),
      learn: { column: strange, kind: "number" },
    },
    {
      drifts: Array.from({ length: 200 }, (_, i) => ({
        ...drift,
        name: strange,
        column: i % 70,
        found: 100 * i,
      })),
      driftCount: 5000,
      watched: Array.from({ length: 70 }, (_, j) => ({ ready: j % 2 === 0, block: 128 })),
      notes: [
        { record: 3, kind: "infinite", name: strange },
        { record: 4, kind: "diverged", name: "plain" },
      ],
      infinite: 7,
    },
  ),
};

describe.each(Object.entries(CASES))("%s", (_, history) => {
  test("the page is whole, self-contained and without markup from names", () => {
    const html = renderStream(history, serverDocument);
    // of a whole page a failure would print all
    expect(/.{0,60}(?:NaN|undefined|null|Infinity|\u202e).{0,20}/.exec(html)?.[0]).toBeUndefined();
    const { document } = parseHTML(html);
    expect(document.querySelectorAll("script, link, img, iframe").length).toBe(0);
    expect([...document.querySelectorAll("b")].map(({ textContent }) => textContent)).not.toContain("tag");
    for (const each of document.querySelectorAll("figure")) {
      expect(each.querySelector("svg")?.getAttribute("aria-label")).not.toContain("Median");
      expect(each.querySelectorAll("details th").length).toBeGreaterThan(0);
    }
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

const textOf = (history: History): string =>
  parseHTML(renderStream(history, serverDocument)).document.querySelector(".page")?.textContent ?? "";

test("drifts are told first, in a table, and marked in the figures of the error and of their column", () => {
  const { document } = parseHTML(renderStream(CASES["a number, with drift"], serverDocument));
  expect(document.querySelector("h1")?.textContent).toBe("3 drifts in 1,200 records");
  const found = [...document.querySelectorAll(".findings li")].map(({ textContent }) => textContent);
  expect(found).toEqual([
    "b: its mean went from 1.00 to 5.00 about record 501, found 150 records later.",
    "b: its standard deviation went from 2.00 to 2.50 about record 501, found 400 records later.",
    "a: its share of missing values went from 0\u00a0% to 100\u00a0% about record 501, found 450 records later.",
  ]);
  const rows = [...document.querySelectorAll("#drifts tbody tr")].map(({ children }) =>
    [...children].map((cell) => cell.querySelector(".value")?.textContent ?? cell.textContent),
  );
  expect(rows[0]).toEqual(["a", "missing", "501", "0\u00a0%", "100\u00a0%", "1.00×10⁻⁹"]);
  expect(rows[1].at(-1)).toBe("< 10⁻¹⁵");
  const marks = [...document.querySelectorAll("figure")].map(
    (each) => each.querySelectorAll('g[data-part="rule"][stroke="var(--ink)"] line').length,
  );
  // two figures of the error, and one for each column
  expect(marks).toEqual([3, 3, 1, 2]);
});

test("a shift that is small beside the mean can be read, and ticks are as far from each other", () => {
  const stretch = { count: 500, mean: 10_000, deviation: 2, missing: 0 };
  const slight = { ...drift, before: stretch, after: { ...stretch, mean: 10_004 } };
  const history = historyOf(12, {}, { records: 1_000_000, drifts: [slight], driftCount: 1 });
  const { document } = parseHTML(renderStream(history, serverDocument));
  expect(document.querySelector(".findings li")?.textContent).toContain("went from 10,000 to 10,004 about");
  const labels = [...document.querySelectorAll('#columns g[data-part="x-axis tick label"] text')];
  const ticks = labels
    .slice(0, labels.length / 2)
    .map(({ textContent }) => Number(textContent?.replaceAll(",", "")));
  const gaps = ticks.slice(1).map((tick, i) => tick - ticks[i]);
  expect(gaps.length).toBeGreaterThan(1);
  // the first record is number 1
  expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(1);
});

test("errors of all contenders stand in figures and in a table", () => {
  const { document } = parseHTML(renderStream(CASES["a number, with drift"], serverDocument));
  const rows = [...document.querySelectorAll('#errors > table[role="table"] tbody tr')].map(({ children }) =>
    [...children].map(({ textContent }) => textContent),
  );
  expect(rows).toEqual([
    ["With layer normalization", "1.50", "1.50", "1.00", "1.00"],
    ["With no normalization", "3.00", "3.00", "2.00", "2.00"],
    ["Guessing the mean so far", "4.50", "4.50", "3.00", "3.00"],
    ["Guessing the last one", "6.00", "6.00", "4.00", "4.00"],
  ]);
  // without normalization there is nothing to compare with
  expect(textOf(CASES.classes).match(/With no normalization/g)?.length).toBe(1);
});

test("columns in which no drift could be seen are named", () => {
  const settled = historyOf(5);
  expect(textOf(settled)).toContain("No drift found in 500 records");
  expect(textOf(settled)).not.toContain("no reference");
  const watched = [
    { ready: true, block: 64 },
    { ready: false, block: 256 },
  ];
  expect(textOf({ ...settled, watched })).toContain(
    "b has no reference yet, and no drift could be seen: that takes 32 blocks that tell little of each other, and its blocks have 256 records by now.",
  );
});
