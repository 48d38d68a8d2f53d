/** Kernels as the parts of weight and spectral normalization: those of a file into layers, and a layer's in PyTorch's layout. */
import type { MappedNormalization } from "../../../checkpoints/normalizations/normalization.js";
import type { Tensor } from "../../../checkpoints/tensors.js";
import type { WrittenTensor } from "../../../checkpoints/written.js";
import { sizeOf } from "../../../shape.js";
import { type LayerWeights, type Layout, permuted, torchLayout, unpermuted } from "../layer-weights.js";
import { fitting, list, type Made, type Numbers } from "./conversion.js";

/**
 * A kernel that a file has as weight or spectral normalization's parts: for a layer with that normalization its parts, else multiplied
 * out. Undefined for another weight.
 */
export function ofParts(
  layer: LayerWeights,
  role: string,
  shape: readonly number[],
  { kind, options, tensors, weights, statistics }: MappedNormalization,
  layout: "pytorch" | "keras",
): (Pick<Made, "tensors" | "make"> & { says: string[] }) | string | undefined {
  const whole = kind === "weightNorm" ? tensors.v : (tensors.weight ?? tensors.kernel);
  const isWrapped = layer.weights.has("g") || layer.weights.has("u");
  if (role === "g" && tensors.g) {
    if (weights.g.length !== sizeOf(shape))
      return `g ${list(tensors.g.shape)} in the file, ${list(shape)} here`;
    return { tensors: [tensors.g], make: ([values]) => values, says: [] };
  }
  if (role === "u" && tensors.u) {
    if (statistics.u.length !== sizeOf(shape))
      return `u ${list(tensors.u.shape)} in the file, ${list(shape)} here`;
    return { tensors: [tensors.u], make: ([values]) => values, says: [] };
  }
  if (role === "v" && kind === "spectralNorm") return ofVector(layer, shape, tensors.v, layout);
  if (!/kernel$|^embeddings$/.test(role) || whole === undefined) return undefined;
  const fitted = fitting(layer, role, shape, whole.shape, layout);
  if (typeof fitted === "string") return fitted;
  const says = fitted.says ? [`${role}: ${fitted.says}`] : [];
  if (isWrapped || (kind === "spectralNorm" && layout === "keras")) {
    return { tensors: [whole], make: ([values]) => fitted.turn(values), says };
  }
  const { axis } = options as { axis?: number | null };
  const outputs = outputsFirst(whole.shape, axis ?? null);
  const parts = kind === "weightNorm" ? tensors.g : tensors.u;
  return {
    tensors: [whole, parts, ...(kind === "spectralNorm" && tensors.v ? [tensors.v] : [])],
    make: ([values, first, second]) => {
      const factors =
        kind === "weightNorm"
          ? lengthsOf(values, outputs).map((length, i) => first[i] / length)
          : [1 / singular(values, outputs, first, second)];
      return fitted.turn(
        values.map((value, i) => value * factors[factors.length === 1 ? 0 : outputs.rowOf(i)]),
      );
    },
    says: [
      ...says,
      `${kind === "weightNorm" ? "weight" : "spectral"} normalization multiplied out: the layer has none`,
    ],
  };
}

/** PyTorch's v goes over [in, ...kernel], ours over [...kernel, in]. */
function ofVector(
  layer: LayerWeights,
  shape: readonly number[],
  v: Tensor | undefined,
  layout: "pytorch" | "keras",
) {
  if (v === undefined) return "no v in the file";
  if (sizeOf(v.shape) !== sizeOf(shape)) return `v ${list(v.shape)} in the file, ${list(shape)} here`;
  const kernel = layer.weights.get("kernel");
  if (layout === "keras" || kernel === undefined)
    return { tensors: [v], make: ([values]: Numbers[]) => values, says: [] };
  const { view, order } = vectorLayout(layer, kernel.shape as number[]);
  return { tensors: [v], make: ([values]: Numbers[]) => permuted(values, view, order), says: [] };
}

/** Of the axes of a kernel but that of its outputs. */
function vectorLayout(layer: LayerWeights, kernel: readonly number[]): Pick<Layout, "view" | "order"> {
  const { view, order } = torchLayout(layer, "kernel", kernel);
  const outputs = outputsIn(layer);
  const left = order.filter((axis) => axis !== outputs);
  return {
    view: view.filter((_, axis) => axis !== outputs),
    order: left.map((axis) => (axis > outputs ? axis - 1 : axis)),
  };
}

/** The axis of a kernel's outputs in PyTorch. */
const outputsIn = ({ layer }: LayerWeights) => (/Transpose$/.test(layer.getClassName()) ? 1 : 0);

/** Rows of a kernel as weight and spectral normalization see it: one for each length of an axis, or one alone. */
function outputsFirst(shape: readonly number[], axis: number | null) {
  const at = axis === null ? null : axis < 0 ? axis + shape.length : axis;
  const rows = at === null ? 1 : shape[at];
  const inner = at === null ? 1 : sizeOf(shape.slice(at + 1));
  return {
    rows,
    rowOf: (i: number) => (at === null ? 0 : Math.floor(i / inner) % rows),
    columnOf: (i: number) => (at === null ? i : Math.floor(i / (inner * rows)) * inner + (i % inner)),
  };
}
type Rows = ReturnType<typeof outputsFirst>;

function lengthsOf(values: Numbers, { rows, rowOf }: Rows): number[] {
  const squares = new Array<number>(rows).fill(0);
  for (let i = 0; i < values.length; i++) squares[rowOf(i)] += values[i] ** 2;
  return squares.map(Math.sqrt);
}

/** The largest singular value by the stored vectors; v of u where only that is stored. */
function singular(values: Numbers, { rowOf, columnOf, rows }: Rows, u: Numbers, v?: Numbers): number {
  const columns = values.length / rows;
  let right: ArrayLike<number>;
  if (v) right = v;
  else {
    const sums = new Float64Array(columns);
    for (let i = 0; i < values.length; i++) sums[columnOf(i)] += values[i] * u[rowOf(i)];
    const length = Math.sqrt(sums.reduce((sum, value) => sum + value * value, 0));
    right = sums.map((value) => value / length);
  }
  let sigma = 0;
  for (let i = 0; i < values.length; i++) sigma += u[rowOf(i)] * values[i] * right[columnOf(i)];
  return sigma;
}

/** The shape of g in PyTorch, one length for each output: [out, 1, ...], of transposed convolutions [1, out, ...]. */
export function lengthsShape(layer: LayerWeights, outputs: number): number[] {
  const [role, kernel] = [...layer.weights].find(([name]) => /kernel$|^embeddings$/.test(name)) ?? [];
  const { shape } = torchLayout(layer, role ?? "kernel", (kernel?.shape ?? [outputs]) as number[]);
  return shape.map((_, axis) => (axis === outputsIn(layer) ? outputs : 1));
}

/** v in PyTorch's order. */
export function rightVector(layer: LayerWeights, values: Float32Array): WrittenTensor {
  const kernel = layer.weights.get("kernel");
  const data = kernel ? unpermuted(values, vectorLayout(layer, kernel.shape as number[])) : values;
  return { shape: [data.length], data };
}
