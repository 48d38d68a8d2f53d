/** `evenkeel compare`: from options to trials to a table, a report and JSON. */
import { existsSync } from "node:fs";
import { isAbsolute, relative, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { typed as argument, printable, quote } from "@evenkeel/report/format";
import { serverDocument } from "@evenkeel/report/server-document";
import { type Choices, comparisonOf, normsOf, type Settings, settingsOf, specsOf } from "../comparison.js";
import type { Limits } from "../data/table.js";
import { type Dataset, type DatasetOptions, digestOf } from "../datasets/dataset.js";
import { shared } from "../datasets/shared.js";
import { UsageError } from "../errors.js";
import { models } from "../models/registry.js";
import { renderReport } from "../report/html.js";
import type { Comparison, Trial } from "../results.js";
import { metricNamed } from "../tasks/registry.js";
import type { TrialSpec } from "../trial.js";
import { keyOf, runTrials, type Watcher } from "../trials.js";
import { colorsOf } from "./colors.js";
import { describedData, loadDataset } from "./datasets.js";
import { compareCommand } from "./invocation.js";
import { machine } from "./machine.js";
import { usualCells } from "./memory.js";
import { digestOfModule } from "./module-files.js";
import { announcement, comparisonText } from "./output.js";
import { loadOwnModel, type OwnModule } from "./own-model.js";
import { openDisplay } from "./progress.js";
import type { OnStop, Sweep } from "./queue/sweep.js";
import { shownUrl } from "./queue/url.js";
import { checkSave, saveNetworks } from "./save.js";
import { type Stop, stopOnSignals } from "./signals.js";
import { checkPlace, claimPlace, holdsPlan, leavePlace, openStore, type Plan, readPlan } from "./store.js";
import { columnsOf } from "./streams.js";
import { summaryText } from "./summary.js";
import { openThreads } from "./threads.js";
import { version } from "./version.js";

/** Trials of a queue that are taken to run at a time, before it is known. */
const USUAL_WORKERS = 4;

/** The options of the command line, already checked. */
export interface CompareOptions {
  /** A name, or the path of a file. */
  data: string;
  reading: DatasetOptions;
  choices: Choices;
  /** The module of the user's own network. */
  module?: string;
  threads: number;
  queue?: QueueOptions;
  json: boolean;
  /** By default the next free one of the usual name. */
  out?: string;
  /** Where the best network of each normalization is kept. */
  save?: string;
  /** The options as they were typed, each with its value; null where it has none. */
  typed: readonly (readonly [option: string, value: string | null])[];
  /** The command that reproduces it, where it is not `compare` with what was typed. */
  command?: string;
}

/** Where trials run that this machine does not run itself. */
export interface QueueOptions {
  url: string;
  /** A folder that all machines see, through which data go. */
  share?: string;
  /** What becomes of the trials when this is stopped. */
  onStop: OnStop;
  /** Whether to take them off the queue instead of waiting for them. */
  cancel: boolean;
}

/** What changes no number: it is the machine's. */
export interface Running extends Pick<CompareOptions, "threads" | "json" | "queue"> {
  limits?: Partial<Limits>;
  /** A command that goes on with what is in `out`, where that is the same comparison; without it, `out` must hold none. */
  again?: string;
}

/** Runs the comparison and returns the exit code. */
export async function compare(options: CompareOptions & Pick<Running, "again">): Promise<number> {
  const { reading, out, save, again } = options;
  const own = options.module === undefined ? undefined : await loadOwnModel(options.module);
  // what can be refused without the data is refused before they are read
  if (options.choices.norms) {
    normsOf(options.choices.norms, own?.model ?? (options.choices.model && models[options.choices.model]));
  }
  const named = describedData.some(({ name }) => name === options.data);
  const source = named ? options.data : resolve(options.data);
  const begun = out !== undefined && again !== undefined && holdsPlan(out);
  if (!begun) checkPlace(out);
  if (save !== undefined && !begun) checkSave(save);
  const data = await load(options.data, reading);
  const found = own && tried(own, data);
  const choices = { ...options.choices, own: found, save: save !== undefined };
  const plan: Plan = {
    evenkeel: version,
    data: source,
    provenance: data.provenance,
    options: reading,
    digest: await digestOf(data),
    settings: settingsOf(choices, data),
    ...(save !== undefined && { save: resolve(save) }),
    command:
      options.command ??
      compareCommand([...(found ? [found.module.path] : []), ...againArguments(options.typed, source)]),
  };
  if (begun) {
    if (!isDeepStrictEqual(readPlan(out), JSON.parse(JSON.stringify(plan)))) checkPlace(out);
    return run(out, plan, data, stopOnSignals(), options);
  }
  // before anything is made that a signal could leave behind
  const stop = stopOnSignals();
  const place = claimPlace(out, plan);
  return run(place.path, plan, data, stop, options, () => leavePlace(place));
}

/** Goes on with the comparison in a folder, and returns the exit code. */
export async function resume(folder: string, running: Running): Promise<number> {
  const plan = readPlan(folder);
  const refuse = (problem: string, remedy: string) => {
    throw new UsageError(`--resume: ${problem}; ${remedy}, or begin anew: ${printable(plan.command)}`);
  };
  const comparison = `the comparison in ${quote(folder, 200)}`;
  if (plan.evenkeel !== version) {
    refuse(
      `${comparison} was begun by Evenkeel ${printable(plan.evenkeel)}, and this is ${version}, whose numbers may differ`,
      "go on with that version",
    );
  }
  const { module } = plan.settings.model;
  if (module !== undefined && digestOfModule(module.path) !== module.digest) {
    refuse(
      `${quote(module.path, 200)}, the network of ${comparison}, has changed since, or is not there any more`,
      "bring back what it was",
    );
  }
  const source = quote(plan.data, 200);
  if (isAbsolute(plan.data) && !existsSync(plan.data)) {
    refuse(`${source}, the data of ${comparison}, is not there any more`, "bring it back");
  }
  const limits = { ...plan.options.limits, ...running.limits };
  const data = { ...(await load(plan.data, { ...plan.options, limits })), provenance: plan.provenance };
  if ((await digestOf(data)) !== plan.digest) {
    refuse(`${source} has changed since ${comparison} was begun`, "bring back what it was");
  }
  if (module !== undefined) tried(await loadOwnModel(module.path), data);
  return run(folder, plan, data, stopOnSignals(), running);
}

/** A network of the user's own as it fits the data, which are told what was decided about it. */
function tried(own: OwnModule, data: Dataset): ReturnType<OwnModule["on"]> {
  const found = own.on(data.form);
  for (const what of found.notes) data.decisions.push({ columns: [], what });
  return found;
}

/** The dataset with its examples in memory that threads share, and nowhere else. */
async function load(source: string, reading: DatasetOptions): Promise<Dataset> {
  const data = await loadDataset(source, { ...reading, limits: { cells: usualCells, ...reading.limits } });
  return { ...data, ...shared(data) };
}

/** Options that say where results go, or where trials run. */
const MACHINES = ["--out", "--save", "--json", "--threads", "--queue", "--share", "--on-stop"];

/** What was typed, with the data wherever they are; without what says where results go, or is the machine's. */
function againArguments(typed: CompareOptions["typed"], source: string): string[] {
  return typed.flatMap(([option, value], i) => {
    if (MACHINES.includes(option)) return [];
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
  stop: Stop,
  { threads, json, queue, again = resumeCommand(folder, queue) }: Running,
  leave?: () => void,
): Promise<number> {
  const { settings, digest, command } = plan;
  const store = openStore(folder);
  const specs = specsOf(settings, shared(data), digest);

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
      machine: { ...machine(), backend: "TensorFlow.js wasm with Evenkeel's kernels" },
      wallSeconds: store.seconds(),
    });
  const metric = metricNamed(data.task, data.metric);
  const display = openDisplay(
    metric,
    settings,
    distinct,
    Math.min(queue ? USUAL_WORKERS : threads, distinct.length),
    queue && (queue.onStop === "leave" ? "Ctrl-C leaves it running" : "Ctrl-C cancels it"),
  );
  let sweep: Sweep | undefined;
  try {
    sweep = queue && (await openSweep(queue, display.note));
  } catch (error) {
    leave?.();
    throw error;
  }
  const executor = sweep ?? openThreads(Math.min(threads, distinct.length));
  let found = 0;
  const watcher: Watcher = {
    ...display,
    found(spec, trial) {
      found++;
      display.found(spec, trial);
    },
    begun() {
      const amount = { trials: distinct.length, found, ...(sweep ? { queue: sweep.shown } : { threads }) };
      const { data: about } = comparisonNow([]);
      process.stderr.write(`${announcement(settings, metric.name, about, amount)}\n\n`);
      display.begun();
    },
  };
  let outcome: Awaited<ReturnType<typeof runTrials>>;
  try {
    if (queue?.cancel) await sweep?.cancel(keys);
    const signal = queue?.cancel ? AbortSignal.abort() : stop.signal;
    outcome = await runTrials(specs, executor, watcher, signal, store);
  } finally {
    display.close();
  }
  await stop.letGo();
  const { trials, failure } = outcome;
  const finished = new Set(keys.filter((_, i) => trials[i] !== undefined)).size;
  const isLeft = queue?.onStop === "leave" && !queue.cancel && failure === undefined;
  const goOn = `${isLeft ? "The others stay on the queue, for its workers. To have their results" : "Go on"}: ${again}\n`;
  if (finished === 0 && isLeft && stop.exitCode() !== undefined) {
    process.stderr.write(`Stopped before any trial had finished. ${goOn}`);
    return stop.exitCode() ?? 1;
  }
  if (finished === 0 && queue?.cancel) {
    process.stderr.write(`Cancelled before any trial had finished. ${goOn}`);
    return 0;
  }
  if (finished === 0) {
    leave?.();
    if (failure) throw failure;
    process.stderr.write("Stopped before any trial had finished; nothing was written.\n");
    return stop.exitCode() ?? 1;
  }

  const comparison = comparisonNow(trials);
  let files: { report: string; json: string };
  try {
    files = store.write({
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
  if (finished === distinct.length) {
    if (plan.save !== undefined) keep(plan.save, own(trials, settings), data, digest);
    return 0;
  }
  process.stderr.write(
    `Stopped: ${finished} of ${distinct.length} trials had finished; their results were written.\n${goOn}`,
  );
  if (failure) throw failure;
  return stop.exitCode() ?? (queue?.cancel ? 0 : 1);
}

/** What goes on with a comparison: where a queue's URL has a password, with *** in its place. */
const resumeCommand = (folder: string, queue: QueueOptions | undefined): string =>
  compareCommand([
    "--resume",
    resolve(folder),
    ...(queue ? ["--queue", shownUrl(queue.url), ...(queue.share ? ["--share", queue.share] : [])] : []),
  ]);

/** The trials of the comparison itself, without those of its sweep. */
const own = (trials: readonly (Trial | undefined)[], { norms, seeds }: Settings): Trial[] =>
  trials.slice(0, norms.length * seeds.length).flatMap((trial) => trial ?? []);

function keep(folder: string, trials: readonly Trial[], data: Dataset, digest: string): void {
  const kept = saveNetworks(folder, trials, data, digest);
  const shown = printable(relative(".", folder) || folder);
  process.stderr.write(
    kept.length > 0
      ? `Networks ${shown} (evenkeel predict ${argument(shown)} FILE)\n`
      : "No network was kept: every trial diverged.\n",
  );
}

/** Loaded only where there is one: BullMQ takes a third of a second. */
async function openSweep({ url, share, onStop }: QueueOptions, log: (line: string) => void): Promise<Sweep> {
  const { openSweep } = await import("./queue/sweep.js");
  return openSweep(url, { share, onStop, log });
}
