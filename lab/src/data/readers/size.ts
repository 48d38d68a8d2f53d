/** Tables that are too large, told before memory is taken for them. */
import { UsageError } from "../../errors.js";
import type { Limits } from "../table.js";

const MOST_ROWS = 2 ** 31 - 1;

/** Throws UsageError above the limits of a table, before memory is taken for it. */
export function checkSize(file: string, rows: number, kept: number, columns: number, limits: Limits): void {
  const exceeds = (most: number, what: string, got: number, remedy: string) => {
    throw new UsageError(
      `${file}: expected at most ${most.toLocaleString("en-US")} ${what}, got ${got.toLocaleString("en-US")}; ${remedy}`,
    );
  };
  if (rows > MOST_ROWS) exceeds(MOST_ROWS, "rows", rows, "split the file");
  if (columns > limits.columns) {
    exceeds(limits.columns, "columns", columns, "write a file without those that are not needed");
  }
  if (kept * columns > limits.cells) {
    exceeds(
      limits.cells,
      "cells",
      kept * columns,
      "read fewer rows with --limit, or allow more with --max-cells",
    );
  }
}
