/** A table from a file: CSV, TSV, ARFF, JSON, newline-delimited JSON or Parquet, each also compressed as `.gz`. */
import { basename } from "node:path";
import { UsageError } from "../errors.js";
import { parseArff } from "./arff.js";
import { type Column, makeTable, type Table } from "./column.js";
import { parseCsv } from "./csv.js";
import { readBytes, readText } from "./file.js";
import { parseJson, parseNdjson } from "./json.js";
import { parseParquet } from "./parquet.js";

export type { Column, Table, Value } from "./column.js";

const FORMATS: Record<string, (path: string, file: string) => Promise<Column[]>> = {
  ".csv": async (path, file) => parseCsv(await readText(path), file, ","),
  ".tsv": async (path, file) => parseCsv(await readText(path), file, "\t"),
  ".arff": async (path, file) => parseArff(await readText(path), file),
  ".json": async (path, file) => parseJson(await readText(path), file),
  ".ndjson": async (path, file) => parseNdjson(await readText(path), file),
  ".jsonl": async (path, file) => parseNdjson(await readText(path), file),
  ".parquet": async (path, file) => parseParquet(await readBytes(path), file),
};

/**
 * Reads the table in the file at `path`; the end of its name says the format. Empty text, `NA`, `NaN`,
 * `nan`, `null` and ARFF's `?` are missing values. Throws UsageError for what is no table (see `makeTable`) and
 * FailureError for a file that cannot be read or parsed; see each format.
 */
export async function readTable(path: string): Promise<Table> {
  const file = basename(path);
  const extension = /\.[^.]*$/.exec(file.replace(/\.gz$/i, ""))?.[0].toLowerCase() ?? "";
  const read = Object.hasOwn(FORMATS, extension) ? FORMATS[extension] : undefined;
  if (read === undefined) {
    throw new UsageError(
      `${path}: expected a name that ends in ${Object.keys(FORMATS).join(", ")} (each also with .gz), got ${extension === "" ? "no ending" : `"${extension}"`}; convert the file, to .csv for example`,
    );
  }
  return makeTable(file, await read(path, file));
}
