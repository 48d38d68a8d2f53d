/** JSON: an array of flat objects, or one flat object per line (`.ndjson`, `.jsonl`). */
import { FailureError, reason, UsageError } from "../../errors.js";
import { type Column, columnsOfRecords } from "../column.js";

/** The columns of a JSON array of objects, in order of appearance; throws FailureError for what is not JSON, UsageError for JSON of another shape. */
export function parseJson(text: string, file: string): Column[] {
  let records: unknown;
  try {
    records = JSON.parse(text);
  } catch (error) {
    throw new FailureError(
      `${file}: invalid JSON: ${reason(error)}; correct it, or name it .ndjson where each line is an object of its own`,
    );
  }
  if (!Array.isArray(records)) {
    throw new UsageError(
      `${file}: expected an array of objects, [{"a": 1}, …], got ${describe(records)}; save the rows as such an array`,
    );
  }
  return columnsOf(records, file);
}

/** As `parseJson`, for one object per line; blank lines are skipped. */
export function parseNdjson(text: string, file: string): Column[] {
  const records: unknown[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    try {
      records.push(JSON.parse(line));
    } catch (error) {
      throw new FailureError(
        `${file}: line ${index + 1}: invalid JSON: ${reason(error)}; correct it, or name the file .json where it is one array`,
      );
    }
  }
  return columnsOf(records, file);
}

function columnsOf(records: readonly unknown[], file: string): Column[] {
  const names = new Set<string>();
  const objects = records.map((record, index) => {
    if (!isObject(record)) {
      throw new UsageError(
        `${file}: row ${index + 1}: expected an object, {"a": 1, …}, got ${describe(record)}; save each row as an object`,
      );
    }
    for (const name of Object.keys(record)) names.add(name);
    return record;
  });
  return columnsOfRecords(file, [...names], objects);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (isObject(value)) return "an object";
  return Array.isArray(value) ? "a list" : JSON.stringify(value);
}
