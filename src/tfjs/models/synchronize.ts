/** Batch statistics over several places, such as the replicas of data-parallel training. */
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { checkReduce, type Reduce } from "../../moments.js";
import { isBuiltInBatch, synchronizeBuiltIn } from "../layers/built-in.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import { checkLayersOf, layersOf, type OfLayers } from "./tracked-layers.js";

/**
 * From here on, the layers that measure the batch merge what they measure in training with that of other places, before they normalize
 * by it, and in the backward pass too; their running statistics are those of all places. `undefined` ends it. It is not saved with the
 * model.
 *
 *     synchronizeStatistics(model, (moments) => exchange.all(moments));
 *
 * Each such layer calls `reduce` in the forward pass and in the backward pass of every training step, in the order in which the layers
 * run: every place must run the same model, with a batch of its own, which may be of another size. Gradients of weights remain those
 * of the batch here. It includes TensorFlow.js's own batch normalization, after `install()`.
 * @param reduce answers at once, with the moments of all places; it must give the same in every place
 * @param options `layers`: which of them; default: all that measure the batch
 * @returns the names of the layers
 * @throws TypeError for what is not a model, not a function, or an unknown option; Error for a layer that cannot merge what it measures
 * (online normalization; leave it out by `layers`), and for TensorFlow.js's own batch normalization before `install()`; then nothing
 * is changed
 */
export function synchronizeStatistics(
  model: LayersModel,
  reduce: Reduce | undefined,
  options: OfLayers = {},
): string[] {
  checkLayersOf("synchronizeStatistics", model, options);
  checkReduce("synchronizeStatistics", reduce);
  const all = layersOf(model, options.layers);
  const own = all.filter((layer) => layer instanceof NormalizationLayer);
  const cannot = own.find(({ normalization }) => normalization.handles?.merge === false);
  if (cannot !== undefined && reduce !== undefined) {
    throw new Error(
      `synchronizeStatistics: ${cannot.name} (${cannot.normalization.name}) follows the examples of one place in their order, and cannot ` +
        "merge them with others; leave it out with layers: (layer) => …, or use batch normalization",
    );
  }
  const builtIn = all.filter(isBuiltInBatch);
  // refused as a whole before any is changed
  for (const layer of builtIn) synchronizeBuiltIn(layer, reduce);
  const merging = own.filter(({ normalization }) => normalization.handles?.merge === true);
  for (const layer of merging) layer.reduce = reduce;
  const changed = new Set<unknown>([...builtIn, ...merging]);
  return all.filter((layer) => changed.has(layer)).map(({ name }) => name);
}
