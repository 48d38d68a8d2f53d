/** What a column says about its rows, by its values and its name. */
import type { Column, Table } from "./table.js";

/** Why nothing can be learnt from a column, as it follows its name. */
export type Useless = "no value" | "one value only" | "counts the rows" | "identifies the rows" | "free text";

export interface Nature {
  /** Rows that have a value. */
  present: number;
  /** All that have one have the same. */
  single: boolean;
  useless?: Useless;
  /** Integers that name something, each in several rows: their size and order say nothing. */
  names: boolean;
}

/** Fewer rows may be counted by chance. */
const FEWEST_COUNTED = 20;
/** The share of rows with a value that no other row has, from which on values identify rows. */
const MOST_SINGLE = 0.5;
/** Mean number of characters, and of words, from which on text is prose. */
const PROSE = { characters: 40, words: 4 };

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));
const IDENTIFIERS = words("id ids uuid guid identifier pk");
const COUNTERS = words("index idx key row rownum rownames record serial sample line no nr num number");
const TIMES = words(
  "t time timestamp ts date datetime when year yr month week day hour minute second step tick period epoch quarter season",
);
const CALENDAR = /^(date|date[ _]?time|timestamp|year|yr|month|week|week[ _]?day|day|hour|minute)$/i;
/** What a number may name. */
const THINGS = words(
  "patient subject participant person user customer client household family session device sensor machine store speaker author student animal donor group",
);
/** As pandas, R and this lab name what has no name. */
const UNNAMED = /^([Uu]nnamed: ?\d+|column \d+|__index_level_\d+__|X|\.\.\.\d+|[Rr]ow[ ._]?[Nn]ames?)$/;

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

/** Whether a column is called as what names things: `id`, `customerID`, `patient`, `patient no`. */
export function namesThings(name: string): boolean {
  const [first = "", second = "no", ...others] = wordsOf(name);
  return endsIn(name, IDENTIFIERS) || (THINGS.has(first) && COUNTERS.has(second) && others.length === 0);
}

/** Whether a column is called as what has another number in each row: `row no`, `passengerid`. */
const numbersRows = (name: string): boolean =>
  wordsOf(name).every((word) => COUNTERS.has(word)) || /\Bid$/i.test(name);

/** Whether a column is called as a time: `t`, `year`, `time step`. */
export const isTimeName = (name: string): boolean => endsIn(name, TIMES);

/** Whether a column is called as a part of a date: `year`, and not `model year` or `time`, which may be predicted. */
export const isCalendarName = (name: string): boolean => CALENDAR.test(name.trim());

/** The nature of a column of `table` among some of its rows. */
export function natureOf(column: Column, table: Table, rows: readonly number[]): Nature {
  const { kind, values } = column;
  let present = 0;
  let single = true;
  let first: Column["values"][number] = null;
  for (const row of rows) {
    const value = values[row];
    if (value === null) continue;
    present++;
    first ??= value;
    single &&= value === first;
  }
  const nature = { present, single, names: false };
  if (present === 0) return { ...nature, useless: "no value" };
  if (single) return present === rows.length ? { ...nature, useless: "one value only" } : nature;
  if (kind === "text") return { ...nature, useless: uselessText(values, rows, present) };
  return kind === "number" ? { ...nature, ...numbers(column, table, rows, present) } : nature;
}

function uselessText(
  values: Column["values"],
  rows: readonly number[],
  present: number,
): Useless | undefined {
  if (!mostlySingle(values, rows, present)) return undefined;
  let characters = 0;
  let words = 0;
  for (const row of rows) {
    const value = values[row] as string | null;
    characters += value?.length ?? 0;
    words += value?.split(" ").length ?? 0;
  }
  return characters >= PROSE.characters * present || words >= PROSE.words * present
    ? "free text"
    : "identifies the rows";
}

/** Whether most rows with a value have one of their own. */
function mostlySingle(values: Column["values"], rows: readonly number[], present: number): boolean {
  const times = new Map<Column["values"][number], number>();
  for (const row of rows) times.set(values[row], (times.get(values[row]) ?? 0) + 1);
  times.delete(null);
  let single = 0;
  for (const count of times.values()) if (count === 1) single++;
  return single > MOST_SINGLE * present;
}

function numbers(
  { name, values }: Column,
  table: Table,
  rows: readonly number[],
  present: number,
): { useless?: Useless; names: boolean } {
  const other = { names: false };
  if (isTimeName(name) || !rows.every((row) => values[row] === null || Number.isInteger(values[row]))) {
    return other;
  }
  const first = (values[rows[0]] as number) - table.rowNumber(rows[0]);
  const counts = rows.every((row) => values[row] !== null && values[row] === first + table.rowNumber(row));
  const names = namesThings(name);
  const ascends = (at: number) =>
    values[rows[at - 1]] !== null && (values[rows[at - 1]] as number) < (values[rows[at]] as number);
  const called =
    names || numbersRows(name) || (UNNAMED.test(name) && rows.every((_, at) => at === 0 || ascends(at)));
  if (counts && (called || rows.length >= FEWEST_COUNTED)) return { ...other, useless: "counts the rows" };
  if (!called) return other;
  // what is beyond a double's integers was rounded: different ones may have become the same
  const rounded = rows.some(
    (row) => Math.abs((values[row] as number | null) ?? 0) >= Number.MAX_SAFE_INTEGER,
  );
  if (names && (rounded || mostlySingle(values, rows, present))) {
    return { ...other, useless: "identifies the rows" };
  }
  const distinct = new Set(rows.map((row) => values[row]).filter((value) => value !== null)).size;
  if (distinct === present) return { ...other, useless: "identifies the rows" };
  return { names };
}
