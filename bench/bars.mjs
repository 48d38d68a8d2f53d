/** The speeds and sizes to reach, as data, and how far a run got. */
import { additionsOf, anchored, formulas, nameOf, operations, sizeOf } from "./cases.mjs";

/**
 * @typedef {import("./report.mjs").Results} Results
 * @typedef {import("./report.mjs").ResultRow} ResultRow
 *
 * @typedef {object} SpeedBar of three limits one is given
 * @property {string} title
 * @property {readonly string[]} norms
 * @property {string} pass
 * @property {string} ours contestant
 * @property {string} theirs contestant
 * @property {number} [atLeast] times as fast as theirs
 * @property {number} [atMost] times the time of theirs
 * @property {number} [over] µs more than theirs at most
 * @property {readonly number[][]} [shapes] only these
 * @property {import("./cases.mjs").Addition} [addition] only cases with it; without: only those with none
 * @property {boolean} [residual] those with a residual too
 * @property {"cache" | number} [beyond] only arrays of more bytes than this, or than the second-level cache
 *
 * @typedef {{ title: string, measure: "packageBytes" | "formulaBytes" | "openMs", under: number, unit: string }} SizeBar
 * @typedef {{ name: string, value: number, reached: boolean }} Measured
 * @typedef {object} Outcome
 * @property {string} title
 * @property {string} bar
 * @property {boolean | null} reached by all; null where nothing was measured
 * @property {number} at by how many
 * @property {number} of how many were measured
 * @property {number | null} value of the worst
 * @property {string | null} worst
 * @property {Measured[]} measured the worst first; sizes have one without a name
 */

const rows = ["layer", "rms"];
const images = ["batch", "batch-eval", "group", "instance"];
const listed = [
  [32, 768],
  [512, 768],
  [4096, 1024],
  [16384, 2048],
  [100_000, 32],
];
const small = [[32, 768]];
const tiny = [[4, 16]];
const KIB = 1024;

/** Formulas that take features, or shapes that have some; the arithmetic of three is heavier. */
const heavy = ["localResponseNorm", "onlineNorm", "dynamicErf"];
const light = Object.keys(formulas).filter((name) => !formulas[name].positions && !heavy.includes(name));
const everyFormula = [...light, ...heavy];

// biome-ignore format: a table
/** @type {SpeedBar[]} */
export const speedBars = [
  ...["1", "2"].flatMap((threads) => {
    const [ours, theirs, on] = [`evenkeel-${threads}`, `pytorch-${threads}`, threads === "2" ? ", 2 threads" : ""];
    return [
      { title: `LayerNorm forward vs PyTorch${on}`, norms: ["layer"], shapes: listed, pass: "forward", ours, theirs, atLeast: 1.1 },
      { title: `LayerNorm backward vs PyTorch${on}`, norms: ["layer"], shapes: listed, pass: "backward", ours, theirs, atLeast: 1 },
      { title: `RMSNorm forward vs PyTorch${on}`, norms: ["rms"], shapes: listed, pass: "forward", ours, theirs, atLeast: 1.7 },
      { title: `RMSNorm backward vs PyTorch${on}`, norms: ["rms"], shapes: listed, pass: "backward", ours, theirs, atLeast: 1.7 },
      { title: `Norms of images forward vs PyTorch${on}`, norms: images, pass: "forward", ours, theirs, atLeast: 1.1 },
      { title: `Norms of images backward vs PyTorch${on}`, norms: images, pass: "backward", ours, theirs, atLeast: 1.1 },
    ];
  }),
  { title: "formulas vs PyTorch", norms: anchored, pass: "both", ours: "evenkeel-1", theirs: "pytorch-1", atLeast: 1.5 },
  { title: "formulas vs PyTorch compiled", norms: anchored, pass: "both", ours: "evenkeel-1", theirs: "pytorch-compiled-1", atLeast: 1.2 },
  { title: "formulas, time of layerNorm", norms: light, pass: "both", ours: "evenkeel-1", theirs: "evenkeel-plain-1", atMost: 3 },
  { title: "local response, online, erf, time of layerNorm", norms: heavy, pass: "both", ours: "evenkeel-1", theirs: "evenkeel-plain-1", atMost: 6 },
  { title: "formulas in TensorFlow.js, time of layerNorm there", norms: everyFormula, pass: "both", ours: "tfjs-evenkeel", theirs: "tfjs-plain", atMost: 2.5 },
  { title: "forward, time of the copy loop", norms: operations, pass: "forward", ours: "evenkeel-1", theirs: "wasm-copy", atMost: 1.2, residual: true, beyond: "cache" },
  { title: "backward, time of the copy loop", norms: operations, pass: "backward", ours: "evenkeel-1", theirs: "wasm-copy", atMost: 1.3, residual: true, beyond: "cache" },
  { title: "masked forward, time of unmasked, two threads", norms: operations, pass: "forward", ours: "evenkeel-2", theirs: "evenkeel-plain-2", atMost: 1.3, addition: "mask" },
  { title: "masked backward, time of unmasked, two threads", norms: operations, pass: "backward", ours: "evenkeel-2", theirs: "evenkeel-plain-2", atMost: 1.3, addition: "mask" },
  { title: "float16 arrays forward vs float32", norms: operations, pass: "forward", ours: "evenkeel-1", theirs: "evenkeel-plain-1", atLeast: 1.6, addition: "storage", beyond: "cache" },
  { title: "a layer's call, time of memcpy", norms: ["layerNorm", "rmsNorm"], shapes: small, pass: "evaluate", ours: "evenkeel-1", theirs: "memcpy", atMost: 3.5 },
  { title: "a TensorFlow.js layer's call over batch norm's", norms: Object.keys(formulas), shapes: tiny, pass: "evaluate", ours: "tfjs-evenkeel", theirs: "tfjs-batch-norm", over: 15 },
  { title: "a model folded vs as shipped", norms: ["model"], pass: "predict", ours: "tfjs-folded", theirs: "tfjs-layer", atLeast: 1.28 },
  { title: "forward vs onnxruntime-node", norms: [...rows, ...images], pass: "forward", ours: "evenkeel-1", theirs: "onnxruntime-node", atLeast: 3, residual: true },
  { title: "LayerNorm forward vs jax-js", norms: rows, pass: "forward", ours: "evenkeel-1", theirs: "jax-js", atLeast: 8 },
  { title: "LayerNorm forward + backward vs jax-js", norms: rows, pass: "both", ours: "evenkeel-1", theirs: "jax-js", atLeast: 6 },
  { title: "TensorFlow.js layer forward vs as shipped", norms: rows, pass: "forward", ours: "tfjs-evenkeel", theirs: "tfjs-layer", atLeast: 300 },
  { title: "TensorFlow.js layer forward + backward vs as shipped", norms: rows, pass: "both", ours: "tfjs-evenkeel", theirs: "tfjs-layer", atLeast: 300 },
  { title: "transformer training step vs as shipped", norms: ["transformer"], pass: "step", ours: "tfjs-evenkeel", theirs: "tfjs-layer", atLeast: 6 },
  { title: "transformer training step vs jax-js", norms: ["transformer"], pass: "step", ours: "tfjs-evenkeel", theirs: "jax-js", atLeast: 1.3 },
];

/** @type {SizeBar[]} */
export const sizeBars = [
  {
    title: "open and layerNorm, minified, gzipped",
    measure: "packageBytes",
    under: 32 * KIB + 1,
    unit: "bytes",
  },
  {
    title: "what apply and a formula add",
    measure: "formulaBytes",
    under: 4 * KIB + 1,
    unit: "bytes",
  },
  { title: "open()", measure: "openMs", under: 30, unit: "ms" },
];

/** @param {Results} results @returns {Outcome[]} */
export const evaluate = (results) => [
  ...speedBars.map((bar) => outcomeOf(bar, results)),
  ...sizeBars.map(({ title, measure, under, unit }) => {
    const value = results[measure] ?? null;
    const reached = value === null ? null : value < under;
    return {
      title,
      bar: `< ${under} ${unit}`,
      reached,
      at: Number(reached),
      of: Number(value !== null),
      value,
      worst: null,
      measured: value === null ? [] : [{ name: "", value, reached: value < under }],
    };
  }),
];

/** @param {SpeedBar} bar @param {Results} results @returns {Outcome} */
function outcomeOf(bar, { cases, machine }) {
  const { title, pass, atLeast, atMost, over } = bar;
  const beyond = bar.beyond === "cache" ? machine.cacheBytes : (bar.beyond ?? 0);
  const value = (/** @type {ResultRow} */ row) => {
    if (over === undefined)
      return atLeast ? timesFaster(row, bar.ours, bar.theirs) : timesFaster(row, bar.theirs, bar.ours);
    return microsecondsOver(row, bar.ours, bar.theirs);
  };
  /** How far it is from the bar; 0 and below is reached. */
  const short = (/** @type {number} */ measured) => {
    if (over !== undefined) return measured - over;
    return Math.log(atLeast ? atLeast / measured : measured / (atMost ?? 1));
  };
  const measured = cases
    .filter((row) => row.pass === pass && counts(bar, row) && 4 * sizeOf(row.shape) > beyond)
    .flatMap((row) => {
      const figure = value(row);
      return figure === null ? [] : [{ name: nameOf(row), value: figure, reached: short(figure) <= 0 }];
    })
    .sort((a, b) => short(b.value) - short(a.value));
  const at = measured.filter(({ reached }) => reached).length;
  return {
    title,
    bar: over === undefined ? (atLeast ? `≥ ${atLeast}×` : `≤ ${atMost}×`) : `≤ ${over} µs`,
    reached: measured.length > 0 ? at === measured.length : null,
    at,
    of: measured.length,
    value: measured[0]?.value ?? null,
    worst: measured[0]?.name ?? null,
    measured,
  };
}

/** @param {SpeedBar} bar @param {ResultRow} row */
function counts({ norms, shapes, addition, residual }, row) {
  const additions = additionsOf(row).filter((one) => one !== addition && !(residual && one === "residual"));
  return (
    norms.includes(row.norm) &&
    additions.length === 0 &&
    (!addition || additionsOf(row).includes(addition)) &&
    (!shapes || shapes.some((shape) => `${shape}` === `${row.shape}`))
  );
}

/** Medians of two contestants in ms; null where either has no time. @param {ResultRow} row @param {string} ours @param {string} theirs */
function medians({ results }, ours, theirs) {
  const [our, their] = [results[ours], results[theirs]];
  return our && their && "median" in our && "median" in their ? [our.median, their.median] : null;
}

/**
 * How many times as fast as theirs ours is, by medians; null where either has no time.
 * @param {ResultRow} row @param {string} ours @param {string} theirs
 */
export function timesFaster(row, ours, theirs) {
  const times = medians(row, ours, theirs);
  return times && times[1] / times[0];
}

/** How many µs more than theirs ours takes. @param {ResultRow} row @param {string} ours @param {string} theirs */
export function microsecondsOver(row, ours, theirs) {
  const times = medians(row, ours, theirs);
  return times && 1000 * (times[0] - times[1]);
}
