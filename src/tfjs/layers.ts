/**
 * Normalization layers with the names, options and defaults of Keras, serializable as Keras layers are.
 *
 *     import { layers } from "evenkeel/tfjs";
 *     model.add(layers.groupNormalization({ groups: 8 }));
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn, InputSpec, type LayerVariable } from "@tensorflow/tfjs-layers";
import { updateRunning } from "../moments.js";
import { batchNorm } from "../norms/batch.js";
import { groupNorm } from "../norms/group.js";
import { instanceNorm } from "../norms/instance.js";
import { layerNorm } from "../norms/layer.js";
import type { Norm } from "../norms/norm.js";
import { rmsNorm } from "../norms/rms.js";
import { resolveAxis } from "../view.js";
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
import { fusedKernels, type Normalized, normalize } from "./operation.js";

type LayerArgs = NonNullable<ConstructorParameters<typeof builtIn.Layer>[0]>;
type Shape = (number | null)[];

export interface AffineArgs extends LayerArgs {
  /** Added to the variance inside the root. Default 1e-3. */
  epsilon?: number;
  /** Learn an offset, beta. Default true. */
  center?: boolean;
  /** Learn a factor, gamma. Default true. */
  scale?: boolean;
  betaInitializer?: Option<Initializer>;
  gammaInitializer?: Option<Initializer>;
  betaRegularizer?: Option<Regularizer>;
  gammaRegularizer?: Option<Regularizer>;
  betaConstraint?: Option<Constraint>;
  gammaConstraint?: Option<Constraint>;
}

export interface LayerNormalizationArgs extends AffineArgs {
  /** The axis, or axes, of the features. Default −1. */
  axis?: number | number[];
}

export interface RMSNormalizationArgs extends LayerArgs {
  axis?: number | number[];
  /** Default 1e-6. */
  epsilon?: number;
}

export interface ChannelArgs extends AffineArgs {
  /** The axis of the channels; a list of one, as Keras saves it, is the same. Default −1. */
  axis?: number | number[];
}

export interface GroupNormalizationArgs extends ChannelArgs {
  /** How many groups; −1 is one channel each. Default 32. */
  groups?: number;
}

export interface BatchNormalizationArgs extends ChannelArgs {
  /** Weight of the old moving value. Default 0.99. */
  momentum?: number;
  movingMeanInitializer?: Option<Initializer>;
  movingVarianceInitializer?: Option<Initializer>;
}

/** What a layer reads when it is called. TensorFlow.js's own layers have the same names for it. */
export interface AffineState {
  readonly gamma?: LayerVariable | null;
  readonly beta?: LayerVariable | null;
}

export interface BatchState extends AffineState {
  readonly movingMean: LayerVariable;
  readonly movingVariance: LayerVariable;
  readonly momentum: number;
}

/** gamma and beta, flat: Keras's weights have the order of `axis` as it was given, ours that of the axes. */
function affineOf({ gamma, beta }: AffineState) {
  const flat = (weight?: LayerVariable | null) => {
    const values = weight?.read();
    return values && values.rank > 1 ? tf.reshape(values, [-1]) : values;
  };
  return { gamma: flat(gamma), beta: flat(beta) };
}

/** What a normalization layer does when it is called. */
export function apply(state: AffineState, norm: Norm, inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
  return tf.tidy(() => normalize(norm, oneTensor(inputs), affineOf(state)).y);
}

/** The same for batch normalization: in training it takes the batch's statistics and moves the moving ones. */
export function applyBatch(
  state: BatchState,
  norm: Norm,
  inputs: tf.Tensor | tf.Tensor[],
  training: boolean,
): tf.Tensor {
  return tf.tidy(() => {
    const x = oneTensor(inputs);
    const affine = affineOf(state);
    const { movingMean, movingVariance } = state;
    if (!training) {
      return normalize(norm, x, { ...affine, mean: movingMean.read(), variance: movingVariance.read() }).y;
    }
    const { y, mean, variance } = normalize(norm, x, affine) as Required<Normalized>;
    if (x.size > mean.size) moveStatistics(state, mean, variance);
    else warnOfSingleValues(x.shape);
    return y;
  });
}

/** moving = momentum·moving + (1 − momentum)·batch; unchanged, in every channel, by a batch that is not finite. */
function moveStatistics(
  { movingMean, movingVariance, momentum }: BatchState,
  mean: tf.Tensor,
  variance: tf.Tensor,
): void {
  // where values are at hand, without asking a GPU for them, one loop costs less than a dozen operations
  if (fusedKernels(tf.backend())) {
    const values = (tensor: tf.Tensor) => tensor.dataSync<"float32">();
    const [oldMean, oldVariance] = [values(movingMean.read()), values(movingVariance.read())];
    if (updateRunning(oldMean, oldVariance, values(mean), values(variance), momentum, 1) >= 0) return;
    movingMean.write(tf.tensor1d(oldMean));
    movingVariance.write(tf.tensor1d(oldVariance));
    return;
  }
  const finite = tf.all(tf.isFinite(tf.add(mean, variance)));
  const move = (moving: LayerVariable, batch: tf.Tensor) => {
    const old = moving.read();
    moving.write(tf.where(finite, tf.add(old, tf.mul(tf.sub(batch, old), 1 - momentum)), old));
  };
  move(movingMean, mean);
  move(movingVariance, variance);
}

let warned = false;

/** As in Keras y is beta then; unlike there, the variance of 0 does not enter the moving variance. */
function warnOfSingleValues(shape: number[]): void {
  if (warned) return;
  warned = true;
  console.warn(
    `batchNormalization: a training batch of shape [${shape.join(", ")}] has one value per channel, so its output is beta; ` +
      "the moving statistics were left as they were. Leave such batches out, or use layer or group normalization",
  );
}

function oneTensor(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
  return Array.isArray(inputs) ? only(inputs) : inputs;
}

function oneShape(shape: Shape | Shape[]): Shape {
  return Array.isArray(shape[0]) ? only(shape as Shape[]) : (shape as Shape);
}

function only<T>(inputs: T[]): T {
  if (inputs.length === 1) return inputs[0];
  throw new TypeError(
    `a normalization layer takes one input, got ${inputs.length}; join them first, or give each a layer`,
  );
}

/** The axis of the channels. Keras saves it as a list of one. */
export function channelAxis(layer: string, axis: number | number[]): number {
  const [one, ...more] = typeof axis === "number" ? [axis] : axis;
  if (one !== undefined && more.length === 0) return one;
  throw new TypeError(
    `${layer}: axis must be a single one, that of the channels, got [${[axis].flat().join(", ")}]`,
  );
}

interface Made {
  initializer?: Initializer;
  regularizer?: Regularizer;
  constraint?: Constraint;
}

/** gamma and beta: what they are made by, and what is done to them. */
abstract class NormalizationLayer extends builtIn.Layer implements AffineState {
  readonly axis: number | number[];
  readonly epsilon: number;
  readonly center: boolean;
  readonly scale: boolean;
  gamma: LayerVariable | null = null;
  beta: LayerVariable | null = null;
  private readonly makes: Record<"beta" | "gamma", Made>;

  protected constructor(args: AffineArgs & { axis?: number | number[] }) {
    super(args);
    const name = this.getClassName();
    this.axis = args.axis ?? -1;
    this.epsilon = args.epsilon ?? 1e-3;
    this.center = args.center ?? true;
    this.scale = args.scale ?? true;
    this.makes = {
      beta: {
        initializer: initializer(name, "betaInitializer", args.betaInitializer ?? "zeros"),
        regularizer: regularizer(name, "betaRegularizer", args.betaRegularizer),
        constraint: constraint(name, "betaConstraint", args.betaConstraint),
      },
      gamma: {
        initializer: initializer(name, "gammaInitializer", args.gammaInitializer ?? "ones"),
        regularizer: regularizer(name, "gammaRegularizer", args.gammaRegularizer),
        constraint: constraint(name, "gammaConstraint", args.gammaConstraint),
      },
    };
    this.supportsMasking = true;
  }

  protected abstract norm(): Norm;

  override build(inputShape: Shape | Shape[]): void {
    const shape = oneShape(inputShape);
    const axes = typeof this.axis === "number" ? [this.axis] : this.axis;
    const lengths = axes.map((axis) => {
      const length = shape[resolveAxis(this.getClassName(), axis, shape.length)];
      if (length !== null) return length;
      throw new RangeError(
        `${this.getClassName()}: axis ${axis} must have a known length, got input shape [${shape.map(String).join(", ")}]; ` +
          "name another axis, or give the model's input a shape",
      );
    });
    // refuses what does not fit now, not at the first batch; an unknown length may be any, 2 for one
    this.norm().plan(shape.map((length) => length ?? 2));
    if (this.scale) this.gamma = this.affineWeight(this.gammaName, lengths, this.makes.gamma);
    if (this.center) this.beta = this.affineWeight("beta", lengths, this.makes.beta);
    const named = axes.map((axis) => resolveAxis(this.getClassName(), axis, shape.length));
    const lengthOf = Object.fromEntries(named.map((axis, i) => [axis, lengths[i]]));
    this.inputSpec = [new InputSpec({ ndim: shape.length, axes: lengthOf })];
    super.build(inputShape);
  }

  override call(inputs: tf.Tensor | tf.Tensor[], _options: { training?: boolean }): tf.Tensor {
    this.constrain();
    return apply(this, this.norm(), inputs);
  }

  /** TensorFlow.js constrains a weight when it is written, but not after a training step: so here, before each use. */
  protected constrain(): void {
    for (const name of ["gamma", "beta"] as const) {
      const weight = this[name];
      // a clone, since writing a variable to itself does nothing
      if (!weight || !this.makes[name].constraint) continue;
      tf.tidy(() => {
        weight.write(tf.clone(weight.read()));
      });
    }
  }

  override getConfig(): tf.serialization.ConfigDict {
    const { axis, epsilon, center, scale } = this;
    const { beta, gamma } = this.makes;
    return {
      ...super.getConfig(),
      ...{ axis, epsilon, center, scale },
      betaInitializer: saved(beta.initializer),
      gammaInitializer: saved(gamma.initializer),
      betaRegularizer: saved(beta.regularizer),
      gammaRegularizer: saved(gamma.regularizer),
      betaConstraint: saved(beta.constraint),
      gammaConstraint: saved(gamma.constraint),
    };
  }

  /** The name of the factor among the layer's weights. */
  protected get gammaName(): string {
    return "gamma";
  }

  private affineWeight(
    name: string,
    lengths: number[],
    { initializer, regularizer, constraint }: Made,
  ): LayerVariable {
    return this.addWeight(name, lengths, "float32", initializer, regularizer, true, constraint);
  }
}

/** Layer normalization (Ba, Kiros & Hinton 2016). */
export class LayerNormalization extends NormalizationLayer {
  static readonly className: string = "LayerNormalization";

  constructor(args: LayerNormalizationArgs = {}) {
    super(args);
  }

  protected norm(): Norm {
    return layerNorm({ axis: this.axis, epsilon: this.epsilon });
  }
}

/** RMS normalization (Zhang & Sennrich 2019): a factor, which Keras calls `scale`, and no offset. */
export class RMSNormalization extends NormalizationLayer {
  static readonly className: string = "RMSNormalization";

  constructor(args: RMSNormalizationArgs = {}) {
    super({ ...args, epsilon: args.epsilon ?? 1e-6, center: false });
  }

  protected norm(): Norm {
    return rmsNorm({ axis: this.axis, epsilon: this.epsilon });
  }

  protected override get gammaName(): string {
    return "scale";
  }
}

/** Group normalization (Wu & He 2018). */
export class GroupNormalization extends NormalizationLayer {
  static readonly className: string = "GroupNormalization";
  readonly groups: number;

  constructor(args: GroupNormalizationArgs = {}) {
    super({ ...args, axis: channelAxis("GroupNormalization", args.axis ?? -1) });
    this.groups = args.groups ?? 32;
  }

  protected norm(): Norm {
    const channels = { axis: this.axis as number, epsilon: this.epsilon };
    return this.groups === -1 ? instanceNorm(channels) : groupNorm({ groups: this.groups, ...channels });
  }

  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), groups: this.groups };
  }
}

/** Instance normalization (Ulyanov, Vedaldi & Lempitsky 2016), with the defaults of TensorFlow Addons. */
export class InstanceNormalization extends NormalizationLayer {
  static readonly className: string = "InstanceNormalization";

  constructor(args: ChannelArgs = {}) {
    super({ ...args, axis: channelAxis("InstanceNormalization", args.axis ?? -1) });
  }

  protected norm(): Norm {
    return instanceNorm({ axis: this.axis as number, epsilon: this.epsilon });
  }
}

/**
 * Batch normalization (Ioffe & Szegedy 2015): the batch's statistics in training, moving ones otherwise. As in
 * TensorFlow.js, and other than in Keras, a layer with `trainable = false` still takes the batch's in training.
 */
export class BatchNormalization extends NormalizationLayer implements BatchState {
  static readonly className: string = "BatchNormalization";
  readonly momentum: number;
  // made by `build`
  movingMean!: LayerVariable;
  movingVariance!: LayerVariable;
  private readonly movingInitializers: { mean?: Initializer; variance?: Initializer };

  constructor(args: BatchNormalizationArgs = {}) {
    super({ ...args, axis: channelAxis("BatchNormalization", args.axis ?? -1) });
    const name = this.getClassName();
    this.momentum = args.momentum ?? 0.99;
    if (!(this.momentum >= 0 && this.momentum <= 1)) {
      throw new RangeError(
        `${name}: momentum must be from 0 to 1 (the weight of the old value), got ${args.momentum}`,
      );
    }
    this.movingInitializers = {
      mean: initializer(name, "movingMeanInitializer", args.movingMeanInitializer ?? "zeros"),
      variance: initializer(name, "movingVarianceInitializer", args.movingVarianceInitializer ?? "ones"),
    };
  }

  protected norm(): Norm {
    return batchNorm({ axis: this.axis as number, epsilon: this.epsilon });
  }

  override build(inputShape: Shape | Shape[]): void {
    super.build(inputShape);
    const shape = oneShape(inputShape);
    const channels = [shape[resolveAxis(this.getClassName(), this.axis as number, shape.length)]];
    const { mean, variance } = this.movingInitializers;
    this.movingMean = this.addWeight("moving_mean", channels, "float32", mean, undefined, false);
    this.movingVariance = this.addWeight("moving_variance", channels, "float32", variance, undefined, false);
  }

  override call(inputs: tf.Tensor | tf.Tensor[], { training = false }: { training?: boolean }): tf.Tensor {
    this.constrain();
    return applyBatch(this, this.norm(), inputs, training);
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {
      ...super.getConfig(),
      momentum: this.momentum,
      movingMeanInitializer: saved(this.movingInitializers.mean),
      movingVarianceInitializer: saved(this.movingInitializers.variance),
    };
  }
}

/** Factories, as in `tf.layers`. */
export const layers = {
  layerNormalization: (args?: LayerNormalizationArgs) => new LayerNormalization(args),
  rmsNormalization: (args?: RMSNormalizationArgs) => new RMSNormalization(args),
  batchNormalization: (args?: BatchNormalizationArgs) => new BatchNormalization(args),
  groupNormalization: (args?: GroupNormalizationArgs) => new GroupNormalization(args),
  instanceNormalization: (args?: ChannelArgs) => new InstanceNormalization(args),
};
