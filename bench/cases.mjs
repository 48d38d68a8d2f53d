/** Which shapes, norms and passes are timed, and which contestants take part: tables, to be read and edited as such. */

/**
 * @typedef {"layer" | "rms" | "batch" | "batch-eval" | "group" | "instance" | "transformer"} Norm
 * @typedef {"forward" | "backward" | "both" | "step"} Pass
 * @typedef {"channelsFirst" | "channelsLast"} Layout
 */

/**
 * One array that every contestant normalizes; its passes are timed one after the other.
 * @typedef {object} Case
 * @property {Norm} norm
 * @property {boolean} residual whether a second array is added to x first; the sum is a result too
 * @property {number[]} shape in memory order: [rows, features], or four axes in the order of the layout
 * @property {Layout} [layout] of images
 * @property {Pass[]} passes
 */

export const EPSILON = 1e-5;
export const GROUPS = 8;

/** @type {[number, number][]} Rows × features. */
const rows = [
  [1, 64],
  [32, 64],
  [32, 768],
  [512, 768],
  [4096, 1024],
  [16384, 2048],
  [64, 65536],
  [1, 1_000_000],
  [100_000, 32],
];

/** @type {[number, number, number, number][]} Batch × channels × height × width. */
const images = [
  [32, 64, 56, 56],
  [8, 256, 14, 14],
];

/** @type {[Norm, boolean, Pass[]][]} Norm, with a residual, passes. */
const onRows = [
  ["layer", false, ["forward", "backward", "both"]],
  ["rms", false, ["forward", "backward", "both"]],
  ["layer", true, ["forward", "backward", "both"]],
  ["rms", true, ["forward", "backward", "both"]],
];

/** @type {[Norm, Pass[]][]} */
const onImages = [
  ["batch", ["forward", "backward", "both"]],
  ["batch-eval", ["forward", "backward", "both"]],
  ["group", ["forward", "backward", "both"]],
  ["instance", ["forward", "backward", "both"]],
];

/** @type {Case} Batch × time × width; forward, backward and Adam of two blocks (transformer.mjs). */
const transformer = { norm: "transformer", residual: false, shape: [16, 64, 128], passes: ["step"] };

/** @type {Case[]} */
export const cases = [
  ...onRows.flatMap(([norm, residual, passes]) => rows.map((shape) => ({ norm, residual, shape, passes }))),
  ...onImages.flatMap(([norm, passes]) =>
    images.flatMap(([n, c, h, w]) => [
      { norm, residual: false, shape: [n, c, h, w], layout: /** @type {const} */ ("channelsFirst"), passes },
      { norm, residual: false, shape: [n, h, w, c], layout: /** @type {const} */ ("channelsLast"), passes },
    ]),
  ),
  transformer,
];

const everyNorm = ["layer", "rms", "batch", "batch-eval", "group", "instance"];
const everyPass = ["forward", "backward", "both"];

/**
 * @typedef {object} Contestant
 * @property {string} label
 * @property {string} script in this folder; .py runs under Python
 * @property {string} [argument] that tells apart contestants of one script
 * @property {1 | 2} threads
 * @property {string[]} norms that it takes part in
 * @property {string[]} passes
 * @property {boolean} [residual] takes part with a residual too
 * @property {string} how its users call the operation
 */

/** @type {Record<string, Contestant>} */
export const contestants = {
  "evenkeel-1": {
    label: "Evenkeel",
    script: "evenkeel.mjs",
    threads: 1,
    norms: everyNorm,
    passes: everyPass,
    residual: true,
    how: "open({ threads: 1 }), arrays in the backend",
  },
  "evenkeel-2": {
    label: "Evenkeel, 2 threads",
    script: "evenkeel.mjs",
    threads: 2,
    norms: everyNorm,
    passes: everyPass,
    residual: true,
    how: "open({ threads: 2 }), arrays in the backend",
  },
  memcpy: {
    label: "memcpy",
    script: "memcpy.mjs",
    threads: 1,
    norms: everyNorm,
    passes: everyPass,
    residual: true,
    how: "copyWithin on WebAssembly memory, from one array to another; scaled to the bytes of the pass",
  },
  "pytorch-1": {
    label: "PyTorch",
    script: "peers/pytorch.py",
    threads: 1,
    norms: [...everyNorm, "transformer"],
    passes: [...everyPass, "step"],
    residual: true,
    how: "native_*_norm and its backward; RMS composed; set_num_threads(1)",
  },
  "pytorch-2": {
    label: "PyTorch, 2 threads",
    script: "peers/pytorch.py",
    threads: 2,
    norms: everyNorm,
    passes: everyPass,
    residual: true,
    how: "the same, set_num_threads(2)",
  },
  "onnxruntime-node": {
    label: "onnxruntime-node",
    script: "peers/onnxruntime.mjs",
    argument: "onnxruntime-node",
    threads: 1,
    norms: ["layer", "rms", "batch-eval", "group", "instance"],
    passes: ["forward"],
    residual: true,
    how: "a model of one node; channels first; it offers no backward pass",
  },
  "onnxruntime-web": {
    label: "onnxruntime-web",
    script: "peers/onnxruntime.mjs",
    argument: "onnxruntime-web",
    threads: 1,
    norms: ["layer", "rms"],
    passes: ["forward"],
    how: "the same on its wasm backend, numThreads 1",
  },
  "jax-js": {
    label: "jax-js",
    script: "peers/jax.mjs",
    threads: 1,
    norms: ["layer", "transformer"],
    passes: ["forward", "both", "step"],
    how: "the formula under jit, gradients by vjp; wasm backend",
  },
  "tfjs-layer": {
    label: "TensorFlow.js, layer",
    script: "peers/tensorflow.mjs",
    argument: "layer",
    threads: 1,
    norms: ["layer", "transformer"],
    passes: ["forward", "both", "step"],
    how: "tf.layers.layerNormalization as shipped; wasm backend",
  },
  "tfjs-composed": {
    label: "TensorFlow.js, composed",
    script: "peers/tensorflow.mjs",
    argument: "composed",
    threads: 1,
    norms: ["layer"],
    passes: ["forward", "both"],
    how: "tf.moments, sub, mul, add; wasm backend",
  },
  "tfjs-evenkeel": {
    label: "TensorFlow.js with Evenkeel",
    script: "peers/tensorflow.mjs",
    argument: "evenkeel",
    threads: 1,
    norms: ["layer", "transformer"],
    passes: ["forward", "both", "step"],
    how: "the same layer after install() of evenkeel/tfjs",
  },
  "numpy-ts": {
    label: "numpy-ts",
    script: "peers/numpy-ts.mjs",
    threads: 1,
    norms: ["layer"],
    passes: ["forward"],
    how: "the formula from its array functions; it offers no gradients",
  },
};

/** Whether it is a JavaScript library. Between the others a ratio is taken in every case. @param {string} id */
export const isPeer = (id) => !/^(evenkeel|memcpy|pytorch)/.test(id);

/** @param {Contestant} contestant @param {Case} one @param {Pass} pass */
export const takesPart = ({ norms, passes, residual = false }, one, pass) =>
  norms.includes(one.norm) && passes.includes(pass) && (!one.residual || residual);

/** "layer 512x768 forward". @param {Omit<Case, "passes">} one @param {Pass} [pass] */
export const nameOf = ({ norm, residual, shape, layout }, pass) =>
  [residual ? `${norm}+residual` : norm, shape.join("x"), layout, pass].filter(Boolean).join(" ");

/** Those passes of these cases whose name contains one of the texts. @param {readonly Case[]} some @param {readonly string[]} texts */
export const choose = (some, texts) =>
  some
    .map((one) => ({
      ...one,
      passes: one.passes.filter((pass) => texts.some((text) => nameOf(one, pass).includes(text))),
    }))
    .filter(({ passes }) => passes.length > 0);

/** @param {readonly number[]} shape */
export const sizeOf = (shape) => shape.reduce((size, length) => size * length, 1);

/**
 * Bytes that a pass must move, counting each array once.
 *
 *     forward: read x, gamma, beta; write y, statistics                      residual: read it, write the sum
 *     backward: read dy, x, gamma, statistics; write dx, dGamma, dBeta       residual: read dSum
 *
 * RMS has no beta and one statistic. What a training step moves depends on its framework: 0.
 * @param {Case} one @param {Pass} pass
 */
export function bytesMoved(one, pass) {
  const { norm, residual, shape, layout } = one;
  if (norm === "transformer") return 0;
  const size = sizeOf(shape);
  const parameters = shape[layout === "channelsFirst" ? 1 : shape.length - 1];
  const perKind = norm === "rms" ? 1 : 2;
  const statistics = perKind * statisticsOf(one);
  const forward = (residual ? 4 : 2) * size + perKind * parameters + statistics;
  const backward = (residual ? 4 : 3) * size + (1 + perKind) * parameters + statistics;
  return 4 * { forward, backward, both: forward + backward, step: 0 }[pass];
}

/** Number of means (or mean squares) of a norm. @param {Case} one */
function statisticsOf({ norm, shape, layout }) {
  const channels = shape[layout === "channelsFirst" ? 1 : shape.length - 1];
  if (norm === "group") return shape[0] * GROUPS;
  if (norm === "instance") return shape[0] * channels;
  return norm === "layer" || norm === "rms" ? shape[0] : channels;
}
