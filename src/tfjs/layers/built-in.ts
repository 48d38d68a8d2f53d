/**
 * TensorFlow.js's own layer and batch normalization: reading their variables, freezing their statistics, and
 * running them by the fused operation.
 */
import { layers as builtIn, type LayerVariable } from "@tensorflow/tfjs-layers";
import { batchNorm } from "../../norms/batch.js";
import { layerNorm } from "../../norms/layer.js";
import type { CallArgs, Layer, Tensors, Variables } from "../types.js";
import { applyLayer } from "./apply.js";
import { NormalizationLayer } from "./normalization-layer.js";

interface BuiltIn extends Layer {
  readonly axis: number | number[];
  readonly epsilon: number;
  readonly gamma?: LayerVariable | null;
  readonly beta?: LayerVariable | null;
}

interface BuiltInBatch extends BuiltIn {
  readonly momentum: number;
  readonly movingMean: LayerVariable;
  readonly movingVariance: LayerVariable;
}

export function isBuiltInBatch(layer: Layer): layer is BuiltInBatch {
  return !(layer instanceof NormalizationLayer) && layer.getClassName() === "BatchNormalization";
}

/** Variables by our names. */
export function batchVariables({ gamma, beta, movingMean, movingVariance }: BuiltInBatch): Variables {
  return {
    ...(gamma && { gamma }),
    ...(beta && { beta }),
    runningMean: movingMean,
    runningVariance: movingVariance,
  };
}

/** The normalization that a layer of TensorFlow.js computes. */
export function builtInBatchNorm({ axis, epsilon, momentum, gamma, beta }: BuiltInBatch) {
  return batchNorm({ axis: [axis].flat()[0], epsilon, momentum, scale: !!gamma, center: !!beta });
}

/**
 * Makes both layers, in existing and future models, run the operation. Their variables are what ours are, so
 * results are the same; they ignore masks, as before. Probes are named so as not to shift the numbers in
 * automatic layer names.
 */
export function useInBuiltInLayers(): void {
  prototypeOf<BuiltIn>(builtIn.layerNormalization({ name: "evenkeel_probe" })).call = function (inputs) {
    const { axis, epsilon, gamma, beta } = this;
    const options = { axis, epsilon, scale: !!gamma, center: !!beta };
    return applyLayer(layerNorm(options), [inputs].flat(), { gamma, beta }, { training: false });
  };
  prototypeOf<BuiltInBatch>(builtIn.batchNormalization({ name: "evenkeel_probe" })).call = function (
    inputs,
    { training },
  ) {
    return applyLayer(builtInBatchNorm(this), [inputs].flat(), batchVariables(this), {
      training: Boolean(training),
    });
  };
}

interface Callable<L> {
  call(this: L, inputs: Tensors, options: CallArgs): Tensors;
}

function prototypeOf<L>(layer: Layer): Callable<L> {
  return Object.getPrototypeOf(layer);
}

const frozen = new WeakSet<Layer>();

/** These layers have no option for it, so the layer's own `call` shadows that of its class. */
export function freezeBuiltIn(layer: Layer, freeze: boolean): void {
  if (freeze === frozen.has(layer)) return;
  if (!freeze) {
    frozen.delete(layer);
    delete (layer as { call?: unknown }).call;
    return;
  }
  frozen.add(layer);
  layer.call = (inputs, options) =>
    Object.getPrototypeOf(layer).call.call(layer, inputs, { ...options, training: false });
}

export function isFrozenBuiltIn(layer: Layer): boolean {
  return frozen.has(layer);
}
