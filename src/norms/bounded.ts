/**
 * Bounded norm: vectors that are too long (or too short) are rescaled to the bound, the others are unchanged.
 *
 *     y = x · (rate · bound + (1 − rate) · ‖x‖) / (‖x‖ + epsilon)        where ‖x‖ is beyond a bound; else y = x
 *
 * Srebro, Rennie & Jaakkola 2005; Srivastava et al. 2014 (max-norm), JMLR 15. Axes: the kept ones index vectors, the others
 * are reduced. Keras's MaxNorm, MinMaxNorm and UnitNorm, PyTorch's renorm and max_norm, the Poincaré ball of TensorFlow Addons.
 */
import { checkEpsilon, checkShape } from "../formula/checks.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { axesExcept, lengthOf } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxes } from "../shape.js";

/** Options of `boundedNorm`. */
export interface BoundedNormOptions {
  /** The axis or axes that index vectors; []: all of x is one vector. Default −1, the outputs of a kernel. */
  axis?: number | readonly number[];
  /** Lower bound of the length. Default 0. */
  least?: number;
  /** Upper bound of the length. Default 1. */
  most?: number;
  /** Fraction of the way to the bound that one call moves. Default 1. */
  rate?: number;
  /** Order of the norm ‖x‖: 2 (default) or 1. */
  order?: 1 | 2;
  /** Added to the length in the divisor. Default 1e-7 (Keras, PyTorch). */
  epsilon?: number;
}

/**
 * x is a weight of any shape, y has its shape; no weights of its own.
 * @throws RangeError for options out of range; when called, for axes that x does not have
 */
export const boundedNorm = normalization(
  {
    name: "boundedNorm",
    title: "Bounded norm",
    summary: "rescales vectors beyond an upper or lower bound: max-norm for weights and embeddings",
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
        const axes = axesExcept(shape.length, ...keptAxes(shape));
        const length = order === 1 ? ops.sum(ops.abs(x), axes) : lengthOf(ops, x, axes);
        const bounded = ops.min(ops.max(length, least), most);
        const target = ops.add(ops.mul(bounded, rate), ops.mul(length, 1 - rate));
        const scaled = ops.mul(x, ops.div(target, ops.max(ops.add(length, epsilon), LEAST)));
        const beyond = ops.max(ops.greater(length, most), ops.greater(least, length));
        return { y: ops.where(beyond, scaled, x) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** Above 0 in float32, if epsilon is not: a length of 0 is divided by. */
const LEAST = 1e-30;
