/** Norms of a layer's weight: which axes are its outputs, and the plan that keeps them. */
import { resolveAxes } from "../shape.js";
import { checkShape } from "./checks.js";
import { type FusedNorm, memoizeLast, type Plan, planOf } from "./plan.js";

/** The axis, or axes, of a weight's outputs; null for none: the whole weight has one statistic. */
export type WeightAxis = number | readonly number[] | null;

/** Options of normalizations of a layer's weight. */
export interface WeightAxisOptions {
  /** −1 (default) where outputs come last, as in Keras; 0 in PyTorch. */
  axis?: WeightAxis;
}

/** The axes of a weight's outputs, counted from 0, in rising order. @throws where the weight has no such axes */
export function outputAxes(norm: string, shape: readonly number[], axis: WeightAxis): number[] {
  checkShape(norm, shape, ["inputs or outputs"]);
  return axis === null ? [] : resolveAxes(norm, axis, shape.length);
}

/** The plan of a norm of a weight: statistics and parameters per output; [1] of each where `axis` is null. */
export function weightPlan(norm: string, axis: WeightAxis): FusedNorm["plan"] {
  return memoizeLast((shape): Plan => {
    const outputs = outputAxes(norm, shape, axis);
    const plan = planOf(shape, shape, outputs, outputs);
    return outputs.length > 0 ? plan : { ...plan, statisticsShape: [1], parameterShape: [1] };
  });
}
