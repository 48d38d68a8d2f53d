/** The arrays of a case, from a seed, and its results in float64. */
import {
  apply,
  batchNorm,
  catalog,
  groupNorm,
  instanceNorm,
  layerNorm,
  maskOfLengths,
  open,
  rmsNorm,
  withActivation,
} from "evenkeel";
import { arraysOf, EPSILON, formulas, GROUPS, sizeOf } from "./cases.mjs";
import { BLOCKS } from "./transformer.mjs";

/**
 * @typedef {import("./cases.mjs").Case} Case
 * @typedef {import("./cases.mjs").Pass} Pass
 * @typedef {Record<string, Float32Array>} Inputs
 * @typedef {object} Expected
 * @property {ArrayLike<number>} values
 * @property {number} scale the magnitude of the values that were summed
 * @property {number} [tolerance] of `worstError`; default `TOLERANCE`
 * @typedef {Partial<Record<Pass, Record<string, Expected>>>} ExpectedPasses
 */

/** Uniform in [low, high), the same on every machine (mulberry32). @param {number} length @param {number} seed */
function seeded(length, seed, low = -1, high = 1) {
  const values = new Float32Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    values[i] = low + ((t ^ (t >>> 14)) >>> 0) * ((high - low) / 2 ** 32);
  }
  return values;
}

/** @param {Case} one @returns {Inputs} */
export function inputsOf(one) {
  const { norm, residual, masked, shape, layout } = one;
  const size = sizeOf(shape);
  if (norm === "model") return { x: seeded(size, 1, 0, 1) };
  if (norm === "transformer") {
    // each block has four square kernels, one to four times the width and one back; of variance 1, scaled later
    const kernels = BLOCKS * 12 * shape[2] ** 2;
    return {
      x: seeded(size, 1),
      target: seeded(size, 2),
      kernels: seeded(kernels, 3, -Math.sqrt(3), Math.sqrt(3)),
    };
  }
  /** @type {Inputs} */
  const inputs = { x: seeded(size, 1, -1, 3), dy: seeded(size, 2) };
  if (formulas[norm]) return { ...inputs, ...weightsOf(one) };
  const parameters = shape[layout === "channelsFirst" ? 1 : shape.length - 1];
  inputs.gamma = seeded(parameters, 3, 0.5, 1.5);
  if (norm !== "rms") inputs.beta = seeded(parameters, 4);
  if (residual) Object.assign(inputs, { residual: seeded(size, 5), dSum: seeded(size, 6) });
  if (norm === "batch-eval") {
    inputs.mean = seeded(parameters, 7, 0.5, 1.5);
    inputs.variance = seeded(parameters, 8, 0.5, 2);
  }
  if (masked) inputs.lengths = seeded(shape[0], 9, 0.5, 1).map((share) => Math.round(share * paddedOf(one)));
  return inputs;
}

/** Trained weights of a formula, around their initial values. @param {Case} one @returns {Inputs} */
function weightsOf(one) {
  const trained = Object.entries(formulaOf(one).weights(one.shape)).filter(([, weight]) => weight.trained);
  return Object.fromEntries(
    trained.map(([name, { shape, initial }], i) => {
      const values = typeof initial === "function" ? initial() : initial;
      const near = seeded(sizeOf(shape), 10 + i, -0.25, 0.25);
      return [name, near.map((off, at) => off + (typeof values === "number" ? values : values[at]))];
    }),
  );
}

/** Those inputs that are weights, or statistics. @param {Inputs} inputs */
export const weightsIn = ({ x, dy, residual, dSum, lengths, ...weights }) => weights;

/** "dGamma". @param {string} weight */
export const gradientName = (weight) => `d${weight[0].toUpperCase()}${weight.slice(1)}`;

/** The axis along which examples are padded: the first after the batch's, channels aside. @param {Pick<Case, "layout">} one */
const paddedAxis = ({ layout }) => (layout === "channelsFirst" ? 2 : 1);
/** @param {Pick<Case, "shape" | "layout">} one */
const paddedOf = (one) => one.shape[paddedAxis(one)];

/** The mask of a case; undefined for none. @param {Pick<Case, "shape" | "layout">} one @param {Inputs} inputs */
export function maskOf(one, { lengths }) {
  if (!lengths) return;
  const { shape, data } = maskOfLengths(lengths, paddedOf(one));
  return { shape: paddedAxis(one) === 2 ? [shape[0], 1, shape[1]] : shape, data };
}

/** The normalization of a case that is a formula. @param {Pick<Case, "norm">} one @returns {import("evenkeel").Normalization} */
export function formulaOf({ norm }) {
  const { of, options, activation } = formulas[norm];
  const factory = /** @type {(options: object) => import("evenkeel").Normalization} */ (catalog[of]);
  return activation ? withActivation(factory(options), activation) : factory(options);
}

/** That of one that is an operation. @param {Pick<Case, "norm" | "layout">} one */
export function operationOf({ norm, layout }) {
  const options = { axis: layout === "channelsFirst" ? 1 : -1, epsilon: EPSILON };
  if (norm === "layer") return layerNorm({ epsilon: EPSILON });
  if (norm === "rms") return rmsNorm({ epsilon: EPSILON });
  if (norm === "group") return groupNorm({ ...options, groups: GROUPS });
  if (norm === "instance") return instanceNorm(options);
  return batchNorm(options);
}

/**
 * The results of each pass in float64.
 * @param {Case} one @param {Inputs} inputs @returns {Promise<ExpectedPasses>}
 */
export async function expectedOf(one, inputs) {
  const reference = await open({ backend: "reference" });
  return formulas[one.norm]
    ? expectedOfFormula(reference, one, inputs)
    : expectedOfOperation(reference, one, inputs);
}

/** @param {ArrayLike<number>} values */
const wide = (values) => Float64Array.from(values);

/** Parameter gradients are sums of this many terms. @param {ArrayLike<number>} x @param {ArrayLike<number>} gradient */
const summed = (x, gradient) => Math.sqrt(x.length / gradient.length);

/** @param {import("evenkeel").Evenkeel} reference @param {Case} one @param {Inputs} inputs @returns {ExpectedPasses} */
function expectedOfFormula(reference, one, inputs) {
  const { norm, shape, passes } = one;
  const weights = Object.fromEntries(
    Object.entries(weightsIn(inputs)).map(([name, values]) => [name, wide(values)]),
  );
  const x = { shape, data: wide(inputs.x) };
  // one rounding to bfloat16 may fall to the other side
  const tolerance = norm.includes("bfloat16") ? 2 ** -7 : TOLERANCE;
  if (passes.includes("evaluate")) {
    const { y } = apply(reference, formulaOf(one), x, weights, { training: false });
    return { evaluate: { y: { values: y.data, scale: 1, tolerance } } };
  }
  const { y, backward } = apply(reference, formulaOf(one), x, weights);
  const gradients = backward({ shape, data: wide(inputs.dy) });
  /** @type {Record<string, Expected>} */
  const both = {
    y: { values: y.data, scale: 1, tolerance },
    dx: { values: gradients.dx.data, scale: 1, tolerance },
  };
  for (const [name, { data }] of Object.entries(gradients.weights))
    both[gradientName(name)] = { values: data, scale: summed(x.data, data), tolerance };
  return { both };
}

/** Of results, one rounding and a little more. */
const STORED = { float16: 2 ** -10, bfloat16: 2 ** -7 };

/** @param {import("evenkeel").Evenkeel} reference @param {Case} one @param {Inputs} given @returns {Promise<ExpectedPasses>} */
async function expectedOfOperation(reference, one, given) {
  const { shape, residual, storage } = one;
  const stored = async (/** @type {Float32Array} */ values) =>
    Float32Array.from(await reference.array([values.length], values, { type: storage }).read());
  const inputs = storage ? { ...given, x: await stored(given.x), dy: await stored(given.dy) } : given;
  const tolerance = storage && STORED[storage];
  const optional = (/** @type {Float32Array | undefined} */ values) => values && wide(values);
  const x = wide(inputs.x);
  if (residual) add(x, inputs.residual);
  const { gamma, beta, mean, variance } = inputs;
  const { y, saved } = reference.forward(
    operationOf(one),
    { shape, data: x },
    {
      ...{ gamma: optional(gamma), beta: optional(beta), mean: optional(mean), variance: optional(variance) },
      mask: maskOf(one, inputs),
    },
  );
  const gradients = reference.backward(saved, { shape, data: wide(inputs.dy) });
  const dx = gradients.dx.data;
  if (residual) add(dx, inputs.dSum);
  /** @type {Record<string, Expected>} */
  const forward = { y: { values: y.data, scale: 1, tolerance } };
  if (residual) forward.sum = { values: x, scale: 1 };
  /** @type {Record<string, Expected>} */
  const backward = { dx: { values: dx, scale: 1, tolerance } };
  for (const name of /** @type {const} */ (["dGamma", "dBeta"])) {
    const array = gradients[name];
    if (array) backward[name] = { values: array.data, scale: summed(x, array.data) };
  }
  return { forward, backward, both: { ...forward, ...backward }, evaluate: forward };
}

/**
 * What contestants give that only copy: memcpy x, the loop the sum of the arrays that it reads.
 * @param {"memcpy" | "loop"} copy @param {Case} one @param {Inputs} inputs @returns {ExpectedPasses}
 */
export function copiesOf(copy, one, inputs) {
  const x = { values: inputs.x, scale: 1 };
  if (copy === "memcpy") return Object.fromEntries(one.passes.map((pass) => [pass, { y: x }]));
  const counts = arraysOf(one);
  const total = (/** @type {(Float32Array | undefined)[]} */ arrays, /** @type {number} */ reads) => {
    const values = wide(inputs.x);
    for (const each of arrays.filter((array) => array !== undefined).slice(0, reads - 1)) add(values, each);
    return { values, scale: 1 };
  };
  const y = total([inputs.residual], counts.forward.reads);
  const dx = total([inputs.dy, inputs.dSum], counts.backward.reads);
  return { forward: { y }, backward: { dx }, both: { y, dx } };
}

/** @param {import("evenkeel").Values} to @param {ArrayLike<number>} from */
function add(to, from) {
  for (let i = 0; i < to.length; i++) to[i] += from[i];
}

/** The tolerance of `worstError`: about a thousand float32 roundings. */
export const TOLERANCE = 1e-4;

/**
 * The largest |actual − expected| / (scale + |expected|), or NaN if a value is NaN.
 * @param {ArrayLike<number>} actual @param {Expected} expected
 */
export function worstError(actual, { values, scale }) {
  if (actual.length !== values.length) {
    throw new RangeError(`worstError: actual must have ${values.length} values, got ${actual.length}`);
  }
  let worst = 0;
  for (let i = 0; i < values.length; i++) {
    const error = Math.abs(actual[i] - values[i]) / (scale + Math.abs(values[i]));
    if (!(error <= worst)) worst = error;
    if (Number.isNaN(error)) return error;
  }
  return worst;
}
