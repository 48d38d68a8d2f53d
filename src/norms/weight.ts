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
import { checkNumbers, described, sizeOf } from "../shape.js";
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
 * @throws TypeError for what is not `{ shape, data }`; RangeError for axes that the weight does not have, values that are not as many
 * as its shape says, and outputs without any
 *
 *     const weights = { g: np.array(weightNormGain({ shape: v.shape, data: await v.ref.data() })) };
 */
export function weightNormGain(
  v: { readonly shape: readonly number[]; readonly data: ArrayLike<number> },
  options: WeightNormOptions = {},
): Float32Array {
  const { axis, epsilon } = settle("weightNormGain", options, defaults, optionNames);
  checkEpsilon("weightNormGain", epsilon);
  if (typeof v !== "object" || v === null) {
    throw new TypeError(`weightNormGain: v must be a weight, { shape, data }, got ${described(v)}`);
  }
  const { data } = v;
  const outputs = outputAxes("weightNormGain", v.shape, axis);
  const size = sizeOf(v.shape);
  checkNumbers("weightNormGain", "v.data", data);
  if (data.length !== size) {
    throw new RangeError(
      `weightNormGain: v of shape [${v.shape.join(", ")}] must have ${size} values, got ${data.length}`,
    );
  }
  const count = sizeOf(outputs.map((one) => v.shape[one]));
  if (count > size) {
    throw new RangeError(
      `weightNormGain: v must have a value for each output, got shape [${v.shape.join(", ")}] with ${count} outputs`,
    );
  }
  const strides = v.shape.map((_, one) => sizeOf(v.shape.slice(one + 1)));
  const sums = new Float64Array(count);
  for (let i = 0; i < size; i++) {
    let output = 0;
    for (const one of outputs) {
      output = output * v.shape[one] + (Math.floor(i / strides[one]) % v.shape[one]);
    }
    sums[output] += data[i] ** 2;
  }
  const gain = new Float32Array(count);
  for (let i = 0; i < count; i++) gain[i] = Math.sqrt(sums[i] + epsilon);
  return gain;
}
