/** Each normalization that has a place in a model trains in it, and has gradients, for every kind of input. */
import { MessageChannel } from "node:worker_threads";
import { describe, expect, test } from "vitest";
// as built, since it runs the same in a thread
import train from "../../dist/node/trial-thread.js";
import { type Form, type InputKind, sizeOf } from "../../src/data/form.js";
import type { TrialData } from "../../src/datasets/dataset.js";
import { acceptingModels, type ModelName, models, normsFor } from "../../src/models/registry.js";
import { taskNames, tasks } from "../../src/tasks/registry.js";
import type { TrialSpec } from "../../src/trial.js";

const COUNT = 40;
const CLASSES = ["a", "b", "c"];

/** Examples of a kind, of which each is a little noise on what belongs to its class. */
const noise = (i: number) => Math.sin(12.9898 * i) * 0.5;
const ofClasses = (form: Form, x: (example: number, at: number) => number): Partial<TrialData> => {
  const size = sizeOf(form.input.shape);
  return {
    task: "classification",
    metric: "accuracy",
    form,
    classes: CLASSES,
    x: Float32Array.from({ length: COUNT * size }, (_, i) => x(Math.floor(i / size), i % size)),
    scaled: new Uint8Array(size).fill(form.input.kind === "tokens" ? 0 : 1),
    y: Float32Array.from({ length: COUNT }, (_, i) => i % 3),
    targetShape: [],
    parts: { strata: Int32Array.from({ length: COUNT }, (_, i) => i % 3) },
  };
};

const STEPS = 90;
const FORECAST = taskNames.find((name) => tasks[name].from === "series") ?? taskNames[0];
const kinds: Record<Exclude<InputKind, "items">, Partial<TrialData>> = {
  features: ofClasses(
    { input: { kind: "features", shape: [6] }, outputs: [3] },
    (row, at) => ((row + at) % 3) + noise(7 * row + at),
  ),
  image: ofClasses(
    { input: { kind: "image", shape: [8, 8, 1] }, outputs: [3] },
    (row, at) => ((row + at) % 3) + noise(7 * row + at),
  ),
  tokens: ofClasses({ input: { kind: "tokens", shape: [6], vocabulary: 9 }, outputs: [3] }, (row, at) =>
    at > 3 + (row % 3) ? 0 : 1 + ((row * 3 + at) % 9),
  ),
  series: {
    task: FORECAST,
    metric: tasks[FORECAST].metrics[0].name,
    form: { input: { kind: "series", shape: [8, 2] }, outputs: [2, 2] },
    classes: [],
    x: Float32Array.from({ length: 2 * STEPS }, (_, i) => Math.sin(i / 5) + noise(i)),
    scaled: Uint8Array.of(1, 1),
    y: new Float32Array(),
    targetShape: [2, 2],
    windows: { starts: Int32Array.from({ length: COUNT }, (_, i) => i), ahead: 8 },
    parts: {
      strata: new Int32Array(COUNT),
      time: Float64Array.from({ length: COUNT }, (_, i) => i + 8),
      span: 2,
    },
  },
};

const combinations = (Object.keys(kinds) as (keyof typeof kinds)[]).flatMap((kind) =>
  acceptingModels(kinds[kind].form as Form, 1).map((model): [ModelName, keyof typeof kinds] => [model, kind]),
);

describe.each(combinations)("%s of %s", (kind, input) => {
  const data = { count: COUNT, yScale: 1, ...kinds[input] } as TrialData;
  test("every normalization that fits", async () => {
    const norms = normsFor(models[kind], data.form);
    expect(norms.length).toBeGreaterThan(2);
    for (const norm of norms) {
      const { port1, port2 } = new MessageChannel();
      const spec: TrialSpec = {
        norm,
        seed: 1,
        model: { kind, depth: 1, width: 8, activation: "relu" },
        training: { epochs: 1, batchSize: 8, learningRates: [0.01], optimizer: "sgd", warmUp: 0 },
        data,
        digest: "0",
      };
      const { outcome, epochs, probes } = await train({ spec, port: port2 }).catch((error) => {
        throw new Error(norm, { cause: error });
      });
      port1.close();
      expect([norm, outcome]).toEqual([norm, "finished"]);
      // no better than guessing, and not much worse
      expect(epochs[0].trainLoss, norm).toBeGreaterThan(0.1);
      expect(epochs[0].trainLoss, norm).toBeLessThan(20);
      expect(Math.min(...probes[0].gradientNorm.map(Number)), norm).toBeGreaterThan(0);
    }
  });
});
