/** Holding the running statistics of a model's layers, and starting those of an epoch anew. */
import { Callback, type LayersModel } from "@tensorflow/tfjs-layers";
import { checkOptions } from "../../options.js";
import { freezeBuiltIn, isBuiltInBatch } from "../layers/built-in.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import { isBatchLayer, layersOf, type OfLayers } from "./tracked-layers.js";

/**
 * Holds what layers keep between calls, or lets go of it: a frozen layer goes on as in evaluation, in training too, apart from
 * `trainable`; gamma and beta still learn. TensorFlow.js's own batch normalization too, which does not save it. Returns the
 * names of the layers.
 */
export function freezeStatistics(model: LayersModel, frozen = true, options: OfLayers = {}): string[] {
  checkOptions("freezeStatistics", options, ["layers"]);
  const names: string[] = [];
  for (const layer of layersOf(model, options.layers)) {
    if (layer instanceof NormalizationLayer && layer.keepsState) layer.frozen = frozen;
    else if (isBuiltInBatch(layer)) freezeBuiltIn(layer, frozen);
    else continue;
    names.push(layer.name);
  }
  return names;
}

/**
 * A callback for `model.fit`: begins the statistics of each epoch anew, in layers that average over an epoch (`average:
 * "epoch"`, and Batch Layer Normalization). Those of the epoch before serve until the first batch.
 *
 *     await model.fit(xs, ys, { epochs: 10, callbacks: epochStatistics() });
 */
export function epochStatistics(): Callback {
  return new EpochStatistics();
}

class EpochStatistics extends Callback {
  override async onEpochBegin(): Promise<void> {
    for (const layer of layersOf(this.model as LayersModel)) {
      if (!(layer instanceof NormalizationLayer) || layer.frozen) continue;
      if (layer.getConfig().average === "epoch" || isBatchLayer(layer)) layer.resetState();
    }
  }
}
