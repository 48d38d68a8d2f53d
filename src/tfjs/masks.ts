/**
 * Which mask a layer is to heed. TensorFlow.js hands the mask of a masked layer to every layer behind it, also where it has
 * gone lost on the way (a pooling, the last state of a sequence) or was of another input: so its way is looked up here.
 */
import { squeeze, type Tensor } from "@tensorflow/tfjs-core";
import type { layers } from "@tensorflow/tfjs-layers";

type Layer = InstanceType<typeof layers.Layer>;

/** As a layer is called with: of its input, or a list for its inputs. */
export type GivenMask = Tensor | (Tensor | null)[] | null | undefined;

/** The mask of a layer's first input, or of its last one; undefined where none reaches it. */
export function maskOf(
  layer: Layer,
  given: GivenMask,
  inputs = 1,
  which: "first" | "last" = "first",
): Tensor | undefined {
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
  // TensorFlow.js's merging layers leave an axis before it, each one
  while (mask.rank > 2 && mask.shape[0] === 1) mask = squeeze(mask, [0]);
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
