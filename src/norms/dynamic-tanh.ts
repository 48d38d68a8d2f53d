/**
 * Dynamic tanh: a squashing of each value in the place of statistics.
 *
 *     y = tanh(alpha · x) · gamma + beta        alpha one learned number
 *
 * Zhu, Chen, He, LeCun & Liu 2025, arXiv 2503.10622. Axes: none is reduced; gamma and beta are per feature (`axis`).
 */
import { planFeatures } from "./layer.js";
import { type AffineOptions, affineWeights } from "./norm.js";
import { type Normalization, normalization, trained } from "./normalization.js";
import { affine } from "./ops.js";

export interface DynamicTanhOptions extends AffineOptions {
  /** The axis, or axes, of the features; negative ones count from the end. Default −1. */
  axis?: number | readonly number[];
  /** What alpha starts with. Default 0.5; the paper takes more for attention in large language models. */
  alpha?: number;
}

/** Throws RangeError for axes that the array does not have. */
export const dynamicTanh = normalization(
  {
    name: "dynamicTanh",
    title: "Dynamic tanh",
    summary: "a learned tanh in the place of layer normalization; no statistics at all",
    paper: "Zhu et al. 2025, arXiv 2503.10622",
    takes: "features",
  },
  ({ axis = -1, alpha = 0.5, ...options }: DynamicTanhOptions) =>
    ({
      weights: (shape) => ({
        alpha: trained([1], alpha),
        ...affineWeights(planFeatures("dynamicTanh", shape, axis).parameterShape, options),
      }),
      apply(ops, [x], { alpha, gamma, beta }) {
        const { parameters } = planFeatures("dynamicTanh", ops.shape(x), axis);
        return { y: affine(ops, ops.tanh(ops.mul(x, alpha)), parameters, gamma, beta) };
      },
    }) satisfies Omit<Normalization, "name">,
);
