/**
 * Where statistics come from in evaluation: from what was kept of training, the population, or from the mini-batch at hand.
 * Each of them apart, as Ziaee & Çano 2022 (arXiv 2209.08898) propose.
 */
import type { Ops } from "./ops.js";
import { averaging, broadcastMask, centered, rootMeanSquare } from "./terms.js";

export type StatisticsSource = "batch" | "population";

/** For each statistic; those of the features where a normalization has any. */
export interface StatisticsSources {
  batchMean?: StatisticsSource;
  batchVariance?: StatisticsSource;
  featureMean?: StatisticsSource;
  featureVariance?: StatisticsSource;
}

const NAMES = ["batchMean", "batchVariance", "featureMean", "featureVariance"] as const;

/** The batch's statistics from the population, which one example has too; the features' from the example. */
export const usualSources: Required<StatisticsSources> = {
  batchMean: "population",
  batchVariance: "population",
  featureMean: "batch",
  featureVariance: "batch",
};

/** @throws RangeError for a statistic that there is not, or a source that is none */
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
  return { ...usualSources, ...Object.fromEntries(given) };
}

/**
 * (x − mean)/√(variance + epsilon) with one statistic of the batch and the other of the population, which broadcasts over
 * x. The gradient goes through what is measured, over these axes, where the mask is not 0. x is to be finite everywhere.
 */
export function standardizedByBoth<T>(
  ops: Ops<T>,
  x: T,
  population: { readonly mean: T; readonly variance: T },
  measured: "mean" | "variance",
  axes: readonly number[],
  epsilon: number,
  mask?: T,
): T {
  const shape = ops.shape(x);
  const over = averaging(ops, shape, axes, mask === undefined ? undefined : broadcastMask(ops, mask, shape));
  const { distance } = centered(ops, x, over);
  if (measured === "mean") return ops.div(distance, ops.sqrt(ops.add(population.variance, epsilon)));
  const { scale, root } = rootMeanSquare(ops, distance, axes, over.average, epsilon);
  return ops.div(ops.div(ops.sub(x, population.mean), scale), root);
}
