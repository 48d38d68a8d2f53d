/** Whether a sentence praises or complains. */
import { transformer } from "../models/transformer.js";
import { byLayer } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const sentiment: Recipe = {
  name: "sentiment",
  group: "Language",
  question:
    "Does layer normalization tell praise from complaint better than other normalizations, or than none?",
  literature: {
    says: "with a fifth of the reviews of IMDB in batches of 25, a recurrent network got 71.1 % right with layer, and 69.8 % with batch normalization",
    source: "runs of Ziaee & Çano 2022, arXiv 2209.08898",
  },
  claims: [byLayer("metric"), { better: { norm: "layer" }, than: { norm: "batch" }, by: "metric" }],
  data: "sentiment-yelp",
  reading: { target: "class", text: "text" },
  choices: { model: transformer.name, norms: ["none", "layer", "batch"], seeds: 5, epochs: 5 },
};
