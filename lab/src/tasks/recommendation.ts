/**
 * What else a user has: the multinomial log-likelihood of a user's items, and whether the hidden ones are among the first
 * of those that were not seen (Liang et al. 2018, arXiv 1802.05814).
 */
import { linearAxis } from "@evenkeel/report/axes";
import { signed } from "@evenkeel/report/format";
import type { Judge, Metric, WholeTask } from "./task.js";

/** Lengths of the lists that are judged; the measures of an example are recall and gain at each. */
const LENGTHS = [20, 5] as const;
const [LONG, SHORT] = LENGTHS;

const format = (value: number | null) => (value === null || !Number.isFinite(value) ? "–" : value.toFixed(3));

/** The mean of one of the measures. */
const mean = (name: string, at: number, article: string, of: string): Metric => ({
  name,
  title: `${name.charAt(0).toUpperCase()}${name.slice(1)}`,
  higherIsBetter: true,
  primary: true,
  suits: () => true,
  of({ outputs, count }) {
    const measures = outputs.length / count;
    let sum = 0;
    for (let row = 0; row < count; row++) sum += outputs[row * measures + at];
    return sum / count;
  },
  span: 1,
  resolution: () => 0,
  format,
  formatDifference: (value) => signed(value.toFixed(3)),
  brief: (value) => `${name} ${format(value)}`,
  formatTarget: String,
  phrase: (value) => `${article} ${name} of ${format(value)}`,
  goal: (value) => `${article} ${name} of ${value}`,
  guessed: "always recommending the most popular items",
  atGuessing: "no better than always recommending the most popular items",
  explanation: (heldOutCount) =>
    `${of}, averaged over ${heldOutCount.toLocaleString("en-US")} held-out users; 1 is perfect. What a user was seen to have is not recommended.`,
  // curves lie close together, far from 0
  axis: (values) =>
    values.length === 0 ? linearAxis(0, 1) : linearAxis(Math.min(...values), Math.max(...values)),
});

const recallAt = (length: number, at: number) =>
  mean(
    `recall@${length}`,
    at,
    "a",
    `Recall@${length} is the share of a user’s hidden items among the ${length} that are recommended (of ${length}, where more are hidden)`,
  );
const gainAt = (length: number, at: number) =>
  mean(
    `NDCG@${length}`,
    at,
    "an",
    `NDCG@${length} is how many hidden items are among the ${length} that are recommended, each the less the further down it stands (by 1 / log₂ of its place + 1), as a share of the most that it can be`,
  );

/** 1 / log₂(place + 1), summed over the first places. */
const DISCOUNTS = new Float64Array(LONG + 1);
for (let place = 1; place <= LONG; place++)
  DISCOUNTS[place] = DISCOUNTS[place - 1] + 1 / Math.log2(place + 1);

/**
 * Recall and gain of each length: x are the items that were seen, y the hidden ones, both from 1 and 0 where there are no
 * more. Items of equal scores are in any order alike: the measures are the mean over all orders.
 */
export function measuresOf(scores: Float32Array, x: Float32Array, y: Float32Array): number[] {
  const open = Float32Array.from(scores);
  for (const item of x) if (item > 0) open[item - 1] = Number.NEGATIVE_INFINITY;
  const first = firstOf(open);
  const last = first[LONG - 1];
  const tied = open.reduce((sum, score) => sum + Number(score === last), 0);
  const hidden = y.filter((item) => item > 0);
  const hits = LENGTHS.map(() => 0);
  const gains = LENGTHS.map(() => 0);
  for (const item of hidden) {
    const score = open[item - 1];
    if (!(score >= last)) continue;
    const before = first.findIndex((other) => !(other > score));
    const equal = score === last ? tied : first.filter((other) => other === score).length;
    for (const [at, length] of LENGTHS.entries()) {
      const within = Math.min(length, before + equal) - before;
      if (within <= 0) continue;
      hits[at] += within / equal;
      gains[at] += (DISCOUNTS[before + within] - DISCOUNTS[before]) / equal;
    }
  }
  return LENGTHS.flatMap((length, at) => {
    const most = Math.min(length, hidden.length);
    return [hits[at] / most, gains[at] / DISCOUNTS[most]];
  });
}

/** The highest scores in their order, −∞ where there are no more. */
function firstOf(scores: Float32Array): Float64Array {
  const first = new Float64Array(LONG).fill(Number.NEGATIVE_INFINITY);
  for (const score of scores) {
    if (!(score > first[LONG - 1])) continue;
    let at = LONG - 1;
    for (; at > 0 && score > first[at - 1]; at--) first[at] = first[at - 1];
    first[at] = score;
  }
  return first;
}

export const recommendation = {
  name: "recommendation",
  from: "interactions",
  metrics: [recallAt(LONG, 0), gainAt(LONG, 1), recallAt(SHORT, 2)],
  predicts: ([most]) => `up to ${most} hidden items of each user`,
  loss: (tf, outputs, y) => tf.losses.softmaxCrossEntropy(y, outputs),
  targets(x, y, { input, outputs: [items] }) {
    const [most] = input.shape;
    const users = x.length / most;
    const values = new Float32Array(users * items);
    const hidden = y.length / users;
    for (let user = 0; user < users; user++) {
      const own = [
        ...x.subarray(user * most, (user + 1) * most),
        ...y.subarray(user * hidden, (user + 1) * hidden),
      ].filter((item) => item > 0);
      for (const item of own) values[user * items + item - 1] = 1 / own.length;
    }
    return { values, shape: [items] };
  },
  judgeOf({ x, y }, { outputs: [items] }): Judge {
    const popularity = new Float32Array(items);
    for (const part of [x, y]) for (const item of part) if (item > 0) popularity[item - 1]++;
    return { measures: measuresOf, guesses: [{ name: "popularity", outputs: () => popularity }] };
  },
} as const satisfies WholeTask;
