/** Norms over the features of each example: the plan that reduces the feature axes. */
import { resolveAxis } from "../shape.js";
import { checkShape } from "./checks.js";
import { type Plan, planOf } from "./plan.js";

export interface FeatureOptions {
  /** The axis, or axes, of the features; negative ones count from the end. Default −1. */
  axis?: number | readonly number[];
  /** Default 1e-5 (PyTorch, ONNX; Keras has 1e-3). */
  epsilon?: number;
}

/** The plan of a norm over the features of each example. */
export function planFeatures(norm: string, shape: readonly number[], axis: number | readonly number[]): Plan {
  checkShape(norm, shape, ["features"]);
  const named = typeof axis === "number" ? [axis] : axis;
  if (named.length === 0) {
    throw new RangeError(`${norm}: axis must name at least one axis, got []; the last axis is -1`);
  }
  const features = named.map((one) => resolveAxis(norm, one, shape.length)).sort((a, b) => a - b);
  if (features.some((one, i) => one === features[i - 1])) {
    throw new RangeError(`${norm}: axis must name each axis once, got [${named.join(", ")}]`);
  }
  const examples: number[] = [];
  for (let one = 0; one < shape.length; one++) if (!features.includes(one)) examples.push(one);
  return planOf(shape, shape, examples, features);
}
