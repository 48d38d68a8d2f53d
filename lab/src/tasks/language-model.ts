/** Which character comes next, at each of a text: softmax cross-entropy, told in bits; judged against frequencies of characters. */
import { linearAxis } from "@evenkeel/report/axes";
import { minus, signed } from "@evenkeel/report/format";
import type { Judge, Metric, Training, WholeTask } from "./task.js";

const decimals = (value: number | null): string =>
  value === null || !Number.isFinite(value) ? "–" : minus(value.toFixed(3));
const bits = (value: number | null): string => `${decimals(value)}\u00a0bits`;

const bitsPerCharacter: Metric = {
  name: "bits per character",
  title: "Bits per character",
  higherIsBetter: false,
  primary: true,
  suits: () => true,
  of: ({ outputs, count: examples }) => outputs.reduce((sum, one) => sum + one, 0) / examples,
  span: Infinity,
  resolution: () => 0,
  format: decimals,
  formatDifference: (value) => `${signed(value.toFixed(3))} bits`,
  brief: bits,
  formatTarget: String,
  phrase: (value) => `${decimals(value)} bits per character`,
  goal: (value) => `${value} bits per character`,
  guessed: "the better of guessing by the frequencies of characters and of pairs of them",
  atGuessing: "no better than the frequencies of characters",
  explanation: () =>
    "Bits per character is the mean cross-entropy of the next character: what an ideal compressor that goes by the network would need for each.",
  axis: (values) => linearAxis(0, Math.max(0, ...values)),
};

/** The mean over the places of an example of what its next character costs: outputs [places, size], logits; y [places]. */
function bitsOf(outputs: Float32Array, y: Float32Array, size: number): number {
  let sum = 0;
  for (let place = 0; place < y.length; place++) {
    const from = place * size;
    let largest = outputs[from];
    for (let id = 1; id < size; id++) largest = Math.max(largest, outputs[from + id]);
    let powers = 0;
    for (let id = 0; id < size; id++) powers += Math.exp(outputs[from + id] - largest);
    sum += largest + Math.log(powers) - outputs[from + y[place]];
  }
  return sum / y.length / Math.LN2;
}

/** How many times a character is taken to have been followed by what is usual of all. */
const PRIOR = 4;

/** Logarithms of how often each character comes [size], and comes after each [size, size], by this text. */
function frequencies(text: Float32Array, size: number): { single: Float64Array; after: Float64Array } {
  // each at least once, so that none is impossible
  const singles = new Float64Array(size).fill(1);
  const pairs = new Float64Array(size * size);
  const before = new Float64Array(size);
  for (let i = 0; i < text.length; i++) {
    singles[text[i]]++;
    if (i === 0) continue;
    pairs[text[i - 1] * size + text[i]]++;
    before[text[i - 1]]++;
  }
  const single = singles.map((times) => times / (text.length + size));
  const after = pairs.map((times, i) => {
    const first = Math.floor(i / size);
    return Math.log((times + PRIOR * single[i % size]) / (before[first] + PRIOR));
  });
  return { single: single.map(Math.log), after };
}

export const languageModel = {
  name: "language-model",
  from: "text",
  metrics: [bitsPerCharacter],
  predicts: ([length]) => `the character at each of ${length.toLocaleString("en-US")} places`,
  loss: (tf, outputs, y, { outputs: [, size] }) =>
    tf.losses.softmaxCrossEntropy(
      tf.oneHot(tf.reshape(tf.cast(y, "int32"), [-1]), size),
      tf.reshape(outputs, [-1, size]),
    ),
  judgeOf({ x: training }: Training, { outputs: [length, size] }): Judge {
    const { single, after } = frequencies(training, size);
    const each = (of: (place: number) => ArrayLike<number>) => {
      const outputs = new Float32Array(length * size);
      for (let place = 0; place < length; place++) outputs.set(of(place), place * size);
      return outputs;
    };
    return {
      measures: (outputs, _, y) => [bitsOf(outputs, y, size)],
      guesses: [
        { name: "frequencies of characters", outputs: () => each(() => single) },
        {
          name: "frequencies of pairs of characters",
          outputs: (x) => each((place) => after.subarray(x[place] * size, (x[place] + 1) * size)),
        },
      ],
    };
  },
} as const satisfies WholeTask;
