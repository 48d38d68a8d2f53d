/**
 * Batch normalization: statistics of each channel over the batch and all positions, parameters per channel.
 *
 *     training:     y = (x − mean) / √(variance + epsilon) · gamma + beta        variance biased
 *     evaluation:   the same with running statistics (formula/running.ts) instead of the batch's, or with one of each
 *                   (formula/evaluation-sources.ts)
 *
 * Ioffe & Szegedy 2015, arXiv 1502.03167. Axes: the channel axis is kept, every other one is reduced.
 */
import {
  type ChannelOptions,
  channelAxes,
  channelPlan,
  hasSingleValue,
  valuesPerChannel,
} from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import {
  checkSources,
  type StatisticsSources,
  standardizedByMixedStatistics,
} from "../formula/evaluation-sources.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { standardizing } from "../formula/merging.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import type { FusedNorm } from "../formula/plan.js";
import {
  checkRunning,
  type RunningOptions,
  runningDefaults,
  runningWeights,
  track,
} from "../formula/running.js";
import { affine, axesExcept } from "../formula/terms.js";
import type { Settled } from "../options.js";

/** Options of `batchNorm`. */
export interface BatchNormOptions extends Omit<ChannelOptions, "axis">, AffineOptions, RunningOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first; or several axes together. */
  axis?: number | readonly number[];
  /** Where `batchMean` and `batchVariance` come from in evaluation. Default: the running statistics (`population`). */
  sources?: StatisticsSources;
}

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma and beta [channels], running statistics (state).
 * @throws RangeError for options out of range; when called, for an axis that x does not have
 */
export const batchNorm = normalization(
  {
    name: "batchNorm",
    title: "Batch normalization",
    summary: "standardizes each channel over the batch and its positions; standard in convolutional networks",
    paper: "Ioffe & Szegedy 2015, arXiv 1502.03167",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-5, sources: {}, ...affineDefaults, ...runningDefaults },
  ({ axis, epsilon, sources, ...options }: Settled<BatchNormOptions>) => {
    checkEpsilon("batchNorm", epsilon);
    const { batchMean, batchVariance } = checkSources("batchNorm", sources);
    const mixed = batchMean !== batchVariance;
    const running = checkRunning("batchNorm", options);
    const norm: FusedNorm = {
      name: "batchNorm",
      epsilon,
      centered: true,
      plan: channelPlan("batchNorm", axis),
    };
    return {
      ...norm,
      handles: { mask: !mixed, residual: !mixed, merge: true },
      weights(shape: readonly number[]) {
        const { parameterShape } = norm.plan(shape);
        return { ...affineWeights(parameterShape, options), ...runningWeights(parameterShape, running) };
      },
      apply(ops, [x], { gamma, beta, ...state }, { training, mask, residual, warn, merge }) {
        if (!training && mixed) {
          const shape = ops.shape(x);
          const channels = channelAxes("batchNorm", shape.length, axis);
          const broadcastShape = shape.map((length, one) => (channels.includes(one) ? length : 1));
          const [mean, variance] = [state.runningMean, state.runningVariance].map((values) =>
            ops.reshape(values, broadcastShape),
          );
          const measured = batchMean === "batch" ? "mean" : "variance";
          const axes = axesExcept(shape.length, ...channels);
          const { xHat } = standardizedByMixedStatistics(
            ops,
            x,
            { mean, variance },
            measured,
            axes,
            epsilon,
            mask,
            merge,
          );
          return { y: affine(ops, xHat, norm.plan(shape).parameters, gamma, beta) };
        }
        if (!training) {
          const population = batchMean === "population";
          const mean = population ? state.runningMean : undefined;
          const variance = population ? state.runningVariance : undefined;
          const standardize = standardizing(merge);
          const given = { gamma, beta, mean, variance, mask, residual, standardize };
          const { y, sum } = ops.normalize(norm, x, given);
          return { y, sum };
        }
        const call = { gamma, beta, mask, residual, standardize: standardizing(merge) };
        const { y, sum, mean, variance, count: merged } = ops.normalize(norm, x, call);
        if (mean === undefined || variance === undefined)
          throw new Error("batchNorm: the host measured nothing");
        if (!merged && hasSingleValue("batchNorm", norm, ops.shape(x), warn)) return { y, sum };
        const count = merged ?? valuesPerChannel(ops, norm, ops.shape(x), mask, axis);
        return { y, sum, state: track(ops, state, { mean, variance, count }, running) };
      },
    } satisfies FusedNorm & Omit<Normalization, "name">;
  },
);
