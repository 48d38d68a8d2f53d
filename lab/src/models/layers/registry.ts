/** The lab's own layers, which models ask for by their classes: a list of models can be read without loading TensorFlow.js. */
import { BagOfItems } from "./bag-of-items.js";
import { CosineScores } from "./cosine-scores.js";
import { EachStep } from "./each-step.js";
import { EmbeddedCategories } from "./embedded-categories.js";
import { ItemVectors } from "./item-vectors.js";
import { MeanOfSteps } from "./mean-of-steps.js";
import { Positions } from "./positions.js";

export const ownLayers = {
  BagOfItems,
  CosineScores,
  EachStep,
  EmbeddedCategories,
  ItemVectors,
  MeanOfSteps,
  Positions,
};

/** What a layer of this class is made of. */
export type OwnArgs = {
  [Name in keyof typeof ownLayers]: ConstructorParameters<(typeof ownLayers)[Name]>[0];
};
