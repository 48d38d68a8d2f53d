/**
 * What is predicted of a stream's records and learned from them, in blocks of `batchSize`: each record is predicted by the network as
 * it was before its block, in the scale of the targets before it, beside those who only guess.
 */
import type { Contender, Errors } from "./history.js";
import { Learner } from "./learner.js";
import { type Lists, partOf, within } from "./lists.js";
import { MovingMoments } from "./moving-moments.js";
import { ErrorSums } from "./prequential.js";
import { isCompared, type Learned, type OnlineSettings, PLAIN } from "./settings.js";

/** Who predicts; of classes the most frequent one stands for the mean. */
export const contendersOf = (settings: OnlineSettings, { kind }: Learned): Contender[] => [
  "network",
  ...(isCompared(settings) ? (["plain"] as const) : []),
  kind === "number" ? "mean" : "majority",
  "last",
];

/** The predictions of some records. */
export interface Predicted {
  /** [records] of each network. */
  networks: Float64Array[];
  /** Of classes, of the first network: [records · classes]. */
  chances: Float64Array;
}

export class Prediction {
  private readonly learners: Learner[];
  private readonly outputs: number;
  private readonly target: MovingMoments;
  /** Of each class, its records so far, those long ago for less where the stream forgets. */
  private readonly classCounts: Float64Array;
  private last = Number.NaN;
  // the block that is being filled: standardized inputs, NaN missing, and targets, NaN not known
  private filled = 0;
  private readonly inputs: Float32Array;
  private readonly targets: Float64Array;
  private readonly faded: ErrorSums;
  private readonly all: ErrorSums;

  constructor(
    private readonly settings: OnlineSettings,
    private readonly learned: Learned,
    lists?: Lists,
  ) {
    const { columns, batchSize, norm, forgetting, fading } = settings;
    const classes = learned.classes?.length ?? 0;
    this.outputs = Math.max(1, classes);
    const norms = isCompared(settings) ? [norm, PLAIN] : [norm];
    this.learners = norms.map(
      (each, i) => new Learner(settings, learned, each, lists && partOf(`learner ${i}`, lists)),
    );
    try {
      if (lists === undefined) this.learners[0].checkAlone();
    } catch (error) {
      this.dispose();
      throw error;
    }
    this.target = new MovingMoments(1, forgetting, lists && partOf("target", lists));
    this.classCounts = Float64Array.from(lists?.classes ?? new Float64Array(classes));
    this.inputs = Float32Array.from(lists?.inputs ?? new Float32Array(batchSize * columns.length));
    this.targets = Float64Array.from(lists?.targets ?? new Float64Array(batchSize));
    if (lists) [this.last, this.filled] = lists.state;
    const contenders = contendersOf(settings, learned);
    this.faded = new ErrorSums(contenders, learned.kind, fading, lists?.faded);
    this.all = new ErrorSums(contenders, learned.kind, 1, lists?.all);
  }

  /** Records that the block has room for, at least 1. */
  get room(): number {
    return this.settings.batchSize - this.filled;
  }

  get errors(): Errors[] {
    return this.faded.errors();
  }

  get overall(): Errors[] {
    return this.all.errors();
  }

  /**
   * Predicts records that the block has room for: standardized, float64 [records, columns], targets [records]. `judged` is told of each
   * record whose target is known the predictions of all contenders; afterwards, where the block is full, it is learned from, and the answer has
   * which networks had to begin anew.
   */
  push(
    standardized: Float64Array,
    targets: Float64Array,
    judged: (record: number, predictions: readonly number[], target: number) => void,
  ): Predicted & { diverged: number[] } {
    const { settings, learned, learners, outputs, inputs, target } = this;
    const columns = settings.columns.length;
    const start = this.filled;
    const count = targets.length;
    inputs.set(standardized, start * columns);
    this.targets.set(targets, start);
    this.filled += count;
    const given = learners.map((learner) =>
      learner.predict(inputs).subarray(start * outputs, (start + count) * outputs),
    );
    const networks = given.map(() => new Float64Array(count));
    const isNumber = learned.kind === "number";
    for (let i = 0; i < count; i++) {
      for (const [which, list] of given.entries()) {
        networks[which][i] = isNumber
          ? bounded(list[i]) * target.scaleOf(0) + target.meanOf(0)
          : indexOfLargest(list.subarray(i * outputs, (i + 1) * outputs));
      }
      const came = targets[i];
      if (!Number.isNaN(this.last) && !Number.isNaN(came)) {
        const guess = isNumber ? target.meanOf(0) : indexOfLargest(this.classCounts);
        const predictions = [...networks.map((list) => list[i]), guess, this.last];
        this.faded.add(predictions, came);
        this.all.add(predictions, came);
        judged(i, predictions, came);
      }
      this.see(came);
    }
    const chances = isNumber ? new Float64Array() : chancesOf(given[0], outputs);
    return { networks, chances, diverged: this.room === 0 ? this.learn() : [] };
  }

  private see(came: number): void {
    const { learned, settings, target, classCounts } = this;
    if (learned.kind === "number") target.add(0, came);
    else if (!Number.isNaN(came)) {
      for (let c = 0; c < classCounts.length; c++) classCounts[c] *= settings.forgetting;
      classCounts[came]++;
    }
    if (!Number.isNaN(came)) this.last = came;
  }

  /** From the block's records whose target is known. */
  private learn(): number[] {
    const { settings, learned, inputs, targets, target } = this;
    const columns = settings.columns.length;
    this.filled = 0;
    const known = [...targets.keys()].filter((i) => !Number.isNaN(targets[i]));
    const x = new Float32Array(known.length * columns);
    for (const [row, i] of known.entries()) {
      x.set(inputs.subarray(i * columns, (i + 1) * columns), row * columns);
    }
    const y = Float32Array.from(known, (i) =>
      learned.kind === "number" ? bounded(target.standardized(0, targets[i])) : targets[i],
    );
    inputs.fill(0);
    targets.fill(0);
    if (known.length === 0) return [];
    return this.learners.flatMap((learner, which) => (learner.learn(x, y) ? [] : [which]));
  }

  get lists(): Lists {
    const { learners, target, classCounts, inputs, targets, filled, last, faded, all } = this;
    return {
      state: Float64Array.of(last, filled),
      inputs,
      targets,
      classes: classCounts,
      faded: faded.list,
      all: all.list,
      ...within("target", target.lists),
      ...Object.assign({}, ...learners.map((learner, i) => within(`learner ${i}`, learner.lists))),
    };
  }

  dispose(): void {
    for (const learner of this.learners) learner.dispose();
  }
}

/** Standardized targets are no farther out than this, nor are predictions. */
const FARTHEST = 10;
const bounded = (value: number): number => Math.max(-FARTHEST, Math.min(FARTHEST, value));

/** The first of the largest. */
function indexOfLargest(values: ArrayLike<number>): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[at]) at = i;
  return at;
}

/** Softmax of each row. */
function chancesOf(logits: Float32Array, classes: number): Float64Array {
  const chances = new Float64Array(logits.length);
  for (let at = 0; at < logits.length; at += classes) {
    const row = logits.subarray(at, at + classes);
    const largest = Math.max(...row);
    const exps = Array.from(row, (value) => Math.exp(value - largest));
    const sum = exps.reduce((a, b) => a + b);
    chances.set(
      exps.map((value) => value / sum),
      at,
    );
  }
  return chances;
}
