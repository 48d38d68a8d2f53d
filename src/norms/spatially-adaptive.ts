/**
 * Spatially adaptive normalization (SPADE): gamma and beta are maps, one value for each element of x.
 *
 *     y = (x − mean) / √(variance + epsilon) · (offset + gamma) + beta        variance biased
 *
 *     statistics batch      of each channel over the batch and its positions; in evaluation running ones (formula/running.ts)
 *     statistics instance   of each channel of each example over its positions
 *     statistics group      of each group of channels of each example over its positions
 *
 * Park, Liu, Wang & Zhu 2019, arXiv 1903.07291, who compute the maps from a segmentation by convolutions, and add 1 to gamma in their
 * code. Axes: none is reduced for gamma and beta, which have the shape of x.
 */
import {
  type ChannelOptions,
  channelAxis,
  channelPlan,
  hasSingleValue,
  valuesPerChannel,
  WITH_POSITIONS,
} from "../formula/channels.js";
import { checkCount, checkEpsilon, checkFinite } from "../formula/checks.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { type FusedNorm, memoizeLast, oneParameter, planOf } from "../formula/plan.js";
import {
  checkRunning,
  type RunningOptions,
  runningDefaults,
  runningWeights,
  track,
} from "../formula/running.js";
import type { Settled } from "../options.js";
import { sameShape } from "../shape.js";

const NAME = "spatiallyAdaptiveNorm";

/** Options of `spatiallyAdaptiveNorm`. */
export interface SpatiallyAdaptiveNormOptions extends ChannelOptions, RunningOptions {
  /** What mean and variance run over. Default `batch`, as in the paper; `instance` for small batches, `group` as in MoVQ. */
  statistics?: "batch" | "instance" | "group";
  /** Groups of channels, with `group` statistics; must divide the channels. Default 32. */
  groups?: number;
  /** Added to gamma. Default 1, as in the authors' code: maps of 0 leave xHat unchanged. 0 where gamma is the factor itself. */
  offset?: number;
}

/**
 * Inputs [x, gamma, beta], each [batch, ..., channels]; y has their shape. No parameters: the maps are computed by layers of the
 * network. State: running statistics [channels], with `batch` statistics.
 * @throws RangeError for options out of range; when called, for maps of another shape than x; TypeError without them
 */
export const spatiallyAdaptiveNorm = normalization(
  {
    name: NAME,
    title: "Spatially adaptive normalization",
    summary:
      "gamma and beta are maps computed from a segmentation or another image (SPADE); for image synthesis",
    paper: "Park et al. 2019, arXiv 1903.07291",
    takes: "condition",
  },
  { axis: -1, epsilon: 1e-5, statistics: "batch", groups: 32, offset: 1, ...runningDefaults },
  ({ axis, epsilon, statistics, groups, offset, ...options }: Settled<SpatiallyAdaptiveNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    checkFinite(NAME, "offset", offset);
    if (statistics !== "batch" && statistics !== "instance" && statistics !== "group") {
      throw new RangeError(`${NAME}: statistics must be "batch", "instance" or "group", got "${statistics}"`);
    }
    if (!Number.isInteger(groups) || groups < 1) {
      throw new RangeError(`${NAME}: groups must be an integer of at least 1, got ${groups}`);
    }
    const running = checkRunning(NAME, options);
    const ofBatch = statistics === "batch";
    const byChannel: FusedNorm = { name: NAME, epsilon, centered: true, plan: channelPlan(NAME, axis) };
    const norm: FusedNorm = {
      ...byChannel,
      plan: memoizeLast((shape) => {
        const channel = channelAxis(NAME, shape, axis, ofBatch ? undefined : WITH_POSITIONS);
        const channels = shape[channel];
        const parts = statistics === "group" ? groups : channels;
        if (channels % parts !== 0) {
          throw new RangeError(
            `${NAME}: groups must divide the ${channels} channels of axis ${axis}, got ${parts}`,
          );
        }
        const viewed = [...shape.slice(0, channel), parts, channels / parts, ...shape.slice(channel + 1)];
        const plan = oneParameter(planOf(shape, viewed, ofBatch ? [channel] : [0, channel], []));
        if (!ofBatch) checkCount(NAME, plan, 'use statistics: "batch" for a single position');
        return plan;
      }),
    };
    const checkMaps = (shape: readonly number[], maps: readonly (readonly number[])[]) => {
      if (maps.length < 2) {
        throw new TypeError(
          `${NAME}: expected three inputs, x, gamma and beta, got ${1 + maps.length}; compute a map of each from the condition`,
        );
      }
      for (const [i, map] of maps.entries()) {
        if (sameShape(map, shape)) continue;
        throw new RangeError(
          `${NAME}: ${i === 0 ? "gamma" : "beta"} must have the shape of x, [${shape.join(", ")}], got [${map.join(", ")}]; ` +
            "resize the condition to the positions of x, and give the last convolution as many filters as x has channels",
        );
      }
    };
    return {
      weights(...[shape, ...maps]: (readonly number[])[]) {
        checkMaps(shape, maps);
        norm.plan(shape);
        return ofBatch ? runningWeights([shape[channelAxis(NAME, shape, axis)]], running) : {};
      },
      apply(ops, [x, map, beta], weights, { training, mask, warn }) {
        const shape = ops.shape(x);
        // by passes over elements, which are faster than the operation with a parameter for each
        const adapted = (xHat: typeof x) =>
          ops.add(ops.mul(xHat, offset === 0 ? map : ops.add(map, offset)), beta);
        if (ofBatch && !training) {
          const { runningMean: mean, runningVariance: variance } = weights;
          const { y: xHat } = ops.normalize(norm, x, { mean, variance, mask });
          return { y: adapted(xHat) };
        }
        const { y: xHat, mean, variance } = ops.normalize(norm, x, { mask });
        const y = adapted(xHat);
        if (!ofBatch) return { y };
        if (mean === undefined || variance === undefined)
          throw new Error(`${NAME}: the host measured nothing`);
        if (hasSingleValue(NAME, byChannel, shape, warn)) return { y };
        const count = valuesPerChannel(ops, byChannel, shape, mask, axis);
        return { y, state: track(ops, weights, { mean, variance, count }, running) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
