/**
 * From a table to what a network trains on: float32 inputs and targets, in a training and a held-out split.
 *
 * Whatever is learnt from the data (means, deviations, the levels of text) is learnt from the training split alone, and
 * applied to both.
 */
import { count } from "@evenkeel/report/format";
import { closest } from "fastest-levenshtein";
import type { Column, Table } from "./data/column.js";
import { type Encoder, oneHot, pixels, standardized } from "./data/encoders.js";
import { checkLimit, drawRows, shuffledRows } from "./data/split.js";
import { UsageError } from "./errors.js";
import { type TaskName, tasks, usualTask } from "./tasks/registry.js";

/** What was made from one column: as the report lists it. */
export interface Input {
  column: string;
  /** "a number", "5 levels and other", "a date: year, month, weekday", "pixels" */
  how: string;
  /** One name per input of the network: "size", "colour=red", "when (month)". */
  names: string[];
}

export interface Dataset {
  name: string;
  /** Where the data come from. */
  provenance: string;
  task: TaskName;
  /** The name of the metric that networks are compared by. */
  metric: string;
  /** The column that is predicted. */
  target: string;
  inputs: Input[];
  /** [inputs], or [height, width, 1] of images. */
  inputShape: number[];
  /** Names of the classes in the order of their indices; empty where the task has none. */
  classes: string[];
  /** Examples. */
  count: number;
  /** [count, ...inputShape], row-major: what is `scaled` is centred and scaled by all rows, so that float32 keeps its digits; NaN where missing. */
  x: Float32Array;
  /** [inputs]: 1 where a trial standardizes the input by its training part (NaN becomes 0, the mean); 0 where it takes it as it is. */
  scaled: Uint8Array;
  /** [count]: see `Task.encode` */
  y: Float32Array;
  /** What 1 of y amounts to, in units of the target; 1 for classes. */
  yScale: number;
  parts: Parts;
  /** Rows of the file. */
  fileRows: number;
  decisions: Decision[];
  /** What may make the numbers too good, one sentence each. */
  warnings: string[];
}

export interface DatasetOptions extends ReadOptions {
  /** The column to predict; by default the last one that is not ignored. */
  target?: string;
  /** Columns to leave out, and to keep although they say nothing (constants, identifiers): see `columnsNamed`. */
  ignore?: string[];
  keep?: string[];
  /** Most levels of a text column that become inputs of their own; the rest are "other". */
  levels?: number;
  /** By default the first task that suits the target. */
  task?: TaskName;
  /** By default the first metric of the task that suits the target. */
  metric?: string;
  /** The features are the pixels of an image, in row-major order. */
  image?: [height: number, width: number];
  /** Use at most this many rows in all, in the classes' proportions. */
  limit?: number;
  /** Rows with one value of this column are all in one part. */
  group?: string;
  /** `time`: the latest rows by `time`, or else by the one column of dates, are held out. */
  split?: "random" | "time";
  time?: string;
}

const HELD_OUT = 0.2;

/**
 * The dataset in `table`. Numbers are standardized and missing ones replaced by the mean; text is one-hot, a missing
 * value being a level of its own; with `image`, numbers are scaled to 0..1 by the largest. A fifth is held out,
 * stratified by class. Throws UsageError for options and data that do not fit.
 */
export function toDataset(table: Table, options: DatasetOptions, provenance: string): Dataset {
  const { target, features } = chooseColumns(table, options);
  const labelled = shuffledRows(table.rowCount).filter((row) => target.values[row] !== null);
  const notes: string[] = [];
  if (labelled.length < table.rowCount) {
    notes.push(
      `left out ${count(table.rowCount - labelled.length, "row")} without a value of the target "${target.name}"`,
    );
  }
  const isText = ({ kind, name }: Column) => kind === "text" || options.categorical?.includes(name) === true;
  const question = { column: target, named: isText(target), rows: labelled };
  const task = options.task ?? usualTask(question);
  const { classesOf, encode } = tasks[task];
  const classes = classesOf(question);
  const { train, heldOut } = splitRows(
    labelled,
    classes.of,
    Math.max(1, classes.names.length),
    options.limit,
  );
  const y = encode(question, classes, train, heldOut);

  const encoders: Encoder[] = [];
  if (options.image) encoders.push(pixels(features, train, options.image, features.find(isText)));
  else {
    const constant: string[] = [];
    for (const column of features) {
      const encoder = isText(column) ? oneHot(column, train) : standardized(column, train);
      if (encoder) encoders.push(encoder);
      else constant.push(column.name);
    }
    if (constant.length > 0) {
      notes.push(
        `left out ${count(constant.length, "column")} with one value only in the training rows: ${quoted(constant)}`,
      );
    }
    if (encoders.length === 0) {
      throw new UsageError(
        `expected at least one feature that varies, got constant columns only (${quoted(constant)}); check --target and --ignore`,
      );
    }
  }
  const names = encoders.flatMap((encoder) => encoder.names);
  const toSplit = (rows: readonly number[]): Split => {
    const x = new Float32Array(rows.length * names.length);
    let at = 0;
    for (const row of rows) {
      for (const encoder of encoders) {
        encoder.write(row, x, at);
        at += encoder.names.length;
      }
    }
    return { x, y: Float32Array.from(rows, (row) => y[row]), count: rows.length };
  };
  return {
    name: table.name,
    provenance,
    task,
    target: target.name,
    features: names,
    inputShape: options.image ? [...options.image, 1] : [names.length],
    classes: classes.names,
    train: toSplit(train),
    heldOut: toSplit(heldOut),
    notes,
  };
}

function chooseColumns(table: Table, options: DatasetOptions): { target: Column; features: Column[] } {
  const find = (name: string, option: string): Column => {
    const column = table.columns.find((candidate) => candidate.name === name);
    if (column) return column;
    const names = table.columns.map((candidate) => candidate.name);
    throw new UsageError(
      `${option}: there is no column "${name}"; did you mean "${closest(name, names)}"? The columns are ${quoted(names)}`,
    );
  };
  const ignored = new Set((options.ignore ?? []).map((name) => find(name, "--ignore")));
  for (const name of options.categorical ?? []) find(name, "--categorical");
  const used = table.columns.filter((column) => !ignored.has(column));
  const target = options.target === undefined ? used.at(-1) : find(options.target, "--target");
  if (target !== undefined && ignored.has(target)) {
    throw new UsageError(
      `column "${target.name}" is both the target and ignored; remove it from --target or --ignore`,
    );
  }
  const features = used.filter((column) => column !== target);
  if (target === undefined || features.length === 0) {
    throw new UsageError(
      `expected a target and at least one feature, got ${used.length === 0 ? "no column" : `the one column "${used[0].name}"`} of ${table.columns.length}; check --ignore, or bring a table of more columns`,
    );
  }
  return { target, features };
}

function splitRows(
  rows: readonly number[],
  classOf: Int32Array,
  classes: number,
  limit = rows.length,
): { train: number[]; heldOut: number[] } {
  checkLimit(limit, classes);
  const used = limit < rows.length ? drawRows(rows, classOf, classes, limit, 2).taken : rows;
  const heldOutCount = Math.max(classes, Math.round(HELD_OUT * used.length));
  const { taken, rest } = drawRows(used, classOf, classes, heldOutCount, 1);
  return { train: rest, heldOut: taken };
}

/** Names in quotes, the first twenty of them. */
function quoted(names: readonly string[]): string {
  const shown = names.slice(0, 20).map((name) => `"${name}"`);
  return shown.join(", ") + (names.length > 20 ? ` and ${names.length - 20} more` : "");
}
