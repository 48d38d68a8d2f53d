/**
 * RMS normalization: layer normalization without the mean.
 *
 *     y = x / √(mean(x²) + epsilon) · (offset + gamma) (+ beta)
 *
 * Zhang & Sennrich 2019, arXiv 1910.07467. Axes as in layer.ts. Language models differ in two ways: Gemma's gamma is stored
 * minus 1 (offset 1), and Llama rounds to the model's type before multiplying by gamma, Gemma after.
 */
import { checkEpsilon } from "../formula/checks.js";
import type { FeatureOptions } from "../formula/features.js";
import { planFeatures } from "../formula/features.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import type { NarrowType } from "../formula/ops.js";
import { type FusedNorm, memoizeLast } from "../formula/plan.js";
import { affine } from "../formula/terms.js";
import type { Settled } from "../options.js";

/** Options of `rmsNorm`. */
export interface RMSNormOptions extends FeatureOptions, AffineOptions {
  /** Added to gamma, which is initialized to 1 − offset: 0 (default), or 1 (Gemma). */
  offset?: number;
  /** The model's type, to which y is rounded; statistics are always float32. Default float32: nothing is rounded. */
  type?: "float32" | NarrowType;
  /** Whether xHat is also rounded before the product with gamma (`before`, Llama), or only y is (`after`, default, Gemma). */
  cast?: "before" | "after";
}

const gemma = { epsilon: 1e-6, offset: 1, cast: "after" } as const;

/**
 * Options of models' norms; add the model's `type`, and the epsilon of its configuration if it is not this one. Qwen3-Next's,
 * centred at 0, is Gemma's. `pixel` is PixelNorm (Karras et al. 2018, arXiv 1710.10196), over the channels of each position.
 */
export const rmsPresets = {
  llama: { epsilon: 1e-6, cast: "before" },
  gemma,
  qwen3Next: gemma,
  olmo2: { epsilon: 1e-6, cast: "after" },
  pixel: { epsilon: 1e-8, scale: false },
} as const satisfies Record<string, RMSNormOptions>;

/**
 * x [..., features], y of its shape. Weights: gamma [features]; beta [features] only if `center` is set.
 * @throws RangeError for options out of range; when called, for axes that x does not have
 */
export const rmsNorm = normalization(
  {
    name: "rmsNorm",
    title: "RMS normalization",
    summary: "layer normalization without the mean; standard in large language models",
    paper: "Zhang & Sennrich 2019, arXiv 1910.07467",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-5, offset: 0, type: "float32", cast: "after", ...affineDefaults, center: false },
  ({ axis, epsilon, offset, type, cast, ...options }: Settled<RMSNormOptions>) => {
    checkEpsilon("rmsNorm", epsilon);
    if (!["float32", "float16", "bfloat16"].includes(type)) {
      throw new RangeError(`rmsNorm: type must be "float32", "float16" or "bfloat16", got "${type}"`);
    }
    if (!Number.isFinite(offset)) {
      throw new RangeError(`rmsNorm: offset must be a finite number, got ${offset}`);
    }
    if (cast !== "before" && cast !== "after") {
      throw new RangeError(`rmsNorm: cast must be "before" or "after", got "${cast}"`);
    }
    const plan = memoizeLast((shape) => planFeatures("rmsNorm", shape, axis));
    const norm: FusedNorm = { name: "rmsNorm", epsilon, centered: false, plan };
    const rounds = type !== "float32";
    return {
      // a plan marks norms that are the fused operation alone
      ...(offset === 0 && !rounds && norm),
      handles: { mask: !rounds, residual: !rounds },
      weights(shape: readonly number[]) {
        const { parameterShape } = plan(shape);
        const { beta, gamma } = affineWeights(parameterShape, options);
        return { ...(gamma && { gamma: trained(parameterShape, 1 - offset) }), ...(beta && { beta }) };
      },
      apply(ops, [x], { gamma, beta }, { mask, residual }) {
        const factor = gamma !== undefined && offset !== 0 ? ops.add(gamma, offset) : gamma;
        if (!rounds) return ops.normalize(norm, x, { gamma: factor, beta, mask, residual });
        const { y: xHat } = ops.normalize(norm, x);
        const hat = cast === "before" ? ops.rounded(xHat, type) : xHat;
        const { parameters } = plan(ops.shape(x));
        return { y: ops.rounded(affine(ops, hat, parameters, factor, beta), type) };
      },
    } as FusedNorm & Omit<Normalization, "name">;
  },
);
