/**
 * How data became inputs, and outputs are to be read: plain JSON that is kept beside a network, so that other data are
 * read as those that it learnt from.
 */

import { count, quote } from "@evenkeel/report/format";
import { type Encoder, inputsOf } from "../data/encoders.js";
import { FIRST_TOKEN } from "../data/form.js";
import { quoted } from "../data/names.js";
import type { Column, Kind, Known, ReadOptions, Table, Written } from "../data/table.js";
import { tokensOf } from "../data/texts.js";
import { UsageError } from "../errors.js";

/** The column that was predicted. */
export interface TargetReading {
  column: string;
  /** What it was in its file: dates are predicted in days since 1970. */
  kind: Kind;
  /** The value that y = 0 stands for; `Dataset.yScale` is what 1 of y amounts to. */
  center: number;
}

/** How columns were read. */
export interface ColumnReading {
  column: string;
  kind: Kind;
  /** How the cells were written, as far as that shows. */
  written?: Written;
  parts?: Encoder["parts"];
}

/** How a file was read: its columns that were used, and what the user or the file said. */
export interface FileReading {
  columns: ColumnReading[];
  read: Pick<ReadOptions, "header" | "missing">;
}

/** Of a table with a column to predict. */
export interface TableReading extends FileReading {
  from: "table";
  /** In the order of their inputs. */
  columns: Encoder[];
  target: TargetReading;
}

/** Columns, and strange values, that are named in a message; characters of a value that are shown. */
const MOST_NAMED = 6;
const MOST_STRANGERS = 3;
const LONGEST = 40;

const few = (names: readonly string[]): string =>
  `${quoted(names.slice(0, MOST_NAMED))}${names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : ""}`;

const KINDS: Record<Kind, string> = { number: "numbers", date: "dates", text: "text" };

/** How these columns of a table were read. */
export function fileReading(
  table: Table,
  names: readonly string[],
  { header, missing }: ReadOptions,
): FileReading {
  const found = new Map(table.columns.map((column) => [column.name, column]));
  const isNamed = table.columns.some(({ name }, index) => name !== `column ${index + 1}`);
  return {
    columns: names.flatMap((column) => {
      const { kind, written } = found.get(column) ?? {};
      return kind === undefined ? [] : { column, kind, ...(written && { written }) };
    }),
    read: { header: header ?? isNamed, ...(missing && { missing }) },
  };
}

/** The reading of these inputs, made of some of the columns of `table`. */
export function tableReading(
  encoders: readonly Encoder[],
  table: Table,
  target: TargetReading,
  options: ReadOptions,
): TableReading {
  const { columns, read } = fileReading(
    table,
    encoders.map(({ column }) => column),
    options,
  );
  const written = new Map(columns.map((each) => [each.column, each.written]));
  return {
    from: "table",
    columns: encoders.map((encoder) => {
      const own = written.get(encoder.column);
      return { ...encoder, ...(own && { written: own }) };
    }),
    target,
    read,
  };
}

/** How to read a file with the columns of a reading; what the user says of the file comes first. */
export function readOptionsOf({ columns, read }: FileReading, options: ReadOptions): ReadOptions {
  const { decimal, dates } = options;
  const said = { ...(decimal && { decimal }), ...(dates && { dates }) };
  const known = new Map<string, Known>();
  for (const { column, kind, written, parts = [] } of columns) {
    const values = parts.flatMap((part) => ("levels" in part ? part.levels : []));
    known.set(column, {
      kind,
      ...(written && { written: { ...written, ...said } }),
      ...(values.length > 0 && { values: new Set(values) }),
    });
  }
  return { ...read, ...options, known };
}

/** Throws UsageError where a table lacks a column of a reading, or has it as something else. */
export function checkRead({ columns }: FileReading, table: Table): void {
  const found = new Map(table.columns.map((column) => [column.name, column]));
  checkColumns(
    table,
    columns.map(({ column }) => column),
  );
  for (const { column, kind } of columns) {
    const got = found.get(column) as Column;
    if (got.kind === kind || got.values.every((value) => value === null)) continue;
    throw new UsageError(
      `${table.name}, column ${quote(column)}: expected ${KINDS[kind]}, as the network learnt from, got ${KINDS[got.kind]}; write it as in the file of the training`,
    );
  }
}

/** Throws UsageError where a table lacks a column that the training had. */
export function checkColumns({ name, columns }: Table, wanted: readonly string[]): void {
  const names = columns.map((column) => column.name);
  const found = new Set(names);
  const absent = wanted.filter((column) => !found.has(column));
  if (absent.length === 0) return;
  throw new UsageError(
    `${name}: expected the ${count(wanted.length, "column")} that the network learnt from, got none called ${few(absent)}; its columns are ${few(names)}: rename them as in the file of the training, or add them (empty where a value is not known)`,
  );
}

/**
 * x [rows, inputs]: of every row of a table that was read with `readOptionsOf`, as in training. Throws UsageError where
 * columns are missing, or are not what they were.
 */
export function applyReading(reading: TableReading, table: Table): Float32Array {
  checkRead(reading, table);
  const rows = Array.from({ length: table.rowCount }, (_, row) => row);
  return inputsOf(reading.columns, table, rows);
}

/** What is said of values that the network does not know: a sentence for each column. */
export function strangersIn({ columns }: TableReading, table: Table): string[] {
  const found = new Map(table.columns.map(({ name, values }) => [name, values]));
  return columns.flatMap(({ column, parts }) => {
    const values = (found.get(column) ?? []).flatMap((value) => (value === null ? [] : String(value)));
    for (const part of parts) {
      if (part.kind === "tokens") {
        const words = new Map(part.words.map((word, index) => [word, index + FIRST_TOKEN]));
        const unknown = values.filter((text) =>
          tokensOf(text, words, part.length).every((token) => token < FIRST_TOKEN),
        ).length;
        return unknown === 0
          ? []
          : `${quote(column)} has ${count(unknown, "text")} without a word that the network knows`;
      }
      if (part.kind !== "levels" && part.kind !== "category") continue;
      const levels = new Set(part.levels);
      const strange = values.filter((value) => !levels.has(value));
      if (strange.length === 0) return [];
      const hasOther = part.kind === "category" || part.other;
      const named = quoted(
        [...new Set(strange)].slice(0, MOST_STRANGERS).map((value) => value.slice(0, LONGEST)),
      );
      return `${quote(column)} has ${count(strange.length, "value")} that ${hasOther ? "the network does not know" : "the training had not"} (${named}): taken as ${hasOther ? "rare ones" : "none of those that it had"}`;
    }
    return [];
  });
}
