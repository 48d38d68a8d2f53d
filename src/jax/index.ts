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

/** By name, as the normalization calls them. */
export type Weights = Record<string, JaxArray>;

export interface Applied {
  /** The normalized array, in the type of x. */
  y: JaxArray;
  /** x + residual; absent without a residual. */
  sum?: JaxArray;
  /** What it gives beside y. */
  more: JaxArray[];
  /** What replaces the weights that are not trained, by name; empty outside training. */
  state: Weights;
}

/** Weights at their start, for inputs of these shapes: float32. */
export function init(normalization: Normalization, ...shapes: (readonly number[])[]): Weights {
  checkNormalization(normalization);
  return Object.fromEntries(
    Object.entries(normalization.weights(...shapes)).map(([name, weight]) => [name, started(weight)]),
  );
}

/**
 * Applies a normalization to x, or to x and a condition. As everywhere in jax-js, arguments are used up: `.ref` keeps them.
 * Weights that are left out are at their start. Statistics are float32, whatever the type of x.
 * @throws RangeError where a shape does not fit, or a weight is not one of the normalization's
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
  for (const [name, weight] of Object.entries(specified)) all[name] ??= started(weight);
  const ops = new JaxOps();
  try {
    const result = run(ops, normalization, arrays, all, {
      training,
      mask: mask ?? undefined,
      residual: added,
    });
    /** A reference that outlives what is given back, in the type that x came in. */
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

function started(weight: Weight): JaxArray {
  const { shape, initial } = weight;
  if (typeof initial === "number") return np.full([...shape], initial, { dtype: np.float32 });
  return np.array(Float32Array.from(initialValues(weight))).reshape([...shape]);
}
