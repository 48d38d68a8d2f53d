/** Which recipes there are, in the order of their groups. */
import { aerospace } from "./aerospace.js";
import { attention } from "./attention.js";
import { automotive } from "./automotive.js";
import { batchLayerImages } from "./batch-layer-images.js";
import { batchLayerText } from "./batch-layer-text.js";
import { characters } from "./characters.js";
import { errorRates } from "./error-rates.js";
import { etth1 } from "./etth1.js";
import { explodingGradients } from "./exploding-gradients.js";
import { finance } from "./finance.js";
import { forecastOutliers } from "./forecast-outliers.js";
import { forecastShift } from "./forecast-shift.js";
import { forecasts } from "./forecasts.js";
import { healthcare } from "./healthcare.js";
import { realTime } from "./real-time.js";
import type { Recipe } from "./recipe.js";
import { recommendations } from "./recommendations.js";
import { recurrent } from "./recurrent.js";
import { retail } from "./retail.js";
import { sentiment } from "./sentiment.js";
import { smallBatches } from "./small-batches.js";
import { trainingTime } from "./training-time.js";
import { vanishingGradients } from "./vanishing-gradients.js";
import { warmUp } from "./warm-up.js";

export const recipes: readonly Recipe[] = [
  healthcare,
  finance,
  retail,
  aerospace,
  automotive,
  trainingTime,
  forecasts,
  forecastShift,
  forecastOutliers,
  ...etth1,
  recommendations,
  errorRates,
  realTime,
  sentiment,
  characters,
  batchLayerText,
  smallBatches,
  batchLayerImages,
  recurrent,
  warmUp,
  attention,
  vanishingGradients,
  explodingGradients,
];
