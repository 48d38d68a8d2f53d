/** Which models there are. Light: no TensorFlow.js is loaded. */
import { type Form, isCausal } from "../data/form.js";
import {
  aboutOf,
  choosesStatistics,
  hasLayer,
  type NormName,
  namesIn,
  normNames,
  placedOf,
  usualNorms,
} from "../norms.js";
import type { OptimizerName } from "../settings.js";
import { autoencoder } from "./autoencoder.js";
import { cnn } from "./cnn.js";
import { gru } from "./gru.js";
import { linear } from "./linear.js";
import { lstm } from "./lstm.js";
import { mlp } from "./mlp.js";
import type { Model, ModelSettings, Usual } from "./model.js";
import { residualCnn } from "./residual-cnn.js";
import { residualMlp } from "./residual-mlp.js";
import { transformer } from "./transformer.js";
import { twoTowers } from "./two-towers.js";

const entries = {
  [mlp.name]: mlp,
  [residualMlp.name]: residualMlp,
  [cnn.name]: cnn,
  [residualCnn.name]: residualCnn,
  [linear.name]: linear,
  [transformer.name]: transformer,
  [lstm.name]: lstm,
  [gru.name]: gru,
  [autoencoder.name]: autoencoder,
  [twoTowers.name]: twoTowers,
};

export type ModelName = keyof typeof entries;
export const models: Readonly<Record<ModelName, Model>> = entries;
export const modelNames = Object.keys(models) as ModelName[];

/** The model of these settings. Throws RangeError for one that is not known. */
export function modelOf({ kind }: Pick<ModelSettings, "kind">): Model {
  const found = modelNames.find((name) => name === kind);
  if (found === undefined) throw new RangeError(`modelOf: kind must be a model, got "${kind}"`);
  return models[found];
}

/** The model for such inputs, where it accepts these, or else the first that does. Throws RangeError where none does. */
export function usualModel(form: Form): ModelName {
  const accepting = acceptingModels(form);
  const usual = accepting.find((name) => models[name].usualFor.includes(form.input.kind)) ?? accepting[0];
  if (usual === undefined) throw new RangeError(`usualModel: no model accepts ${form.input.kind}`);
  return usual;
}

/** What is usual for a model and such inputs. */
export const usualOf = (model: Model, { input }: Form): Usual => ({
  ...model.usual,
  ...model.usualOn?.[input.kind],
});

/** The models that accept such inputs, at this depth or their usual one. */
export const acceptingModels = (form: Form, depth?: number): ModelName[] =>
  modelNames.filter((name) => !models[name].refusal(form, depth ?? usualOf(models[name], form).depth));

/** Whether a normalization has anything to normalize in such a model, of such examples where they are known. */
export function fits(norm: NormName, model: Model, form?: Form): boolean {
  const { places, sequences = [], arrangements = [] } = model;
  const placed = placedOf(norm);
  if (placed === undefined || (placed.arrangement && !arrangements.includes(placed.arrangement)))
    return false;
  const hasPlaces = namesIn(placed).every((name) => {
    const takes = aboutOf(name)?.takes;
    if (takes === "sequence") return sequences.includes(name);
    return takes !== undefined && hasLayer(name) && places.includes(takes);
  });
  return (
    hasPlaces &&
    model.unfit?.(norm) === undefined &&
    (form === undefined || misfitOf(norm, form) === undefined)
  );
}

/** It keeps a state for each example of a batch, and takes one after the other. */
const ONE_BY_ONE: NormName = "online";

/** Why a normalization has no place in any network for such examples, as it follows its name; undefined where it may have. */
export function misfitOf(norm: NormName, form: Form): string | undefined {
  const placed = placedOf(norm);
  if (placed?.around !== undefined && form.input.kind !== "series") {
    return "needs series to normalize over, and this data has none";
  }
  if (placed?.inner === undefined || !isCausal(form)) return undefined;
  if (aboutOf(placed.inner)?.takes === "positions") {
    return "normalizes over positions, and would tell each token what comes after it";
  }
  if (choosesStatistics(norm)) {
    return "may be evaluated by the statistics of a batch, which would tell each token what comes after it";
  }
  return placed.inner === ONE_BY_ONE
    ? "takes one example of a batch after the other, and here each token is one"
    : undefined;
}

/** The models that have a place for a normalization. */
export const modelsFor = (norm: NormName): ModelName[] =>
  modelNames.filter((name) => fits(norm, models[name]));

/** Every normalization that fits a model, and the arrangements of the usual ones. */
export const normsFor = (model: Model, form?: Form): NormName[] =>
  [...normNames, ...(model.arrangements ?? []).slice(1).map((each) => `${each}-${FIRST}`)].filter((norm) =>
    fits(norm, model, form),
  );

/** The normalization of residual blocks where only their arrangement is compared. */
const FIRST: NormName = "layer";

/** What is compared where the user does not say. */
export const usualNormsOf = (model: Model, form?: Form): NormName[] =>
  (model.norms ?? usualNorms).filter((norm) => fits(norm, model, form));

/** What a step with momentum is to one of plain gradient descent: 0.9 adds up ten steps. */
const MOMENTUM_STEPS = 10;

export const usualLearningRate = ({ learningRate: { sgd, adam } }: Usual, optimizer: OptimizerName): number =>
  ({ sgd, momentum: sgd / MOMENTUM_STEPS, adam })[optimizer];
