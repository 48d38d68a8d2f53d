/** Which shapes, norms and passes are timed, and which contestants take part: tables, to be read and edited as such. */
import { catalog } from "evenkeel";

/**
 * @typedef {string} Norm one of `operations`, by `forward` and `backward`; of `formulas`, by `apply`; "transformer" or "model"
 * @typedef {"forward" | "backward" | "both" | "evaluate" | "step" | "predict"} Pass `evaluate`: through a layer, in evaluation
 * @typedef {"channelsFirst" | "channelsLast"} Layout
 * @typedef {"float16" | "bfloat16"} Storage
 * @typedef {"residual" | "mask" | "storage"} Addition
 */

/**
 * One array that every contestant normalizes; its passes are timed one after the other.
 * @typedef {object} Case
 * @property {Norm} norm
 * @property {boolean} residual whether a second array is added to x first; the sum is a result too
 * @property {boolean} [masked] whether a part of x is padding: of each example, positions along the first axis of them
 * @property {Storage} [storage] type of x, y, dy and dx, where it is not float32
 * @property {number[]} shape in memory order: features last, or as the layout says
 * @property {Layout} [layout] of images
 * @property {string} [model] folder of a TensorFlow.js layers model
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

/** @type {[number, number][]} Those with a residual. */
const added = [
  [512, 768],
  [4096, 1024],
];

/** @type {[number, number, number, number][]} Batch × channels × height × width. */
const images = [
  [32, 64, 56, 56],
  [8, 256, 14, 14],
];

/** What every formula of the catalog is timed on; those that need positions on the second alone. */
const ofFormulas = [
  [512, 768],
  [8, 56, 56, 64],
];

/** What a call costs by itself, and what is small. */
const small = [
  [4, 16],
  [32, 768],
];

export const operations = ["layer", "rms", "batch", "batch-eval", "group", "instance"];

/**
 * @typedef {object} Formula
 * @property {keyof typeof catalog} of
 * @property {object} options
 * @property {"silu"} [activation]
 * @property {boolean} [positions] needs axes between batch and features
 */

/** @type {Record<string, Formula>} Every normalization that takes features or positions, under its name, and variants. */
export const formulas = {
  ...Object.fromEntries(
    Object.entries(catalog)
      .filter(([, { about }]) => about.takes === "features" || about.takes === "positions")
      .map(([name, { about }]) => [
        name,
        {
          of: /** @type {keyof typeof catalog} */ (name),
          options: {},
          positions: about.takes === "positions",
        },
      ]),
  ),
  "layerNorm+silu": { of: "layerNorm", options: {}, activation: "silu" },
  "rmsNorm+bfloat16": { of: "rmsNorm", options: { type: "bfloat16" } },
};

/** Formulas that PyTorch has too, or in a line. */
export const anchored = [
  ...["dynamicTanh", "dynamicErf", "layerScale", "unitNorm", "localResponseNorm", "layerNorm+silu"],
];

/** @type {Pass[]} */
const eachWay = ["forward", "backward"];

/** @type {Case[]} */
const onRows = [
  ...rows.map((shape) => ({
    norm: "layer",
    residual: false,
    shape,
    passes: [...eachWay, /** @type {const} */ ("both")],
  })),
  ...rows.map((shape) => ({ norm: "rms", residual: false, shape, passes: eachWay })),
  ...["layer", "rms"].flatMap((norm) =>
    added.map((shape) => ({ norm, residual: true, shape, passes: eachWay })),
  ),
];

/** @type {Case[]} */
const onImages = ["batch", "batch-eval", "group", "instance"].flatMap((norm) =>
  images.flatMap(([n, c, h, w]) => [
    {
      norm,
      residual: false,
      shape: [n, c, h, w],
      layout: /** @type {const} */ ("channelsFirst"),
      passes: eachWay,
    },
    {
      norm,
      residual: false,
      shape: [n, h, w, c],
      layout: /** @type {const} */ ("channelsLast"),
      passes: eachWay,
    },
  ]),
);

/** @type {Case} Batch × time × width; forward, backward and Adam of two blocks (transformer.mjs). */
const transformer = { norm: "transformer", residual: false, shape: [16, 64, 128], passes: ["step"] };

const bothWays = (/** @type {Norm} */ norm, /** @type {number[]} */ shape) =>
  /** @type {Case} */ ({ norm, residual: false, shape, passes: ["both"] });

/** @type {Case[]} The anchored ones first: processes that take part in neighbouring cases are started once. */
const byApply = [
  ...anchored.flatMap((norm) => [...ofFormulas, [4096, 1024]].map((shape) => bothWays(norm, shape))),
  ...Object.entries(formulas)
    .filter(([norm]) => norm !== "layerNorm" && !anchored.includes(norm))
    .flatMap(([norm, { positions }]) =>
      (positions ? ofFormulas.slice(1) : ofFormulas).map((shape) => bothWays(norm, shape)),
    ),
];

/** @type {Case[]} Sequences × length × features, and images. */
const masked = [
  ...["layer", "rms", "batch"].map((norm) => ({
    norm,
    residual: false,
    masked: true,
    shape: [32, 64, 768],
    passes: eachWay,
  })),
  ...onImages
    .filter(({ norm, shape: [n] }) => (norm === "batch" || norm === "group") && n === 32)
    .map((one) => ({ ...one, masked: true })),
];

/** @type {Case[]} Arrays of half the bytes. */
const halved = [
  ...onRows.filter(({ residual, shape }) => !residual && `${shape}` === "4096,1024"),
  ...onImages.filter(
    ({ norm, shape: [n], layout }) => norm !== "batch-eval" && n === 32 && layout === "channelsLast",
  ),
].flatMap((one) =>
  (one.norm === "layer"
    ? /** @type {const} */ (["float16", "bfloat16"])
    : /** @type {const} */ (["float16"])
  ).map((storage) => ({
    ...one,
    storage,
    passes: eachWay,
  })),
);

/** @type {Case[]} */
const throughLayers = ["layerNorm", "rmsNorm", "batchNorm", "dynamicTanh"].flatMap((norm) =>
  small.map((shape) => ({ norm, residual: false, shape, passes: [/** @type {const} */ ("evaluate")] })),
);

/** @type {Case[]} */
export const cases = [
  ...onRows,
  ...onImages,
  transformer,
  ...byApply,
  ...masked,
  ...halved,
  ...throughLayers,
];

/**
 * A layers model of TensorFlow.js, for one example.
 * @param {string} folder @param {any} manifest its model.json @returns {Case}
 * @throws Error where the manifest does not say what shape the model takes
 */
export function modelCase(folder, { modelTopology }) {
  const config = (modelTopology?.model_config ?? modelTopology)?.config;
  const shape = (config?.layers ?? config)?.[0]?.config?.batch_input_shape;
  if (!Array.isArray(shape) || shape.slice(1).some((length) => !(length > 0)))
    throw new Error(
      `model.json gives its first layer no whole batch_input_shape, but ${JSON.stringify(shape)}`,
    );
  return {
    norm: "model",
    residual: false,
    shape: [1, ...shape.slice(1)],
    model: folder,
    passes: ["predict"],
  };
}

const everyPass = ["forward", "backward", "both"];

/** What a yardstick does in place of the case: layer norm for another formula; the same without a mask, or in float32. @param {Case} one @returns {Case} */
const plainOf = (one) =>
  formulas[one.norm] ? { ...one, norm: "layerNorm" } : { ...one, masked: undefined, storage: undefined };

/**
 * @typedef {object} Contestant
 * @property {string} label
 * @property {string} script in this folder; .py runs under Python
 * @property {string} [argument] that tells apart contestants of one script
 * @property {1 | 2} threads
 * @property {string[]} norms that it takes part in
 * @property {string[]} passes
 * @property {Addition[]} [additions] takes part with these too
 * @property {(one: Case) => Case} [instead] a yardstick does this, and takes part where it differs from the case
 * @property {"memcpy" | "loop"} [copies] it normalizes nothing, and its time is scaled to the bytes of the pass
 * @property {string} how its users call the operation
 */

/** @type {Pick<Contestant, "norms" | "passes" | "additions">} */
const inEveryPass = {
  norms: [...operations, ...Object.keys(formulas)],
  passes: [...everyPass, "evaluate"],
  additions: ["residual", "mask", "storage"],
};
/** @type {Pick<Contestant, "norms" | "passes" | "additions">} */
const inPyTorch = {
  norms: [...operations, "transformer", ...anchored],
  passes: [...everyPass, "step"],
  additions: ["residual"],
};

/** @type {Record<string, Contestant>} */
export const contestants = {
  "evenkeel-1": {
    label: "Evenkeel",
    script: "evenkeel.mjs",
    threads: 1,
    ...inEveryPass,
    how: "open({ threads: 1 }), arrays in the backend; formulas by apply, evaluation through a Layer",
  },
  "evenkeel-2": {
    label: "Evenkeel, 2 threads",
    script: "evenkeel.mjs",
    threads: 2,
    ...inEveryPass,
    norms: operations,
    how: "open({ threads: 2 }), arrays in the backend",
  },
  "evenkeel-plain-1": {
    label: "Evenkeel, plain",
    script: "evenkeel.mjs",
    threads: 1,
    ...inEveryPass,
    passes: everyPass,
    additions: ["storage"],
    instead: plainOf,
    how: "a yardstick: layer normalization by apply for another formula, float32 for arrays of half the bytes",
  },
  "evenkeel-plain-2": {
    label: "Evenkeel, plain, 2 threads",
    script: "evenkeel.mjs",
    threads: 2,
    norms: operations,
    passes: everyPass,
    additions: ["mask"],
    instead: plainOf,
    how: "a yardstick: the same without a mask",
  },
  memcpy: {
    label: "memcpy",
    script: "memcpy.mjs",
    threads: 1,
    copies: "memcpy",
    ...inEveryPass,
    how: "copyWithin on WebAssembly memory, from one array to another; scaled to the bytes of the pass",
  },
  "wasm-copy": {
    label: "WASM copy loop",
    script: "copy-loop.mjs",
    threads: 1,
    copies: "loop",
    ...inEveryPass,
    passes: everyPass,
    how: "v128.load and v128.store alone, over as many arrays as the pass reads and writes; scaled to its bytes",
  },
  "pytorch-1": {
    label: "PyTorch",
    script: "peers/pytorch.py",
    argument: "eager",
    threads: 1,
    ...inPyTorch,
    how: "native_*_norm and its backward, or a function and autograd; set_num_threads(1)",
  },
  "pytorch-2": {
    label: "PyTorch, 2 threads",
    script: "peers/pytorch.py",
    argument: "eager",
    threads: 2,
    ...inPyTorch,
    norms: operations,
    how: "the same, set_num_threads(2)",
  },
  "pytorch-compiled-1": {
    label: "PyTorch, compiled",
    script: "peers/pytorch.py",
    argument: "compiled",
    threads: 1,
    ...inPyTorch,
    how: "the function under torch.compile, gradients by autograd; set_num_threads(1)",
  },
  "pytorch-compiled-2": {
    label: "PyTorch, compiled, 2 threads",
    script: "peers/pytorch.py",
    argument: "compiled",
    threads: 2,
    ...inPyTorch,
    norms: operations,
    how: "the same, set_num_threads(2)",
  },
  "onnxruntime-node": {
    label: "onnxruntime-node",
    script: "peers/onnxruntime.mjs",
    argument: "onnxruntime-node",
    threads: 1,
    norms: ["layer", "rms", "batch-eval", "group", "instance"],
    passes: ["forward"],
    additions: ["residual"],
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
    norms: ["layer", "transformer", "model"],
    passes: ["forward", "both", "step", "predict"],
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
    norms: ["layer", "transformer", "model", ...Object.keys(formulas)],
    passes: ["forward", "both", "evaluate", "step", "predict"],
    how: "the same layer after install() of evenkeel/tfjs; formulas by its apply, evaluation through its layers",
  },
  "tfjs-plain": {
    label: "TensorFlow.js with Evenkeel, plain",
    script: "peers/tensorflow.mjs",
    argument: "evenkeel",
    threads: 1,
    norms: Object.keys(formulas),
    passes: ["both"],
    instead: plainOf,
    how: "a yardstick: layer normalization by apply of evenkeel/tfjs for another formula",
  },
  "tfjs-batch-norm": {
    label: "TensorFlow.js, batch norm",
    script: "peers/tensorflow.mjs",
    argument: "layer",
    threads: 1,
    norms: Object.keys(formulas),
    passes: ["evaluate"],
    // with no other name than the case's it would take no part in that of batch norm
    instead: (one) => ({ ...one, norm: "batch-eval" }),
    how: "a yardstick: tf.layers.batchNormalization as shipped, in evaluation",
  },
  "tfjs-folded": {
    label: "TensorFlow.js, folded",
    script: "peers/tensorflow.mjs",
    argument: "folded",
    threads: 1,
    norms: ["model"],
    passes: ["predict"],
    how: "the model as foldStatistics of evenkeel/tfjs makes it, after install()",
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
export const isPeer = (id) => !/^(evenkeel|memcpy|wasm-copy|pytorch)/.test(id);

/** @param {Pick<Case, "residual" | "masked" | "storage">} one @returns {Addition[]} */
export const additionsOf = ({ residual, masked, storage }) => [
  ...(residual ? [/** @type {const} */ ("residual")] : []),
  ...(masked ? [/** @type {const} */ ("mask")] : []),
  ...(storage ? [/** @type {const} */ ("storage")] : []),
];

/** @param {Contestant} contestant @param {Case} one @param {Pass} pass */
export const takesPart = ({ norms, passes, additions = [], instead }, one, pass) =>
  norms.includes(one.norm) &&
  passes.includes(pass) &&
  additionsOf(one).every((addition) => additions.includes(addition)) &&
  (!instead || nameOf(instead(one)) !== nameOf(one));

/** "layer 512x768 forward". @param {Omit<Case, "passes">} one @param {Pass} [pass] */
export const nameOf = ({ norm, residual, masked, storage, shape, layout }, pass) =>
  [
    [norm, residual && "residual", masked && "mask", storage].filter(Boolean).join("+"),
    shape.join("x"),
    layout,
    pass,
  ]
    .filter(Boolean)
    .join(" ");

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

/** Values of the largest array that a formula is validated on: plain loops in float64 take seconds for more. */
const PROVEN = 1 << 18;

/** What a case is validated on: itself or, of a formula, a part of the array, whose features are all there. @param {Case} one @returns {Case} */
export function provenOn(one) {
  const shape = [...one.shape];
  if (!formulas[one.norm]) return one;
  for (let axis = 0; axis < shape.length - 1; axis++) {
    // two examples at least
    while (sizeOf(shape) > PROVEN && shape[axis] % 2 === 0 && shape[axis] > 2) shape[axis] /= 2;
  }
  return { ...one, shape };
}

/** Whether it has float64 results to be held against; the others are held against each other. @param {Pick<Case, "norm">} one */
export const hasReference = ({ norm }) => norm !== "transformer" && norm !== "model";

/**
 * How many arrays of the size of x a pass must read and write, at least.
 *
 *     forward: read x; write y              residual: read it, write the sum
 *     backward: read dy, x; write dx        residual: read dSum
 *
 * @param {Pick<Case, "residual">} one @returns {Record<"forward" | "backward", { reads: number, writes: number }>}
 */
export function arraysOf({ residual }) {
  const more = residual ? 1 : 0;
  return { forward: { reads: 1 + more, writes: 1 + more }, backward: { reads: 2 + more, writes: 1 } };
}

/**
 * Bytes that a pass must move, counting each array once: those of the size of x, and of an operation also gamma, beta, their
 * gradients, and statistics, which are written forward and read backward. RMS has no beta and one statistic. What a training step or a
 * model moves depends on its framework: 0.
 * @param {Case} one @param {Pass} pass
 */
export function bytesMoved(one, pass) {
  const { norm, storage, shape, layout } = one;
  if (!hasReference(one)) return 0;
  const wide = (storage ? 2 : 4) * sizeOf(shape);
  const isOperation = operations.includes(norm);
  const parameters = isOperation ? shape[layout === "channelsFirst" ? 1 : shape.length - 1] : 0;
  const perKind = norm === "rms" ? 1 : 2;
  const statistics = isOperation ? perKind * statisticsOf(one) : 0;
  const counts = arraysOf(one);
  const bytes = (/** @type {"forward" | "backward"} */ way, /** @type {number} */ others) =>
    (counts[way].reads + counts[way].writes) * wide + 4 * others;
  const forward = bytes("forward", perKind * parameters + statistics);
  const backward = bytes("backward", (1 + perKind) * parameters + statistics);
  if (pass === "both") return forward + backward;
  return pass === "backward" ? backward : forward;
}

/** Number of means (or mean squares) of an operation. @param {Case} one */
function statisticsOf({ norm, shape, layout }) {
  const channels = shape[layout === "channelsFirst" ? 1 : shape.length - 1];
  if (norm === "group") return shape[0] * GROUPS;
  if (norm === "instance") return shape[0] * channels;
  return norm === "layer" || norm === "rms" ? sizeOf(shape) / channels : channels;
}
