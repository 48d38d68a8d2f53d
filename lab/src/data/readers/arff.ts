/**
 * ARFF, the format of Weka and OpenML: attributes declared one per line, then rows of values, dense
 * (`5.1, 'a b', ?`) or sparse (`{0 5.1, 1 'a b'}`). npm has no maintained parser for it.
 * https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/
 */
import { count, printable, quote } from "@evenkeel/report/format";
import { DateTime } from "luxon";
import { FailureError } from "../../errors.js";
import {
  type Decision,
  type Limits,
  type RawColumn,
  type RawTable,
  type ReadOptions,
  usualLimits,
  type Value,
} from "../table.js";
import {
  afterBlanks,
  type Between,
  denseValues,
  isBlank,
  isQuote,
  quoted,
  unquoted,
  type Values,
  weightAt,
} from "./arff-values.js";
import { drawn } from "./sample.js";
import { checkSize } from "./size.js";

type Attribute = { name: string } & (
  | { type: "number" | "text" }
  | { type: "date"; format: string }
  /** A table in a cell. */
  | { type: "relational" }
  | { type: "levels"; levels: ReadonlySet<string> }
);

type Fail = (message: string) => never;

const NUMBER_TYPES = new Set(["numeric", "real", "integer", "int", "float", "double"]);
const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;
const NAN = /^[+-]?nan$/i;
const ALL_BETWEENS: readonly Between[] = ["commas", "tabs", "blanks"];
const JAVA_DATE = "yyyy-MM-dd'T'HH:mm:ss";

/**
 * The columns of an ARFF file's text; `file` is its name in messages. A value left out of a sparse row is 0, or the
 * first level of a nominal attribute, or missing where the attribute is text or a date. Throws FailureError, with the
 * line, for what is not ARFF, UsageError above a limit. A numeric attribute with text in it is yet to be understood.
 */
export function parseArff(text: string, file: string, options: ReadOptions = {}): RawTable {
  const limits = { ...usualLimits, ...options.limits };
  const { attributes, data, line } = headerOf(text, file, limits);
  const rowCount = countRows(text, data);
  const kept = drawn(rowCount, options.sample);
  const keptCount = kept?.length ?? rowCount;
  checkSize(file, rowCount, keptCount, attributes.length, limits);
  const columns = attributes.map((attribute) => new Array<Value>(keptCount).fill(absentFrom(attribute)));
  let weights: string | undefined;
  /** In the file, and among those that are kept. */
  let row = -1;
  let place = 0;
  let between: Between = "commas";
  for (const { content, whole, number } of linesOf(text, data, line)) {
    row++;
    if (kept !== undefined && kept[place] !== row) continue;
    const fail: Fail = (message) => {
      throw new FailureError(`${file}: row ${row + 1} (line ${number}): ${message}`);
    };
    if (content.startsWith("{")) {
      weights = sparseRow(content, place, attributes, columns, fail) ?? weights;
    } else {
      const dense = denseRow(whole, attributes, between, fail);
      between = dense.between;
      weights = dense.weight ?? weights;
      for (const [column, attribute] of attributes.entries()) {
        columns[column][place] = cellOf(dense.values[column], attribute, fail);
      }
    }
    place++;
  }
  const table = tableOf(attributes, columns, rowCount, weights);
  return kept === undefined ? table : { ...table, rowNumbers: kept.map((one) => one + 1) };
}

function tableOf(
  attributes: readonly Attribute[],
  columns: readonly Value[][],
  rowCount: number,
  weights: string | undefined,
): RawTable {
  const decisions: Decision[] = [];
  const relational = attributes.filter(({ type }) => type === "relational");
  if (relational.length > 0) {
    decisions.push({
      columns: relational.map(({ name }) => printable(name)),
      what: "left out",
      why: "relational attributes hold a table in each cell",
    });
  }
  if (weights !== undefined) {
    decisions.push({
      columns: [],
      what: "weights of rows not used",
      why: `{${quote(weights, 20).slice(1, -1)}} after a row`,
    });
  }
  return {
    columns: attributes.flatMap((attribute, index) => columnOf(attribute, columns[index])),
    rowCount,
    decisions,
  };
}

function columnOf(attribute: Attribute, cells: Value[]): RawColumn[] {
  const { name } = attribute;
  switch (attribute.type) {
    case "relational":
      return [];
    case "date": {
      const dates = datesOf(cells, attribute.format);
      return [dates === undefined ? { name, cells } : { name, cells: dates, type: "date" }];
    }
    case "levels":
      return [{ name, cells, type: "text", levels: [...attribute.levels] }];
    case "number":
      // where some are written in another way, it is yet to be understood which
      return [
        cells.some((cell) => typeof cell === "string") ? { name, cells } : { name, cells, type: "number" },
      ];
    default:
      return [{ name, cells, type: "text" }];
  }
}

/** Lines that are neither blank nor a comment, whole and without the blanks around them, from a place on whose line has a number. */
function* linesOf(text: string, from: number, first: number) {
  const end = text.includes("\n") ? "\n" : "\r";
  for (let at = from, number = first; at < text.length; number++) {
    const found = text.indexOf(end, at);
    const stop = found < 0 ? text.length : found;
    const whole = text.slice(at, text[stop - 1] === "\r" ? stop - 1 : stop);
    const content = whole.trim();
    at = stop + 1;
    if (content !== "" && !content.startsWith("%")) yield { content, whole, number, next: at };
  }
}

function countRows(text: string, from: number): number {
  let rows = 0;
  for (const _ of linesOf(text, from, 0)) rows++;
  return rows;
}

/** The attributes, and where the rows begin. */
function headerOf(
  text: string,
  file: string,
  limits: Limits,
): { attributes: Attribute[]; data: number; line: number } {
  const attributes: Attribute[] = [];
  /** How many relational attributes are open; what is declared in them is none of the table's. */
  let inside = 0;
  for (const { content, number, next } of linesOf(text, 0, 1)) {
    const fail: Fail = (message) => {
      throw new FailureError(`${file}: line ${number}: ${message}`);
    };
    const keyword = /^@(relation|attribute|data|end)(?![^\s%'"{])/i.exec(content)?.[1].toLowerCase();
    if (keyword === "relation") continue; // the file has a name
    if (keyword === "attribute") {
      const attribute = readAttribute(content, fail);
      if (inside === 0) attributes.push(attribute);
      if (attribute.type === "relational") inside++;
      checkSize(file, 0, 0, attributes.length, limits);
    } else if (keyword === "end" && inside > 0) inside--;
    else if (keyword === "data") {
      if (inside > 0) fail("@data comes before the @end of a relational attribute; close it");
      if (attributes.length === 0) fail("@data comes before any @attribute; declare the attributes first");
      return { attributes, data: next, line: number + 1 };
    } else fail(`expected @relation, @attribute, @data or a % comment, got ${quote(content, 80)}`);
  }
  throw new FailureError(
    `${file}: expected a line @data and rows below it, got none; the file may be truncated: fetch or write it again`,
  );
}

function readAttribute(line: string, fail: Fail): Attribute {
  const malformed = () =>
    fail(
      `expected @attribute name numeric, string or {level, …}, got ${quote(line, 80)}; put a name that holds blanks in quotes`,
    );
  let at = afterBlanks(line, "@attribute".length);
  let name: string;
  if (isQuote(line[at])) {
    const piece = quoted(line, at);
    if (piece === undefined) return malformed();
    name = piece.text;
    at = piece.end;
  } else {
    let end = at;
    while (end < line.length && !isBlank(line[end]) && line[end] !== "{") end++;
    name = line.slice(at, end);
    at = end;
  }
  at = afterBlanks(line, at);
  if (name === "" || at >= line.length) return malformed();
  if (line[at] === "{") return { name, type: "levels", levels: levelsOf(line, at) ?? malformed() };
  const type = unquoted(line, at, " \t[{").text.toLowerCase();
  if (NUMBER_TYPES.has(type)) return { name, type: "number" };
  if (type === "string") return { name, type: "text" };
  if (type === "relational") return { name, type };
  if (type === "date") {
    at = afterBlanks(line, at + type.length);
    const format = isQuote(line[at]) ? quoted(line, at)?.text : unquoted(line, at, "").text;
    return { name, type, format: format || JAVA_DATE };
  }
  return fail(
    `attribute ${quote(name)}: expected the type numeric, real, integer, string, date, relational or {level, …}, got ${quote(type)}; put a name that holds blanks in quotes`,
  );
}

/** The levels in the braces that open at `at`; undefined where they or a quote do not close. */
function levelsOf(line: string, at: number): ReadonlySet<string> | undefined {
  const levels = new Set<string>();
  // as in rows: commas separate, and blanks only where there are none
  const stops = line.includes(",", at) ? ",}" : ", \t}";
  for (let next = at + 1; next < line.length; ) {
    next = afterBlanks(line, next);
    if (line[next] === "}") return levels;
    if (line[next] === ",") next++;
    else if (isQuote(line[next])) {
      const piece = quoted(line, next);
      if (piece === undefined) return undefined;
      levels.add(piece.text);
      next = piece.end;
    } else {
      const { text, end } = unquoted(line, next, stops);
      if (end === next) return undefined;
      levels.add(text);
      next = end;
    }
  }
  return undefined;
}

/** What a sparse row says of an attribute by leaving it out. */
function absentFrom(attribute: Attribute): Value {
  if (attribute.type === "number") return 0;
  if (attribute.type !== "levels") return null;
  const [first = null] = attribute.levels;
  return first;
}

/** The values of a dense row, one for each attribute, and what separates them; the separator of the row before is tried first. */
function denseRow(
  line: string,
  attributes: readonly Attribute[],
  usual: Between,
  fail: Fail,
): Values & { between: Between } {
  if (/^@(?:relation|attribute|data)(?:\s|$)/i.test(line)) {
    fail(
      `expected a row, got ${quote(line)}, as if another file began here; keep only one header, above all rows`,
    );
  }
  for (const between of new Set([usual, ...ALL_BETWEENS])) {
    const found = denseValues(line, attributes.length, between);
    if (found?.count === attributes.length) return { ...found, between };
  }
  const commas = denseValues(line, attributes.length, "commas");
  if (commas === undefined) {
    return fail(unmatched(line));
  }
  return fail(
    `expected ${count(attributes.length, "value")}, one for each attribute, got ${commas.count}; add or remove values, or quote a value that holds a comma`,
  );
}

const unmatched = (line: string): string =>
  `the quotes do not match in ${quote(line, 80)}; close the quote, or write \\' inside one`;

/** Puts the values of a sparse row into the columns; its weight, where it has one. */
function sparseRow(
  line: string,
  place: number,
  attributes: readonly Attribute[],
  columns: readonly Value[][],
  fail: Fail,
): string | undefined {
  const wrong = () =>
    fail(
      `expected pairs "index value" with rising indices from 0 to ${attributes.length - 1}, got ${quote(line, 80)}`,
    );
  let last = -1;
  for (let at = 1; at < line.length; ) {
    at = afterBlanks(line, at);
    if (line[at] === "}") {
      let rest = afterBlanks(line, at + 1);
      if (line[rest] === ",") rest = afterBlanks(line, rest + 1);
      const weight = weightAt(line, rest);
      return weight === undefined && rest < line.length && line[rest] !== "%" ? wrong() : weight;
    }
    if (line[at] === ",") {
      at++;
      continue;
    }
    if (at >= line.length) break;
    const { text, end } = unquoted(line, at, " \t,}");
    const index = /^\d{1,9}$/.test(text) ? Number(text) : -1;
    const attribute = attributes[index];
    const start = afterBlanks(line, end);
    if (attribute === undefined || index <= last || start === end) return wrong();
    const bare = !isQuote(line[start]);
    const piece = bare ? unquoted(line, start, ",}") : quoted(line, start);
    if (piece === undefined) return fail(unmatched(line));
    const missing = bare && (piece.text === "?" || piece.text === "");
    columns[index][place] = cellOf(missing ? null : piece.text, attribute, fail);
    last = index;
    at = piece.end;
  }
  return fail("a sparse row must end in }; close it");
}

function cellOf(text: string | null, attribute: Attribute, fail: Fail): Value {
  if (text === null) return null;
  if (attribute.type === "number") return NUMBER.test(text) ? Number(text) : NAN.test(text) ? null : text;
  if (attribute.type === "levels" && !attribute.levels.has(text)) {
    return fail(
      `attribute ${quote(attribute.name)}: expected one of ${quote([...attribute.levels].join(", "), 80).slice(1, -1)}, got ${quote(text)}; correct the value, or declare it`,
    );
  }
  return text;
}

/** A format of Java's SimpleDateFormat as Luxon has it. Where no digit stands beside it, a part may have one digit or two, as in Java. */
const luxonFormat = (java: string): string =>
  java
    .split("'")
    .map((part, index) =>
      index % 2 === 1
        ? part
        : part
            .replace(/(?<![A-Za-z])(MM|dd|HH|hh|mm|ss)(?![A-Za-z])/g, ([letter]) => letter)
            .replace(/Z+/g, "ZZZ"),
    )
    .join("'");

/** Milliseconds since 1970, for dates in a format of Java's SimpleDateFormat; undefined where one is in another. */
function datesOf(cells: readonly Value[], format: string): Value[] | undefined {
  const known = new Map<Value, number>();
  try {
    const luxon = luxonFormat(format);
    // a time without a year is of 1970, as in Java, and not of today
    const [year, day] = /[yu]/.test(luxon.replace(/'[^']*'/g, "")) ? ["", ""] : ["yyyy ", "1970 "];
    const parser = DateTime.buildFormatParser(year + luxon, { locale: "en-US" });
    return cells.map((cell) => {
      if (cell === null) return null;
      let ms = known.get(cell);
      if (ms === undefined) {
        ms =
          String(cell).length > 64
            ? Number.NaN
            : DateTime.fromFormatParser(day + cell, parser, { zone: "utc", locale: "en-US" }).toMillis();
        if (Number.isNaN(ms)) throw new Error("no date of this format");
        known.set(cell, ms);
      }
      return ms;
    });
  } catch {
    return undefined;
  }
}
