/** What all tasks ask of a target. */
import { count } from "@evenkeel/report/format";
import type { Column, Value } from "../data/column.js";
import { numbers } from "../data/encoders.js";
import { UsageError } from "../errors.js";
import type { Target } from "./task.js";

/** The values by row: numbers, unless they are names. Throws UsageError at the first that is neither. */
export const valuesOf = ({ column, named }: Target): ArrayLike<Value> =>
  named ? column.values : numbers(column);

/** Throws UsageError unless these rows hold at least two different values. */
export function checkVaries(column: Column, rows: readonly number[]): void {
  if (new Set(rows.map((row) => column.values[row])).size < 2) throw constantTarget(column, rows, "");
}

/** `which` says of which rows, as in "training ". */
export function constantTarget(column: Column, rows: readonly number[], which: string): UsageError {
  const found =
    rows.length === 0
      ? "none"
      : `only ${JSON.stringify(column.values[rows[0]])} in ${count(rows.length, `${which}row`)}`;
  return new UsageError(
    `target "${column.name}": expected at least two different values to learn from, got ${found}; choose another column with --target`,
  );
}
