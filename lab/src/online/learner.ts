/** A network that learns in blocks of records, each predicted before it is learned from; the same bits from the same records. */
import * as tf from "@tensorflow/tfjs-core";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { joined } from "../data/arrays.js";
import type { Form } from "../data/form.js";
import { generatorOf } from "../data/random.js";
import { buildNetwork, type Network } from "../models/network.js";
import { fits, models, usualModel } from "../models/registry.js";
import { choosesStatistics, type NormName } from "../norms.js";
import { disposeOptimizer, optimizerOf } from "../optimizers.js";
import { targetTasks } from "../tasks/registry.js";
import type { Lists } from "./lists.js";
import type { Learned, OnlineSettings } from "./settings.js";

/** Standardized inputs are no farther out than this, so that one value cannot undo what was learned. */
const FARTHEST = 10;
const ACTIVATION = "relu";

const formOf = ({ columns }: OnlineSettings, { classes = [] }: Learned): Form => ({
  input: { kind: "features", shape: [columns.length] },
  outputs: [Math.max(1, classes.length)],
});

/** @throws RangeError for a normalization that has no place */
export function checkNorm(settings: OnlineSettings, learned: Learned): void {
  const form = formOf(settings, learned);
  if (!fits(settings.norm, models[usualModel(form)], form) || choosesStatistics(settings.norm))
    refuse(settings);
}

function refuse({ norm }: OnlineSettings): never {
  throw new RangeError(
    `openOnline: norm must be one of features or weights that predicts each record by itself, got "${norm}"; "layer" and "online" do`,
  );
}

export class Learner {
  private readonly form: Form;
  private network!: Network;
  private optimizer!: tf.Optimizer;
  private restarts = 0;

  /** @param lists what `lists` was, to go on from */
  constructor(
    private readonly settings: OnlineSettings,
    private readonly learned: Learned,
    private readonly norm: NormName,
    lists?: Lists,
  ) {
    this.form = formOf(settings, learned);
    this.restarts = lists?.restarts[0] ?? 0;
    this.begin();
    if (lists) this.assign(lists.weights);
  }

  /** From inputs, float32 [batchSize, columns] with NaN missing, to outputs, float32 [batchSize, outputs]: of each row by itself. */
  predict(inputs: Float32Array): Float32Array {
    const { batchSize, columns } = this.settings;
    return tf.tidy(() => {
      const x = tf.tensor2d(bounded(inputs), [batchSize, columns.length]);
      const y = this.network.model.apply(x, { training: false }) as tf.Tensor;
      // of a network that is about to diverge
      return (y.dataSync() as Float32Array).map((value) => (Number.isFinite(value) ? value : 0));
    });
  }

  /** @throws RangeError where what it predicts of a row is not the same, to the bit, whatever the rows beside it are */
  checkAlone(): void {
    const { batchSize, columns, seed } = this.settings;
    const random = generatorOf(seed);
    const width = columns.length;
    const outputs = this.form.outputs[0];
    const block = Float32Array.from(
      { length: batchSize * width },
      () => FARTHEST * (2 * uniformFloat64(random) - 1),
    );
    const together = this.predict(block);
    for (const row of new Set([0, batchSize >> 1, batchSize - 1])) {
      const alone = this.predict(block.map((value, i) => (Math.floor(i / width) === row ? value : 0)));
      for (let i = row * outputs; i < (row + 1) * outputs; i++) {
        if (!Object.is(alone[i], together[i])) refuse(this.settings);
      }
    }
  }

  /**
   * One step on inputs, float32 [records, columns], and targets, float32 [records], standardized or indexes of classes. Where its weights
   * are not finite after that it begins anew, from other weights, and the answer is false.
   */
  learn(inputs: Float32Array, targets: Float32Array): boolean {
    const { columns } = this.settings;
    const { model } = this.network;
    const { task } = taskOf(this.learned);
    const learnt = tf.tidy(() => {
      const x = tf.tensor2d(bounded(inputs), [targets.length, columns.length]);
      const y = tf.tensor1d(targets);
      const { value, grads } = tf.variableGrads(
        () => task.loss(tf, model.apply(x, { training: true }) as tf.Tensor, y, this.form),
        trainable(this.network),
      );
      this.optimizer.applyGradients(grads);
      return Number.isFinite(value.dataSync()[0]);
    });
    if (learnt && this.state().every(Number.isFinite)) return true;
    this.dispose();
    this.restarts++;
    this.begin();
    return false;
  }

  get lists(): Lists {
    return { restarts: Float64Array.of(this.restarts), weights: this.state() };
  }

  dispose(): void {
    this.network.model.dispose();
    disposeOptimizer(this.optimizer);
  }

  private begin(): void {
    const { depth, width, seed, optimizer, learningRate } = this.settings;
    const model = models[usualModel(this.form)];
    const settings = { depth, width, activation: ACTIVATION } as const;
    this.network = buildNetwork(model, settings, this.norm, this.form, seed + this.restarts);
    this.optimizer = optimizerOf(optimizer, learningRate);
    this.readyOptimizer();
  }

  /** An optimizer makes what it keeps at its first step: one of no gradients moves no weight, and what that step counted is undone. */
  private readyOptimizer(): void {
    const variables = trainable(this.network);
    const before = variablesOf(this.optimizer).map((variable) => variable.dataSync().slice());
    tf.tidy(() =>
      this.optimizer.applyGradients(
        Object.fromEntries(variables.map((variable) => [variable.name, tf.zerosLike(variable)])),
      ),
    );
    for (const [i, variable] of variablesOf(this.optimizer).slice(0, before.length).entries()) {
      assignTo(variable, before[i] as Float32Array);
    }
  }

  /** All numbers that it goes on with: weights, running statistics and control, and what the optimizer keeps. */
  private variables(): tf.Variable[] {
    const weights = this.network.model.weights.map((weight) => weight.read() as tf.Variable);
    return [...weights, ...variablesOf(this.optimizer)];
  }

  private state(): Float32Array {
    return joined(this.variables().map((variable) => variable.dataSync() as Float32Array));
  }

  private assign(state: ArrayLike<number>): void {
    let at = 0;
    for (const variable of this.variables()) {
      assignTo(
        variable,
        Float32Array.from({ length: variable.size }, (_, i) => state[at + i]),
      );
      at += variable.size;
    }
  }
}

/** Numbers are learned standardized, classes are not. */
function taskOf({ kind }: Learned): (typeof targetTasks)[number] {
  const found = targetTasks.find(({ task }) => task.standardized === (kind === "number"));
  if (found === undefined) throw new RangeError(`openOnline: no task predicts ${kind}`);
  return found;
}

/** NaN is the mean, which standardized is 0. */
const bounded = (inputs: Float32Array): Float32Array =>
  inputs.map((value) => (Number.isNaN(value) ? 0 : Math.max(-FARTHEST, Math.min(FARTHEST, value))));

const trainable = ({ model }: Network): tf.Variable[] =>
  model.trainableWeights.map((weight) => weight.read() as tf.Variable);

function assignTo(variable: tf.Variable, values: Float32Array): void {
  tf.tidy(() => variable.assign(tf.tensor(values, variable.shape)));
}

/** What an optimizer keeps of its steps: scalars first, then lists with one for each weight. */
function variablesOf(optimizer: tf.Optimizer): tf.Variable[] {
  const kept = Object.values(optimizer);
  const single = kept.filter((each) => each instanceof tf.Variable);
  const listed = kept.flatMap((each) =>
    Array.isArray(each)
      ? (each as { variable?: tf.Variable }[]).flatMap(({ variable }) => variable ?? [])
      : [],
  );
  return [...single, ...listed];
}
