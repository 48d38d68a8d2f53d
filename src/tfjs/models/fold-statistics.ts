/**
 * Folds normalizations by stored statistics into the layers beside them, for evaluation.
 *
 *     const { model: faster, folded, kept } = foldStatistics(model);
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { type Affine, affineOf, scaledInputs, scaledOutputs } from "../../frameworks/folding.js";
import { sizeOf } from "../../shape.js";
import { batchVariables, isBuiltInBatch, isFrozenBuiltIn } from "../layers/built-in.js";
import { KERAS_EPSILON } from "../layers/keras-classes.js";
import { insideOf } from "../layers/layer-wrapper.js";
import { copyMasking, isReachedByMask } from "../layers/masks.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import { WeightWrapper } from "../layers/weight-wrappers.js";
import type { Config, Layer, SavedObject, Variables } from "../types.js";
import { checkLayersOf, layersOf, type OfLayers } from "./tracked-layers.js";

/** What `foldStatistics` returns. */
export interface FoldedModel<M extends LayersModel = LayersModel> {
  /** A copy of the model with weights of its own, for evaluation; it gives the same outputs. */
  readonly model: M;
  /** The normalizations that are gone, and the layers that do their work now, by name. */
  readonly folded: readonly { readonly layer: string; readonly into: string }[];
  /** Those by stored statistics that remain, and why. */
  readonly kept: readonly { readonly layer: string; readonly reason: string }[];
}

/**
 * Folds batch normalization, as it runs in evaluation, into the layer before it (convolutions of every kind, dense layers) or, where that
 * is not possible, into the one after it. The layers' kernels and biases then contain it, and it costs nothing: in a copy of the model,
 * which gives the same outputs. Layers in between that do nothing in evaluation, such as dropout, are looked through; nested models are
 * folded too. Also ghost batch normalization, batch renormalization, instance normalization with running statistics, and
 * Keras's `Normalization`; those of TensorFlow.js and Evenkeel alike. The activation of a folded layer of ours becomes a layer of its name, and so does a
 * folded layer whose output is one of the model's.
 *
 * What stays, is in `kept`: where something else reads the values between, a layer is called several times, an activation lies between, or zeros
 * that a convolution pads with would have to be other values. Compile the copy before training it; normalizations that were folded
 * do not come back.
 * @param options `layers`: which normalizations; default: all that can be
 * @throws TypeError for what is not a model, or an unknown option; RangeError for a model that has no weights yet
 */
export function foldStatistics<M extends LayersModel>(model: M, options: OfLayers = {}): FoldedModel<M> {
  checkLayersOf("foldStatistics", model, options);
  if (!(model.outputs?.length > 0)) {
    throw new RangeError(
      "foldStatistics: the model must be built, so that it has weights; give its first layer an inputShape",
    );
  }
  const wanted = layersOf(model, options.layers).filter((layer) => affineIn(layer));
  const folding: Folding = {
    wanted: new Set(wanted),
    places: placesIn(model),
    values: new Map(),
    folded: new Map(),
    kept: new Map(),
  };
  const cls = model.constructor as unknown as tf.serialization.SerializableConstructor<M>;
  // zeros for a start, as of models that are loaded: every weight is set below
  const made = (cls.fromConfig as FromConfig<M>)(cls, foldedConfig(model, folding), {}, true);
  tf.tidy(() => copyInto(model, made, folding));
  const { folded, kept } = folding;
  for (const layer of wanted)
    if (!folded.has(layer) && !kept.has(layer)) kept.set(layer, "it is inside another layer");
  return {
    model: made,
    folded: [...folded].map(([{ name }, into]) => ({ layer: name, into })),
    kept: [...kept].map(([{ name }, reason]) => ({ layer: name, reason })),
  };
}

/** Of models; the last two are custom objects, and whether weights will be set. */
type FromConfig<M> = (cls: object, config: Config, objects: object, fastWeightInit: boolean) => M;

interface Folding {
  readonly wanted: ReadonlySet<Layer>;
  /** In how many models and wrappers each layer is. */
  readonly places: ReadonlyMap<Layer, number>;
  /** New weights of layers of the original, in their order. */
  readonly values: Map<Layer, Float32Array[]>;
  /** The name of what each went into. */
  readonly folded: Map<Layer, string>;
  /** Why each was not. */
  readonly kept: Map<Layer, string>;
}

function placesIn(outer: Layer, places = new Map<Layer, number>()): Map<Layer, number> {
  for (const layer of insideOf(outer)) {
    places.set(layer, (places.get(layer) ?? 0) + 1);
    placesIn(layer, places);
  }
  return places;
}

/** A layer's output: its name, which of its calls, which of its outputs, and options. */
type Reference = [layer: string, call: number, output: number, options?: Config];

/** A layer as a model's config has it. */
interface Entry extends SavedObject {
  readonly name?: string;
  /** Of each call; absent in a sequential model. */
  readonly inboundNodes?: Reference[][];
}

interface ModelConfig {
  layers: Entry[];
  /** Absent in a sequential model. */
  outputLayers?: Reference[];
}

/** The config of a model without what is folded in it. */
function foldedConfig(model: LayersModel, folding: Folding): Config {
  const config = model.getConfig() as unknown as ModelConfig;
  const graph = new Graph(model, config);
  for (const entry of config.layers) {
    const layer = graph.layer(entry);
    const { depthMultiplier } = layer as { depthMultiplier?: number };
    // which TensorFlow.js leaves out of the configs of separable convolutions
    if (depthMultiplier !== undefined) entry.config = { ...entry.config, depthMultiplier };
    if (isModel(layer)) graph.replace(entry, { ...entry, config: foldedConfig(layer, folding) });
  }
  // what is folded into a layer may make way for the next
  let before: number;
  do {
    before = folding.folded.size;
    for (const { name } of model.layers) {
      const entry = graph.named(name);
      const layer = entry && graph.layer(entry);
      if (!layer || !folding.wanted.has(layer) || folding.folded.has(layer)) continue;
      const result = fold(graph, entry, layer, folding);
      if ("into" in result) folding.folded.set(layer, result.into);
      else folding.kept.set(layer, result.reason);
    }
  } while (folding.folded.size > before);
  for (const layer of folding.folded.keys()) folding.kept.delete(layer);
  return config as unknown as Config;
}

/** How a model's layers are connected, in its config. */
class Graph {
  private readonly byName: ReadonlyMap<string, Layer>;

  constructor(
    model: LayersModel,
    private readonly config: ModelConfig,
  ) {
    this.byName = new Map(model.layers.map((layer) => [layer.name, layer]));
  }

  layer({ config }: SavedObject): Layer {
    return this.byName.get(config.name as string) as Layer;
  }

  /** The layer before this one, if it has one input, one call, and the other no more than that. */
  before(entry: Entry): Entry | string {
    const [first, ...more] = this.inputs(entry);
    if (first === undefined) return "nothing is before it";
    if (more.length > 0) return "it is called several times";
    const from = this.named(first[0]) as Entry;
    if (!this.isLone(from)) return `${nameOf(from)} before it is called or read elsewhere too`;
    return from;
  }

  /** The only layer that reads this one, once, and reads nothing else. */
  after(entry: Entry): Entry | string {
    if (this.isOutput(entry)) return "it is an output of the model";
    const readers = this.readers(entry);
    if (readers.length !== 1) return readers.length === 0 ? "nothing is after it" : "several layers read it";
    const [reader] = readers;
    if (this.inputs(entry).length > 1) return "it is called several times";
    if (this.inputs(reader).length > 1) return `${nameOf(reader)} after it is called or reads elsewhere too`;
    return reader;
  }

  isOutput(entry: Entry): boolean {
    const { layers, outputLayers } = this.config;
    if (!outputLayers) return layers.at(-1) === entry;
    return outputLayers.some(([name]) => name === nameOf(entry));
  }

  replace(entry: Entry, by: Entry): void {
    const { layers } = this.config;
    layers[layers.indexOf(entry)] = by;
  }

  remove(entry: Entry): void {
    const { layers } = this.config;
    const at = layers.indexOf(entry);
    const [input] = this.inputs(entry);
    layers.splice(at, 1);
    for (const [i, other] of layers.entries()) {
      if (!other.inboundNodes) continue;
      const inboundNodes = other.inboundNodes.map((call) =>
        call.map((reference): Reference => {
          const [name, , , options] = reference;
          return name === nameOf(entry) ? [input[0], input[1], input[2], options] : reference;
        }),
      );
      layers[i] = { ...other, inboundNodes };
    }
    // the first layer of a sequential model says what the model takes
    const { batchInputShape, dtype } = entry.config;
    if (at === 0 && batchInputShape && layers[0] && !layers[0].config.batchInputShape) {
      layers[0] = { ...layers[0], config: { ...layers[0].config, batchInputShape, dtype } };
    }
  }

  /** One call of one layer, read once. */
  private isLone(entry: Entry): boolean {
    return this.inputs(entry).length <= 1 && this.readers(entry).length === 1 && !this.isOutput(entry);
  }

  /** Every reference that the calls of a layer make. */
  private inputs(entry: Entry): Reference[] {
    if (entry.inboundNodes) return entry.inboundNodes.flat();
    const { layers } = this.config;
    const previous = layers[layers.indexOf(entry) - 1];
    return previous ? [[nameOf(previous), 0, 0]] : [];
  }

  private readers(entry: Entry): Entry[] {
    return this.config.layers.flatMap((other) =>
      this.inputs(other).flatMap(([name]) => (name === nameOf(entry) ? [other] : [])),
    );
  }

  named(name: string): Entry | undefined {
    return this.config.layers.find((entry) => nameOf(entry) === name);
  }
}

function nameOf({ config }: SavedObject): string {
  return config.name as string;
}

function isModel(layer: Layer): layer is LayersModel {
  return "layers" in layer && "inputs" in layer;
}

/** A normalization by stored statistics: in evaluation a factor and an offset per channel. */
interface PerChannel {
  readonly axis: unknown;
  /** For so many channels; or why it is not one. */
  read(channels: number): Affine | string;
}

/** Normalizations by running statistics. */
const BY_RUNNING_STATISTICS = ["batchNorm", "ghostBatchNorm", "batchRenorm", "instanceNorm"];

/** Undefined for layers that store no statistics to normalize by. */
function affineIn(layer: Layer): PerChannel | undefined {
  const config = layer.getConfig() as Record<string, unknown>;
  if (isBuiltInBatch(layer)) {
    return { axis: layer.axis, read: () => byRunning(config, batchVariables(layer)) };
  }
  if (!(layer instanceof NormalizationLayer)) return undefined;
  const { axis, variables, normalization } = layer;
  if (normalization.name === "normalization") {
    return { axis, read: (channels) => standardization(channels, config, variables) };
  }
  if (!BY_RUNNING_STATISTICS.includes(normalization.name) || !("runningMean" in variables)) return undefined;
  return { axis: axis ?? -1, read: () => byRunning(config, variables) };
}

function byRunning(
  { epsilon = 1e-5, sources = {} }: Record<string, unknown>,
  variables: Variables,
): Affine | string {
  if (Object.values(sources as object).some((source) => source !== "population")) {
    return "it normalizes by statistics of the batch in evaluation (its sources)";
  }
  const values = (name: string) => variables[name]?.read().dataSync();
  const mean = values("runningMean") as ArrayLike<number>;
  const [gamma, beta] = [values("gamma"), values("beta")];
  const deviation = values("runningDeviation");
  // which contains epsilon
  if (deviation) {
    const variance = Float64Array.from(deviation, (one) => one * one);
    return affineOf(mean.length, { mean, variance, gamma, beta, epsilon: 0 });
  }
  const variance = values("runningVariance") as ArrayLike<number>;
  return affineOf(mean.length, { mean, variance, gamma, beta, epsilon: epsilon as number });
}

/** Of Keras's Normalization: (x − mean) / max(√variance, 1e-7), by statistics in its options or its weights. */
function standardization(
  channels: number,
  config: Record<string, unknown>,
  variables: Variables,
): Affine | string {
  if (config.invert) return "it is inverted";
  const [mean, variance] = ["mean", "variance"].map((name) => {
    const given = variables[name]?.read().dataSync() ?? ([config[name]].flat(8) as number[]);
    return given.length === 1 ? new Float64Array(channels).fill(given[0]) : Float64Array.from(given);
  });
  const factors = variance.map((one) => 1 / Math.max(Math.sqrt(one), KERAS_EPSILON));
  return { factors, offsets: factors.map((factor, c) => -mean[c] * factor) };
}

/** A layer that is linear but for its bias and what follows it. */
interface Linear {
  /** How many kernels its weights begin with; the bias is behind them. */
  readonly kernels: 1 | 2;
  /** The axis of output channels of the last kernel, counted from its end; absent: inputs and what each gives, its last two (depthwise). */
  readonly outputs?: -1 | -2;
  /** Whether a normalization may be folded into it from before it: with any offset, with none, not at all. */
  readonly takes: "any" | "factors" | "none";
}

const convolution: Linear = { kernels: 1, outputs: -1, takes: "any" };
const grouped: Linear = { kernels: 1, outputs: -1, takes: "none" };
// at its borders fewer elements meet
const transposed: Linear = { kernels: 1, outputs: -2, takes: "factors" };
const depthwise: Linear = { kernels: 1, takes: "any" };
const separable: Linear = { kernels: 2, outputs: -1, takes: "any" };

/** By class. Those of Keras that TensorFlow.js lacks are ours (keras-convolutions.ts). */
const LINEAR: ReadonlyMap<string, Linear> = new Map([
  ["Dense", convolution],
  ["Conv1D", convolution],
  ["Conv2D", convolution],
  ["Conv3D", convolution],
  ["GroupedConv1D", grouped],
  ["GroupedConv2D", grouped],
  ["GroupedConv3D", grouped],
  ["Conv2DTranspose", transposed],
  ["Conv3DTranspose", transposed],
  ["TransposedConv1D", transposed],
  ["TransposedConv2D", transposed],
  ["TransposedConv3D", transposed],
  ["DepthwiseConv1D", depthwise],
  ["DepthwiseConv2D", depthwise],
  ["DilatedDepthwiseConv2D", depthwise],
  ["SeparableConv1D", separable],
  ["SeparableConv2D", separable],
]);

/** Classes that give what they take in evaluation. */
const IDLE = [
  "Dropout",
  "SpatialDropout1D",
  "GaussianNoise",
  "GaussianDropout",
  "AlphaDropout",
  "ActivityRegularization",
];

function isIdle(entry: Entry): boolean {
  const isLinear = entry.className === "Activation" && entry.config.activation === "linear";
  return isLinear || IDLE.includes(entry.className);
}

function fold(
  graph: Graph,
  entry: Entry,
  layer: Layer,
  folding: Folding,
): { into: string } | { reason: string } {
  const { axis, read } = affineIn(layer) as PerChannel;
  const shape = layer.inboundNodes[0].inputTensors[0].shape;
  const axes = ([axis ?? []].flat() as number[]).map((one) => (one < 0 ? one + shape.length : one));
  const { activation, negativeSlope = 0.2 } = entry.config;
  if (axes.length !== 1) return { reason: "its statistics are of several axes, or of none" };
  if (folding.places.get(layer) !== 1) return { reason: "it is in several models" };
  if (Object.hasOwn(layer, "call") && !isFrozenBuiltIn(layer)) return { reason: "its call is replaced" };
  if ((layer as { useMask?: boolean }).useMask && isReachedByMask(layer)) {
    return { reason: "it is 0 at masked positions" };
  }
  const affine = read(shape[axes[0]] as number);
  if (typeof affine === "string") return { reason: affine };
  if (![...affine.factors, ...affine.offsets].every(Number.isFinite)) {
    return { reason: "its statistics or parameters are not finite, or its variance is negative" };
  }
  const neighbour = (which: "before" | "after") => {
    let found = graph[which](entry);
    while (typeof found !== "string" && isIdle(found)) found = graph[which](found);
    if (typeof found === "string") return found;
    const linear = LINEAR.get(found.className);
    const at = graph.layer(found);
    if (folding.places.get(at) !== 1) return `${at.name} ${which} it is in several models`;
    const problem = linear
      ? unfit(found, at, which, axes[0], shape.length)
      : `${found.config.name} ${which} it is no convolution and no dense layer${at instanceof WeightWrapper ? ", but around one: call withoutWeightNormalization first" : ""}`;
    return problem ?? { found, linear: linear as Linear, at };
  };

  const before = neighbour("before");
  if (typeof before !== "string") {
    const { found, linear, at } = before;
    const problem = put(folding, at, (kernels, bias) => intoOutputs(linear, kernels, bias, affine));
    if (problem) return { reason: problem };
    graph.replace(found, withBias(found));
    end(graph, entry, activation, negativeSlope);
    return { into: found.config.name as string };
  }
  if (activation) return { reason: `${before}; its activation is between it and what is after it` };
  const after = neighbour("after");
  if (typeof after === "string") return { reason: before === after ? before : `${before}; ${after}` };
  const { found, linear, at } = after;
  const hasOffset = affine.offsets.some((offset) => offset !== 0);
  const pads = ![undefined, "valid"].includes(found.config.padding as string | undefined);
  const name = found.config.name as string;
  if (linear.takes === "none") return { reason: `${before}; ${name} after it convolves in groups` };
  if (hasOffset && (pads || linear.takes === "factors")) {
    const what = pads ? "pads with zeros, where its offset is not" : "adds up fewer elements at its borders";
    return { reason: `${before}; ${name} after it ${what}` };
  }
  const problem = put(folding, at, (kernels, bias) => intoInputs(linear, kernels, bias, affine));
  if (problem) return { reason: problem };
  graph.replace(found, withBias(found));
  graph.remove(entry);
  return { into: name };
}

/** Why a convolution or dense layer cannot take a normalization of this axis; undefined where it can. */
function unfit({ config }: Entry, at: Layer, which: "before" | "after", axis: number, rank: number) {
  const name = config.name as string;
  if (which === "before" && (config.activation ?? "linear") !== "linear") {
    return `${name} before it has an activation, ${config.activation}`;
  }
  if (Object.hasOwn(at, "call")) return `the call of ${name} ${which} it is replaced`;
  const channels = config.dataFormat === "channelsFirst" ? 1 : rank - 1;
  if (axis !== channels) return `${name} ${which} it has its channels in axis ${channels}, not ${axis}`;
  return undefined;
}

function withBias(entry: Entry): Entry {
  return { ...entry, config: { ...entry.config, useBias: true } };
}

/** In place of a folded normalization: the activation that it ended with, or at an output nothing but its name; else it is removed. */
function end(graph: Graph, entry: Entry, activation: Config[string], slope: Config[string]): void {
  if (!activation && !graph.isOutput(entry)) {
    graph.remove(entry);
    return;
  }
  const { name } = entry.config;
  const theirs = activation === "silu" ? "swish" : (activation ?? "linear");
  const by: SavedObject =
    activation === "leakyRelu"
      ? { className: "LeakyReLU", config: { name, alpha: slope } }
      : { className: "Activation", config: { name, activation: theirs } };
  graph.replace(entry, { ...entry, ...by });
}

type Weights = readonly { readonly shape: readonly number[]; readonly data: ArrayLike<number> }[];

/** Replaces a layer's weights by others, of its kernels and its bias; or says why not. */
function put(
  { values }: Folding,
  layer: Layer,
  change: (kernels: Weights, bias?: ArrayLike<number>) => Float32Array[],
): string | undefined {
  const { kernels: count } = LINEAR.get(layer.getClassName()) as Linear;
  const now = values.get(layer) ?? layer.weights.map((one) => one.read().dataSync() as Float32Array);
  const kernels = now.slice(0, count).map((data, i) => ({ shape: layer.weights[i].shape as number[], data }));
  const changed = change(kernels, now[count]);
  // in float32, which the factors may leave
  if (!changed.every((data) => data.every(Number.isFinite))) {
    return `the weights of ${layer.name} would not be finite`;
  }
  values.set(layer, changed);
  return undefined;
}

function intoOutputs(
  { outputs }: Linear,
  kernels: Weights,
  bias: ArrayLike<number> | undefined,
  affine: Affine,
): Float32Array[] {
  const last = kernels[kernels.length - 1];
  const shape = outputs === undefined ? byDepth(last.shape) : last.shape;
  const folded = scaledOutputs({ shape, data: last.data }, shape.length + (outputs ?? -1), bias, affine);
  return [...kernels.slice(0, -1).map(({ data }) => Float32Array.from(data)), folded.kernel, folded.bias];
}

/** Inputs and what each gives as one axis. */
function byDepth(shape: readonly number[]): number[] {
  return [sizeOf(shape.slice(0, -2)), sizeOf(shape.slice(-2))];
}

function intoInputs(
  { outputs }: Linear,
  kernels: Weights,
  bias: ArrayLike<number> | undefined,
  affine: Affine,
): Float32Array[] {
  const [first, pointwise] = kernels;
  const { shape } = first;
  if (outputs === -2) {
    // its inputs are the last axis; there are no offsets
    const { kernel } = scaledOutputs(first, shape.length - 1, undefined, affine);
    return [kernel, Float32Array.from({ length: shape[shape.length - 2] }, (_, o) => bias?.[o] ?? 0)];
  }
  const isDepthwise = outputs === undefined || pointwise !== undefined;
  const given = isDepthwise ? sizeOf(shape.slice(-2)) : shape[shape.length - 1];
  if (!pointwise) {
    const folded = scaledInputs(first, given, bias, affine);
    return [folded.kernel, folded.bias];
  }
  const folded = scaledInputs(first, given, undefined, affine);
  const through = { factors: new Float64Array(given).fill(1), offsets: Float64Array.from(folded.bias) };
  const next = scaledInputs(pointwise, pointwise.shape[pointwise.shape.length - 1], bias, through);
  return [folded.kernel, next.kernel, next.bias];
}

/** Copies weights to the layers of the same names, and what was declared of their masks. */
function copyInto(from: LayersModel, to: LayersModel, folding: Folding): void {
  const originals = new Map(from.layers.map((layer) => [layer.name, layer]));
  for (const layer of to.layers) {
    const original = originals.get(layer.name) as Layer;
    copyMasking(original, layer);
    if (isModel(layer)) {
      copyInto(original as LayersModel, layer, folding);
      continue;
    }
    const values = folding.values.get(original);
    for (const [i, variable] of layer.weights.entries()) {
      const given = values ? tf.tensor(values[i], variable.shape as number[]) : original.weights[i].read();
      // bypasses constraints, which are for training
      (variable.read() as tf.Variable).assign(given);
    }
  }
}
