/** What normalizations with a condition share: gamma and beta of each example, made from a second input. */
import { resolveAxis } from "../view.js";
import { checkShape, keepingLast, type Norm, planOf } from "./norm.js";
import { trained, type Weight } from "./normalization.js";
import type { Ops } from "./ops.js";

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

/** How many features a condition [batch, features] has. */
export function conditionFeatures(norm: string, condition: readonly number[] | undefined): number {
  if (condition === undefined) {
    throw new TypeError(`${norm}: expected two inputs, x and a condition, got x alone; give [x, condition]`);
  }
  if (condition.length === 2 && condition[1] > 0) return condition[1];
  throw new RangeError(
    `${norm}: condition must have shape [batch, features], got [${condition.join(", ")}]; ` +
      "bring it to one row per example first, by a mean over positions or a reshape",
  );
}

export function checkBatch(norm: string, name: string, x: readonly number[], other: readonly number[]): void {
  if (x[0] === other[0]) return;
  throw new RangeError(
    `${norm}: ${name} must have as many examples as x, ${x[0]}, got ${other[0]} (shape [${other.join(", ")}]); repeat or slice it`,
  );
}

/** gamma(c) = gamma + c·gammaKernel, and beta(c) alike: at first 1 and 0, whatever the condition. */
export function modulationWeights(features: number, channels: number): Record<string, Weight> {
  return {
    gammaKernel: trained([features, channels], 0),
    betaKernel: trained([features, channels], 0),
    gamma: trained([channels], 1),
    beta: trained([channels], 0),
  };
}

/** gamma and beta, [batch, channels], from a condition [batch, features]. */
export function modulation<T>(
  ops: Ops<T>,
  condition: T,
  { gammaKernel, betaKernel, gamma, beta }: Readonly<Record<string, T>>,
): { gamma: T; beta: T } {
  return {
    gamma: ops.add(ops.matMul(condition, gammaKernel), gamma),
    beta: ops.add(ops.matMul(condition, betaKernel), beta),
  };
}
