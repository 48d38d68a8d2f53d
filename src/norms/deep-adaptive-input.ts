/**
 * Deep adaptive input normalization (DAIN): a series is shifted, scaled and gated by what is learned from its own statistics.
 *
 *     a = mean(x)                               x1 = x − a · shiftKernel
 *     b = √(mean(x1²) + epsilon)                x2 = x1 / (b · scaleKernel)            where b · scaleKernel ≤ epsilon: x1
 *     c = mean(x2)                              y  = x2 · sigmoid(c · gateKernel + gateBias)
 *
 * Passalis, Tefas, Kanniainen, Gabbouj & Iosifidis 2019, arXiv 1902.07892. Axes: batch and feature are kept, time is reduced.
 * Both first kernels start as the identity, as in the authors' code: y is then the standardized series, gated.
 */
import { checkEpsilon } from "../formula/checks.js";
import { onceOf } from "../formula/initializers.js";
import { type Normalization, normalization, trained, type Weight } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { seriesAxes } from "../formula/series.js";
import { along, mean, spreadMask, square } from "../formula/terms.js";
import type { Settled } from "../options.js";

const NAME = "deepAdaptiveInputNorm";
const MODES = ["averageOnly", "adaptiveShift", "adaptiveScale", "full"] as const;

export interface DeepAdaptiveInputNormOptions {
  /** The axis of the features: −1 (default) for [batch, time, features], 1 for [batch, features, time] as in the paper. */
  axis?: number;
  /** Inside the root of the spread, and what a learned scale must be above. Default 1e-8, as in the authors' code. */
  epsilon?: number;
  /** How far it goes: the mean taken out as it is, a learned shift, the scale too, the gate too. Default `full`. */
  mode?: (typeof MODES)[number];
}

/**
 * x [batch, time, features]. Weights: shiftKernel and scaleKernel [features, features], at first the identity; gateKernel
 * [features, features] and gateBias [features], at first 0, so that the gate is one half; those that the mode uses.
 * @throws RangeError for options out of range; when called, for an x without time
 */
export const deepAdaptiveInputNorm = normalization(
  {
    name: NAME,
    title: "Deep adaptive input normalization",
    summary: "learned shift, scale and gate from a series' own statistics; the first layer of a network",
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
        if (made !== features) weights = startingWeights(features, level);
        made = features;
        return weights;
      },
      apply(ops, [x], { shiftKernel, scaleKernel, gateKernel, gateBias }, { mask }) {
        const shape = ops.shape(x);
        const { time, features } = seriesAxes(NAME, shape, axis);
        const counts = mask === undefined ? undefined : spreadMask(ops, mask, shape);
        const count = counts === undefined ? undefined : ops.max(ops.sum(counts, time), 1);
        const counting = (values: typeof x) => (counts === undefined ? values : ops.where(counts, values, 0));
        const average = (values: typeof x) =>
          count === undefined ? mean(ops, values, time) : ops.div(ops.sum(values, time), count);
        const dense = (values: typeof x, kernel: typeof x) => linear(ops, values, kernel, shape[features]);
        let y = counting(x);
        const centre = average(y);
        y = counting(ops.sub(y, level === 0 ? centre : dense(centre, shiftKernel)));
        if (level < 2) return { y };
        const scale = dense(ops.sqrt(ops.add(average(square(ops, y)), epsilon)), scaleKernel);
        y = ops.div(y, ops.where(ops.greater(scale, epsilon), scale, 1));
        if (level < 3) return { y };
        const gate = ops.add(dense(average(y), gateKernel), along(ops, gateBias, shape.length, features));
        return { y: ops.mul(y, ops.sigmoid(gate)) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

function startingWeights(features: number, level: number): Record<string, Weight> {
  const square = [features, features];
  const identity = onceOf(() => {
    const values = new Float32Array(features ** 2);
    for (let i = 0; i < features; i++) values[i * (features + 1)] = 1;
    return values;
  });
  return {
    ...(level > 0 && { shiftKernel: trained(square, identity) }),
    ...(level > 1 && { scaleKernel: trained(square, identity) }),
    ...(level > 2 && { gateKernel: trained(square, 0), gateBias: trained([features], 0) }),
  };
}

/** A statistic of each example and feature, whatever the order of axes, by a kernel. */
function linear<T>(ops: Ops<T>, values: T, kernel: T, features: number): T {
  const shape = ops.shape(values);
  return ops.reshape(ops.matMul(ops.reshape(values, [shape[0], features]), kernel), shape);
}
