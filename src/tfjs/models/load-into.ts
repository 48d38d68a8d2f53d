/**
 * A checkpoint's weights into a TensorFlow.js model that is there already: which layer takes which module's, in which layout, and by what
 * conversion. Nothing is written before everything fits.
 *
 *     const { matched, warnings } = await loadInto(model, await open("resnet.safetensors"), { map: { head: "fc" } });
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import type { Checkpoint } from "../../checkpoints/checkpoint.js";
import { CheckpointError } from "../../checkpoints/errors.js";
import type { MappedNormalization } from "../../checkpoints/normalizations/normalization.js";
import { normalizationsOf } from "../../checkpoints/normalizations/read.js";
import type { Tensor } from "../../checkpoints/tensors.js";
import { checkOptions, warnOnce } from "../../options.js";
import { described, sizeOf } from "../../shape.js";
import { checkModel } from "../arguments.js";
import type { Conversion } from "./conversions/conversion.js";
import { converted, type Source } from "./conversions/converted.js";
import { type LayerWeights, layersWithWeights } from "./layer-weights.js";
import { keyOf, modulesWithTensors, type NamedTensors, namedAfter, safeName } from "./modules.js";

/** Options of `loadInto`. */
export interface LoadOptions {
  /**
   * What a layer of the model is called in the file: by the layer's name (or path, "encoder/dense"), the module's name; by the name of a
   * weight ("dense/kernel"), a tensor's. Or a function of a layer's path that gives the module's name, or undefined for the same.
   */
  map?: Readonly<Record<string, string>> | ((layer: string) => string | undefined);
  /** Whether to load what fits where something is missing. Default false. */
  partial?: boolean;
  /**
   * How kernels lie in the file, where it does not say: "pytorch" for [out, in, ...kernel] (MXNet and ONNX too), "keras" for
   * [...kernel, in, out] (TensorFlow and Flax too). Default: its framework's.
   */
  layout?: "pytorch" | "keras";
}

/** A layer that was loaded. */
export interface LoadedLayer {
  /** Its path in the model. */
  readonly layer: string;
  /** What its weights belong to in the file. */
  readonly module: string;
  /** How the two found each other. */
  readonly by: "map" | "name" | "order";
  /** Names of tensors in the file, by those of the layer's weights. */
  readonly weights: Readonly<Record<string, string>>;
  /** What was done to them, a line each. */
  readonly conversions: readonly string[];
}

/** What `loadInto` did. */
export interface Loaded {
  readonly matched: readonly LoadedLayer[];
  /** What is left over on each side: the model's layers, and the file's tensors. */
  readonly unmatched: { readonly layers: readonly string[]; readonly tensors: readonly string[] };
  /** Tensors that no layer needs: counters of batches, states of optimizers. */
  readonly ignored: readonly string[];
  /** Of the whole file. */
  readonly conversions: readonly string[];
  /** Options of layers that are not those of the file, by which outputs differ: each is also said on the console once. */
  readonly warnings: readonly string[];
}

type By = LoadedLayer["by"];
type Layout = "pytorch" | "keras";

function layoutOf({ framework, format }: Checkpoint): Layout | undefined {
  if (framework !== undefined) return LAYOUTS[framework];
  // of which version of Keras it is makes no difference
  return /^(Keras|TensorFlow)/.test(format) ? "keras" : undefined;
}

/** Which way kernels lie, by whose the file is. */
const LAYOUTS: Readonly<Record<string, Layout>> = {
  pytorch: "pytorch",
  fastai: "pytorch",
  gluon: "pytorch",
  mxnet: "pytorch",
  onnx: "pytorch",
  keras2: "keras",
  keras3: "keras",
  tensorflowjs: "keras",
  flax: "keras",
};

/**
 * Loads a checkpoint's weights into a model. Layers take the module of their name (as `map` says, or the same but for separators and
 * the prefixes `module.`, `model.` and `_orig_mod.`); those left over take the modules left over, in order, where shapes fit. Kernels
 * are transposed between layouts. What follows `flatten` is reordered where the file's images have their channels first, unless the
 * model has a `permute` or `reshape` right before it, and so the file's order already.
 * @throws CheckpointError where anything is missing or does not fit, with all that matched and all that did not; nothing is loaded then.
 * TypeError for what is no model or no checkpoint, or an unknown option; RangeError for a map of layers that there are not
 */
export async function loadInto(
  model: LayersModel,
  checkpoint: Checkpoint,
  options: LoadOptions = {},
): Promise<Loaded> {
  checkModel("loadInto", model);
  checkCheckpoint("loadInto", checkpoint);
  checkOptions("loadInto", options, ["map", "partial", "layout"]);
  const { map = {}, partial = false, layout = layoutOf(checkpoint) } = options;
  if (layout !== undefined && layout !== "pytorch" && layout !== "keras") {
    throw new RangeError(`loadInto: layout must be "pytorch" or "keras", got ${described(layout)}`);
  }
  // a network of TensorFlow's flattens channels last, in ONNX too
  const isTensorFlow = /tf2onnx|keras/i.test(String(checkpoint.metadata.producer_name ?? ""));
  const layers = layersWithWeights(model).map((one) =>
    isTensorFlow ? { ...one, flattened: undefined } : one,
  );
  const modules = modulesWithTensors(checkpoint);
  const normalizations = normalizationsByTensor(await normalizationsOf(checkpoint));
  const said: string[] = [];
  const matchIn = (one: Layout) => matched(layers, modules, normalizations, checkpoint, one, map);
  const plan = layout ? matchIn(layout) : guessed(matchIn, checkpoint, said);
  if (!partial) refuseMissing(plan, checkpoint);
  const values = await Promise.all(plan.pairs.map(({ conversion }) => conversion.read()));
  const wrong = plan.pairs.flatMap((_, i) => values[i].problem ?? []);
  if (wrong.length > 0)
    throw failed(checkpoint, [wrong.join("; ")], "make the layers as they are in the file");
  for (const [variable, { length }] of values.flatMap(({ weights }) => weights ?? [])) {
    const size = sizeOf(variable.shape as number[]);
    if (length === size) continue;
    throw failed(
      checkpoint,
      [`expected ${size} values for ${variable.originalName}, got ${length}`],
      "make the layers as they are in the file",
    );
  }
  // all values are there, and fit: nothing fails from here on
  for (const { weights } of values)
    for (const [variable, numbers] of weights ?? []) assign(variable, numbers);
  const warnings = plan.pairs.flatMap(({ layer, conversion }) =>
    conversion.warnings.map((line) => `${layer.name}: ${line}`),
  );
  for (const line of warnings) warnOnce(`loadInto: ${line}`);
  return {
    matched: plan.pairs.map(({ layer, module, by, conversion }) => ({
      layer: layer.name,
      module,
      by,
      weights: conversion.tensors,
      conversions: conversion.says,
    })),
    unmatched: { layers: plan.missing.map(({ layer }) => layer.name), tensors: plan.left },
    ignored: plan.ignored,
    conversions: said,
    warnings,
  };
}

/** @throws TypeError for what `open` has not given */
export function checkCheckpoint(caller: string, checkpoint: unknown): asserts checkpoint is Checkpoint {
  const { tensors, modules } = (checkpoint ?? {}) as Partial<Checkpoint>;
  if (tensors instanceof Map && Array.isArray(modules)) return;
  throw new TypeError(
    `${caller}: checkpoint must be what open() of evenkeel/checkpoints gives, got ${described(checkpoint)}; await it`,
  );
}

function assign(variable: LayerVariable, numbers: ArrayLike<number>): void {
  tf.tidy(() => {
    const held = variable.read() as tf.Variable;
    const typed = held.dtype === "float32" ? Float32Array.from(numbers) : Int32Array.from(numbers);
    // by the variable itself: constraints are for training
    held.assign(tf.cast(tf.tensor(typed, held.shape), held.dtype));
  });
}

/** By each tensor that one was read from: of one that is used twice, both. */
function normalizationsByTensor(all: readonly MappedNormalization[]): Map<Tensor, MappedNormalization[]> {
  const found = new Map<Tensor, MappedNormalization[]>();
  for (const one of all) {
    for (const tensor of Object.values(one.tensors)) found.set(tensor, [...(found.get(tensor) ?? []), one]);
  }
  return found;
}

interface Pair {
  readonly layer: LayerWeights;
  readonly module: string;
  readonly by: By;
  readonly conversion: Conversion;
}

interface Plan {
  readonly pairs: Pair[];
  readonly missing: { readonly layer: LayerWeights; readonly why?: string }[];
  /** Names of tensors. */
  readonly left: string[];
  readonly ignored: string[];
  /** Modules that were passed over in matching by order, before one that was taken. */
  readonly passed: string[];
}

function matched(
  layers: readonly LayerWeights[],
  modules: readonly NamedTensors[],
  normalizations: ReadonlyMap<Tensor, readonly MappedNormalization[]>,
  checkpoint: Checkpoint,
  layout: Layout,
  map: NonNullable<LoadOptions["map"]>,
): Plan {
  const convert = (layer: LayerWeights, source: Source) =>
    converted(layer, source, layout, normalizations, checkpoint);
  const pairs: Pair[] = [];
  const missing: Plan["missing"] = [];
  const taken = new Set<NamedTensors>();
  const open: LayerWeights[] = [];
  const take = (layer: LayerWeights, source: Source, by: By) => {
    const conversion = convert(layer, source);
    if (typeof conversion === "string") missing.push({ layer, why: conversion });
    else pairs.push({ layer, module: source.module.name, by, conversion });
    taken.add(source.module);
  };
  const mapping = mappingOf(map, layers, checkpoint);
  const safe = modules.map((module) => keyOf(safeName(module.name)));
  const byKey = new Map([
    ...modules
      .map((module, i) => [safe[i], module] as const)
      .filter(([key]) => safe.indexOf(key) === safe.lastIndexOf(key)),
    ...modules.map((module) => [keyOf(namedAfter(module) ?? ""), module] as const),
    ...modules.map((module) => [keyOf(module.name), module] as const),
  ]);
  for (const layer of layers) {
    const { name, weights } = mapping.get(layer) ?? {};
    const module = name === undefined ? undefined : byKey.get(keyOf(name));
    if (name !== undefined && module === undefined) {
      throw failed(
        checkpoint,
        [`map names "${name}" for ${layer.name}, which is no module of the file`],
        `there are ${listed(modules)}`,
      );
    }
    const found = module ?? separable(layer, byKey) ?? named(layer, layers, byKey);
    if (weights !== undefined) {
      take(layer, { module: found ?? { name: "", tensors: {} }, weights }, "map");
    } else if (found) take(layer, { module: found }, module ? "map" : "name");
    else open.push(layer);
  }
  // by order and shape, of what no name has told
  const rest = modules.filter((module) => !taken.has(module));
  const passed: string[] = [];
  let next = 0;
  let last: { layer: LayerWeights; module: NamedTensors } | undefined;
  for (const layer of open) {
    // both directions of a layer are in one module
    const isSecond = layer.direction === "backward" && last?.layer.direction === "forward";
    if (isSecond && last && hasBothDirections(last.module)) {
      take(layer, { module: last.module }, "order");
      continue;
    }
    const at = rest.findIndex((module, i) => i >= next && typeof convert(layer, { module }) !== "string");
    if (at < 0) {
      missing.push({ layer });
      continue;
    }
    passed.push(...rest.slice(next, at).map(({ name }) => name));
    last = { layer, module: rest[at] };
    take(layer, last, "order");
    next = at + 1;
  }
  const place = (layer: LayerWeights) => layers.indexOf(layer);
  pairs.sort((a, b) => place(a.layer) - place(b.layer));
  const used = new Set(pairs.flatMap(({ conversion }) => conversion.used));
  const names = [...checkpoint.tensors.values()].map(({ name }) => name);
  const isCounter = (name: string) => /(^|[._/])num_batches_tracked$/.test(name);
  return {
    pairs,
    missing,
    passed,
    left: names.filter((name) => !used.has(name) && !isCounter(name)),
    ignored: [...names.filter(isCounter), ...checkpoint.others.keys()],
  };
}

/** The module of a layer's name: its path's, its wrapper's, else the only one whose path ends so. */
function named(
  layer: LayerWeights,
  layers: readonly LayerWeights[],
  byKey: ReadonlyMap<string, NamedTensors>,
): NamedTensors | undefined {
  for (const name of [layer.name, ...layer.aliases]) {
    const found = byKey.get(keyOf(name));
    if (found) return found;
  }
  const own = keyOf(layer.layer.name);
  if (layers.some((other) => other !== layer && keyOf(other.layer.name) === own)) return undefined;
  const ending = [...byKey].filter(([key]) => key === own || key.endsWith(`.${own}`));
  return ending.length === 1 ? ending[0][1] : undefined;
}

function hasBothDirections({ tensors, type }: NamedTensors): boolean {
  const isOnnx = /^(LSTM|GRU|RNN)$/.test(type ?? "") && tensors.W?.shape[0] === 2;
  return isOnnx || Object.keys(tensors).some((name) => /_reverse$|^r\d+_[ih]2h_/.test(name));
}

/** PyTorch has a separable convolution as two modules in one. */
function separable(
  { name, weights }: LayerWeights,
  byKey: ReadonlyMap<string, NamedTensors>,
): NamedTensors | undefined {
  const [depthwise, pointwise] = ["depthwise", "pointwise"].map((part) =>
    byKey.get(keyOf(`${name}/${part}`)),
  );
  if (!weights.has("pointwise_kernel") || !depthwise || !pointwise) return undefined;
  const { weight, ...bias } = pointwise.tensors;
  return { name, tensors: { ...bias, depthwise_kernel: depthwise.tensors.weight, pointwise_kernel: weight } };
}

interface Mapped {
  /** Of the module. */
  readonly name?: string;
  readonly weights?: Readonly<Record<string, Tensor>>;
}

function mappingOf(
  map: NonNullable<LoadOptions["map"]>,
  layers: readonly LayerWeights[],
  checkpoint: Checkpoint,
): Map<LayerWeights, Mapped> {
  const result = new Map<LayerWeights, Mapped>();
  if (typeof map === "function") {
    for (const layer of layers) {
      const name = map(layer.name);
      if (name !== undefined) result.set(layer, { name });
    }
    return result;
  }
  for (const [from, to] of Object.entries(map)) {
    const whole = layers.filter((layer) => [layer.name, layer.layer.name, ...layer.aliases].includes(from));
    const [path, role] = [from.slice(0, from.lastIndexOf("/")), from.slice(from.lastIndexOf("/") + 1)];
    const part = layers.filter(
      (layer) => [layer.name, layer.layer.name].includes(path) && roleIn(layer, role),
    );
    if (whole.length > 0) for (const layer of whole) result.set(layer, { ...result.get(layer), name: to });
    else if (part.length > 0) {
      const tensor =
        [...checkpoint.tensors.values()].find(({ name }) => name === to) ?? checkpoint.tensors.get(to);
      if (tensor === undefined) {
        throw failed(
          checkpoint,
          [`map names the tensor "${to}" for ${from}, which the file does not have`],
          "see checkpoint.tensors",
        );
      }
      for (const layer of part) {
        const { weights, ...others } = result.get(layer) ?? {};
        result.set(layer, { ...others, weights: { ...weights, [roleIn(layer, role) as string]: tensor } });
      }
    } else {
      const known = layers.map(({ name }) => name).join(", ");
      throw new RangeError(
        `loadInto: map has "${from}", which is no layer with weights, nor one's weight; there are ${known}`,
      );
    }
  }
  return result;
}

/** Our role of a weight by any name that it has in TensorFlow.js. */
function roleIn({ weights }: LayerWeights, name: string): string | undefined {
  if (weights.has(name)) return name;
  for (const [role, { originalName }] of weights) if (originalName.endsWith(`/${name}`)) return role;
  return undefined;
}

/** Of a file that does not say whose it is: the one layout in which everything fits. */
function guessed(matchIn: (layout: Layout) => Plan, checkpoint: Checkpoint, said: string[]): Plan {
  const [torch, keras] = [matchIn("pytorch"), matchIn("keras")];
  const fits = ({ missing, passed }: Plan) => missing.length + passed.length;
  if (fits(torch) !== fits(keras)) {
    const [layout, plan] = fits(torch) < fits(keras) ? ["PyTorch's", torch] : ["Keras's", keras];
    said.push(
      `the file does not say whose it is: kernels read in ${layout} layout, the only one in which shapes fit`,
    );
    return plan;
  }
  const turned = torch.pairs.filter(
    ({ conversion }, i) => conversion.says.join() !== keras.pairs[i]?.conversion.says.join(),
  );
  if (turned.length === 0) return torch;
  const names = turned.map(({ layer }) => layer.name).join(", ");
  throw failed(
    checkpoint,
    [`the file does not say whose it is, and the kernels of ${names} fit as PyTorch's and as Keras's`],
    'say which: layout: "pytorch" or layout: "keras"',
  );
}

function refuseMissing(plan: Plan, checkpoint: Checkpoint): void {
  const { pairs, missing, left, passed } = plan;
  const byOrder = pairs.filter(({ by }) => by === "order").length;
  if (missing.length === 0 && (byOrder === 0 || passed.length === 0)) return;
  const lines: string[] = [];
  if (missing.length > 0) {
    lines.push(
      `nothing fits ${missing.map(({ layer, why }) => `${layer.name} (${why ?? shapesOf(layer)})`).join(", ")}`,
    );
  } else lines.push(`${passed.join(", ")} lie between modules that fit by order`);
  lines.push(
    `matched: ${pairs.map(({ layer, module, by }) => `${layer.name} ← ${module || "tensors"} (by ${by})`).join(", ") || "none"}`,
    `left over in the file: ${left.join(", ") || "none"}`,
  );
  throw failed(
    checkpoint,
    lines,
    "name modules in map: { layer: module }, or load what fits with partial: true. Nothing was loaded",
  );
}

function shapesOf({ layer, weights }: LayerWeights): string {
  const each = [...weights].map(([role, { shape }]) => `${role} [${shape.join(", ")}]`);
  return `${layer.getClassName()}: ${each.join(", ")}`;
}

function listed(modules: readonly NamedTensors[]): string {
  return modules.map(({ name }) => name).join(", ") || "none with tensors";
}

function failed({ file, format }: Checkpoint, lines: readonly string[], remedy: string): CheckpointError {
  return new CheckpointError(file, format, lines.join(". "), { remedy });
}
