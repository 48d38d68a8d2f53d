/**
 * Ghost batch normalization: batch normalization of each part of a large batch separately.
 *
 *     training:     the batch is split into ghost batches of `batchSize` examples; each is normalized by its own statistics
 *                   y = (x − mean_g) / √(variance_g + epsilon) · gamma + beta        variance biased
 *     evaluation:   the same with running statistics (formula/running.ts), updated by each ghost batch in turn
 *
 * Hoffer, Hubara & Soudry 2017, arXiv 1705.08741; `virtual_batch_size` of Keras 2. Axes: as in batch.ts, except that the batch axis
 * is reduced within each ghost batch. Ghost batches are of one place: nothing is merged with other places, of which each keeps its own
 * running statistics.
 */
import type { ChannelOptions } from "../formula/channels.js";
import { channelPlan, hasSingleValue, valuesPerChannel } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import type { AffineOptions } from "../formula/fused-norm.js";
import { affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type ApplyOptions, type Normalization, normalization } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { type FusedNorm, memoizeLast, planOf } from "../formula/plan.js";
import type { RunningOptions } from "../formula/running.js";
import { checkRunning, type Measured, runningDefaults, runningWeights, track } from "../formula/running.js";
import type { Settled } from "../options.js";
import { resolveAxis } from "../shape.js";

/** Options of `ghostBatchNorm`. */
export interface GhostBatchNormOptions extends ChannelOptions, AffineOptions, RunningOptions {
  /** Examples per ghost batch; must divide any larger training batch. Default 128, as in the paper. */
  batchSize?: number;
  /** How running statistics are updated: by `each` ghost batch in turn (default, the paper), or `once`, by their mean (Keras 2). */
  moves?: "each" | "once";
}

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma and beta [channels], running statistics (state).
 * @throws RangeError for options out of range; in training, for a larger batch that is not a multiple of `batchSize`
 */
export const ghostBatchNorm = normalization(
  {
    name: "ghostBatchNorm",
    title: "Ghost batch normalization",
    summary:
      "batch normalization over small parts of a large batch; lets large batches generalize like small ones",
    paper: "Hoffer, Hubara & Soudry 2017, arXiv 1705.08741",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-5, batchSize: 128, moves: "each", ...affineDefaults, ...runningDefaults },
  ({ axis, epsilon, batchSize, moves, ...options }: Settled<GhostBatchNormOptions>) => {
    checkEpsilon("ghostBatchNorm", epsilon);
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new RangeError(`ghostBatchNorm: batchSize must be an integer of at least 1, got ${batchSize}`);
    }
    if (moves !== "each" && moves !== "once") {
      throw new RangeError(`ghostBatchNorm: moves must be "each" or "once", got "${moves}"`);
    }
    const running = checkRunning("ghostBatchNorm", options);
    const core = { name: "ghostBatchNorm", epsilon, centered: true };
    const whole: FusedNorm = { ...core, plan: channelPlan("ghostBatchNorm", axis) };
    /** For x as [ghost batches, examples, ...]. */
    const cut: FusedNorm = {
      ...core,
      plan: memoizeLast((shape) => {
        const channel = 1 + resolveAxis("ghostBatchNorm", axis, shape.length - 1);
        return planOf(shape, shape, [0, channel], [channel]);
      }),
    };
    return {
      handles: { mask: true },
      weights(shape: readonly number[]) {
        const { parameterShape } = whole.plan(shape);
        return { ...affineWeights(parameterShape, options), ...runningWeights(parameterShape, running) };
      },
      apply<T>(
        ops: Ops<T>,
        [x]: readonly T[],
        { gamma, beta, ...state }: Readonly<Record<string, T>>,
        { training, mask, warn }: ApplyOptions<T>,
      ) {
        if (!training) {
          const { runningMean: mean, runningVariance: variance } = state;
          return { y: ops.normalize(whole, x, { gamma, beta, mean, variance, mask }).y };
        }
        const shape = ops.shape(x);
        const size = partSize(shape, batchSize);
        const parts = shape[0] / size;
        const part = [size, ...shape.slice(1)];
        if (hasSingleValue("ghostBatchNorm", whole, part, warn)) {
          const { y } = ops.normalize(cut, inParts(ops, x, parts), { gamma, beta });
          return { y: ops.reshape(y, shape) };
        }
        const maskParts = mask === undefined ? undefined : inParts(ops, mask, parts);
        const { y, mean, variance } = ops.normalize(cut, inParts(ops, x, parts), {
          gamma,
          beta,
          mask: maskParts,
        });
        if (mean === undefined || variance === undefined)
          throw new Error("ghostBatchNorm: the host measured nothing");
        const ghosts = Array.from({ length: parts }, (_, i) => ({
          mean: ops.slice(mean, 0, i, i + 1),
          variance: ops.slice(variance, 0, i, i + 1),
          count: valuesPerChannel(ops, whole, part, maskParts && partOf(ops, maskParts, i), axis),
        }));
        const updates = moves === "once" ? [averaged(ops, ghosts)] : ghosts;
        let next: Readonly<Record<string, T>> = state;
        for (const update of updates) next = { ...next, ...track(ops, next, update, running) };
        return { y: ops.reshape(y, shape), state: next };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** Means of their statistics, weighted by their counts, and the mean count. */
function averaged<T>(ops: Ops<T>, ghosts: readonly Measured<T>[]): Measured<T> {
  const total = ghosts.map(({ count }) => count).reduce((a, b) => ops.add(a, b));
  const mean = (statistic: "mean" | "variance") =>
    ops.div(
      ghosts.map((ghost) => ops.mul(ghost[statistic], ghost.count)).reduce((a, b) => ops.add(a, b)),
      ops.max(total, 1),
    );
  return { mean: mean("mean"), variance: mean("variance"), count: ops.div(total, ghosts.length) };
}

/** Examples per ghost batch; a batch that is not larger is a single one. */
function partSize([examples, ...rest]: readonly number[], batchSize: number): number {
  if (examples <= batchSize) return examples;
  if (examples % batchSize === 0) return batchSize;
  throw new RangeError(
    `ghostBatchNorm: batchSize must divide a larger batch, got ${batchSize} for x of shape ` +
      `[${[examples, ...rest].join(", ")}]; leave out the last ${examples % batchSize} examples, or use another batchSize`,
  );
}

/** [batch, ...] as [parts, batch / parts, ...]; a mask may have length 1 for the batch. */
function inParts<T>(ops: Ops<T>, array: T, parts: number): T {
  const [examples = 1, ...rest] = ops.shape(array);
  return ops.reshape(array, examples === 1 ? [1, 1, ...rest] : [parts, examples / parts, ...rest]);
}

function partOf<T>(ops: Ops<T>, mask: T, part: number): T {
  const [parts, ...rest] = ops.shape(mask);
  return ops.reshape(parts === 1 ? mask : ops.slice(mask, 0, part, part + 1), rest);
}
