/**
 * A model's weights under PyTorch's names and in its layouts, as `load_state_dict` takes them.
 *
 *     writeSafetensors(stateDictOf(model), { format: "pt" });
 *
 * Layers are modules of their names, those inside models and wrappers after a ".". A separable convolution is two modules, `depthwise` and
 * `pointwise`; recurrent layers have PyTorch's two biases, the second 0 where Keras has one; weight and spectral normalization are
 * torch.nn.utils.parametrizations'.
 */
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import type { WrittenTensor } from "../../checkpoints/written.js";
import { batchCountOf, theirs } from "../../frameworks/names.js";
import { checkOptions } from "../../options.js";
import { described, sizeOf } from "../../shape.js";
import { checkModel } from "../arguments.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import { inverse, type LayerWeights, layersWithWeights, permuted, torchLayout } from "./layer-weights.js";

/** A tensor's name, and itself. */
type Named = readonly [name: string, tensor: WrittenTensor];

/**
 * Copies of a model's weights, by name. A running variance is written as it is: Keras's is biased, PyTorch's is not, which makes no difference
 * in evaluation.
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
  if (weights.has("recurrent_kernel")) return recurrent(layer, module);
  const named: Named[] = [];
  const add = (name: string, tensor: WrittenTensor) => named.push([`${module}.${name}`, tensor]);
  for (const [role, variable] of weights) {
    const shape = variable.shape as number[];
    const values = Float32Array.from(variable.read().dataSync());
    const { shape: torch, view, order } = torchLayout(layer, role, shape);
    const turned = permuted(
      values,
      order.map((axis) => view[axis]),
      inverse(order),
    );
    if (isNormalization) add(theirs("pytorch", role), affine(layer, role, { shape: torch, data: turned }));
    else if (role === "g") add("weight_g", { shape: alone(layer, values.length), data: values });
    else if (role === "u" && weights.has("v"))
      add("parametrizations.weight.0._u", { shape: [values.length], data: values });
    else if (role === "v") add("parametrizations.weight.0._v", vector(layer, values));
    else if (role !== "u") add(nameOf(layer, role), { shape: torch, data: turned });
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

/** The shape of one length for each output: [out, 1, ...], of transposed convolutions [1, out, ...]. */
function alone(layer: LayerWeights, outputs: number): number[] {
  const [role, kernel] = [...layer.weights].find(([name]) => /kernel$|^embeddings$/.test(name)) ?? [];
  const { shape } = torchLayout(layer, role ?? "kernel", (kernel?.shape ?? [outputs]) as number[]);
  const at = /Transpose$/.test(layer.layer.getClassName()) ? 1 : 0;
  return shape.map((_, axis) => (axis === at ? outputs : 1));
}

/** The right singular vector, which goes over [in, ...kernel] there. */
function vector(layer: LayerWeights, values: Float32Array): WrittenTensor {
  const kernel = layer.weights.get("kernel");
  if (kernel === undefined) return { shape: [values.length], data: values };
  const { view, order } = torchLayout(layer, "kernel", kernel.shape as number[]);
  const outputs = /Transpose$/.test(layer.layer.getClassName()) ? 1 : 0;
  const rest = view.filter((_, axis) => axis !== outputs);
  const own = order.filter((axis) => axis !== outputs).map((axis) => (axis > outputs ? axis - 1 : axis));
  return {
    shape: [sizeOf(rest)],
    data: permuted(
      values,
      own.map((axis) => rest[axis]),
      inverse(own),
    ),
  };
}

/** Gates z, r, n are r, z, n there; those of an LSTM are in the same order. */
function recurrent({ name, weights, direction }: LayerWeights, module: string): Named[] {
  const end = `_l0${direction === "backward" ? "_reverse" : ""}`;
  const read = (role: string) => Float32Array.from(weights.get(role)?.read().dataSync() ?? []);
  const [units, rows] = (weights.get("recurrent_kernel") as LayerVariable).shape as number[];
  const order = rows === 3 * units ? [1, 0, 2] : [...Array(rows / units).keys()];
  const bias = read("bias");
  const biases = bias.length / rows;
  if (rows === 3 * units && biases === 1) {
    throw new RangeError(
      `stateDictOf: ${name} resets before its product, PyTorch's GRU after it: make the layer with gru() of evenkeel/tfjs`,
    );
  }
  /** [columns, gates, units] as [gates, units, columns]. */
  const turned = (values: Float32Array, columns: number) => {
    const transposed = permuted(values, [columns, rows], [1, 0]);
    const result = new Float32Array(values.length);
    const length = units * columns;
    for (const [i, gate] of order.entries()) {
      result.set(transposed.subarray(gate * length, (gate + 1) * length), i * length);
    }
    return result;
  };
  const tensor = (called: string, data: Float32Array, columns?: number): Named => [
    `${module}.${called}${end}`,
    { shape: columns === undefined ? [rows] : [rows, columns], data: turned(data, columns ?? 1) },
  ];
  const [kernel, inner] = [read("kernel"), read("recurrent_kernel")];
  const matrices = [tensor("weight_ih", kernel, kernel.length / rows), tensor("weight_hh", inner, units)];
  if (biases === 0) return matrices;
  const second = biases === 2 ? bias.slice(rows) : new Float32Array(rows);
  return [...matrices, tensor("bias_ih", bias.slice(0, rows)), tensor("bias_hh", second)];
}
