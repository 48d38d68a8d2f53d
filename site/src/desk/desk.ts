/** The desk's worker: data in, views and a report out. What it does is the lab's; it brings the browser's files and workers. */

import facts from "virtual:facts";
import { comparisonOf, dataOf, settingsOf, specsOf, trialSoFar } from "@evenkeel/lab/comparison";
import { bundled } from "@evenkeel/lab/data/bundled";
import { exampleName } from "@evenkeel/lab/data/form";
import type { Source } from "@evenkeel/lab/data/readers/source";
import type { Table } from "@evenkeel/lab/data/table";
import { type Dataset, type DatasetOptions, digestOf } from "@evenkeel/lab/datasets/dataset";
import { bundledDataset, datasetIn } from "@evenkeel/lab/datasets/loading";
import { reason } from "@evenkeel/lab/errors";
import { findings, headline } from "@evenkeel/lab/findings";
import {
  acceptingModels,
  models,
  normsFor,
  usualLearningRate,
  usualModel,
  usualNormsOf,
  usualOf,
} from "@evenkeel/lab/models/registry";
import { labelOf } from "@evenkeel/lab/norms";
import { answersOf } from "@evenkeel/lab/recipes/answer";
import { recipes } from "@evenkeel/lab/recipes/registry";
import { aboutData, warningsBox } from "@evenkeel/lab/report/data-section";
import { renderReport } from "@evenkeel/lab/report/html";
import type { Comparison, Trial } from "@evenkeel/lab/results";
import { type OptimizerName, optimizers } from "@evenkeel/lab/settings";
import { metricNamed } from "@evenkeel/lab/tasks/registry";
import type { Progress, SoFar, TrialSpec } from "@evenkeel/lab/trial";
import { type Executor, keyOf, runTrials, type Store, type Watcher } from "@evenkeel/lab/trials";
import { serverDocument } from "@evenkeel/report/server-document";
import { expose, type Remote } from "comlink";
import { openWorkers, sharedHere } from "./executor.ts";
import {
  type Backend,
  type CompareRequest,
  type Desk,
  type Loaded,
  type LoadRequest,
  MOST_CELLS,
  type Places,
  type TrialView,
  type View,
} from "./protocol.ts";
import { openTurns } from "./turns.ts";
import { drawn } from "./view.ts";

/** Networks that train side by side, at least; more where there are more cores. */
const SIDE_BY_SIDE = 6;
/** ms between two views, and the share of the time that drawing may take. */
const VIEW_MS = 250;
const DRAWING = 0.2;

/** Files of lab/data, by their paths here. */
const FILES = import.meta.glob<string>("../../../lab/data/*.{csv,gz,arff,json}", {
  query: "?url",
  import: "default",
  eager: true,
});

interface Data {
  data: Dataset;
  digest: string;
}

/** What runs, or has run last. */
interface Run {
  workers: Executor;
  abort: AbortController;
  ended: Promise<unknown>;
  comparison(): Comparison;
}

/** Where trials run. */
let places: Remote<Places>;
let loaded: Data | undefined;
let run: Run | undefined;
/** Of what is asked for, the last is done. */
let turnOfComparing = 0;
/** One for all comparisons: a pause outlasts them. */
const turns = openTurns(Math.max(1, navigator.hardwareConcurrency ?? 1));
/** Finished trials of this desk, of each backend its own: they differ in the last bits. */
const kept: Record<Backend, Map<string, Trial>> = { wasm: new Map(), webgl: new Map(), webgpu: new Map() };

const storeOf = (backend: Backend): Store => ({
  get: async (key) => kept[backend].get(key),
  async put(key, trial) {
    kept[backend].set(key, trial);
  },
});

// ---- data ----

async function load({ source, reading }: LoadRequest, seen: (columns: string[]) => void): Promise<Loaded> {
  const limited = { ...reading, limits: { cells: MOST_CELLS, ...reading.limits } };
  let columns: string[] = [];
  const look = (table: Table) => {
    columns = table.columns.map(({ name }) => name);
    seen(columns);
  };
  const data =
    "name" in source
      ? await named(source.name, limited, look)
      : await datasetIn(sourceOf(source.file), limited, look);
  const held = { ...data, ...sharedHere(data) };
  loaded = { data: held, digest: await digestOf(held) };
  return { ...describe(loaded), columns };
}

async function named(name: string, options: DatasetOptions, look: (table: Table) => void): Promise<Dataset> {
  const own = bundled.find((each) => each.name === name);
  if (own === undefined) {
    throw new Error(`there is no dataset ${name}; there are ${bundled.map((each) => each.name).join(", ")}`);
  }
  return bundledDataset(own, await fetched(own.file), options, look);
}

const sourceOf = (file: File): Source => ({
  name: file.name,
  byteLength: file.size,
  slice: (start, end) => file.slice(start, end).arrayBuffer(),
});

async function fetched(file: string): Promise<Source> {
  const url = Object.entries(FILES).find(([path]) => path.endsWith(`/${file}`))?.[1];
  const response =
    url === undefined ? undefined : await fetch(new URL(url, import.meta.url)).catch(() => undefined);
  if (!response?.ok) {
    throw new Error(`${file} could not be loaded; connect to the network, and try again`);
  }
  const bytes = await response.arrayBuffer();
  return { name: file, byteLength: bytes.byteLength, slice: async (start, end) => bytes.slice(start, end) };
}

function describe({ data, digest }: Data): Omit<Loaded, "columns"> {
  const { form, task } = data;
  const about = dataOf(data, digest);
  return {
    name: data.name,
    provenance: data.provenance,
    task,
    metric: data.metric,
    target: data.target,
    examples: data.count,
    example: exampleName(form),
    classes: data.classes.length,
    parts: about.parts,
    drawn: data.drawn,
    about: aboutData(about),
    doubts: warningsBox(about),
    model: usualModel(form),
    models: acceptingModels(form).map((name) => {
      const model = models[name];
      return {
        name,
        title: model.title,
        unit: model.unit,
        usual: usualOf(model, form),
        rates: Object.fromEntries(
          optimizers.map((each) => [each, usualLearningRate(usualOf(model, form), each)]),
        ) as Record<OptimizerName, number>,
        norms: normsFor(model, form),
        usualNorms: usualNormsOf(model, form),
      };
    }),
  };
}

// ---- comparing ----

/** A trial as it goes. */
interface Going {
  spec: TrialSpec;
  state: TrialView["state"];
  progress?: Progress;
  soFar?: SoFar;
  result?: Trial;
}

async function compare(request: CompareRequest, show: (view: View) => void): Promise<void> {
  const turn = ++turnOfComparing;
  await endRun();
  if (loaded === undefined) throw new Error("compare: nothing was loaded");
  const { data, digest } = loaded;
  const { backend, command, anew = false } = request;
  const settings = settingsOf(request.choices, data);
  const specs = specsOf(settings, data, digest);
  const keys = await Promise.all(specs.map(keyOf));
  // another one was asked for meanwhile; from here on it finds this one running
  if (turn !== turnOfComparing) return;
  if (anew) for (const key of keys) kept[backend].delete(key);

  const goings = new Map<TrialSpec, Going>();
  const byKey = new Map<string, Going>();
  for (const [i, spec] of specs.entries()) {
    const going = byKey.get(keys[i]) ?? { spec, state: "waiting" as const };
    byKey.set(keys[i], going);
    goings.set(spec, going);
  }
  const goingOf = (spec: TrialSpec) => goings.get(spec) as Going;
  const all = [...byKey.values()];
  const own = specs.slice(0, settings.norms.length * settings.seeds.length).map(goingOf);
  const began = turns.elapsed();
  const comparison = (): Comparison =>
    comparisonOf(
      settings,
      data,
      digest,
      specs.map((spec) => soFarOf(goingOf(spec))),
      {
        evenkeel: facts.version,
        date: new Date().toISOString(),
        command,
        machine: machine(backend),
        wallSeconds: (turns.elapsed() - began) / 1000,
      },
    );

  const size = Math.min(byKey.size, Math.max(SIDE_BY_SIDE, navigator.hardwareConcurrency ?? 1));
  const abort = new AbortController();
  const screen = openScreen(show, () => viewOf(comparison(), all, own, began));
  const workers = openWorkers(size, backend, turns, places, (spec, soFar) => {
    goingOf(spec).soFar = soFar;
    screen.changed();
  });
  const ends = (spec: TrialSpec, result: Trial) => {
    Object.assign(goingOf(spec), { result, state: result.outcome });
    screen.changed();
  };
  const watcher: Watcher = {
    begun: screen.changed,
    started(spec) {
      goingOf(spec).state = "running";
    },
    progress(spec, progress) {
      goingOf(spec).progress = progress;
    },
    finished: ends,
    found: ends,
  };
  const running = runTrials(specs, workers, watcher, abort.signal, storeOf(backend));
  const current: Run = { workers, abort, ended: running, comparison };
  run = current;
  const { failure } = await running;
  screen.close();
  // its time goes on no more
  const whole = comparison();
  current.comparison = () => whole;
  if (failure) throw failure;
  if (abort.signal.aborted) return;
  const recipe = recipes.find(({ name }) => name === request.recipe);
  show({
    ...viewOf(whole, all, own, began),
    state: "finished",
    headline: headline(whole),
    findings: findings(whole),
    ...(recipe && { answers: answersOf(recipe, whole) }),
  });
}

const soFarOf = ({ spec, result, soFar }: Going): Trial | undefined =>
  result ?? (soFar && trialSoFar(spec, soFar));

/** Ends what runs and what is about to. */
async function stop(): Promise<void> {
  turnOfComparing++;
  await endRun();
}

/** Ends the comparison that runs, and waits for its end. */
async function endRun(): Promise<void> {
  if (run === undefined) return;
  run.abort.abort();
  await run.workers.close();
  await run.ended.catch(() => {});
}

/** Shows what changed, now and then: drawing takes time from the trials. */
function openScreen(show: (view: View) => void, view: () => View) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = 0;
  let closed = false;
  const draw = () => {
    timer = undefined;
    if (closed) return;
    const began = performance.now();
    show(view());
    wait = Math.max(VIEW_MS, (performance.now() - began) / DRAWING);
  };
  return {
    changed() {
      timer ??= setTimeout(draw, wait);
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** @param goings all of them @param own those of the comparison itself, without its sweep */
function viewOf(
  comparison: Comparison,
  goings: readonly Going[],
  own: readonly Going[],
  began: number,
): View {
  const metric = metricNamed(comparison.data.task, comparison.metric);
  const doneOf = ({ state, progress }: Going) =>
    state === "finished" || state === "diverged" ? 1 : (progress?.done ?? 0);
  const done = goings.reduce((sum, going) => sum + doneOf(going), 0) / goings.length;
  const seconds = (turns.elapsed() - began) / 1000;
  return {
    state: "running",
    done,
    secondsLeft: done > 0.02 && seconds > 1 ? (seconds * (1 - done)) / done : null,
    trials: own.map((going) => {
      const { spec, state, progress, soFar, result } = going;
      const value = result ? (result.scores.heldOut[comparison.metric] ?? null) : (progress?.metric ?? null);
      return {
        norm: spec.norm,
        label: labelOf(spec.norm),
        seed: spec.seed,
        state,
        done: doneOf(going),
        epoch: result?.epochs.length ?? progress?.epoch ?? 0,
        metric: metric.format(value),
        learningRate: result?.learningRate ?? soFar?.learningRate ?? null,
      };
    }),
    ...drawn(comparison),
  };
}

function machine(backend: Backend): Comparison["machine"] {
  const kernels = backend === "wasm" ? "wasm with Evenkeel's kernels" : backend;
  return {
    processor: navigator.platform || "unknown processor",
    cores: navigator.hardwareConcurrency ?? 1,
    runtime: browserIn(navigator.userAgent),
    backend: `TensorFlow.js ${kernels}`,
  };
}

/** "Chrome 140"; browsers name their relatives too, so that the order matters. */
function browserIn(agent: string): string {
  for (const [name, pattern] of [
    ["Edge", /Edg\/(\d+)/],
    ["Firefox", /Firefox\/(\d+)/],
    ["Chrome", /Chrome\/(\d+)/],
    ["Safari", /Version\/(\d+).*Safari/],
  ] as const) {
    const found = pattern.exec(agent);
    if (found) return `${name} ${found[1]}`;
  }
  return "a browser";
}

/** Where comparison.json is, for whoever has the report. */
const NUMBERS = "which the page that this was made on saves as its numbers";

function report(): { html: string; json: string } {
  if (run === undefined) throw new Error("report: nothing was compared");
  const comparison = run.comparison();
  return {
    html: renderReport(comparison, serverDocument, NUMBERS),
    json: `${JSON.stringify(comparison, null, 1)}\n`,
  };
}

/** Errors as the command line tells them. */
async function told<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw new Error(reason(error));
  }
}

const desk: Desk = {
  serve(own) {
    // what the page has is a proxy here
    places = own as unknown as Remote<Places>;
  },
  load: (request, seen) => told(() => load(request, seen)),
  compare: (request, show) => told(() => compare(request, show)),
  stop,
  pause: turns.pause,
  step: turns.step,
  go: turns.go,
  report,
};
expose(desk);
