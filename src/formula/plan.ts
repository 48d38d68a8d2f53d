/**
 * The one operation's description: a source of statistics, and the views of any array. The norm files whose formula is
 * this operation alone give it themselves; the others call it.
 */
import { checkMaskShape } from "../mask.js";
import { sameShape } from "../shape.js";
import { type View, viewOf } from "../view.js";

export interface FusedNorm {
  /** As it is called in errors: `layerNorm`, `batchNorm`, ... */
  readonly name: string;
  /** Added to the variance (or mean square) inside the root. */
  readonly epsilon: number;
  /** False where the mean is not taken out (RMS). */
  readonly centered: boolean;
  /** Axes, views and sizes for an array of this shape. Throws RangeError where the shape does not fit. */
  plan(shape: readonly number[]): Plan;
}

export interface Plan {
  /** Of the array itself. */
  readonly shape: readonly number[];
  /** Reduced: what mean and variance run over. */
  readonly statistics: View;
  /** Kept: what gamma and beta are indexed by. */
  readonly parameters: View;
  /** Lengths of the kept axes. */
  readonly statisticsShape: readonly number[];
  readonly parameterShape: readonly number[];
  /** The order of axes in which the views hold, where they do not hold for the array as it lies. */
  readonly order?: readonly number[];
}

/** A norm's `plan` that keeps its last result: a network asks for the same shape over and over. */
export function keepingLast(plan: FusedNorm["plan"]): FusedNorm["plan"] {
  let last: Plan | undefined;
  return (shape) => {
    if (last && Array.isArray(shape) && sameShape(last.shape, shape)) return last;
    last = plan(shape);
    return last;
  };
}

/** The same statistics, with one gamma and one beta for all of the array. */
export function oneParameter(plan: Plan): Plan {
  return { ...plan, parameters: viewOf(plan.shape, []) as View, parameterShape: [1] };
}

/** The plan of an array as it is seen: perhaps with an axis split in two, each axis kept or reduced. */
export function planOf(
  array: readonly number[],
  seen: readonly number[],
  statisticsAxes: readonly number[],
  parameterAxes: readonly number[],
): Plan {
  const shape = [...array];
  const statisticsShape = statisticsAxes.map((axis) => seen[axis]);
  const parameterShape = parameterAxes.map((axis) => seen[axis]);
  const statistics = viewOf(seen, statisticsAxes);
  const parameters = viewOf(seen, parameterAxes);
  if (statistics && parameters) return { shape, statistics, parameters, statisticsShape, parameterShape };
  const axes = [...seen.keys()];
  const order = [...statisticsAxes, ...axes.filter((axis) => !statisticsAxes.includes(axis))];
  const moved = order.map((axis) => seen[axis]);
  const places = (wanted: readonly number[]) => wanted.map((axis) => order.indexOf(axis));
  return {
    shape,
    statistics: viewOf(moved, places(statisticsAxes)) as View,
    parameters: viewOf(moved, places(parameterAxes)) as View,
    statisticsShape,
    parameterShape,
    order,
  };
}

/**
 * The view that a mask of this shape is kept by, or undefined where it must be broadcast to all of x first: where its axes
 * alternate too often for a view, or the plan moves axes.
 * @throws RangeError for a shape that is not that of x with axes of length 1, or left out at the end
 */
export function maskViewOf(norm: string, plan: Plan, mask: readonly number[]): View | undefined {
  const { shape, order } = plan;
  checkMaskShape(norm, shape, mask);
  const kept = [...mask.keys()].filter((axis) => mask[axis] !== 1);
  return order ? undefined : viewOf(shape, kept);
}

/** Where nothing is reduced: one value per element. */
export function wholeView(size: number): View {
  return { k1: 1, r1: 1, k2: size, r2: 1 };
}
