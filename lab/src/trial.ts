/** One network, trained from one seed, and what was measured on the way. */
import * as tf from "@tensorflow/tfjs-core";
import { biasedVariance, momentsOf } from "evenkeel";
import { shuffledRows, splitOf } from "./data/split.js";
import { meanAndDeviation, type Standardization, standardizationOf } from "./data/standardize.js";
import type { TrialData } from "./dataset.js";
import type { ModelSettings } from "./models/model.js";
import { buildNetwork, type Network } from "./models/network.js";
import type { ModelName } from "./models/registry.js";
import type { NormName } from "./norms.js";
import type { Epoch, Probe, Scores, Trial } from "./results.js";
import { type OptimizerName, stepsOf, trialEpochs } from "./settings.js";
import { metricNamed, tasks } from "./tasks/registry.js";
import type { Metric, Scored } from "./tasks/task.js";

export interface TrainingSettings {
  epochs: number;
  batchSize: number;
  /**
   * What a trial begins with; it falls evenly to zero. Several are tried: each trains for the first `trialEpochs`, and
   * the one with the lowest loss on the validation part is gone on with: so early, a metric says less. A single one is used.
   */
  learningRates: number[];
  optimizer: OptimizerName;
}

export interface TrialSpec {
  norm: NormName;
  /** Of the parts, the initial weights and the order of the examples. */
  seed: number;
  model: ModelSettings<ModelName>;
  training: TrainingSettings;
  data: TrialData;
  /** SHA-256 of `data`, in hex. */
  digest: string;
}

/** How far a trial has come. */
export interface Progress {
  /** From 0 to 1. */
  done: number;
  epoch: number;
  /** Of the last batches. */
  loss: number;
  /** Held-out metric after the last complete epoch. */
  metric: number | null;
}

/** Probes of the network, evenly spaced over the training, the first before any step. */
const PROBES = 24;
/** ms between two reports of progress. */
const REPORT_MS = 200;
/** Examples that are evaluated at a time. */
const EVALUATION_BATCH = 1024;
/** With more classes a table of confusions cannot be read. */
const MOST_CONFUSED = 20;

/** The examples of one seed as its network sees them. */
interface Examples {
  data: TrialData;
  train: Int32Array;
  validation: Int32Array;
  heldOut: Int32Array;
  /** Of the training part, at most as many as are held out. */
  trained: Int32Array;
  inputs: Standardization;
  /** y is (y − mean) · factor. */
  target: { mean: number; factor: number; scale: number };
}

function examplesOf(data: TrialData, seed: number): Examples {
  const { train, validation, heldOut } = splitOf(data.parts, data.count, seed);
  const { mean, deviation } = tasks[data.task].standardized
    ? meanAndDeviation(Float64Array.from(train, (row) => data.y[row]))
    : { mean: 0, deviation: 1 };
  return {
    data,
    train,
    validation,
    heldOut,
    trained: train.subarray(0, heldOut.length),
    inputs: standardizationOf(data.x, data.scaled, train),
    // a target that does not vary in the training part is learnt as it is
    target: { mean, factor: 1 / (deviation || 1), scale: data.yScale * (deviation || 1) },
  };
}

/** A network on its way through the epochs, with one learning rate. */
interface Run {
  network: Network;
  optimizer: tf.Optimizer;
  learningRate: number;
  epochs: Epoch[];
  probes: Probe[];
  /** ms */
  stepTimes: number[];
  seconds: number;
  diverged: boolean;
}

/**
 * Trains and evaluates. The same spec gives the same numbers, but for times. `report` is awaited now and then, so that
 * whoever runs the trial can let other work through.
 */
export async function runTrial(
  spec: TrialSpec,
  report: (progress: Progress) => void | Promise<void>,
): Promise<Trial> {
  const { norm, seed, data, training } = spec;
  const { epochs, batchSize, learningRates } = training;
  const examples = examplesOf(data, seed);
  const stepsPerEpoch = stepsOf(examples.train.length, batchSize);
  const steps = stepsPerEpoch * epochs;
  const firstEpochs = Math.min(epochs, trialEpochs(epochs));
  const stepsInAll = steps + (learningRates.length - 1) * firstEpochs * stepsPerEpoch;
  const probeSteps = new Set(
    Array.from({ length: PROBES }, (_, i) => Math.round((i * (steps - 1)) / (PROBES - 1))),
  );
  let stepsDone = 0;
  let lastReport = 0;

  /** Trains up to this epoch, or to where the loss is not finite any more. */
  async function train(run: Run, upTo: number): Promise<void> {
    for (let epoch = run.epochs.length + 1; epoch <= upTo && !run.diverged; epoch++) {
      const order = shuffledRows(examples.train.length, seed * 7919 + epoch);
      let lossSum = 0;
      let seen = 0;
      for (let i = 0; i < stepsPerEpoch && !run.diverged; i++) {
        const step = (epoch - 1) * stepsPerEpoch + i;
        const end = i === stepsPerEpoch - 1 ? order.length : (i + 1) * batchSize;
        const rows = order.slice(i * batchSize, end).map((row) => examples.train[row]);
        setLearningRate(run, 1 - step / steps);
        const { loss, ms, probe } = trainStep(run, examples, rows, probeSteps.has(step) ? step : undefined);
        if (probe) run.probes.push(probe);
        run.stepTimes.push(ms);
        run.seconds += ms / 1000;
        run.diverged = !Number.isFinite(loss);
        lossSum += loss * rows.length;
        seen += rows.length;
        stepsDone++;
        const now = performance.now();
        if (now - lastReport > REPORT_MS) {
          lastReport = now;
          await report({
            done: stepsDone / stepsInAll,
            epoch,
            loss: lossSum / seen,
            metric: run.epochs.at(-1)?.metric ?? null,
          });
        }
      }
      const held = evaluate(run.network, examples, examples.heldOut);
      const heldOutLoss = finite(held.loss);
      run.epochs.push({
        epoch,
        trainLoss: finite(lossSum / seen),
        heldOutLoss,
        // some class has the largest output even where all of them are NaN
        metric: run.diverged || heldOutLoss === null ? null : finite(metricNamed(data.metric).of(held)),
        seconds: run.seconds,
      });
    }
  }

  const { best, tried } = await chooseRate(spec, examples, (run) => train(run, firstEpochs));
  await train(best, epochs);
  // the very last update may be the one that the network does not survive; in a try, the held-out part has no say
  best.diverged ||= best.epochs.at(-1)?.heldOutLoss === null;

  const parts = { train: examples.trained, validation: examples.validation, heldOut: examples.heldOut };
  const scores = { train: {}, validation: {}, heldOut: {} } as Trial["scores"];
  let confusion: Trial["confusion"] = null;
  for (const part of Object.keys(parts) as (keyof typeof parts)[]) {
    const scored = evaluate(best.network, examples, parts[part]);
    scores[part] = scoresOf(data, (metric) => (best.diverged ? Number.NaN : metric.of(scored)));
    if (part === "heldOut" && !best.diverged && data.classes.length <= MOST_CONFUSED) {
      confusion = tasks[data.task].confusionOf?.(scored) ?? null;
    }
  }
  const target = [targetsOf(examples, examples.heldOut), data.classes.length, examples.target.scale] as const;
  const parameters = best.network.model.trainableWeights.reduce(
    (sum, weight) => sum + tf.util.sizeFromShape(weight.shape as number[]),
    0,
  );
  endRun(best);
  return {
    norm,
    seed,
    outcome: best.diverged ? "diverged" : "finished",
    parameters,
    learningRate: best.learningRate,
    tried,
    epochs: best.epochs,
    probes: best.probes,
    scores,
    guess: scoresOf(data, (metric) => metric.guess(...target)),
    guessing: scoresOf(data, (metric) => metric.guessing(...target)),
    confusion,
    // the first half warms up the engine
    stepMs: median(best.stepTimes.slice(best.stepTimes.length >> 1)),
    epochsToTarget: null,
  };
}

/**
 * The run of each learning rate after its first epochs, as `begin` trains them, and of these the one that is gone on
 * with: that of the lowest loss on the validation part. The others are given up. A single rate is not tried.
 */
async function chooseRate(
  spec: TrialSpec,
  examples: Examples,
  begin: (run: Run) => Promise<void>,
): Promise<{ best: Run; tried: Trial["tried"] }> {
  const [first, ...others] = spec.training.learningRates;
  if (first === undefined)
    throw new RangeError("runTrial: learningRates must hold at least one rate, got none");
  let best = beginRun(spec, first);
  const tried: Trial["tried"] = [];
  if (others.length === 0) return { best, tried };
  const lossOfTry = async (run: Run): Promise<number> => {
    await begin(run);
    const score = validate(run, examples);
    tried.push({ learningRate: run.learningRate, ...score });
    return score.loss ?? Infinity;
  };
  let lowest = await lossOfTry(best);
  for (const learningRate of others) {
    const run = beginRun(spec, learningRate);
    const loss = await lossOfTry(run);
    // of those that all diverge the first, which is the smallest, is kept
    const isBetter = loss < lowest;
    endRun(isBetter ? best : run);
    if (isBetter) [best, lowest] = [run, loss];
  }
  return { best, tried };
}

const scoresOf = ({ task }: TrialData, score: (metric: Metric) => number): Scores =>
  Object.fromEntries(tasks[task].metrics.map((metric) => [metric.name, finite(score(metric))]));

function beginRun({ model, norm, seed, data, training }: TrialSpec, learningRate: number): Run {
  return {
    network: buildNetwork(model, norm, data.inputShape, tasks[data.task].outputs(data.classes), seed),
    optimizer: makeOptimizer(training.optimizer, learningRate),
    learningRate,
    epochs: [],
    probes: [],
    stepTimes: [],
    seconds: 0,
    diverged: false,
  };
}

function endRun({ network, optimizer }: Run): void {
  network.model.dispose();
  optimizer.dispose();
  // momentum leaves what it has from plain gradient descent
  for (const left of Object.values(optimizer)) if (left instanceof tf.Tensor) left.dispose();
}

function makeOptimizer(optimizer: OptimizerName, learningRate: number): tf.Optimizer {
  switch (optimizer) {
    case "sgd":
      return tf.train.sgd(learningRate);
    case "momentum":
      return tf.train.momentum(learningRate, 0.9);
    case "adam":
      return tf.train.adam(learningRate);
  }
}

/** The share of its learning rate that a run goes on with: it falls evenly to zero, so that the end is not the luck of the last steps. */
function setLearningRate({ optimizer, learningRate }: Run, share: number): void {
  const rate = learningRate * share;
  // Adam has no method for it; `instanceof` takes every optimizer for every other
  if ("setLearningRate" in optimizer) (optimizer as tf.SGDOptimizer).setLearningRate(rate);
  else Object.assign(optimizer, { learningRate: rate });
}

/** One update from the examples `rows`, and its time; with `probeStep` also a probe, which is not timed. */
function trainStep(
  { network: { model, kernels }, optimizer }: Run,
  examples: Examples,
  rows: ArrayLike<number>,
  probeStep?: number,
): { loss: number; ms: number; probe?: Probe } {
  const began = performance.now();
  tf.engine().startScope();
  try {
    const { x, y } = batchOf(examples, rows);
    const blocks: tf.Tensor[] = [];
    const { value, grads } = tf.variableGrads(() => {
      const [logits, ...rest] = model.apply(x, { training: true }) as tf.Tensor[];
      if (probeStep !== undefined) blocks.push(...rest.map((block) => tf.keep(block)));
      return lossOf(examples.data, logits, y);
    });
    optimizer.applyGradients(grads);
    const loss = value.dataSync()[0];
    const ms = performance.now() - began;
    if (probeStep === undefined) return { loss, ms };
    const gradients = kernels.map((name) => gradientOf(grads, name));
    const probe = probeOf(probeStep, gradients, blocks);
    for (const block of blocks) block.dispose();
    return { loss, ms, probe };
  } finally {
    tf.engine().endScope();
  }
}

/** Variables are named after their layers, with a suffix where the name is already taken. */
function gradientOf(grads: tf.NamedTensorMap, kernel: string): tf.Tensor {
  const name = Object.keys(grads).find((key) => key === kernel || key.startsWith(`${kernel}_`));
  return grads[name as string];
}

function probeOf(step: number, gradients: tf.Tensor[], blocks: tf.Tensor[]): Probe {
  const moments = blocks.map((block) => momentsOf(block.dataSync()));
  return {
    step,
    gradientNorm: gradients.map((gradient) => finite(normOf(gradient))),
    activationMean: moments.map(({ mean }) => finite(mean)),
    activationSpread: moments.map((of) => finite(Math.sqrt(biasedVariance(of)))),
  };
}

/** In float64, where no square of a float32 underflows or overflows: vanishing and exploding gradients are what is looked for. */
function normOf(tensor: tf.Tensor): number {
  let squares = 0;
  for (const value of tensor.dataSync()) squares += value * value;
  return Math.sqrt(squares);
}

const lossOf = ({ task, classes }: TrialData, outputs: tf.Tensor, y: tf.Tensor1D): tf.Scalar =>
  tasks[task].loss(tf, outputs, y, classes);

/** What the network gives for these examples, in evaluation mode. */
function evaluate({ model }: Network, examples: Examples, rows: Int32Array): Scored {
  const { data } = examples;
  const width = tasks[data.task].outputs(data.classes);
  const all = new Float32Array(rows.length * width);
  let loss = 0;
  for (let at = 0; at < rows.length; at += EVALUATION_BATCH) {
    const some = rows.subarray(at, at + EVALUATION_BATCH);
    tf.tidy(() => {
      const { x, y } = batchOf(examples, some);
      const [outputs] = model.apply(x, { training: false }) as tf.Tensor[];
      all.set(outputs.dataSync(), at * width);
      loss += (lossOf(data, outputs, y).dataSync()[0] * some.length) / rows.length;
    });
  }
  return { outputs: all, y: targetsOf(examples, rows), loss, scale: examples.target.scale };
}

/** How well a learning rate does: on the validation part, which is for this alone. The metric is null where so few examples have none. */
function validate(
  { network, diverged }: Run,
  examples: Examples,
): { metric: number | null; loss: number | null } {
  const scored = evaluate(network, examples, examples.validation);
  if (diverged || !Number.isFinite(scored.loss)) return { metric: null, loss: null };
  return { metric: finite(metricNamed(examples.data.metric).of(scored)), loss: scored.loss };
}

const targetsOf = ({ data, target }: Examples, rows: ArrayLike<number>): Float32Array =>
  Float32Array.from(rows, (row) => (data.y[row] - target.mean) * target.factor);

function batchOf(examples: Examples, rows: ArrayLike<number>): { x: tf.Tensor; y: tf.Tensor1D } {
  const {
    data: { x, inputShape },
    inputs: { mean, factor },
  } = examples;
  const size = mean.length;
  const values = new Float32Array(rows.length * size);
  for (let i = 0; i < rows.length; i++) {
    const [from, to] = [rows[i] * size, i * size];
    for (let input = 0; input < size; input++) {
      const value = (x[from + input] - mean[input]) * factor[input];
      // what is missing is the mean
      values[to + input] = Number.isNaN(value) ? 0 : value;
    }
  }
  return {
    x: tf.tensor(values, [rows.length, ...inputShape]),
    y: tf.tensor1d(targetsOf(examples, rows)),
  };
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[sorted.length >> 1];
}

const finite = (value: number | undefined): number | null =>
  value !== undefined && Number.isFinite(value) ? value : null;
