/**
 * Local response normalization: each value by the power of its neighbours on the channel axis.
 *
 *     y = x / (k + alpha/size · Σ x²)^beta        Σ over a window of `size` channels around each, zeros beyond the ends
 *
 * Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks" (section 3.3).
 * Axes: sums run along the channel axis, at each position by itself. No mean is taken out; k stands in the place of
 * epsilon. The paper and TensorFlow do not divide alpha by size (`alphaPer: "value"`); PyTorch, MXNet and ONNX do. A window
 * of even size has one more channel before than after, as in PyTorch.
 */
import { channelAxis } from "../formula/channels.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { axesBut, square, windowSum } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { resolveAxis } from "../shape.js";

export interface LocalResponseNormOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Channels in a window, each one's own among them. Default 5 (TensorFlow: 2·depth_radius + 1; MXNet: nsize). */
  size?: number;
  /** Default 1e-4. */
  alpha?: number;
  /** The exponent. Default 0.75. */
  beta?: number;
  /** What is added, above 0. Default 1 (TensorFlow: bias; MXNet: knorm, 2; the paper has 2). */
  k?: number;
  /** What alpha weighs: the `window`'s mean of x² (default, as in PyTorch), or the sum, each `value` (the paper, TensorFlow). */
  alphaPer?: "window" | "value";
}

/** Below the least k/unit² that float32 tells from 0. */
const LEAST = 1e-37;

/** @throws RangeError where an option has a value that it cannot have, or axis is the batch's. */
export const localResponseNorm = normalization(
  {
    name: "localResponseNorm",
    title: "Local response normalization",
    summary: "each value by its neighbouring channels; for AlexNet and GoogLeNet as they were trained",
    paper: "Krizhevsky, Sutskever & Hinton 2012",
    takes: "features",
  },
  { axis: -1, size: 5, alpha: 1e-4, beta: 0.75, k: 1, alphaPer: "window" },
  ({ axis, size, alpha, beta, k, alphaPer }: Settled<LocalResponseNormOptions>) => {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`localResponseNorm: size must be a whole number of at least 1, got ${size}`);
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
        // in units of the largest value, so that no square leaves float32's range; of 1 at least, so that k does not
        const axes = axesBut(ops.shape(x).length, 0);
        const unit = ops.max(ops.largest(ops.abs(x), axes), 1);
        const scaled = ops.div(x, unit);
        const power = windowSum(ops, square(ops, scaled), channel, before, after);
        const weighed = ops.mul(power, alphaPer === "window" ? alpha / size : alpha);
        const divisor = ops.add(weighed, ops.div(ops.div(k, unit), unit));
        // where alpha is 0 and k/unit² is below float32's range, x is divided by nothing that could be told from 0
        const factor = ops.mul(ops.pow(ops.max(divisor, LEAST), -beta), ops.pow(unit, 1 - 2 * beta));
        return { y: ops.mul(scaled, factor) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
