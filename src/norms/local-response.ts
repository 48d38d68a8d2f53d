/**
 * Local response normalization: each value is divided by the energy of its neighbours on the channel axis.
 *
 *     y = x / (k + alpha/size · Σ x²)^beta        Σ over a window of `size` channels around each, zeros beyond the ends
 *
 * Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks" (section 3.3).
 * Axes: sums run along the channel axis, per position. No mean is subtracted; k serves as
 * epsilon. The paper and TensorFlow do not divide alpha by size (`alphaPer: "value"`); PyTorch, MXNet and ONNX do. A window
 * of even size has one more channel before than after, as in PyTorch.
 */
import { channelAxis } from "../formula/channels.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { axesExcept, square, windowSum } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis } from "../shape.js";

/** Options of `localResponseNorm`. */
export interface LocalResponseNormOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Channels in a window, including the centre. Default 5 (TensorFlow: 2·depth_radius + 1; MXNet: nsize). */
  size?: number;
  /** Factor of the sum of squares. Default 1e-4. */
  alpha?: number;
  /** The exponent. Default 0.75. */
  beta?: number;
  /** Added to the sum; above 0. Default 1 (TensorFlow: bias; MXNet: knorm, 2; the paper has 2). */
  k?: number;
  /** Whether alpha multiplies the mean of x² over the `window` (default, PyTorch), or each `value`, the sum (the paper, TensorFlow). */
  alphaPer?: "window" | "value";
}

/** Below any k/unit² that float32 distinguishes from 0. */
const LEAST = 1e-37;

/**
 * x [batch, ..., channels], y of its shape; no weights.
 * @throws RangeError for options out of range; when called, for the batch axis as `axis`
 */
export const localResponseNorm = normalization(
  {
    name: "localResponseNorm",
    title: "Local response normalization",
    summary: "divides each value by its neighbouring channels' energy; for AlexNet and GoogLeNet as trained",
    paper: "Krizhevsky, Sutskever & Hinton 2012",
    takes: "features",
  },
  { axis: -1, size: 5, alpha: 1e-4, beta: 0.75, k: 1, alphaPer: "window" },
  ({ axis, size, alpha, beta, k, alphaPer }: Settled<LocalResponseNormOptions>) => {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`localResponseNorm: size must be an integer of at least 1, got ${size}`);
    }
    if (!(alpha >= 0) || !Number.isFinite(alpha)) {
      throw new RangeError(`localResponseNorm: alpha must be a finite number of at least 0, got ${alpha}`);
    }
    if (!Number.isFinite(beta)) {
      throw new RangeError(`localResponseNorm: beta, the exponent, must be a finite number, got ${beta}`);
    }
    if (!(k > 0) || !Number.isFinite(k)) {
      throw new RangeError(`localResponseNorm: k must be a finite number above 0, got ${k}`);
    }
    if (alphaPer !== "window" && alphaPer !== "value") {
      throw new RangeError(`localResponseNorm: alphaPer must be "window" or "value", got "${alphaPer}"`);
    }
    const [before, after] = [Math.floor(size / 2), Math.floor((size - 1) / 2)];
    return {
      weights(shape) {
        channelAxis("localResponseNorm", shape, axis);
        return {};
      },
      apply(ops, [x]) {
        const channel = resolveAxis("localResponseNorm", axis, ops.shape(x).length);
        // in units of the largest value, at least 1, so that neither a square nor k leaves float32's range
        const axes = axesExcept(ops.shape(x).length, 0);
        const unit = ops.max(ops.largest(ops.abs(x), axes), 1);
        const inverse = ops.div(1, unit);
        const scaled = ops.mul(x, inverse);
        const power = windowSum(ops, square(ops, scaled), channel, before, after);
        const weighed = ops.mul(power, alphaPer === "window" ? alpha / size : alpha);
        // where alpha is 0, or x, k/unit² may underflow to 0
        const least = ops.max(ops.mul(ops.mul(inverse, inverse), k), LEAST);
        const divisor = ops.pow(ops.add(weighed, least), -beta);
        return { y: ops.mul(ops.mul(scaled, ops.pow(unit, 1 - 2 * beta)), divisor) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
