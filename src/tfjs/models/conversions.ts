/**
 * One layer's weights out of one module's tensors: which tensor is which weight, in which layout, and what its values become. Shapes are checked
 * first; values are read when everything of the file fits.
 */
import type { LayerVariable } from "@tensorflow/tfjs-layers";
import type { Checkpoint } from "../../checkpoints/checkpoint.js";
import type { MappedNormalization } from "../../checkpoints/normalizations/normalization.js";
import { numbersOf, type Tensor } from "../../checkpoints/tensors.js";
import { theirs } from "../../frameworks/names.js";
import { type Catalog, catalog } from "../../norms/catalog.js";
import { fitsShape, sameShape, sizeOf } from "../../shape.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import { type LayerWeights, type Layout, permuted, torchLayout } from "./layer-weights.js";
import type { NamedTensors } from "./modules.js";

/** Where a layer's weights come from. */
export interface Source {
  readonly module: NamedTensors;
  /** Tensors that were named for weights, by role. */
  readonly weights?: Readonly<Record<string, Tensor>>;
}

/** How a layer is loaded. */
export interface Conversion {
  /** Names of the file's tensors by those of the layer's weights. */
  readonly tensors: Readonly<Record<string, string>>;
  /** Names of all tensors that count as used. */
  readonly used: readonly string[];
  /** What is done, a line each. */
  readonly says: readonly string[];
  /** Options that differ. */
  readonly warnings: readonly string[];
  /** The values; a problem where these show that the layer cannot hold them. */
  read(): Promise<{ weights?: [LayerVariable, ArrayLike<number>][]; problem?: string }>;
}

type Numbers = Float32Array | Float64Array;
/** A weight, the tensors that it is made of, and how. */
interface Made {
  readonly variable: LayerVariable;
  readonly tensors: readonly Tensor[];
  make(values: Numbers[]): ArrayLike<number>;
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
  const module = { ...source.module, tensors: ownTensors(layer, source.module.tensors) };
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
 * Of a module's tensors a layer's own, by their names alone: Keras has those in a wrapper or a cell under a path (forward_layer/cell/0). Where
 * it numbers them, they are in its order, which is TensorFlow.js's.
 */
function ownTensors(layer: LayerWeights, tensors: NamedTensors["tensors"]): NamedTensors["tensors"] {
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
  } else for (const [i, { tensor }] of numbered.entries()) found.push([roles[i] ?? String(i), tensor]);
  return Object.fromEntries(found);
}

/** Keras's names of cells in a recurrent layer of several, before they are numbered. */
const CELLS: Readonly<Record<string, string>> = {
  LSTMCell: "lstm_cell",
  GRUCell: "gru_cell",
  ResetAfterGRUCell: "gru_cell",
  SimpleRNNCell: "simple_rnn_cell",
};

const ACTS_ON_WEIGHTS: readonly string[] = ["weightNorm", "spectralNorm"];

const list = (shape: readonly number[]) => `[${shape.join(", ")}]`;

interface Extra {
  readonly warnings?: readonly string[];
  /** Tensors that no weight is made of, but that count as used. */
  readonly also?: readonly Tensor[];
  /** Why their values do not allow it. */
  problem?(values: readonly Numbers[]): string | undefined;
}

function conversion(made: readonly Made[], says: readonly string[], extra: Extra = {}): Conversion {
  const { warnings = [], also = [], problem } = extra;
  const named = made.filter(({ tensors }) => tensors.length > 0);
  const readAll = (tensors: readonly Tensor[]) => Promise.all(tensors.map(numbersOf));
  return {
    tensors: Object.fromEntries(
      named.map(({ variable, tensors }) => [
        variable.originalName,
        tensors.map(({ name }) => name).join(" + "),
      ]),
    ),
    used: [...made.flatMap(({ tensors }) => tensors), ...also].map(({ name }) => name),
    says: [...new Set(says)],
    warnings,
    async read() {
      const found = problem?.(await readAll(also));
      if (found !== undefined) return { problem: found };
      const weights: [LayerVariable, ArrayLike<number>][] = [];
      for (const { variable, tensors, make } of made) weights.push([variable, make(await readAll(tensors))]);
      return { weights };
    },
  };
}

/** By our names of weights, after the conversions that `normalizationsOf` has made. */
function ofNormalization(
  { layer, weights, ...others }: LayerWeights,
  module: NamedTensors,
  mapped: MappedNormalization,
  layout: "pytorch" | "keras",
): Conversion | string {
  const config = layer.getConfig() as Readonly<Record<string, unknown>>;
  const kind =
    layer instanceof NormalizationLayer ? layer.normalization.name : kindOfBuiltIn(layer.getClassName());
  const hasStatistics = weights.has("runningMean");
  if (hasStatistics && mapped.statistics.runningMean === undefined)
    return "no running statistics in the file";
  if (!hasStatistics && mapped.statistics.runningMean !== undefined)
    return `running statistics in the file, none in this ${kind}`;
  if (
    mapped.type !== undefined &&
    FAMILIES.some((family) => family.includes(mapped.kind) !== family.includes(kind))
  ) {
    return `${mapped.type} in the file, ${kind} here`;
  }
  const says = [...mapped.conversions];
  const offset = ((mapped.options.offset ?? 0) as number) - ((config.offset ?? 0) as number);
  const made: Made[] = [];
  for (const [role, variable] of weights) {
    const shape = variable.shape as number[];
    const values = mapped.weights[role] ?? mapped.statistics[role];
    if (values === undefined) {
      const initial =
        role === "gamma" ? 1 - ((config.offset ?? 0) as number) : role === "beta" ? 0 : undefined;
      if (initial !== undefined) {
        says.push(`no ${role} in the file: ${initial}`);
        made.push({ variable, tensors: [], make: () => new Float32Array(sizeOf(shape)).fill(initial) });
      } else {
        const own = tensorOf(role, module);
        if (own) made.push({ variable, tensors: [own], make: ([numbers]) => numbers });
        else if (!COUNTED.includes(role)) return `no ${role} in the file`;
      }
      continue;
    }
    const tensor = mapped.tensors[role];
    const shifted = role === "gamma" && offset !== 0 ? values.map((value) => value + offset) : values;
    if (shifted !== values) says.push(`gamma plus ${offset}: it is stored less that in the file`);
    const fitted = fitting(
      { layer, weights, ...others },
      role,
      shape,
      tensor?.shape ?? [values.length],
      layout,
    );
    if (typeof fitted !== "string") {
      says.push(...(fitted.says ? [`${role}: ${fitted.says}`] : []));
      made.push({ variable, tensors: tensor ? [tensor] : [], make: () => fitted.turn(shifted) });
    } else if (values.length < sizeOf(shape) && sizeOf(shape) % values.length === 0) {
      const each = sizeOf(shape) / values.length;
      says.push(`${role}: ${values.length} for groups of ${each} channels`);
      const spread = Float32Array.from({ length: sizeOf(shape) }, (_, i) => shifted[Math.floor(i / each)]);
      made.push({ variable, tensors: tensor ? [tensor] : [], make: () => spread });
    } else return fitted;
  }
  const excess = Object.entries({ gamma: 1 - ((mapped.options.offset ?? 0) as number), beta: 0 }).filter(
    ([role]) => mapped.weights[role] !== undefined && !weights.has(role),
  );
  const problem = () => {
    for (const [role, neutral] of excess) {
      if (mapped.weights[role].every((value) => value === neutral)) continue;
      return `${layer.name} has no ${role}, the file has one that is not ${neutral} everywhere: make the layer with ${role === "gamma" ? "scale" : "center"}: true`;
    }
    return undefined;
  };
  for (const [role, neutral] of excess)
    says.push(`${role} is ${neutral} everywhere in the file, and absent here`);
  // what is not in the formula, such as a gamma that is fixed
  const also = Object.values(module.tensors);
  return conversion(made, says, { warnings: differences(config, kind, mapped), problem, also });
}

/** State that starts anew where the file does not have it: counters, and limits that are options in Keras. */
const COUNTED = ["runningCount", "rMax", "rMin", "dMax"];

/** What must not be taken for one another where the file names its class. */
const FAMILIES: readonly (readonly string[])[] = [
  ["batchNorm", "ghostBatchNorm", "batchRenorm", "batchLayerNorm"],
  ["rmsNorm"],
];

const kindOfBuiltIn = (className: string) => (className === "BatchNormalization" ? "batchNorm" : "layerNorm");

/** Options by which the outputs differ. */
function differences(
  config: Readonly<Record<string, unknown>>,
  kind: string,
  mapped: MappedNormalization,
): string[] {
  const defaultOf = (name: string, option: string) =>
    (catalog[name as keyof Catalog]?.defaults as Readonly<Record<string, unknown>> | undefined)?.[option];
  const lines: string[] = [];
  const epsilon = (mapped.options.epsilon ?? defaultOf(mapped.kind, "epsilon")) as number | undefined;
  const here = (config.epsilon ?? defaultOf(kind, "epsilon")) as number | undefined;
  if (
    epsilon !== undefined &&
    here !== undefined &&
    Math.abs(epsilon - here) > 1e-6 * Math.max(epsilon, here)
  ) {
    // by default, or by a configuration that does not name layers
    const assumed = mapped.conversions.find((line) =>
      /^epsilon not in the file: |^epsilon .* of config\.json/.test(line),
    );
    lines.push(
      assumed
        ? `epsilon ${short(here)} in the layer, ${short(epsilon)} by ${/config\.json/.test(assumed) ? "config.json" : "default where it was trained"}; the file does not say`
        : `epsilon ${short(epsilon)} in the file, ${short(here)} in the layer: make it with epsilon: ${short(epsilon)}`,
    );
  }
  const groups = mapped.options.groups;
  if (kind === "groupNorm" && typeof groups === "number" && groups !== config.groups) {
    lines.push(`groups ${groups} in the file, ${config.groups} in the layer: make it with groups: ${groups}`);
  }
  return lines;
}

function short(value: number): string {
  const rounded = Number(value.toPrecision(7));
  return rounded !== 0 && Math.abs(rounded) < 1e-3 ? rounded.toExponential() : String(rounded);
}

interface Fitted {
  readonly says?: string;
  turn(values: ArrayLike<number>): ArrayLike<number>;
}

/** A tensor's values in a weight's layout; what does not fit, where it does not. */
function fitting(
  layer: LayerWeights,
  role: string,
  shape: readonly number[],
  from: readonly number[],
  layout: "pytorch" | "keras",
): Fitted | string {
  const wrong = `${role} ${list(from)} in the file, ${list(shape)} here`;
  if (layout === "pytorch") {
    const torch = torchLayout(layer, role, shape);
    if (fitsShape(from, torch.shape)) return turned(torch);
    // as it is, where no layout is PyTorch's: normalized over two axes
    return wrong;
  }
  if (fitsShape(from, shape)) return { turn: (values) => values };
  // Flax's depthwise kernels
  const [inputs, multiplier] = shape.slice(-2);
  const flax =
    role === "depthwise_kernel" && sameShape(from, [...shape.slice(0, -2), 1, inputs * multiplier]);
  return flax ? { turn: (values) => values } : wrong;
}

function turned({ view, order, says }: Layout): Fitted {
  return { says, turn: (values) => permuted(values, view, order) };
}

/** Names of a weight in files, by role; of ONNX's operators those of their inputs. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  kernel: ["kernel", "weight", "W", "weights", "w"],
  bias: ["bias", "biases", "b"],
  embeddings: ["embeddings", "embedding", "weight"],
  depthwise_kernel: ["depthwise_kernel", "depthwise_weights", "kernel", "weight", "W"],
  pointwise_kernel: ["pointwise_kernel", "pointwise_weights"],
  alpha: ["alpha", "weight", "slope", "gamma"],
  gamma: ["gamma", "weight", "scale", "Scale"],
  beta: ["beta", "bias", "offset", "B"],
  runningMean: ["moving_mean", "running_mean", "mean"],
  runningVariance: ["moving_variance", "running_var", "variance", "var"],
  u: ["vector_u", "sn_u", "u"],
  v: ["vector_v", "v"],
};

function tensorOf(role: string, { type, tensors }: NamedTensors): Tensor | undefined {
  const named = (name: string) => (Object.hasOwn(tensors, name) ? tensors[name] : undefined);
  if (type === "Gemm" || type === "MatMul") return named({ kernel: "B", bias: "C" }[role] ?? "");
  const isConvolution = type !== undefined && /^Conv(Transpose)?$/.test(type);
  if (isConvolution && role === "bias" && named("B")) return named("B");
  const names = [role, ...(Object.hasOwn(NAMES, role) ? NAMES[role] : [theirs("keras", role)])];
  for (const name of names) if (named(name)) return named(name);
  return undefined;
}

function byRole(
  layer: LayerWeights,
  { module, weights: given }: Source,
  layout: "pytorch" | "keras",
  mapped: MappedNormalization | undefined,
  checkpoint: Checkpoint,
): Conversion | string {
  const { weights } = layer;
  const keys = Object.keys(module.tensors);
  // a layer whose variables the file numbers has them in Keras's order, which is TensorFlow.js's
  const numbered = keys.length > 0 && keys.every((key, i) => key === String(i));
  if (numbered && keys.length !== weights.size)
    return `${keys.length} tensors in the file, ${weights.size} weights here`;
  const says: string[] = [];
  const made: Made[] = [];
  for (const [i, [role, variable]] of [...weights].entries()) {
    const shape = variable.shape as number[];
    const own = given?.[role] ?? (numbered ? module.tensors[String(i)] : undefined);
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

/** A tensor's layout, by its operator in ONNX, and by the order of axes in Keras 1. */
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
  const version = checkpoint.architecture?.version ?? "";
  if (
    layout === "keras" &&
    /^1\./.test(version) &&
    /Conv[123]D/.test(layer.layer.getClassName()) &&
    role === "kernel"
  ) {
    return ofKeras1(layer, role, shape, tensor, checkpoint);
  }
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

/** Theano's convolutions turn the kernel round; with channels first it is [out, in, ...kernel]. */
function ofKeras1(
  layer: LayerWeights,
  role: string,
  shape: readonly number[],
  tensor: Tensor,
  checkpoint: Checkpoint,
): Fitted | string {
  const isFirst = (layer.layer.getConfig() as { dataFormat?: string }).dataFormat === "channelsFirst";
  const fitted = fitting(layer, role, shape, tensor.shape, isFirst ? "pytorch" : "keras");
  const { backend = "theano" } = checkpoint.metadata;
  if (typeof fitted === "string" || backend !== "theano") return fitted;
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

/**
 * A kernel that a file has as weight or spectral normalization's parts: for a layer with that normalization its parts, else multiplied
 * out. Undefined for another weight.
 */
function ofParts(
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
  const { view, order } = torchLayout(layer, "kernel", kernel.shape as number[]);
  const isTransposed = /Transpose$/.test(layer.layer.getClassName());
  const outputs = isTransposed ? 1 : 0;
  const rest = view.filter((_, axis) => axis !== outputs);
  const restOrder = order
    .filter((axis) => axis !== outputs)
    .map((axis) => (axis > outputs ? axis - 1 : axis));
  return { tensors: [v], make: ([values]: Numbers[]) => permuted(values, rest, restOrder), says: [] };
}

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
    const length = Math.hypot(...sums);
    right = sums.map((value) => value / length);
  }
  let sigma = 0;
  for (let i = 0; i < values.length; i++) sigma += u[rowOf(i)] * values[i] * right[columnOf(i)];
  return sigma;
}

/** Gates of each framework, by Keras's order of them: where each of Keras's is in the other's. */
const GATES: Readonly<Record<string, Readonly<Record<number, readonly number[]>>>> = {
  // i, f, g, o and r, z, n
  pytorch: { 1: [0], 3: [1, 0, 2], 4: [0, 1, 2, 3] },
  // i, o, f, c and z, r, h
  onnx: { 1: [0], 3: [0, 1, 2], 4: [0, 2, 3, 1] },
};

/** LSTM, GRU and plain recurrent layers of PyTorch, Gluon and ONNX; undefined for what is none of these. */
function ofRecurrent(
  layer: LayerWeights,
  { tensors, type, config = {} }: NamedTensors,
): Conversion | string | undefined {
  const { weights } = layer;
  const [kernel, recurrent, bias] = ["kernel", "recurrent_kernel", "bias"].map((role) => weights.get(role));
  if (kernel === undefined || recurrent === undefined) return undefined;
  const backward = layer.direction === "backward";
  const find = (pattern: RegExp) => {
    const name = Object.keys(tensors).find((one) => pattern.test(one));
    return name === undefined ? undefined : tensors[name];
  };
  const end = backward ? "_reverse$" : "$";
  const side = backward ? "r" : "l";
  const isOnnx = /^(LSTM|GRU|RNN)$/.test(type ?? "") && find(/^R$/) !== undefined;
  const w = isOnnx ? find(/^W$/) : find(new RegExp(`^(weight_ih_l\\d+${end}|${side}\\d+_i2h_weight$)`));
  const r = isOnnx ? find(/^R$/) : find(new RegExp(`^(weight_hh_l\\d+${end}|${side}\\d+_h2h_weight$)`));
  if (w === undefined || r === undefined) return undefined;
  const units = (recurrent.shape as number[])[0];
  const inputs = (kernel.shape as number[])[0];
  const gates = (recurrent.shape as number[])[1] / units;
  const order = GATES[isOnnx ? "onnx" : "pytorch"][gates];
  const directions = isOnnx ? w.shape[0] : 1;
  const at = isOnnx && backward ? 1 : 0;
  const expected = [gates * units, inputs];
  const rows = isOnnx ? w.shape.slice(1) : w.shape;
  if (order === undefined || !sameShape(rows, expected))
    return `kernel ${list(rows)} in the file, [${inputs}, ${gates * units}] here`;
  const says = [`[${gates}·units, in] → [in, ${gates}·units]`];
  if (order.some((gate, i) => gate !== i)) {
    says.push(gates === 3 ? "gates r, z, n → z, r, n" : "gates i, o, f, c → i, f, c, o");
  }
  /** Of [gates, units, columns], or of one direction's, as [columns, gates, units]. */
  const turn = (values: Numbers, columns: number, direction = 0) => {
    const own = values.subarray(
      direction * gates * units * columns,
      (direction + 1) * gates * units * columns,
    );
    const ordered = new Float32Array(own.length);
    for (const [i, gate] of order.entries()) {
      ordered.set(own.subarray(gate * units * columns, (gate + 1) * units * columns), i * units * columns);
    }
    return permuted(ordered, [gates * units, columns], [1, 0]);
  };
  const made: Made[] = [
    { variable: kernel, tensors: [w], make: ([values]) => turn(values, inputs, at) },
    { variable: recurrent, tensors: [r], make: ([values]) => turn(values, units, at) },
  ];
  const given = isOnnx
    ? [find(/^B$/)]
    : [
        find(new RegExp(`^(bias_ih_l\\d+${end}|${side}\\d+_i2h_bias$)`)),
        find(new RegExp(`^(bias_hh_l\\d+${end}|${side}\\d+_h2h_bias$)`)),
      ];
  const biases = given.filter((one): one is Tensor => one !== undefined);
  const resetsAfter = gates === 3 && bias?.shape.length === 2;
  // without biases there is no telling, nor a difference that a layer's weights show
  const isAfter = !isOnnx || config.linear_before_reset === 1;
  if (gates === 3 && bias && isAfter !== resetsAfter) {
    return isAfter
      ? "the reset gate acts on the product there, before it here: make the layer with gru() of evenkeel/tfjs"
      : "the reset gate acts before the product there, on it here: make the layer with tf.layers.gru()";
  }
  if (bias) {
    if (biases.length === 0) return "no bias in the file";
    if (!resetsAfter) says.push("two biases added");
    made.push({
      variable: bias,
      tensors: biases,
      make: (values) => {
        const both = isOnnx
          ? [0, 1].map((i) => turn(values[0], 1, 2 * at + i))
          : values.map((one) => turn(one, 1));
        if (resetsAfter) return Float32Array.from([...both[0], ...both[1]]);
        return both[0].map((value, i) => value + (both[1]?.[i] ?? 0));
      },
    });
  } else if (biases.length > 0) return "biases in the file, none here: make the layer with useBias: true";
  return directions > 2 ? "more directions than two" : conversion(made, says);
}
