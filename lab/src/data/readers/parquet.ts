/** Apache Parquet with any of its compressions; the top-level columns must be flat. */
import { parquetMetadata, parquetReadObjects, parquetSchema } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { FailureError, reason } from "../../errors.js";
import { type Column, columnsOfRecords } from "../column.js";

/** The columns of a Parquet file's bytes; throws FailureError for anything but a complete Parquet file, UsageError for nested columns. */
export async function parseParquet(bytes: Uint8Array, file: string): Promise<Column[]> {
  let names: string[];
  let records: Record<string, unknown>[];
  try {
    // the bytes may be part of a larger buffer
    const whole = new Uint8Array(bytes).buffer;
    const metadata = parquetMetadata(whole);
    names = parquetSchema(metadata).children.map((child) => child.element.name);
    records = await parquetReadObjects({ file: whole, metadata, compressors });
  } catch (error) {
    throw new FailureError(
      `${file}: not a complete Parquet file (${reason(error)}); it may be truncated: fetch or write it again`,
    );
  }
  return columnsOfRecords(file, names, records);
}
