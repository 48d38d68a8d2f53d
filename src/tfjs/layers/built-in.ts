/**
 * TensorFlow.js's own layer and batch normalization: reading their variables, freezing their statistics, and
 * running them by the fused operation.
 */
import { layers as builtIn, type LayerVariable } from "@tensorflow/tfjs-layers";
import type { Normalization } from "../../formula/normalization.js";
import type { Reduce } from "../../moments.js";
import { batchNorm } from "../../norms/batch.js";
import { layerNorm } from "../../norms/layer.js";
import type { CallArgs, Layer, Tensors, Variables } from "../types.js";
import { applyLayer } from "./apply.js";
import { withFollowing } from "./following-activation.js";
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
export function builtInBatchNorm(layer: BuiltInBatch): Normalization {
  const { axis, epsilon, momentum, gamma, beta } = layer;
  return remembered(layer, [[axis].flat()[0], epsilon, momentum, !!gamma, !!beta], () =>
    batchNorm({ axis: [axis].flat()[0], epsilon, momentum, scale: !!gamma, center: !!beta }),
  );
}

function builtInLayerNorm(layer: BuiltIn): Normalization {
  const { axis, epsilon, gamma, beta } = layer;
  return remembered(layer, [axis, epsilon, !!gamma, !!beta], () =>
    layerNorm({ axis, epsilon, scale: !!gamma, center: !!beta }),
  );
}

const made = new WeakMap<Layer, { options: readonly unknown[]; normalization: Normalization }>();

/** A layer's normalization, the same object from call to call while these options stand. */
function remembered(layer: Layer, options: readonly unknown[], make: () => Normalization): Normalization {
  const last = made.get(layer);
  if (last && options.every((option, i) => option === last.options[i])) return last.normalization;
  const normalization = make();
  made.set(layer, { options, normalization });
  return normalization;
}

/**
 * Makes both layers, in existing and future models, run the operation. Their variables are what ours are, so
 * results are the same; they ignore masks, as before. Probes are named so as not to shift the numbers in
 * automatic layer names.
 */
export function useInBuiltInLayers(): void {
  prototypeOf<BuiltIn>(builtIn.layerNormalization({ name: "evenkeel_probe" })).call = function (inputs) {
    const { gamma, beta } = this;
    return withFollowing(this, builtInLayerNorm(this), (normalization) =>
      applyLayer(normalization, [inputs].flat(), { gamma, beta }, { training: false }),
    );
  };
  prototypeOf<BuiltInBatch>(builtIn.batchNormalization({ name: "evenkeel_probe" })).call = function (
    inputs,
    { training },
  ) {
    const { gamma, beta, movingMean: runningMean, movingVariance: runningVariance } = this;
    const variables = { gamma, beta, runningMean, runningVariance };
    return withFollowing(this, builtInBatchNorm(this), (normalization) =>
      applyLayer(normalization, [inputs].flat(), variables, {
        training: Boolean(training),
        reduce: reductions.get(this),
      }),
    );
  };
  runsOurs = true;
}

/** Whether the layers of TensorFlow.js run the operation. */
let runsOurs = false;
const reductions = new WeakMap<Layer, Reduce>();

/** @throws Error before `install` */
export function synchronizeBuiltIn(layer: Layer, reduce: Reduce | undefined): void {
  if (reduce === undefined) reductions.delete(layer);
  else if (runsOurs) reductions.set(layer, reduce);
  else {
    throw new Error(
      `synchronizeStatistics: ${layer.name} is TensorFlow.js's own batch normalization, which cannot merge what it measures; call ` +
        "await install() first",
    );
  }
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
