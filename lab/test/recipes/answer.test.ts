/** What trials say to a claim, in full. */
import { expect, test } from "vitest";
import { type Answer, answersOf } from "../../src/recipes/answer.js";
import type { Claim, MeasureName, Published } from "../../src/recipes/recipe.js";
import type { Comparison, Trial } from "../../src/results.js";
import { syntheticComparison } from "../support/synthetic-comparison.js";

const NORMS = ["none", "layer", "batch"];
const SEEDS = [1, 2, 3, 4, 5];

/** A comparison of five seeds whose trials have these numbers: of each norm, and a little more with each seed. */
function comparisonOf(
  accuracies: Record<string, number>,
  change: (trial: Trial) => Trial = (trial) => trial,
): Comparison {
  const made = syntheticComparison({ norms: Object.keys(accuracies), seeds: SEEDS });
  const trials = made.trials.map((trial) =>
    change({
      ...trial,
      scores: {
        ...trial.scores,
        heldOut: {
          ...trial.scores.heldOut,
          accuracy: (accuracies[trial.norm] ?? 0) + 0.001 * (trial.seed % 3),
        },
      },
    }),
  );
  return { ...made, trials, baseline: "rms" };
}

const claim = (by: MeasureName, norm = "layer", than = "none"): Claim => ({
  better: { norm },
  than: { norm: than },
  by,
});

function answer(of: Claim, comparison: Comparison): Answer {
  const [only] = answersOf({ claims: [of] }, comparison);
  if (!only) throw new Error("no answer");
  const plain = (text: string) => text.replaceAll("\u00a0", " ");
  return { ...only, claim: plain(only.claim), sentence: plain(only.sentence) };
}

test("what is clearly better, clearly worse, or neither", () => {
  const comparison = comparisonOf({ none: 0.8, layer: 0.9, batch: 0.8 });
  expect(answer(claim("metric"), comparison)).toEqual({
    claim: "better with layer normalization than without normalization, in accuracy",
    held: "yes",
    sentence:
      "Accuracy: 90.1 % (90.0 – 90.2 %) with layer normalization, 80.1 % (80.0 – 80.2 %) without normalization. Difference: +10.0 points (+9.9 to +10.1 points), clearly better.",
  });
  const worse = answer(claim("metric", "none", "layer"), comparison);
  expect(worse.held).toBe("no");
  expect(worse.sentence).toMatch(/Difference: −10\.0 points \(.*\), clearly worse\.$/);
  const neither = answer(claim("metric", "batch"), comparison);
  expect(neither.held).toBe("unclear");
  expect(neither.sentence).toMatch(
    /Difference: 0\.0 points \(.*\), no difference that these seeds can show\.$/,
  );
});

test("a difference that the report has is that of the report", () => {
  const comparison = comparisonOf({ none: 0.8, layer: 0.9 });
  const differences = {
    ...comparison.differences,
    metric: [{ norm: "layer", pairs: 5, mean: 0.1, low: -0.2, high: 0.4, clear: false }],
  };
  const { held, sentence } = answer(claim("metric"), { ...comparison, baseline: "none", differences });
  expect(held).toBe("unclear");
  expect(sentence).toContain("Difference: +10.0 points (−20.0 to +40.0 points), no difference");
});

test("the more claims there are, the wider the intervals of those that are not in the report", () => {
  const comparison = comparisonOf({ none: 0.8, layer: 0.81 }, (trial) => ({
    ...trial,
    scores: {
      ...trial.scores,
      heldOut: {
        accuracy: (trial.scores.heldOut.accuracy ?? 0) + (trial.norm === "layer" ? 0.01 * trial.seed : 0),
      },
    },
  }));
  const width = (claims: [Claim, ...Claim[]]) => {
    const [, low, high] =
      /Difference: \S+ points \((\S+) to (\S+) points\)/.exec(
        answersOf({ claims }, comparison)[0]?.sentence ?? "",
      ) ?? [];
    const number = (text = "") => Number(text.replace("−", "-"));
    return number(high) - number(low);
  };
  const one = claim("metric");
  expect(width([one, one, one, one])).toBeGreaterThan(width([one]));
});

test("epochs and seconds to the target; what did not reach it", () => {
  const reached = (norm: string, epochs: number | null) => (trial: Trial) =>
    trial.norm === norm
      ? { ...trial, epochsToTarget: epochs }
      : { ...trial, epochsToTarget: 3 + (trial.seed % 2) };
  const never = comparisonOf({ none: 0.5, layer: 0.9 }, reached("none", null));
  const epochs = answer(claim("epochs"), never);
  expect(epochs).toMatchObject({ claim: expect.stringMatching(/, in epochs to 90 %$/), held: "yes" });
  expect(epochs.sentence).toMatch(
    /^Epochs to 90 %: 4 \(3 – 4\) with layer normalization, not reached \(5 trials\) without normalization\. Difference: −17\.4 \(.*\), clearly better\.$/,
  );
  expect(answer(claim("seconds"), never).held).toBe("yes");
  // those that never reach it may take any time: that they are worse is not told by how soon they ended
  const soon = comparisonOf({ none: 0.9, layer: 0.5 }, (trial) => ({
    ...reached("layer", null)(trial),
    epochs:
      trial.norm === "layer"
        ? trial.epochs.map((epoch) => ({ ...epoch, seconds: epoch.seconds / 1e3 }))
        : trial.epochs,
  }));
  const open = answer(claim("seconds"), soon);
  expect(open.held).toBe("unclear");
  expect(open.sentence).toMatch(/of the trials that ended with a number\.$/);
});

test("gradients are compared by how far their ratio is from 1, whichever way", () => {
  const profile = (first: number) => (trial: Trial) => ({
    ...trial,
    probes: [
      {
        step: 0,
        gradientNorm: [first * (1 + trial.seed / 100), 1],
        activationMean: [],
        activationSpread: [],
      },
    ],
  });
  const comparison = comparisonOf({ none: 0.8, layer: 0.8 }, (trial) =>
    profile(trial.norm === "none" ? 1e4 : 0.1)(trial),
  );
  const { claim: claimed, held, sentence } = answer(claim("gradient"), comparison);
  expect(claimed).toMatch(/, in how evenly the gradient reaches all layers$/);
  expect(held).toBe("yes");
  expect(sentence).toMatch(
    /^Gradient of the first layer over that of the last: 0\.103 \(0\.101 – 0\.105\) with layer normalization, 10,300 \(10,100 – 10,500\) without normalization\. Orders of magnitude from 1: −3\.0 \(.*\), clearly better\.$/,
  );
});

test("the largest gradient of any layer at any probe", () => {
  const comparison = comparisonOf({ none: 0.8, layer: 0.8 }, (trial) => ({
    ...trial,
    probes: [1, trial.norm === "none" ? 1000 : 10].map((norm, step) => ({
      step,
      gradientNorm: [0.1, norm, null, 0.2],
      activationMean: [],
      activationSpread: [],
    })),
  }));
  expect(answer(claim("largest"), comparison)).toMatchObject({
    claim: expect.stringMatching(/, in how large gradients become$/),
    held: "yes",
    sentence: expect.stringMatching(
      /^Largest gradient of any layer: 10\.0 with layer normalization, 1,000 without normalization\. Orders of magnitude: −2\.0 \(.*\), clearly better\.$/,
    ),
  });
});

test("a gradient of zero is as far from 1 as float32 goes", () => {
  const comparison = comparisonOf({ none: 0.8, layer: 0.8 }, (trial) => ({
    ...trial,
    probes: [
      { step: 0, gradientNorm: [trial.norm === "none" ? 0 : 1, 1], activationMean: [], activationSpread: [] },
    ],
  }));
  expect(answer(claim("gradient"), comparison).sentence).toContain("Orders of magnitude from 1: −45.0");
});

test("where all trials of one diverge and none of the other, that decides, with seeds enough", () => {
  const diverging =
    (norm: string, seeds: number[]) =>
    (trial: Trial): Trial =>
      trial.norm === norm && seeds.includes(trial.seed)
        ? { ...trial, outcome: "diverged", scores: { ...trial.scores, heldOut: { accuracy: null } } }
        : trial;
  const lost = comparisonOf({ none: 0.8, layer: 0.9 }, diverging("none", SEEDS));
  expect(answer(claim("metric"), lost)).toMatchObject({
    held: "yes",
    sentence:
      "Accuracy: 90.1 % (90.0 – 90.2 %) with layer normalization, – without normalization. Every trial without normalization diverged.",
  });
  expect(answer(claim("metric", "none", "layer"), lost).held).toBe("no");
  const two = {
    ...lost,
    trials: lost.trials.filter(({ seed }) => seed < 3),
    training: { ...lost.training, seeds: [1, 2] },
  };
  expect(answer(claim("metric"), two).held).toBe("unclear");
  // what diverged may not be left out of what is praised
  const some = answer(claim("metric"), comparisonOf({ none: 0.8, layer: 0.9 }, diverging("layer", [2])));
  expect(some.held).toBe("unclear");
  expect(some.sentence).toMatch(/1 of 5 trials with layer normalization diverged\.$/);
});

test("at a value of what is swept", () => {
  const made = syntheticComparison({ norms: NORMS, seeds: SEEDS, sweep: ["batch-size", [2, 25]] });
  const { claim: claimed, sentence } = answer(
    { better: { norm: "layer", at: 2 }, than: { norm: "batch", at: 25 }, by: "metric" },
    made,
  );
  expect(claimed).toBe(
    "better with layer normalization at a batch size of 2 than with batch normalization at a batch size of 25, in accuracy",
  );
  const values = made.sweep?.points[0]?.trials.flatMap(({ norm, scores }) =>
    norm === "layer" ? (scores.heldOut.accuracy ?? []) : [],
  );
  expect(sentence).toContain(`${(100 * Math.max(...(values ?? []))).toFixed(1)} %) with layer`);
  expect(
    answer({ better: { norm: "layer", at: 7 }, than: { norm: "batch" }, by: "metric" }, made),
  ).toMatchObject({
    held: "unclear",
    sentence: "Stopped before there were trials to compare.",
  });
});

test("fewer than three seeds have no interval; no target, no epochs to it", () => {
  const two = comparisonOf({ none: 0.8, layer: 0.9 });
  const few = { ...two, training: { ...two.training, seeds: [1, 2] } };
  expect(answer(claim("metric"), few)).toMatchObject({
    held: "unclear",
    sentence: expect.stringMatching(/\+10\.0 points, too few pairs of trials for an interval\.$/),
  });
  expect(answer(claim("epochs"), { ...two, targetMetric: null })).toMatchObject({
    held: "unclear",
    sentence: "No network got beyond guessing: there was no target to reach.",
  });
});

test("as good as published: every trial, none, or some", () => {
  const published = (value: number, within: number): Published => ({
    by: "published",
    of: { norm: "layer" },
    value,
    within,
  });
  const comparison = comparisonOf({ layer: 0.9 });
  expect(answer(published(0.92, 0.02), comparison)).toEqual({
    claim: "with layer normalization as good as published, in accuracy",
    held: "yes",
    sentence:
      "Accuracy: 90.1 % (90.0 – 90.2 %) with layer normalization; published is 92.0 %, which each trial reached to within 2.0 points.",
  });
  expect(answer(published(0.8, 0.02), comparison).held).toBe("yes");
  expect(answer(published(0.95, 0.02), comparison)).toMatchObject({
    held: "no",
    sentence: expect.stringMatching(/which no trial reached to within 2\.0 points\.$/),
  });
  expect(answer(published(0.9215, 0.02), comparison)).toMatchObject({
    held: "unclear",
    sentence: expect.stringMatching(/which 2 of 5 trials reached to within 2\.0 points\.$/),
  });
});
