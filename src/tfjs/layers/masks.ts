/**
 * Finds the mask that reaches a layer. TensorFlow.js gives the mask of a masked layer to every layer after it, even where it was lost
 * on the way (a pooling, the last state of a sequence) or belongs to another input: so its way is looked up here.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn } from "@tensorflow/tfjs-layers";
import type { Layer, Tensors } from "../types.js";

/** As a layer is called with: of its input, or a list for its inputs. */
export type GivenMask = tf.Tensor | (tf.Tensor | null)[] | null | undefined;

/** The mask of a layer's first input, or of its last one; undefined where none reaches it. */
export function maskOf(
  layer: Layer,
  given: GivenMask,
  inputs = 1,
  which: "first" | "last" = "first",
): tf.Tensor | undefined {
  if (Array.isArray(given)) return given[which === "first" ? 0 : given.length - 1] ?? undefined;
  // a single one is of the first input that has one
  if (!given || (which === "last" && inputs > 1)) return undefined;
  const { inboundNodes } = layer;
  if (inboundNodes.length === 0) return given;
  const seen = new Map<Layer, boolean>();
  // a layer that is shared does not know which of its inputs it is called for
  const reaches = inboundNodes.every((node) => node.inboundLayers.some((from) => gives(from, seen)));
  if (!reaches) return undefined;
  let mask = given;
  // each of TensorFlow.js's merging layers leaves an axis of length 1 before it
  while (mask.rank > 2 && mask.shape[0] === 1) mask = tf.squeeze(mask, [0]);
  return mask;
}

/** Whether a mask comes out of a layer. */
function gives(layer: Layer, seen: Map<Layer, boolean>): boolean {
  const known = seen.get(layer);
  if (known !== undefined) return known;
  const kind = layer.getClassName();
  const starts = kind === "Masking" || (kind === "Embedding" && (layer as { maskZero?: boolean }).maskZero);
  const { returnSequences = true } = layer as { returnSequences?: boolean };
  const passes = layer.supportsMasking && returnSequences;
  const given =
    starts ||
    (passes && layer.inboundNodes.some((node) => node.inboundLayers.some((from) => gives(from, seen))));
  seen.set(layer, Boolean(given));
  return Boolean(given);
}

const followers = new WeakSet<Layer>();
let splitting = false;

/**
 * Says that a layer follows masks. Within `timeDistributed` it is then called with the mask of its own step, [batch]:
 * TensorFlow.js gives it that of all steps, [batch, time], which is not of its input. Other layers get what they got.
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

/** Runs a function that calls a layer once for each step, in their order, with each step's part of the mask. */
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
