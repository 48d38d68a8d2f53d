/** What letter comes next in a novel. */
import { lstm } from "../models/lstm.js";
import { languageModel } from "../tasks/language-model.js";
import type { Recipe } from "./recipe.js";

export const characters: Recipe = {
  name: "characters",
  group: "Language",
  question: "Does an LSTM that normalizes its gates and cells foretell the letters of a novel better?",
  literature: {
    says: "on the characters of the Penn Treebank, an LSTM of 1000 units needs 1.267 bits a character with layer normalization, and 1.312 without",
    source: "Ha, Dai & Le 2016, arXiv 1609.09106",
  },
  claims: [
    { better: { norm: "layer-norm-lstm" }, than: { norm: "none" }, by: "metric" },
    { better: { norm: "layer-norm-lstm" }, than: { norm: "none" }, by: "epochs" },
  ],
  data: "moby-dick",
  reading: { task: languageModel.name, window: 40, limit: 50_000 },
  choices: {
    model: lstm.name,
    norms: ["none", "layer-norm-lstm"],
    seeds: 3,
    epochs: 6,
    batchSize: 16,
    learningRate: 0.005,
  },
};
