/** Will a loan be paid back? From what a bank knows about who asks for it. */
import { mlp } from "../models/mlp.js";
import { byLayer, UCI } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const finance: Recipe = {
  name: "finance",
  group: "Industries",
  question: "Does layer normalization tell good credit from bad more reliably?",
  literature: UCI,
  claims: [byLayer("metric"), byLayer("epochs")],
  data: "credit-g",
  reading: {},
  choices: { model: mlp.name, depth: 4, norms: ["none", "layer", "batch"], seeds: 8, epochs: 12 },
};
