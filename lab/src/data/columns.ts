/**
 * What every reader of a file gives: named columns of numbers or text, and the one place that decides which of the two
 * a column is.
 *
 * Rows are data rows, counted from 1: the first row below the header of a CSV file, the first row below `@data` of an
 * ARFF file, the first record of a JSON or Parquet file. Blank lines and comments do not count. `values[17 - 1]` is
 * therefore "row 17" in every message.
 */
import { UsageError } from "../errors.js";

/** One cell; null where the value is missing. */
export type Value = number | string | null;

/**
 * A column of a table. Where `kind` is "number", text among the values is what could not be read as a finite number,
 * left in so that whoever needs numbers can name it; where it is "text" no value is a number.
 */
export interface Column {
  name: string;
  kind: "number" | "text";
  /** [rowCount] */
  values: Value[];
}

/** Columns of one length, with distinct names. */
export interface Table {
  name: string;
  columns: Column[];
  rowCount: number;
}

const MISSING = new Set(["", "NA", "NaN", "nan", "null"]);
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const INFINITE = /^[+-]?inf(inity)?$/i;

/** Whether text says that there is no value. */
export function isMissing(text: string): boolean {
  return MISSING.has(text);
}

/** Whether text means a number, even one too large for a double, or an infinity. */
export function looksNumeric(text: string): boolean {
  return NUMBER.test(text) || INFINITE.test(text);
}

/** `text` as a finite number where it is one, else unchanged. */
export function numberOrText(text: string): number | string {
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : text;
}

/**
 * A column of a format that does not declare types. It is a column of numbers when more than half of the values that are
 * not missing read as numbers (the rest is then somebody's mistake), or when all are missing.
 */
export function inferColumn(name: string, cells: readonly Value[]): Column {
  const values = cells.map((cell) =>
    (typeof cell === "string" && isMissing(cell)) || Number.isNaN(cell) ? null : cell,
  );
  let numbers = 0;
  let texts = 0;
  for (const value of values) {
    if (typeof value === "number" || (typeof value === "string" && looksNumeric(value))) numbers++;
    else if (value !== null) texts++;
  }
  const kind = numbers > texts || texts === 0 ? "number" : "text";
  return {
    name,
    kind,
    values: values.map((value) => {
      if (value === null) return null;
      if (kind === "text") return String(value);
      return typeof value === "string" ? numberOrText(value) : value;
    }),
  };
}

/**
 * The columns of records, as JSON and Parquet have them; a record without one of `names` misses that value. Integers
 * beyond a double's are rounded, booleans become "true" and "false", dates ISO 8601 text. Throws UsageError for a value
 * that is none of these (a list, an object, bytes).
 */
export function columnsOfRecords(
  file: string,
  names: readonly string[],
  records: readonly Record<string, unknown>[],
): Column[] {
  return names.map((name) =>
    inferColumn(
      name,
      records.map((record, index) => {
        const value = Object.hasOwn(record, name) ? record[name] : null;
        if (value === null || value === undefined) return null;
        if (typeof value === "string" || typeof value === "number") return value;
        if (typeof value === "bigint") return Number(value);
        if (typeof value === "boolean") return String(value);
        if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
        throw new UsageError(
          `${file}: row ${index + 1}, column "${name}": expected a number, text, true, false or null, got ${
            Array.isArray(value) ? "a list" : ArrayBuffer.isView(value) ? "bytes" : "an object"
          }; give each value in it a column of its own, or remove it from the file`,
        );
      }),
    ),
  );
}

/** The table of `columns`. Throws UsageError where two have one name, one has none, or there is no row. */
export function makeTable(file: string, columns: Column[]): Table {
  const seen = new Map<string, number>();
  for (const [index, { name }] of columns.entries()) {
    if (name === "") {
      throw new UsageError(
        `${file}: column ${index + 1} has no name; name it in the header (row names that pandas or R wrote are left out there with index=False or row.names=FALSE)`,
      );
    }
    const first = seen.get(name);
    if (first !== undefined) {
      throw new UsageError(
        `${file}: columns ${first} and ${index + 1} are both named "${name}"; rename one of them`,
      );
    }
    seen.set(name, index + 1);
  }
  const rowCount = columns[0]?.values.length ?? 0;
  if (rowCount === 0) {
    throw new UsageError(
      `${file}: expected at least one row of data, got ${columns.length === 0 ? "none" : "only the names of the columns"}; check that the file was written to its end`,
    );
  }
  return { name: file.replace(/(\.[a-z]+)?(\.gz)?$/i, ""), columns, rowCount };
}
