/** What somebody may want, by how near the vectors of users and items come. */
import { twoTowers } from "../models/two-towers.js";
import { recommendation } from "../tasks/recommendation.js";
import { byLayer, RECOMMENDATION } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const recommendations: Recipe = {
  name: "recommendations",
  group: "Uses",
  question: "Does layer normalization improve the recommendations of two towers?",
  literature: RECOMMENDATION,
  claims: [byLayer("metric"), byLayer("epochs")],
  data: "supermarket",
  reading: { task: recommendation.name },
  choices: { model: twoTowers.name, norms: ["none", "layer", "batch"], seeds: 5, learningRate: 0.001 },
};
