/** Statistics of the batch and of each example, mixed by the size of the batch; those of evaluation chosen on validation. */
import { cnn } from "../models/cnn.js";
import { inBatches } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const batchLayerImages: Recipe = {
  name: "batch-layer-images",
  group: "Vision",
  question:
    "Does Batch Layer Normalization, with its choice of statistics, do better on images than batch and layer normalization, in small batches and in large ones?",
  literature: {
    says: "with a fifth of CIFAR-10, of single images it got 44.2 % right, layer normalization 37.8 % and batch normalization 10.9 %; of batches of 25 it was 45.5, 42.3 and 45.3 %",
    source: "runs of Ziaee & Çano 2022, arXiv 2209.08898",
  },
  claims: inBatches(1, 2, 25),
  data: "digits",
  reading: { limit: 600 },
  choices: {
    model: cnn.name,
    depth: 3,
    norms: ["batch", "layer", "batch-layer"],
    baseline: "batch",
    seeds: 5,
    epochs: 8,
    batchSize: 25,
    optimizer: "adam",
    tune: [0.002, 0.006],
    sweep: { setting: "batch-size", values: [1, 2, 25] },
  },
};
