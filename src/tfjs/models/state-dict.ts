/**
 * A model's weights under PyTorch's names and in its layouts, as `load_state_dict` takes them.
 *
 *     writeSafetensors(stateDictOf(model), { format: "pt" });
 *
 * Layers are modules of their names, those inside models and wrappers after a ".". A separable convolution is two modules, `depthwise` and
 * `pointwise`; recurrent layers have PyTorch's two biases, the second 0 where Keras has one; weight and spectral normalization are
 * torch.nn.utils.parametrizations'.
 */
import type { LayersModel } from "@tensorflow/tfjs-layers";
import type { WrittenTensor } from "../../checkpoints/written.js";
import { batchCountOf, theirs } from "../../frameworks/names.js";
import { checkOptions } from "../../options.js";
import { described } from "../../shape.js";
import { checkModel } from "../arguments.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import { lengthsShape, rightVector } from "./conversions/parametrized.js";
import { recurrentInTorch } from "./conversions/recurrent.js";
import { type LayerWeights, layersWithWeights, torchLayout, unpermuted } from "./layer-weights.js";

/** A tensor's name, and itself. */
type Named = readonly [name: string, tensor: WrittenTensor];

/**
 * Copies of a model's weights, by name. A running variance is written as it is: Keras's is biased, PyTorch's is not, which makes no
 * difference in evaluation.
 * @param options `names`: "pytorch" (default), or "tensorflowjs" for the layers' own names and layouts
 * @throws TypeError for what is not a model, or an unknown option; RangeError for other names
 */
export function stateDictOf(
  model: LayersModel,
  options: { names?: "pytorch" | "tensorflowjs" } = {},
): Map<string, WrittenTensor> {
  checkModel("stateDictOf", model);
  checkOptions("stateDictOf", options, ["names"]);
  const { names = "pytorch" } = options;
  if (names !== "pytorch" && names !== "tensorflowjs") {
    throw new RangeError(`stateDictOf: names must be "pytorch" or "tensorflowjs", got ${described(names)}`);
  }
  const written = names === "pytorch" ? inTorch : asTheyAre;
  return new Map(layersWithWeights(model).flatMap(written));
}

function asTheyAre({ name, weights }: LayerWeights): Named[] {
  return [...weights.values()].map((variable) => [
    `${name}/${variable.originalName.split("/").pop()}`,
    { shape: variable.shape as number[], data: Float32Array.from(variable.read().dataSync()) },
  ]);
}

function inTorch(layer: LayerWeights): Named[] {
  const { weights, direction, isNormalization } = layer;
  // both directions are one module
  const module = layer.name
    .split("/")
    .slice(0, direction ? -1 : undefined)
    .join(".");
  if (weights.has("recurrent_kernel")) return recurrentInTorch(layer, module);
  const named: Named[] = [];
  const add = (name: string, tensor: WrittenTensor) => named.push([`${module}.${name}`, tensor]);
  for (const [role, variable] of weights) {
    const shape = variable.shape as number[];
    const values = Float32Array.from(variable.read().dataSync());
    const torch = torchLayout(layer, role, shape);
    const turned = { shape: torch.shape, data: unpermuted(values, torch) };
    if (isNormalization) add(theirs("pytorch", role), affine(layer, role, turned));
    else if (role === "g") add("weight_g", { shape: lengthsShape(layer, values.length), data: values });
    else if (role === "u" && weights.has("v"))
      add("parametrizations.weight.0._u", { shape: [values.length], data: values });
    else if (role === "v") add("parametrizations.weight.0._v", rightVector(layer, values));
    else if (role !== "u") add(nameOf(layer, role), turned);
  }
  const counts = batchCountOf("pytorch");
  if (isNormalization && weights.has("runningMean") && counts) {
    add(counts, { shape: [], dtype: "int64", data: BigInt64Array.of(0n) });
  }
  return named;
}

function nameOf({ weights, layer }: LayerWeights, role: string): string {
  const isKernel = /kernel$|^embeddings$|^alpha$/.test(role);
  if (weights.has("pointwise_kernel"))
    return role === "depthwise_kernel" ? "depthwise.weight" : `pointwise.${isKernel ? "weight" : "bias"}`;
  if (!isKernel) return role;
  if (weights.has("g")) return "weight_v";
  if (weights.has("u") && weights.has("v")) return "parametrizations.weight.original";
  return layer.getClassName() === "EinsumDense" ? role : "weight";
}

/** Per channel, and as PyTorch multiplies by it. */
function affine(
  { layer }: LayerWeights,
  role: string,
  tensor: { shape: readonly number[]; data: Float32Array },
): WrittenTensor {
  if (!(layer instanceof NormalizationLayer)) return tensor;
  const { offset = 0, parameters } = layer.getConfig() as { offset?: number; parameters?: string };
  const { data } = tensor;
  if (role === "gamma" && offset !== 0) return { ...tensor, data: data.map((value) => value + offset) };
  const { axes } = (layer.inputSpec?.[0] ?? {}) as { axes?: Readonly<Record<string, number>> };
  const [channels = data.length] = Object.values(axes ?? {});
  if (parameters !== "group" || channels === data.length) return tensor;
  const each = channels / data.length;
  return {
    shape: [channels],
    data: Float32Array.from({ length: channels }, (_, i) => data[Math.floor(i / each)]),
  };
}
