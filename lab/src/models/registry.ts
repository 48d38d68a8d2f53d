/** Which models there are: from the most general to the most particular. Light: no TensorFlow.js is loaded. */
import { aboutOf, hasLayer, type NormName } from "../norms.js";
import type { OptimizerName } from "../settings.js";
import { cnn } from "./cnn.js";
import { mlp } from "./mlp.js";
import type { Model } from "./model.js";

const entries = { [mlp.name]: mlp, [cnn.name]: cnn };

export type ModelName = keyof typeof entries;
export const models: Readonly<Record<ModelName, Model>> = entries;
export const modelNames = Object.keys(models) as ModelName[];

/** The most particular of the models that accept such inputs at their usual depth. */
export function usualModel(inputShape: readonly number[]): ModelName {
  const accepting = acceptingModels(inputShape);
  return accepting[accepting.length - 1];
}

/** The models that accept such inputs, at this depth or their usual one. */
export const acceptingModels = (inputShape: readonly number[], depth?: number): ModelName[] =>
  modelNames.filter((name) => !models[name].refusal(inputShape, depth ?? models[name].usual.depth));

/** The models that have a place for a normalization. */
export function modelsFor(norm: NormName): ModelName[] {
  const about = aboutOf(norm);
  if (about === undefined) return modelNames;
  return hasLayer(norm) ? modelNames.filter((name) => models[name].places.includes(about.takes)) : [];
}

/** Whether a normalization has anything to normalize over in such a model. */
export const fits = (norm: NormName, model: ModelName): boolean => modelsFor(norm).includes(model);

/** What a step of the other optimizers is to one of plain gradient descent, by experience. */
const STEP: Record<OptimizerName, (rate: number) => number> = {
  sgd: (rate) => rate,
  // momentum of 0.9 adds up ten steps
  momentum: (rate) => rate / 10,
  // its steps do not depend on the size of the gradient
  adam: () => 0.002,
};

export const usualLearningRate = (model: ModelName, optimizer: OptimizerName): number =>
  STEP[optimizer](models[model].usual.learningRate);
