/** Which column is predicted, by which the rows are divided, and which are left for inputs. */
import { listed, quote } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { argument, columnsNamed, quoted } from "./names.js";
import { natureOf, type Useless } from "./nature.js";
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
/** What a column that is predicted is often called. */
const TARGET_NAME = /^(target|class|label|outcome|y)$/i;

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
  const ignored = columnsNamed(options.ignore ?? [], names, "--ignore");
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
    const left = table.decisions.filter(({ what }) => what === "left out").flatMap(({ columns }) => columns);
    const of = left.length > 0 ? ` (${quoted(left)} ${left.length > 1 ? "were" : "was"} left out)` : "";
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

/** The last column that can be predicted. */
function usualTarget(
  table: Table,
  used: readonly Column[],
  time: Column | undefined,
  decisions: Decision[],
): Column {
  const rows = Array.from({ length: table.rowCount }, (_, row) => row);
  const unfit: [name: string, why: string][] = [];
  for (const column of used.toReversed()) {
    const why = column === time ? "says when" : unfitFor(column, table, rows);
    if (why !== undefined) {
      unfit.push([column.name, why]);
      continue;
    }
    const { name } = column;
    const other = used.find((one) => TARGET_NAME.test(one.name));
    if (unfit.length > 0) {
      decisions.push({ columns: [name], what: "predicted", why: reasons(unfit), option: "--target NAME" });
    } else if (other && other !== column && !TARGET_NAME.test(name)) {
      decisions.push({
        columns: [name],
        what: "predicted",
        why: `it is the last column; ${quote(other.name)} may be meant`,
        option: `--target ${argument(other.name)}`,
      });
    }
    return column;
  }
  throw new UsageError(
    used.length === 0
      ? `expected a target and at least one input, got no column of ${table.columns.length}; check --ignore, or bring a table of more columns`
      : `expected a column that can be predicted, got none: ${reasons(unfit)}; name one with --target NAME, or bring a table of more columns`,
  );
}

const UNFIT: Record<Useless, string> = {
  "no value": "has no value",
  "one value only": "has one value only",
  "counts the rows": "counts the rows",
  "identifies the rows": "identifies the rows",
  "free text": "is free text",
};

function unfitFor(column: Column, table: Table, rows: readonly number[]): string | undefined {
  const { useless, single } = natureOf(column, table, rows);
  if (useless) return UNFIT[useless];
  if (single) return UNFIT["one value only"];
  return column.kind === "date" ? "is a date" : undefined;
}

/** `"a" and "b" are dates` would need a plural of each reason: each name with its own. */
function reasons(unfit: readonly [name: string, why: string][]): string {
  const shown = unfit.slice(0, 5).map(([name, why]) => `${quote(name)} ${why}`);
  return unfit.length > 5 ? `${shown.join(", ")} and ${unfit.length - 5} more` : listed(shown);
}
