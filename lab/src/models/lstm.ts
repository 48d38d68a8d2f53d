/** Long short-term memory (Hochreiter & Schmidhuber 1997), plain or with normalized gates and cells. */
import type { Model } from "./model.js";
import { recurrent, recurrentLayers } from "./recurrent.js";

export const lstm = {
  ...recurrent,
  name: "lstm",
  title: "LSTM",
  usualFor: [],
  sequences: ["layer-norm-lstm", "recurrent-batch"],
  norms: ["none", "layer", "layer-norm-lstm", "recurrent-batch"],
  build: (builder, inputs) => recurrentLayers(builder, inputs, (args) => builder.keras.lstm(args)),
} as const satisfies Model;
