/**
 * Federated averaging (McMahan et al. 2017, arXiv 1602.05629): models of one structure, trained apart on data of their own, become one.
 *
 *     weights                mean_k(w)                                  weighted by the models' numbers of examples
 *     running statistics     mean M = mean_k(mean)                      variance = mean_k(variance + (mean − M)²)
 *
 * The second term is the spread between the models' means, without which the variance of all data together comes out too small: by
 * half or more where clients differ as much as their examples do. `keepLocal: "norms"` is FedBN (Li et al. 2021, arXiv 2102.07623).
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import { runningDefaults } from "../../formula/running.js";
import { biasedVariance, type Moments, merge, noMoments } from "../../moments.js";
import { checkOptions } from "../../options.js";
import { type AsyncExchange, checkExchange, checkLists, type Exchange } from "../../replicas/exchange.js";
import { described, sameShape, sizeOf } from "../../shape.js";
import { checkModel } from "../arguments.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import type { Layer } from "../types.js";
import { hashOf } from "./hash.js";
import { type LayerWeights, layersWithWeights } from "./layer-weights.js";

/** Options of `averageModels`, besides the number of examples. */
export interface AverageOptions {
  /**
   * What stays each model's own: `"norms"` for every weight and statistic of normalizations that store statistics of batches (FedBN), or
   * a function of a layer. Default: nothing.
   */
  keepLocal?: "norms" | ((layer: Layer) => boolean);
}

/** What became of each weight, by the first model's names: `layer/weight`. */
export interface Averaged {
  /** Means, weighted by examples. */
  readonly averaged: readonly string[];
  /** Statistics, merged as moments. */
  readonly merged: readonly string[];
  /** What counts or is not to be averaged: sums of counts, the largest of flags and limits, the vectors of spectral normalization. */
  readonly taken: readonly string[];
  /** What each model keeps. */
  readonly local: readonly string[];
}

/**
 * Averages models that were trained apart, and writes the result into each of them. Statistics of batches are merged as moments: batch
 * normalization's (TensorFlow.js's own too), of its relatives, of renormalization, which stores deviations, and of Batch Layer
 * Normalization. An average over an epoch is merged by its own counts, and is exactly that of all data; all others by `examples`.
 * What a layer stores without its mean (evoNormB0), or as a matrix (iterNorm), is averaged.
 *
 * Optimizers are left as they are.
 * @param options `examples`: how many each model was trained on since the last average; `keepLocal`
 * @returns what was done with which weight
 * @throws TypeError for what are not models, or an unknown option; RangeError for examples that are not a number for each, for models
 * that differ in a layer or in a weight's shape, and for weights that are not finite; then no model is changed
 */
export function averageModels(
  models: readonly LayersModel[],
  options: AverageOptions & { examples: readonly number[] },
): Averaged {
  checkOptions("averageModels", options, ["examples", "keepLocal"]);
  if (!Array.isArray(models) || models.length === 0) {
    throw new TypeError(`averageModels: models must be a list of models, got ${described(models)}`);
  }
  for (const model of models) checkModel("averageModels", model);
  const { examples, keepLocal } = options;
  if (!Array.isArray(examples) || examples.length !== models.length) {
    throw new RangeError(
      `averageModels: examples must be a number for each of ${models.length} models, got ${described(examples)}`,
    );
  }
  const layers = models.map(layersWithWeights);
  for (const [i, others] of layers.entries()) checkStructure(layers[0], others, i);
  const plan = planOf("averageModels", layers[0], keepLocal);
  const values = layers.map((of) => valuesOf(plan, of));
  const result = averageOf("averageModels", plan, values, examples);
  for (const of of layers) write(plan, of, result);
  return plan.report;
}

/**
 * The same with models in several places: this one becomes the average of the models of all replicas. Every replica calls it, with a
 * model of the same structure.
 * @param options `exchange`, which may take its time; `examples`: how many this model was trained on since the last average; `keepLocal`
 * @returns what was done with which weight; a promise of it where the exchange takes time
 * @throws as `averageModels`, and what the exchange throws
 */
export function averageOver(model: LayersModel, options: AverageOverOptions<Exchange>): Averaged;
export function averageOver(
  model: LayersModel,
  options: AverageOverOptions<AsyncExchange>,
): Promise<Averaged>;
export function averageOver(
  model: LayersModel,
  options: AverageOverOptions<Exchange | AsyncExchange>,
): Averaged | Promise<Averaged> {
  checkModel("averageOver", model);
  checkOptions("averageOver", options, ["exchange", "examples", "keepLocal"]);
  const { exchange, examples, keepLocal } = options;
  checkExchange("averageOver", exchange);
  checkExamples("averageOver", [examples]);
  const layers = layersWithWeights(model);
  const plan = planOf("averageOver", layers, keepLocal);
  const own = valuesOf(plan, layers);
  const given = new Float64Array(own.reduce((length, values) => length + values.length, HEAD));
  given.set([examples, hashOf(structureOf(plan, layers))]);
  let end = HEAD;
  for (const values of own) {
    given.set(values, end);
    end += values.length;
  }
  const average = (lists: unknown): Averaged => {
    checkLists("averageOver", lists, given.length);
    const other = lists.findIndex(([, structure]) => structure !== given[1]);
    if (other !== -1) {
      throw new RangeError(
        `averageOver: models must have the same structure and keepLocal, but replica ${other}'s differs from this one's`,
      );
    }
    const values = lists.map((list) => {
      let at = HEAD;
      return own.map(({ length }) => {
        at += length;
        return list.subarray(at - length, at);
      });
    });
    const counts = lists.map(([count]) => count);
    write(plan, layers, averageOf("averageOver", plan, values, counts));
    return plan.report;
  };
  // not merged on the way: every model's statistics count on their own
  const answer = exchange(given);
  return answer instanceof Promise ? answer.then(average) : average(answer);
}

/** Options of `averageOver`. */
export interface AverageOverOptions<E extends Exchange | AsyncExchange> extends AverageOptions {
  exchange: E;
  examples: number;
}

/** Of a message: its examples and the structure's hash. */
const HEAD = 2;

/** What must be the same wherever the model is. */
function structureOf({ places }: Planned, layers: readonly LayerWeights[]): string {
  const weights = places.map(({ layer, role }) => [layer, role, layers[layer].weights.get(role)?.shape]);
  const options = layers.map(({ layer, isNormalization }) => [
    layer.getClassName(),
    isNormalization && configOf(layer),
  ]);
  return JSON.stringify([weights, options]);
}

/** A mean and what goes with it: as stored, by roles. */
interface Pair {
  readonly mean: string;
  readonly variance: string;
  /** Stored is the standard deviation. */
  readonly isDeviation?: boolean;
  /** Of values, batches or flags: 0 where nothing was measured. */
  readonly count?: string;
  /** Statistics are averages of examples' own, whose means' spread is no part of the variance. */
  readonly ofExamples?: boolean;
}

const PAIRS: readonly Pair[] = [
  { mean: "runningMean", variance: "runningVariance", count: "runningCount" },
  { mean: "runningMean", variance: "runningDeviation", isDeviation: true },
  { mean: "renormMean", variance: "renormDeviation", isDeviation: true },
  { mean: "pendingMean", variance: "pendingVariance", count: "pendingCount" },
  { mean: "initialMean", variance: "initialDeviation", isDeviation: true, count: "initialized" },
  { mean: "batchMean", variance: "batchVariance", count: "batches" },
  { mean: "featureMean", variance: "featureVariance", count: "batches", ofExamples: true },
];

/** Counts, whose sum counts what was merged. */
const SUMS = ["runningCount", "pendingCount", "batches"];
/** Flags, limits on a schedule, positions within an accumulation. */
const LARGEST = ["initialized", "rMax", "dMax", "pendingBatches"];
/** Weighted by a count: the mean number of examples of Batch Layer Normalization. */
const BY_COUNT: Readonly<Record<string, string>> = { batchSize: "batches" };
/** Of power iterations: their sign is arbitrary, and a mean of two may be 0. */
const VECTORS = ["u", "v"];

/** Where a weight is: the layer's place, its role, and its place in the flat list. */
interface Place {
  readonly layer: number;
  readonly role: string;
  readonly name: string;
}

/** Makes values of those of all models. */
type Rule = (at: (role: string) => Float64Array[], examples: readonly number[]) => Map<string, Float64Array>;

interface Planned {
  readonly places: readonly Place[];
  readonly rules: readonly { readonly layer: number; readonly rule: Rule }[];
  readonly report: Averaged;
}

function planOf(
  caller: string,
  layers: readonly LayerWeights[],
  keepLocal: AverageOptions["keepLocal"],
): Planned {
  if (keepLocal !== undefined && keepLocal !== "norms" && typeof keepLocal !== "function") {
    throw new TypeError(
      `${caller}: keepLocal must be "norms" or a function of a layer, got ${described(keepLocal)}; leave it out for none`,
    );
  }
  const report = { averaged: [], merged: [], taken: [], local: [] } as Record<keyof Averaged, string[]>;
  const places: Place[] = [];
  const rules: { layer: number; rule: Rule }[] = [];
  for (const [i, one] of layers.entries()) {
    const roles = [...one.weights.keys()];
    const nameOf = (role: string) => `${one.name}/${role}`;
    const isLocal = keepLocal === "norms" ? keepsStatistics(one) : (keepLocal?.(one.layer) ?? false);
    if (isLocal) {
      report.local.push(...roles.map(nameOf));
      continue;
    }
    for (const role of roles) places.push({ layer: i, role, name: nameOf(role) });
    const done = new Set<string>();
    const add = (kind: keyof Averaged, of: readonly string[], rule: Rule) => {
      rules.push({ layer: i, rule });
      report[kind].push(...of.map(nameOf));
      for (const role of of) done.add(role);
    };
    if (one.isNormalization) {
      for (const pair of PAIRS) {
        if (!roles.includes(pair.mean) || !roles.includes(pair.variance)) continue;
        add("merged", [pair.mean, pair.variance], merging(one, pair));
      }
    }
    for (const role of roles) {
      if (done.has(role)) continue;
      const isVector = !one.isNormalization && one.weights.has("u") && VECTORS.includes(role);
      const counted = BY_COUNT[role];
      const variable = one.weights.get(role) as LayerVariable;
      if (one.isNormalization && SUMS.includes(role)) add("taken", [role], summing(role));
      else if (isVector) add("taken", [role], ofMost(role));
      else if ((one.isNormalization && LARGEST.includes(role)) || variable.dtype !== "float32")
        add("taken", [role], largest(role));
      else add("averaged", [role], averaging(one, role, one.isNormalization ? counted : undefined));
    }
  }
  return { places, rules, report };
}

/** Whether it is a normalization with statistics of batches. */
function keepsStatistics({ isNormalization, weights }: LayerWeights): boolean {
  return (
    isNormalization && [...weights.keys()].some((role) => /^(running|renorm|initial|batch)[A-Z]/.test(role))
  );
}

function merging({ layer, weights }: LayerWeights, pair: Pair): Rule {
  const { runningVariance, average } = configOf(layer);
  const isInstance = layer instanceof NormalizationLayer && layer.normalization.name === "instanceNorm";
  const ofExamples = pair.ofExamples || isInstance;
  /** The counts are the weights: of values, or of as many batches. Others say only that something was measured. */
  const isOfEpoch = average === "epoch" && pair.count === "runningCount";
  const isCounted = isOfEpoch || pair.count === "pendingCount" || pair.count === "batches";
  const isUnbiased = isOfEpoch && runningVariance === "unbiased";
  return (at, examples) => {
    const [means, spreads] = [at(pair.mean), at(pair.variance)];
    const counts = pair.count === undefined ? undefined : at(pair.count);
    const [mean, spread] = [means[0], spreads[0]].map(({ length }) => new Float64Array(length));
    const indexOf = countIndex(weights, pair.mean, pair.count);
    for (let i = 0; i < mean.length; i++) {
      const shares = sharesOf(counts, indexOf(i), examples, isCounted);
      const parts = means.map((each, k): Moments => {
        const count = shares[k];
        const stored = pair.isDeviation ? spreads[k][i] ** 2 : spreads[k][i];
        const variance = isUnbiased && count > 0 ? (stored * (count - 1)) / count : stored;
        return { count, mean: each[i], m2: variance * count };
      });
      const all = parts.reduce(merge, noMoments);
      mean[i] = all.mean;
      // examples' own variances have no spread in them
      const variance = ofExamples ? sum(parts.map(({ m2 }) => m2)) / all.count : biasedVariance(all);
      const corrected = isUnbiased && all.count > 1 ? (variance * all.count) / (all.count - 1) : variance;
      spread[i] = pair.isDeviation ? Math.sqrt(corrected) : corrected;
      // nothing was measured, and nobody has examples
      if (all.count === 0) [mean[i], spread[i]] = [means[0][i], spreads[0][i]];
    }
    return new Map([
      [pair.mean, mean],
      [pair.variance, spread],
    ]);
  };
}

/**
 * How much each model counts for a statistic: as many values or batches as it has measured where that `isCounted`; else its examples, if
 * it has measured any. Where none has, since all have just begun an epoch, the last one's statistics count by examples.
 */
function sharesOf(
  counts: readonly Float64Array[] | undefined,
  i: number,
  examples: readonly number[],
  isCounted: boolean,
): readonly number[] {
  if (counts === undefined) return examples;
  const measured = counts.map((each) => each[i]);
  if (measured.every((count) => count === 0)) return examples;
  return isCounted ? measured : measured.map((count, k) => (count === 0 ? 0 : examples[k]));
}

/** Where a statistic's count is: counts have the statistics' first axes (steps, positions), or their last ones, or are a single one. */
function countIndex(weights: LayerWeights["weights"], role: string, count?: string): (i: number) => number {
  const shapes = [role, count ?? role].map((one) => (weights.get(one)?.shape ?? []) as number[]);
  const [[size, of], [counts, by]] = shapes.map((shape) => [sizeOf(shape), shape] as const);
  const isFirst = by.every((length, axis) => length === of[axis] || length === 1);
  return (i) => (isFirst ? Math.floor((i * counts) / size) : i % counts);
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function averaging({ weights }: LayerWeights, role: string, count?: string): Rule {
  return (at, examples) => {
    const values = at(role);
    const counts = count === undefined ? undefined : at(count);
    const indexOf = countIndex(weights, role, count);
    const mean = values[0].map((_, i) => {
      const shares = sharesOf(counts, indexOf(i), examples, true);
      return sum(values.map((each, k) => each[i] * shares[k])) / sum(shares);
    });
    return new Map([[role, mean]]);
  };
}

const summing =
  (role: string): Rule =>
  (at) => {
    const values = at(role);
    return new Map([[role, values[0].map((_, i) => sum(values.map((each) => each[i])))]]);
  };

const largest =
  (role: string): Rule =>
  (at) => {
    const values = at(role);
    return new Map([[role, values[0].map((_, i) => Math.max(...values.map((each) => each[i])))]]);
  };

/** As the model of the most examples has it. */
const ofMost =
  (role: string): Rule =>
  (at, examples) =>
    new Map([[role, at(role)[examples.indexOf(Math.max(...examples))]]]);

/** Of each place, what all models have there. */
function averageOf(
  caller: string,
  { places, rules }: Planned,
  values: readonly (readonly Float64Array[])[],
  examples: readonly number[],
): Float64Array[] {
  checkExamples(caller, examples);
  for (const [k, lists] of values.entries()) {
    const bad = lists.findIndex((list) => !list.every((value) => Number.isFinite(value)));
    if (bad === -1) continue;
    throw new RangeError(
      `${caller}: model ${k} is not finite in ${places[bad].name}; leave it out, and train it again`,
    );
  }
  const index = new Map(places.map(({ layer, role }, i) => [`${layer} ${role}`, i]));
  const result: Float64Array[] = new Array(places.length);
  for (const { layer, rule } of rules) {
    const indexOf = (role: string) => index.get(`${layer} ${role}`);
    const at = (role: string) => {
      const i = indexOf(role);
      return i === undefined ? [] : values.map((lists) => lists[i]);
    };
    for (const [role, made] of rule(at, examples)) result[indexOf(role) as number] = made;
  }
  return result;
}

function valuesOf({ places }: Planned, layers: readonly LayerWeights[]): Float64Array[] {
  return places.map(({ layer, role }) => {
    const variable = layers[layer].weights.get(role) as LayerVariable;
    return Float64Array.from(variable.read().dataSync() as ArrayLike<number>);
  });
}

function write({ places }: Planned, layers: readonly LayerWeights[], values: readonly Float64Array[]): void {
  for (const [i, { layer, role }] of places.entries()) {
    const variable = layers[layer].weights.get(role) as LayerVariable;
    tf.tidy(() => {
      variable.write(tf.tensor(Float32Array.from(values[i]), variable.shape as number[], variable.dtype));
    });
  }
}

function checkExamples(caller: string, examples: readonly number[]): void {
  const bad = examples.find((count) => !(typeof count === "number" && count >= 0 && count < Infinity));
  if (bad === undefined && examples.some((count) => count > 0)) return;
  throw new RangeError(
    `${caller}: examples must be at least 0, and above 0 for some model, got ${examples.length > 1 ? described(examples) : described(bad ?? examples[0])}`,
  );
}

/** Options that say how statistics are to be read; models that differ in them are not of one structure. */
function configOf(layer: Layer): { average?: string; runningVariance?: string; epsilon?: number } {
  const { average, runningVariance } = runningDefaults;
  return {
    average,
    runningVariance,
    ...defined(layer.getConfig(), ["average", "runningVariance", "epsilon"]),
  };
}

function defined(config: Readonly<Record<string, unknown>>, names: readonly string[]): object {
  return Object.fromEntries(
    Object.entries(config).filter(([name, value]) => names.includes(name) && value !== undefined),
  );
}

/** @throws RangeError where models differ, with the first weight or option in which they do */
function checkStructure(first: readonly LayerWeights[], other: readonly LayerWeights[], k: number): void {
  const differ = (here: string, there: string) =>
    new RangeError(
      `averageModels: models must have the same structure, but models[${k}] has ${there} where models[0] has ${here}`,
    );
  for (let i = 0; i < Math.max(first.length, other.length); i++) {
    const [a, b] = [first[i], other[i]];
    if (a === undefined || b === undefined) throw differ(titleOf(a), titleOf(b));
    if (a.layer.getClassName() !== b.layer.getClassName()) throw differ(titleOf(a), titleOf(b));
    for (const [role, { shape }] of a.weights) {
      const theirs = b.weights.get(role)?.shape;
      if (theirs !== undefined && sameShape(shape as number[], theirs as number[])) continue;
      throw differ(weightOf(a, role, shape), weightOf(b, role, theirs));
    }
    for (const role of b.weights.keys())
      if (!a.weights.has(role))
        throw differ(weightOf(a, role), weightOf(b, role, b.weights.get(role)?.shape));
    if (!a.isNormalization) continue;
    const [ours, theirs] = [configOf(a.layer), configOf(b.layer)];
    for (const name of Object.keys(ours) as (keyof typeof ours)[]) {
      if (ours[name] === theirs[name] || theirs[name] === undefined) continue;
      throw differ(`${a.name}.${name} ${ours[name]}`, `${b.name}.${name} ${theirs[name]}`);
    }
  }
}

function titleOf(one: LayerWeights | undefined): string {
  return one === undefined ? "no further layer with weights" : `${one.name} (${one.layer.getClassName()})`;
}

function weightOf({ name }: LayerWeights, role: string, shape?: readonly (number | null)[]): string {
  return shape === undefined ? `no ${name}/${role}` : `${name}/${role} [${shape.join(", ")}]`;
}
