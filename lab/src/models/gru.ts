/** Gated recurrent units (Cho et al. 2014, arXiv 1406.1078), plain or with normalized gates. */
import type { Model } from "./model.js";
import { recurrent, recurrentLayers } from "./recurrent.js";

export const gru = {
  ...recurrent,
  name: "gru",
  title: "GRU",
  usualFor: [],
  sequences: ["layer-norm-gru"],
  norms: ["none", "layer", "layer-norm-gru"],
  build: (builder, inputs) => recurrentLayers(builder, inputs, (args) => builder.keras.gru(args)),
} as const satisfies Model;
