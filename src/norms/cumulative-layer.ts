/**
 * Cumulative layer normalization: each time step is standardized by the mean and variance of all steps up to and including it.
 *
 *     y[t] = (x[t] − mean[t]) / √(variance[t] + epsilon) · gamma + beta        variance biased
 *     mean[t], variance[t]: over the channels (and other positions) of the steps 0 … t of the example
 *
 * Luo & Mesgarani 2019 (Conv-TasNet), arXiv 1809.07454. Axes: the batch is kept, and time in part; gamma and beta are per channel.
 * No step depends on a later one, so that it serves causal models. The variance is a sum of squares alone (Welford 1962):
 *
 *     n[t]·variance[t] = Σ over s ≤ t of  n_s·variance_s + n_s·n[s−1] / n[s] · (mean_s − mean[s−1])²        index _s: of the step alone
 */
import { channelAxis } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import {
  axesExcept,
  broadcastAlong,
  broadcastMask,
  cumulativeSum,
  delayed,
  square,
} from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis, sizeOf } from "../shape.js";

const NAME = "cumulativeLayerNorm";

/** Options of `cumulativeLayerNorm`. */
export interface CumulativeLayerNormOptions extends AffineOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** The axis of time. Default 1, or the last where the channels are on axis 1. */
  timeAxis?: number;
  /** Default 1e-8 (asteroid). */
  epsilon?: number;
}

/** Of the array's axes, what each is for. */
interface Places {
  readonly time: number;
  readonly channel: number;
  /** Those reduced within a step: the channels and other positions. */
  readonly within: readonly number[];
}

/**
 * x [batch, time, ..., channels], or in another order; y of its shape. Weights: gamma and beta [channels].
 * @throws RangeError for options out of range; when called, for an x without time, or time on the axis of the batch or channels
 */
export const cumulativeLayerNorm = normalization(
  {
    name: NAME,
    title: "Cumulative layer normalization",
    summary: "standardizes each time step by the steps up to it; for causal models of speech and streams",
    paper: "Luo & Mesgarani 2019, arXiv 1809.07454",
    takes: "positions",
  },
  { axis: -1, timeAxis: undefined, epsilon: 1e-8, ...affineDefaults },
  ({ axis, timeAxis, epsilon, ...options }: Settled<CumulativeLayerNormOptions, "timeAxis">) => {
    checkEpsilon(NAME, epsilon);
    const placesOf = (shape: readonly number[]): Places => {
      const channel = channelAxis(NAME, shape, axis, ["batch", "time", "channels"]);
      const time =
        timeAxis === undefined
          ? channel === 1
            ? shape.length - 1
            : 1
          : resolveAxis(`${NAME}: timeAxis`, timeAxis, shape.length);
      if (time === 0 || time === channel) {
        throw new RangeError(
          `${NAME}: timeAxis must be neither the batch axis nor that of the channels, ${axis}, got ${timeAxis}`,
        );
      }
      return { time, channel, within: axesExcept(shape.length, 0, time) };
    };
    return {
      handles: { mask: true },
      weights: (shape) => affineWeights([shape[placesOf(shape).channel]], options),
      apply(ops, [x], { gamma, beta }, { mask }) {
        const shape = ops.shape(x);
        const places = placesOf(shape);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const { values, scale } = inRange(ops, x, places, fullMask, epsilon);
        const { mean, variance } = cumulative(ops, values, places, fullMask);
        const guard = square(ops, ops.mul(scale, Math.sqrt(epsilon)));
        const root = ops.sqrt(ops.max(ops.add(variance, guard), LEAST));
        let y = ops.div(ops.sub(values, mean), root);
        const perChannel = (weights: typeof x) => broadcastAlong(ops, weights, shape.length, places.channel);
        if (gamma !== undefined) y = ops.mul(y, perChannel(gamma));
        if (beta !== undefined) y = ops.add(y, perChannel(beta));
        return { y: fullMask === undefined ? y : ops.where(fullMask, y, 0) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** Below any variance that is not 0. */
const LEAST = 1e-30;
/** Beyond these, squares leave float32's range. */
const [LARGE, SMALL] = [1e15, 1e-15];

/**
 * values = (x − origin)·scale, 0 where masked: from the mean of the example's first step, which every statistic contains, and
 * multiplied by a power of 2 where squares would leave float32's range. Neither has a gradient, nor a part in y.
 */
function inRange<T>(ops: Ops<T>, x: T, { time, within }: Places, mask: T | undefined, epsilon: number) {
  const shape = ops.shape(x);
  const counting = (values: T) => (mask === undefined ? values : ops.where(mask, values, 0));
  const all = [time, ...within];
  const given = counting(x);
  const begun = (values: T) => ops.sum(ops.slice(values, time, 0, 1), within);
  let origin: T;
  if (mask === undefined) origin = ops.div(begun(given), sizeOf(within.map((one) => shape[one])));
  else {
    const count = begun(mask);
    const anywhere = ops.div(ops.sum(given, all), ops.max(ops.sum(mask, all), 1));
    origin = ops.where(count, ops.div(begun(given), ops.max(count, 1)), anywhere);
  }
  const distance = counting(ops.sub(given, ops.stop(origin)));
  const largest = ops.largest(ops.abs(distance), all);
  const raised = epsilon > 0 ? 1 : ops.where(ops.greater(SMALL, largest), 2 ** 64, 1);
  const scale = ops.stop(ops.where(ops.greater(largest, LARGE), 2 ** -64, raised));
  return { values: ops.mul(distance, scale), scale };
}

/** Mean and biased variance of each step and those before it, with length 1 within the step. */
function cumulative<T>(ops: Ops<T>, values: T, { time, within }: Places, mask: T | undefined) {
  const shape = ops.shape(values);
  const [steps, size] = [shape[time], sizeOf(within.map((one) => shape[one]))];
  const lengths = shape.map((length, one) => (one === time ? length : 1));
  const numbers = (at: (step: number) => number) =>
    ops.constant(
      Float32Array.from({ length: steps }, (_, step) => at(step)),
      lengths,
    );
  // counts are in full steps
  const least = 0.5 / size;
  const perStep = (all: T) => ops.div(ops.sum(all, within), size);
  const own = mask === undefined ? undefined : perStep(mask);
  const count = own === undefined ? numbers((step) => step + 1) : cumulativeSum(ops, own, time);
  const before = own === undefined ? numbers((step) => step) : delayed(ops, count, time, 1);
  const divisor = own === undefined ? count : ops.max(count, least);
  const sums = perStep(values);
  const means = own === undefined ? sums : ops.div(sums, ops.max(own, least));
  const mean = ops.div(cumulativeSum(ops, sums, time), divisor);
  const distance = ops.sub(values, means);
  const squares = perStep(square(ops, mask === undefined ? distance : ops.where(mask, distance, 0)));
  const moved = square(ops, ops.sub(means, delayed(ops, mean, time, 1)));
  const share = ops.div(own === undefined ? before : ops.mul(own, before), divisor);
  const variance = ops.div(cumulativeSum(ops, ops.add(squares, ops.mul(share, moved)), time), divisor);
  return { mean, variance };
}
