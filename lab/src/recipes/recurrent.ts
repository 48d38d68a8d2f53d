/** Gates that normalize what they are given, at every word. */
import { gru } from "../models/gru.js";
import type { Recipe } from "./recipe.js";

export const recurrent: Recipe = {
  name: "recurrent",
  group: "Recurrent networks",
  question: "Does a recurrent network learn in fewer epochs where its gates are normalized?",
  literature: {
    says: "with layer normalization, a gated recurrent network reached its best after 60 % of the time that it took without",
    source: "Ba, Kiros & Hinton 2016, arXiv 1607.06450",
  },
  claims: [
    { better: { norm: "layer-norm-gru" }, than: { norm: "none" }, by: "epochs" },
    { better: { norm: "layer-norm-gru" }, than: { norm: "none" }, by: "metric" },
    { better: { norm: "layer-norm-gru" }, than: { norm: "none" }, by: "seconds" },
  ],
  data: "sentiment-yelp",
  reading: { target: "class", text: "text" },
  choices: {
    model: gru.name,
    width: 32,
    norms: ["none", "layer-norm-gru"],
    seeds: 5,
    epochs: 4,
    learningRate: 0.005,
  },
};
