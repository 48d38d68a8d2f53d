/** The page of the doctor: right for every examination there can be, escaped, self-contained, and equal to the data. */
import { serverDocument } from "@evenkeel/report/server-document";
import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import { type Examination, headline } from "../../src/doctor/examination.js";
import { renderExamination } from "../../src/report/doctor.js";
import { examinationOf, mendedExamination, normOf } from "../support/synthetic-examination.js";

const nothing = {
  min: null,
  max: null,
  mean: null,
  leastSpread: null,
  spread: null,
  mostSpread: null,
  headroom: null,
  notFinite: 64,
};

const CASES: Record<string, Examination> = {
  "24 written-out layer norms": examinationOf(24),
  "mended in float16": mendedExamination(24),
  "201 norms": examinationOf(201),
  "one norm": examinationOf(1),
  "no norm": examinationOf(0, { ills: [], activations: {} }),
  "nothing finite": examinationOf(2, {
    norms: [normOf(0, { measured: nothing }), normOf(1, { measured: nothing })],
  }),
  "not run": examinationOf(3, {
    norms: [0, 1, 2].map((i) => normOf(i, { measured: null, dtype: null, statisticsType: null })),
    runtime: null,
    inputs: [],
    notRun: "ONNX Runtime is not installed",
    producer: null,
  }),
  "kinds in turns": examinationOf(6, {
    norms: Array.from({ length: 6 }, (_, i) => normOf(i, i % 2 ? { norm: "groupNorm", groups: 8 } : {})),
  }),
};

describe.each(Object.entries(CASES))("%s", (_, examination) => {
  const markup = renderExamination(examination, serverDocument);
  const { document } = parseHTML(markup);

  test("shows no NaN, null or undefined, and asks nothing of the network", () => {
    expect(markup).not.toMatch(/NaN|undefined|Infinity|\bnull\b|\[object/);
    expect(markup).not.toMatch(/\b(?:src|href|srcset|action)\s*=/i);
    expect(markup).not.toMatch(/@import|url\((?!#)|<script|<link|<iframe|https?:/i);
  });

  test("has the headline, and a row for each norm, mend and output", () => {
    const { norms, check } = examination;
    expect(document.querySelector("h1")?.textContent).toBe(headline(examination));
    const names = [...document.querySelectorAll("#all tbody th")].map(({ textContent }) => textContent);
    expect(names).toEqual(norms.slice(0, 200).map(({ name }, i) => `${i + 1}${name}`));
    const outputs = check?.samples.flatMap((sample) => sample.outputs) ?? [];
    expect(document.querySelectorAll("#check tbody tr")).toHaveLength(outputs.length);
    for (const row of document.querySelectorAll("tbody tr")) {
      expect(row.children.length).toBe(row.closest("table")?.querySelectorAll("thead th").length);
    }
  });

  test("a figure for each thing that was measured, with its numbers as a table", () => {
    const measured = examination.norms.filter(({ measured }) => measured?.spread != null);
    const figures = [...document.querySelectorAll("#depth figure")];
    expect(figures).toHaveLength(measured.length > 0 && examination.norms.length > 1 ? 3 : 0);
    for (const figure of figures) {
      expect(figure.querySelectorAll("details tbody tr")).toHaveLength(measured.length);
      expect(figure.querySelector("svg")?.getAttribute("aria-label")).toMatch(/\w.*\.$/);
    }
  });
});

test("what is ill comes first, what was mended says so, and what was taken back says why", () => {
  const { document } = parseHTML(renderExamination(mendedExamination(24), serverDocument));
  const items = [...document.querySelectorAll(".findings li")].map(({ textContent }) => textContent);
  expect(items[0]).toBe(
    "Mended: squares of its values up to 309 reach 98000, and float16 ends at 65504 number 9, likewise numbers 10–24",
  );
  const states = [...document.querySelectorAll("#mends tbody tr td:last-child")].map(
    ({ textContent }) => textContent,
  );
  expect(states).toEqual(["mended", "taken backit is farther from float64 than before, and moves an output"]);
});

test("texts of the file are text", () => {
  const tag = "<img onerror=alert(1)>&\"'";
  const markup = renderExamination(
    examinationOf(2, {
      file: tag,
      producer: tag,
      norms: [normOf(0, { name: tag, dtype: tag }), normOf(1)],
      activations: { [tag]: 1 },
      ills: [{ kind: tag, severity: "odd", sick: true, texts: [tag], norms: [1], mended: null }],
      notRun: tag,
      inputs: [{ name: tag, dtype: tag, shape: [1] }],
      mends: [
        {
          title: tag,
          graph: tag,
          replaces: 1,
          state: "taken back",
          why: tag,
          before: null,
          after: null,
          narrowly: null,
        },
      ],
    }),
    serverDocument,
  );
  expect(markup).not.toMatch(/<img/i);
});
