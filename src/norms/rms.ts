/**
 * RMS normalization: layer normalization without the mean.
 *
 *     y = x / √(mean(x²) + epsilon) · gamma (+ beta)
 *
 * Zhang & Sennrich 2019, arXiv 1910.07467. Axes as in layer.ts.
 */
import { type LayerNormOptions, planFeatures } from "./layer.js";
import { checkEpsilon, coreNorm, keepingLast } from "./norm.js";

/** No beta unless `center` is set. Throws RangeError for an epsilon below 0; its `plan` for axes that the array does not have. */
export const rmsNorm = coreNorm(
  {
    name: "rmsNorm",
    title: "RMS normalization",
    summary: "layer normalization without the mean; the usual one of large language models",
    paper: "Zhang & Sennrich 2019, arXiv 1910.07467",
    takes: "features",
  },
  ({ axis = -1, epsilon = 1e-5 }: LayerNormOptions) => {
    checkEpsilon("rmsNorm", epsilon);
    return { epsilon, centered: false, plan: keepingLast((shape) => planFeatures("rmsNorm", shape, axis)) };
  },
  { scale: true, center: false },
);
