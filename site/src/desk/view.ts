/** A comparison on its way as HTML: the report's own table and figures, of what there is so far. */

import { depthProfile, learningCurves } from "@evenkeel/lab/report/figures";
import { resultsTable } from "@evenkeel/lab/report/numbers";
import { coloursStyle, looksOf } from "@evenkeel/lab/report/series";
import { type Comparison, metricOf, normsOf } from "@evenkeel/lab/results";
import { serverDocument } from "@evenkeel/report/server-document";
import type { FigureView, View } from "./protocol.ts";

export function drawn(comparison: Comparison): Pick<View, "style" | "table" | "figures"> {
  const looks = looksOf(normsOf(comparison));
  const { metric, trainLoss, log } = learningCurves(comparison, serverDocument);
  const gradient = depthProfile(comparison, "gradientNorm", serverDocument);
  const activation = depthProfile(comparison, "activationSpread", serverDocument);
  const figures: FigureView[] = [
    { id: "metric", title: metricOf(comparison).title, qualifier: "held out, by epoch", figure: metric },
    {
      id: "loss",
      title: "Training loss",
      qualifier: log ? "by epoch, log scale" : "by epoch",
      figure: trainLoss,
    },
    {
      id: "gradient",
      title: "Gradient norm by depth",
      qualifier: "now, from the last layer to the first, log scale",
      figure: gradient.last,
    },
    {
      id: "activation",
      title: "Spread of the activations by depth",
      qualifier: "now, standard deviation of each block’s output",
      figure: activation.last,
    },
  ];
  return { style: coloursStyle(looks), table: resultsTable(comparison, looks), figures };
}
