/** A kind of question that a network answers: how its target is read, its loss, and the metrics it is judged by. */
import type { Axis } from "@evenkeel/report/axes";
import type * as TensorFlow from "@tensorflow/tfjs-core";
import type { Column } from "../data/table.js";

/** The column to predict, and the rows that have a value of it. */
export interface Target {
  column: Column;
  rows: readonly number[];
}

/** What rows are stratified by when they are split. */
export interface Classes {
  /** In the order of their indices; empty where the target has no classes. */
  names: string[];
  /** [rowCount]: the class index of each row; 0 where the target has no classes. */
  of: Int32Array;
}

export interface Task {
  /** As `--task` and comparison.json have it. */
  name: string;
  /** All that it measures; the first that suits the target is what networks are compared by, where the user does not say. */
  metrics: readonly Metric[];
  /** Whether such a target asks for this task, where the user does not say. */
  suits(target: Target): boolean;
  /** The classes of a target; throws UsageError where this task cannot be learnt from it. */
  classesOf(target: Target): Classes;
  /** y [rowCount]: the class index, or the number centred and scaled so that float32 keeps its digits; `scale` is what 1 of y amounts to in units of the target. */
  encode(target: Target, classes: Classes): { y: Float64Array; scale: number };
  /** What is predicted: "10 classes". */
  predicts(classes: readonly string[]): string;
  /** Whether y is standardized by the training part. */
  standardized: boolean;
  /** Outputs of the network's last layer. */
  outputs(classes: readonly string[]): number;
  /** Mean loss of a batch: outputs [batch, outputs], y [batch]. */
  loss(
    tf: typeof TensorFlow,
    outputs: TensorFlow.Tensor,
    y: TensorFlow.Tensor1D,
    classes: readonly string[],
  ): TensorFlow.Scalar;
  /** Examples [true class][answer], where the task has classes. */
  confusionOf?(scored: Scored): number[][];
}

/** What a network gave for some examples. */
export interface Scored {
  /** [count, outputs] */
  outputs: Float32Array;
  /** [count]: class indices, or the standardized target */
  y: Float32Array;
  /** The mean of the task's loss. */
  loss: number;
  /** What 1 of y amounts to, in units of the target; 1 for classes. */
  scale: number;
}

/** Something that a network is judged by, and how it is shown. */
export interface Metric {
  /** As comparison.json, `--metric` and the terminal have it. */
  name: string;
  /** At the start of a heading. */
  title: string;
  higherIsBetter: boolean;
  /** Whether networks may be compared by it (`--metric`); the others are shown beside it. These are all "higher is better", and 1 at most. */
  primary: boolean;
  /** Whether it fits a target of such class sizes (none where the task has no classes) better than those after it. */
  suits(sizes: readonly number[]): boolean;
  of(scored: Scored): number;
  /** What guessing scores: y [count], the number of classes, and `scale` as `Scored` has it. */
  guess(y: Float32Array, classes: number, scale: number): number;
  /** The most that a network that learnt nothing may score, as far as so few examples can tell; arguments as of `guess`. */
  guessing(y: Float32Array, classes: number, scale: number): number;
  /** The most that two values can differ by; Infinity where there is no bound. */
  span: number;
  /** The step between two values that it can take on this many examples; 0 where it is continuous. */
  resolution(heldOutCount: number): number;
  /** In a table; an en dash for null. */
  format(value: number | null): string;
  /** A difference of two values, signed, as it follows "higher by": "1.2 points". */
  formatDifference(value: number): string;
  /** Where there is little room: as short as it can be understood. */
  brief(value: number | null): string;
  /** A target as the user gave it, without padding. */
  formatTarget(value: number): string;
  /** In a sentence: the number alone may not say what it is of. */
  phrase(value: number | null): string;
  /** A target in a sentence. */
  goal(value: number): string;
  /** What it is to guess: "always answering the commonest class". */
  guessed: string;
  /** What a score at the level of guessing amounts to. */
  atGuessing: string;
  /** One sentence for the report. */
  explanation(heldOutCount: number): string;
  axis(values: number[]): Axis;
}
