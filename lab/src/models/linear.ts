/**
 * One dense layer over time, which all channels share: a forecast's steps are weighted sums of those that it is made from.
 * The linear forecasters of Zeng et al. 2023 (arXiv 2205.13504) and, with a reversible normalization around it, RLinear
 * of Li et al. 2023 (arXiv 2305.10721).
 */
import { type Model, refusesAllBut, type Tensor } from "./model.js";

const isNoSeries = refusesAllBut("series");

export const linear = {
  name: "linear",
  title: "linear forecaster",
  unit: "units",
  usualFor: ["series"],
  usual: { depth: 1, width: 1, epochs: 10, optimizer: "adam", learningRate: { sgd: 0.05, adam: 0.005 } },
  places: ["forecast"],
  norms: ["none", "reversible-instance", "robust-reversible-instance"],
  refusal: (form, depth) =>
    isNoSeries(form) ??
    (depth > 1
      ? { problem: `is a single layer, got a depth of ${depth}`, remedy: "leave out --depth" }
      : undefined),
  build({ keras, form, kernel }, x) {
    const swapped = (of: Tensor) => keras.permute({ dims: [2, 1] }).apply(of) as Tensor;
    return swapped(kernel(swapped(x), (args) => keras.dense({ units: form.outputs[0], ...args })));
  },
} as const satisfies Model;
