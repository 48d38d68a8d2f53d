/** Norms over the features of each example: the plan that reduces the feature axes. */
import { resolveAxes } from "../shape.js";
import { checkShape } from "./checks.js";
import { type Plan, planOf } from "./plan.js";

export interface FeatureOptions {
  /** The axis, or axes, of the features; negative ones count from the end. Default −1. */
  axis?: number | readonly number[];
  /** Default 1e-5 (PyTorch, ONNX; Keras has 1e-3). */
  epsilon?: number;
}

/**
 * The plan of a norm over the features of each example: statistics per example, parameters per feature.
 * @throws RangeError for an x without such axes, TypeError for an axis that is neither a number nor a list of numbers
 */
export function planFeatures(norm: string, shape: readonly number[], axis: number | readonly number[]): Plan {
  checkShape(norm, shape, ["features"]);
  const features = resolveAxes(norm, axis, shape.length);
  if (features.length === 0) {
    throw new RangeError(`${norm}: axis must name at least one axis, got []; the last axis is -1`);
  }
  const examples: number[] = [];
  for (let one = 0; one < shape.length; one++) if (!features.includes(one)) examples.push(one);
  return planOf(shape, shape, examples, features);
}
