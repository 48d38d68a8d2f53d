/** What all tasks ask of a target. */
import { count, quote } from "@evenkeel/report/format";
import type { Column } from "../data/table.js";
import { UsageError } from "../errors.js";

/** Throws UsageError unless these rows hold at least two different values. */
export function checkVaries({ name, values }: Column, rows: readonly number[]): void {
  const first = values[rows[0]];
  if (rows.some((row) => values[row] !== first)) return;
  const found = rows.length === 0 ? "none" : `only ${quote(String(first))} in ${count(rows.length, "row")}`;
  throw new UsageError(
    `target "${name}": expected at least two different values to learn from, got ${found}; choose another column with --target`,
  );
}
