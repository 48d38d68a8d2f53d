/**
 * How a text with delimiters is to be read, from its first lines: what separates and encloses its fields, where the
 * table begins, and whether its first row names the columns.
 *
 * Each way of reading is tried. The best one gives records of one length from the first line on, and fields that look
 * like values rather than like several with a delimiter between them.
 */
import { quote as quoted } from "@evenkeel/report/format";
import { FailureError, UsageError } from "../../errors.js";
import { dateOf, minutesOf } from "../dates.js";
import { missingNotations } from "../missing.js";
import { numeralOf } from "../numbers.js";
import type { ReadOptions } from "../table.js";
import { type Dialect, RecordError, Records } from "./delimited.js";

/** How the text is read, and what was seen in its first lines. */
export interface Layout {
  dialect: Dialect;
  /** Whether whole lines are in quotes; the layout is to be found anew without those. */
  hasWrappedLines: boolean;
  /** Whether the delimiter that the text's name speaks of would give a table too. */
  isUsualPossible: boolean;
  /** Fields of a row. */
  width: number;
  /** Records before the table, as titles: the first `skipped` ones. */
  skipped: number;
  /** What they say, for a message. */
  skippedText: string[];
  /** What the records between the names and the values say: units, or what the names mean. */
  under: string[];
  /** Names of the columns, in the table's first record or in the line before it; undefined where there are none. */
  names: string[] | undefined;
  /** Whether the names are a record of the table, and not in a line before it (a comment, or one of other delimiters). */
  namesInRecord: boolean;
  /** Whether the first row plainly is a header, or plainly none. */
  sure: boolean;
  /** Whether the names are one fewer than the fields, as R writes them: the first column has the names of the rows. */
  rowNames: boolean;
  /** A first line `sep=;`, as spreadsheets know it: characters to pass over. */
  prefix: number;
}

const DELIMITERS = [",", "\t", ";", "|", " ", "::", "^", "~", "\x01", "\x1f", ":"];
/** Those that are more often something else. */
const RARE = new Set(["^", "~", "\x01", "\x1f", ":"]);
const LONGEST_DELIMITER = 8;
/** Records and fields that are looked at, and those of them whose looks are judged. */
const MOST_RECORDS = 1000;
const MOST_FIELDS = 200_000;
const MOST_JUDGED_RECORDS = 200;
const MOST_JUDGED_FIELDS = 20_000;
/** Records that may stand above the names, and between them and the values; those that tell names by what is below. */
const LONGEST_PREAMBLE = 30;
const MOST_UNDER = 3;
const MOST_UNDER_NAMES = 50;
/** Characters of a field that are kept. */
const LONGEST_FIELD = 200;

const isMissing = missingNotations();

/** What a field is, in any notation; undefined for text. */
function kindOf(cell: string): "number" | "date" | undefined {
  if (!/\d/.test(cell)) return undefined;
  const numeral = numeralOf(cell);
  if (numeral?.unit === "") return "number";
  // "24h" may well be a name
  const isDate = dateOf(cell) !== undefined || (numeral === undefined && minutesOf(cell) !== undefined);
  return isDate ? "date" : undefined;
}

const isValue = (cell: string): boolean => kindOf(cell) !== undefined;

/** Records of the first lines, read in one way. */
interface Trial {
  dialect: Dialect;
  records: string[][];
  /** Mean plausibility of the fields, 0 to 1. */
  plausible: number;
  /** 1 where the text could be read to its end in this way, less where a quote is in the wrong place or closed nowhere. */
  complete: number;
  /** Quotes that are no closing ones within quoted fields, and fields that are quoted or have escapes. */
  strays: number;
  marked: number;
  tooWide: boolean;
}

/** What `--delimiter` means. */
function delimiterOf(option: string): string {
  const name = {
    tab: "\t",
    "\\t": "\t",
    space: " ",
    blank: " ",
    comma: ",",
    semicolon: ";",
    bar: "|",
    pipe: "|",
  }[option.toLowerCase()];
  const delimiter = name ?? option;
  if (/^ +$/.test(delimiter)) return " ";
  const fits = delimiter.length > 0 && delimiter.length <= LONGEST_DELIMITER;
  if (fits && !/["'\\\n\r]/.test(delimiter)) return delimiter;
  throw new UsageError(
    `--delimiter: expected a character such as ";", tab, or " " for any number of blanks, got ${quoted(option)}`,
  );
}

/**
 * The layout of the text that starts with `start`, which is all of it where `whole`; `usual` is the delimiter that its
 * name speaks of. Throws UsageError for a delimiter that cannot be one, and where there are more columns than allowed.
 */
export function layoutOf(
  start: string,
  whole: boolean,
  options: Pick<ReadOptions, "delimiter" | "header">,
  mostColumns: number,
  file: string,
  usual: string | undefined,
): Layout {
  const [prefixText = "", separator] = /^"?sep=(.)"?[ \t]*(?:\r\n|\n|\r)/i.exec(start.slice(0, 20)) ?? [];
  const text = start.slice(prefixText.length);
  const comment = commentOf(text);
  const given = options.delimiter === undefined ? separator : delimiterOf(options.delimiter);
  const order = given !== undefined ? [given] : [...new Set([...(usual ? [usual] : []), ...DELIMITERS])];

  const judge = judgement();
  const trials = order
    .filter(
      (delimiter) =>
        given !== undefined || text.includes(delimiter) || (delimiter === " " && text.includes("\t")),
    )
    .flatMap((delimiter) => dialectsOf(delimiter, text, comment.sign))
    .map((dialect) => tried(dialect, text, whole, mostColumns, judge));
  let best: { trial: Trial; shape: Shape; score: number } | undefined;
  let usualScore = 0;
  let isUsualPossible = false;
  for (const trial of trials) {
    const shape = shapeOf(trial.records);
    const score = scoreOf(trial, shape, text.includes("\t"));
    if (trial.dialect.delimiter === usual && score > usualScore) {
      usualScore = score;
      isUsualPossible = trial.complete === 1 && shape.consistent === 1 && shape.skipped === 0;
    }
    if (shape.width > (given === undefined ? 1 : 0) && (best === undefined || score > best.score + 1e-9)) {
      best = { trial, shape, score };
    }
  }
  if (best === undefined || best.score === 0) {
    if (trials.some(({ tooWide }) => tooWide)) throw tooWide(file, mostColumns);
    const trial = tried(
      { delimiter: usual ?? ",", quote: '"', backslash: false, comment: comment.sign },
      text,
      whole,
      mostColumns,
      judge,
    );
    best = { trial, shape: shapeOf(trial.records), score: 0 };
  }
  const { trial, shape } = best;
  const [, ...rows] = trial.records;
  const hasWrappedLines = trial.dialect.quote === "" && rows.length > 0 && rows.every(isWrapped);
  if (!hasWrappedLines && given === undefined && shape.width > 1 && shape.consistent < 0.5) {
    throw new UsageError(
      `${file}: expected a table, got text whose lines have different numbers of fields, whatever may separate them; name what does with --delimiter`,
    );
  }
  if (!hasWrappedLines && options.header === undefined && trial.records.length > 1)
    checkHeader(text, trial, shape, file);
  return {
    ...headerOf(trial, shape, comment.last, options.header),
    prefix: prefixText.length,
    dialect: trial.dialect,
    isUsualPossible,
    hasWrappedLines,
  };
}

export const tooWide = (file: string, most: number): UsageError =>
  new UsageError(
    `${file}: expected at most ${most.toLocaleString("en-US")} columns, got more; name what separates the fields with --delimiter, or leave columns out of the file`,
  );

/**
 * Throws FailureError where the header has more names than the rows have fields, or fewer by more than the names of rows
 * are, and where delimiters within fields may be the cause of that.
 */
function checkHeader(text: string, { dialect, records }: Trial, shape: Shape, file: string): void {
  const { width, skipped, rowNames } = shape;
  const [first, second] = records;
  const isHeader =
    skipped === 1 &&
    first.length > 1 &&
    !first.some((cell) => cell === "" || isValue(cell)) &&
    (records.length < 3 || !namesColumns(second, records.slice(2)).isHeader);
  if (!isHeader && !(rowNames && skipped === 0 && hasLoose(text, dialect.delimiter))) return;
  throw new FailureError(
    `${file}: row 1: expected ${first.length} fields as in the header, got ${width}; quote what holds a delimiter, add or remove fields or names, or say --header no where the first line is no header`,
  );
}

/** Whether a line is in quotes as a whole. */
const isWrapped = (record: readonly string[]): boolean =>
  record.length > 1 &&
  record[0].startsWith('"') &&
  record[record.length - 1].endsWith('"') &&
  !record[0].endsWith('"');

/** Whether delimiters with a blank behind them, as within text, are in all rows beside others without, and not in the header. */
function hasLoose(text: string, delimiter: string): boolean {
  const [header, ...lines] = text.split(/[\r\n]+/, 50).filter((line) => line !== "");
  const loose = `${delimiter} `;
  return (
    delimiter !== " " &&
    !header.includes(loose) &&
    lines
      .slice(0, -1)
      .every((line) => line.includes(loose) && line.split(delimiter).length > line.split(loose).length)
  );
}

/** The sign that starts the text's first lines where these are comments, and the last of them. */
function commentOf(text: string): { sign: string; last: string } {
  let sign = "";
  let last = "";
  let at = 0;
  while (at < text.length) {
    const stop = text.slice(at, at + 65536).search(/[\n\r]/);
    const line = stop < 0 ? text.slice(at) : text.slice(at, at + stop);
    if (line.trim() !== "") {
      if (sign === "" && /^(?:[#!]|%[ %])(?![,;|\t])/.test(line)) sign = line[0];
      if (sign === "" || line[0] !== sign) return { sign, last };
      last = line;
    }
    if (stop < 0) break;
    at += stop + 1;
  }
  // nothing but lines that start alike: these are the table
  return { sign: "", last: "" };
}

/** The ways in which fields between such delimiters may be quoted, as far as the text gives a reason to try them. */
function dialectsOf(delimiter: string, text: string, comment: string): Dialect[] {
  const plain = { delimiter, comment, backslash: false };
  const dialects: Dialect[] = [{ ...plain, quote: '"' }];
  const escapes = /\\["'\\,;|\t]/.test(text);
  if (escapes) dialects.push({ ...plain, quote: '"', backslash: true });
  if (/(?:^|[\s,;|])'/.test(text)) {
    dialects.push({ ...plain, quote: "'" });
    if (escapes) dialects.push({ ...plain, quote: "'", backslash: true });
  }
  if (text.includes('"')) dialects.push({ ...plain, quote: "" });
  return dialects;
}

/** The first records of `text`, read in one way. */
function tried(
  dialect: Dialect,
  text: string,
  whole: boolean,
  mostColumns: number,
  judge: (cell: string) => number,
): Trial {
  const records: string[][] = [];
  let cells = 0;
  let judged = 0;
  let sum = 0;
  let marked = 0;
  const blanks = dialect.delimiter === " ";
  const reader = new Records(dialect, mostColumns, (record) => {
    const row: string[] = [];
    for (let index = 0; index < record.count; index++) {
      const cell = record.cell(index).slice(0, LONGEST_FIELD);
      row.push(cell);
      const isMarked = record.isMarked(index);
      if (isMarked) marked++;
      if (records.length < MOST_JUDGED_RECORDS && judged < MOST_JUDGED_FIELDS) {
        judged++;
        sum += isMarked
          ? 1
          : judge(cell) -
            (blanks && /[^\d],/.test(cell) ? 0.3 : 0) -
            (dialect.quote === "" && /^["']|["']$/.test(cell) ? 0.5 : 0);
      }
    }
    cells += row.length;
    records.push(row);
    return records.length < MOST_RECORDS && cells < MOST_FIELDS;
  });
  let failed: RecordError["kind"] | undefined;
  try {
    reader.push(text, whole);
    // not one line in all of it
    if (records.length === 0 && !whole) reader.push("", true);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    failed = error.kind;
  }
  // a record that a quote keeps open to the end, where others are shorter
  const rest = reader.stopped ? 0 : text.length - reader.done;
  const open = records.length > 1 && rest > 4 * (reader.done / records.length) + 1000;
  return {
    dialect,
    records,
    plausible: judged === 0 ? 0 : sum / judged,
    complete: failed === "fields" ? 0 : failed !== undefined ? 0.3 : open ? 0.5 : 1,
    strays: reader.strays,
    marked,
    tooWide: failed === "fields",
  };
}

/** How much a field without quotes looks like one value, 0 to 1; remembers what it has seen. */
function judgement(): (cell: string) => number {
  const seen = new Map<string, number>();
  return (cell) => {
    let found = seen.get(cell);
    if (found === undefined) {
      found = plausibility(cell);
      seen.set(cell, found);
    }
    return found;
  };
}

function plausibility(cell: string): number {
  if (isMissing(cell)) return 0.9;
  // a value with a delimiter behind it, or several with one between them
  if (/[,;|\\]$/.test(cell)) return 0.3;
  if (isValue(cell)) return 1;
  if (/\d[;|\t ][-+]?\d| {2}|\t|::/.test(cell)) return 0.3;
  if (/[;|]/.test(cell)) return 0.5;
  if (cell.includes(",")) return 0.6;
  return cell.includes(" ") ? 0.9 : 0.95;
}

/** The form that records have in common. */
interface Shape {
  width: number;
  /** Records before the table. */
  skipped: number;
  /** Share of the records from there on that have this width. */
  consistent: number;
  rowNames: boolean;
}

/** Fields of a record up to the last one that is not empty. */
const filled = (record: readonly string[]): number => {
  let last = record.length;
  while (last > 0 && record[last - 1] === "") last--;
  return last;
};

/** The width of most records, and where the first one of it is. */
function shapeOf(records: readonly string[][]): Shape {
  if (records.length === 0) return { width: 0, skipped: 0, consistent: 0, rowNames: false };
  const lengths = records.map((record) => record.length);
  // of two that are as frequent, the one that comes later: the first lines may be titles
  const times = new Map<number, number>();
  let width = lengths[0];
  for (const length of lengths) {
    times.set(length, (times.get(length) ?? 0) + 1);
    if ((times.get(length) ?? 0) >= (times.get(width) ?? 0)) width = length;
  }
  // where some rows leave out fields at the end, the longest ones tell, if the first is among them
  const longest = lengths.reduce((a, b) => Math.max(a, b));
  if (longest > width && lengths[0] === longest && lengths.indexOf(longest, 1) > 0) width = longest;
  let skipped = lengths.findIndex(
    (length, index) =>
      length === width ||
      filled(records[index]) === width ||
      (length === width - 1 && isNames(records.slice(index, index + 3), width)),
  );
  // a header with more names than any row has fields is not to be taken for a title
  if (skipped === 1 && lengths[0] > width && filled(records[0]) === width) skipped = 0;
  if (skipped < 0) skipped = 0;
  // titles that a spreadsheet filled up with delimiters
  while (skipped < records.length - 2) {
    if (!isTitle(records[skipped], records.slice(skipped + 1, skipped + 20))) break;
    skipped++;
  }
  if (isCount(records[skipped], records.slice(skipped + 1), width)) skipped++;
  skipped += preambleOf(records.slice(skipped), width);
  const table = records.slice(skipped);
  const emptyLast = table.slice(1).every((record) => record.length < width || record[width - 1] === "");
  const rowNames = table[0].length === width - 1 && table.length > 1 && !emptyLast;
  let fitting = 0;
  for (const [index, record] of table.entries()) {
    const isShortHeader = index === 0 && record.length === width - 1;
    if (record.length === width || filled(record) === width || isShortHeader) fitting++;
  }
  return { width, skipped, consistent: fitting / table.length, rowNames };
}

/** Whether a record may name the columns of the one below it, which has one field more for the name of the row and is no header itself. */
function isNames([record, below, next]: readonly (readonly string[])[], width: number): boolean {
  if (below?.length !== width || width < 2 || !isText(record)) return false;
  return !(isText(below) && next?.some(isValue));
}

/** Whether all fields are texts. */
const isText = (record: readonly string[]): boolean =>
  record.every((cell) => !isMissing(cell) && !isValue(cell));

/**
 * Records above the names of a table of values, where they have as many fields as it: what an instrument writes of
 * itself, or names of several columns in one.
 */
function preambleOf(table: readonly (readonly string[])[], width: number): number {
  for (let at = 1; at < Math.min(LONGEST_PREAMBLE, table.length - 2); at++) {
    if (table[at].length !== width || !isText(table[at])) continue;
    const rows = table.slice(at + 1, at + 1 + MOST_UNDER_NAMES);
    const isValued = (_: string, column: number) => usualKind(valuesIn(rows, column)) !== undefined;
    const isOver = at === 1 && table[0].filter((cell) => cell === "").length > 1;
    if (isOver && table[at].some(isValued)) return at;
    if (table.slice(1, at).some((record) => record.some(isValue)) && table[at].every(isValued)) return at;
  }
  return 0;
}

/** How many records between the names and the values are text where the values are: units, or what the names mean. */
function textsUnder(below: readonly (readonly string[])[]): number {
  let under = 0;
  while (under < Math.min(MOST_UNDER, below.length - 2)) {
    const record = below[under];
    const rows = below.slice(under + 1, under + 1 + MOST_UNDER_NAMES);
    const filled = record.flatMap((cell, column) => (isMissing(cell) ? [] : { cell, column }));
    const over = filled.filter(({ column }) => usualKind(valuesIn(rows, column)) !== undefined);
    const isUnder =
      over.length > 0 &&
      over.length >= Math.min(2, filled.length) &&
      // a bound such as <0.1 is a value
      over.every(({ cell }) => !isValue(cell) && !/^[<>≤≥~]/.test(cell)) &&
      filled.every(({ cell, column }) => rows.every((row) => row[column] !== cell));
    if (!isUnder) break;
    under++;
  }
  return under;
}

const valuesIn = (rows: readonly (readonly string[])[], column: number): string[] =>
  rows.map((row) => row[column] ?? "").filter((cell) => !isMissing(cell));

/** What most of the cells are; undefined for text. */
function usualKind(cells: readonly string[]): ReturnType<typeof kindOf> {
  const kinds = cells.map(kindOf);
  return (["number", "date"] as const).find(
    (kind) => kinds.filter((one) => one === kind).length > cells.length / 2,
  );
}

/** Text in the first field alone, above rows that have others. */
function isTitle(record: readonly string[], below: readonly (readonly string[])[]): boolean {
  return (
    filled(record) === 1 &&
    record.length > 1 &&
    !isValue(record[0]) &&
    below.some((row) => row.slice(1).some((cell) => cell !== ""))
  );
}

/** As scikit-learn has it in the place of a header: rows, features, and the names of the classes that the last column counts. */
function isCount(
  [rows, features, ...classes]: readonly string[],
  below: readonly string[][],
  width: number,
): boolean {
  return (
    below.length > 0 &&
    /^\d+$/.test(rows) &&
    features === String(width - 1) &&
    classes.length > 1 &&
    !classes.some((name) => isValue(name)) &&
    below.every(
      (row) =>
        row.length !== width || (/^\d+$/.test(row[width - 1]) && Number(row[width - 1]) < classes.length),
    )
  );
}

/** How good a reading is; the factors were weighed with files of which the right one is known (csv.test.ts). */
function scoreOf(trial: Trial, { width, skipped, consistent, rowNames }: Shape, hasTabs: boolean): number {
  // a first line without the delimiter speaks for another one
  const isApart = skipped > 0 || (rowNames && width === 2);
  const strays = trial.strays / (1 + trial.marked + trial.strays);
  return (
    trial.plausible *
    consistent ** 2 *
    trial.complete *
    (1 - 1 / (4 * Math.max(1, width))) *
    (1 - strays / 5) *
    (isApart ? 0.5 : 1) *
    (rowNames ? 0.97 : 1) *
    (RARE.has(trial.dialect.delimiter) ? 0.8 : 1) *
    // beside tabs, blanks are more often within fields
    (hasTabs && trial.dialect.delimiter === " " ? 0.8 : 1)
  );
}

/** Which of the records names the columns. */
function headerOf(
  trial: Trial,
  shape: Shape,
  comment: string,
  asked: boolean | undefined,
): Omit<Layout, "dialect" | "prefix" | "isUsualPossible" | "hasWrappedLines"> {
  const { width, skipped, rowNames } = shape;
  const table = trial.records.slice(skipped);
  const [first = [], ...below] = table;
  const common = {
    width,
    skipped,
    skippedText: trial.records.slice(0, skipped).map(lineOf),
    under: [],
    rowNames: false,
  };
  const seen = rowNames ? { isHeader: true, sure: true } : namesColumns(first, below);
  const { isHeader, sure } = asked === undefined ? seen : { isHeader: asked, sure: true };
  if (isHeader) {
    const under = rowNames ? 0 : textsUnder(below);
    return {
      ...common,
      rowNames,
      names: rowNames ? ["", ...first] : first,
      under: below.slice(0, under).map(lineOf),
      namesInRecord: true,
      sure,
    };
  }
  if (asked !== undefined) return { ...common, names: undefined, namesInRecord: false, sure };
  // the names may be in a comment, or separated in another way than the rows
  const above = trial.records[skipped - 1] ?? [];
  const names =
    namesIn(comment.replace(/^[#!%]+[ \t]*/, ""), trial.dialect, width) ??
    (above.length === 1
      ? DELIMITERS.map((delimiter) => namesIn(above[0], { ...trial.dialect, delimiter }, width)).find(
          (found) => found !== undefined,
        )
      : undefined);
  return { ...common, names, namesInRecord: false, sure };
}

const lineOf = (record: readonly string[]): string => record.filter((cell) => cell !== "").join(", ");

/** The names of the columns in a line, where it has as many words as there are columns. */
function namesIn(line: string, dialect: Dialect, width: number): string[] | undefined {
  if (line === "" || width < 2) return undefined;
  let names: string[] | undefined;
  const reader = new Records({ ...dialect, comment: "" }, width, (record) => {
    names = Array.from({ length: record.count }, (_, index) => record.cell(index));
    return false;
  });
  try {
    reader.push(line, true);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
  }
  return names?.length === width && names.every((name) => name !== "" && !isValue(name)) ? names : undefined;
}

/**
 * Whether `first` names the columns of the rows `below`: its words stand over values, and do not come again; numbers
 * over numbers speak against it, but where they count (years, 0 1 2 3).
 */
export function namesColumns(
  first: readonly string[],
  below: readonly (readonly string[])[],
): { isHeader: boolean; sure: boolean } {
  const rows = below.filter(
    (row) => row.length >= first.length && row.some((cell, column) => cell !== first[column]),
  );
  // nothing below, or the same row again and again
  if (rows.length === 0) return { isHeader: !first.some(isValue), sure: true };
  let names = 0;
  let values = 0;
  for (const [column, cell] of first.entries()) {
    const cells = valuesIn(rows, column);
    if (cells.length === 0) continue;
    const usual = usualKind(cells);
    const kind = kindOf(cell);
    if (isMissing(cell)) {
      // an index without a name is empty; anything else is a value that is not there
      if (cell !== "") values += 0.5;
    } else if (isYear(cell) && cells.filter(isYear).length < cells.length / 2) {
      // the name of a column in a table of years
    } else if (kind !== undefined && kind === usual) {
      values++;
    } else if (usual !== undefined) {
      names++;
    } else if (cells.includes(cell)) {
      values++;
    } else if (new Set(cells).size <= cells.length / 2) {
      // few levels, each several times, and this is none of them
      names += 0.5;
    }
  }
  if (values === 0) return { isHeader: true, sure: names > 0 };
  const steps = stepsOf(first);
  if (steps >= Math.max(3, values) && stepsOf(rows[0]) === 0) {
    // few numbers rise evenly by chance
    const isLikely = steps > 4 || names > 0 || first[0] === "" || (steps > 3 && first[0] === "0");
    if (isLikely) return { isHeader: true, sure: false };
  }
  return { isHeader: names > values, sure: names === 0 || names > values };
}

const isYear = (cell: string): boolean => /^(?:1[89]|20)\d\d$/.test(cell);

/** How many numbers of a row rise by equal steps, as those that name columns do: years, wavelengths, 0 1 2 3; 0 if they do not. */
function stepsOf(row: readonly string[]): number {
  const numbers = row.filter((cell) => /^\d{1,9}(?:\.\d{1,9})?$/.test(cell)).map(Number);
  const step = (numbers[numbers.length - 1] - numbers[0]) / (numbers.length - 1);
  const even = numbers.every((number, index) => Math.abs(number - numbers[0] - index * step) <= step / 20);
  return step > 0 && even ? numbers.length : 0;
}
