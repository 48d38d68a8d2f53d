/**
 * The frameworks' defaults as options of ours: `batchNorm(conventions.pytorch.batchNorm)` is torch.nn.BatchNorm2d. Plain data, read
 * from the frameworks' sources and tested against their outputs (test/fixtures/goldens). An entry omits the norms that its framework
 * lacks.
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
import { checkNumbers, described } from "../shape.js";

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

/** The same object; nobody changes what it holds, for every user of it in the program. */
function frozen<T extends object>(entries: T): T {
  for (const entry of Object.values(entries)) if (typeof entry === "object") frozen(entry);
  return Object.freeze(entries);
}

/** Options per framework and norm that reproduce the framework's defaults: `conventions.keras3.layerNorm`. Frozen. */
export const conventions = /* @__PURE__ */ frozen({
  /**
   * Layer and RMS normalization reduce the trailing axes of `normalized_shape`: set `axis` if there are several. `groups` has no
   * default. Instance normalization has gamma and beta only with `affine`, and running statistics only with `track_running_stats`.
   * RMS normalization's epsilon is that of the type; here float32's, 2⁻²³.
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
   * tf.keras up to 2.15. Batch normalization of 4 axes (images) in float32 is "fused" there, with an unbiased running variance:
   * `{ ...conventions.keras2.batchNorm, runningVariance: "unbiased" }`; otherwise it is biased. `virtual_batch_size`, our
   * `ghostBatchNorm`, has no default; its running statistics are updated once per batch, by the mean over its ghost batches.
   * Renormalization (`renorm=True`) has no limits unless `renorm_clipping` sets them. Instance normalization is one group per channel.
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
   * `evenkeel/tfjs` use these defaults.
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
   * Gluon's layers. They update running statistics in the backward pass. Group normalization has gamma and beta per group. Instance
   * normalization learns beta only.
   */
  gluon: {
    batchNorm: { axis: 1, epsilon: 1e-5, momentum: 0.9, runningVariance: "biased" },
    layerNorm: { axis: -1, epsilon: 1e-5 },
    groupNorm: { axis: 1, epsilon: 1e-5, groups: 1, parameters: "group" },
    instanceNorm: { axis: 1, epsilon: 1e-5, scale: false },
  },
  /**
   * MXNet's operators, whose defaults differ from Gluon's. BatchNorm has `fix_gamma=True`: gamma is 1 regardless of its stored value,
   * and not learned, here no gamma; for fix_gamma=False add `scale: true`.
   */
  mxnet: {
    batchNorm: { axis: 1, epsilon: 1e-3, momentum: 0.9, runningVariance: "biased", scale: false },
    layerNorm: { axis: -1, epsilon: 1e-5 },
    groupNorm: { axis: 1, epsilon: 1e-5, groups: 1, parameters: "group" },
    instanceNorm: { axis: 1, epsilon: 1e-3 },
  },
  /** Linen and NNX. They compute the variance as E[x²] − E[x]² (`use_fast_variance`), which is inaccurate for large means. */
  flax: {
    batchNorm: { axis: -1, epsilon: 1e-5, momentum: 0.99, runningVariance: "biased" },
    layerNorm: { axis: -1, epsilon: 1e-6 },
    groupNorm: { axis: -1, epsilon: 1e-6, groups: 32 },
    instanceNorm: { axis: -1, epsilon: 1e-6 },
    rmsNorm: { axis: -1, epsilon: 1e-6 },
  },
  /**
   * `num_groups` has no default; GroupNormalization's scale and bias are per channel since opset 21, and per group in 18.
   * LayerNormalization reduces all axes from `axis` on.
   */
  onnx: {
    batchNorm: { axis: 1, epsilon: 1e-5, momentum: 0.9, runningVariance: "biased" },
    layerNorm: { axis: -1, epsilon: 1e-5 },
    groupNorm: { axis: 1, epsilon: 1e-5 },
    instanceNorm: { axis: 1, epsilon: 1e-5 },
    rmsNorm: { axis: -1, epsilon: 1e-5 },
  },
  /**
   * As PyTorch, except for initial values: beta 1e-3, and gamma 0 in BatchZero and InstanceZero (the last normalization of a residual
   * branch). Options do not cover those: fill `layer.beta` and `layer.gamma`, or load them. Instance normalization has both.
   */
  fastai: {
    batchNorm: { axis: 1, epsilon: 1e-5, momentum: 0.9, runningVariance: "unbiased" },
    instanceNorm: { axis: 1, epsilon: 1e-5 },
  },
} as const satisfies Readonly<Record<string, Convention>>);

/** The frameworks of `conventions`. */
export type Framework = keyof typeof conventions;

/**
 * Converts running variances, float32 [channels], to the other estimator. With batches of `count` values per channel (batch times
 * positions), unbiased is count/(count − 1) times biased. Exact if all batches had that size.
 * @throws TypeError for what is not numbers; RangeError for a count that is not finite, or below 2, for which there is no unbiased
 * variance, and for another estimator
 */
export function convertRunningVariance(
  variance: ArrayLike<number>,
  count: number,
  to: "biased" | "unbiased",
): Float32Array {
  checkNumbers("convertRunningVariance", "variance", variance);
  if (!(Number.isFinite(count) && count >= 2)) {
    throw new (typeof count === "number" ? RangeError : TypeError)(
      `convertRunningVariance: count must be a finite number of at least 2 (values per channel in a batch), got ${described(count)}`,
    );
  }
  if (to !== "biased" && to !== "unbiased") {
    throw new RangeError(`convertRunningVariance: to must be "biased" or "unbiased", got ${described(to)}`);
  }
  const factor = to === "unbiased" ? count / (count - 1) : (count - 1) / count;
  const converted = new Float32Array(variance.length);
  for (let i = 0; i < converted.length; i++) converted[i] = variance[i] * factor;
  return converted;
}
