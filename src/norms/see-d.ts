/**
 * SeeDNorm, self-rescaled dynamic normalization: RMS normalization whose factor depends on the input, its length included.
 *
 *     y = x / √(mean(x²) + epsilon) · (gamma + alpha · tanh(Σ x·kernel))        Σ over the features; the paper's β is the kernel
 *
 * Cai, Zhu, Liu & Min 2025, arXiv 2510.22777. Axes as in layer.ts: the feature axes are reduced, in the mean square and in the sum;
 * gamma, alpha and kernel are per feature. Epsilon is inside the root.
 */
import { checkEpsilon } from "../formula/checks.js";
import { type FeatureOptions, planFeatures } from "../formula/features.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import { type FusedNorm, memoizeLast, oneParameter } from "../formula/plan.js";
import type { Settled } from "../options.js";
import { resolveAxes } from "../shape.js";

const NAME = "seeDNorm";

/**
 * x [..., features], y of its shape. Weights: gamma [features], initialized to 1; alpha [features], to 1; kernel [features], to 0, so
 * that y starts as RMS normalization.
 * @throws RangeError for a negative epsilon; when called, for axes that x does not have
 */
export const seeDNorm = normalization(
  {
    name: NAME,
    title: "SeeDNorm",
    summary: "RMS normalization whose factor depends on the input, so that its length is not lost",
    paper: "Cai et al. 2025, arXiv 2510.22777",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-6 },
  ({ axis, epsilon }: Settled<FeatureOptions>) => {
    checkEpsilon(NAME, epsilon);
    const ofFeatures = memoizeLast((shape) => planFeatures(NAME, shape, axis));
    const plan = memoizeLast((shape) => oneParameter(ofFeatures(shape)));
    const norm: FusedNorm = { name: NAME, epsilon, centered: false, plan };
    return {
      weights(shape) {
        const { parameterShape } = ofFeatures(shape);
        return {
          gamma: trained(parameterShape, 1),
          alpha: trained(parameterShape, 1),
          kernel: trained(parameterShape, 0),
        };
      },
      apply(ops, [x], { gamma, alpha, kernel }, { mask }) {
        const shape = ops.shape(x);
        const features = resolveAxes(NAME, axis, shape.length);
        const perFeature = (values: typeof x) =>
          ops.reshape(
            values,
            shape.map((length, one) => (features.includes(one) ? length : 1)),
          );
        const { y: xHat } = ops.normalize(norm, x, { mask });
        const strength = ops.tanh(ops.sum(ops.mul(x, perFeature(kernel)), features));
        const factor = ops.add(ops.mul(strength, perFeature(alpha)), perFeature(gamma));
        return { y: ops.mul(xHat, factor) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
