/** `evenkeel compare`: from options to trials to a table, a report and JSON. */
import { createRequire } from "node:module";
import { availableParallelism, cpus } from "node:os";
import { relative } from "node:path";
import { closest } from "fastest-levenshtein";
import pc from "picocolors";
import { baselineOf, runTrials, shared, summarize, targetOf, withTarget } from "./comparison.js";
import { loadDataset } from "./data/bundled.js";
import type { Dataset } from "./data/dataset.js";
import { UsageError } from "./errors.js";
import { type Activation, fits, type ModelSettings } from "./models.js";
import { prepareFolder, writeComparison } from "./output.js";
import { openDisplay } from "./progress.js";
import type { Comparison, NormName, Trial } from "./results.js";
import { summaryText } from "./summary.js";
import type { OptimizerName, TrainingSettings, TrialSpec } from "./trial.js";

/** The options of the command line, as it has checked them. */
export interface CompareOptions {
  data: string;
  target?: string;
  ignore?: string[];
  categorical?: string[];
  task?: "classification" | "regression";
  image?: [number, number];
  limit?: number;
  model: ModelSettings["kind"];
  depth: number;
  width: number;
  activation: Activation;
  norms?: string[];
  seeds: number;
  epochs: number;
  batchSize: number;
  learningRate: number;
  optimizer: OptimizerName;
  reach?: number;
  threads: number;
  out: string;
  json: boolean;
}

export const normNames: readonly NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];

/** Exit code of a process that Ctrl-C ended. */
const INTERRUPTED = 130;

/** Runs the comparison and returns the exit code. `command` is what makes it again. */
export async function compare(options: CompareOptions, command: string): Promise<number> {
  const norms = chooseNorms(options.norms, options.model);
  const data = await loadDataset(options.data, options);
  checkModel(options, data);
  await prepareFolder(options.out);
  const seeds = Array.from({ length: options.seeds }, (_, i) => i + 1);
  const { depth, width, activation, epochs, batchSize, learningRate, optimizer } = options;
  const model: ModelSettings = { kind: options.model, depth, width, activation };
  const training: TrainingSettings = { epochs, batchSize, learningRate, optimizer };
  const trialData = shared(data);
  // seed by seed, so that a comparison that is stopped has the normalizations side by side
  const specs = seeds.flatMap((seed) =>
    norms.map((norm): TrialSpec => ({ norm, seed, model, training, data: trialData })),
  );
  const metric = data.task === "classification" ? "accuracy" : "R²";
  announce(options, data, norms);

  const stop = new AbortController();
  const onInterrupt = () => {
    if (stop.signal.aborted) process.exit(INTERRUPTED);
    stop.abort();
  };
  process.on("SIGINT", onInterrupt);
  const display = openDisplay(metric, specs.length, Math.min(options.threads, specs.length));
  const began = performance.now();
  let trials: Trial[];
  try {
    trials = await runTrials(specs, options.threads, display, stop.signal);
  } finally {
    display.close();
    process.off("SIGINT", onInterrupt);
  }
  if (trials.length === 0) {
    process.stderr.write("Stopped before any trial had finished; nothing was written.\n");
    return INTERRUPTED;
  }

  const baseline = baselineOf(trialData);
  const targetMetric = options.reach ?? Number(targetOf(trials, baseline).toFixed(3));
  const measured = withTarget(trials, targetMetric);
  const comparison: Comparison = {
    evenkeel: version(),
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
    metric,
    targetMetric,
    model,
    training: { ...training, seeds },
    interrupted: trials.length < specs.length,
    wallSeconds: (performance.now() - began) / 1000,
    summaries: summarize(norms, measured),
    trials: measured,
  };
  const files = await writeComparison(options.out, comparison);
  if (options.json) process.stdout.write(`${JSON.stringify(comparison, null, 1)}\n`);
  else process.stdout.write(`${summaryText(comparison)}\n`);
  const shown = (path: string) => relative(process.cwd(), path) || path;
  process.stderr.write(`Report  ${pc.underline(shown(files.report))}\nNumbers ${shown(files.json)}\n`);
  if (!comparison.interrupted) return 0;
  process.stderr.write(
    `Stopped: ${trials.length} of ${specs.length} trials had finished, and those were kept.\n`,
  );
  return INTERRUPTED;
}

function chooseNorms(names: string[] | undefined, kind: ModelSettings["kind"]): NormName[] {
  const fitting = normNames.filter((norm) => fits(norm, kind));
  if (!names) return fitting;
  const chosen = [...new Set(names)].map((name) => {
    const norm = normNames.find((known) => known === name);
    if (norm) return norm;
    throw new UsageError(
      `--norms: "${name}" is not known; did you mean "${closest(name, [...normNames])}"? There are ${normNames.join(", ")}`,
    );
  });
  const unfit = chosen.find((norm) => !fits(norm, kind));
  if (unfit) {
    throw new UsageError(
      `--norms: ${unfit} normalization needs positions to normalize over, and --model ${kind} has none; ` +
        `leave it out, or use --model cnn (for ${kind} there are ${fitting.join(", ")})`,
    );
  }
  return chosen;
}

function checkModel({ model, depth, batchSize }: CompareOptions, { inputShape, train }: Dataset): void {
  if (model === "cnn" && inputShape.length !== 3) {
    throw new UsageError(
      `--model cnn: needs images, and this data has ${inputShape[0]} separate features; use --model mlp, ` +
        "or name the size of the images with --image HEIGHTxWIDTH",
    );
  }
  if (model === "cnn" && depth > 1 && Math.min(inputShape[0], inputShape[1]) < 4) {
    throw new UsageError(
      `--model cnn: needs images of at least 4x4 pixels, got ${inputShape[0]}x${inputShape[1]}; use --model mlp`,
    );
  }
  if (batchSize > train.count) {
    throw new UsageError(
      `--batch-size: must be at most the ${train.count} training examples, got ${batchSize}`,
    );
  }
  if (train.count % batchSize === 1) {
    throw new UsageError(
      `--batch-size: ${batchSize} leaves a last batch of a single one of the ${train.count} training examples, which has no ` +
        `spread for batch normalization; use ${batchSize + 1}`,
    );
  }
}

function announce(
  { model, depth, width, seeds, threads }: CompareOptions,
  data: Dataset,
  norms: NormName[],
): void {
  const count = norms.length * seeds;
  const lines = [
    `${pc.bold("evenkeel compare")}  ${data.name}: ${data.train.count.toLocaleString("en-US")} examples to train on, ${data.heldOut.count.toLocaleString("en-US")} held out`,
    `${model} of ${depth} layers of ${width}  ·  ${norms.join(", ")}  ·  ${seeds} seed${seeds === 1 ? "" : "s"}`,
    `${count} trial${count === 1 ? "" : "s"} on ${Math.min(threads, count)} core${Math.min(threads, count) === 1 ? "" : "s"}`,
    ...data.notes,
  ];
  process.stderr.write(`${lines.join("\n")}\n\n`);
}

function machine(): Comparison["machine"] {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    node: process.versions.node,
    backend: "TensorFlow.js wasm with Evenkeel's kernels",
  };
}

function version(): string {
  const found: { version: string } = createRequire(import.meta.url)("evenkeel/package.json");
  return found.version;
}
