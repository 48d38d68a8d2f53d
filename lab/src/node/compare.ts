/** `evenkeel compare`: from options to trials to a table, a report and JSON. */
import { availableParallelism, cpus } from "node:os";
import { count, wrap } from "@evenkeel/report/format";
import { summarize, targetOf, withTarget } from "../comparison.js";
import type { Dataset, DatasetOptions } from "../dataset.js";
import { type FailureError, UsageError } from "../errors.js";
import type { ModelSettings } from "../models/model.js";
import { acceptingModels, fits, type ModelName, models, modelsFor, usualModel } from "../models/registry.js";
import { aboutOf, type NormName, nameOf, near, normNames, usualNorms } from "../norms.js";
import type { Comparison, Trial } from "../results.js";
import { type Activation, type OptimizerName, usualBatchSize } from "../settings.js";
import { tasks } from "../tasks/registry.js";
import type { TrainingSettings, TrialSpec } from "../trial.js";
import { runTrials } from "../trials.js";
import { colorsOf } from "./colors.js";
import { loadDataset } from "./datasets.js";
import { comparisonText, prepareFolder, writeComparison } from "./output.js";
import { openDisplay } from "./progress.js";
import { summaryText } from "./summary.js";
import { openThreads, shared } from "./threads.js";
import { version } from "./version.js";

/** The options of the command line, already checked. */
export interface CompareOptions extends DatasetOptions {
  data: string;
  /** By default the model that suits the data. */
  model?: ModelName;
  /** By default what is usual for the model. */
  depth?: number;
  width?: number;
  epochs?: number;
  learningRate?: number;
  /** By default `usualBatchSize`. */
  batchSize?: number;
  activation: Activation;
  norms?: string[];
  seeds: number;
  optimizer: OptimizerName;
  reach?: number;
  threads: number;
  out: string;
  json: boolean;
}

/** Exit code of a process that Ctrl-C ended. */
const INTERRUPTED = 130;

/** Runs the comparison and returns the exit code. `command` reproduces it. */
export async function compare(options: CompareOptions, command: string): Promise<number> {
  // what can be refused without the data is refused before they are read
  if (options.norms) chooseNorms(options.norms, options.model);
  const data = await loadDataset(options.data, options);
  const kind = options.model ?? usualModel(data.inputShape);
  const norms = chooseNorms(options.norms, kind);
  const { activation, optimizer, batchSize = usualBatchSize(data.train.count) } = options;
  const {
    depth = models[kind].usual.depth,
    width = models[kind].usual.width,
    epochs = models[kind].usual.epochs,
    learningRate = models[kind].usual.learningRate,
  } = options;
  const model: ModelSettings<ModelName> = { kind, depth, width, activation };
  const training: TrainingSettings = { epochs, batchSize, learningRate, optimizer };
  checkModel(model, batchSize, data);
  await prepareFolder(options.out);
  const seeds = Array.from({ length: options.seeds }, (_, i) => i + 1);
  const trialData = shared(data);
  // seed by seed, so that a comparison that is stopped has trials of every normalization
  const specs = seeds.flatMap((seed) =>
    norms.map((norm): TrialSpec => ({ norm, seed, model, training, data: trialData })),
  );
  const { metric } = tasks[data.task];

  const stop = new AbortController();
  const onInterrupt = () => {
    if (stop.signal.aborted) process.exit(INTERRUPTED);
    stop.abort();
  };
  // until the process ends, so that it does not cut the writing short either
  process.on("SIGINT", onInterrupt);
  announce(model, options, data, norms);
  const threads = openThreads(Math.min(options.threads, specs.length));
  const display = openDisplay(metric, specs, threads.size);
  const began = performance.now();
  let trials: Trial[];
  let failure: FailureError | undefined;
  try {
    ({ trials, failure } = await runTrials(specs, threads, display, stop.signal));
  } finally {
    display.close();
  }
  if (trials.length === 0) {
    if (failure) throw failure;
    process.stderr.write("Stopped before any trial had finished; nothing was written.\n");
    return INTERRUPTED;
  }

  const baseline = metric.baseline(data.heldOut.y, data.classes);
  const found = targetOf(trials, baseline, metric.guessing(baseline, data.heldOut.count));
  const targetMetric = options.reach ?? (found === null ? null : Number(found.toFixed(3)));
  const measured = withTarget(trials, targetMetric);
  const comparison: Comparison = {
    evenkeel: version,
    date: new Date().toISOString(),
    command,
    machine: machine(),
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
    training: { ...training, seeds },
    interrupted: trials.length < specs.length,
    wallSeconds: (performance.now() - began) / 1000,
    summaries: summarize(norms, measured),
    trials: measured,
  };
  let files: { report: string; json: string };
  try {
    files = await writeComparison(options.out, comparison);
  } finally {
    // shown even if the files could not be written, so that what was trained is not lost
    process.stdout.write(options.json ? comparisonText(comparison) : `${summaryText(comparison)}\n`);
  }
  const report = colorsOf(process.stderr).underline(files.report);
  process.stderr.write(`Report  ${report}\nNumbers ${files.json}\n`);
  if (!comparison.interrupted) return 0;
  process.stderr.write(
    `Stopped: ${trials.length} of ${specs.length} trials had finished; their results were written.\n`,
  );
  if (failure) throw failure;
  return INTERRUPTED;
}

/** The normalizations of these names, `all` being all of them; only those that fit the model, where it is known. */
function chooseNorms(names: string[] | undefined, kind: ModelName | undefined): NormName[] {
  const trained = normNames.filter((norm) => modelsFor(norm).length > 0);
  const fitting = (norms: readonly NormName[]) =>
    norms.filter((norm) => kind === undefined || fits(norm, kind));
  if (!names) return fitting(usualNorms);
  const chosen = [...new Set(names)].filter((name) => name !== "all");
  for (const name of chosen) {
    if (trained.includes(name)) continue;
    const problem = normNames.includes(name)
      ? `${nameOf(name)} has no place in the networks of compare`
      : `"${name}" is not known; did you mean ${near(name, trained).join(", or ")}?`;
    throw new UsageError(wrapped(`--norms: ${problem} (evenkeel norms lists all)`));
  }
  if (names.includes("all")) return fitting(trained);
  const unfit = chosen.find((norm) => !fitting(chosen).includes(norm));
  if (unfit) {
    throw new UsageError(
      wrapped(
        `--norms: ${nameOf(unfit)} needs ${aboutOf(unfit)?.takes} to normalize over, and --model ${kind} has none; ` +
          `leave it out, or use --model ${modelsFor(unfit).join(" or ")} (evenkeel norms lists what fits)`,
      ),
    );
  }
  return chosen;
}

/** For a terminal of 80 columns, where it follows a word. */
const wrapped = (message: string) => wrap(`error: ${message}`, 80).slice("error: ".length);

function checkModel(
  { kind, depth }: ModelSettings<ModelName>,
  batchSize: number,
  { inputShape, train }: Dataset,
): void {
  const refusal = models[kind].refusal(inputShape, depth);
  if (refusal) {
    const others = acceptingModels(inputShape, depth).join(" or ");
    const remedies = [others && `use --model ${others}`, refusal.remedy].filter(Boolean).join(", or ");
    throw new UsageError(`--model ${kind}: ${refusal.problem}; ${remedies}`);
  }
  if (batchSize > train.count) {
    throw new UsageError(
      `--batch-size: must be at most the ${train.count} training examples, got ${batchSize}`,
    );
  }
  if (train.count % batchSize === 1) {
    const better = usualBatchSize(train.count, batchSize + 1);
    throw new UsageError(
      `--batch-size: ${batchSize} leaves a last batch of a single one of the ${train.count} training examples, which has no ` +
        `variance for batch normalization; use ${better}`,
    );
  }
}

function announce(
  { kind, depth, width }: ModelSettings<ModelName>,
  { seeds, threads }: CompareOptions,
  data: Dataset,
  norms: NormName[],
): void {
  const trials = norms.length * seeds;
  const lines = [
    `${colorsOf(process.stderr).bold("evenkeel compare")}  ${data.name}: ${count(data.train.count, "example")} to train on, ${data.heldOut.count.toLocaleString("en-US")} held out`,
    `${kind} of ${count(depth, "layer")} of ${width}  ·  ${norms.join(", ")}  ·  ${count(seeds, "seed")}`,
    described(data),
    trials === 1 ? "1 trial" : `${trials} trials, ${Math.min(threads, trials)} at a time`,
    ...data.notes,
  ];
  process.stderr.write(`${lines.join("\n")}\n\n`);
}

/** What is predicted from what, so that a wrong target or an id among the inputs is noticed before the training. */
function described({ task, target, classes, features, inputShape }: Dataset): string {
  const from =
    inputShape.length === 3
      ? `images of ${inputShape.slice(0, 2).join("×")}`
      : `${features.length} inputs: ${features.slice(0, 4).join(", ")}${features.length > 4 ? ", ..." : ""}`;
  return `predicts "${target}" (${tasks[task].predicts(classes)}) from ${from}`;
}

function machine(): Comparison["machine"] {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    node: process.versions.node,
    backend: "TensorFlow.js wasm with Evenkeel's kernels",
  };
}
