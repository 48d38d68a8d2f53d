/** `evenkeel diagnose`: where somebody's network vanishes, explodes or dies, and what a normalization put into it changes. */
import { listed, printable, quote, wrap } from "@evenkeel/report/format";
import { serverDocument } from "@evenkeel/report/server-document";
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { ailmentsOf, changesOf, type Diagnosis, proposedFor, remediesAt } from "../ailments.js";
import { withSeededRandom } from "../data/random.js";
import type { Dataset, DatasetOptions } from "../datasets/dataset.js";
import { type Course, courseOf, type Plan } from "../diagnosis.js";
import { FailureError, reason, UsageError } from "../errors.js";
import { type Examples, type Fit, fitted, randomFit } from "../fitting.js";
import { placesOf, standsBetween, withNorm } from "../models/with-norm.js";
import { aboutOf, type NormName, near, normNames } from "../norms.js";
import { renderDiagnosis } from "../report/diagnosis.js";
import type { OptimizerName } from "../settings.js";
import { tasks } from "../tasks/registry.js";
import type { Task } from "../tasks/task.js";
import { colorsOf } from "./colors.js";
import { loadDataset } from "./datasets.js";
import { diagnosisText } from "./diagnosis-summary.js";
import { readModelWith } from "./own-layers.js";
import { columnsOf } from "./streams.js";
import { version } from "./version.js";
import { writeWhole } from "./whole-file.js";

/** The options of the command line, already checked. */
export interface DiagnoseOptions {
  /** A name or a file; without it inputs and targets are random. */
  data?: string;
  /** How the data are read, as of `compare`. */
  reading: DatasetOptions;
  /** Take inputs as the file has them. */
  raw: boolean;
  steps: number;
  batchSize: number;
  optimizer: OptimizerName;
  learningRate?: number;
  seed: number;
  /** A module that registers classes of the user's own layers. */
  layers?: string;
  /** Normalizations to put in; true for what is proposed. */
  try?: NormName[] | true;
  /** Where the page goes; true for its usual name. */
  html?: string | true;
  json: boolean;
}

/** The learning rates are Keras's. */
const RATES: Record<OptimizerName, number> = { sgd: 0.01, momentum: 0.01, adam: 0.001 };

const PAGE = "diagnosis.html";

/** Diagnoses the network of a file or folder, and returns the exit code. */
export async function diagnose(path: string, options: DiagnoseOptions): Promise<number> {
  const { html, json, seed, batchSize, steps, optimizer, learningRate = RATES[optimizer] } = options;
  const began = performance.now();
  const wanted = options.try === true ? undefined : options.try?.map(checkedNorm);
  const model = await readModelWith(options.layers, path);
  const examples =
    options.data === undefined ? undefined : examplesOf(await loadDataset(options.data, options.reading));
  const fit = fitOf(model, examples, { seed, batchSize, raw: options.raw });
  if (model.weights.length > 0 && model.trainableWeights.length === 0) {
    throw new UsageError(
      `${quote(path, 200)}: expected a network with weights that training changes, all of them are frozen; save it with layers whose trainable is true`,
    );
  }
  const places = placesOf(model);
  // before the first training changes the weights; what cannot be tried is told before anything takes time
  const remedies = options.try === true && places.length > 0 ? remediesAt(fit.batchSize) : (wanted ?? []);
  const others = remedies.map((norm) => ({ norm, ...withNorm(model, norm) }));
  const proposalOf = (course: Course) =>
    places.length === 0 ? [] : proposedFor(ailmentsOf(course, examples !== undefined), fit.batchSize);
  const plan: Plan = { ...fit, steps, optimizer, learningRate };
  const progress = progressOn(process.stderr);
  let courses: Course[];
  try {
    /** What layers draw, as dropout does, is the same in each. */
    const course = (network: LayersModel, about: Parameters<typeof courseOf>[2], name: string) =>
      explained(path, () => withSeededRandom(seed, () => courseOf(network, plan, about, progress.of(name))));
    const asItIs = await course(model, {}, "as it is");
    courses = [asItIs];
    const proposed = wanted ?? proposalOf(asItIs);
    for (const { norm, model: other, placed } of others.filter(({ norm }) => proposed.includes(norm))) {
      courses.push(await course(other, { norm, placed }, norm));
      other.dispose();
    }
  } finally {
    progress.end();
  }
  const [asItIs, ...tried] = courses;
  const ailments = ailmentsOf(asItIs, examples !== undefined);
  const diagnosis: Diagnosis = {
    evenkeel: version,
    model: printable(path),
    ...(options.data !== undefined && { data: printable(options.data) }),
    about: fit.about,
    examples: fit.probes.reduce((sum, { xs }) => sum + xs[0].shape[0], 0),
    steps,
    batchSize: fit.batchSize,
    optimizer,
    learningRate,
    seed,
    loss: fit.lossName,
    ailments,
    proposed: proposalOf(asItIs),
    changes: tried.map((course) => ({ norm: course.norm ?? "", texts: changesOf(asItIs, course) })),
    courses,
    seconds: (performance.now() - began) / 1000,
  };
  const page = html === true ? PAGE : html;
  try {
    if (page !== undefined) writeWhole(page, renderDiagnosis(diagnosis, serverDocument), "--html");
  } finally {
    // shown even if the page could not be written
    process.stdout.write(
      json
        ? `${JSON.stringify(diagnosis, null, 1)}\n`
        : diagnosisText(diagnosis, columnsOf(process.stdout), colorsOf(process.stdout)),
    );
  }
  if (options.try === true && tried.length === 0) {
    const why =
      places.length > 0
        ? "; --try layer tries one all the same"
        : ": every layer has its normalization, or there is only one";
    const text = `Nothing is proposed, so nothing was tried${why}`;
    process.stderr.write(`${wrap(text, columnsOf(process.stderr))}\n`);
  }
  if (page !== undefined) process.stderr.write(`Page  ${colorsOf(process.stderr).underline(page)}\n`);
  return 0;
}

/** What is measured on, of data as the lab reads them. */
function examplesOf(data: Dataset): Examples {
  const { name, count, form, x, scaled, y, classes, targetShape, windows } = data;
  const common = {
    name,
    count,
    inputShape: form.input.shape,
    x,
    scaled,
    y,
    classes,
    ...(windows && { windows }),
  };
  const task = tasks[data.task] as Task;
  if (task.from === "target") return common;
  return {
    ...common,
    question: {
      name: task.predicts(targetShape),
      targetShape,
      outputs: form.outputs,
      targetsOf: (seen, wanted) =>
        task.targets?.(seen, wanted, form) ?? { values: wanted, shape: targetShape },
      loss: (outputs, targets) => task.loss(tf, outputs, targets, form),
    },
  };
}

function fitOf(
  model: LayersModel,
  examples: Examples | undefined,
  wanted: { seed: number; batchSize: number; raw: boolean },
): Fit {
  return examples === undefined ? randomFit(model, wanted) : fitted(model, examples, wanted);
}

/** The name of the list that is meant. */
function checkedNorm(name: string): NormName {
  const known = normNames.filter((norm) => standsBetween(norm));
  const [first, ...others] = near(name, known);
  if (known.includes(name)) return name;
  const isOther = aboutOf(name) !== undefined || name === "none";
  throw new UsageError(
    `--try: expected normalizations that stand between two layers, got ${quote(name)}${isOther ? ", which does not; name layer, batch or another of these (evenkeel norms lists them)" : `; did you mean ${listed([first, ...others].map((each) => quote(each))).replace(/ and (?=[^,]*$)/, " or ")}?`}`,
  );
}

/** What TensorFlow.js says of a network that does not run on these inputs. */
async function explained<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (error instanceof RangeError && error.message.startsWith("courseOf:")) {
      throw new UsageError(
        `${quote(path, 200)}: expected a network with a layer that has weights of two axes or more, such as dense or convolution, got none; name another network`,
      );
    }
    if (/Aborted|out of memory|alloc|invalid (?:typed )?array/i.test(reason(error))) {
      throw new FailureError(
        `${quote(path, 200)}: there is not enough memory to train the network on batches of this size; use a smaller --batch-size`,
      );
    }
    throw new FailureError(
      `${quote(path, 200)}: the network does not run: ${quote(reason(error), 300).slice(1, -1)}; check that it runs in TensorFlow.js (model.predict) on inputs of this shape`,
    );
  }
}

/** A line that is written over, on a terminal. */
function progressOn(stream: NodeJS.WriteStream) {
  let last = 0;
  const isShown = stream.isTTY === true;
  return {
    of: (name: string) => (done: number) => {
      const now = performance.now();
      if (!isShown || now - last < 100) return;
      last = now;
      stream.write(`\r\u001b[K${name}: ${Math.round(100 * done)} %`);
      // lets signals through
      return new Promise<void>((resolve) => setImmediate(resolve));
    },
    end: () => {
      if (isShown) stream.write("\r\u001b[K");
    },
  };
}
