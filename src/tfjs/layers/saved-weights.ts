/**
 * Weights of saved models as Keras and Addons write them: under other names, in other shapes of the same values, with some that are
 * of no use here. TensorFlow.js loads weights by their exact names and shapes.
 */
import * as tf from "@tensorflow/tfjs-core";
import { LayersModel, type LayerVariable } from "@tensorflow/tfjs-layers";
import type { Layer } from "../types.js";

interface Loader {
  readonly layers: Layer[];
  loadWeights(weights: tf.NamedTensorMap, strict?: boolean): void;
}

let reads = false;

/** Lets every model load them. */
export function readKerasWeights(): void {
  if (reads) return;
  reads = true;
  // that of a model's superclass, which sequential models have too
  const prototype: Loader = Object.getPrototypeOf(LayersModel.prototype);
  const { loadWeights } = prototype;
  prototype.loadWeights = function (this: Loader, weights, strict) {
    tf.tidy(() => {
      loadWeights.call(this, translated(this, weights), strict);
    });
  };
}

/** The same weights, as the model's variables are called and shaped. What nothing is known of stays as it is, for TensorFlow.js to refuse. */
function translated({ layers }: Loader, weights: tf.NamedTensorMap): tf.NamedTensorMap {
  const variables = new Map(layers.flatMap((layer) => layer.weights).map((one) => [one.originalName, one]));
  // without a prototype, since files name them
  const result: tf.NamedTensorMap = Object.create(null);
  for (const [name, tensor] of Object.entries(weights)) {
    const target = targetOf(name, variables, weights);
    if (target === undefined) result[name] = tensor;
    else if (target !== null) result[target] = fitted(tensor, variables.get(target) as LayerVariable);
  }
  for (const [name, variable] of variables) {
    // which Keras has as options
    if (!(name in result) && LIMITS.test(name)) result[name] = variable.read();
  }
  return result;
}

/** The name of the variable that a saved weight is for; null where it is for none, undefined where that is not known. */
function targetOf(
  name: string,
  variables: ReadonlyMap<string, LayerVariable>,
  weights: tf.NamedTensorMap,
): string | null | undefined {
  if (variables.has(name)) return name;
  const [own, ...scopes] = name.split("/").reverse();
  const scope = scopes.reverse();
  const within = (path: string[], weight: string) => [...path, weight].join("/");
  const addons = variables.has(within(scope, "g")) || variables.has(within(scope.slice(0, -1), "g"));
  // whether g is set already, and a copy of the layer from before it was
  if (addons && (own === "initialized" || scope[scope.length - 1] === "data_dep_init")) return null;
  // of Batch Renormalization, which evaluates by the deviation
  if (own === "moving_variance" && variables.has(within(scope, "moving_stddev"))) return null;
  // TensorFlow writes the inner layer's or cell's name too
  const shorter = within(scope.slice(0, -1), own);
  if (scope.length > 1 && variables.has(shorter)) return shorter;
  const renamed = Object.hasOwn(RENAMED, own) ? within(scope, RENAMED[own]) : "";
  if (variables.has(renamed)) return renamed;
  if (scope.length > 0) return undefined;
  // a weight that was made outside of any layer's scope
  const candidates = [...variables.keys()].filter((one) => one.endsWith(`/${own}`) && !(one in weights));
  return candidates.length === 1 ? candidates[0] : undefined;
}

/** Addons' names. */
const RENAMED: Readonly<Record<string, string>> = { sn_u: "vector_u" };
const LIMITS = /\/[rd]_max$/;

/** In the variable's shape and type, where it has as many values. */
function fitted(tensor: tf.Tensor, variable: LayerVariable): tf.Tensor {
  const shape = variable.shape as number[];
  const dtype = (variable.read() as tf.Tensor).dtype;
  if (tensor.size !== tf.util.sizeFromShape(shape)) return tensor;
  const long = (lengths: readonly number[]) => lengths.filter((length) => length !== 1).join();
  const same = tensor.shape.join() === shape.join() || long(tensor.shape) !== long(shape);
  const shaped = same ? tensor : tf.reshape(tensor, shape);
  return shaped.dtype === dtype ? shaped : tf.cast(shaped, dtype);
}
