/**
 * Unit normalization: each example is scaled to length 1. No weights.
 *
 *     order 2, guard root     y = x / √(Σ x² + epsilon)             (default; MXNet, with epsilon 1e-10)
 *     order 2, guard square   y = x / √max(Σ x², epsilon)           (TensorFlow, Keras)
 *     order 2, guard length   y = x / max(√Σ x², epsilon)           (PyTorch)
 *     order p                 y = x / max((Σ |x|ᵖ)^(1/p), epsilon)  (any guard)
 *
 * Axes: those named (the last by default) are reduced.
 */
import { checkEpsilon } from "../formula/checks.js";
import type { FeatureOptions } from "../formula/features.js";
import { planFeatures } from "../formula/features.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { memoizeLast, oneParameter } from "../formula/plan.js";
import { lengthOf } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis } from "../shape.js";
import { reducedSize } from "../view.js";

/** Options of `unitNorm`. */
export interface UnitNormOptions extends FeatureOptions {
  /** p of the length (Σ |x|ᵖ)^(1/p): at least 1; Infinity for the largest |x|. Default 2. */
  order?: number;
  /** Where epsilon prevents a division by 0 (order 2). Default `root`, whose gradient is smooth. */
  guard?: "root" | "square" | "length";
}

/**
 * x [..., features], y of its shape; no weights. Default epsilon 1e-12.
 * @throws RangeError for options out of range; when called, for axes that x does not have
 */
export const unitNorm = normalization(
  {
    name: "unitNorm",
    title: "Unit normalization",
    summary: "scales each example to length 1 (l2, l1 or lᵖ); for embeddings compared by angle",
    paper: "the definition; sphere embeddings as in Wang et al. 2017, arXiv 1704.06369",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-12, order: 2, guard: "root" },
  ({ axis, epsilon, order, guard }: Settled<UnitNormOptions>) => {
    checkEpsilon("unitNorm", epsilon);
    if (!(order >= 1)) throw new RangeError(`unitNorm: order must be at least 1, got ${order}`);
    if (!["root", "square", "length"].includes(guard)) {
      throw new RangeError(`unitNorm: guard must be "root", "square" or "length", got "${guard}"`);
    }
    const plan = memoizeLast((shape) => oneParameter(planFeatures("unitNorm", shape, axis)));
    return {
      weights(shape) {
        plan(shape);
        return {};
      },
      apply(ops, [x]) {
        const shape = ops.shape(x);
        const { statistics } = plan(shape);
        const axes = [axis].flat().map((one) => resolveAxis("unitNorm", one, shape.length));
        if (order === 1) return { y: ops.div(x, ops.max(ops.sum(ops.abs(x), axes), epsilon)) };
        if (order !== 2)
          return { y: ops.div(x, ops.max(powerLength(ops, ops.abs(x), axes, order), epsilon)) };
        if (guard === "root") {
          const features = reducedSize(statistics);
          const norm = { name: "unitNorm", epsilon: epsilon / features, centered: false, plan };
          return { y: ops.normalize(norm, x, { gamma: ops.constant([1 / Math.sqrt(features)], [1]) }).y };
        }
        const least = guard === "square" ? Math.sqrt(epsilon) : epsilon;
        return { y: ops.div(x, ops.max(lengthOf(ops, x, axes), least)) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** (Σ sizeᵖ)^(1/p), or the largest; divided by the largest first, so that no power overflows. */
function powerLength<T>(ops: Ops<T>, sizes: T, axes: readonly number[], order: number): T {
  const top = ops.max(ops.largest(sizes, axes), 1e-30);
  if (order === Number.POSITIVE_INFINITY) {
    const reached = ops.where(ops.greater(top, sizes), 0, ops.constant([1], [1]));
    return ops.div(ops.sum(ops.mul(sizes, reached), axes), ops.max(ops.sum(reached, axes), 1));
  }
  const powers = ops.pow(ops.div(sizes, top), order);
  // the root's derivative is infinite at 0
  return ops.mul(ops.pow(ops.max(ops.sum(powers, axes), 1e-30), 1 / order), top);
}
