/** What a comparison found, in sentences that hold for its numbers. */
import { capitalize, count, formatNumber, listed } from "@evenkeel/report/format";
import { labelOf, type NormName, nameOf } from "./norms.js";
import { type Comparison, formatEpochs, metricOf, type Summary } from "./results.js";

/** "with batch normalization", "without normalization". */
export const under = (norm: NormName): string =>
  norm === "none" ? "without normalization" : `with ${nameOf(norm)}`;

export function network({ model }: Comparison): string {
  if (model.depth === 1) return "a single-layer network";
  const article = /^(8\d?|11|18)$/.test(String(model.depth)) ? "an" : "a";
  return `${article} ${model.depth}-layer network`;
}

/** A row of the table with at least one trial that did not diverge and gave a number. */
type Result = Summary & { metric: { median: number; min: number; max: number } };

const hasResult = (summary: Summary): summary is Result =>
  summary.trials > summary.diverged &&
  summary.metric.median !== null &&
  summary.metric.min !== null &&
  summary.metric.max !== null;

const allDiverged = ({ trials, diverged }: Summary): boolean => trials > 0 && diverged === trials;

/** "96.4 %", "an R² of 0.87 (1 of 3 trials diverged)": never the survivors' number alone. */
function metricPhrase(comparison: Comparison, { metric, trials, diverged }: Result): string {
  const value = metricOf(comparison).phrase(metric.median);
  return diverged > 0 ? `${value} (${diverged} of ${count(trials, "trial")} diverged)` : value;
}

function isGuessing(comparison: Comparison, value: number): boolean {
  const { baseline, heldOutCount } = comparison.data;
  return value <= metricOf(comparison).guessing(baseline, heldOutCount);
}

function endsAt(comparison: Comparison, result: Result): string {
  const phrase = metricPhrase(comparison, result);
  if (!isGuessing(comparison, result.metric.median)) return `reaches ${phrase}`;
  return `ends at ${phrase}, ${metricOf(comparison).atGuessing}`;
}

/** Whether one result is higher than another by more than the range over seeds and the resolution of the held-out data. */
function clearlyHigher(comparison: Comparison, high: Result, low: Result): boolean {
  const middle = Math.min(1, Math.max(0, (high.metric.median + low.metric.median) / 2));
  const grain = metricOf(comparison).grain(middle, comparison.data.heldOutCount);
  return high.metric.min > low.metric.max && high.metric.median - low.metric.median > grain;
}

/** What the comparison found, in one sentence that holds for these numbers. */
export function headline(comparison: Comparison): string {
  const subject = `${network(comparison)} on ${comparison.data.name}`;
  const started = comparison.summaries.filter(({ trials }) => trials > 0);
  const results = started.filter(hasResult).sort((a, b) => b.metric.median - a.metric.median);
  const lost = started.filter(allDiverged).map(({ norm }) => norm);
  const [first] = started;
  if (first === undefined) return "Stopped before any trial had finished";
  if (lost.length === started.length) {
    if (started.length === 1) return capitalize(`${under(first.norm)}, ${subject} diverges`);
    const every = lost.includes("none")
      ? "with and without normalization"
      : "under every normalization compared";
    return capitalize(`${subject} diverges ${every}`);
  }
  const [best] = results;
  if (best === undefined) return capitalize(`${subject} gave no finite ${comparison.metric}`);
  if (started.length === 1) {
    return capitalize(`${under(best.norm)}, ${subject} ${endsAt(comparison, best)}`);
  }
  const none = results.find(({ norm }) => norm === "none");
  const bestNorm = results.find(({ norm }) => norm !== "none");
  if (bestNorm && lost.includes("none")) {
    return `Without normalization, ${subject} diverges; ${under(bestNorm.norm)} it ${endsAt(comparison, bestNorm)}`;
  }
  if (results.length > 1 && results.every(({ metric }) => isGuessing(comparison, metric.median))) {
    const { guess } = metricOf(comparison);
    const how = none ? "with or without normalization" : "under any normalization compared";
    return capitalize(
      `${subject} does not get beyond ${guess} ${how}: ${metricPhrase(comparison, best)} at best`,
    );
  }
  if (none && bestNorm) return againstNone(comparison, subject, none, bestNorm);
  const worst = results.at(-1) ?? best;
  if (lost.length > 0) {
    const losers = listed(lost.map(under));
    return capitalize(`${under(best.norm)}, ${subject} ${endsAt(comparison, best)}; ${losers} it diverges`);
  }
  if (worst === best) return capitalize(`${under(best.norm)}, ${subject} ${endsAt(comparison, best)}`);
  const [high, low] = [best, worst].map((result) => metricPhrase(comparison, result));
  if (!clearlyHigher(comparison, best, worst)) {
    const range = high === low ? high : `${low} to ${high}`;
    return capitalize(`${subject} ends about the same under each normalization compared: ${range}`);
  }
  return capitalize(
    `${subject} ends highest ${under(best.norm)}, at ${high}, and lowest ${under(worst.norm)}, at ${low}`,
  );
}

function againstNone(comparison: Comparison, subject: string, none: Result, best: Result): string {
  const without = metricPhrase(comparison, none);
  const withBest = metricPhrase(comparison, best);
  if (clearlyHigher(comparison, best, none)) {
    const level = isGuessing(comparison, none.metric.median)
      ? endsAt(comparison, none)
      : `ends at ${without}`;
    return `Without normalization, ${subject} ${level}; ${under(best.norm)} it ${endsAt(comparison, best)}`;
  }
  if (clearlyHigher(comparison, none, best)) {
    return capitalize(
      `${subject} ends highest without normalization, at ${without}; ${under(best.norm)} it ends at ${withBest}`,
    );
  }
  return capitalize(
    `${subject} ends at ${without} without normalization and at ${withBest} ${under(best.norm)}, too close to tell apart`,
  );
}

/** Whatever else is worth knowing, one sentence each. */
export function findings(comparison: Comparison): string[] {
  const { summaries, targetMetric, training } = comparison;
  const started = summaries.filter(({ trials }) => trials > 0);
  const lines: string[] = [];

  if (started.length > 0 && targetMetric !== null) {
    const goal = metricOf(comparison).goal(targetMetric);
    const fastest = bestOf(started, "epochsToTarget");
    const [sample] = fastest;
    const never = started
      .filter(({ epochsToTarget }) => epochsToTarget.reached === 0)
      .map(({ norm }) => norm);
    const neverText = never.length > 0 ? ` ${capitalize(listed(never.map(under)))}: never.` : "";
    if (sample) {
      const { reached, median } = sample.epochsToTarget;
      const who = capitalize(listed(fastest.map(({ norm }) => under(norm))));
      const share =
        sample.trials === 1
          ? "the only trial"
          : reached === sample.trials
            ? "every trial"
            : `${reached} of ${count(sample.trials, "trial")}`;
      const epoch = `at epoch ${formatEpochs(median)}${reached > 1 ? " (median)" : ""}`;
      const others = fastest.length < started.length ? ": more of them, or sooner, than with any other" : "";
      lines.push(`${who}, ${share} reached the target of ${goal}, ${epoch}${others}.${neverText}`);
    } else {
      lines.push(`No trial reached the target of ${goal} within ${count(training.epochs, "epoch")}.`);
    }
  }

  const ratios = started.filter((each) => each.gradientRatio.median !== null && !allDiverged(each));
  const byEvenness = ratios.toSorted(
    (a, b) => unevenness(a.gradientRatio.median) - unevenness(b.gradientRatio.median),
  );
  const [even, uneven] = [byEvenness[0], byEvenness.at(-1)];
  if (even && uneven) {
    const phrase = ({ norm, gradientRatio }: Summary): string =>
      `${under(norm)} the first layer’s gradient is ${times(gradientRatio.median)} the last layer’s`;
    lines.push(
      even === uneven || formatNumber(even.gradientRatio.median) === formatNumber(uneven.gradientRatio.median)
        ? `${capitalize(phrase(even))}.`
        : `${capitalize(phrase(uneven))}; ${under(even.norm)}, where it is most even, ${times(even.gradientRatio.median)}.`,
    );
  }

  const diverged = started.filter((summary) => summary.diverged > 0);
  if (diverged.length > 0) {
    const each = diverged.map(
      (summary) => `${labelOf(summary.norm)} ${summary.diverged} of ${summary.trials}`,
    );
    lines.push(`Diverged (the loss stopped being finite): ${listed(each)}.`);
  }
  if (started.some(({ trials }) => trials === 1)) {
    lines.push("One trial only: a small difference here may be chance. Several seeds would show the range.");
  }
  return lines;
}

/** "0.92 times", "1.2×10⁻⁵ times". */
const times = (ratio: number | null): string => `${formatNumber(ratio)} times`;

/** How far a gradient ratio is from 1, on a scale where 10 and 0.1 are equally far. */
const unevenness = (ratio: number | null): number =>
  ratio === null || ratio <= 0 ? Infinity : Math.abs(Math.log(ratio));

export type Column = "metric" | "epochsToTarget" | "stepMs" | "gradientRatio";

/** The rows whose value in this column is the best, to the digits shown; none where there is nothing to choose from. */
export function bestOf(summaries: Summary[], column: Column): Summary[] {
  let rows = summaries.filter((summary) => summary[column].median !== null);
  if (column === "epochsToTarget") {
    // one lucky seed that gets there early is not better than all seeds getting there
    const share = ({ epochsToTarget, trials }: Summary): number =>
      epochsToTarget.reached / Math.max(1, trials);
    const most = Math.max(0, ...rows.map(share));
    rows = rows.filter((row) => share(row) === most);
  }
  const cost = (summary: Summary): number => {
    const value = summary[column].median ?? Infinity;
    if (column === "gradientRatio") return unevenness(value);
    return column === "metric" ? -value : value;
  };
  const least = Math.min(...rows.map(cost));
  const winner = rows.find((row) => cost(row) === least);
  // the only number in its column is best at nothing, but the only one to reach the target reached it first
  if (winner === undefined || !Number.isFinite(least) || (rows.length === 1 && column !== "epochsToTarget"))
    return [];
  return rows.filter((row) => formatNumber(row[column].median) === formatNumber(winner[column].median));
}
