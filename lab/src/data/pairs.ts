/**
 * Who has what, as a table says it: in a row for each (user, item, perhaps a rating and a time), or in a row for each basket
 * with a column for each item.
 */
import { count, quote } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { argument, columnsNamed, quoted } from "./names.js";
import type { Column, Decision, Table, Value } from "./table.js";

export interface PairOptions {
  user?: string;
  item?: string;
  rating?: string;
  time?: string;
  ignore?: string[];
}

/** How a table is read: plain JSON, so that another one is read in the same way. */
export type Layout =
  | { kind: "rows"; user: string; item: string; rating?: { column: string; least: number }; time?: string }
  | { kind: "baskets"; items: string[] };

/** Users by their numbers from 0, each with the numbers of its items, from 0. */
export interface Pairs {
  users: string[];
  items: string[];
  /** Of each user, in the order of time where there is one, else of the table; none twice. */
  owned: number[][];
}

/** Words for who has, the likeliest first, and for what is had. */
const USERS =
  "user customer cust member client visitor reviewer buyer shopper household person account cookie session basket order invoice transaction cart receipt";
const ITEMS =
  "item product article movie film book isbn song track artist album game sku asin stock anime show series restaurant business recipe course title";
const RATINGS = "rating rate stars star score preference overall";
const TIMES = "timestamp time datetime date ts when";

/** What says in text that an item is there, and that it is not. */
const YES = new Set(["t", "true", "y", "yes", "x", "1"]);
const NO = new Set(["", "f", "false", "n", "no", "0"]);
/** The least columns of items that make rows baskets. */
const LEAST_ITEMS = 5;
/** The least share of baskets without an item, from which on integers count it. */
const LEAST_WITHOUT = 0.5;

/** How a table says who has what, with what was decided. Throws UsageError where it does not say it. */
export function layoutOf(table: Table, options: PairOptions): { layout: Layout; decisions: Decision[] } {
  const names = table.columns.map(({ name }) => name);
  const ignored = columnsNamed(options.ignore ?? [], names, "--ignore");
  const columns = table.columns.filter(({ name }) => !ignored.has(name));
  const one = (name: string | undefined, option: string): Column | undefined => {
    if (name === undefined) return undefined;
    const found = [...columnsNamed([name], names, option)];
    if (found.length > 1) {
      throw new UsageError(`${option}: expected one column, got ${quoted(found)}; name one of them`);
    }
    if (ignored.has(found[0])) {
      throw new UsageError(
        `column ${quote(found[0])} is named by ${option} and by --ignore; remove it from one of them`,
      );
    }
    return table.columns.find((column) => column.name === found[0]);
  };
  const named = {
    user: one(options.user, "--user"),
    item: one(options.item, "--item"),
    rating: one(options.rating, "--rating"),
    time: one(options.time, "--time"),
  };
  const user = named.user ?? called(USERS, columns);
  const item =
    named.item ??
    called(
      ITEMS,
      columns.filter((column) => column !== user),
    );
  if (user && user === item) {
    throw new UsageError(
      `--user and --item: expected two columns, got ${quote(user.name)} for both; name another one of them`,
    );
  }
  if (user && item) return inRows(table, columns, { ...named, user, item });
  for (const [role, found, other] of [
    ["user", named.user, "items"],
    ["item", named.item, "users"],
  ] as const) {
    const missing = role === "user" ? "item" : "user";
    if (found) {
      throw new UsageError(
        `--${missing}: expected a column of ${other} beside ${quote(found.name)}, and no name says which; name it: the columns are ${quoted(names)}`,
      );
    }
  }
  return inBaskets(columns, named);
}

/** What may stand after the word for a user or an item: that it is a number, nothing, or that it is a name. */
const AFTER = [/^[ _.-]*(id|no|nr|number|code|key|idx|index)$/i, /^$/, /^[ _.-]*(name|title)$/i];

/** The column that is called by the first of these words that any is called by, with what tells a number or a name. */
function called(words: string, columns: readonly Column[]): Column | undefined {
  for (const word of words.split(" ")) {
    const start = new RegExp(`^${word}s?`, "i");
    for (const after of AFTER) {
      const found = columns.find(({ name }) => start.test(name) && after.test(name.replace(start, "")));
      if (found) return found;
    }
  }
  return undefined;
}

/** The column whose name ends in the first of these words that any ends in: "Book-Rating", "unixReviewTime". */
function calledLast(words: string, columns: readonly Column[]): Column | undefined {
  const last = ({ name }: Column) =>
    name
      .replace(/([a-z])([A-Z])/g, "$1 $2")
      .toLowerCase()
      .split(/[^a-z]+/)
      .at(-1);
  for (const word of words.split(" ")) {
    const found = columns.find((column) => [word, `${word}s`].includes(last(column) ?? ""));
    if (found) return found;
  }
  return undefined;
}

interface Roles {
  user: Column;
  item: Column;
  rating?: Column;
  time?: Column;
}

function inRows(
  table: Table,
  columns: readonly Column[],
  { user, item, rating: ratingNamed, time: timeNamed }: Roles,
): { layout: Layout; decisions: Decision[] } {
  for (const [option, column] of [
    ["--rating", ratingNamed],
    ["--time", timeNamed],
  ] as const) {
    if (column === undefined) continue;
    if (column === user || column === item) {
      throw new UsageError(
        `${option}: ${quote(column.name)} is ${column === user ? "the users’" : "the items’"} column; name another one`,
      );
    }
    if (column.kind === "text" || (option === "--rating" && column.kind === "date")) {
      const kind = column.kind === "text" ? "text" : "dates";
      throw new UsageError(
        `${option}: expected a column of ${option === "--time" ? "dates or numbers" : "numbers"}, got ${kind} in ${quote(column.name)}; name another one, or leave out ${option}`,
      );
    }
  }
  const others = columns.filter((column) => column !== user && column !== item);
  const numbers = others.filter(({ kind }) => kind === "number");
  const dates = others.filter(({ kind }) => kind === "date");
  const rating =
    ratingNamed ??
    calledLast(
      RATINGS,
      numbers.filter((column) => column !== timeNamed),
    );
  const time =
    timeNamed ??
    calledLast(
      TIMES,
      [...dates, ...numbers].filter((column) => column !== rating),
    ) ??
    (dates.length === 1 ? dates[0] : undefined);
  const decisions: Decision[] = [
    {
      columns: [user.name, item.name],
      what: "read as users and the items that they have",
      option: "--user NAME --item NAME",
    },
  ];
  const rated = rating && leastRating(rating.values);
  if (rating && rated) {
    decisions.push({
      columns: [rating.name],
      what: `a user has what it rates ${rated.least} or more; the other rows are left out`,
      why: rated.why,
      option: `--ignore ${argument(rating.name)}`,
    });
  }
  if (time) {
    decisions.push({
      columns: [time.name],
      what: "orders the items of each user",
      option: timeNamed ? undefined : `--ignore ${argument(time.name)}`,
    });
  }
  const silent = rating
    ? undefined
    : calledLast(
        RATINGS,
        others.filter(({ kind }) => kind === "text"),
      );
  if (silent) {
    decisions.push({
      columns: [silent.name],
      what: "not read, so that every row counts as had",
      why: "text, where a rating is a number",
    });
  }
  const left = others.filter((column) => column !== rating && column !== time && column !== silent);
  if (left.length > 0) {
    decisions.push({
      columns: left.map(({ name }) => name),
      what: "left out",
      why: "neither a rating nor when",
      option: "--rating NAME --time NAME",
    });
  }
  const incomplete = [user, item, ...(rating ? [rating] : []), ...(time ? [time] : [])];
  const lacking = Array.from({ length: table.rowCount }, (_, row) => row).filter((row) =>
    incomplete.some(({ values }) => values[row] === null),
  ).length;
  if (lacking > 0) {
    decisions.push({
      columns: incomplete.map(({ name }) => name),
      what: `${count(lacking, "row")} without a value left out`,
      why: "it would say who has what",
    });
  }
  return {
    layout: {
      kind: "rows",
      user: user.name,
      item: item.name,
      ...(rating && rated && { rating: { column: rating.name, least: rated.least } }),
      ...(time && { time: time.name }),
    },
    decisions,
  };
}

/** The median, or the next higher rating where it is the lowest of all; undefined where all are the same. */
function leastRating(values: readonly Value[]): { least: number; why: string } | undefined {
  const sorted = Float64Array.from(values.filter((value) => value !== null) as number[]).sort();
  const median = sorted[sorted.length >> 1];
  if (median > sorted[0]) return { least: median, why: "it is the median of the ratings" };
  const least = sorted.find((rating) => rating > sorted[0]);
  return least === undefined
    ? undefined
    : { least, why: `${median}, the lowest, is the rating of half of them` };
}

function inBaskets(
  columns: readonly Column[],
  { rating, time }: Partial<Roles>,
): { layout: Layout; decisions: Decision[] } {
  const items = columns.filter(isItem);
  if (items.length < LEAST_ITEMS) {
    throw new UsageError(
      `expected who has what: a column of users and one of items, or a row for each basket and at least ${LEAST_ITEMS} columns of items (0 and 1, counts, or a mark where it is there), got ${quoted(columns.map(({ name }) => name))}; name the columns of users and items with --user and --item`,
    );
  }
  for (const [option, column] of [
    ["--rating", rating],
    ["--time", time],
  ] as const) {
    if (column) {
      throw new UsageError(
        `${option}: has no place where each row is a basket; leave it out, or name the columns of users and items with --user and --item`,
      );
    }
  }
  const left = columns.filter((column) => !items.includes(column)).map(({ name }) => name);
  return {
    layout: { kind: "baskets", items: items.map(({ name }) => name) },
    decisions: [
      {
        columns: [],
        what: `each row is a basket, which stands for a user, and each of ${items.length.toLocaleString("en-US")} columns an item`,
        option: "--user NAME --item NAME",
      },
      ...(left.length > 0
        ? [
            {
              columns: left,
              what: "left out",
              why: "not 0 and 1, nor a mark where it is there, nor counts of which half and more are 0",
            },
          ]
        : []),
    ],
  };
}

function isItem({ kind, values }: Column): boolean {
  if (kind === "date") return false;
  if (kind === "text") {
    const marks = marksIn(values);
    return marks.size <= 2 && areMarks(marks) && (marks.size !== 1 || known(marks) || values.includes(null));
  }
  let without = 0;
  let most = 0;
  for (const value of values as (number | null)[]) {
    if (value === null || value === 0) without++;
    else if (!Number.isInteger(value) || value < 0) return false;
    else most = Math.max(most, value);
  }
  return most <= 1 || without >= LEAST_WITHOUT * values.length;
}

/** The first different texts of a column, in lower case; of those that are marks there are two at most. */
function marksIn(values: readonly Value[]): Set<string> {
  const marks = new Set<string>();
  for (const value of values) {
    if (value === null) continue;
    marks.add(String(value).toLowerCase());
    if (marks.size > 2) break;
  }
  return marks;
}

const known = (marks: ReadonlySet<string>) => [...marks].every((mark) => YES.has(mark) || NO.has(mark));

/** Whether it is clear which of these say that something is there. */
const areMarks = (marks: ReadonlySet<string>) => known(marks) || marks.size === 1;

const isThere = (value: Value): boolean =>
  typeof value === "number" ? value > 0 : value !== null && !NO.has(value.toLowerCase());

/** Who has what in a table of this layout. Throws UsageError where it lacks a column of it. */
export function pairsOf(table: Table, layout: Layout): Pairs {
  const valuesOf = (name: string) => {
    const found = table.columns.find((column) => column.name === name);
    if (found) return found.values;
    throw new UsageError(
      `expected the column ${quote(name)}, by which it is read who has what, got ${quoted(table.columns.map((column) => column.name))}; name it so`,
    );
  };
  if (layout.kind === "baskets") {
    const columns = layout.items.map(valuesOf);
    for (const [at, values] of columns.entries()) {
      const marks = marksIn(values.filter((value) => typeof value !== "number"));
      if (areMarks(marks)) continue;
      throw new UsageError(
        `column ${quote(layout.items[at])}: expected 0 and 1, counts, or one mark where the item is there, got ${quoted([...marks])}; leave cells empty, or write 0, where it is not`,
      );
    }
    return {
      users: Array.from({ length: table.rowCount }, (_, row) => String(table.rowNumber(row))),
      items: layout.items,
      owned: Array.from({ length: table.rowCount }, (_, row) =>
        columns.flatMap((values, item) => (isThere(values[row]) ? item : [])),
      ),
    };
  }
  const nameIn = (name: string) => {
    const isDate = table.columns.some((column) => column.name === name && column.kind === "date");
    return (value: Value) =>
      isDate ? new Date(value as number).toISOString().replace("T00:00:00.000Z", "") : String(value);
  };
  const { rating, time } = layout;
  const users = valuesOf(layout.user);
  const items = valuesOf(layout.item);
  const ratings = rating && valuesOf(rating.column);
  const times = time === undefined ? undefined : valuesOf(time);
  const userNumbers = new Map<Value, number>();
  const itemNumbers = new Map<Value, number>();
  const numberOf = (value: Value, numbers: Map<Value, number>): number => {
    const number = numbers.get(value) ?? numbers.size;
    numbers.set(value, number);
    return number;
  };
  const rowsOf: number[][] = [];
  for (let row = 0; row < table.rowCount; row++) {
    if (users[row] === null || items[row] === null || times?.[row] === null) continue;
    if (rating && ratings && (ratings[row] === null || (ratings[row] as number) < rating.least)) continue;
    const user = numberOf(users[row], userNumbers);
    rowsOf[user] ??= [];
    rowsOf[user].push(row);
  }
  const owned = rowsOf.map((rows) => {
    if (times) rows.sort((a, b) => (times[a] as number) - (times[b] as number));
    return [...new Set(rows.map((row) => numberOf(items[row], itemNumbers)))];
  });
  return {
    users: Array.from(userNumbers.keys(), nameIn(layout.user)),
    items: Array.from(itemNumbers.keys(), nameIn(layout.item)),
    owned,
  };
}
