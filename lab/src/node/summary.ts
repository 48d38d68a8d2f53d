/** The table at the end of a comparison and what it says in sentences, as wide as the terminal. */
import { stripVTControlCharacters } from "node:util";
import { formatNumber, wrap } from "@evenkeel/report/format";
import type { Range } from "@evenkeel/report/statistics";
import Table from "cli-table3";
import {
  clearlyBetter,
  clearlyWorse,
  differenceText,
  findings,
  formatEpochDifference,
  formatSetting,
  headline,
  type MeasureName,
  under,
} from "../findings.js";
import { labelOf } from "../norms.js";
import {
  type Comparison,
  formatEpochs,
  formatTarget,
  type Guess,
  metricOf,
  type Summary,
} from "../results.js";
import { colorsOf } from "./colors.js";

/** Sentences wider than this are hard to read. */
const WIDEST_TEXT = 100;
const LABEL_WIDTH = 14;

interface Column {
  /** Two lines at most. */
  head: string;
  cell(summary: Summary): Cell;
  /** Of the row of each way of guessing, by its name. */
  guess?(way: Guess): string;
}

interface Cell {
  main: string;
  /** What stands in parentheses after it, or below it where there is little room. */
  more?: string;
  /** What has a line of its own. */
  below?: string;
}

const joined = ({ main, more, below }: Cell, narrow: boolean): string =>
  [more ? (narrow ? `${main}\n${more}` : `${main} (${more})`) : main, below].filter(Boolean).join("\n");

/** The headline, the table and the findings, in lines of at most `columns` characters where no single word is longer. */
export function summaryText(comparison: Comparison, columns = 80): string {
  const colors = colorsOf(process.stdout);
  const width = Math.min(columns, WIDEST_TEXT) - 2;
  const list = findings(comparison).map((line) => wrap(`· ${line}`, width, "  "));
  const parts = [colors.bold(wrap(headline(comparison), width)), summaryTable(comparison, columns)];
  if (list.length > 0) parts.push(list.join("\n"));
  return `\n${parts.join("\n\n")}\n`;
}

/** As many columns as fit, the first ones being the most important; where not even those fit, a line for each cell. */
export function summaryTable(comparison: Comparison, columns = 80): string {
  const shown = columnsOf(comparison);
  const note = noteOf(comparison, columns);
  for (const narrow of [false, true]) {
    const cells = [
      shown.map(({ head }) => head),
      ...comparison.summaries.map((summary) => shown.map(({ cell }) => joined(cell(summary), narrow))),
      ...guessesOf(comparison).map((way) => shown.map(({ guess }) => guess?.(way) ?? "")),
    ];
    const widths = shown.map((_, at) => Math.max(...cells.map((row) => widthOf(row[at]))));
    let fitting = 0;
    for (let width = -GAP.length; fitting < shown.length; fitting++) {
      width += GAP.length + widths[fitting];
      if (width > columns) break;
    }
    if (fitting >= Math.min(narrow ? 3 : 4, shown.length)) {
      return tableOf(cells.map((row) => row.slice(0, fitting))) + note;
    }
  }
  return stacked(comparison, shown.slice(0, 4), columns) + note;
}

const GAP = "  ";

const widthOf = (text: string): number =>
  Math.max(...text.split("\n").map((line) => stripVTControlCharacters(line).length));

const BORDERS = ["top", "bottom", "left", "right"].flatMap((side) => [
  side,
  ...["left", "mid", "right"].map((end) => `${side}-${end}`),
]);

/** Cells of rows, the first being the head; all but the first of a row are numbers. */
function tableOf([head, ...rows]: readonly string[][]): string {
  const table = new Table({
    head,
    colAligns: head.map((_, at) => (at === 0 ? "left" : "right")),
    chars: {
      ...Object.fromEntries(BORDERS.map((name) => [name, ""])),
      middle: GAP,
      mid: "─",
      "mid-mid": "─".repeat(GAP.length),
    },
    style: { head: [], border: [], compact: true, "padding-left": 0, "padding-right": 0 },
  });
  table.push(...rows);
  // a cell is as wide as its column
  return table.toString().replaceAll(/ +$/gm, "");
}

function stacked(comparison: Comparison, [, ...columns]: readonly Column[], width: number): string {
  const { bold } = colorsOf(process.stdout);
  const blocks = comparison.summaries.map((summary) =>
    [
      bold(labelOf(summary.norm)),
      ...columns.flatMap(({ head, cell }) => {
        const text = joined(cell(summary), false).replace("\n", ", ");
        return text === "" ? [] : `  ${wrap(`${head.replace("\n", " ")}: ${text}`, width - 4, "    ")}`;
      }),
    ].join("\n"),
  );
  const guesses = guessesOf(comparison).map((way) => `${way.name}: ${columns[0].guess?.(way) ?? "–"}`);
  return [...blocks, ...guesses].join("\n");
}

/** The ways of guessing by their names, or what all metrics have. */
const guessesOf = ({ guess, guesses }: Comparison): Guess[] =>
  guesses.length > 0 ? guesses : [{ name: "guessing", scores: guess }];

/** What the marks and intervals say; empty without any. */
function noteOf({ differences: { metric, epochsToTarget }, baseline }: Comparison, columns: number): string {
  if (![...metric, ...epochsToTarget].some(({ low }) => low !== null)) return "";
  const marks = [...metric, ...epochsToTarget].some(({ clear }) => clear)
    ? `▲ clearly better than ${under(baseline)}, ▼ clearly worse. `
    : "";
  const text = `${marks}Medians with ranges over the seeds; differences are means, whose intervals all hold at once in 95 of 100 comparisons.`;
  return `\n${colorsOf(process.stdout).dim(wrap(text, Math.min(columns, WIDEST_TEXT) - 2))}`;
}

/** The columns in the order of their importance. */
function columnsOf(comparison: Comparison): Column[] {
  const { baseline, differences, training, targetMetric } = comparison;
  const metric = metricOf(comparison);
  const colors = colorsOf(process.stdout);
  const against = (name: MeasureName, head: string, format: (value: number) => string): Column => {
    const [better, worse] = [clearlyBetter(comparison, name), clearlyWorse(comparison, name)];
    return {
      head,
      cell({ norm }) {
        if (norm === baseline) return { main: "baseline" };
        const found = differences[name].find((each) => each.norm === norm);
        if (!found) return { main: "–" };
        const { mean, interval } = differenceText(found, format);
        if (better.has(norm)) return { main: colors.green(`▲ ${mean}`), more: interval };
        return { main: worse.has(norm) ? colors.yellow(`▼ ${mean}`) : mean, more: interval };
      },
    };
  };
  const unit = /[\s\u00a0](\S+)$/.exec(metric.formatDifference(1))?.[1];
  const withoutUnit = (value: number) =>
    unit === undefined
      ? metric.formatDifference(value)
      : metric.formatDifference(value).slice(0, -unit.length - 1);
  const columns: (Column | false)[] = [
    {
      head: "",
      cell: ({ norm }) => ({ main: wrap(labelOf(norm), LABEL_WIDTH) }),
      guess: ({ name }) => wrap(name, LABEL_WIDTH),
    },
    {
      head: metric.name,
      cell({ trials, diverged, metric: values }) {
        if (trials === 0) return { main: "no trial finished" };
        const below = diverged > 0 ? colors.red(`${diverged} of ${trials} diverged`) : "";
        return { main: metric.format(values.median), more: rangeText(values, metric.format), below };
      },
      guess: ({ scores }) => metric.format(scores[metric.name] ?? null),
    },
    differences.metric.length > 0 &&
      against("metric", `against ${labelOf(baseline)}${unit ? `\n${unit}` : ""}`, withoutUnit),
    targetMetric !== null && {
      head: `epochs to\n${formatTarget(comparison)}`,
      cell({ trials, epochsToTarget: { median, reached } }) {
        if (trials === 0) return { main: "" };
        if (reached === 0) return { main: "never" };
        return { main: formatEpochs(median), more: reached < trials ? `${reached} of ${trials}` : "" };
      },
    },
    training.learningRates.length > 1 &&
      plain("learning\nrate", ({ learningRate }) => formatSetting(learningRate.median)),
    plain("ms per\nstep", ({ stepMs }) => formatNumber(stepMs.median)),
    plain("gradient\nfirst ÷ last", ({ gradientRatio }) => formatNumber(gradientRatio.median)),
    plain(`${metric.name}\nin training`, ({ trainMetric }) => metric.format(trainMetric.median)),
    targetMetric !== null &&
      differences.epochsToTarget.length > 0 &&
      against("epochsToTarget", `epochs against\n${labelOf(baseline)}`, formatEpochDifference),
    plain("parameters", ({ parameters }) => parameters?.toLocaleString("en-US") ?? "–"),
  ];
  return columns.filter((column) => column !== false);
}

/** A column of one number. */
const plain = (head: string, text: (summary: Summary) => string): Column => ({
  head,
  cell: (summary) => ({ main: summary.trials === 0 ? "" : text(summary) }),
});

/** "95.3–96.9 %"; empty where all are the same. */
function rangeText({ min, max }: Range, format: (value: number | null) => string): string {
  if (min === null || max === null || format(min) === format(max)) return "";
  // a dash before a minus sign would be hard to read
  return min < 0 ? `${format(min)} to ${format(max)}` : `${format(min).replace(/\s%$/, "")}–${format(max)}`;
}
