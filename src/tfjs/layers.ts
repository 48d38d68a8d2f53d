/**
 * Normalization layers with the names, options and defaults of Keras, serializable as Keras layers are. One class serves
 * every normalization of the catalog.
 *
 *     import { layers } from "evenkeel/tfjs";
 *     model.add(layers.groupNormalization({ groups: 8 }));
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn, InputSpec, initializers, type LayerVariable } from "@tensorflow/tfjs-layers";
import {
  type About,
  type ApplyOptions,
  type ApplyResult,
  type Factory,
  type Normalization,
  startOf,
  type Weight,
} from "../formula/normalization.js";
import { run, weightsFor } from "../formula/run.js";
import { type Catalog, catalog, type WeightNormName } from "../norms/catalog.js";
import { accepted } from "../options.js";
import { resolveAxis, sameShape } from "../shape.js";
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
import { type GivenMask, maskOf } from "./masks.js";
import { fusedKernels } from "./operation.js";
import { tfOps } from "./ops.js";

type LayerArgs = NonNullable<ConstructorParameters<typeof builtIn.Layer>[0]>;
type Shape = (number | null)[];
type Config = tf.serialization.ConfigDict;

/** What Keras has an option for, for each weight of a layer, by the weight's name: gamma, beta, movingMean, ... */
export type WeightArgs = {
  [weight: `${string}Initializer`]: Option<Initializer> | undefined;
  [weight: `${string}Regularizer`]: Option<Regularizer> | null | undefined;
  [weight: `${string}Constraint`]: Option<Constraint> | null | undefined;
};

/** Options of a layer: those of its normalization, of Keras's weights, and of any layer. */
export type NormalizationArgs<O = object> = Omit<O, "axis"> & {
  /** Of the channels, or features; a list of one, as Keras saves it, is the same. */
  axis?: number | number[];
  /** What is kept between calls (running statistics) stays as it is, in training too; apart from `trainable`. */
  frozen?: boolean;
} & WeightArgs &
  LayerArgs;

/** What Keras has otherwise than we, or already. */
interface Convention {
  readonly className?: string;
  /** Defaults of options. */
  readonly defaults?: Config;
  /** Initializers, by Keras's names, that a saved layer always mentions. */
  readonly initializers?: Readonly<Record<string, string>>;
  /** The name of a weight's variable, where it is not the weight's. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Makes what Keras's options mean. */
  make?(options: Config): Normalization;
}

const AFFINE = { gamma: "ones", beta: "zeros" };
const usual = { axis: -1, epsilon: 1e-3, center: true, scale: true };
const conventions: { readonly [K in keyof Catalog]?: Convention } = {
  layerNorm: { defaults: usual, initializers: AFFINE },
  rmsNorm: {
    className: "RMSNormalization",
    defaults: { axis: -1, epsilon: 1e-6 },
    initializers: { gamma: "ones" },
    variables: { gamma: "scale" },
  },
  batchNorm: {
    defaults: { ...usual, momentum: 0.99 },
    initializers: { ...AFFINE, movingMean: "zeros", movingVariance: "ones" },
  },
  groupNorm: {
    defaults: { ...usual, groups: 32 },
    initializers: AFFINE,
    // -1 is Keras's name for a group per channel
    make: ({ groups, ...options }) =>
      groups === -1
        ? catalog.instanceNorm(options)
        : catalog.groupNorm({ ...options, groups: groups as number }),
  },
  instanceNorm: { defaults: usual, initializers: AFFINE },
  layerNormLSTM: { defaults: { returnSequences: false } },
  layerNormGRU: { defaults: { returnSequences: false } },
  layerNormRNN: { defaults: { returnSequences: false } },
  recurrentBatchNorm: { defaults: { returnSequences: false } },
};

/** Keras's names for running statistics. */
const kerasName = (weight: string) => weight.replace(/^running/, "moving");
const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const LAYER_ARGS = [
  "inputShape",
  "batchInputShape",
  "batchSize",
  "dtype",
  "inputDType",
  "name",
  "trainable",
  "weights",
  // what TensorFlow.js adds to a config that it reads
  "customObjects",
];
const WEIGHT_ARG = /^(.+)(Initializer|Regularizer|Constraint)$/;

interface Made {
  initializer?: Initializer;
  regularizer?: Regularizer;
  constraint?: Constraint;
}

/** A layer of one normalization. */
export abstract class NormalizationLayer extends builtIn.Layer {
  /** With the options that it has now. */
  normalization: Normalization;
  /** What it learns and keeps, by our names (gamma, runningMean, ...), once it is built. */
  readonly variables: Record<string, LayerVariable> = {};
  /** Where true, what is kept between calls stays as it is, in training too; apart from `trainable`. */
  frozen: boolean;
  private options: Config;
  private shapes?: Shape[];
  private readonly makes: Record<string, Made> = {};
  private specified: Readonly<Record<string, Weight>> = {};

  protected constructor(
    private readonly factory: Factory<object>,
    private readonly convention: Convention,
    args: NormalizationArgs,
  ) {
    super(args as LayerArgs);
    const { frozen = false, ...options } = { ...convention.defaults, ...optionsOf(args) };
    if (factory.about.takes === "sequence") {
      checkSequenceOptions(this.getClassName(), options);
      // layers of equal shape do not start alike, as in Keras; the seed is saved
      options.seed ??= Math.floor(Math.random() * 2 ** 31);
    }
    this.frozen = frozen as boolean;
    this.options = options;
    this.normalization = this.made(options);
    this.readWeightArgs(args as Record<string, unknown>);
    this.supportsMasking = true;
  }

  override build(inputShape: Shape | Shape[]): void {
    const shapes = listed(inputShape);
    checkInputs(this.factory.about, shapes);
    this.specified = this.weightsFor(this.normalization, shapes);
    this.shapes = shapes;
    this.checkWeightArgs();
    for (const [name, weight] of Object.entries(this.specified)) {
      const { shape, initial, trained } = weight;
      const { convention } = this;
      const made = this.makes[kerasName(name)] ?? {};
      const start =
        made.initializer ?? initializers.constant({ value: typeof initial === "number" ? initial : 0 });
      const variable = this.addWeight(
        convention.variables?.[name] ?? snake(kerasName(name)),
        this.inOrder(shapes[0], shape),
        "float32",
        start,
        made.regularizer,
        trained,
        made.constraint,
      );
      if (typeof initial !== "number" && !made.initializer) fill(variable, weight);
      this.variables[name] = variable;
    }
    this.inputSpec = shapes.map((shape, i) => {
      const axes = this.factory.about.takes === "sequence" ? [shape.length - 1] : this.axesOf(shape);
      const lengths = i === 0 ? axes.map((axis) => [axis, shape[axis]]) : [];
      return new InputSpec({ ndim: shape.length, axes: Object.fromEntries(lengths) });
    });
    super.build(inputShape);
  }

  override call(
    inputs: tf.Tensor | tf.Tensor[],
    { training = false, mask }: { training?: boolean; mask?: GivenMask } = {},
  ): tf.Tensor | tf.Tensor[] {
    this.constrain();
    const tensors = [inputs].flat();
    const { about } = this.factory;
    checkInputs(about, tensors);
    const which = this.normalization.handles?.mask === "last" ? "last" : "first";
    return applyLayer(this.normalization, tensors, this.variables, {
      training: training && !this.frozen,
      mask: maskOf(this, mask, tensors.length, which),
    });
  }

  /** As `call` on x + residual, in one pass over memory. */
  callOnSum(
    x: tf.Tensor,
    residual: tf.Tensor,
    kwargs: { training?: boolean; mask?: GivenMask } = {},
  ): tf.Tensor {
    // what stands in the place of `call` is to see the sum
    if (Object.hasOwn(this, "call")) return this.call(tf.add(x, residual), kwargs) as tf.Tensor;
    this.constrain();
    return applyLayer(this.normalization, [x], this.variables, {
      training: Boolean(kwargs.training) && !this.frozen,
      mask: maskOf(this, kwargs.mask),
      residual,
    }) as tf.Tensor;
  }

  /** As TensorFlow.js's recurrent layers say whether time is still there behind them. */
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
  override computeMask(
    inputs: tf.Tensor | tf.Tensor[],
    mask?: tf.Tensor | tf.Tensor[],
  ): tf.Tensor | tf.Tensor[] {
    const shapes = [inputs].flat().map(({ shape }): Shape => shape);
    const [y, ...more] = listed(this.computeOutputShape(shapes));
    const goesOn = y.length >= shapes[0].length;
    // null as Keras has it for what has none, which the types do not know
    const masks = [goesOn ? ([mask].flat()[0] ?? null) : null, ...more.map(() => null)] as tf.Tensor[];
    return more.length > 0 ? masks : masks[0];
  }

  override getConfig(): Config {
    const config: Config = { ...super.getConfig(), ...this.options, ...(this.frozen && { frozen: true }) };
    for (const [weight, { initializer, regularizer, constraint }] of Object.entries(this.makes)) {
      config[`${weight}Initializer`] = saved(initializer);
      if (weight.startsWith("moving")) continue;
      config[`${weight}Regularizer`] = saved(regularizer);
      config[`${weight}Constraint`] = saved(constraint);
    }
    return config;
  }

  /** Starts what is kept between calls anew; the last statistics of an epoch, or cumulative ones, stay until others come. */
  resetState(): void {
    for (const [name, weight] of Object.entries(this.specified)) {
      if (!weight.trained && !weight.outlastsReset) fill(this.variables[name], weight);
    }
  }

  /** Whether it keeps anything between calls; known once it is built. */
  get keepsState(): boolean {
    return Object.values(this.specified).some(({ trained }) => !trained);
  }

  /**
   * Changes options of its normalization, such as `sources` or `momentum`; undefined takes one away. It is saved with them.
   * @throws RangeError where a layer that is built would have other weights with them; then nothing is changed
   */
  configure({ frozen = this.frozen, ...changes }: { frozen?: boolean; [option: string]: unknown }): this {
    const options = { ...this.convention.defaults, ...optionsOf({ ...this.options, ...changes }) };
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
    this.options = options;
    this.normalization = normalization;
    return this;
  }

  private made(options: Config): Normalization {
    const { convention, factory } = this;
    const own = accepted(options, factory.defaults) as Config;
    return (convention.make ?? factory)(ownOptions(this.getClassName(), factory.about, own));
  }

  /** The axes that `axis` names, in its order. */
  private axesOf(shape: Shape): number[] {
    const axes = [this.options.axis ?? []].flat() as number[];
    return axes.map((axis) => resolveAxis(this.getClassName(), axis, shape.length));
  }

  /** The shape of a weight that has the axes of `axis`: Keras gives them the order that they are named in. */
  private inOrder(input: Shape, shape: readonly number[]): number[] {
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
    for (const [weight, usual] of Object.entries(this.convention.initializers ?? {})) {
      this.makes[weight] = { initializer: initializer(layer, `${weight}Initializer`, usual) };
    }
    for (const [name, option] of Object.entries(args)) {
      const [, weight, kind] = WEIGHT_ARG.exec(name) ?? [];
      if (!weight || option === null || option === undefined) continue;
      this.makes[weight] ??= {};
      const made = this.makes[weight];
      if (kind === "Initializer") made.initializer = initializer(layer, name, option as Option<Initializer>);
      if (kind === "Regularizer") made.regularizer = regularizer(layer, name, option as Option<Regularizer>);
      if (kind === "Constraint") made.constraint = constraint(layer, name, option as Option<Constraint>);
    }
  }

  /** @throws RangeError for an initializer, regularizer or constraint of a weight that there is not. */
  private checkWeightArgs(): void {
    const known = [...Object.keys(this.specified).map(kerasName), ...USUAL_WEIGHTS];
    for (const weight of Object.keys(this.makes)) {
      if (known.includes(weight)) continue;
      throw new RangeError(
        `${this.getClassName()}: no weight is called ${weight}; there are ${known.slice(0, -USUAL_WEIGHTS.length).join(", ") || "none"}`,
      );
    }
  }

  /** TensorFlow.js constrains a weight when it is written, but not after a training step: so here, before each use. */
  private constrain(): void {
    for (const [name, variable] of Object.entries(this.variables)) {
      // a clone, since writing a variable to itself does nothing
      if (!this.makes[kerasName(name)]?.constraint) continue;
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

function optionsOf(args: object): Config {
  return Object.fromEntries(
    Object.entries(args).filter(
      ([name, value]) => !LAYER_ARGS.includes(name) && !WEIGHT_ARG.test(name) && value !== undefined,
    ),
  );
}

/** Options as the norm file has them: Keras saves a single axis as a list. */
function ownOptions(layer: string, { name }: About, options: Config): Config {
  const { axis } = options;
  if (!Array.isArray(axis) || name === "layerNorm" || name === "rmsNorm") return options;
  if (axis.length === 1) return { ...options, axis: axis[0] };
  throw new TypeError(`${layer}: axis must be a single one, that of the channels, got [${axis.join(", ")}]`);
}

/** @throws RangeError for what Keras's recurrent layers can be told, and these cannot do. */
function checkSequenceOptions(layer: string, options: Config): void {
  for (const name of ["goBackwards", "returnState", "stateful"]) {
    if (!options[name]) continue;
    throw new RangeError(
      `${layer}: ${name} must be left out, this layer cannot do it (nor be in tf.layers.bidirectional or rnn); ` +
        "without a framework there are cells, such as layerNormLSTMCell",
    );
  }
}

function checkInputs({ name, takes }: About, inputs: readonly unknown[]): void {
  if (inputs.length === 1 || takes === "condition" || takes === "sequence") return;
  throw new TypeError(
    `${name}: a normalization layer takes one input, got ${inputs.length}; join them first, or give each a layer`,
  );
}

/** What a normalization layer does when it is called; what it keeps is written to its variables. */
export function applyLayer(
  normalization: Normalization,
  inputs: tf.Tensor[],
  variables: Readonly<Record<string, LayerVariable | null | undefined>>,
  { training, mask, residual }: { training: boolean; mask?: tf.Tensor; residual?: tf.Tensor },
): tf.Tensor | tf.Tensor[] {
  return tf.tidy(() => {
    const held: Record<string, tf.Tensor> = {};
    for (const [name, variable] of Object.entries(variables)) {
      if (!variable) continue;
      const values = variable.read();
      // several axes have the order that Keras names them in, and are one in ours
      const axes = (name === "gamma" || name === "beta") && values.rank > 1;
      held[name] = axes ? tf.reshape(values, [-1]) : values;
    }
    const { y, more, state } = apply(normalization, inputs, held, {
      training,
      mask,
      residual,
      moveState: (moved) => keep(moved, variables),
    });
    if (state) keep(state, variables);
    return more ? [y, ...more] : y;
  });
}

/** Any normalization as a function. Weights that are left out have their initial values. */
export function apply(
  normalization: Normalization,
  inputs: tf.Tensor | readonly tf.Tensor[],
  weights: Readonly<Record<string, tf.Tensor>> = {},
  { training = true, ...options }: Partial<Omit<ApplyOptions<tf.Tensor>, "warn">> = {},
): ApplyResult<tf.Tensor> {
  const tensors = (Array.isArray(inputs) ? inputs : [inputs]) as readonly tf.Tensor[];
  const shapes = Object.entries(weights).map(([name, { shape }]) => [name, shape]);
  const specified = weightsFor(normalization, tensors, Object.fromEntries(shapes));
  return tf.tidy(() => {
    const all: Record<string, tf.Tensor> = { ...weights };
    for (const [name, weight] of Object.entries(specified)) all[name] ??= filled(weight);
    const { mask, residual, moveState } = options;
    const result = run(tfOps, normalization, tensors, all, {
      training,
      mask: mask ?? undefined,
      residual: residual ?? undefined,
      moveState,
      warn,
    });
    // TensorFlow.js keeps what a tidy gives, in arrays and objects too
    return result as unknown as tf.TensorContainer;
  }) as unknown as ApplyResult<tf.Tensor>;
}

function fill(variable: LayerVariable, weight: Weight): void {
  tf.tidy(() => {
    variable.write(filled(weight));
  });
}

function filled(weight: Weight): tf.Tensor {
  return tf.tensor(Float32Array.from(startOf(weight)), [...weight.shape]);
}

/** Unchanged, all of it, where a batch is not finite. */
function keep(
  state: Readonly<Record<string, tf.Tensor>>,
  variables: Readonly<Record<string, LayerVariable | null | undefined>>,
): void {
  // where values are at hand, without asking a GPU for them, a look costs less than operations
  if (fusedKernels(tf.backend())) {
    const finite = Object.values(state).every((tensor) => tensor.dataSync().every(Number.isFinite));
    if (finite) for (const [name, tensor] of Object.entries(state)) variables[name]?.write(tensor);
    return;
  }
  const sums = Object.values(state).map((tensor) => tf.sum(tensor));
  const finite = tf.isFinite(tf.addN(sums));
  for (const [name, tensor] of Object.entries(state)) {
    const variable = variables[name];
    if (variable) variable.write(tf.where(finite, tensor, variable.read()));
  }
}

const warned = new Set<string>();

/** Once for each kind of normalization. */
function warn(message: string): void {
  const [name] = message.split(":");
  if (warned.has(name)) return;
  warned.add(name);
  console.warn(message);
}

/** As Keras calls a normalization: `layerNorm` is layerNormalization. */
type LayerName<K extends string> = K extends `${infer Start}Norm`
  ? `${Start}Normalization`
  : K extends `${infer Start}norm`
    ? `${Start}normalization`
    : K;

type OptionsOf<F> = F extends (options?: infer O) => unknown ? NonNullable<O> : never;

type Layers = {
  [K in Exclude<keyof Catalog, WeightNormName> as LayerName<K>]: (
    args?: NormalizationArgs<OptionsOf<Catalog[K]>>,
  ) => NormalizationLayer;
};

type LayerClass = tf.serialization.SerializableConstructor<NormalizationLayer> &
  (new (
    args?: NormalizationArgs,
  ) => NormalizationLayer);

function layerClass(name: keyof Catalog): LayerClass {
  const layer = layerName(name);
  return class extends NormalizationLayer {
    static readonly className: string =
      conventions[name]?.className ?? layer[0].toUpperCase() + layer.slice(1);

    constructor(args: NormalizationArgs = {}) {
      super(catalog[name] as Factory<object>, conventions[name] ?? {}, args);
    }
  };
}

function layerName(name: string): string {
  return name.replace(/norm$/i, (end) => `${end}alization`);
}

const classes = Object.fromEntries(
  (Object.keys(catalog) as (keyof Catalog)[])
    // those of weights are wrappers of other layers (wrappers.ts)
    .filter((name) => catalog[name].about.takes !== "weight")
    .map((name) => [layerName(name), layerClass(name)]),
);

/** The classes, for a registry of them. */
export const layerClasses = Object.values(classes);

/** Factories, as in `tf.layers`: of every normalization, by the names of Keras. */
export const layers = Object.fromEntries(
  Object.entries(classes).map(([name, Class]) => [name, (args?: NormalizationArgs) => new Class(args)]),
) as unknown as Layers;
