/** How much larger the gradient becomes from the last to the first of many residual blocks. */
import { residualMlp } from "../models/residual-mlp.js";
import { byLayer } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const explodingGradients: Recipe = {
  name: "exploding-gradients",
  group: "Mechanisms",
  question: "Does normalization keep the gradient from exploding in 60 residual blocks?",
  literature: {
    says: "without normalization the variance of what residual blocks add up to grows by a factor of 2 with each of them, so that gradients explode; with it, it grows by a constant",
    source: "Zhang, Dauphin & Ma 2019, arXiv 1901.09321",
  },
  claims: [byLayer("largest"), byLayer("metric"), byLayer("gradient")],
  data: "digits",
  reading: {},
  choices: {
    model: residualMlp.name,
    depth: 60,
    width: 32,
    norms: ["none", "layer", "batch"],
    seeds: 5,
    epochs: 2,
  },
};
