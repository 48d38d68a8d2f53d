/**
 * Switchable normalization: a learned mixture of the statistics of instance, layer and batch normalization.
 *
 *     mean = Σ softmax(meanLogits)_k · mean_k        variance = Σ softmax(varianceLogits)_k · variance_k        k = instance, layer, batch
 *     y = (x − mean) / √(variance + epsilon) · gamma + beta        variances biased
 *
 * Luo, Ren, Peng, Zhang & Li 2018, arXiv 1806.10779. Axes: instance statistics are over positions, the layer's over positions
 * and channels, the batch's over positions and batch; gamma and beta per channel. In evaluation the batch's are the
 * running ones (formula/running.ts). Gradients flow through all of them.
 */
import {
  type ChannelOptions,
  channelAxis,
  channelPlan,
  valuesPerChannel,
  WITH_POSITIONS,
} from "../formula/channels.js";
import { checkCount, checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { mergedBatch } from "../formula/merging.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { type FusedNorm, planOf } from "../formula/plan.js";
import {
  checkRunning,
  type RunningOptions,
  runningDefaults,
  runningWeights,
  track,
} from "../formula/running.js";
import { pooled, type Statistics } from "../formula/scaled-moments.js";
import { axesExcept, broadcastAlong, broadcastMask, inUnits, moments, square } from "../formula/terms.js";
import type { Settled } from "../options.js";

const NAME = "switchableNorm";

/** Options of `switchableNorm`. */
export interface SwitchableNormOptions extends ChannelOptions, AffineOptions, RunningOptions {}

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma and beta [channels], meanLogits and varianceLogits [3] (instance, layer,
 * batch; initialized to 1, equal weights), running statistics of the batch (state).
 * @throws RangeError for options out of range; when called, for an x without positions, or with a single one
 */
export const switchableNorm = normalization(
  {
    name: NAME,
    title: "Switchable normalization",
    summary: "a learned mixture of instance, layer and batch statistics; where the best one is unknown",
    paper: "Luo et al. 2018, arXiv 1806.10779",
    takes: "positions",
  },
  { axis: -1, epsilon: 1e-5, ...affineDefaults, ...runningDefaults },
  ({ axis, epsilon, ...options }: Settled<SwitchableNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    const running = checkRunning(NAME, options);
    const byChannel: FusedNorm = { name: NAME, epsilon, centered: true, plan: channelPlan(NAME, axis) };
    const check = (shape: readonly number[]) => {
      const channel = channelAxis(NAME, shape, axis, WITH_POSITIONS);
      const instances = planOf(shape, shape, [0, channel], [channel]);
      checkCount(NAME, instances, "use batch or layer normalization for a single position");
      return channel;
    };
    return {
      handles: { mask: true, merge: true },
      weights(shape: readonly number[]) {
        const channels = [shape[check(shape)]];
        return {
          ...affineWeights(channels, options),
          meanLogits: trained([3], 1),
          varianceLogits: trained([3], 1),
          ...runningWeights(channels, running),
        };
      },
      apply(ops, [x], weights, { training, mask, merge }) {
        const shape = ops.shape(x);
        const channel = check(shape);
        const perChannel = (values: typeof x) => broadcastAlong(ops, values, shape.length, channel);
        const positions = axesExcept(shape.length, 0, channel);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const count = fullMask === undefined ? undefined : ops.sum(fullMask, positions);
        const { values, origin, unit } = inUnits(ops, x, fullMask, Math.max(Math.sqrt(epsilon), 1e-15));
        const instance = moments(ops, values, positions, mask);
        const layer = pooled(ops, instance, [channel], count);
        const merged =
          training && merge
            ? mergedBatch(ops, pooled(ops, instance, [0], count), origin, unit, merge, {
                ...{ shape, fullMask },
                axes: axesExcept(shape.length, channel),
              })
            : undefined;
        const batch = training
          ? (merged ?? pooled(ops, instance, [0], count))
          : {
              mean: ops.div(ops.sub(perChannel(weights.runningMean), origin), unit),
              variance: ops.div(ops.div(perChannel(weights.runningVariance), unit), unit),
            };
        const mixed = (part: keyof Statistics<unknown>, logits: typeof x) =>
          mixture(
            ops,
            [instance, layer, batch].map((one) => one[part]),
            logits,
          );
        const centre = mixed("mean", weights.meanLogits);
        const guard = square(ops, ops.div(Math.sqrt(epsilon), unit));
        const power = ops.add(mixed("variance", weights.varianceLogits), guard);
        // where all are equal and epsilon is 0
        const deviation = ops.sqrt(ops.where(power, power, 1));
        let y = ops.where(power, ops.div(ops.sub(values, centre), deviation), 0);
        if (weights.gamma !== undefined) y = ops.mul(y, perChannel(weights.gamma));
        if (weights.beta !== undefined) y = ops.add(y, perChannel(weights.beta));
        if (fullMask !== undefined) y = ops.where(fullMask, y, 0);
        if (!training) return { y };
        const measured = merged
          ? { ...merged.measured, count: ops.reshape(merged.measured.count, [shape[channel]]) }
          : {
              mean: ops.add(ops.mul(batch.mean, unit), origin),
              variance: ops.mul(ops.mul(batch.variance, unit), unit),
              count: valuesPerChannel(ops, byChannel, shape, mask, axis),
            };
        return { y, state: track(ops, weights, measured, running) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** Σ softmax(logits)_k · values_k */
function mixture<T>(ops: Ops<T>, values: readonly T[], logits: T): T {
  const one = (from: T, k: number) => ops.slice(from, 0, k, k + 1);
  const most = ops.stop(values.map((_, k) => one(logits, k)).reduce((a, b) => ops.max(a, b)));
  const weights = ops.exp(ops.sub(logits, most));
  const terms = values.map((value, k) => ops.mul(value, one(weights, k)));
  return ops.div(
    terms.reduce((a, b) => ops.add(a, b)),
    ops.sum(weights, [0]),
  );
}
