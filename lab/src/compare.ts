/** `evenkeel compare`: from options to trials to a table, a report and JSON. */
import { availableParallelism, cpus } from "node:os";
import { colorsOf } from "./colors.js";
import { baselineOf, runTrials, shared, summarize, targetOf, withTarget } from "./comparison.js";
import { loadDataset } from "./data/bundled.js";
import type { Dataset } from "./data/dataset.js";
import { type FailureError, UsageError } from "./errors.js";
import { wrap } from "./format.js";
import type { ModelSettings } from "./models.js";
import { fits, nameOf, near, normNames, usualNorms } from "./norms.js";
import { comparisonText, prepareFolder, writeComparison } from "./output.js";
import { openDisplay } from "./progress.js";
import { type Comparison, guessingLevel, type NormName, type Trial } from "./results.js";
import { type CompareOptions, modelKinds, usual, usualBatchSize } from "./settings.js";
import { summaryText } from "./summary.js";
import type { TrainingSettings, TrialSpec } from "./trial.js";
import { version } from "./version.js";

/** Exit code of a process that Ctrl-C ended. */
const INTERRUPTED = 130;

/** Runs the comparison and returns the exit code. `command` is what makes it again. */
export async function compare(options: CompareOptions, command: string): Promise<number> {
  // what can be refused without the data is refused before it is read
  if (options.norms) chooseNorms(options.norms, options.model);
  const data = await loadDataset(options.data, options);
  const kind = options.model ?? (data.inputShape.length === 3 ? "cnn" : "mlp");
  const norms = chooseNorms(options.norms, kind);
  const { activation, optimizer, batchSize = usualBatchSize(data.train.count) } = options;
  const {
    depth = usual[kind].depth,
    width = usual[kind].width,
    epochs = usual[kind].epochs,
    learningRate = usual[kind].learningRate,
  } = options;
  const model: ModelSettings = { kind, depth, width, activation };
  const training: TrainingSettings = { epochs, batchSize, learningRate, optimizer };
  checkModel(model, batchSize, data);
  await prepareFolder(options.out);
  const seeds = Array.from({ length: options.seeds }, (_, i) => i + 1);
  const trialData = shared(data);
  // seed by seed, so that a comparison that is stopped has the normalizations side by side
  const specs = seeds.flatMap((seed) =>
    norms.map((norm): TrialSpec => ({ norm, seed, model, training, data: trialData })),
  );
  const metric = data.task === "classification" ? "accuracy" : "R²";

  const stop = new AbortController();
  const onInterrupt = () => {
    if (stop.signal.aborted) process.exit(INTERRUPTED);
    stop.abort();
  };
  // to the end of the process, so that it does not cut the writing short either
  process.on("SIGINT", onInterrupt);
  announce(model, options, data, norms);
  const display = openDisplay(metric, specs, Math.min(options.threads, specs.length));
  const began = performance.now();
  let trials: Trial[];
  let failure: FailureError | undefined;
  try {
    ({ trials, failure } = await runTrials(specs, options.threads, display, stop.signal));
  } finally {
    display.close();
  }
  if (trials.length === 0) {
    if (failure) throw failure;
    process.stderr.write("Stopped before any trial had finished; nothing was written.\n");
    return INTERRUPTED;
  }

  const baseline = baselineOf(trialData);
  const level = guessingLevel(metric, baseline, data.heldOut.count);
  const found = targetOf(trials, baseline, level);
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
    metric,
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
    // shown even where the files could not be written, so that what was trained is not lost
    process.stdout.write(options.json ? comparisonText(comparison) : `${summaryText(comparison)}\n`);
  }
  const report = colorsOf(process.stderr).underline(files.report);
  process.stderr.write(`Report  ${report}\nNumbers ${files.json}\n`);
  if (!comparison.interrupted) return 0;
  process.stderr.write(
    `Stopped: ${trials.length} of ${specs.length} trials had finished, and those were kept.\n`,
  );
  if (failure) throw failure;
  return INTERRUPTED;
}

/** The normalizations by their names, `all` for all of them; those that fit the kind of network, where it is known. */
function chooseNorms(names: string[] | undefined, kind: ModelSettings["kind"] | undefined): NormName[] {
  const trained = normNames.filter((norm) => modelKinds.some((one) => fits(norm, one)));
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
        `--norms: ${nameOf(unfit)} needs positions to normalize over, and --model ${kind} has none; ` +
          "leave it out, or use --model cnn (evenkeel norms lists what fits)",
      ),
    );
  }
  return chosen;
}

/** For a terminal of 80 columns, with the word before it. */
const wrapped = (message: string) => wrap(`error: ${message}`, 80).slice("error: ".length);

function checkModel({ kind, depth }: ModelSettings, batchSize: number, { inputShape, train }: Dataset): void {
  if (kind === "cnn" && inputShape.length !== 3) {
    throw new UsageError(
      `--model cnn: needs images, and this data has ${inputShape[0]} separate features; use --model mlp, ` +
        "or name the size of the images with --image HEIGHTxWIDTH",
    );
  }
  if (kind === "cnn" && depth > 1 && Math.min(inputShape[0], inputShape[1]) < 4) {
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
    const better = usualBatchSize(train.count, batchSize + 1);
    throw new UsageError(
      `--batch-size: ${batchSize} leaves a last batch of a single one of the ${train.count} training examples, which has no ` +
        `spread for batch normalization; use ${better}`,
    );
  }
}

function announce(
  { kind, depth, width }: ModelSettings,
  { seeds, threads }: CompareOptions,
  data: Dataset,
  norms: NormName[],
): void {
  const count = norms.length * seeds;
  const lines = [
    `${colorsOf(process.stderr).bold("evenkeel compare")}  ${data.name}: ${data.train.count.toLocaleString("en-US")} examples to train on, ${data.heldOut.count.toLocaleString("en-US")} held out`,
    `${kind} of ${depth} layer${depth === 1 ? "" : "s"} of ${width}  ·  ${norms.join(", ")}  ·  ${seeds} seed${seeds === 1 ? "" : "s"}`,
    described(data),
    count === 1 ? "1 trial" : `${count} trials, ${Math.min(threads, count)} at a time`,
    ...data.notes,
  ];
  process.stderr.write(`${lines.join("\n")}\n\n`);
}

/** What is predicted from what, so that a wrong target or an id among the inputs is seen before the training. */
function described({ task, target, classes, features, inputShape }: Dataset): string {
  const what = task === "classification" ? `${classes.length} classes` : "a number";
  const from =
    inputShape.length === 3
      ? `images of ${inputShape.slice(0, 2).join("×")}`
      : `${features.length} inputs: ${features.slice(0, 4).join(", ")}${features.length > 4 ? ", ..." : ""}`;
  return `predicts "${target}" (${what}) from ${from}`;
}

function machine(): Comparison["machine"] {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    node: process.versions.node,
    backend: "TensorFlow.js wasm with Evenkeel's kernels",
  };
}
