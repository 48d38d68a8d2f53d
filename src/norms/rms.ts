/**
 * RMS normalization: layer normalization without the mean.
 *
 *     y = x / √(mean(x²) + epsilon) · gamma (+ beta)
 *
 * Zhang & Sennrich 2019, arXiv 1910.07467. Axes as in layer.ts.
 */
import { type LayerNormOptions, planFeatures } from "./layer.js";
import { checkEpsilon, keepingLast, type Norm } from "./norm.js";

/** @throws RangeError for an epsilon below 0; its `plan` throws for axes that the array does not have. */
export function rmsNorm({ axis = -1, epsilon = 1e-5 }: LayerNormOptions = {}): Norm {
  checkEpsilon("rmsNorm", epsilon);
  return {
    name: "rmsNorm",
    epsilon,
    centered: false,
    plan: keepingLast((shape) => planFeatures("rmsNorm", shape, axis)),
  };
}
