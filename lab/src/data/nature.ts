/** What a column says about its rows, by its values and its name. */
import type { Column, Table } from "./table.js";

/** Why nothing can be learnt from a column, as it follows its name. */
export type Useless = "no value" | "one value only" | "counts the rows" | "identifies the rows" | "free text";

export interface Nature {
  /** Rows that have a value, and different values among them. */
  present: number;
  distinct: number;
  useless?: Useless;
  /** Integers that name something: their size and order say nothing. */
  names: boolean;
}

/** Fewer rows may be counted by chance. */
const FEWEST_COUNTED = 20;
/** The share of rows with a value that no other row has, from which on values identify rows. */
const MOST_SINGLE = 0.5;
/** Mean number of characters, and of words, from which on text is prose. */
const PROSE = { characters: 40, words: 4 };

const IDENTIFIERS = new Set(["id", "ids", "uuid", "guid", "identifier", "pk"]);
const COUNTERS = new Set([
  "index",
  "idx",
  "key",
  "row",
  "rowid",
  "rownum",
  "rownames",
  "record",
  "serial",
  "no",
  "nr",
  "num",
  "number",
]);
const TIMES = new Set(
  "t time timestamp ts date datetime when year yr month week day hour minute second step tick period epoch quarter season".split(
    " ",
  ),
);
const UNNAMED = /^(unnamed: ?\d+|column \d+|__index_level_\d+__|x\.?|\.\.\.\d+|row[ ._]?names?)$/i;

/** `customerID`, `customer_id` → customer, id. */
const wordsOf = (name: string): string[] =>
  name
    .replace(/(\p{Ll})(\p{Lu})/gu, "$1 $2")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== "");

const endsIn = (name: string, words: ReadonlySet<string>): boolean => {
  const own = wordsOf(name);
  return words.has(own[0] ?? "") || words.has(own.at(-1) ?? "");
};

/** Whether a column is called as what names things: `id`, `customerID`. */
export const namesThings = (name: string): boolean => endsIn(name, IDENTIFIERS);

/** Whether a column is called as a time: `t`, `year`, `time step`. */
export const isTimeName = (name: string): boolean => endsIn(name, TIMES);

/** The nature of a column of `table` among some of its rows. */
export function natureOf(column: Column, table: Table, rows: readonly number[]): Nature {
  const { kind, values, name } = column;
  const times = new Map<string | number, number>();
  let present = 0;
  for (const row of rows) {
    const value = values[row];
    if (value === null) continue;
    present++;
    times.set(value, (times.get(value) ?? 0) + 1);
  }
  const distinct = times.size;
  const nature = { present, distinct, names: false };
  if (distinct === 0) return { ...nature, useless: "no value" };
  if (distinct === 1) return present === rows.length ? { ...nature, useless: "one value only" } : nature;
  if (kind === "text") return { ...nature, useless: uselessText(times, present) };
  if (kind === "date") return nature;
  return { ...nature, ...numbers(name, values, nature, table, rows) };
}

function uselessText(times: Map<string | number, number>, present: number): Useless | undefined {
  let single = 0;
  let characters = 0;
  let words = 0;
  for (const [value, count] of times) {
    if (count === 1) single++;
    characters += count * String(value).length;
    words += count * String(value).split(" ").length;
  }
  if (single <= MOST_SINGLE * present) return undefined;
  return characters >= PROSE.characters * present || words >= PROSE.words * present
    ? "free text"
    : "identifies the rows";
}

function numbers(
  name: string,
  values: Column["values"],
  { present, distinct }: Nature,
  table: Table,
  rows: readonly number[],
): Pick<Nature, "useless" | "names"> {
  if (isTimeName(name) || !rows.every((row) => values[row] === null || Number.isInteger(values[row]))) {
    return { names: false };
  }
  const names = namesThings(name);
  if (distinct < present) {
    // what is beyond a double's integers was rounded, and no quantity
    const rounded = rows.some((row) => Math.abs(values[row] as number) >= Number.MAX_SAFE_INTEGER);
    return { names, useless: names && rounded ? "identifies the rows" : undefined };
  }
  const called = names || endsIn(name, COUNTERS);
  const first = (values[rows[0]] as number) - table.rowNumber(rows[0]);
  const counts =
    present === rows.length && rows.every((row) => (values[row] as number) - table.rowNumber(row) === first);
  const unnamed =
    UNNAMED.test(name) && rows.every((row, at) => at === 0 || ascends(values, rows[at - 1], row));
  if (counts && (rows.length >= FEWEST_COUNTED || called || unnamed))
    return { names, useless: "counts the rows" };
  return { names, useless: called || unnamed ? "identifies the rows" : undefined };
}

const ascends = (values: Column["values"], one: number, next: number): boolean =>
  values[one] !== null && values[next] !== null && values[one] < values[next];
