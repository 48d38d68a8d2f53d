/** One network, trained from one seed, and what was seen on the way. Runs in a worker; knows nothing of the others. */
import * as tf from "@tensorflow/tfjs-core";
import { biasedVariance, momentsOf } from "evenkeel";
import type { Dataset, Split } from "./data/dataset.js";
import { shuffledRows } from "./data/split.js";
import { buildNetwork, type ModelSettings, type Network } from "./models.js";
import type { Epoch, NormName, Probe, Trial } from "./results.js";
import type { OptimizerName } from "./settings.js";

export interface TrainingSettings {
  epochs: number;
  batchSize: number;
  learningRate: number;
  optimizer: OptimizerName;
}

/** What a trial needs of a dataset. Arrays may be shared between threads. */
export type TrialData = Pick<Dataset, "task" | "inputShape" | "classes" | "train" | "heldOut">;

export interface TrialSpec {
  norm: NormName;
  seed: number;
  model: ModelSettings;
  training: TrainingSettings;
  data: TrialData;
}

/** Where a trial stands, told after some steps and after each epoch. */
export interface Progress {
  /** From 0 to 1. */
  done: number;
  epoch: number;
  /** Of the last batches. */
  loss: number;
  /** Held-out metric after the last whole epoch. */
  metric: number | null;
}

/** Looks into the network, spread evenly over the training, the first before any step. */
const PROBES = 24;
/** Milliseconds between two reports of progress. */
const REPORT_MS = 200;
/** Held-out examples that are evaluated at a time. */
const EVALUATION_BATCH = 1024;

/** Trains and evaluates. The same spec gives the same numbers, but for `stepMs`. */
export async function runTrial(spec: TrialSpec, report: (progress: Progress) => void): Promise<Trial> {
  const { norm, seed, data, training } = spec;
  const outputs = data.task === "classification" ? data.classes.length : 1;
  const network = buildNetwork(spec.model, norm, data.inputShape, outputs, seed);
  const optimizer = makeOptimizer(training);
  const stepsPerEpoch = Math.ceil(data.train.count / training.batchSize);
  const steps = stepsPerEpoch * training.epochs;
  const probeSteps = new Set(
    Array.from({ length: PROBES }, (_, i) => Math.round((i * (steps - 1)) / (PROBES - 1))),
  );
  const epochs: Epoch[] = [];
  const probes: Probe[] = [];
  const stepTimes: number[] = [];
  let step = 0;
  let diverged = false;
  let lastReport = 0;
  for (let epoch = 1; epoch <= training.epochs && !diverged; epoch++) {
    const order = shuffledRows(data.train.count, seed * 7919 + epoch);
    let lossSum = 0;
    let seen = 0;
    for (let at = 0; at < order.length && !diverged; at += training.batchSize, step++) {
      const rows = order.slice(at, at + training.batchSize);
      const { loss, ms, probe } = trainStep(
        network,
        optimizer,
        data,
        rows,
        probeSteps.has(step) ? step : undefined,
      );
      if (probe) probes.push(probe);
      stepTimes.push(ms);
      diverged = !Number.isFinite(loss);
      lossSum += loss * rows.length;
      seen += rows.length;
      const now = performance.now();
      if (now - lastReport > REPORT_MS) {
        lastReport = now;
        const done = (step + 1) / steps;
        report({ done, epoch, loss: lossSum / seen, metric: epochs.at(-1)?.metric ?? null });
        // lets messages through
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const held = evaluate(network, data);
    // the last update of an epoch may be the one that the network does not survive
    diverged ||= !Number.isFinite(held.loss);
    epochs.push({
      epoch,
      trainLoss: finite(lossSum / seen),
      heldOutLoss: finite(held.loss),
      // one class or other is the largest of the outputs even where all of them are NaN
      metric: diverged ? null : finite(held.metric),
    });
  }
  const parameters = network.model.trainableWeights.reduce(
    (sum, weight) => sum + tf.util.sizeFromShape(weight.shape as number[]),
    0,
  );
  network.model.dispose();
  optimizer.dispose();
  return {
    norm,
    seed,
    outcome: diverged ? "diverged" : "finished",
    parameters,
    epochs,
    probes,
    // the first half warms the engine up
    stepMs: median(stepTimes.slice(stepTimes.length >> 1)),
    epochsToTarget: null,
  };
}

function makeOptimizer({ optimizer, learningRate }: TrainingSettings): tf.Optimizer {
  switch (optimizer) {
    case "sgd":
      return tf.train.sgd(learningRate);
    case "momentum":
      return tf.train.momentum(learningRate, 0.9);
    case "adam":
      return tf.train.adam(learningRate);
  }
}

/** One update from the examples `rows`, and its time; a look into the network, not timed, where `probeStep` is given. */
function trainStep(
  { model, kernels }: Network,
  optimizer: tf.Optimizer,
  data: TrialData,
  rows: readonly number[],
  probeStep?: number,
): { loss: number; ms: number; probe?: Probe } {
  const began = performance.now();
  tf.engine().startScope();
  try {
    const { x, y } = batchOf(data.train, rows, data.inputShape);
    const blocks: tf.Tensor[] = [];
    const { value, grads } = tf.variableGrads(() => {
      const [logits, ...rest] = model.apply(x, { training: true }) as tf.Tensor[];
      if (probeStep !== undefined) blocks.push(...rest.map((block) => tf.keep(block)));
      return lossOf(data, logits, y);
    });
    optimizer.applyGradients(grads);
    const loss = value.dataSync()[0];
    const ms = performance.now() - began;
    if (probeStep === undefined) return { loss, ms };
    const gradients = kernels.map((name) => gradientOf(grads, name));
    const probe = lookInto(probeStep, gradients, blocks);
    for (const block of blocks) block.dispose();
    return { loss, ms, probe };
  } finally {
    tf.engine().endScope();
  }
}

/** Variables are named after their layers, with a suffix where a name is taken already. */
function gradientOf(grads: tf.NamedTensorMap, kernel: string): tf.Tensor {
  const name = Object.keys(grads).find((key) => key === kernel || key.startsWith(`${kernel}_`));
  return grads[name as string];
}

function lookInto(step: number, gradients: tf.Tensor[], blocks: tf.Tensor[]): Probe {
  const moments = blocks.map((block) => momentsOf(block.dataSync()));
  return {
    step,
    gradientNorm: gradients.map((gradient) => finite(normOf(gradient))),
    activationMean: moments.map(({ mean }) => finite(mean)),
    activationSpread: moments.map((of) => finite(Math.sqrt(biasedVariance(of)))),
  };
}

/** In float64, where no square of a float32 is too small or too large: gradients that vanish or explode are what is looked for. */
function normOf(tensor: tf.Tensor): number {
  let squares = 0;
  for (const value of tensor.dataSync()) squares += value * value;
  return Math.sqrt(squares);
}

function lossOf({ task, classes }: TrialData, outputs: tf.Tensor, y: tf.Tensor1D): tf.Scalar {
  if (task === "regression") return tf.losses.meanSquaredError(y, tf.reshape(outputs, [-1]));
  const labels = tf.oneHot(tf.cast(y, "int32"), classes.length);
  return tf.losses.softmaxCrossEntropy(labels, outputs);
}

/** Loss and metric (accuracy, or R²) on the held-out data, in evaluation mode. */
function evaluate({ model }: Network, data: TrialData): { loss: number; metric: number } {
  const { heldOut, task, inputShape } = data;
  let loss = 0;
  let right = 0;
  for (let at = 0; at < heldOut.count; at += EVALUATION_BATCH) {
    const rows = Array.from({ length: Math.min(EVALUATION_BATCH, heldOut.count - at) }, (_, i) => at + i);
    const [batchLoss, batchRight] = tf.tidy(() => {
      const { x, y } = batchOf(heldOut, rows, inputShape);
      const [outputs] = model.apply(x, { training: false }) as tf.Tensor[];
      const hits =
        task === "classification"
          ? tf.sum(tf.equal(tf.argMax(outputs, 1), tf.cast(y, "int32"))).dataSync()[0]
          : 0;
      return [lossOf(data, outputs, y).dataSync()[0], hits];
    });
    loss += (batchLoss * rows.length) / heldOut.count;
    right += batchRight;
  }
  if (task === "classification") return { loss, metric: right / heldOut.count };
  const mean = heldOut.y.reduce((sum, y) => sum + y, 0) / heldOut.count;
  const variance = heldOut.y.reduce((sum, y) => sum + (y - mean) ** 2, 0) / heldOut.count;
  return { loss, metric: 1 - loss / variance };
}

function batchOf(
  { x, y }: Split,
  rows: readonly number[],
  inputShape: number[],
): { x: tf.Tensor; y: tf.Tensor1D } {
  const size = inputShape.reduce((a, b) => a * b, 1);
  const inputs = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) inputs.set(x.subarray(row * size, (row + 1) * size), i * size);
  return {
    x: tf.tensor(inputs, [rows.length, ...inputShape]),
    y: tf.tensor1d(Float32Array.from(rows, (row) => y[row])),
  };
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[sorted.length >> 1];
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
