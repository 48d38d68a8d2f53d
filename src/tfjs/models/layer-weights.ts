/**
 * The layers of a TensorFlow.js model that have weights, these by their roles, and how PyTorch (and MXNet, ONNX) lay them out:
 *
 *     dense         [in, out]               [out, in]
 *     convolution   [...kernel, in, out]    [out, in, ...kernel]      transposed: [...kernel, out, in] and [in, out, ...kernel]
 *     depthwise     [height, width, c, m]   [c·m, 1, height, width]
 *     flattened     [height·width·c, out]   [out, c·height·width]     of a dense layer after flatten
 */
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import { ours } from "../../frameworks/names.js";
import { sizeOf } from "../../shape.js";
import { batchVariables, isBuiltInBatch } from "../layers/built-in.js";
import { insideOf } from "../layers/layer-wrapper.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import { WeightWrapper } from "../layers/weight-wrappers.js";
import type { Layer, Shape } from "../types.js";

/** A layer with weights of its own. */
export interface LayerWeights {
  /** Its path: names of the models and wrappers around it, and its own. */
  readonly name: string;
  /** Other names for it: its wrapper's, and the path under which Keras 3 stores it. */
  readonly aliases: readonly string[];
  readonly layer: Layer;
  /** By role: our names of a normalization's (gamma, runningMean), Keras's of others' (kernel, bias, recurrent_kernel). */
  readonly weights: ReadonlyMap<string, LayerVariable>;
  readonly isNormalization: boolean;
  /** Of a bidirectional layer. */
  readonly direction?: "forward" | "backward";
  /** Of a recurrent layer of several cells: its class, and which of those of this class it is. */
  readonly cell?: { readonly className: string; readonly index: number };
  /** Height, width and channels before the flatten that its inputs come from. */
  readonly flattened?: readonly number[];
}

type Place = Pick<LayerWeights, "name" | "aliases" | "direction" | "cell">;

/** In the model's order, those of nested models and wrappers too, each once. */
export function layersWithWeights(model: LayersModel): LayerWeights[] {
  const found: LayerWeights[] = [];
  const seen = new Set<Layer>();
  const add = (outer: Layer, layer: Layer, place: Place) => {
    const weights = rolesOf(outer);
    if (weights.size === 0) return;
    const isNormalization = layer instanceof NormalizationLayer || isBuiltIn(layer);
    found.push({ ...place, layer, weights, isNormalization, flattened: flattenedBefore(outer) });
  };
  const visit = (layer: Layer, place: Place) => {
    if (seen.has(layer)) return;
    seen.add(layer);
    const inside = insideOf(layer);
    const { name, direction } = place;
    const within = (one: Layer, more: Partial<Place> = {}) =>
      visit(one, { name: `${name}/${one.name}`, aliases: [name, ...place.aliases], direction, ...more });
    const { cells = [] } = (layer as { cell?: { cells?: Layer[] } }).cell ?? {};
    if (layer instanceof WeightWrapper)
      add(layer, innermost(inside[0]), {
        ...place,
        aliases: [`${name}/${inside[0].name}`, ...place.aliases],
      });
    else if (cells.length > 0) {
      const classes = cells.map((one) => one.getClassName());
      for (const [i, one] of cells.entries()) {
        const index = classes.slice(0, i).filter((className) => className === classes[i]).length;
        within(one, { cell: { className: classes[i], index } });
      }
    } else if (inside.length === 0) add(layer, layer, place);
    else if ("forwardLayer" in layer) {
      for (const [i, one] of inside.entries()) within(one, { direction: i === 0 ? "forward" : "backward" });
    } else if ("layers" in layer) visitAll(inside, `${name}/`, `${place.aliases[place.aliases.length - 1]}/`);
    else {
      // a model in each step of a sequence is stored as the attribute of its wrapper
      const stored = `${place.aliases[place.aliases.length - 1]}/layer`;
      for (const one of inside) within(one, "layers" in one ? { aliases: [name, stored] } : {});
    }
  };
  const visitAll = (layers: readonly Layer[], path: string, stored: string) => {
    const names = storedNames(layers);
    for (const [i, layer] of layers.entries()) {
      visit(layer, { name: path + layer.name, aliases: [`${stored}layers/${names[i]}`] });
    }
  };
  visitAll(model.layers, "", "");
  return found;
}

/** What Keras 3 calls layers in .weights.h5 files, which do not have their names: by class, numbered. */
function storedNames(layers: readonly Layer[]): string[] {
  const counts = new Map<string, number>();
  return layers.map((layer) => {
    const className = layer.getClassName();
    const known = Object.hasOwn(KERAS_CLASSES, className) ? KERAS_CLASSES[className] : className;
    const name = known
      .replace(/(.)([A-Z][a-z]+)/g, "$1_$2")
      .replace(/([a-z])([A-Z])/g, "$1_$2")
      .toLowerCase();
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    return count === 0 ? name : `${name}_${count}`;
  });
}

/** Of ours that stand for one of Keras's. */
const KERAS_CLASSES: Readonly<Record<string, string>> = {
  Model: "Functional",
  LayersModel: "Functional",
  ResetAfterGRU: "GRU",
  CausalConv1D: "Conv1D",
  KerasMultiHeadAttention: "MultiHeadAttention",
  GroupedConv1D: "Conv1D",
  GroupedConv2D: "Conv2D",
  GroupedConv3D: "Conv3D",
  TransposedConv1D: "Conv1DTranspose",
  TransposedConv2D: "Conv2DTranspose",
  TransposedConv3D: "Conv3DTranspose",
  DilatedDepthwiseConv2D: "DepthwiseConv2D",
  TrailingScaleRMSNormalization: "RMSNormalization",
};

/** A normalization of TensorFlow.js's own. */
export function isBuiltIn(layer: Layer): boolean {
  return (
    isBuiltInBatch(layer) ||
    (!(layer instanceof NormalizationLayer) && layer.getClassName() === "LayerNormalization")
  );
}

function innermost(layer: Layer): Layer {
  const [inner] = insideOf(layer);
  return inner && !("layers" in layer) ? innermost(inner) : layer;
}

function rolesOf(layer: Layer): Map<string, LayerVariable> {
  if (layer instanceof NormalizationLayer) return new Map(Object.entries(layer.variables));
  if (isBuiltInBatch(layer)) return new Map(Object.entries(batchVariables(layer)));
  const roles = new Map<string, LayerVariable>();
  for (const variable of layer.weights) {
    const last = variable.originalName.split("/").pop() as string;
    const role = layer instanceof WeightWrapper ? ours("tensorflowjs", last, "spectralNorm") : last;
    // in camel case only what is a normalization's
    const name = ["g", "u", "v"].includes(role) ? role : last;
    let unique = name;
    for (let i = 2; roles.has(unique); i++) unique = `${name}_${i}`;
    roles.set(unique, variable);
  }
  return roles;
}

/** Layers that change neither the order nor the number of features. */
const ELEMENTWISE =
  /^(Dropout|AlphaDropout|GaussianNoise|GaussianDropout|Activation|\w*ReLU|ELU|Softmax|Masking|\w+Normalization|Rectifier)$/;

function flattenedBefore(layer: Layer): readonly number[] | undefined {
  let current: Layer = layer;
  for (;;) {
    const [node] = current.inboundNodes;
    const before: Layer | undefined = node?.inboundLayers.length === 1 ? node.inboundLayers[0] : undefined;
    if (before === undefined || "layers" in before) return undefined;
    const name = before.getClassName();
    if (name === "Flatten" || name === "Reshape") {
      const [inner] = before.inboundNodes;
      const shape = inner.inputShapes as Shape | Shape[];
      const input = (Array.isArray(shape[0]) ? shape[0] : shape) as Shape;
      const [, ...lengths] = input;
      const from = inner.inboundLayers[0]?.getClassName();
      const isFlat = name === "Flatten" || (before.outputShape as Shape).length === 2;
      // a model that permutes or reshapes before it has the file's order already
      if (!isFlat || lengths.length < 2 || lengths.includes(null) || from === "Permute" || from === "Reshape")
        return undefined;
      if ((before as { dataFormat?: string }).dataFormat === "channelsFirst") return undefined;
      const channels = lengths[lengths.length - 1] as number;
      return channels > 1 && sizeOf(lengths as number[]) > channels ? (lengths as number[]) : undefined;
    }
    if (!ELEMENTWISE.test(name)) return undefined;
    current = before;
  }
}

/** Where a weight's values are in PyTorch: of `view`, axes in this order are TensorFlow.js's. */
export interface Layout {
  /** PyTorch's. */
  readonly shape: readonly number[];
  readonly view: readonly number[];
  readonly order: readonly number[];
  /** What it is called: "[out, in] → [in, out]"; undefined where nothing changes. */
  readonly says?: string;
}

/** PyTorch's layout of a weight. */
export function torchLayout(
  { layer, flattened }: LayerWeights,
  role: string,
  shape: readonly number[],
): Layout {
  const name = layer.getClassName();
  const rank = shape.length;
  const as = (view: readonly number[], order: readonly number[], says: string, theirs = view): Layout => ({
    shape: theirs,
    view,
    order,
    says,
  });
  const [places, channels] = flattened ? [flattened.slice(0, -1), flattened[flattened.length - 1]] : [[], 0];
  if (name === "Dense" && role === "kernel") {
    const [inputs, outputs] = shape;
    if (flattened && sizeOf(flattened) === inputs) {
      const view = [outputs, channels, ...places];
      const order = [...places.map((_, i) => i + 2), 1, 0];
      return as(view, order, FLATTENED, [outputs, inputs]);
    }
    return as([outputs, inputs], [1, 0], "[out, in] → [in, out]");
  }
  if (/^(Separable|Depthwise)Conv/.test(name) && role === "depthwise_kernel") {
    const [multiplier, inputs] = [shape[rank - 1], shape[rank - 2]];
    const kernel = shape.slice(0, -2);
    const order = [...kernel.map((_, i) => i + 2), 0, 1];
    return as([inputs, multiplier, ...kernel], order, "[in·m, 1, ...kernel] → [...kernel, in, m]", [
      inputs * multiplier,
      1,
      ...kernel,
    ]);
  }
  if (/Conv[123]D/.test(name) && (role === "kernel" || role === "pointwise_kernel")) {
    const view = [shape[rank - 1], shape[rank - 2], ...shape.slice(0, -2)];
    const order = [...shape.slice(0, -2).map((_, i) => i + 2), 1, 0];
    const says = /Transpose$/.test(name)
      ? "[in, out, ...kernel] → [...kernel, out, in]"
      : "[out, in, ...kernel] → [...kernel, in, out]";
    return as(view, order, says);
  }
  if (role === "alpha")
    return { shape: shape.filter((length) => length !== 1), view: shape, order: [...shape.keys()] };
  // normalized over several axes, the channels among them
  if (rank > 2 && role !== "kernel") {
    const view = [shape[rank - 1], ...shape.slice(0, -1)];
    return as(view, [...shape.slice(1).map((_, i) => i + 1), 0], "[channels, ...] → [..., channels]");
  }
  if (flattened && rank === 1 && role !== "bias" && shape[0] === sizeOf(flattened)) {
    const order = [...places.map((_, i) => i + 1), 0];
    return as([channels, ...places], order, FLATTENED, shape);
  }
  return { shape, view: shape, order: [...shape.keys()] };
}

const FLATTENED = "features of flatten reordered, channels first → channels last";

/** Values of an array with its axes in another order. */
export function permuted(
  values: ArrayLike<number>,
  shape: readonly number[],
  order: readonly number[],
): Float32Array {
  const result = new Float32Array(values.length);
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const lengths = order.map((axis) => shape[axis]);
  const steps = order.map((axis) => strides[axis]);
  const index = order.map(() => 0);
  let from = 0;
  for (let to = 0; to < result.length; to++) {
    result[to] = values[from];
    for (let axis = lengths.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      index[axis]++;
      if (index[axis] < lengths[axis]) break;
      from -= steps[axis] * lengths[axis];
      index[axis] = 0;
    }
  }
  return result;
}

/** The other way: values in TensorFlow.js's order in PyTorch's. */
export function unpermuted(
  values: ArrayLike<number>,
  { view, order }: Pick<Layout, "view" | "order">,
): Float32Array {
  const back: number[] = new Array(order.length);
  for (const [i, axis] of order.entries()) back[axis] = i;
  return permuted(
    values,
    order.map((axis) => view[axis]),
    back,
  );
}
