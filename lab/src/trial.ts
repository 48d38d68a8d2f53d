/** One network, trained from one seed, and what was measured on the way. */
import * as tf from "@tensorflow/tfjs-core";
import { biasedVariance, momentsOf } from "evenkeel";
import { shuffledRows } from "./data/split.js";
import type { Dataset, Split } from "./dataset.js";
import type { ModelSettings } from "./models/model.js";
import { buildNetwork, type Network } from "./models/network.js";
import type { ModelName } from "./models/registry.js";
import type { NormName } from "./norms.js";
import type { Epoch, Probe, Trial } from "./results.js";
import type { OptimizerName } from "./settings.js";
import { tasks } from "./tasks/registry.js";

export interface TrainingSettings {
  epochs: number;
  batchSize: number;
  /**
   * Several are tried: each trains for the first `trialEpochs`, and the one with the best metric on the validation part
   * (the lower loss of equals) is gone on with. A single one is used.
   */
  learningRates: number[];
  optimizer: OptimizerName;
}

/** What a trial needs of a dataset; the arrays may be shared with other trials. */
export type TrialData = Pick<
  Dataset,
  "task" | "metric" | "inputShape" | "classes" | "count" | "x" | "scaled" | "y" | "yScale" | "parts"
>;

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
/** Held-out examples that are evaluated at a time. */
const EVALUATION_BATCH = 1024;

/**
 * Trains and evaluates. The same spec gives the same numbers, but for `stepMs`. `report` is awaited now and then, so
 * that whoever runs the trial can let other work through.
 */
export async function runTrial(
  spec: TrialSpec,
  report: (progress: Progress) => void | Promise<void>,
): Promise<Trial> {
  const { norm, seed, data, training } = spec;
  const outputs = tasks[data.task].outputs(data.classes);
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
        await report({ done, epoch, loss: lossSum / seen, metric: epochs.at(-1)?.metric ?? null });
      }
    }
    const held = evaluate(network, data);
    // the last update of an epoch may be the one that the network does not survive
    diverged ||= !Number.isFinite(held.loss);
    epochs.push({
      epoch,
      trainLoss: finite(lossSum / seen),
      heldOutLoss: finite(held.loss),
      // some class has the largest output even where all of them are NaN
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
    // the first half warms up the engine
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

/** One update from the examples `rows`, and its time; with `probeStep` also a probe, which is not timed. */
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

/** Loss and metric on the held-out data, in evaluation mode. */
function evaluate({ model }: Network, data: TrialData): { loss: number; metric: number } {
  const { heldOut, task, classes, inputShape } = data;
  const width = tasks[task].outputs(classes);
  const all = new Float32Array(heldOut.count * width);
  let loss = 0;
  for (let at = 0; at < heldOut.count; at += EVALUATION_BATCH) {
    const rows = Array.from({ length: Math.min(EVALUATION_BATCH, heldOut.count - at) }, (_, i) => at + i);
    tf.tidy(() => {
      const { x, y } = batchOf(heldOut, rows, inputShape);
      const [outputs] = model.apply(x, { training: false }) as tf.Tensor[];
      all.set(outputs.dataSync(), at * width);
      loss += (lossOf(data, outputs, y).dataSync()[0] * rows.length) / heldOut.count;
    });
  }
  return { loss, metric: tasks[task].metric.of({ outputs: all, y: heldOut.y, loss }) };
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
