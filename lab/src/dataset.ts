/**
 * From a table to what a network trains on: float32 inputs and targets of all examples, and how they are divided.
 *
 * Numbers are centred and scaled, and the levels of text found, by all examples: no target is seen, and what a trial
 * learns from the data it learns again from its own training part.
 */
import { count, listed, quote } from "@evenkeel/report/format";
import { doubtsOf } from "./data/doubts.js";
import { type Feature, featuresOf, type Input } from "./data/features.js";
import { leaksOf } from "./data/leaks.js";
import { argument, quoted } from "./data/names.js";
import { MOST_CLASSES, type Roles, rolesOf } from "./data/roles.js";
import { checkLimit, drawnText, drawRows, PARTS, type Parts, shuffledRows, splitOf } from "./data/split.js";
import { type Column, type Decision, type ReadOptions, type Table, usualLimits } from "./data/table.js";
import { UsageError } from "./errors.js";
import { type TaskName, taskNames, tasks, usualMetric, usualTask } from "./tasks/registry.js";
import type { Classes, Target } from "./tasks/task.js";

export type { Input } from "./data/features.js";

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
  /** How a seed draws its parts, as it follows "Each seed ". */
  drawn: string;
  /** Rows of the file. */
  fileRows: number;
  decisions: Decision[];
  /** What may make the numbers too good, or worse than they need be, one sentence each. */
  warnings: string[];
}

export interface DatasetOptions extends ReadOptions {
  /** The column to predict; by default the one that is called target, label or outcome, or else the last that can be. */
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

/** What a trial needs of a dataset; the arrays may be shared with other trials. */
export type TrialData = Pick<
  Dataset,
  "task" | "metric" | "inputShape" | "classes" | "count" | "x" | "scaled" | "y" | "yScale" | "parts"
>;

const MOST_NAMED = 10;
/** Of the rows of a number: those that may be left out as members of rare classes. */
const MOST_LOST = 0.1;
/** Of more integers than these, rare ones are the ends of a range rather than mistakes. */
const FEW_INTEGERS = 5;
/** Bytes that are hashed at a time. */
const CHUNK = 2 ** 24;

/**
 * The dataset in `table`, with every decision on the way. Examples are the rows with a target, of classes with a row for
 * each part, at most `limit` of them; they keep the order of the table. Throws UsageError for options and data that do
 * not fit.
 */
export function toDataset(table: Table, options: DatasetOptions, provenance: string): Dataset {
  const roles = rolesOf(table, options);
  const { target: column, group, time } = roles;
  const decisions = [...table.decisions, ...roles.decisions];
  const labelled = rowsWithTarget(table, roles, decisions);
  const task = options.task ?? taskFor({ column, rows: labelled }, decisions);
  const { target, classes } = examplesOf({ column, rows: labelled }, task, options, decisions);
  const { rows } = target;
  const sizes = sizesOf(classes, rows);
  const metric = metricOf(task, sizes, options.metric);
  const { features, decisions: made } = featuresOf(roles.inputs, table, rows, options);
  decisions.push(...made);
  const inputs = features.flatMap(({ names }) => names).length;
  checkCells(rows.length, inputs, options);
  const x = inputsOf(features, rows, inputs);
  const encoded = tasks[task].encode(target, classes);
  const y = Float32Array.from(rows, (row) => encoded.y[row]);
  if (!y.every(Number.isFinite)) {
    throw new UsageError(
      `target ${quote(column.name)}: its numbers are too large or too close to each other to be learnt from; use other units`,
    );
  }
  const parts = partsOf(rows, classes, roles);
  const split = splitOf(parts, rows.length, 1);
  const used = new Set(features.map(({ column: name }) => name));
  const isUsed = ({ name }: Column) => options.image !== undefined || used.has(name);
  return {
    name: table.name,
    provenance,
    task,
    metric,
    target: column.name,
    inputs: features.map(({ column: name, how, names }) => ({ column: name, how, names })),
    inputShape: options.image ? [...options.image, 1] : [inputs],
    classes: classes.names,
    count: rows.length,
    x,
    scaled: Uint8Array.from(features.flatMap(({ scaled }) => scaled.map(Number))),
    y,
    yScale: encoded.scale,
    parts,
    drawn: drawnText(parts, { group: group?.name, time: time?.name }),
    fileRows: table.fileRows,
    decisions,
    warnings: [
      ...doubtsOf(column.name, classes.names, y, split),
      ...leaksOf({
        inputs: roles.inputs.filter(isUsed),
        others: roles.inputs.filter((one) => !isUsed(one)),
        target: column,
        rows,
        y,
        classes: classes.names.length > 0,
        x,
        widths: options.image ? new Array<number>(inputs).fill(1) : features.map(({ names }) => names.length),
        split,
        groups: parts.groups,
        byTime: time !== undefined,
        atRandom: options.split === "random",
      }),
    ],
  };
}

function rowsWithTarget(table: Table, { target, time }: Roles, decisions: Decision[]): number[] {
  let rows = Array.from({ length: table.rowCount }, (_, row) => row);
  for (const column of [target, ...(time ? [time] : [])]) {
    const present = rows.filter((row) => column.values[row] !== null);
    if (present.length === 0) {
      const option = column === target ? "--target" : "--time";
      throw new UsageError(
        `${option}: ${quote(column.name)} has no value in any row${column === target ? "" : " with a target"}; name another column`,
      );
    }
    if (present.length < rows.length) {
      decisions.push({
        columns: [column.name],
        what: `${count(rows.length - present.length, "row")} without a value left out`,
        why: column === target ? "it is the target" : "it says when",
      });
    }
    rows = present;
  }
  return rows;
}

/** The first task that suits a target; of integers, a number where classes would leave out many rows, or the ends of a range. */
function taskFor(target: Target, decisions: Decision[]): TaskName {
  const usual = usualTask(target);
  const other = taskNames.find((name) => name !== usual && tasks[name].suits(target));
  if (other === undefined) return usual;
  const sizes = sizesOf(tasks[usual].classesOf(target), target.rows);
  const often = sizes.filter((size) => size >= PARTS);
  const rare = sizes.length - often.length;
  const kept = often.reduce((sum, size) => sum + size, 0);
  const columns = [target.column.name];
  if (
    often.length > 1 &&
    kept >= (1 - MOST_LOST) * target.rows.length &&
    (rare === 0 || sizes.length <= FEW_INTEGERS)
  ) {
    // two are classes to everybody
    if (sizes.length > 2) {
      decisions.push({
        columns,
        what: `predicted as one of ${often.length} classes, not as ${tasks[other].predicts([])}`,
        why: `${sizes.length} different integers`,
        option: `--task ${other}`,
      });
    }
    return usual;
  }
  decisions.push({
    columns,
    what: `predicted as ${tasks[other].predicts([])}, not as one of ${sizes.length} classes`,
    why: `${count(rare, "value")} ${rare === 1 ? "has" : "have"} fewer than ${PARTS} rows, one for each part`,
    ...(often.length > 1 && { option: `--task ${usual}` }),
  });
  return other;
}

/** The rows that are used, at least one for each part and class, and their classes. */
function examplesOf(
  labelled: Target,
  task: TaskName,
  options: DatasetOptions,
  decisions: Decision[],
): { target: Target; classes: Classes } {
  const { column } = labelled;
  const { classesOf } = tasks[task];
  const all = classesOf(labelled);
  const sizes = sizesOf(all, labelled.rows);
  if (sizes.length === 0 && labelled.rows.length < PARTS) {
    throw new UsageError(
      `expected at least ${count(PARTS, "row")} with a value of the target ${quote(column.name)}, one for each part, got ${labelled.rows.length}; bring more rows`,
    );
  }
  const rare = sizes.flatMap((size, index) => (size < PARTS ? index : []));
  const other = taskNames.find((name) => name !== task && tasks[name].suits(labelled));
  const otherwise = `choose another --target${other ? `, or --task ${other}` : ""}`;
  if (sizes.length > 0 && sizes.length - rare.length < 2) {
    throw new UsageError(
      `target ${quote(column.name)}: expected at least 2 classes of at least ${PARTS} rows, one row for each part, got ${sizes.length - rare.length} of ${count(sizes.length, "class", "classes")} in ${count(labelled.rows.length, "row")}${isFree(column, sizes, labelled) ? ": it holds free text or names, not classes" : ""}; bring more rows, or ${otherwise}`,
    );
  }
  if (sizes.length - rare.length > MOST_CLASSES) {
    throw new UsageError(
      `target ${quote(column.name)}: expected at most ${MOST_CLASSES.toLocaleString("en-US")} classes, got ${(sizes.length - rare.length).toLocaleString("en-US")}; ${otherwise}`,
    );
  }
  const left = new Set(rare);
  let rows = labelled.rows.filter((row) => sizes.length === 0 || !left.has(all.of[row]));
  if (rare.length > 0) {
    const names = rare.slice(0, MOST_NAMED).map((index) => quote(all.names[index]));
    const more = rare.length > MOST_NAMED ? [`${rare.length - MOST_NAMED} more`] : [];
    decisions.push({
      columns: [column.name],
      what: `${rare.length === 1 ? "class" : "classes"} ${listed([...names, ...more])} left out, with ${count(labelled.rows.length - rows.length, "row")}`,
      why: `fewer than ${PARTS} rows, one for each part`,
      ...(other && { option: `--task ${other}` }),
    });
  }
  const { limit } = options;
  if (limit !== undefined) {
    checkLimit(limit, sizes.length - rare.length);
    if (limit < rows.length) {
      const shuffled = shuffledRows(rows.length).map((index) => rows[index]);
      rows = drawRows(shuffled, all.of, Math.max(1, sizes.length), limit, PARTS).taken.sort((a, b) => a - b);
    }
  }
  const target = { column, rows };
  return { target, classes: rare.length > 0 ? classesOf(target) : all };
}

const isFree = (column: Column, sizes: readonly number[], { rows }: Target): boolean =>
  column.kind === "text" && sizes.length > rows.length / 2;

/** Rows of each class; none where the task has no classes. */
function sizesOf({ names, of }: Classes, rows: readonly number[]): number[] {
  const sizes = names.map(() => 0);
  if (names.length > 0) for (const row of rows) sizes[of[row]]++;
  return sizes;
}

/** The name of the metric that is named, or of the usual one for classes of such sizes. Throws UsageError for none that networks can be compared by. */
export function metricOf(task: TaskName, sizes: readonly number[], named: string | undefined): string {
  if (named === undefined) return usualMetric(task, sizes).name;
  const primary = tasks[task].metrics.filter((metric) => metric.primary).map(({ name }) => name);
  const found = primary.find((name) => name.toLowerCase() === named.toLowerCase());
  if (found !== undefined) return found;
  throw new UsageError(
    `--metric: expected ${primary.length > 1 ? "one of " : ""}${quoted(primary)} for ${task}, got ${quote(named)}`,
  );
}

function checkCells(rows: number, inputs: number, { limits }: DatasetOptions): void {
  const most = limits?.cells ?? usualLimits.cells;
  if (rows * inputs <= most) return;
  throw new UsageError(
    `expected at most ${most.toLocaleString("en-US")} values (rows × inputs), got ${rows.toLocaleString("en-US")} × ${inputs.toLocaleString("en-US")}; use fewer rows with --limit, or fewer inputs with --levels or --ignore`,
  );
}

/** x [rows, inputs] */
function inputsOf(features: readonly Feature[], rows: readonly number[], inputs: number): Float32Array {
  const x = new Float32Array(rows.length * inputs);
  let first = 0;
  for (const { write, names } of features) {
    for (let at = 0; at < rows.length; at++) write(rows[at], x, at * inputs + first);
    first += names.length;
  }
  return x;
}

function partsOf(rows: readonly number[], { of }: Classes, { group, time }: Roles): Parts {
  const parts: Parts = { strata: Int32Array.from(rows, (row) => of[row]) };
  if (time) {
    parts.time = Float64Array.from(rows, (row) => time.values[row] as number);
    if (parts.time.every((value, _, [first]) => value === first)) {
      throw new UsageError(`--time: ${quote(time.name)} is the same in every row; name another column`);
    }
  }
  if (!group) return parts;
  if (rows.every((row) => group.values[row] === null)) {
    throw new UsageError(`--group: ${quote(group.name)} has no value in any row; name another column`);
  }
  const numbers = new Map<unknown, number>();
  parts.groups = Int32Array.from(rows, (row) => {
    // rows without a group are each alone
    const key = group.values[row] ?? { row };
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  });
  if (numbers.size < PARTS) {
    throw new UsageError(
      `--group ${argument(group.name)}: expected at least ${PARTS} groups, one for each part, got ${numbers.size}; choose another column`,
    );
  }
  return parts;
}

/** SHA-256, in hex, of everything that a trial sees. */
export async function digestOf(data: TrialData): Promise<string> {
  const { task, metric, inputShape, classes, count: examples, yScale, parts } = data;
  const digests: string[] = [];
  for (const array of [data.x, data.scaled, data.y, parts.strata, parts.groups, parts.time, parts.heldOut]) {
    digests.push(array === undefined ? "" : await digestOfBytes(array));
  }
  const told = JSON.stringify({ task, metric, inputShape, classes, examples, yScale, digests });
  return digestOfBytes(new TextEncoder().encode(told));
}

/** Of the digests of chunks where there are several; a chunk is copied, since shared memory cannot be hashed. */
async function digestOfBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Promise<string> {
  const chunks: string[] = [];
  for (let at = 0; at === 0 || at < byteLength; at += CHUNK) {
    const bytes = new Uint8Array(buffer, byteOffset + at, Math.min(CHUNK, byteLength - at)).slice();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    chunks.push(Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(""));
  }
  return chunks.length === 1 ? chunks[0] : digestOfBytes(new TextEncoder().encode(chunks.join()));
}
