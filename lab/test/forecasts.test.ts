/** A series from its rows to a trained forecaster, what guessing scores beside it, and the figure of one forecast. */
import { serverDocument } from "@evenkeel/report/server-document";
import { beforeAll, describe, expect, test } from "vitest";
import { splitOf } from "../src/data/split.js";
import type { Dataset } from "../src/datasets/dataset.js";
import { toSeries } from "../src/datasets/series.js";
import { linear } from "../src/models/linear.js";
import { startTensorFlow } from "../src/node/tensorflow.js";
import { forecastFigures } from "../src/report/forecasts.js";
import type { Trial } from "../src/results.js";
import { runTrial } from "../src/trial.js";
import { syntheticComparison } from "./support/synthetic-comparison.js";
import { rows, scattered, tableOf } from "./support/tables.js";

beforeAll(startTensorFlow);

const [steps, horizon, window] = [400, 6, 24];
/** A wave, the same with noise, and a third. */
const values = [
  (i: number) => 10 + 3 * Math.sin((2 * Math.PI * i) / 12),
  (i: number) => Math.sin((2 * Math.PI * i) / 12) + scattered(i),
  (i: number) => scattered(i * i),
];

function train(data: Dataset, norm: string): Promise<Trial> {
  return runTrial(
    {
      norm,
      seed: 1,
      model: { kind: linear.name, depth: 1, width: 1, activation: "relu" },
      training: { epochs: 4, batchSize: 16, learningRates: [0.01], optimizer: "adam", warmUp: 0 },
      data,
      digest: "",
    },
    linear,
    () => {},
  );
}

describe("a trial", () => {
  const columns = Object.fromEntries(values.map((value, at) => [`s${at}`, rows(steps, value)]));
  const data = toSeries(tableOf(columns), { horizon, window, season: 12 }, "");
  let trial: Trial;
  beforeAll(async () => {
    trial = await train(data, "reversible-instance");
  });

  test("learns what comes again", () => {
    expect(trial.outcome).toBe("finished");
    expect(trial.scores.heldOut.MSE).toBeLessThan(0.8 * (trial.guess.MSE ?? 0));
    expect(Object.keys(trial.scores.heldOut)).toEqual(["MSE", "MAE", "MASE"]);
    expect(trial.confusion).toBeNull();
  });

  test("scores naive forecasts of held-out windows, standardized by the training part, as in float64", () => {
    const { heldOut } = splitOf(data.parts, data.count, 1);
    const trained = Math.round(0.64 * steps);
    const standardized = values.map((value) => {
      const own = rows(trained, value);
      const mean = own.reduce((a, b) => a + b) / trained;
      const deviation = Math.sqrt(own.reduce((sum, one) => sum + (one - mean) ** 2, 0) / trained);
      return rows(steps, (i) => (value(i) - mean) / deviation);
    });
    /** The mean over held-out windows, steps and series of what `of` makes of an error. */
    const mean = (back: (ahead: number) => number, of: (error: number, series: number[]) => number) => {
      const all = Array.from(heldOut, (row) => data.windows?.starts[row] ?? 0).flatMap((start) =>
        standardized.flatMap((series) =>
          rows(horizon, (ahead) => {
            const at = start + window + ahead;
            return of(series[at] - series[at - back(ahead)], series);
          }),
        ),
      );
      return all.reduce((a, b) => a + b) / all.length;
    };
    const naive = trial.guesses.find(({ name }) => name === "naive forecast");
    expect(naive?.scores.MSE).toBeCloseTo(
      mean(
        (ahead) => ahead + 1,
        (error) => error ** 2,
      ),
      4,
    );
    expect(naive?.scores.MAE).toBeCloseTo(
      mean((ahead) => ahead + 1, Math.abs),
      4,
    );
    const seasonal = trial.guesses.find(({ name }) => name === "seasonal naive forecast");
    expect(seasonal?.scores.MSE).toBeCloseTo(
      mean(
        () => 12,
        (error) => error ** 2,
      ),
      4,
    );
  });

  test("keeps the forecast of the held-out window in the middle, of the first two series", () => {
    const { heldOut } = splitOf(data.parts, data.count, 1);
    const begin = (data.windows?.starts[heldOut[heldOut.length >> 1]] ?? 0) + window;
    const shown = trial.sample?.series ?? [];
    expect(shown.map(({ at }) => at)).toEqual([0, 1]);
    const own = rows(Math.round(0.64 * steps), values[0]);
    const mean = own.reduce((a, b) => a + b) / own.length;
    const deviation = Math.sqrt(own.reduce((sum, one) => sum + (one - mean) ** 2, 0) / own.length);
    const all = [...shown[0].before, ...shown[0].truth];
    expect(all).toHaveLength(3 + horizon);
    for (const [i, value] of all.entries()) {
      expect(value).toBeCloseTo((values[0](begin - 3 + i) - mean) / deviation, 2);
    }
    expect(shown[0].guesses.map((guess) => guess.length)).toEqual([6, 6, 6]);
    // a wave without noise is known from its past
    for (const [i, value] of shown[0].forecast.entries()) {
      expect(Math.abs((value ?? Number.NaN) - shown[0].truth[i])).toBeLessThan(0.5);
    }
  });
});

test("a figure of each series: networks, what came and naive forecasts, in its table too", () => {
  const comparison = syntheticComparison({ norms: ["none", "layer"], seeds: [1, 2] });
  const sample = (forecast: (number | null)[]) => ({
    series: [
      {
        at: 0,
        before: [-2],
        truth: [1, 2],
        forecast,
        guesses: [
          [0, 0.5],
          [3, 4],
          [9, 9],
        ],
      },
    ],
  });
  const guesses = ["naive forecast", "seasonal naive forecast", "mean"].map((name) => ({ name, scores: {} }));
  const trials = comparison.trials.map((trial) => ({
    ...trial,
    guesses,
    ...(trial.norm === "layer" && { sample: sample([trial.seed, null]) }),
  }));
  const [drawn, ...others] = forecastFigures({ ...comparison, trials }, serverDocument);
  expect(others).toEqual([]);
  expect(drawn.name).toBe(comparison.data.inputs[0].column);
  expect(drawn.figure.notes).toEqual([
    "Broad: what came.",
    "Dashed: naive forecast.",
    "Dotted: seasonal naive forecast.",
    "Not drawn, for want of a finite value: networks without normalization.",
  ]);
  const cells = [...(drawn.figure.twin ?? "").matchAll(/<t[hd][^>]*>([^<]*)<\/t[hd]>/g)].map(
    ([, text]) => text,
  );
  expect(cells).toEqual([
    ...["step", "what came", "none", "layer", "naive forecast", "seasonal naive forecast"],
    ...["0", "−2.00", "–", "–", "–", "–"],
    ...["1", "1.00", "–", "1.50 (1.00 – 2.00)", "0", "3.00"],
    ...["2", "2.00", "–", "–", "0.500", "4.00"],
  ]);
  expect(forecastFigures(comparison, serverDocument)).toEqual([]);
});
