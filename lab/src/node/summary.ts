/** The table at the end of a comparison, for a terminal of 80 columns. */
import { formatNumber, wrap } from "@evenkeel/report/format";
import type { Range } from "@evenkeel/report/statistics";
import Table from "cli-table3";
import { bestOf, type Column, findings, headline } from "../findings.js";
import { labelOf } from "../norms.js";
import { type Comparison, formatEpochs, formatTarget, metricOf, type Summary } from "../results.js";
import { colorsOf } from "./colors.js";

/** Widths that leave room for the other columns; what is wider continues on a second line. */
const METRIC_WIDTH = 22;
const EPOCHS_WIDTH = 15;
const LABEL_WIDTH = 9;

export function summaryTable(comparison: Comparison): string {
  const { metric, summaries } = comparison;
  const colors = colorsOf(process.stdout);
  const table = new Table({
    head: ["", metric, `epochs to\n${formatTarget(comparison)}`, "ms per\nstep", "gradient\nfirst ÷ last"],
    colAligns: ["left", "right", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  const best = (summary: Summary, column: Column, text: string) =>
    summaries.length > 1 && bestOf(summaries, column).includes(summary)
      ? colors.bold(colors.green(text))
      : text;
  for (const summary of summaries) {
    const { norm, trials, diverged, epochsToTarget } = summary;
    const label = wrap(labelOf(norm), LABEL_WIDTH);
    if (trials === 0) {
      table.push([label, { colSpan: 4, content: "no trial finished", hAlign: "left" }]);
      continue;
    }
    const lost = diverged > 0 ? `${diverged} of ${trials} diverged` : "";
    const accuracy = range(summary.metric, metricOf(comparison).format);
    const epochs = formatEpochs(epochsToTarget.median);
    const share = epochsToTarget.reached < trials ? `(${epochsToTarget.reached} of ${trials})` : "";
    const between = epochs.length + share.length < EPOCHS_WIDTH ? " " : "\n";
    table.push([
      label,
      [best(summary, "metric", accuracy), lost && colors.red(lost)].filter((line) => line !== "").join("\n"),
      epochsToTarget.reached === 0
        ? comparison.targetMetric === null
          ? "–"
          : "never"
        : best(summary, "epochsToTarget", epochs) + (share && between + share),
      best(summary, "stepMs", formatNumber(summary.stepMs.median)),
      best(summary, "gradientRatio", formatNumber(summary.gradientRatio.median)),
    ]);
  }
  return table.toString();
}

/** The table, and what it says in sentences. */
export function summaryText(comparison: Comparison): string {
  const sentences = [headline(comparison), ...findings(comparison)].map((line) => wrap(line, 78));
  return `\n${colorsOf(process.stdout).bold(sentences[0])}\n\n${summaryTable(comparison)}\n\n${sentences.slice(1).join("\n")}\n`;
}

/** "96.1 % (95.3–96.9 %)": the median, and the range over the seeds. */
function range({ median, min, max }: Range, format: (value: number | null) => string): string {
  if (median === null || min === null || min === max) return format(median);
  // a dash before a minus sign would be hard to read
  const span =
    min < 0 ? `${format(min)} to ${format(max)}` : `${format(min).replace(/\s%$/, "")}–${format(max)}`;
  const whole = `${format(median)} (${span})`;
  return whole.length <= METRIC_WIDTH ? whole : `${format(median)}\n${wrap(`(${span})`, METRIC_WIDTH)}`;
}
