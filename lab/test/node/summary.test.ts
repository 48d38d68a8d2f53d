/** The table at the end of a comparison, whatever its numbers are and however wide the terminal is. */
import type { Range } from "@evenkeel/report/statistics";
import { describe, expect, test } from "vitest";
import { summaryTable, summaryText } from "../../src/node/summary.js";
import { normNames } from "../../src/norms.js";
import type { Comparison, Summary } from "../../src/results.js";
import { recipes, syntheticComparison, withoutNumbers } from "../support/synthetic-comparison.js";

const range = (median: number, min: number, max: number): Range => ({ median, min, max });
const nothing: Range = { median: null, min: null, max: null };

/** Every cell as wide as it comes. */
const awkward = (metric: Comparison["metric"], values: Range, more: Partial<Comparison> = {}): Comparison => {
  const comparison = syntheticComparison({ metric, learningRates: [0.01, 0.1] });
  const wide = { pairs: 1000, mean: -1.23e12, low: -4.56e34, high: 1.23e10, clear: false };
  return {
    ...comparison,
    differences: {
      metric: comparison.differences.metric.map(({ norm }) => ({ norm, ...wide })),
      epochsToTarget: comparison.differences.epochsToTarget.map(({ norm }) => ({ norm, ...wide })),
    },
    summaries: comparison.summaries.map((summary) => ({
      ...summary,
      trials: 1000,
      diverged: 999,
      parameters: 123_456_789,
      metric: values,
      trainMetric: values,
      epochsToTarget: { ...range(10_000.5, 1, 100_000), reached: 999 },
      stepMs: range(123_456, 1, 1e6),
      gradientRatio: range(1.23e-12, 1e-45, 1e12),
    })),
    ...more,
  };
};

const CASES: Record<string, Comparison> = {
  ...Object.fromEntries(
    Object.entries(recipes)
      .filter(([name]) => name !== "hostile names")
      .map(([name, recipe]) => [name, syntheticComparison(recipe)]),
  ),
  "100 %": awkward("accuracy", range(1, 1, 1)),
  "a wide range of accuracy": awkward("accuracy", range(0.999, 0.101, 1)),
  "R² far below 0": awkward("R²", range(-1.23e12, -4.56e34, -1.23e10)),
  "a target of many digits": awkward("R²", range(0.5, 0.1, 0.9), { targetMetric: 0.123456789012345 }),
  stopped: syntheticComparison({ unfinished: ["group", "instance"] }),
  "nothing finite": withoutNumbers(syntheticComparison()),
  "no target": { ...syntheticComparison(), targetMetric: null },
};

describe.each([200, 100, 80, 60, 40])("%i columns", (columns) => {
  test.each(Object.keys(CASES))("%s", (name) => {
    const comparison = CASES[name] as Comparison;
    const lines = summaryText(comparison, columns).split("\n");
    expect(lines.filter((line) => line.length > columns)).toEqual([]);
    expect(lines.filter((line) => line !== line.trimEnd())).toEqual([]);
    // no terminal, no colours
    expect(lines.join("")).not.toContain("\u001b");
  });
});

/** The cells of each line, where two blanks or more are between them. */
const cellsOf = (table: string): string[][] =>
  table.split("\n").map((line) => line.trim().replaceAll("\u00a0", " ").split(/ {2,}/));

const ROWS: Partial<Summary>[] = [
  {
    norm: "none",
    trials: 3,
    diverged: 1,
    metric: range(0.1, 0.05, 0.2),
    epochsToTarget: { ...nothing, reached: 0 },
    stepMs: range(1.5, 1, 2),
    learningRate: range(0.01, 0.01, 0.01),
  },
  {
    norm: "rms",
    trials: 3,
    diverged: 0,
    metric: range(1, 1, 1),
    epochsToTarget: { ...range(2.5, 2, 3), reached: 2 },
    stepMs: range(20, 10, 30),
    learningRate: range(0.1, 0.01, 0.1),
  },
  { norm: "layer", trials: 0, diverged: 0 },
];

const made = (): Comparison => {
  const comparison = syntheticComparison({ norms: ["none", "rms", "layer"], learningRates: [0.01, 0.1] });
  return {
    ...comparison,
    differences: {
      metric: [
        { norm: "rms", pairs: 2, mean: 0.9, low: 0.853, high: 0.949, clear: true },
        { norm: "layer", pairs: 0, mean: null, low: null, high: null, clear: false },
      ],
      epochsToTarget: [
        { norm: "rms", pairs: 3, mean: 2.5, low: 1.2, high: 3.8, clear: true },
        { norm: "layer", pairs: 0, mean: null, low: null, high: null, clear: false },
      ],
    },
    summaries: ROWS.map((row, i) => ({ ...(comparison.summaries[i] as Summary), ...row })),
  };
};

const NOTE = [
  ["▲ clearly better than without normalization, ▼ clearly worse. Medians with"],
  ["ranges over the seeds; differences are means, whose intervals all hold at once"],
  ["in 95 of 100 comparisons."],
];

test("a row holds the numbers of its normalization, and the last one is guessing", () => {
  expect(cellsOf(summaryTable(made(), 80))).toEqual([
    ["accuracy", "against none", "epochs to", "learning"],
    ["points", "90 %", "rate"],
    [expect.stringMatching(/^─+$/)],
    ["none", "10.0 % (5.0–20.0 %)", "baseline", "never", "0.01"],
    ["1 of 3 diverged"],
    ["RMS", "100 %", "▲ +90.0 (+85.3 to +94.9)", "2.5 (2 of 3)", "0.1"],
    ["layer", "no trial finished", "–"],
    ["guessing", "10.0 %"],
    ...NOTE,
  ]);
});

test("a wide terminal shows more, and later is worse", () => {
  const [head, , , none, , rms] = cellsOf(summaryTable(made(), 200));
  expect(head?.slice(5)).toEqual(["gradient", "accuracy", "epochs against", "parameters"]);
  expect(none?.at(-2)).toBe("baseline");
  expect(rms?.at(-2)).toBe("▼ +2.5 (+1.2 to +3.8)");
});

test("a narrow one has ranges and intervals below the numbers", () => {
  expect(cellsOf(summaryTable(made(), 45)).slice(0, 9)).toEqual([
    ["accuracy", "against none"],
    ["points"],
    [expect.stringMatching(/^─+$/)],
    ["none", "10.0 %", "baseline"],
    ["5.0–20.0 %"],
    ["1 of 3 diverged"],
    ["RMS", "100 %", "▲ +90.0"],
    ["+85.3 to +94.9"],
    ["layer", "no trial finished", "–"],
  ]);
});

test("where no table fits, each cell has a line", () => {
  const lines = summaryTable(awkward("R²", range(-1.23e12, -4.56e34, -1.23e10)), 30).split("\n");
  expect(lines.slice(0, 8)).toEqual([
    "none",
    "  R²: −1.23×10¹² (−4.56×10³⁴",
    "    to −1.23×10¹⁰), 999 of",
    "    1000 diverged",
    "  against none: baseline",
    "  epochs to 0.9: 10000.5",
    "    (999 of 1000)",
    "layer",
  ]);
  expect(lines).toContain("guessing: 0.000");
});

test("what no seeds can show has no mark and no note", () => {
  const text = summaryText(syntheticComparison({ seeds: [1] }));
  expect(text).not.toMatch(/[▲▼]|intervals/);
  expect(text).toContain("+84.0");
});

test("every normalization has its row", () => {
  const rows = cellsOf(summaryTable(syntheticComparison(recipes["every norm"]), 80));
  expect(rows.filter((cells) => cells.some((cell) => /^\d+\.\d %/.test(cell)))).toHaveLength(
    normNames.length + 1,
  );
});
