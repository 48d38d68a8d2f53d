/** The one operation from a host's own operations, for hosts without its kernels: the same results, and gradients through it. */
import type { View } from "../view.js";
import { statisticsGiven } from "./checks.js";
import type { NormalizeOperands, NormalizeResult, Ops } from "./ops.js";
import type { FusedNorm, Plan } from "./plan.js";
import { affine, spreadMask, square } from "./terms.js";

const REDUCED = [1, 3];

/** As `Ops.normalize`. A view is a reshape to [k1, r1, k2, r2], of which axes 1 and 3 are reduced. */
export function composedNormalize<T>(
  ops: Ops<T>,
  norm: FusedNorm,
  x: T,
  { gamma, beta, mean, variance, mask, residual }: NormalizeOperands<T> = {},
): NormalizeResult<T> {
  const plan = norm.plan(ops.shape(x));
  const given = statisticsGiven(norm, mean, variance);
  const sum = residual === undefined ? undefined : ops.add(x, residual);
  const counts = mask === undefined ? undefined : moved(ops, spreadMask(ops, mask, plan.shape), plan.order);
  const input = moved(ops, sum ?? x, plan.order);
  const values = seen(ops, counts === undefined ? input : ops.where(counts, input, 0), plan.statistics);
  const within = counts === undefined ? undefined : seen(ops, counts, plan.statistics);
  const average = (terms: T) => {
    const { r1, r2 } = plan.statistics;
    if (within === undefined) return ops.div(ops.sum(terms, REDUCED), r1 * r2);
    return ops.div(ops.sum(ops.where(within, terms, 0), REDUCED), ops.max(ops.sum(within, REDUCED), 1));
  };
  const centre = given
    ? mean && spread(ops, mean, plan.statistics)
    : norm.centered
      ? average(values)
      : undefined;
  const distance = centre === undefined ? values : ops.sub(values, centre);
  const width =
    given && variance !== undefined ? spread(ops, variance, plan.statistics) : average(square(ops, distance));
  const xHat = ops.div(distance, ops.sqrt(ops.add(width, norm.epsilon)));
  const whole = ops.reshape(xHat, ops.shape(input));
  let y = affine(ops, whole, plan.parameters, gamma, beta);
  if (counts !== undefined) y = ops.where(counts, y, 0);
  const back = plan.order?.map((_, axis, order) => order.indexOf(axis));
  const constant = (statistic: T | undefined) =>
    given || statistic === undefined ? undefined : ops.stop(ops.reshape(statistic, plan.statisticsShape));
  return { y: moved(ops, y, back), sum, mean: constant(centre), variance: constant(width) };
}

function moved<T>(ops: Ops<T>, x: T, order: Plan["order"]): T {
  return order ? ops.transpose(x, order) : x;
}

function seen<T>(ops: Ops<T>, x: T, { k1, r1, k2, r2 }: View): T {
  return ops.reshape(x, [k1, r1, k2, r2]);
}

function spread<T>(ops: Ops<T>, values: T, { k1, k2 }: View): T {
  return ops.reshape(values, [k1, 1, k2, 1]);
}
