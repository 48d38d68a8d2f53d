/** One network, trained from one seed, and what was measured on the way. */
import * as tf from "@tensorflow/tfjs-core";
import { biasedVariance, momentsOf } from "evenkeel";
import { shuffledRows } from "./data/split.js";
import type { TrialData } from "./datasets/dataset.js";
import { chooseStatistics, evaluate, guessedOf, lossOf, sampleOf, scoresOf, validate } from "./evaluation.js";
import { batchOf, type Examples, examplesOf } from "./examples.js";
import { normOf } from "./gradients.js";
import type { Model, ModelSettings } from "./models/model.js";
import { buildNetwork, type Network } from "./models/network.js";
import { choosesStatistics, type NormName } from "./norms.js";
import { disposeOptimizer, optimizerOf } from "./optimizers.js";
import { type Epoch, finite, type Probe, type SavedNetwork, type Trial } from "./results.js";
import { type OptimizerName, stepsOf, trialEpochs } from "./settings.js";
import { metricNamed, tasks } from "./tasks/registry.js";

export interface TrainingSettings {
  epochs: number;
  batchSize: number;
  /**
   * What a trial begins with; it falls evenly to zero. Several are tried: each trains for the first `trialEpochs`, and
   * the one with the lowest loss on the validation part is gone on with: so early, a metric says less. A single one is used.
   */
  learningRates: number[];
  optimizer: OptimizerName;
  /** Share of the steps over which the learning rate rises evenly from zero before it falls; 0 for none. */
  warmUp: number;
}

export interface TrialSpec {
  norm: NormName;
  /** Of the parts, the initial weights and the order of the examples. */
  seed: number;
  model: ModelSettings;
  training: TrainingSettings;
  /** Whether the trained network is part of the result. */
  keep?: boolean;
  data: TrialData;
  /** SHA-256 of `data`, in hex. */
  digest: string;
}

/** As it travels to where the data are, or come by their digest. */
export type TravellingSpec = Omit<TrialSpec, "data">;

/** What was measured of a trial so far, with the learning rate that it trains at or tries. */
export type SoFar = Pick<Trial, "learningRate" | "epochs" | "probes" | "guess" | "guessing" | "guesses">;

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

/** With more classes a table of confusions cannot be read. */
const MOST_CONFUSED = 20;
/** Probes of the network, evenly spaced over the training, the first before any step. */
const PROBES = 24;
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
 * Trains and evaluates a network of `model`, which is the spec's. The same spec gives the same numbers, but for times.
 * @param report called after every step; what it returns is awaited, so that whoever runs the trial can let other work through, or
 * let the trial wait. What was measured goes on to change.
 */
export async function runTrial(
  spec: TrialSpec,
  model: Model,
  report: (progress: Progress, measured: SoFar) => void | Promise<void>,
): Promise<Trial> {
  const { norm, seed, data, training } = spec;
  const { epochs, batchSize, learningRates } = training;
  const examples = examplesOf(data, seed);
  const guessed = guessedOf(examples);
  const stepsPerEpoch = stepsOf(examples.train.length, batchSize);
  const steps = stepsPerEpoch * epochs;
  const firstEpochs = Math.min(epochs, trialEpochs(epochs));
  const stepsInAll = steps + (learningRates.length - 1) * firstEpochs * stepsPerEpoch;
  const probeSteps = new Set(
    Array.from({ length: PROBES }, (_, i) => Math.round((i * (steps - 1)) / (PROBES - 1))),
  );
  let stepsDone = 0;

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
        setLearningRate(run, Math.min(1, (step + 1) / (training.warmUp * steps)) * (1 - step / steps));
        const { loss, ms, probe } = await trainStep(
          run,
          examples,
          rows,
          probeSteps.has(step) ? step : undefined,
        );
        if (probe) run.probes.push(probe);
        run.stepTimes.push(ms);
        run.seconds += ms / 1000;
        run.diverged = !Number.isFinite(loss);
        lossSum += loss * rows.length;
        seen += rows.length;
        stepsDone++;
        const metric = run.epochs.at(-1)?.metric ?? null;
        const { learningRate, epochs, probes } = run;
        const waiting = report(
          { done: stepsDone / stepsInAll, epoch, loss: lossSum / seen, metric },
          { ...guessed, learningRate, epochs, probes },
        );
        if (waiting) await waiting;
      }
      const held = await evaluate(run.network, examples, examples.heldOut);
      const heldOutLoss = finite(held.loss);
      run.epochs.push({
        epoch,
        trainLoss: finite(lossSum / seen),
        heldOutLoss,
        // some class has the largest output even where all of them are NaN
        metric:
          run.diverged || heldOutLoss === null ? null : finite(metricNamed(data.task, data.metric).of(held)),
        seconds: run.seconds,
      });
    }
  }

  const { best, tried } = await chooseRate(spec, model, examples, (run) => train(run, firstEpochs));
  await train(best, epochs);
  // the very last update may be the one that the network does not survive; in a try, the held-out part has no say
  best.diverged ||= best.epochs.at(-1)?.heldOutLoss === null;

  const chooses = choosesStatistics(norm);
  if (!best.diverged && chooses) await chooseStatistics(best.network, examples, batchSize);
  const parts = { train: examples.trained, validation: examples.validation, heldOut: examples.heldOut };
  const scores = { train: {}, validation: {}, heldOut: {} } as Trial["scores"];
  let confusion: Trial["confusion"] = null;
  for (const part of Object.keys(parts) as (keyof typeof parts)[]) {
    const scored = await evaluate(best.network, examples, parts[part], chooses ? batchSize : undefined);
    scores[part] = scoresOf(data, (metric) => (best.diverged ? Number.NaN : metric.of(scored)));
    if (part === "heldOut" && !best.diverged && data.classes.length <= MOST_CONFUSED) {
      confusion = tasks[data.task].confusionOf?.(scored) ?? null;
    }
  }
  const parameters = best.network.model.trainableWeights.reduce(
    (sum, weight) => sum + tf.util.sizeFromShape(weight.shape as number[]),
    0,
  );
  const sample = best.diverged ? undefined : await sampleOf(best.network, examples);
  const network = spec.keep ? await savedOf(best.network, examples) : undefined;
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
    ...guessed,
    confusion,
    // the first half warms up the engine
    stepMs: median(best.stepTimes.slice(best.stepTimes.length >> 1)),
    epochsToTarget: null,
    ...(sample && { sample }),
    ...(network && { network }),
  };
}

async function savedOf({ model }: Network, { inputs, target }: Examples): Promise<SavedNetwork> {
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
    }),
  );
  const { modelTopology, weightSpecs = [], weightData } = saved ?? {};
  const bytes = new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData));
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return {
    topology: modelTopology as object,
    weightSpecs,
    weights: btoa(binary),
    inputs: { mean: [...inputs.mean], factor: [...inputs.factor] },
    target,
  };
}

/**
 * The run of each learning rate after its first epochs, as `begin` trains them, and of these the one that is gone on
 * with: that of the lowest loss on the validation part. The others are given up. A single rate is not tried.
 */
async function chooseRate(
  spec: TrialSpec,
  model: Model,
  examples: Examples,
  begin: (run: Run) => Promise<void>,
): Promise<{ best: Run; tried: Trial["tried"] }> {
  const [first, ...others] = spec.training.learningRates;
  if (first === undefined)
    throw new RangeError("runTrial: learningRates must hold at least one rate, got none");
  let best = beginRun(spec, model, first);
  const tried: Trial["tried"] = [];
  if (others.length === 0) return { best, tried };
  const lossOfTry = async (run: Run): Promise<number> => {
    await begin(run);
    const score = run.diverged ? { metric: null, loss: null } : await validate(run.network, examples);
    tried.push({ learningRate: run.learningRate, ...score });
    return score.loss ?? Infinity;
  };
  let lowest = await lossOfTry(best);
  for (const learningRate of others) {
    const run = beginRun(spec, model, learningRate);
    const loss = await lossOfTry(run);
    // of those that all diverge the first, which is the smallest, is kept
    const isBetter = loss < lowest;
    endRun(isBetter ? best : run);
    if (isBetter) [best, lowest] = [run, loss];
  }
  return { best, tried };
}

function beginRun(
  { model: settings, norm, seed, data, training }: TrialSpec,
  model: Model,
  learningRate: number,
): Run {
  return {
    network: buildNetwork(model, settings, norm, data.form, seed),
    optimizer: optimizerOf(training.optimizer, learningRate),
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
  disposeOptimizer(optimizer);
}

/** The share of its learning rate that a run goes on with: it falls evenly to zero, so that the end is not the luck of the last steps. */
function setLearningRate({ optimizer, learningRate }: Run, share: number): void {
  const rate = learningRate * share;
  // Adam has no method for it; `instanceof` takes every optimizer for every other
  if ("setLearningRate" in optimizer) (optimizer as tf.SGDOptimizer).setLearningRate(rate);
  else Object.assign(optimizer, { learningRate: rate });
}

/** One update from the examples `rows`, and its time; with `probeStep` also a probe, which is not timed. Reads as devices give: later. */
async function trainStep(
  { network: { model, kernels, blocks }, optimizer }: Run,
  examples: Examples,
  rows: ArrayLike<number>,
  probeStep?: number,
): Promise<{ loss: number; ms: number; probe?: Probe }> {
  const began = performance.now();
  tf.engine().startScope();
  const outputs: tf.Tensor[] = [];
  const unwatch = probeStep === undefined ? undefined : watched(blocks, outputs);
  try {
    const { x, y } = batchOf(examples, rows);
    const { value, grads } = tf.variableGrads(() =>
      lossOf(examples.data, model.apply(x, { training: true }) as tf.Tensor, y),
    );
    optimizer.applyGradients(grads);
    const [loss] = await value.data();
    const ms = performance.now() - began;
    if (probeStep === undefined) return { loss, ms };
    return {
      loss,
      ms,
      probe: await probeOf(
        probeStep,
        kernels.map((name) => grads[name]),
        outputs,
      ),
    };
  } finally {
    unwatch?.();
    for (const output of outputs) output.dispose();
    tf.engine().endScope();
  }
}

/** Keeps what these layers give from now on, until what is returned is called. */
function watched(layers: Network["blocks"], outputs: tf.Tensor[]): () => void {
  const calls = layers.map((layer, index) => {
    const { call } = layer;
    layer.call = (...args) => {
      const given = call.apply(layer, args);
      // of a layer that is called for each step, the last
      outputs[index]?.dispose();
      outputs[index] = tf.keep(tf.clone([given].flat()[0]));
      return given;
    };
    return call;
  });
  return () => {
    for (const [index, layer] of layers.entries()) layer.call = calls[index];
  };
}

async function probeOf(step: number, gradients: tf.Tensor[], blocks: tf.Tensor[]): Promise<Probe> {
  const moments = (await read(blocks)).map(momentsOf);
  return {
    step,
    gradientNorm: (await read(gradients)).map((gradient) => finite(normOf(gradient))),
    activationMean: moments.map(({ mean }) => finite(mean)),
    activationSpread: moments.map((of) => finite(Math.sqrt(biasedVariance(of)))),
  };
}

const read = (tensors: tf.Tensor[]) => Promise.all(tensors.map((tensor) => tensor.data()));

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[sorted.length >> 1];
}
