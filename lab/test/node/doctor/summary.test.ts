import pc from "picocolors";
import { expect, test } from "vitest";
import { headline, remainsIll } from "../../../src/doctor/examination.js";
import { doctorText } from "../../../src/node/doctor/summary.js";
import { examinationOf, mendedExamination, normOf } from "../../support/synthetic-examination.js";

const plain = pc.createColors(false);
const lines = (text: string) => text.trimEnd().split("\n");

test("equal norms are one line, what they meet is drawn by depth, and the verdict comes last", () => {
  const text = doctorText(examinationOf(24), 80, plain);
  expect(lines(text)).toEqual(
    expect.arrayContaining([
      "24 × layer normalization over 384, written out (9 nodes each)",
      "12 × gelu, written out",
      "! it is written out in 9 nodes, and opset 17 has LayerNormalization · all 24",
      "  largest mean    0.1 in all",
    ]),
  );
  expect(text).toMatch(/\n {2}least spread {4}0\.2 ▁\S+█ 2\.5\n/);
  expect(lines(text).at(-1)).toBe("24 normalizations, none ill; 24 worth a look");
});

test("few norms are a row each", () => {
  const text = doctorText(examinationOf(3), 80, plain);
  expect(text).toMatch(/\n3 \S.* 6\.8 +0\.1 +0\.4 +3 +1e35\n/);
});

test("what was mended, how it was checked, what was taken back and why", () => {
  const examination = mendedExamination(24);
  const text = doctorText(examination, 80, plain).replace(/\n +/g, " ");
  expect(text).toContain(
    "Mended 23 × LayerNormalization (opset 17) in place of 9 nodes; from float64 not finite before, 2.10×10⁻⁴ after",
  );
  expect(text).toContain(
    "Taken back 1 × LayerNormalization (opset 17) in place of 9 nodes; it is farther from float64 than before",
  );
  expect(text).toContain(
    "! One huge value   0.300 of at most 0.00195; nearer to float64; 384 values finite that were not",
  );
  expect(text).toContain(
    "8.42 ms before, 6.31 ms after: 1.33 times as fast (the quickest of 77 runs, in turns)",
  );
  expect(headline(examination)).toBe(
    "16 of 24 normalizations were ill; 23 mended; 1 taken back; outputs nearer to float64; 384 values finite that were not; 1.33 times as fast",
  );
  expect(remainsIll(examination)).toBe(false);
});

test.each([40, 60, 80])("no line is wider than %i columns, whatever the file says", (width) => {
  const long = "x".repeat(300);
  const examinations = [
    examinationOf(24),
    mendedExamination(5),
    examinationOf(2, {
      file: `/${long}.onnx`,
      producer: long,
      norms: [normOf(0, { name: long }), normOf(1)],
    }),
  ];
  for (const examination of examinations) {
    for (const line of lines(doctorText(examination, width, plain)))
      expect(line.length).toBeLessThanOrEqual(width);
  }
});

test("texts of the file do not steer the terminal", () => {
  const steering = "a\u001b[31m\u202eb";
  const text = doctorText(
    examinationOf(2, {
      file: steering,
      producer: steering,
      norms: [normOf(0, { name: steering }), normOf(1)],
      notRun: steering,
      mends: [
        {
          title: steering,
          graph: "",
          replaces: 1,
          state: "mended",
          before: null,
          after: null,
          narrowly: null,
        },
      ],
    }),
    80,
    plain,
  );
  expect(["\u001b", "\u202e"].some((steering) => text.includes(steering))).toBe(false);
});

test.each([
  [{ norms: [], ills: [] }, "No normalization found"],
  [{ norms: [normOf(0)], ills: [] }, "1 normalization, and it is well"],
  [
    {
      norms: [normOf(0)],
      ills: [
        { kind: "a", severity: "wrong numbers" as const, sick: true, texts: ["b"], norms: [1], mended: null },
      ],
    },
    "The only normalization is ill",
  ],
  [
    {
      norms: [normOf(0), normOf(1)],
      ills: [
        {
          kind: "a",
          severity: "wrong numbers" as const,
          sick: true,
          texts: ["b", "b"],
          norms: [1, 2],
          mended: false,
        },
      ],
    },
    "All 2 normalizations are ill",
  ],
  [
    {
      mends: [
        {
          title: "a",
          graph: "",
          replaces: 1,
          state: "mended" as const,
          before: null,
          after: null,
          narrowly: null,
        },
      ],
    },
    "24 normalizations, none ill; 24 worth a look; 1 mended; unchecked",
  ],
])("the headline of %o", (more, text) => {
  expect(headline(examinationOf(24, more))).toBe(text);
});
