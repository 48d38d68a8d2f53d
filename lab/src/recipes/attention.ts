/** What attention compares, and how large it may be. */
import { transformer } from "../models/transformer.js";
import { languageModel } from "../tasks/language-model.js";
import { byLayer } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const attention: Recipe = {
  name: "attention",
  group: "Transformers",
  question:
    "Do transformers foretell letters better with layer normalization, and with normalized queries and keys?",
  literature: {
    says: "with normalized queries and keys, BLEU is 0.93 higher on average over five pairs of languages than with layer normalization before the parts alone",
    source: "Henry et al. 2020, arXiv 2010.04245",
  },
  claims: [byLayer("metric"), { better: { norm: "qk-layer" }, than: { norm: "layer" }, by: "metric" }],
  data: "moby-dick",
  reading: { task: languageModel.name, window: 64, limit: 100_000 },
  choices: {
    model: transformer.name,
    width: 32,
    norms: ["none", "layer", "qk-layer"],
    seeds: 3,
    epochs: 4,
    batchSize: 8,
    learningRate: 0.003,
  },
};
