/** How far the statistics of a batch are from those that a model's layers store for evaluation. */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { apply } from "../layers/apply.js";
import type { Layer } from "../types.js";
import { type Call, type Inputs, predict } from "./batches.js";
import {
  checkLayersOf,
  correction,
  countOf,
  isBatchLayer,
  layersOf,
  measured,
  type OfLayers,
  readAll,
  trackedOf,
} from "./tracked-layers.js";

/** How far the statistics of a batch are from those that a layer stores, over its channels (or positions). */
export interface StatisticsGap {
  /** The layer's name. */
  readonly layer: string;
  /** Which statistics: Batch Layer Normalization has two kinds. */
  readonly over: "batch" | "features";
  /** |batch − stored| in stored standard deviations. */
  readonly mean: { readonly max: number; readonly median: number };
  /** The larger variance divided by the smaller, each plus epsilon. */
  readonly variance: { readonly max: number; readonly median: number };
}

/**
 * How far a batch's statistics are from those that each layer stores, with the model in evaluation.
 * @param batch inputs of the model
 * @param options `layers`: which of them; default: all that store statistics of batches
 * @returns one entry per layer and kind of statistics, in the order of the calls
 * @throws TypeError for what is not a model, or its inputs, or an unknown option
 */
export function statisticsGap(model: LayersModel, batch: Inputs, options: OfLayers = {}): StatisticsGap[] {
  checkLayersOf("statisticsGap", model, options);
  const gaps: StatisticsGap[] = [];
  const calls = new Map<Layer, Call>();
  for (const layer of layersOf(model, options.layers)) {
    const one = trackedOf(layer);
    if (one) {
      calls.set(layer, (inputs, call, original) => {
        const [x] = inputs;
        const { mean, variance } = measured(one, x, call.mask);
        const counts = countOf(one, x, call.mask).dataSync();
        const { runningMean, runningVariance } = one.variables;
        const batch = Array.from(variance.dataSync(), (value, c) =>
          one.unbiased ? value * correction(counts[counts.length === 1 ? 0 : c]) : value,
        );
        gaps.push(
          gapOf(layer, "batch", one.norm.epsilon, {
            batch: [mean.dataSync(), batch],
            stored: [runningMean.read().dataSync(), runningVariance.read().dataSync()],
          }),
        );
        return original(inputs, call);
      });
    } else if (isBatchLayer(layer)) {
      calls.set(layer, (inputs, call, original) => {
        const stored = readAll(layer.variables);
        // as of an epoch that has this batch alone
        const first = { ...stored, batches: tf.zerosLike(stored.batches) };
        const { state = {} } = apply(layer.normalization, inputs, first, { training: true, mask: call.mask });
        const { epsilon = 1e-3 } = layer.getConfig() as { epsilon?: number };
        for (const [over, name] of [
          ["batch", "batch"],
          ["features", "feature"],
        ] as const) {
          const both = [`${name}Mean`, `${name}Variance`];
          gaps.push(
            gapOf(layer, over, epsilon, {
              batch: both.map((each) => state[each].dataSync()),
              stored: both.map((each) => stored[each].dataSync()),
            }),
          );
        }
        return original(inputs, call);
      });
    }
  }
  predict("statisticsGap", model, batch, calls);
  return gaps;
}

function gapOf(
  { name }: Layer,
  over: "batch" | "features",
  epsilon: number,
  { batch, stored }: { batch: ArrayLike<number>[]; stored: ArrayLike<number>[] },
): StatisticsGap {
  const means = Array.from(
    stored[0],
    (mean, c) => Math.abs(batch[0][c] - mean) / Math.sqrt(stored[1][c] + epsilon),
  );
  const variances = Array.from(stored[1], (variance, c) => {
    const ratio = (batch[1][c] + epsilon) / (variance + epsilon);
    return Math.max(ratio, 1 / ratio);
  });
  return { layer: name, over, mean: summary(means), variance: summary(variances) };
}

function summary(values: readonly number[]): { max: number; median: number } {
  if (values.some(Number.isNaN)) return { max: Number.NaN, median: Number.NaN };
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { max: sorted[sorted.length - 1], median };
}
