/** A kind of question that a network answers: how its target is read, its loss, and the metric it is judged by. */
import type { Axis } from "@evenkeel/report/axes";
import type * as TensorFlow from "@tensorflow/tfjs-core";
import type { Column } from "../data/column.js";

/** The column to predict, and the rows that have a value of it. */
export interface Target {
  column: Column;
  /** The values are names: text, or numbers that the user declared categorical. */
  named: boolean;
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
  metric: Metric;
  /** Whether such a target asks for this task, where the user does not say. Throws UsageError for values that no task can read. */
  suits(target: Target): boolean;
  /** The classes of a target; throws UsageError where this task cannot be learnt from it. */
  classesOf(target: Target): Classes;
  /** y [rowCount] of the rows of the split, whatever is learnt from the data being learnt from `train` alone. */
  encode(
    target: Target,
    classes: Classes,
    train: readonly number[],
    heldOut: readonly number[],
  ): Float64Array;
  /** What is predicted: "10 classes". */
  predicts(classes: readonly string[]): string;
  /** Outputs of the network's last layer. */
  outputs(classes: readonly string[]): number;
  /** Mean loss of a batch: outputs [batch, outputs], y [batch]. */
  loss(
    tf: typeof TensorFlow,
    outputs: TensorFlow.Tensor,
    y: TensorFlow.Tensor1D,
    classes: readonly string[],
  ): TensorFlow.Scalar;
}

/** What a network is judged by, higher being better, and how it is shown. */
export interface Metric {
  /** As comparison.json and the terminal have it. */
  name: string;
  /** At the start of a heading. */
  title: string;
  /** From the held-out data: outputs [count, outputs], y [count], and the mean loss. */
  of(held: { outputs: Float32Array; y: Float32Array; loss: number }): number;
  /** What guessing scores: y [count] of the held-out data. */
  baseline(y: Float32Array, classes: readonly string[]): number;
  /** The most that a network that learnt nothing may score, as far as this many held-out examples can tell. */
  guessing(baseline: number, heldOutCount: number): number;
  /** The smallest difference about `middle` that this many held-out examples can tell. */
  grain(middle: number, heldOutCount: number): number;
  /** In a table; an en dash for null. */
  format(value: number | null): string;
  /** Where there is little room: as short as it can be understood. */
  brief(value: number | null): string;
  /** A target as the user gave it, without padding. */
  formatTarget(value: number): string;
  /** In a sentence: the number alone may not say what it is of. */
  phrase(value: number | null): string;
  /** A target in a sentence. */
  goal(value: number): string;
  /** What it is to guess. */
  guess: string;
  /** What a score at the level of guessing amounts to. */
  atGuessing: string;
  /** One sentence for the report. */
  explanation(heldOutCount: number): string;
  axis(values: number[]): Axis;
}
