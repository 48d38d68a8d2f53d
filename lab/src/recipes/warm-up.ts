/** The first steps of a transformer, with and without a learning rate that rises slowly. */
import { transformer } from "../models/transformer.js";
import type { Recipe } from "./recipe.js";

export const warmUp: Recipe = {
  name: "warm-up",
  group: "Transformers",
  question: `Does a ${transformer.title} need a warm-up of the learning rate, or only where its norms come after the sums?`,
  literature: {
    says: `translating German, a ${transformer.title} whose norms come after the sums reaches a BLEU of 8.45 without warm-up, and 34 with it; where they come before the parts it needs none`,
    source: "Xiong et al. 2020, arXiv 2002.04745",
  },
  claims: [
    { better: { norm: "layer", at: 0 }, than: { norm: "post-layer", at: 0 }, by: "metric" },
    { better: { norm: "post-layer", at: 0.1 }, than: { norm: "post-layer", at: 0 }, by: "metric" },
  ],
  data: "sentiment-yelp",
  reading: { target: "class", text: "text" },
  choices: {
    model: transformer.name,
    depth: 6,
    width: 32,
    norms: ["layer", "post-layer"],
    seeds: 5,
    epochs: 4,
    learningRate: 0.003,
    sweep: { setting: "warm-up", values: [0, 0.1] },
  },
};
