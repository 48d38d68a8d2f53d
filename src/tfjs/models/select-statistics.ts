/**
 * Where the statistics of evaluation come from, chosen on held-out data.
 *
 *     const { ranking } = await selectStatistics(model, { xs, ys, batchSize: 25 });
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { defaultSources, type StatisticsSources } from "../../formula/evaluation-sources.js";
import { checkOptions } from "../../options.js";
import { type Batches, batchesOf, type HeldOut, type Inputs, listed } from "./batches.js";
import { type StatisticsGap, statisticsGap } from "./statistics-gap.js";
import { BATCH_LAYER, isChoosable, layersOf, type OfLayers } from "./tracked-layers.js";

/** Where each statistic comes from, what that gave on held-out data. */
export interface Evaluated {
  readonly configuration: StatisticsSources;
  readonly loss: number;
  /** By the names of `model.metricsNames`. */
  readonly metrics: Readonly<Record<string, number>>;
}

export interface Selection {
  /** Best first. */
  readonly ranking: readonly Evaluated[];
  /** On the first batch, before anything was chosen. */
  readonly gaps: readonly StatisticsGap[];
}

export interface SelectOptions extends OfLayers {
  /** What to rank by: "loss" (default), or a name in `model.metricsNames`, such as "acc". */
  metric?: string;
  /** Which values of it are better: for the loss "min"; a metric needs to be told. */
  direction?: "min" | "max";
}

/**
 * Tries every choice of sources on held-out data, by `model.evaluate`, ranks them, and leaves the layers with the best one: 16
 * where the model has Batch Layer Normalization, 4 where it has batch normalization alone. All layers share a choice. They
 * are Evenkeel's own layers, which loaded models have after `install()`; the choice is saved with the model.
 *
 * Where it throws, the model is as it was.
 * @throws RangeError for a model without such layers, or without that metric
 */
export async function selectStatistics(
  model: LayersModel,
  heldOut: HeldOut | Batches<{ xs: Inputs; ys: Inputs }>,
  options: SelectOptions = {},
): Promise<Selection> {
  checkOptions("selectStatistics", options, ["metric", "direction", "layers"]);
  const { metric = "loss", direction = metric === "loss" ? "min" : undefined, layers } = options;
  const chosen = layersOf(model, layers).filter(isChoosable);
  if (chosen.length === 0) {
    throw new RangeError(
      "selectStatistics: the model has no layer whose statistics can be chosen; it needs batchLayerNormalization or " +
        "batchNormalization of evenkeel/tfjs, which models have that are loaded after install()",
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
  // equals keep their order, in which the usual choice is first
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

/** As `model.evaluate` gives it. */
async function evaluated(
  model: LayersModel,
  heldOut: HeldOut | Batches<{ xs: Inputs; ys: Inputs }>,
): Promise<Omit<Evaluated, "configuration">> {
  let examples = 0;
  let totals: number[] = [];
  for await (const { xs, ys, batchSize } of batchesOf("selectStatistics", heldOut)) {
    const inputs = listed(model, xs);
    const targets =
      ys instanceof tf.Tensor || Array.isArray(ys)
        ? ys
        : model.outputNames.map((name) => (ys as Record<string, tf.Tensor>)[name]);
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
  // of several outputs, evaluate gives the sums of their losses, one by one, and the last is the loss
  const outputs = model.outputs.length;
  const names = model.metricsNames.slice(1);
  return {
    loss: means[outputs - 1],
    metrics: Object.fromEntries(names.map((name, i) => [name, means[outputs + i]])),
  };
}
