/** Which of four vehicles a silhouette is of. */
import { mlp } from "../models/mlp.js";
import { byLayer, UCI } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const automotive: Recipe = {
  name: "automotive",
  group: "Industries",
  question: "Does layer normalization recognize vehicles by their silhouettes better?",
  literature: UCI,
  claims: [byLayer("metric"), byLayer("epochs")],
  data: "vehicle",
  reading: {},
  choices: { model: mlp.name, depth: 4, norms: ["none", "layer", "batch"], seeds: 8, epochs: 12 },
};
