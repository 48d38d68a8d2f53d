/** What comes next in series: the mean squared error of the standardized steps, judged against naive forecasts. */
import { linearAxis } from "@evenkeel/report/axes";
import { count, formatNumber, signed } from "@evenkeel/report/format";
import type { Judge, Metric, Training, WholeTask } from "./task.js";

/** The mean over the examples of one of the measures of the judge, which stand in the order of the metrics. */
const error = (name: string, at: number, explanation: string): Metric => ({
  name,
  title: name,
  higherIsBetter: false,
  primary: true,
  suits: () => true,
  of({ outputs, count: examples }) {
    const measures = outputs.length / examples;
    let sum = 0;
    for (let example = 0; example < examples; example++) sum += outputs[example * measures + at];
    return sum / examples;
  },
  span: Infinity,
  resolution: () => 0,
  format: formatNumber,
  formatDifference: (value) => signed(formatNumber(value)),
  brief: (value) => `${name} ${formatNumber(value)}`,
  formatTarget: String,
  phrase: (value) => `an ${name} of ${formatNumber(value)}`,
  goal: (value) => `${name} = ${value}`,
  guessed: "the best of the naive forecasts",
  atGuessing: "no better than a naive forecast",
  explanation: () => explanation,
  axis: (values) => linearAxis(0, Math.max(0, ...values)),
});

/** In the order of `measures`. */
const metrics = [
  error(
    "MSE",
    0,
    "MSE is the mean squared error over all steps and series, each series standardized by its training part.",
  ),
  error(
    "MAE",
    1,
    "MAE is the mean of the absolute errors over all steps and series, each series standardized by its training part.",
  ),
  {
    ...error(
      "MASE",
      2,
      "MASE is the mean absolute error of each series over that of its seasonal naive forecast, one step ahead in the training part, averaged; below 1 is better than that.",
    ),
    phrase: (value) => `a MASE of ${formatNumber(value)}`,
  } satisfies Metric,
];

/** [channels]: the mean absolute difference of two steps a season apart; 0 where a series does not vary so, or has no two. */
function seasonalErrors(x: Float32Array, channels: number, season: number): Float64Array {
  const errors = new Float64Array(channels);
  const before = season * channels;
  for (let i = before; i < x.length; i++) errors[i % channels] += Math.abs(x[i] - x[i - before]);
  const pairs = x.length / channels - season;
  return errors.map((sum) => (pairs > 0 ? sum / pairs : 0));
}

/**
 * Of one forecast [horizon, channels]: the errors that the metrics are the means of. The last is that of Hyndman & Koehler
 * 2006, "Another look at measures of forecast accuracy"; NaN where no series has a scale.
 */
function measuresOf(outputs: Float32Array, y: Float32Array, scales: Float64Array): number[] {
  const channels = scales.length;
  const steps = y.length / channels;
  let squares = 0;
  let sum = 0;
  const scaled = new Float64Array(channels);
  for (let i = 0; i < y.length; i++) {
    const off = Math.abs(outputs[i] - y[i]);
    squares += off * off;
    sum += off;
    scaled[i % channels] += off / steps / scales[i % channels];
  }
  // without a scale an error cannot be told by it
  const told = scaled.filter((_, channel) => scales[channel] > 0);
  return [squares / y.length, sum / y.length, told.reduce((all, one) => all + one, 0) / told.length];
}

export const forecasting = {
  name: "forecasting",
  from: "series",
  metrics,
  predicts: ([horizon, channels]) =>
    `the next ${horizon === 1 ? "step" : count(horizon, "step")} of ${channels === 1 ? "a series" : count(channels, "series", "series")}`,
  loss: (tf, outputs, y) => tf.losses.meanSquaredError(y, outputs),
  judgeOf({ x: training, season }: Training, { input, outputs: [horizon, channels] }): Judge {
    const [steps] = input.shape;
    const scales = seasonalErrors(training, channels, season);
    /** The last `period` steps again and again. */
    const repeated = (x: Float32Array, period: number) =>
      Float32Array.from(
        { length: horizon * channels },
        (_, i) => x[(steps - period) * channels + (i % (period * channels))],
      );
    return {
      measures: (outputs, _, y) => measuresOf(outputs, y, scales),
      guesses: [
        { name: "naive forecast", outputs: (x) => repeated(x, 1) },
        ...(season > 1 && season <= steps
          ? [{ name: "seasonal naive forecast", outputs: (x: Float32Array) => repeated(x, season) }]
          : []),
        { name: "training mean", outputs: () => new Float32Array(horizon * channels) },
      ],
    };
  },
} as const satisfies WholeTask;
