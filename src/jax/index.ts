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
import { type Normalization, run } from "../norms/normalization.js";
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
  return Object.fromEntries(
    Object.entries(normalization.weights(...shapes)).map(([name, { shape, initial }]) => [
      name,
      typeof initial === "number"
        ? np.full([...shape], initial, { dtype: np.float32 })
        : np.array(Float32Array.from(initial)).reshape([...shape]),
    ]),
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
  const type = given[0].dtype;
  const wide = (array: JaxArray) => (array.dtype === np.float16 ? array.astype(np.float32) : array);
  const arrays = given.map(wide);
  const started = init(normalization, ...arrays.map(({ shape }) => shape));
  const unknown = Object.keys(weights).filter((name) => !(name in started));
  if (unknown.length > 0) {
    throw new RangeError(
      `${normalization.name}: no weights are called ${unknown.join(", ")}; there are ${Object.keys(started).join(", ") || "none"}`,
    );
  }
  for (const name of Object.keys(weights)) started[name].dispose();
  const all: Weights = { ...started, ...weights };
  const ops = new JaxOps();
  const added = residual && wide(residual);
  const result = run(ops, normalization, arrays, all, { training, mask, residual: added });
  /** A reference that outlives what is given back, in the type that x came in. */
  const out = (array: JaxArray) => (type === np.float16 ? array.ref.astype(type) : array.ref);
  const applied: Applied = {
    y: out(result.y),
    more: (result.more ?? []).map(out),
    state: Object.fromEntries(Object.entries(result.state ?? {}).map(([name, array]) => [name, array.ref])),
  };
  if (result.sum) applied.sum = out(result.sum);
  ops.release([...arrays, ...Object.values(all), ...[mask, added].filter((array) => array !== undefined)]);
  return applied;
}
