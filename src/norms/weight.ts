/**
 * Weight normalization: the length and the direction of each output's weights are learned separately.
 *
 *     w = g · v / √(Σv² + epsilon)        g: a learned length per output; v: the layer's weight
 *
 * Salimans & Kingma 2016, arXiv 1602.07868, without an epsilon. Axes: that of the outputs is kept, every other one is reduced;
 * no mean is subtracted. Epsilon is inside the root, so that a v of 0 gives 0 and finite gradients.
 */
import { checkEpsilon } from "../formula/checks.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import type { FusedNorm } from "../formula/plan.js";
import { outputAxes, type WeightAxisOptions, weightPlan } from "../formula/weights.js";
import type { Defaults, Settled } from "../options.js";
import { optionNames, settle } from "../options.js";
import { sizeOf } from "../shape.js";
import { reducedSize } from "../view.js";

/** Options of `weightNorm` and `weightNormGain`. */
export interface WeightNormOptions extends WeightAxisOptions {
  /** Default 1e-12. */
  epsilon?: number;
}

const defaults: Defaults<Settled<WeightNormOptions>> = { axis: -1, epsilon: 1e-12 };

/**
 * x is the weight v, of any shape; y has its shape. Weights: g [outputs], initialized to 1; `weightNormGain` gives the g that
 * leaves v unchanged.
 * @throws RangeError for a negative epsilon; when called, for axes that the weight does not have
 */
export const weightNorm = normalization(
  {
    name: "weightNorm",
    title: "Weight normalization",
    summary:
      "learns the length and direction of weights separately; for small batches and reinforcement learning",
    paper: "Salimans & Kingma 2016, arXiv 1602.07868",
    takes: "weight",
  },
  defaults,
  ({ axis, epsilon }: Settled<WeightNormOptions>) => {
    checkEpsilon("weightNorm", epsilon);
    const plan = weightPlan("weightNorm", axis);
    return {
      weights: (shape) => ({ g: trained(plan(shape).parameterShape, 1) }),
      apply(ops, [v], { g }) {
        // Σv² is the mean square times their number
        const count = reducedSize(plan(ops.shape(v)).statistics);
        const norm: FusedNorm = { name: "weightNorm", epsilon: epsilon / count, centered: false, plan };
        return { y: ops.normalize(norm, v, { gamma: ops.mul(g, 1 / Math.sqrt(count)) }).y };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/**
 * The g with which weight normalization leaves this weight unchanged: the length of each output's weights, float32 [outputs], in
 * the order of their axis. `axis` and `epsilon` as in `weightNorm`.
 * @throws RangeError for axes that the weight does not have
 *
 *     const weights = { g: np.array(weightNormGain({ shape: v.shape, data: await v.ref.data() })) };
 */
export function weightNormGain(
  v: { readonly shape: readonly number[]; readonly data: ArrayLike<number> },
  options: WeightNormOptions = {},
): Float32Array {
  const { axis, epsilon } = settle("weightNormGain", options, defaults, optionNames);
  const outputs = outputAxes("weightNormGain", v.shape, axis);
  const strides = v.shape.map((_, one) => sizeOf(v.shape.slice(one + 1)));
  const sums = new Float64Array(sizeOf(outputs.map((one) => v.shape[one])));
  for (let i = 0; i < v.data.length; i++) {
    let output = 0;
    for (const one of outputs) {
      output = output * v.shape[one] + (Math.floor(i / strides[one]) % v.shape[one]);
    }
    sums[output] += v.data[i] ** 2;
  }
  return Float32Array.from(sums, (sum) => Math.sqrt(sum + epsilon));
}
