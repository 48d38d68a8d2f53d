/** How much: the mean squared error of the standardized target, judged by R². */
import { linearAxis } from "@evenkeel/report/axes";
import { formatNumber, minus } from "@evenkeel/report/format";
import { inFloat32, numbers, standardize } from "../data/encoders.js";
import { UsageError } from "../errors.js";
import { checkVaries, constantTarget } from "./target.js";
import type { Metric, Task } from "./task.js";

/** Three decimals; far below zero, three digits. */
const format = (value: number | null) => {
  if (value === null || !Number.isFinite(value)) return "–";
  return value > -10 ? minus(value.toFixed(3)) : formatNumber(value);
};

const determination: Metric = {
  name: "R²",
  title: "R²",
  // the loss is the mean squared error
  of({ y, loss }) {
    const mean = y.reduce((sum, value) => sum + value, 0) / y.length;
    const variance = y.reduce((sum, value) => sum + (value - mean) ** 2, 0) / y.length;
    return 1 - loss / variance;
  },
  baseline: () => 0,
  guessing: () => 0.01,
  grain: () => 0.02,
  format,
  brief: (value) => `R² ${format(value)}`,
  formatTarget: String,
  phrase: (value) => `an R² of ${format(value)}`,
  goal: (value) => `R² = ${value}`,
  guess: "predicting the mean",
  atGuessing: "no better than predicting the mean",
  explanation: () =>
    "R² is 1 for a perfect prediction, and 0 for one that is no better than always giving the mean.",
  axis(values) {
    const min = Math.min(1, ...values);
    return { ...linearAxis(Math.max(-1, Math.min(0, min)), 1), clamped: min < -1 };
  },
};

export const regression = {
  name: "regression",
  metric: determination,
  suits: () => true,
  classesOf({ column, named, rows }) {
    if (named) {
      throw new UsageError(
        `target "${column.name}": regression needs numbers, and this column holds ${column.kind === "text" ? `text (${JSON.stringify(column.values[rows[0]])}, for example)` : "categories (--categorical)"}; leave out --task regression, or choose another --target`,
      );
    }
    numbers(column);
    checkVaries(column, rows);
    return { names: [], of: new Int32Array(column.values.length) };
  },
  encode({ column }, _classes, train, heldOut) {
    const y = numbers(column);
    const { mean, deviation } = standardize(y, train);
    if (deviation === 0) throw constantTarget(column, train, "training ");
    for (const row of [...train, ...heldOut]) y[row] = inFloat32((y[row] - mean) / deviation, column, row);
    return y;
  },
  predicts: () => "a number",
  outputs: () => 1,
  loss: (tf, outputs, y) => tf.losses.meanSquaredError(y, tf.reshape(outputs, [-1])),
} as const satisfies Task;
