/** What normalizations with a condition share: gamma and beta of each example, made from a second input. */
import { trained, type Weight } from "./normalization.js";
import type { Ops } from "./ops.js";

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
