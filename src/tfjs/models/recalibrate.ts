/**
 * Measures again, exactly, the statistics that a model's layers store for evaluation.
 *
 *     await recalibrate(model, batches);
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { type Moments, merge, noMoments } from "../../moments.js";
import { apply } from "../layers/apply.js";
import type { Layer } from "../types.js";
import { type Batches, batchesOf, type Call, type Inputs, predict } from "./batches.js";
import {
  checkLayersOf,
  copyOfState,
  countOf,
  isBatchLayer,
  isFrozen,
  layersOf,
  measured,
  type OfLayers,
  restore,
  type Tracked,
  trackedOf,
  write,
} from "./tracked-layers.js";

/**
 * Measures the running statistics of batch normalization again, exactly, over all of these batches: merged by
 * count, whatever their sizes. Those of Batch Layer Normalization become their means over the batches, as
 * over an epoch. Meanwhile each such layer runs as in training, on its batch's statistics, as in PyTorch's
 * `update_bn`; all others (dropout, noise) run as in evaluation. No trained weight changes; frozen layers are
 * skipped.
 *
 * Applies to batch, ghost batch, conditional batch and Batch Layer Normalization of Evenkeel, and to
 * TensorFlow.js's own batch normalization. Where it throws, the model is unchanged.
 * @param options `layers`: which of them; default: all of these
 * @returns the names of the layers
 * @throws TypeError for what is not a model, an unknown option, or batches of another form; RangeError where there is no such
 * layer or no batch, or where a batch is not finite in such a layer
 */
export async function recalibrate(
  model: LayersModel,
  batches: Batches<Inputs | { xs: Inputs }>,
  options: OfLayers = {},
): Promise<string[]> {
  checkLayersOf("recalibrate", model, options);
  const all = layersOf(model, options.layers).filter((layer) => !isFrozen(layer));
  const tracked = all.map(trackedOf).filter((one) => one !== undefined);
  const inTwoParts = all.filter(isBatchLayer);
  if (tracked.length + inTwoParts.length === 0) {
    throw new RangeError(
      "recalibrate: the model has no layer with running statistics of batches that is not frozen",
    );
  }
  const merged = new Map(tracked.map((one) => [one, [] as Moments[]]));
  const before = inTwoParts.map(copyOfState);
  // nobody else recalibrates with this place
  const reductions = inTwoParts.map(({ reduce }) => reduce);
  let number = 0;
  try {
    for (const layer of inTwoParts) {
      layer.reduce = undefined;
      layer.resetState();
    }
    for await (const { xs } of batchesOf("recalibrate", batches)) {
      const seen: { layer: Layer; tensors: tf.Tensor[]; one?: Tracked }[] = [];
      const calls = new Map<Layer, Call>();
      for (const one of tracked) {
        calls.set(one.layer, (inputs, { mask }) => {
          const [x] = inputs;
          const { y } = apply(one.normalization, inputs, one.read(), { training: true, mask });
          const { mean, variance } = measured(one, x, mask);
          const tensors = [tf.sum(y), mean, variance, countOf(one, x, mask)];
          seen.push({ layer: one.layer, one, tensors: tensors.map((tensor) => tf.keep(tensor)) });
          return y;
        });
      }
      for (const layer of inTwoParts) {
        calls.set(layer, (inputs, { mask }, original) => {
          const y = original(inputs, { mask, training: true });
          seen.push({ layer, tensors: [tf.keep(tf.sum(y as tf.Tensor))] });
          return y;
        });
      }
      try {
        predict("recalibrate", model, xs, calls);
        for (const { layer, one, tensors } of seen) {
          const [[sum], means, variances, counts] = await Promise.all(tensors.map((tensor) => tensor.data()));
          if (!Number.isFinite(sum)) {
            throw new RangeError(
              `recalibrate: batch ${number} is not finite in ${layer.name}, the model is unchanged; look for a bad example in it`,
            );
          }
          if (!one) continue;
          const total = merged.get(one) as Moments[];
          for (let c = 0; c < means.length; c++) {
            const count = counts[counts.length === 1 ? 0 : c];
            total[c] = merge(total[c] ?? noMoments, { count, mean: means[c], m2: variances[c] * count });
          }
        }
      } finally {
        for (const { tensors } of seen) tf.dispose(tensors);
      }
      number++;
    }
    if (number === 0) throw new RangeError("recalibrate: there are no batches");
  } catch (error) {
    inTwoParts.forEach((layer, i) => {
      restore(layer, before[i]);
    });
    throw error;
  } finally {
    inTwoParts.forEach((layer, i) => {
      layer.reduce = reductions[i];
    });
    tf.dispose(before);
  }
  for (const [one, total] of merged) write(one, total, number);
  const measuredLayers: Layer[] = [...tracked.map(({ layer }) => layer), ...inTwoParts];
  return all.filter((layer) => measuredLayers.includes(layer)).map(({ name }) => name);
}
