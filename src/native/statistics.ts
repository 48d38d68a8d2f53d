/** What a norm measures of an array, without a framework and with gradients. */
import { statisticsOf } from "../formula/measured.js";
import type { FusedNorm } from "../formula/plan.js";
import type { Mask } from "../mask.js";
import { checkOptions } from "../options.js";
import { sizeOf } from "../shape.js";
import { apply } from "./apply.js";
import { BackendArray, type PlainArray } from "./array.js";
import type { Evenkeel } from "./evenkeel.js";

export interface Statistics<T extends PlainArray> {
  /** Of the norm's statisticsShape, such as [batch, groups]; absent where the norm centres nothing (RMS). */
  readonly mean?: PlainArray;
  /** The same shape: the biased variance, or the mean square where nothing is centred. */
  readonly variance: PlainArray;
  /** dx from the gradients of the statistics; those that are left out are 0. Once; dx lives where x lives. */
  backward(gradients: { dMean?: PlainArray; dVariance?: PlainArray }): T;
}

/**
 * The statistics of x that this norm would normalize it by: `statistics(ek, groupNorm({ groups: 8 }), x).variance`. Of any norm
 * that is the one operation; of batch normalization they are the batch's own.
 * @throws TypeError for a normalization without a plan of its own, RangeError where the shape of x does not fit
 */
export function statistics<T extends PlainArray>(
  ek: Evenkeel,
  norm: FusedNorm,
  x: T,
  options: { mask?: Mask } = {},
): Statistics<T> {
  checkOptions("statistics", options, ["mask"]);
  const { mask } = options;
  const applied = apply(ek, statisticsOf(norm), x, {}, { mask });
  const [first, ...more] = [applied.y, ...applied.more].map(({ shape, data }) => ({
    shape,
    data: data.slice(),
  }));
  for (const array of [applied.y, ...applied.more]) if (array instanceof BackendArray) array.dispose();
  const none = (): PlainArray => ({ shape: first.shape, data: new Float64Array(sizeOf(first.shape)) });
  return {
    ...(norm.centered && { mean: first }),
    variance: norm.centered ? more[0] : first,
    backward({ dMean, dVariance }) {
      const [dy, ...dMore] = norm.centered ? [dMean ?? none(), dVariance] : [dVariance ?? none()];
      return applied.backward(dy as T, { dMore }).dx;
    },
  };
}
