/**
 * Deep adaptive input normalization (DAIN): a series is shifted, scaled and gated by learned functions of its own statistics.
 *
 *     a = mean(x)                               x1 = x − a · shiftKernel
 *     b = √(mean(x1²) + epsilon)                x2 = x1 / (b · scaleKernel)            where b · scaleKernel ≤ epsilon: x1
 *     c = mean(x2)                              y  = x2 · sigmoid(c · gateKernel + gateBias)
 *
 * Passalis, Tefas, Kanniainen, Gabbouj & Iosifidis 2019, arXiv 1902.07892. Axes: batch and feature are kept, time is reduced.
 * shiftKernel and scaleKernel are initialized to the identity, as in the authors' code: y is then the standardized series, gated.
 */
import { checkEpsilon } from "../formula/checks.js";
import { onceOf } from "../formula/initializers.js";
import { type Normalization, normalization, trained, type Weight } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { seriesAxes } from "../formula/series.js";
import { averaging, broadcastAlong, broadcastMask, centered, rootMeanSquare } from "../formula/terms.js";
import type { Settled } from "../options.js";

const NAME = "deepAdaptiveInputNorm";
const MODES = ["averageOnly", "adaptiveShift", "adaptiveScale", "full"] as const;

/** Options of `deepAdaptiveInputNorm`. */
export interface DeepAdaptiveInputNormOptions {
  /** The axis of the features: −1 (default) for [batch, time, features], 1 for [batch, features, time] as in the paper. */
  axis?: number;
  /** Inside the root of the standard deviation; a learned scale not above it is replaced by 1. Default 1e-8 (the authors' code). */
  epsilon?: number;
  /** Steps applied: the plain mean subtracted, a learned shift, also a learned scale, also the gate. Default `full`. */
  mode?: (typeof MODES)[number];
}

/**
 * x [batch, time, features], y of its shape. Weights, those that the mode uses: shiftKernel and scaleKernel [features, features],
 * initialized to the identity; gateKernel [features, features] and gateBias [features], initialized to 0, a gate of one half.
 * @throws RangeError for options out of range; when called, for an x without a time axis
 */
export const deepAdaptiveInputNorm = normalization(
  {
    name: NAME,
    title: "Deep adaptive input normalization",
    summary:
      "learned shift, scale and gate from a series' own statistics (DAIN); the first layer of a network",
    paper: "Passalis et al. 2019, arXiv 1902.07892",
    takes: "positions",
  },
  { axis: -1, epsilon: 1e-8, mode: "full" },
  ({ axis, epsilon, mode }: Settled<DeepAdaptiveInputNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    const level = MODES.indexOf(mode);
    if (level < 0) {
      throw new RangeError(`${NAME}: mode must be one of "${MODES.join('", "')}", got "${mode}"`);
    }
    let weights: Record<string, Weight> = {};
    let made = 0;
    return {
      handles: { mask: true },
      weights(shape: readonly number[]) {
        const features = shape[seriesAxes(NAME, shape, axis).features];
        if (made !== features) weights = initialWeights(features, level);
        made = features;
        return weights;
      },
      apply(ops, [x], { shiftKernel, scaleKernel, gateKernel, gateBias }, { mask }) {
        const shape = ops.shape(x);
        const { time, features } = seriesAxes(NAME, shape, axis);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const over = averaging(ops, shape, time, fullMask);
        const dense = (values: typeof x, kernel: typeof x) => linear(ops, values, kernel, shape[features]);
        // x − mean·kernel = (x − mean) − mean·(kernel − identity): the mean's rounding error cancels
        const { mean, distance } = centered(ops, x, over);
        const shift =
          level > 0 && dense(mean, ops.sub(shiftKernel, ops.constant(...identity(shape[features]))));
        let y = shift ? over.masked(ops.sub(distance, shift)) : distance;
        if (level < 2) return { y };
        const { scale: unit, root } = rootMeanSquare(ops, y, time, over.average, epsilon);
        const scale = dense(ops.mul(unit, root), scaleKernel);
        y = over.masked(ops.div(y, ops.where(ops.greater(scale, epsilon), scale, 1)));
        if (level < 3) return { y };
        const gate = ops.add(
          dense(over.average(y), gateKernel),
          broadcastAlong(ops, gateBias, shape.length, features),
        );
        // masked once more, for the gradient that comes back to it
        return { y: over.masked(ops.mul(y, ops.sigmoid(gate))) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

function initialWeights(features: number, level: number): Record<string, Weight> {
  const square = [features, features];
  const initial = onceOf(() => identity(features)[0]);
  return {
    ...(level > 0 && { shiftKernel: trained(square, initial) }),
    ...(level > 1 && { scaleKernel: trained(square, initial) }),
    ...(level > 2 && { gateKernel: trained(square, 0), gateBias: trained([features], 0) }),
  };
}

/** Values and shape of the identity matrix. */
function identity(features: number): [Float32Array, number[]] {
  const values = new Float32Array(features ** 2);
  for (let i = 0; i < features; i++) values[i * (features + 1)] = 1;
  return [values, [features, features]];
}

/** A statistic per example and feature, times a kernel, for any order of axes. */
function linear<T>(ops: Ops<T>, values: T, kernel: T, features: number): T {
  const shape = ops.shape(values);
  return ops.reshape(ops.matMul(ops.reshape(values, [shape[0], features]), kernel), shape);
}
