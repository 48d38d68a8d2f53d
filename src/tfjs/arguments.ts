/** Checks of what callers pass: tensors, models, and a model's inputs. */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { described } from "../shape.js";

/** @throws TypeError for what is not a tensor */
export function checkTensor(caller: string, name: string, value: unknown): asserts value is tf.Tensor {
  if (value instanceof tf.Tensor) return;
  throw new TypeError(
    `${caller}: ${name} must be a tensor, such as tf.ones([2, 3]), got ${described(value)}`,
  );
}

/** @throws TypeError for what is not a model of layers */
export function checkModel(caller: string, model: unknown): asserts model is LayersModel {
  const { layers, predictOnBatch } = (model ?? {}) as Partial<LayersModel>;
  // not by instanceof: the model may come from another copy of TensorFlow.js
  if (Array.isArray(layers) && typeof predictOnBatch === "function") return;
  throw new TypeError(
    `${caller}: model must be a LayersModel, got ${described(model)}; make one with tf.sequential(), tf.model() or tf.loadLayersModel()`,
  );
}

/**
 * Tensors of a model, in the order of these names.
 * @throws TypeError where any is not a tensor, RangeError where a list has not one for each name
 */
export function tensorsOf(
  caller: string,
  kind: "input" | "target",
  given: unknown,
  names: readonly string[],
): tf.Tensor | tf.Tensor[] {
  if (given instanceof tf.Tensor) return given;
  if (typeof given !== "object" || given === null) {
    throw new TypeError(
      `${caller}: ${kind}s must be a tensor, a list of tensors, or an object of tensors by name, got ${described(given)}`,
    );
  }
  const list: [name: string, tensor: unknown][] = Array.isArray(given)
    ? given.map((tensor, i) => [String(i), tensor])
    : names.map((name) => [`"${name}"`, (given as Record<string, unknown>)[name]]);
  if (list.length !== names.length) {
    const expected = `${names.length} ${kind}${names.length === 1 ? "" : "s"}`;
    throw new RangeError(
      `${caller}: the model has ${expected}, got ${list.length} tensors; pass one for each`,
    );
  }
  return list.map(([name, tensor]) => {
    checkTensor(caller, `${kind} ${name}`, tensor);
    return tensor;
  });
}
