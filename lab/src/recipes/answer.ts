/**
 * What trials say to the claims of a recipe: whether each held, in a sentence with its numbers. A difference is claimed
 * only where `claims.ts` calls it clear. Those that are in the report are taken from there; all others of a recipe share
 * one in twenty comparisons in which some interval may miss.
 */
import { count, formatNumber, signed } from "@evenkeel/report/format";
import { isNumber, rangeOf } from "@evenkeel/report/statistics";
import { type Difference, differencesOf } from "../claims.js";
import { summarize } from "../comparison.js";
import { differenceText, formatEpochDifference, formatSetting, lossIsClear, under } from "../findings.js";
import { withoutUnit } from "../report/line-figure.js";
import { type Comparison, formatEpochs, formatTarget, metricOf, type Trial, trialsOf } from "../results.js";
import { settingName } from "../settings.js";
import type { Arm, Better, Claim, MeasureName, Published, Recipe } from "./recipe.js";

/** `unclear`: these trials show neither it nor the contrary. */
export type Held = "yes" | "no" | "unclear";

export interface Answer {
  /** What was claimed: "better with layer normalization than without normalization, in accuracy". */
  claim: string;
  held: Held;
  /** With the numbers that it follows from. */
  sentence: string;
}

/** Of each claim, in their order. */
export function answersOf({ claims }: Pick<Recipe, "claims">, comparison: Comparison): Answer[] {
  const others = claims.filter((claim) => claim.by !== "published" && !isReported(claim, comparison)).length;
  return claims.map((claim) => ({
    claim: claimText(claim, comparison),
    ...(claim.by === "published"
      ? answerToPublished(claim, comparison)
      : answerTo(claim, comparison, ERROR / Math.max(1, others))),
  }));
}

const ERROR = 0.05;
/** What a gradient, or a ratio, of zero counts as: below it there is no float32. */
const LEAST_RATIO = 1e-45;

/** The trials of an arm; none where they have not run. */
const trialsOfArm = (comparison: Comparison, { norm, at }: Arm): Trial[] =>
  at === undefined
    ? trialsOf(comparison, norm)
    : (comparison.sweep?.points.find(({ value }) => value === at)?.trials ?? []).filter(
        (trial) => trial.norm === norm,
      );

/** "with layer normalization at a batch size of 2". */
const underArm = ({ sweep }: Comparison, { norm, at }: Arm): string =>
  at === undefined
    ? under(norm)
    : `${under(norm)} at a ${sweep && settingName(sweep.setting)} of ${formatSetting(at)}`;

function claimText(claim: Claim, comparison: Comparison): string {
  if (claim.by === "published") {
    return `${underArm(comparison, claim.of)} as good as published, in ${comparison.metric}`;
  }
  const { what } = measureOf(claim.by, comparison);
  return `better ${underArm(comparison, claim.better)} than ${underArm(comparison, claim.than)}, in ${what}`;
}

// ---- what is measured ----

type Found = Omit<Answer, "claim">;

interface Measure {
  /** What the numbers are of, as a colon follows it, and within a sentence. */
  name: string;
  what: string;
  higherIsBetter: boolean;
  resolution: number;
  /** What is compared; null where a trial has none. */
  of(trial: Trial): number | null;
  /** What is shown of a trial, where it is not that. */
  shown?(trial: Trial): number | null;
  format(value: number | null): string;
  /** "Difference", or what it is a difference of. */
  difference: string;
  formatDifference(value: number): string;
  /** Whether the true value is at least so much: the trial ended before. */
  isAtLeast?(trial: Trial): boolean;
  /** Such trials all count the same, so that no difference is made larger by them. */
  endsAlike?: boolean;
}

function measureOf(name: MeasureName, comparison: Comparison): Measure {
  const metric = metricOf(comparison);
  const untilTarget = {
    higherIsBetter: false,
    difference: "Difference",
    isAtLeast: ({ epochsToTarget }: Trial) => epochsToTarget === null,
  };
  switch (name) {
    case "metric":
      return {
        name: metric.title,
        what: metric.name,
        higherIsBetter: metric.higherIsBetter,
        resolution: metric.resolution(comparison.data.parts.heldOut),
        of: ({ scores }) => scores.heldOut[metric.name] ?? null,
        format: metric.format,
        difference: "Difference",
        formatDifference: metric.formatDifference,
      };
    case "epochs":
      return {
        ...untilTarget,
        name: `Epochs to ${formatTarget(comparison)}`,
        what: `epochs to ${formatTarget(comparison)}`,
        resolution: 1,
        of: ({ epochsToTarget }) => epochsToTarget ?? comparison.training.epochs + 1,
        endsAlike: true,
        format: formatEpochs,
        formatDifference: formatEpochDifference,
      };
    case "seconds":
      return {
        ...untilTarget,
        name: `Seconds of training to ${formatTarget(comparison)}`,
        what: `seconds to ${formatTarget(comparison)}`,
        resolution: 0,
        of: ({ epochs, epochsToTarget }) => epochs.at((epochsToTarget ?? 0) - 1)?.seconds ?? null,
        format: formatNumber,
        formatDifference: (value) => `${signed(formatNumber(value))} s`,
      };
    case "gradient": {
      const ratio = (trial: Trial) => summarize([trial.norm], [trial], metric.name)[0].gradientRatio.median;
      return {
        name: "Gradient of the first layer over that of the last",
        what: "how evenly the gradient reaches all layers",
        higherIsBetter: false,
        resolution: 0,
        of(trial) {
          const value = ratio(trial);
          return value === null ? null : Math.abs(Math.log10(Math.max(LEAST_RATIO, value)));
        },
        shown: ratio,
        format: formatNumber,
        difference: "Orders of magnitude from 1",
        formatDifference: (value) => signed(value.toFixed(1)),
      };
    }
    case "largest": {
      const largest = ({ probes }: Trial) => rangeOf(probes.flatMap(({ gradientNorm }) => gradientNorm)).max;
      return {
        name: "Largest gradient of any layer",
        what: "how large gradients become",
        higherIsBetter: false,
        resolution: 0,
        of(trial) {
          const value = largest(trial);
          return value === null ? null : Math.log10(Math.max(LEAST_RATIO, value));
        },
        shown: largest,
        format: formatNumber,
        difference: "Orders of magnitude",
        formatDifference: (value) => signed(value.toFixed(1)),
      };
    }
  }
}

/** "3 (2 – 4)", median and range. */
function shownOf(trials: readonly Trial[], measure: Measure): string {
  const range = rangeOf(trials.map(measure.shown ?? measure.of));
  const open = trials.filter((trial) => measure.isAtLeast?.(trial)).length;
  const value = measure.format(range.median);
  const [low, high] = [measure.format(range.min), measure.format(range.max)];
  const spread = low === high ? value : `${value} (${withoutUnit(low, high)} – ${high})`;
  if (open === 0) return spread;
  return open === trials.length
    ? `not reached (${trials.length === 1 ? "one trial" : `${trials.length} trials`})`
    : `${spread}, not reached in ${open} of ${count(trials.length, "trial")}`;
}

// ---- one better than another ----

/** Whether the report has the difference. */
const isReported = ({ better, than, by }: Better, { baseline }: Comparison): boolean =>
  (by === "metric" || by === "epochs") &&
  better.at === undefined &&
  than.at === undefined &&
  than.norm === baseline;

function differenceOf(claim: Better, comparison: Comparison, measure: Measure, error: number): Difference {
  const { better, than, by } = claim;
  if (isReported(claim, comparison)) {
    const { metric, epochsToTarget } = comparison.differences;
    const found = (by === "metric" ? metric : epochsToTarget).find(({ norm }) => norm === better.norm);
    if (found) return found;
  }
  const valuesOf = (arm: Arm) => {
    const trials = trialsOfArm(comparison, arm);
    return comparison.training.seeds.map((seed) => {
      const trial = trials.find((each) => each.seed === seed);
      return trial === undefined ? null : measure.of(trial);
    });
  };
  const values = new Map([
    ["than", valuesOf(than)],
    ["better", valuesOf(better)],
  ]);
  return differencesOf({ values, resolution: measure.resolution }, "than", error)[0];
}

function answerTo(claim: Better, comparison: Comparison, error: number): Found {
  const measure = measureOf(claim.by, comparison);
  const [better, than] = [claim.better, claim.than].map((arm) => ({
    trials: trialsOfArm(comparison, arm),
    under: underArm(comparison, arm),
  }));
  const arms = [better, than];
  if (arms.some(({ trials }) => trials.length === 0)) {
    return { held: "unclear", sentence: "Stopped before there were trials to compare." };
  }
  if (measure.isAtLeast !== undefined && comparison.targetMetric === null) {
    return { held: "unclear", sentence: "No network got beyond guessing: there was no target to reach." };
  }
  const told = `${measure.name}: ${arms.map(({ trials, under }) => `${shownOf(trials, measure)} ${under}`).join(", ")}.`;
  const lost = lossesOf(arms);
  const certain = lostOf(better.trials, than.trials);
  if (certain !== undefined) return { held: certain, sentence: `${told}${lost}` };
  const difference = differenceOf(claim, comparison, measure, error);
  const { mean, interval } = differenceText(difference, measure.formatDifference);
  const isBetter = difference.mean !== null && difference.mean > 0 === measure.higherIsBetter;
  // what diverged, or ended too early, may be less far ahead than it seems, or not at all
  const isOpen = (isBetter ? better : than).trials.some(
    (trial) => measure.of(trial) === null || (!measure.endsAlike && measure.isAtLeast?.(trial)),
  );
  const held = !difference.clear || isOpen ? "unclear" : isBetter ? "yes" : "no";
  const verdict = {
    yes: "clearly better",
    no: "clearly worse",
    unclear:
      difference.low === null
        ? "too few pairs of trials for an interval"
        : difference.clear
          ? "of the trials that ended with a number"
          : "no difference that these seeds can show",
  };
  const differs =
    mean === "–" ? "" : ` ${measure.difference}: ${mean}${interval && ` (${interval})`}, ${verdict[held]}.`;
  return { held, sentence: `${told}${differs}${lost}` };
}

const divergedOf = (trials: readonly Trial[]): number =>
  trials.filter(({ outcome }) => outcome === "diverged").length;

/** Where all trials of one arm diverged, and none of the other: which has done better, if that is beyond chance. */
function lostOf(better: readonly Trial[], than: readonly Trial[]): Held | undefined {
  const losses = [better, than].map((trials, arm) => ({
    norm: String(arm),
    trials: trials.length,
    diverged: divergedOf(trials),
  }));
  const lost = losses.filter(({ trials, diverged }) => diverged === trials);
  const [only] = lost;
  if (lost.length !== 1 || losses.some((each) => each !== only && each.diverged > 0)) return undefined;
  if (!lossIsClear(losses, [only.norm], 2)) return "unclear";
  return only === losses[0] ? "no" : "yes";
}

function lossesOf(arms: readonly { trials: Trial[]; under: string }[]): string {
  return arms
    .flatMap(({ trials, under }) => {
      const lost = divergedOf(trials);
      if (lost === 0) return [];
      return [
        ` ${lost === trials.length ? "Every trial" : `${lost} of ${count(trials.length, "trial")}`} ${under} diverged.`,
      ];
    })
    .join("");
}

// ---- as good as published ----

function answerToPublished({ of, value, within }: Published, comparison: Comparison): Found {
  const measure = measureOf("metric", comparison);
  const trials = trialsOfArm(comparison, of);
  if (trials.length === 0) return { held: "unclear", sentence: "Stopped before any trial had finished." };
  const bound = measure.higherIsBetter ? value - within : value + within;
  const reached = trials.filter((trial) => {
    const own = measure.of(trial);
    return isNumber(own) && (measure.higherIsBetter ? own >= bound : own <= bound);
  }).length;
  const held = reached === trials.length ? "yes" : reached === 0 ? "no" : "unclear";
  const how = {
    yes: "each trial",
    no: "no trial",
    unclear: `${reached} of ${count(trials.length, "trial")}`,
  };
  return {
    held,
    sentence: `${measure.name}: ${shownOf(trials, measure)} ${underArm(comparison, of)}; published is ${measure.format(value)}, which ${how[held]} reached to within ${measure.formatDifference(within).replace(/^\+/, "")}.${lossesOf([{ trials, under: underArm(comparison, of) }])}`,
  };
}
