/** The usual benchmark of forecasts, at the horizons that are published: twelve months to learn from, four to choose by, four to be judged by. */
import { linear } from "../models/linear.js";
import { forecasting } from "../tasks/forecasting.js";
import type { Recipe } from "./recipe.js";

/** Hours of 20 months of 30 days; those after them are not used by the papers. */
const HOURS = 20 * 30 * 24;

const at = (horizon: number, published: number): Recipe => ({
  name: `etth1-${horizon}`,
  group: "Uses",
  question: `How well does a linear forecaster do ${horizon} hours ahead on ETTh1, with and without reversible instance normalization?`,
  literature: {
    says: `with it, the mean squared error on standardized data is ${published.toFixed(2)}`,
    source: "RLinear, Li et al. 2023, arXiv 2305.10721",
  },
  claims: [
    { by: "published", of: { norm: "reversible-instance" }, value: published, within: 0.02 },
    { better: { norm: "reversible-instance" }, than: { norm: "none" }, by: "metric" },
  ],
  data: "etth1",
  reading: { task: forecasting.name, horizon, window: 336, limit: HOURS, shares: [0.6, 0.2, 0.2] },
  choices: {
    model: linear.name,
    norms: ["none", "reversible-instance"],
    seeds: 3,
    epochs: 10,
    batchSize: 128,
    learningRate: 0.005,
  },
});

export const etth1: readonly Recipe[] = [at(96, 0.37), at(192, 0.4), at(336, 0.42), at(720, 0.44)];
