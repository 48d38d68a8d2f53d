/** What a comparison makes of its trials, by numbers worked out by hand. */
import type { Range } from "@evenkeel/report/statistics";
import { describe, expect, test } from "vitest";
import { summarize, targetOf, withTarget } from "../src/comparison.js";
import type { NormName } from "../src/norms.js";
import type { Summary, Trial } from "../src/results.js";

/** A trial with these metrics, epoch by epoch. */
function trial(norm: NormName, metrics: (number | null)[], more: Partial<Trial> = {}): Trial {
  return {
    norm,
    seed: 1,
    outcome: "finished",
    parameters: 10,
    epochs: metrics.map((metric, i) => ({ epoch: i + 1, trainLoss: 1, heldOutLoss: 1, metric })),
    probes: [],
    stepMs: 1,
    epochsToTarget: null,
    ...more,
  };
}

/** Looks into a network of which only the gradients matter. */
const probesOf = (...gradientNorms: (number | null)[][]) =>
  gradientNorms.map((gradientNorm, step) => ({
    step,
    gradientNorm,
    activationMean: [],
    activationSpread: [],
  }));

const nothing: Range = { median: null, min: null, max: null };

describe("targetOf", () => {
  test("nine tenths of the way from guessing to the best of any epoch, not of the last", () => {
    const trials = [trial("none", [0.2, 0.5, 0.3]), trial("layer", [0.4, 0.7, 0.6])];
    expect(targetOf(trials, 0.2, 0.25)).toBeCloseTo(0.65, 12);
  });

  test("epochs without a metric count for nothing", () => {
    expect(targetOf([trial("none", [null, 1, null]), trial("layer", [null])], 0.5, 0.6)).toBeCloseTo(
      0.95,
      12,
    );
  });

  test("none where no epoch was above guessing, and then nothing reaches it", () => {
    const trials = [trial("none", [0.3, 0.54]), trial("layer", [null])];
    expect(targetOf(trials, 0.5, 0.55)).toBe(null);
    expect(withTarget(trials, null).map(({ epochsToTarget }) => epochsToTarget)).toEqual([null, null]);
    expect(targetOf([trial("none", [-3, -0.1])], 0, 0.01)).toBe(null);
  });

  test("more epochs than a function can have arguments", () => {
    const long = trial("none", new Array<number>(200_000).fill(0.6));
    expect(targetOf([long], 0.5, 0.55)).toBeCloseTo(0.59, 12);
  });
});

test("withTarget: the first epoch that reaches it, whatever comes later; nothing else changes", () => {
  const trials = [
    trial("none", [0.1, 0.8, 0.5, 0.9]),
    trial("layer", [null, null, 0.81]),
    trial("rms", [0.79, 0.7999]),
    trial("batch", []),
  ];
  const before = structuredClone(trials);
  const after = withTarget(trials, 0.8);
  expect(after.map(({ epochsToTarget }) => epochsToTarget)).toEqual([2, 3, null, null]);
  expect(after.map((each) => ({ ...each, epochsToTarget: null }))).toEqual(before);
  expect(trials).toEqual(before);
});

test("summarize: a row for each normalization in the order named, by hand", () => {
  const trials = [
    trial("layer", [0.5, 0.9], {
      stepMs: 4,
      epochsToTarget: 2,
      // 1/4, 1 and 4/1: in the middle, even
      probes: probesOf([1, 7, 4], [3, 7, 3], [4, 7, 1]),
    }),
    trial("layer", [0.9, 0.7], { stepMs: 1, epochsToTarget: 1, probes: probesOf([2, 1], [8, 1]) }),
    trial("layer", [0.6, 0.6], { stepMs: 2, probes: probesOf([0.5, 5]) }),
    trial("layer", [0.8, 0.1], { stepMs: 3, epochsToTarget: 4, probes: probesOf([3, 1]) }),
    trial("none", [0.4, 0.8], {
      outcome: "diverged",
      stepMs: 9,
      // not a number, a last layer without any gradient, and one that is left: 2/8
      probes: probesOf([null, 1], [1, null], [1, 0], [2, 8]),
    }),
    trial("none", [0.3], { stepMs: 5 }),
  ];
  const [none, layer, batch] = summarize(["none", "layer", "batch"], trials);
  expect(none).toEqual({
    norm: "none",
    trials: 2,
    diverged: 1,
    // the diverged one has none
    metric: { median: 0.3, min: 0.3, max: 0.3 },
    epochsToTarget: { ...nothing, reached: 0 },
    stepMs: { median: 7, min: 5, max: 9 },
    gradientRatio: { median: 0.25, min: 0.25, max: 0.25 },
  });
  expect(layer).toMatchObject({
    norm: "layer",
    trials: 4,
    diverged: 0,
    epochsToTarget: { median: 2, min: 1, max: 4, reached: 3 },
    stepMs: { median: 2.5, min: 1, max: 4 },
  });
  // the last epochs are 0.9, 0.7, 0.6, 0.1
  expect(layer?.metric.median).toBeCloseTo(0.65, 12);
  expect([layer?.metric.min, layer?.metric.max]).toEqual([0.1, 0.9]);
  // 1, (2 + 8)/2 = 5, 0.1, 3
  expect(layer?.gradientRatio.median).toBeCloseTo(2, 12);
  expect(layer?.gradientRatio.min).toBeCloseTo(0.1, 12);
  expect(layer?.gradientRatio.max).toBeCloseTo(5, 12);
  expect(batch).toEqual({
    norm: "batch",
    trials: 0,
    diverged: 0,
    metric: nothing,
    epochsToTarget: { ...nothing, reached: 0 },
    stepMs: nothing,
    gradientRatio: nothing,
  });
});

test("summarize: one probe without a gradient in the first layer does not decide for the others", () => {
  const probes = probesOf([0, 1], [1, 2], [3, 4]);
  const [{ gradientRatio }] = summarize(["none"], [trial("none", [], { probes })]) as [Summary];
  expect(gradientRatio.median).toBe(0.5);
});
