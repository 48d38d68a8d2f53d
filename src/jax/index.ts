/**
 * Public names of `evenkeel/jax`: every normalization as a pure function of jax-js arrays, through which `grad`, `vmap` and
 * `jit` work. Needs @jax-js/jax.
 *
 *     import { apply, init } from "evenkeel/jax";
 *     const norm = layerNorm();
 *     const weights = init(norm, [32, 768]);
 *     const { y } = apply(norm, x, weights);
 */
import { numpy as np } from "@jax-js/jax";
import { initialValues, type Normalization, type Weight } from "../formula/normalization.js";
import { checkNormalization, run, weightsFor } from "../formula/run.js";
import { checkOptions } from "../options.js";
import { checkLengths, described } from "../shape.js";
import { type JaxArray, JaxOps } from "./ops.js";

export type { JaxArray } from "./ops.js";

/** Weights by name, as the normalization names them: `gamma`, `runningMean`, ... */
export type Weights = Record<string, JaxArray>;

/** The result of `apply`. */
export interface Applied {
  /** The normalized array, in the type of x. */
  y: JaxArray;
  /** x + residual; absent without a residual. */
  sum?: JaxArray;
  /** Further outputs, as documented by the normalization. */
  more: JaxArray[];
  /** New values of weights that are not trained, by name; empty outside training. */
  state: Weights;
}

/**
 * Initial weights for inputs of these shapes, float32.
 * @throws TypeError for a value that is not a normalization, or not a shape; RangeError for a shape that does not fit
 */
export function init(normalization: Normalization, ...shapes: (readonly number[])[]): Weights {
  checkNormalization(normalization, "init");
  if (shapes.length === 0) {
    throw new TypeError(
      "init: shape must be that of x, a list of lengths such as [2, 3], got none; further inputs follow",
    );
  }
  for (const [i, shape] of shapes.entries()) checkLengths("init", i === 0 ? "shape" : `shape ${i}`, shape);
  const inputs = shapes.map((shape) => ({ shape }));
  const specified = Object.entries(weightsFor(normalization, inputs, {}));
  return Object.fromEntries(specified.map(([name, weight]) => [name, initialOf(weight)]));
}

/**
 * Applies a normalization to x, or to [x, condition]. As everywhere in jax-js, arguments are consumed: pass `.ref` to keep them.
 * Weights default to their initial values, `training` to true. Statistics are float32 for any type of x; y has the type of x.
 * @throws TypeError for what is not a normalization or an array, or an unknown option; RangeError for a shape that does not fit, or an
 * unknown weight
 */
export function apply(
  normalization: Normalization,
  inputs: JaxArray | readonly JaxArray[],
  weights: Weights = {},
  options: { training?: boolean; mask?: JaxArray; residual?: JaxArray } = {},
): Applied {
  checkNormalization(normalization);
  if (typeof options === "object" && options !== null && Object.hasOwn(options, "reduce")) {
    throw new TypeError(
      "apply: reduce must be left out in jax-js, whose functions are traced and cannot call out for moments of other places; measure " +
        "them by apply without a framework (evenkeel), or train in TensorFlow.js (synchronizeStatistics)",
    );
  }
  checkOptions("apply", options, ["training", "mask", "residual"]);
  const { training = true, mask, residual } = options;
  if (typeof training !== "boolean") {
    throw new TypeError(
      `apply: training must be true or false, got ${described(training)}; leave it out for true`,
    );
  }
  if (typeof weights !== "object" || weights === null || Array.isArray(weights) || isArray(weights)) {
    // jax-js is published with shortened class names
    const got = isArray(weights) ? "one array" : described(weights);
    throw new TypeError(
      `apply: weights must be an object, arrays by name, got ${got}; leave it out for initial values`,
    );
  }
  const { name: called } = normalization;
  const given = (Array.isArray(inputs) ? inputs : [inputs]) as readonly JaxArray[];
  const passed = Object.entries(weights).filter(([, array]) => array !== undefined);
  for (const [i, array] of given.entries()) checkArray(called, i === 0 ? "x" : `input ${i}`, array);
  for (const [name, array] of passed) checkArray(called, name, array);
  if (mask !== undefined) checkArray(called, "mask", mask);
  if (residual !== undefined) checkArray(called, "residual", residual);
  const shapes = passed.map(([name, { shape }]) => [name, shape]);
  const specified = weightsFor(normalization, given, Object.fromEntries(shapes));
  const type = given[0].dtype;
  const wide = (array: JaxArray) =>
    array.dtype === np.float32 || array.dtype === np.float64 ? array : array.astype(np.float32);
  const arrays = given.map(wide);
  const added = residual ? wide(residual) : undefined;
  const all: Weights = Object.fromEntries(passed);
  for (const [name, weight] of Object.entries(specified)) all[name] ??= initialOf(weight);
  const ops = new JaxOps();
  try {
    const result = run(ops, normalization, arrays, all, {
      training,
      mask,
      residual: added,
    });
    /** A reference that outlives the release below, in the type of x. */
    const out = (array: JaxArray) => (type === np.float16 ? array.ref.astype(type) : array.ref);
    return {
      y: out(result.y),
      ...(result.sum && { sum: out(result.sum) }),
      more: (result.more ?? []).map(out),
      state: Object.fromEntries(Object.entries(result.state ?? {}).map(([name, array]) => [name, array.ref])),
    };
  } finally {
    ops.release([...arrays, ...Object.values(all), ...[mask, added].filter((array) => array !== undefined)]);
  }
}

/** Whether it is an array of jax-js, or a tracer of one. */
function isArray(value: unknown): value is JaxArray {
  const { shape, astype } = (value ?? {}) as Partial<JaxArray>;
  return Array.isArray(shape) && typeof astype === "function";
}

/** @throws TypeError for what is not an array of jax-js */
function checkArray(norm: string, name: string, value: unknown): asserts value is JaxArray {
  if (isArray(value)) return;
  throw new TypeError(
    `${norm}: ${name} must be an array of jax-js, such as numpy.ones([2, 3]), got ${described(value)}`,
  );
}

function initialOf(weight: Weight): JaxArray {
  const { shape, initial } = weight;
  if (typeof initial === "number") return np.full([...shape], initial, { dtype: np.float32 });
  return np.array(Float32Array.from(initialValues(weight))).reshape([...shape]);
}
