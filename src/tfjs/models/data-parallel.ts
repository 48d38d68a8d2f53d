/**
 * Data-parallel training: replicas of a model, each with a part of every batch, train as one model with the whole of it.
 *
 *     loss L = Σ_r n_r/N · L_r        each replica's is scaled before its backward pass, since merged statistics carry gradients across
 *     gradient = Σ_r of the scaled losses' gradients, in float64, in the order of ranks: the same bits in every replica
 *
 * Statistics of batches are merged between measuring and normalizing (`synchronizeStatistics`). All replicas then apply the same
 * gradients to the same weights, and store the same statistics.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, LayerVariable, ModelCompileArgs } from "@tensorflow/tfjs-layers";
import { uniform } from "../../formula/initializers.js";
import { checkOptions } from "../../options.js";
import {
  checkExchange,
  checkLists,
  checkRank,
  checkReplicas,
  type Exchange,
  reduceOver,
  summed,
} from "../../replicas/exchange.js";
import { shardOf } from "../../replicas/shard.js";
import { described } from "../../shape.js";
import { tensorsOf } from "../arguments.js";
import { NormalizationLayer } from "../layers/normalization-layer.js";
import type { Layer } from "../types.js";
import type { Inputs } from "./batches.js";
import { hashOf } from "./hash.js";
import { isBuiltIn, layersWithWeights } from "./layer-weights.js";
import { synchronizeStatistics } from "./synchronize.js";
import { checkLayersOf, layersOf, type OfLayers } from "./tracked-layers.js";

/** Options of `replicaOf`. */
export interface ReplicaOptions extends OfLayers {
  /** What the replicas tell each other through; answers at once, as `exchangeIn(memory, rank)`. */
  exchange: Exchange;
  /** Which of the replicas this is, from 0. */
  rank: number;
  /** How many there are, on all machines. */
  replicas: number;
  /** As in `model.compile`, for a model that is not compiled: with a loss, an optimizer of this replica's own. */
  compile?: ModelCompileArgs;
  /** Ranks that share batch statistics, as lists (group-wise synchronized batch normalization). Default: all together. */
  groups?: readonly (readonly number[])[];
  /** Steps between two comparisons of all replicas' weights, 0 for none. Default 100. */
  compareEvery?: number;
  /** Which layers' batch statistics are merged. Default: all that measure the batch. */
  layers?(layer: Layer): boolean;
}

/** Options of a replica's `fit`. */
export interface ReplicaFitOptions {
  /** Default 1. */
  epochs?: number;
  /** Examples in each batch, all replicas' together. Default 32. */
  batchSize?: number;
  /** Of the order of examples, which must be the same in all replicas. Default 0. */
  seed?: number;
  /** Default true; false takes them in the order that they have. */
  shuffle?: boolean;
  /**
   * Callbacks as those of `model.fit`, such as `epochStatistics()`; of each, what is called at the beginning or end of training and of an
   * epoch. Where one sets `model.stopTraining` in any replica, all end after this epoch.
   */
  callbacks?: ReplicaCallback | readonly ReplicaCallback[];
}

/** What `fit` calls of a callback. */
export interface ReplicaCallback {
  setModel?(model: never): void;
  onTrainBegin?(logs?: never): unknown;
  onEpochBegin?(epoch: number, logs?: never): unknown;
  onEpochEnd?(epoch: number, logs?: never): unknown;
  onTrainEnd?(logs?: never): unknown;
}

/** Loss and metrics by name: of the whole batch. */
export type StepResult = Readonly<Record<string, number>> & { readonly loss: number };

/**
 * A replica of data-parallel training. The model is one of the same structure in each; at the first step all take the weights and
 * statistics of rank 0.
 *
 *     const replica = replicaOf(model, { exchange, rank, replicas });        // a compiled model
 *     await replica.fit(xs, ys, { epochs: 5, batchSize: 64 });               // all data, the same in each replica
 *     await replica.trainStep(x, y);                                         // or a part of one's own of each batch
 *
 * TensorFlow.js's backend must give values at once (`dataSync`): wasm, cpu, webgl and node do, webgpu does not.
 * @throws TypeError for what is not a model, or an option of another type; RangeError for options out of range; Error for a model that is
 * not compiled, and as `synchronizeStatistics`
 */
export function replicaOf(model: LayersModel, options: ReplicaOptions): Replica {
  const known = ["exchange", "rank", "replicas", "compile", "groups", "compareEvery", "layers"];
  checkLayersOf("replicaOf", model, options, known);
  const { exchange, rank, replicas, compile, groups, compareEvery = 100, layers } = options;
  checkExchange("replicaOf", exchange);
  checkReplicas("replicaOf", replicas);
  checkRank("replicaOf", rank, replicas);
  if (!Number.isInteger(compareEvery) || compareEvery < 0) {
    throw new RangeError(
      `replicaOf: compareEvery must be a number of steps, 0 for never, got ${described(compareEvery)}`,
    );
  }
  const reduce = reduceOver(exchange, groups && { groups, rank });
  if (compile !== undefined) model.compile(compile);
  if (!model.optimizer) {
    throw new Error(
      "replicaOf: the model is not compiled; call model.compile() first, or give compile: { loss, optimizer }",
    );
  }
  const merged = synchronizeStatistics(model, reduce, { layers });
  return new Replica(model, { exchange, rank, replicas, compareEvery, groups, layers, merged });
}

interface Settings extends OfLayers {
  readonly groups?: readonly (readonly number[])[];
  readonly exchange: Exchange;
  readonly rank: number;
  readonly replicas: number;
  readonly compareEvery: number;
  readonly merged: readonly string[];
}

/** One of several that train as one model; `replicaOf` makes it. */
export class Replica {
  private steps = 0;
  private busy = false;

  constructor(
    /** This replica's model. */
    readonly model: LayersModel,
    private readonly settings: Settings,
  ) {}

  /** Names of the layers whose batch statistics are merged. */
  get merged(): readonly string[] {
    return this.settings.merged;
  }

  /**
   * One step on this replica's part of a batch; all replicas take it together, with parts that may be of different sizes, but not empty.
   * Where it throws, the others are told and throw too.
   * @param x inputs [examples, ...] as in `model.trainOnBatch`, `y` targets likewise
   * @returns loss and metrics of the whole batch, the same in all replicas
   * @throws TypeError for what are not tensors; RangeError for an empty part; Error where another replica failed, and where weights are no
   * longer the same in all, with the first that differs
   */
  trainStep(x: Inputs, y: Inputs): Promise<StepResult> {
    return this.told("trainStep", () => this.stepOn(x, y));
  }

  /**
   * Trains on batches of data that every replica has whole: each takes its part of every batch, in an order that the seed gives. What is
   * left over at the end of an epoch, of fewer examples than there are replicas, is left out. At the end all weights are compared.
   * @param xs inputs [examples, ...], `ys` targets likewise
   * @returns loss and metrics of each epoch, means over its examples
   * @throws as `trainStep`, and for options out of range; Error for data or options that differ between replicas
   */
  fit(
    xs: Inputs,
    ys: Inputs,
    options: ReplicaFitOptions = {},
  ): Promise<{ history: Readonly<Record<string, readonly number[]>> }> {
    return this.told("fit", () => this.epochsOn(xs, ys, options));
  }

  private async epochsOn(
    xs: Inputs,
    ys: Inputs,
    options: ReplicaFitOptions,
  ): Promise<{ history: Readonly<Record<string, readonly number[]>> }> {
    checkOptions("fit", options, ["epochs", "batchSize", "seed", "shuffle", "callbacks"]);
    const { epochs = 1, batchSize = 32, seed = 0, shuffle = true, callbacks = [] } = options;
    const { rank, replicas } = this.settings;
    for (const [name, value, least] of [
      ["epochs", epochs, 1],
      ["batchSize", batchSize, replicas],
    ] as const) {
      if (Number.isInteger(value) && value >= least) continue;
      const what = name === "epochs" ? "1" : `the number of replicas, ${replicas}`;
      throw new RangeError(`fit: ${name} must be an integer of at least ${what}, got ${described(value)}`);
    }
    const inputs = [tensorsOf("fit", "input", xs, this.model.inputNames)].flat();
    const targets = [tensorsOf("fit", "target", ys, this.model.outputNames)].flat();
    const examples = inputs[0].shape[0];
    if (examples < replicas) {
      throw new RangeError(`fit: there must be an example for each of ${replicas} replicas, got ${examples}`);
    }
    this.agree("fit", { examples, epochs, batchSize, seed, shuffle: Number(shuffle) });
    const called = [callbacks].flat() as ReplicaCallback[];
    for (const callback of called) callback.setModel?.(this.model as never);
    for (const callback of called) await callback.onTrainBegin?.();
    this.model.stopTraining = false;
    const history: Record<string, number[]> = {};
    for (let epoch = 0; epoch < epochs; epoch++) {
      for (const callback of called) await callback.onEpochBegin?.(epoch);
      const order = orderOf(examples, shuffle ? seed + epoch : undefined);
      const sums: Record<string, number> = {};
      let seen = 0;
      for (let at = 0; at < examples; at += batchSize) {
        const size = Math.min(batchSize, examples - at);
        if (size < replicas) break;
        const [from, to] = shardOf(size, rank, replicas);
        const part = (tensors: readonly tf.Tensor[]) =>
          tf.tidy(() => {
            const rows = tf.tensor1d(order.subarray(at + from, at + to), "int32");
            return tensors.map((tensor) => tf.gather(tensor, rows));
          });
        const [x, y] = [part(inputs), part(targets)];
        try {
          const result = await this.stepOn(x, y);
          for (const [name, value] of Object.entries(result)) sums[name] = (sums[name] ?? 0) + value * size;
        } finally {
          tf.dispose([x, y]);
        }
        seen += size;
      }
      const logs = Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / seen]));
      for (const [name, value] of Object.entries(logs)) {
        history[name] ??= [];
        history[name].push(value);
      }
      for (const callback of called) await callback.onEpochEnd?.(epoch, logs as never);
      // in one of them is in all
      const [stops] = this.summed(Float64Array.of(Number(this.model.stopTraining)));
      if (stops > 0) break;
    }
    for (const callback of called) await callback.onTrainEnd?.();
    this.compare();
    return { history };
  }

  /** Ends it: the model trains alone again, on statistics of its own batches. */
  end(): void {
    synchronizeStatistics(this.model, undefined, { layers: this.settings.layers });
  }

  /**
   * Compares all replicas' weights and merged statistics by their hashes, as is done every `compareEvery` steps.
   * @throws Error with the first that differs
   */
  compare(): void {
    const { groups } = this.settings;
    const same = this.shared();
    const lists = this.listed(Float64Array.from(same, ({ variable }) => hashOf(variable.read().dataSync())));
    /** Groups have statistics of their own. */
    const firstOf = (rank: number, isTrained: boolean) =>
      isTrained ? 0 : Math.min(...(groups?.find((group) => group.includes(rank)) ?? [0]));
    for (const [i, { name, variable }] of same.entries()) {
      for (const [rank, list] of lists.entries()) {
        const first = firstOf(rank, variable.trainable);
        if (list[i] === lists[first][i]) continue;
        throw new Error(
          `replicaOf: ${name} differs between replica ${first} and replica ${rank} after step ${this.steps}; all must run the same model ` +
            "and optimizer on engines that round alike (install({ relaxed: false }))",
        );
      }
    }
  }

  private async stepOn(x: Inputs, y: Inputs): Promise<StepResult> {
    const { compareEvery } = this.settings;
    const inputs = tensorsOf("trainStep", "input", x, this.model.inputNames);
    const targets = tensorsOf("trainStep", "target", y, this.model.outputNames);
    const examples = [inputs].flat()[0].shape[0] ?? 0;
    if (examples === 0) {
      throw new RangeError("trainStep: each replica needs at least one example of every batch, got none");
    }
    if (this.steps === 0) this.begin();
    const [total] = this.summed(Float64Array.of(examples));
    const result = await this.step(inputs, targets, examples / total);
    this.steps++;
    if (compareEvery > 0 && this.steps % compareEvery === 0) this.compare();
    return result;
  }

  /** Whatever goes wrong here, the others are told. */
  private async told<T>(caller: string, run: () => Promise<T>): Promise<T> {
    if (this.busy) throw new Error(`${caller}: a step is under way; await it before the next one`);
    this.busy = true;
    try {
      return await run();
    } catch (error) {
      this.settings.exchange.fail?.((error as Error).message);
      throw error;
    } finally {
      this.busy = false;
    }
  }

  /** Replicas that are none of this run, or of another, are known before they train. */
  private begin(): void {
    const { rank, replicas, compareEvery, groups } = this.settings;
    const ranks = this.listed(Float64Array.of(rank)).map(([one]) => one);
    if (ranks.length !== replicas) {
      throw new RangeError(
        `replicaOf: replicas must be how many there are on all machines, got ${replicas}, but ${ranks.length} exchange`,
      );
    }
    if (ranks.some((one, i) => one !== i)) {
      throw new RangeError(
        `replicaOf: ranks must be those of the exchange, 0 to ${replicas - 1} in this order, got ${ranks.join(", ")}`,
      );
    }
    const { model } = this;
    const { optimizer } = model;
    this.agree("replicaOf", {
      compareEvery,
      "the model (shapes of its weights)": JSON.stringify(
        model.weights.map(({ shape, dtype, trainable }) => [shape, dtype, trainable]),
      ),
      "the optimizer": JSON.stringify([optimizer.getClassName(), optimizer.getConfig()]),
      "the loss": JSON.stringify(model.loss, (_, value) =>
        typeof value === "function" ? value.name : value,
      ),
      groups: JSON.stringify(groups ?? null),
    });
    this.adopt();
  }

  /** @throws Error with the first of these that is not the same in all replicas */
  private agree(caller: string, all: Readonly<Record<string, number | string>>): void {
    const values = Object.values(all).map((value) => (typeof value === "number" ? value : hashOf(value)));
    const lists = this.listed(Float64Array.from(values));
    for (const [i, [name, value]] of Object.entries(all).entries()) {
      const rank = lists.findIndex((list) => list[i] !== lists[0][i]);
      if (rank === -1) continue;
      const got = typeof value === "number" ? `: ${lists[0][i]} and ${lists[rank][i]}` : "";
      throw new Error(
        `${caller}: ${name} must be the same in all replicas, but differs between replica 0 and replica ${rank}${got}`,
      );
    }
  }

  /** Everybody takes what rank 0 has. */
  private adopt(): void {
    const { rank } = this.settings;
    const all = this.model.weights;
    const values = all.map((variable) => variable.read().dataSync() as ArrayLike<number>);
    const flat = new Float64Array(values.reduce((length, one) => length + one.length, 0));
    let at = 0;
    for (const one of values) {
      if (rank === 0) flat.set(one, at);
      at += one.length;
    }
    const first = this.summed(flat);
    at = 0;
    for (const variable of all) {
      const size = variable.read().size;
      const taken = Float32Array.from(first.subarray(at, at + size));
      tf.tidy(() => {
        variable.write(tf.tensor(taken, variable.shape as number[], variable.dtype));
      });
      at += size;
    }
  }

  private async step(
    inputs: tf.Tensor | tf.Tensor[],
    targets: tf.Tensor | tf.Tensor[],
    share: number,
  ): Promise<StepResult> {
    const { model } = this;
    const { optimizer } = model;
    const original = optimizer.computeGradients;
    const isOwn = Object.hasOwn(optimizer, "computeGradients");
    let isMerged = false;
    // minimize() takes gradients from here, and applies them
    optimizer.computeGradients = (f, variables) => {
      isMerged = true;
      const { value, grads } = original.call(optimizer, () => tf.mul(f(), share) as tf.Scalar, variables);
      return this.overReplicas(value, grads);
    };
    let given: number | number[];
    try {
      given = await model.trainOnBatch(inputs, targets);
    } finally {
      if (isOwn) optimizer.computeGradients = original;
      else delete (optimizer as { computeGradients?: unknown }).computeGradients;
    }
    if (!isMerged) {
      throw new Error(
        "replicaOf: the optimizer must take its gradients from its computeGradients(), where replicas add theirs up",
      );
    }
    const [loss, ...metrics] = [given].flat();
    // the loss is the whole batch's already
    const means = metrics.length === 0 ? [] : this.summed(Float64Array.from(metrics, (one) => one * share));
    const names = model.metricsNames.slice(1);
    return { loss, ...Object.fromEntries(names.map((name, i) => [name, means[i]])) };
  }

  /** Loss and gradients of all replicas together, instead of this one's. */
  private overReplicas(
    value: tf.Scalar,
    grads: tf.NamedTensorMap,
  ): { value: tf.Scalar; grads: tf.NamedTensorMap } {
    const own = [value, ...Object.values(grads)];
    const flat = new Float64Array(own.reduce((size, tensor) => size + tensor.size, 0));
    let at = 0;
    for (const tensor of own) {
      flat.set(tensor.dataSync(), at);
      at += tensor.size;
    }
    tf.dispose(own);
    const sums = this.summed(flat);
    at = 0;
    const [loss, ...others] = own.map(({ size, shape }) => {
      at += size;
      return tf.tensor(Float32Array.from(sums.subarray(at - size, at)), shape);
    });
    const named = Object.keys(grads).map((name, i) => [name, others[i]]);
    return { value: loss as tf.Scalar, grads: Object.fromEntries(named) };
  }

  /** Of every replica on its own, in the order of ranks. */
  private listed(values: Float64Array): Float64Array[] {
    const lists: unknown = this.settings.exchange(values);
    checkLists("replicaOf", lists, values.length);
    return lists;
  }

  private summed(values: Float64Array): Float64Array {
    const lists: unknown = this.settings.exchange(values, summed);
    checkLists("replicaOf", lists, values.length);
    return summed(lists);
  }

  /** Weights that all replicas have alike: all but what normalizations that are left out measure of their own batches. */
  private shared(): { name: string; variable: LayerVariable }[] {
    const merged = new Set(layersOf(this.model).filter(({ name }) => this.merged.includes(name)));
    return layersWithWeights(this.model).flatMap((one) => {
      const measuresAlone =
        (one.layer instanceof NormalizationLayer || isBuiltIn(one.layer)) && !merged.has(one.layer);
      return [...one.weights]
        .filter(([, variable]) => variable.trainable || !measuresAlone)
        .map(([role, variable]) => ({ name: `${one.name}/${role}`, variable }));
    });
  }
}

/** The order of examples in an epoch (Fisher & Yates); undefined: as they are. */
function orderOf(examples: number, seed: number | undefined): Int32Array {
  const order = Int32Array.from({ length: examples }, (_, i) => i);
  if (seed === undefined) return order;
  const next = uniform(seed);
  for (let i = examples - 1; i > 0; i--) {
    const other = Math.floor(next() * (i + 1));
    [order[i], order[other]] = [order[other], order[i]];
  }
  return order;
}
