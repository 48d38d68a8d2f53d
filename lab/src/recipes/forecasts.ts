/** What is to come of a demand that repeats itself by day and by week. */
import { mlp } from "../models/mlp.js";
import { forecasting } from "../tasks/forecasting.js";
import type { Recipe } from "./recipe.js";

export const forecasts: Recipe = {
  name: "forecasts",
  group: "Uses",
  question: "Do normalizations improve forecasts of the demand for electricity?",
  literature: {
    says: "720 hours ahead on ETTh1, the mean squared error of linear forecasters is 0.44 with reversible instance normalization, and 0.47 without",
    source: "Li et al. 2023, arXiv 2305.10721, and Zeng et al. 2023, arXiv 2205.13504",
  },
  claims: [
    { better: { norm: "reversible-instance" }, than: { norm: "none" }, by: "metric" },
    { better: { norm: "layer" }, than: { norm: "none" }, by: "metric" },
  ],
  data: "electricity",
  reading: { task: forecasting.name, horizon: 48, window: 336 },
  choices: { model: mlp.name, norms: ["none", "layer", "reversible-instance"], seeds: 5 },
};
