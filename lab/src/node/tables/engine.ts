/** DuckDB as it is built into its package: a database in memory that reads and writes files, spills to a folder, and can be stopped. */
import { quote } from "@evenkeel/report/format";
import { onOneLine } from "../../data/names.js";
import { FailureError, reason } from "../../errors.js";

/** One row of a result, by the names of its columns. */
export type Row = Readonly<Record<string, unknown>>;

export interface Engine {
  /** Where it aborts, queries end. */
  readonly signal: AbortSignal;
  /** Runs a query and returns its rows. @throws Stopped, or what DuckDB says */
  rows(sql: string): Promise<Row[]>;
  /** How far the query is, 0 to 1; below 0 while nothing is known. */
  progress(): number;
  close(): void;
}

/** A query that a signal ended. */
export class Stopped extends Error {}

export interface EngineOptions {
  /** Bytes that DuckDB holds at most. */
  memory: number;
  threads: number;
  /** A folder for what memory does not hold; DuckDB makes it. */
  spill: string;
}

/** Opens a database of its own, whose queries end where `signal` aborts. */
export async function openEngine(
  { memory, threads, spill }: EngineOptions,
  signal: AbortSignal,
): Promise<Engine> {
  // 70 MB of machine code, which other commands do without
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const database = await DuckDBInstance.create(":memory:", {
    memory_limit: `${Math.max(1, Math.floor(memory / 1024))}KiB`,
    threads: String(threads),
    temp_directory: spill,
    // only what is in the package: nothing is fetched, whatever a file asks for
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
    allow_community_extensions: "false",
  });
  const connection = await database.connect();
  const interrupt = () => connection.interrupt();
  signal.addEventListener("abort", interrupt);
  const rows = async (sql: string): Promise<Row[]> => {
    if (signal.aborted) throw new Stopped();
    try {
      const result = await connection.runAndReadAll(sql);
      if (signal.aborted) throw new Stopped();
      return result.getRowObjectsJS();
    } catch (error) {
      throw signal.aborted ? new Stopped() : error;
    }
  };
  await rows("SET enable_progress_bar = true");
  await rows("SET enable_progress_bar_print = false");
  return {
    signal,
    rows,
    progress: () => connection.progress.percentage / 100,
    close() {
      signal.removeEventListener("abort", interrupt);
      connection.closeSync();
      database.closeSync();
    },
  };
}

/** A name as SQL has it. */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A text as SQL has it, which ends at a character of code 0. */
export const text = (value: string): string =>
  `'${value.replaceAll("'", "''")}'`.replaceAll("\0", "' || chr(0) || '");

/** A double that is read back to the bit. */
export const double = (value: number): string => `CAST(${text(String(value))} AS DOUBLE)`;

const KIND = /^[A-Z][\w ]*? Error: /;

/** Whether an error is what DuckDB says. */
export const isOfEngine = (error: unknown): boolean => error instanceof Error && KIND.test(error.message);

/** What DuckDB says, without the query, its advice on SQL and the kind of the error. */
export function engineReason(error: unknown): string {
  const [said] = reason(error).split(/\n\s*(?:LINE \d+:|Possible (?:solutions|fixes)|\* )/);
  return onOneLine(said.replace(KIND, "")).replace(/[.\s]+$/, "");
}

/** Whether it failed for want of memory. */
export const isOfMemory = (error: unknown): boolean =>
  /Out of Memory|max_temp_directory_size|failed to (?:allocate|offload)/i.test(reason(error));

/** What to do about a query that failed, where it is not the data's fault. */
export function engineFailure(error: unknown, what: string): FailureError {
  const shown = engineReason(error);
  if (isOfMemory(error)) {
    return new FailureError(
      `standardize: ${what} needs more memory than it was given (${quote(shown, 120)}); give more with --memory, or take fewer --threads`,
    );
  }
  const [, full] =
    /(?:write|flush|create|open).*: ([^:]*(?:space|quota|large|Permission|Read-only)[^:]*)$/i.exec(shown) ??
    [];
  if (full !== undefined) {
    return new FailureError(
      `standardize: ${what} cannot be written (${full}); free space, allow it, or name another folder with --out`,
    );
  }
  return new FailureError(`standardize: ${what}: ${shown}`);
}

/** Rows that an INSERT has: one of all would be parsed whole. */
const BATCH = 500;

/** A table of doubles for each group, whose text `of_group` has; none of a group is NULL. */
export async function fill(
  engine: Engine,
  table: string,
  columns: readonly string[],
  rows: readonly { group: string | null; values: readonly (number | null)[] }[],
): Promise<void> {
  await engine.rows(
    `CREATE OR REPLACE TEMP TABLE ${table} (of_group VARCHAR, ${columns.map((name) => `${name} DOUBLE`).join(", ")})`,
  );
  for (let at = 0; at < rows.length; at += BATCH) {
    const lines = rows.slice(at, at + BATCH).map(({ group, values }) => {
      const numbers = values.map((value) => (value === null ? "NULL" : double(value)));
      return `(${[group === null ? "NULL" : text(group), ...numbers].join(", ")})`;
    });
    await engine.rows(`INSERT INTO ${table} VALUES ${lines.join(", ")}`);
  }
}
