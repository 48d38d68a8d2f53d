/** Which of several classes: softmax cross-entropy; judged by accuracy, or by balanced accuracy where the classes are uneven. */
import { linearAxis } from "@evenkeel/report/axes";
import { count, minus, quote, signed } from "@evenkeel/report/format";
import type { Tensor1D } from "@tensorflow/tfjs-core";
import { byLevel } from "../data/levels.js";
import { UsageError } from "../errors.js";
import { checkVaries } from "./target.js";
import type { Metric, Scored, TargetTask } from "./task.js";

/** Integers of more distinct values than this, or larger ones, are a quantity, unless the user says otherwise. */
const MOST_CLASSES_OF_NUMBERS = 20;
const LARGEST_CODE = 1000;
/** The most frequent class over the rarest one, from which on classes are uneven. */
const UNEVEN = 2;

const percentage = (value: number) => `${Number((100 * value).toPrecision(6))}\u00a0%`;
const percent = (value: number | null) =>
  value === null || !Number.isFinite(value)
    ? "–"
    : `${value === 1 ? "100" : (100 * value).toFixed(1)}\u00a0%`;
const decimals = (value: number | null) =>
  value === null || !Number.isFinite(value) ? "–" : minus(value.toFixed(3));

/** Standard errors above guessing up to which a score may be luck. */
const LUCK = 2;

/** The standard error of a share of `count` examples. */
const errorOf = (share: number, count: number) => Math.sqrt((share * (1 - share)) / count);

/** Calls `visit` with the class of each example and the one that the network gives it, the first of equals. */
function eachAnswer({ outputs, y }: Scored, visit: (is: number, answer: number) => void): void {
  const classes = outputs.length / y.length;
  for (let row = 0; row < y.length; row++) {
    let best = 0;
    for (let index = 1; index < classes; index++) {
      if (outputs[row * classes + index] > outputs[row * classes + best]) best = index;
    }
    visit(y[row], best);
  }
}

const shares = {
  span: 1,
  higherIsBetter: true,
  primary: true,
  format: percent,
  formatDifference: (value) => `${signed((100 * value).toFixed(1))} points`,
  brief: percent,
  formatTarget: percentage,
  phrase: percent,
  goal: percentage,
  resolution: (heldOutCount) => 1 / Math.max(1, heldOutCount),
  guessed: "always answering the most frequent class",
  atGuessing: "the level of guessing",
  axis(values) {
    const min = Math.min(1, ...values);
    return {
      ...linearAxis(min >= 0.5 ? Math.min(0.9, Math.floor(min * 10) / 10) : 0, 1),
      format: percentage,
    };
  },
} satisfies Partial<Metric>;

const accuracy: Metric = {
  ...shares,
  name: "accuracy",
  title: "Accuracy",
  suits: (sizes) => Math.max(...sizes) <= UNEVEN * Math.min(...sizes),
  of(scored) {
    let right = 0;
    eachAnswer(scored, (is, answer) => {
      if (is === answer) right++;
    });
    return right / scored.y.length;
  },
  guess: (y, classes) => Math.max(...sizesOf(y, classes)) / y.length,
  guessing(y, classes) {
    const share = Math.max(...sizesOf(y, classes)) / y.length;
    return share + LUCK * errorOf(share, y.length);
  },
  explanation: (heldOutCount) =>
    `Accuracy is the share of the ${heldOutCount.toLocaleString("en-US")} held-out examples that the network gets right.`,
};

const balancedAccuracy: Metric = {
  ...shares,
  name: "balanced accuracy",
  title: "Balanced accuracy",
  suits: () => true,
  of(scored) {
    const classes = scored.outputs.length / scored.y.length;
    const right = new Array<number>(classes).fill(0);
    eachAnswer(scored, (is, answer) => {
      if (is === answer) right[is]++;
    });
    const recalls = sizesOf(scored.y, classes).flatMap((size, index) =>
      size > 0 ? right[index] / size : [],
    );
    return recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length;
  },
  guess: (y, classes) => 1 / presentOf(y, classes).length,
  // each class has a recall of its own, and a rare one an uncertain one
  guessing(y, classes) {
    const sizes = presentOf(y, classes);
    const share = 1 / sizes.length;
    return share + LUCK * share * Math.hypot(...sizes.map((size) => errorOf(share, size)));
  },
  brief: (value) => `balanced ${percent(value)}`,
  phrase: (value) => `a balanced accuracy of ${percent(value)}`,
  goal: (value) => `a balanced accuracy of ${percentage(value)}`,
  explanation: (heldOutCount) =>
    `Balanced accuracy is the share that the network gets right of each class, averaged over the classes: each counts as much, however few of the ${heldOutCount.toLocaleString("en-US")} held-out examples are of it.`,
};

const auc: Metric = {
  ...shares,
  name: "AUC",
  title: "AUC",
  suits: () => true,
  of(scored) {
    const { outputs, y } = scored;
    const classes = outputs.length / y.length;
    const areas = sizesOf(y, classes).flatMap((size, index) =>
      size > 0 && size < y.length ? areaOf(scored, index, size) : [],
    );
    return areas.length === 0 ? Number.NaN : areas.reduce((sum, area) => sum + area, 0) / areas.length;
  },
  guess: () => 0.5,
  // the standard error of a rank sum; those of the classes are nearly one, as one class ranked high is another ranked low
  guessing(y, classes) {
    const errors = presentOf(y, classes).map((size) =>
      Math.sqrt((y.length + 1) / (12 * size * Math.max(1, y.length - size))),
    );
    return 0.5 + (LUCK * errors.reduce((sum, error) => sum + error, 0)) / errors.length;
  },
  format: decimals,
  formatDifference: (value) => signed(value.toFixed(3)),
  brief: (value) => `AUC ${decimals(value)}`,
  formatTarget: String,
  phrase: (value) => `an AUC of ${decimals(value)}`,
  goal: (value) => `an AUC of ${value}`,
  guessed: "ranking at random",
  atGuessing: "no better than ranking at random",
  explanation: () =>
    "AUC is the chance that an example of a class gets a higher score for it than one of another class, averaged over the classes: 1 is perfect, 0.5 random.",
  axis(values) {
    return linearAxis(Math.min(0.5, ...values), 1);
  },
};

const logLoss: Metric = {
  ...auc,
  name: "log loss",
  span: Infinity,
  title: "Log loss",
  higherIsBetter: false,
  primary: false,
  // the task's loss is the cross-entropy
  of: ({ loss }) => loss,
  guess: entropyOf,
  guessing: entropyOf,
  resolution: () => 0,
  brief: (value) => `log loss ${decimals(value)}`,
  phrase: (value) => `a log loss of ${decimals(value)}`,
  goal: (value) => `a log loss of ${value}`,
  guessed: "always giving the classes’ shares",
  atGuessing: "no better than giving the classes’ shares",
  explanation: () => "Log loss is the mean cross-entropy in nats: 0 is perfect and certain.",
  axis: (values) => linearAxis(0, Math.max(0, ...values)),
};

/** Examples of each class. */
function sizesOf(y: ArrayLike<number>, classes: number): number[] {
  const sizes = new Array<number>(classes).fill(0);
  for (let row = 0; row < y.length; row++) sizes[y[row]]++;
  return sizes;
}

/** The sizes of the classes that there are among the examples. */
const presentOf = (y: ArrayLike<number>, classes: number): number[] =>
  sizesOf(y, classes).filter((size) => size > 0);

/** What giving the classes’ shares costs, in nats. */
function entropyOf(y: ArrayLike<number>, classes: number): number {
  return presentOf(y, classes).reduce((sum, size) => sum - (size / y.length) * Math.log(size / y.length), 0);
}

/** The area under the curve of one class of this size against all others: the rank sum, equals sharing their ranks (Hanley & McNeil 1982). */
function areaOf({ outputs, y }: Scored, index: number, size: number): number {
  const classes = outputs.length / y.length;
  // the probability of the class: its logit against the others'
  const scores = Float64Array.from(y, (_, row) => {
    const own = outputs[row * classes + index];
    let others = 0;
    for (let other = 0; other < classes; other++) {
      if (other !== index) others += Math.exp(outputs[row * classes + other] - own);
    }
    return -others;
  });
  if (scores.some(Number.isNaN)) return Number.NaN;
  const order = Uint32Array.from(y, (_, row) => row).sort((a, b) => scores[a] - scores[b]);
  let ranks = 0;
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && scores[order[to]] === scores[order[from]]) to++;
    const rank = (from + 1 + to) / 2;
    for (let at = from; at < to; at++) if (y[order[at]] === index) ranks += rank;
    from = to;
  }
  return (ranks - (size * (size + 1)) / 2) / (size * (y.length - size));
}

export const classification = {
  name: "classification",
  from: "target",
  metrics: [accuracy, balancedAccuracy, auc, logLoss],
  suits({ column: { kind, values }, rows }) {
    if (kind !== "number") return kind === "text";
    const distinct = new Set<unknown>();
    for (const row of rows) {
      const value = values[row];
      if (!Number.isInteger(value) || Math.abs(value as number) > LARGEST_CODE) return false;
      if (distinct.add(value).size > MOST_CLASSES_OF_NUMBERS) return false;
    }
    return true;
  },
  classesOf({ column, rows }) {
    const { name, values, levels } = column;
    checkVaries(column, rows);
    const found = new Set(rows.map((row) => String(values[row])));
    const names = levels?.filter((level) => found.has(level)) ?? [...found].sort(byLevel);
    const indexOf = new Map(names.map((level, index) => [level, index]));
    const of = new Int32Array(values.length);
    for (const row of rows) {
      const index = indexOf.get(String(values[row]));
      if (index === undefined) {
        throw new UsageError(
          `target "${name}": ${quote(String(values[row]))} is none of its declared levels; declare it`,
        );
      }
      of[row] = index;
    }
    return { names, of };
  },
  encode: (_target, classes) => ({ y: Float64Array.from(classes.of), scale: 1, center: 0 }),
  predicts: (classes) => count(classes.length, "class", "classes"),
  standardized: false,
  answers: ({ column, classes }) => ({
    columns: [column, ...classes.map((name) => `${column}=${name}`)],
    of(outputs) {
      const most = Math.max(...outputs);
      const shares = outputs.map((output) => Math.exp(output - most));
      const sum = shares.reduce((a, b) => a + b, 0);
      if (!Number.isFinite(sum)) return [null, ...classes.map(() => null)];
      return [classes[outputs.indexOf(most)], ...Array.from(shares, (share) => share / sum)];
    },
  }),
  outputs: (classes) => classes.length,
  loss: (tf, outputs, y, { outputs: [classes] }) =>
    tf.losses.softmaxCrossEntropy(tf.oneHot(tf.cast(y as Tensor1D, "int32"), classes), outputs),
  confusionOf(scored) {
    const classes = scored.outputs.length / scored.y.length;
    const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
    eachAnswer(scored, (is, answer) => {
      counts[is][answer]++;
    });
    return counts;
  },
} as const satisfies TargetTask;
