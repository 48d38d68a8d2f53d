/** Trials on threads, and what becomes of them when one fails. */
import { describe, expect, test } from "vitest";
// as built, because it starts the worker next to it
import { openThreads } from "../dist/node/threads.js";
import type { NormName } from "../src/norms.js";
import type { TrialSpec } from "../src/trial.js";
import { runTrials } from "../src/trials.js";

describe("runTrials", () => {
  const examples = { x: Float32Array.from([0, 1, 2, 3]), y: Float32Array.from([0, 1, 0, 1]), count: 4 };
  const spec = (norm: NormName, seed: number, units = 2): TrialSpec => ({
    norm,
    seed,
    model: { kind: "mlp", depth: 1, width: units, activation: "relu" },
    training: { epochs: 2, batchSize: 2, learningRate: 0.1, optimizer: "sgd" },
    data: {
      task: "classification",
      inputShape: [1],
      classes: ["a", "b"],
      train: examples,
      heldOut: examples,
    },
  });
  const watcher = { started() {}, progress() {}, finished() {} };

  test("gives the trials in the order asked for", async () => {
    const specs = [spec("rms", 2), spec("none", 1), spec("rms", 1)];
    const { trials, failure } = await runTrials(specs, openThreads(2), watcher, new AbortController().signal);
    expect(failure).toBeUndefined();
    expect(trials.map(({ norm, seed, epochs }) => [norm, seed, epochs.length])).toEqual([
      ["rms", 2, 2],
      ["none", 1, 2],
      ["rms", 1, 2],
    ]);
  });

  test("a gradient that vanishes is measured where its square is too small for float32", async () => {
    const deep = spec("none", 1);
    deep.model = { kind: "mlp", depth: 40, width: 2, activation: "sigmoid" };
    const { trials } = await runTrials([deep], openThreads(1), watcher, new AbortController().signal);
    const norms = trials[0]?.probes[0]?.gradientNorm ?? [];
    expect(norms).toHaveLength(41);
    expect(norms[0]).toBeGreaterThan(0);
    expect(norms[0]).toBeLessThan(1e-23);
  });

  test("a network that its very last update ruins has diverged, and has no metric", async () => {
    const ruined = spec("none", 1);
    ruined.model.activation = "elu";
    ruined.training = { epochs: 1, batchSize: 4, learningRate: 1e30, optimizer: "sgd" };
    const { trials } = await runTrials([ruined], openThreads(1), watcher, new AbortController().signal);
    expect(trials).toMatchObject([{ outcome: "diverged", epochs: [{ heldOutLoss: null, metric: null }] }]);
    expect(trials[0]?.epochs[0]?.trainLoss).toBeGreaterThan(0);
  });

  test("a trial that fails is named with its reason; those that had finished are returned, and no other starts", async () => {
    const started: NormName[] = [];
    const { trials, failure } = await runTrials(
      [spec("none", 1), spec("batch", 3, -1), spec("layer", 1)],
      openThreads(1),
      { ...watcher, started: ({ norm }) => started.push(norm) },
      new AbortController().signal,
    );
    expect(trials.map(({ norm }) => norm)).toEqual(["none"]);
    expect(started).toEqual(["none", "batch"]);
    expect(failure?.exitCode).toBe(1);
    expect(failure?.message).toMatch(
      /^the trial of batch with seed 3 failed: .*-1.*\nIf the network is too large for the memory, use a smaller --width, --depth or --batch-size, or fewer --threads$/,
    );
  });

  test("when one fails, those running at the same time are ended, and the reason is its own", async () => {
    const endless = spec("none", 1);
    endless.training.epochs = 1_000_000;
    const { trials, failure } = await runTrials(
      [endless, spec("rms", 2, -1)],
      openThreads(2),
      watcher,
      new AbortController().signal,
    );
    expect(trials).toEqual([]);
    expect(failure?.message).toMatch(/^the trial of rms with seed 2 failed: /);
  });
});
