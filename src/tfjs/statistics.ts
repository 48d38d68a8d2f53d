/**
 * The statistics that a model's layers keep: which to use in evaluation, measuring them anew, holding them, and how far
 * they are from those of a batch.
 *
 *     const { ranking } = await selectStatistics(model, { xs, ys, batchSize: 25 });
 *     await recalibrate(model, batches);
 *     freezeStatistics(model);
 */
import * as tf from "@tensorflow/tfjs-core";
import { Callback, type LayersModel } from "@tensorflow/tfjs-layers";
import { type StatisticsSources, usualSources } from "../formula/evaluation-sources.js";
import { type Moments, merge, noMoments } from "../moments.js";
import {
  BATCH_LAYER,
  copyOfState,
  correction,
  countOf,
  freezeBuiltIn,
  isBatchLayer,
  isBuiltInBatch,
  isChoosable,
  isFrozen,
  type Layer,
  layersOf,
  measured,
  readAll,
  restore,
  type Tracked,
  trackedOf,
  write,
} from "./kept-statistics.js";
import { apply, NormalizationLayer } from "./layers.js";
import {
  type Batches,
  batchesOf,
  type Call,
  type HeldOut,
  listed,
  predict,
  type Tensors,
} from "./model-runs.js";

type OfLayers = {
  /** Which of the model's layers; default: every one that it can be done to. */
  layers?(layer: Layer): boolean;
};

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

/** How far the statistics of a batch are from those that a layer keeps, over its channels (or positions). */
export interface StatisticsGap {
  /** Its name. */
  readonly layer: string;
  /** Which statistics: Batch Layer Normalization has two kinds. */
  readonly over: "batch" | "features";
  /** |batch − kept| in kept standard deviations. */
  readonly mean: { readonly max: number; readonly median: number };
  /** The larger variance over the smaller one, each with epsilon. */
  readonly variance: { readonly max: number; readonly median: number };
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
  heldOut: HeldOut | Batches<{ xs: Tensors; ys: Tensors }>,
  { metric = "loss", direction = metric === "loss" ? "min" : undefined, layers }: SelectOptions = {},
): Promise<Selection> {
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

/**
 * Measures what batch normalization keeps anew, exactly, over all of these batches: merged by count, whatever their sizes. Those of
 * Batch Layer Normalization become their means over the batches, as over an epoch. Each such layer runs as in training
 * meanwhile, on its batch's statistics, as by PyTorch's `update_bn`; all others (dropout, noise) as in evaluation. No trained
 * weight changes; layers that are frozen are left alone. Returns the names of the layers.
 *
 * Of Evenkeel's layers: batch, ghost batch, conditional batch and Batch Layer Normalization; and TensorFlow.js's own.
 * Where it throws, the model is as it was.
 * @throws RangeError where there is no batch, or one is not finite in such a layer
 */
export async function recalibrate(
  model: LayersModel,
  batches: Batches<Tensors | { xs: Tensors }>,
  { layers }: OfLayers = {},
): Promise<string[]> {
  const all = layersOf(model, layers).filter((layer) => !isFrozen(layer));
  const tracked = all.map(trackedOf).filter((one) => one !== undefined);
  const inTwoParts = all.filter(isBatchLayer);
  if (tracked.length + inTwoParts.length === 0) {
    throw new RangeError(
      "recalibrate: the model has no layer that keeps a batch's statistics and is not frozen",
    );
  }
  const merged = new Map(tracked.map((one) => [one, [] as Moments[]]));
  const before = inTwoParts.map(copyOfState);
  let number = 0;
  try {
    for (const layer of inTwoParts) layer.resetState();
    for await (const { xs } of batchesOf("recalibrate", batches)) {
      const seen: { layer: Layer; tensors: tf.Tensor[]; one?: Tracked }[] = [];
      const calls = new Map<Layer, Call>();
      for (const one of tracked) {
        calls.set(one.layer, (inputs, { mask }) => {
          const [x] = inputs;
          const { y } = apply(one.normalization, inputs, one.read(), { training: true, mask });
          const { mean, variance } = measured(one, x, mask);
          const tensors = [tf.sum(y), mean, variance, countOf(one, x, mask)];
          seen.push({ layer: one.layer, one, tensors: tensors.map((tensor) => tf.keep(tensor)) });
          return y;
        });
      }
      for (const layer of inTwoParts) {
        calls.set(layer, (inputs, { mask }, original) => {
          const y = original(inputs, { mask, training: true });
          seen.push({ layer, tensors: [tf.keep(tf.sum(y as tf.Tensor))] });
          return y;
        });
      }
      try {
        predict(model, xs, calls);
        for (const { layer, one, tensors } of seen) {
          const [[sum], means, variances, counts] = await Promise.all(tensors.map((tensor) => tensor.data()));
          if (!Number.isFinite(sum)) {
            throw new RangeError(
              `recalibrate: batch ${number} is not finite in ${layer.name}, the model was left as it was; look for a bad example in it`,
            );
          }
          if (!one) continue;
          const total = merged.get(one) as Moments[];
          for (let c = 0; c < means.length; c++) {
            const count = counts[counts.length === 1 ? 0 : c];
            total[c] = merge(total[c] ?? noMoments, { count, mean: means[c], m2: variances[c] * count });
          }
        }
      } finally {
        for (const { tensors } of seen) tf.dispose(tensors);
      }
      number++;
    }
    if (number === 0) throw new RangeError("recalibrate: there are no batches");
  } catch (error) {
    inTwoParts.forEach((layer, i) => {
      restore(layer, before[i]);
    });
    throw error;
  } finally {
    tf.dispose(before);
  }
  for (const [one, total] of merged) write(one, total, number);
  const measuredLayers: Layer[] = [...tracked.map(({ layer }) => layer), ...inTwoParts];
  return all.filter((layer) => measuredLayers.includes(layer)).map(({ name }) => name);
}

/**
 * A callback for `model.fit`: begins the statistics of each epoch anew, in layers that average over an epoch (`average:
 * "epoch"`, and Batch Layer Normalization). Those of the epoch before serve until the first batch.
 *
 *     await model.fit(xs, ys, { epochs: 10, callbacks: epochStatistics() });
 */
export function epochStatistics(): Callback {
  return new EpochStatistics();
}

class EpochStatistics extends Callback {
  override async onEpochBegin(): Promise<void> {
    for (const layer of layersOf(this.model as LayersModel)) {
      if (!(layer instanceof NormalizationLayer) || layer.frozen) continue;
      if (layer.getConfig().average === "epoch" || isBatchLayer(layer)) layer.resetState();
    }
  }
}

/**
 * Holds what layers keep between calls, or lets go of it: a frozen layer goes on as in evaluation, in training too, apart from
 * `trainable`; gamma and beta still learn. TensorFlow.js's own batch normalization too, which does not save it. Returns the
 * names of the layers.
 */
export function freezeStatistics(model: LayersModel, frozen = true, { layers }: OfLayers = {}): string[] {
  const names: string[] = [];
  for (const layer of layersOf(model, layers)) {
    if (layer instanceof NormalizationLayer && layer.keepsState) layer.frozen = frozen;
    else if (isBuiltInBatch(layer)) freezeBuiltIn(layer, frozen);
    else continue;
    names.push(layer.name);
  }
  return names;
}

/** How far a batch's statistics are from those that each layer keeps, with the model in evaluation. */
export function statisticsGap(
  model: LayersModel,
  batch: Tensors,
  { layers }: OfLayers = {},
): StatisticsGap[] {
  const gaps: StatisticsGap[] = [];
  const calls = new Map<Layer, Call>();
  for (const layer of layersOf(model, layers)) {
    const one = trackedOf(layer);
    if (one) {
      calls.set(layer, (inputs, call, original) => {
        const [x] = inputs;
        const { mean, variance } = measured(one, x, call.mask);
        const counts = countOf(one, x, call.mask).dataSync();
        const { runningMean, runningVariance } = one.variables;
        const batch = Array.from(variance.dataSync(), (value, c) =>
          one.unbiased ? value * correction(counts[counts.length === 1 ? 0 : c]) : value,
        );
        gaps.push(
          gapOf(layer, "batch", one.norm.epsilon, {
            batch: [mean.dataSync(), batch],
            kept: [runningMean.read().dataSync(), runningVariance.read().dataSync()],
          }),
        );
        return original(inputs, call);
      });
    } else if (isBatchLayer(layer)) {
      calls.set(layer, (inputs, call, original) => {
        const kept = readAll(layer.variables);
        // of an epoch that has this batch alone
        const first = { ...kept, batches: tf.zerosLike(kept.batches) };
        const { state = {} } = apply(layer.normalization, inputs, first, { training: true, mask: call.mask });
        const { epsilon = 1e-3 } = layer.getConfig() as { epsilon?: number };
        for (const [over, name] of [
          ["batch", "batch"],
          ["features", "feature"],
        ] as const) {
          const both = [`${name}Mean`, `${name}Variance`];
          gaps.push(
            gapOf(layer, over, epsilon, {
              batch: both.map((each) => state[each].dataSync()),
              kept: both.map((each) => kept[each].dataSync()),
            }),
          );
        }
        return original(inputs, call);
      });
    }
  }
  predict(model, batch, calls);
  return gaps;
}
function gapOf(
  { name }: Layer,
  over: "batch" | "features",
  epsilon: number,
  { batch, kept }: { batch: ArrayLike<number>[]; kept: ArrayLike<number>[] },
): StatisticsGap {
  const means = Array.from(
    kept[0],
    (mean, c) => Math.abs(batch[0][c] - mean) / Math.sqrt(kept[1][c] + epsilon),
  );
  const variances = Array.from(kept[1], (variance, c) => {
    const ratio = (batch[1][c] + epsilon) / (variance + epsilon);
    return Math.max(ratio, 1 / ratio);
  });
  return { layer: name, over, mean: summary(means), variance: summary(variances) };
}

function summary(values: readonly number[]): { max: number; median: number } {
  if (values.some(Number.isNaN)) return { max: Number.NaN, median: Number.NaN };
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { max: sorted[sorted.length - 1], median };
}

function configurations(inTwoParts: boolean): StatisticsSources[] {
  const names = Object.keys(usualSources) as (keyof typeof usualSources)[];
  const used = inTwoParts ? names : names.slice(0, 2);
  const other = { batch: "population", population: "batch" } as const;
  return Array.from({ length: 2 ** used.length }, (_, i) =>
    Object.fromEntries(
      used.map((name, bit) => [name, (i >> bit) & 1 ? other[usualSources[name]] : usualSources[name]]),
    ),
  );
}

/** As `model.evaluate` gives it. */
async function evaluated(
  model: LayersModel,
  heldOut: HeldOut | Batches<{ xs: Tensors; ys: Tensors }>,
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
