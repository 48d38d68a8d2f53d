/** The tables of the report: a row for each normalization, and one for guessing. */
import { count, formatNumber } from "@evenkeel/report/format";
import { escapeHtml } from "@evenkeel/report/page";
import type { Range } from "@evenkeel/report/statistics";
import type { Difference } from "../claims.js";
import {
  clearlyBetter,
  clearlyWorse,
  differenceText,
  formatEpochDifference,
  type MeasureName,
} from "../findings.js";
import { labelOf, type NormName } from "../norms.js";
import {
  type Comparison,
  formatEpochs,
  formatTarget,
  metricOf,
  type Scores,
  type Summary,
} from "../results.js";
import { tasks } from "../tasks/registry.js";
import { withoutUnit } from "./line-figure.js";
import { type Looks, swatch } from "./series.js";

interface Cell {
  value: string;
  notes?: string[];
  /** A word beside the value. */
  mark?: string;
  bad?: boolean;
}

interface Column {
  key: string;
  head: string;
  /** The head where the table is shown as cards, on a phone. */
  short?: string;
  unit: string;
  cell(summary: Summary): Cell;
  /** What a way of guessing has in this column. */
  guess?(scores: Scores): string;
}

/** `name` is what a screen reader calls it: the caption is long. */
function table(
  name: string,
  columns: Column[],
  { summaries, guess, guesses }: Comparison,
  looks: Looks,
  caption: string,
): string {
  const head = columns.map(
    ({ head, unit }) =>
      `<th role="columnheader" scope="col">${escapeHtml(head)}<small>${escapeHtml(unit)}</small></th>`,
  );
  const cellOf = ({ key, head, short = head }: Column, { value, notes = [], mark, bad }: Cell) =>
    `<td role="cell" data-column="${escapeHtml(key)}" data-head="${escapeHtml(short)}"${bad ? ' class="bad"' : ""}><span class="value">${value}</span>${mark ? ` <em>${mark}</em>` : ""}${notes
      .filter((note) => note !== "")
      .map((note) => `<small>${note}</small>`)
      .join("")}</td>`;
  const rows = summaries.map(
    (summary) =>
      `<tr role="row" data-norm="${summary.norm}"><th role="rowheader" scope="row">${swatch(summary.norm, looks)}${labelOf(summary.norm)}</th>${columns.map((column) => cellOf(column, column.cell(summary))).join("")}</tr>`,
  );
  const ways = guesses.length > 0 ? guesses : [{ name: "guessing", scores: guess }];
  const guessed = columns.some((column) => column.guess !== undefined)
    ? ways.map(
        ({ name, scores }) =>
          `<tr role="row" class="guess"><th role="rowheader" scope="row">${escapeHtml(name)}</th>${columns
            .map((column) =>
              column.guess === undefined
                ? '<td role="cell"></td>'
                : cellOf(column, { value: column.guess(scores) }),
            )
            .join("")}</tr>`,
      )
    : [];
  return `<table role="table" aria-label="${name}"><caption>${escapeHtml(caption)}</caption>
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Normalization</th>${head.join("")}</tr></thead>
<tbody role="rowgroup">${[...rows, ...guessed].join("\n")}</tbody></table>`;
}

/** "95.1 – 97.0 %", or nothing where the ends read the same. */
function rangeText({ min, max }: Range, format: (value: number | null) => string): string {
  const [low, high] = [format(min), format(max)];
  return low === high ? "" : `${withoutUnit(low, high)} – ${high}`;
}

const ofRange = (range: Range, format: (value: number | null) => string): Cell => ({
  value: format(range.median),
  notes: [rangeText(range, format)],
});

/** What came out. */
export function resultsTable(comparison: Comparison, looks: Looks): string {
  const { baseline, differences, targetMetric, summaries } = comparison;
  const metric = metricOf(comparison);
  const goal = formatTarget(comparison);
  const marks = marksOf(comparison, "metric");
  const columns: Column[] = [
    {
      key: "metric",
      head: `${metric.title}, held out`,
      short: metric.title,
      unit: "after the last epoch",
      cell: ({ metric: range }) => ofRange(range, metric.format),
      guess: (scores) => metric.format(scores[comparison.metric] ?? null),
    },
  ];
  if (differences.metric.length > 0) {
    const of = new Map(differences.metric.map((each) => [each.norm, each]));
    const several = differences.metric.some(({ low }) => low !== null);
    columns.push({
      key: "difference",
      head: baseline === "none" ? "Difference from none" : `Difference from ${labelOf(baseline)}`,
      short: `From ${labelOf(baseline)}`,
      unit: several ? "interval by the seeds" : "too few seeds for an interval",
      cell: ({ norm }) =>
        norm === baseline
          ? { value: "baseline" }
          : differenceCell(of.get(norm), metric.formatDifference, several, marks.get(norm)),
    });
  }
  columns.push({
    key: "train",
    head: "On training data",
    short: "In training",
    unit: metric.title.toLowerCase() === metric.title ? metric.title : metric.name,
    cell: ({ trainMetric }) => ofRange(trainMetric, metric.format),
  });
  if (targetMetric !== null) {
    const of = new Map(differences.epochsToTarget.map((each) => [each.norm, each]));
    const sooner = marksOf(comparison, "epochsToTarget");
    columns.push({
      key: "epochsToTarget",
      head: `Epochs to ${goal}`,
      unit: "where reached",
      cell: ({ norm, epochsToTarget, trials }) => {
        const { mean = "–", interval = "" } = norm === baseline ? {} : epochDifference(of.get(norm));
        const missed = trials > 0 && epochsToTarget.reached < trials;
        return {
          value: epochsToTarget.median === null && trials > 0 ? "never" : formatEpochs(epochsToTarget.median),
          notes: [
            [
              rangeText(epochsToTarget, formatEpochs),
              missed && epochsToTarget.reached > 0
                ? `in ${epochsToTarget.reached} of ${count(trials, "trial")}`
                : "",
            ]
              .filter((note) => note !== "")
              .join(", "),
            interval === "" ? "" : `against ${labelOf(baseline)}: ${mean} (${interval})`,
          ],
          mark: sooner.get(norm),
        };
      },
    });
  }
  columns.push({
    key: "diverged",
    head: "Diverged",
    unit: "trials",
    cell: ({ trials, diverged }) =>
      trials === 0
        ? { value: "–", notes: ["no trial finished"] }
        : { value: `${diverged} of ${trials}`, bad: diverged > 0 },
  });
  const caption = [
    summaries.some(({ trials }) => trials > 1)
      ? "Median over the seeds, with the range from the lowest to the highest below it."
      : "One seed each.",
  ];
  if (differences.metric.length > 0) {
    caption.push("A difference is the mean of the differences paired by seed.");
    if (differences.metric.some(({ low }) => low !== null)) {
      caption.push(
        "The intervals of all rows hold at once in 95 of 100 comparisons; where one holds zero, these seeds can show no difference, and nothing is marked.",
      );
    }
    caption.push(...missedNote(comparison));
  }
  return table("Results", columns, comparison, looks, caption.join(" "));
}

/** What a trial without an epoch at which it reached the target counts as, where there is one. */
export const missedNote = ({ trials, targetMetric, training }: Comparison): string[] =>
  targetMetric !== null && trials.some(({ epochsToTarget }) => epochsToTarget === null)
    ? [
        `In differences of epochs, a trial that does not reach the target counts as ${training.epochs + 1}, one more than there were.`,
      ]
    : [];

/** The mark of each normalization that is clearly better or worse than the baseline. */
const marksOf = (comparison: Comparison, measure: MeasureName): Map<NormName, string> =>
  new Map([
    ...[...clearlyBetter(comparison, measure)].map((norm): [NormName, string] => [norm, "better"]),
    ...[...clearlyWorse(comparison, measure)].map((norm): [NormName, string] => [norm, "worse"]),
  ]);

const epochDifference = (difference: Difference | undefined) =>
  difference ? differenceText(difference, formatEpochDifference) : {};

/** `several`: others may have an interval. */
function differenceCell(
  difference: Difference | undefined,
  format: (value: number) => string,
  several: boolean,
  mark: string | undefined,
): Cell {
  if (!difference) return { value: "–" };
  const { mean, interval } = differenceText(difference, format);
  const lacking =
    difference.mean === null ? "no pair of values" : several ? "too few seeds for an interval" : "";
  return { value: mean, notes: [interval === "" ? lacking : interval], mark };
}

/** All metrics, and what the networks are and cost. */
export function detailsTable(comparison: Comparison, looks: Looks): string {
  const { data, metric: main } = comparison;
  const others = tasks[data.task].metrics.filter(({ name }) => name !== main);
  const columns: Column[] = [
    ...others.map(
      ({ name, title, format, higherIsBetter }): Column => ({
        key: name,
        head: title,
        unit: `held out, ${higherIsBetter ? "higher" : "lower"} is better`,
        cell: ({ scores }) => ({ value: format(scores[name] ?? null) }),
        guess: (scores) => format(scores[name] ?? null),
      }),
    ),
    {
      key: "learningRate",
      head: "Learning rate",
      unit: comparison.training.learningRates.length > 1 ? "chosen on validation" : "given",
      cell: ({ learningRate }) => ofRange(learningRate, formatRate),
    },
    {
      key: "parameters",
      head: "Parameters",
      unit: "trained",
      cell: ({ parameters }) => ({ value: parameters?.toLocaleString("en-US") ?? "–" }),
    },
    {
      key: "stepMs",
      head: "Time per step",
      short: "Step, in ms",
      unit: "ms",
      cell: ({ stepMs }) => ofRange(stepMs, formatNumber),
    },
    {
      key: "gradientRatio",
      head: "Gradient ratio",
      unit: "first ÷ last layer",
      cell: ({ gradientRatio }) => ofRange(gradientRatio, formatNumber),
    },
  ];
  return table(
    "All metrics, and what it took",
    columns,
    comparison,
    looks,
    [
      "Medians over the seeds, some with their range.",
      ...others.map(({ explanation }) => explanation(data.parts.heldOut)),
      "Time per step is the wall time of one optimizer step (forward, backward, update) on this machine; trials that ran side by side share its cores.",
      "The gradient ratio is the first layer’s gradient norm over the last layer’s, the median over each trial’s probes; 1 is even.",
    ].join(" "),
  );
}

/** As it was given: `0.003`. */
export const formatRate = (rate: number | null): string =>
  rate === null ? "–" : rate >= 1e-4 ? String(Number(rate.toPrecision(6))) : formatNumber(rate);
