/**
 * Batch normalization: statistics of each channel over the batch and all positions, parameters per channel.
 *
 *     training:     y = (x − mean) / √(variance + epsilon) · gamma + beta        variance biased
 *     evaluation:   the same with running statistics (running.ts) in place of the batch's, or with one of each (sources.ts)
 *
 * Ioffe & Szegedy 2015, arXiv 1502.03167. Axes: the channel axis is kept, every other one is reduced.
 */
import { reducedSize, resolveAxis, sizeOf } from "../view.js";
import {
  type AffineOptions,
  affineWeights,
  checkEpsilon,
  checkShape,
  keepingLast,
  type Norm,
  planOf,
} from "./norm.js";
import { type Normalization, normalization } from "./normalization.js";
import { affine, along, axesBut, type Operand, type Ops } from "./ops.js";
import { checkRunning, type RunningOptions, runningWeights, track } from "./running.js";
import { checkSources, type StatisticsSources, standardizedByBoth } from "./sources.js";

export interface ChannelOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Default 1e-5 (PyTorch, ONNX, MXNet; Keras has 1e-3). */
  epsilon?: number;
}

export interface BatchNormOptions extends ChannelOptions, AffineOptions, RunningOptions {
  /** Where `batchMean` and `batchVariance` come from in evaluation. Default: the running ones, the population's. */
  sources?: StatisticsSources;
}

/** @throws RangeError for options out of range; its `plan` throws for an axis that the array does not have. */
export const batchNorm = normalization(
  {
    name: "batchNorm",
    title: "Batch normalization",
    summary: "each channel over the batch and its positions; the usual one of convolutional networks",
    paper: "Ioffe & Szegedy 2015, arXiv 1502.03167",
    takes: "features",
  },
  ({ axis = -1, epsilon = 1e-5, sources = {}, ...options }: BatchNormOptions) => {
    checkEpsilon("batchNorm", epsilon);
    const { batchMean, batchVariance } = checkSources("batchNorm", sources);
    const mixed = batchMean !== batchVariance;
    const running = checkRunning("batchNorm", options);
    const norm: Norm = { name: "batchNorm", epsilon, centered: true, plan: channelPlan("batchNorm", axis) };
    return {
      ...norm,
      handles: { mask: !mixed, residual: !mixed },
      weights(shape: readonly number[]) {
        const { parameterShape } = norm.plan(shape);
        return { ...affineWeights(parameterShape, options), ...runningWeights(parameterShape, running) };
      },
      apply(ops, [x], { gamma, beta, ...state }, { training, mask, residual, warn }) {
        if (!training && mixed) {
          const shape = ops.shape(x);
          const channels = resolveAxis("batchNorm", axis, shape.length);
          const [mean, variance] = [state.runningMean, state.runningVariance].map((values) =>
            along(ops, values, shape.length, channels),
          );
          const measured = batchMean === "batch" ? "mean" : "variance";
          const axes = axesBut(shape.length, channels);
          const xHat = standardizedByBoth(ops, x, { mean, variance }, measured, axes, epsilon, mask);
          return { y: affine(ops, xHat, norm.plan(shape).parameters, gamma, beta) };
        }
        if (!training) {
          const population = batchMean === "population";
          const mean = population ? state.runningMean : undefined;
          const variance = population ? state.runningVariance : undefined;
          const { y, sum } = ops.normalize(norm, x, { gamma, beta, mean, variance, mask, residual });
          return { y, sum };
        }
        const { y, sum, mean, variance } = ops.normalize(norm, x, { gamma, beta, mask, residual });
        if (mean === undefined || variance === undefined)
          throw new Error("batchNorm: the host measured nothing");
        if (single("batchNorm", norm, ops.shape(x), warn)) return { y, sum };
        const count = counted(ops, norm, ops.shape(x), mask, axis);
        return { y, sum, state: track(ops, state, { mean, variance, count }, running) };
      },
    } satisfies Norm & Omit<Normalization, "name">;
  },
);

/** Channels are kept, everything else is reduced. */
export function channelPlan(norm: string, axis: number): Norm["plan"] {
  return keepingLast((shape) => {
    checkShape(norm, shape, 2, "batch and channels");
    const channels = [resolveAxis(norm, axis, shape.length)];
    return planOf(shape, shape, channels, channels);
  });
}

/** How many values stand behind each channel's statistics: a number, or [1] or [channels] under a mask. */
export function counted<T>(
  ops: Ops<T>,
  norm: Norm,
  whole: readonly number[],
  mask: T | undefined,
  axis: number,
): Operand<T> {
  const count = reducedSize(norm.plan(whole).statistics);
  if (mask === undefined) return count;
  const shape = ops.shape(mask);
  const channels = resolveAxis(norm.name, axis, whole.length);
  const ones = ops.where(mask, ops.constant(new Float32Array(sizeOf(shape)).fill(1), shape), 0);
  const unmasked = ops.sum(ones, axesBut(shape.length, channels));
  const told = shape[channels] ?? 1;
  return ops.mul(ops.reshape(unmasked, [told]), (count * told) / sizeOf(shape));
}

/** Whether a training batch has one value per statistic, from which nothing can be learned about a spread. */
export function single(
  name: string,
  norm: Norm,
  shape: readonly number[],
  warn: ((message: string) => void) | undefined,
): boolean {
  if (reducedSize(norm.plan(shape).statistics) > 1) return false;
  warn?.(
    `${name}: a training batch of shape [${shape.join(", ")}] has one value per channel, so that y is beta, and the running ` +
      "statistics were left as they were; train on larger batches, or use layer or group normalization",
  );
  return true;
}
