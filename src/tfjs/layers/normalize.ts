/** The operation as a function, also over a batch that lies in several places. */
import type * as tf from "@tensorflow/tfjs-core";
import { affineWeights } from "../../formula/fused-norm.js";
import { standardizing } from "../../formula/merging.js";
import type { Normalization } from "../../formula/normalization.js";
import type { FusedNorm } from "../../formula/plan.js";
import { checkReduce, type Reduce } from "../../moments.js";
import { checkOptions, parameterNames } from "../../options.js";
import {
  type Normalized,
  type NormalizeParameters,
  normalize as normalizeHere,
  PARAMETERS,
} from "../kernels/normalize.js";
import { apply } from "./apply.js";

/** Optional operands of `normalize`, and what merges moments. */
export interface NormalizeOverParameters extends NormalizeParameters {
  /**
   * Merges the moments of a batch that lies in several places, in the forward pass and in the backward pass, and answers at once: for
   * norms that measure the batch, such as `batchNorm()`; others ignore it. There are no second derivatives then.
   */
  reduce?: Reduce;
}

/**
 * Normalizes a tensor of any rank; differentiable, second derivatives included.
 * @param norm a normalization with one mean and variance, such as `layerNorm()` or `groupNorm({ groups: 8 })`
 * @param x of any type, cast to float32
 * @throws TypeError for what is not a norm or a tensor, for an unknown parameter, and where mean and variance
 * are not given together, or a mean to an RMS norm; RangeError
 * where the shape of x, the residual, gamma, beta, a given statistic or the mask does not fit the norm
 */
export function normalize(norm: FusedNorm, x: tf.Tensor, options: NormalizeOverParameters = {}): Normalized {
  checkOptions("normalize", options, [...PARAMETERS, "reduce"], parameterNames);
  const { reduce, ...parameters } = options;
  checkReduce("normalize", reduce);
  const { gamma, beta, variance, mask, residual } = parameters;
  const measures = (norm as Partial<Normalization> | undefined)?.handles?.merge === true;
  if (reduce === undefined || !measures || variance !== undefined) return normalizeHere(norm, x, parameters);
  const weights = { ...(gamma && { gamma }), ...(beta && { beta }) };
  const { y, sum, more } = apply(overPlaces(norm, gamma !== undefined, beta !== undefined), x, weights, {
    mask,
    residual,
    reduce,
  });
  const [mean, merged] = more as tf.Tensor[];
  return { y, ...(sum && { sum }), mean, variance: merged };
}

const made = new WeakMap<FusedNorm, Map<string, Normalization>>();

/** The operation as a normalization, the same object for the same norm. */
function overPlaces(norm: FusedNorm, scale: boolean, center: boolean): Normalization {
  const own = made.get(norm) ?? new Map<string, Normalization>();
  made.set(norm, own);
  const key = `${scale} ${center}`;
  const known = own.get(key);
  if (known) return known;
  const normalization: Normalization = {
    name: norm.name,
    handles: { mask: true, residual: true, merge: true },
    weights: (shape) => affineWeights(norm.plan(shape).parameterShape, { scale, center }),
    outputs(shape) {
      const { statisticsShape } = norm.plan(shape);
      return [shape, statisticsShape, statisticsShape];
    },
    apply(ops, [x], { gamma, beta }, { mask, residual, merge }) {
      const { y, sum, mean, variance } = ops.normalize(norm, x, {
        gamma,
        beta,
        mask,
        residual,
        standardize: standardizing(merge),
      });
      return { y, sum, more: [mean as typeof x, variance as typeof x] };
    },
  };
  own.set(key, normalization);
  return normalization;
}
