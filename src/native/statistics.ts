/** What a norm measures of an array, without a framework and with gradients. */
import { statisticsOf } from "../formula/measured.js";
import type { FusedNorm } from "../formula/plan.js";
import type { Mask } from "../mask.js";
import { checkOptions } from "../options.js";
import { sizeOf } from "../shape.js";
import { apply, checkBackend } from "./apply.js";
import { BackendArray, type PlainArray } from "./array.js";
import type { Evenkeel } from "./evenkeel.js";

/** The statistics of an array, as plain arrays. */
export interface Statistics<T extends PlainArray> {
  /** Of the norm's statisticsShape, such as [batch, groups]; absent for a norm that subtracts no mean (RMS). */
  readonly mean?: PlainArray;
  /** The same shape: the biased variance, or the mean square where no mean is subtracted. */
  readonly variance: PlainArray;
  /**
   * dx from the gradients of the statistics, each of their shape; one that is left out is 0. It may be called once. dx lives where x
   * lives.
   */
  backward(gradients: { dMean?: PlainArray; dVariance?: PlainArray }): T;
}

/**
 * The statistics by which a norm would normalize x: `statistics(ek, groupNorm({ groups: 8 }), x).variance`. The norm is one that is the
 * fused operation, such as `layerNorm` or `rmsNorm`; of batch normalization they are the batch's own statistics.
 * @param options `mask`: which positions count, as in `forward`
 * @throws TypeError for a normalization without a plan of its own, or what is not a backend or an array; RangeError where the shape of
 * x does not fit
 */
export function statistics<T extends PlainArray>(
  ek: Evenkeel,
  norm: FusedNorm,
  x: T,
  options: { mask?: Mask } = {},
): Statistics<T> {
  checkBackend("statistics", ek);
  checkOptions("statistics", options, ["mask"]);
  const { mask } = options;
  const run = () => apply(ek, statisticsOf(norm), x, {}, { mask });
  const applied = run();
  const left = ({ y, more: others }: typeof applied) => {
    for (const array of [y, ...others]) if (array instanceof BackendArray) array.dispose();
  };
  const copies = () => {
    try {
      return [applied.y, ...applied.more].map((array) => copied(ek, array));
    } finally {
      left(applied);
      applied.release();
    }
  };
  const [first, ...more] = copies();
  const none = (): PlainArray => ({ shape: first.shape, data: new Float64Array(sizeOf(first.shape)) });
  return {
    ...(norm.centered && { mean: first }),
    variance: norm.centered ? more[0] : first,
    backward(gradients) {
      checkOptions("statistics: backward", gradients, norm.centered ? ["dMean", "dVariance"] : ["dVariance"]);
      const { dMean = none(), dVariance } = gradients;
      const [dy, ...dMore] = norm.centered
        ? [dMean, dVariance]
        : [dVariance === undefined ? none() : dVariance];
      // measured again: nothing is kept for a gradient that few ask for
      const again = run();
      left(again);
      try {
        return again.backward(dy as T, { dMore }).dx;
      } finally {
        again.release();
      }
    },
  };
}

/** A plain copy, of an array of half the bytes too. */
function copied(ek: Evenkeel, array: PlainArray): PlainArray {
  const { shape } = array;
  if (!(array instanceof BackendArray) || array.type === "float32")
    return { shape, data: array.data.slice() };
  const wide = ek.cast(array, "float32");
  try {
    return { shape, data: wide.data.slice() };
  } finally {
    wide.dispose();
  }
}
