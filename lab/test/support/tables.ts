/** Tables of values as readers give them. */
import type { Column, Kind, Table, Value } from "../../src/data/table.js";

/** A column of numbers where all values are, else of text; dates are given as `Date`. */
export function columnOf(name: string, values: readonly (Value | Date)[], levels?: string[]): Column {
  const is = (kind: (value: Value | Date) => boolean) =>
    values.every((value) => value === null || kind(value));
  const kind: Kind = is((value) => value instanceof Date)
    ? values.some((value) => value !== null)
      ? "date"
      : "number"
    : is((value) => typeof value === "number")
      ? "number"
      : "text";
  return {
    name,
    kind,
    values: values.map((value) =>
      value instanceof Date ? value.getTime() : kind === "text" && value !== null ? String(value) : value,
    ),
    ...(levels && { levels }),
  };
}

export function tableOf(columns: Record<string, readonly (Value | Date)[]>): Table {
  const all = Object.entries(columns).map(([name, values]) => columnOf(name, values));
  const rowCount = all[0].values.length;
  return {
    name: "test",
    columns: all,
    rowCount,
    fileRows: rowCount,
    rowNumber: (row) => row + 1,
    decisions: [],
  };
}

/** `count` values of `value`, which gets the row's index. */
export function rows<T>(count: number, value: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => value(index));
}

/** A sequence that looks random, from 0 to 1 and always the same: the fractions of a square root's multiples. */
export const scattered = (index: number, step = Math.SQRT2): number => (index * step * 97.13) % 1;
