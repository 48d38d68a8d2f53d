/** A kind of question that a network answers: what it is learnt from, its loss, and the metrics it is judged by. */
import type { Axis } from "@evenkeel/report/axes";
import type * as TensorFlow from "@tensorflow/tfjs-core";
import type { Form } from "../data/form.js";
import type { Column, Value } from "../data/table.js";

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

/** The target of a trained network. */
export interface Answered {
  column: string;
  classes: readonly string[];
  /** What an output amounts to in the units of the column; null where that is not finite. */
  inUnits(output: number): Value;
}

interface AnyTask {
  /** As `--task` and comparison.json have it. */
  name: string;
  /** All that it measures; the first that suits the target is what networks are compared by, where the user does not say. */
  metrics: readonly Metric[];
  /** Mean loss of a batch: outputs [batch, ...form.outputs], y [batch, ...] as `targets` has it, or else as examples have it. */
  loss(
    tf: typeof TensorFlow,
    outputs: TensorFlow.Tensor,
    y: TensorFlow.Tensor,
    form: Form,
  ): TensorFlow.Scalar;
  /** What the loss is computed from, of some examples: x and y [batch · size of each]; `shape` without the batch. */
  targets?(x: Float32Array, y: Float32Array, form: Form): { values: Float32Array; shape: number[] };
  /** How single examples are judged; without it a metric has the outputs of all. */
  judgeOf?(training: Training, form: Form): Judge;
  /** Examples [true class][answer], where the task has classes. */
  confusionOf?(scored: Scored): number[][];
}

/** A column is predicted from the others. */
export interface TargetTask extends AnyTask {
  from: "target";
  /** Whether such a target asks for this task, where the user does not say. */
  suits(target: Target): boolean;
  /** The classes of a target; throws UsageError where this task cannot be learnt from it. */
  classesOf(target: Target): Classes;
  /** y [rowCount]: the class index, or the number centred and scaled so that float32 keeps its digits; `scale` is what 1 of y amounts to in units of the target, and `center` what 0 is; 1 and 0 for classes. */
  encode(target: Target, classes: Classes): { y: Float64Array; scale: number; center: number };
  /** What is predicted: "10 classes". */
  predicts(classes: readonly string[]): string;
  /** Whether y is standardized by the training part. */
  standardized: boolean;
  /** What is told of an example that was not seen: the names of the columns, and their values by its outputs. */
  answers(target: Answered): { columns: string[]; of(outputs: Float32Array): Value[] };
  /** Outputs of the network's last layer. */
  outputs(classes: readonly string[]): number;
}

/** What follows is predicted: of series, of a text, of what users have. */
export interface WholeTask extends AnyTask {
  from: "series" | "text" | "interactions";
  /** What is predicted: "the next 96 steps of 7 series". */
  predicts(targetShape: readonly number[]): string;
}

export type Task = TargetTask | WholeTask;

/** The training part as a judge learns from it. */
export interface Training {
  /** [examples · size], as networks see them; of windows, [steps · channels] up to the end of the training part. */
  x: Float32Array;
  /** [examples · size of a target]; empty for windows, whose targets are in x. */
  y: Float32Array;
  /** Steps of a season of a series; 1 where it has none. */
  season: number;
}

/** Judges one example at a time, so that outputs need not be kept. */
export interface Judge {
  /** As many numbers for each example, which the metrics are made of. */
  measures(outputs: Float32Array, x: Float32Array, y: Float32Array): number[];
  /** What needs no training, by name; the outputs for one example. */
  guesses: readonly { name: string; outputs(x: Float32Array): Float32Array }[];
}

/** What a network gave for some examples. */
export interface Scored {
  /** [count, size of the outputs]; what `Judge.measures` has, [count, measures], where there is a judge. */
  outputs: Float32Array;
  /** [count]: class indices, or the standardized target; [count, size of a target]. */
  y: Float32Array;
  /** Examples. */
  count: number;
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
  /** Whether networks may be compared by it (`--metric`); the others are shown beside it. */
  primary: boolean;
  /** Whether it fits a target of such class sizes (none where the task has no classes) better than those after it. */
  suits(sizes: readonly number[]): boolean;
  of(scored: Scored): number;
  /** What guessing scores, where the task has no judge: y [count], the number of classes, and `scale` as `Scored` has it. */
  guess?(y: Float32Array, classes: number, scale: number): number;
  /** The best that a network that learnt nothing may score, as far as so few examples can tell; arguments as of `guess`. By default what guessing scores. */
  guessing?(y: Float32Array, classes: number, scale: number): number;
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
  /** What it is to guess: "always answering the most frequent class". */
  guessed: string;
  /** What a score at the level of guessing amounts to. */
  atGuessing: string;
  /** One sentence for the report. */
  explanation(heldOutCount: number): string;
  axis(values: number[]): Axis;
}

/** Whether a value is better than another, and whether it is at least as good. */
export const isBetter = ({ higherIsBetter }: Metric, value: number, than: number): boolean =>
  higherIsBetter ? value > than : value < than;
export const isReached = ({ higherIsBetter }: Metric, value: number, goal: number): boolean =>
  higherIsBetter ? value >= goal : value <= goal;

/** The best of some values; NaN without any. */
export const bestOf = ({ higherIsBetter }: Metric, values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : higherIsBetter ? Math.max(...values) : Math.min(...values);
