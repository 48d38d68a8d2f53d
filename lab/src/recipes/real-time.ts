/** A stream: one measurement at a time, learnt from as it comes, judged on what came later. */
import { mlp } from "../models/mlp.js";
import { byLayer } from "./literature.js";
import type { Recipe } from "./recipe.js";

export const realTime: Recipe = {
  name: "real-time",
  group: "Uses",
  question: "Can a network learn from a stream, one measurement at a time, and hold up on what comes later?",
  literature: {
    says: "batch normalization cannot be applied to online learning, layer normalization can; with a fifth of CIFAR-10 and one image at a time, the one got 10.9 % right, the other 37.8 %",
    source: "Ba, Kiros & Hinton 2016, arXiv 1607.06450; runs of Ziaee & Çano 2022, arXiv 2209.08898",
  },
  claims: [byLayer("metric"), { better: { norm: "layer" }, than: { norm: "batch" }, by: "metric" }],
  data: "nox-motorway",
  reading: { target: "LNOx", split: "time", time: "julday" },
  choices: {
    model: mlp.name,
    depth: 3,
    width: 32,
    norms: ["none", "layer", "batch"],
    seeds: 5,
    epochs: 1,
    batchSize: 1,
    learningRate: 0.005,
  },
};
