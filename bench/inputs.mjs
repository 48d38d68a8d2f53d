/** The arrays of a case, from a seed, and its results in float64. */
import { batchNorm, groupNorm, instanceNorm, layerNorm, open, rmsNorm } from "evenkeel";
import { EPSILON, GROUPS, sizeOf } from "./cases.mjs";
import { BLOCKS } from "./transformer.mjs";

/**
 * @typedef {import("./cases.mjs").Case} Case
 * @typedef {import("./cases.mjs").Pass} Pass
 * @typedef {Record<string, Float32Array>} Inputs
 * @typedef {{ values: ArrayLike<number>, scale: number }} Expected `scale`: the magnitude of the values that were summed
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
  const { norm, residual, shape, layout } = one;
  const size = sizeOf(shape);
  if (norm === "transformer") {
    // each block has four square kernels, one to four times the width and one back; of variance 1, scaled later
    const kernels = BLOCKS * 12 * shape[2] ** 2;
    return {
      x: seeded(size, 1),
      target: seeded(size, 2),
      kernels: seeded(kernels, 3, -Math.sqrt(3), Math.sqrt(3)),
    };
  }
  const parameters = shape[layout === "channelsFirst" ? 1 : shape.length - 1];
  /** @type {Inputs} */
  const inputs = {
    x: seeded(size, 1, -1, 3),
    dy: seeded(size, 2),
    gamma: seeded(parameters, 3, 0.5, 1.5),
  };
  if (norm !== "rms") inputs.beta = seeded(parameters, 4);
  if (residual) Object.assign(inputs, { residual: seeded(size, 5), dSum: seeded(size, 6) });
  if (norm === "batch-eval") {
    inputs.mean = seeded(parameters, 7, 0.5, 1.5);
    inputs.variance = seeded(parameters, 8, 0.5, 2);
  }
  return inputs;
}

/** The normalization of a case. @param {Pick<Case, "norm" | "layout">} one */
export function normOf({ norm, layout }) {
  const options = { axis: layout === "channelsFirst" ? 1 : -1, epsilon: EPSILON };
  if (norm === "layer") return layerNorm({ epsilon: EPSILON });
  if (norm === "rms") return rmsNorm({ epsilon: EPSILON });
  if (norm === "group") return groupNorm({ ...options, groups: GROUPS });
  if (norm === "instance") return instanceNorm(options);
  return batchNorm(options);
}

/**
 * The results of each pass in float64.
 * @param {Case} one @param {Inputs} inputs @returns {Promise<Partial<Record<Pass, Record<string, Expected>>>>}
 */
export async function expectedOf(one, inputs) {
  const { shape, residual } = one;
  const reference = await open({ backend: "reference" });
  const wide = (/** @type {Float32Array} */ values) => Float64Array.from(values);
  const optional = (/** @type {Float32Array | undefined} */ values) => values && wide(values);
  const x = wide(inputs.x);
  if (residual) add(x, inputs.residual);
  const { gamma, beta, mean, variance } = inputs;
  const { y, saved } = reference.forward(
    normOf(one),
    { shape, data: x },
    { gamma: optional(gamma), beta: optional(beta), mean: optional(mean), variance: optional(variance) },
  );
  const gradients = reference.backward(saved, { shape, data: wide(inputs.dy) });
  const dx = gradients.dx.data;
  if (residual) add(dx, inputs.dSum);
  // parameter gradients are sums of this many terms
  const summed = Math.sqrt(x.length / gamma.length);
  /** @type {Record<string, Expected>} */
  const forward = { y: { values: y.data, scale: 1 } };
  if (residual) forward.sum = { values: x, scale: 1 };
  /** @type {Record<string, Expected>} */
  const backward = { dx: { values: dx, scale: 1 } };
  for (const name of /** @type {const} */ (["dGamma", "dBeta"])) {
    const array = gradients[name];
    if (array) backward[name] = { values: array.data, scale: summed };
  }
  return { forward, backward, both: { ...forward, ...backward } };
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
