/** The page of a diagnosis: measures by depth and over the steps, each with its table, in one HTML file without a script. */
import { linearAxis, magnitudeAxis, signedAxis, thinned } from "@evenkeel/report/axes";
import { capitalize, count, duration, formatNumber, printable } from "@evenkeel/report/format";
import { escapeHtml, figure, tableTwin, wholePage } from "@evenkeel/report/page";
import { isNumber } from "@evenkeel/report/statistics";
import {
  chanceText,
  courseName,
  type Diagnosis,
  headline,
  thresholdTexts,
  trainingText,
} from "../ailments.js";
import type { Course, LayerState, Probe } from "../diagnosis.js";
import { nameOf } from "../norms.js";
import { countAxis, type LineFigure, lineFigure, type Series, valuesOf } from "./line-figure.js";
import { looksOf, looksStyle, switches } from "./series.js";

/** The network without a change, among the normalizations of the figures. */
const AS_IT_IS = "as-it-is";
/** Rows of a table. */
const MOST_ROWS = 60;
/** Layers up to which each has its dot. */
const MOST_DOTS = 40;

const idOf = ({ norm }: Course): string => norm ?? AS_IT_IS;

const STYLE = `
#layers td,#layers th{overflow-wrap:anywhere}
.deck code{white-space:nowrap}
.changes h3{margin-top:1.2rem}
`;

/** The whole page; its figures are drawn in `document`. */
export function renderDiagnosis(diagnosis: Diagnosis, document: Document): string {
  const { courses, ailments, about, proposed, changes } = diagnosis;
  const norms = courses.map(idOf);
  const looks = looksOf(norms);
  const title = headline(diagnosis);
  const found = ailments.map(({ text }) => `<li>${escapeHtml(text)}.</li>`);
  const advice =
    changes.length === 0 && proposed.length > 0
      ? `<p class="deck">Proposed: ${escapeHtml(proposed.map(nameOf).join(" or "))} between its layers. <code>--try</code> shows what each changes.</p>`
      : "";
  const body = `<div class="page">
<header>
<p class="eyebrow">Evenkeel · diagnosis of a network</p>
<h1>${escapeHtml(title)}</h1>
<p class="deck">${sentence(`${shortName(diagnosis.model)}: ${[...about, trainingText(diagnosis)].map(capitalize).join(". ")}.`)}</p>
${found.length > 0 ? `<ul class="findings">${found.join("")}</ul>` : ""}
${advice}
</header>
<main>
${changes.length > 0 ? changesSection(diagnosis) : ""}
${courses.length > 1 ? switches(norms, looks) : ""}
${depthSection(diagnosis, document)}
${statisticsSection(diagnosis, document)}
${stepsSection(diagnosis, document)}
${layersTable(courses[0])}
${settings(diagnosis)}
</main>
<footer>Every number: evenkeel diagnose ${escapeHtml(shortName(diagnosis.model))} --json</footer>
</div>`;
  return wholePage(title, looksStyle(looks) + STYLE, body);
}

/** As HTML, in which no option is broken at its hyphens. */
const sentence = (text: string): string =>
  escapeHtml(text).replace(/(?<!\S)--[a-z-]+/g, (option) => `<code>${option}</code>`);

/** The name of a model's file, or of its folder, with that of the folder around it: both are often called as others are. */
function shortName(path: string): string {
  const parts = path.split(/[/\\]/).filter((part) => part !== "");
  const last = parts.at(-1) ?? "";
  return parts.slice(/^model\.\w+$/.test(last) || !last.includes(".") ? -2 : -1).join("/");
}

// ---- what was tried ----

function changesSection({ changes, courses }: Diagnosis): string {
  const items = changes.map(({ norm, texts }) => {
    const placed = courses.find((course) => course.norm === norm)?.placed.length ?? 0;
    return `<h3>${escapeHtml(capitalize(`with ${nameOf(norm)}`))} after ${count(placed, "layer")}</h3><ul class="findings">${texts.map((text) => `<li>${escapeHtml(capitalize(text))}.</li>`).join("")}</ul>`;
  });
  return `<section id="changes" class="changes"><h2>What a normalization changed</h2><p class="deck">The same network with a normalization between each layer and its activation; recurrent layers have it after them. ${chanceText}</p>${items.join("")}</section>`;
}

// ---- by depth ----

/** A measure of each layer. */
interface Measure {
  title: string;
  of(state: LayerState): number | null;
  axis(values: number[]): LineFigure["y"];
  format?(value: number | null): string;
}

const percentage = (value: number | null): string =>
  value === null || !Number.isFinite(value) ? "–" : `${Math.round(100 * value)}\u00a0%`;

const MEASURES: readonly Measure[] = [
  {
    title: "Gradient norm",
    of: ({ gradientNorm }) => gradientNorm,
    axis: (values) => magnitudeAxis(values, true),
  },
  { title: "Activation spread", of: ({ spread }) => spread, axis: (values) => magnitudeAxis(values) },
  { title: "Activation mean", of: ({ mean }) => mean, axis: signedAxis },
  {
    title: "Dead units",
    of: ({ dead }) => dead,
    axis: () => ({ ...linearAxis(0, 1), format: percentage }),
    format: percentage,
  },
];

function depthSection({ courses, steps }: Diagnosis, document: Document): string {
  const how = [
    "From the first layer that has weights of two axes or more to the last, in the order in which the network runs them; branches follow each other.",
    "The gradient is that of a layer’s weights: where it falls towards the first layer it vanishes, where it grows it explodes. A straight slope on the log scale is the same factor at every layer.",
    "Mean and spread are those of what leaves the layer’s activation, over all examples and units. A unit is dead where it gives 0 for every example, or is saturated for nine in ten.",
  ];
  const figures = MEASURES.flatMap((measure) => [
    depthFigure(courses, measure, "before training", (probes) => probes[0], document),
    ...(steps > 0
      ? [depthFigure(courses, measure, lastLabel(courses), (probes) => probes[probes.length - 1], document)]
      : []),
  ]);
  return section("depth", "By depth", how, figures);
}

function lastLabel(courses: readonly Course[]): string {
  const steps = [...new Set(courses.map(({ probes }) => probes.at(-1)?.step ?? 0))];
  return steps.length === 1 ? `after ${count(steps[0], "step")}` : "after the last step";
}

function depthFigure(
  courses: readonly Course[],
  { title, of, axis, format }: Measure,
  when: string,
  probeOf: (probes: Probe[]) => Probe,
  document: Document,
): string {
  const [{ layers }] = courses;
  const series = courses.map((course) =>
    seriesOf(
      course,
      probeOf(course.probes).layers.map((state, index) => ({ x: index + 1, y: of(state) })),
    ),
  );
  return drawn(
    {
      title,
      series,
      x: countAxis(1, layers.length),
      xLabel: "layer",
      dots: layers.length <= MOST_DOTS,
      y: axis(valuesOf(series)),
      ...(format && { format }),
    },
    when,
    layers.map(({ name }, index) => `${index + 1} ${printable(name)}`),
    document,
  );
}

const seriesOf = (course: Course, points: { x: number; y: number | null }[]): Series => ({
  norm: idOf(course),
  points: points.map(({ x, y }) => {
    const value = y ?? Number.NaN;
    return { x, low: value, median: value, high: value };
  }),
  seeds: [],
  ends: [],
});

/** A figure whose table has a name for each row. */
function drawn(line: LineFigure, qualifier: string, names: readonly string[], document: Document): string {
  const { svg, notes } = lineFigure(line, document);
  const format = line.format ?? formatNumber;
  const rows = names.map((name, row) => [
    escapeHtml(name),
    ...line.series.map(({ points }) =>
      format(points[row] && isNumber(points[row].median) ? points[row].median : null),
    ),
  ]);
  const heads = [
    line.xLabel,
    ...line.series.map(({ norm }) => (norm === AS_IT_IS ? "as it is" : nameOf(norm))),
  ];
  return figure(line.title, qualifier, {
    svg: svg.replace(". Median at the right end: ", ". At the right end: "),
    notes,
    twin: tableTwin(`${line.title}, ${qualifier}`, heads.map(escapeHtml), thinned(rows, MOST_ROWS)),
  });
}

const section = (id: string, title: string, how: readonly string[], figures: readonly string[]): string =>
  `<section id="${id}" class="figures"><h2>${title}</h2><div class="beside"><div class="how">${how.map((text) => `<p>${text}</p>`).join("")}</div><div class="pair">${figures.join("")}</div></div></section>`;

// ---- statistics ----

function statisticsSection({ courses, steps }: Diagnosis, document: Document): string {
  const having = courses.filter(({ probes }) => probes[0].gaps.length > 0);
  if (having.length === 0) return "";
  const longest = having.toSorted((a, b) => b.probes[0].gaps.length - a.probes[0].gaps.length)[0];
  const names = longest.probes[0].gaps.map(({ layer }, index) => `${index + 1} ${printable(layer)}`);
  const gapFigure = (
    what: "mean" | "variance",
    title: string,
    probeOf: (probes: Probe[]) => Probe,
    when: string,
  ) => {
    const series = having.map((course) =>
      seriesOf(
        course,
        probeOf(course.probes).gaps.map((gap, index) => ({ x: index + 1, y: gap[what].median })),
      ),
    );
    return drawn(
      {
        title,
        series,
        x: countAxis(1, names.length),
        xLabel: "normalization",
        dots: names.length <= MOST_DOTS,
        y: magnitudeAxis(valuesOf(series)),
      },
      when,
      names,
      document,
    );
  };
  const how = [
    "How far the statistics of what was measured on are from the running ones, which evaluation uses: of the means in standard deviations, of the variances the larger over the smaller; the median of a normalization’s channels.",
    "A network that has not been trained has running statistics of 0 and 1, which a few steps do not yet bring to those of its batches.",
  ];
  const figures = (["mean", "variance"] as const).flatMap((what) => {
    const title = what === "mean" ? "Gap of the means" : "Ratio of the variances";
    return [
      gapFigure(what, title, (probes) => probes[0], "before training"),
      ...(steps > 0
        ? [gapFigure(what, title, (probes) => probes[probes.length - 1], lastLabel(having))]
        : []),
    ];
  });
  return section("statistics", "Running statistics", how, figures);
}

// ---- over the steps ----

function stepsSection({ courses, steps }: Diagnosis, document: Document): string {
  if (steps === 0) return "";
  const over = (
    title: string,
    of: (probe: Probe) => number | null,
    axis: LineFigure["y"] | undefined,
    format?: Measure["format"],
  ) => {
    const longest = courses.toSorted((a, b) => b.probes.length - a.probes.length)[0].probes;
    const series = courses.map((course) =>
      seriesOf(
        course,
        course.probes.map((probe) => ({ x: probe.step, y: of(probe) })),
      ),
    );
    return drawn(
      {
        title,
        series,
        x: countAxis(0, steps),
        xLabel: "step",
        dots: true,
        y: axis ?? magnitudeAxis(valuesOf(series)),
        ...(format && { format }),
      },
      "by step",
      longest.map(({ step }) => String(step)),
      document,
    );
  };
  const ratioOf = ({ layers }: Probe): number | null => {
    const norms = layers.flatMap(({ gradientNorm }) =>
      isNumber(gradientNorm) && gradientNorm > 0 ? gradientNorm : [],
    );
    return norms.length < 2 ? null : Math.max(...norms) / Math.min(...norms);
  };
  const deadOf = ({ layers }: Probe) => Math.max(0, ...layers.slice(0, -1).map(({ dead }) => dead ?? 0));
  const figures = [
    over("Loss in training mode", ({ loss }) => loss, undefined),
    over("Loss in evaluation mode", ({ evaluationLoss }) => evaluationLoss, undefined),
    over("Largest over smallest gradient", ratioOf, undefined),
    over("Most dead units of a layer", deadOf, { ...linearAxis(0, 1), format: percentage }, percentage),
  ];
  const how = [
    "Always measured on the same examples, before training and after some of the steps. In training mode normalizations take the statistics of the batch and dropout drops; in evaluation mode the running ones are used, and nothing is dropped.",
    "Largest over smallest gradient compares the norms of all layers: 1 is even.",
  ];
  return section("steps", "Over the first steps", how, figures);
}

// ---- each layer ----

function layersTable({ layers, probes }: Course): string {
  const [first] = probes;
  const rows = layers.map(({ name, type, activation, units, parameters, frozen }, index) => {
    const { gradientNorm, weightNorm, mean, spread, dead } = first.layers[index];
    const cells: [string, string, string?][] = [
      ["Units", units.toLocaleString("en-US"), activation === "linear" ? undefined : activation],
      ["Parameters", parameters.toLocaleString("en-US")],
      [
        "Gradient norm",
        frozen ? "frozen" : formatNumber(gradientNorm),
        `weights ${formatNumber(weightNorm)}`,
      ],
      ["Activation", formatNumber(mean), `spread ${formatNumber(spread)}`],
      ["Dead", percentage(dead)],
    ];
    return `<tr role="row"><th role="rowheader" scope="row"><small>${index + 1}</small> ${escapeHtml(printable(name))}<small> ${escapeHtml(type)}</small></th>${cells.map(([head, value, note]) => `<td role="cell" data-head="${head}"><span class="value">${escapeHtml(value)}</span>${note === undefined ? "" : `<small>${escapeHtml(note)}</small>`}</td>`).join("")}</tr>`;
  });
  const heads = ["Layer", "Units", "Parameters", "Gradient norm", "Activation mean", "Dead units"];
  return `<section id="layers"><h2>Each layer, before training</h2><table role="table">
<thead role="rowgroup"><tr role="row">${heads.map((head) => `<th role="columnheader" scope="col">${head}</th>`).join("")}</tr></thead>
<tbody role="rowgroup">${rows.join("\n")}</tbody></table></section>`;
}

function settings(diagnosis: Diagnosis): string {
  const { model, data, courses, seconds, evenkeel, seed } = diagnosis;
  const rows: [string, string][] = [
    ["Network", model],
    ["Data", data ?? "random inputs and targets"],
    ["Trained", trainingText(diagnosis)],
    ["Seed", `${seed}, of the order of the batches`],
    ...courses.map((course): [string, string] => [
      capitalize(courseName(course)),
      count(course.parameters, "parameter"),
    ]),
    ["Made", `with Evenkeel ${evenkeel} in ${duration(seconds)}`],
  ];
  const list = rows
    .map(([term, value]) => `<div><dt>${escapeHtml(term)}</dt><dd>${escapeHtml(value)}</dd></div>`)
    .join("\n");
  return `<section id="settings"><h2>From where on something is told</h2><ul class="findings">${thresholdTexts.map((text) => `<li>${escapeHtml(text)}</li>`).join("")}</ul></section><section><h2>How it was made</h2><dl>${list}</dl></section>`;
}
