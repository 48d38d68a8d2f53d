/** The page of a stream: error over time, moments of each column, and where they drifted, in one HTML file without a script. */
import { type Axis, beyondNote, magnitudeAxis, thinned, tightAxis } from "@evenkeel/report/axes";
import { draw, type Figure, LINE_HEIGHT, LINE_WIDTH } from "@evenkeel/report/draw";
import { capitalize, count, formatApart, formatNumber, listed } from "@evenkeel/report/format";
import { escapeHtml, figure, tableTwin, wholePage } from "@evenkeel/report/page";
import { isNumber } from "@evenkeel/report/statistics";
import * as Plot from "@observablehq/plot";
import { nameOf } from "../norms.js";
import type { Contender, Drift, Errors, History, HistoryPoint, Stretch } from "../online/history.js";
import { isCompared, PLAIN } from "../online/settings.js";
import { countAxis, lineFigure, type OtherLine, type Series, valuesOf } from "./line-figure.js";
import { clipped, looksOf, looksStyle, switches, unbroken } from "./series.js";
import { withTips } from "./tips.js";

/** Columns that are drawn, those that drifted first; drifts in the table; rows of a figure's table. */
const MOST_COLUMNS = 12;
const MOST_DRIFTS = 50;
const MOST_ROWS = 25;
/** Marks that can be told apart in one figure. */
const MOST_MARKS = 60;
/** Letters of a column's name. */
const LONGEST_NAME = 40;

const STYLE = `
#drifts td,#drifts th,#errors td,#errors th{overflow-wrap:anywhere}
#drifts>table,#errors>table,#errors>.beside{margin-top:1rem}
`;

const number = (n: number) => n.toLocaleString("en-US");
/** Of a record by its place: numbers are from 1, as in the output. */
const recordNumber = (place: number) => number(place + 1);
const named = (name: string): string => escapeHtml(clipped(name, LONGEST_NAME));

/** The whole page; its figures are drawn in `document`. */
export function renderStream(history: History, document: Document): string {
  const { settings, records } = history;
  const norms = normsOf(history);
  const looks = looksOf(norms);
  const title = headlineOf(history);
  const body = `<div class="page">
<header>
<p class="eyebrow">Evenkeel · a stream</p>
<h1>${escapeHtml(title)}</h1>
<p class="deck">${unbroken(`${capitalize(listed([`standardized ${count(settings.columns.length, "column")}`, ...(settings.learn ? [`learned “${clipped(settings.learn.column, LONGEST_NAME)}” from ${settings.columns.length === 1 ? "it" : "them"}`] : [])]))}. Each of ${count(records, "record")} was standardized${settings.learn ? " and predicted" : ""} by those before it alone.`)}</p>
${findings(history)}
</header>
<main>
${settings.learn ? errorSection(history, norms.length > 1 ? switches(norms, looks) : "", document) : ""}
${driftSection(history)}
${columnSection(history, document)}
${settingsSection(history)}
</main>
<footer>Every number: the state and the predictions that evenkeel stream writes.</footer>
</div>`;
  return wholePage(title, looksStyle(looks) + STYLE, body);
}

function headlineOf({ settings, records, driftCount }: History): string {
  const all = count(records, "record");
  if (settings.drift.chance === 0) return `A stream of ${all}`;
  return driftCount === 0 ? `No drift found in ${all}` : `${count(driftCount, "drift")} in ${all}`;
}

/** The normalizations of the figures: the network's, and none where it is compared. */
const normsOf = ({ settings }: History): string[] =>
  settings.learn === undefined ? [] : [settings.norm, ...(isCompared(settings) ? [PLAIN] : [])];

// ---- what there is to know ----

function findings(history: History): string {
  const { drifts, driftCount, notes, infinite } = history;
  const items = drifts.slice(-3).map((drift) => `<b>${named(drift.name)}</b>: ${driftText(drift)}.`);
  if (driftCount > items.length && items.length > 0) {
    items.unshift(`${count(driftCount - items.length, "earlier drift")}, in the table below.`);
  }
  const unwatched = unwatchedText(history);
  if (unwatched !== "") items.push(unwatched);
  if (infinite > 0) {
    const columns = notes.flatMap(({ kind, name }) => (kind === "infinite" ? [named(name)] : []));
    items.push(
      `${count(infinite, "value")} without a finite square ${infinite === 1 ? "was" : "were"} taken as missing, in ${listed(columns.slice(0, 5))}${columns.length > 5 ? " and others" : ""}.`,
    );
  }
  for (const { kind, name, record } of notes) {
    if (kind !== "diverged") continue;
    items.push(
      `The network${name === "plain" ? " without normalization" : ""} diverged at record ${recordNumber(record)}, and began anew; whether it did again is not told.`,
    );
  }
  return items.length === 0
    ? ""
    : `<ul class="findings">${items.map((item) => `<li>${item}</li>`).join("")}</ul>`;
}

/** Of the columns in which a drift could not have been seen; empty where there are none. */
function unwatchedText({ watched, settings }: History): string {
  const none = watched.flatMap(({ ready }, j) => (ready ? [] : [named(settings.columns[j])]));
  if (none.length === 0) return "";
  const which =
    none.length === watched.length
      ? watched.length === 1
        ? "Its column"
        : `All ${number(watched.length)} columns`
      : `${listed(none.slice(0, 5))}${none.length > 5 ? ` and ${number(none.length - 5)} others` : ""}`;
  const block = Math.max(...watched.flatMap((each) => (each.ready ? [] : each.block)));
  return `${which} ${none.length === 1 ? "has" : "have"} no reference yet, and no drift could be seen: that takes 32 blocks that tell little of each other, and ${none.length === 1 ? "its blocks have" : "their blocks have up to"} ${count(block, "record")} by now.`;
}

/** "its mean went from 1.00 to 2.00 about record 1,000, found 200 records later" */
function driftText({ of, before, after, since, found }: Drift): string {
  const [from, to] = shiftOf(of, [before, after]);
  const what = { mean: "mean", spread: "standard deviation", missing: "share of missing values" }[of];
  return unbroken(
    `its ${what} went from ${from} to ${to} about record ${recordNumber(since)}, found ${count(found - since, "record")} later`,
  );
}

const percentage = (value: number | null): string =>
  isNumber(value) ? `${Number((100 * value).toPrecision(value >= 0.1 ? 3 : 2))}\u00a0%` : "–";

/** Of each stretch what has shifted. */
const shiftOf = (of: Drift["of"], stretches: readonly Stretch[]): string[] =>
  of === "missing"
    ? stretches.map(({ missing }) => percentage(missing))
    : formatApart(stretches.map(({ mean, deviation }) => (of === "mean" ? mean : deviation)));

// ---- error over time ----

interface Measure {
  title: string;
  of(errors: Errors): number;
  format(value: number | null): string;
}

const RMSE: Measure = { title: "Root mean squared error", of: ({ rmse }) => rmse, format: formatNumber };
const MAE: Measure = { title: "Mean absolute error", of: ({ mae }) => mae, format: formatNumber };
const WRONG: Measure = { title: "Wrong", of: ({ wrong }) => wrong, format: percentage };

/** Those who only guess, as figures and tables name them. */
const GUESSES: Partial<Record<Contender, { name: string; line: OtherLine["line"] }>> = {
  mean: { name: "guessing the mean so far", line: "dashed" },
  majority: { name: "guessing the most frequent class so far", line: "dashed" },
  last: { name: "guessing the last one", line: "dotted" },
};

const middleOf = ({ from, to }: HistoryPoint): number => (from + to + 1) / 2;

function errorSection(history: History, legend: string, document: Document): string {
  const { settings } = history;
  const isNumeric = settings.learn?.kind === "number";
  const measures = isNumeric ? [RMSE, MAE] : [WRONG];
  const how = [
    `Each point is the error over the records of its stretch, each predicted before it was learned from${isNumeric ? `, in units of “${clipped(settings.learn?.column ?? "", LONGEST_NAME)}”` : ""}. The lines of those who only guess show what is to be had without learning.`,
    "Stretches get longer as the stream does, so that their number stays bounded.",
    ...(isCompared(settings)
      ? [
          "The network without normalization has the same initial weights and the same records. It is one network each: another seed would draw other lines, and which is the better one is not tested here.",
        ]
      : []),
  ];
  const figures = measures.map((measure) =>
    figure(measure.title, "by record", errorFigure(history, measure, document)),
  );
  return `<section id="errors" class="figures"><h2>Error over time</h2>${legend}
<div class="beside"><div class="how">${how.map((text) => `<p>${escapeHtml(text)}</p>`).join("")}</div><div class="pair">${figures.join("")}</div></div>
${errorTable(history, measures)}</section>`;
}

function errorFigure(history: History, { title, of, format }: Measure, document: Document): Figure {
  const { settings, points, records } = history;
  const pointsOf = (contender: Contender) =>
    points.map((point) => {
      const errors = point.errors.find((each) => each.of === contender);
      return { x: middleOf(point), y: errors ? of(errors) : Number.NaN };
    });
  const series = normsOf(history).map(
    (norm, i): Series => ({
      norm,
      points: pointsOf(i === 0 ? "network" : "plain").map(({ x, y }) => ({ x, low: y, median: y, high: y })),
      seeds: [],
      ends: [],
    }),
  );
  const others = (points[0]?.errors ?? []).flatMap(({ of: contender }): OtherLine[] => {
    const guess = GUESSES[contender];
    return guess === undefined ? [] : [{ ...guess, points: pointsOf(contender) }];
  });
  const all = [...valuesOf(series), ...others.flatMap((line) => line.points.map(({ y }) => y))].filter(
    isNumber,
  );
  const drawn = lineFigure(
    {
      title: `${title} by record`,
      series,
      x: countAxis(1, Math.max(2, records)),
      xLabel: "record",
      y: isNumber(settings.learn?.classes?.length)
        ? { ...tightAxis(0, Math.max(...all, 0.01)), format: percentage }
        : magnitudeAxis(all),
      format,
      others,
      marks: marksOf(history.drifts),
    },
    document,
  );
  const heads = ["records", ...series.map(({ norm }) => nameOf(norm)), ...others.map(({ name }) => name)];
  const rows = points.map((point, i) => [
    rangeText(point),
    ...[...series, ...others].map((line) => {
      const at = line.points[i];
      const value = "median" in at ? at.median : at.y;
      return format(isNumber(value) ? value : null);
    }),
  ]);
  return {
    svg: drawn.svg.replace("Median at the right end: ", "At the right end: "),
    notes: drawn.notes,
    twin: tableTwin(`${title} by record`, heads.map(escapeHtml), thinned(rows, MOST_ROWS)),
  };
}

const rangeText = ({ from, to }: HistoryPoint): string => `${recordNumber(from)} – ${number(to)}`;

function marksOf(drifts: readonly Drift[]): { x: number[]; note: string } {
  const all = [...new Set(drifts.map(({ found }) => found + 1))];
  const some = all.length > MOST_MARKS ? ", of very many some" : "";
  return { x: thinned(all, MOST_MARKS), note: `Upright lines: where a drift was found${some}.` };
}

function errorTable({ errors, overall, settings }: History, measures: readonly Measure[]): string {
  const nameOfContender = (of: Contender): string =>
    capitalize(GUESSES[of]?.name ?? `with ${nameOf(of === "plain" ? PLAIN : settings.norm)}`);
  const heads = measures.flatMap(({ title }) => [`${title}, all records`, `${title}, lately`]);
  const rows = overall.map((all) => {
    const lately = errors.find(({ of }) => of === all.of);
    const cells = measures.flatMap(({ of, format }) => [format(of(all)), format(lately ? of(lately) : null)]);
    return `<tr role="row"><th role="rowheader" scope="row">${escapeHtml(nameOfContender(all.of))}</th>${cells.map((cell, i) => `<td role="cell" data-head="${heads[i]}"><span class="value">${cell}</span></td>`).join("")}</tr>`;
  });
  const told = overall[0]?.count ?? 0;
  return `<table role="table"><caption>Over the ${count(told, "record")} whose target is known, from the second such on. Lately: an error counts for ${settings.fading} of the next one.</caption>
${tableHead(["", ...heads])}<tbody role="rowgroup">${rows.join("\n")}</tbody></table>`;
}

const tableHead = (heads: readonly string[]): string =>
  `<thead role="rowgroup"><tr role="row">${heads.map((head) => `<th role="columnheader" scope="col">${head}</th>`).join("")}</tr></thead>`;

// ---- drift ----

function driftSection({ settings, drifts, driftCount }: History): string {
  const { chance, block } = settings.drift;
  if (chance === 0) return "";
  const terms = `A drift is a shift of a column’s mean, spread or share of missing values that chance does not explain: where nothing shifts, at most ${formatRate(chance)} false alarms are to be expected in a million records. Values are compared in blocks of ${number(block)} records or more, longer where neighbours depend on each other; a season that is longer than some ${number(32 * block)} records looks like drift unless blocks are as long as it (--drift-block), and so may a burst of unrest.`;
  const shown = drifts.slice(-MOST_DRIFTS).reverse();
  const heads = ["Column", "What", "Since about", "Before", "After", "Chance"];
  const rows = shown.map(({ name, of, since, found, before, after, chance: unlikely }) => {
    const shift = shiftOf(of, [before, after]);
    const cells: [string, string, string?][] = [
      [heads[1], of],
      [heads[2], recordNumber(since), `found at ${recordNumber(found)}`],
      ...[before, after].map((stretch, i): [string, string, string] => [
        heads[3 + i],
        shift[i],
        `of ${count(stretch.count, "value")}${of === "missing" ? "" : of === "mean" ? `, spread ${formatNumber(stretch.deviation)}` : `, mean ${formatNumber(stretch.mean)}`}`,
      ]),
      [heads[5], unlikely < 1e-15 ? "&lt; 10⁻¹⁵" : formatNumber(unlikely)],
    ];
    return `<tr role="row"><th role="rowheader" scope="row">${named(name)}</th>${cells.map(([head, value, small]) => `<td role="cell" data-head="${head}"><span class="value">${value}</span>${small === undefined ? "" : `<small>${small}</small>`}</td>`).join("")}</tr>`;
  });
  const caption =
    driftCount > shown.length
      ? `The latest ${shown.length} of ${number(driftCount)}, the latest first. `
      : driftCount > 1
        ? "The latest first. "
        : "";
  const table =
    shown.length === 0
      ? ""
      : `<table role="table"><caption>${caption}Chance: of as large a difference in one comparison where nothing shifts; of the many comparisons only the least likely are told.</caption>
${tableHead(heads)}<tbody role="rowgroup">${rows.join("\n")}</tbody></table>`;
  return `<section id="drifts"><h2>Drift</h2><p class="deck">${unbroken(terms)}${shown.length === 0 ? "" : " After a drift its column is watched anew."}</p>${table}</section>`;
}

const formatRate = (value: number): string => String(Number(value.toPrecision(3)));

// ---- each column ----

function columnSection(history: History, document: Document): string {
  const { settings, drawn, drifts, points } = history;
  if (points.length === 0) return "";
  const drifted = new Set(drifts.map(({ column }) => column));
  const all = Array.from({ length: drawn }, (_, j) => j);
  const chosen = new Set(
    [...all.filter((j) => drifted.has(j)), ...all.filter((j) => !drifted.has(j))].slice(0, MOST_COLUMNS),
  );
  const left = settings.columns.length - chosen.size;
  const how = [
    "The line is the mean of the column’s values over the records of each stretch, the band one standard deviation to either side, in the units of the data. Upright lines are where a drift of this column was found.",
    ...(left > 0
      ? [
          `${count(left, "column")} of ${number(settings.columns.length)} ${left === 1 ? "is" : "are"} not drawn; of those with a drift the first are.`,
        ]
      : []),
  ];
  const figures = all
    .filter((j) => chosen.has(j))
    .map((j) => figure(named(settings.columns[j]), "mean and spread", columnFigure(history, j, document)));
  return `<section id="columns" class="figures"><h2>Each column over time</h2>
<div class="beside"><div class="how">${how.map((text) => `<p>${text}</p>`).join("")}</div><div class="pair">${figures.join("")}</div></div></section>`;
}

/** At most so many, as far from each other. */
const everyTick = (ticks: readonly number[], most: number): number[] =>
  ticks.filter((_, i) => i % Math.ceil(ticks.length / most) === 0);

const MARGIN = { top: 12, right: 14, bottom: 34, left: 52 };
const COLOUR = "var(--hue1)";

function columnFigure({ points, drifts, records, settings }: History, j: number, document: Document): Figure {
  const name = clipped(settings.columns[j], LONGEST_NAME);
  const lines = points.map((point) => {
    const { count: values, mean, m2 } = point.moments;
    const deviation = Math.sqrt(m2[j] / values[j]);
    const middle = values[j] > 0 ? mean[j] : Number.NaN;
    return { point, x: middleOf(point), values: values[j], mean: middle, deviation };
  });
  const ends = lines.flatMap(({ mean, deviation }) => [mean - deviation, mean + deviation]).filter(isNumber);
  const y: Axis = ends.length === 0 ? tightAxis(0, 1) : tightAxis(Math.min(...ends), Math.max(...ends));
  const x = countAxis(1, Math.max(2, records));
  const own = marksOf(drifts.filter(({ column }) => column === j));
  const frame = {
    x: MARGIN.left,
    y: MARGIN.top,
    width: LINE_WIDTH - MARGIN.left - MARGIN.right,
    height: LINE_HEIGHT - MARGIN.top - MARGIN.bottom,
  };
  const last = lines.findLast(({ mean }) => isNumber(mean));
  const xScale: Plot.ScaleOptions = { domain: x.domain, range: [frame.x, frame.x + frame.width] };
  const alone = lines.filter(
    ({ mean }, i) => isNumber(mean) && !isNumber(lines[i - 1]?.mean) && !isNumber(lines[i + 1]?.mean),
  );
  const svg = draw(
    {
      width: LINE_WIDTH,
      height: LINE_HEIGHT,
      margin: MARGIN,
      x: xScale,
      y: { domain: y.domain, range: [frame.y + frame.height, frame.y] },
      ariaLabel: `Mean and standard deviation of ${name} by record. ${last ? `At the right end: mean ${formatNumber(last.mean)}, standard deviation ${formatNumber(last.deviation)}.` : "It has no values."}`,
      marks: [
        Plot.gridY(y.ticks, { stroke: "var(--grid)", strokeOpacity: 1 }),
        Plot.ruleY([y.domain[0]], { stroke: "var(--axis)" }),
        Plot.axisY(y.ticks, { text: y.format, tickSize: 0, tickPadding: 8, label: null }),
        Plot.axisX(everyTick(x.ticks, 4), {
          text: x.format,
          tickSize: 4,
          label: "record",
          labelAnchor: "center",
          labelArrow: "none",
        }),
        Plot.areaY(lines, {
          x: "x",
          y1: ({ mean, deviation }) => mean - deviation,
          y2: ({ mean, deviation }) => mean + deviation,
          fill: COLOUR,
          fillOpacity: 0.16,
        }),
        Plot.ruleX(own.x, { stroke: "var(--ink)", strokeOpacity: 0.55 }),
        Plot.lineY(lines, { x: "x", y: "mean", stroke: COLOUR, strokeWidth: 2 }),
        Plot.dot(alone, { x: "x", y: "mean", fill: COLOUR, r: 2.5 }),
      ],
    },
    document,
  );
  const across = Plot.scale({ x: xScale });
  const said = ({ mean, deviation }: (typeof lines)[number]) =>
    isNumber(mean) ? [formatNumber(mean), formatNumber(deviation)] : ["–", "–"];
  return {
    svg: withTips(
      svg,
      frame,
      "x",
      lines.map((line) => ({
        pixel: across.apply(line.x),
        lines: [
          { text: `records ${rangeText(line.point)}` },
          { text: `mean ${said(line)[0]}` },
          { text: `spread ${said(line)[1]}` },
        ],
      })),
    ),
    notes: [
      ...(last === undefined ? ["It has no values."] : []),
      ...beyondNote(y, ends),
      ...(own.x.length > 0 ? [`${count(own.x.length, "drift")} found.`] : []),
    ],
    twin: tableTwin(
      `${name} by record`,
      ["records", "values", "mean", "standard deviation"],
      thinned(lines, MOST_ROWS).map((line) => [rangeText(line.point), number(line.values), ...said(line)]),
    ),
  };
}

// ---- settings ----

function settingsSection({ settings, records }: History): string {
  const { columns, learn, forgetting, norm, depth, width, optimizer, learningRate, batchSize, seed, drift } =
    settings;
  const shown = columns.slice(0, 30).map((name) => clipped(name, LONGEST_NAME));
  const rows: [string, string][] = [
    ["Records", number(records)],
    [
      "Columns",
      `${listed(shown)}${columns.length > shown.length ? ` and ${number(columns.length - shown.length)} more` : ""}`,
    ],
    [
      "Standardized",
      forgetting === 1
        ? "by all records before; nothing is forgotten"
        : `by the records before, each of which counts for ${forgetting} of the next: about the last ${number(Math.round(1 / (1 - forgetting)))}`,
    ],
    ...(learn === undefined
      ? []
      : ([
          [
            "Learned",
            `${clipped(learn.column, LONGEST_NAME)}${learn.kind === "classes" ? `, ${count(learn.classes?.length ?? 0, "class", "classes")}` : ", a number, standardized by those before"}`,
          ],
          [
            "Network",
            `${count(depth, "layer")} and the output layer, ${number(width)} units wide, ${nameOf(norm)}${isCompared(settings) ? "; the same without" : ""}`,
          ],
          [
            "Training",
            `a step after every ${batchSize === 1 ? "record" : `${number(batchSize)} records`}, ${optimizer}, learning rate ${formatRate(learningRate)}; missing values are the mean, inputs at most 10 standard deviations from it`,
          ],
          ["Seed", `${seed}, of the initial weights`],
        ] as [string, string][])),
    [
      "Drift",
      drift.chance === 0
        ? "not watched"
        : `at most ${formatRate(drift.chance)} false alarms to expect in a million records, blocks of ${number(drift.block)} records or more`,
    ],
  ];
  const list = rows
    .map(([term, value]) => `<div><dt>${term}</dt><dd>${unbroken(value)}</dd></div>`)
    .join("\n");
  return `<section id="settings"><h2>How it was done</h2><dl>${list}</dl></section>`;
}
