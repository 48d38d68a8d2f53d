/** The examples of one seed: divided, standardized by the training part, and cut from the arrays of all. */
import * as tf from "@tensorflow/tfjs-core";
import { joined } from "./data/arrays.js";
import { sizeOf } from "./data/form.js";
import { splitOf } from "./data/split.js";
import {
  meanAndDeviation,
  type Standardization,
  standardizationOf,
  standardized,
} from "./data/standardize.js";
import type { TrialData } from "./datasets/dataset.js";
import { tasks } from "./tasks/registry.js";
import type { Judge } from "./tasks/task.js";

/** The examples of one seed as its network sees them. */
export interface Examples {
  data: TrialData;
  train: Int32Array;
  validation: Int32Array;
  heldOut: Int32Array;
  /** Of the training part, at most as many as are held out. */
  trained: Int32Array;
  inputs: Standardization;
  /** y is (y − mean) · factor. */
  target: { mean: number; factor: number; scale: number };
  judge?: Judge;
}

export function examplesOf(data: TrialData, seed: number): Examples {
  const { train, validation, heldOut } = splitOf(data.parts, data.count, seed);
  const task = tasks[data.task];
  const { mean, deviation } =
    task.from === "target" && task.standardized
      ? meanAndDeviation(Float64Array.from(train, (row) => data.y[row]))
      : { mean: 0, deviation: 1 };
  const learntFrom = stepsOfTraining(data, train);
  const examples: Examples = {
    data,
    train,
    validation,
    heldOut,
    trained: train.subarray(0, heldOut.length),
    inputs: standardizationOf(data.x, data.scaled, learntFrom),
    // a target that does not vary in the training part is learnt as it is
    target: { mean, factor: 1 / (deviation || 1), scale: data.yScale * (deviation || 1) },
  };
  if (task.judgeOf === undefined) return examples;
  const { windows, season = 1 } = data;
  const seen = windows
    ? {
        x: standardized(data.x, 0, learntFrom.length * data.scaled.length, examples.inputs),
        y: data.y.subarray(0, 0),
      }
    : {
        x: gathered(train, (row) => inputOf(examples, row)),
        y: gathered(train, (row) => targetOf(examples, row)),
      };
  return { ...examples, judge: task.judgeOf({ ...seen, season }, data.form) };
}

/** The rows of x that a trial may learn from: of windows, the steps up to the end of the last one of the training part. */
function stepsOfTraining({ windows, targetShape }: TrialData, train: Int32Array): ArrayLike<number> {
  if (!windows) return train;
  const last = train.reduce((latest, row) => Math.max(latest, windows.starts[row]), 0);
  return Int32Array.from({ length: last + windows.ahead + (targetShape[0] ?? 1) }, (_, step) => step);
}

/** What the network sees of an example: [...form.input.shape] */
export function inputOf(examples: Examples, row: number): Float32Array {
  const { form, windows, scaled, x, offset = 0 } = examples.data;
  const size = sizeOf(form.input.shape);
  const first = windows ? windows.starts[row] * scaled.length : row * size;
  const values = standardized(x, first, size, examples.inputs);
  if (offset === 0) return values;
  const { categories = [] } = form.input;
  return values.map((value, input) => (categories.some(({ at }) => at === input) ? value : value + offset));
}

/** [...targetShape] */
export function targetOf(examples: Examples, row: number): Float32Array {
  const { data, target } = examples;
  const size = sizeOf(data.targetShape);
  const { windows, scaled } = data;
  if (windows) {
    return standardized(data.x, (windows.starts[row] + windows.ahead) * scaled.length, size, examples.inputs);
  }
  return data.y.slice(row * size, (row + 1) * size).map((value) => (value - target.mean) * target.factor);
}

/** [rows, size], a row for each. */
export function gathered(
  rows: ArrayLike<number>,
  of: (row: number, index: number) => ArrayLike<number>,
): Float32Array {
  return joined(Array.from(rows, of));
}

export const targetsOf = (examples: Examples, rows: ArrayLike<number>): Float32Array =>
  gathered(rows, (row) => targetOf(examples, row));

export function batchOf(examples: Examples, rows: ArrayLike<number>): { x: tf.Tensor; y: tf.Tensor } {
  const { task, form, targetShape } = examples.data;
  const x = gathered(rows, (row) => inputOf(examples, row));
  const y = targetsOf(examples, rows);
  const targets = tasks[task].targets?.(x, y, form) ?? { values: y, shape: targetShape };
  return {
    x: tf.tensor(x, [rows.length, ...form.input.shape]),
    y: tf.tensor(targets.values, [rows.length, ...targets.shape]),
  };
}
