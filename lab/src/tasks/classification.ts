/** Which of several classes: softmax cross-entropy, judged by accuracy. */
import { linearAxis } from "@evenkeel/report/axes";
import { byLevel } from "../data/encoders.js";
import { UsageError } from "../errors.js";
import { checkVaries, valuesOf } from "./target.js";
import type { Metric, Target, Task } from "./task.js";

/** Integers of more distinct values than this are a quantity, unless the user says otherwise. */
const MOST_CLASSES_OF_NUMBERS = 20;

const percentage = (value: number) => `${Number((100 * value).toPrecision(6))}\u00a0%`;
const format = (value: number | null) =>
  value === null || !Number.isFinite(value)
    ? "–"
    : `${value === 1 ? "100" : (100 * value).toFixed(1)}\u00a0%`;

const accuracy: Metric = {
  name: "accuracy",
  title: "Accuracy",
  of({ outputs, y }) {
    const classes = outputs.length / y.length;
    let right = 0;
    for (let row = 0; row < y.length; row++) {
      let best = 0;
      for (let index = 1; index < classes; index++) {
        if (outputs[row * classes + index] > outputs[row * classes + best]) best = index;
      }
      if (best === y[row]) right++;
    }
    return right / y.length;
  },
  baseline(y, classes) {
    const counts = new Array<number>(classes.length).fill(0);
    for (const index of y) counts[index]++;
    return Math.max(...counts) / y.length;
  },
  guessing: (baseline, heldOutCount) =>
    baseline + 2 * Math.sqrt((baseline * (1 - baseline)) / Math.max(1, heldOutCount)),
  grain: (middle, heldOutCount) => 2 * Math.sqrt((2 * middle * (1 - middle)) / Math.max(1, heldOutCount)),
  format,
  brief: format,
  formatTarget: percentage,
  phrase: format,
  goal: percentage,
  guess: "guessing",
  atGuessing: "the level of guessing",
  explanation: (heldOutCount) =>
    `Accuracy is the share of the ${heldOutCount.toLocaleString("en-US")} held-out examples that the network gets right.`,
  axis(values) {
    const min = Math.min(1, ...values);
    return {
      ...linearAxis(min >= 0.5 ? Math.min(0.9, Math.floor(min * 10) / 10) : 0, 1),
      format: percentage,
    };
  },
};

/** Text stays text where the column is named; otherwise each value is a number. */
const distinctOf = (target: Target) => {
  const values = valuesOf(target);
  return new Set(target.rows.map((row) => values[row]));
};

export const classification = {
  name: "classification",
  metric: accuracy,
  suits(target) {
    const distinct = distinctOf(target);
    return (
      target.named || (distinct.size <= MOST_CLASSES_OF_NUMBERS && [...distinct].every(Number.isInteger))
    );
  },
  classesOf({ column, rows, named }) {
    const { name, values } = column;
    checkVaries(column, rows);
    const names = [...new Set(rows.map((row) => String(values[row])))].sort(byLevel);
    const indexOf = new Map(names.map((level, index) => [level, index]));
    const of = new Int32Array(values.length);
    const counts = new Int32Array(names.length);
    for (const row of rows) {
      of[row] = indexOf.get(String(values[row])) ?? 0;
      counts[of[row]]++;
    }
    const lonely = counts.findIndex((count) => count < 2);
    if (lonely >= 0) {
      throw new UsageError(
        `target "${name}": expected at least 2 rows of each class, one to train on and one to hold out, got 1 of class "${names[lonely]}"; remove that row, or choose another --target${named ? "" : " or --task"}`,
      );
    }
    return { names, of };
  },
  encode: (_target, classes) => Float64Array.from(classes.of),
  predicts: (classes) => `${classes.length} classes`,
  outputs: (classes) => classes.length,
  loss: (tf, outputs, y, classes) =>
    tf.losses.softmaxCrossEntropy(tf.oneHot(tf.cast(y, "int32"), classes.length), outputs),
} as const satisfies Task;
