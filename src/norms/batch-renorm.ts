/**
 * Batch renormalization: batch normalization whose training output follows the running statistics, as in evaluation.
 *
 *     σ_B = √(variance + epsilon)                    of the batch, variance biased
 *     r = clip(σ_B / σ, 1/rMax, rMax)                d = clip((mean − µ) / σ, −dMax, dMax)        no gradient
 *     training:     y = ((x − mean) / σ_B · r + d) · gamma + beta
 *                   µ = momentum·µ + (1 − momentum)·mean        σ = momentum·σ + (1 − momentum)·σ_B        after y
 *     evaluation:   y = (x − µ) / σ · gamma + beta
 *
 * Ioffe 2017, arXiv 1702.03275. Axes as in batch.ts. The running statistic is the standard deviation with epsilon in it, as in Keras's
 * `renorm=True`. rMax and dMax are state: with 1 and 0, as at the start of training, it is batch normalization (`renormSchedule`).
 */
import { type ChannelOptions, channelPlan, hasSingleValue, valuesPerChannel } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { standardizing } from "../formula/merging.js";
import { type ApplyOptions, buffer, type Normalization, normalization } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import type { FusedNorm } from "../formula/plan.js";
import { checkMomentum, movingAverage, whereMeasured } from "../formula/running.js";
import { affine, averaging, axesExcept, broadcastAlong, broadcastMask } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { described, resolveAxis } from "../shape.js";

/** Options of `batchRenorm`. */
export interface BatchRenormOptions extends ChannelOptions, AffineOptions {
  /** Added to the variance. Default 1e-3 (Keras). */
  epsilon?: number;
  /** Weight of the old running value. Default 0.99, as in the paper. */
  momentum?: number;
  /** Momentum of statistics for r and d alone, to follow faster or slower than evaluation's. Default: they share evaluation's. */
  renormMomentum?: number;
  /** Initial value of rMax, the upper limit of r: at least 1, Infinity for none. Default 3, the end of the paper's schedule. */
  rMax?: number;
  /** Lower limit of r, from 0 to 1. Default 1/rMax, following rMax; in Keras it is a separate option. */
  rMin?: number;
  /** Initial value of dMax, the limit of |d|: at least 0. Default 5, likewise. */
  dMax?: number;
}

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma and beta [channels]; running statistics, rMax and dMax (state).
 * @throws RangeError for options out of range; when called, for an axis that x does not have
 */
export const batchRenorm = normalization(
  {
    name: "batchRenorm",
    title: "Batch renormalization",
    summary: "batch normalization whose training output matches evaluation; for small or non-i.i.d. batches",
    paper: "Ioffe 2017, arXiv 1702.03275",
    takes: "features",
  },
  {
    axis: -1,
    epsilon: 1e-3,
    momentum: 0.99,
    renormMomentum: undefined,
    rMax: 3,
    rMin: undefined,
    dMax: 5,
    ...affineDefaults,
  },
  ({
    axis,
    epsilon,
    momentum,
    renormMomentum,
    rMax,
    rMin,
    dMax,
    ...options
  }: Settled<BatchRenormOptions, "renormMomentum" | "rMin">) => {
    checkEpsilon("batchRenorm", epsilon);
    checkMomentum("batchRenorm", "momentum", momentum);
    if (renormMomentum !== undefined) checkMomentum("batchRenorm", "renormMomentum", renormMomentum);
    if (!(rMax >= 1)) throw new RangeError(`batchRenorm: rMax must be at least 1, got ${rMax}`);
    if (rMin !== undefined && !(typeof rMin === "number" && rMin >= 0 && rMin <= 1)) {
      throw new RangeError(`batchRenorm: rMin must be from 0 to 1, got ${rMin}`);
    }
    if (!(dMax >= 0)) throw new RangeError(`batchRenorm: dMax must be at least 0, got ${dMax}`);
    const core = { name: "batchRenorm", centered: true, plan: channelPlan("batchRenorm", axis) };
    const norm: FusedNorm = { ...core, epsilon };
    // σ² contains epsilon
    const evaluating: FusedNorm = { ...core, epsilon: 0 };
    const separate = renormMomentum !== undefined;
    return {
      handles: { mask: true, merge: true },
      weights(shape: readonly number[]) {
        const { parameterShape } = norm.plan(shape);
        return {
          ...affineWeights(parameterShape, options),
          runningMean: buffer(parameterShape, 0),
          runningDeviation: buffer(parameterShape, 1),
          ...(separate && {
            renormMean: buffer(parameterShape, 0),
            renormDeviation: buffer(parameterShape, 1),
          }),
          rMax: buffer([1], rMax, true),
          dMax: buffer([1], dMax, true),
        };
      },
      apply<T>(
        ops: Ops<T>,
        [x]: readonly T[],
        { gamma, beta, ...state }: Readonly<Record<string, T>>,
        { training, mask, warn, merge }: ApplyOptions<T>,
      ) {
        const shape = ops.shape(x);
        if (!training) {
          const variance = ops.mul(state.runningDeviation, state.runningDeviation);
          const given = { gamma, beta, mean: state.runningMean, variance, mask };
          return { y: ops.normalize(evaluating, x, given).y };
        }
        // what is merged is measured once, and has a gradient
        const measured = ops.normalize(norm, merge ? x : ops.stop(x), {
          mask,
          standardize: standardizing(merge),
        });
        const { mean, variance, count: merged } = measured;
        if (mean === undefined || variance === undefined)
          throw new Error("batchRenorm: the host measured nothing");
        const alone = !merged && hasSingleValue("batchRenorm", norm, shape, warn);
        const [center, width] = separate
          ? ["renormMean", "renormDeviation"]
          : ["runningMean", "runningDeviation"];
        const flat = ops.shape(state[center]);
        const batchMean = ops.reshape(mean, flat);
        const deviation = ops.sqrt(ops.add(ops.reshape(variance, flat), epsilon));
        const ratio = ops.div(deviation, state[width]);
        const r = ops.min(ops.max(ratio, rMin ?? ops.div(1, state.rMax)), state.rMax);
        const channels = resolveAxis("batchRenorm", axis, shape.length);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const over = averaging(ops, shape, axesExcept(shape.length, channels), fullMask);
        // restores the mean's rounding error, which matters where it is far above the standard deviation
        const remainder =
          measured.remainder ??
          over.average(
            over.masked(
              ops.sub(over.masked(ops.stop(x)), broadcastAlong(ops, batchMean, shape.length, channels)),
            ),
          );
        const distance = ops.add(ops.sub(batchMean, state[center]), ops.reshape(remainder, flat));
        const d = ops.min(ops.max(ops.div(distance, state[width]), ops.mul(state.dMax, -1)), state.dMax);
        // one factor and one term per channel: those of the fused operation, whose gradients come with it
        const scale = gamma === undefined ? r : ops.mul(r, gamma);
        const shift = gamma === undefined ? d : ops.mul(d, gamma);
        const offset = beta === undefined ? shift : ops.add(shift, beta);
        const y = merge
          ? over.masked(affine(ops, measured.y, norm.plan(shape).parameters, scale, offset))
          : ops.normalize(norm, x, { gamma: scale, beta: offset, mask }).y;
        if (alone) return { y };
        const follow = (mean: string, deviationName: string, weight: number) => ({
          [mean]: movingAverage(ops, state[mean], batchMean, 1 - weight),
          [deviationName]: movingAverage(ops, state[deviationName], deviation, 1 - weight),
        });
        const next = {
          ...follow("runningMean", "runningDeviation", momentum),
          ...(separate && follow("renormMean", "renormDeviation", renormMomentum)),
        };
        return {
          y,
          state: whereMeasured(ops, merged ?? valuesPerChannel(ops, norm, shape, mask, axis), 2, next, state),
        };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/**
 * rMax and dMax of the paper's schedule after `step` training steps: batch normalization for 5000 steps (rMax 1, dMax 0), then
 * rMax rises linearly to 3 at step 40 000 and dMax to 5 at step 25 000.
 * @throws TypeError for a step that is no number, RangeError for one that is negative or NaN
 */
export function renormSchedule(step: number): { rMax: number; dMax: number } {
  if (typeof step !== "number") {
    throw new TypeError(
      `renormSchedule: step must be a number, that of the training steps so far, got ${described(step)}`,
    );
  }
  if (!(step >= 0)) throw new RangeError(`renormSchedule: step must be at least 0, got ${step}`);
  const progress = (end: number) => Math.min(1, Math.max(0, (step - 5000) / (end - 5000)));
  return { rMax: 1 + 2 * progress(40000), dMax: 5 * progress(25000) };
}
