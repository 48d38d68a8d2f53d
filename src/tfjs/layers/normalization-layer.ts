/**
 * A layer of one normalization: one class serves every normalization of the catalog (catalog.ts), with the names, options and
 * defaults of Keras, and is saved as Keras's layers are.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn, InputSpec, initializers, type LayerVariable } from "@tensorflow/tfjs-layers";
import type { Normalization, Weight } from "../../formula/normalization.js";
import { camelCase, optionNames, theirs } from "../../frameworks/names.js";
import { checkOptions } from "../../options.js";
import { resolveAxis, sameShape } from "../../shape.js";
import type { Config, LayerArgs, Shape, Tensors } from "../types.js";
import { applyLayer, initialize } from "./apply.js";
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

/** What Keras has an option for, for each weight of a layer, by Keras's name of it: gamma, beta, movingMean, ... */
export type WeightArgs = {
  [weight: `${string}Initializer`]: Option<Initializer> | undefined;
  [weight: `${string}Regularizer`]: Option<Regularizer> | null | undefined;
  [weight: `${string}Constraint`]: Option<Constraint> | null | undefined;
};

/** Options of a layer: those of its normalization, of Keras's weights, and of any layer. */
export type NormalizationArgs<O = object> = Omit<O, "axis"> & {
  /** Of the channels, or features; a list of one, as Keras saves it, is the same. */
  axis?: number | number[];
  /** Running statistics, and other state, stay as they are, in training too; apart from `trainable`. Default false. */
  frozen?: boolean;
  /**
   * Whether positions that are masked (by `masking`, or an embedding with `maskZero`) contribute to neither statistics nor gradients,
   * and are 0 in the output. Default false for the classes that Keras, TensorFlow Addons and keras_contrib have, which normalize
   * masked positions like all others (layer, RMS, batch, group, instance, unit and filter response normalization), else true. The
   * mask goes on to the next layer either way.
   */
  useMask?: boolean;
} & WeightArgs &
  LayerArgs;

const OWN_ARGS = ["frozen", "useMask"];
const WEIGHT_ARG = /^(.+)(Initializer|Regularizer|Constraint)$/;

/** What Keras's options made of a weight. */
interface WeightObjects {
  initializer?: Initializer;
  regularizer?: Regularizer;
  constraint?: Constraint;
}

/** A layer of one normalization. */
export abstract class NormalizationLayer extends builtIn.Layer {
  /** With the options that it has now. */
  normalization: Normalization;
  /** Its weights and state, by our names (gamma, runningMean, ...), once it is built. */
  readonly variables: Record<string, LayerVariable> = {};
  /** Where true, running statistics and other state stay as they are, in training too; apart from `trainable`. */
  frozen: boolean;
  /** Whether masked positions are excluded. */
  useMask: boolean;
  private options: Config;
  private shapes?: Shape[];
  /** By Keras's names of weights; without a prototype, since files name them. */
  private readonly objects: Record<string, WeightObjects> = Object.create(null);
  private specified: Readonly<Record<string, Weight>> = {};

  protected constructor(
    private readonly spec: LayerSpec,
    args: NormalizationArgs,
  ) {
    super(withTypeName(spec.className, args));
    this.checkArgs(args);
    const { frozen = false, useMask = spec.useMask } = args;
    checkFlags(spec.className, { frozen, useMask });
    let options = { ...spec.defaults, ...optionsOf(args) };
    if (spec.about.takes === "sequence") {
      options = withoutSequenceArgs(spec.className, options);
      // layers of equal shape do not start alike, as in Keras; the seed is saved
      options.seed ??= Math.floor(Math.random() * 2 ** 31);
    }
    this.frozen = frozen;
    this.useMask = useMask;
    this.options = options;
    this.normalization = spec.make(options);
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
      // TensorFlow.js starts weights at 0 where a file is to follow, which may not have them all
      if (!made.initializer && !(trained && typeof initial === "number")) initialize(variable, weight);
      this.variables[name] = variable;
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
    return applyLayer(this.normalization, tensors, this.variables, {
      training: Boolean(training) && !this.frozen,
      mask: this.maskFrom(mask, tensors.length),
    });
  }

  /** The mask that it follows, of those that it is called with; undefined where it follows none. */
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
    // what replaces `call` must see the sum
    if (Object.hasOwn(this, "call")) return this.call(tf.add(x, residual), kwargs) as tf.Tensor;
    this.constrain();
    return applyLayer(this.normalization, [x], this.variables, {
      training: Boolean(kwargs.training) && !this.frozen,
      mask: this.maskFrom(kwargs.mask),
      residual,
    }) as tf.Tensor;
  }

  /** As TensorFlow.js's recurrent layers say whether their output still has time. */
  get returnSequences(): boolean {
    return this.options.returnSequences !== false;
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape | Shape[] {
    const shapes = listed(inputShape);
    const { normalization } = this;
    if (!normalization.outputs) return shapes[0];
    // lengths that follow an unknown one are unknown too
    const [some, others] = STAND_INS.map((length) => normalization.outputs?.(...known(shapes, length)) ?? []);
    const outputs = some.map((shape, i) =>
      shape.map((length, axis) => (length === others[i][axis] ? length : null)),
    );
    return outputs.length === 1 ? outputs[0] : outputs;
  }

  /** A mask goes on with y as long as y still has the axes that it tells apart: the last state of a sequence has no time. */
  override computeMask(inputs: Tensors, mask?: Tensors): Tensors {
    const shapes = [inputs].flat().map(({ shape }): Shape => shape);
    const [y, ...more] = listed(this.computeOutputShape(shapes));
    const goesOn = y.length >= shapes[0].length;
    // null as Keras has it for what has none, which the types do not know
    const masks = [goesOn ? ([mask].flat()[0] ?? null) : null, ...more.map(() => null)] as tf.Tensor[];
    return more.length > 0 ? masks : masks[0];
  }

  override getConfig(): Config {
    const { frozen, useMask, spec } = this;
    const config: Config = {
      ...super.getConfig(),
      ...this.options,
      ...(frozen && { frozen }),
      // absent: as Keras has it
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

  /** Resets state; the last statistics of an epoch, or cumulative ones, stay until others come. */
  resetState(): void {
    for (const [name, weight] of Object.entries(this.specified)) {
      if (!weight.trained && !weight.outlastsReset) initialize(this.variables[name], weight);
    }
  }

  /** Whether it has state, such as running statistics; known once it is built. */
  get keepsState(): boolean {
    return Object.values(this.specified).some(({ trained }) => !trained);
  }

  /**
   * Changes options of its normalization, such as `sources` or `momentum`; undefined takes one away. It is saved with them.
   * @throws TypeError for an option that it does not have; RangeError where a layer that is built would have other weights with them;
   * then nothing is changed
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
    checkOptions(spec.className, changes, [...spec.options, ...OWN_ARGS], optionNames);
    checkFlags(spec.className, { frozen, useMask });
    const options = { ...spec.defaults, ...optionsOf({ ...this.options, ...changes }) };
    const normalization = spec.make(options);
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

  /** Of the channels, or features; null where nothing names them. */
  get axis(): number | readonly number[] | null {
    const { axis } = this.options;
    return this.spec.axisOf ? this.spec.axisOf(this.options) : ((axis ?? null) as number | number[] | null);
  }

  /** The axes that `axis` names, in its order. */
  private axesOf(shape: Shape): number[] {
    const axes = [this.axis ?? []].flat() as number[];
    return axes.map((axis) => resolveAxis(this.getClassName(), axis, shape.length));
  }

  /** The shape of a weight that has the axes of `axis`: Keras gives them the order that they are named in, in some classes. */
  private inOrder(input: Shape, shape: readonly number[]): number[] {
    if (!IN_NAMED_ORDER.includes(this.spec.about.name)) return [...shape];
    const axes = this.axesOf(input);
    const ours = [...axes].sort((a, b) => a - b).map((axis) => input[axis] ?? 0);
    return sameShape(ours, shape) ? axes.map((axis) => input[axis] ?? 0) : [...shape];
  }

  /** Weights for inputs of these shapes, which may not depend on lengths that are not known. */
  private weightsFor(normalization: Normalization, shapes: Shape[]) {
    const [some, others] = STAND_INS.map((length) => () => normalization.weights(...known(shapes, length)));
    const unknown = () =>
      new RangeError(
        `${this.getClassName()}: the lengths of the axes that its weights are for must be known, got input shape ` +
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

  /** @throws RangeError for an initializer, regularizer or constraint of a weight that there is not. */
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
    const { className, about, options } = this.spec;
    // which weights there are is known once the layer is built
    const ofWeights = Object.keys(args).filter((name) => WEIGHT_ARG.test(name));
    const ofSequences = about.takes === "sequence" ? SEQUENCE_ARGS : [];
    checkArgs(className, args, [...options, ...OWN_ARGS, ...ofWeights, ...ofSequences]);
  }

  private checkInputs(inputs: readonly unknown[]): void {
    const { name, takes } = this.spec.about;
    if (inputs.length === 1 || takes === "condition" || takes === "sequence") return;
    throw new TypeError(
      `${name}: a normalization layer takes one input, got ${inputs.length}; join them first, or give each a layer`,
    );
  }

  /** TensorFlow.js constrains a weight when it is written, but not after a training step: so here, before each use. */
  private constrain(): void {
    for (const [name, variable] of Object.entries(this.variables)) {
      // a clone, since writing a variable to itself does nothing
      if (!this.objects[argOf(name)]?.constraint) continue;
      tf.tidy(() => {
        variable.write(tf.clone(variable.read()));
      });
    }
  }
}

/** Names and shapes of weights, in a word. */
function describe(weights: Readonly<Record<string, Weight>>): string {
  const each = Object.entries(weights).map(([name, { shape }]) => `${name} [${shape.join(", ")}]`);
  return each.sort().join(", ") || "none";
}

const IN_NAMED_ORDER = ["layerNorm", "rmsNorm"];

/** Saved layers mention these also where they have none, as with `center: false`. */
const USUAL_WEIGHTS = ["gamma", "beta", "movingMean", "movingVariance"];

/** What an unknown length may be: whatever follows from it differs between the two. */
const STAND_INS = [2, 64];

function known(shapes: Shape[], length: number): number[][] {
  return shapes.map((shape) => shape.map((one) => one ?? length));
}

function listed(shape: Shape | Shape[]): Shape[] {
  return Array.isArray(shape[0]) ? (shape as Shape[]) : [shape as Shape];
}

/** By which Keras's options name a weight. */
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
function optionsOf(args: object): Config {
  const own = Object.entries(ownArgs(args));
  return Object.fromEntries(
    own.filter(([name]) => !OWN_ARGS.includes(name) && !WEIGHT_ARG.test(name)),
  ) as Config;
}

/** Of Keras's recurrent layers, which these cannot do. */
const SEQUENCE_ARGS = ["goBackwards", "returnState", "stateful"];

/** @throws RangeError where one of them is wanted */
function withoutSequenceArgs(layer: string, options: Config): Config {
  for (const name of SEQUENCE_ARGS) {
    if (!options[name]) continue;
    throw new RangeError(
      `${layer}: ${name} must be left out, this layer cannot do it (nor be in tf.layers.bidirectional or rnn); ` +
        "without a framework there are cells, such as layerNormLSTMCell",
    );
  }
  return Object.fromEntries(Object.entries(options).filter(([name]) => !SEQUENCE_ARGS.includes(name)));
}
