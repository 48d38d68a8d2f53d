/** What a norm measures, as a normalization of its own: mean and variance with gradients. */
import type { Normalization } from "./normalization.js";
import type { Ops } from "./ops.js";
import type { FusedNorm } from "./plan.js";
import { broadcastMask, moments, square } from "./terms.js";

/**
 * What a norm measures of x, as a normalization that any host's `apply` runs: the mean and, beside it (`more`), the biased
 * variance, of the norm's `plan(shape).statisticsShape`; of a norm that centres nothing (RMS) the mean square alone.
 * @throws TypeError for what is not the one operation with a plan of its own: those are `layerNorm`, `rmsNorm`, `batchNorm`, ...
 */
export function statisticsOf(norm: FusedNorm): Normalization {
  if (typeof norm?.plan !== "function") {
    throw new TypeError(
      "statisticsOf: expected a norm with a plan, such as groupNorm(), got " +
        `${(norm as { name?: string } | undefined)?.name ?? typeof norm}; other normalizations measure otherwise, or nothing`,
    );
  }
  return {
    name: `statistics of ${norm.name}`,
    handles: { mask: true },
    weights(shape) {
      norm.plan(shape);
      return {};
    },
    outputs(shape) {
      const { statisticsShape } = norm.plan(shape);
      return norm.centered ? [statisticsShape, statisticsShape] : [statisticsShape];
    },
    apply(ops, [x], _, { mask }) {
      const [y, ...more] = measured(ops, norm, x, mask);
      return { y, more };
    },
  };
}

/** Mean and variance, or the mean square, with gradients. */
function measured<T>(ops: Ops<T>, norm: FusedNorm, x: T, mask: T | undefined): T[] {
  const { statistics, statisticsShape, shape, order } = norm.plan(ops.shape(x));
  const { k1, r1, k2, r2 } = statistics;
  const seen = (values: T) => ops.reshape(order ? ops.transpose(values, order) : values, [k1, r1, k2, r2]);
  const counts = mask === undefined ? undefined : seen(broadcastMask(ops, mask, shape));
  const values = counts === undefined ? seen(x) : ops.where(counts, seen(x), 0);
  const { mean, variance } = moments(ops, norm.centered ? values : square(ops, values), [1, 3], counts);
  return (norm.centered ? [mean, variance] : [mean]).map((result) => ops.reshape(result, statisticsShape));
}
