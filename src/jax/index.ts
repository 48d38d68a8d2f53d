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
 * @throws TypeError for a value that is not a normalization; RangeError for a shape that does not fit
 */
export function init(normalization: Normalization, ...shapes: (readonly number[])[]): Weights {
  checkNormalization(normalization);
  return Object.fromEntries(
    Object.entries(normalization.weights(...shapes)).map(([name, weight]) => [name, initialOf(weight)]),
  );
}

/**
 * Applies a normalization to x, or to [x, condition]. As everywhere in jax-js, arguments are consumed: pass `.ref` to keep them.
 * Weights default to their initial values, `training` to true. Statistics are float32 for any type of x; y has the type of x.
 * @throws RangeError for a shape that does not fit, or an unknown weight
 */
export function apply(
  normalization: Normalization,
  inputs: JaxArray | readonly JaxArray[],
  weights: Weights = {},
  { training = true, mask, residual }: { training?: boolean; mask?: JaxArray; residual?: JaxArray } = {},
): Applied {
  const given = (Array.isArray(inputs) ? inputs : [inputs]) as readonly JaxArray[];
  const shapes = Object.entries(weights).map(([name, { shape }]) => [name, shape]);
  const specified = weightsFor(normalization, given, Object.fromEntries(shapes));
  const type = given[0].dtype;
  const wide = (array: JaxArray) =>
    array.dtype === np.float32 || array.dtype === np.float64 ? array : array.astype(np.float32);
  const arrays = given.map(wide);
  const added = residual ? wide(residual) : undefined;
  const all: Weights = { ...weights };
  for (const [name, weight] of Object.entries(specified)) all[name] ??= initialOf(weight);
  const ops = new JaxOps();
  try {
    const result = run(ops, normalization, arrays, all, {
      training,
      mask: mask ?? undefined,
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

function initialOf(weight: Weight): JaxArray {
  const { shape, initial } = weight;
  if (typeof initial === "number") return np.full([...shape], initial, { dtype: np.float32 });
  return np.array(Float32Array.from(initialValues(weight))).reshape([...shape]);
}
