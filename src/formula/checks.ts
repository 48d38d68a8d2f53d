/** Checks that norm files share: each throws an error naming the norm, what was expected, what came, and the remedy. */
import { checkHasShape, checkLengths, described, fitsShape } from "../shape.js";
import type { ElementaryOps, NormalizeOperands } from "./ops.js";
import type { FusedNorm, Plan } from "./plan.js";

/**
 * Whether statistics are given: mean and variance together, or variance alone where nothing is centred.
 * @throws TypeError for any other choice of them
 */
export function statisticsGiven(norm: FusedNorm, mean: unknown, variance: unknown): boolean {
  if (!norm.centered && mean !== undefined) {
    throw new TypeError(`${norm.name}: mean must be left out, this normalization takes none`);
  }
  if (norm.centered && (mean === undefined) !== (variance === undefined)) {
    throw new TypeError(`${norm.name}: mean and variance must be given together, or neither of them`);
  }
  return variance !== undefined;
}

/** @throws RangeError for a parameter or statistic whose shape is not the plan's, or one that fits it */
export function checkOperands<T>(
  ops: ElementaryOps<T>,
  norm: FusedNorm,
  plan: Plan,
  operands: NormalizeOperands<T>,
): void {
  for (const name of ["gamma", "beta", "mean", "variance"] as const) {
    const expected = name === "gamma" || name === "beta" ? plan.parameterShape : plan.statisticsShape;
    const values = operands[name];
    if (values === undefined || fitsShape(ops.shape(values), expected)) continue;
    throw new RangeError(
      `${norm.name}: ${name} must have shape [${expected.join(", ")}], got [${ops.shape(values).join(", ")}]`,
    );
  }
}

/** @throws TypeError for what is no shape; RangeError for fewer axes than these, or lengths that no array has. */
export function checkShape(norm: string, shape: readonly number[], axes: readonly string[]): void {
  checkHasShape(norm, "x", shape);
  checkLengths(norm, "x", shape);
  if (shape.length < axes.length) {
    const names = [axes.slice(0, -1).join(", "), axes[axes.length - 1]].filter((part) => part !== "");
    throw new RangeError(
      `${norm}: x must have at least ${axes.length} axes (${names.join(" and ")}), got shape [${shape.join(", ")}]`,
    );
  }
}

/** @throws TypeError for an epsilon that is no number, RangeError for one that is negative, infinite or NaN. */
export function checkEpsilon(norm: string, epsilon: number): void {
  if (typeof epsilon !== "number") {
    throw new TypeError(`${norm}: epsilon must be a number, got ${described(epsilon)}`);
  }
  if (!(epsilon >= 0) || !Number.isFinite(epsilon)) {
    throw new RangeError(`${norm}: epsilon must be a finite number of at least 0, got ${epsilon}`);
  }
}

/** @throws RangeError for NaN and infinities. */
export function checkFinite(norm: string, name: string, value: number): void {
  if (Number.isFinite(value)) return;
  throw new RangeError(`${norm}: ${name} must be a finite number, got ${value}`);
}

/** @throws RangeError for statistics of single values: their variance is 0, and y would be beta whatever x is. */
export function checkCount(norm: string, plan: Plan, remedy: string): void {
  if (plan.statistics.r1 * plan.statistics.r2 !== 1) return;
  throw new RangeError(
    `${norm}: shape [${plan.shape.join(", ")}] has one value per statistic, whose variance is 0, so that y would be beta ` +
      `whatever x is; ${remedy}`,
  );
}
