/** The results of a run: their shape, tables for the terminal, and sections of the README and of docs/speed.md. */

import { count, formatNumber, wrap } from "@evenkeel/report/format";
import Table from "cli-table3";
import { evaluate, microsecondsOver, timesFaster } from "./bars.mjs";
import { additionsOf, formulas, hasReference } from "./cases.mjs";

/**
 * @typedef {{ median: number, p20: number, p80: number, error: number, turns: number }} ResultTime ms of one call;
 *   memcpy's scaled to the bytes of the pass; `error` the worst against float64; `turns` their number
 * @typedef {{ skipped?: string, notOffered?: string, invalid?: string, failed?: string, missing?: string }} ResultAbsent
 * @typedef {object} ResultRow
 * @property {string} name
 * @property {import("./cases.mjs").Norm} norm
 * @property {boolean} residual
 * @property {boolean} [masked]
 * @property {import("./cases.mjs").Storage} [storage]
 * @property {number[]} shape
 * @property {import("./cases.mjs").Layout} [layout]
 * @property {import("./cases.mjs").Pass} pass
 * @property {number} bytes that must move
 * @property {Record<string, ResultTime | ResultAbsent>} results
 * @typedef {object} Machine
 * @property {string} processor
 * @property {number} cores
 * @property {number} cacheBytes second level, per core
 * @property {string} system
 * @property {string} node
 * @property {boolean} relaxedSimd the engine has it
 * @typedef {object} Results
 * @property {string} date
 * @property {string} evenkeel version
 * @property {string} command
 * @property {number} seconds
 * @property {Machine} machine
 * @property {Record<string, { label: string, threads: number, how: string, about?: string, missing?: string }>} contestants
 * @property {number | null} packageBytes
 * @property {number | null} [formulaBytes]
 * @property {number | null} openMs
 * @property {ResultRow[]} cases
 */

const WIDTH = 80;

// ---- words ----

/** @type {Record<import("./cases.mjs").Norm, string>} Formulas are called by their names. */
const NORMS = {
  layer: "LayerNorm",
  rms: "RMSNorm",
  batch: "BatchNorm",
  "batch-eval": "BatchNorm in evaluation",
  group: "GroupNorm",
  instance: "InstanceNorm",
  transformer: "transformer",
  model: "model",
};

/** @type {Record<import("./cases.mjs").Pass, string>} */
const PASSES = {
  forward: "forward",
  backward: "backward",
  both: "forward + backward",
  evaluate: "evaluation through a layer",
  step: "training step",
  predict: "prediction",
};

/** "LayerNorm + residual". @param {Pick<ResultRow, "norm" | "residual" | "masked" | "storage" | "shape">} row */
export const normText = (row) =>
  [
    NORMS[row.norm] ?? row.norm,
    ...additionsOf(row).map((addition) => (addition === "storage" ? row.storage : addition)),
  ].join(" + ");

/** "LayerNorm + residual forward". @param {Pick<ResultRow, "norm" | "residual" | "masked" | "storage" | "shape" | "pass">} row */
export const titleOf = (row) => `${normText(row)} ${PASSES[row.pass]}`;

/** "512×768", "8×14×14×256 last". @param {Pick<ResultRow, "shape" | "layout">} row */
export const shapeText = ({ shape, layout }) =>
  shape.join("×") + (layout ? ` ${layout === "channelsLast" ? "last" : "first"}` : "");

/** "0.852 µs", "1.63 ms", "2.10 s". @param {number} ms */
export function timeText(ms) {
  if (ms < 0.9995) return `${formatNumber(ms * 1000)} µs`;
  return ms < 999.5 ? `${formatNumber(ms)} ms` : `${formatNumber(ms / 1000)} s`;
}

/** "1.52×", or "–". @param {number | null} ratio */
export const ratioText = (ratio) => (ratio === null ? "–" : `${formatNumber(ratio)}×`);

/** @param {ResultTime | ResultAbsent | undefined} result @returns {result is ResultTime} */
export const isTimed = (result) => result !== undefined && "median" in result;

/** "not offered: ONNX supports channels first only". @param {ResultAbsent} result */
export function reasonText(result) {
  const [[kind, why]] = Object.entries(result);
  return `${kind === "notOffered" ? "not offered" : kind}: ${why}`;
}

/** Cases of one norm and pass. @param {readonly ResultRow[]} cases */
export function groupsOf(cases) {
  /** @type {Map<string, ResultRow[]>} */
  const groups = new Map();
  for (const row of cases) {
    const rows = groups.get(titleOf(row));
    if (rows) rows.push(row);
    else groups.set(titleOf(row), [row]);
  }
  return [...groups.values()];
}

/** What was not timed, and why, one sentence each. @param {Results} results */
export function absencesOf({ contestants, cases }) {
  const sentences = [];
  for (const [id, { label, missing }] of Object.entries(contestants)) {
    if (missing) {
      sentences.push(`${label} is missing: ${missing}`);
      continue;
    }
    /** @type {Map<string, string[]>} */
    const reasons = new Map();
    for (const { name, results } of cases) {
      const result = results[id];
      if (result === undefined || isTimed(result)) continue;
      reasons.set(reasonText(result), [...(reasons.get(reasonText(result)) ?? []), name]);
    }
    for (const [why, names] of reasons) {
      const which = names.length > 3 ? `${names[0]} and ${names.length - 1} others` : names.join("; ");
      sentences.push(`${label}, ${which}: ${why}`);
    }
  }
  return sentences;
}

/** "AMD EPYC, 2 cores, Linux 6.1; Node 20.20.2 without relaxed SIMD". @param {Results} results */
export function machineText({ machine: { processor, cores, system, node, relaxedSimd } }) {
  return `${processor}, ${count(cores, "core")}, ${system}; Node ${node} ${relaxedSimd ? "with" : "without"} relaxed SIMD`;
}

/** Whether it is one call of the operation, rather than of a formula, a layer or a network. @param {ResultRow} row */
export const isOperation = ({ norm }) => hasReference({ norm }) && !formulas[norm];

// ---- the terminal ----

/** @typedef {{ head: string, cell: (row: ResultRow) => string }} Column */

/** Everything, within 80 columns. @param {Results} results */
export function terminal(results) {
  const { cases } = results;
  const parts = groupsOf(cases.filter(isOperation)).map(normTables);
  for (const shape of new Set(cases.filter(isFormula).map(shapeText))) {
    const rows = cases.filter((row) => isFormula(row) && shapeText(row) === shape);
    parts.push(`Forward + backward by apply, ${shape}, 1 thread\n${columnsTable(normText, FORMULA, rows)}`);
  }
  const calls = cases.filter(({ pass }) => pass === "evaluate");
  if (calls.length > 0)
    parts.push(
      `Evaluation through a layer\n${columnsTable((row) => `${normText(row)} ${shapeText(row)}`, LAYER, calls)}`,
    );
  for (const row of cases) if (!hasReference(row)) parts.push(networkTable(row, results));
  const absences = absencesOf(results);
  if (absences.length > 0) parts.push(absences.map((line) => wrap(line, WIDTH, "    ")).join("\n"));
  const bars = evaluate(results).filter(({ reached }) => reached !== null);
  if (bars.length > 0)
    parts.push(
      `Targets: the case furthest from each, and how many reach it\n${bars.map(barLine).join("\n")}`,
    );
  return `${parts.join("\n\n")}\n`;
}

/** @param {ResultRow} row */
export const isFormula = ({ norm, pass }) => pass === "both" && Object.hasOwn(formulas, norm);

/** @param {string} head @param {string} id @returns {Column} */
const timeOf = (head, id) => ({ head, cell: ({ results }) => cell(results[id]) });
/** @param {string} head @param {string} ours @param {string} theirs @returns {Column} */
const faster = (head, ours, theirs) => ({ head, cell: (row) => ratioText(timesFaster(row, ours, theirs)) });
/** As a multiple of their time. @param {string} head @param {string} ours @param {string} theirs */
const slower = (head, ours, theirs) => faster(head, theirs, ours);

/** @type {Column[]} */
const ONE_THREAD = [
  timeOf("time", "evenkeel-1"),
  { head: "GB/s", cell: ({ bytes, results: { "evenkeel-1": one } }) => speedText(bytes, one) },
  slower("÷ copy\nloop", "evenkeel-1", "wasm-copy"),
  slower("÷\nmemcpy", "evenkeel-1", "memcpy"),
  faster("vs\nPyTorch", "evenkeel-1", "pytorch-1"),
  faster("vs\ncompiled", "evenkeel-1", "pytorch-compiled-1"),
  faster("vs\nfloat32", "evenkeel-1", "evenkeel-plain-1"),
];

/** @type {Column[]} */
const TWO_THREADS = [
  timeOf("time", "evenkeel-2"),
  faster("vs one\nthread", "evenkeel-2", "evenkeel-1"),
  slower("÷ un-\nmasked", "evenkeel-2", "evenkeel-plain-2"),
  faster("vs\nPyTorch", "evenkeel-2", "pytorch-2"),
  faster("vs\ncompiled", "evenkeel-2", "pytorch-compiled-2"),
];

/** @param {number} bytes @param {ResultTime | ResultAbsent | undefined} result */
const speedText = (bytes, result) => (isTimed(result) ? formatNumber(bytes / result.median / 1e6) : "–");

/** @type {Column[]} */
const FORMULA = [
  timeOf("time", "evenkeel-1"),
  slower("÷ layer\nNorm", "evenkeel-1", "evenkeel-plain-1"),
  faster("vs Py-\nTorch", "evenkeel-1", "pytorch-1"),
  faster("com-\npiled", "evenkeel-1", "pytorch-compiled-1"),
  timeOf("in TF.js", "tfjs-evenkeel"),
  slower("÷ layer\nNorm", "tfjs-evenkeel", "tfjs-plain"),
];

/** @type {Column[]} */
const LAYER = [
  timeOf("time", "evenkeel-1"),
  slower("÷ memcpy", "evenkeel-1", "memcpy"),
  timeOf("in TF.js", "tfjs-evenkeel"),
  {
    head: "over\nbatch norm",
    cell: (row) => microsecondsText(microsecondsOver(row, "tfjs-evenkeel", "tfjs-batch-norm")),
  },
];

/** @param {number | null} value */
const microsecondsText = (value) => (value === null ? "–" : `${value.toFixed(1)} µs`);

/** Rows with the columns that have something for one of them. @param {(row: ResultRow) => string} label @param {Column[]} columns @param {ResultRow[]} rows */
function columnsTable(label, columns, rows) {
  const filled = columns.filter(({ cell }) => rows.some((row) => cell(row) !== "–"));
  return table(
    ["", ...filled.map(({ head }) => head)],
    rows.map((row) => [label(row), ...filled.map(({ cell }) => cell(row))]),
  );
}

/** @param {ResultRow[]} rows of one norm and pass */
function normTables(rows) {
  const title = titleOf(rows[0]);
  const parts = [
    `${title}, 1 thread\n${columnsTable(shapeText, ONE_THREAD, rows)}`,
    `${title}, 2 threads\n${columnsTable(shapeText, TWO_THREADS, rows)}`,
  ];
  const peers = Object.keys(SHORT).filter((id) => rows.some(({ results }) => isTimed(results[id])));
  if (peers.length === 0) return parts.join("\n\n");
  const versus = rows.map((row) => [
    shapeText(row),
    ...peers.map((id) =>
      isTimed(row.results[id]) ? ratioText(timesFaster(row, "evenkeel-1", id)) : cell(row.results[id]),
    ),
  ]);
  const speeds = table(["", ...peers.map((id) => SHORT[id])], versus);
  return [...parts, `${title}, 1 thread: speed-up over\n${speeds}`].join("\n\n");
}

/** @type {Record<string, string>} Heads of narrow columns. */
const SHORT = {
  "onnxruntime-node": "ort\nnode",
  "onnxruntime-web": "ort\nweb",
  "jax-js": "\njax-js",
  "tfjs-layer": "TF.js\nlayer",
  "tfjs-composed": "TF.js\ncomposed",
  "tfjs-evenkeel": "TF.js +\nEvenkeel",
  "numpy-ts": "\nnumpy-ts",
};

/** @param {ResultRow} row @param {Results} results */
function networkTable(row, { contestants }) {
  const lines = Object.entries(row.results).map(([id, result]) => [
    contestants[id].label,
    cell(result),
    ratioText(timesFaster(row, "tfjs-evenkeel", id)),
  ]);
  return `${titleOf(row)}, ${shapeText(row)}\n${table(["", "median", "of Evenkeel's"], lines)}`;
}

/** A time, or one word for why there is none. @param {ResultTime | ResultAbsent | undefined} result */
function cell(result) {
  if (isTimed(result)) return timeText(result.median);
  return result === undefined ? "–" : Object.keys(result)[0].replace("notOffered", "none");
}

/** @param {string[]} head @param {string[][]} rows */
function table(head, rows) {
  const places = ["top", "bottom", "left", "right", "mid"].flatMap((side) => [
    side,
    `${side}-mid`,
    `${side}-left`,
    `${side}-right`,
  ]);
  const made = new Table({
    head,
    colAligns: head.map((_, i) => (i === 0 ? "left" : "right")),
    style: { head: [], border: [], compact: true, "padding-left": 0, "padding-right": 0 },
    chars: { ...Object.fromEntries(places.map((place) => [place, ""])), middle: "  " },
  });
  made.push(...rows);
  return made.toString();
}

/** @param {import("./bars.mjs").Outcome} outcome */
function barLine({ title, bar, reached, at, of, value, worst }) {
  const figures = [
    bar.padStart(10),
    valueText(bar, value).padStart(7),
    (of > 1 ? `${at}/${of}` : "").padStart(6),
  ].join(" ");
  const line = `${reached ? "✓" : "✗"} ${title} `.padEnd(WIDTH - figures.length - 1) + figures;
  return worst === null || reached ? line : `${line}\n    ${worst}`;
}

/** In the unit of its bar. @param {string} bar @param {number | null} value */
export const valueText = (bar, value) =>
  value === null ? "–" : bar.endsWith("µs") ? value.toFixed(1) : formatNumber(value);

/** Each target: what it asks, whether it holds, and what every case measured. @param {Results} results */
export function barText(results) {
  const parts = evaluate(results).map((outcome) => {
    const { title, bar, reached, at, of, measured } = outcome;
    if (reached === null) return `– ${title}, ${bar}: not measured`;
    if (!measured[0].name) return barLine(outcome);
    const unit = bar.endsWith("µs") ? " µs" : "×";
    const cases = measured.map(
      ({ name, value, reached: holds }) => `    ${holds ? "✓" : "✗"} ${name} ${valueText(bar, value)}${unit}`,
    );
    return [`${reached ? "✓" : "✗"} ${title}, ${bar}: ${at} of ${of}`, ...cases].join("\n");
  });
  const { date, command } = results;
  return `${date.slice(0, 16).replace("T", " ")} UTC, ${command}\n${machineText(results)}\n\n${parts.join("\n")}\n`;
}

// ---- the documentation ----

/** @type {string[]} The rows that docs/speed.md quotes; the page has the rest. */
const QUOTED = [
  ...["forward", "backward"].flatMap((pass) =>
    ["32x768", "512x768", "4096x1024", "16384x2048", "100000x32"].map((shape) => `layer ${shape} ${pass}`),
  ),
  "layer 512x768 both",
  "rms 512x768 forward",
  "rms 512x768 backward",
  "rms+residual 512x768 forward",
  "batch 32x56x56x64 channelsLast forward",
  "batch 32x56x56x64 channelsLast backward",
  "group 32x64x56x56 channelsFirst forward",
  "group 32x64x56x56 channelsFirst backward",
  "instance 32x64x56x56 channelsFirst forward",
  "instance 32x64x56x56 channelsFirst backward",
];

/** @type {string[]} The rows of them that the README quotes. */
const HEADLINES = [
  "layer 512x768 forward",
  "layer 512x768 both",
  "batch 32x56x56x64 channelsLast forward",
  "dynamicTanh 512x768 both",
];

/**
 * A column: the speed of the first contestant relative to the second or, where `time` is set, its time in theirs.
 * @typedef {{ ours: string, theirs: string, time?: string }} Comparison
 */

/** @type {Comparison[]} */
const TIMES = [
  { ours: "evenkeel-1", theirs: "memcpy", time: "time ÷ memcpy" },
  { ours: "evenkeel-1", theirs: "wasm-copy", time: "time ÷ copy loop" },
];

/** @type {Comparison[]} */
const COLUMNS = [
  ...TIMES,
  { ours: "evenkeel-1", theirs: "pytorch-1" },
  { ours: "evenkeel-2", theirs: "pytorch-2" },
  { ours: "evenkeel-1", theirs: "pytorch-compiled-1" },
  { ours: "evenkeel-1", theirs: "onnxruntime-node" },
  { ours: "evenkeel-1", theirs: "jax-js" },
  { ours: "evenkeel-1", theirs: "tfjs-layer" },
];

/** Columns of the README, which has less room and a separate section about TensorFlow.js. */
const FEWER = COLUMNS.filter(({ ours, theirs }) => ours === "evenkeel-1" && theirs !== "tfjs-layer");

/** @type {Comparison[]} */
const OF_FORMULAS = [
  { ours: "evenkeel-1", theirs: "evenkeel-plain-1", time: "time ÷ layer norm" },
  { ours: "evenkeel-1", theirs: "wasm-copy", time: "time ÷ copy loop" },
  { ours: "evenkeel-1", theirs: "pytorch-1" },
  { ours: "evenkeel-1", theirs: "pytorch-compiled-1" },
  { ours: "tfjs-evenkeel", theirs: "tfjs-plain", time: "in TensorFlow.js, time ÷ layer norm there" },
];

/** The README's section, without its markers. @param {Results} results */
export function readmeSection(results) {
  return [
    `Speed-up over each library, and run time relative to memcpy of the same bytes; one thread (${provenance(results)}):`,
    "",
    speedTable(results, HEADLINES, FEWER),
  ].join("\n");
}

/** What `install()` does to TensorFlow.js, for the README's section about it. @param {Results} results */
export function tensorflowSection({ cases, contestants }) {
  const rows = [
    ["`layerNormalization`, 512×768", "layer 512x768 forward"],
    ["... forward and backward", "layer 512x768 both"],
    ["a transformer's training step, 16×64×128", "transformer 16x64x128 step"],
  ].flatMap(([title, wanted]) => {
    const row = cases.find(({ name }) => name === wanted);
    const [before, after] = [row?.results["tfjs-layer"], row?.results["tfjs-evenkeel"]];
    return isTimed(before) && isTimed(after)
      ? [`| ${title} | ${timeText(before.median)} | ${timeText(after.median)} |`]
      : [];
  });
  return [
    `On the wasm backend, one thread (${contestants["tfjs-layer"]?.about?.split(",")[0]}; machine, date and method [below](#speed)):`,
    "",
    "| | before | after `install()` |",
    "|---|--:|--:|",
    ...rows,
  ].join("\n");
}

/** The section of docs/speed.md, without its markers. @param {Results} results */
export function speedSection(results) {
  const { cases, contestants } = results;
  const steps = cases.filter((row) => !hasReference(row)).map((row) => networkSentence(row, contestants));
  const shapes = [...new Set(cases.filter(isFormula).map(shapeText))];
  return [
    `Speed-up over each library, and run time relative to memcpy of the same bytes; one thread unless marked "2 threads" (${provenance(results)}):`,
    "",
    speedTable(results, QUOTED, COLUMNS),
    "",
    ...shapes.flatMap((shape) => {
      const rows = cases.filter((row) => isFormula(row) && shapeText(row) === shape);
      return [
        `Every normalization by \`apply\`, forward + backward, ${shape}, one thread:`,
        "",
        comparisonTable(results, rows, OF_FORMULAS, [["", ({ norm }) => `\`${norm}\``]]),
        "",
      ];
    }),
    ...steps,
  ].join("\n");
}

/** @param {Results} results */
const provenance = (results) =>
  `medians of one run of \`npm run bench\` on ${results.date.slice(0, 10)}, results validated against float64 first; ${machineText(results)}`;

/** @param {Results} results @param {string[]} names @param {Comparison[]} columns */
function speedTable(results, names, columns) {
  const rows = names.flatMap((name) => results.cases.filter((row) => row.name === name));
  return comparisonTable(results, rows, columns, [
    ["", titleOf],
    ["shape", ({ shape }) => shape.join("×")],
  ]);
}

/**
 * @param {Results} results @param {ResultRow[]} rows @param {Comparison[]} comparisons of those who took part
 * @param {[string, (row: ResultRow) => string][]} labels the first columns, before Evenkeel's time
 */
function comparisonTable({ contestants }, rows, comparisons, labels) {
  const columns = comparisons.filter(({ ours, theirs }) =>
    [ours, theirs].every((id) => contestants[id]?.about),
  );
  const heads = columns.map(({ theirs, time }) => time ?? `vs ${headOf(theirs, contestants[theirs])}`);
  const lines = rows.map((row) => {
    const ours = row.results["evenkeel-1"];
    const cells = [
      ...labels.map(([, label]) => label(row)),
      isTimed(ours) ? timeText(ours.median) : "–",
      ...columns.map(({ ours, theirs, time }) =>
        ratioText(time ? timesFaster(row, theirs, ours) : timesFaster(row, ours, theirs)),
      ),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    `| ${[...labels.map(([head]) => head), "Evenkeel", ...heads].join(" | ")} |`.replace("|  |", "| |"),
    `|${labels.map(() => "---|").join("")}--:|${heads.map(() => "--:|").join("")}`,
    ...lines,
  ].join("\n");
}

/** "PyTorch 1.13.0", "TensorFlow.js 4.22.0 layer". @param {string} id @param {{ about?: string, threads: number }} contestant */
function headOf(id, { about = id, threads }) {
  const [name] = about.split(",");
  return `${name}${id === "tfjs-layer" ? " layer" : ""}${threads > 1 ? `, ${threads} threads` : ""}`;
}

/** @param {ResultRow} row @param {Results["contestants"]} contestants */
function networkSentence(row, contestants) {
  const parts = Object.entries(row.results).flatMap(([id, result]) =>
    isTimed(result) ? [`${contestants[id].label} ${timeText(result.median)}`] : [],
  );
  const what = row.norm === "model" ? "A model's prediction" : "A transformer's training step";
  return `${what} (${row.shape.join("×")}): ${parts.join(", ")}.`;
}

/** A text with one of its sections replaced. @param {string} text @param {string} section @param {string} [name] */
export function withSection(text, section, name = "bench") {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [start, end] = [text.indexOf(open), text.indexOf(close)];
  if (start < 0 || end < start)
    throw new Error(`withSection: text must have ${open} and then ${close}, as the README does`);
  return `${text.slice(0, start)}${open}\n${section}\n${text.slice(end)}`;
}
