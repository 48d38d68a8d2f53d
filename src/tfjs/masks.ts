/**
 * Which mask a layer is to heed. TensorFlow.js hands the mask of a masked layer to every layer behind it, also where it has
 * gone lost on the way (a pooling, the last state of a sequence) or was of another input: so its way is looked up here.
 */
import type { Tensor } from "@tensorflow/tfjs-core";
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
  return inboundNodes.length === 0 || inboundNodes.some((node) => node.inboundLayers.some(gives))
    ? given
    : undefined;
}

/** Whether a mask comes out of a layer. */
function gives(layer: Layer): boolean {
  const kind = layer.getClassName();
  if (kind === "Masking" || (kind === "Embedding" && (layer as { maskZero?: boolean }).maskZero)) return true;
  const { returnSequences = true } = layer as { returnSequences?: boolean };
  if (!layer.supportsMasking || !returnSequences) return false;
  return layer.inboundNodes.some((node) => node.inboundLayers.some(gives));
}
