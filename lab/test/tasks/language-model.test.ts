/** Bits per character by hand, and the frequencies that a language model is judged against. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, test } from "vitest";
import type { Form } from "../../src/data/form.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { languageModel } from "../../src/tasks/language-model.js";

beforeAll(startTensorFlow);

const LENGTH = 2;
const form: Form = { input: { kind: "tokens", shape: [LENGTH], vocabulary: 3 }, outputs: [LENGTH, 4] };
const [metric] = languageModel.metrics;
const judgeOf = (text: number[]) =>
  languageModel.judgeOf({ x: Float32Array.from(text), y: new Float32Array(), season: 1 }, form);
const logits = [
  [0, 0, 0, 0],
  [1, 3, -2, 1000],
];
const y = [2, 3];

test("bits of the character that came, the mean over all places", () => {
  const { measures } = judgeOf([1, 2, 3]);
  const outputs = Float32Array.from(logits.flat());
  // one of four alike, and one that is certain
  expect(measures(outputs, new Float32Array(), Float32Array.from(y))).toEqual([1]);
  const [bits] = measures(Float32Array.of(0, 1, 2, 3, 3, 2, 1, 0), new Float32Array(), Float32Array.of(1, 1));
  const powers = 1 + Math.E + Math.E ** 2 + Math.E ** 3;
  expect(bits).toBeCloseTo((Math.log2(powers / Math.E) + Math.log2(powers / Math.E ** 2)) / 2, 6);
  const measured = { outputs: Float32Array.of(1, 2, 6), y: new Float32Array(), count: 3, loss: 0, scale: 1 };
  expect(metric.of(measured)).toBe(3);
});

test("the loss is the same in nats", () => {
  const loss = tf.tidy(
    () => languageModel.loss(tf, tf.tensor([logits]), tf.tensor([y]), form).dataSync()[0] as number,
  );
  expect(loss).toBeCloseTo(Math.LN2, 5);
});

test("frequencies of characters, and of pairs, from the training part: probabilities that sum to 1", () => {
  const text = [...Array.from({ length: 300 }, () => [1, 2]).flat(), 3];
  const { guesses, measures } = judgeOf(text);
  expect(guesses.map(({ name }) => name)).toEqual([
    "frequencies of characters",
    "frequencies of pairs of characters",
  ]);
  const x = Float32Array.of(1, 2);
  const given = guesses.map(({ outputs }) => outputs(x));
  for (const outputs of given) {
    for (let place = 0; place < LENGTH; place++) {
      const powers = [...outputs.subarray(4 * place, 4 * place + 4)].map(Math.exp);
      expect(powers.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
      expect(Math.min(...powers)).toBeGreaterThan(0);
    }
  }
  const [single, pairs] = given.map((outputs) => measures(outputs, x, Float32Array.of(2, 1))[0]);
  // half of all are either, and each is known by the one before it
  expect(single).toBeCloseTo(1, 1);
  expect(pairs).toBeLessThan(0.05);
  // a character after which nothing was seen is followed by what is usual
  const [usual, after] = guesses.map(({ outputs }) => outputs(Float32Array.of(0, 0)));
  for (const [i, value] of after.entries()) expect(value).toBeCloseTo(usual[i], 5);
});

test("how it is said", () => {
  expect([metric.format(2.34567), metric.phrase(2.34567), metric.brief(2.5)]).toEqual([
    "2.346",
    "2.346 bits per character",
    "2.500\u00a0bits",
  ]);
  expect([metric.formatDifference(-0.25), metric.goal(2.2), metric.format(null)]).toEqual([
    "−0.250 bits",
    "2.2 bits per character",
    "–",
  ]);
  expect(languageModel.predicts([64])).toBe("the character at each of 64 places");
});
