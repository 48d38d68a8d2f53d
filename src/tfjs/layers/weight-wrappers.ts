/**
 * Normalizations of weights as wrappers of other layers, under Keras's names where Keras has them. Any layer
 * with kernels can be wrapped: dense, convolutional (transposed, depthwise and separable too), embedding,
 * recurrent, and a wrapper of these.
 *
 *     model.add(weightNormalization(tf.layers.dense({ units: 8 })));
 *
 * The inner layer is not changed: while it is called, its variables read as normalized.
 */
import * as tf from "@tensorflow/tfjs-core";
import {
  layers as builtIn,
  initializers,
  type LayersModel,
  type LayerVariable,
} from "@tensorflow/tfjs-layers";
import type { Normalization } from "../../formula/normalization.js";
import { outputAxes, type WeightAxis } from "../../formula/weights.js";
import { snakeCase, theirs } from "../../frameworks/names.js";
import { spectralNorm } from "../../norms/spectral.js";
import { weightNorm } from "../../norms/weight.js";
import { weightStandardization as standardization } from "../../norms/weight-standardization.js";
import { sizeOf } from "../../shape.js";
import { checkModel, checkTensor } from "../arguments.js";
import type { CallArgs, Config, Layer, LayerArgs, Shape, Tensors } from "../types.js";
import { applyLayer, initialize } from "./apply.js";
import { insideOf, LayerWrapper, rescope } from "./layer-wrapper.js";

/** Options of every wrapper of weights, and of any layer. */
export interface WeightWrapperArgs extends LayerArgs {
  /**
   * The axis, or axes, of the outputs of every kernel; null for none. Default: the last axis; the axis of the
   * outputs in transposed convolutions, those of channel and multiplier in depthwise ones.
   */
  axis?: WeightAxis;
  /** Added for stability. Default: the normalization's. */
  epsilon?: number;
  /** Names of the weights to normalize, such as `["kernel"]`. Default: those whose names end in kernel, and embeddings. */
  kernels?: string[];
}

/** Options of `spectralNormalization`. */
export interface SpectralNormalizationArgs extends WeightWrapperArgs {
  /** Power iterations per training step. Default 1. */
  powerIterations?: number;
  /**
   * Keras's behavior, which models saved by Keras or TensorFlow Addons have: each training step replaces the
   * kernel by the normalized one, only u is stored, and evaluation uses the kernel as it is. Default false:
   * kernels are normalized in every call.
   */
  inPlace?: boolean;
  /** Learns the largest singular value of each kernel, initialized to 1 (σReparam); not with `inPlace`. Default false. */
  scale?: boolean;
}

/** Options of `weightStandardization`. */
export interface WeightStandardizationArgs extends WeightWrapperArgs {
  /** Divides by √fanIn and learns a gain. Default false. */
  scaled?: boolean;
  /** Initial gain, where scaled. Default 1. */
  gain?: number;
}

/** A weight of the inner layer, and the variables of its normalization. */
interface Kernel {
  readonly name: string;
  readonly kernel: LayerVariable;
  readonly normalization: Normalization;
  readonly variables: Readonly<Record<string, LayerVariable>>;
}

const OPTIONS = ["axis", "epsilon", "kernels"];
export const KERNEL_CONSTRAINT = /^(?!bias).*Constraint$/;
const KERNEL = /(^|_)kernel$|^embeddings$/;

/** Base class of the wrappers: the inner layer's kernels are normalized whenever it is called. */
export abstract class WeightWrapper extends LayerWrapper {
  protected kernels: readonly Kernel[] = [];
  private removed = false;

  /**
   * The inner layer's kernels hold what is trained, before normalization.
   * @throws as `weightNormalization`
   */
  constructor(args: WeightWrapperArgs & { layer: Layer }, options: readonly string[] = []) {
    super(args, [...OPTIONS, ...options]);
    // so that options out of range throw here, not when the layer is built
    this.normalizationOf(-1);
  }

  /** The normalization of a kernel whose outputs are on this axis. */
  protected abstract normalizationOf(axis: WeightAxis): Normalization;

  override build(inputShape: Shape | Shape[]): void {
    const { layer } = this;
    this.buildPart(layer, inputShape);
    this.kernels = this.named().map(([name, kernel], _, all) => {
      const { axis = outputsOf(layer, name.replace(/_\d+$/, "")) } = this.options as { axis?: WeightAxis };
      const normalization = this.normalizationOf(axis);
      const variables: Record<string, LayerVariable> = {};
      for (const [own, weight] of Object.entries(normalization.weights(kernel.shape as number[]))) {
        const { shape, trained } = weight;
        const label = `${all.length > 1 ? `${name}_` : ""}${theirs("tensorflowjs", own, normalization.name)}`;
        const variable = this.addWeight(
          label,
          [...shape],
          "float32",
          initializers.zeros(),
          undefined,
          trained,
        );
        initialize(variable, weight);
        variables[own] = variable;
      }
      return { name, kernel, normalization, variables };
    });
    this.start();
    this.inputSpec = layer.inputSpec;
    super.build(inputShape);
  }

  /** Called once the kernels exist, for variables whose initial values depend on them. */
  protected start(): void {}

  override call(inputs: Tensors, kwargs: CallArgs = {}): Tensors {
    return tf.tidy(() => {
      const { kernels } = this;
      const values = this.normalized(Boolean(kwargs.training));
      return reading(
        kernels.map(({ kernel }) => kernel),
        values,
        () => this.layer.call(inputs, kwargs),
      );
    });
  }

  /** Each kernel as the inner layer reads it. */
  protected normalized(training: boolean): tf.Tensor[] {
    return this.kernels.map((one) => {
      const { kernel, variables } = one;
      return applyLayer(this.serving(one, training), [kernel.read()], variables, { training }) as tf.Tensor;
    });
  }

  /** The normalization to use for a kernel in this call. */
  protected serving({ normalization }: Kernel, _training: boolean): Normalization {
    return normalization;
  }

  /** Runs a function while the kernels read as they are normalized in evaluation. */
  asNormalized(run: () => void): void {
    tf.tidy(() => {
      reading(
        this.kernels.map(({ kernel }) => kernel),
        this.normalized(false),
        run,
      );
    });
  }

  /**
   * Removes the normalization: returns the inner layer, with its kernels as they are normalized in
   * evaluation, so that it gives the same outputs. The wrapper's variables are disposed of. Where the wrapper
   * is still in a model, it only calls the inner layer from now on, and can no longer be saved: put the inner
   * layer into a model of its own, or use `withoutWeightNormalization`.
   */
  remove(): Layer {
    const { layer } = this;
    tf.tidy(() => {
      const values = this.normalized(false);
      for (const [i, { kernel }] of this.kernels.entries()) {
        // bypasses its constraint, which applies before normalization
        (kernel.read() as tf.Variable).assign(values[i]);
        (kernel as { constraint: unknown }).constraint = null;
      }
    });
    for (const { variables } of this.kernels) for (const one of Object.values(variables)) one.dispose();
    this.kernels = [];
    this.removed = true;
    for (const holder of [layer, (layer as { cell?: object }).cell ?? {}] as Record<string, unknown>[]) {
      for (const name of Object.keys(holder)) if (KERNEL_CONSTRAINT.test(name)) holder[name] = null;
    }
    this.forgetOwnWeights();
    rescope(layer, layer.name, this.name);
    return layer;
  }

  override getConfig(): Config {
    if (!this.removed) return super.getConfig();
    throw new Error(
      `${this.getClassName()}: ${this.name} was removed, and cannot be saved; put the layer that remove() returned into a model of its own`,
    );
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape | Shape[] {
    return this.layer.computeOutputShape(inputShape);
  }

  override computeMask(inputs: Tensors, mask?: Tensors): Tensors {
    return this.layer.computeMask(inputs, mask);
  }

  /** The inner layer's weights to normalize; repeated names are numbered. */
  private named(): [string, LayerVariable][] {
    const { layer } = this;
    const last = ({ originalName }: LayerVariable) => originalName.split("/").pop() as string;
    // TensorFlow.js saves names in a list in snake case, and reads them in camel case
    const wanted = (this.options.kernels as string[] | undefined)?.map(snakeCase);
    const named = layer.weights.filter((one) => wanted?.includes(last(one)) ?? KERNEL.test(last(one)));
    const missing = wanted?.filter((name) => !named.some((one) => last(one) === name)) ?? [];
    if (missing.length > 0 || named.length === 0) {
      throw new RangeError(
        `${this.getClassName()}: ${layer.name} (${layer.getClassName()}) has no weight ` +
          `${wanted ? `called ${missing.join(", ")}` : "whose name ends in kernel, nor embeddings"}; ` +
          `it has ${layer.weights.map(last).join(", ") || "none"}; name some of these in kernels, or wrap another layer`,
      );
    }
    return named.map((one, i) => {
      const before = named.slice(0, i).filter((other) => last(other) === last(one)).length;
      return [before === 0 ? last(one) : `${last(one)}_${before + 1}`, one];
    });
  }
}

/**
 * Weight normalization (Salimans & Kingma 2016) of a layer's kernels: g, one learned length per output, times
 * their direction. g is initialized to the lengths of the kernels, so that wrapping a layer does not change
 * its outputs.
 */
export class WeightNormalization extends WeightWrapper {
  static readonly className: string = "WeightNormalization";

  /** Addons normalizes one kernel of a layer, by its last axis. */
  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    { dataInit, ...config }: Config,
  ): T {
    if (dataInit === undefined) return LayerWrapper.fromConfig(cls, config);
    const { className = "" } = (config.layer ?? {}) as { className?: string };
    const recurrent = ["RNN", "SimpleRNN", "LSTM", "GRU"].includes(className);
    return LayerWrapper.fromConfig(cls, {
      ...config,
      axis: -1,
      kernels: [recurrent ? "recurrent_kernel" : "kernel"],
    });
  }

  /** Whether the next call sets g and the bias from its inputs. */
  private measures = false;

  protected normalizationOf(axis: WeightAxis): Normalization {
    const { epsilon } = this.options as WeightWrapperArgs;
    return weightNorm({ epsilon, axis });
  }

  protected override start(): void {
    tf.tidy(() => {
      const { epsilon = 1e-12 } = this.options as { epsilon?: number };
      for (const { kernel, variables } of this.kernels) {
        const { axis = outputsOf(this.layer, kernel.originalName.split("/").pop() as string) } = this
          .options as { axis?: WeightAxis };
        const outputs = outputAxes(this.getClassName(), kernel.shape as number[], axis);
        const rest = [...kernel.shape.keys()].filter((one) => !outputs.includes(one));
        const lengths = tf.sqrt(tf.add(tf.sum(tf.square(kernel.read()), rest), epsilon));
        variables.g.write(tf.reshape(lengths, variables.g.shape as number[]));
      }
    });
  }

  override call(inputs: Tensors, kwargs: CallArgs = {}): Tensors {
    if (this.measures) this.initialize(inputs, kwargs);
    return super.call(inputs, kwargs);
  }

  /** Whether `initializeWeightNormalization` applies to the layer: not to embeddings and recurrent ones. */
  get initializes(): boolean {
    const inner = innermost(this.layer);
    return "activation" in inner && "bias" in inner;
  }

  /** Whether the next call is to set g and the bias from its inputs. */
  measure(measures: boolean): void {
    this.measures = measures;
  }

  private initialize(inputs: Tensors, kwargs: CallArgs): void {
    this.measures = false;
    const inner = innermost(this.layer) as Layer & {
      activation: unknown;
      bias?: LayerVariable | null;
      dataFormat?: string;
    };
    const { activation, bias } = inner;
    const { g } = this.kernels[this.kernels.length - 1].variables;
    tf.tidy(() => {
      let before: tf.Tensor;
      try {
        inner.activation = linear();
        const zeros = bias ? [tf.zerosLike(bias.read())] : [];
        before = reading(bias ? [bias] : [], zeros, () => super.call(inputs, kwargs)) as tf.Tensor;
      } finally {
        inner.activation = activation;
      }
      const channels = inner.dataFormat === "channelsFirst" ? 1 : before.rank - 1;
      if (sizeOf(g.shape as number[]) !== before.shape[channels]) {
        throw new RangeError(
          `initializeWeightNormalization: ${this.name} must have one g for each of its ${before.shape[channels]} outputs, ` +
            `got [${g.shape.join(", ")}]; leave out its axis`,
        );
      }
      const others = [...before.shape.keys()].filter((axis) => axis !== channels);
      const { mean, variance } = tf.moments(before, others);
      const scale = tf.rsqrt(tf.add(variance, 1e-10));
      g.write(tf.mul(g.read(), tf.reshape(scale, g.shape as number[])));
      bias?.write(tf.neg(tf.mul(mean, scale)));
    });
  }
}

/** Spectral normalization (Miyato et al. 2018) of a layer's kernels: their largest singular value is 1. */
export class SpectralNormalization extends WeightWrapper {
  static readonly className: string = "SpectralNormalization";

  constructor(args: SpectralNormalizationArgs & { layer: Layer }) {
    super(args, ["powerIterations", "inPlace", "scale"]);
    if (!args.inPlace || !args.scale) return;
    throw new RangeError(
      "SpectralNormalization: scale must be left out with inPlace, which replaces the kernel at each step; give one of them",
    );
  }

  protected normalizationOf(axis: WeightAxis): Normalization {
    const { powerIterations, epsilon, inPlace, scale } = this.options as SpectralNormalizationArgs;
    const options = { iterations: powerIterations, epsilon, axis, scale };
    if (inPlace) return stepwise(spectralNorm(options));
    const cold = spectralNorm(options);
    withVectors.set(cold, spectralNorm({ ...options, warmUp: 0 }));
    return cold;
  }

  /** In evaluation the vectors are estimated only until a training step, or a file, has set them. */
  protected override serving({ normalization, variables }: Kernel, training: boolean): Normalization {
    const warm = withVectors.get(normalization);
    if (training || !warm) return normalization;
    const v = variables.v.read();
    if (!notZero.has(v.dataId)) {
      if (v.dataSync().every((value) => value === 0)) return normalization;
      notZero.add(v.dataId);
    }
    return warm;
  }

  override call(inputs: Tensors, kwargs: CallArgs = {}): Tensors {
    const { inPlace } = this.options as SpectralNormalizationArgs;
    if (!inPlace) return super.call(inputs, kwargs);
    return tf.tidy(() => {
      if (kwargs.training) {
        const values = this.normalized(true);
        for (const [i, { kernel }] of this.kernels.entries())
          (kernel.read() as tf.Variable).assign(values[i]);
      }
      return this.layer.call(inputs, kwargs);
    });
  }

  /** Layers of this name saved by Keras and Addons, whose nested configs name their module, are `inPlace`. */
  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: Config,
  ): T {
    const { layer } = config as { layer?: object };
    const inPlace = layer !== undefined && "module" in layer;
    return LayerWrapper.fromConfig(cls, { ...config, ...(inPlace && { inPlace }) });
  }
}

/** For each normalization that estimates its vectors in evaluation, one that uses them as stored. */
const withVectors = new WeakMap<Normalization, Normalization>();
/** Data ids of vectors v that are known to be set. */
const notZero = new WeakSet<object>();

/** Spectral normalization in training steps only, without a stored v: each step computes it from u. */
function stepwise(spectral: Normalization): Normalization {
  return {
    ...spectral,
    weights(shape) {
      const { v, ...others } = spectral.weights(shape);
      return others;
    },
    apply(ops, [x], { u }, options) {
      if (!options.training) return { y: x };
      const columns = ops.shape(x).reduce((a, b) => a * b, 1) / ops.shape(u).reduce((a, b) => a * b, 1);
      const v = ops.constant(new Float32Array(columns), [columns]);
      const { y, state } = spectral.apply(ops, [x], { u, v }, options);
      return { y: ops.stop(y), state: state && { u: state.u } };
    },
  };
}

/** Weight standardization (Qiao et al. 2019) of a layer's kernels: those of each output have mean 0 and variance 1. */
export class WeightStandardization extends WeightWrapper {
  static readonly className: string = "WeightStandardization";

  constructor(args: WeightStandardizationArgs & { layer: Layer }) {
    super(args, ["scaled", "gain"]);
  }

  protected normalizationOf(axis: WeightAxis): Normalization {
    const { epsilon, scaled, gain } = this.options as WeightStandardizationArgs;
    return standardization({ epsilon, scaled, gain, axis });
  }
}

/** All classes to register. */
export const wrapperClasses = [WeightNormalization, SpectralNormalization, WeightStandardization];

/**
 * Wraps a layer in weight normalization.
 * @throws TypeError where `layer` is not one, or for an unknown option; RangeError for an option out of range
 * and, when built, where the layer has no kernels
 */
export function weightNormalization(layer: Layer, args: WeightWrapperArgs = {}): WeightNormalization {
  return new WeightNormalization({ ...args, layer });
}

/** Wraps a layer in spectral normalization. Throws as `weightNormalization`. */
export function spectralNormalization(
  layer: Layer,
  args: SpectralNormalizationArgs = {},
): SpectralNormalization {
  return new SpectralNormalization({ ...args, layer });
}

/** Wraps a layer in weight standardization. Throws as `weightNormalization`. */
export function weightStandardization(
  layer: Layer,
  args: WeightStandardizationArgs = {},
): WeightStandardization {
  return new WeightStandardization({ ...args, layer });
}

/**
 * Data-dependent initialization of weight normalization (section 3 of its paper): sets g and the bias of
 * every such layer of a model, from the first to the last, so that before its activation each output has mean
 * 0 and variance 1 over this batch. Without a bias the mean remains; embeddings and recurrent layers are
 * skipped.
 * @param x one batch, of a few hundred examples
 * @returns the names of the layers that were set
 * @throws TypeError for what is not a model or a tensor; RangeError where the model has no such layer
 */
export function initializeWeightNormalization(model: LayersModel, x: Tensors): string[] {
  checkModel("initializeWeightNormalization", model);
  for (const [i, tensor] of [x].flat().entries()) {
    checkTensor("initializeWeightNormalization", Array.isArray(x) ? `x[${i}]` : "x", tensor);
  }
  const found = wrappersIn(model).filter(
    (one): one is WeightNormalization => one instanceof WeightNormalization && one.initializes,
  );
  if (found.length === 0) {
    throw new RangeError(
      `initializeWeightNormalization: ${model.name} has no dense or convolutional layer with weight normalization; ` +
        "wrap some with weightNormalization(layer)",
    );
  }
  for (const one of found) one.measure(true);
  try {
    tf.tidy(() => {
      model.apply(x, { training: false });
    });
  } finally {
    for (const one of found) one.measure(false);
  }
  return found.map(({ name }) => name);
}

/** Every wrapper in a model, in order, those in nested models and wrappers included. */
function wrappersIn(layer: Layer): WeightWrapper[] {
  const within = insideOf(layer).flatMap(wrappersIn);
  return layer instanceof WeightWrapper ? [layer, ...within] : within;
}

function innermost(layer: Layer): Layer {
  const { layer: inner } = layer as { layer?: Layer };
  return inner ? innermost(inner) : layer;
}

/** The axis of a kernel's outputs in TensorFlow.js. */
function outputsOf(layer: Layer, name: string): WeightAxis {
  if (name === "depthwise_kernel") return [-2, -1];
  return /^Conv[23]DTranspose$/.test(innermost(layer).getClassName()) ? -2 : -1;
}

/** Runs a function while these variables read as these tensors. */
function reading<T>(variables: readonly LayerVariable[], values: readonly tf.Tensor[], run: () => T): T {
  const before = variables.map((variable) => Object.getOwnPropertyDescriptor(variable, "read"));
  try {
    for (const [i, variable] of variables.entries()) {
      Object.defineProperty(variable, "read", { value: () => values[i], configurable: true });
    }
    return run();
  } finally {
    for (const [i, variable] of variables.entries()) {
      const descriptor = before[i];
      if (descriptor) Object.defineProperty(variable, "read", descriptor);
      else Reflect.deleteProperty(variable, "read");
    }
  }
}

/** TensorFlow.js's linear activation, which it does not export. */
function linear(): unknown {
  // named so as not to shift the numbers in automatic layer names
  const layer = builtIn.activation({ activation: "linear", name: "evenkeel_linear" });
  return (layer as unknown as { activation: unknown }).activation;
}
