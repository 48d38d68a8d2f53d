/** A level that is another one from some day on. */
import { linear } from "../models/linear.js";
import { forecasting } from "../tasks/forecasting.js";
import type { Recipe } from "./recipe.js";

export const forecastShift: Recipe = {
  name: "forecast-shift",
  group: "Uses",
  question: "Do forecasts hold up where the level of a series shifts after the training?",
  literature: {
    says: "to normalize each series by itself, to restore its statistics afterwards, and to tell them to the attention lowers the mean squared error of transformers by 49 %",
    source: "Liu et al. 2022, arXiv 2205.14415; after Kim et al. 2022, RevIN, ICLR",
  },
  claims: [{ better: { norm: "reversible-instance" }, than: { norm: "none" }, by: "metric" }],
  data: "electricity",
  reading: {
    task: forecasting.name,
    horizon: 48,
    window: 336,
    disturb: { shift: { from: 0.8, by: 2 } },
  },
  choices: {
    model: linear.name,
    norms: ["none", "reversible-instance", "robust-reversible-instance"],
    seeds: 5,
  },
};
