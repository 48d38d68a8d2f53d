/** The table at the end of a comparison, whatever its numbers are. */
import type { Range } from "@evenkeel/report/statistics";
import { describe, expect, test } from "vitest";
import { summaryTable, summaryText } from "../../src/node/summary.js";
import type { Comparison, Summary } from "../../src/results.js";
import { syntheticComparison } from "../support/synthetic-comparison.js";

const nothing: Range = { median: null, min: null, max: null };

describe("the table", () => {
  const range = (median: number, min: number, max: number): Range => ({ median, min, max });

  /** Every cell as wide as it comes. */
  const awkward = (
    metric: Comparison["metric"],
    values: Range,
    more: Partial<Comparison> = {},
  ): Comparison => {
    const comparison = syntheticComparison({ metric });
    return {
      ...comparison,
      summaries: comparison.summaries.map((summary) => ({
        ...summary,
        trials: 1000,
        diverged: 999,
        metric: values,
        epochsToTarget: { ...range(10_000.5, 1, 100_000), reached: 999 },
        stepMs: range(123_456, 1, 1e6),
        gradientRatio: range(1.23e-12, 1e-45, 1e12),
      })),
      ...more,
    };
  };

  const CASES: Record<string, Comparison> = {
    "as usual": syntheticComparison(),
    "100 %": awkward("accuracy", range(1, 1, 1)),
    "a wide range of accuracy": awkward("accuracy", range(0.999, 0.101, 1)),
    "R² far below 0": awkward("R²", range(-1.23e12, -4.56e34, -1.23e10)),
    "R² near 0": awkward("R²", range(-0.123, -9.999, 0.999)),
    "a target of many digits": awkward("R²", range(0.5, 0.1, 0.9), { targetMetric: 0.123456789012345 }),
    "all diverged": syntheticComparison({ diverging: { none: 1, layer: 2, rms: 1 }, seeds: [1, 2, 3] }),
    stopped: syntheticComparison({ unfinished: ["group", "instance"] }),
    "a long name": syntheticComparison({
      metric: "R²",
      dataName: "a-rather-long-name-of-a-file-of-data",
    }),
  };

  test.each(Object.keys(CASES))("fits 80 columns: %s", (name) => {
    const lines = summaryText(CASES[name] as Comparison).split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });

  test("a row holds the numbers of its normalization", () => {
    const comparison = syntheticComparison({ norms: ["none", "rms"] });
    const rows: Summary[] = [
      {
        norm: "none",
        trials: 3,
        diverged: 1,
        metric: range(0.1, 0.05, 0.2),
        epochsToTarget: { ...nothing, reached: 0 },
        stepMs: range(1.5, 1, 2),
        gradientRatio: range(1e-12, 1e-13, 1e-11),
      },
      {
        norm: "rms",
        trials: 3,
        diverged: 0,
        metric: range(1, 1, 1),
        epochsToTarget: { ...range(2.5, 2, 3), reached: 2 },
        stepMs: range(20, 10, 30),
        gradientRatio: nothing,
      },
    ];
    const cells = summaryTable({ ...comparison, summaries: rows, targetMetric: 0.95 })
      .split("\n")
      .filter((line) => line.startsWith("│"))
      .map((line) =>
        line
          .split("│")
          .slice(1, -1)
          .map((cell) => cell.trim().replaceAll("\u00a0", " ")),
      );
    expect(cells).toEqual([
      ["", "accuracy", "epochs to", "ms per", "gradient"],
      ["", "", "95 %", "step", "first ÷ last"],
      ["none", "10.0 % (5.0–20.0 %)", "never", "1.50", "1.00×10⁻¹²"],
      ["", "1 of 3 diverged", "", "", ""],
      ["RMS", "100 %", "2.5 (2 of 3)", "20.0", "–"],
    ]);
  });

  test("what is too wide for its column goes on a second line", () => {
    const [row] = awkward("R²", range(-1.23e12, -4.56e34, -1.23e10)).summaries as [Summary];
    const table = summaryTable({ ...syntheticComparison({ metric: "R²" }), summaries: [row] });
    expect(table.split("\n").slice(4, -1)).toEqual([
      "│ none │           −1.23×10¹² │       10000.5 │ 123,000 │   1.23×10⁻¹² │",
      "│      │       (−4.56×10³⁴ to │ (999 of 1000) │         │              │",
      "│      │          −1.23×10¹⁰) │               │         │              │",
      "│      │ 999 of 1000 diverged │               │         │              │",
    ]);
  });

  test("a normalization of which no trial finished is named all the same", () => {
    const table = summaryTable(syntheticComparison({ norms: ["none", "layer"], unfinished: ["layer"] }));
    expect(table).toMatch(/│ layer +│ no trial finished +│\n/);
  });
});
