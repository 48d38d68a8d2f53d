/** Examples as somebody's network takes them, and the loss that suits what it gives; or random ones, where there are no data. */

import { listed, quote } from "@evenkeel/report/format";
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, SymbolicTensor } from "@tensorflow/tfjs-layers";
import { joined } from "./data/arrays.js";
import { sizeOf } from "./data/form.js";
import { shuffledRows } from "./data/split.js";
import { type Standardization, standardizationOf, standardized } from "./data/standardize.js";
import type { Batch, Plan } from "./diagnosis.js";
import { UsageError } from "./errors.js";
import { activationOf, isEmbedding, partsOf } from "./models/layer-kinds.js";
import type { Layer } from "./models/model.js";

/** Rows of data with a target. */
export interface Examples {
  name: string;
  count: number;
  /** Of one example. */
  inputShape: readonly number[];
  /** [count, ...inputShape], or [steps, channels] that examples are cut from; NaN where missing. */
  x: Float32Array;
  /** [inputs], or [channels]: whether it is standardized. */
  scaled: Uint8Array;
  /** [count]: indices of classes, or numbers; [count, ...] of another question. */
  y: Float32Array;
  /** None for numbers. */
  classes: readonly string[];
  /** [count]: the step of x that each begins with, and steps from there to its target. */
  windows?: { starts: Int32Array; ahead: number };
  /** Where not one column is predicted. */
  question?: Question;
}

/** What the network is to give that is neither a class nor a number, and its loss. */
export interface Question {
  /** What is predicted. */
  name: string;
  /** Of one example. */
  targetShape: readonly number[];
  /** Of the network, for one example. */
  outputs: readonly number[];
  /** What the loss takes, of some examples: [examples, ...shape]. */
  targetsOf(x: Float32Array, y: Float32Array): { values: Float32Array; shape: readonly number[] };
  loss(outputs: tf.Tensor, targets: tf.Tensor): tf.Scalar;
}

export interface Fit extends Pick<Plan, "probes" | "batchOf" | "loss"> {
  batchSize: number;
  /** Of all inputs, and of the outputs with a loss. */
  about: string[];
  /** In a sentence: "the cross-entropy of its probabilities". */
  lossName: string;
}

interface Wanted {
  batchSize: number;
  seed: number;
}

/** Batches that are measured on. */
const PROBES = 4;
/** Lengths that a model leaves open: of sequences, and of images. */
const STEPS = 16;
const PIXELS = 32;
/** Probabilities are no smaller, as in Keras. */
const LEAST = 1e-7;

type Loss = (y: tf.Tensor, target: tf.Tensor) => tf.Scalar;

const mean = (x: tf.Tensor) => tf.mean(x) as tf.Scalar;

/** Losses of what an output layer gives [..., outputs]; targets are one-hot, bits or numbers, of the same shape. */
const losses = {
  probabilities: {
    name: "cross-entropy of the probabilities that it gives",
    of: (y, target) => mean(tf.neg(tf.sum(tf.mul(target, tf.log(tf.clipByValue(y, LEAST, 1))), -1))),
  },
  logits: {
    name: "cross-entropy of the softmax of what it gives",
    of: (y, target) => mean(tf.neg(tf.sum(tf.mul(target, tf.logSoftmax(y)), -1))),
  },
  chances: {
    name: "binary cross-entropy of the probabilities that it gives",
    of: (y, target) => {
      const p = tf.clipByValue(y, LEAST, 1 - LEAST);
      const one = tf.mul(target, tf.log(p));
      return mean(tf.neg(tf.add(one, tf.mul(tf.sub(1, target), tf.log(tf.sub(1, p))))));
    },
  },
  bit: {
    name: "binary cross-entropy of the sigmoid of what it gives",
    of: (y, target) => mean(tf.sub(tf.softplus(y), tf.mul(target, y))),
  },
  squares: {
    name: "mean squared error",
    of: (y, target) => mean(tf.squaredDifference(y, target)),
  },
} satisfies Record<string, { name: string; of: Loss }>;

type LossKind = keyof typeof losses;

/** What the network's last layer ends in. */
function endOf({ sourceLayer }: SymbolicTensor): string {
  let layer = sourceLayer as Layer;
  for (let parts = partsOf(layer); parts.length > 0; parts = partsOf(layer)) {
    const { outputs } = layer as unknown as LayersModel;
    layer = (outputs?.[0]?.sourceLayer as Layer | undefined) ?? parts[parts.length - 1];
  }
  return activationOf(layer);
}

/** The vectors that an input is the numbers of. */
function embeddedBy(model: LayersModel, input: SymbolicTensor): number | undefined {
  const layer = model.layers.find(
    (one) => isEmbedding(one) && one.inboundNodes.some(({ inputTensors }) => inputTensors.includes(input)),
  );
  const { inputDim } = (layer?.getConfig() ?? {}) as { inputDim?: number };
  return inputDim;
}

const times = (shape: readonly (number | null)[]): string => shape.map((n) => n ?? "any").join(" × ");

/** Batches of rows in a random order, of which the first are measured on. */
function batchesOf(
  count: number,
  { batchSize, seed }: Wanted,
  cut: (rows: number[]) => Batch,
): Pick<Fit, "probes" | "batchOf"> {
  const order = shuffledRows(count, seed);
  const rowsAt = (batch: number) =>
    Array.from({ length: batchSize }, (_, i) => order[(batch * batchSize + i) % count]);
  const probes = Math.max(1, Math.min(PROBES, Math.floor(count / batchSize)));
  return {
    probes: Array.from({ length: probes }, (_, batch) => cut(rowsAt(batch))),
    batchOf: (step) => cut(rowsAt(step)),
  };
}

/** The batch size that a model is built for, or else the one that is wanted, of at most so many examples. */
function batchSizeOf(model: LayersModel, wanted: number, count = Number.POSITIVE_INFINITY): number {
  return model.inputs[0].shape[0] ?? Math.min(wanted, count);
}

// ---- data ----

/**
 * Batches of these examples, reshaped where only the shape differs. Inputs that are standardized are so by all rows, unless
 * they are to be `raw`.
 * @throws UsageError where inputs or outputs do not fit the data, with both shapes
 */
export function fitted(
  model: LayersModel,
  examples: Examples,
  { raw, ...wanted }: Wanted & { raw: boolean },
): Fit {
  const shapes = inputShapes(model, examples);
  const about = shapes.map((shape, i) => {
    const which = shapes.length > 1 ? `input ${i + 1} (${model.inputNames[i]})` : "input";
    return `${which}: ${times(shape)} values of ${quote(examples.name)}`;
  });
  const levels = model.inputs.map((input) => embeddedBy(model, input));
  const size = sizeOf(examples.inputShape);
  const { windows, x, scaled } = examples;
  const steps = Array.from({ length: x.length / scaled.length }, (_, step) => step);
  const byAll = standardizationOf(x, scaled, steps);
  const asItIs = standardizationOf(x, new Uint8Array(scaled.length), []);
  /** Some values of an example as the network sees them. */
  const cut = (row: number, from: number, length: number, by: Standardization) =>
    standardized(x, (windows ? windows.starts[row] * scaled.length : row * size) + from, length, by);
  let first = 0;
  const readers = shapes.map((shape, i) => {
    const [start, length] = [first, sizeOf(shape)];
    first += length;
    const by = raw || levels[i] !== undefined ? asItIs : byAll;
    if (levels[i] !== undefined) checkLevels(examples, start, length, size, levels[i] as number);
    return (some: number[]) => {
      const values = joined(some.map((row) => cut(row, start, length, by)));
      return tf.tensor(values, [some.length, ...shape], model.inputs[i].dtype as "float32");
    };
  });
  if (!raw && examples.scaled.some((one) => one === 1) && levels.some((one) => one === undefined)) {
    about.push("inputs are centred and scaled by all rows; --raw takes them as they are");
  }
  const batchSize = batchSizeOf(model, wanted.batchSize, examples.count);
  const asked =
    examples.question === undefined
      ? columnOf(model, examples, about)
      : questionOf(model, examples, examples.question, about);
  const windowOf = (row: number, from: number, length: number) =>
    cut(row, from, length, raw ? asItIs : byAll);
  return {
    ...batchesOf(examples.count, { ...wanted, batchSize }, (some) => ({
      xs: readers.map((read) => read(some)),
      ys: [asked.targets(some, windowOf)],
    })),
    loss: (outputs, [target]) => asked.loss(outputs[asked.index], target),
    batchSize,
    about,
    lossName: asked.lossName,
  };
}

/** What is asked of which output. */
interface Asked {
  index: number;
  lossName: string;
  loss(output: tf.Tensor, target: tf.Tensor): tf.Scalar;
  targets(rows: number[], windowOf: (row: number, from: number, length: number) => Float32Array): tf.Tensor;
}

/** A class, or a number. */
function columnOf(model: LayersModel, examples: Examples, about: string[]): Asked {
  const { y, classes, count } = examples;
  const { index, kind, shape } = outputOf(model, examples);
  const width = sizeOf(shape);
  const rows = Array.from({ length: count }, (_, row) => row);
  const { mean: middle, factor: scale } = standardizationOf(y, Uint8Array.of(1), rows);
  if (classes.length === 0) about.push("the target is centred and scaled by all rows");
  tellOutput(model, index, about);
  const loss = losses[kind];
  return {
    index,
    lossName: loss.name,
    loss: (output, target) => loss.of(tf.reshape(output, target.shape), target),
    targets(some) {
      const values = new Float32Array(some.length * width);
      for (const [i, row] of some.entries()) {
        if (classes.length === 0) values[i] = (y[row] - middle[0]) * scale[0];
        else if (width === 1) values[i] = y[row];
        else values[i * width + y[row]] = 1;
      }
      return tf.tensor(values, [some.length, width]);
    },
  };
}

/** What the data ask otherwise: of series, of a text, of what users have. */
function questionOf(model: LayersModel, examples: Examples, question: Question, about: string[]): Asked {
  const { x, y, windows, inputShape, scaled, name } = examples;
  const { outputs, targetShape } = question;
  const shapes = model.outputs.map(({ shape }) => shape.slice(1));
  const index = shapes.findIndex(
    (shape) => shape.every((n) => n !== null) && sizeOf(shape as number[]) === sizeOf(outputs),
  );
  if (index < 0) {
    throw new UsageError(
      `--data: expected a network that gives ${times(outputs)} for ${question.name}, the question of ${quote(name)}, got one that gives ${listed(shapes.map(times))}; name other data, or leave --data out (random inputs and targets)`,
    );
  }
  tellOutput(model, index, about);
  const [size, target] = [sizeOf(inputShape), sizeOf(targetShape)];
  return {
    index,
    lossName: `that of ${question.name}`,
    loss: (output, targets) => question.loss(tf.reshape(output, [output.shape[0], ...outputs]), targets),
    targets(some, windowOf) {
      const ahead = (windows?.ahead ?? 0) * scaled.length;
      const wanted = some.map((row) =>
        windows ? windowOf(row, ahead, target) : y.subarray(row * target, (row + 1) * target),
      );
      const seen = some.map((row) =>
        windows ? windowOf(row, 0, size) : x.subarray(row * size, (row + 1) * size),
      );
      const { values, shape } = question.targetsOf(joined(seen), joined(wanted));
      return tf.tensor(values, [some.length, ...shape]);
    },
  };
}

function tellOutput(model: LayersModel, index: number, about: string[]): void {
  if (model.outputs.length === 1) return;
  about.push(`output ${index + 1} (${model.outputNames[index]}) has the loss, the others have none`);
}

/** The shape of each input for such examples; columns go to several inputs in their order. */
function inputShapes(model: LayersModel, { name, inputShape }: Examples): number[][] {
  const wanted = model.inputs.map(({ shape }) => shape.slice(1));
  const size = sizeOf(inputShape);
  const refuse = (): never => {
    const wants = listed(wanted.map((shape) => times(shape)));
    throw new UsageError(
      `--data: expected ${wants} values for each example, which the network takes, got ${times(inputShape)} in ${quote(name)}; choose columns with --ignore and --keep (constant ones are left out otherwise), give the size of images with --image, or name the data that the network is for`,
    );
  };
  if (wanted.length > 1) {
    const shapes = wanted.map((shape) => shape.map((n) => n ?? refuse()));
    return shapes.reduce((sum, shape) => sum + sizeOf(shape), 0) === size ? shapes : refuse();
  }
  const [shape] = wanted;
  const open = shape.filter((n) => n === null).length;
  if (open > 0 && shape.length === inputShape.length) {
    const filled = shape.map((n, axis) => n ?? inputShape[axis]);
    if (sizeOf(filled) === size) return [filled];
  }
  if (open > 1) return refuse();
  const known = shape.reduce<number>((product, n) => product * (n ?? 1), 1);
  const filled = shape.map((n) => n ?? size / known);
  return filled.every(Number.isInteger) && sizeOf(filled) === size ? [filled] : refuse();
}

function checkLevels(
  { x, count, name, windows }: Examples,
  start: number,
  length: number,
  size: number,
  levels: number,
): void {
  const [rows, each] = windows ? [1, x.length] : [count, length];
  for (let row = 0; row < rows; row++) {
    for (let at = start; at < start + each; at++) {
      const value = x[row * size + at];
      if (Number.isNaN(value) || (Number.isInteger(value) && value >= 0 && value < levels)) continue;
      throw new UsageError(
        `--data: expected whole numbers from 0 to ${levels - 1}, which the network's embedding takes, got ${value} in input ${at + 1} of ${quote(name)}; name data whose inputs are such numbers`,
      );
    }
  }
}

/** The output that suits the target, and its loss. */
function outputOf(
  model: LayersModel,
  { name, classes }: Examples,
): { index: number; kind: LossKind; shape: number[] } {
  const shapes = model.outputs.map(({ shape }) => shape.slice(1));
  const found = model.outputs.flatMap((output, index) => {
    const shape = shapes[index];
    if (shape.some((n) => n === null)) return [];
    const kind = kindOf(sizeOf(shape as number[]), classes.length, endOf(output));
    return kind === undefined ? [] : [{ index, kind, shape: shape as number[] }];
  });
  if (found.length > 0) return found[0];
  const wants =
    classes.length === 0
      ? "1 output for a number"
      : `${classes.length} outputs for ${classes.length} classes${classes.length === 2 ? ", or 1" : ""}`;
  throw new UsageError(
    `--target: expected a network with ${wants}, the target of ${quote(name)}, got one that gives ${listed(shapes.map(times))}; name another --target or --task, or leave --data out (random inputs and targets)`,
  );
}

function kindOf(outputs: number, classes: number, end: string): LossKind | undefined {
  if (classes === 0) return outputs === 1 ? "squares" : undefined;
  if (outputs === 1) return classes !== 2 ? undefined : end === "sigmoid" ? "chances" : "bit";
  if (outputs !== classes) return undefined;
  return end === "softmax" ? "probabilities" : end === "sigmoid" ? "chances" : "logits";
}

// ---- none ----

/** Random inputs and targets of any network: how signals and gradients pass, not how it learns. */
export function randomFit(model: LayersModel, wanted: Wanted): Fit {
  const batchSize = batchSizeOf(model, wanted.batchSize);
  const levels = model.inputs.map((input) => embeddedBy(model, input));
  const shapes = model.inputs.map(({ shape: [, ...shape] }) => {
    const open = shape.length >= 3 ? PIXELS : STEPS;
    return shape.map((n) => n ?? open);
  });
  const inputsOf = (seed: number) =>
    shapes.map((shape, i) => {
      const whole = [batchSize, ...shape];
      const { dtype } = model.inputs[i];
      const highest = levels[i];
      if (highest === undefined) {
        return tf.cast(tf.randomNormal(whole, 0, 1, "float32", seed + i), dtype as "float32");
      }
      return tf.cast(tf.floor(tf.randomUniform(whole, 0, highest, "float32", seed + i)), dtype as "float32");
    });
  const given = tf.tidy(() =>
    [model.apply(((xs) => (xs.length === 1 ? xs[0] : xs))(inputsOf(1)))]
      .flat()
      .map((y) => (y as tf.Tensor).shape),
  ) as unknown as number[][];
  const kinds = model.outputs.map((output, i): LossKind => {
    const end = endOf(output);
    if (end === "softmax" && (given[i].at(-1) ?? 1) > 1) return "probabilities";
    return end === "sigmoid" ? "chances" : "squares";
  });
  const targetsOf = (seed: number) =>
    given.map((shape, i) => {
      const random = () => tf.randomUniform(shape, 0, 1, "float32", seed + 100 + i);
      if (kinds[i] === "chances") return tf.cast(tf.greater(random(), 0.5), "float32");
      if (kinds[i] === "squares") return tf.randomNormal(shape, 0, 1, "float32", seed + 100 + i);
      const classes = shape.at(-1) ?? 1;
      return tf.cast(tf.oneHot(tf.cast(tf.argMax(random(), -1), "int32"), classes), "float32");
    });
  const batchOf = (step: number): Batch => {
    const seed = 1000 * (wanted.seed * 1000 + step);
    return { xs: tf.tidy(() => inputsOf(seed)), ys: tf.tidy(() => targetsOf(seed)) };
  };
  return {
    probes: Array.from({ length: PROBES }, (_, batch) => batchOf(batch)),
    batchOf,
    loss: (outputs, ys) =>
      outputs
        .map((y, i) => losses[kinds[i]].of(y, ys[i]))
        .reduce((sum, one) => tf.add(sum, one)) as tf.Scalar,
    batchSize,
    about: [
      "without --data: inputs and targets are random, so this shows how signals and gradients pass, not how the network learns",
    ],
    lossName: listed([...new Set(kinds.map((kind) => losses[kind].name))]),
  };
}
