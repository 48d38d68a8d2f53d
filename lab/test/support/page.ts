/** What runs inside the browser in page.browser.ts: the lab's core, bundled, without any of the lab's Node part. */
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { install } from "evenkeel/tfjs";
import { summarize, targetOf, withTarget } from "../../src/comparison.js";
import { readerOf } from "../../src/data/readers/registry.js";
import { toDataset } from "../../src/dataset.js";
import { usualModel } from "../../src/models/registry.js";
import { renderReport } from "../../src/report/html.js";
import type { Comparison } from "../../src/results.js";
import { tasks } from "../../src/tasks/registry.js";
import { runTrial, type TrialSpec } from "../../src/trial.js";
import { type Executor, runTrials } from "../../src/trials.js";

/** One trial after another, on the page's own thread. */
const inPage: Executor = {
  size: 1,
  run: (spec, report) =>
    runTrial(spec, async (progress) => {
      report(progress);
      await new Promise((resolve) => setTimeout(resolve));
    }),
  close: async () => {},
};

/** A comparison on a file that was dropped on the page, and its report. */
async function compare(
  file: { name: string; text: string },
  norms: string[],
  settings: Pick<TrialSpec, "training"> & { depth: number; width: number },
): Promise<{ comparison: Comparison; report: string; started: string[] }> {
  setWasmPaths("/wasm/");
  await tf.setBackend("wasm");
  await install();
  const blob = new Blob([file.text]);
  const table = await readerOf(file.name)({
    name: file.name,
    byteLength: blob.size,
    slice: (start, end) => blob.slice(start, end).arrayBuffer(),
  });
  const data = toDataset(table, {}, file.name);
  const { training, depth, width } = settings;
  const model = { kind: usualModel(data.inputShape), depth, width, activation: "relu" as const };
  const specs = norms.map((norm): TrialSpec => ({ norm, seed: 1, model, training, data }));
  const started: string[] = [];
  const watcher = { started: ({ norm }: TrialSpec) => started.push(norm), progress() {}, finished() {} };
  const { trials, failure } = await runTrials(specs, inPage, watcher, new AbortController().signal);
  if (failure) throw failure;
  const { metric } = tasks[data.task];
  const baseline = metric.baseline(data.heldOut.y, data.classes);
  const targetMetric = targetOf(trials, baseline, metric.guessing(baseline, data.heldOut.count));
  const measured = withTarget(trials, targetMetric);
  const comparison: Comparison = {
    evenkeel: "0.0.0",
    date: new Date(0).toISOString(),
    command: "a page",
    machine: { processor: "a browser", cores: 1, node: "none", backend: tf.getBackend() },
    data: {
      name: data.name,
      provenance: data.provenance,
      task: data.task,
      target: data.target,
      inputShape: data.inputShape,
      classes: data.classes,
      trainCount: data.train.count,
      heldOutCount: data.heldOut.count,
      baseline,
      notes: data.notes,
    },
    metric: metric.name,
    targetMetric,
    model,
    training: { ...training, seeds: [1] },
    interrupted: false,
    wallSeconds: 0,
    summaries: summarize(norms, measured),
    trials: measured,
  };
  return { comparison, report: renderReport(comparison, document), started };
}

export const page = { compare };
Object.assign(globalThis, { page });
