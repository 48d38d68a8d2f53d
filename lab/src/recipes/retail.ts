/** What else belongs into a basket, by an autoencoder of baskets. */
import { autoencoder } from "../models/autoencoder.js";
import { recommendation } from "../tasks/recommendation.js";
import { byLayer, RECOMMENDATION } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const retail: Recipe = {
  name: "retail",
  group: "Industries",
  question: "Does layer normalization find better what else belongs in a supermarket's baskets?",
  literature: RECOMMENDATION,
  claims: [byLayer("metric"), byLayer("epochs")],
  data: "supermarket",
  reading: { task: recommendation.name },
  choices: { model: autoencoder.name, norms: ["none", "layer", "batch"], seeds: 5 },
};
