/**
 * One layer's weights out of one module's tensors: which tensor is which weight, in which layout, and what its values become. Shapes are
 * checked first; values are read when everything of the file fits.
 */
import type { Checkpoint } from "../../../checkpoints/checkpoint.js";
import type { MappedNormalization } from "../../../checkpoints/normalizations/normalization.js";
import type { Tensor } from "../../../checkpoints/tensors.js";
import { sameShape, sizeOf } from "../../../shape.js";
import { type LayerWeights, permuted, torchLayout } from "../layer-weights.js";
import { type NamedTensors, tensorOf } from "../modules.js";
import { type Conversion, conversion, type Fitted, fitting, list, type Made } from "./conversion.js";
import { ofNormalization } from "./normalizations.js";
import { ofParts } from "./parametrized.js";
import { ofRecurrent } from "./recurrent.js";

/** Where a layer's weights come from. */
export interface Source {
  readonly module: NamedTensors;
  /** Tensors that were named for weights, by role. */
  readonly weights?: Readonly<Record<string, Tensor>>;
}

/** @returns why it does not fit, where it does not */
export function converted(
  layer: LayerWeights,
  source: Source,
  layout: "pytorch" | "keras",
  normalizations: ReadonlyMap<Tensor, readonly MappedNormalization[]>,
  checkpoint: Checkpoint,
): Conversion | string {
  const { weights } = source;
  const own = ownTensors(layer, source.module.tensors);
  if (typeof own === "string" && !weights) return own;
  const module = { ...source.module, tensors: typeof own === "string" ? {} : own };
  const all = Object.values(module.tensors).flatMap((tensor) => normalizations.get(tensor) ?? []);
  const mapped = all.find(({ name }) => name === module.name) ?? all[0];
  // Keras's Normalization of features has neither gamma nor running statistics, but what adapt measured
  const isNumbered = Object.keys(source.module.tensors).every((name) => /^\d+$/.test(name));
  const isMapped = layer.isNormalization && !isNumbered && layer.layer.getClassName() !== "Normalization";
  if (isMapped && mapped && !weights && !ACTS_ON_WEIGHTS.includes(mapped.kind)) {
    return ofNormalization(layer, module, mapped, layout);
  }
  const recurrent = weights ? undefined : ofRecurrent(layer, module);
  if (recurrent !== undefined) return recurrent;
  const wrapped = mapped && ACTS_ON_WEIGHTS.includes(mapped.kind) ? mapped : undefined;
  return byRole(layer, { module, weights }, layout, wrapped, checkpoint);
}

/**
 * Of a module's tensors a layer's own, by their names alone: Keras has those in a wrapper or a cell under a path
 * (forward_layer/cell/0). Where it numbers them, they are in its order, which is TensorFlow.js's.
 */
function ownTensors(layer: LayerWeights, tensors: NamedTensors["tensors"]): NamedTensors["tensors"] | string {
  const { direction, cell, weights } = layer;
  let entries = Object.entries(tensors).map(([key, tensor]) => ({ path: key.split("/"), tensor }));
  const directed = entries.filter(
    ({ path }) => direction && path.length > 1 && path[0].startsWith(direction),
  );
  if (directed.length > 0) entries = directed;
  if (cell) {
    const start = CELLS[cell.className];
    const cellOf = ({ path }: { path: string[] }) => path[path.length - 2] ?? "";
    const all = [...new Set(entries.map(cellOf))].filter((name) => name.replace(/_\d+$/, "") === start);
    entries = entries.filter((entry) => cellOf(entry) === all[cell.index]);
  }
  if (weights.has("query_kernel")) {
    return Object.fromEntries(entries.map(({ path, tensor }) => [projectionOf(path), tensor]));
  }
  const isNumber = ({ path }: { path: string[] }) => /^\d+$/.test(path[path.length - 1]);
  const numbered = entries.filter(isNumber);
  const named = entries.filter((entry) => !isNumber(entry));
  const inner = numbered.filter(({ path }) => path.length > 1);
  const outer = numbered.filter(({ path }) => path.length === 1);
  const wraps = ["g", "u", "v"].filter((role) => weights.has(role));
  const roles = [...weights.keys()].filter((role) => !wraps.includes(role));
  const found: [string, Tensor][] = named.map(({ path, tensor }) => [path[path.length - 1], tensor]);
  if (wraps.length > 0) {
    // what a wrapper of Addons has of its layer's is its own: g, kernel, whether g is set
    const names = named.map(({ path }) => path[path.length - 1]);
    const others = outer.length > 0 ? ["g", "kernel", "initialized"] : [];
    for (const [i, { tensor }] of outer.entries()) found.push([others[i] ?? String(i), tensor]);
    const left = roles.filter(
      (role) => ![...names, ...others].includes(role) || inner.length === roles.length,
    );
    for (const [i, { tensor }] of inner.entries()) found.push([left[i] ?? String(i), tensor]);
  } else {
    if (numbered.length > 0 && numbered.length !== roles.length) {
      return `${numbered.length} tensors in the file, ${roles.length} weights here`;
    }
    for (const [i, { tensor }] of numbered.entries()) found.push([roles[i], tensor]);
  }
  return Object.fromEntries(found);
}

/** The role of an attention's weight: of query_dense/0 (_query_dense/0 in Keras 2) and query/kernel query_kernel. */
function projectionOf(path: readonly string[]): string {
  const [layer = "", weight] = path.slice(-2);
  const [, name = layer] = /^_?(query|key|value|output)_dense$/.exec(layer) ?? [];
  return `${name === "output" ? "attention_output" : name}_${{ 0: "kernel", 1: "bias" }[weight] ?? weight}`;
}

/** Keras's names of cells in a recurrent layer of several, before they are numbered. */
const CELLS: Readonly<Record<string, string>> = {
  LSTMCell: "lstm_cell",
  GRUCell: "gru_cell",
  ResetAfterGRUCell: "gru_cell",
  SimpleRNNCell: "simple_rnn_cell",
};

const ACTS_ON_WEIGHTS: readonly string[] = ["weightNorm", "spectralNorm"];

function byRole(
  layer: LayerWeights,
  { module, weights: given }: Source,
  layout: "pytorch" | "keras",
  mapped: MappedNormalization | undefined,
  checkpoint: Checkpoint,
): Conversion | string {
  const { weights } = layer;
  const says: string[] = [];
  const made: Made[] = [];
  for (const [role, variable] of weights) {
    const shape = variable.shape as number[];
    const own = given?.[role];
    const composed = own || !mapped ? undefined : ofParts(layer, role, shape, mapped, layout);
    if (typeof composed === "string") return composed;
    if (composed) {
      says.push(...composed.says);
      made.push({ variable, ...composed });
      continue;
    }
    const tensor = own ?? tensorOf(role, module);
    if (tensor === undefined) return `no ${role} in ${module.name || "the file"}`;
    const read = layoutOf(layer, role, shape, tensor, module, layout, checkpoint);
    if (typeof read === "string") return read;
    if (read.says) says.push(`${role}: ${read.says}`);
    made.push({ variable, tensors: [tensor], make: ([values]) => read.turn(values) });
  }
  const claimed = new Set(made.flatMap(({ tensors }) => tensors));
  const bias = tensorOf("bias", module);
  if (bias && !claimed.has(bias) && weights.has("kernel") && !weights.has("bias")) {
    says.push("bias is 0 everywhere in the file, and absent here");
    return conversion(made, says, {
      also: [bias],
      problem: ([values]) =>
        values.every((value) => value === 0)
          ? undefined
          : `${layer.name} has no bias, the file has one that is not 0 everywhere: make the layer with useBias: true`,
    });
  }
  return conversion(made, says);
}

/** A tensor's layout, by its operator in ONNX, and of a convolution by the version of Keras. */
function layoutOf(
  layer: LayerWeights,
  role: string,
  shape: readonly number[],
  tensor: Tensor,
  module: NamedTensors,
  layout: "pytorch" | "keras",
  checkpoint: Checkpoint,
): Fitted | string {
  const { type, config = {} } = module;
  const isProduct = type === "MatMul" || (type === "Gemm" && config.transB !== 1);
  const scaled =
    type === "Gemm" && [config.alpha, config.beta].some((factor) => factor !== undefined && factor !== 1);
  if (scaled) return "Gemm with alpha or beta";
  if (isProduct && role === "kernel") return transposedProduct(layer, role, shape, tensor);
  if (
    type === "PRelu" &&
    role === "alpha" &&
    tensor.shape.length > 1 &&
    sizeOf(tensor.shape) === sizeOf(shape)
  ) {
    return { turn: (values) => values };
  }
  // one slope for all channels
  if (role === "alpha" && sizeOf(tensor.shape) === 1) {
    return {
      turn: ([value]: ArrayLike<number> & Iterable<number>) => new Float32Array(sizeOf(shape)).fill(value),
    } as Fitted;
  }
  const isKernel = role === "kernel" && /Conv[123]D/.test(layer.layer.getClassName());
  if (layout === "keras" && isKernel) return ofConvolution(layer, shape, tensor, module, checkpoint);
  return fitting(layer, role, shape, tensor.shape, layout);
}

/** [in, out], whose rows are in the order of features that flatten gives in the file. */
function transposedProduct(
  layer: LayerWeights,
  role: string,
  shape: readonly number[],
  { shape: from }: Tensor,
): Fitted | string {
  if (!sameShape(from, shape)) return `${role} ${list(from)} in the file, ${list(shape)} here`;
  const { view, order, says } = torchLayout(layer, role, shape);
  if (view.length === 2) return { turn: (values) => values };
  // the rows first
  const rows = [...view.slice(1), view[0]];
  return {
    says,
    turn: (values) =>
      permuted(
        values,
        rows,
        order.map((axis) => (axis === 0 ? rows.length - 1 : axis - 1)),
      ),
  };
}

/**
 * A convolution's kernel in Keras: from version 2 on [...kernel, in, out]; in 1 [out, in, ...kernel] where channels came first, and a signal's
 * one with an axis more. Theano's convolutions turn it round.
 */
function ofConvolution(
  layer: LayerWeights,
  shape: readonly number[],
  tensor: Tensor,
  { config = {} }: NamedTensors,
  { metadata, architecture }: Checkpoint,
): Fitted | string {
  const isKeras1 = /^1\./.test(architecture?.version ?? "");
  const [length, inputs, outputs] = shape;
  // since Keras 1.1, and before it
  const isSignal = isKeras1 && sameShape(tensor.shape, [length, 1, inputs, outputs]);
  const isOldSignal = isKeras1 && !isSignal && sameShape(tensor.shape, [outputs, inputs, length, 1]);
  const from =
    isSignal || isOldSignal ? tensor.shape.filter((_, axis) => axis !== (isSignal ? 1 : 3)) : tensor.shape;
  const isFirst = isKeras1 && (config.dim_ordering === "th" || isOldSignal);
  const fitted = fitting(layer, "kernel", shape, from, isFirst ? "pytorch" : "keras");
  if (typeof fitted === "string" || metadata.backend !== "theano") return fitted;
  const inner = shape[shape.length - 1] * shape[shape.length - 2];
  const says = [fitted.says, "kernel turned round, from Theano's convolution"].filter(Boolean).join(", ");
  const reversed = (values: ArrayLike<number>) => {
    const places = values.length / inner;
    return Float32Array.from(
      { length: values.length },
      (_, i) => values[(places - 1 - Math.floor(i / inner)) * inner + (i % inner)],
    );
  };
  return { says, turn: (values) => reversed(fitted.turn(values)) };
}
