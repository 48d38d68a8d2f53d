/** What state a space shuttle is in, from the raw values of its sensors. */
import { mlp } from "../models/mlp.js";
import { byLayer, UCI } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const aerospace: Recipe = {
  name: "aerospace",
  group: "Industries",
  question: "Does layer normalization make fewer errors on the raw sensor values of a space shuttle?",
  literature: UCI,
  claims: [byLayer("metric"), byLayer("epochs")],
  data: "shuttle",
  reading: { limit: 6_000 },
  choices: { model: mlp.name, depth: 4, norms: ["none", "layer", "batch"], seeds: 8, epochs: 12 },
};
