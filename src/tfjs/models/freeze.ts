/** Freezes the running statistics of a model's layers, and resets those of an epoch. */
import { Callback, type LayersModel } from "@tensorflow/tfjs-layers";
import { described } from "../../shape.js";
import { checkModel } from "../arguments.js";
import { freezeBuiltIn, isBuiltInBatch } from "../layers/built-in.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import { checkLayersOf, isBatchLayer, layersOf, type OfLayers } from "./tracked-layers.js";

/**
 * Freezes the running state of layers, or unfreezes it: a frozen layer runs as in evaluation, in training
 * too, independent of `trainable`; gamma and beta still learn. This includes TensorFlow.js's own batch
 * normalization, which does not save it.
 * @param frozen default true
 * @param options `layers`: which of them; default: all that have state
 * @returns the names of the layers
 * @throws TypeError for what is not a model, or an unknown option
 */
export function freezeStatistics(model: LayersModel, frozen = true, options: OfLayers = {}): string[] {
  checkLayersOf("freezeStatistics", model, options);
  if (typeof frozen !== "boolean") {
    throw new TypeError(
      `freezeStatistics: frozen must be true or false, got ${described(frozen)}; leave it out for true`,
    );
  }
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
 * A callback for `model.fit` that resets statistics at the start of each epoch, in layers that average over
 * an epoch (`average: "epoch"`, and Batch Layer Normalization). Those of the previous epoch are used until
 * the first batch.
 *
 *     await model.fit(xs, ys, { epochs: 10, callbacks: epochStatistics() });
 */
export function epochStatistics(): Callback {
  return new EpochStatistics();
}

class EpochStatistics extends Callback {
  override async onEpochBegin(): Promise<void> {
    const { model } = this;
    checkModel("epochStatistics", model);
    for (const layer of layersOf(model)) {
      if (!(layer instanceof NormalizationLayer) || layer.frozen) continue;
      if (layer.getConfig().average === "epoch" || isBatchLayer(layer)) layer.resetState();
    }
  }
}
