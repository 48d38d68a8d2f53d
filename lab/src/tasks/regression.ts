/** How much: the mean squared error of the standardized target, judged by R². */
import { linearAxis } from "@evenkeel/report/axes";
import { formatNumber, minus, quote, signed } from "@evenkeel/report/format";
import { meanAndDeviation } from "../data/standardize.js";
import { UsageError } from "../errors.js";
import { checkVaries } from "./target.js";
import type { Metric, TargetTask } from "./task.js";

/** Three decimals; far below zero, three digits. */
const format = (value: number | null) => {
  if (value === null || !Number.isFinite(value)) return "–";
  return value > -10 ? minus(value.toFixed(3)) : formatNumber(value);
};

const determination: Metric = {
  name: "R²",
  title: "R²",
  higherIsBetter: true,
  primary: true,
  suits: () => true,
  // the loss is the mean squared error
  of({ y, loss }) {
    const mean = y.reduce((sum, value) => sum + value, 0) / y.length;
    const variance = y.reduce((sum, value) => sum + (value - mean) ** 2, 0) / y.length;
    return 1 - loss / variance;
  },
  guess: () => 0,
  guessing: () => 0.01,
  span: Infinity,
  resolution: () => 0,
  format,
  formatDifference: (value) => signed(value.toFixed(3)),
  brief: (value) => `R² ${format(value)}`,
  formatTarget: String,
  phrase: (value) => `an R² of ${format(value)}`,
  goal: (value) => `R² = ${value}`,
  guessed: "always giving the mean",
  atGuessing: "no better than always giving the mean",
  explanation: () =>
    "R² is 1 for a perfect prediction, and 0 for one that is no better than always giving the mean.",
  axis(values) {
    const min = Math.min(1, ...values);
    return linearAxis(Math.max(-1, Math.min(0, min)), 1);
  },
};

/** An error in the units of the target. */
const error = (name: string, what: string, of: Metric["of"], guess: Metric["guess"]): Metric => ({
  ...determination,
  name,
  title: name,
  higherIsBetter: false,
  primary: false,
  of,
  guess,
  guessing: guess,
  format: formatNumber,
  formatDifference: (value) => signed(formatNumber(value)),
  brief: (value) => `${name} ${formatNumber(value)}`,
  phrase: (value) => `${/^[AEFHILMNORSX]/.test(name) ? "an" : "a"} ${name} of ${formatNumber(value)}`,
  goal: (value) => `${name} = ${value}`,
  explanation: () => `${name} is ${what}, in the units of the target.`,
  axis: (values) => linearAxis(0, Math.max(0, ...values)),
});

const rootMeanSquare = error(
  "RMSE",
  "the root of the mean squared error",
  ({ loss, scale }) => scale * Math.sqrt(loss),
  (y, _classes, scale) => scale * meanAndDeviation(y).deviation,
);

const meanAbsolute = error(
  "MAE",
  "the mean of the absolute errors",
  ({ outputs, y, scale }) =>
    (scale * y.reduce((sum, value, row) => sum + Math.abs(value - outputs[row]), 0)) / y.length,
  (y, _classes, scale) => {
    const { mean } = meanAndDeviation(y);
    return (scale * y.reduce((sum, value) => sum + Math.abs(value - mean), 0)) / y.length;
  },
);

export const regression = {
  name: "regression",
  from: "target",
  metrics: [determination, rootMeanSquare, meanAbsolute],
  suits: ({ column }) => column.kind === "number",
  classesOf({ column, rows }) {
    if (column.kind !== "number") {
      throw new UsageError(
        `target "${column.name}": regression needs numbers, and this column holds ${column.kind === "text" ? `text (${quote(String(column.values[rows[0]]))}, for example)` : "dates"}; leave out --task, or choose another --target`,
      );
    }
    checkVaries(column, rows);
    return { names: [], of: new Int32Array(column.values.length) };
  },
  encode({ column: { values }, rows }) {
    const { mean, deviation } = meanAndDeviation(rows.map((row) => values[row] as number));
    const y = new Float64Array(values.length);
    for (const row of rows) y[row] = ((values[row] as number) - mean) / deviation;
    return { y, scale: deviation, center: mean };
  },
  predicts: () => "a number",
  standardized: true,
  answers: ({ column, inUnits }) => ({ columns: [column], of: ([output]) => [inUnits(output)] }),
  outputs: () => 1,
  loss: (tf, outputs, y) => tf.losses.meanSquaredError(y, tf.reshape(outputs, [-1])),
} as const satisfies TargetTask;
