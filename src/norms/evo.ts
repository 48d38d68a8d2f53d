/**
 * EvoNorms: normalization and activation in one, found by search. B0 compares the batch's deviation with each example's own, S0 is
 * swish over the deviation of a group of channels.
 *
 *     B0    y = x / max(√(batch variance + epsilon), v · x + √(instance variance + epsilon)) · gamma + beta
 *     S0    y = x · sigmoid(v · x) / √(group variance + epsilon) · gamma + beta
 *
 * Liu, Brock, Simonyan & Le 2020, arXiv 2004.02967. Axes: instance variances are over positions, the batch's over batch and
 * positions, a group's over positions and its channels; all are biased, about their means, and no mean is subtracted from x. v, gamma
 * and beta are per channel. Epsilon is inside the roots. In evaluation B0's batch variance is the running one; S0 is the same in both.
 */
import { channelAxis, channelPlan, valuesPerChannel, WITH_POSITIONS } from "../formula/channels.js";
import { checkCount, checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { mergedBatch } from "../formula/merging.js";
import { buffer, type Normalization, normalization, trained } from "../formula/normalization.js";
import { type FusedNorm, memoizeLast } from "../formula/plan.js";
import {
  checkRunning,
  movingAverage,
  type RunningOptions,
  runningDefaults,
  unbiasedOf,
  whereMeasured,
} from "../formula/running.js";
import {
  averageOver,
  deviationOf,
  measuring,
  measuringGroups,
  pooled,
  scaledMoments,
} from "../formula/scaled-moments.js";
import { affine, axesExcept, broadcastAlong, broadcastMask } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { sizeOf } from "../shape.js";
import { reducedSize } from "../view.js";
import { checkGroups, planGroups } from "./group.js";

/** Options of both EvoNorms. */
interface EvoNormOptions extends AffineOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Added to variances. Default 1e-5 (timm has 1e-3 for B0). */
  epsilon?: number;
  /** Whether it divides, and bends, at all; without it is gamma and beta alone, as where a network has no activation. Default true. */
  nonlinear?: boolean;
}

/** Options of `evoNormB0`. */
export interface EvoNormB0Options
  extends EvoNormOptions,
    Pick<RunningOptions, "momentum" | "runningVariance"> {}

/** Options of `evoNormS0`. */
export interface EvoNormS0Options extends EvoNormOptions {
  /** Number of groups; must divide the channels. Default 32. */
  groups?: number;
}

const PAPER = "Liu et al. 2020, arXiv 2004.02967";

/**
 * x [batch, ..., channels], y of its shape. Weights: v (initialized to 1), gamma and beta [channels]; the running variance (state).
 * @throws RangeError for options out of range; when called, for an x without positions
 */
export const evoNormB0 = normalization(
  {
    name: "evoNormB0",
    title: "EvoNorm-B0",
    summary:
      "normalization and activation in one, by the larger of two deviations; instead of batch norm and ReLU",
    paper: PAPER,
    takes: "positions",
  },
  {
    axis: -1,
    epsilon: 1e-5,
    nonlinear: true,
    momentum: runningDefaults.momentum,
    runningVariance: runningDefaults.runningVariance,
    ...affineDefaults,
  },
  ({ axis, epsilon, nonlinear, momentum, runningVariance, ...options }: Settled<EvoNormB0Options>) => {
    const name = "evoNormB0";
    checkEpsilon(name, epsilon);
    checkRunning(name, { ...runningDefaults, momentum, runningVariance });
    /** Whose channels' values are counted. */
    const norm: FusedNorm = { name, epsilon, centered: true, plan: channelPlan(name, axis) };
    return {
      handles: { mask: true, merge: true },
      weights(shape) {
        const channels = [shape[channelAxis(name, shape, axis, WITH_POSITIONS)]];
        return {
          ...(nonlinear && { v: trained(channels, 1) }),
          ...affineWeights(channels, options),
          ...(nonlinear && { runningVariance: buffer(channels, 1) }),
        };
      },
      apply(ops, [x], { v, gamma, beta, runningVariance: old }, { training, mask, warn, merge }) {
        const shape = ops.shape(x);
        const { parameters } = norm.plan(shape);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const masked = (values: typeof x) =>
          fullMask === undefined ? values : ops.where(fullMask, values, 0);
        const finish = (values: typeof x) => masked(affine(ops, values, parameters, gamma, beta));
        if (!nonlinear) return { y: finish(masked(x)) };
        const channel = channelAxis(name, shape, axis, WITH_POSITIONS);
        const positions = axesExcept(shape.length, 0, channel);
        const perChannel = (values: typeof x) => broadcastAlong(ops, values, shape.length, channel);
        const values = masked(x);
        const over = measuring(ops, shape, positions, fullMask, [0, ...positions]);
        const { near, rest, variance, unit } = scaledMoments(ops, values, over, epsilon);
        let ofBatch: typeof x;
        let merged: { variance: typeof x; count: typeof x } | undefined;
        if (training) {
          const counts = fullMask === undefined ? undefined : ops.sum(fullMask, positions);
          // means are compared about one of them: far from 0 their differences are what counts
          const origin = averageOver(ops, [0], counts)(near);
          const mean = ops.add(ops.div(ops.sub(near, origin), unit), rest);
          const batch = pooled(ops, { mean, variance }, [0], counts);
          const all =
            merge &&
            mergedBatch(ops, batch, origin, unit, merge, {
              ...{ shape, fullMask },
              axes: [0, ...positions],
            });
          ofBatch = (all ?? batch).variance;
          merged = all?.measured;
        } else {
          ofBatch = ops.div(ops.div(perChannel(old), unit), unit);
        }
        const own = ops.add(ops.mul(values, perChannel(v)), deviationOf(ops, variance, unit, epsilon));
        const divisor = ops.max(deviationOf(ops, ofBatch, unit, epsilon), own);
        const y = finish(ops.div(values, divisor));
        if (!training) return { y };
        if (!merged && reducedSize(norm.plan(shape).statistics) === 1) {
          warn?.(
            `${name}: a training batch of shape [${shape.join(", ")}] has one value per channel, whose variance is 0, and the ` +
              "running variance was left as it was; train on larger batches, or use evoNormS0",
          );
          return { y };
        }
        const flat = (values: typeof x) => ops.reshape(values, ops.shape(old));
        const count = merged ? flat(merged.count) : valuesPerChannel(ops, norm, shape, mask, axis);
        const measured = flat(ops.stop(merged?.variance ?? ops.mul(ops.mul(ofBatch, unit), unit)));
        const batch = runningVariance === "unbiased" ? unbiasedOf(ops, measured, count) : measured;
        const next = { runningVariance: movingAverage(ops, old, batch, 1 - momentum) };
        return { y, state: whereMeasured(ops, count, 2, next, { runningVariance: old }) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/**
 * x [batch, ..., channels], y of its shape. Weights: v (initialized to 1), gamma and beta [channels].
 * @throws RangeError for options out of range; when called, if the groups do not divide the channels, or a group has one value
 */
export const evoNormS0 = normalization(
  {
    name: "evoNormS0",
    title: "EvoNorm-S0",
    summary:
      "swish over the deviation of a group of channels; instead of group norm and an activation, for any batch",
    paper: PAPER,
    takes: "features",
  },
  { axis: -1, epsilon: 1e-5, nonlinear: true, groups: 32, ...affineDefaults },
  ({ axis, epsilon, nonlinear, groups, ...options }: Settled<EvoNormS0Options>) => {
    const name = "evoNormS0";
    checkEpsilon(name, epsilon);
    checkGroups(name, groups);
    const plan = memoizeLast((shape) => {
      const made = planGroups(name, shape, groups, axis);
      checkCount(name, made, "use fewer groups");
      return made;
    });
    return {
      handles: { mask: true },
      weights(shape) {
        const { parameterShape } = plan(shape);
        return {
          ...(nonlinear && { v: trained(parameterShape, 1) }),
          ...affineWeights(parameterShape, options),
        };
      },
      apply(ops, [x], { v, gamma, beta }, { mask }) {
        const shape = ops.shape(x);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const masked = (values: typeof x) =>
          fullMask === undefined ? values : ops.where(fullMask, values, 0);
        const finish = (values: typeof x) => masked(affine(ops, values, plan(shape).parameters, gamma, beta));
        const values = masked(x);
        if (!nonlinear) return { y: finish(values) };
        const channel = channelAxis(name, shape, axis);
        const [batch, channels] = [shape[0], shape[channel]];
        // without positions a group's channels are a row; otherwise they are read as they lie
        const rows = sizeOf(shape) === batch * channels;
        const lengths = rows ? [batch, groups, channels / groups] : shape;
        const seen = (array: typeof x) => ops.reshape(array, lengths);
        const slope = rows
          ? ops.reshape(v, [1, ...lengths.slice(1)])
          : broadcastAlong(ops, v, shape.length, channel);
        const over = rows
          ? measuring(ops, lengths, [2], fullMask && seen(fullMask))
          : measuringGroups(ops, shape, channel, groups, fullMask);
        const { variance, unit } = scaledMoments(ops, seen(values), over, epsilon);
        const swish = ops.mul(seen(values), ops.sigmoid(ops.mul(seen(values), slope)));
        const y = ops.mul(swish, ops.div(1, deviationOf(ops, variance, unit, epsilon)));
        return { y: finish(ops.reshape(y, shape)) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
