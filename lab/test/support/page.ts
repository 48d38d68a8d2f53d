/** What runs inside the browser in page.browser.ts: the lab's core, bundled, without any of the lab's Node part. */
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { install } from "evenkeel/tfjs";
import { type Choices, comparisonOf, settingsOf, specsOf } from "../../src/comparison.js";
import { readTable } from "../../src/data/readers/registry.js";
import { digestOf } from "../../src/datasets/dataset.js";
import { toDataset } from "../../src/datasets/tabular.js";
import { modelOf } from "../../src/models/registry.js";
import { renderReport } from "../../src/report/html.js";
import type { Comparison, Trial } from "../../src/results.js";
import { runTrial, type TrialSpec } from "../../src/trial.js";
import { type Executor, runTrials, type Store } from "../../src/trials.js";

/** One trial after another, on the page's own thread. */
const inPage: Executor = {
  size: 1,
  run(spec, watcher) {
    watcher.started();
    return runTrial(spec, modelOf(spec.model), async (progress) => {
      watcher.progress(progress);
      await new Promise((resolve) => setTimeout(resolve));
    });
  },
  close: async () => {},
};

/** For as long as the page lives. */
function openMemory(): Store {
  const kept = new Map<string, Trial>();
  return {
    get: async (key) => kept.get(key),
    async put(key, trial) {
      kept.set(key, trial);
    },
  };
}

/** A comparison on a file that was dropped on the page, and its report; `again` is how many trials ran when it was asked for once more. */
async function compare(
  file: { name: string; text: string },
  choices: Choices,
): Promise<{ comparison: Comparison; report: string; started: string[]; again: number }> {
  setWasmPaths("/wasm/");
  await tf.setBackend("wasm");
  await install();
  const blob = new Blob([file.text]);
  const source = {
    name: file.name,
    byteLength: blob.size,
    slice: (start: number, end: number) => blob.slice(start, end).arrayBuffer(),
  };
  const data = toDataset(await readTable(source), {}, file.name);
  const settings = settingsOf(choices, data);
  const digest = await digestOf(data);
  const specs = specsOf(settings, data, digest);
  const store = openMemory();
  const run = async () => {
    const started: string[] = [];
    const watcher = {
      begun() {},
      started: ({ norm }: TrialSpec) => started.push(norm),
      progress() {},
      finished() {},
      found() {},
    };
    const { signal } = new AbortController();
    const { trials, failure } = await runTrials(specs, inPage, watcher, signal, store);
    if (failure) throw failure;
    return { trials, started };
  };
  const { trials, started } = await run();
  const comparison = comparisonOf(settings, data, digest, trials, {
    evenkeel: "0.0.0",
    date: new Date(0).toISOString(),
    command: "a page",
    machine: { processor: "a browser", cores: 1, runtime: "a browser", backend: tf.getBackend() },
    wallSeconds: 0,
  });
  const again = (await run()).started.length;
  return { comparison, report: renderReport(comparison, document), started, again };
}

export const page = { compare };
Object.assign(globalThis, { page });
