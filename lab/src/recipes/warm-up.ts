/** The first steps of a transformer, with and without a learning rate that rises slowly. */
import { transformer } from "../models/transformer.js";
import { languageModel } from "../tasks/language-model.js";
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
  data: "moby-dick",
  reading: { task: languageModel.name, window: 64, limit: 60_000 },
  choices: {
    model: transformer.name,
    depth: 6,
    width: 32,
    norms: ["layer", "post-layer"],
    seeds: 5,
    epochs: 5,
    batchSize: 8,
    learningRate: 0.01,
    sweep: { setting: "warm-up", values: [0, 0.1] },
  },
};
