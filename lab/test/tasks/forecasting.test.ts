/** What forecasts are judged by, against the same in float64, and the naive forecasts. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, test } from "vitest";
import type { Form } from "../../src/data/form.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { forecasting } from "../../src/tasks/forecasting.js";

beforeAll(startTensorFlow);

const form = (window: number, horizon: number, channels: number): Form => ({
  input: { kind: "series", shape: [window, channels] },
  outputs: [horizon, channels],
});
const floats = (...values: number[]) => Float32Array.from(values);
const [mse, mae, mase] = forecasting.metrics;

/** Two series: steps of 1 up and down again; 0, 2, 6, 12, 20, 30. */
const training = floats(0, 0, 1, 2, 0, 6, 1, 12, 0, 20, 1, 30);
const judge = forecasting.judgeOf({ x: training, y: floats(), season: 1 }, form(2, 2, 2));

test("the errors of an example, the absolute one of each series in units of its naive forecast of the training part", () => {
  const y = floats(0, 40, 1, 50);
  const outputs = floats(0.5, 43, 1, 51);
  // mean steps of the training part: 1, and (2 + 4 + 6 + 8 + 10) / 5 = 6
  expect(judge.measures(outputs, floats(), y)).toEqual([
    (0.25 + 9 + 0 + 1) / 4,
    (0.5 + 3 + 0 + 1) / 4,
    ((0.5 + 0) / 2 / 1 + (3 + 1) / 2 / 6) / 2,
  ]);
});

test("the metrics are means over the examples", () => {
  const outputs = floats(1, 2, 3, 4, 6, 8);
  const scored = { outputs, y: floats(), count: 2, loss: Number.NaN, scale: 1 };
  expect([mse, mae, mase].map(({ of }) => of(scored))).toEqual([2.5, 4, 5.5]);
  expect(mase.phrase(0.5)).toBe("a MASE of 0.500");
  expect(mse.phrase(0.5)).toBe("an MSE of 0.500");
});

test("a season apart: of a series that comes again exactly there is no scale, and it is left out", () => {
  const seasonal = forecasting.judgeOf({ x: training, y: floats(), season: 2 }, form(2, 2, 2));
  // 6, 10, 14 and 18 in two steps
  const [, , scaled] = seasonal.measures(floats(9, 24, 9, 48), floats(), floats(0, 0, 0, 0));
  expect(scaled).toBe((24 + 48) / 2 / 12);
  const none = forecasting.judgeOf({ x: floats(1, 1, 1), y: floats(), season: 1 }, form(1, 1, 1));
  expect(none.measures(floats(1), floats(), floats(0))).toEqual([1, 1, Number.NaN]);
  // a season as long as the training part has no pair
  const short = forecasting.judgeOf({ x: floats(1, 2, 3), y: floats(), season: 3 }, form(1, 1, 1));
  expect(short.measures(floats(1), floats(), floats(0))[2]).toBeNaN();
});

test("the loss is the mean squared error of all steps and series", () => {
  const y = tf.tensor([0, 1, 2, 3], [1, 2, 2]);
  const outputs = tf.tensor([1, 1, 2, 5], [1, 2, 2]);
  expect(forecasting.loss(tf, outputs, y).dataSync()[0]).toBe(5 / 4);
});

test("naive forecasts: the last step, the last season, and the mean", () => {
  const { guesses } = forecasting.judgeOf({ x: training, y: floats(), season: 3 }, form(4, 5, 2));
  const x = floats(0, 9, 1, 10, 2, 20, 3, 30);
  expect(guesses.map(({ name, outputs }) => [name, [...outputs(x)]])).toEqual([
    ["naive forecast", [3, 30, 3, 30, 3, 30, 3, 30, 3, 30]],
    ["seasonal naive forecast", [1, 10, 2, 20, 3, 30, 1, 10, 2, 20]],
    ["training mean", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ]);
});

test.each([
  ["there is none", 1, 4],
  ["the window is shorter", 5, 4],
])("no forecast by the season where %s", (_, season, window) => {
  const { guesses } = forecasting.judgeOf({ x: training, y: floats(), season }, form(window, 1, 2));
  expect(guesses.map(({ name }) => name)).toEqual(["naive forecast", "training mean"]);
});

test("what is predicted, in words", () => {
  expect(forecasting.predicts([96, 7])).toBe("the next 96 steps of 7 series");
  expect(forecasting.predicts([1, 1])).toBe("the next step of a series");
});
