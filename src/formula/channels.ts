/** Norms with a parameter per channel: the axis of the channels, plans that keep it, and how many values a batch has of each. */
import { resolveAxis, sizeOf } from "../shape.js";
import { reducedSize } from "../view.js";
import { checkShape } from "./checks.js";
import type { Operand, Ops } from "./ops.js";
import { type FusedNorm, memoizeLast, planOf } from "./plan.js";
import { axesExcept } from "./terms.js";

/** Options of normalizations with statistics or parameters per channel. */
export interface ChannelOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Default 1e-5 (PyTorch, ONNX, MXNet; Keras has 1e-3). */
  epsilon?: number;
}

const CHANNELS = ["batch", "channels"];

/** The plan that keeps the channels, which may be on several axes, and reduces every other axis: statistics and parameters per channel. */
export function channelPlan(norm: string, axis: number | readonly number[]): FusedNorm["plan"] {
  return memoizeLast((shape) => {
    checkShape(norm, shape, CHANNELS);
    const channels = channelAxes(norm, shape.length, axis);
    return planOf(shape, shape, channels, channels);
  });
}

/** The axes of the channels, from 0, in rising order. @throws where the array has no such axes, or none are named */
export function channelAxes(norm: string, rank: number, axis: number | readonly number[]): number[] {
  const axes = [axis].flat().map((one) => resolveAxis(norm, one, rank));
  if (axes.length > 0 && new Set(axes).size === axes.length) return axes.sort((a, b) => a - b);
  throw new RangeError(
    `${norm}: axis must name one axis at least, and each once, got [${[axis].flat().join(", ")}]`,
  );
}

/**
 * How many values each channel's statistics are computed from: a number, or under a mask an array of the channels' shape, with 1 for
 * those of their axes along which the mask is constant.
 */
export function valuesPerChannel<T>(
  ops: Ops<T>,
  norm: FusedNorm,
  whole: readonly number[],
  mask: T | undefined,
  axis: number | readonly number[],
): Operand<T> {
  const count = reducedSize(norm.plan(whole).statistics);
  if (mask === undefined) return count;
  const shape = ops.shape(mask);
  const channels = channelAxes(norm.name, whole.length, axis);
  const ones = ops.where(mask, ops.constant(new Float32Array(sizeOf(shape)).fill(1), shape), 0);
  const unmasked = ops.sum(ones, axesExcept(shape.length, ...channels));
  const distinct = channels.map((one) => shape[one] ?? 1);
  return ops.mul(ops.reshape(unmasked, distinct), (count * sizeOf(distinct)) / sizeOf(shape));
}

/** Whether a training batch has one value per statistic, which has no variance to learn from; `warn` is then called. */
export function hasSingleValue(
  name: string,
  norm: FusedNorm,
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

/** The axes that an array must have for statistics over positions, as `checkShape` names them. */
export const WITH_POSITIONS = ["batch", "channels", "at least one of positions"];

/**
 * The axis of the channels, from 0.
 * @throws RangeError for fewer axes than `axes` names, and for the batch axis
 */
export function channelAxis(
  norm: string,
  shape: readonly number[],
  axis: number,
  axes: readonly string[] = CHANNELS,
): number {
  checkShape(norm, shape, axes);
  const channel = resolveAxis(norm, axis, shape.length);
  if (channel !== 0) return channel;
  throw new RangeError(
    `${norm}: axis must name the channels or features, got ${axis}, which is the batch axis; use 1 or -1`,
  );
}

/** A plan whose gamma and beta are per example and channel, [batch, channels]. */
export function examplePlan(
  norm: string,
  axis: number,
  statistics: (shape: readonly number[], channel: number) => readonly number[],
): FusedNorm["plan"] {
  return memoizeLast((shape) => {
    const channel = channelAxis(norm, shape, axis);
    return planOf(shape, shape, statistics(shape, channel), [0, channel]);
  });
}
