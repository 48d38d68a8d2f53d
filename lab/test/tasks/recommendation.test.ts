/** Recommendations: what is judged, against lists that were judged by hand, and what a network learns from. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import type { Form } from "../../src/data/form.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { measuresOf, recommendation } from "../../src/tasks/recommendation.js";
import { rows } from "../support/tables.js";

const ITEMS = 30;
/** Scores that put these items first, in this order; the others follow by their numbers. */
function ranked(...first: number[]): Float32Array {
  const rest = rows(ITEMS, (i) => i + 1).filter((item) => !first.includes(item));
  const scores = new Float32Array(ITEMS);
  for (const [place, item] of [...first, ...rest].entries()) scores[item - 1] = -place;
  return scores;
}
const items = (...numbers: number[]) => Float32Array.from(numbers);
const gain = (...places: number[]) => places.reduce((sum, place) => sum + 1 / Math.log2(place + 1), 0);
const measured = (scores: Float32Array, x: Float32Array, y: Float32Array) => {
  const [recall20, gain20, recall5, gain5] = measuresOf(scores, x, y);
  return { recall20, gain20, recall5, gain5 };
};

describe("what is judged", () => {
  test("hidden items among the first, by their number and by their places", () => {
    const { recall20, gain20, recall5, gain5 } = measured(ranked(9, 8, 7), items(1), items(8, 7, 30, 0));
    // 30 is in place 29
    expect(recall20).toBeCloseTo(2 / 3, 10);
    expect(recall5).toBeCloseTo(2 / 3, 10);
    expect(gain20).toBeCloseTo(gain(2, 3) / gain(1, 2, 3), 10);
    expect(gain5).toBeCloseTo(gain(2, 3) / gain(1, 2, 3), 10);
  });

  test("what was seen is not recommended, and leaves its place to others", () => {
    const { recall5, gain5 } = measured(ranked(1, 2, 3, 4, 5, 6), items(1, 2, 3, 4, 0, 0), items(6, 0));
    expect([recall5, gain5]).toEqual([1, gain(2)]);
  });

  test("of more hidden items than are recommended, all that can be found count", () => {
    const hidden = items(...rows(7, (i) => i + 1));
    const { recall20, recall5, gain5 } = measured(ranked(1, 2, 3, 4, 30), items(0), hidden);
    expect(recall5).toBeCloseTo(4 / 5, 10);
    expect(gain5).toBeCloseTo(gain(1, 2, 3, 4) / gain(1, 2, 3, 4, 5), 10);
    expect(recall20).toBe(1);
  });

  test("items of equal scores are in any order: a network that says nothing is judged as chance is", () => {
    const same = new Float32Array(ITEMS);
    const { recall20, recall5, gain5 } = measured(same, items(1, 2), items(5, 9));
    expect(recall20).toBeCloseTo(20 / 28, 10);
    expect(recall5).toBeCloseTo(5 / 28, 10);
    expect(gain5).toBeCloseTo((2 * gain(1, 2, 3, 4, 5)) / 28 / gain(1, 2), 10);
  });

  test("equal scores within a longer order share its places", () => {
    const scores = ranked(3, 4, 5, 6);
    for (const item of [4, 5, 6]) scores[item - 1] = -1;
    const { recall5, gain5 } = measured(scores, items(0), items(5));
    expect(recall5).toBeCloseTo(1, 10);
    expect(gain5).toBeCloseTo(gain(2, 3, 4) / 3, 10);
  });

  test("fewer items than are recommended: all that is open is", () => {
    const { recall20 } = measured(Float32Array.of(3, 2, 1), items(1), items(2, 3));
    expect(recall20).toBe(1);
  });

  test("a metric is the mean over users", () => {
    const outputs = Float32Array.of(0.5, 0.25, 0.1, 0, 1, 0.75, 0.3, 0);
    const of = recommendation.metrics.map((metric) => [
      metric.name,
      metric.of({ outputs, y: items(), count: 2, loss: 0, scale: 1 }),
    ]);
    expect(of.map(([name]) => name)).toEqual(["recall@20", "NDCG@20", "recall@5"]);
    for (const [i, mean] of [0.75, 0.5, 0.2].entries()) expect(of[i][1]).toBeCloseTo(mean, 6);
  });
});

const form: Form = { input: { kind: "items", shape: [3], vocabulary: 4 }, outputs: [4] };

test("guessing is how many users of the training part have an item", () => {
  const judge = recommendation.judgeOf({ x: items(1, 2, 0, 2, 3, 0), y: items(2, 0, 1, 4), season: 1 }, form);
  expect(judge.guesses.map(({ name }) => name)).toEqual(["popularity"]);
  expect([...judge.guesses[0].outputs(items(1, 0, 0))]).toEqual([2, 3, 1, 1]);
});

describe("the loss", () => {
  beforeAll(startTensorFlow);

  test("is the negative log-likelihood of a user's items, seen and hidden alike, averaged over them", () => {
    const { values, shape } = recommendation.targets(items(1, 2, 0, 3, 0, 0), items(4, 0, 1, 2), form);
    expect(shape).toEqual([4]);
    const third = Math.fround(1 / 3);
    expect([...values]).toEqual([third, third, 0, third, third, third, third, 0]);
    const logits = [
      [1, 2, 3, 4],
      [0, 0, 0, 5],
    ];
    const logOf = (row: number[], item: number) =>
      row[item] - Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
    const expected =
      -(
        [0, 1, 3].reduce((sum, item) => sum + logOf(logits[0], item), 0) / 3 +
        [0, 1, 2].reduce((sum, item) => sum + logOf(logits[1], item), 0) / 3
      ) / 2;
    const loss = tf.tidy(() =>
      recommendation.loss(tf, tf.tensor2d(logits), tf.tensor2d(values, [2, 4])).dataSync(),
    );
    expect(loss[0]).toBeCloseTo(expected, 5);
  });
});
