/**
 * Where statistics come from in evaluation: the population (stored in training), or the mini-batch at hand; separately for each
 * statistic, as Ziaee & Çano 2022 (arXiv 2209.08898) propose.
 */
import { mergedMoments, reciprocalDeviation } from "./merging.js";
import type { Merge, Ops } from "./ops.js";
import { averaging, broadcastMask, centered, rootMeanSquare } from "./terms.js";

/** `population`: statistics stored in training; `batch`: those of the mini-batch at hand. */
export type StatisticsSource = "batch" | "population";

/** The source of each statistic in evaluation; `feature...` apply to Batch Layer Normalization alone. */
export interface StatisticsSources {
  batchMean?: StatisticsSource;
  batchVariance?: StatisticsSource;
  featureMean?: StatisticsSource;
  featureVariance?: StatisticsSource;
}

const NAMES = ["batchMean", "batchVariance", "featureMean", "featureVariance"] as const;

/** Batch statistics from the population, so that a single example can be evaluated; feature statistics from the example. */
export const defaultSources: Required<StatisticsSources> = {
  batchMean: "population",
  batchVariance: "population",
  featureMean: "batch",
  featureVariance: "batch",
};

/** @throws RangeError for an unknown statistic or source */
export function checkSources(norm: string, sources: StatisticsSources): Required<StatisticsSources> {
  for (const [name, source] of Object.entries(sources)) {
    if (!NAMES.includes(name as (typeof NAMES)[number])) {
      throw new RangeError(`${norm}: sources has no "${name}"; it has ${NAMES.join(", ")}`);
    }
    if (source !== undefined && source !== "batch" && source !== "population") {
      throw new RangeError(`${norm}: sources.${name} must be "batch" or "population", got "${source}"`);
    }
  }
  const given = Object.entries(sources).filter(([, source]) => source !== undefined);
  return { ...defaultSources, ...Object.fromEntries(given) };
}

/**
 * (x − mean)/√(variance + epsilon) with one statistic measured over these axes and the other from the population, which broadcasts
 * over x. Gradients flow through the measured one. x must be finite, also where masked.
 * @returns also the number of values of a statistic that was merged with other places'
 */
export function standardizedByMixedStatistics<T>(
  ops: Ops<T>,
  x: T,
  population: { readonly mean: T; readonly variance: T },
  measured: "mean" | "variance",
  axes: readonly number[],
  epsilon: number,
  mask?: T,
  merge?: Merge<T>,
): { xHat: T; count?: T } {
  const shape = ops.shape(x);
  const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
  if (merge !== undefined) {
    const { distance, count, ...all } = mergedMoments(ops, x, axes, merge, fullMask);
    const xHat =
      measured === "mean"
        ? ops.mul(distance, ops.div(all.unit, ops.sqrt(ops.add(population.variance, epsilon))))
        : ops.mul(ops.div(ops.sub(x, population.mean), all.unit), reciprocalDeviation(ops, all, epsilon));
    return { xHat, count };
  }
  const over = averaging(ops, shape, axes, fullMask);
  const { distance } = centered(ops, x, over);
  if (measured === "mean")
    return { xHat: ops.div(distance, ops.sqrt(ops.add(population.variance, epsilon))) };
  const { scale, root } = rootMeanSquare(ops, distance, axes, over.average, epsilon);
  return { xHat: ops.div(ops.div(ops.sub(x, population.mean), scale), root) };
}
