/**
 * What a comparison measures: the shape of `comparison.json`, from which the table and the report are made. Plain JSON
 * throughout; a number that is not finite is `null`.
 */
import type { Range } from "@evenkeel/report/statistics";
import type { Difference } from "./claims.js";
import type { Form } from "./data/form.js";
import type { Decision } from "./data/table.js";
import type { Input } from "./datasets/dataset.js";
import type { ModelSettings } from "./models/model.js";
import type { NormName } from "./norms.js";
import type { OptimizerName, SweepSetting } from "./settings.js";
import { metricNamed, type TaskName } from "./tasks/registry.js";
import type { Metric } from "./tasks/task.js";

export const finite = (value: number | undefined): number | null =>
  value !== undefined && Number.isFinite(value) ? value : null;

/** Of trials and comparisons as they are written: raised where what they hold changes. */
export const FORMAT = 4;

/** One pass over the training part. */
export interface Epoch {
  /** Counted from 1. */
  epoch: number;
  /** Mean loss over the training batches of this epoch. */
  trainLoss: number | null;
  /** Loss on the held-out part, in evaluation mode, after this epoch. */
  heldOutLoss: number | null;
  /** The comparison's metric on the held-out part after this epoch. */
  metric: number | null;
  /** Wall time spent in training steps up to here, in seconds; without evaluation. */
  seconds: number;
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

/** Every metric of the task by its name. */
export type Scores = Record<string, number | null>;

/** A way of guessing. */
export interface Guess {
  name: string;
  scores: Scores;
}

/** A held-out example of series, standardized, a step in each place; null for what is not finite. */
export interface Sample {
  /** Some of the series, by their places among the inputs. */
  series: {
    at: number;
    /** The last steps that the network sees, and those that follow. */
    before: number[];
    truth: number[];
    forecast: (number | null)[];
    /** For each of the trial's guesses. */
    guesses: (number | null)[][];
  }[];
}

/** A trained network, and how its examples were standardized. */
export interface SavedNetwork {
  /** As TensorFlow.js writes a layers model. */
  topology: object;
  weightSpecs: object[];
  /** In base64. */
  weights: string;
  /** (x − mean) · factor, each [inputs] or [channels]; what is missing is 0. */
  inputs: { mean: number[]; factor: number[] };
  /** y is (target − mean) · factor; `scale` is what 1 of y amounts to in units of the target. */
  target: { mean: number; factor: number; scale: number };
}

/** One network trained from one seed, which also draws its training, validation and held-out part. */
export interface Trial {
  norm: NormName;
  seed: number;
  /** `diverged`: the loss stopped being finite; the trial ends there, with what came before. */
  outcome: "finished" | "diverged";
  parameters: number;
  /** The one that it was trained with. */
  learningRate: number;
  /** Where several were tried: each with the metric (null also where so few examples have none) and the loss (null: diverged) on the validation part after the first epochs. */
  tried: { learningRate: number; metric: number | null; loss: number | null }[];
  epochs: Epoch[];
  probes: Probe[];
  /** After the last epoch, on each part (of the training part at most as many examples as are held out). */
  scores: { train: Scores; validation: Scores; heldOut: Scores };
  /** What guessing scores on this trial's held-out part; where there are several ways, the best of them. */
  guess: Scores;
  /** What each way of guessing scores, where it has a name. */
  guesses: Guess[];
  /** The best that a network that learnt nothing may score there. */
  guessing: Scores;
  /** Of series, what it forecasts for the held-out example in the middle; where it did not diverge. */
  sample?: Sample;
  /** [true class][predicted class]: held-out examples; null where the task has no classes, or too many to show. */
  confusion: number[][] | null;
  /** Median wall time of one optimizer step (forward, backward, update) of the second half, in milliseconds. */
  stepMs: number;
  /** The first epoch whose metric reached the comparison's target, or null. */
  epochsToTarget: number | null;
  /** Where it was to be kept; not in comparison.json. */
  network?: SavedNetwork;
}

/** One row of the table. */
export interface Summary {
  norm: NormName;
  /** Trials finished, and those of them that diverged. */
  trials: number;
  diverged: number;
  parameters: number | null;
  /** That the trials were trained with: the median, and the range. */
  learningRate: Range;
  /** The comparison's metric on the held-out part, and on the training part, after the last epoch. */
  metric: Range;
  trainMetric: Range;
  /** Every metric on the held-out part: the median over the trials. */
  scores: Scores;
  /** Over the trials that reached the target; `reached` says how many did. */
  epochsToTarget: Range & { reached: number };
  stepMs: Range;
  /** Gradient norm of the first layer over that of the last one: median over each trial's probes. 1 = even; near 0 = vanishing. */
  gradientRatio: Range;
}

/** Held-out metric against one setting, for every normalization. */
export interface Sweep {
  setting: SweepSetting;
  /** In ascending order of `value`. */
  points: { value: number; trials: Trial[] }[];
}

export interface Comparison {
  /** `FORMAT` */
  format: number;
  /** Version of Evenkeel that made this. */
  evenkeel: string;
  /** ISO 8601. */
  date: string;
  /** The command that reproduces it from any folder, and the one that goes on with it. */
  command: string;
  machine: { processor: string; cores: number; runtime: string; backend: string };
  data: {
    name: string;
    provenance: string;
    /** SHA-256 of what the networks see, in hex. */
    digest: string;
    task: TaskName;
    target: string;
    /** What each input was made from. */
    inputs: Input[];
    form: Form;
    /** Of one example's target: [] for a class or a number. */
    targetShape: number[];
    /** Steps of a season of a series; null where there is none. */
    season: number | null;
    classes: string[];
    /** Examples of each class. */
    classCounts: number[];
    /** Rows of the file, and examples that were used. */
    fileRows: number;
    examples: number;
    /** Sizes of the parts that each seed draws. */
    parts: { train: number; validation: number; heldOut: number };
    /** How the parts are drawn, as it follows "Each seed ": "draws its own parts at random, …". */
    drawn: string;
    /** What was decided about the file and its columns. */
    decisions: Decision[];
    /** What may make the numbers too good (leaks), one sentence each. */
    warnings: string[];
  };
  /** The name of the metric that the networks are compared by. */
  metric: string;
  /** What guessing scores: the mean over the trials; where there are several ways, the best of them. */
  guess: Scores;
  /** What each way of guessing scores, where there are several or it has a name: the naive forecast, popularity. */
  guesses: Guess[];
  /** The value of the metric that counts as reached; null where nothing got beyond guessing, and none was given. */
  targetMetric: number | null;
  model: ModelSettings;
  training: {
    epochs: number;
    batchSize: number;
    /** Those that each trial tries; a single one is not tried but used. */
    learningRates: number[];
    optimizer: OptimizerName;
    /** Share of the steps over which the learning rate rises. */
    warmUp: number;
    seeds: number[];
  };
  /** The normalization that the others are compared with. */
  baseline: NormName;
  /**
   * Of the metric and of the epochs to the target (one more than there were, where a trial did not reach it), a row for
   * each norm but the baseline; empty for a single norm.
   */
  differences: { metric: Difference[]; epochsToTarget: Difference[] };
  /** True where the user stopped it: the trials are those that had finished. */
  interrupted: boolean;
  wallSeconds: number;
  /** In the order that the user named them. */
  summaries: Summary[];
  trials: Trial[];
  sweep: Sweep | null;
}

export const trialsOf = (comparison: Comparison, norm: NormName): Trial[] =>
  comparison.trials.filter((trial) => trial.norm === norm);

export const normsOf = (comparison: Comparison): NormName[] => comparison.summaries.map(({ norm }) => norm);

export const metricOf = ({ data, metric }: Comparison): Metric => metricNamed(data.task, metric);

/** The target as the user gave it, without padding: "90 %", "0.8". */
export const formatTarget = (comparison: Comparison): string =>
  comparison.targetMetric === null ? "target" : metricOf(comparison).formatTarget(comparison.targetMetric);

export const formatEpochs = (epochs: number | null): string =>
  epochs === null ? "–" : Number.isInteger(epochs) ? String(epochs) : epochs.toFixed(1);
