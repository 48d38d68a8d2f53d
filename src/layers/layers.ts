/**
 * Layers with parameters, without a framework: `forward`, `backward`, `train()`/`eval()`, state dict in and out.
 *
 * A state dict holds float32 copies by our own names: gamma, beta, runningMean, runningVariance.
 */
import type { Values } from "../kernels/contract.js";
import { updateRunning } from "../moments.js";
import { batchNorm, type ChannelOptions } from "../norms/batch.js";
import { type GroupNormOptions, groupNorm } from "../norms/group.js";
import { instanceNorm } from "../norms/instance.js";
import { layerNorm } from "../norms/layer.js";
import { checkCount, type Norm } from "../norms/norm.js";
import { rmsNorm } from "../norms/rms.js";
import { reducedSize, sameShape, sizeOf } from "../view.js";
import { BackendArray, type PlainArray } from "./array.js";
import type { Evenkeel, ForwardResult, Saved } from "./evenkeel.js";

export type StateDict = Record<string, Float32Array>;

export interface AffineOptions {
  /** A learned factor per parameter, at first 1. */
  scale?: boolean;
  /** A learned offset per parameter, at first 0. */
  center?: boolean;
}

/** What a layer gives for x and a residual. Both are the caller's; the sum is kept (not copied) for `backward`. */
export interface AddedAndNormalized<T extends PlainArray> {
  /** The normalized sum. */
  readonly y: T;
  /** x + residual: what the residual path goes on with. */
  readonly sum: T;
}

/** What all layers share: gamma and beta, their gradients, and the last forward call. */
export abstract class NormLayer {
  /** float32 [parameters]; undefined where the layer has none. */
  readonly gamma?: BackendArray;
  readonly beta?: BackendArray;
  /** Gradients of the last `backward`, to be read before the next one. */
  dGamma?: Float32Array;
  dBeta?: Float32Array;
  protected training = true;
  private saved?: Saved<PlainArray>;

  protected constructor(
    protected readonly ek: Evenkeel,
    readonly norm: Norm,
    private readonly shape: readonly number[],
    { scale = true, center = true }: AffineOptions,
  ) {
    if (scale) this.gamma = ek.array(shape, new Float32Array(sizeOf(shape)).fill(1));
    if (center) this.beta = ek.array(shape, new Float32Array(sizeOf(shape)));
  }

  train(): this {
    this.training = true;
    return this;
  }

  eval(): this {
    this.training = false;
    return this;
  }

  /** y, of x's shape, where x lives. x is kept (not copied) for `backward`. */
  forward<T extends PlainArray>(x: T): T;
  /** x + residual and its y, in one pass: `{ y, sum } = norm.forward(branch, stream)` in a transformer's block. */
  forward<T extends PlainArray>(x: T, residual: PlainArray): AddedAndNormalized<T>;
  forward<T extends PlainArray>(x: T, residual?: PlainArray): T | AddedAndNormalized<T> {
    this.forget();
    const { parameterShape } = this.norm.plan(x.shape);
    if (!sameShape(parameterShape, this.shape)) {
      throw new RangeError(
        `${this.norm.name}: this layer was made for [${this.shape.join(", ")}], got x of shape [${x.shape.join(", ")}], ` +
          `which has [${parameterShape.join(", ")}] there`,
      );
    }
    const { y, sum, saved } = this.run(x, residual);
    this.saved = saved;
    return sum ? { y, sum } : y;
  }

  /**
   * dx for the last `forward`, which is the residual's gradient too; gamma's and beta's gradients are left in `dGamma`
   * and `dBeta`. `dSum`, of the shape of x, is the gradient that comes back along the residual path; it is added to dx.
   */
  backward<T extends PlainArray>(dy: T, dSum?: PlainArray): T {
    if (!this.saved) throw new Error(`${this.norm.name}: backward needs a forward call before it`);
    const { dx, dGamma, dBeta } = this.ek.backward(this.saved as Saved<T>, dy, dSum);
    this.dGamma = dGamma && taken(dGamma);
    this.dBeta = dBeta && taken(dBeta);
    return dx;
  }

  /** Copies of the parameters, and of what else the layer keeps. */
  stateDict(): StateDict {
    return Object.fromEntries(
      Object.entries(this.state()).map(([name, values]) => [name, Float32Array.from(values)]),
    );
  }

  /** @throws RangeError where a name is missing or unknown, or a length differs; then nothing is changed. */
  loadStateDict(state: StateDict): void {
    const own = this.state();
    const unknown = Object.keys(state).filter((name) => !(name in own));
    const missing = Object.keys(own).filter((name) => !(name in state));
    if (unknown.length > 0 || missing.length > 0) {
      throw new RangeError(
        `${this.norm.name}: loadStateDict expected ${Object.keys(own).join(", ") || "no entries"}; ` +
          `missing: ${missing.join(", ") || "none"}; unknown: ${unknown.join(", ") || "none"}`,
      );
    }
    for (const [name, values] of Object.entries(own)) {
      if (state[name].length === values.length) continue;
      throw new RangeError(
        `${this.norm.name}: loadStateDict expected ${values.length} values for ${name}, got ${state[name].length}`,
      );
    }
    for (const [name, values] of Object.entries(own)) values.set(state[name]);
  }

  /** Releases the layer's arrays. */
  dispose(): void {
    this.forget();
    this.gamma?.dispose();
    this.beta?.dispose();
  }

  protected run<T extends PlainArray>(x: T, residual?: PlainArray): ForwardResult<T> {
    return this.ek.forward(this.norm, x, { gamma: this.gamma, beta: this.beta, residual });
  }

  /** The values themselves, by their names in a state dict. */
  protected state(): Record<string, Values> {
    const state: Record<string, Values> = {};
    if (this.gamma) state.gamma = this.gamma.data;
    if (this.beta) state.beta = this.beta.data;
    return state;
  }

  /** Measured statistics belong to the layer; given ones, x and the sum do not. */
  private forget(): void {
    const { saved } = this;
    this.saved = undefined;
    if (!saved || saved.given) return;
    for (const statistic of [saved.mean, saved.variance]) {
      if (statistic instanceof BackendArray) statistic.dispose();
    }
  }
}

/** A gradient as plain values; an array of the backend is released. */
function taken(array: PlainArray): Float32Array {
  const values = Float32Array.from(array.data);
  if (array instanceof BackendArray) array.dispose();
  return values;
}

export interface FeatureLayerOptions extends AffineOptions {
  /** Default 1e-5. */
  epsilon?: number;
}

/** Layer normalization over the trailing axes, whose lengths are `shape`. */
export class LayerNorm extends NormLayer {
  constructor(
    ek: Evenkeel,
    shape: number | readonly number[],
    { epsilon, ...affine }: FeatureLayerOptions = {},
  ) {
    const lengths = featureShape("LayerNorm", shape);
    super(ek, layerNorm({ axis: trailing(lengths), epsilon }), lengths, affine);
  }
}

/** RMS normalization over the trailing axes, whose lengths are `shape`; no beta unless `center` is set. */
export class RMSNorm extends NormLayer {
  constructor(
    ek: Evenkeel,
    shape: number | readonly number[],
    { epsilon, center = false, scale }: FeatureLayerOptions = {},
  ) {
    const lengths = featureShape("RMSNorm", shape);
    super(ek, rmsNorm({ axis: trailing(lengths), epsilon }), lengths, { scale, center });
  }
}

/** Group normalization. */
export class GroupNorm extends NormLayer {
  constructor(
    ek: Evenkeel,
    groups: number,
    channels: number,
    options: Omit<GroupNormOptions, "groups"> & AffineOptions = {},
  ) {
    const { axis, epsilon, ...affine } = options;
    super(ek, groupNorm({ groups, axis, epsilon }), featureShape("GroupNorm", channels), affine);
  }
}

/** Instance normalization; without gamma and beta unless they are asked for, as in PyTorch. */
export class InstanceNorm extends NormLayer {
  constructor(ek: Evenkeel, channels: number, options: ChannelOptions & AffineOptions = {}) {
    const { axis, epsilon, scale = false, center = false } = options;
    super(ek, instanceNorm({ axis, epsilon }), featureShape("InstanceNorm", channels), { scale, center });
  }
}

export interface BatchNormOptions extends ChannelOptions, AffineOptions {
  /** Weight of the old running value. Default 0.9 (ONNX, MXNet; PyTorch's momentum 0.1 is the same). */
  momentum?: number;
  /** What the running variance is made of: the biased variance (default), or count/(count − 1) times it, as in PyTorch. */
  runningVariance?: "biased" | "unbiased";
}

/** Batch normalization: the batch's statistics in training, running ones in evaluation. */
export class BatchNorm extends NormLayer {
  /** float32 [channels]. */
  readonly runningMean: Float32Array;
  readonly runningVariance: Float32Array;
  private readonly momentum: number;
  private readonly unbiased: boolean;

  constructor(ek: Evenkeel, channels: number, options: BatchNormOptions = {}) {
    const { axis, epsilon, momentum = 0.9, runningVariance = "biased", ...affine } = options;
    if (!(momentum >= 0 && momentum <= 1)) {
      throw new RangeError(
        `BatchNorm: momentum must be from 0 to 1 (the weight of the old value), got ${momentum}`,
      );
    }
    if (runningVariance !== "biased" && runningVariance !== "unbiased") {
      throw new RangeError(
        `BatchNorm: runningVariance must be "biased" or "unbiased", got "${runningVariance}"`,
      );
    }
    super(ek, batchNorm({ axis, epsilon }), featureShape("BatchNorm", channels), affine);
    this.momentum = momentum;
    this.unbiased = runningVariance === "unbiased";
    this.runningMean = new Float32Array(channels);
    this.runningVariance = new Float32Array(channels).fill(1);
  }

  /** @throws RangeError, and leaves the running statistics as they were, where a batch is not finite or has one value per channel. */
  protected override run<T extends PlainArray>(x: T, residual?: PlainArray): ForwardResult<T> {
    const { gamma, beta } = this;
    if (!this.training) {
      return this.ek.forward(this.norm, x, {
        gamma,
        beta,
        mean: this.runningMean,
        variance: this.runningVariance,
        residual,
      });
    }
    const plan = this.norm.plan(x.shape);
    checkCount(
      "BatchNorm",
      plan,
      "train on larger batches, call eval(), or use layer or group normalization",
    );
    const result = super.run(x, residual);
    const count = reducedSize(plan.statistics);
    const correction = this.unbiased ? count / (count - 1) : 1;
    const { mean, variance } = result as { mean: T; variance: T };
    const { runningMean, runningVariance } = this;
    const bad = updateRunning(
      runningMean,
      runningVariance,
      mean.data,
      variance.data,
      this.momentum,
      correction,
    );
    if (bad >= 0) {
      for (const array of [result.y, result.sum, mean, variance]) {
        if (array instanceof BackendArray) array.dispose();
      }
      throw new RangeError(
        `BatchNorm: x has a value that is not finite, or too large to square, in channel ${bad}; the running statistics ` +
          "were left as they were; look for a learning rate that is too high or a bad example in this batch",
      );
    }
    return result;
  }

  protected override state(): Record<string, Values> {
    const { runningMean, runningVariance } = this;
    return { ...super.state(), runningMean, runningVariance };
  }
}

function featureShape(layer: string, shape: number | readonly number[]): readonly number[] {
  const lengths = typeof shape === "number" ? [shape] : shape;
  if (lengths.length === 0 || lengths.some((length) => !Number.isInteger(length) || length < 1)) {
    throw new RangeError(`${layer}: expected whole lengths of at least 1, got [${lengths.join(", ")}]`);
  }
  return lengths;
}

/** The last axes, as many as there are lengths, counted from the end. */
function trailing(lengths: readonly number[]): number[] {
  return lengths.map((_, axis) => axis - lengths.length);
}
