/** The standardized tables: written by DuckDB, one Parquet file for each that is read, in the order of its rows. */
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { quote } from "@evenkeel/report/format";
import type { Standardizer } from "evenkeel";
import { FailureError, reason, UsageError } from "../../errors.js";
import { makeFolder, tryFolder } from "../store.js";
import { systemReason } from "../whole-file.js";
import { type Engine, fill, identifier, isOfEngine, text } from "./engine.js";
import { type Column, columnIn, fromOf, isInteger, isNumeric, type Source, type Types } from "./source.js";

/** Standardizers by the text of their group; of all rows, one whose group is null. */
export interface Applied {
  by?: Column;
  standardizers: readonly { group: string | null; standardizer: Standardizer }[];
  /** In the order of the standardizers' features. */
  columns: readonly Column[];
  types: Types;
  /** Half as large, with seven digits. */
  float32: boolean;
  /** Of data whose moments were not taken, infinite values are looked for on the way. */
  unseen: boolean;
}

/** What an error of our own begins with in what DuckDB says. */
const INFINITE = "evenkeel: infinite in column ";
/** Groups that an error names. */
const MOST_NAMED = 5;

/**
 * Writes each file's table as one of `names` in a folder.
 * @throws UsageError for values that cannot be standardized, what DuckDB says for all else
 */
export async function writeTables(
  engine: Engine,
  source: Source,
  applied: Applied,
  folder: string,
  names: readonly string[],
  began: (index: number) => void,
): Promise<void> {
  const { by, standardizers, columns } = applied;
  // a join keeps the order of rows on one thread alone
  if (by !== undefined) {
    await fillScales(engine, standardizers);
    await checkGroups(engine, source, by, applied.types);
    await engine.rows("SET threads = 1");
    await engine.rows("SET disabled_optimizers = 'join_order,build_side_probe_side'");
  }
  const passed = await passedTypes(engine, source, applied);
  const types = new Map([...passed, ...applied.types]);
  const replaced = expressionsOf(applied).map((expression, j) => {
    const { name, shown } = columns[j];
    const narrow = applied.float32 ? `CAST(${expression} AS FLOAT)` : expression;
    const value = `CAST(${columnIn(name)} AS DOUBLE)`;
    const checked = applied.unseen
      ? `CASE WHEN isinf(${value}) THEN error(${text(INFINITE + shown)}) ELSE ${narrow} END`
      : narrow;
    return `${checked} AS ${identifier(name)}`;
  });
  // read as text, so that groups are those of the text
  const byType = by && passed.get(by.name);
  if (by && byType) replaced.push(`CAST(${columnIn(by.name)} AS ${byType}) AS ${identifier(by.name)}`);
  const inPaths = source.columns.filter(({ inPath }) => inPath).map(({ name }) => identifier(name));
  const left = inPaths.length > 0 ? ` EXCLUDE (${inPaths.join(", ")})` : "";
  const join_ =
    by === undefined
      ? ""
      : ` LEFT JOIN scales ON CAST(${columnIn(by.name)} AS VARCHAR) IS NOT DISTINCT FROM scales.of_group`;
  const write = async (types: Types) => {
    for (const [i, file] of source.files.entries()) {
      began(i);
      const target = join(folder, names[i]);
      mkdirSync(dirname(target), { recursive: true });
      const from = `${fromOf(source, types, [file])} AS source_rows`;
      try {
        await engine.rows(
          `COPY (SELECT source_rows.*${left} REPLACE (${replaced.join(", ")}) FROM ${from}${join_}) TO ${text(target)} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)`,
        );
      } catch (error) {
        const [, column] =
          error instanceof Error ? (new RegExp(`${INFINITE}(.*)`).exec(error.message) ?? []) : [];
        if (column === undefined) throw error;
        throw new UsageError(
          `standardize: expected finite numbers, got an infinite one in column ${quote(column)} of ${quote(file, 200)}; make it missing (NULL)`,
        );
      }
    }
  };
  try {
    await write(types);
  } catch (error) {
    // dates, say, in the first rows, and further down another text
    const taken = new Set([...columns, by].map((column) => column?.name));
    const guessed = source.columns.filter(
      ({ name, type, inPath }) => !inPath && !taken.has(name) && !isNumeric(type) && type !== "VARCHAR",
    );
    if (source.format === "Parquet" || guessed.length === 0 || !isUnlike(error)) throw error;
    await write(new Map([...types, ...guessed.map(({ name }) => [name, "VARCHAR"] as const)]));
  }
}

/** A value that is not of the type that the first rows have. */
const isUnlike = (error: unknown): boolean =>
  isOfEngine(error) && /^Conversion Error|JSON transform error/.test(reason(error));

function expressionsOf({ by, standardizers, columns }: Applied): readonly string[] {
  const [{ standardizer }] = standardizers;
  if (by === undefined)
    return standardizer.sql("duckdb", { columns: columns.map(({ name }) => name) }).expressions;
  return columns.map(({ name }, j) => `(CAST(${columnIn(name)} AS DOUBLE) - scales.m${j}) / scales.s${j}`);
}

async function fillScales(engine: Engine, standardizers: Applied["standardizers"]): Promise<void> {
  const [{ standardizer }] = standardizers;
  const columns = Array.from(standardizer.mean, (_, j) => [`m${j}`, `s${j}`]).flat();
  const rows = standardizers.map(({ group, standardizer: { mean: means, scale } }) => ({
    group,
    // the mean of a feature without values is none
    values: Array.from(means, (mean, j) => [Number.isNaN(mean) ? null : mean, scale[j]]).flat(),
  }));
  await fill(engine, "scales", columns, rows);
}

/** Every group must have a standardizer. */
async function checkGroups(engine: Engine, source: Source, by: Column, types: Types): Promise<void> {
  const unknown = await engine.rows(
    `SELECT part FROM (SELECT DISTINCT CAST(${columnIn(by.name)} AS VARCHAR) AS part FROM ${fromOf(source, types)} AS source_rows) WHERE NOT EXISTS (FROM scales WHERE of_group IS NOT DISTINCT FROM part) ORDER BY part LIMIT ${MOST_NAMED + 1}`,
  );
  if (unknown.length === 0) return;
  const named = unknown
    .slice(0, MOST_NAMED)
    .map(({ part }) => (part === null ? "NULL" : quote(String(part))));
  throw new UsageError(
    `--with: expected values of ${quote(by.shown)} that the standardizer has seen, got ${named.join(", ")}${unknown.length > MOST_NAMED ? " and others" : ""}; leave these rows out, or make a standardizer of data that have them`,
  );
}

/**
 * The types of what passes unchanged and was guessed from the first rows of a text to be integers: DuckDB would round 1.5 to 2, and
 * drop the zeros of 007. So they are read as text first, all of them.
 */
async function passedTypes(engine: Engine, source: Source, { columns, types }: Applied): Promise<Types> {
  if (source.format === "Parquet") return new Map();
  const taken = new Set(columns.map(({ name }) => name));
  const doubtful = source.columns.filter(
    ({ name, type, inPath }) => isInteger(type) && !taken.has(name) && !inPath,
  );
  if (doubtful.length === 0) return new Map();
  const asText = new Map([...types, ...doubtful.map(({ name }) => [name, "VARCHAR"] as const)]);
  const counts = doubtful.flatMap(({ name }, j) => {
    const value = columnIn(name);
    return [
      `count_if(${value} <> CAST(TRY_CAST(${value} AS BIGINT) AS VARCHAR) OR (${value} IS NOT NULL AND TRY_CAST(${value} AS BIGINT) IS NULL)) AS i${j}`,
      `count_if(${value} IS NOT NULL AND (TRY_CAST(${value} AS DOUBLE) IS NULL OR regexp_matches(${value}, '^[+-]?0[0-9]'))) AS d${j}`,
    ];
  });
  const [row] = await engine.rows(
    `SELECT ${counts.join(", ")} FROM ${fromOf(source, asText)} AS source_rows`,
  );
  return new Map(
    doubtful.map(({ name }, j) => [
      name,
      Number(row[`i${j}`]) === 0 ? "BIGINT" : Number(row[`d${j}`]) === 0 ? "DOUBLE" : "VARCHAR",
    ]),
  );
}

/** Names of the tables, relative to the folder that they go to: those of the files, below the folder that all of them share. */
export function namesOf(files: readonly string[]): string[] {
  const foldersOf = (file: string) => dirname(file).split(sep);
  const [first, ...others] = files.map(foldersOf);
  let shared = first.findIndex(
    (name, at) => name.includes("=") || others.some((folders) => folders[at] !== name),
  );
  if (shared < 0) shared = first.length;
  const bare = (file: string) =>
    file.replace(/(?:\.(?:parquet|parq|pq|csv|tsv|tab|psv|json|ndjson|jsonl))?(?:\.gz|\.zst)?$/i, "");
  const within = files.map((file) => relative(first.slice(0, shared).join(sep) || sep, file));
  const wanted = within.map((name) => `${bare(name) || name}.parquet`);
  const times = new Map<string, number>();
  for (const name of wanted) times.set(name.toLowerCase(), (times.get(name.toLowerCase()) ?? 0) + 1);
  return wanted.map((name, i) => (times.get(name.toLowerCase()) === 1 ? name : `${within[i]}.parquet`));
}

/** What is written into a folder while it is not whole. */
const PART = ".evenkeel-standardize.part";

/** A folder that becomes whole at once, or stays as it was. */
export interface OutFolder {
  /** For what is not whole yet, and for what memory does not hold. */
  readonly part: string;
  /** Gives the files in `part` their place. @throws FailureError */
  commit(names: readonly string[]): void;
  /** Removes what was not committed, and the folders that were made for it. */
  discard(): void;
}

/**
 * @throws UsageError where the folder holds anything, FailureError where it cannot be written
 */
export function openOut(folder: string): OutFolder {
  if (folder.trim() === "") throw new UsageError('--out: expected the name of a folder, got ""');
  const shown = quote(folder, 200);
  const part = resolve(folder, PART);
  const made: string[] = [];
  let own = false;
  const unmake = () => {
    for (const path of made.toReversed()) {
      try {
        rmdirSync(path);
      } catch {
        // something is in it
      }
    }
    made.length = 0;
  };
  try {
    const about = lstatSync(folder, { throwIfNoEntry: false });
    if (about !== undefined && !statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
      throw new UsageError(`--out: ${shown} is there and no folder; name another one`);
    }
    const found = about === undefined ? [] : readdirSync(folder);
    if (found.includes(PART)) {
      throw new UsageError(
        `--out: in the folder ${shown} another evenkeel standardize is at work, or was killed; wait for it, or remove ${PART} there`,
      );
    }
    if (found.length > 0) {
      throw new UsageError(
        `--out: the folder ${shown} is not empty (it holds ${quote(found[0])}), and nothing in it is overwritten; name another folder`,
      );
    }
    makeFolder(folder, made);
    mkdirSync(part);
    own = true;
    tryFolder(part);
  } catch (error) {
    if (own) rmSync(part, { recursive: true, force: true });
    unmake();
    throw error instanceof UsageError
      ? error
      : new FailureError(
          `--out: cannot write into the folder ${shown} (${systemReason(error)}); name another one, or free space or allow it`,
        );
  }
  return {
    part,
    commit(names) {
      try {
        for (const name of names) {
          const target = resolve(folder, name);
          makeFolder(dirname(target), made);
          sync(join(part, name));
          renameSync(join(part, name), target);
        }
        rmSync(part, { recursive: true, force: true });
        made.length = 0;
      } catch (error) {
        for (const name of names) rmSync(resolve(folder, name), { force: true });
        throw new FailureError(
          `--out: cannot write into the folder ${shown} (${systemReason(error)}); free space or allow it`,
        );
      }
    },
    discard() {
      rmSync(part, { recursive: true, force: true });
      unmake();
    },
  };
}

function sync(path: string): void {
  const file = openSync(path, "r+");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
