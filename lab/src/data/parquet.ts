/** Apache Parquet with any of its compressions; the top-level columns must be flat. */
import { parquetMetadata, parquetReadObjects, parquetSchema } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { FailureError } from "../errors.js";
import { type Column, columnsOfRecords } from "./column.js";
import { reason } from "./file.js";

/** The columns of a Parquet file's bytes; throws FailureError for what is no whole Parquet file, UsageError for nested columns. */
export async function parseParquet(bytes: Uint8Array, file: string): Promise<Column[]> {
  let names: string[];
  let records: Record<string, unknown>[];
  try {
    // A copy, because Node's buffers share one larger ArrayBuffer.
    const whole = new Uint8Array(bytes).buffer;
    const metadata = parquetMetadata(whole);
    names = parquetSchema(metadata).children.map((child) => child.element.name);
    records = await parquetReadObjects({ file: whole, metadata, compressors });
  } catch (error) {
    throw new FailureError(
      `${file}: not a whole Parquet file (${reason(error)}); it may be truncated: fetch or write it again`,
    );
  }
  return columnsOfRecords(file, names, records);
}
