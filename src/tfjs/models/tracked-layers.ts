/**
 * The layers of a TensorFlow.js model that store statistics of batches, TensorFlow.js's own among them, and
 * how to measure those.
 */
import * as tf from "@tensorflow/tfjs-core";
import { channelAxes, channelPlan } from "../../formula/channels.js";
import type { Normalization } from "../../formula/normalization.js";
import type { FusedNorm } from "../../formula/plan.js";
import { axesExcept, broadcastMask } from "../../formula/terms.js";
import type { Moments } from "../../moments.js";
import { checkOptions } from "../../options.js";
import { described } from "../../shape.js";
import { checkModel } from "../arguments.js";
import { normalize } from "../kernels/normalize.js";
import { batchVariables, builtInBatchNorm, isBuiltInBatch, isFrozenBuiltIn } from "../layers/built-in.js";
import { insideOf } from "../layers/layer-wrapper.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import { tfOps } from "../ops.js";
import type { Layer, Variables } from "../types.js";

/** Selects layers of a model. */
export interface OfLayers {
  /** Which of the model's layers; default: all that it applies to. */
  layers?(layer: Layer): boolean;
}

export const BATCH_LAYER = "batchLayerNorm";
/** Normalizations whose running statistics are those of each channel over the batch and its positions. */
const PER_CHANNEL = ["batchNorm", "ghostBatchNorm", "conditionalBatchNorm"];

/**
 * Checks what a function on a model's layers takes.
 * @param known every option of the function
 * @throws TypeError for what is not a model, an unknown option, or `layers` that are not a function
 */
export function checkLayersOf(
  caller: string,
  model: unknown,
  options: OfLayers,
  known: readonly string[] = ["layers"],
): void {
  checkModel(caller, model);
  checkOptions(caller, options, known);
  const { layers } = options;
  if (layers === undefined || typeof layers === "function") return;
  throw new TypeError(
    `${caller}: layers must be a function of a layer, got ${described(layers)}; leave it out for all`,
  );
}

/** Every layer once, those of nested models and wrappers included. */
export function layersOf(model: { layers: Layer[] }, wanted?: (layer: Layer) => boolean): Layer[] {
  const found = new Set<Layer>();
  const add = (layer: Layer) => {
    found.add(layer);
    for (const inner of insideOf(layer)) add(inner);
  };
  for (const layer of model.layers) add(layer);
  return [...found].filter((layer) => wanted?.(layer) ?? true);
}

export function isBatchLayer(layer: Layer): layer is NormalizationLayer {
  return layer instanceof NormalizationLayer && layer.normalization.name === BATCH_LAYER;
}

export function isChoosable(layer: Layer): layer is NormalizationLayer {
  return layer instanceof NormalizationLayer && [BATCH_LAYER, "batchNorm"].includes(layer.normalization.name);
}

export function isFrozen(layer: Layer): boolean {
  return layer instanceof NormalizationLayer ? layer.frozen : isFrozenBuiltIn(layer);
}

/** A layer with a mean and variance per channel. */
export interface Tracked {
  readonly layer: Layer;
  readonly normalization: Normalization;
  /** Variables by our names. */
  readonly variables: Variables;
  read(): Record<string, tf.Tensor>;
  /** Measures statistics over everything but the channels. */
  readonly norm: FusedNorm;
  readonly axis: number | readonly number[];
  readonly unbiased: boolean;
  readonly average?: unknown;
}

export function trackedOf(layer: Layer): Tracked | undefined {
  const own = layer instanceof NormalizationLayer;
  if (!own && !isBuiltInBatch(layer)) return undefined;
  if (own && !PER_CHANNEL.includes(layer.normalization.name)) return undefined;
  const { epsilon = 1e-5, ...config } = layer.getConfig() as Record<string, unknown>;
  const axis = layer.axis ?? -1;
  const norm: FusedNorm = {
    name: layer.name,
    epsilon: epsilon as number,
    centered: true,
    plan: channelPlan(layer.name, axis),
  };
  const variables = own ? layer.variables : batchVariables(layer);
  return {
    layer,
    normalization: own ? layer.normalization : builtInBatchNorm(layer),
    variables,
    read: () => readAll(variables),
    norm,
    axis,
    unbiased: config.runningVariance === "unbiased",
    average: config.average,
  };
}

export function readAll(variables: Variables): Record<string, tf.Tensor> {
  return Object.fromEntries(Object.entries(variables).map(([name, variable]) => [name, variable.read()]));
}

export function copyOfState({ variables }: NormalizationLayer): Record<string, tf.Tensor> {
  const { gamma, beta, ...state } = readAll(variables);
  return Object.fromEntries(Object.entries(state).map(([name, tensor]) => [name, tf.clone(tensor)]));
}

export function restore({ variables }: NormalizationLayer, state: Record<string, tf.Tensor>): void {
  for (const [name, tensor] of Object.entries(state)) variables[name].write(tensor);
}

export function measured(
  { norm }: Tracked,
  x: tf.Tensor,
  mask?: tf.Tensor,
): { mean: tf.Tensor; variance: tf.Tensor } {
  const { mean, variance } = normalize(norm, x, { mask });
  return { mean: mean as tf.Tensor, variance: variance as tf.Tensor };
}

/** The number of values per statistic: [1], or [channels] with a mask. */
export function countOf({ axis, layer }: Tracked, x: tf.Tensor, mask?: tf.Tensor): tf.Tensor {
  const channels = channelAxes(layer.name, x.rank, axis);
  if (!mask) return tf.tensor1d([x.size / channels.reduce((size, one) => size * x.shape[one], 1)]);
  return tf.sum(broadcastMask(tfOps, mask, x.shape), axesExcept(x.rank, ...channels));
}

export function correction(count: number): number {
  return count > 1 ? count / (count - 1) : 1;
}

export function write(
  { variables, unbiased, average }: Tracked,
  total: readonly Moments[],
  batches: number,
): void {
  const write = (name: string, value: (moments: Moments, before: number) => number) => {
    const variable = variables[name];
    if (!variable) return;
    const before = variable.read().dataSync();
    const of = (at: number) => total[before.length === 1 ? 0 : at];
    // a channel that is masked everywhere retains its old value
    const values = before.map((old, at) => (of(at).count === 0 ? old : value(of(at), old)));
    tf.tidy(() => {
      variable.write(tf.tensor(values, variable.shape as number[]));
    });
  };
  write("runningMean", ({ mean }) => mean);
  write("runningVariance", ({ count, m2 }) => (m2 / count) * (unbiased ? correction(count) : 1));
  write("runningCount", ({ count }) => (average === "cumulative" ? batches : count));
  for (const name of Object.keys(variables)) if (name.startsWith("pending")) write(name, () => 0);
}
