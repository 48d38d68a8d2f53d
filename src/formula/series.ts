/** Time series [batch, time, features], and what normalizations of them share that a forecast undoes. */
import { channelAxis } from "./channels.js";
import { checkEpsilon } from "./checks.js";
import { type AffineOptions, affineWeights } from "./fused-norm.js";
import type { Normalization } from "./normalization.js";
import type { Operand, Ops } from "./ops.js";
import { memoizeLast, planOf } from "./plan.js";
import { type Averaging, affine, averaging, axesExcept, broadcastMask } from "./terms.js";

/** The feature axis, and the time axes: all others except the batch. */
export function seriesAxes(norm: string, shape: readonly number[], axis: number) {
  const features = channelAxis(norm, shape, axis, ["batch", "time", "features"]);
  return { features, time: axesExcept(shape.length, 0, features) };
}

/** Options of a normalization of series. */
export interface SeriesOptions extends Required<AffineOptions> {
  axis: number;
  epsilon: number;
}

/** Of each series: it becomes (x − near − rest) / scale / root. Each has length 1 for time. */
export interface SeriesStatistics<T> {
  /** near + rest, rounded: what the forecast is given back. */
  readonly level: T;
  readonly near: T;
  readonly rest: Operand<T>;
  /** The spread is scale · root. */
  readonly scale: T;
  readonly root: T;
}

/** Measures series x, through which no gradient flows, over these axes of time. */
export type MeasureSeries = <T>(
  ops: Ops<T>,
  x: T,
  time: readonly number[],
  over: Averaging<T>,
  mask?: T,
) => SeriesStatistics<T>;

/** Series without their level and spread, times gamma plus beta, with both as `more`. @throws RangeError for a negative epsilon */
export function standardizedSeries(
  name: string,
  { axis, epsilon, ...options }: SeriesOptions,
  measure: MeasureSeries,
): Omit<Normalization, "name"> {
  checkEpsilon(name, epsilon);
  const plan = memoizeLast((shape) => {
    const { features } = seriesAxes(name, shape, axis);
    return planOf(shape, shape, [0, features], [features]);
  });
  return {
    handles: { mask: true },
    weights: (shape: readonly number[]) =>
      affineWeights([shape[seriesAxes(name, shape, axis).features]], options),
    outputs(shape: readonly number[]) {
      const { time } = seriesAxes(name, shape, axis);
      const statistics = shape.map((length, one) => (time.includes(one) ? 1 : length));
      return [shape, statistics, statistics];
    },
    apply(ops, [x], { gamma, beta }, { mask }) {
      const shape = ops.shape(x);
      const { time } = seriesAxes(name, shape, axis);
      const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
      const over = averaging(ops, shape, time, fullMask);
      const { level, near, rest, scale, root } = measure(ops, ops.stop(x), time, over, fullMask);
      const distance = over.masked(ops.sub(ops.sub(over.masked(x), near), rest));
      const xHat = ops.div(ops.div(distance, scale), root);
      const y = affine(ops, xHat, plan(shape).parameters, gamma, beta);
      return { y: over.masked(y), more: [level, ops.mul(scale, root)] };
    },
  };
}
