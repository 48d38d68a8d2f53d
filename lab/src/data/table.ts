/**
 * What a reader gives, what is made of it, and what was decided on the way.
 *
 * Rows are data rows, counted from 1: the first row below the header of a CSV file, the first row below `@data` of an
 * ARFF file, the first record of a JSON or Parquet file. Blank lines and comments do not count.
 */
import type { DateOrder } from "./dates.js";

/** One cell; null where the value is missing. */
export type Value = number | string | null;

/** Numbers, dates (milliseconds since 1970, UTC) or text. */
export type Kind = "number" | "date" | "text";

/** What was decided about a file or some of its columns, told once so that its user can decide otherwise. */
export interface Decision {
  /** The columns that it is about, by their names in the table; none where it is about the file. */
  columns: string[];
  /** What was done, as it follows their names: "left out", "read as dates", "read with a decimal comma". */
  what: string;
  /** Why, where `what` does not say: "one value only", "1.415 beside 926". */
  why?: string;
  /** What decides otherwise: `--keep id`. */
  option?: string;
}

/** A column as its file has it, before text is understood. */
export interface RawColumn {
  /** Empty where the file gives it none. */
  name: string;
  /** [rows]; numbers where the format has numbers (dates: ms since 1970), null where it says that there is no value, else text as it was written. */
  cells: Value[];
  /** What the format declares; left out where text is yet to be understood. */
  type?: Kind;
  /** The declared levels of a text column, in their order. */
  levels?: string[];
}

/** What a reader gives. What it could not read (lists, bytes) it left out, and says so in `decisions`. */
export interface RawTable {
  columns: RawColumn[];
  /** Data rows of the file: more than there are cells where a sample was drawn. */
  rowCount: number;
  /** [cells of a column]: the number of each row in the file, from 1, where a sample was drawn. */
  rowNumbers?: ArrayLike<number>;
  /** Whether semicolons separate its fields, as where the comma is the decimal separator. */
  semicolons?: boolean;
  decisions: Decision[];
}

export interface Column {
  /** Not empty, distinct, without control characters. */
  name: string;
  kind: Kind;
  /** [rowCount]: numbers where `kind` is "number" or "date", text where it is "text"; null where missing. */
  values: readonly Value[];
  /** The declared order of the levels, where the file has one. */
  levels?: string[];
  written?: Written;
}

/** How the cells of a column are written, where they are text: decided with the evidence of its whole file. */
export interface Written {
  decimal?: "." | ",";
  dates?: DateOrder;
}

/** What a column was in an earlier file, whatever its cells look like in this one. */
export interface Known {
  kind: Kind;
  written?: Written;
  /** Of text: values that would say otherwise that there is none ("None"). */
  values?: ReadonlySet<string>;
}

/** Columns of one length, with distinct names. */
export interface Table {
  name: string;
  columns: Column[];
  /** Rows here, and in the file where a sample was drawn. */
  rowCount: number;
  fileRows: number;
  /** The number of a row in the file, from 1. */
  rowNumber(row: number): number;
  decisions: Decision[];
}

/** Most that is read of a file that may lie about its size; each is told in its error, with the option that raises it. */
export interface Limits {
  /** Of the file, and of what is unpacked from it. */
  bytes: number;
  /** Rows × columns that are kept. */
  cells: number;
  columns: number;
}

export const usualLimits: Limits = { bytes: 2 ** 30, cells: 1e8, columns: 100_000 };

/** How a file is to be read where it is not clear, or wrong by itself. */
export interface ReadOptions {
  /** As `TextDecoder` has it. */
  encoding?: string;
  /** What separates the fields of text: one character, or " " for any number of blanks. */
  delimiter?: string;
  /** Whether the first row names the columns. */
  header?: boolean;
  decimal?: "." | ",";
  /** What stands for a missing value besides nothing at all, instead of the usual notations. */
  missing?: string[];
  /** The order of day and month in dates such as 03/04/2024. */
  dates?: DateOrder;
  /** Columns to read as text, as numbers: see `columnsNamed`. */
  categorical?: string[];
  numeric?: string[];
  /** Columns by their names as they were read before: cells that do not fit are missing. */
  known?: ReadonlyMap<string, Known>;
  /** The file in an archive, or the sheet of a workbook. */
  member?: string;
  /** Keep at most so many rows, drawn at random from all, always the same ones. */
  sample?: number;
  limits?: Partial<Limits>;
}
