/** What several recipes quote, and the claims that they are about. */
import { autoencoder } from "../models/autoencoder.js";
import type { Better, MeasureName, Recipe } from "./recipe.js";

/** Klambauer et al. compare seven kinds of network on 121 tables, these among them. */
export const UCI: Recipe["literature"] = {
  says: "layer normalization is said to improve what deep networks make of tables; on 121 of them, this one included, it ranked no better than no normalization (−0.20 against −0.24 from the mean rank of seven kinds)",
  source: "Klambauer et al. 2017, arXiv 1706.02515",
};

/** An autoencoder with layer normalization, besides other changes, against the one that it goes back to. */
export const RECOMMENDATION: Recipe["literature"] = {
  says: `on 20 million ratings of films, the NDCG of the first 100 is 0.442 with a ${autoencoder.title} that has layer normalization, besides other changes, and 0.426 with one that has none`,
  source: "RecVAE, Shenbin et al. 2020, arXiv 1912.11160",
};

/** A network with layer normalization against one without any. */
export const byLayer = (by: MeasureName): Better => ({
  better: { norm: "layer" },
  than: { norm: "none" },
  by,
});

/** Batch Layer Normalization against both that it is made of, in batches of these sizes. */
export const inBatches = (...sizes: [number, ...number[]]): Recipe["claims"] =>
  sizes.flatMap((at): Better[] =>
    ["batch", "layer"].map((norm) => ({
      better: { norm: "batch-layer", at },
      than: { norm, at },
      by: "metric",
    })),
  ) as [Better, ...Better[]];
