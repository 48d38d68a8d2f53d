/** The report's markup: right for every comparison there can be, escaped, self-contained, and equal to the data. */
import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import { formatMetric, formatNumber } from "../src/format.js";
import { headline } from "../src/report/findings.js";
import { renderReport } from "../src/report/html.js";
import type { Comparison, NormName, Summary } from "../src/results.js";
import { type Recipe, syntheticComparison } from "./synthetic-comparison.js";

const NORMS: NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];

/** All values of the trials as JSON may hold them where nothing was finite. */
function withoutNumbers(comparison: Comparison): Comparison {
  const nothing = { median: null, min: null, max: null };
  return {
    ...comparison,
    summaries: comparison.summaries.map((summary) => ({
      ...summary,
      metric: nothing,
      epochsToTarget: { ...nothing, reached: 0 },
      gradientRatio: nothing,
    })),
    trials: comparison.trials.map((trial) => ({
      ...trial,
      epochsToTarget: null,
      epochs: trial.epochs.map(({ epoch }) => ({ epoch, trainLoss: null, heldOutLoss: null, metric: null })),
      probes: trial.probes.map(({ step, gradientNorm }) => {
        const nulls = gradientNorm.map(() => null);
        return { step, gradientNorm: nulls, activationMean: nulls, activationSpread: nulls };
      }),
    })),
  };
}

/** Sets one value of every trial's probes, where a real network would have zero, huge or missing numbers. */
function withProbeValue(comparison: Comparison, norm: NormName, value: number | null): Comparison {
  return {
    ...comparison,
    trials: comparison.trials.map((trial) =>
      trial.norm === norm
        ? {
            ...trial,
            probes: trial.probes.map((probe) => ({
              step: probe.step,
              gradientNorm: probe.gradientNorm.map((old, layer) => (layer % 2 ? value : old)),
              activationMean: probe.activationMean.map((old, layer) => (layer % 2 ? value : old)),
              activationSpread: probe.activationSpread.map((old, layer) => (layer % 2 ? value : old)),
            })),
          }
        : trial,
    ),
  };
}

const everyNormDiverges = Object.fromEntries(NORMS.map((norm) => [norm, 1])) as Recipe["diverging"];

const CASES: Record<string, Comparison> = {
  "six norms": syntheticComparison(),
  "one trial": syntheticComparison({ norms: ["layer"], seeds: [7] }),
  "ten norms, unknown ones among them": syntheticComparison({
    norms: [...NORMS, "batch-renorm", "dynamic-tanh", "local-response", "of-another-version"],
  }),
  "one epoch, one layer": syntheticComparison({ norms: ["none", "batch"], seeds: [1], epochs: 1, depth: 1 }),
  "200 epochs, 50 layers, 10 seeds": syntheticComparison({
    seeds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    epochs: 200,
    depth: 50,
  }),
  regression: syntheticComparison({ metric: "R²" }),
  "all diverged": syntheticComparison({ diverging: everyNormDiverges }),
  "one diverged half-way": syntheticComparison({ diverging: { none: 8 } }),
  "interrupted, one norm without a trial": syntheticComparison({ unfinished: ["instance"] }),
  "interrupted before any trial": syntheticComparison({ unfinished: NORMS }),
  "nothing but nulls": withoutNumbers(syntheticComparison()),
  "some nulls": withProbeValue(syntheticComparison(), "rms", null),
  zeros: withProbeValue(syntheticComparison(), "none", 0),
  "an exploding norm": withProbeValue(syntheticComparison(), "none", 1e30),
  "a norm whose signs change": withProbeValue(syntheticComparison(), "group", -3e5),
};

describe.each(Object.entries(CASES))("%s", (_, comparison) => {
  const markup = renderReport(comparison);
  const { document } = parseHTML(markup);

  test("has no number that is none", () => {
    expect(markup).not.toMatch(/NaN|undefined|Infinity|\bnull\b|\[object/);
  });

  test("asks nothing of the network", () => {
    expect(markup).not.toMatch(/\b(?:src|href|srcset|action)\s*=/i);
    expect(markup).not.toMatch(/@import|url\((?!#)|<script|<link|<iframe|https?:/i);
    expect(markup).toContain("default-src 'none'");
  });

  test("shows every norm in the switches, the table and the gradient maps", () => {
    for (const { norm } of comparison.summaries) {
      expect(document.querySelectorAll(`#show-${norm}`)).toHaveLength(1);
      expect(document.querySelectorAll(`tr[data-norm=${norm}] th[scope=row]`)).toHaveLength(1);
      expect(document.querySelectorAll(`.p-${norm} svg[role=img]`)).toHaveLength(1);
    }
    expect(document.querySelectorAll("tbody tr")).toHaveLength(comparison.summaries.length);
  });

  test("the table's numbers are the data's", () => {
    for (const {
      norm,
      metric,
      stepMs,
      gradientRatio,
      epochsToTarget,
      diverged,
      trials,
    } of comparison.summaries) {
      const cell = (column: string) =>
        document.querySelector(`tr[data-norm=${norm}] [data-column=${column}] .value`)?.textContent;
      expect(cell("metric")).toBe(formatMetric(comparison.metric, metric.median));
      expect(cell("stepMs")).toBe(stepMs.median === null ? "–" : `${formatNumber(stepMs.median)} ms`);
      expect(cell("gradientRatio")).toBe(formatNumber(gradientRatio.median));
      expect(cell("epochsToTarget")).toBe(
        epochsToTarget.median === null ? "–" : String(epochsToTarget.median),
      );
      expect(cell("diverged")).toBe(trials === 0 ? "–" : `${diverged} of ${trials}`);
    }
  });

  test("names every figure, and gives the table's heads their scope", () => {
    const figures = document.querySelectorAll("svg[role=img]");
    expect(figures.length).toBe(2 + comparison.summaries.length + 1 + 2 + 4);
    for (const figure of figures) expect(figure.getAttribute("aria-label")).toMatch(/\w.*\.$/);
    for (const head of document.querySelectorAll("th"))
      expect(head.getAttribute("scope")).toMatch(/^(row|col)$/);
  });

  test("is the same each time", () => {
    expect(renderReport(comparison)).toBe(markup);
  });
});

test("hostile strings stay text", () => {
  const hostile = `"><script>alert('x')</script><img src=x onerror=alert(1)>&amp;`;
  const plain = syntheticComparison();
  const markup = renderReport({
    ...plain,
    evenkeel: hostile,
    date: hostile,
    command: hostile,
    machine: { ...plain.machine, processor: hostile, node: hostile, backend: hostile },
    data: { ...plain.data, name: hostile, provenance: hostile, target: hostile, classes: [hostile, "b"] },
    model: { ...plain.model, activation: hostile },
    training: { ...plain.training, optimizer: hostile },
  });
  const { document } = parseHTML(markup);
  expect(document.querySelectorAll("script, img, [onerror]")).toHaveLength(0);
  expect(document.querySelector("pre")?.textContent).toBe(hostile);
  expect(document.querySelector("h1")?.textContent).toContain(hostile);
});

test("marks the best of each column, and no lucky seed", () => {
  const comparison = syntheticComparison();
  const [none, layer] = comparison.summaries;
  if (!none || !layer) throw new Error("the recipe has these norms");
  none.epochsToTarget = { median: 1, min: 1, max: 1, reached: 1 };
  const { document } = parseHTML(renderReport(comparison));
  const marked = (column: string) =>
    [...document.querySelectorAll(`td.best[data-column=${column}]`)].map((cell) =>
      cell.closest("tr")?.getAttribute("data-norm"),
    );
  expect(marked("metric")).toEqual(["batch"]);
  expect(marked("epochsToTarget")).toEqual(["batch"]);
  expect(marked("stepMs")).toEqual(["none"]);
  expect(marked("gradientRatio")).toEqual(["layer"]);
});

test("says who reached the target, and who never did", () => {
  const said = (recipe: Recipe): string | undefined =>
    parseHTML(renderReport(syntheticComparison(recipe)))
      .document.querySelector(".findings li")
      ?.textContent?.replaceAll("\u00a0", " ");
  expect(said({})).toBe(
    "With batch normalization, every trial reached the target of 90 %, at epoch 6 (median): more of them, or sooner, than with any other. Without normalization and with instance normalization: never.",
  );
  expect(said({ norms: ["layer"], seeds: [1] })).toBe(
    "With layer normalization, the only trial reached the target of 90 %, at epoch 9.",
  );
  expect(said({ epochs: 1 })).toBe("No trial reached the target of 90 % within 1 epoch.");
});

test("normalizations of any name are told apart, and called by their titles", () => {
  const norms = ["none", "layer", "batch-renorm", "dynamic-tanh"];
  const { document } = parseHTML(renderReport(syntheticComparison({ norms })));
  expect(document.querySelector(".deck")?.textContent).toMatch(
    /^The same network trained with no normalization, layer normalization, batch renormalization and dynamic tanh: /,
  );
  const swatches = [...document.querySelectorAll("tbody .swatch line")];
  expect(swatches.map((line) => line.getAttribute("stroke"))).toEqual(
    norms.map((norm) => `var(--n-${norm})`),
  );
  expect([...document.querySelectorAll("tbody th")].map((cell) => cell.textContent)).toEqual([
    "none",
    "layer",
    "batch renorm",
    "dynamic tanh",
  ]);
});

test("a gradient that was not measured is left out of the map, one that is zero is not", () => {
  const cells = (value: number | null) => {
    const { document } = parseHTML(renderReport(withProbeValue(syntheticComparison(), "rms", value)));
    return document.querySelectorAll(".p-rms svg [aria-label=rect] rect").length;
  };
  const probes = 21;
  expect(cells(0)).toBe(probes * 20);
  expect(cells(null)).toBe(probes * 10);
});

test("a line has a gap where no seed gave a number", () => {
  const comparison = syntheticComparison({ norms: ["layer"], depth: 9 });
  for (const { probes } of comparison.trials) for (const { gradientNorm } of probes) gradientNorm[4] = null;
  const { document } = parseHTML(renderReport(comparison));
  const lines = [...document.querySelectorAll("#gradients .s-layer[aria-label=line] path")]
    .map((path) => path.getAttribute("d") ?? "")
    .filter((path) => path.split("L").length > 3);
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line.split("M")).toHaveLength(3);
});

test("one exploding norm leaves the others their colours", () => {
  const { document } = parseHTML(renderReport(withProbeValue(syntheticComparison(), "none", 1e30)));
  const colours = [...document.querySelectorAll(".p-instance svg [aria-label=rect] rect")].map((cell) =>
    cell.getAttribute("fill"),
  );
  expect(new Set(colours).size).toBeGreaterThan(5);
});

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
      CASES["all diverged"] as Comparison,
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
    [
      "nothing finished",
      CASES["interrupted before any trial"] as Comparison,
      "Stopped before any trial had finished",
    ],
    [
      "no finite metric",
      CASES["nothing but nulls"] as Comparison,
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

test.each([
  [0.012345, "0.0123"],
  [4.5, "4.50"],
  [1234.5, "1,230"],
  [0.00001234, "1.23×10⁻⁵"],
  [-0.25, "−0.250"],
  [0, "0"],
  [null, "–"],
])("formatNumber(%s) is %s", (value, expected) => {
  expect(formatNumber(value)).toBe(expected);
});
