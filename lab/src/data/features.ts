/** What becomes of each column of a table: which inputs, or none; every decision is recorded, columns of one fate together. */
import { listed, quote } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { dateParts, type Encoder, given, levels, marked, numeric, pixels } from "./encoders.js";
import { argument, columnsNamed } from "./names.js";
import { type Nature, natureOf, type Useless } from "./nature.js";
import type { Column, Decision, Table } from "./table.js";
import { keptAsText, Told } from "./told.js";

/** What was made from one column: as the report lists it. */
export interface Input {
  column: string;
  /** "a number", "5 levels and other", "a date: year, month, weekday", "pixels of 8×8" */
  how: string;
  /** One name per input of the network: "size", "colour=red", "when (month, sine)". */
  names: string[];
}

export interface Feature extends Encoder {
  /** Its name; the first and the last one of pixels. */
  column: string;
}

export interface FeatureOptions {
  keep?: string[];
  numeric?: string[];
  levels?: number;
  image?: [height: number, width: number];
}

const USUAL_LEVELS = 20;
/** The least share of rows without a value, and with one, from which on it says something that there is one. */
const LEAST_APART = 0.05;
/** Rows and columns that are compared before columns are taken for equal. */
const GLANCE = 64;
const MOST_COMPARED = 1000;

/** The features of these columns by `rows`. Throws UsageError where no column says anything, and as the encoders do. */
export function featuresOf(
  columns: readonly Column[],
  table: Table,
  rows: readonly number[],
  options: FeatureOptions,
): { features: Feature[]; decisions: Decision[] } {
  const names = table.columns.map(({ name }) => name);
  const keep = columnsNamed(options.keep ?? [], names, "--keep");
  const most = options.levels ?? USUAL_LEVELS;
  if (!Number.isInteger(most) || most < 1) {
    throw new UsageError(`--levels: expected an integer of at least 1, got ${most}`);
  }
  if (options.image) {
    const column = columns.length > 1 ? `${columns[0].name} … ${columns.at(-1)?.name}` : columns[0].name;
    return { features: [{ column, ...pixels(columns, table, rows, options.image) }], decisions: [] };
  }
  const quantities = columnsNamed(options.numeric ?? [], names, "--numeric");
  const told = new Told();
  const merged: { column: Column; all: number }[] = [];
  const natures = new Map(columns.map((column) => [column, natureOf(column, table, rows)]));
  const apart = LEAST_APART * rows.length;
  const saysIfGiven = (column: Column): boolean => {
    const { present, useless } = natures.get(column) as Nature;
    return (
      (useless === "free text" || useless === "identifies the rows") &&
      present >= apart &&
      rows.length - present >= apart
    );
  };
  const isUseful = (column: Column) =>
    keep.has(column.name) || !natures.get(column)?.useless || saysIfGiven(column);
  const useful = columns.filter(isUseful);
  const counting = columns.filter((column) => natures.get(column)?.useless === "counts the rows");
  const used = useful.length > 0 ? useful : counting;
  if (used.length === 0) throw nothingToLearn(columns, natures);
  const isUsed = new Set(used);
  for (const column of columns) {
    const useless = natures.get(column)?.useless;
    if (!useless || keep.has(column.name)) continue;
    const reason = REASON[useless];
    if (!isUsed.has(column)) told.add("left out", column.name, { reason, option: toKeep });
    else if (saysIfGiven(column)) {
      told.add("used for whether there is a value only", column.name, { reason, option: toKeep });
    } else {
      told.add("used as a number", column.name, {
        reason: "it counts the rows, and there is no other input",
      });
    }
  }
  const features = used.map((column): Feature => {
    const nature = natures.get(column) as Nature;
    if (!keep.has(column.name) && saysIfGiven(column)) return { column: column.name, ...given(column) };
    return { column: column.name, ...encoderOf(column, nature) };
  });
  for (const [copy, first] of copies(used, rows)) {
    const why = (names: string) => names;
    told.add("the same as another column", copy.name, { examples: [first.name], why, option: toIgnore });
  }
  return { features, decisions: [...told.decisions, ...mergedLevels(merged, most)] };

  function encoderOf(column: Column, { names: named, single, present }: Nature): Encoder {
    if (single && present > 0 && present < rows.length) return given(column);
    const { kind } = column;
    const marks = rows.length - present >= apart;
    if (kind === "date") {
      const dates = dateParts(column, table, rows);
      // kept although all are one
      if (dates.names.length === 0) return given(column);
      const reason = "it holds dates";
      told.add(`taken apart: ${listed(dates.parts)}`, column.name, { reason, option: keptAsText });
      if (!marks) return dates;
      told.add("missing dates marked by an input of their own", column.name, { option: toIgnore });
      return marked(dates, column);
    }
    if (kind === "number" && !(named && !quantities.has(column.name))) {
      const number = numeric(column, table, rows);
      if (present === rows.length) return number;
      const mean = "missing numbers replaced by the mean of the training part";
      const what = marks ? `${mean}, and marked by an input of their own` : mean;
      told.add(what, column.name, { option: toIgnore });
      return marks ? marked(number, column) : number;
    }
    if (kind === "number") {
      const reason = "numbers that name something have no size";
      told.add("taken as levels", column.name, { reason, option: (typed) => `--numeric ${typed}` });
    }
    const encoder = levels(column, rows, most);
    if (encoder.merged > 0) merged.push({ column, all: encoder.all });
    return encoder;
  }
}

const toKeep = (typed: string) => `--keep ${typed}`;
const toIgnore = (typed: string) => `--ignore ${typed}`;

/** Columns of which only the most frequent levels are inputs; `all` is how many each has. */
function mergedLevels(merged: readonly { column: Column; all: number }[], most: number): Decision[] {
  if (merged.length === 0) return [];
  const sizes = merged.map(({ all }) => all).sort((a, b) => a - b);
  const [least, largest] = [sizes[0], sizes[sizes.length - 1]].map((size) => size.toLocaleString("en-US"));
  return [
    {
      columns: merged.map(({ column }) => column.name),
      what: `the most frequent values (at most ${most}) kept, all others are "other"`,
      why: `${least === largest ? least : `${least} to ${largest}`} different ones`,
      option: "--levels N",
    },
  ];
}

const REASON: Record<Useless, string> = {
  "no value": "no value in any row",
  "one value only": "one value only",
  "counts the rows": "a count of the rows",
  "identifies the rows": "a value of its own in most rows",
  "free text": "free text",
};

function nothingToLearn(columns: readonly Column[], natures: ReadonlyMap<Column, Nature>): UsageError {
  const shown = columns
    .slice(0, 5)
    .map((column) => `${quote(column.name)} (${REASON[natures.get(column)?.useless ?? "no value"]})`);
  const others = columns.length > 5 ? ` and ${columns.length - 5} more` : "";
  // a text of its own in each row would be one input that is the same in all
  const named = columns.find(
    (column) => column.kind === "number" && natures.get(column)?.useless === "identifies the rows",
  );
  return new UsageError(
    `expected at least one input that says something, got ${shown.join(", ")}${others}; ${named ? `keep one with --keep ${argument(named.name)}` : "bring columns of numbers, dates or classes"}, or check --target and --ignore`,
  );
}

/** Columns that are equal to one before them, each with it. */
function copies(columns: readonly Column[], rows: readonly number[]): [copy: Column, first: Column][] {
  const step = Math.max(1, Math.floor(rows.length / GLANCE));
  const glance = rows.filter((_, at) => at % step === 0);
  const alike = new Map<string, Column[]>();
  const found: [Column, Column][] = [];
  for (const column of columns.slice(0, MOST_COMPARED)) {
    const key = JSON.stringify(glance.map((row) => column.values[row]));
    const before = alike.get(key) ?? [];
    alike.set(key, before);
    const first = before.find((other) => rows.every((row) => other.values[row] === column.values[row]));
    if (first) found.push([column, first]);
    else before.push(column);
  }
  return found;
}
