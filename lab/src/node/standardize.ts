/** `evenkeel standardize`: moments of tables beyond memory, and the tables standardized, by DuckDB. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { count, printable, quote } from "@evenkeel/report/format";
import { Standardizer } from "evenkeel";
import { argument, columnsNamed, quoted } from "../data/names.js";
import { FailureError, reason, UsageError } from "../errors.js";
import { type Stop, stopOnSignals } from "./signals.js";
import { columnsOf } from "./streams.js";
import { type Engine, engineFailure, isOfEngine, openEngine, Stopped } from "./tables/engine.js";
import { groupsIn, type Measured, type Measurement, measure } from "./tables/moments.js";
import { readSaved, type Saved, textOf } from "./tables/saved.js";
import { headText, type Line, leftText, type Meter, openMeter, tableText } from "./tables/screen.js";
import {
  type Column,
  checkUnchanged,
  columnIn,
  fold,
  fromOf,
  isNumeric,
  openSource,
  type Source,
  type Types,
} from "./tables/source.js";
import { namesOf, type OutFolder, openOut, writeTables } from "./tables/write.js";
import { writeWhole } from "./whole-file.js";

/** The options of the command line, already checked. */
export interface StandardizeOptions {
  /** A folder for the tables and standardizer.json. */
  out?: string;
  /** A file for the standardizer alone. */
  moments?: string;
  /** A standardizer that was made before, instead of the files' own moments. */
  with?: string;
  by?: string;
  weights?: string;
  columns?: readonly string[];
  ignore?: readonly string[];
  missing?: readonly string[];
  /** Of numbers in CSV: "." or ",". */
  decimal?: string;
  /** Bytes. */
  memory?: number;
  threads?: number;
  float32?: boolean;
  json?: boolean;
}

const STANDARDIZER = "standardizer.json";
/** Of a grouped standardizer, and of what it has in all. */
const MOST_GROUPS = 100_000;
const MOST_MOMENTS = 1_000_000;
/** Rows in which text is looked at. */
const SAMPLE = 2048;

/** Columns by what becomes of them. */
interface Roles {
  /** They are standardized. */
  columns: readonly Column[];
  by?: Column;
  weights?: Column;
  /** What is read as something else than DuckDB guesses. */
  types: Types;
}

/**
 * Returns the exit code.
 * @throws UsageError and FailureError as what reads, measures and writes tables does
 */
export async function standardize(files: readonly string[], options: StandardizeOptions): Promise<number> {
  checkOptions(options);
  const saved = options.with === undefined ? undefined : readSaved(options.with);
  const stop = stopOnSignals();
  const out = options.out === undefined ? undefined : openOut(options.out);
  const spill = out?.part ?? mkdtempSync(join(tmpdir(), "evenkeel-standardize-"));
  const leave = () => (out === undefined ? rmSync(spill, { recursive: true, force: true }) : out.discard());
  // a second Ctrl-C ends the process wherever it is
  process.once("exit", leave);
  let engine: Engine | undefined;
  let meter: Meter | undefined;
  try {
    const { memory = usualMemory(), threads = availableParallelism() } = options;
    engine = await openEngine({ memory, threads, spill: join(spill, "spill") }, stop.signal);
    meter = openMeter(engine);
    const made = await run(engine, meter, files, options, out, saved);
    meter.close();
    engine.close();
    finish(made, options, out);
    return stop.exitCode() ?? 0;
  } catch (error) {
    meter?.close();
    if (error instanceof Stopped) return await stopped(stop);
    throw error instanceof UsageError || error instanceof FailureError || !isOfEngine(error)
      ? error
      : told(error);
  } finally {
    engine?.close();
    leave();
    process.off("exit", leave);
  }
}

async function stopped(stop: Stop): Promise<number> {
  await stop.letGo();
  process.stderr.write("Stopped; nothing was written.\n");
  return stop.exitCode() ?? 1;
}

/** Half of what there is. */
const usualMemory = (): number => Math.min(totalmem(), process.constrainedMemory?.() || totalmem()) / 2;

/** What can be refused before anything is read. */
function checkOptions(options: StandardizeOptions): void {
  const { out, moments, with: given } = options;
  if (moments !== undefined) {
    if (moments.trim() === "") throw new UsageError('--moments: expected the name of a file, got ""');
    if (existsSync(moments)) {
      throw new UsageError(
        `--moments: ${quote(moments, 200)} is there, and is not overwritten; name another file`,
      );
    }
  }
  if (options.float32 && out === undefined) {
    throw new UsageError(
      "--float32: it is of the tables that --out writes; expected --out <folder> beside it",
    );
  }
  if (given === undefined) return;
  if (out === undefined) {
    throw new UsageError("--with: expected --out <folder> beside it, where the standardized tables go");
  }
  const own = (["by", "weights", "columns", "ignore", "moments"] as const).find(
    (name) => options[name] !== undefined,
  );
  if (own !== undefined) {
    throw new UsageError(
      `--with: the standardizer says which columns and groups there are, got --${own} beside it; leave one of them out`,
    );
  }
}

/** What was made, to be given its place and shown. */
interface Made {
  source: Source;
  saved: Saved;
  roles: Roles;
  names: string[];
  measurement?: Measurement;
  notes: string[];
}

async function run(
  engine: Engine,
  meter: Meter,
  files: readonly string[],
  options: StandardizeOptions,
  out: OutFolder | undefined,
  given: Saved | undefined,
): Promise<Made> {
  meter.say("looking at the columns");
  const source = await openSource(engine, files, options);
  const roles = given === undefined ? rolesOf(source, options) : rolesWith(source, given);
  const notes = [...source.notes, ...(await hintsOf(engine, source, roles))];
  let measurement: Measurement | undefined;
  let saved = given;
  try {
    if (saved === undefined) {
      await checkGroups(engine, meter, source, roles);
      meter.say("moments");
      measurement = await measure(engine, source, roles);
      saved = savedOf(measurement.groups, roles);
    }
    const names = out === undefined ? [] : namesOf(source.files);
    if (out !== undefined) {
      const applied = {
        ...roles,
        standardizers: saved.standardizers,
        float32: options.float32 ?? false,
        unseen: measurement === undefined,
      };
      await writeTables(engine, source, applied, out.part, names, (i) =>
        meter.say(names.length > 1 ? `writing ${i + 1} of ${names.length}` : "writing"),
      );
    }
    checkUnchanged(source);
    return { source, saved, roles, names, measurement, notes };
  } catch (error) {
    throw unread(error, roles);
  }
}

/** The standardizer, and where the tables go, once all is there. */
function finish(
  { source, saved, roles, names, measurement, notes }: Made,
  options: StandardizeOptions,
  out: OutFolder | undefined,
): void {
  const text = textOf(saved);
  if (out !== undefined) {
    writeWhole(join(out.part, STANDARDIZER), text, "--out");
    rmSync(join(out.part, "spill"), { recursive: true, force: true });
    // last, as a sign that all is there
    out.commit([...names, STANDARDIZER]);
  }
  if (options.moments !== undefined) writeWhole(options.moments, text, "--moments");
  const used = new Set([...roles.columns, roles.by, roles.weights].map((column) => column?.name));
  const left = source.columns.filter(({ name }) => !used.has(name));
  const rows = measurement?.groups.reduce((sum, group) => sum + group.rows, 0);
  const lines = [
    ...notes,
    ...leftText(left),
    ...(saved.by === undefined
      ? []
      : [`${count(saved.standardizers.length, "group")} by ${quote(saved.by)}`]),
    ...(roles.weights === undefined
      ? []
      : [`weighted by ${quote(roles.weights.shown)}: counts are sums of weights`]),
    ...(measurement && measurement.again.length > 0
      ? [`scanned once more, since the first rows are far from the mean: ${quoted(measurement.again)}`]
      : []),
  ];
  process.stderr.write(`${headText(source, rows, lines)}\n`);
  if (options.json) process.stdout.write(text);
  else if (measurement !== undefined) {
    process.stdout.write(
      `\n${tableText(linesOf(roles, saved, measurement), saved, columnsOf(process.stdout))}\n`,
    );
  }
  if (options.out !== undefined) {
    const [first] = names;
    const tables =
      names.length === 1 ? join(options.out, first) : `${count(names.length, "table")} in ${options.out}`;
    process.stderr.write(
      `\nTables       ${printable(tables)}\nStandardizer ${printable(join(options.out, STANDARDIZER))}\n`,
    );
  }
  if (options.moments !== undefined) process.stderr.write(`\nStandardizer ${printable(options.moments)}\n`);
}

/** Each column named by an option, once. */
function named(source: Source, entries: readonly string[] | undefined, option: string): Column[] {
  const found = columnsNamed(
    entries ?? [],
    source.columns.map(({ shown }) => shown),
    option,
  );
  return source.columns.filter(({ shown }) => found.has(shown));
}

function one(source: Source, entry: string | undefined, option: string): Column | undefined {
  if (entry === undefined) return undefined;
  const found = named(source, [entry], option);
  if (found.length === 1) return found[0];
  throw new UsageError(
    `${option}: expected one column, got ${quote(entry)}; name one of ${quoted(found.map(({ shown }) => shown))}`,
  );
}

function rolesOf(source: Source, options: StandardizeOptions): Roles {
  const by = one(source, options.by, "--by");
  const weights = one(source, options.weights, "--weights");
  const asked = named(source, options.columns, "--columns");
  const ignored = new Set(named(source, options.ignore, "--ignore"));
  const twice = asked.find((column) => ignored.has(column) || column === by || column === weights);
  if (twice !== undefined) {
    const other = ignored.has(twice) ? "--ignore" : twice === by ? "--by" : "--weights";
    throw new UsageError(
      `--columns: ${quote(twice.shown)} is named by ${other} too; leave it out of one of them`,
    );
  }
  if (weights !== undefined && !mayBeNumber(source, weights)) {
    throw new UsageError(
      `--weights: expected a column of numbers, got ${quote(weights.shown)} (${weights.type})`,
    );
  }
  if (weights !== undefined && weights === by) {
    throw new UsageError(`--weights: ${quote(weights.shown)} is named by --by too; name another column`);
  }
  const wrong = asked.find((column) => !mayBeNumber(source, column));
  if (wrong !== undefined) {
    throw new UsageError(
      `--columns: ${quote(wrong.shown)} is no column of numbers (${wrong.type}); leave it out, or make numbers of it in the file`,
    );
  }
  const columns =
    options.columns === undefined
      ? source.columns.filter(
          (column) =>
            isNumeric(column.type) &&
            !column.inPath &&
            !ignored.has(column) &&
            column !== by &&
            column !== weights,
        )
      : asked;
  if (columns.length === 0) {
    const all = source.columns.slice(0, 8).map(({ shown, type }) => `${quote(shown)} (${type})`);
    throw new UsageError(
      `standardize: expected a column of numbers, got ${all.join(", ")}${source.columns.length > 8 ? " and others" : ""}; ${source.format === "Parquet" ? "check --ignore, or make numbers of them in the file" : "read text as numbers with --columns, and its marks for missing values with --missing"}`,
    );
  }
  return { columns, by, weights, types: typesOf(source, columns, by, weights) };
}

/** Text of CSV and JSON, or numbers and text mixed, may be read as numbers, where that is asked for; booleans are 0 and 1. */
const mayBeNumber = ({ format }: Source, { type, inPath }: Column): boolean =>
  !inPath &&
  (isNumeric(type) || type === "BOOLEAN" || (format !== "Parquet" && /^(?:VARCHAR|JSON)$/.test(type)));

function rolesWith(source: Source, saved: Saved): Roles {
  const byName = new Map(source.columns.map((column) => [fold(column.name), column]));
  const find = (name: string) => byName.get(fold(name));
  const absent = [...saved.columns, ...(saved.by === undefined ? [] : [saved.by])].filter(
    (name) => !find(name),
  );
  if (absent.length > 0) {
    throw new UsageError(
      `--with: the standardizer has ${quoted(absent)}, and the table has not; its columns are ${quoted(source.columns.map(({ shown }) => shown))}`,
    );
  }
  const columns = saved.columns.flatMap((name) => find(name) ?? []);
  const wrong = columns.find((column) => !mayBeNumber(source, column));
  const twice = columns.find((column, j) => columns.indexOf(column) !== j);
  if (twice !== undefined) {
    throw new UsageError(
      `--with: the standardizer has column ${quote(twice.shown)} twice, in which upper and lower case are not told apart; rename one of them`,
    );
  }
  if (wrong !== undefined) {
    throw new UsageError(
      `--with: expected numbers in column ${quote(wrong.shown)}, as the standardizer was made of, got ${wrong.type}; make numbers of it in the file`,
    );
  }
  const by = saved.by === undefined ? undefined : find(saved.by);
  return { columns, by, types: typesOf(source, columns, by, undefined) };
}

/** What CSV and JSON seem to hold in their first rows is a guess: a double is right for all numbers, and a text for all groups. */
function typesOf(
  { format }: Source,
  columns: readonly Column[],
  by: Column | undefined,
  weights: Column | undefined,
): Types {
  const types = new Map<string, string>();
  if (format === "Parquet") return types;
  for (const { name, type } of [...columns, ...(weights ? [weights] : [])]) {
    if (type !== "BOOLEAN") types.set(name, "DOUBLE");
  }
  if (by !== undefined && !by.inPath && by.type !== "BOOLEAN") types.set(by.name, "VARCHAR");
  return types;
}

async function checkGroups(
  engine: Engine,
  meter: Meter,
  source: Source,
  { by, columns, types }: Roles,
): Promise<void> {
  if (by === undefined) return;
  meter.say("counting the groups");
  const most = Math.min(MOST_GROUPS, Math.floor(MOST_MOMENTS / columns.length));
  if ((await groupsIn(engine, source, by, types, most)) <= most) return;
  throw new UsageError(
    `--by: expected at most ${count(most, "group")} of ${count(columns.length, "column")}, and ${quote(by.shown)} has more different values; name a column with fewer, or fewer columns with --columns`,
  );
}

function savedOf(groups: readonly Measured[], { by, columns }: Roles): Saved {
  if (groups.every(({ moments }) => moments.every((one) => one.count === 0))) {
    throw new UsageError(
      `standardize: every value of ${quoted(columns.map(({ shown }) => shown))} is missing; name files with values, or other columns`,
    );
  }
  return {
    by: by?.name,
    columns: columns.map(({ name }) => name),
    standardizers: groups.map(({ group, rows, moments }) => ({
      group,
      rows,
      standardizer: Standardizer.fromMoments(moments),
    })),
  };
}

/** Text that is mostly numbers may be meant as numbers. */
async function hintsOf(engine: Engine, source: Source, { columns, by, weights }: Roles): Promise<string[]> {
  if (source.format === "Parquet") return [];
  const used = new Set<Column | undefined>([...columns, by, weights]);
  const texts = source.columns.filter(
    (column) => column.type === "VARCHAR" && !used.has(column) && !column.inPath,
  );
  if (texts.length === 0) return [];
  // of 1.234,5 DuckDB makes no number either way
  const commas = source.format === "CSV" && source.notation.decimal !== ",";
  const of = texts.flatMap(({ name }, j) => {
    const value = columnIn(name);
    return [
      `count(${value}) AS n${j}`,
      `count(TRY_CAST(${value} AS DOUBLE)) AS d${j}`,
      `any_value(${value}) FILTER (TRY_CAST(${value} AS DOUBLE) IS NULL) AS o${j}`,
      `count_if(regexp_full_match(${value}, '[+-]?[0-9]*,[0-9]+')) AS c${j}`,
    ];
  });
  const [row] = await engine.rows(
    `SELECT ${of.join(", ")} FROM (SELECT * FROM ${fromOf(source)} LIMIT ${SAMPLE}) AS source_rows`,
  );
  return texts.flatMap(({ shown }, j) => {
    const [values, numbers] = [Number(row[`n${j}`]), Number(row[`d${j}`])];
    if (values === 0)
      return [`${quote(shown)} is empty in the first rows; --columns ${argument(shown)} reads it as numbers`];
    if (commas && numbers < values && Number(row[`c${j}`]) >= (values - numbers) / 2) {
      return [
        `${quote(shown)} is text; --decimal , reads numbers such as ${quote(String(row[`o${j}`]), 20)}`,
      ];
    }
    const mark = String(row[`o${j}`]);
    return numbers >= values / 2 && numbers < values
      ? [
          `${quote(shown)} is text, since ${quote(mark, 20)} is no number: --missing ${argument(mark)} takes it as missing`,
        ]
      : [];
  });
}

/** A line of each column with what is to be known of it. */
function linesOf({ columns, types }: Roles, { standardizers }: Saved, { rounded }: Measurement): Line[] {
  return columns.map((column, j) => {
    const among = (test: (standardizer: Standardizer) => boolean) =>
      standardizers.filter(({ standardizer }) => test(standardizer)).length;
    const absent = among(({ count }) => !(count[j] > 0));
    const constant = among(({ count, variance }) => count[j] > 0 && variance[j] === 0);
    const inGroups = (what: string, n: number) =>
      n === 0 ? [] : [standardizers.length === 1 ? what : `${what} in ${count(n, "group")}`];
    return {
      column,
      type: types.has(column.name) ? "number" : column.type.toLowerCase(),
      notes: [
        ...inGroups("no values", absent),
        ...inGroups("constant", constant),
        ...(rounded.includes(column.shown) ? ["rounded to float64"] : []),
      ],
    };
  });
}

const told = (error: unknown): FailureError => engineFailure(error, "the table");

/** A value that is none of what was expected, where DuckDB tells its place. */
function unread(error: unknown, { columns, weights }: Roles): unknown {
  if (!isOfEngine(error)) return error;
  const said = reason(error);
  const [, column, value] =
    /converting column "(.*?)"\. Could not convert string "(.*?)" to '/s.exec(said) ?? [];
  const [, line] = /CSV Error on Line: (\d+)/.exec(said) ?? [];
  const [, file] = /\n\s*file = (.*)/.exec(said) ?? [];
  const [, expected, got] = /Expected Number of Columns: (\d+) Found: (\d+)/.exec(said) ?? [];
  if (expected !== undefined && file !== undefined) {
    return new UsageError(
      `standardize: ${quote(file, 200)}, line ${line}: expected ${count(Number(expected), "column")}, got ${got}; mend the line`,
    );
  }
  if (column !== undefined && value !== undefined) {
    const where = file === undefined ? "" : `${quote(file, 200)}, line ${line}: `;
    if (column === weights?.name) {
      return new UsageError(
        `--weights: ${where}expected a number in column ${quote(weights.shown)}, got ${quote(value)}; name a column of numbers`,
      );
    }
    const shown = columns.find(({ name }) => name === column)?.shown;
    const remedy =
      shown === undefined
        ? "make them alike"
        : `--ignore ${argument(shown)} leaves the column as it is, --missing ${argument(value)} takes this as a missing value`;
    return new UsageError(
      `standardize: ${where}expected ${shown === undefined ? "what the rows before have" : "a number"} in column ${quote(shown ?? column)}, got ${quote(value)}; ${remedy}`,
    );
  }
  const [, json, at, what = ""] =
    /JSON transform error in file "(.*?)", in (?:line|record\/value) (\d+): ?(.*)/.exec(said) ?? [];
  if (json !== undefined) {
    return new UsageError(
      `standardize: ${quote(json, 200)}, record ${at}: expected values of the same type as in the first records${what === "" ? "" : ` (${quote(what, 100)})`}; make them alike, or leave the column as it is with --ignore`,
    );
  }
  return error;
}
