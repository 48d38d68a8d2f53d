/** Trials on threads, and what becomes of them when one fails. */

import { MessageChannel } from "node:worker_threads";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
// as built, because it starts the worker next to it
import { openThreads } from "../dist/node/threads.js";
import trainHere from "../dist/node/trial-thread.js";
import { splitOf } from "../src/data/split.js";
import type { TrialData } from "../src/datasets/dataset.js";
import type { NormName } from "../src/norms.js";
import type { Trial } from "../src/results.js";
import { optimizers } from "../src/settings.js";
import type { TrialSpec } from "../src/trial.js";
import { type Executor, keyOf, runTrials, type Store } from "../src/trials.js";

/** Two inputs that tell two classes, and one that is missing now and then. */
const count = 40;
const data: TrialData = {
  task: "classification",
  metric: "accuracy",
  form: { input: { kind: "features", shape: [2] }, outputs: [2] },
  classes: ["a", "b"],
  count,
  x: Float32Array.from({ length: 2 * count }, (_, i) => (i % 6 === 5 ? Number.NaN : (i % 4) + 5)),
  scaled: Uint8Array.of(1, 1),
  y: Float32Array.from({ length: count }, (_, i) => i % 2),
  targetShape: [],
  yScale: 1,
  parts: { strata: Int32Array.from({ length: count }, (_, i) => i % 2) },
};
const spec = (norm: NormName, seed: number, units = 2): TrialSpec => ({
  norm,
  seed,
  model: { kind: "mlp", depth: 1, width: units, activation: "relu" },
  training: { epochs: 2, batchSize: 2, learningRates: [0.1], optimizer: "sgd", warmUp: 0 },
  data,
  digest: "0",
});
const watcher = { begun() {}, started() {}, progress() {}, finished() {}, found() {} };
const go = new AbortController().signal;
const run = async (specs: TrialSpec[], threads = 1) => {
  const { trials, failure } = await runTrials(specs, openThreads(threads), watcher, go);
  if (failure) throw failure;
  return trials as Trial[];
};

describe("a trial", () => {
  test("a gradient that vanishes is measured where its square is too small for float32", async () => {
    const deep = spec("none", 1);
    deep.model = { kind: "mlp", depth: 40, width: 2, activation: "sigmoid" };
    const [trial] = await run([deep]);
    const norms = trial.probes[0].gradientNorm;
    expect(norms).toHaveLength(41);
    expect(norms[0]).toBeGreaterThan(0);
    expect(norms[0]).toBeLessThan(1e-22);
  });

  test("a network that its very last update ruins has diverged, and has no metric", async () => {
    const ruined = spec("none", 1);
    ruined.model.activation = "elu";
    ruined.training = { epochs: 1, batchSize: 40, learningRates: [1e30], optimizer: "sgd", warmUp: 0 };
    const [trial] = await run([ruined]);
    expect(trial).toMatchObject({ outcome: "diverged", epochs: [{ heldOutLoss: null, metric: null }] });
    expect(trial.scores.heldOut).toEqual({
      accuracy: null,
      "balanced accuracy": null,
      AUC: null,
      "log loss": null,
    });
    expect(trial.epochs[0].trainLoss).toBeGreaterThan(0);
  });

  test("goes on with the learning rate that does best on the validation part", async () => {
    const tuned = spec("none", 1, 8);
    tuned.training = {
      epochs: 6,
      batchSize: 4,
      learningRates: [1e-7, 0.2, 1e30],
      optimizer: "sgd",
      warmUp: 0,
    };
    const alone = { ...tuned, training: { ...tuned.training, learningRates: [0.2] } };
    const [trial, same] = await run([tuned, alone]);
    expect(trial.learningRate).toBe(0.2);
    expect(trial.tried.map(({ learningRate }) => learningRate)).toEqual([1e-7, 0.2, 1e30]);
    expect(trial.tried[2]).toEqual({ learningRate: 1e30, metric: null, loss: null });
    expect(trial.tried[1].loss).toBeLessThan(trial.tried[0].loss as number);
    // what it goes on with is what it would have been from the start
    expect(same.tried).toEqual([]);
    const numbers = ({ epochs, scores, probes }: Trial) => ({
      scores,
      probes,
      epochs: epochs.map(({ seconds, ...rest }) => rest),
    });
    expect(numbers(trial)).toEqual(numbers(same));
  });

  test("the loss chooses, also where the metric would choose another learning rate", async () => {
    const noisy = spec("none", 2, 4);
    noisy.training = { epochs: 4, batchSize: 4, learningRates: [0.03, 3], optimizer: "sgd", warmUp: 0 };
    noisy.data = { ...data, y: data.y.map((label, i) => (i % 5 === 0 ? 1 - label : label)) };
    const [{ tried, learningRate }] = await run([noisy]);
    expect(tried[1].metric).toBeGreaterThan(tried[0].metric as number);
    expect(tried[1].loss).toBeGreaterThan(tried[0].loss as number);
    expect(learningRate).toBe(0.03);
  });

  test("a validation part of one number has no R²: the loss chooses", async () => {
    const few = spec("none", 1, 8);
    few.data = { ...data, task: "regression", metric: "R²", classes: [], count: 6 };
    few.data.form = { ...data.form, outputs: [1] };
    few.data.x = Float32Array.from({ length: 12 }, (_, i) => i % 5);
    few.data.y = Float32Array.from({ length: 6 }, (_, i) => i - 2.5);
    few.data.parts = { strata: new Int32Array(6) };
    few.training = { epochs: 8, batchSize: 2, learningRates: [0.05, 1e-7], optimizer: "sgd", warmUp: 0 };
    const [{ tried, learningRate, outcome }] = await run([few]);
    expect(tried.map(({ metric }) => metric)).toEqual([null, null]);
    expect(Number(tried[1].loss)).toBeLessThan(Number(tried[0].loss));
    expect([learningRate, outcome]).toEqual([1e-7, "finished"]);
  });

  test("no learning rate is given up for what the held-out part makes of it", async () => {
    const near = spec("none", 1, 4);
    near.training = { epochs: 4, batchSize: 4, learningRates: [1e-7, 0.1], optimizer: "sgd", warmUp: 0 };
    const { heldOut } = splitOf(data.parts, count, 1);
    near.data = { ...data, parts: { ...data.parts, heldOut } };
    // the loss overflows there, and nowhere else
    const far = { ...structuredClone(near), digest: "1" };
    for (const row of heldOut) far.data.x.fill(3e38, 2 * row, 2 * row + 2);
    const [one, other] = await run([near, far]);
    expect([one.epochs[0].heldOutLoss, other.epochs[0].heldOutLoss]).toEqual([expect.any(Number), null]);
    expect([one.learningRate, other.learningRate]).toEqual([0.1, 0.1]);
    expect(other.tried).toEqual(one.tried);
  });

  test.each(optimizers)("leaves nothing in memory: %s", async (optimizer) => {
    const one = spec("batch", 1, 4);
    one.training = { epochs: 1, batchSize: 4, learningRates: [0.01, 0.1], optimizer, warmUp: 0 };
    const { port1: report } = new MessageChannel();
    await trainHere({ spec: one, port: report });
    const before = tf.memory().numTensors;
    await trainHere({ spec: one, port: report });
    expect(tf.memory().numTensors).toBe(before);
    report.close();
  });

  test("where every learning rate diverges, the smallest one is told", async () => {
    const lost = spec("none", 1);
    lost.model.activation = "elu";
    lost.training.learningRates = [1e29, 1e30];
    const [trial] = await run([lost]);
    expect([trial.outcome, trial.learningRate]).toEqual(["diverged", 1e29]);
  });

  test("scores every part by every metric, and counts the confusions of the held-out one", async () => {
    const [{ scores, guess, confusion }] = await run([spec("none", 1, 8)]);
    for (const part of Object.values(scores)) {
      expect(Object.keys(part)).toEqual(["accuracy", "balanced accuracy", "AUC", "log loss"]);
    }
    expect(guess).toEqual({
      accuracy: 0.5,
      "balanced accuracy": 0.5,
      AUC: 0.5,
      "log loss": expect.closeTo(Math.LN2, 6),
    });
    const counts = confusion?.flat() ?? [];
    expect(counts.reduce((sum, each) => sum + each, 0)).toBe(8);
    expect(((confusion?.[0][0] ?? 0) + (confusion?.[1][1] ?? 0)) / 8).toBe(scores.heldOut.accuracy);
  });

  test.each(optimizers)("%s learns, and its learning rate falls to zero", async (optimizer) => {
    const one = spec("none", 1, 8);
    one.training = { epochs: 30, batchSize: 4, learningRates: [0.02], optimizer, warmUp: 0 };
    const [{ epochs }] = await run([one]);
    const losses = epochs.map(({ heldOutLoss }) => Number(heldOutLoss));
    expect(losses[29]).toBeLessThan(0.9 * losses[0]);
    // the last epoch changes less than the one in the middle, for its rate is that much smaller
    expect(Math.abs(losses[29] - losses[28])).toBeLessThan(0.5 * Math.abs(losses[15] - losses[14]));
  });

  test("another seed has other parts and other weights", async () => {
    const [one, two] = await run([spec("none", 1), spec("none", 2)]);
    expect(one.epochs[0].trainLoss).not.toBe(two.epochs[0].trainLoss);
  });
});

describe("runTrials", () => {
  test("gives the trials in the order asked for", async () => {
    const trials = await run([spec("rms", 2), spec("none", 1), spec("rms", 1)], 2);
    expect(trials.map(({ norm, seed, epochs }) => [norm, seed, epochs.length])).toEqual([
      ["rms", 2, 2],
      ["none", 1, 2],
      ["rms", 1, 2],
    ]);
  });

  /** An executor without threads: a trial is what it is asked for. */
  const direct = (ran: string[]): Executor => ({
    size: 2,
    async run({ norm, seed }, watcher) {
      watcher.started();
      ran.push(`${norm} ${seed}`);
      return { norm, seed } as Trial;
    },
    close: async () => {},
  });
  const memory = (kept = new Map<string, Trial>()): Store & { kept: Map<string, Trial> } => ({
    kept,
    get: async (key) => kept.get(key),
    put: async (key, trial) => void kept.set(key, trial),
  });

  test("a result that was there where it was to run is found, kept, and not one that finished now", async () => {
    const store = memory();
    const told: string[] = [];
    const elsewhere: Executor = {
      size: Number.POSITIVE_INFINITY,
      async run({ norm, seed }, trial) {
        if (norm === "rms") trial.started();
        return { norm, seed } as Trial;
      },
      close: async () => {},
    };
    const { trials } = await runTrials(
      [spec("none", 1), spec("rms", 1)],
      elsewhere,
      {
        ...watcher,
        found: ({ norm }) => void told.push(`found ${norm}`),
        finished: ({ norm }) => void told.push(`finished ${norm}`),
      },
      go,
      store,
    );
    expect(told.sort()).toEqual(["finished rms", "found none"]);
    expect(trials.map((trial) => trial?.norm)).toEqual(["none", "rms"]);
    expect(store.kept.size).toBe(2);
  });

  test("what the store has is not run again; what is run is put there", async () => {
    const store = memory();
    await runTrials([spec("none", 1)], direct([]), watcher, go, store);
    const ran: string[] = [];
    const found: string[] = [];
    const { trials } = await runTrials(
      [spec("none", 1), spec("rms", 1), spec("rms", 1)],
      direct(ran),
      { ...watcher, found: ({ norm }) => found.push(norm) },
      go,
      store,
    );
    expect([ran, found, store.kept.size]).toEqual([["rms 1"], ["none"], 2]);
    expect(trials.map((trial) => trial?.norm)).toEqual(["none", "rms", "rms"]);
  });

  test.each<[string, (spec: TrialSpec) => TrialSpec]>([
    ["norm", (one) => ({ ...one, norm: "rms" })],
    ["seed", (one) => ({ ...one, seed: 2 })],
    ["data", (one) => ({ ...one, digest: "1" })],
    ["depth", (one) => ({ ...one, model: { ...one.model, depth: 2 } })],
    ["width", (one) => ({ ...one, model: { ...one.model, width: 3 } })],
    ["activation", (one) => ({ ...one, model: { ...one.model, activation: "tanh" } })],
    ["epochs", (one) => ({ ...one, training: { ...one.training, epochs: 3 } })],
    ["batch size", (one) => ({ ...one, training: { ...one.training, batchSize: 3 } })],
    ["learning rates", (one) => ({ ...one, training: { ...one.training, learningRates: [0.1, 0.2] } })],
    ["optimizer", (one) => ({ ...one, training: { ...one.training, optimizer: "adam", warmUp: 0 } })],
  ])("another %s is another trial", async (_, change) => {
    const one = spec("none", 1);
    expect(await keyOf(change(one))).not.toBe(await keyOf(one));
    expect(await keyOf(structuredClone(one))).toBe(await keyOf(one));
  });

  test("a key is the same wherever it is made: what was kept is found, unless what it holds has changed", async () => {
    expect(await keyOf(spec("none", 1))).toBe(
      "93b320d6fea02ae4f057204fd85b963d577a70c8729c9127cf9239037a8c110c",
    );
  });

  test("a trial that fails is named with its reason; those that had finished are returned, and no other starts", async () => {
    const started: NormName[] = [];
    const { trials, failure } = await runTrials(
      [spec("none", 1), spec("batch", 3, -1), spec("layer", 1)],
      openThreads(1),
      { ...watcher, started: ({ norm }) => started.push(norm) },
      go,
    );
    expect(trials.map((trial) => trial?.norm)).toEqual(["none", undefined, undefined]);
    expect(started).toEqual(["none", "batch"]);
    expect(failure?.exitCode).toBe(1);
    expect(failure?.message).toMatch(
      /^the trial of batch with seed 3 failed: .*-1.*\nIf the network is too large for the memory, use a smaller --width, --depth or --batch-size, or fewer --threads$/,
    );
  });

  test("when one fails, those running at the same time are ended, and the reason is its own", async () => {
    const endless = spec("none", 1);
    endless.training.epochs = 1_000_000;
    const { trials, failure } = await runTrials([endless, spec("rms", 2, -1)], openThreads(2), watcher, go);
    expect(trials).toEqual([undefined, undefined]);
    expect(failure?.message).toMatch(/^the trial of rms with seed 2 failed: /);
  });
});
