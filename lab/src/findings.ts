/**
 * What a comparison found, in sentences that hold for its numbers. Normalizations are compared with the baseline alone,
 * and only where `claims.ts` calls the difference clear; everything else said is a fact of one normalization's trials.
 */
import { capitalize, count, formatNumber, listed, minus, printable } from "@evenkeel/report/format";
import { isNumber } from "@evenkeel/report/statistics";
import type { Difference } from "./claims.js";
import { labelOf, type NormName, nameOf } from "./norms.js";
import { type Comparison, metricOf, type Summary, type Trial, trialsOf } from "./results.js";
import { settingName } from "./settings.js";
import { tasks } from "./tasks/registry.js";
import { bestOf, isBetter, type Metric } from "./tasks/task.js";

/** "with batch normalization", "without normalization". */
export const under = (norm: NormName): string =>
  norm === "none" ? "without normalization" : `with ${nameOf(norm)}`;

export function network({ model }: Comparison): string {
  if (model.module !== undefined) return `the network ${printable(model.kind)}`;
  if (model.depth === 1) return "a single-layer network";
  const article = /^(8\d?|11|18)$/.test(String(model.depth)) ? "an" : "a";
  return `${article} ${model.depth}-layer network`;
}

/** Most normalizations that a sentence names in full, and by their labels. */
const MOST_NAMES = 3;
const MOST_LABELS = 6;
/** Characters of the data's name. */
const LONGEST_NAME = 60;

/** "without normalization and with layer normalization", "with 5 normalizations (layer, RMS, batch, group and instance)". */
export function underAll(norms: readonly NormName[]): string {
  const others = norms.filter((norm) => norm !== "none");
  const named =
    others.length === 0
      ? []
      : others.length <= MOST_NAMES
        ? [`with ${listed(others.map(nameOf))}`]
        : [`with ${others.length} normalizations (${labelled(others.map(labelOf))})`];
  return [...(others.length < norms.length ? ["without normalization"] : []), ...named].join(" and ");
}

const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);

/** "3 of 9 trials", "every trial". */
const share = (some: number, all: number): string =>
  some === all ? "every trial" : `${some} of ${count(all, "trial")}`;

/** "a, b and 30 others". */
const labelled = (labels: readonly string[]): string =>
  labels.length <= MOST_LABELS
    ? listed(labels)
    : listed([...labels.slice(0, MOST_LABELS - 1), `${labels.length - MOST_LABELS + 1} others`]);

// ---- what is clear ----

/** What normalizations are compared in. */
export type MeasureName = keyof Comparison["differences"];

const moreIsBetter = (comparison: Comparison, measure: MeasureName): boolean =>
  measure === "metric" && metricOf(comparison).higherIsBetter;

const clearOnes = (comparison: Comparison, measure: MeasureName, better: boolean): Difference[] =>
  comparison.differences[measure].filter(
    ({ clear, mean }) =>
      clear && mean !== null && mean > 0 === (moreIsBetter(comparison, measure) === better),
  );

/** The normalizations that are clearly better than the baseline, or worse. */
export const clearlyBetter = (comparison: Comparison, measure: MeasureName): Set<NormName> =>
  new Set(clearOnes(comparison, measure, true).map(({ norm }) => norm));
export const clearlyWorse = (comparison: Comparison, measure: MeasureName): Set<NormName> =>
  new Set(clearOnes(comparison, measure, false).map(({ norm }) => norm));

/** A difference of epochs, signed: "−2.5". */
export const formatEpochDifference = (value: number): string => {
  const text = value.toFixed(1);
  return Number(text) > 0 ? `+${text}` : minus(text);
};

/** The mean, and the interval: "+0.4 to +2.0 points"; empty where there is none. */
export function differenceText(
  { mean, low, high }: Difference,
  format: (value: number) => string,
): { mean: string; interval: string } {
  if (mean === null) return { mean: "–", interval: "" };
  if (low === null || high === null) return { mean: format(mean), interval: "" };
  return { mean: format(mean), interval: intervalText(low, high, format) };
}

/** The unit once: "+0.4 to +2.0 points". */
function intervalText(low: number, high: number, format: (value: number) => string): string {
  const [from, to] = [format(low), format(high)];
  const unit = /[\s\u00a0]\S+$/.exec(to)?.[0];
  return `${unit && from.endsWith(unit) ? from.slice(0, -unit.length) : from} to ${to}`;
}

/** Diverged trials of a normalization. */
export type Losses = Pick<Summary, "norm" | "trials" | "diverged">;

/**
 * Whether it is beyond chance that all trials of these normalizations diverged, where as many of all trials did: at most
 * 5 % of random orders have the like, for whichever of `choices` sets of normalizations (Fisher 1935, exactly).
 */
export function lossIsClear(all: readonly Losses[], lost: readonly NormName[], choices: number): boolean {
  const own = sum(all.filter(({ norm }) => lost.includes(norm)).map((each) => each.trials));
  const [trials, diverged] = [sum(all.map((each) => each.trials)), sum(all.map((each) => each.diverged))];
  let chance = choices;
  for (let i = 0; i < own; i++) chance *= (diverged - i) / (trials - i);
  return chance <= 0.05;
}

/** How many sets of `size` there are among `count`. */
function setsOf(count: number, size: number): number {
  let sets = 1;
  for (let i = 0; i < size; i++) sets *= (count - i) / (i + 1);
  return sets;
}

// ---- one normalization ----

/** A row of the table with at least one trial that did not diverge and gave a number. */
type Result = Summary & { metric: { median: number; min: number; max: number } };

const hasResult = ({ trials, diverged, metric }: Summary): boolean =>
  trials > diverged && metric.median !== null && metric.min !== null && metric.max !== null;

const allDiverged = ({ trials, diverged }: Summary): boolean => trials > 0 && diverged === trials;

/** Of a trial: whether a metric is at the level of guessing; undefined where it has no value. */
function atGuessing({ scores, guessing }: Trial, metric: Metric): boolean | undefined {
  const [value, level] = [scores.heldOut[metric.name], guessing[metric.name]];
  return isNumber(value) && isNumber(level) ? !isBetter(metric, value, level) : undefined;
}

/** Whether every trial that did not diverge is at the level of guessing in a metric that can tell, or every one beyond. */
function every(comparison: Comparison, norm: NormName, metric: Metric, guessing: boolean): boolean {
  const found = trialsOf(comparison, norm)
    .filter(({ outcome }) => outcome === "finished")
    .map((trial) => atGuessing(trial, metric))
    .filter((each) => each !== undefined);
  return found.length > 0 && found.every((each) => each === guessing);
}

const guesses = (comparison: Comparison, norm: NormName, metric: Metric): boolean =>
  every(comparison, norm, metric, true);

/** The metrics that guessing has a level of: an uneven target hides in one what another shows. */
const telling = ({ data }: Comparison): readonly Metric[] =>
  tasks[data.task].metrics.filter(({ primary }) => primary);

/** Whether a network learnt nothing that any metric of the task shows, with any seed. */
const learntNothing = (comparison: Comparison, norm: NormName): boolean =>
  telling(comparison).every((metric) => guesses(comparison, norm, metric));

// ---- the headline ----

/** "96.4 %", "an R² of 0.610 to 0.870 (1 of 3 trials diverged)". */
function metricPhrase(comparison: Comparison, results: readonly Result[]): string {
  const metric = metricOf(comparison);
  const medians = results.map((each) => each.metric.median);
  const [low, high] = [Math.min(...medians), Math.max(...medians)];
  const value =
    metric.format(low) === metric.format(high)
      ? metric.phrase(low)
      : `${metric.phrase(low)} to ${metric.format(high)}`;
  return withLosses(value, results);
}

/** Never the survivors' numbers alone. */
function withLosses(value: string, results: readonly Result[]): string {
  const [diverged, trials] = [
    sum(results.map((each) => each.diverged)),
    sum(results.map((each) => each.trials)),
  ];
  return diverged > 0 ? `${value} (${diverged} of ${count(trials, "trial")} diverged)` : value;
}

function endsAt(comparison: Comparison, result: Result): string {
  const metric = metricOf(comparison);
  const phrase = metricPhrase(comparison, [result]);
  if (learntNothing(comparison, result.norm)) return `ends at ${phrase}, ${metric.atGuessing}`;
  return guesses(comparison, result.norm, metric)
    ? `ends at ${phrase}, as ${metric.guessed} does`
    : `ends at ${phrase}`;
}

/** A name of somebody else's, so that the sentence stays one. */
function shortened(name: string): string {
  const shown = printable(name);
  return shown.length > LONGEST_NAME ? `${shown.slice(0, LONGEST_NAME - 1)}…` : shown;
}

/** How results end that are clearly better than the baseline, or worse: it is their means that differ, which the medians may not show. */
function differs(comparison: Comparison, base: Result, results: readonly Result[], better: boolean): string {
  const metric = metricOf(comparison);
  const { format, formatDifference } = metric;
  const how = better === metric.higherIsBetter ? "higher" : "lower";
  const shown = results.every(
    ({ metric: { median } }) =>
      isBetter(metric, median, base.metric.median) === better &&
      format(median) !== format(base.metric.median),
  );
  if (shown) return `${better ? "reaches" : `ends clearly ${how}, at`} ${metricPhrase(comparison, results)}`;
  const means = comparison.differences.metric.flatMap(({ norm, mean }) =>
    mean !== null && results.some((each) => each.norm === norm) ? mean : [],
  );
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const by =
    formatDifference(low) === formatDifference(high)
      ? formatDifference(low)
      : intervalText(low, high, formatDifference);
  return `ends clearly ${how} on average: ${withLosses(by, results)}`;
}

/** What the comparison found, in one sentence that holds for these numbers. */
export function headline(comparison: Comparison): string {
  const { baseline } = comparison;
  const metric = metricOf(comparison);
  const subject = `${network(comparison)} on ${shortened(comparison.data.name)}`;
  const started = comparison.summaries.filter(({ trials }) => trials > 0);
  const results = started.filter((each): each is Result => hasResult(each));
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
  const [some] = results;
  if (some === undefined) return capitalize(`${subject} gave no finite ${comparison.metric}`);
  if (started.length === 1) return capitalize(`${under(some.norm)}, ${subject} ${endsAt(comparison, some)}`);
  if (results.length > 1 && results.every(({ norm }) => learntNothing(comparison, norm))) {
    const how = results.some(({ norm }) => norm === "none")
      ? "with or without normalization"
      : "under any normalization compared";
    const best = metric.phrase(
      bestOf(
        metric,
        results.map((each) => each.metric.median),
      ),
    );
    return capitalize(`${subject} does not get beyond ${metric.guessed} ${how}: ${best} at best`);
  }
  const base = results.find(({ norm }) => norm === baseline);
  const others = results.filter((each) => each !== base);
  const elsewhere = () =>
    others.length === 1
      ? `${under(others[0].norm)} it ${endsAt(comparison, others[0])}`
      : `${underAll(others.map(({ norm }) => norm))} it ends at ${metricPhrase(comparison, others)}`;
  if (base === undefined) {
    if (!lost.includes(baseline)) return capitalize(`${subject}: ${elsewhere()}`);
    const found = `${under(baseline)}, ${subject} diverges; ${elsewhere()}`;
    return lossIsClear(started, [baseline], 1) ? capitalize(found) : `${unclear(comparison)}: ${found}`;
  }
  if (others.length === 0) {
    const alone = `${under(baseline)}, ${subject} ${endsAt(comparison, base)}`;
    if (lost.length === 0) return capitalize(alone);
    const found = `${alone}; ${underAll(lost)} it diverges`;
    return lossIsClear(started, lost, 1) ? capitalize(found) : `${unclear(comparison)}: ${found}`;
  }
  const found = [true, false].flatMap((better) => {
    const norms = better ? clearlyBetter(comparison, "metric") : clearlyWorse(comparison, "metric");
    const which = others.filter(({ norm }) => norms.has(norm));
    if (which.length === 0) return [];
    const names =
      which.length > MOST_LABELS
        ? `with ${which.length === others.length ? "all" : `${which.length} of the`} ${others.length} others`
        : underAll(which.map(({ norm }) => norm));
    return [`${names} it ${differs(comparison, base, which, better)}`];
  });
  if (found.length > 0) {
    return capitalize(`${under(baseline)}, ${subject} ${endsAt(comparison, base)}; ${found.join("; ")}`);
  }
  return `${unclear(comparison)}: ${under(baseline)}, ${subject} ${endsAt(comparison, base)}; ${elsewhere()}`;
}

function unclear({ trials, metric }: Comparison): string {
  const seeds = new Set(trials.map(({ seed }) => seed)).size;
  return seeds > 2
    ? `No difference in ${metric} that these seeds can show`
    : `${seeds === 1 ? "One seed" : "Two seeds"} cannot tell a difference from chance`;
}

// ---- the findings ----

/** Whatever else is worth knowing, one sentence each. */
export function findings(comparison: Comparison): string[] {
  const started = comparison.summaries.filter(({ trials }) => trials > 0);
  return [
    ...differences(comparison),
    ...epochs(comparison, started),
    ...hidden(comparison, started),
    ...gradients(comparison, started),
    ...diverged(started),
    ...sweep(comparison),
    ...learningRates(comparison, started),
    ...seeds(comparison),
  ];
}

/** "batch +2.4 points (+0.9 to +3.9 points)" of each. */
const detailed = (found: readonly Difference[], format: (value: number) => string, unit = ""): string =>
  labelled(
    found.map((difference) => {
      const { mean, interval } = differenceText(difference, format);
      return `${labelOf(difference.norm)} ${mean}${unit} (${interval})`;
    }),
  );

function differences(comparison: Comparison): string[] {
  const { baseline, metric, differences: all } = comparison;
  const { formatDifference, higherIsBetter, title } = metricOf(comparison);
  const than = under(baseline);
  const lines = [true, false].flatMap((better) => {
    const found = clearOnes(comparison, "metric", better);
    const how = better === higherIsBetter ? "higher" : "lower";
    return found.length === 0
      ? []
      : [`${title} is clearly ${how} than ${than}: ${detailed(found, formatDifference)}.`];
  });
  const rest = all.metric.filter(({ clear, low }) => !clear && low !== null).map(({ norm }) => norm);
  if (lines.length > 0 && rest.length > 0) {
    lines.push(`No difference in ${metric} that these seeds can show: ${labelled(rest.map(labelOf))}.`);
  }
  return lines;
}

function epochs(comparison: Comparison, started: readonly Summary[]): string[] {
  const { baseline, targetMetric, training } = comparison;
  if (started.length === 0 || targetMetric === null) return [];
  const goal = metricOf(comparison).goal(targetMetric);
  const reached = started.filter(({ epochsToTarget }) => epochsToTarget.reached > 0);
  if (reached.length === 0) {
    return [`No trial reached the target of ${goal} within ${count(training.epochs, "epoch")}.`];
  }
  const clear = [true, false].flatMap((better) => {
    const found = clearOnes(comparison, "epochsToTarget", better);
    return found.length === 0
      ? []
      : [
          ` In clearly ${better ? "fewer" : "more"} epochs than ${under(baseline)}: ${detailed(found, formatEpochDifference, " epochs")}.`,
        ];
  });
  const trials = sum(started.map((summary) => summary.trials));
  const arrived = sum(reached.map(({ epochsToTarget }) => epochsToTarget.reached));
  if (clear.length === 0) {
    // which of them reached it would read as a difference
    return [`The target of ${goal} is reached in ${share(arrived, trials)}.`];
  }
  const groups: [string, Summary[]][] = [
    ["in every trial", reached.filter(({ trials, epochsToTarget }) => epochsToTarget.reached === trials)],
    ["in some trials", reached.filter(({ trials, epochsToTarget }) => epochsToTarget.reached < trials)],
    ["never", started.filter((each) => !reached.includes(each))],
  ];
  const shares = groups.flatMap(([how, which]) =>
    which.length > 0 ? [`${how} ${underAll(which.map(({ norm }) => norm))}`] : [],
  );
  const missed =
    arrived < trials ? ` A trial that does not reach it counts as ${training.epochs + 1} epochs.` : "";
  return [`The target of ${goal} is reached ${shares.join("; ")}.${clear.join("")}${missed}`];
}

/** Networks that one metric sees at the level of guessing, and another beyond. */
function hidden(comparison: Comparison, started: readonly Summary[]): string[] {
  const metric = metricOf(comparison);
  return started.filter(hasResult).flatMap(({ norm, scores }) => {
    if (!guesses(comparison, norm, metric)) return [];
    const other = telling(comparison).find((each) => each !== metric && every(comparison, norm, each, false));
    if (!other) return [];
    const level = other.format(comparison.guess[other.name] ?? null);
    return [
      `${capitalize(under(norm))}, the ${metric.name} is what ${metric.guessed} gives, and yet something is learnt: ${other.phrase(scores[other.name] ?? null)} (${other.guessed}: ${level}).`,
    ];
  });
}

/** From which ratio on a gradient or a signal vanishes on its way through the network, or explodes. */
const VANISHING = 1e-3;

function gradients(comparison: Comparison, started: readonly Summary[]): string[] {
  const ratios = started.flatMap(({ norm, gradientRatio: { min, max } }) =>
    isNumber(min) && isNumber(max) ? [{ norm, min, max }] : [],
  );
  const vanishing = ratios.filter(({ max }) => max < VANISHING);
  const exploding = ratios.filter(({ min }) => min > 1 / VANISHING);
  const fading = started.flatMap(({ norm }) => {
    const most = Math.max(...trialsOf(comparison, norm).map(signalLeft));
    return most < VANISHING ? [{ norm, most }] : [];
  });
  const line = (what: string, which: readonly { norm: NormName }[], how: string): string[] =>
    which.length === 0 ? [] : [`The ${what} ${underAll(which.map(({ norm }) => norm))}: ${how}.`];
  const most = Math.max(...vanishing.map(({ max }) => max));
  const least = Math.min(...exploding.map(({ min }) => min));
  const left = Math.max(...fading.map((each) => each.most));
  const first = (ratio: string) => `at the first layer it is ${ratio} times the last layer’s`;
  return [
    ...line(
      "gradient vanishes",
      vanishing,
      most > 0 ? first(`at most ${formatNumber(most)}`) : "at the first layer it is zero",
    ),
    ...line("gradient explodes", exploding, first(`at least ${formatNumber(least)}`)),
    ...line(
      "signal fades",
      fading,
      `the last block’s activations ${left > 0 ? `vary at most ${formatNumber(left)} times as much as the first’s` : "do not vary"}, so that all inputs look alike`,
    ),
  ];
}

/** The spread of the last block's activations over that of the first one's at the end of the training; infinite where unknown. */
function signalLeft({ probes }: Trial): number {
  const spread = probes.at(-1)?.activationSpread ?? [];
  const [first, last] = [spread[0], spread.at(-1)];
  return isNumber(first) && isNumber(last) && first > 0 ? last / first : Number.POSITIVE_INFINITY;
}

function diverged(started: readonly Summary[]): string[] {
  const lost = started.filter((each) => each.diverged > 0);
  if (lost.length === 0) return [];
  return [`Diverged (the loss stopped being finite): ${lossesOf(lost)}.`];
}

/** Which trials diverge at which value of the setting: in contrast where that is clear, else as numbers. */
function sweep({ sweep: swept, summaries }: Comparison): string[] {
  const points = swept?.points ?? [];
  return points.flatMap(({ value, trials }) => {
    const shares = summaries.flatMap(({ norm }) => {
      const own = trials.filter((trial) => trial.norm === norm);
      const lost = own.filter(({ outcome }) => outcome === "diverged").length;
      return own.length > 0 ? [{ norm, diverged: lost, trials: own.length }] : [];
    });
    const lost = shares.filter((each) => each.diverged > 0);
    if (lost.length === 0) return [];
    const at = `a ${swept && settingName(swept.setting)} of ${formatSetting(value)}`;
    const all = lost.filter((each) => each.diverged === each.trials).map(({ norm }) => norm);
    const none = shares.filter((each) => each.diverged === 0).map(({ norm }) => norm);
    const choices = points.length * setsOf(shares.length, all.length);
    if (all.length === 0 || none.length === 0 || !lossIsClear(shares, all, choices)) {
      return [`Diverged at ${at}: ${lossesOf(lost)}.`];
    }
    return [`At ${at}, every trial diverges ${underAll(all)}; none ${underAll(none)}.`];
  });
}

const lossesOf = (lost: readonly Losses[]): string =>
  labelled(lost.map(({ norm, trials, diverged }) => `${labelOf(norm)} ${diverged} of ${trials}`));

/** As a user writes a setting: "0.05". */
export const formatSetting = (value: number | null): string =>
  value === null ? "–" : String(Number(value.toPrecision(3)));

function learningRates(comparison: Comparison, started: readonly Summary[]): string[] {
  const { training } = comparison;
  const { learningRates: tried } = training;
  if (started.length < 2) return [];
  if (tried.length === 1) {
    return [
      `All were trained at one learning rate, ${formatSetting(tried[0])}: at another, the result may differ.`,
    ];
  }
  return [Math.min(...tried), Math.max(...tried)].flatMap((end, index) => {
    const chose = started.map(
      ({ norm }) => trialsOf(comparison, norm).filter(({ learningRate }) => learningRate === end).length,
    );
    const [some, all] = [sum(chose), sum(started.map(({ trials }) => trials))];
    // a single trial of a normalization says nothing of it
    const often = started.some(({ trials }, at) => trials > 1 && 2 * chose[at] > trials);
    if (!often && 2 * some <= all) return [];
    const [which, beyond] = index === 0 ? ["lowest", "lower"] : ["highest", "higher"];
    // which normalizations did would read as a difference
    return [
      `The ${which} learning rate tried, ${formatSetting(end)}, was chosen in ${share(some, all)}: a ${beyond} one may do better.`,
    ];
  });
}

function seeds({ differences: { metric }, training }: Comparison): string[] {
  if (metric.length === 0 || metric.some(({ low }) => low !== null)) return [];
  const many = training.seeds.length;
  if (many > 2) return [];
  const few = many === 1 ? "One seed is" : "Two seeds are";
  return [`${few} too few for an interval: use five or more (--seeds 5).`];
}
