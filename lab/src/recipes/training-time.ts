/** How long until a network is good enough. */
import { mlp } from "../models/mlp.js";
import { byLayer } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const trainingTime: Recipe = {
  name: "training-time",
  group: "Uses",
  question: "Does layer normalization shorten the training, in epochs and in seconds?",
  literature: {
    says: "a recurrent network with layer normalization reached its best after 60 % of the time that it took without",
    source: "Ba, Kiros & Hinton 2016, arXiv 1607.06450",
  },
  claims: [byLayer("seconds"), byLayer("epochs")],
  data: "digits",
  reading: {},
  choices: { model: mlp.name, depth: 6, norms: ["none", "layer", "rms", "batch"], seeds: 8, epochs: 12 },
};
