/**
 * The values of a line of ARFF, in one pass over it. Either quote may stand around a value, with backslash escapes; `%`
 * begins a comment where a value could; `{5}` after the values is the weight of the row.
 */

/** What separates the values of a row: commas alone, tabs alone, or what Weka takes for it, commas and blanks alike. */
export type Between = "commas" | "tabs" | "blanks";

export interface Values {
  /** At most as many as were asked for; a value without quotes that is nothing or `?` is null. */
  values: (string | null)[];
  /** How many there are. */
  count: number;
  weight?: string;
}

/** A value and the place after it. */
export interface Piece {
  text: string;
  end: number;
}

const ESCAPED: Record<string, string> = { n: "\n", r: "\r", t: "\t" };
const WEIGHT = /\{\s*([\d.eE+-]+)\s*\}\s*(?:%.*)?$/y;

export const isBlank = (char: string | undefined): boolean => char === " " || char === "\t";

/** The weight of a row whose values end before `at`; undefined where none stands there. */
export function weightAt(line: string, at: number): string | undefined {
  WEIGHT.lastIndex = at;
  return WEIGHT.exec(line)?.[1];
}

/** The first place from `at` on that is no blank. */
export function afterBlanks(line: string, at: number): number {
  let next = at;
  while (isBlank(line[next])) next++;
  return next;
}

/** The text in the quotes that open at `at`; undefined where they do not close. */
export function quoted(line: string, at: number): Piece | undefined {
  const quote = line[at];
  const parts: string[] = [];
  let from = at + 1;
  for (let i = from; i < line.length; i++) {
    if (line[i] === "\\" && i + 1 < line.length) {
      parts.push(line.slice(from, i), ESCAPED[line[i + 1]] ?? line[i + 1]);
      i++;
      from = i + 1;
    } else if (line[i] === quote) {
      parts.push(line.slice(from, i));
      // as CSV has it: a quote doubled stands for itself
      if (line[i + 1] !== quote) return { text: parts.join(""), end: i + 1 };
      from = i + 1;
      i++;
    }
  }
  return undefined;
}

export const isQuote = (char: string | undefined): boolean => char === "'" || char === '"';

/** The text from `at` up to one of `stops`, or to a comment or the weight of the row, without the blanks around it. */
export function unquoted(line: string, at: number, stops: string): Piece {
  let end = at;
  for (; end < line.length; end++) {
    const char = line[end];
    if (stops.includes(char)) break;
    if (char === "%" && isBlank(line[end - 1])) break;
    if (char === "{" && isBlank(line[end - 1]) && weightAt(line, end) !== undefined) break;
  }
  return { text: line.slice(at, end).trim(), end };
}

/** The values of a dense row, with at most `most` of them kept; undefined where the quotes do not match. */
export function denseValues(line: string, most: number, between: Between): Values | undefined {
  const values: (string | null)[] = [];
  const stops = between === "commas" ? "," : between === "tabs" ? "\t" : ", \t";
  let count = 0;
  /** Whether a separator stands before this place, and a value is due. */
  let due = true;
  const add = (value: string | null) => {
    if (count++ < most) values.push(value);
  };
  let at = 0;
  while (true) {
    while (line[at] === " " || (line[at] === "\t" && between !== "tabs")) at++;
    if (at >= line.length || line[at] === "%") break;
    if (line[at] === "{" && count > 0) {
      const weight = weightAt(line, at);
      if (weight !== undefined) return { values, count, weight };
    }
    if (isQuote(line[at])) {
      const piece = quoted(line, at);
      if (piece === undefined) return undefined;
      add(piece.text);
      at = piece.end;
      if (at < line.length && !isBlank(line[at]) && !stops.includes(line[at]) && line[at] !== "%")
        return undefined;
    } else {
      const { text, end } = unquoted(line, at, stops);
      add(text === "" || text === "?" ? null : text);
      at = end;
    }
    due = false;
    while (line[at] === " " || (line[at] === "\t" && between !== "tabs")) at++;
    if (at < line.length && stops.includes(line[at])) {
      due = true;
      at++;
    } else if (between !== "blanks" && at < line.length && line[at] !== "%" && line[at] !== "{")
      return undefined;
  }
  // a separator after the last value is one too many, not one more value
  if (due && between !== "blanks" && count !== most) add(null);
  return { values, count };
}
