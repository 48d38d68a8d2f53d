/** Batch Layer Normalization chooses after training where its statistics come from, for targets of every shape, at every batch size. */
import { MessageChannel } from "node:worker_threads";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import train from "../dist/node/trial-thread.js";
import type { TrialData } from "../src/datasets/dataset.js";
import type { Trial } from "../src/results.js";
import { taskNames, tasks } from "../src/tasks/registry.js";
import type { TrialSpec } from "../src/trial.js";

const COUNT = 30;
const FORECAST = taskNames.find((name) => tasks[name].from === "series") ?? taskNames[0];
const classes: TrialData = {
  task: "classification",
  metric: "accuracy",
  form: { input: { kind: "features", shape: [2] }, outputs: [3] },
  classes: ["a", "b", "c"],
  count: COUNT,
  x: Float32Array.from({ length: 2 * COUNT }, (_, i) => ((i >> 1) % 3) + Math.sin(i)),
  scaled: Uint8Array.of(1, 1),
  y: Float32Array.from({ length: COUNT }, (_, i) => i % 3),
  targetShape: [],
  yScale: 1,
  parts: { strata: Int32Array.from({ length: COUNT }, (_, i) => i % 3) },
};
const series: TrialData = {
  ...classes,
  task: FORECAST,
  metric: tasks[FORECAST].metrics[0].name,
  form: { input: { kind: "series", shape: [8, 2] }, outputs: [2, 2] },
  classes: [],
  x: Float32Array.from({ length: 2 * (COUNT + 10) }, (_, i) => Math.sin(i / 5)),
  y: new Float32Array(),
  targetShape: [2, 2],
  windows: { starts: Int32Array.from({ length: COUNT }, (_, i) => i), ahead: 8 },
  parts: {
    strata: new Int32Array(COUNT),
    time: Float64Array.from({ length: COUNT }, (_, i) => i + 8),
    span: 2,
  },
};

async function trial(data: TrialData, batchSize: number): Promise<Trial> {
  const { port1, port2 } = new MessageChannel();
  const spec: TrialSpec = {
    norm: "batch-layer",
    seed: 1,
    model: { kind: "mlp", depth: 2, width: 8, activation: "relu" },
    training: { epochs: 1, batchSize, learningRates: [0.05], optimizer: "sgd", warmUp: 0 },
    keep: true,
    data,
    digest: "0",
  };
  const result = await train({ spec, port: port2 });
  port1.close();
  return result;
}

/** What its layers were left with. */
function sourcesOf({ network }: Trial): Record<string, string>[] {
  const found = JSON.stringify(network?.topology).matchAll(/"sources":(\{[^{}]*\})/g);
  return [...found].map(([, sources]) => JSON.parse(sources));
}

describe.each<[string, TrialData]>([
  ["a class", classes],
  ["a forecast", series],
])("of %s", (_, data) => {
  test.each([1, 25])("in batches of %i", async (batchSize) => {
    const result = await trial(data, batchSize);
    expect(result.outcome).toBe("finished");
    const [first, second, ...more] = sourcesOf(result);
    expect(Object.keys(first).sort()).toEqual([
      "batch_mean",
      "batch_variance",
      "feature_mean",
      "feature_variance",
    ]);
    // one choice for all layers
    expect([second, more]).toEqual([first, []]);
    for (const score of Object.values(result.scores.heldOut)) expect(score).toEqual(expect.any(Number));
  });
});

test("the choice is the same again, and leaves nothing in memory", async () => {
  const result = await trial(classes, 5);
  const before = tf.memory().numTensors;
  const again = await trial(classes, 5);
  expect(tf.memory().numTensors).toBe(before);
  expect(sourcesOf(again)).toEqual(sourcesOf(result));
  expect(again.scores).toEqual(result.scores);
});
