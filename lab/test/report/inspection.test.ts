/** The page of an inspection: right for every file there can be, escaped, self-contained, and equal to the data. */
import { formatNumber } from "@evenkeel/report/format";
import { serverDocument } from "@evenkeel/report/server-document";
import type { Checkpoint } from "evenkeel/checkpoints";
import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import { arrayName, headline, inspect } from "../../src/inspection.js";
import { renderInspection } from "../../src/report/inspection.js";
import {
  batchNorm,
  checkpointOf,
  layerNorm,
  manyBatchNorms,
  sickLayers,
  tensorOf,
  withValues,
} from "../support/synthetic-checkpoint.js";

const CASES: Record<string, Checkpoint> = {
  "52 batch norms": checkpointOf(manyBatchNorms()),
  "200 batch norms": checkpointOf(Array.from({ length: 200 }, (_, i) => batchNorm(`block.${i}`, 4, i))),
  "one of every finding": checkpointOf(sickLayers),
  "kinds in turns": checkpointOf(
    Array.from({ length: 6 }, (_, i) => (i % 2 ? batchNorm : layerNorm)(`block.${i}.norm`, 8, i)),
  ),
  "one of one channel": checkpointOf([batchNorm("bn", 1)]),
  "nothing finite": checkpointOf(
    [1, 2].map((i) =>
      withValues(
        withValues(batchNorm(`bn${i}`, 4), "running_var", () => Infinity),
        "weight",
        () => Number.NaN,
      ),
    ),
  ),
  "the largest numbers": checkpointOf(
    [1, 2].map((i) => withValues(batchNorm(`bn${i}`, 4), "weight", (_, j) => (j % 2 ? 3.4e38 : -3.4e38))),
  ),
  "no weights": checkpointOf(
    ["a", "b"].map((name) => ({ name, type: "LayerNorm", config: { normalized_shape: [4] }, tensors: {} })),
  ),
  "no normalization": checkpointOf([], {
    framework: undefined,
    version: undefined,
    tensors: new Map([["a.weight", tensorOf("a.weight", new Float32Array(), { shape: [3, 4] })]]),
    others: new Map([["step", tensorOf("step", new Float32Array(), { shape: [] })]]),
  }),
  "statistics of the batch": checkpointOf([
    {
      name: "bn",
      type: "BatchNorm2d",
      config: { track_running_stats: false },
      tensors: { weight: [1, 2], bias: [3, 4] },
    },
  ]),
  "no tensors": checkpointOf([]),
};

describe.each(Object.entries(CASES))("%s", async (_, checkpoint) => {
  const found = await inspect(checkpoint, "1.2.3");
  const markup = renderInspection(found, serverDocument);
  const { document } = parseHTML(markup);
  const { normalizations } = found;

  test("shows no NaN, null or undefined", () => {
    expect(markup).not.toMatch(/NaN|undefined|Infinity|\bnull\b|\[object/);
  });

  test("asks nothing of the network", () => {
    expect(markup).not.toMatch(/\b(?:src|href|srcset|action)\s*=/i);
    expect(markup).not.toMatch(/@import|url\((?!#)|<script|<link|<iframe|https?:/i);
    expect(markup).toContain("default-src 'none'");
  });

  test("has a row for each normalization, with its name, channels and health", () => {
    const rows = [...document.querySelectorAll("#all tbody tr")];
    expect(rows.map((row) => row.querySelector("th")?.textContent)).toEqual(
      normalizations.map(({ name }, i) => `${i + 1}${name}`),
    );
    expect(rows.map((row) => row.querySelector("[data-column=channels]")?.textContent)).toEqual(
      normalizations.map(({ channels }) => channels?.toLocaleString("en-US") ?? "–"),
    );
    expect(rows.map((row) => row.querySelector("[data-column=health]")?.className)).toEqual(
      normalizations.map(({ sick, findings }) => (sick ? "bad" : findings.length > 0 ? "look" : "well")),
    );
  });

  test("each row has as many cells as the table has heads", () => {
    for (const row of document.querySelectorAll("tbody tr")) {
      expect(row.children.length).toBe(row.closest("table")?.querySelectorAll("thead th").length);
    }
  });

  test("the range below a histogram is the data's", () => {
    for (const [i, { weights }] of normalizations.entries()) {
      if (weights.gamma === undefined) continue;
      const { min, median, max } = weights.gamma;
      const cell = document.querySelectorAll("#all tbody tr")[i].querySelector("[data-column=gamma] .ends");
      const shown = [...(cell?.querySelectorAll("span") ?? [])].map((end) => end.textContent);
      if (min === null || min === max) expect(cell?.textContent).toMatch(min === null ? /^no finite/ : /\d/);
      else expect(shown).toEqual([min, median, max].map(formatNumber));
    }
  });

  test("a figure by depth for each weight and running statistic, a histogram for at most 60 normalizations", () => {
    const arrays = new Set(
      normalizations.flatMap((each) => Object.keys({ ...each.weights, ...each.statistics })),
    );
    const byDepth = normalizations.length > 1 ? arrays.size : 0;
    expect(document.querySelectorAll("#depth figure")).toHaveLength(byDepth);
    expect(document.querySelectorAll("#all tr:has(.small)").length).toBeLessThanOrEqual(60);
    expect(/Histograms of 60 of the/.test(markup)).toBe(normalizations.length > 60);
    for (const figure of document.querySelectorAll("svg[role=img]")) {
      expect(figure.getAttribute("aria-label")).toMatch(/\w.*\.$/);
      // an image's parts have no names, which no one would read
      expect(figure.querySelectorAll("[aria-label]")).toHaveLength(0);
    }
    for (const head of document.querySelectorAll("th")) {
      expect(head.getAttribute("scope")).toMatch(/^(row|col)$/);
    }
  });

  test("each figure by depth has its numbers as a table", () => {
    for (const figure of document.querySelectorAll("#depth figure")) {
      const name = figure.querySelector("b")?.textContent?.toLowerCase();
      const has = normalizations.flatMap(({ name: own, weights, statistics }, at) => {
        const all = Object.entries({ ...weights, ...statistics });
        const [, values] = all.find(([array]) => arrayName(array).toLowerCase() === name) ?? [];
        if (values === undefined || values.min === null) return [];
        const { min, p5, median, p95, max } = values;
        return [[`${at + 1} ${own}`, ...[min, p5, median, p95, max].map(formatNumber)]];
      });
      const rows = [...figure.querySelectorAll("details .scroll[tabindex] tbody tr")].map((row) =>
        [...row.children].map((cell) => cell.textContent),
      );
      expect(rows).toEqual(has);
    }
  });

  test("is the same each time", () => {
    expect(renderInspection(found, serverDocument)).toBe(markup);
  });
});

test("the headline is the most serious finding, and the findings follow", async () => {
  const found = await inspect(checkpointOf(sickLayers), "0");
  const { document } = parseHTML(renderInspection(found, serverDocument));
  expect(document.querySelector("h1")?.textContent).toBe(headline(found));
  const items = [...document.querySelectorAll("header .findings li")].map(({ textContent }) => textContent);
  expect(items.slice(0, 2)).toEqual([
    "nan (number 2): gamma not finite in 8 of 64.",
    "infinite (number 3): running variance not finite in 1 of 64.",
  ]);
  expect(items).toHaveLength(10);
});

test("of many findings of one sort the worst are told, and the others counted", async () => {
  const dead = Array.from({ length: 6 }, (_, i) =>
    withValues(batchNorm(`bn${i}`, 16), "weight", (value, j) => (j <= i ? 0 : value)),
  );
  const { document } = parseHTML(renderInspection(await inspect(checkpointOf(dead), "0"), serverDocument));
  expect([...document.querySelectorAll("header .findings li")].map(({ textContent }) => textContent)).toEqual(
    [
      "bn5 (number 6): gamma near 0 in 6 of 16: dead channels.",
      "bn4 (number 5): gamma near 0 in 5 of 16: dead channels.",
      "Likewise in 4 others: numbers 1–4.",
    ],
  );
});

test("each sick one is marked in every figure by depth", async () => {
  const found = await inspect(checkpointOf(sickLayers), "0");
  const { document } = parseHTML(renderInspection(found, serverDocument));
  const sickWithGamma = found.normalizations.filter(
    ({ sick, weights }) => sick && weights.gamma.min !== null,
  );
  const [gamma] = document.querySelectorAll("#depth figure");
  expect(gamma.querySelectorAll('[stroke="var(--bad)"] path')).toHaveLength(sickWithGamma.length);
});

test("one kind needs no switches and no column, several have both", async () => {
  const page = async (name: string) =>
    parseHTML(renderInspection(await inspect(CASES[name], "0"), serverDocument)).document;
  const one = await page("52 batch norms");
  expect(one.querySelectorAll(".switches, [data-column=kind]")).toHaveLength(0);
  expect(one.querySelector("#all .deck")?.textContent).toBe(
    "Batch normalization (BatchNorm2d): axis 1, epsilon 1e-5, keeps 0.9, running variance unbiased.",
  );
  const several = await page("kinds in turns");
  expect([...several.querySelectorAll(".switches input")].map(({ id }) => id)).toEqual([
    "show-layer",
    "show-batch",
  ]);
  expect(several.querySelectorAll("[data-column=kind]")).toHaveLength(6);
  expect(several.querySelectorAll("#depth .s-layer, #depth .s-batch").length).toBeGreaterThan(8);
});

test("hostile strings stay text", async () => {
  const hostile = `"><script>alert('x')</script><img src=x onerror=alert(1)>&amp;$&`;
  const checkpoint = checkpointOf(
    [{ ...batchNorm(hostile, 4), type: "BatchNorm2d" }, layerNorm(`${hostile}2`, 4)],
    { file: hostile, format: hostile, version: hostile },
  );
  const { document } = parseHTML(renderInspection(await inspect(checkpoint, hostile), serverDocument));
  expect(document.querySelectorAll("script, img, [onerror]")).toHaveLength(0);
  expect(document.querySelector("#all tbody th")?.textContent).toBe(`1${hostile}`);
  expect(document.querySelector("dd")?.textContent).toBe(hostile);
});

test("names break after their marks, numbers with an exponent nowhere", async () => {
  const layers = [batchNorm("expanded_conv_depthwise_BN", 4), layerNorm("a.norm", 4)];
  const markup = renderInspection(await inspect(checkpointOf(layers), "0"), serverDocument);
  expect(markup).toContain("expanded_<wbr>conv_<wbr>depthwise_<wbr>BN</th>");
  expect(markup).toContain('epsilon <span class="whole">1e-5</span>');
});
