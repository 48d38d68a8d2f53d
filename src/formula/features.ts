/** Norms over the features of each example: the plan that reduces the feature axes. */
import { resolveAxis } from "../shape.js";
import { checkShape } from "./checks.js";
import { type Plan, planOf } from "./plan.js";

/** The plan of a norm over the features of each example. */
export function planFeatures(norm: string, shape: readonly number[], axis: number | readonly number[]): Plan {
  checkShape(norm, shape, 1, "features");
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
