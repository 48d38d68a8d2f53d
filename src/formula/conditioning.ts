/** Shared by conditional normalizations: gamma and beta per example, computed from a second input. */
import { trained, type Weight } from "./normalization.js";
import type { Ops } from "./ops.js";

/**
 * The number of features of a condition [batch, features].
 * @throws TypeError without a condition; RangeError for one of another shape
 */
export function conditionFeatures(norm: string, condition: readonly number[] | undefined): number {
  if (condition === undefined) {
    throw new TypeError(`${norm}: expected two inputs, x and a condition, got x alone; give [x, condition]`);
  }
  if (condition.length === 2 && condition[1] > 0) return condition[1];
  throw new RangeError(
    `${norm}: condition must have shape [batch, features], got [${condition.join(", ")}]; ` +
      "reduce it to one row per example first, by a mean over positions or a reshape",
  );
}

/** @throws RangeError if the batch sizes differ. */
export function checkBatch(norm: string, name: string, x: readonly number[], other: readonly number[]): void {
  if (x[0] === other[0]) return;
  throw new RangeError(
    `${norm}: ${name} must have as many examples as x, ${x[0]}, got ${other[0]} (shape [${other.join(", ")}]); repeat or slice it`,
  );
}

/** Weights of gamma(c) = gamma + c·gammaKernel and beta(c) = beta + c·betaKernel, initially 1 and 0 for any condition. */
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
