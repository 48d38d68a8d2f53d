/**
 * How a text with delimiters is to be read, from its first lines: what separates and encloses its fields, where the
 * table begins, and whether its first row names the columns.
 *
 * Each way of reading is tried. The best one gives records of one length from the first line on, and fields that look
 * like values rather than like several with a delimiter between them.
 */
import { quote as quoted } from "@evenkeel/report/format";
import { FailureError, UsageError } from "../../errors.js";
import type { ReadOptions } from "../table.js";
import { type Dialect, RecordError, Records } from "./delimited.js";
import { isMissing, isValue, namesColumns, type Shape, shapeOf, textsUnder } from "./header.js";

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

/** In no text. */
const NONE = "\x1e";
const DELIMITERS = [",", "\t", ";", "|", " ", "::", "^", "~", "\x01", "\x1f", ":"];
/** Those that are more often something else. */
const RARE = new Set(["^", "~", "\x01", "\x1f", ":"]);
const LONGEST_DELIMITER = 8;
/** Records and fields that are looked at, and those of them whose looks are judged. */
const MOST_RECORDS = 1000;
const MOST_FIELDS = 200_000;
const MOST_JUDGED_RECORDS = 200;
const MOST_JUDGED_FIELDS = 20_000;
/** Characters of a field that are kept. */
const LONGEST_FIELD = 200;

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
  options: Pick<ReadOptions, "delimiter" | "header" | "known">,
  mostColumns: number,
  file: string,
  usual: string | undefined,
): Layout {
  const [prefixText = "", separator] = /^"?sep=(.)"?[ \t]*(?:\r\n|\n|\r)/i.exec(start.slice(0, 20)) ?? [];
  const text = start.slice(prefixText.length);
  const comment = commentOf(text);
  // a column that is known stands alone: what may be within its texts separates nothing
  const [, first = ""] = /^\s*"?([^\r\n]*?)"?[ \t]*[\r\n]/.exec(text) ?? [];
  const alone = options.known?.has(first) ? NONE : undefined;
  const given = options.delimiter === undefined ? (separator ?? alone) : delimiterOf(options.delimiter);
  const order = given !== undefined ? [given] : [...new Set([...(usual ? [usual] : []), ...DELIMITERS])];

  const judge = judgement();
  const trials = order
    .filter(
      (delimiter) =>
        given !== undefined || text.includes(delimiter) || (delimiter === " " && text.includes("\t")),
    )
    .flatMap((delimiter) => dialectsOf(delimiter, text, comment.sign))
    .map((dialect) => tried(dialect, text, whole, mostColumns, judge));
  const shaped = trials.map((trial) => ({ trial, shape: shapeOf(trial.records) }));
  const blanksAreText = shaped.some(isPlain);
  let best: { trial: Trial; shape: Shape; score: number } | undefined;
  let usualScore = 0;
  let isUsualPossible = false;
  for (const { trial, shape } of shaped) {
    const score = scoreOf(trial, shape) * (blanksAreText && trial.dialect.delimiter === " " ? 0.4 : 1);
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

/** Whether one of the usual delimiters makes a table of values: blanks are then within these. */
const isPlain = ({ trial, shape }: { trial: Trial; shape: Shape }): boolean =>
  [",", ";", "\t", "|"].includes(trial.dialect.delimiter) &&
  shape.width > 1 &&
  shape.consistent > 0.8 &&
  trial.complete === 1 &&
  trial.plausible > 0.8;

/** How good a reading is; the factors were weighed with files of which the right one is known (csv.test.ts). */
function scoreOf(trial: Trial, { width, skipped, consistent, rowNames }: Shape): number {
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
    (RARE.has(trial.dialect.delimiter) ? 0.8 : 1)
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
    const under = rowNames ? 0 : textsUnder(below, width);
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
