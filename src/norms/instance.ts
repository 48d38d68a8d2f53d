/**
 * Instance normalization: statistics of each channel of each example over its positions, parameters per channel.
 *
 *     y = (x − mean) / √(variance + epsilon) · gamma + beta        variance biased
 *
 * Ulyanov, Vedaldi & Lempitsky 2016, arXiv 1607.08022. Axes: batch and channel are kept, positions are reduced.
 */
import { resolveAxis } from "../view.js";
import type { ChannelOptions } from "./batch.js";
import { checkCount, checkEpsilon, checkShape, coreNorm, keepingLast, planOf } from "./norm.js";

/** @throws RangeError for an epsilon below 0; its `plan` throws for arrays without positions, or with one position only. */
export const instanceNorm = coreNorm(
  {
    name: "instanceNorm",
    title: "Instance normalization",
    summary: "each channel of each example over its positions; takes contrast and style out of images",
    paper: "Ulyanov, Vedaldi & Lempitsky 2016, arXiv 1607.08022",
    takes: "positions",
  },
  ({ axis = -1, epsilon = 1e-5 }: ChannelOptions) => {
    checkEpsilon("instanceNorm", epsilon);
    return {
      epsilon,
      centered: true,
      plan: keepingLast((shape) => {
        checkShape("instanceNorm", shape, 3, "batch, channels and at least one of positions");
        const channel = resolveAxis("instanceNorm", axis, shape.length);
        if (channel === 0) {
          throw new RangeError(
            "instanceNorm: axis must name the channels, got 0, which is the batch axis; use 1 or -1",
          );
        }
        const plan = planOf(shape, shape, [0, channel], [channel]);
        checkCount("instanceNorm", plan, "use layer or group normalization for a single position");
        return plan;
      }),
    };
  },
);
