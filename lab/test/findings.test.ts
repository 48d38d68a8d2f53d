/** The sentence at the head of a report, and those below it, for whatever a comparison found. */
import { describe, expect, test } from "vitest";
import { type Difference, differencesOf } from "../src/claims.js";
import { summarize } from "../src/comparison.js";
import {
  clearlyBetter,
  clearlyWorse,
  findings,
  formatEpochDifference,
  headline,
  underAll,
} from "../src/findings.js";
import type { NormName } from "../src/norms.js";
import type { Comparison, Scores, Trial } from "../src/results.js";
import { type Recipe, recipes, syntheticComparison, withoutNumbers } from "./support/synthetic-comparison.js";

const NORMS: NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];
/** What seeds add to every normalization alike, and to one alone. */
const OF_SEED = [0, 0.003, -0.003, 0.001, -0.002];
const OWN = [1e-4, -1e-4, 5e-5, 0, -5e-5];

/** A comparison whose numbers follow from its trials, each changed by `change`. */
function changed(recipe: Recipe, change: (trial: Trial, seed: number) => Trial): Comparison {
  const made = syntheticComparison(recipe);
  const { metric, baseline, training } = made;
  const norms = made.summaries.map(({ norm }) => norm);
  const trials = made.trials.map((trial) => change(trial, training.seeds.indexOf(trial.seed)));
  const measure = (of: (trial: Trial) => number | null | undefined, resolution: number) => ({
    resolution,
    values: new Map(
      norms.map((norm) => [
        norm,
        training.seeds.map((seed) => {
          const trial = trials.find((each) => each.norm === norm && each.seed === seed);
          return trial === undefined ? null : (of(trial) ?? null);
        }),
      ]),
    ),
  });
  const { epochs } = made.training;
  const ofMetric = differencesOf(
    measure(({ scores }) => scores.heldOut[metric], 1 / 360),
    baseline,
    0.04,
  );
  const ofEpochs = differencesOf(
    measure((trial) => trial.epochsToTarget ?? epochs + 1, 1),
    baseline,
    0.01,
  );
  return {
    ...made,
    trials,
    summaries: summarize(norms, trials, metric),
    differences: norms.length < 2 ? made.differences : { metric: ofMetric, epochsToTarget: ofEpochs },
  };
}

const withScores = (trial: Trial, heldOut: Scores): Trial => ({
  ...trial,
  scores: { ...trial.scores, heldOut: { ...trial.scores.heldOut, ...heldOut } },
});

/** Trials of these metrics, but for what seeds add; the other metrics of the task are as far from guessing. */
function withMetrics(means: Record<NormName, number>, recipe: Recipe = {}): Comparison {
  const metric = recipe.metric ?? "accuracy";
  return changed({ norms: Object.keys(means), ...recipe }, (trial, seed) => {
    if (trial.outcome === "diverged") return trial;
    const place = Object.keys(means).indexOf(trial.norm);
    const value = (means[trial.norm] ?? 0) + (OF_SEED[seed] ?? 0) + (OWN[(seed + place) % 5] ?? 0);
    const least = trial.guess[metric] ?? 0;
    const auc = 0.5 + (0.5 * Math.max(0, value - least - 0.03)) / (1 - least);
    return withScores(trial, {
      [metric]: value,
      ...(metric === "accuracy" && { "balanced accuracy": value, AUC: auc }),
    });
  });
}

const plain = (text: string): string => text.replaceAll("\u00a0", " ");

describe("headline", () => {
  test.each<[string, Comparison, string]>([
    [
      "the baseline at guessing",
      withMetrics({ none: 0.11, batch: 0.96 }),
      "Without normalization, a 20-layer network on digits ends at 11.0 %, the level of guessing; with batch normalization it reaches 96.0 %",
    ],
    [
      "several clearly better are not ranked",
      withMetrics({ none: 0.7, layer: 0.94, batch: 0.96 }),
      "Without normalization, a 20-layer network on digits ends at 70.0 %; with layer normalization and batch normalization it reaches 94.0 % to 96.0 %",
    ],
    [
      "many clearly better",
      withMetrics({ none: 0.7, layer: 0.94, batch: 0.96, rms: 0.93, group: 0.9 }),
      "Without normalization, a 20-layer network on digits ends at 70.0 %; with 4 normalizations (layer, batch, RMS and group) it reaches 90.0 % to 96.0 %",
    ],
    [
      "one better, one worse, one neither",
      withMetrics({ none: 0.9, layer: 0.95, batch: 0.9002, rms: 0.8 }),
      "Without normalization, a 20-layer network on digits ends at 90.0 %; with layer normalization it reaches 95.0 %; with RMS normalization it ends clearly lower, at 80.0 %",
    ],
    [
      "no difference",
      withMetrics({ none: 0.96, layer: 0.9601, batch: 0.9602 }),
      "No difference in accuracy that these seeds can show: without normalization, a 20-layer network on digits ends at 96.0 %; with layer normalization and batch normalization it ends at 96.0 %",
    ],
    [
      "one seed",
      withMetrics({ none: 0.11, batch: 0.96 }, { seeds: [1] }),
      "One seed cannot tell a difference from chance: without normalization, a 20-layer network on digits ends at 11.0 %, the level of guessing; with batch normalization it ends at 96.0 %",
    ],
    [
      "two seeds",
      withMetrics({ none: 0.7, batch: 0.96 }, { seeds: [1, 2] }),
      "Two seeds cannot tell a difference from chance: without normalization, a 20-layer network on digits ends at 70.2 %; with batch normalization it ends at 96.1 %",
    ],
    [
      "nothing learns",
      withMetrics({ none: 0.1, rms: 0.11 }),
      "A 20-layer network on digits does not get beyond always answering the most frequent class with or without normalization: 11.0 % at best",
    ],
    [
      "another baseline",
      withMetrics({ layer: 0.96, instance: 0.8 }),
      "With layer normalization, a 20-layer network on digits ends at 96.0 %; with instance normalization it ends clearly lower, at 80.0 %",
    ],
    [
      "one norm",
      withMetrics({ group: 0.93 }),
      "With group normalization, a 20-layer network on digits ends at 93.0 %",
    ],
    [
      "regression",
      withMetrics({ none: -0.002, layer: 0.87 }, { metric: "R²" }),
      "Without normalization, a 20-layer network on digits ends at an R² of −0.002, no better than always giving the mean; with layer normalization it reaches an R² of 0.870",
    ],
    [
      "all diverged",
      syntheticComparison({ diverging: Object.fromEntries(NORMS.map((norm) => [norm, 1])) }),
      "A 20-layer network on digits diverges with and without normalization",
    ],
    [
      "one norm, diverged",
      syntheticComparison({ norms: ["rms"], diverging: { rms: 3 } }),
      "With RMS normalization, a 20-layer network on digits diverges",
    ],
    [
      "the baseline diverged",
      syntheticComparison({ norms: ["none", "rms"], diverging: { none: 3 } }),
      "Without normalization, a 20-layer network on digits diverges; with RMS normalization it ends at 93.5 %",
    ],
    [
      "the only trial of the baseline diverged: that may be chance",
      syntheticComparison({ norms: ["none", "rms"], diverging: { none: 3 }, seeds: [1] }),
      "One seed cannot tell a difference from chance: without normalization, a 20-layer network on digits diverges; with RMS normalization it ends at 93.5 %",
    ],
    [
      "the others diverged",
      syntheticComparison({ norms: ["none", "rms", "layer"], diverging: { rms: 3, layer: 2 } }),
      "Without normalization, a 20-layer network on digits ends at 10.1 %, the level of guessing; with RMS normalization and layer normalization it diverges",
    ],
    [
      "some trials of the better one diverged",
      changed({ norms: ["none", "batch"], seeds: [1, 2, 3, 4, 5] }, (trial, seed) =>
        trial.norm === "batch" && seed === 1
          ? { ...withScores(trial, { accuracy: null }), outcome: "diverged" }
          : trial,
      ),
      "Without normalization, a 20-layer network on digits ends at 9.7 %, the level of guessing; with batch normalization it reaches 96.3 % (1 of 5 trials diverged)",
    ],
    [
      "the baseline unfinished",
      syntheticComparison({ norms: ["none", "layer", "rms"], unfinished: ["none"] }),
      "A 20-layer network on digits: with layer normalization and RMS normalization it ends at 93.5 % to 94.5 %",
    ],
    ["nothing finished", syntheticComparison({ unfinished: NORMS }), "Stopped before any trial had finished"],
    [
      "no finite metric",
      withoutNumbers(syntheticComparison()),
      "A 20-layer network on digits gave no finite accuracy",
    ],
    [
      "eighteen layers",
      syntheticComparison({ norms: ["batch"], depth: 18 }),
      "With batch normalization, an 18-layer network on digits ends at 96.2 %",
    ],
  ])("%s", (_, comparison, expected) => {
    expect(plain(headline(comparison))).toBe(expected);
  });

  test.each<[string, number[], string]>([
    ["equal", [0.9, 0.9, 0.91], "it ends clearly higher on average: +0.3 to +0.4 points"],
    ["the other way round", [0.899, 0.899, 0.92], "it ends clearly higher on average: +0.3 to +0.4 points"],
    ["as the means", [0.901, 0.901, 0.901], "it reaches 90.1 % to 90.2 %"],
  ])("means that differ clearly, and medians that are %s", (_, values, expected) => {
    const made = changed({ norms: ["none", "layer", "rms"] }, (trial, seed) => {
      const value = (values[seed] ?? 0) + (trial.norm === "rms" ? 0.001 : 0);
      return withScores(trial, { accuracy: trial.norm === "none" ? 0.9 : value });
    });
    const [layer, rms] = made.differences.metric as [Difference, Difference];
    const metric = [
      { ...layer, mean: 0.003, clear: true },
      { ...rms, mean: 0.004, clear: true },
    ];
    expect(plain(headline({ ...made, differences: { ...made.differences, metric } }))).toBe(
      `Without normalization, a 20-layer network on digits ends at 90.0 %; with layer normalization and RMS normalization ${expected}`,
    );
  });

  test("a name of somebody else’s is made printable, and short", () => {
    const dataName = `\u001b]52;c;\u202e${"long".repeat(400)}`;
    expect(plain(headline(syntheticComparison({ norms: ["batch"], dataName })))).toBe(
      `With batch normalization, a 20-layer network on \ufffd]52;c;\ufffd${"long".repeat(13).slice(0, 51)}… ends at 96.2 %`,
    );
  });

  test("every norm: how many, not which", () => {
    expect(plain(headline(syntheticComparison(recipes["every norm"])))).toMatch(
      /^Without normalization, .*; with all \d+ others it reaches 80\.5 % to 97\.1 %$/,
    );
  });
});

/** The findings that hold this. */
const saying = (comparison: Comparison, what: RegExp): string[] =>
  findings(comparison)
    .map(plain)
    .filter((line) => what.test(line));

describe("findings", () => {
  test("what is clear, with its interval, and what is not", () => {
    const comparison = withMetrics({ none: 0.9, layer: 0.95, batch: 0.9002, rms: 0.8 });
    expect(saying(comparison, /^Accuracy is clearly|^No difference/)).toEqual([
      expect.stringMatching(
        /^Accuracy is clearly higher than without normalization: layer \+5\.0 points \(\+\d\.\d to \+\d\.\d points\)\.$/,
      ),
      expect.stringMatching(
        /^Accuracy is clearly lower than without normalization: RMS −10\.\d points \(−\d+\.\d to −\d+\.\d points\)\.$/,
      ),
      "No difference in accuracy that these seeds can show: batch.",
    ]);
    expect([...clearlyBetter(comparison, "metric")]).toEqual(["layer"]);
    expect([...clearlyWorse(comparison, "metric")]).toEqual(["rms"]);
  });

  test("epochs to the target: fewer are better, and only what is clear is said", () => {
    const epochs: Record<NormName, number[]> = {
      none: [10, 12, 11],
      batch: [4, 6, 5],
      rms: [12, 11, 11],
      group: [20, 22, 21],
    };
    const comparison = changed({ norms: Object.keys(epochs) }, (trial, seed) => ({
      ...trial,
      epochsToTarget: epochs[trial.norm]?.[seed] ?? null,
    }));
    expect([...clearlyBetter(comparison, "epochsToTarget")]).toEqual(["batch"]);
    expect([...clearlyWorse(comparison, "epochsToTarget")]).toEqual(["group"]);
    expect(saying(comparison, /target/)).toEqual([
      expect.stringMatching(
        /^The target of 90 % is reached in every trial without normalization and with batch normalization, RMS normalization and group normalization\. In clearly fewer epochs than without normalization: batch −6\.0 epochs \(−\d\.\d to −\d\.\d\)\. In clearly more epochs than .*: group \+10\.0 epochs \(.*\)\.$/,
      ),
    ]);
  });

  test("a target that some reach, and some never", () => {
    const comparison = changed({ norms: ["none", "layer", "rms"] }, (trial, seed) => ({
      ...trial,
      epochsToTarget: trial.norm === "layer" ? 5 : trial.norm === "rms" && seed === 0 ? 9 : null,
    }));
    expect(saying(comparison, /target/)).toEqual([
      expect.stringMatching(
        /^The target of 90 % is reached in every trial with layer normalization; in some trials with RMS normalization; never without normalization\. In clearly fewer epochs than without normalization: layer −16\.0 epochs \(.*\)\. A trial that does not reach it counts as 21 epochs\.$/,
      ),
    ]);
    const never = changed({ norms: ["none", "rms"] }, (trial) => ({ ...trial, epochsToTarget: null }));
    expect(saying(never, /target/)).toEqual(["No trial reached the target of 90 % within 20 epochs."]);
    expect(saying({ ...never, targetMetric: null }, /target/)).toEqual([]);
  });

  test("a network that always answers the commonest class, and ranks well all the same", () => {
    const comparison = changed({ norms: ["none", "batch"], metric: "accuracy" }, (trial) => ({
      ...withScores(trial, {
        accuracy: 0.971,
        "balanced accuracy": 0.5,
        AUC: trial.norm === "none" ? 0.9 : 0.51,
      }),
      guess: { ...trial.guess, accuracy: 0.971, "balanced accuracy": 0.5, AUC: 0.5 },
      guessing: { ...trial.guessing, accuracy: 0.975, "balanced accuracy": 0.55, AUC: 0.55 },
    }));
    expect(plain(headline(comparison))).toBe(
      "No difference in accuracy that these seeds can show: without normalization, a 20-layer network on digits ends at 97.1 %, as always answering the most frequent class does; with batch normalization it ends at 97.1 %, the level of guessing",
    );
    expect(saying(comparison, /learnt/)).toEqual([
      "Without normalization, the accuracy is what always answering the most frequent class gives, and yet something is learnt: an AUC of 0.900 (ranking at random: 0.500).",
    ]);
  });

  test("one seed beyond guessing is not guessing", () => {
    const comparison = changed({ norms: ["none"] }, (trial, seed) =>
      withScores(trial, { accuracy: seed === 0 ? 0.6 : 0.1, "balanced accuracy": 0.1, AUC: 0.5 }),
    );
    expect(plain(headline(comparison))).toBe(
      "Without normalization, a 20-layer network on digits ends at 10.0 %",
    );
  });

  const withProbes = (gradientNorm: number[], activationSpread: number[]) =>
    changed({ norms: ["none", "layer"] }, (trial) => ({
      ...trial,
      probes: [{ step: 1, gradientNorm, activationMean: [0, 0], activationSpread }],
    }));

  test("gradients that vanish or explode, and signals that fade; an even one is no praise for a dead network", () => {
    expect(saying(withProbes([1e-5, 1], [1, 1]), /gradient/)).toEqual([
      "The gradient vanishes without normalization and with layer normalization: at the first layer it is at most 1.00×10⁻⁵ times the last layer’s.",
    ]);
    expect(saying(withProbes([5000, 1], [1, 1]), /gradient/)).toEqual([
      "The gradient explodes without normalization and with layer normalization: at the first layer it is at least 5,000 times the last layer’s.",
    ]);
    const dead = withProbes([1e-9, 1e-9], [1, 1e-6]);
    expect(saying(dead, /gradient/)).toEqual([]);
    expect(saying(dead, /signal/)).toEqual([
      "The signal fades without normalization and with layer normalization: the last block’s activations vary at most 1.00×10⁻⁶ times as much as the first’s, so that all inputs look alike.",
    ]);
    expect(saying(withProbes([0, 1], [1, 0]), /gradient|signal/)).toEqual([
      "The gradient vanishes without normalization and with layer normalization: at the first layer it is zero.",
      "The signal fades without normalization and with layer normalization: the last block’s activations do not vary, so that all inputs look alike.",
    ]);
    expect(saying(withProbes([0.5, 1], [1, 0.5]), /gradient|signal/)).toEqual([]);
  });

  test("learning rates: one for all, or an end of those tried", () => {
    expect(saying(withMetrics({ none: 0.7, batch: 0.96 }), /learning rate/)).toEqual([
      "All were trained at one learning rate, 0.05: at another, the result may differ.",
    ]);
    const tuned = changed({ norms: ["none", "layer", "rms"], learningRates: [0.01, 0.03, 0.1] }, (trial) => ({
      ...trial,
      learningRate: { none: 0.01, layer: 0.1, rms: 0.03 }[trial.norm] ?? 0,
    }));
    expect(saying(tuned, /learning rate/)).toEqual([
      "The lowest learning rate tried, 0.01, was chosen in 3 of 9 trials: a lower one may do better.",
      "The highest learning rate tried, 0.1, was chosen in 3 of 9 trials: a higher one may do better.",
    ]);
  });

  test("of one seed, an end of the learning rates is told where most trials chose it", () => {
    const seen = (rates: Record<NormName, number>) =>
      saying(
        changed({ norms: Object.keys(rates), learningRates: [0.01, 0.1], seeds: [1] }, (trial) => ({
          ...trial,
          learningRate: rates[trial.norm] ?? 0,
        })),
        /learning rate/,
      );
    expect(seen({ none: 0.01, layer: 0.1 })).toEqual([]);
    expect(seen({ none: 0.1, layer: 0.1 })).toEqual([
      "The highest learning rate tried, 0.1, was chosen in every trial: a higher one may do better.",
    ]);
  });

  test("trials that diverged are counted", () => {
    const comparison = syntheticComparison({
      norms: ["none", "rms", "layer"],
      diverging: { rms: 3, none: 9 },
    });
    expect(saying(comparison, /iverge/)).toEqual([
      "Diverged (the loss stopped being finite): none 3 of 3 and RMS 3 of 3.",
    ]);
  });

  test("a sweep: who diverges where, in contrast only where chance would not do it", () => {
    const swept = (seeds: number[]) =>
      changed({ norms: NORMS, seeds, sweep: ["learning-rate", [0.01, 1]] }, (trial) => trial);
    const diverging = (comparison: Comparison, lost: NormName[]): Comparison => ({
      ...comparison,
      sweep: comparison.sweep && {
        ...comparison.sweep,
        points: comparison.sweep.points.map(({ value, trials }) => ({
          value,
          trials: trials.map((trial) => ({
            ...trial,
            outcome: value === 1 && lost.includes(trial.norm) ? "diverged" : "finished",
          })),
        })),
      },
    });
    const at = /learning rate of 1/;
    expect(saying(diverging(swept([1, 2, 3]), ["none"]), at)).toEqual([
      "At a learning rate of 1, every trial diverges without normalization; none with 5 normalizations (layer, RMS, batch, group and instance).",
    ]);
    expect(saying(diverging(swept([1]), ["none"]), at)).toEqual([
      "Diverged at a learning rate of 1: none 1 of 1.",
    ]);
    expect(saying(diverging(swept([1, 2, 3]), []), at)).toEqual([]);
  });

  test("few seeds", () => {
    expect(saying(withMetrics({ none: 0.7, batch: 0.96 }, { seeds: [1] }), /seed/)).toEqual([
      "One seed is too few for an interval: use five or more (--seeds 5).",
    ]);
    expect(saying(withMetrics({ none: 0.7, batch: 0.96 }, { seeds: [1, 2] }), /seeds/)).toEqual([
      "Two seeds are too few for an interval: use five or more (--seeds 5).",
    ]);
    expect(saying(withMetrics({ batch: 0.96 }, { seeds: [1] }), /seed/)).toEqual([]);
  });

  test.each(Object.keys(recipes))(
    "no superlative, and nothing comparative without an interval: %s",
    (name) => {
      const comparison = syntheticComparison(recipes[name]);
      const text = [headline(comparison), ...findings(comparison)].join("\n");
      expect(text).not.toMatch(/\b(best|worst|fastest|slowest|most even|steadier)\b/);
      const clear = Object.values(comparison.differences)
        .flat()
        .some((each) => each.clear);
      expect(/clearly|reaches/.test(text)).toBe(clear);
    },
  );
});

test("norms in a sentence", () => {
  expect(underAll(["none"])).toBe("without normalization");
  expect(underAll(["rms", "none"])).toBe("without normalization and with RMS normalization");
  expect(underAll(["none", ...NORMS.slice(1)])).toBe(
    "without normalization and with 5 normalizations (layer, RMS, batch, group and instance)",
  );
  expect(underAll(["layer", "rms", "batch", "group", "instance", "unit", "spectral"])).toBe(
    "with 7 normalizations (layer, RMS, batch, group, instance and 2 others)",
  );
});

test.each([
  [2.46, "+2.5"],
  [-2.5, "−2.5"],
  [-0.01, "0.0"],
  [0, "0.0"],
])("a difference of %d epochs", (value, text) => {
  expect(formatEpochDifference(value)).toBe(text);
});
