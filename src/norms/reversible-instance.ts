/**
 * Reversible instance normalization (RevIN): takes each series' level and spread out before a forecast, and puts them back.
 *
 *     y = (x − mean) / std · gamma + beta                            std = √(variance + epsilon), variance biased
 *     forecast = (z − beta) / (gamma + epsilon²) · std + mean
 *
 * Kim, Kim, Tae, Park, Choi & Choo 2022, "Reversible Instance Normalization for Accurate Time-Series Forecasting against
 * Distribution Shift", ICLR 2022. Axes: batch and feature are kept, time is reduced; gamma and beta per feature. With
 * `subtractLast` the last value stands in the place of the mean, and std is still that about the mean. Statistics are
 * constants to the gradient, as in the authors' code.
 */
import { checkEpsilon } from "../formula/checks.js";
import { checkBatch } from "../formula/conditioning.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { keepingLast, planOf } from "../formula/plan.js";
import { seriesAxes } from "../formula/series.js";
import { affine, along, averaging, broadcastMask, centered, rootMeanSquare } from "../formula/terms.js";
import type { Settled } from "../options.js";

export interface ReversibleInstanceNormOptions extends AffineOptions {
  /** The axis of the features: −1 (default) for [batch, time, features], 1 for [batch, features, time]. */
  axis?: number;
  /** Default 1e-5, as in the authors' code. */
  epsilon?: number;
  /** Takes out the last value that counts, not the mean. Default false. */
  subtractLast?: boolean;
}

export type ReversibleInstanceDenormOptions = Omit<ReversibleInstanceNormOptions, "subtractLast">;

const NAME = "reversibleInstanceNorm";

/**
 * x [batch, time, features]. `more` is [mean, std], each [batch, 1, features]: what `reversibleInstanceDenorm` takes.
 * Weights: gamma and beta [features]. Several axes of positions count as one of time.
 * @throws RangeError for an epsilon below 0; when called, for an x without time
 */
export const reversibleInstanceNorm = normalization(
  {
    name: NAME,
    title: "Reversible instance normalization",
    summary: "each series over time, undone after the forecast; for series whose level drifts",
    paper: "Kim et al. 2022, ICLR 2022",
    takes: "forecast",
  },
  { axis: -1, epsilon: 1e-5, subtractLast: false, ...affineDefaults },
  ({ axis, epsilon, subtractLast, ...options }: Settled<ReversibleInstanceNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    const plan = keepingLast((shape) => {
      const { features } = seriesAxes(NAME, shape, axis);
      return planOf(shape, shape, [0, features], [features]);
    });
    return {
      handles: { mask: true },
      weights(shape: readonly number[]) {
        const { features, time } = seriesAxes(NAME, shape, axis);
        if (subtractLast && time.length > 1) {
          throw new RangeError(
            `${NAME}: with subtractLast x must have the 3 axes batch, time and features, got shape [${shape.join(", ")}]; ` +
              "reshape it, or leave subtractLast out",
          );
        }
        return affineWeights([shape[features]], options);
      },
      outputs(shape: readonly number[]) {
        const { time } = seriesAxes(NAME, shape, axis);
        const statistics = shape.map((length, one) => (time.includes(one) ? 1 : length));
        return [shape, statistics, statistics];
      },
      apply(ops, [x], { gamma, beta }, { mask }) {
        const shape = ops.shape(x);
        const { time } = seriesAxes(NAME, shape, axis);
        const counts = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const over = averaging(ops, shape, time, counts);
        const constant = ops.stop(x);
        const { mean, distance } = centered(ops, constant, over);
        const { scale, root } = rootMeanSquare(ops, distance, time, over.average, epsilon);
        const level = subtractLast ? lastOf(ops, constant, time[0], mask) : mean;
        // in two steps, the second by what the first leaves of the mean
        const near = over.counting(ops.sub(over.counting(x), level));
        const rest = subtractLast ? 0 : over.average(ops.stop(near));
        const xHat = ops.div(ops.div(over.counting(ops.sub(near, rest)), scale), root);
        const y = affine(ops, xHat, plan(shape).parameters, gamma, beta);
        return { y: over.counting(y), more: [level, ops.mul(scale, root)] };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/**
 * Undoes `reversibleInstanceNorm` of the same options, with the same weights. Inputs [z, mean, std]: z [batch, horizon, features]
 * is the forecast of what was normalized, mean and std [batch, 1, features] are the norm's `more`.
 * @throws RangeError for an epsilon below 0; when called, for shapes that do not fit
 */
export const reversibleInstanceDenorm = normalization(
  {
    name: "reversibleInstanceDenorm",
    title: "Reversible instance denormalization",
    summary: "puts the level and spread back that reversibleInstanceNorm took out",
    paper: "Kim et al. 2022, ICLR 2022",
    takes: "forecast",
  },
  { axis: -1, epsilon: 1e-5, ...affineDefaults },
  ({ axis, epsilon, ...options }: Settled<ReversibleInstanceDenormOptions>) => {
    const name = "reversibleInstanceDenorm";
    checkEpsilon(name, epsilon);
    return {
      weights(...[shape, ...statistics]: (readonly number[])[]) {
        const { features, time } = seriesAxes(name, shape, axis);
        if (statistics.length !== 2) {
          throw new TypeError(
            `${name}: expected three inputs, z, mean and std, got ${1 + statistics.length}; mean and std are what ` +
              "reversibleInstanceNorm gives as `more`",
          );
        }
        for (const [i, lengths] of statistics.entries()) {
          const fits = lengths[features] === shape[features] && time.every((one) => lengths[one] === 1);
          if (fits && lengths.length === shape.length) continue;
          throw new RangeError(
            `${name}: ${["mean", "std"][i]} must have the shape of z with length 1 for time, for z of shape ` +
              `[${shape.join(", ")}], got [${statistics[i].join(", ")}]; the forecast must have the features of the history`,
          );
        }
        return affineWeights([shape[features]], options);
      },
      apply(ops, [z, level, std], { gamma, beta }) {
        const shape = ops.shape(z);
        const { features } = seriesAxes(name, shape, axis);
        checkBatch(name, "mean", shape, ops.shape(level));
        let x = z;
        if (beta !== undefined) x = ops.sub(x, along(ops, beta, shape.length, features));
        if (gamma !== undefined)
          x = ops.div(x, ops.add(along(ops, gamma, shape.length, features), epsilon ** 2));
        return { y: ops.add(ops.mul(x, std), level) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** The last value along an axis of those that count, 0 where none does. */
function lastOf<T>(ops: Ops<T>, x: T, axis: number, mask: T | undefined): T {
  const shape = ops.shape(x);
  const length = shape[axis];
  if (mask === undefined) return ops.slice(x, axis, length - 1, length);
  const counts = broadcastMask(ops, mask, shape);
  // whether any later one counts: each round looks twice as far ahead
  let later = shifted(ops, counts, axis, 1);
  for (let step = 1; step < length; step *= 2) later = ops.max(later, shifted(ops, later, axis, step));
  return ops.sum(ops.where(ops.where(later, 0, counts), x, 0), [axis]);
}

/** The values so many steps ahead, 0 beyond the end. */
function shifted<T>(ops: Ops<T>, x: T, axis: number, steps: number): T {
  const shape = ops.shape(x);
  if (steps >= shape[axis]) return ops.mul(x, 0);
  const beyond = ops.mul(ops.slice(x, axis, 0, steps), 0);
  return ops.concat([ops.slice(x, axis, steps, shape[axis]), beyond], axis);
}
