/**
 * Loads weights as Keras and Addons save them: under other names, in other shapes of the same values, some of
 * them unused here. TensorFlow.js requires exact names and shapes.
 */
import * as tf from "@tensorflow/tfjs-core";
import { LayersModel, type LayerVariable } from "@tensorflow/tfjs-layers";
import type { Layer } from "../types.js";

interface Loader {
  readonly layers: Layer[];
  loadWeights(weights: tf.NamedTensorMap, strict?: boolean): void;
}

let isInstalled = false;

/** Makes every model load such weights. */
export function readKerasWeights(): void {
  if (isInstalled) return;
  isInstalled = true;
  // the prototype of models' superclass, which sequential models share
  const prototype: Loader = Object.getPrototypeOf(LayersModel.prototype);
  const { loadWeights } = prototype;
  prototype.loadWeights = function (this: Loader, weights, strict) {
    tf.tidy(() => {
      loadWeights.call(this, translated(this, weights), strict);
    });
  };
}

/**
 * The same weights by the names and shapes of the model's variables. Unknown ones stay as they are, for
 * TensorFlow.js to reject.
 */
function translated({ layers }: Loader, weights: tf.NamedTensorMap): tf.NamedTensorMap {
  const variables = new Map(layers.flatMap((layer) => layer.weights).map((one) => [one.originalName, one]));
  // without a prototype, since the names come from files
  const result: tf.NamedTensorMap = Object.create(null);
  for (const [name, tensor] of Object.entries(weights)) {
    const target = targetOf(name, variables, weights);
    if (target === undefined) result[name] = tensor;
    else if (target !== null) result[target] = fitted(tensor, variables.get(target) as LayerVariable);
  }
  for (const [name, variable] of variables) {
    // in Keras these are options
    if (!(name in result) && LIMITS.test(name)) result[name] = variable.read();
  }
  return result;
}

/** The name of the variable that a saved weight is for; null where it is unused, undefined where it is unknown. */
function targetOf(
  name: string,
  variables: ReadonlyMap<string, LayerVariable>,
  weights: tf.NamedTensorMap,
): string | null | undefined {
  if (variables.has(name)) return name;
  const [own, ...scopes] = name.split("/").reverse();
  const scope = scopes.reverse();
  const within = (path: string[], weight: string) => [...path, weight].join("/");
  const addons = scope.some((_, i) => variables.has(within(scope.slice(0, i + 1), "g")));
  // the flag that g is initialized, and a copy of the layer from before it was
  if (addons && (own === "initialized" || scope[scope.length - 1] === "data_dep_init")) return null;
  // Batch Renormalization evaluates by the standard deviation
  if (own === "moving_variance" && variables.has(within(scope, "moving_stddev"))) return null;
  // TensorFlow adds the name of the inner layer or cell, in which there may be slashes
  for (let length = scope.length - 1; length > 0; length--) {
    const shorter = within(scope.slice(0, length), own);
    if (variables.has(shorter)) return shorter;
  }
  const renamed = Object.hasOwn(RENAMED, own) ? within(scope, RENAMED[own]) : "";
  if (variables.has(renamed)) return renamed;
  if (scope.length > 0) return undefined;
  // a weight created outside of any layer's scope
  const candidates = [...variables.keys()].filter((one) => one.endsWith(`/${own}`) && !(one in weights));
  return candidates.length === 1 ? candidates[0] : undefined;
}

/** Our names of weights by Addons'. */
const RENAMED: Readonly<Record<string, string>> = { sn_u: "vector_u" };
const LIMITS = /\/[rd]_max$/;

/** In the variable's shape and type, if it has as many values. */
function fitted(tensor: tf.Tensor, variable: LayerVariable): tf.Tensor {
  const shape = variable.shape as number[];
  const dtype = (variable.read() as tf.Tensor).dtype;
  if (tensor.size !== tf.util.sizeFromShape(shape)) return tensor;
  const long = (lengths: readonly number[]) => lengths.filter((length) => length !== 1).join();
  const same = tensor.shape.join() === shape.join() || long(tensor.shape) !== long(shape);
  const shaped = same ? tensor : tf.reshape(tensor, shape);
  return shaped.dtype === dtype ? shaped : tf.cast(shaped, dtype);
}
