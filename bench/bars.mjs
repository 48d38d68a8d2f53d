/** The speeds and sizes to reach, as data, and how far a run got. */
import { nameOf, sizeOf } from "./cases.mjs";

/**
 * @typedef {import("./report.mjs").Results} Results
 * @typedef {import("./report.mjs").ResultRow} ResultRow
 *
 * @typedef {object} SpeedBar
 * @property {string} title
 * @property {string[]} norms
 * @property {string} pass
 * @property {string} ours contestant
 * @property {string} theirs contestant
 * @property {number} [atLeast] times as fast as theirs
 * @property {number} [atMost] times the time of theirs
 * @property {"cache" | number} [beyond] only arrays of more bytes than this, or than the second-level cache
 *
 * @typedef {{ title: string, measure: "packageBytes" | "openMs", under: number, unit: string }} SizeBar
 * @typedef {{ title: string, bar: string, reached: boolean | null, at: number, of: number, value: number | null, worst: string | null }} Outcome
 *   reached at `at` of `of` cases; null where nothing was measured
 */

const rows = ["layer", "rms"];
const images = ["batch", "batch-eval", "group", "instance"];
const KIB = 1024;

// biome-ignore format: a table
/** @type {SpeedBar[]} */
export const speedBars = [
  { title: "LayerNorm, RMSNorm forward vs PyTorch", norms: rows, pass: "forward", ours: "evenkeel-1", theirs: "pytorch-1", atLeast: 1.5 },
  { title: "LayerNorm, RMSNorm backward vs PyTorch", norms: rows, pass: "backward", ours: "evenkeel-1", theirs: "pytorch-1", atLeast: 1.2 },
  { title: "Batch, Group, InstanceNorm forward vs PyTorch", norms: images, pass: "forward", ours: "evenkeel-1", theirs: "pytorch-1", atLeast: 1.2 },
  { title: "Batch, Group, InstanceNorm backward vs PyTorch", norms: images, pass: "backward", ours: "evenkeel-1", theirs: "pytorch-1", atLeast: 1.2 },
  { title: "forward on two threads vs PyTorch on two", norms: [...rows, ...images], pass: "forward", ours: "evenkeel-2", theirs: "pytorch-2", atLeast: 1.2, beyond: 256 * KIB },
  { title: "backward on two threads vs PyTorch on two", norms: [...rows, ...images], pass: "backward", ours: "evenkeel-2", theirs: "pytorch-2", atLeast: 1.1, beyond: 256 * KIB },
  { title: "LayerNorm, RMSNorm forward, time of memcpy", norms: rows, pass: "forward", ours: "evenkeel-1", theirs: "memcpy", atMost: 1.25, beyond: "cache" },
  { title: "LayerNorm, RMSNorm backward, time of memcpy", norms: rows, pass: "backward", ours: "evenkeel-1", theirs: "memcpy", atMost: 1.25, beyond: "cache" },
  { title: "Batch, Group, InstanceNorm forward, time of memcpy", norms: images, pass: "forward", ours: "evenkeel-1", theirs: "memcpy", atMost: 1.25, beyond: "cache" },
  { title: "Batch, Group, InstanceNorm backward, time of memcpy", norms: images, pass: "backward", ours: "evenkeel-1", theirs: "memcpy", atMost: 1.25, beyond: "cache" },
  { title: "forward vs onnxruntime-node", norms: [...rows, ...images], pass: "forward", ours: "evenkeel-1", theirs: "onnxruntime-node", atLeast: 3 },
  { title: "LayerNorm forward vs jax-js", norms: rows, pass: "forward", ours: "evenkeel-1", theirs: "jax-js", atLeast: 8 },
  { title: "LayerNorm forward + backward vs jax-js", norms: rows, pass: "both", ours: "evenkeel-1", theirs: "jax-js", atLeast: 6 },
  { title: "TensorFlow.js layer forward vs as shipped", norms: rows, pass: "forward", ours: "tfjs-evenkeel", theirs: "tfjs-layer", atLeast: 300 },
  { title: "TensorFlow.js layer forward + backward vs as shipped", norms: rows, pass: "both", ours: "tfjs-evenkeel", theirs: "tfjs-layer", atLeast: 300 },
  { title: "transformer training step vs as shipped", norms: ["transformer"], pass: "step", ours: "tfjs-evenkeel", theirs: "tfjs-layer", atLeast: 6 },
  { title: "transformer training step vs jax-js", norms: ["transformer"], pass: "step", ours: "tfjs-evenkeel", theirs: "jax-js", atLeast: 1.3 },
];

/** @type {SizeBar[]} */
export const sizeBars = [
  { title: "core with its WASM, minified, gzipped", measure: "packageBytes", under: 30_000, unit: "bytes" },
  { title: "open()", measure: "openMs", under: 30, unit: "ms" },
];

/** @param {Results} results @returns {Outcome[]} */
export const evaluate = (results) => [
  ...speedBars.map((bar) => outcomeOf(bar, results)),
  ...sizeBars.map(({ title, measure, under, unit }) => {
    const value = results[measure];
    const reached = value === null ? null : value < under;
    return {
      title,
      bar: `< ${under} ${unit}`,
      reached,
      at: Number(reached),
      of: Number(value !== null),
      value,
      worst: null,
    };
  }),
];

/** @param {SpeedBar} bar @param {Results} results @returns {Outcome} */
function outcomeOf(bar, { cases, machine }) {
  const { title, norms, pass, ours, theirs, atLeast, atMost } = bar;
  const beyond = bar.beyond === "cache" ? machine.cacheBytes : (bar.beyond ?? 0);
  /** How much of the bar is reached; 1 and above is all of it. */
  const share = (/** @type {number} */ ratio) => (atLeast ? ratio / atLeast : (atMost ?? 1) / ratio);
  const measured = cases
    .filter((row) => norms.includes(row.norm) && row.pass === pass && 4 * sizeOf(row.shape) > beyond)
    .map((row) => ({ row, ratio: atLeast ? timesFaster(row, ours, theirs) : timesFaster(row, theirs, ours) }))
    .filter(({ ratio }) => ratio !== null)
    .map(({ row, ratio }) => ({ row, ratio: /** @type {number} */ (ratio) }))
    .sort((a, b) => share(a.ratio) - share(b.ratio));
  const at = measured.filter(({ ratio }) => share(ratio) >= 1).length;
  return {
    title,
    bar: atLeast ? `≥ ${atLeast}×` : `≤ ${atMost}×`,
    reached: measured.length > 0 ? at === measured.length : null,
    at,
    of: measured.length,
    value: measured[0]?.ratio ?? null,
    worst: measured[0] ? nameOf(measured[0].row) : null,
  };
}

/**
 * How many times as fast as theirs ours is, by medians; null where either has no time.
 * @param {ResultRow} row @param {string} ours @param {string} theirs
 */
export function timesFaster({ results }, ours, theirs) {
  const [our, their] = [results[ours], results[theirs]];
  return our && their && "median" in our && "median" in their ? their.median / our.median : null;
}
