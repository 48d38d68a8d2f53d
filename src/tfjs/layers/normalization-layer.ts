/**
 * The layer of a normalization: one class serves every normalization of the catalog (catalog.ts), with the
 * names, options and defaults of Keras, and is saved as Keras's layers are.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn, InputSpec, initializers, type LayerVariable } from "@tensorflow/tfjs-layers";
import { type ActivationName, activatedBy } from "../../blocks.js";
import type { Normalization, Weight } from "../../formula/normalization.js";
import { camelCase, theirs } from "../../frameworks/names.js";
import type { Reduce } from "../../moments.js";
import { checkOptions, optionNames } from "../../options.js";
import { resolveAxis, sameShape } from "../../shape.js";
import type { Config, LayerArgs, Shape, Tensors } from "../types.js";
import { applyLayer, initialize } from "./apply.js";
import { withFollowing } from "./following-activation.js";
import {
  type Constraint,
  constraint,
  type Initializer,
  initializer,
  type Option,
  type Regularizer,
  regularizer,
  saved,
} from "./keras-objects.js";
import { checkArgs, ownArgs, withTypeName } from "./layer-args.js";
import type { LayerSpec } from "./layer-spec.js";
import { followMasks, type GivenMask, maskOf } from "./masks.js";

/**
 * Keras's options for each weight of a layer, by Keras's name of it (gamma, beta, movingMean, ...): an
 * identifier such as "zeros", an object of TensorFlow.js, or its serialized form. Default: the weight's own
 * initial values, no regularizer and no constraint.
 * @throws RangeError for an unknown identifier or, when the layer is built, a weight that it does not have
 */
export type WeightArgs = {
  [weight: `${string}Initializer`]: Option<Initializer> | undefined;
  [weight: `${string}Regularizer`]: Option<Regularizer> | null | undefined;
  [weight: `${string}Constraint`]: Option<Constraint> | null | undefined;
};

/** What may follow the normalization, in the same layer; recurrent layers and those with an `activation` of their own have none. */
export interface ActivationArgs {
  /** Follows the normalization, in the same pass over memory where the backend has kernels. Default: none. */
  activation?: ActivationName;
  /** Of `leakyRelu`, below 0. Default 0.2, that of Keras's activation; `tf.layers.leakyReLU` has 0.3, and PyTorch 0.01. */
  negativeSlope?: number;
}

/** Options of a layer: its normalization's, Keras's for its weights, and those of any layer. */
export type NormalizationArgs<O = object> = Omit<O, "axis"> & {
  /**
   * The axis of the channels or features, or several where the normalization allows it; a list of one, as
   * Keras saves it, is the same as its element. Default: the normalization's.
   */
  axis?: number | number[];
  /**
   * Whether running statistics and other state stay unchanged, in training too; independent of `trainable`.
   * Default false.
   */
  frozen?: boolean;
  /**
   * Whether masked positions (by `masking`, or an embedding with `maskZero`) contribute to neither statistics
   * nor gradients, and are 0 in the output. Default false for the classes that Keras, TensorFlow Addons and
   * keras_contrib have, which normalize masked positions like all others (layer, RMS, batch, group, instance,
   * unit and filter response normalization), else true. The mask is passed on to the next layer either way.
   */
  useMask?: boolean;
} & (O extends { activation?: unknown } ? object : ActivationArgs) &
  WeightArgs &
  LayerArgs;

const OWN_ARGS = ["frozen", "useMask"];
const ACTIVATION_ARGS = ["activation", "negativeSlope"];
/** Of Keras's activation of that name. */
const LEAKY_SLOPE = 0.2;
const WEIGHT_ARG = /^(.+)(Initializer|Regularizer|Constraint)$/;

/** What Keras's options for a weight resolve to. */
interface WeightObjects {
  initializer?: Initializer;
  regularizer?: Regularizer;
  constraint?: Constraint;
}

/**
 * A normalization as a layer, made by the factories in `layers`. y is float32 of the shape of x, unless the
 * normalization outputs others. A list of inputs is x and a condition.
 * @throws TypeError for an unknown option, a value of the wrong type, or several inputs where one is taken;
 * RangeError for a value out of range, or a shape that does not fit
 */
export abstract class NormalizationLayer extends builtIn.Layer {
  /** The normalization, with its current options. */
  normalization: Normalization;
  /** Weights and state, by our names (gamma, runningMean, ...); empty until it is built. */
  readonly variables: Record<string, LayerVariable> = {};
  /** Whether running statistics and other state stay unchanged, in training too; independent of `trainable`. */
  frozen: boolean;
  /** Whether masked positions are excluded. */
  useMask: boolean;
  /** Merges what is measured in training with that of other places; see `synchronizeStatistics`. Not saved. */
  reduce?: Reduce;
  private options: Config;
  private shapes?: Shape[];
  /** By Keras's names of weights; without a prototype, since the names come from files. */
  private readonly objects: Record<string, WeightObjects> = Object.create(null);
  private specified: Readonly<Record<string, Weight>> = {};
  /** Variables with a constraint. */
  private readonly constrained: LayerVariable[] = [];

  protected constructor(
    private readonly spec: LayerSpec,
    args: NormalizationArgs,
  ) {
    super(withTypeName(spec.className, args, spec.options));
    this.checkArgs(args);
    const { frozen = false, useMask = spec.useMask } = args;
    checkFlags(spec.className, { frozen, useMask });
    let options = { ...spec.defaults, ...optionsOf(args, spec.options) };
    if (spec.about.takes === "sequence") {
      options = withoutSequenceArgs(spec.className, options);
      // as in Keras, layers of equal shape are initialized differently; the seed is saved
      options.seed ??= Math.floor(Math.random() * 2 ** 31);
    }
    this.frozen = frozen;
    this.useMask = useMask;
    this.options = options;
    this.normalization = this.made(options);
    this.readWeightArgs(args as Record<string, unknown>);
    this.supportsMasking = true;
    if (useMask) followMasks(this);
  }

  override build(inputShape: Shape | Shape[]): void {
    const shapes = listed(inputShape);
    this.checkInputs(shapes);
    this.specified = this.weightsFor(this.normalization, shapes);
    this.shapes = shapes;
    this.checkWeightArgs();
    for (const [name, weight] of Object.entries(this.specified)) {
      const { shape, initial, trained } = weight;
      const made = this.objects[argOf(name)] ?? {};
      const constant = initializers.constant({ value: typeof initial === "number" ? initial : 0 });
      const variable = this.addWeight(
        theirs("tensorflowjs", name, this.spec.about.name),
        this.inOrder(shapes[0], shape),
        "float32",
        made.initializer ?? constant,
        made.regularizer,
        trained,
        made.constraint,
      );
      // TensorFlow.js zeroes weights that a file is about to set, and the file may not have them all
      if (!made.initializer && !(trained && typeof initial === "number")) initialize(variable, weight);
      this.variables[name] = variable;
      if (made.constraint) this.constrained.push(variable);
    }
    this.inputSpec = shapes.map((shape, i) => {
      const axes = this.spec.about.takes === "sequence" ? [shape.length - 1] : this.axesOf(shape);
      const lengths = i === 0 ? axes.map((axis) => [axis, shape[axis]]) : [];
      return new InputSpec({ ndim: shape.length, axes: Object.fromEntries(lengths) });
    });
    super.build(inputShape);
  }

  override call(inputs: Tensors, { training, mask }: { training?: boolean; mask?: GivenMask } = {}): Tensors {
    this.constrain();
    const tensors = [inputs].flat();
    this.checkInputs(tensors);
    const options = {
      training: Boolean(training) && !this.frozen,
      mask: this.maskFrom(mask, tensors.length),
      reduce: this.reduce,
    };
    const run = (normalization: Normalization) => applyLayer(normalization, tensors, this.variables, options);
    // an activation layer does not know of masks
    return options.mask ? run(this.normalization) : withFollowing(this, this.normalization, run);
  }

  /** The mask to apply, of those that the layer is called with; undefined for none. */
  maskFrom(given: GivenMask, inputs = 1): tf.Tensor | undefined {
    if (!this.useMask) return undefined;
    return maskOf(this, given, inputs, this.normalization.handles?.mask === "last" ? "last" : "first");
  }

  /** As `call` on x + residual, in one pass over memory. */
  callOnSum(
    x: tf.Tensor,
    residual: tf.Tensor,
    kwargs: { training?: boolean; mask?: GivenMask } = {},
  ): tf.Tensor {
    // a replaced `call` must see the sum
    if (Object.hasOwn(this, "call")) return this.call(tf.add(x, residual), kwargs) as tf.Tensor;
    this.constrain();
    return applyLayer(this.normalization, [x], this.variables, {
      training: Boolean(kwargs.training) && !this.frozen,
      mask: this.maskFrom(kwargs.mask),
      residual,
      reduce: this.reduce,
    }) as tf.Tensor;
  }

  /** Whether the output has a time axis; named as in TensorFlow.js's recurrent layers. */
  get returnSequences(): boolean {
    return this.options.returnSequences !== false;
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape | Shape[] {
    const shapes = listed(inputShape);
    const { normalization } = this;
    if (!normalization.outputs) return shapes[0];
    // lengths that depend on an unknown one are unknown too
    const [some, others] = STAND_INS.map((length) => normalization.outputs?.(...known(shapes, length)) ?? []);
    const outputs = some.map((shape, i) =>
      shape.map((length, axis) => (length === others[i][axis] ? length : null)),
    );
    return outputs.length === 1 ? outputs[0] : outputs;
  }

  /** The mask is passed on where y still has its axes: the last state of a sequence has no time. */
  override computeMask(inputs: Tensors, mask?: Tensors): Tensors {
    if (!this.normalization.outputs) return ([mask].flat()[0] ?? null) as tf.Tensor;
    const shapes = [inputs].flat().map(({ shape }): Shape => shape);
    const [y, ...more] = listed(this.computeOutputShape(shapes));
    const isPassedOn = y.length >= shapes[0].length;
    // null where there is none, as in Keras, though the types do not allow it
    const masks = [isPassedOn ? ([mask].flat()[0] ?? null) : null, ...more.map(() => null)] as tf.Tensor[];
    return more.length > 0 ? masks : masks[0];
  }

  override getConfig(): Config {
    const { frozen, useMask, spec } = this;
    const config: Config = {
      ...super.getConfig(),
      ...this.options,
      ...(frozen && { frozen }),
      // left out where it is the default, as in Keras's files
      ...(useMask !== spec.useMask && { useMask }),
    };
    for (const [weight, { initializer, regularizer, constraint }] of Object.entries(this.objects)) {
      config[`${weight}Initializer`] = saved(initializer);
      if (weight.startsWith("moving")) continue;
      config[`${weight}Regularizer`] = saved(regularizer);
      config[`${weight}Constraint`] = saved(constraint);
    }
    return config;
  }

  /**
   * Resets running state. Statistics averaged over an epoch, or cumulatively, remain in use until new ones
   * replace them.
   */
  resetState(): void {
    for (const [name, weight] of Object.entries(this.specified)) {
      if (!weight.trained && !weight.outlastsReset) initialize(this.variables[name], weight);
    }
  }

  /** Whether it has state, such as running statistics; false until it is built. */
  get keepsState(): boolean {
    return Object.values(this.specified).some(({ trained }) => !trained);
  }

  /**
   * Changes options of its normalization, such as `sources` or `momentum`, as well as `frozen` and `useMask`;
   * undefined removes one. The new options are saved with the layer. Changes nothing where it throws.
   * @returns this layer
   * @throws TypeError for an unknown option or a value of the wrong type; RangeError where the layer is
   * built, and its weights would change
   */
  configure({
    frozen = this.frozen,
    useMask = this.useMask,
    ...changes
  }: {
    frozen?: boolean;
    useMask?: boolean;
    [option: string]: unknown;
  }): this {
    const { spec } = this;
    checkOptions(spec.className, changes, [...this.optionNames(), ...OWN_ARGS], optionNames);
    checkFlags(spec.className, { frozen, useMask });
    const options = { ...spec.defaults, ...optionsOf({ ...this.options, ...changes }, spec.options) };
    const normalization = this.made(options);
    if (this.shapes) {
      const [now, then] = [this.specified, this.weightsFor(normalization, this.shapes)].map(describe);
      if (now !== then) {
        throw new RangeError(
          `${this.getClassName()}: this layer is built, and its weights would become ${then} instead of ${now}; ` +
            "change such options before the layer is built",
        );
      }
    }
    this.frozen = frozen;
    this.useMask = useMask;
    this.options = options;
    this.normalization = normalization;
    if (useMask) followMasks(this);
    return this;
  }

  /** The axis, or axes, of the channels or features; null where the layer has no such option. */
  get axis(): number | readonly number[] | null {
    const { axis } = this.options;
    return this.spec.axisOf ? this.spec.axisOf(this.options) : ((axis ?? null) as number | number[] | null);
  }

  /** The resolved axes of `axis`, in its order. */
  private axesOf(shape: Shape): number[] {
    const axes = [this.axis ?? []].flat() as number[];
    return axes.map((axis) => resolveAxis(this.getClassName(), axis, shape.length));
  }

  /** The shape of a weight over the axes of `axis`: some of Keras's classes keep the order of that list. */
  private inOrder(input: Shape, shape: readonly number[]): number[] {
    if (!IN_NAMED_ORDER.includes(this.spec.about.name)) return [...shape];
    const axes = this.axesOf(input);
    const ours = [...axes].sort((a, b) => a - b).map((axis) => input[axis] ?? 0);
    return sameShape(ours, shape) ? axes.map((axis) => input[axis] ?? 0) : [...shape];
  }

  /** Weights for inputs of these shapes; they may not depend on unknown lengths. */
  private weightsFor(normalization: Normalization, shapes: Shape[]) {
    const [some, others] = STAND_INS.map((length) => () => normalization.weights(...known(shapes, length)));
    const unknown = () =>
      new RangeError(
        `${this.getClassName()}: the lengths of its weights' axes must be known, got input shape ` +
          `${shapes.map((shape) => `[${shape.map(String).join(", ")}]`).join(", ")}; name another axis, or give the model's input a shape`,
      );
    let first: ReturnType<typeof some>;
    try {
      first = some();
    } catch (error) {
      if (!shapes.some((shape) => shape.slice(1).includes(null))) throw error;
      try {
        others();
      } catch {
        throw error;
      }
      throw unknown();
    }
    const second = others();
    if (Object.keys(first).some((name) => !sameShape(first[name].shape, second[name].shape))) throw unknown();
    return first;
  }

  private readWeightArgs(args: Record<string, unknown>): void {
    const layer = this.getClassName();
    for (const [weight, usual] of Object.entries(this.spec.initializers)) {
      this.objects[weight] = { initializer: initializer(layer, `${weight}Initializer`, usual) };
    }
    for (const [name, option] of Object.entries(args)) {
      const [, weight, kind] = WEIGHT_ARG.exec(name) ?? [];
      if (!weight || option === null || option === undefined) continue;
      this.objects[weight] ??= {};
      const made = this.objects[weight];
      if (kind === "Initializer") made.initializer = initializer(layer, name, option as Option<Initializer>);
      if (kind === "Regularizer") made.regularizer = regularizer(layer, name, option as Option<Regularizer>);
      if (kind === "Constraint") made.constraint = constraint(layer, name, option as Option<Constraint>);
    }
  }

  /** @throws RangeError for an initializer, regularizer or constraint of a weight that does not exist. */
  private checkWeightArgs(): void {
    const known = [...Object.keys(this.specified).map(argOf), ...USUAL_WEIGHTS];
    for (const weight of Object.keys(this.objects)) {
      if (known.includes(weight)) continue;
      throw new RangeError(
        `${this.getClassName()}: no weight is called ${weight}; there are ${known.slice(0, -USUAL_WEIGHTS.length).join(", ") || "none"}`,
      );
    }
  }

  private checkArgs(args: object): void {
    const { className, about } = this.spec;
    // the weights are known once the layer is built
    const ofWeights = Object.keys(args).filter((name) => WEIGHT_ARG.test(name));
    const ofSequences = about.takes === "sequence" ? SEQUENCE_ARGS : [];
    checkArgs(className, args, [...this.optionNames(), ...OWN_ARGS, ...ofWeights, ...ofSequences]);
  }

  /** Every option of its normalization, and of what follows it. */
  private optionNames(): readonly string[] {
    const { about, options } = this.spec;
    const takesActivation = about.takes !== "sequence" && !options.includes("activation");
    return takesActivation ? [...options, ...ACTIVATION_ARGS] : options;
  }

  /** The normalization of these options, and the activation that follows it. */
  private made(options: Config): Normalization {
    const { className, options: own, make } = this.spec;
    if (own.includes("activation")) return make(options);
    const { activation, negativeSlope, ...others } = options as Config & ActivationArgs;
    return activatedBy(className, make(others), {
      activation,
      negativeSlope: negativeSlope ?? (activation === "leakyRelu" ? LEAKY_SLOPE : undefined),
    });
  }

  private checkInputs(inputs: readonly unknown[]): void {
    const { name, takes } = this.spec.about;
    if (inputs.length === 1 || takes === "condition" || takes === "sequence") return;
    throw new TypeError(
      `${name}: a normalization layer takes one input, got ${inputs.length}; join them first, or give each a layer`,
    );
  }

  /**
   * Applies constraints before each use: TensorFlow.js does so when a weight is written, but not after a
   * training step.
   */
  private constrain(): void {
    for (const variable of this.constrained) {
      // a clone, since writing a variable to itself does nothing
      tf.tidy(() => {
        variable.write(tf.clone(variable.read()));
      });
    }
  }
}

/** Names and shapes of weights, as text. */
function describe(weights: Readonly<Record<string, Weight>>): string {
  const each = Object.entries(weights).map(([name, { shape }]) => `${name} [${shape.join(", ")}]`);
  return each.sort().join(", ") || "none";
}

/** Classes whose gamma and beta have the axes in the order of `axis`. */
const IN_NAMED_ORDER = ["layerNorm", "rmsNorm"];

/** Saved layers have options for these even where the weight is absent, as with `center: false`. */
const USUAL_WEIGHTS = ["gamma", "beta", "movingMean", "movingVariance"];

/** Stand-ins for an unknown length: whatever depends on it differs between the two. */
const STAND_INS = [2, 64];

function known(shapes: Shape[], length: number): number[][] {
  return shapes.map((shape) => shape.map((one) => one ?? length));
}

function listed(shape: Shape | Shape[]): Shape[] {
  return Array.isArray(shape[0]) ? (shape as Shape[]) : [shape as Shape];
}

/** Keras's name of a weight, as its options begin. */
function argOf(weight: string): string {
  return camelCase(theirs("tensorflowjs", weight));
}

function checkFlags(layer: string, flags: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(flags)) {
    if (typeof value === "boolean") continue;
    throw new TypeError(`${layer}: ${name} must be true or false, got ${value}`);
  }
}

/** Options of the normalization. */
function optionsOf(args: object, options: readonly string[]): Config {
  const own = Object.entries(ownArgs(args, options));
  return Object.fromEntries(
    own.filter(([name]) => !OWN_ARGS.includes(name) && !WEIGHT_ARG.test(name)),
  ) as Config;
}

/** Options of Keras's recurrent layers that these do not support. */
const SEQUENCE_ARGS = ["goBackwards", "returnState", "stateful"];

/** @throws RangeError where one of them is set */
function withoutSequenceArgs(layer: string, options: Config): Config {
  for (const name of SEQUENCE_ARGS) {
    if (!options[name]) continue;
    throw new RangeError(
      `${layer}: ${name} must be left out, this layer does not support it (nor tf.layers.bidirectional or rnn); ` +
        "without a framework there are cells, such as layerNormLSTMCell",
    );
  }
  return Object.fromEntries(Object.entries(options).filter(([name]) => !SEQUENCE_ARGS.includes(name)));
}
