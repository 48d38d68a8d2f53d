/** Statistics of the batch and of each example, mixed by the size of the batch; those of evaluation chosen on validation. */
import { transformer } from "../models/transformer.js";
import { inBatches } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const batchLayerText: Recipe = {
  name: "batch-layer-text",
  group: "Language",
  question:
    "Does Batch Layer Normalization, with its choice of statistics, do better on texts than batch and layer normalization, in small batches and in large ones?",
  literature: {
    says: "with a fifth of the reviews of IMDB in batches of 25, it got 77.1 % right, layer normalization 71.1 % and batch normalization 69.8 %",
    source: "runs of Ziaee & Çano 2022, arXiv 2209.08898",
  },
  claims: inBatches(1, 2, 25),
  data: "sentiment-yelp",
  reading: { target: "class", text: "text", limit: 500 },
  choices: {
    model: transformer.name,
    depth: 1,
    width: 32,
    norms: ["batch", "layer", "batch-layer"],
    baseline: "batch",
    seeds: 5,
    epochs: 3,
    batchSize: 25,
    learningRate: 0.003,
    sweep: { setting: "batch-size", values: [1, 2, 25] },
  },
};
