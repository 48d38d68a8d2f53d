/**
 * The fused operation composed from a host's elementary operations, forward and backward, for hosts without its kernels.
 *
 * A view is a reshape to [k1, r1, k2, r2], of which axes 1 and 3 are reduced. Values are centred twice, since a float32 mean far above
 * the standard deviation is too coarse to subtract once; and they are scaled by the largest distance before they are squared, so that
 * no square leaves float32's range. The backward pass recomputes statistics from x, whose float32 mean and variance are too coarse.
 */
import type { View } from "../view.js";
import { checkOperands, statisticsGiven } from "./checks.js";
import type { ComposedCall, ElementaryOps, NormalizeOperands, NormalizeResult } from "./ops.js";
import type { FusedNorm, Plan } from "./plan.js";
import { affine, averaging, broadcastMask, centered, rootMeanSquare } from "./terms.js";

/** y, and mean and variance as [k1, 1, k2, 1]. */
export function composedForward<T>(
  ops: ElementaryOps<T>,
  call: ComposedCall<T>,
): { y: T; mean?: T; variance: T; count?: T; remainder?: T } {
  const { x, parameters, gamma, beta, counts } = call;
  if (call.standardize && !call.given) return call.standardize(ops, call);
  const { xHat, mean, variance } = standardized(ops, call);
  const y = affine(ops, ops.reshape(xHat, ops.shape(x)), parameters, gamma, beta);
  return { y: counts === undefined ? y : ops.where(counts, y, 0), mean, variance };
}

/** dx, of the shape of x, and the gradients of gamma and beta, [k1, 1, k2, 1] of the parameters' view. */
export function composedBackward<T>(
  ops: ElementaryOps<T>,
  dy: T,
  call: ComposedCall<T>,
): { dx: T; dGamma: T; dBeta: T } {
  const { x, statistics, parameters, centered, given, counts, gamma } = call;
  const { xHat, rstd, average } = standardized(ops, call);
  const shape = ops.shape(x);
  const upstream = counts === undefined ? dy : ops.where(counts, dy, 0);
  const g = viewed(ops, affine(ops, upstream, parameters, gamma), statistics);
  let inner = g;
  if (!given) {
    if (centered) inner = ops.sub(inner, average(g));
    inner = ops.sub(inner, ops.mul(xHat, average(ops.mul(g, xHat))));
  }
  const dx = ops.reshape(ops.mul(inner, rstd), shape);
  const [dyViewed, xHatViewed] = [upstream, ops.reshape(xHat, shape)].map((values) =>
    viewed(ops, values, parameters),
  );
  return {
    dx: counts === undefined ? dx : ops.where(counts, dx, 0),
    dGamma: ops.sum(ops.mul(dyViewed, xHatViewed), REDUCED),
    dBeta: ops.sum(dyViewed, REDUCED),
  };
}

/** `Ops.normalize` for hosts that differentiate the composition themselves. @throws RangeError for operands of other shapes */
export function composedNormalize<T>(
  ops: ElementaryOps<T>,
  norm: FusedNorm,
  x: T,
  operands: NormalizeOperands<T> = {},
): NormalizeResult<T> {
  const { mask, residual, ...arrays } = operands;
  const plan = norm.plan(ops.shape(x));
  const given = statisticsGiven(norm, operands.mean, operands.variance);
  checkOperands(ops, norm, plan, operands);
  if (operands.standardize !== undefined && !norm.centered) {
    throw new RangeError(`${norm.name}: what is merged is a mean and a variance, and this measures no mean`);
  }
  const sum = residual === undefined ? undefined : ops.add(x, residual);
  const { y, ...measured } = composedForward(ops, {
    ...arrays,
    x: ordered(ops, sum ?? x, plan.order),
    statistics: plan.statistics,
    parameters: plan.parameters,
    epsilon: norm.epsilon,
    centered: norm.centered,
    given,
    counts: mask === undefined ? undefined : ordered(ops, broadcastMask(ops, mask, plan.shape), plan.order),
  });
  const back = plan.order?.map((_, axis, order) => order.indexOf(axis));
  const constant = (statistic: T | undefined) =>
    given || statistic === undefined ? undefined : ops.stop(ops.reshape(statistic, plan.statisticsShape));
  const { mean, variance, count, remainder } = measured;
  return {
    ...{ y: ordered(ops, y, back), sum, mean: constant(mean), variance: constant(variance) },
    ...(count !== undefined && { count: constant(count), remainder: constant(remainder) }),
  };
}

const REDUCED = [1, 3];

/** xHat [k1, r1, k2, r2], 0 where masked; rstd, mean and variance [k1, 1, k2, 1]; and `average` over unmasked values. */
function standardized<T>(ops: ElementaryOps<T>, call: ComposedCall<T>) {
  const { statistics, epsilon, given, counts } = call;
  const { k1, r1, k2, r2 } = statistics;
  const x = viewed(ops, call.x, statistics);
  const within = counts === undefined ? undefined : viewed(ops, counts, statistics);
  const over = averaging(ops, [k1, r1, k2, r2], REDUCED, within);
  const { average } = over;
  const [statedMean, variance] = [call.mean, call.variance].map(
    (statistic) => statistic && ops.reshape(statistic, [k1, 1, k2, 1]),
  );
  if (given && variance !== undefined) {
    const distance = over.masked(statedMean === undefined ? x : ops.sub(over.masked(x), statedMean));
    const power = ops.add(variance, epsilon);
    // a variance and epsilon of 0 give 0, not NaN
    const rstd = ops.where(power, ops.div(1, ops.sqrt(ops.where(power, power, 1))), 0);
    return { xHat: ops.mul(distance, rstd), rstd, mean: statedMean, variance, average };
  }
  const { mean, distance } = call.centered
    ? centered(ops, x, over, statedMean)
    : { mean: undefined, distance: over.masked(x) };
  const { scaled, scale, power, root } = rootMeanSquare(ops, distance, REDUCED, average, epsilon);
  const rstd = ops.div(ops.div(1, root), scale);
  return {
    xHat: ops.div(scaled, root),
    // 0 if all values are equal and epsilon is 0
    rstd: epsilon > 0 ? rstd : ops.where(power, rstd, 0),
    mean,
    variance: ops.mul(ops.mul(power, scale), scale),
    average,
  };
}

function ordered<T>(ops: ElementaryOps<T>, x: T, order: Plan["order"]): T {
  return order ? ops.transpose(x, order) : x;
}

function viewed<T>(ops: ElementaryOps<T>, x: T, { k1, r1, k2, r2 }: View): T {
  return ops.reshape(x, [k1, r1, k2, r2]);
}
