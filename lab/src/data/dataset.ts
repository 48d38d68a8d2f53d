/**
 * From a table to what a network trains on: float32 inputs and targets, in a training and a held-out split.
 *
 * Whatever is learnt from the data (means, spreads, the levels of text) is learnt from the training split
 * alone, and applied to both.
 */
import { biasedVariance, momentsOf } from "evenkeel";
import { closest } from "fastest-levenshtein";
import { UsageError } from "../errors.js";
import { type Column, looksNumeric, type Table } from "./column.js";
import { checkLimit, drawRows, shuffledRows } from "./split.js";

/** Rows in a random but fixed order. */
export interface Split {
  /** [count, ...inputShape], row-major */
  x: Float32Array;
  /** [count]: the class index, or the target standardized by the training split */
  y: Float32Array;
  count: number;
}

export interface Dataset {
  name: string;
  /** Where the data come from. */
  provenance: string;
  task: "classification" | "regression";
  /** The column that is predicted. */
  target: string;
  /** One name per input; a level of a text column is "column=level". */
  features: string[];
  /** [features.length], or [height, width, 1] of images. */
  inputShape: number[];
  /** Names of the classes in the order of their indices; empty for regression. */
  classes: string[];
  train: Split;
  heldOut: Split;
  /** What was left out on the way (constant columns, rows without a target), one sentence each. */
  notes: string[];
}

export interface DatasetOptions {
  /** The column to predict; the last one that is not ignored when left out. */
  target?: string;
  /** Columns to leave out. */
  ignore?: string[];
  /** Columns whose numbers are names of categories. */
  categorical?: string[];
  /** Classification when left out and the target is text, or at most 20 different whole numbers. */
  task?: "classification" | "regression";
  /** The features are the pixels of an image, in row-major order. */
  image?: [height: number, width: number];
  /** Keep at most this many rows in all, in the classes' proportions. */
  limit?: number;
}

const HELD_OUT = 0.2;
const MOST_CLASSES_OF_NUMBERS = 20;
const MOST_LEVELS = 100;
const MOST_FLOAT32 = 3.4028234663852886e38;

/** One or more inputs made from one column: their names, and what writes them for one row into x from `at` on. */
interface Encoder {
  names: string[];
  write(row: number, x: Float32Array, at: number): void;
}

/**
 * The dataset in `table`. Numbers are standardized and their gaps filled with the mean; text is one-hot, a gap being a level
 * of its own; with `image`, numbers are scaled to 0..1 by the largest. A fifth is held out, stratified by class.
 * Throws UsageError for options and data that do not fit.
 */
export function toDataset(table: Table, options: DatasetOptions, provenance: string): Dataset {
  const { target, features } = chooseColumns(table, options);
  const labelled = shuffledRows(table.rowCount).filter((row) => target.values[row] !== null);
  const notes: string[] = [];
  if (labelled.length < table.rowCount) {
    notes.push(
      `left out ${plural(table.rowCount - labelled.length, "row")} without a value of the target "${target.name}"`,
    );
  }
  const { task, classes, classOf } = readTarget(target, labelled, options);
  const { train, heldOut } = splitRows(labelled, classOf, Math.max(1, classes.length), options.limit);
  const y = task === "classification" ? Float64Array.from(classOf) : numbers(target);
  if (task === "regression") {
    const { mean, deviation } = standardize(y, train);
    if (deviation === 0) throw constantTarget(target, train, "training ");
    for (const row of [...train, ...heldOut]) y[row] = inFloat32((y[row] - mean) / deviation, target, row);
  }

  const isText = ({ kind, name }: Column) => kind === "text" || options.categorical?.includes(name) === true;
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
        `left out ${plural(constant.length, "column")} with one value only in the training rows: ${list(constant)}`,
      );
    }
    if (encoders.length === 0) {
      throw new UsageError(
        `expected at least one feature that varies, got constant columns only (${list(constant)}); check --target and --ignore`,
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
    classes,
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
      `${option}: there is no column "${name}"; did you mean "${closest(name, names)}"? The columns are ${list(names)}`,
    );
  };
  const ignored = new Set((options.ignore ?? []).map((name) => find(name, "--ignore")));
  for (const name of options.categorical ?? []) find(name, "--categorical");
  const kept = table.columns.filter((column) => !ignored.has(column));
  const target = options.target === undefined ? kept.at(-1) : find(options.target, "--target");
  if (target !== undefined && ignored.has(target)) {
    throw new UsageError(
      `column "${target.name}" is both the target and ignored; take it out of --target or --ignore`,
    );
  }
  const features = kept.filter((column) => column !== target);
  if (target === undefined || features.length === 0) {
    throw new UsageError(
      `expected a target and at least one feature, got ${kept.length === 0 ? "no column" : `the one column "${kept[0].name}"`} of ${table.columns.length}; check --ignore, or bring a table of more columns`,
    );
  }
  return { target, features };
}

/** The task, the names of its classes, and the class index of every row [rowCount] (0 for regression). */
function readTarget(
  target: Column,
  rows: readonly number[],
  options: DatasetOptions,
): { task: Dataset["task"]; classes: string[]; classOf: Int32Array } {
  const named = target.kind === "text" || options.categorical?.includes(target.name);
  if (options.task === "regression" && named) {
    throw new UsageError(
      `target "${target.name}": regression needs numbers, and this column holds ${target.kind === "text" ? `text (${JSON.stringify(target.values[rows[0]])}, for example)` : "categories (--categorical)"}; leave out --task regression, or choose another --target`,
    );
  }
  const values = named || options.task === "classification" ? target.values : numbers(target);
  const distinct = new Set(rows.map((row) => values[row]));
  if (distinct.size < 2) throw constantTarget(target, rows, "");
  const few = distinct.size <= MOST_CLASSES_OF_NUMBERS && [...distinct].every(Number.isInteger);
  const task = options.task ?? (named || few ? "classification" : "regression");
  const classOf = new Int32Array(target.values.length);
  if (task === "regression") return { task, classes: [], classOf };

  const classes = [...new Set(Array.from(distinct, String))].sort(byLevel);
  const indexOf = new Map(classes.map((name, index) => [name, index]));
  const counts = new Int32Array(classes.length);
  for (const row of rows) {
    classOf[row] = indexOf.get(String(values[row])) ?? 0;
    counts[classOf[row]]++;
  }
  const lonely = counts.findIndex((count) => count < 2);
  if (lonely >= 0) {
    throw new UsageError(
      `target "${target.name}": expected at least 2 rows of each class, one to train on and one to hold out, got 1 of class "${classes[lonely]}"; remove that row, or choose another --target${named ? "" : " or --task regression"}`,
    );
  }
  return { task, classes, classOf };
}

function constantTarget(target: Column, rows: readonly number[], which: string): UsageError {
  return new UsageError(
    `target "${target.name}": expected at least two different values to learn from, got ${rows.length === 0 ? "none" : `only ${JSON.stringify(target.values[rows[0]])} in ${plural(rows.length, `${which}row`)}`}; choose another column with --target`,
  );
}

function splitRows(
  rows: readonly number[],
  classOf: Int32Array,
  classes: number,
  limit = rows.length,
): { train: number[]; heldOut: number[] } {
  checkLimit(limit, classes);
  const kept = limit < rows.length ? drawRows(rows, classOf, classes, limit, 2).taken : rows;
  const count = Math.max(classes, Math.round(HELD_OUT * kept.length));
  const { taken, rest } = drawRows(kept, classOf, classes, count, 1);
  return { train: rest, heldOut: taken };
}

/** The numbers of a column [rowCount], NaN where they are missing. Throws UsageError at the first that is none, or not finite in float32. */
function numbers(column: Column): Float64Array {
  return Float64Array.from(column.values, (value, row) => {
    if (value === null) return Number.NaN;
    if (typeof value === "number" && Math.abs(value) <= MOST_FLOAT32) return value;
    throw new UsageError(
      typeof value === "number" || looksNumeric(value)
        ? `row ${row + 1}, column "${column.name}": expected a finite number, at most 3.4e38 in size, got ${JSON.stringify(String(value))}; correct the value, or leave it empty where it is missing`
        : `row ${row + 1}, column "${column.name}": expected a number, got ${JSON.stringify(value)}; correct the value, or name the column with --categorical ${argument(column.name)}`,
    );
  });
}

/**
 * Mean and standard deviation (dividing by their count) of those of `values` [rowCount] that stand in the training
 * rows and are not NaN. The deviation is 0 where they do not vary.
 */
function standardize(values: Float64Array, train: readonly number[]): { mean: number; deviation: number } {
  const there = train.map((row) => values[row]).filter((value) => !Number.isNaN(value));
  // exactly 0, which rounding in the mean could miss
  if (there.every((value) => value === there[0])) return { mean: there[0] ?? 0, deviation: 0 };
  const moments = momentsOf(there);
  return { mean: moments.mean, deviation: Math.sqrt(biasedVariance(moments)) };
}

/** One input of mean 0 and standard deviation 1 over the training rows; undefined where the column is constant in them. */
function standardized(column: Column, train: readonly number[]): Encoder | undefined {
  const values = numbers(column);
  const { mean, deviation } = standardize(values, train);
  if (deviation === 0) return undefined;
  return {
    names: [column.name],
    write(row, x, at) {
      x[at] = Number.isNaN(values[row]) ? 0 : inFloat32((values[row] - mean) / deviation, column, row);
    },
  };
}

/** A standardized value, which one far outside of the training rows may overflow. */
function inFloat32(value: number, column: Column, row: number): number {
  if (Number.isFinite(Math.fround(value))) return value;
  throw new UsageError(
    `row ${row + 1}, column "${column.name}": ${column.values[row]} is too far from the training rows' values to be standardized; correct the value, or leave it empty where it is missing`,
  );
}

/** One input per level that the training rows have, 1 where the row has it; undefined where that is a single level. */
function oneHot(column: Column, train: readonly number[]): Encoder | undefined {
  const present = column.values.filter((value) => value !== null);
  const count = new Set(present.map(String)).size;
  if (count > MOST_LEVELS) {
    throw new UsageError(
      `column "${column.name}": expected at most ${MOST_LEVELS} different texts for one-hot inputs, got ${count}; leave it out with --ignore ${argument(column.name)}`,
    );
  }
  const inTrain = new Set(train.map((row) => column.values[row]));
  const levels = [...new Set([...inTrain].filter((value) => value !== null).map(String))].sort(byLevel);
  const gap = inTrain.has(null) ? levels.length : -1;
  const names = levels.map((level) => `${column.name}=${level}`);
  if (gap >= 0) names.push(`${column.name}=(missing)`);
  if (names.length < 2) return undefined;
  const indexOf = new Map(levels.map((level, index) => [level, index]));
  return {
    names,
    write(row, x, at) {
      const value = column.values[row];
      const index = value === null ? gap : (indexOf.get(String(value)) ?? -1);
      if (index >= 0) x[at + index] = 1;
    },
  };
}

/**
 * All columns as the pixels of an image, divided by the largest of the training rows; a missing one is its column's mean.
 * `text` is a column among them that holds no numbers.
 */
function pixels(
  columns: Column[],
  train: readonly number[],
  [height, width]: [number, number],
  text: Column | undefined,
): Encoder {
  if (text) {
    throw new UsageError(
      `--image: expected pixels in every feature column, got text or categories in "${text.name}"; leave it out with --ignore ${argument(text.name)}`,
    );
  }
  if (!(Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0)) {
    throw new UsageError(
      `--image: expected a height and a width of at least 1 pixel each, got ${height}x${width}`,
    );
  }
  if (height * width !== columns.length) {
    throw new UsageError(
      `--image ${height}x${width}: expected ${height * width} columns of pixels, got ${columns.length} feature columns; correct the size, or leave columns out with --ignore`,
    );
  }
  const planes = columns.map((column) => {
    const values = numbers(column);
    const { mean } = standardize(values, train);
    return values.map((value, row) => {
      if (value < 0) {
        throw new UsageError(
          `row ${row + 1}, column "${column.name}": expected a pixel of 0 or more, got ${value}; correct the value, or leave out --image`,
        );
      }
      return Number.isNaN(value) ? mean : value;
    });
  });
  let most = 0;
  for (const plane of planes) for (const row of train) most = Math.max(most, plane[row]);
  if (most === 0) {
    throw new UsageError("--image: expected pixels that vary, got 0 in every training row; check --ignore");
  }
  return {
    names: columns.map((column) => column.name),
    write(row, x, at) {
      for (const [index, plane] of planes.entries()) x[at + index] = plane[row] / most;
    },
  };
}

/** Numbers by size, before text by its characters. */
function byLevel(a: string, b: string): number {
  const difference = Number(a) - Number(b);
  if (!Number.isNaN(difference)) return difference;
  const order = Number(Number.isNaN(Number(a))) - Number(Number.isNaN(Number(b)));
  return order !== 0 ? order : a < b ? -1 : 1;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Names in quotes, the first twenty of them. */
function list(names: readonly string[]): string {
  const shown = names.slice(0, 20).map((name) => `"${name}"`);
  return shown.join(", ") + (names.length > 20 ? ` and ${names.length - 20} more` : "");
}

/** A name as one would type it behind an option. */
function argument(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : JSON.stringify(name);
}
