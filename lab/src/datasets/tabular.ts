/**
 * From a table with a column to predict to what a network trains on: inputs and targets of all rows, and how they are divided.
 *
 * Numbers are centred and scaled, and the levels of text found, by all examples: no target is seen, and what a trial
 * learns from the data it learns again from its own training part.
 */
import { count, listed, quote } from "@evenkeel/report/format";
import { doubtsOf } from "../data/doubts.js";
import { inputsOf, widthOf } from "../data/encoders.js";
import { featuresOf, inputFormOf } from "../data/features.js";
import { type Form, type InputForm, sizeOf } from "../data/form.js";
import { leaksOf } from "../data/leaks.js";
import { argument } from "../data/names.js";
import { MOST_CLASSES, type Roles, rolesOf } from "../data/roles.js";
import { checkLimit, drawnText, drawRows, PARTS, type Parts, shuffledRows, splitOf } from "../data/split.js";
import { type Column, type Decision, type Table, usualLimits } from "../data/table.js";
import { UsageError } from "../errors.js";
import { metricOf, type TaskName, targetTasks, usualTask } from "../tasks/registry.js";
import type { Classes, Target, TargetTask } from "../tasks/task.js";
import type { Dataset, DatasetOptions } from "./dataset.js";
import { type TargetReading, tableReading } from "./reading.js";

const MOST_NAMED = 10;
/** Of the rows of a number: those that may be left out as members of rare classes. */
const MOST_LOST = 0.1;
/** Of more integers than these, rare ones are the ends of a range rather than mistakes. */
const FEW_INTEGERS = 5;

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
  const input = inputFormOf(features, options);
  checkCells(rows.length, input, options);
  const encoders = features.flatMap((feature) => feature.encoders);
  const x = inputsOf(encoders, table, rows);
  const encoded = taskNamed(task).encode(target, classes);
  const y = Float32Array.from(rows, (row) => encoded.y[row]);
  if (!y.every(Number.isFinite)) {
    throw new UsageError(
      `target ${quote(column.name)}: its numbers are too large or too close to each other to be learnt from; use other units`,
    );
  }
  const parts = partsOf(rows, classes, roles, options);
  const form: Form = { input, outputs: [taskNamed(task).outputs(classes.names)] };
  const split = splitOf(parts, rows.length, 1);
  const used = new Map(encoders.map((encoder) => [encoder.column, encoder]));
  const isUsed = ({ name }: Column) => used.has(name);
  /** What stands for something has no size, whatever numbers it is written in. */
  const asTaken = (one: Column): Column =>
    used.get(one.name)?.parts.some(({ kind }) => kind === "levels" || kind === "category")
      ? { ...one, kind: "text" }
      : one;
  return {
    name: table.name,
    provenance,
    task,
    metric,
    target: column.name,
    inputs: features.map(({ column: name, how, names }) => ({ column: name, how, names })),
    form,
    classes: classes.names,
    count: rows.length,
    x,
    scaled: Uint8Array.from(features.flatMap(({ scaled }) => scaled.map(Number))),
    y,
    targetShape: [],
    yScale: encoded.scale,
    parts,
    drawn: drawnText(parts, { group: group?.name, time: time?.name }),
    fileRows: table.fileRows,
    decisions,
    warnings: [
      ...doubtsOf(column.name, classes.names, y, split),
      ...leaksOf({
        inputs: roles.inputs.filter(isUsed).map(asTaken),
        others: roles.inputs.filter((one) => !isUsed(one)),
        target: column,
        rows,
        y,
        classes: classes.names.length > 0,
        x,
        widths: encoders.map(({ parts }) => parts.reduce((sum, part) => sum + widthOf(part), 0)),
        split,
        groups: parts.groups,
        byTime: time !== undefined,
        atRandom: options.split === "random",
      }),
    ],
    reading: tableReading(encoders, table, targetReading(table, column, encoded.center), options),
  };
}

function taskNamed(name: TaskName): TargetTask {
  const found = targetTasks.find((each) => each.name === name);
  if (found === undefined) throw new RangeError(`toDataset: ${name} predicts no column`);
  return found.task;
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
  const other = targetTasks.find(({ name, task }) => name !== usual && task.suits(target))?.name;
  if (other === undefined) return usual;
  const sizes = sizesOf(taskNamed(usual).classesOf(target), target.rows);
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
        what: `predicted as one of ${often.length} classes, not as ${taskNamed(other).predicts([])}`,
        why: `${sizes.length} different integers`,
        option: `--task ${other}`,
      });
    }
    return usual;
  }
  decisions.push({
    columns,
    what: `predicted as ${taskNamed(other).predicts([])}, not as one of ${sizes.length} classes`,
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
  const { classesOf } = taskNamed(task);
  const all = classesOf(labelled);
  const sizes = sizesOf(all, labelled.rows);
  if (sizes.length === 0 && labelled.rows.length < PARTS) {
    throw new UsageError(
      `expected at least ${count(PARTS, "row")} with a value of the target ${quote(column.name)}, one for each part, got ${labelled.rows.length}; bring more rows`,
    );
  }
  const rare = sizes.flatMap((size, index) => (size < PARTS ? index : []));
  const other = targetTasks.find((each) => each.name !== task && each.task.suits(labelled))?.name;
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

/** Of a column as its file has it. */
function targetReading(table: Table, { name, kind }: Column, center: number): TargetReading {
  return { column: name, kind: table.columns.find((column) => column.name === name)?.kind ?? kind, center };
}

function checkCells(rows: number, { kind, shape }: InputForm, { limits }: DatasetOptions): void {
  const most = limits?.cells ?? usualLimits.cells;
  const inputs = sizeOf(shape);
  if (rows * inputs <= most) return;
  throw new UsageError(
    `expected at most ${most.toLocaleString("en-US")} values (rows × inputs), got ${rows.toLocaleString("en-US")} × ${inputs.toLocaleString("en-US")}; use fewer rows with --limit${kind === "tokens" ? "" : ", or fewer inputs with --levels or --ignore"}`,
  );
}

function partsOf(
  rows: readonly number[],
  { of }: Classes,
  { group, time }: Roles,
  { shares }: DatasetOptions,
): Parts {
  const parts: Parts = { strata: Int32Array.from(rows, (row) => of[row]), ...(shares && { shares }) };
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
