/** Benign or malignant, from measurements of cell nuclei. */
import { mlp } from "../models/mlp.js";
import { byLayer, UCI } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const healthcare: Recipe = {
  name: "healthcare",
  group: "Industries",
  question: "Does layer normalization diagnose breast masses better, from measurements of cell nuclei?",
  literature: UCI,
  claims: [byLayer("metric"), byLayer("epochs")],
  data: "breast-cancer",
  reading: {},
  choices: { model: mlp.name, depth: 4, norms: ["none", "layer", "batch"], seeds: 8, epochs: 12 },
};
