/** A sensor that gives a wrong value now and then. */
import { linear } from "../models/linear.js";
import { forecasting } from "../tasks/forecasting.js";
import type { Recipe } from "./recipe.js";

export const forecastOutliers: Recipe = {
  name: "forecast-outliers",
  group: "Uses",
  question: "Do forecasts hold up where a series has outliers?",
  literature: {
    says: "extreme outliers raise the mean squared error of a linear forecaster with reversible instance normalization by 683 %; median and median absolute deviation in place of mean and deviation (R²-IN) prevent that",
    source: "Fu & Yang 2025, arXiv 2510.04667",
  },
  claims: [
    { better: { norm: "robust-reversible-instance" }, than: { norm: "reversible-instance" }, by: "metric" },
    { better: { norm: "none" }, than: { norm: "reversible-instance" }, by: "metric" },
  ],
  data: "electricity",
  reading: {
    task: forecasting.name,
    metric: forecasting.metrics[1].name,
    horizon: 48,
    window: 336,
    disturb: { outliers: { share: 0.01, size: 10, seed: 1 } },
  },
  choices: {
    model: linear.name,
    norms: ["none", "reversible-instance", "robust-reversible-instance"],
    baseline: "reversible-instance",
    seeds: 5,
  },
};
