/**
 * What a comparison measures: the shape of `comparison.json`, from which the table and the report are made. Plain JSON
 * throughout; a number that is not finite is `null`.
 */
import type { Range } from "@evenkeel/report/statistics";
import type { ModelSettings } from "./models/model.js";
import type { ModelName } from "./models/registry.js";
import type { NormName } from "./norms.js";
import { metricNamed, type TaskName } from "./tasks/registry.js";
import type { Metric } from "./tasks/task.js";

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

/** The state of the network at one step of its training; arrays run over the depth, first hidden layer first. */
export interface Probe {
  /** Optimizer steps taken before this probe. */
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
  /** `diverged`: the loss stopped being finite; the trial ends there, with what came before. */
  outcome: "finished" | "diverged";
  parameters: number;
  epochs: Epoch[];
  probes: Probe[];
  /** Median wall time of one optimizer step (forward, backward, update) of the second half, in milliseconds. */
  stepMs: number;
  /** The first epoch whose metric reached the comparison's target, or null. */
  epochsToTarget: number | null;
}

/** One row of the table. */
export interface Summary {
  norm: NormName;
  /** Trials finished, and those of them that diverged. */
  trials: number;
  diverged: number;
  /** Metric on the held-out data after the last epoch. */
  metric: Range;
  /** Over the trials that reached the target; `reached` says how many did. */
  epochsToTarget: Range & { reached: number };
  stepMs: Range;
  /** Gradient norm of the first layer over that of the last one: median over each trial's probes. 1 = even; near 0 = vanishing. */
  gradientRatio: Range;
}

export interface Comparison {
  /** Version of Evenkeel that made this. */
  evenkeel: string;
  /** ISO 8601. */
  date: string;
  /** The command that reproduces it. */
  command: string;
  machine: { processor: string; cores: number; node: string; backend: string };
  data: {
    name: string;
    provenance: string;
    task: TaskName;
    target: string;
    inputShape: number[];
    classes: string[];
    trainCount: number;
    heldOutCount: number;
    /** The metric of guessing. */
    baseline: number;
    /** What was left out of the data, one sentence each. */
    notes: string[];
  };
  /** The name of the task's metric: `accuracy` (share of right answers, 0 to 1) or `R²` (1 = perfect, 0 = no better than the mean). */
  metric: string;
  /** The value of the metric that counts as reached; null where nothing got beyond guessing, and none was given. */
  targetMetric: number | null;
  model: ModelSettings<ModelName>;
  training: { epochs: number; batchSize: number; learningRate: number; optimizer: string; seeds: number[] };
  /** True where the user stopped it: the trials are those that had finished. */
  interrupted: boolean;
  wallSeconds: number;
  /** In the order that the user named them. */
  summaries: Summary[];
  trials: Trial[];
}

export const trialsOf = (comparison: Comparison, norm: NormName): Trial[] =>
  comparison.trials.filter((trial) => trial.norm === norm);

export const normsOf = (comparison: Comparison): NormName[] => comparison.summaries.map(({ norm }) => norm);

export const metricOf = (comparison: Comparison): Metric => metricNamed(comparison.metric);

/** The target as the user gave it, without padding: "90 %", "0.8". */
export const formatTarget = (comparison: Comparison): string =>
  comparison.targetMetric === null ? "target" : metricOf(comparison).formatTarget(comparison.targetMetric);

export const formatEpochs = (epochs: number | null): string =>
  epochs === null ? "–" : Number.isInteger(epochs) ? String(epochs) : epochs.toFixed(1);
