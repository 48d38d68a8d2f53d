/**
 * Operators of onnxruntime's own (com.microsoft), and ONNX's for activations, in place of what is written out.
 *
 * Tried in onnxruntime 1.30 on a CPU: it has no GroupNorm there. Its SkipLayerNormalization takes 2.5 to 4 times as long as a sum and
 * LayerNormalization do (128×384 to 512×1024), SkipSimplifiedLayerNormalization up to 1.4 times, and neither is as accurate; they are
 * for other devices, and used where they are named.
 */
import type { Found, FoundActivation } from "../checkpoints/graphs/found.js";
import type { Mend } from "../checkpoints/graphs/graph.js";
import { settle } from "../checkpoints/graphs/shapes.js";
import { sameShape } from "../shape.js";
import { counted, Draft, MICROSOFT, type Place } from "./draft.js";
import { overLastAxis, typesOf } from "./mends-norms.js";

/** Those that onnxruntime 1.30 has on a CPU, and that are not slower there than what they stand for. */
export const RUNTIME_OPERATORS: ReadonlySet<string> = new Set(["Gelu", "BiasGelu", "FastGelu", "QuickGelu"]);

/** Layer and RMS normalization of a sum, with the sum. */
export async function skipMend(found: Found, place: Place): Promise<Mend | undefined> {
  const operator =
    found.norm === "layerNorm"
      ? "SkipLayerNormalization"
      : found.norm === "rmsNorm" && found.beta === undefined
        ? "SkipSimplifiedLayerNormalization"
        : "";
  const { wiring } = place;
  const sum = wiring.producer(found.x);
  const isSum = sum?.operator === "Add" && sum.domain === "";
  if (found.order || found.epsilonAt !== "inside") return undefined;
  if (!isSum || !place.microsoft.has(operator) || ![2, 3].includes(found.shape.length)) return undefined;
  const types = typesOf(found, await settle(found.graph, 0));
  // onnxruntime 1.30 breaks down when it loads some models of float16 with it
  if (types?.x !== "float32" || types.y !== "float32") return undefined;
  if (sum.inputs.some((name) => wiring.constant(name) !== undefined)) return undefined;
  if (!(await areEqual(found, [...sum.inputs, found.x]))) return undefined;
  const draft = new Draft(place, found.y);
  const parameters = overLastAxis({ found, draft, wiring, types, shape: found.shape });
  if (parameters === undefined) return undefined;
  const epsilon = { epsilon: { float: found.epsilon } };
  const y = draft.node(operator, [...sum.inputs, ...parameters], epsilon, MICROSOFT);
  const isRead = [...wiring.readers(found.x)].some((reader) => !found.nodes.includes(reader));
  if (isRead || wiring.isOutput(found.x)) draft.alsoGives(3, found.x);
  draft.gives(y, found.y);
  return draft.mend((count) => `${operator} in place of ${counted(count)}`, [sum, ...found.nodes]);
}

/** Whether values have one shape, whatever lengths are open. */
async function areEqual({ graph }: Found, names: readonly string[]): Promise<boolean> {
  for (const stand of [0, 1] as const) {
    const settled = await settle(graph, stand);
    const [first, ...others] = names.map((name) => settled.shape(name));
    if (!first || !others.every((shape) => shape && sameShape(shape, first))) return false;
  }
  return true;
}

/** An activation that is written out, by one operator. */
export async function activationMend(found: FoundActivation, place: Place): Promise<Mend | undefined> {
  const { wiring, microsoft, version } = place;
  if (found.nodes.length < 2) return undefined;
  const settled = await settle(found.graph, 0);
  const [x, y] = [settled.dtype(found.x), settled.dtype(found.y)];
  if (x !== y || (x !== "float32" && x !== "float16")) return undefined;
  const draft = new Draft(place, found.y);
  const own = { silu: "QuickGelu", gelu: "Gelu", geluTanh: "FastGelu" }[found.activation];
  const biased = microsoft.has(own) && found.activation !== "silu" ? biasBefore(found, place) : undefined;
  if (biased && (found.activation === "geluTanh" || microsoft.has("BiasGelu"))) {
    const operator = found.activation === "gelu" ? "BiasGelu" : own;
    draft.gives(draft.node(operator, [biased.x, biased.bias], {}, MICROSOFT), found.y);
    const mend = draft.mend(
      (count) => `${operator} in place of ${counted(count)}`,
      [biased.node, ...found.nodes],
    );
    if (mend) return mend;
  }
  const plain = new Draft(place, found.y);
  if (microsoft.has(own)) {
    const attributes = found.activation === "silu" ? { alpha: { float: 1 } } : undefined;
    plain.gives(plain.node(own, [found.x], attributes, MICROSOFT), found.y);
    return plain.mend((count) => `${own} in place of ${counted(count)}`, found.nodes);
  }
  if (found.activation === "silu" || version < 20) return undefined;
  const attributes = found.activation === "geluTanh" ? { approximate: "tanh" } : undefined;
  plain.gives(plain.node("Gelu", [found.x], attributes), found.y);
  return plain.mend((count) => `Gelu (opset ${version}) in place of ${counted(count)}`, found.nodes);

  function biasBefore({ x: sum, nodes }: FoundActivation, { wiring: own }: Place) {
    const node = own.producer(sum);
    if (node?.operator !== "Add" || node.domain !== "" || own.isOutput(sum)) return undefined;
    if (![...wiring.readers(sum)].every((reader) => nodes.includes(reader))) return undefined;
    const at = node.inputs.findIndex((name) => wiring.constant(name)?.shape.length === 1);
    const [bias, other] = [node.inputs[at], node.inputs[1 - at]];
    const shape = settled.shape(other);
    const length = at < 0 ? undefined : wiring.constant(bias)?.shape[0];
    const fits = length !== undefined && shape && shape.length > 0 && shape[shape.length - 1] === length;
    return fits && wiring.constant(bias)?.dtype === x ? { node, x: other, bias } : undefined;
  }
}
