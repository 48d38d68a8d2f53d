/**
 * Batch normalization: statistics of each channel over the batch and all positions, parameters per channel.
 *
 *     training:     y = (x − mean) / √(variance + epsilon) · gamma + beta        variance biased
 *     evaluation:   the same with running statistics in place of the batch's
 *
 * Ioffe & Szegedy 2015, arXiv 1502.03167. Axes: the channel axis is kept, every other one is reduced.
 */
import { resolveAxis } from "../view.js";
import { checkEpsilon, checkShape, keepingLast, type Norm, planOf } from "./norm.js";

export interface ChannelOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Default 1e-5 (PyTorch, ONNX, MXNet; Keras has 1e-3). */
  epsilon?: number;
}

/** @throws RangeError for an epsilon below 0; its `plan` throws for an axis that the array does not have. */
export function batchNorm({ axis = -1, epsilon = 1e-5 }: ChannelOptions = {}): Norm {
  checkEpsilon("batchNorm", epsilon);
  return {
    name: "batchNorm",
    epsilon,
    centered: true,
    plan: keepingLast((shape) => {
      checkShape("batchNorm", shape, 2, "batch and channels");
      const channels = [resolveAxis("batchNorm", axis, shape.length)];
      return planOf(shape, shape, channels, channels);
    }),
  };
}
