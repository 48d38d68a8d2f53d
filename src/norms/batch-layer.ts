/**
 * Batch Layer Normalization: each position over the batch and each example over its features, mixed by the size of the
 * mini-batch.
 *
 *     x_b = (x − mean_b) / √(variance_b + epsilon)        over the batch axis, for each position and feature
 *     x_f = (x − mean_f) / √(variance_f + epsilon)        over the feature axis, for each example and position
 *     y = gamma · [x_f·(1/m − 1e-4) + x_b·(1 − (1/m + 1e-4))] / √d + beta        m examples, d features
 *
 * Ziaee & Çano 2022, arXiv 2209.08898. Variances of the mini-batch are biased, epsilon stands inside both roots; gamma and
 * beta are per feature.
 *
 *     population mean        the mean of the batches' means, over the batches of an epoch
 *     population variance    the mean of the batches' m/(m − 1)·variance; m/(m − 1) is 1 where m is 1
 *
 * Statistics of the features are averaged over the batch's examples first, so that what is kept does not depend on m. In
 * evaluation each of the four comes from the mini-batch or from the population (sources.ts); m stays the one of training,
 * since gamma and beta were learned for its mixture. Under a mask m is that of each position: how many examples count there.
 */
import { channelAxis } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import {
  checkSources,
  type StatisticsSource,
  type StatisticsSources,
  standardizedByBoth,
} from "../formula/evaluation-sources.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import {
  type ApplyOptions,
  type ApplyResult,
  kept,
  type Normalization,
  normalization,
} from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { type FusedNorm, keepingLast, planOf } from "../formula/plan.js";
import { affine, axesBut, broadcastMask } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { sizeOf } from "../shape.js";

export interface BatchLayerNormOptions extends AffineOptions {
  /** The axis of the features: −1 (default) where they come last. */
  axis?: number;
  /** Default 1e-3 (the paper's). */
  epsilon?: number;
  /**
   * Where each statistic comes from in evaluation. Default: those over the batch from the population, those over the features
   * from the mini-batch, so that what an example gives does not depend on those beside it.
   */
  sources?: StatisticsSources;
}

const NAME = "batchLayerNorm";
/** In both shares of the mixture, as the paper has it. */
const OFFSET = 1e-4;

/** Throws RangeError for options out of range, and for an x without a batch axis and a feature axis. */
export const batchLayerNorm = normalization(
  {
    name: NAME,
    title: "Batch Layer Normalization",
    summary: "over the batch and over the features, mixed by the size of the batch; for small batches",
    paper: "Ziaee & Çano 2022, arXiv 2209.08898",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-3, sources: {}, ...affineDefaults },
  ({ axis, epsilon, sources, ...options }: Settled<BatchLayerNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    const evaluation = checkSources(NAME, sources);
    const parts = { overBatch: part(epsilon, axis, "batch"), overFeatures: part(epsilon, axis, "features") };
    return {
      weights(shape: readonly number[]) {
        const features = featureAxis(shape, axis);
        const positions = shape.filter((_, one) => one !== 0 && one !== features);
        const each = positions.length === 0 ? [1] : positions;
        return {
          ...affineWeights([shape[features]], options),
          batchMean: kept(shape.slice(1), 0, true),
          batchVariance: kept(shape.slice(1), 1, true),
          featureMean: kept(each, 0, true),
          featureVariance: kept(each, 1, true),
          // since the epoch began: how many batches, and how many examples they had on average
          batches: kept(each, 0),
          batchSize: kept(each, 0, true),
        };
      },
      apply: (ops, [x], weights, call) =>
        formula(ops, x, weights, call, parts, featureAxis(ops.shape(x), axis), evaluation),
    } satisfies Omit<Normalization, "name">;
  },
);

type Part = "batch" | "features";

const featureAxis = (shape: readonly number[], axis: number) =>
  channelAxis(NAME, shape, axis, ["batch", "features"]);

/** One of the two standardizations. */
function part(epsilon: number, axis: number, over: Part): FusedNorm {
  const plan = keepingLast((shape) => {
    const features = featureAxis(shape, axis);
    return planOf(shape, shape, axesBut(shape.length, over === "batch" ? 0 : features), [features]);
  });
  return { name: NAME, epsilon, centered: true, plan };
}

function formula<T>(
  ops: Ops<T>,
  x: T,
  { gamma, beta, ...population }: Readonly<Record<string, T>>,
  { training, mask }: ApplyOptions<T>,
  { overBatch, overFeatures }: { overBatch: FusedNorm; overFeatures: FusedNorm },
  features: number,
  evaluation: Required<StatisticsSources>,
): ApplyResult<T> {
  const shape = ops.shape(x);
  const perExample = shape.map((length, one) => (one === features ? 1 : length));
  const perPosition = [1, ...perExample.slice(1)];
  const counts = mask === undefined ? undefined : countsOf(ops, mask, perExample, features);
  const examples =
    counts === undefined
      ? ops.constant(new Float32Array(sizeOf(perPosition)).fill(shape[0]), perPosition)
      : ops.sum(counts, [0]);
  const size = ops.max(examples, 1);

  const { batchMean, batchVariance, featureMean, featureVariance } = population;
  const b = standardized(ops, x, overBatch, 0, mask, {
    population: { mean: batchMean, variance: batchVariance },
    mean: training ? "batch" : evaluation.batchMean,
    variance: training ? "batch" : evaluation.batchVariance,
  });
  const f = standardized(ops, x, overFeatures, features, mask, {
    population: { mean: featureMean, variance: featureVariance },
    mean: training ? "batch" : evaluation.featureMean,
    variance: training ? "batch" : evaluation.featureVariance,
  });

  const usual = ops.reshape(population.batchSize, perPosition);
  const m = training ? size : ops.where(ops.greater(usual, 0.5), usual, size);
  const share = ops.div(1, m);
  const root = Math.sqrt(shape[features]);
  const mixed = ops.add(
    ops.mul(f.y, ops.div(ops.sub(share, OFFSET), root)),
    ops.mul(b.y, ops.div(ops.sub(ops.sub(1, share), OFFSET), root)),
  );
  const y = affine(ops, mixed, overBatch.plan(shape).parameters, gamma, beta);
  if (!training) return { y };

  const present = ops.min(examples, 1);
  const batches = ops.add(ops.reshape(population.batches, perPosition), present);
  const weight = ops.div(present, ops.max(batches, 1));
  const corrected = ops.div(size, ops.max(ops.sub(size, 1), 1));
  const averaged = (statistic: T | undefined) => {
    // 0 where an example is masked
    return ops.div(ops.sum(ops.reshape(statistic as T, perExample), [0]), size);
  };
  const position = (statistic: T | undefined) => ops.reshape(statistic as T, [1, ...shape.slice(1)]);
  const measured: Record<string, T> = {
    batchMean: position(b.mean),
    batchVariance: ops.mul(position(b.variance), corrected),
    featureMean: averaged(f.mean),
    featureVariance: ops.mul(averaged(f.variance), corrected),
    batchSize: examples,
  };
  const state: Record<string, T> = { batches: ops.reshape(batches, ops.shape(population.batches)) };
  for (const [name, value] of Object.entries(measured)) {
    const before = ops.reshape(population[name], ops.shape(value));
    const moved = ops.add(ops.mul(before, ops.sub(1, weight)), ops.mul(ops.stop(value), weight));
    state[name] = ops.reshape(moved, ops.shape(population[name]));
  }
  return { y, state };
}

/** xHat, and what was measured where both statistics are the mini-batch's. */
function standardized<T>(
  ops: Ops<T>,
  x: T,
  norm: FusedNorm,
  reduced: number,
  mask: T | undefined,
  from: { population: { mean: T; variance: T }; mean: StatisticsSource; variance: StatisticsSource },
): { y: T; mean?: T; variance?: T } {
  if (from.mean === "batch" && from.variance === "batch") return ops.normalize(norm, x, { mask });
  const shape = ops.shape(x);
  const { statisticsShape } = norm.plan(shape);
  const kept = shape.map((length, one) => (one === 0 || one === reduced ? 1 : length));
  const mean = ops.reshape(from.population.mean, kept);
  const variance = ops.reshape(from.population.variance, kept);
  if (from.mean !== from.variance) {
    const measured = from.mean === "batch" ? "mean" : "variance";
    return { y: standardizedByBoth(ops, x, { mean, variance }, measured, [reduced], norm.epsilon, mask) };
  }
  // the same for each example, where there is one for each
  const each = shape.map((length, one) => (one === reduced ? 1 : length));
  const zero = ops.constant(new Float32Array(sizeOf(each)), each);
  const spread = (statistic: T) => ops.reshape(ops.add(statistic, zero), statisticsShape);
  return ops.normalize(norm, x, { mean: spread(mean), variance: spread(variance), mask });
}

/** Ones and zeros for each example and position; all features of one count, or none. */
function countsOf<T>(ops: Ops<T>, mask: T, perExample: readonly number[], features: number): T {
  const lengths = ops.shape(mask);
  if ((lengths[features] ?? 1) !== 1) {
    throw new RangeError(
      `${NAME}: mask must not tell features apart, got shape [${lengths.join(", ")}]; give axis ${features} length 1`,
    );
  }
  return broadcastMask(ops, mask, perExample);
}
