/** The sentence at the head of a report, for whatever a comparison found. */
import { describe, expect, test } from "vitest";
import { headline } from "../src/findings.js";
import type { NormName } from "../src/norms.js";
import type { Comparison, Summary } from "../src/results.js";
import { syntheticComparison, withoutNumbers } from "./support/synthetic-comparison.js";

const NORMS: NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];

describe("headline", () => {
  /** A comparison whose table has these medians, each with a range of ±0.004. */
  const withMetrics = (
    medians: Partial<Record<NormName, number>>,
    change: (summary: Summary, comparison: Comparison) => void = () => {},
  ): Comparison => {
    const comparison = syntheticComparison({ norms: Object.keys(medians) as NormName[] });
    for (const summary of comparison.summaries) {
      const median = medians[summary.norm] ?? 0;
      summary.metric = { median, min: median - 0.004, max: median + 0.004 };
      change(summary, comparison);
    }
    return comparison;
  };
  const said = (comparison: Comparison): string => headline(comparison).replaceAll("\u00a0", " ");

  test.each<[string, Comparison, string]>([
    [
      "none at guessing",
      withMetrics({ none: 0.11, layer: 0.94, batch: 0.96 }),
      "Without normalization, a 20-layer network on digits ends at 11.0 %, the level of guessing; with batch normalization it reaches 96.0 %",
    ],
    [
      "none learns, less",
      withMetrics({ none: 0.7, batch: 0.96 }),
      "Without normalization, a 20-layer network on digits ends at 70.0 %; with batch normalization it reaches 96.0 %",
    ],
    [
      "none as good",
      withMetrics({ none: 0.958, batch: 0.96 }),
      "A 20-layer network on digits ends at 95.8 % without normalization and at 96.0 % with batch normalization, too close to tell apart",
    ],
    [
      "none best",
      withMetrics({ none: 0.96, rms: 0.8 }),
      "A 20-layer network on digits ends highest without normalization, at 96.0 %; with RMS normalization it ends at 80.0 %",
    ],
    [
      "nothing learns",
      withMetrics({ none: 0.1, rms: 0.11 }),
      "A 20-layer network on digits does not get beyond guessing with or without normalization: 11.0 % at best",
    ],
    [
      "none absent",
      withMetrics({ layer: 0.96, instance: 0.8 }),
      "A 20-layer network on digits ends highest with layer normalization, at 96.0 %, and lowest with instance normalization, at 80.0 %",
    ],
    [
      "none absent, no difference",
      withMetrics({ layer: 0.96, group: 0.958 }),
      "A 20-layer network on digits ends about the same under each normalization compared: 95.8 % to 96.0 %",
    ],
    [
      "one norm",
      withMetrics({ group: 0.93 }),
      "With group normalization, a 20-layer network on digits reaches 93.0 %",
    ],
    [
      "regression",
      withMetrics({ none: -0.002, layer: 0.87 }, (_, comparison) => {
        comparison.metric = "R²";
      }),
      "Without normalization, a 20-layer network on digits ends at an R² of −0.002, no better than predicting the mean; with layer normalization it reaches an R² of 0.870",
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
      "none diverged",
      syntheticComparison({ norms: ["none", "rms"], diverging: { none: 3 } }),
      "Without normalization, a 20-layer network on digits diverges; with RMS normalization it reaches 94.1 %",
    ],
    [
      "the others diverged",
      syntheticComparison({ norms: ["none", "rms", "layer"], diverging: { rms: 3, layer: 2 } }),
      "Without normalization, a 20-layer network on digits ends at 10.1 %, the level of guessing; with RMS normalization and with layer normalization it diverges",
    ],
    [
      "some of the best diverged",
      withMetrics({ none: 0.1, batch: 0.96 }, (summary) => {
        if (summary.norm === "batch") summary.diverged = 2;
      }),
      "Without normalization, a 20-layer network on digits ends at 10.0 %, the level of guessing; with batch normalization it reaches 96.0 % (2 of 3 trials diverged)",
    ],
    ["nothing finished", syntheticComparison({ unfinished: NORMS }), "Stopped before any trial had finished"],
    [
      "no finite metric",
      withoutNumbers(syntheticComparison()),
      "A 20-layer network on digits gave no finite accuracy",
    ],
    [
      "eighteen layers",
      withMetrics({ batch: 0.9 }, (_, { model }) => {
        model.depth = 18;
      }),
      "With batch normalization, an 18-layer network on digits reaches 90.0 %",
    ],
  ])("%s", (_, comparison, expected) => {
    expect(said(comparison)).toBe(expected);
  });
});
