/** Which column is predicted, by which the rows are divided, and which are left for inputs. */
import { listed, quote } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { argument, columnsNamed, quoted } from "./names.js";
import { isCalendarName, natureOf, type Useless } from "./nature.js";
import { PARTS } from "./split.js";
import type { Column, Decision, Table } from "./table.js";

export interface RoleOptions {
  target?: string;
  ignore?: string[];
  group?: string;
  split?: "random" | "time";
  time?: string;
}

export interface Roles {
  target: Column;
  /** All that is not ignored and has no other role: the time is an input too. */
  inputs: Column[];
  group?: Column;
  time?: Column;
  decisions: Decision[];
}

const MS_PER_DAY = 86_400_000;
/** What a column that is predicted is called, and what it often is. */
const TARGET_NAME = /^(target|label|outcome)s?$/i;
const LIKELY_NAME = /^(class|y)$/i;
/** Numbers that name no more things than these are classes: 1 and 2 of a `group`; so are those of a `class_id`. */
const FEW_NAMES = 5;
const CLASS_NAME = /(^|[^a-z])(target|label|class|category|species|type)([^a-z]|$)/i;
/** Most classes that a network is to tell apart. */
export const MOST_CLASSES = 1000;

/** Throws UsageError for names of no column, roles that do not fit together, and where there is nothing to predict or to predict from. */
export function rolesOf(table: Table, options: RoleOptions): Roles {
  const names = table.columns.map(({ name }) => name);
  const byName = new Map(table.columns.map((column) => [column.name, column]));
  const one = (name: string | undefined, option: string): Column | undefined => {
    if (name === undefined) return undefined;
    const found = [...columnsNamed([name], names, option)];
    if (found.length > 1) {
      throw new UsageError(`${option}: expected one column, got ${quoted(found)}; name one of them`);
    }
    return byName.get(found[0]);
  };
  // what could not be read was left out already, and may be ignored nevertheless
  const leftOut = table.decisions.filter(({ what }) => what === "left out").flatMap(({ columns }) => columns);
  const ignored = columnsNamed(options.ignore ?? [], [...names, ...leftOut], "--ignore");
  const group = one(options.group, "--group");
  const named = one(options.target, "--target");
  if (named && ignored.has(named.name)) {
    throw new UsageError(
      `column ${quote(named.name)} is both the target and ignored; remove it from --target or --ignore`,
    );
  }
  const used = table.columns.filter((column) => !ignored.has(column.name) && column !== group);
  const time = timeOf(used, options, one(options.time, "--time"));
  for (const [column, option] of [
    [group, "--group"],
    [time, "--time"],
  ] as const) {
    if (named && column === named) {
      throw new UsageError(
        `column ${quote(named.name)} is both the target and ${option}; name another one of them`,
      );
    }
  }
  if (group && time) {
    throw new UsageError("--group and --split time divide the rows in different ways; leave one of them out");
  }
  const decisions: Decision[] = [];
  const target = named ?? usualTarget(table, used, time, decisions);
  const inputs = used.filter((column) => column !== target);
  if (inputs.length === 0) {
    const of =
      leftOut.length > 0 ? ` (${quoted(leftOut)} ${leftOut.length > 1 ? "were" : "was"} left out)` : "";
    throw new UsageError(
      `expected a target and at least one input, got the one column ${quote(target.name)} of ${table.columns.length}${of}; check --ignore, or bring a table of more columns`,
    );
  }
  if (group) {
    decisions.push({
      columns: [group.name],
      what: "not an input",
      why: "its rows stay together, so that the held-out ones are of groups that were not seen",
    });
  }
  if (target.kind !== "date") return { target, inputs, group, time, decisions };
  decisions.push({
    columns: [target.name],
    what: "predicted as a number of days",
    why: "it holds dates",
    option: `--categorical ${argument(target.name)}`,
  });
  const days = target.values.map((value) => (value === null ? null : (value as number) / MS_PER_DAY));
  return { target: { name: target.name, kind: "number", values: days }, inputs, group, time, decisions };
}

function timeOf(
  used: readonly Column[],
  options: RoleOptions,
  named: Column | undefined,
): Column | undefined {
  if ((options.split ?? (named ? "time" : "random")) === "random") {
    if (named) throw new UsageError("--time says what --split time divides by; leave out one of them");
    return undefined;
  }
  if (named?.kind === "text") {
    throw new UsageError(
      `--time: expected a column of dates or numbers, got text in ${quote(named.name)}; name another one`,
    );
  }
  if (named) return named;
  const dates = used.filter(({ kind }) => kind === "date").map(({ name }) => name);
  if (dates.length === 1) return used.find(({ name }) => name === dates[0]);
  throw new UsageError(
    `--split time: expected one column of dates, got ${dates.length === 0 ? "none" : quoted(dates)}; name the one that says when with --time`,
  );
}

/** The column that is called a target, or else the last one that can be predicted. */
function usualTarget(
  table: Table,
  used: readonly Column[],
  time: Column | undefined,
  decisions: Decision[],
): Column {
  const last = used.at(-1);
  const isLikely = ({ name }: Column) => TARGET_NAME.test(name) || LIKELY_NAME.test(name);
  const reasonOf = (column: Column) => (column === time ? WHEN : unfitFor(column, table));
  if (last && !isLikely(last)) {
    const names = reasonOf(last) ? isLikely : ({ name }: Column) => TARGET_NAME.test(name);
    const called = used.filter(names);
    if (called.length === 1 && reasonOf(called[0]) === undefined) {
      const [column] = called;
      const columns = [column.name];
      decisions.push({ columns, what: "predicted", why: "as its name says", option: "--target NAME" });
      return column;
    }
  }
  const unfit: ({ column: Column } & Unfit)[] = [];
  const fit = used.findLast((column) => {
    const reason = reasonOf(column);
    if (reason) unfit.push({ column, ...reason });
    return reason === undefined;
  });
  const target = fit ?? unfit.find(({ poor }) => poor)?.column;
  if (target === undefined) {
    if (used.length === 0) {
      throw new UsageError(
        `expected a target and at least one input, got no column of ${table.columns.length}; check --ignore, or bring a table of more columns`,
      );
    }
    // dates, and numbers that identify or count: whoever wants to can predict them
    const able = unfit.find(
      ({ column: { kind, values } }) => kind !== "text" && new Set(values).size > PARTS,
    );
    const otherwise = able ? `name one with --target ${argument(able.column.name)}, or ` : "";
    throw new UsageError(
      `expected a column that can be predicted, got none: ${reasons(unfit)}; ${otherwise}bring a column of classes or numbers`,
    );
  }
  const columns = [target.name];
  const likely = used.find(isLikely);
  if (target !== last) {
    const later = unfit.slice(0, used.length - 1 - used.indexOf(target));
    decisions.push({ columns, what: "predicted", why: reasons(later), option: "--target NAME" });
  } else if (likely && !isLikely(target)) {
    decisions.push({
      columns,
      what: "predicted",
      why: `it is the last column; ${quote(likely.name)} may be meant`,
      option: `--target ${argument(likely.name)}`,
    });
  }
  return target;
}

/** Why a column is not predicted, as it follows its name; whether it is where there is nothing better. */
interface Unfit {
  why: string;
  poor?: boolean;
}

const WHEN: Unfit = { why: "says when", poor: true };
const UNFIT: Record<Useless, string> = {
  "no value": "has no value",
  "one value only": "has one value only",
  "counts the rows": "counts the rows",
  "identifies the rows": "identifies the rows",
  "free text": "is free text",
};

function unfitFor(column: Column, table: Table): Unfit | undefined {
  const { kind, name, values } = column;
  const rows = values.map((_, row) => row);
  const { useless, single, names } = natureOf(column, table, rows);
  if (useless) return { why: UNFIT[useless] };
  if (single) return { why: UNFIT["one value only"] };
  if (kind === "date") return { why: "is a date" };
  if (isCalendarName(name)) return WHEN;
  const times = new Map<unknown, number>();
  for (const value of values) if (value !== null) times.set(value, (times.get(value) ?? 0) + 1);
  if (names && times.size > FEW_NAMES && !CLASS_NAME.test(name))
    return { why: "names something", poor: true };
  if (kind === "number") return undefined;
  const often = [...times.values()].filter((size) => size >= PARTS).length;
  if (often === 0) return { why: `has no value in ${PARTS} rows` };
  return often > MOST_CLASSES ? { why: `has ${often.toLocaleString("en-US")} values` } : undefined;
}

/** `"a" and "b" are dates` would need a plural of each reason: each name with its own. */
function reasons(unfit: readonly ({ column: Column } & Unfit)[]): string {
  const shown = unfit.slice(0, 5).map(({ column, why }) => `${quote(column.name)} ${why}`);
  return unfit.length > 5 ? `${shown.join(", ")} and ${unfit.length - 5} more` : listed(shown);
}
