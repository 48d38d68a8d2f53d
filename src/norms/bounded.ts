/**
 * Bounded norm: vectors that are too long (or too short) are brought to the bound, the others are left as they are.
 *
 *     y = x · (rate · bound + (1 − rate) · ‖x‖) / (‖x‖ + epsilon)        where ‖x‖ is beyond a bound; else y = x
 *
 * Srebro, Rennie & Jaakkola 2005; Srivastava et al. 2014 (max-norm), JMLR 15. Axes: those kept tell vectors apart, the others
 * are reduced. Keras's MaxNorm, MinMaxNorm and UnitNorm, PyTorch's renorm and max_norm, the Poincaré ball of TensorFlow Addons.
 */
import { checkEpsilon, checkShape } from "../formula/checks.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { axesBut, lengthOf } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxes } from "../shape.js";

export interface BoundedNormOptions {
  /** The axis, or axes, that tell vectors apart; none: all of x is one vector. Default −1, the outputs of a kernel. */
  axis?: number | readonly number[];
  /** The least length. Default 0. */
  least?: number;
  /** The greatest length. Default 1. */
  most?: number;
  /** How much of the way to the bound is gone at once. Default 1. */
  rate?: number;
  /** Of the length: 2 (default), from squares, or 1, from absolute values. */
  order?: 1 | 2;
  /** Added to the length that is divided by. Default 1e-7 (Keras, PyTorch). */
  epsilon?: number;
}

/** Throws RangeError for options out of range, and for axes that the array does not have. */
export const boundedNorm = normalization(
  {
    name: "boundedNorm",
    title: "Bounded norm",
    summary: "vectors no longer (or shorter) than a bound: max-norm for weights and embeddings",
    paper: "Srivastava et al. 2014, JMLR 15",
    takes: "weight",
  },
  { axis: -1, least: 0, most: 1, rate: 1, order: 2, epsilon: 1e-7 },
  ({ axis, least, most, rate, order, epsilon }: Settled<BoundedNormOptions>) => {
    checkEpsilon("boundedNorm", epsilon);
    if (!(least >= 0 && most > 0 && least <= most)) {
      throw new RangeError(
        `boundedNorm: least and most must be lengths with 0 <= least <= most, got ${least} and ${most}`,
      );
    }
    if (!(rate >= 0 && rate <= 1)) {
      throw new RangeError(`boundedNorm: rate must be from 0 to 1, got ${rate}`);
    }
    if (order !== 1 && order !== 2) throw new RangeError(`boundedNorm: order must be 1 or 2, got ${order}`);
    const keptAxes = (shape: readonly number[]) => {
      checkShape("boundedNorm", shape, ["values"]);
      return resolveAxes("boundedNorm", axis, shape.length);
    };
    return {
      weights(shape) {
        keptAxes(shape);
        return {};
      },
      apply(ops, [x]) {
        const shape = ops.shape(x);
        const axes = axesBut(shape.length, ...keptAxes(shape));
        const length = order === 1 ? ops.sum(ops.abs(x), axes) : lengthOf(ops, x, axes);
        const bounded = ops.min(ops.max(length, least), most);
        const wanted = ops.add(ops.mul(bounded, rate), ops.mul(length, 1 - rate));
        const scaled = ops.mul(x, ops.div(wanted, ops.add(length, epsilon)));
        const beyond = ops.max(ops.greater(length, most), ops.greater(least, length));
        return { y: ops.where(beyond, scaled, x) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
