/** What becomes of each column of a table: which inputs, or none; every decision is recorded, columns of one fate together. */
import { listed, quote } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { dateParts, type Encoder, given, levels, marked, numeric, pixels } from "./encoders.js";
import { argument, columnsNamed } from "./names.js";
import { type Nature, natureOf, type Useless } from "./nature.js";
import type { Column, Decision, Table } from "./table.js";

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
  const told = new Fates();
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
  for (const column of columns) {
    const useless = natures.get(column)?.useless;
    if (!useless || keep.has(column.name)) continue;
    if (!used.includes(column)) told.add(column, "left out", REASON[useless], "--keep");
    else if (saysIfGiven(column)) {
      told.add(column, "used for whether there is a value only", REASON[useless], "--keep");
    } else {
      told.add(column, "used as a number", "it counts the rows, and there is no other input", undefined);
    }
  }
  const features = used.map((column): Feature => {
    const nature = natures.get(column) as Nature;
    if (!keep.has(column.name) && saysIfGiven(column)) return { column: column.name, ...given(column) };
    return { column: column.name, ...encoderOf(column, nature) };
  });
  for (const [copy, first] of copies(used, rows)) {
    told.add(copy, `the same as ${quote(first.name)} in every row`, undefined, "--ignore");
  }
  return { features, decisions: told.decisions() };

  function encoderOf(column: Column, { names: named, single, present }: Nature): Encoder {
    if (single && present > 0 && present < rows.length) return given(column);
    const { kind } = column;
    const marks = rows.length - present >= apart;
    if (kind === "date") {
      const dates = dateParts(column, table, rows);
      // kept although all are one
      if (dates.names.length === 0) return given(column);
      told.add(column, `taken apart: ${listed(dates.parts)}`, "it holds dates", "--categorical");
      if (!marks) return dates;
      told.add(column, "missing dates marked by an input of their own", undefined, "--ignore");
      return marked(dates, column);
    }
    if (kind === "number" && !(named && !quantities.has(column.name))) {
      const number = numeric(column, table, rows);
      if (present === rows.length) return number;
      const mean = "missing numbers taken for the mean of the training part";
      told.add(column, marks ? `${mean}, and marked by an input of their own` : mean, undefined, "--ignore");
      return marks ? marked(number, column) : number;
    }
    if (kind === "number") {
      told.add(column, "taken as levels", "numbers that name something have no size", "--numeric");
    }
    const encoder = levels(column, rows, most);
    if (encoder.merged > 0) {
      const what = `the most frequent values (at most ${most}) kept, all others are "other"`;
      told.add(column, what, undefined, "--levels", encoder.all);
    }
    return encoder;
  }
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

/** What was done with columns, those of one fate together in the order of the first. */
class Fates {
  readonly #fates = new Map<
    string,
    { columns: Column[]; what: string; why?: string; option?: string; levels: number[] }
  >();

  add(
    column: Column,
    what: string,
    why: string | undefined,
    option: string | undefined,
    levels?: number,
  ): void {
    const key = JSON.stringify([what, why]);
    const fate = this.#fates.get(key) ?? { columns: [], what, why, option, levels: [] };
    this.#fates.set(key, fate);
    fate.columns.push(column);
    if (levels !== undefined) fate.levels.push(levels);
  }

  decisions(): Decision[] {
    return [...this.#fates.values()].map(({ columns, what, why, option, levels }) => {
      const decision: Decision = { columns: columns.map(({ name }) => name), what };
      if (why !== undefined) decision.why = why;
      if (levels.length > 0) {
        const [least, most] = [Math.min(...levels), Math.max(...levels)];
        decision.why = `${least === most ? least.toLocaleString("en-US") : `${least.toLocaleString("en-US")} to ${most.toLocaleString("en-US")}`} different ones`;
        decision.option = "--levels N";
      } else if (option !== undefined) {
        decision.option = `${option} ${columns.length === 1 ? argument(columns[0].name) : "NAME"}`;
      }
      return decision;
    });
  }
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
