/**
 * Reversible instance normalization (RevIN): removes each series' mean and scale before a forecast, and restores them after it.
 *
 *     y = (x − mean) / std · gamma + beta                            std = √(variance + epsilon), variance biased
 *     forecast = (z − beta) / (gamma + epsilon²) · std + mean
 *
 * Kim, Kim, Tae, Park, Choi & Choo 2022, "Reversible Instance Normalization for Accurate Time-Series Forecasting against
 * Distribution Shift", ICLR 2022. Axes: batch and feature are kept, time is reduced; gamma and beta per feature. With
 * `subtractLast` the last value is subtracted instead of the mean; std is still about the mean. No gradient flows through
 * the statistics, as in the authors' code.
 */
import { checkEpsilon } from "../formula/checks.js";
import { checkBatch } from "../formula/conditioning.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { seriesAxes, standardizedSeries } from "../formula/series.js";
import { broadcastAlong, centered, rootMeanSquare } from "../formula/terms.js";
import type { Settled } from "../options.js";

/** Options of `reversibleInstanceNorm`. */
export interface ReversibleInstanceNormOptions extends AffineOptions {
  /** The axis of the features: −1 (default) for [batch, time, features], 1 for [batch, features, time]. */
  axis?: number;
  /** Added to the variance. Default 1e-5, as in the authors' code. */
  epsilon?: number;
  /** Whether the last unmasked value is subtracted instead of the mean. Default false. */
  subtractLast?: boolean;
}

/** Options of `reversibleInstanceDenorm`: those of the norm that it undoes. */
export type ReversibleInstanceDenormOptions = Omit<ReversibleInstanceNormOptions, "subtractLast">;

const NAME = "reversibleInstanceNorm";

/**
 * x [batch, time, features], y of its shape; `more` is [mean, std], each [batch, 1, features], for `reversibleInstanceDenorm`.
 * Weights: gamma and beta [features]. Several axes between batch and features are all reduced as time.
 * @throws RangeError for a negative epsilon; when called, for an x without a time axis
 */
export const reversibleInstanceNorm = normalization(
  {
    name: NAME,
    title: "Reversible instance normalization",
    summary:
      "standardizes each series over time and restores it after the forecast (RevIN); for drifting series",
    paper: "Kim et al. 2022, ICLR 2022",
    takes: "forecast",
  },
  { axis: -1, epsilon: 1e-5, subtractLast: false, ...affineDefaults },
  ({ subtractLast, ...options }: Settled<ReversibleInstanceNormOptions>) => {
    const norm = standardizedSeries(NAME, options, (ops, x, time, over, mask) => {
      const { mean: level, near, rest, distance } = centered(ops, x, over);
      const spread = rootMeanSquare(ops, distance, time, over.average, options.epsilon);
      if (!subtractLast) return { level, near, rest, ...spread };
      const last = lastOf(ops, x, time[0], mask);
      return { level: last, near: last, rest: 0, ...spread };
    });
    return {
      ...norm,
      weights(shape: readonly number[]) {
        const { time } = seriesAxes(NAME, shape, options.axis);
        if (subtractLast && time.length > 1) {
          throw new RangeError(
            `${NAME}: with subtractLast x must have the 3 axes batch, time and features, got shape [${shape.join(", ")}]; ` +
              "reshape it, or omit subtractLast",
          );
        }
        return norm.weights(shape);
      },
    };
  },
);

/**
 * Inverts `reversibleInstanceNorm`, or `robustReversibleInstanceNorm`, with the same options and weights. Inputs [z, mean, std]: z [batch, horizon, features]
 * is the forecast of normalized series, mean and std [batch, 1, features] are the norm's `more`.
 * @throws RangeError for a negative epsilon; when called, for shapes that do not fit; TypeError for other than three inputs
 */
export const reversibleInstanceDenorm = normalization(
  {
    name: "reversibleInstanceDenorm",
    title: "Reversible instance denormalization",
    summary: "restores the mean and scale that reversibleInstanceNorm removed",
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
            `${name}: expected three inputs, z, mean and std, got ${1 + statistics.length}; mean and std are ` +
              "`more` of reversibleInstanceNorm",
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
        if (beta !== undefined) x = ops.sub(x, broadcastAlong(ops, beta, shape.length, features));
        if (gamma !== undefined)
          x = ops.div(x, ops.add(broadcastAlong(ops, gamma, shape.length, features), epsilon ** 2));
        return { y: ops.add(ops.mul(x, std), level) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** The last unmasked value along an axis, 0 where there is none; the mask has the whole shape. */
function lastOf<T>(ops: Ops<T>, x: T, axis: number, fullMask: T | undefined): T {
  const length = ops.shape(x)[axis];
  if (fullMask === undefined) return ops.slice(x, axis, length - 1, length);
  // whether any later value is unmasked: each round looks twice as far ahead
  let later = shifted(ops, fullMask, axis, 1);
  for (let step = 1; step < length; step *= 2) later = ops.max(later, shifted(ops, later, axis, step));
  return ops.sum(ops.where(ops.where(later, 0, fullMask), x, 0), [axis]);
}

/** The values `steps` ahead along an axis, 0 beyond the end. */
function shifted<T>(ops: Ops<T>, x: T, axis: number, steps: number): T {
  const shape = ops.shape(x);
  if (steps >= shape[axis]) return ops.mul(x, 0);
  const beyond = ops.mul(ops.slice(x, axis, 0, steps), 0);
  return ops.concat([ops.slice(x, axis, steps, shape[axis]), beyond], axis);
}
