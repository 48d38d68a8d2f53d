/** Norms whose parameters are per channel: which axis the channels are on, plans that keep it, and what a batch says about each. */
import { resolveAxis, sizeOf } from "../shape.js";
import { reducedSize } from "../view.js";
import { checkShape } from "./checks.js";
import type { Operand, Ops } from "./ops.js";
import { keepingLast, type Norm, planOf } from "./plan.js";
import { axesBut } from "./terms.js";

export interface ChannelOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Default 1e-5 (PyTorch, ONNX, MXNet; Keras has 1e-3). */
  epsilon?: number;
}

/** Channels are kept, everything else is reduced. They may be on several axes. */
export function channelPlan(norm: string, axis: number | readonly number[]): Norm["plan"] {
  return keepingLast((shape) => {
    checkShape(norm, shape, 2, "batch and channels");
    const channels = channelAxes(norm, shape.length, axis);
    return planOf(shape, shape, channels, channels);
  });
}

/** The axes of the channels, from 0, in rising order. */
export function channelAxes(norm: string, rank: number, axis: number | readonly number[]): number[] {
  const axes = [axis].flat().map((one) => resolveAxis(norm, one, rank));
  if (axes.length > 0 && new Set(axes).size === axes.length) return axes.sort((a, b) => a - b);
  throw new RangeError(
    `${norm}: axis must name one axis at least, and each once, got [${[axis].flat().join(", ")}]`,
  );
}

/** How many values stand behind each channel's statistics: a number, or under a mask as many as it tells apart, [1] or [channels]. */
export function counted<T>(
  ops: Ops<T>,
  norm: Norm,
  whole: readonly number[],
  mask: T | undefined,
  axis: number | readonly number[],
): Operand<T> {
  const count = reducedSize(norm.plan(whole).statistics);
  if (mask === undefined) return count;
  const shape = ops.shape(mask);
  const channels = channelAxes(norm.name, whole.length, axis);
  const ones = ops.where(mask, ops.constant(new Float32Array(sizeOf(shape)).fill(1), shape), 0);
  const unmasked = ops.sum(ones, axesBut(shape.length, ...channels));
  const told = channels.map((one) => shape[one] ?? 1);
  return ops.mul(ops.reshape(unmasked, told), (count * sizeOf(told)) / sizeOf(shape));
}

/** Whether a training batch has one value per statistic, from which nothing can be learned about a spread. */
export function single(
  name: string,
  norm: Norm,
  shape: readonly number[],
  warn: ((message: string) => void) | undefined,
): boolean {
  const size = reducedSize(norm.plan(shape).statistics);
  if (size > 1) return false;
  if (size === 0) {
    throw new RangeError(
      `${name}: x is empty (shape [${shape.join(", ")}]), and training has nothing to measure; leave empty batches out`,
    );
  }
  warn?.(
    `${name}: a training batch of shape [${shape.join(", ")}] has one value per channel, so that y is beta, and the running ` +
      "statistics were left as they were; train on larger batches, or use layer or group normalization",
  );
  return true;
}

/** The axis of the channels, which cannot be that of the batch. */
export function channelOf(
  norm: string,
  shape: readonly number[],
  axis: number,
  leastRank = 2,
  axes = "batch and channels",
): number {
  checkShape(norm, shape, leastRank, axes);
  const channel = resolveAxis(norm, axis, shape.length);
  if (channel !== 0) return channel;
  throw new RangeError(
    `${norm}: axis must name the channels, got ${axis}, which is the batch axis; use 1 or -1`,
  );
}

/** A plan whose gamma and beta are per example and channel, [batch, channels]. */
export function examplePlan(
  norm: string,
  axis: number,
  statistics: (shape: readonly number[], channel: number) => readonly number[],
): Norm["plan"] {
  return keepingLast((shape) => {
    const channel = channelOf(norm, shape, axis);
    return planOf(shape, shape, statistics(shape, channel), [0, channel]);
  });
}

/** The axis of the channels, from 0. Throws RangeError where the array has too few axes, or it is the batch axis. */
export function channelAxis(
  norm: string,
  shape: readonly number[],
  axis: number,
  leastRank: 2 | 3 = 2,
): number {
  checkShape(
    norm,
    shape,
    leastRank,
    leastRank === 2 ? "batch and channels" : "batch, channels and at least one of positions",
  );
  const channel = resolveAxis(norm, axis, shape.length);
  if (channel > 0) return channel;
  throw new RangeError(
    `${norm}: axis must name the channels, got ${axis}, which is the batch axis; use 1 or -1`,
  );
}
