/** The page and the summary of a diagnosis: of any network, self-contained, escaped, no wider than there is room. */
import { serverDocument } from "@evenkeel/report/server-document";
import { parseHTML } from "linkedom";
import pc from "picocolors";
import { describe, expect, test } from "vitest";
import type { Diagnosis } from "../../src/ailments.js";
import { diagnosisText } from "../../src/node/diagnosis-summary.js";
import { renderDiagnosis } from "../../src/report/diagnosis.js";
import { syntheticCourse, syntheticDiagnosis } from "../support/synthetic-diagnosis.js";

const gap = {
  layer: "bn",
  over: "batch",
  mean: { median: 3, max: 4 },
  variance: { median: null, max: null },
} as const;
const vanishing = { state: (index: number) => ({ gradientNorm: 10 ** (index - 9), dead: 0.4 }) };

const CASES: Record<string, Diagnosis> = {
  "one that is well": syntheticDiagnosis([syntheticCourse({ layers: 3 })]),
  "one layer, not trained": syntheticDiagnosis(
    [
      {
        ...syntheticCourse({ layers: 1 }),
        probes: syntheticCourse({ layers: 1 }).probes.slice(0, 1),
        losses: [],
      },
    ],
    0,
  ),
  "one that vanishes, mended": syntheticDiagnosis([
    syntheticCourse({ layers: 20, ...vanishing, gaps: [gap] }),
    syntheticCourse({ layers: 20, norm: "layer" }),
    syntheticCourse({ layers: 20, norm: "batch-renorm", gaps: [gap, gap] }),
  ]),
  "nothing finite": syntheticDiagnosis([
    syntheticCourse({
      layers: 2,
      losses: [null, null],
      state: () => ({ gradientNorm: null, weightNorm: null, mean: null, spread: null, dead: null }),
      later: () => ({ gradientNorm: null, weightNorm: null, mean: null, spread: null, dead: null }),
    }),
  ]),
  "150 layers with long and strange names": syntheticDiagnosis([
    syntheticCourse({ layers: 150, nameOf: (i) => `<b>block</b>/\u202e${"very".repeat(20)} & long/${i}` }),
  ]),
};

describe.each(Object.entries(CASES))("%s", (_, diagnosis) => {
  test("the page is whole, self-contained and without markup from names", () => {
    const html = renderDiagnosis(diagnosis, serverDocument);
    const { document } = parseHTML(html);
    expect(html).not.toMatch(/NaN|undefined|null|Infinity|<b>block/);
    expect(html).not.toContain("\u202e");
    expect(document.querySelectorAll("script, link, img, iframe").length).toBe(0);
    const figures = [...document.querySelectorAll("figure")];
    expect(figures.length).toBeGreaterThanOrEqual(4);
    for (const each of figures) {
      expect(each.querySelector("svg")?.getAttribute("aria-label")).not.toContain("Median");
      expect(each.querySelectorAll("details tbody tr").length).toBeGreaterThan(0);
    }
    const { courses, ailments } = diagnosis;
    expect(document.querySelectorAll("#layers tbody tr").length).toBe(courses[0].layers.length);
    expect(document.querySelectorAll("header .findings li").length).toBe(ailments.length);
    expect(document.querySelectorAll(".switches input").length).toBe(courses.length > 1 ? courses.length : 0);
  });

  test("the summary keeps to its width, and says what was found", () => {
    for (const width of [80, 60, 40]) {
      const text = diagnosisText(diagnosis, width, pc.createColors(false));
      expect(text).not.toMatch(/NaN|undefined|\bnull\b|\u202e/);
      for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(width);
      for (const { text: said } of diagnosis.ailments) expect(text.replaceAll(/\n +/g, " ")).toContain(said);
    }
  });
});

test("the page tells what each normalization changed, with both numbers", () => {
  const { document } = parseHTML(renderDiagnosis(CASES["one that vanishes, mended"], serverDocument));
  expect(document.querySelector("h1")?.textContent).toBe(
    "Its gradient vanishes, units are dead and its running statistics are not those of the batches",
  );
  expect(document.querySelector("#changes h3")?.textContent).toBe("With layer normalization after 19 layers");
  expect(document.querySelector("#changes li")?.textContent).toBe(
    "Gradient before training: the largest is 1.0 times the smallest (as it is: 1.00×10¹⁹ times).",
  );
  const [gradient] = document.querySelectorAll("#depth figure");
  const cells = [...gradient.querySelectorAll("details tr")]
    .slice(0, 2)
    .map((row) => [...row.children].map(({ textContent }) => textContent));
  expect(cells).toEqual([
    ["layer", "as it is", "layer normalization", "batch renormalization"],
    ["1 layer1", "1.00×10⁻⁹", "1.00", "1.00"],
  ]);
});
