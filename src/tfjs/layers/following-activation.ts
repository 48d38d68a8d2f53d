/**
 * A normalization and the activation layer that follows it as one call, where a model runs them one after the other and nothing else reads
 * what is between. TensorFlow.js calls its layers one by one: so a normalization gives its output already activated while such a model runs,
 * and the activation passes it on. Which layers these are is the model's to say: another one may read them apart.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn, LayersModel, type SymbolicTensor } from "@tensorflow/tfjs-layers";
import { type Activation, activationOf, followedBy } from "../../blocks.js";
import type { Normalization } from "../../formula/normalization.js";
import { fusedKernels } from "../kernels/fused.js";
import type { CallArgs, Layer, Tensors } from "../types.js";
import { insideOf } from "./layer-wrapper.js";

/** Layers by those before them, of the model that runs now; undefined where none does, or where there are no kernels. */
let following: ReadonlyMap<Layer, Layer> | undefined;

/** Outputs that are activated already. */
const activated = new WeakSet<tf.Tensor>();

/**
 * Runs a layer's normalization together with the activation that follows it, where one does that can be had so.
 * @param run gives the one output of what it is called with
 */
export function withFollowing(
  layer: Layer,
  normalization: Normalization,
  run: (normalization: Normalization) => Tensors,
): Tensors {
  const next = following?.get(layer);
  // a layer whose call was replaced is watched, or does something else
  if (!next || [layer, next].some((one) => Object.hasOwn(one, "call"))) return run(normalization);
  const joined = joinedWith(layer, normalization, next);
  if (!joined) return run(normalization);
  const y = run(joined) as tf.Tensor;
  activated.add(y);
  return y;
}

interface Joined {
  readonly normalization: Normalization;
  readonly next: Layer;
  readonly options: readonly unknown[];
  readonly joined: Normalization;
}

const remembered = new WeakMap<Layer, Joined>();

/** The same object from call to call, while neither layer changes. */
function joinedWith(layer: Layer, normalization: Normalization, next: Layer): Normalization | undefined {
  if (normalization.outputs) return undefined;
  const { activation, maxValue, alpha } = next as Options;
  const options = [activation, maxValue, alpha];
  const last = remembered.get(layer);
  if (last?.normalization === normalization && last.next === next) {
    if (options.every((option, i) => option === last.options[i])) return last.joined;
  }
  const activate = formulas.get(next.getClassName())?.(next as Options);
  if (!activate) return undefined;
  const joined = followedBy(normalization, activate);
  remembered.set(layer, { normalization, next, options, joined });
  return joined;
}

/** Options of TensorFlow.js's activation layers. */
interface Options extends Layer {
  readonly activation?: tf.serialization.Serializable;
  readonly maxValue?: number | null;
  readonly alpha?: number;
}

const named = (name: string, negativeSlope?: number) => activationOf("install", name, { negativeSlope });

/** What `Activation` applies, by TensorFlow.js's names. */
const functions: ReadonlyMap<string, Activation> = new Map<string, Activation>([
  ["relu", named("relu")],
  // at 6 no gradient passes
  ["relu6", (ops, x) => ops.min(6, ops.max(0, x))],
  ["gelu", named("gelu")],
  ["swish", named("silu")],
  ["tanh", named("tanh")],
  ["sigmoid", named("sigmoid")],
]);

/** By class. */
const formulas: ReadonlyMap<string, (layer: Options) => Activation | undefined> = new Map([
  ["Activation", ({ activation }: Options) => functions.get(activation?.getClassName() ?? "")],
  [
    "ReLU",
    ({ maxValue }: Options): Activation =>
      typeof maxValue === "number" ? (ops, x) => ops.min(ops.max(0, x), maxValue) : named("relu"),
  ],
  ["LeakyReLU", ({ alpha }: Options) => named("leakyRelu", alpha)],
]);

/** Parts of models of TensorFlow.js (tfjs-layers 4.22) that are internal to it: all that run a whole model. */
interface Running {
  readonly outputs: SymbolicTensor[];
  readonly layers: Layer[];
  readonly containerNodes: ReadonlySet<string>;
  testFunction: (data: tf.Tensor[]) => unknown;
  predictLoop(...args: unknown[]): unknown;
  makeTrainFunction(): (data: tf.Tensor[]) => unknown;
  makeTestFunction(): unknown;
  call(inputs: Tensors, kwargs: CallArgs): Tensors;
}

let isInstalled = false;

/** Makes models, existing and future ones, run so. */
export function joinActivations(): void {
  if (isInstalled) return;
  isInstalled = true;
  const name = "evenkeel_probe";
  for (const probe of [
    builtIn.activation({ activation: "linear", name }),
    builtIn.reLU({ name }),
    builtIn.leakyReLU({ name }),
  ]) {
    const prototype: Layer = Object.getPrototypeOf(probe);
    const { call } = prototype;
    prototype.call = function (this: Layer, inputs, options) {
      const [x] = [inputs].flat();
      return activated.has(x) ? x : call.call(this, inputs, options);
    };
  }
  const prototype = LayersModel.prototype as unknown as Running;
  const container: Running = Object.getPrototypeOf(prototype);
  const { predictLoop, makeTrainFunction, makeTestFunction } = prototype;
  const { call } = container;
  prototype.predictLoop = function (this: Running, ...args) {
    return running(this, () => predictLoop.apply(this, args));
  };
  prototype.makeTrainFunction = function (this: Running) {
    const train = makeTrainFunction.call(this);
    return (data) => running(this, () => train(data));
  };
  prototype.makeTestFunction = function (this: Running) {
    makeTestFunction.call(this);
    const { testFunction } = this;
    this.testFunction = (data) => running(this, () => testFunction(data));
  };
  container.call = function (this: Running, inputs, kwargs) {
    return running(this, () => call.call(this, inputs, kwargs));
  };
}

/** Runs a model, or one inside of another. */
function running<T>(model: Running, run: () => T): T {
  const outer = following;
  following = fusedKernels(tf.backend()) ? followingIn(model) : undefined;
  try {
    return run();
  } finally {
    following = outer;
  }
}

const found = new WeakMap<Running, ReadonlyMap<Layer, Layer>>();

/** Activation layers of a model by the layers whose outputs they alone read, each called once. */
function followingIn(model: Running): ReadonlyMap<Layer, Layer> {
  const known = found.get(model);
  if (known) return known;
  const nodesOf = (layer: Layer) =>
    layer.inboundNodes.filter((_, i) => model.containerNodes.has(`${layer.name}_ib-${i}`));
  const nodes = model.layers.flatMap(nodesOf);
  const wrapped = new Set(model.layers.flatMap(allInside));
  const isLone = (layer: Layer) => nodesOf(layer).length === 1 && !wrapped.has(layer);
  const pairs = new Map<Layer, Layer>();
  for (const layer of model.layers) {
    if (!formulas.has(layer.getClassName()) || !isLone(layer)) continue;
    const [between] = nodesOf(layer)[0].inputTensors;
    const readers = nodes.flatMap(({ inputTensors }) => inputTensors.filter((one) => one === between));
    const { sourceLayer } = between;
    if (readers.length === 1 && !model.outputs.includes(between) && isLone(sourceLayer)) {
      pairs.set(sourceLayer, layer);
    }
  }
  found.set(model, pairs);
  return pairs;
}

function allInside(layer: Layer): Layer[] {
  return insideOf(layer).flatMap((inner) => [inner, ...allInside(inner)]);
}
