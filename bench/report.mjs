/** The results of a run: their shape, tables for the terminal, and sections of the README and of docs/speed.md. */

import { count, formatNumber, wrap } from "@evenkeel/report/format";
import Table from "cli-table3";
import { evaluate, timesFaster } from "./bars.mjs";

/**
 * @typedef {{ median: number, p20: number, p80: number, error: number, turns: number }} ResultTime ms of one call;
 *   memcpy's scaled to the bytes of the pass; `error` the worst against float64; `turns` their number
 * @typedef {{ skipped?: string, notOffered?: string, invalid?: string, failed?: string, missing?: string }} ResultAbsent
 * @typedef {object} ResultRow
 * @property {string} name
 * @property {import("./cases.mjs").Norm} norm
 * @property {boolean} residual
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
 * @property {number | null} openMs
 * @property {ResultRow[]} cases
 */

const WIDTH = 80;

// ---- words ----

/** @type {Record<import("./cases.mjs").Norm, string>} */
const NORMS = {
  layer: "LayerNorm",
  rms: "RMSNorm",
  batch: "BatchNorm",
  "batch-eval": "BatchNorm in evaluation",
  group: "GroupNorm",
  instance: "InstanceNorm",
  transformer: "transformer",
};

/** @type {Record<import("./cases.mjs").Pass, string>} */
const PASSES = {
  forward: "forward",
  backward: "backward",
  both: "forward + backward",
  step: "training step",
};

/** "LayerNorm + residual". @param {Pick<ResultRow, "norm" | "residual">} row */
export const normText = ({ norm, residual }) => NORMS[norm] + (residual ? " + residual" : "");

/** "LayerNorm + residual forward". @param {Pick<ResultRow, "norm" | "residual" | "pass">} row */
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

// ---- the terminal ----

/** Everything, within 80 columns. @param {Results} results */
export function terminal(results) {
  const parts = groupsOf(results.cases).map((rows) =>
    rows[0].norm === "transformer" ? stepTable(rows[0], results) : normTables(rows),
  );
  const absences = absencesOf(results);
  if (absences.length > 0) parts.push(absences.map((line) => wrap(line, WIDTH, "    ")).join("\n"));
  const bars = evaluate(results).filter(({ reached }) => reached !== null);
  if (bars.length > 0)
    parts.push(
      `Targets: the case furthest from each, and how many reach it\n${bars.map(barLine).join("\n")}`,
    );
  return `${parts.join("\n\n")}\n`;
}

/** @param {ResultRow[]} rows of one norm and pass */
function normTables(rows) {
  const head = ["", "1 thread", "GB/s", "time of\nmemcpy", "vs\nPyTorch", "2 threads", "vs\nPyTorch"];
  const lines = rows.map((row) => {
    const one = row.results["evenkeel-1"];
    return [
      shapeText(row),
      cell(one),
      isTimed(one) ? formatNumber(row.bytes / one.median / 1e6) : "–",
      ratioText(timesFaster(row, "memcpy", "evenkeel-1")),
      ratioText(timesFaster(row, "evenkeel-1", "pytorch-1")),
      cell(row.results["evenkeel-2"]),
      ratioText(timesFaster(row, "evenkeel-2", "pytorch-2")),
    ];
  });
  const main = `${titleOf(rows[0])}\n${table(head, lines)}`;
  const peers = Object.keys(SHORT).filter((id) => rows.some(({ results }) => isTimed(results[id])));
  if (peers.length === 0) return main;
  const versus = rows.map((row) => [
    shapeText(row),
    ...peers.map((id) =>
      isTimed(row.results[id]) ? ratioText(timesFaster(row, "evenkeel-1", id)) : cell(row.results[id]),
    ),
  ]);
  return `${main}\n\n${titleOf(rows[0])}, 1 thread: speed-up over\n${table(["", ...peers.map((id) => SHORT[id])], versus)}`;
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
function stepTable(row, { contestants }) {
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
    formatNumber(value).padStart(7),
    (of > 1 ? `${at}/${of}` : "").padStart(6),
  ].join(" ");
  const line = `${reached ? "✓" : "✗"} ${title} `.padEnd(WIDTH - figures.length - 1) + figures;
  return worst === null || reached ? line : `${line}\n    ${worst}`;
}

// ---- the documentation ----

/** @type {string[]} The rows that docs/speed.md quotes; the page has the rest. */
const QUOTED = [
  "layer 32x768 forward",
  "layer 512x768 forward",
  "layer 4096x1024 forward",
  "layer 512x768 backward",
  "layer 4096x1024 backward",
  "layer 512x768 both",
  "rms 512x768 forward",
  "rms+residual 512x768 forward",
  "batch 32x56x56x64 channelsLast forward",
  "group 32x64x56x56 channelsFirst forward",
];

/** @type {string[]} The rows of them that the README quotes. */
const HEADLINES = ["layer 512x768 forward", "layer 512x768 both", "batch 32x56x56x64 channelsLast forward"];

/** Columns: the speed of the first relative to the second. */
const COLUMNS = [
  ["evenkeel-1", "pytorch-1"],
  ["evenkeel-2", "pytorch-2"],
  ["evenkeel-1", "onnxruntime-node"],
  ["evenkeel-1", "jax-js"],
  ["evenkeel-1", "tfjs-layer"],
];

/** Columns of the README, which has less room and a separate section about TensorFlow.js. */
const FEWER = COLUMNS.filter(([our, their]) => our === "evenkeel-1" && their !== "tfjs-layer");

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
  const steps = cases
    .filter(({ norm }) => norm === "transformer")
    .map((row) => stepSentence(row, contestants));
  return [
    `Speed-up over each library, and run time relative to memcpy of the same bytes; one thread unless marked "2 threads" (${provenance(results)}):`,
    "",
    speedTable(results, QUOTED, COLUMNS),
    "",
    ...steps,
  ].join("\n");
}

/** @param {Results} results */
const provenance = (results) =>
  `medians of one run of \`npm run bench\` on ${results.date.slice(0, 10)}, results validated against float64 first; ${machineText(results)}`;

/** @param {Results} results @param {string[]} names @param {string[][]} pairs */
function speedTable({ cases, contestants }, names, pairs) {
  const columns = pairs.filter((ids) => ids.every((id) => contestants[id]?.about));
  const heads = columns.map(([, id]) => `vs ${headOf(id, contestants[id])}`);
  const rows = names
    .flatMap((name) => cases.filter((row) => row.name === name))
    .map((row) => {
      const ours = row.results["evenkeel-1"];
      const cells = [
        titleOf(row),
        row.shape.join("×"),
        isTimed(ours) ? timeText(ours.median) : "–",
        ratioText(timesFaster(row, "memcpy", "evenkeel-1")),
        ...columns.map(([our, their]) => ratioText(timesFaster(row, our, their))),
      ];
      return `| ${cells.join(" | ")} |`;
    });
  return [
    `| | ${["shape", "Evenkeel", "time ÷ memcpy", ...heads].join(" | ")} |`,
    `|---|---|--:|--:|${heads.map(() => "--:|").join("")}`,
    ...rows,
  ].join("\n");
}

/** "PyTorch 1.13.0", "TensorFlow.js 4.22.0 layer". @param {string} id @param {{ about?: string, threads: number }} contestant */
function headOf(id, { about = id, threads }) {
  const [name] = about.split(",");
  return `${name}${id === "tfjs-layer" ? " layer" : ""}${threads > 1 ? `, ${threads} threads` : ""}`;
}

/** @param {ResultRow} row @param {Results["contestants"]} contestants */
function stepSentence(row, contestants) {
  const parts = Object.entries(row.results).flatMap(([id, result]) =>
    isTimed(result) ? [`${contestants[id].label} ${timeText(result.median)}`] : [],
  );
  return `A transformer's training step (${row.shape.join("×")}): ${parts.join(", ")}.`;
}

/** A text with one of its sections replaced. @param {string} text @param {string} section @param {string} [name] */
export function withSection(text, section, name = "bench") {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [start, end] = [text.indexOf(open), text.indexOf(close)];
  if (start < 0 || end < start)
    throw new Error(`withSection: text must have ${open} and then ${close}, as the README does`);
  return `${text.slice(0, start)}${open}\n${section}\n${text.slice(end)}`;
}
