/** What a trained network gives for examples, and what that is worth. */
import * as tf from "@tensorflow/tfjs-core";
import { selectStatistics } from "evenkeel/tfjs";
import { joined } from "./data/arrays.js";
import { sizeOf } from "./data/form.js";
import type { TrialData } from "./datasets/dataset.js";
import { batchOf, type Examples, gathered, inputOf, targetOf, targetsOf } from "./examples.js";
import type { Network } from "./models/network.js";
import { finite, type Guess, type Sample, type Scores, type Trial } from "./results.js";
import { metricNamed, tasks } from "./tasks/registry.js";
import { bestOf, type Metric, type Scored } from "./tasks/task.js";

/** Examples that are evaluated at a time, at most, and their numbers (inputs and outputs). */
const EVALUATION_BATCH = 1024;
const EVALUATION_VALUES = 2 ** 19;
/** Series of a sample, and digits of its values. */
const MOST_SAMPLED = 2;
const SAMPLE_DIGITS = 4;
export const lossOf = ({ task, form }: TrialData, outputs: tf.Tensor, y: tf.Tensor): tf.Scalar =>
  tasks[task].loss(tf, outputs, y, form);

/** What the network gives for these examples, in evaluation mode. */
export async function evaluate(
  { model }: Network,
  examples: Examples,
  rows: Int32Array,
  most: number = EVALUATION_BATCH,
): Promise<Scored> {
  const { data, judge, target } = examples;
  const width = sizeOf(data.form.outputs);
  const batch = Math.min(
    most,
    Math.max(1, Math.floor(EVALUATION_VALUES / (width + sizeOf(data.form.input.shape)))),
  );
  const parts: Float32Array[] = [];
  let loss = 0;
  for (let at = 0; at < rows.length; at += batch) {
    const some = rows.subarray(at, at + batch);
    const given = tf.tidy(() => {
      const { x, y } = batchOf(examples, some);
      const outputs = model.apply(x, { training: false }) as tf.Tensor;
      return [lossOf(data, outputs, y), outputs];
    });
    const [[own], values] = (await Promise.all(given.map((tensor) => tensor.data()))) as Float32Array[];
    tf.dispose(given);
    loss += (own * some.length) / rows.length;
    parts.push(
      judge === undefined
        ? values
        : gathered(some, (row, index) =>
            judge.measures(
              values.subarray(index * width, (index + 1) * width),
              inputOf(examples, row),
              targetOf(examples, row),
            ),
          ),
    );
  }
  return {
    outputs: joined(parts),
    y: judge === undefined ? targetsOf(examples, rows) : new Float32Array(),
    count: rows.length,
    loss,
    scale: target.scale,
  };
}

/** How well a learning rate does: on the validation part, which is for this alone. The metric is null where so few examples have none. */
export async function validate(
  network: Network,
  examples: Examples,
): Promise<{ metric: number | null; loss: number | null }> {
  const scored = await evaluate(network, examples, examples.validation);
  if (!Number.isFinite(scored.loss)) return { metric: null, loss: null };
  return {
    metric: finite(metricNamed(examples.data.task, examples.data.metric).of(scored)),
    loss: scored.loss,
  };
}

export const scoresOf = ({ task }: TrialData, score: (metric: Metric) => number): Scores =>
  Object.fromEntries(tasks[task].metrics.map((metric) => [metric.name, finite(score(metric))]));

/** What the network forecasts for the held-out example in the middle; undefined where it forecasts no series. */
export async function sampleOf({ model }: Network, examples: Examples): Promise<Sample | undefined> {
  const { data, heldOut, judge } = examples;
  if (tasks[data.task].from !== "series" || judge === undefined) return undefined;
  const row = heldOut[heldOut.length >> 1];
  const [x, y] = [inputOf(examples, row), targetOf(examples, row)];
  const outputs = tf.tidy(() => model.apply(batchOf(examples, [row]).x, { training: false }) as tf.Tensor);
  const forecast = (await outputs.data()) as Float32Array;
  outputs.dispose();
  const guesses = judge.guesses.map(({ outputs }) => outputs(x));
  const [horizon, channels] = data.targetShape;
  const of = (values: Float32Array, at: number) =>
    Array.from(
      values.filter((_, i) => i % channels === at),
      (value) => Number(value.toPrecision(SAMPLE_DIGITS)),
    );
  return {
    series: Array.from({ length: Math.min(channels, MOST_SAMPLED) }, (_, at) => ({
      at,
      before: of(x, at).slice(-Math.ceil(horizon / 2)),
      truth: of(y, at),
      forecast: of(forecast, at).map(finite),
      guesses: guesses.map((values) => of(values, at).map(finite)),
    })),
  };
}

/** What guessing scores on the held-out part: in every way that a judge knows, or as the metrics have it. */
export function guessedOf(examples: Examples): Pick<Trial, "guess" | "guessing" | "guesses"> {
  const { data, heldOut, judge, target } = examples;
  if (judge === undefined) {
    const known = [targetsOf(examples, heldOut), data.classes.length, target.scale] as const;
    const guess = ({ guess: of }: Metric) => of?.(...known) ?? Number.NaN;
    return {
      guess: scoresOf(data, guess),
      guessing: scoresOf(data, (metric) => metric.guessing?.(...known) ?? guess(metric)),
      guesses: [],
    };
  }
  const guesses = judge.guesses.map(({ name, outputs }): Guess => {
    const measured = gathered(heldOut, (row) => {
      const x = inputOf(examples, row);
      return judge.measures(outputs(x), x, targetOf(examples, row));
    });
    const scored = {
      outputs: measured,
      y: new Float32Array(),
      count: heldOut.length,
      loss: Number.NaN,
      scale: 1,
    };
    return { name, scores: scoresOf(data, (metric) => metric.of(scored)) };
  });
  const best = scoresOf(data, (metric) =>
    bestOf(
      metric,
      guesses.flatMap(({ scores }) => scores[metric.name] ?? []),
    ),
  );
  return { guess: best, guessing: best, guesses };
}

/** Of a normalization that chooses them, by validation: with batches as in training, on whose size it depends. */
export async function chooseStatistics(
  { model }: Network,
  examples: Examples,
  batchSize: number,
): Promise<void> {
  const { data, validation } = examples;
  const width = sizeOf(data.form.outputs);
  const { x, y } = batchOf(examples, validation);
  const [count, ...shape] = y.shape;
  const size = sizeOf(shape);
  // `evaluate` takes targets of the outputs' shape alone
  const padded = tf.tidy(() =>
    tf.reshape(
      tf.pad(tf.reshape(y, [count, size]), [
        [0, 0],
        [0, width - size],
      ]),
      [count, ...data.form.outputs],
    ),
  );
  const unpadded = (ys: tf.Tensor) =>
    tf.reshape(tf.slice(tf.reshape(ys, [-1, width]), [0, 0], [-1, size]), [-1, ...shape]);
  // given by its name, the optimizer goes with the model; nothing is trained by it
  model.compile({
    optimizer: "sgd",
    loss: (ys: tf.Tensor, outputs: tf.Tensor) => lossOf(data, outputs, unpadded(ys)),
  });
  try {
    await selectStatistics(model, { xs: x, ys: padded, batchSize });
  } finally {
    tf.dispose([x, y, padded]);
  }
}
