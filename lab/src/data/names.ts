/** The names of columns: those that they get where the file gives none, and those that a user gives to options. */
import { count, printable, quote } from "@evenkeel/report/format";
import { closest, distance } from "fastest-levenshtein";
import { UsageError } from "../errors.js";
import type { Decision } from "./table.js";

const LONGEST_NAME = 200;
const MOST_LISTED = 20;

/** Text on one line and without what a terminal obeys. */
export const onOneLine = (text: string): string =>
  printable(text.trim().replace(/[\t\n\v\f\r\u2028\u2029]+/g, " "));

const shown = (name: string): string => {
  const line = onOneLine(name);
  return line.length > LONGEST_NAME ? `${line.slice(0, LONGEST_NAME - 1)}…` : line;
};

const byPlace = (index: number): string => `column ${index + 1}`;

/** The names that the columns get: none is empty, no two are the same, and all can be shown. */
export function nameColumns(raw: readonly string[]): { names: string[]; decisions: Decision[] } {
  const wanted = raw.map(shown);
  const taken = new Set(wanted);
  const used = new Set<string>();
  const copies = new Map<string, number>();
  const unnamed: string[] = [];
  const doubled: string[] = [];
  const cleaned: string[] = [];
  const names = wanted.map((name, index) => {
    const base = name === "" ? byPlace(index) : name;
    let distinct = base;
    if (used.has(base) || (name === "" && taken.has(base))) {
      let copy = copies.get(base) ?? 1;
      do distinct = `${base} (${++copy})`;
      while (taken.has(distinct) || used.has(distinct));
      copies.set(base, copy);
    }
    used.add(distinct);
    if (name === "") unnamed.push(distinct);
    else if (distinct !== name) doubled.push(distinct);
    if (distinct.includes("\ufffd") && !raw[index].includes("\ufffd")) cleaned.push(distinct);
    return distinct;
  });
  const decisions: Decision[] = [];
  // a file that names no column at all is told of by its reader
  if (unnamed.length > 0 && unnamed.length < names.length) {
    decisions.push({
      columns: unnamed,
      what: unnamed.length === 1 ? "named by its place" : "named by their places",
      why: unnamed.length === 1 ? "the file gives it no name" : "the file gives them no names",
    });
  }
  if (doubled.length > 0) {
    decisions.push({
      columns: doubled,
      what: "renamed",
      why: `${doubled.length === 1 ? "a column" : "columns"} before ${doubled.length === 1 ? "it has" : "them have"} the same name`,
    });
  }
  if (cleaned.length > 0) {
    decisions.push({ columns: cleaned, what: "named without the control characters of the file" });
  }
  return { names, decisions };
}

/**
 * The columns that the occurrences of an option name: `--ignore a --ignore "b,c" --ignore "city, state"`. Each is one
 * name, or several separated by commas, of which some may hold commas themselves; quotes as in CSV may stand around a
 * name. Upper and lower case are the same where only one column is meant, "" is every column that the file does not
 * name, and the name of a nested column is all that was made from it: `place` is "place.lat" and "place.lon". Throws
 * UsageError for a name that is none of `names`.
 */
export function columnsNamed(
  entries: readonly string[],
  names: readonly string[],
  option: string,
): Set<string> {
  const found = new Set<string>();
  if (entries.length === 0) return found;
  const exact = new Set(names);
  const folded = new Map<string, string | undefined>();
  let commas = 0;
  for (const name of names) {
    const key = name.toLowerCase();
    folded.set(key, folded.has(key) ? undefined : name);
    commas = Math.max(commas, name.split(",").length - 1);
  }
  const find = (text: string): readonly string[] => {
    const name = shown(text);
    if (exact.has(name)) return [name];
    const other = folded.get(name.toLowerCase());
    if (other !== undefined) return [other];
    const inside = name === "" ? [] : names.filter((one) => one.startsWith(`${name}.`));
    if (inside.length > 0) return inside;
    const trimmed = text.trim();
    if (trimmed.length < 2 || !trimmed.startsWith('"') || !trimmed.endsWith('"')) return [];
    const bare = trimmed.slice(1, -1).replaceAll('""', '"');
    return bare.trim() === "" ? unnamed(names) : find(bare);
  };
  for (const entry of entries) {
    const whole = entry.trim() === "" ? unnamed(names) : find(entry);
    const all = whole.length > 0 ? whole : namesIn(entry.split(","), commas, find);
    if (typeof all === "string") throw new UsageError(unknown(all, names, option));
    for (const name of all) found.add(name);
  }
  return found;
}

const unnamed = (names: readonly string[]): string[] =>
  names.filter((name, index) => name === byPlace(index));

/** The names whose parts between commas are `parts`, the longest first; the first part that begins none where there is no such reading. */
function namesIn(
  parts: readonly string[],
  commas: number,
  find: (text: string) => readonly string[],
): string[] | string {
  // from the end: what the parts from here on name, if they can be read at all
  const rest: ({ names: readonly string[]; next: number } | undefined)[] = new Array(parts.length);
  for (let at = parts.length - 1; at >= 0; at--) {
    for (let next = Math.min(parts.length, at + commas + 1); next > at; next--) {
      if (next < parts.length && rest[next] === undefined) continue;
      const text = parts.slice(at, next).join(",");
      const names = find(text);
      if (names.length > 0 || (text.trim() === "" && parts.length > 1)) {
        rest[at] = { names, next };
        break;
      }
    }
  }
  const names: string[] = [];
  if (rest[0] === undefined) {
    return (
      parts.find((part) => part.trim() !== "" && find(part).length === 0)?.trim() ?? parts.join(",").trim()
    );
  }
  for (let at = 0; at < parts.length; ) {
    const { names: here, next } = rest[at] as { names: readonly string[]; next: number };
    names.push(...here);
    at = next;
  }
  return names.length > 0 ? names : parts.join(",");
}

function unknown(name: string, names: readonly string[], option: string): string {
  const start = name.slice(0, LONGEST_NAME);
  const nearest =
    names.length === 0
      ? undefined
      : closest(
          start.toLowerCase(),
          names.map((one) => one.toLowerCase()),
        );
  const guess = names.find((one) => one.toLowerCase() === nearest);
  const near =
    guess !== undefined && distance(start.toLowerCase(), guess.toLowerCase()) <= Math.ceil(start.length / 2);
  return name === ""
    ? `${option}: every column has a name in the file; expected one of ${quoted(names)}`
    : `${option}: there is no column ${quote(name)}; ${near ? `did you mean ${quote(guess)}? T` : "t"}he columns are ${quoted(names)}`;
}

/** Names in quotes, the first twenty of them. */
export function quoted(names: readonly string[]): string {
  const listed = names.slice(0, MOST_LISTED).map((name) => quote(name));
  const more = names.length - MOST_LISTED;
  return listed.join(", ") + (more > 0 ? ` and ${count(more, "more", "more")}` : "");
}

/** A name as one would type it after an option, safe to paste into a shell. */
export function argument(name: string): string {
  if (/^[\w.][\w.-]*$/.test(name)) return name;
  return /["$`\\!]/.test(name) ? `'${name.replaceAll("'", "'\\''")}'` : `"${name}"`;
}
