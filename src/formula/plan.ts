/**
 * Describes the fused operation to kernels: axes and views for arrays of any shape. Normalizations that are this operation alone
 * have a plan of their own; others call the operation with one.
 */
import { checkMaskShape } from "../mask.js";
import { sameShape } from "../shape.js";
import { type View, viewOf } from "../view.js";

/** The fused operation as a norm uses it: epsilon, whether it is centred, and a plan per shape. */
export interface FusedNorm {
  /** Used in errors: `layerNorm`, `batchNorm`, ... */
  readonly name: string;
  /** Added to the variance (or mean square) inside the root. */
  readonly epsilon: number;
  /** Whether the mean is subtracted; false for RMS. */
  readonly centered: boolean;
  /** Views and sizes for an array of this shape. @throws RangeError for a shape that does not fit */
  plan(shape: readonly number[]): Plan;
}

/** How the fused operation runs over arrays of one shape. */
export interface Plan {
  /** The array's shape. */
  readonly shape: readonly number[];
  /** Its reduced axes are those that mean and variance run over. */
  readonly statistics: View;
  /** Its kept axes are those that index gamma and beta. */
  readonly parameters: View;
  /** Lengths of the kept axes of `statistics`. */
  readonly statisticsShape: readonly number[];
  /** Lengths of the kept axes of `parameters`. */
  readonly parameterShape: readonly number[];
  /** The order to transpose axes into before the views apply; absent: the array's own order. */
  readonly order?: readonly number[];
}

/** Memoizes a norm's last plan: networks use the same shape again and again. */
export function memoizeLast(plan: FusedNorm["plan"]): FusedNorm["plan"] {
  let last: Plan | undefined;
  return (shape) => {
    if (last && Array.isArray(shape) && sameShape(last.shape, shape)) return last;
    last = plan(shape);
    // arrays of these shapes take them as they are
    for (const one of [last.shape, last.statisticsShape, last.parameterShape]) Object.freeze(one);
    return last;
  };
}

/** The same statistics, with one gamma and one beta for all of the array. */
export function oneParameter(plan: Plan): Plan {
  return { ...plan, parameters: viewOf(plan.shape, []) as View, parameterShape: [1] };
}

/** A plan from the kept axes of statistics and parameters. `viewed` is the array's shape, perhaps with an axis split in two. */
export function planOf(
  array: readonly number[],
  viewed: readonly number[],
  statisticsAxes: readonly number[],
  parameterAxes: readonly number[],
): Plan {
  const shape = [...array];
  const statisticsShape = statisticsAxes.map((axis) => viewed[axis]);
  const parameterShape = parameterAxes.map((axis) => viewed[axis]);
  const statistics = viewOf(viewed, statisticsAxes);
  const parameters = viewOf(viewed, parameterAxes);
  if (statistics && parameters) return { shape, statistics, parameters, statisticsShape, parameterShape };
  const axes = [...viewed.keys()];
  const order = [...statisticsAxes, ...axes.filter((axis) => !statisticsAxes.includes(axis))];
  const transposed = order.map((axis) => viewed[axis]);
  const positionsOf = (wanted: readonly number[]) => wanted.map((axis) => order.indexOf(axis));
  return {
    shape,
    statistics: viewOf(transposed, positionsOf(statisticsAxes)) as View,
    parameters: viewOf(transposed, positionsOf(parameterAxes)) as View,
    statisticsShape,
    parameterShape,
    order,
  };
}

/**
 * The view whose kept axes index the mask, or undefined if the mask must first be broadcast to x: if its axes alternate too often
 * for a view, or the plan transposes.
 * @throws RangeError for a shape that does not broadcast to that of x
 */
export function maskViewOf(norm: string, plan: Plan, mask: readonly number[]): View | undefined {
  const { shape, order } = plan;
  checkMaskShape(norm, shape, mask);
  const keptAxes = [...mask.keys()].filter((axis) => mask[axis] !== 1);
  return order ? undefined : viewOf(shape, keptAxes);
}

/** The view that reduces nothing: one value per element. */
export function identityView(size: number): View {
  return { k1: 1, r1: 1, k2: size, r2: 1 };
}
