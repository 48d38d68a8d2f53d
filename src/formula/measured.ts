/** A norm's statistics as a normalization of their own: mean and variance with gradients. */
import { meanOf, mergedMoments, varianceOf } from "./merging.js";
import type { Normalization } from "./normalization.js";
import type { Merge, Ops } from "./ops.js";
import type { FusedNorm } from "./plan.js";
import { broadcastMask, moments, square } from "./terms.js";

/**
 * The statistics that a norm measures, as a normalization for any host's `apply`: y is the mean, `more[0]` the biased variance,
 * each of the norm's `plan(shape).statisticsShape`; for a norm without centring (RMS) y is the mean square. No weights.
 * @throws TypeError for a norm without a plan; `layerNorm`, `rmsNorm`, `batchNorm`, `groupNorm`, ... have one
 */
export function statisticsOf(norm: FusedNorm): Normalization {
  if (typeof norm?.plan !== "function") {
    throw new TypeError(
      "statisticsOf: expected a norm with a plan, such as groupNorm(), got " +
        `${(norm as { name?: string } | undefined)?.name ?? typeof norm}; other normalizations measure differently, or nothing`,
    );
  }
  return {
    name: `statistics of ${norm.name}`,
    handles: { mask: true, merge: (norm as Partial<Normalization>).handles?.merge },
    weights(shape) {
      norm.plan(shape);
      return {};
    },
    outputs(shape) {
      const { statisticsShape } = norm.plan(shape);
      return norm.centered ? [statisticsShape, statisticsShape] : [statisticsShape];
    },
    apply(ops, [x], _, { mask, merge }) {
      const [y, ...more] = measured(ops, norm, x, mask, merge);
      return { y, more };
    },
  };
}

/** Mean and variance, or the mean square. */
function measured<T>(
  ops: Ops<T>,
  norm: FusedNorm,
  x: T,
  mask: T | undefined,
  merge: Merge<T> | undefined,
): T[] {
  const { statistics, statisticsShape, shape, order } = norm.plan(ops.shape(x));
  const { k1, r1, k2, r2 } = statistics;
  const viewed = (values: T) => ops.reshape(order ? ops.transpose(values, order) : values, [k1, r1, k2, r2]);
  const fullMask = mask === undefined ? undefined : viewed(broadcastMask(ops, mask, shape));
  const values = fullMask === undefined ? viewed(x) : ops.where(fullMask, viewed(x), 0);
  const reshaped = (results: T[]) => results.map((result) => ops.reshape(result, statisticsShape));
  if (merge !== undefined) {
    const all = mergedMoments(ops, values, [1, 3], merge, fullMask);
    return reshaped([meanOf(ops, all), varianceOf(ops, all)]);
  }
  const { mean, variance } = moments(ops, norm.centered ? values : square(ops, values), [1, 3], fullMask);
  return reshaped(norm.centered ? [mean, variance] : [mean]);
}
