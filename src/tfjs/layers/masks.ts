/**
 * Finds the mask that reaches a layer. TensorFlow.js passes the mask of a masked layer to every layer after
 * it, even where it was lost on the way (a pooling, the last state of a sequence) or belongs to another
 * input: so its path is traced here.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn, type LayersModel } from "@tensorflow/tfjs-layers";
import type { Layer, Tensors } from "../types.js";

/** The mask that a layer is called with: one, or a list with one per input. */
export type GivenMask = tf.Tensor | (tf.Tensor | null)[] | null | undefined;

/** The mask of a layer's first input, or of its last one; undefined where none reaches it. */
export function maskOf(
  layer: Layer,
  given: GivenMask,
  inputs = 1,
  which: "first" | "last" = "first",
): tf.Tensor | undefined {
  if (Array.isArray(given)) return given[which === "first" ? 0 : given.length - 1] ?? undefined;
  // a single mask is that of the first input that has one
  if (!given || (which === "last" && inputs > 1)) return undefined;
  const { inboundNodes } = layer;
  if (inboundNodes.length === 0) return given;
  const seen = new Map<Layer, boolean>();
  // a shared layer does not know which of its inputs it is called with
  const reaches = inboundNodes.every((node) => node.inboundLayers.some((from) => gives(from, seen)));
  if (!reaches) return undefined;
  let mask = given;
  // each merging layer of TensorFlow.js prepends an axis of length 1
  while (mask.rank > 2 && mask.shape[0] === 1) mask = tf.squeeze(mask, [0]);
  return mask;
}

/** Whether a mask reaches any call of a layer. */
export function isReachedByMask(layer: Layer): boolean {
  const seen = new Map<Layer, boolean>();
  return layer.inboundNodes.some((node) => node.inboundLayers.some((from) => gives(from, seen)));
}

/** Whether a layer outputs a mask. */
function gives(layer: Layer, seen: Map<Layer, boolean>): boolean {
  const known = seen.get(layer);
  if (known !== undefined) return known;
  seen.set(layer, false);
  const given = givesAnew(layer, seen);
  seen.set(layer, given);
  return given;
}

function givesAnew(layer: Layer, seen: Map<Layer, boolean>): boolean {
  const comesMasked = (one: Layer) =>
    one.inboundNodes.some((node) => node.inboundLayers.some((from) => gives(from, seen)));
  const around = models.get(layer);
  if (around) return comesMasked(around);
  if ("layers" in layer) return (layer as LayersModel).outputs.some((one) => gives(one.sourceLayer, seen));
  const kind = layer.getClassName();
  const starts = kind === "Masking" || (kind === "Embedding" && (layer as { maskZero?: boolean }).maskZero);
  const { returnSequences = true } = layer as { returnSequences?: boolean };
  return Boolean(starts || (layer.supportsMasking && returnSequences && comesMasked(layer)));
}

/** Models that are layers of others, by their inputs: masks go on into them. */
const models = new WeakMap<Layer, Layer>();

/** Declares that a model is a layer of another. */
export function nested<T extends LayersModel>(model: T): T {
  for (const { sourceLayer } of model.inputs) models.set(sourceLayer, model);
  return model;
}

/** Gives a copy of a layer what was declared of the layer here. */
export function copyMasking(from: Layer, to: Layer): void {
  if (
    "inputs" in to &&
    [...(from as LayersModel).inputs].some(({ sourceLayer }) => models.has(sourceLayer))
  ) {
    nested(to as LayersModel);
  }
  const version = versions.get(from);
  if (version !== undefined) maskAsKeras(to, version);
}

/** Of Keras, by the layers that treat masks as it does. */
const versions = new WeakMap<Layer, number>();

const RECURRENT = /^(RNN|LSTM|GRU|ResetAfterGRU|SimpleRNN|ConvLSTM2D|Bidirectional)$/;
const MERGING = /^(Add|Average|Maximum|Minimum|Multiply)$/;

/**
 * Calls a recurrent layer with the mask that reaches it, and gives the masks of merged inputs on, as Keras does: up to version 2 what all that
 * have one let through, from 3 on what any does, if all have one.
 */
export function maskAsKeras(layer: Layer, version: number): void {
  versions.set(layer, version);
  const name = layer.getClassName();
  if (RECURRENT.test(name)) {
    const { call } = layer;
    layer.call = (inputs, options) => {
      const mask = maskOf(layer, (options as { mask?: GivenMask } | undefined)?.mask) ?? null;
      return call.call(layer, inputs, { ...options, mask } as typeof options);
    };
  } else if (MERGING.test(name)) {
    layer.computeMask = (_, mask) => {
      const all = [mask].flat() as (tf.Tensor | null | undefined)[];
      const given = all.filter((one): one is tf.Tensor => Boolean(one));
      const [first = null, ...others] = version === 3 && given.length < all.length ? [] : given;
      const join = version === 3 ? tf.logicalOr : tf.logicalAnd;
      return others.reduce((both, one) => join(both as tf.Tensor, one), first) as tf.Tensor;
    };
  }
}

const followers = new WeakSet<Layer>();
let splitting = false;

/**
 * Declares that a layer uses masks. Inside `timeDistributed` it is then called with the mask of its own step,
 * [batch]: TensorFlow.js passes that of all steps, [batch, time], which does not match its input. Other
 * layers are unaffected.
 */
export function followMasks(layer: Layer): void {
  followers.add(layer);
  if (splitting) return;
  splitting = true;
  const probe = builtIn.activation({ activation: "linear", name: "evenkeel_probe" });
  const prototype: Layer = Object.getPrototypeOf(
    builtIn.timeDistributed({ layer: probe, name: "evenkeel_probe" }),
  );
  const { call } = prototype;
  prototype.call = function (this: Layer & { layer: Layer }, inputs, options) {
    const { mask } = options as { mask?: GivenMask };
    if (!mask || !followers.has(this.layer)) return call.call(this, inputs, options);
    const whole = maskOf(this, mask);
    return stepByStep(this.layer, whole, () => call.call(this, inputs, options));
  };
}

/** Runs a function that calls a layer once per step, in order, passing it each step's slice of the mask. */
function stepByStep(layer: Layer, mask: tf.Tensor | undefined, run: () => Tensors): Tensors {
  const shadowed = Object.getOwnPropertyDescriptor(layer, "call");
  const { call } = layer;
  let step = 0;
  layer.call = (inputs, options) => {
    const part = mask && tf.squeeze(tf.slice(mask, [0, step++], [-1, 1]), [1]);
    return call.call(layer, inputs, { ...options, mask: part } as typeof options);
  };
  try {
    return tf.tidy(run);
  } finally {
    if (shadowed) Object.defineProperty(layer, "call", shadowed);
    else delete (layer as { call?: unknown }).call;
  }
}
