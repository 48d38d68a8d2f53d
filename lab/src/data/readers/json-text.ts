/**
 * The values in a text of JSON: one, or several after each other, on lines of their own (NDJSON) or not. NaN and
 * Infinity may stand in it, as Python writes them; whole numbers that a double cannot hold become text, with all their
 * digits.
 */
import { printable } from "@evenkeel/report/format";
import { FailureError, reason, UsageError } from "../../errors.js";
import type { Limits } from "../table.js";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const [OPEN_LIST, OPEN_OBJECT, CLOSE_LIST, CLOSE_OBJECT] = [0x5b, 0x7b, 0x5d, 0x7d];
const [CAPITAL_I, CAPITAL_N] = [0x49, 0x4e];

const MOST_DEPTH = 1000;
/** Characters of a list that are read at a time. */
const PIECE = 2 ** 20;
/** Parts of a text that are held at a time, since each takes more than its characters. */
const MOST_PARTS = 2 ** 16;
/** What a key takes in memory that no object before it has, in cells. */
const CELLS_A_KEY = 64;
/** Keys of which each is looked at; of those after them one of so many. */
const EXACT_KEYS = 2 ** 20;
const KEYS_AT_A_TIME = 16;

/** Throws FailureError, with the line, for what is not JSON, and UsageError for more values, or keys, than the limits allow. */
export function valuesOf(text: string, file: string, limits: Limits): unknown[] {
  const { plain, cuts } = examined(text.replace(/^\ufeff/, ""), file, limits);
  try {
    return [cuts.length > 0 ? listOf(plain, cuts) : JSON.parse(plain)];
  } catch {
    // several values, or none: see below
  }
  const [, first = ""] = /^\s*([^\r\n]*)/.exec(plain) ?? [];
  const values: unknown[] = [];
  if (!isJson(first)) {
    for (const [start, end] of rangesOf(plain)) values.push(parsed(plain, start, end, file));
    return values;
  }
  // a line that is broken does not take those below it with it
  for (let at = 0; at < plain.length; ) {
    const found = plain.indexOf("\n", at);
    const end = found < 0 ? plain.length : found;
    const line = plain.slice(at, end);
    if (line.trim() !== "") {
      try {
        values.push(JSON.parse(line));
      } catch {
        for (const [from, to] of rangesOf(line)) values.push(parsed(plain, at + from, at + to, file));
      }
    }
    at = end + 1;
  }
  return values;
}

/** A list by its pieces: V8 looks at all of a list's values again and again while it reads the next. */
function listOf(text: string, cuts: readonly number[]): unknown[] {
  const list: unknown[] = [];
  for (let i = 0; i <= cuts.length; i++) {
    const piece = text.slice(i === 0 ? 0 : cuts[i - 1] + 1, cuts[i]);
    const values: unknown[] = JSON.parse(`${i === 0 ? "" : "["}${piece}${i === cuts.length ? "" : "]"}`);
    if (values.length === 0) throw new Error("a comma without a value");
    for (const value of values) list.push(value);
  }
  return list;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function parsed(text: string, start: number, end: number, file: string): unknown {
  const piece = text.slice(start, end);
  try {
    return JSON.parse(piece);
  } catch (error) {
    const { what, at } = faultOf(reason(error), piece);
    throw new FailureError(
      `${file}: line ${lineOf(text, start + at)}: invalid JSON: ${what}; ${remedyFor(piece, at)}`,
    );
  }
}

/** What V8 says of a text, and where that is: it has the position, or the token with some characters around it. */
function faultOf(message: string, text: string): { what: string; at: number } {
  const what = printable(message.replace(/(?: in JSON at position|, (?:\.\.\.)?").*/s, "").slice(0, 120));
  const [, token = "", cut, around] =
    /^Unexpected token '(.+?)', (\.\.\.)?"(.*)"(?:\.\.\.)? is not valid JSON$/s.exec(message) ?? [];
  if (around !== undefined) {
    return { what, at: Math.max(0, text.indexOf(around)) + (cut ? V8_AROUND : around.indexOf(token)) };
  }
  const position = / at position (\d+)/.exec(message)?.[1];
  return { what, at: position === undefined ? text.trimEnd().length : Number(position) };
}

/** Characters that V8 shows before a token. */
const V8_AROUND = 10;

function remedyFor(text: string, at: number): string {
  const rest = text.slice(at, at + 10);
  if (/[{[,:]\s*'/.test(text.slice(0, 1000)) || /^(?:None|True|False)\b/.test(rest)) {
    return "write it with json.dumps, where Python printed it";
  }
  if (/^[\]}]/.test(rest) && /,\s*$/.test(text.slice(Math.max(0, at - 100), at))) {
    return "remove the comma before it";
  }
  if (/^\/[/*]/.test(rest)) return "remove the comments";
  return "correct it there, or write the file again if it was cut off";
}

function lineOf(text: string, position: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < position; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/** Where values begin and end that follow each other, with blanks, commas or record separators between them or nothing. */
function* rangesOf(text: string): Generator<[start: number, end: number]> {
  for (let at = 0; at < text.length; ) {
    if (isBetween(text[at])) {
      at++;
      continue;
    }
    const start = at;
    if (text[at] === "{" || text[at] === "[") {
      let depth = 0;
      do {
        const char = text[at];
        if (char === '"') at = afterString(text, at);
        else {
          if (char === "{" || char === "[") depth++;
          else if (char === "}" || char === "]") depth--;
          at++;
        }
      } while (depth > 0 && at < text.length);
    } else if (text[at] === '"') at = afterString(text, at);
    else while (at < text.length && !isBetween(text[at]) && !'{["'.includes(text[at])) at++;
    // whatever this is, it is something
    yield [start, Math.max(at, start + 1)];
  }
}

const isBetween = (char: string): boolean => char === "," || char === "\u001e" || char.trim() === "";

/** The place after the string that opens at `at`; the end of the text where it does not close. */
function afterString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = end;
    while (text.charCodeAt(escapes - 1) === BACKSLASH) escapes--;
    if ((end - escapes) % 2 === 0) return end + 1;
  }
  return text.length;
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

/**
 * The text with numbers as JSON has them, and the commas at which it can be cut where it is one list. What is in it is counted on the way, since a list takes twenty times its text
 * in memory, and a key that comes once a hundred times.
 */
function examined(text: string, file: string, { cells, columns }: Limits): { plain: string; cuts: number[] } {
  let done = "";
  let parts: string[] = [];
  let from = 0;
  const put = (start: number, end: number, instead: string) => {
    parts.push(text.slice(from, start), instead);
    if (parts.length > MOST_PARTS) {
      done += parts.join("");
      parts = [];
    }
    from = end;
    shift += instead.length - (end - start);
    return end;
  };
  const cuts: number[] = [];
  const isList = /^\s*\[/.test(text);
  /** From a place in the text to the same in the plain one. */
  let shift = 0;
  let nextCut = PIECE;
  let values = 0;
  let depth = 0;
  const keys = new Keys(file, Math.max(columns, Math.floor(cells / CELLS_A_KEY)));
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const start = at + 1;
      at = afterString(text, at);
      let next = at;
      while (text[next] === " ") next++;
      if (text.charCodeAt(next) === COLON) keys.add(text, start, at - 1);
    } else if (code === COMMA || code === OPEN_LIST || code === OPEN_OBJECT) {
      if (++values > cells) throw tooMany(file, cells, "values", "write it as .csv or .parquet");
      if (code !== COMMA && ++depth > MOST_DEPTH) {
        throw new UsageError(
          `${file}: expected values in at most ${MOST_DEPTH.toLocaleString("en-US")} lists and objects around them, got more; save the rows as a list of objects`,
        );
      }
      if (isList && code === COMMA && depth === 1 && at > nextCut) {
        cuts.push(at + shift);
        nextCut = at + PIECE;
      }
      at++;
    } else if (code === CLOSE_LIST || code === CLOSE_OBJECT) {
      depth--;
      at++;
    } else if (code === CAPITAL_N && text.startsWith("NaN", at)) at = put(at, at + 3, "null");
    else if (code === CAPITAL_I && text.startsWith("Infinity", at)) at = put(at, at + 8, "1e999");
    else if (isDigit(code)) {
      const start = text[at - 1] === "-" ? at - 1 : at;
      while (isDigit(text.charCodeAt(at))) at++;
      const whole = at - start >= 16 && !/[.eE]/.test(text[at] ?? "");
      // not one of the digits after a point or in an exponent
      if (whole && !/[\d.eE+]/.test(text[start - 1] ?? "")) {
        const number = text.slice(start, at);
        if (!Number.isSafeInteger(Number(number))) at = put(start, at, `"${number}"`);
      }
    } else at++;
  }
  return { plain: from === 0 ? text : done + parts.join("") + text.slice(from), cuts };
}

/** Counts different keys, of a long text by a sample of them. */
class Keys {
  private readonly seen = new Set<string>();
  private different = 0;
  private count = 0;

  constructor(
    private readonly file: string,
    private readonly most: number,
  ) {}

  add(text: string, start: number, end: number): void {
    const isExact = this.count++ < EXACT_KEYS;
    if (!isExact && this.count % KEYS_AT_A_TIME !== 0) return;
    const key = text.slice(start, end);
    // places in a list take little
    if (/^\d{1,9}$/.test(key) || this.seen.size === this.seen.add(key).size) return;
    this.different += isExact ? 1 : KEYS_AT_A_TIME;
    if (this.different > this.most) {
      throw tooMany(this.file, this.most, "different keys", "give all rows the same");
    }
  }
}

const tooMany = (file: string, most: number, what: string, remedy: string) =>
  new UsageError(
    `${file}: expected at most ${most.toLocaleString("en-US")} ${what}, got more; ${remedy}, or allow more with --max-cells`,
  );
