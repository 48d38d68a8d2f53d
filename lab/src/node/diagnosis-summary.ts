/** A diagnosis on the terminal: what was measured on, each layer, what was found, and what a normalization changed. */

import { thinned } from "@evenkeel/report/axes";
import { count, formatNumber, printable, quote, wrap } from "@evenkeel/report/format";
import { chanceText, type Diagnosis, headline, trainingText } from "../ailments.js";
import type { Course, Probe } from "../diagnosis.js";
import { nameOf } from "../norms.js";
import type { colorsOf } from "./colors.js";

type Colors = ReturnType<typeof colorsOf>;

/** Layers of the table; the JSON and the page have all. */
const MOST_ROWS = 40;
/** Characters of a layer's name. */
const MOST_NAME = 24;

const TITLE = "evenkeel diagnose";

/** Lines of at most `width` characters. */
export function diagnosisText(diagnosis: Diagnosis, width: number, colors: Colors): string {
  const { ailments, courses, about, changes, proposed } = diagnosis;
  const [asItIs] = courses;
  const paragraph = (text: string, indent = "  ") => wrap(printable(text), width, indent);
  const head = [
    paragraph(`${TITLE}  ${quote(diagnosis.model).slice(1, -1)}`).replace(TITLE, colors.bold),
    ...about.map((text) => paragraph(text)),
    paragraph(trainingText(diagnosis)),
  ];
  const found = ailments.map(({ text, mendable }) => {
    const lines = paragraph(`${mendable ? "✗" : "!"} ${text}.`);
    return mendable ? colors.red(lines) : colors.yellow(lines);
  });
  const changed = changes.map(({ norm, texts }) =>
    [
      colors.bold(paragraph(`With ${nameOf(norm)} after ${count(placedOf(courses, norm), "layer")}`)),
      ...texts.map((text) => `  ${wrap(printable(text), width - 2, "    ")}`),
    ].join("\n"),
  );
  const verdict = paragraph(`${headline(diagnosis)}.`);
  return [
    head.join("\n"),
    layersText(asItIs, width, colors),
    gapsText(asItIs.probes, width),
    found.join("\n"),
    changed.join("\n"),
    ...(changes.length > 0 ? [paragraph(chanceText)] : []),
    ...(changes.length === 0 && proposed.length > 0
      ? [
          paragraph(
            `Proposed: ${proposed.map(nameOf).join(" or ")} between its layers; --try shows what each changes`,
          ),
        ]
      : []),
    ailments.length > 0 ? colors.bold(verdict) : colors.green(verdict),
  ]
    .filter((part) => part !== "")
    .join("\n\n")
    .concat("\n");
}

const placedOf = (courses: readonly Course[], norm: string): number =>
  courses.find((course) => course.norm === norm)?.placed.length ?? 0;

/** Columns that a narrow terminal has no room for, the first of these first. */
const DISPENSABLE = ["after", "mean", "spread"];

/** A line for each layer. */
function layersText({ layers, probes }: Course, width: number, colors: Colors): string {
  const [first, last] = [probes[0], probes[probes.length - 1]];
  const after = first === last ? "" : `after ${last.step}`;
  const rows = thinned([...layers.keys()], MOST_ROWS).map((index) => {
    const { gradientNorm, mean, spread, dead } = first.layers[index];
    return [
      String(index + 1),
      shortName(layers[index].name, Math.min(MOST_NAME, Math.floor(width / 3))),
      layers[index].frozen ? "frozen" : formatNumber(gradientNorm),
      ...(after === "" ? [] : [layers[index].frozen ? "" : formatNumber(last.layers[index].gradientNorm)]),
      formatNumber(mean),
      formatNumber(spread),
      dead === null ? "–" : `${Math.round(100 * dead)}\u00a0%`,
    ];
  });
  const heads = ["", "layer", "gradient", ...(after === "" ? [] : [after]), "mean", "spread", "dead"];
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column].length)));
  let shown = [...heads.keys()];
  for (const name of DISPENSABLE) {
    const needed = shown.reduce((sum, column) => sum + widths[column] + 2, -2);
    if (needed > width) shown = shown.filter((column) => !heads[column].startsWith(name));
  }
  const line = (cells: string[]) =>
    shown
      .map((column) =>
        column === 1 ? cells[column].padEnd(widths[column]) : cells[column].padStart(widths[column]),
      )
      .join("  ")
      .trimEnd();
  const left = layers.length - rows.length;
  return [
    colors.dim(line(heads)),
    ...rows.map(line),
    ...(left > 0 ? [wrap(`${count(left, "layer")} between them: --json and --html have all`, width)] : []),
  ].join("\n");
}

const shortName = (name: string, most: number): string => {
  const text = printable(name);
  return text.length <= most ? text : `…${text.slice(1 - most)}`;
};

function gapsText(probes: readonly Probe[], width: number): string {
  const last = probes[probes.length - 1];
  if (last.gaps.length === 0) return "";
  const most = last.gaps.toSorted((a, b) => (b.mean.median ?? 1e9) - (a.mean.median ?? 1e9))[0];
  return wrap(
    printable(
      `${count(last.gaps.length, "normalization")} with running statistics; the farthest from a batch’s, ${quote(most.layer)}: means by ${formatNumber(most.mean.median)} standard deviations, variances ${formatNumber(most.variance.median)} times (medians of channels, ${last.step === 0 ? "before training" : `after ${count(last.step, "step")}`})`,
    ),
    width,
    "  ",
  );
}
