/** How many of its answers are wrong. */
import { cnn } from "../models/cnn.js";
import { byLayer } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const errorRates: Recipe = {
  name: "error-rates",
  group: "Uses",
  question: "Which normalization makes the fewest errors on images of digits?",
  literature: {
    says: "on ImageNet with batches of 32 per device, the error of a residual network is 23.6 % with batch, 24.1 % with group and 25.3 % with layer normalization",
    source: "Wu & He 2018, arXiv 1803.08494",
  },
  claims: [
    byLayer("metric"),
    { better: { norm: "batch" }, than: { norm: "layer" }, by: "metric" },
    { better: { norm: "group" }, than: { norm: "layer" }, by: "metric" },
  ],
  data: "digits",
  reading: {},
  choices: {
    model: cnn.name,
    depth: 4,
    norms: ["none", "layer", "group", "batch"],
    seeds: 5,
    epochs: 8,
    tune: [0.05, 0.15, 0.45],
  },
};
