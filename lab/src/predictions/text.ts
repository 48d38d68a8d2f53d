/** Texts: how well a network knows one, and how it would go on. */

import { count } from "@evenkeel/report/format";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { FIRST_TOKEN } from "../data/form.js";
import { numbersOf, type TextReading } from "../datasets/text.js";
import { tasks } from "../tasks/registry.js";
import type { Kept, Predict, Run } from "./prediction.js";

/** Characters that a text goes on for, where nobody says how many. */
const USUAL_CHARACTERS = 200;
/** Characters that are measured: some seconds of a usual network. */
const MOST_MEASURED = 50_000;
/** The share of characters that the training had not, from which on it is told. */
const MOST_STRANGE = 0.01;
/** Of what is drawn. */
const SEED = 1;

/** One row: the characters that are measured, every metric of the task on them (nothing where they are fewer than a window), and what is drawn to follow the text. */
export const predictText: Predict = async (
  kept,
  run,
  given,
  { read = {}, characters = USUAL_CHARACTERS },
) => {
  const [window] = kept.form.input.shape;
  const { text, end, more, decisions } = await given.text(read, { most: MOST_MEASURED, end: window });
  const { characters: known } = kept.reading as TextReading;
  const all = Array.from(text);
  const numbers = numbersOf(all.slice(0, MOST_MEASURED), known);
  const isLong = more || all.length > MOST_MEASURED;
  const { metrics } = tasks[kept.task];
  const scores = scoresOf(kept, run, numbers);
  const following = continued(kept, run, numbersOf(Array.from(end), known), characters).map(
    (number) => known[number - FIRST_TOKEN],
  );
  const strange = numbers.filter((number) => number < FIRST_TOKEN).length;
  const measured = count(numbers.length, "character");
  return {
    about: `how well ${isLong ? `the first ${measured} of a text are` : `a text of ${measured} is`} known, and how it goes on`,
    columns: ["characters", ...metrics.map(({ name }) => name), "continuation"],
    rows: [[numbers.length, ...metrics.map(({ name }) => scores[name] ?? null), following.join("")]],
    decisions,
    notes:
      strange > MOST_STRANGE * numbers.length
        ? [
            `${strange.toLocaleString("en-US")} of ${measured} are none that the network knows: all of them count as one`,
          ]
        : [],
  };
};

/** By windows that follow each other. */
function scoresOf({ task, form }: Kept, run: Run, numbers: Float32Array): Record<string, number> {
  const { judgeOf, metrics } = tasks[task];
  const [window] = form.input.shape;
  const windows = Math.max(0, Math.floor((numbers.length - 1) / window));
  const judge = judgeOf?.({ x: new Float32Array(), y: new Float32Array(), season: 1 }, form);
  if (windows === 0 || judge === undefined) return {};
  const measured: number[][] = [];
  run(numbers, windows, (outputs, example) => {
    const first = example * window;
    const x = numbers.subarray(first, first + window);
    measured.push(judge.measures(outputs, x, numbers.subarray(first + 1, first + 1 + window)));
  });
  const outputs = Float32Array.from(measured.flat());
  const scored = { outputs, y: new Float32Array(), count: windows, loss: Number.NaN, scale: 1 };
  return Object.fromEntries(metrics.map((metric) => [metric.name, metric.of(scored)]));
}

/** So many numbers of characters, each drawn by its probability after those before it; none that stands for unknown ones. */
function continued({ form }: Kept, run: Run, numbers: Float32Array, characters: number): number[] {
  const [window] = form.input.shape;
  const [, size] = form.outputs;
  const random = xoroshiro128plus(SEED);
  const text = [...numbers.slice(-window)];
  const drawn: number[] = [];
  while (drawn.length < characters) {
    const x = new Float32Array(window);
    const seen = text.slice(-window);
    x.set(seen);
    run(x, 1, (outputs) => {
      const logits = outputs.subarray((seen.length - 1) * size + FIRST_TOKEN, seen.length * size);
      const next = FIRST_TOKEN + draw(logits, uniformFloat64(random));
      drawn.push(next);
      text.push(next);
    });
  }
  return drawn;
}

/** The index that `share` (from 0 to 1) of the probability of these logits lies before. */
function draw(logits: Float32Array, share: number): number {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = Float64Array.from(logits, (logit) => Math.exp(logit - most));
  let left = share * weights.reduce((a, b) => a + b, 0);
  const found = weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return Math.max(0, found);
}
