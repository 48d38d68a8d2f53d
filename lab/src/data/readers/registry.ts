/** Which formats of tables can be read: CSV, TSV, ARFF, JSON, newline-delimited JSON and Parquet. */
import { UsageError } from "../../errors.js";
import { type Column, makeTable, type Table } from "../column.js";
import { parseArff } from "./arff.js";
import { parseCsv } from "./csv.js";
import { parseJson, parseNdjson } from "./json.js";
import { parseParquet } from "./parquet.js";
import { baseName, bytesOf, type Source, textOf } from "./source.js";

/** By the ending of a name; `file` is the name without folders, for messages. */
const FORMATS: Record<string, (source: Source, file: string) => Promise<Column[]>> = {
  ".csv": async (source, file) => parseCsv(await textOf(source), file, ","),
  ".tsv": async (source, file) => parseCsv(await textOf(source), file, "\t"),
  ".arff": async (source, file) => parseArff(await textOf(source), file),
  ".json": async (source, file) => parseJson(await textOf(source), file),
  ".ndjson": async (source, file) => parseNdjson(await textOf(source), file),
  ".jsonl": async (source, file) => parseNdjson(await textOf(source), file),
  ".parquet": async (source, file) => parseParquet(await bytesOf(source), file),
};

/**
 * The reader for files of this name, whose ending says the format; one of `.gz` comes decompressed. Throws UsageError
 * for an ending that is none of those known. Empty text, `NA`, `NaN`, `nan`, `null` and ARFF's `?` are missing
 * values; the reader throws UsageError for what is no table (see `makeTable`) and FailureError for what cannot be
 * parsed; see each format.
 */
export function readerOf(name: string): (source: Source) => Promise<Table> {
  const file = baseName(name);
  const extension = /\.[^.]*$/.exec(file.replace(/\.gz$/i, ""))?.[0].toLowerCase() ?? "";
  const read = Object.hasOwn(FORMATS, extension) ? FORMATS[extension] : undefined;
  if (read === undefined) {
    throw new UsageError(
      `${name}: expected a name that ends in ${Object.keys(FORMATS).join(", ")} (each also with .gz), got ${extension === "" ? "no ending" : `"${extension}"`}; convert the file, to .csv for example`,
    );
  }
  return async (source) => makeTable(file, await read(source, file));
}
