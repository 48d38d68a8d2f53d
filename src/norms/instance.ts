/**
 * Instance normalization: statistics of each channel of each example over its positions, parameters per channel.
 *
 *     y = (x − mean) / √(variance + epsilon) · gamma + beta        variance biased
 *
 * Ulyanov, Vedaldi & Lempitsky 2016, arXiv 1607.08022. Axes: batch and channel are kept, positions are reduced.
 *
 * With running statistics (PyTorch's `track_running_stats`) evaluation uses those: averages over training batches of the examples'
 * average mean and unbiased variance. Training is the same with or without.
 */
import { type ChannelOptions, channelAxis, channelPlan, WITH_POSITIONS } from "../formula/channels.js";
import { checkCount, checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import type { Operand, Ops } from "../formula/ops.js";
import { type FusedNorm, memoizeLast, planOf } from "../formula/plan.js";
import {
  checkRunning,
  type RunningOptions,
  runningDefaults,
  runningWeights,
  track,
  unbiasedOf,
} from "../formula/running.js";
import { axesExcept, broadcastMask } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis } from "../shape.js";

/** Options of `instanceNorm`. */
export interface InstanceNormOptions
  extends ChannelOptions,
    AffineOptions,
    Pick<RunningOptions, "momentum" | "runningVariance"> {
  /** Whether to track running statistics and use them in evaluation. Default false. */
  trackRunningStatistics?: boolean;
  /** How batches are averaged. Default `exponential`. */
  average?: "exponential" | "cumulative";
}

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma and beta [channels]; running statistics (state) if tracked.
 * @throws RangeError for options out of range; when called, for an x without positions, or with a single one
 */
export const instanceNorm = normalization(
  {
    name: "instanceNorm",
    title: "Instance normalization",
    summary:
      "standardizes each channel of each example over its positions; removes contrast and style from images",
    paper: "Ulyanov, Vedaldi & Lempitsky 2016, arXiv 1607.08022",
    takes: "positions",
  },
  {
    axis: -1,
    epsilon: 1e-5,
    trackRunningStatistics: false,
    momentum: runningDefaults.momentum,
    runningVariance: "unbiased",
    average: "exponential",
    ...affineDefaults,
  },
  ({
    axis,
    epsilon,
    trackRunningStatistics,
    momentum,
    runningVariance,
    average,
    ...options
  }: Settled<InstanceNormOptions>) => {
    checkEpsilon("instanceNorm", epsilon);
    if ((average as string) === "epoch") {
      throw new RangeError(
        'instanceNorm: average must be "exponential" or "cumulative", got "epoch"; batchNorm supports exact statistics of an epoch',
      );
    }
    const running = checkRunning("instanceNorm", { ...runningDefaults, momentum, runningVariance, average });
    // variances are corrected per example, before they are averaged
    const averaging = { ...running, runningVariance: "biased" } as const;
    const core = { name: "instanceNorm", epsilon, centered: true };
    const norm: FusedNorm = { ...core, plan: memoizeLast((shape) => planInstances(shape, axis)) };
    const evaluating: FusedNorm = { ...core, plan: channelPlan("instanceNorm", axis) };
    return {
      ...norm,
      handles: { mask: true, residual: true },
      weights(shape: readonly number[]) {
        const { parameterShape } = norm.plan(shape);
        return {
          ...affineWeights(parameterShape, options),
          ...(trackRunningStatistics && runningWeights(parameterShape, averaging)),
        };
      },
      apply(ops, [x], { gamma, beta, ...state }, { training, mask, residual }) {
        if (trackRunningStatistics && !training) {
          const { runningMean: mean, runningVariance: variance } = state;
          const { y, sum } = ops.normalize(evaluating, x, { gamma, beta, mean, variance, mask, residual });
          return { y, sum };
        }
        const { y, sum, mean, variance } = ops.normalize(norm, x, { gamma, beta, mask, residual });
        if (!trackRunningStatistics || mean === undefined || variance === undefined) return { y, sum };
        const measured = overExamples(ops, x, axis, { mean, variance, mask }, running.runningVariance);
        return { y, sum, state: track(ops, state, measured, averaging) };
      },
    } satisfies FusedNorm & Omit<Normalization, "name">;
  },
);

function planInstances(shape: readonly number[], axis: number) {
  const channel = channelAxis("instanceNorm", shape, axis, WITH_POSITIONS);
  const plan = planOf(shape, shape, [0, channel], [channel]);
  checkCount("instanceNorm", plan, "use layer or group normalization for a single position");
  return plan;
}

/** Averages over the examples with at least two unmasked positions; `count` is twice their number. */
function overExamples<T>(
  ops: Ops<T>,
  x: T,
  axis: number,
  { mean, variance, mask }: { mean: T; variance: T; mask?: T },
  estimator: Required<RunningOptions>["runningVariance"],
) {
  const shape = ops.shape(x);
  const [examples, channel] = [shape[0], resolveAxis("instanceNorm", axis, shape.length)];
  const channels = shape[channel];
  const each = (values: T) => ops.reshape(values, [examples, channels]);
  const positions: Operand<T> =
    mask === undefined
      ? shape.reduce((a, b) => a * b, 1) / (examples * channels)
      : each(ops.sum(broadcastMask(ops, mask, shape), axesExcept(shape.length, 0, channel)));
  const variances = estimator === "unbiased" ? unbiasedOf(ops, each(variance), positions) : each(variance);
  if (typeof positions === "number") {
    const average = (values: T) => ops.div(ops.sum(values, [0]), examples);
    return { mean: average(each(mean)), variance: average(variances), count: positions * examples };
  }
  const enough = ops.greater(positions, 1.5);
  const number = ops.sum(enough, [0]);
  const average = (values: T) => ops.div(ops.sum(ops.where(enough, values, 0), [0]), ops.max(number, 1));
  return {
    mean: average(each(mean)),
    variance: average(variances),
    count: ops.reshape(ops.mul(number, 2), [channels]),
  };
}
