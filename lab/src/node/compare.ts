/** `evenkeel compare`: from options to trials to a table, a report and JSON. */
import { availableParallelism, cpus } from "node:os";
import { resolve } from "node:path";
import { printable, quote } from "@evenkeel/report/format";
import { serverDocument } from "@evenkeel/report/server-document";
import { type Choices, comparisonOf, normsOf, settingsOf, specsOf } from "../comparison.js";
import { type Dataset, type DatasetOptions, digestOf } from "../dataset.js";
import { UsageError } from "../errors.js";
import { renderReport } from "../report/html.js";
import type { Comparison, Trial } from "../results.js";
import { metricNamed } from "../tasks/registry.js";
import type { TrialSpec } from "../trial.js";
import { keyOf, runTrials, type Watcher } from "../trials.js";
import { colorsOf } from "./colors.js";
import { describedData, loadDataset } from "./datasets.js";
import { compareCommand } from "./invocation.js";
import { announcement, comparisonText } from "./output.js";
import { openDisplay } from "./progress.js";
import { stopOnSignals } from "./signals.js";
import {
  claimPlace,
  leavePlace,
  openStore,
  type Plan,
  preparePlace,
  readPlan,
  writeResults,
} from "./store.js";
import { columnsOf } from "./streams.js";
import { summaryText } from "./summary.js";
import { openThreads, shared } from "./threads.js";
import { version } from "./version.js";

/** The options of the command line, already checked. */
export interface CompareOptions {
  /** A name, or the path of a file. */
  data: string;
  reading: DatasetOptions;
  choices: Choices;
  threads: number;
  json: boolean;
  /** By default the next free one of the usual name. */
  out?: string;
  /** The options as they were typed, each with its value; null where it has none. */
  typed: readonly (readonly [option: string, value: string | null])[];
}

/** What only the machine decides. */
export type Running = Pick<CompareOptions, "threads" | "json">;

/** Runs the comparison and returns the exit code. */
export async function compare(options: CompareOptions): Promise<number> {
  const { reading, choices } = options;
  // what can be refused without the data is refused before they are read
  if (choices.norms) normsOf(choices.norms, choices.model);
  const named = describedData.some(({ name }) => name === options.data);
  const source = named ? options.data : resolve(options.data);
  const place = preparePlace(options.out);
  try {
    const data = await load(options.data, reading);
    const plan: Plan = {
      evenkeel: version,
      data: source,
      provenance: data.provenance,
      options: reading,
      digest: await digestOf(data),
      settings: settingsOf(choices, data),
      command: compareCommand(againArguments(options.typed, source)),
    };
    claimPlace(place, plan);
    return await run(place.path, plan, data, options, () => leavePlace(place));
  } catch (error) {
    leavePlace(place);
    throw error;
  }
}

/** Goes on with the comparison in a folder, and returns the exit code. */
export async function resume(folder: string, running: Running): Promise<number> {
  const plan = readPlan(folder);
  const anew = `begin anew: ${printable(plan.command)}`;
  if (plan.evenkeel !== version) {
    throw new UsageError(
      `--resume: the comparison in ${quote(folder, 200)} was begun by Evenkeel ${printable(plan.evenkeel)}, and this is ${version}, whose numbers may differ; go on with that version, or ${anew}`,
    );
  }
  const data = { ...(await load(plan.data, plan.options)), provenance: plan.provenance };
  if ((await digestOf(data)) !== plan.digest) {
    throw new UsageError(
      `--resume: ${quote(plan.data, 200)} has changed since the comparison in ${quote(folder, 200)} was begun; bring back what it was, or ${anew}`,
    );
  }
  return run(folder, plan, data, running);
}

/** The dataset with its examples in memory that threads share, and nowhere else. */
async function load(source: string, reading: DatasetOptions): Promise<Dataset> {
  const data = await loadDataset(source, reading);
  return { ...data, ...shared(data) };
}

/** What was typed, with the data wherever they are; without what only says where results go. */
function againArguments(typed: CompareOptions["typed"], source: string): string[] {
  return typed.flatMap(([option, value], i) => {
    if (option === "--out" || option === "--json") return [];
    const shown = option === "--data" ? source : value;
    // the words of one option
    const again = typed[i - 1]?.[0] === option && option === "--sweep";
    return [...(again ? [] : [option]), ...(shown === null ? [] : [shown])];
  });
}

/** `leave` takes back what was made for the comparison, where no trial of it has finished. */
async function run(
  folder: string,
  plan: Plan,
  data: Dataset,
  { threads, json }: Running,
  leave?: () => void,
): Promise<number> {
  const { settings, digest, command } = plan;
  const store = openStore(folder);
  const specs = specsOf(settings, shared(data), digest);
  const stop = stopOnSignals();

  const keys = await Promise.all(specs.map(keyOf));
  const byKey = new Map<string, TrialSpec>();
  // a value of the sweep may be the comparison's own
  for (const [i, key] of keys.entries()) if (!byKey.has(key)) byKey.set(key, specs[i]);
  const distinct = [...byKey.values()];
  const comparisonNow = (trials: readonly (Trial | undefined)[]): Comparison =>
    comparisonOf(settings, data, digest, trials, {
      evenkeel: version,
      date: new Date().toISOString(),
      command,
      machine: machine(),
      wallSeconds: store.seconds(),
    });
  const metric = metricNamed(data.metric);
  const executor = openThreads(Math.min(threads, distinct.length));
  const display = openDisplay(metric, settings, distinct, executor.size);
  let found = 0;
  let begun = false;
  const begin = () => {
    if (begun) return;
    begun = true;
    const amount = { trials: distinct.length, found, threads };
    const { data: about } = comparisonNow([]);
    process.stderr.write(`${announcement(settings, metric.name, about, amount)}\n\n`);
  };
  const watcher: Watcher = {
    ...display,
    found(spec, trial) {
      found++;
      display.found(spec, trial);
    },
    started(spec) {
      begin();
      display.started(spec);
    },
  };
  let outcome: Awaited<ReturnType<typeof runTrials>>;
  try {
    outcome = await runTrials(specs, executor, watcher, stop.signal, store);
  } finally {
    display.close();
  }
  begin();
  await stop.letGo();
  const { trials, failure } = outcome;
  const finished = new Set(keys.filter((_, i) => trials[i] !== undefined)).size;
  const goOn = `Go on: ${compareCommand(["--resume", resolve(folder)])}\n`;
  if (finished === 0) {
    leave?.();
    if (failure) throw failure;
    process.stderr.write("Stopped before any trial had finished; nothing was written.\n");
    return stop.exitCode() ?? 1;
  }

  const comparison = comparisonNow(trials);
  let files: { report: string; json: string };
  try {
    files = writeResults(folder, {
      report: renderReport(comparison, serverDocument),
      json: comparisonText(comparison),
    });
  } finally {
    // shown even if the files could not be written, so that what was trained is not lost
    process.stdout.write(
      json ? comparisonText(comparison) : `${summaryText(comparison, columnsOf(process.stdout))}\n`,
    );
  }
  const report = colorsOf(process.stderr).underline(printable(files.report));
  process.stderr.write(`Report  ${report}\nNumbers ${printable(files.json)}\n`);
  if (finished === distinct.length) return 0;
  process.stderr.write(
    `Stopped: ${finished} of ${distinct.length} trials had finished; their results were written.\n${goOn}`,
  );
  if (failure) throw failure;
  return stop.exitCode() ?? 1;
}

function machine(): Comparison["machine"] {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    node: process.versions.node,
    backend: "TensorFlow.js wasm with Evenkeel's kernels",
  };
}
