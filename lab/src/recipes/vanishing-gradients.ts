/** How much of the gradient of the loss arrives at the first of many layers. */
import { mlp } from "../models/mlp.js";
import { byLayer } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const vanishingGradients: Recipe = {
  name: "vanishing-gradients",
  group: "Mechanisms",
  question: "Does normalization keep the gradient from vanishing on its way through 20 layers of sigmoids?",
  literature: {
    says: "with sigmoids, Inception gets 69.8 % of ImageNet right with batch normalization, and never more than one in a thousand without",
    source: "Ioffe & Szegedy 2015, arXiv 1502.03167",
  },
  claims: [
    byLayer("gradient"),
    byLayer("metric"),
    { better: { norm: "batch" }, than: { norm: "none" }, by: "gradient" },
  ],
  data: "digits",
  reading: {},
  choices: {
    model: mlp.name,
    depth: 20,
    activation: "sigmoid",
    norms: ["none", "layer", "batch"],
    seeds: 5,
    epochs: 6,
  },
};
