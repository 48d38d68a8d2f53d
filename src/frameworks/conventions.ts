/**
 * How frameworks normalize by default, as options of ours: `batchNorm(conventions.pytorch.batchNorm)` is torch.nn.BatchNorm2d. Plain
 * data, read from the frameworks' sources and held to their outputs (test/fixtures/goldens). A norm that a framework has not is not
 * in its entry.
 *
 * `momentum` is the weight of the old value, as in Keras, Flax, MXNet and ONNX; PyTorch's and fastai's is 1 minus it.
 */
import type { AffineOptions } from "../formula/fused-norm.js";
import type { BatchNormOptions } from "../norms/batch.js";
import type { BatchRenormOptions } from "../norms/batch-renorm.js";
import type { GhostBatchNormOptions } from "../norms/ghost-batch.js";
import type { GroupNormOptions } from "../norms/group.js";
import type { InstanceNormOptions } from "../norms/instance.js";
import type { LayerNormOptions } from "../norms/layer.js";
import type { RMSNormOptions } from "../norms/rms.js";
import type { UnitNormOptions } from "../norms/unit.js";

interface Convention {
  readonly batchNorm?: Readonly<BatchNormOptions>;
  readonly layerNorm?: Readonly<LayerNormOptions & AffineOptions>;
  readonly groupNorm?: Readonly<GroupNormOptions & AffineOptions>;
  readonly instanceNorm?: Readonly<InstanceNormOptions>;
  readonly rmsNorm?: Readonly<RMSNormOptions & AffineOptions>;
  readonly ghostBatchNorm?: Readonly<GhostBatchNormOptions>;
  readonly batchRenorm?: Readonly<BatchRenormOptions>;
  readonly unitNorm?: Readonly<UnitNormOptions>;
}

export const conventions = {
  /**
   * Layer and RMS normalization take the trailing axes that the shape given to them names: hand `axis` over where it is more than the
   * last. `groups` must be given. Instance normalization has no gamma and beta unless `affine`, and running statistics only with
   * `track_running_stats`. RMS normalization's epsilon is that of the type; here float32's, 2⁻²³.
   */
  pytorch: {
    batchNorm: { axis: 1, epsilon: 1e-5, momentum: 0.9, runningVariance: "unbiased" },
    layerNorm: { axis: -1, epsilon: 1e-5 },
    groupNorm: { axis: 1, epsilon: 1e-5 },
    instanceNorm: {
      axis: 1,
      epsilon: 1e-5,
      scale: false,
      center: false,
      trackRunningStatistics: false,
      momentum: 0.9,
      runningVariance: "unbiased",
    },
    rmsNorm: { axis: -1, epsilon: 2 ** -23 },
  },
  /**
   * tf.keras up to 2.15. Batch normalization of 4 axes (images) in float32 is "fused" there, whose running variance is unbiased:
   * `{ ...conventions.keras2.batchNorm, runningVariance: "unbiased" }`; elsewhere it is biased. `virtual_batch_size`, our
   * `ghostBatchNorm`, must be given; its running statistics move once for a batch, by the mean over its ghost batches. Renormalization
   * (`renorm=True`) has no limits unless `renorm_clipping` sets them. Instance normalization is a group for each channel.
   */
  keras2: {
    batchNorm: { axis: -1, epsilon: 1e-3, momentum: 0.99, runningVariance: "biased" },
    layerNorm: { axis: -1, epsilon: 1e-3 },
    groupNorm: { axis: -1, epsilon: 1e-3, groups: 32 },
    instanceNorm: { axis: -1, epsilon: 1e-3 },
    ghostBatchNorm: { axis: -1, epsilon: 1e-3, momentum: 0.99, runningVariance: "biased" },
    batchRenorm: {
      axis: -1,
      epsilon: 1e-3,
      momentum: 0.99,
      rMax: Number.POSITIVE_INFINITY,
      dMax: Number.POSITIVE_INFINITY,
    },
  },
  /**
   * The running variance is biased on every backend. Instance normalization is GroupNormalization with groups −1. The layers of
   * `evenkeel/tfjs` have these defaults.
   */
  keras3: {
    batchNorm: { axis: -1, epsilon: 1e-3, momentum: 0.99, runningVariance: "biased" },
    layerNorm: { axis: -1, epsilon: 1e-3 },
    groupNorm: { axis: -1, epsilon: 1e-3, groups: 32 },
    instanceNorm: { axis: -1, epsilon: 1e-3 },
    rmsNorm: { axis: -1, epsilon: 1e-6 },
    unitNorm: { axis: -1, epsilon: 1e-12, guard: "length" },
    batchRenorm: {
      axis: -1,
      epsilon: 1e-3,
      momentum: 0.99,
      rMax: Number.POSITIVE_INFINITY,
      dMax: Number.POSITIVE_INFINITY,
    },
  },
  /** TensorFlow.js's own layers. Batch normalization with `scale: false` crashes there in training (tfjs issue 2868). */
  tensorflowjs: {
    batchNorm: { axis: -1, epsilon: 1e-3, momentum: 0.99, runningVariance: "biased" },
    layerNorm: { axis: -1, epsilon: 1e-3 },
  },
  /**
   * Gluon's layers. Running statistics move in the backward pass there. Group normalization has a gamma and beta for each group: ours
   * are for each channel, so that a group's go to all of its channels. Instance normalization learns beta alone.
   */
  gluon: {
    batchNorm: { axis: 1, epsilon: 1e-5, momentum: 0.9, runningVariance: "biased" },
    layerNorm: { axis: -1, epsilon: 1e-5 },
    groupNorm: { axis: 1, epsilon: 1e-5, groups: 1, parameters: "group" },
    instanceNorm: { axis: 1, epsilon: 1e-5, scale: false },
  },
  /**
   * MXNet's operators themselves, whose defaults are not Gluon's. BatchNorm has `fix_gamma=True`: gamma is 1 whatever is stored for it,
   * and not learned, which here is no gamma; with fix_gamma=False add `scale: true`.
   */
  mxnet: {
    batchNorm: { axis: 1, epsilon: 1e-3, momentum: 0.9, runningVariance: "biased", scale: false },
    layerNorm: { axis: -1, epsilon: 1e-5 },
    groupNorm: { axis: 1, epsilon: 1e-5, groups: 1, parameters: "group" },
    instanceNorm: { axis: 1, epsilon: 1e-3 },
  },
  /** Linen and NNX. The variance is E[x²] − E[x]² there (`use_fast_variance`), which loses digits where the mean is large. */
  flax: {
    batchNorm: { axis: -1, epsilon: 1e-5, momentum: 0.99, runningVariance: "biased" },
    layerNorm: { axis: -1, epsilon: 1e-6 },
    groupNorm: { axis: -1, epsilon: 1e-6, groups: 32 },
    instanceNorm: { axis: -1, epsilon: 1e-6 },
    rmsNorm: { axis: -1, epsilon: 1e-6 },
  },
  /**
   * `num_groups` must be given; GroupNormalization's scale and bias are for each channel since opset 21, and for each group in 18.
   * LayerNormalization takes all axes from `axis` on.
   */
  onnx: {
    batchNorm: { axis: 1, epsilon: 1e-5, momentum: 0.9, runningVariance: "biased" },
    layerNorm: { axis: -1, epsilon: 1e-5 },
    groupNorm: { axis: 1, epsilon: 1e-5 },
    instanceNorm: { axis: 1, epsilon: 1e-5 },
    rmsNorm: { axis: -1, epsilon: 1e-5 },
  },
  /**
   * PyTorch's, but for where weights start: beta at 1e-3, and gamma at 0 in BatchZero and InstanceZero (the last normalization of a
   * residual branch). Options say nothing of that: fill `layer.beta` and `layer.gamma`, or load them. Instance normalization has both.
   */
  fastai: {
    batchNorm: { axis: 1, epsilon: 1e-5, momentum: 0.9, runningVariance: "unbiased" },
    instanceNorm: { axis: 1, epsilon: 1e-5 },
  },
} as const satisfies Readonly<Record<string, Convention>>;

export type Framework = keyof typeof conventions;

/**
 * Running variances in the other estimator: of batches of `count` values per channel (batch times positions), `to` unbiased
 * multiplies by count/(count − 1), `to` biased divides by it. Exact where all batches had that many.
 * @throws RangeError for a count below 2, of which there is no unbiased variance
 */
export function convertRunningVariance(
  variance: ArrayLike<number>,
  count: number,
  to: "biased" | "unbiased",
): Float32Array {
  if (!(count >= 2)) {
    throw new RangeError(
      `convertRunningVariance: count must be at least 2 (values per channel in a batch), got ${count}`,
    );
  }
  const factor = to === "unbiased" ? count / (count - 1) : (count - 1) / count;
  return Float32Array.from(variance, (value) => value * factor);
}
