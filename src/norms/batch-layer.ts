/**
 * Batch Layer Normalization: batch statistics of each position and layer statistics of each example, mixed by the size of
 * the mini-batch.
 *
 *     x_b = (x − mean_b) / √(variance_b + epsilon)        over the batch axis, for each position and feature
 *     x_f = (x − mean_f) / √(variance_f + epsilon)        over the feature axis, for each example and position
 *     y = gamma · [x_f·(1/m − 1e-4) + x_b·(1 − (1/m + 1e-4))] / √d + beta        m examples, d features
 *
 * Ziaee & Çano 2022, arXiv 2209.08898. Variances of the mini-batch are biased, epsilon is inside both roots; gamma and
 * beta are per feature.
 *
 *     population mean        the mean of the batches' means, over the batches of an epoch
 *     population variance    the mean of the batches' m/(m − 1)·variance; m/(m − 1) is 1 where m is 1
 *
 * Feature statistics are first averaged over the batch's examples, so that the stored shape does not depend on m. In evaluation
 * each of the four comes from the mini-batch or the population (formula/evaluation-sources.ts); m remains that of training,
 * since gamma and beta were learned for its mixture. Under a mask, m is the number of unmasked examples at each position.
 */
import { channelAxis } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import {
  checkSources,
  type StatisticsSource,
  type StatisticsSources,
  standardizedByMixedStatistics,
} from "../formula/evaluation-sources.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { mergedSums, standardizing } from "../formula/merging.js";
import {
  type ApplyOptions,
  type ApplyResult,
  buffer,
  type Normalization,
  normalization,
} from "../formula/normalization.js";
import type { Merge, Ops } from "../formula/ops.js";
import { type FusedNorm, memoizeLast, planOf } from "../formula/plan.js";
import { affine, axesExcept, broadcastMask } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { sizeOf } from "../shape.js";

/** Options of `batchLayerNorm`. */
export interface BatchLayerNormOptions extends AffineOptions {
  /** The axis of the features: −1 (default) where they come last. */
  axis?: number;
  /** Default 1e-3 (the paper's). */
  epsilon?: number;
  /**
   * Where each statistic comes from in evaluation. Default: those over the batch from the population, those over the features
   * from the mini-batch, so that an example's output does not depend on the rest of the batch.
   */
  sources?: StatisticsSources;
}

const NAME = "batchLayerNorm";
/** In both weights of the mixture, as in the paper. */
const OFFSET = 1e-4;

/**
 * x [batch, ..., features], y of its shape. Weights: gamma and beta [features], population statistics (state).
 * @throws RangeError for options out of range; when called, for an x without a batch and a feature axis
 */
export const batchLayerNorm = normalization(
  {
    name: NAME,
    title: "Batch Layer Normalization",
    summary: "batch and layer statistics, mixed by batch size; for small batches",
    paper: "Ziaee & Çano 2022, arXiv 2209.08898",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-3, sources: {}, ...affineDefaults },
  ({ axis, epsilon, sources, ...options }: Settled<BatchLayerNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    const evaluation = checkSources(NAME, sources);
    const parts = { overBatch: part(epsilon, axis, "batch"), overFeatures: part(epsilon, axis, "features") };
    return {
      handles: { merge: true },
      weights(shape: readonly number[]) {
        const features = featureAxis(shape, axis);
        const positions = shape.filter((_, one) => one !== 0 && one !== features);
        const each = positions.length === 0 ? [1] : positions;
        return {
          ...affineWeights([shape[features]], options),
          batchMean: buffer(shape.slice(1), 0, true),
          batchVariance: buffer(shape.slice(1), 1, true),
          featureMean: buffer(each, 0, true),
          featureVariance: buffer(each, 1, true),
          // of the current epoch: number of batches, and their mean number of examples
          batches: buffer(each, 0),
          batchSize: buffer(each, 0, true),
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
  const plan = memoizeLast((shape) => {
    const features = featureAxis(shape, axis);
    return planOf(shape, shape, axesExcept(shape.length, over === "batch" ? 0 : features), [features]);
  });
  return { name: NAME, epsilon, centered: true, plan };
}

function formula<T>(
  ops: Ops<T>,
  x: T,
  { gamma, beta, ...population }: Readonly<Record<string, T>>,
  { training, mask, merge }: ApplyOptions<T>,
  { overBatch, overFeatures }: { overBatch: FusedNorm; overFeatures: FusedNorm },
  features: number,
  evaluation: Required<StatisticsSources>,
): ApplyResult<T> {
  const shape = ops.shape(x);
  const perExample = shape.map((length, one) => (one === features ? 1 : length));
  const perPosition = [1, ...perExample.slice(1)];
  const fullMask = mask === undefined ? undefined : positionMask(ops, mask, perExample, features);
  const examplesHere =
    fullMask === undefined
      ? ops.constant(new Float32Array(sizeOf(perPosition)).fill(shape[0]), perPosition)
      : ops.sum(fullMask, [0]);

  const { batchMean, batchVariance, featureMean, featureVariance } = population;
  const root = Math.sqrt(shape[features]);
  const { parameters, parameterShape } = overBatch.plan(shape);
  // where all positions have as many examples, the two weights are one factor of gamma each
  const evenly = (weight: number) =>
    gamma === undefined
      ? ops.constant(new Float32Array(shape[features]).fill(weight), parameterShape)
      : ops.mul(gamma, weight);
  const isEven = training && mask === undefined && merge === undefined;
  const [ofFeatures, ofBatch] = [1 / shape[0], 1 - 1 / shape[0]].map((share) => (share - OFFSET) / root);
  const b = standardized(ops, x, overBatch, 0, mask, {
    ...(isEven && { gamma: evenly(ofBatch) }),
    population: { mean: batchMean, variance: batchVariance },
    mean: training ? "batch" : evaluation.batchMean,
    variance: training ? "batch" : evaluation.batchVariance,
    merge,
  });
  const f = standardized(ops, x, overFeatures, features, mask, {
    ...(isEven && { gamma: evenly(ofFeatures), beta }),
    population: { mean: featureMean, variance: featureVariance },
    mean: training ? "batch" : evaluation.featureMean,
    variance: training ? "batch" : evaluation.featureVariance,
  });

  const examples =
    b.count === undefined
      ? examplesHere
      : ops.slice(ops.reshape(b.count, [1, ...shape.slice(1)]), features, 0, 1);
  const size = ops.max(examples, 1);
  const usual = ops.reshape(population.batchSize, perPosition);
  const m = training ? size : ops.where(ops.greater(usual, 0.5), usual, size);
  const inverse = ops.div(1, m);
  const mixed = () =>
    ops.add(
      ops.mul(f.y, ops.div(ops.sub(inverse, OFFSET), root)),
      ops.mul(b.y, ops.div(ops.sub(ops.sub(1, inverse), OFFSET), root)),
    );
  const y = isEven ? ops.add(f.y, b.y) : affine(ops, mixed(), parameters, gamma, beta);
  if (!training) return { y };

  const present = ops.min(examples, 1);
  const batches = ops.add(ops.reshape(population.batches, perPosition), present);
  const weight = ops.div(present, ops.max(batches, 1));
  const corrected = ops.div(size, ops.max(ops.sub(size, 1), 1));
  // masked examples are 0
  let sums = [f.mean, f.variance].map((statistic) => ops.sum(ops.reshape(statistic as T, perExample), [0]));
  if (merge !== undefined) {
    const all = mergedSums(ops, ops.stop(ops.concat(sums, 0)), merge);
    sums = [0, 1].map((at) => ops.slice(all, 0, at, at + 1));
  }
  const [featureMeans, featureVariances] = sums.map((sum) => ops.div(sum, size));
  const position = (statistic: T | undefined) => ops.reshape(statistic as T, [1, ...shape.slice(1)]);
  const measured: Record<string, T> = {
    batchMean: position(b.mean),
    batchVariance: ops.mul(position(b.variance), corrected),
    featureMean: featureMeans,
    featureVariance: ops.mul(featureVariances, corrected),
    batchSize: examples,
  };
  const state: Record<string, T> = { batches: ops.reshape(batches, ops.shape(population.batches)) };
  for (const [name, value] of Object.entries(measured)) {
    const before = ops.reshape(population[name], ops.shape(value));
    const next = ops.add(ops.mul(before, ops.sub(1, weight)), ops.mul(ops.stop(value), weight));
    state[name] = ops.reshape(next, ops.shape(population[name]));
  }
  return { y, state };
}

/** xHat (in training, with gamma and beta), and the measured statistics if both are the mini-batch's. */
function standardized<T>(
  ops: Ops<T>,
  x: T,
  norm: FusedNorm,
  reduced: number,
  mask: T | undefined,
  from: {
    population: { mean: T; variance: T };
    mean: StatisticsSource;
    variance: StatisticsSource;
    gamma?: T;
    beta?: T;
    merge?: Merge<T>;
  },
): { y: T; mean?: T; variance?: T; count?: T } {
  const { gamma, beta, merge } = from;
  if (from.mean === "batch" && from.variance === "batch")
    return ops.normalize(norm, x, { mask, gamma, beta, standardize: standardizing(merge) });
  const shape = ops.shape(x);
  const { statisticsShape } = norm.plan(shape);
  const populationShape = shape.map((length, one) => (one === 0 || one === reduced ? 1 : length));
  const mean = ops.reshape(from.population.mean, populationShape);
  const variance = ops.reshape(from.population.variance, populationShape);
  if (from.mean !== from.variance) {
    const measured = from.mean === "batch" ? "mean" : "variance";
    const population = { mean, variance };
    const { xHat, count } = standardizedByMixedStatistics(
      ops,
      x,
      population,
      measured,
      [reduced],
      norm.epsilon,
      mask,
      merge,
    );
    return { y: xHat, count };
  }
  // statistics over the features are per example: repeat the population's for each
  const each = shape.map((length, one) => (one === reduced ? 1 : length));
  const zero = ops.constant(new Float32Array(sizeOf(each)), each);
  const broadcast = (statistic: T) => ops.reshape(ops.add(statistic, zero), statisticsShape);
  return ops.normalize(norm, x, { mean: broadcast(mean), variance: broadcast(variance), mask });
}

/** Ones and zeros per example and position; a mask applies to all features alike. */
function positionMask<T>(ops: Ops<T>, mask: T, perExample: readonly number[], features: number): T {
  const lengths = ops.shape(mask);
  if ((lengths[features] ?? 1) !== 1) {
    throw new RangeError(
      `${NAME}: mask must be the same for all features, got shape [${lengths.join(", ")}]; give axis ${features} length 1`,
    );
  }
  return broadcastMask(ops, mask, perExample);
}
