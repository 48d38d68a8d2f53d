/** Norms of a layer's weight: which axes are its outputs, and the plan that keeps them. */
import { resolveAxis } from "../shape.js";
import { checkShape } from "./checks.js";
import { type FusedNorm, keepingLast, type Plan, planOf } from "./plan.js";

/** The axis, or axes, of a weight's outputs; null: none, the whole weight is one. */
export type WeightAxis = number | readonly number[] | null;

/** Options of normalizations of a layer's weight. */
export interface WeightAxisOptions {
  /** −1 (default) where outputs come last, as in Keras; 0 in PyTorch. */
  axis?: WeightAxis;
}

/** The axes of a weight's outputs, in rising order. */
export function outputAxes(norm: string, shape: readonly number[], axis: WeightAxis): number[] {
  checkShape(norm, shape, ["inputs or outputs"]);
  const named = axis === null ? [] : [axis].flat();
  const axes = named.map((one) => resolveAxis(norm, one, shape.length)).sort((a, b) => a - b);
  if (axes.some((one, i) => one === axes[i - 1])) {
    throw new RangeError(`${norm}: axis must name each axis once, got [${named.join(", ")}]`);
  }
  return axes;
}

/** Statistics and parameters per output. */
export function weightPlan(norm: string, axis: WeightAxis): FusedNorm["plan"] {
  return keepingLast((shape): Plan => {
    const outputs = outputAxes(norm, shape, axis);
    const plan = planOf(shape, shape, outputs, outputs);
    return outputs.length > 0 ? plan : { ...plan, statisticsShape: [1], parameterShape: [1] };
  });
}
