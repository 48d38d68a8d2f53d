/** The report's markup: right for every comparison there can be, escaped, self-contained, and equal to the data. */
import { formatNumber } from "@evenkeel/report/format";
import { serverDocument } from "@evenkeel/report/server-document";
import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import type { NormName } from "../../src/norms.js";
import { renderReport } from "../../src/report/html.js";
import { type Comparison, metricOf } from "../../src/results.js";
import type { Activation } from "../../src/settings.js";
import { type Recipe, syntheticComparison, withoutNumbers } from "../support/synthetic-comparison.js";

const NORMS: NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];

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
  const markup = renderReport(comparison, serverDocument);
  const { document } = parseHTML(markup);

  test("shows no NaN, null or undefined", () => {
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
      expect(cell("metric")).toBe(metricOf(comparison).format(metric.median));
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
    expect(renderReport(comparison, serverDocument)).toBe(markup);
  });
});

test("hostile strings stay text", () => {
  const hostile = `"><script>alert('x')</script><img src=x onerror=alert(1)>&amp;`;
  const plain = syntheticComparison();
  const markup = renderReport(
    {
      ...plain,
      evenkeel: hostile,
      date: hostile,
      command: hostile,
      machine: { ...plain.machine, processor: hostile, node: hostile, backend: hostile },
      data: { ...plain.data, name: hostile, provenance: hostile, target: hostile, classes: [hostile, "b"] },
      model: { ...plain.model, activation: hostile as Activation },
      training: { ...plain.training, optimizer: hostile },
    },
    serverDocument,
  );
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
  const { document } = parseHTML(renderReport(comparison, serverDocument));
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
    parseHTML(renderReport(syntheticComparison(recipe), serverDocument))
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
  const { document } = parseHTML(renderReport(syntheticComparison({ norms }), serverDocument));
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
    const { document } = parseHTML(
      renderReport(withProbeValue(syntheticComparison(), "rms", value), serverDocument),
    );
    return document.querySelectorAll(".p-rms svg [aria-label=rect] rect").length;
  };
  const probes = 21;
  expect(cells(0)).toBe(probes * 20);
  expect(cells(null)).toBe(probes * 10);
});

test("a line has a gap where no seed gave a number", () => {
  const comparison = syntheticComparison({ norms: ["layer"], depth: 9 });
  for (const { probes } of comparison.trials) for (const { gradientNorm } of probes) gradientNorm[4] = null;
  const { document } = parseHTML(renderReport(comparison, serverDocument));
  const lines = [...document.querySelectorAll("#gradients .s-layer[aria-label=line] path")]
    .map((path) => path.getAttribute("d") ?? "")
    .filter((path) => path.split("L").length > 3);
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line.split("M")).toHaveLength(3);
});

test("one exploding norm leaves the others their colours", () => {
  const { document } = parseHTML(
    renderReport(withProbeValue(syntheticComparison(), "none", 1e30), serverDocument),
  );
  const colours = [...document.querySelectorAll(".p-instance svg [aria-label=rect] rect")].map((cell) =>
    cell.getAttribute("fill"),
  );
  expect(new Set(colours).size).toBeGreaterThan(5);
});
