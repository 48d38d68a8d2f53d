/**
 * The one operation's description: a source of statistics, and the views of any array. The norm files whose formula is
 * this operation alone give it themselves; the others call it.
 */
import { checkMaskShape } from "../mask.js";
import { checkHasShape, sameShape, type View, viewOf } from "../view.js";
import { type About, type Factory, type Normalization, normalization, trained } from "./normalization.js";

export interface Norm {
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

/** Which parameters a layer of the norm learns. */
export interface AffineOptions {
  /** A factor per parameter, gamma, at first 1. */
  scale?: boolean;
  /** An offset per parameter, beta, at first 0. */
  center?: boolean;
}

/** A norm that is the operation itself, with gamma and beta. */
/* @__NO_SIDE_EFFECTS__ */
export function coreNorm<O>(
  about: About,
  describe: (options: O) => Omit<Norm, "name">,
  defaults: Required<AffineOptions> = { scale: true, center: true },
): Factory<O & AffineOptions, Norm & Normalization> {
  return normalization(about, (options: O & AffineOptions) => {
    const norm: Norm = { name: about.name, ...describe(options) };
    const affine = { ...defaults, ...options };
    return {
      ...norm,
      handles: { mask: true, residual: true },
      weights: (shape: readonly number[]) => affineWeights(norm.plan(shape).parameterShape, affine),
      apply(ops, [x], { gamma, beta }, { mask, residual }) {
        const { y, sum } = ops.normalize(norm, x, { gamma, beta, mask, residual });
        return { y, sum };
      },
    } satisfies Norm & Omit<Normalization, "name">;
  });
}

/** gamma and beta of this shape, those that are wanted. */
export function affineWeights(shape: readonly number[], { scale = true, center = true }: AffineOptions) {
  return { ...(scale && { gamma: trained(shape, 1) }), ...(center && { beta: trained(shape, 0) }) };
}

/** A norm's `plan` that keeps its last result: a network asks for the same shape over and over. */
export function keepingLast(plan: Norm["plan"]): Norm["plan"] {
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

/**
 * Whether statistics are given: mean and variance together, or variance alone where nothing is centred.
 * @throws TypeError for any other choice of them
 */
export function statisticsGiven(norm: Norm, mean: unknown, variance: unknown): boolean {
  if (!norm.centered && mean !== undefined) {
    throw new TypeError(`${norm.name}: mean must be left out, this normalization takes none`);
  }
  if (norm.centered && (mean === undefined) !== (variance === undefined)) {
    throw new TypeError(`${norm.name}: mean and variance must be given together, or neither of them`);
  }
  return variance !== undefined;
}

/** An array's axes, or a RangeError that says what is wrong with them. */
export function checkShape(norm: string, shape: readonly number[], leastRank: number, axes: string): void {
  checkHasShape(norm, "x", shape);
  if (shape.length < leastRank) {
    throw new RangeError(
      `${norm}: x must have at least ${leastRank} axes (${axes}), got shape [${shape.join(", ")}]`,
    );
  }
  for (const length of shape) {
    if (Number.isInteger(length) && length >= 0) continue;
    throw new RangeError(`${norm}: x must have whole, non-negative lengths, got shape [${shape.join(", ")}]`);
  }
  if (shape.includes(0)) {
    throw new RangeError(
      `${norm}: x is empty (shape [${shape.join(", ")}]), it has nothing to normalize; leave empty batches out`,
    );
  }
}

export function checkEpsilon(norm: string, epsilon: number): void {
  if (!(epsilon >= 0) || !Number.isFinite(epsilon)) {
    throw new RangeError(`${norm}: epsilon must be a finite number of at least 0, got ${epsilon}`);
  }
}

/** Refuses statistics of single values: their variance is 0, and y would be beta whatever x is. */
export function checkCount(norm: string, plan: Plan, remedy: string): void {
  if (plan.statistics.r1 * plan.statistics.r2 > 1) return;
  throw new RangeError(
    `${norm}: shape [${plan.shape.join(", ")}] has one value per statistic, whose variance is 0, so that y would be beta ` +
      `whatever x is; ${remedy}`,
  );
}
