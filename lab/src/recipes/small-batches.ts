/** Two images at a time, as where one image fills the memory. */
import { cnn } from "../models/cnn.js";
import type { Recipe } from "./recipe.js";

export const smallBatches: Recipe = {
  name: "small-batches",
  group: "Vision",
  question: "At two images to a batch, does group normalization do better than batch normalization?",
  literature: {
    says: "on ImageNet with batches of 2 per device, the error of a residual network is 10.6 points lower with group than with batch normalization",
    source: "Wu & He 2018, arXiv 1803.08494",
  },
  claims: [
    { better: { norm: "group" }, than: { norm: "batch" }, by: "metric" },
    { better: { norm: "layer" }, than: { norm: "batch" }, by: "metric" },
  ],
  data: "digits",
  reading: {},
  choices: {
    model: cnn.name,
    depth: 6,
    norms: ["batch", "group", "layer"],
    baseline: "batch",
    seeds: 5,
    epochs: 2,
    batchSize: 2,
    tune: [0.01, 0.03, 0.1],
  },
};
