/**
 * What a comparison measures: the shape of `comparison.json`, and all that the table and the report are made from.
 * Plain JSON throughout; a number that is not finite is `null`.
 */

/** A normalization as the command line names it (norms.ts): `layer`, `batch-renorm`, ..., or `none`. */
export type NormName = string;

/** One pass over the training data. */
export interface Epoch {
  /** Counted from 1. */
  epoch: number;
  /** Mean loss over the training batches of this epoch. */
  trainLoss: number | null;
  /** Loss on the held-out data, in evaluation mode, after this epoch. */
  heldOutLoss: number | null;
  /** The comparison's metric on the held-out data after this epoch. */
  metric: number | null;
}

/** A look into the network at one moment of its training; arrays run over the depth, first hidden layer first. */
export interface Probe {
  /** Optimizer steps taken before this look. */
  step: number;
  /** Euclidean norm of the loss gradient with respect to each layer's kernel. */
  gradientNorm: (number | null)[];
  /** Mean over batch and features of each block's output. */
  activationMean: (number | null)[];
  /** Standard deviation over batch and features of each block's output. */
  activationSpread: (number | null)[];
}

/** One network trained from one seed. */
export interface Trial {
  norm: NormName;
  seed: number;
  /** `diverged`: the loss stopped being finite; the trial ends there and keeps what came before. */
  outcome: "finished" | "diverged";
  parameters: number;
  epochs: Epoch[];
  probes: Probe[];
  /** Median wall time of one optimizer step (forward, backward, update) of the second half, in milliseconds. */
  stepMs: number;
  /** The first epoch whose metric reached the comparison's target, or null. */
  epochsToTarget: number | null;
}

/** Median and range over the seeds of one normalization; null where no trial gave a number. */
export interface Spread {
  median: number | null;
  min: number | null;
  max: number | null;
}

/** One row of the table. */
export interface Summary {
  norm: NormName;
  /** Trials finished, and those of them that diverged. */
  trials: number;
  diverged: number;
  /** Metric on the held-out data after the last epoch. */
  metric: Spread;
  /** Over the trials that reached the target; `reached` says how many did. */
  epochsToTarget: Spread & { reached: number };
  stepMs: Spread;
  /** Gradient norm of the first layer over that of the last one: median over each trial's probes. 1 = even; near 0 = vanishing. */
  gradientRatio: Spread;
}

export interface Comparison {
  /** Version of Evenkeel that made this. */
  evenkeel: string;
  /** ISO 8601. */
  date: string;
  /** The command that makes it again. */
  command: string;
  machine: { processor: string; cores: number; node: string; backend: string };
  data: {
    name: string;
    provenance: string;
    task: "classification" | "regression";
    target: string;
    inputShape: number[];
    classes: string[];
    trainCount: number;
    heldOutCount: number;
    /** The metric of guessing: the share of the held-out data's most frequent class, or an R² of 0. */
    baseline: number;
    /** What was left out of the data, one sentence each. */
    notes: string[];
  };
  /** `accuracy` (share of right answers, 0 to 1) or `R²` (1 = perfect, 0 = no better than the mean). */
  metric: "accuracy" | "R²";
  /** The metric's value that counts as reached; null where nothing got beyond guessing, and none was named. */
  targetMetric: number | null;
  model: { kind: "mlp" | "cnn"; depth: number; width: number; activation: string };
  training: { epochs: number; batchSize: number; learningRate: number; optimizer: string; seeds: number[] };
  /** True where the user stopped it: the trials are those that had finished. */
  interrupted: boolean;
  wallSeconds: number;
  /** In the order that the user named them. */
  summaries: Summary[];
  trials: Trial[];
}

/** Up to here a metric is what a network that learnt nothing would give, as far as this much held-out data can tell. */
export function guessingLevel(metric: Comparison["metric"], baseline: number, heldOutCount: number): number {
  if (metric === "R²") return 0.01;
  return baseline + 2 * Math.sqrt((baseline * (1 - baseline)) / Math.max(1, heldOutCount));
}

/** Median and range of those values that are numbers. */
export function spreadOf(values: readonly (number | null | undefined)[]): Spread {
  const sorted = values.filter((value) => typeof value === "number" && Number.isFinite(value)) as number[];
  if (sorted.length === 0) return { median: null, min: null, max: null };
  sorted.sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), min: sorted[0], max: sorted[sorted.length - 1] };
}

/** Value at the given share (0 to 1) of sorted numbers, interpolated. */
export function quantile(sorted: readonly number[], share: number): number {
  const position = share * (sorted.length - 1);
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  return below + (above - below) * (position % 1);
}
