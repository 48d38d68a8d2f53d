/** What becomes of each column of a table: which inputs, or none; every decision is recorded, columns of one fate together. */
import { count, listed, quote } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import {
  category,
  dateParts,
  type Encoded,
  given,
  levels,
  marked,
  numeric,
  pixels,
  tokens,
  widthOf,
} from "./encoders.js";
import type { Category, InputForm } from "./form.js";
import { argument, columnsNamed, quoted } from "./names.js";
import { type Nature, natureOf, type Useless } from "./nature.js";
import type { Column, Decision, Table } from "./table.js";
import { keptAsText, Told } from "./told.js";

/** What was made from one column: as the report lists it. */
export interface Input {
  column: string;
  /** "a number", "5 levels and other", "a date: year, month, weekday", "pixels of 8×8" */
  how: string;
  /** One name per input of the network: "size", "colour=red", "when (month, sine)"; of a text that of its column alone. */
  names: string[];
}

export interface Feature extends Encoded {
  /** Its name; the first and the last one of pixels. */
  column: string;
}

export interface FeatureOptions {
  keep?: string[];
  numeric?: string[];
  levels?: number;
  image?: [height: number, width: number];
  /** The column of texts that is the only input. */
  text?: string;
}

const USUAL_LEVELS = 20;
/** Of a column that is embedded; what is rarer is one category together. */
const MOST_CATEGORIES = 10_000;
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
  if (options.image && options.text !== undefined) {
    throw new UsageError("--image and --text make different inputs; leave one of them out");
  }
  if (options.image) {
    const column = columns.length > 1 ? `${columns[0].name} … ${columns.at(-1)?.name}` : columns[0].name;
    return { features: [{ column, ...pixels(columns, table, rows, options.image) }], decisions: [] };
  }
  const quantities = columnsNamed(options.numeric ?? [], names, "--numeric");
  const told = new Told();
  const merged: Leveled[] = [];
  const embedded: Leveled[] = [];
  const natures = new Map(columns.map((column) => [column, natureOf(column, table, rows)]));
  const isFree = (column: Column) => natures.get(column)?.useless === "free text" && !keep.has(column.name);
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
  const free = columns.filter(isFree);
  const named = textNamed(options.text, columns, names);
  const text = named ?? (useful.every(isFree) ? longest(free, rows) : undefined);
  if (text) return { features: [textOf(text)], decisions: told.decisions };
  const counting = columns.filter((column) => natures.get(column)?.useless === "counts the rows");
  const used = useful.length > 0 ? useful : counting;
  if (used.length === 0) throw nothingToLearn(columns, natures);
  const isUsed = new Set(used);
  for (const column of columns) {
    const useless = natures.get(column)?.useless;
    if (!useless || keep.has(column.name)) continue;
    const reason = REASON[useless];
    // as levels, or as a number, it would say no more
    const option = useless === "free text" ? () => `--text ${argument(column.name)}` : toKeep;
    if (!isUsed.has(column)) told.add("left out", column.name, { reason, option });
    else if (saysIfGiven(column)) {
      told.add("used for whether there is a value only", column.name, { reason, option });
    } else {
      told.add("used as a number", column.name, {
        reason: "it counts the rows, and there is no other input",
      });
    }
  }
  const features = used.map((column): Feature => {
    const nature = natures.get(column) as Nature;
    if (!keep.has(column.name) && saysIfGiven(column)) return { column: column.name, ...given(column) };
    return { column: column.name, ...encodedBy(column, nature) };
  });
  for (const [copy, first] of copies(used, rows)) {
    const why = (names: string) => names;
    told.add("the same as another column", copy.name, { examples: [first.name], why, option: toIgnore });
  }
  return { features, decisions: [...told.decisions, ...manyLevels(merged, embedded, most)] };

  /** One text, all other columns left out. */
  function textOf(column: Column): Feature {
    const made = tokens(column, rows);
    const known = made.words.length.toLocaleString("en-US");
    const cut = made.cut > 0 ? ` (${made.cut.toLocaleString("en-US")} have more)` : "";
    const what = `read as texts, the first ${count(made.length, "word")} of each${cut}; ${known} words known, those of several rows, held-out ones too: no target is seen`;
    const reason = column === named ? "it is named by --text" : "free text, and no other input says more";
    told.add(what, column.name, { reason });
    for (const other of columns) {
      if (other === column) continue;
      const reason = `${quote(column.name)} is the only input`;
      told.add("left out", other.name, {
        reason,
        ...(isFree(other) && { option: () => `--text ${argument(other.name)}` }),
      });
    }
    return { column: column.name, ...made };
  }

  function encodedBy(column: Column, { names: named, single, present }: Nature): Encoded {
    if (single && present > 0 && present < rows.length) return given(column);
    const { kind } = column;
    const marks = rows.length - present >= apart;
    if (kind === "date") {
      const dates = dateParts(column, table, rows);
      // kept although all are one
      if (dates.names.length === 0) return given(column);
      const reason = "it holds dates";
      told.add(`taken apart: ${listed(dates.varying)}`, column.name, { reason, option: keptAsText });
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
    const made = levels(column, rows, most);
    if (made.merged === 0) return made;
    const coded = options.levels === undefined ? category(column, rows, MOST_CATEGORIES) : undefined;
    // those in several rows may be few
    if (coded === undefined || coded.categories <= most) {
      merged.push({ column, all: made.all });
      return made;
    }
    embedded.push({ column, all: made.all });
    return marks ? marked(coded, column) : coded;
  }
}

const toKeep = (typed: string) => `--keep ${typed}`;
const toIgnore = (typed: string) => `--ignore ${typed}`;

/** The one column that `--text` names. Throws UsageError where it is none of `columns`, or no text. */
function textNamed(
  named: string | undefined,
  columns: readonly Column[],
  names: readonly string[],
): Column | undefined {
  if (named === undefined) return undefined;
  const found = [...columnsNamed([named], names, "--text")];
  if (found.length > 1) {
    throw new UsageError(`--text: expected one column, got ${quoted(found)}; name one of them`);
  }
  const column = columns.find(({ name }) => name === found[0]);
  if (column === undefined) {
    throw new UsageError(
      `--text: expected an input, and ${quote(found[0])} is the target, a group, or ignored; name another column`,
    );
  }
  if (column.kind !== "text") {
    const isEmpty = column.values.every((value) => value === null);
    throw new UsageError(
      `--text: expected a column of texts, got ${isEmpty ? "no value" : column.kind === "date" ? "dates" : "numbers"} in ${quote(column.name)}; name another column`,
    );
  }
  return column;
}

/** The column with the most characters. */
function longest(columns: readonly Column[], rows: readonly number[]): Column | undefined {
  const charactersOf = ({ values }: Column) =>
    rows.reduce((sum, row) => sum + ((values[row] as string | null)?.length ?? 0), 0);
  const sizes = new Map(columns.map((column) => [column, charactersOf(column)]));
  return columns.toSorted((a, b) => (sizes.get(b) ?? 0) - (sizes.get(a) ?? 0))[0];
}

/** What these features are to a network. */
export function inputFormOf(
  features: readonly Feature[],
  { image }: Pick<FeatureOptions, "image">,
): InputForm {
  const categories: Category[] = [];
  let at = 0;
  for (const part of features.flatMap(({ encoders }) => encoders.flatMap(({ parts }) => parts))) {
    if (part.kind === "tokens") {
      // 1 is any other word
      return { kind: "tokens", shape: [part.length], vocabulary: part.words.length + 1 };
    }
    if (part.kind === "category") categories.push({ at, levels: part.levels.length + 1 });
    at += widthOf(part);
  }
  if (image) return { kind: "image", shape: [...image, 1] };
  return { kind: "features", shape: [at], ...(categories.length > 0 && { categories }) };
}

/** A column of which not every level is an input; `all` is how many it has. */
interface Leveled {
  column: Column;
  all: number;
}

function manyLevels(merged: readonly Leveled[], embedded: readonly Leveled[], most: number): Decision[] {
  const decision = (columns: readonly Leveled[], what: string): Decision[] => {
    if (columns.length === 0) return [];
    const sizes = columns.map(({ all }) => all).sort((a, b) => a - b);
    const [least, largest] = [sizes[0], sizes[sizes.length - 1]].map((size) => size.toLocaleString("en-US"));
    const why = `${least === largest ? least : `${least} to ${largest}`} different ones`;
    return [{ columns: columns.map(({ column }) => column.name), what, why, option: "--levels N" }];
  };
  return [
    ...decision(merged, `the most frequent values (at most ${most}) kept, all others are "other"`),
    ...decision(embedded, "values embedded: a vector is learnt for each that is in several rows"),
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
  // a text of its own in each row would be one input that is the same in all, but its words may say something
  const named = columns.find((column) => natures.get(column)?.useless === "identifies the rows");
  const option = named?.kind === "text" ? "read one as a text with --text" : "keep one with --keep";
  return new UsageError(
    `expected at least one input that says something, got ${shown.join(", ")}${others}; ${named ? `${option} ${argument(named.name)}` : "bring columns of numbers, dates or classes"}, or check --target and --ignore`,
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
