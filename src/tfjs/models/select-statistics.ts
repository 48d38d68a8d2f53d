/**
 * Chooses on held-out data where the statistics used in evaluation come from.
 *
 *     const { ranking } = await selectStatistics(model, { xs, ys, batchSize: 25 });
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { defaultSources, type StatisticsSources } from "../../formula/evaluation-sources.js";
import { tensorsOf } from "../arguments.js";
import { type Batches, batchesOf, type HeldOut, type Inputs } from "./batches.js";
import { type StatisticsGap, statisticsGap } from "./statistics-gap.js";
import { BATCH_LAYER, checkLayersOf, isChoosable, layersOf, type OfLayers } from "./tracked-layers.js";

/** A choice of sources, and its results on held-out data. */
export interface Evaluated {
  /** Where each statistic comes from. */
  readonly configuration: StatisticsSources;
  /** Mean over the examples. */
  readonly loss: number;
  /** Means over the examples, by the names in `model.metricsNames`. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** What `selectStatistics` returns. */
export interface Selection {
  /** Best first. */
  readonly ranking: readonly Evaluated[];
  /** On the first batch, before anything was chosen. */
  readonly gaps: readonly StatisticsGap[];
}

/** Options of `selectStatistics`. */
export interface SelectOptions extends OfLayers {
  /** What to rank by: "loss" (default), or a name in `model.metricsNames`, such as "acc". */
  metric?: string;
  /** Which values are better: default "min" for the loss; required for a metric. */
  direction?: "min" | "max";
}

/**
 * Evaluates every choice of sources on held-out data with `model.evaluate`, ranks them, and leaves the layers
 * with the best one: 16 choices where the model has Batch Layer Normalization, 4 where it has batch
 * normalization alone. All layers share a choice. Only Evenkeel's own layers can be chosen for, which models
 * loaded after `install()` have; the choice is saved with the model. Where it throws, the model is unchanged.
 * @throws TypeError for what is not a model, an unknown option, or data of another form; RangeError for a model without such
 * layers or without that metric, for a metric without a direction, or where there is no data
 */
export async function selectStatistics(
  model: LayersModel,
  heldOut: HeldOut | Batches<{ xs: Inputs; ys: Inputs }>,
  options: SelectOptions = {},
): Promise<Selection> {
  checkLayersOf("selectStatistics", model, options, ["metric", "direction", "layers"]);
  const { metric = "loss", direction = metric === "loss" ? "min" : undefined, layers } = options;
  const chosen = layersOf(model, layers).filter(isChoosable);
  if (chosen.length === 0) {
    throw new RangeError(
      "selectStatistics: the model has no layer whose statistics can be chosen; it needs batchLayerNormalization or " +
        "batchNormalization of evenkeel/tfjs, which models loaded after install() have",
    );
  }
  if (metric !== "loss" && !model.metricsNames?.includes(metric)) {
    throw new RangeError(
      `selectStatistics: metric must be one of the model's, got "${metric}"; it has ${model.metricsNames?.join(", ")}`,
    );
  }
  if (direction !== "min" && direction !== "max") {
    throw new RangeError(
      `selectStatistics: direction must be "min" or "max" for the metric "${metric}", got ${direction}`,
    );
  }
  const inTwoParts = chosen.some(({ normalization }) => normalization.name === BATCH_LAYER);
  const before = chosen.map((layer) => layer.getConfig().sources as StatisticsSources | undefined);
  const ranking: Evaluated[] = [];
  let gaps: StatisticsGap[] = [];
  try {
    for await (const { xs } of batchesOf("selectStatistics", heldOut, true)) {
      gaps = statisticsGap(model, xs, { layers });
      break;
    }
    for (const configuration of configurations(inTwoParts)) {
      for (const layer of chosen) layer.configure({ sources: configuration });
      ranking.push({ configuration, ...(await evaluated(model, heldOut)) });
    }
  } catch (error) {
    chosen.forEach((layer, i) => {
      layer.configure({ sources: before[i] });
    });
    throw error;
  }
  const value = ({ loss, metrics }: Evaluated) => (metric === "loss" ? loss : metrics[metric]);
  const cost = (one: Evaluated) => {
    const at = value(one) * (direction === "min" ? 1 : -1);
    return Number.isNaN(at) ? Number.POSITIVE_INFINITY : at;
  };
  // ties keep their order, in which the default choice is first
  ranking.sort((a, b) => (cost(a) === cost(b) ? 0 : cost(a) - cost(b)));
  for (const layer of chosen) layer.configure({ sources: ranking[0].configuration });
  return { ranking, gaps };
}

function configurations(inTwoParts: boolean): StatisticsSources[] {
  const names = Object.keys(defaultSources) as (keyof typeof defaultSources)[];
  const used = inTwoParts ? names : names.slice(0, 2);
  const other = { batch: "population", population: "batch" } as const;
  return Array.from({ length: 2 ** used.length }, (_, i) =>
    Object.fromEntries(
      used.map((name, bit) => [name, (i >> bit) & 1 ? other[defaultSources[name]] : defaultSources[name]]),
    ),
  );
}

/** Loss and metrics of `model.evaluate`, averaged over all batches. */
async function evaluated(
  model: LayersModel,
  heldOut: HeldOut | Batches<{ xs: Inputs; ys: Inputs }>,
): Promise<Omit<Evaluated, "configuration">> {
  let examples = 0;
  let totals: number[] = [];
  for await (const { xs, ys, batchSize } of batchesOf("selectStatistics", heldOut)) {
    const inputs = tensorsOf("selectStatistics", "input", xs, model.inputNames);
    const targets = tensorsOf("selectStatistics", "target", ys, model.outputNames);
    const rows = [inputs].flat()[0].shape[0];
    const given = [model.evaluate(inputs, targets, { batchSize: batchSize ?? rows })].flat();
    try {
      const values = (await Promise.all(given.map((scalar) => scalar.data()))).map(([value]) => value);
      totals = values.map((value, i) => (totals[i] ?? 0) + value * rows);
    } finally {
      tf.dispose(given);
    }
    examples += rows;
  }
  if (examples === 0) throw new RangeError("selectStatistics: there is no held-out data");
  const means = totals.map((total) => total / examples);
  // with several outputs, evaluate returns the running sums of their losses, the last of which is the loss
  const outputs = model.outputs.length;
  const names = model.metricsNames.slice(1);
  return {
    loss: means[outputs - 1],
    metrics: Object.fromEntries(names.map((name, i) => [name, means[outputs + i]])),
  };
}
