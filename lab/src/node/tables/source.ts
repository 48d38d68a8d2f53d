/** The files of a table: which there are, how DuckDB reads them, and the columns that all of them have. */
import { closeSync, existsSync, lstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { count, printable, quote } from "@evenkeel/report/format";
import { nameColumns, quoted } from "../../data/names.js";
import { FailureError, UsageError } from "../../errors.js";
import { systemReason } from "../whole-file.js";
import { checkCompressed } from "./compressed.js";
import { type Engine, engineReason, identifier, isOfMemory, type Row, Stopped, text } from "./engine.js";

export type Format = "Parquet" | "CSV" | "JSON";

export interface Column {
  /** As DuckDB calls it. */
  readonly name: string;
  /** As it may be shown and typed. */
  readonly shown: string;
  /** As DuckDB has it; of CSV and JSON a guess from the first rows. */
  readonly type: string;
  /** It stands in the names of folders, `year=2024`, and in no file. */
  readonly inPath: boolean;
}

/** How CSV is written. */
export interface Notation {
  /** Marks that stand for a missing value. */
  readonly missing?: readonly string[];
  /** Of numbers: "." or ",". */
  readonly decimal?: string;
}

export interface Source {
  readonly format: Format;
  /** Absolute paths. */
  readonly files: readonly string[];
  /** What tells that a file has changed, of each. */
  readonly versions: readonly string[];
  readonly bytes: number;
  readonly columns: readonly Column[];
  readonly notation: Notation;
  /** What was decided about the columns' names, a line each. */
  readonly notes: readonly string[];
}

/** What is read as something else than DuckDB would, by the columns' names. */
export type Types = ReadonlyMap<string, string>;

const ENDINGS: readonly (readonly [RegExp, Format])[] = [
  [/\.(?:parquet|parq|pq)$/i, "Parquet"],
  [/\.(?:csv|tsv|tab|psv)(?:\.gz|\.zst)?$/i, "CSV"],
  [/\.(?:json|ndjson|jsonl)(?:\.gz|\.zst)?$/i, "JSON"],
];
/** Files or columns that an error names. */
const MOST_NAMED = 5;
/** Records that DuckDB looks at to tell columns. */
const SNIFFED = 20_480;
/** Of a decimal. */
const MOST_DIGITS = 38;

const NUMBERS = /^(?:U?(?:TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\(.*\))$/;
/** Numbers, whatever their width; dates are none. */
export const isNumeric = (type: string): boolean => NUMBERS.test(type);
export const isInteger = (type: string): boolean =>
  (isNumeric(type) && type.endsWith("INT")) || type.endsWith("INTEGER");

/** Names that are one to DuckDB: upper and lower case are told apart beyond ASCII alone. */
export const fold = (name: string): string => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

/** What follows FROM to read these files, or all. */
export function fromOf(source: Source, types: Types = new Map(), files = source.files): string {
  const { format, columns, notation } = source;
  const list = `[${files.map((file) => text(pattern(file))).join(", ")}]`;
  const inFiles = columns.filter(({ inPath }) => !inPath);
  const struct = (all: readonly (readonly [string, string])[]) =>
    `{${all.map(([name, type]) => `${text(name)}: ${text(type)}`).join(", ")}}`;
  const hive = `hive_partitioning = ${inFiles.length < columns.length}`;
  if (format === "Parquet") return `read_parquet(${list}, union_by_name = true, ${hive})`;
  if (format === "JSON") {
    const all = inFiles.map(({ name, type }) => [name, types.get(name) ?? type] as const);
    return `read_json(${list}, columns = ${struct(all)}, ${hive})`;
  }
  const own = inFiles.flatMap(({ name }) => {
    const type = types.get(name);
    return type === undefined ? [] : [[name, type] as const];
  });
  const typed = own.length > 0 ? `, types = ${struct(own)}` : "";
  return `read_csv(${list}, union_by_name = true, ${written(notation)}, ${hive}${typed})`;
}

const written = ({ missing = [], decimal = "." }: Notation): string =>
  `nullstr = [${["", ...missing].map(text).join(", ")}], decimal_separator = ${text(decimal)}`;

/** A path that stands for itself where patterns are read. */
const pattern = (path: string): string => path.replace(/[*?[]/g, "[$&]");

/**
 * The table that these files and patterns name.
 * @throws UsageError where there is none, or they hold different tables
 */
export async function openSource(
  engine: Engine,
  named: readonly string[],
  notation: Notation,
): Promise<Source> {
  const files = await filesOf(engine, named);
  const abouts = files.map(aboutOf);
  const bytes = abouts.reduce((sum, { size }) => sum + size, 0);
  const formats = files.map((file, i) => formatOf(file, abouts[i].size));
  const other = formats.findIndex((format) => format !== formats[0]);
  if (other > 0) {
    throw new UsageError(
      `standardize: expected files of one format, got ${formats[0]} (${show(files[0])}) and ${formats[other]} (${show(files[other])}); standardize them apart, the second with --with the first's standardizer.json`,
    );
  }
  const [format] = formats;
  await checkCompressed(files, engine.signal);
  const versions = abouts.map(versionOf);
  const base: Source = { format, files, versions, bytes, columns: [], notation, notes: [] };
  const { columns, renamed } = await columnsOf(engine, base);
  const found: Source = { ...base, columns: columns.map((column) => ({ ...column, shown: column.name })) };
  if ((await engine.rows(`SELECT 1 FROM ${fromOf(found)} AS source_rows LIMIT 1`)).length === 0) {
    throw new UsageError("standardize: the table has no rows; name files with some");
  }
  const { names, decisions } = nameColumns(columns.map(({ name }) => name));
  return {
    ...base,
    columns: columns.map((column, j) => ({ ...column, shown: names[j] })),
    notes: [
      ...(format === "CSV" ? await passedOver(engine, base, columns) : []),
      ...renamed,
      ...decisions.map(({ columns: of, what, why }) => `${quoted(of)}: ${what}${why ? ` (${why})` : ""}`),
    ],
  };
}

const show = (path: string): string => quote(path, 200);

async function filesOf(engine: Engine, named: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const name of named) {
    if (name.trim() === "") throw new UsageError('standardize: expected the name of a file, got ""');
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(name)) {
      throw new UsageError(
        `standardize: expected a file of this machine, got ${show(name)}; download it first, or mount where it is`,
      );
    }
    // what is there is meant, whatever its name would match
    if (lstatSync(name, { throwIfNoEntry: false }) !== undefined) {
      found.add(resolve(name));
      continue;
    }
    const matched = await engine.rows(`SELECT file FROM glob(${text(globOf(name))}) ORDER BY file`);
    for (const { file } of matched) found.add(String(file));
    if (matched.length > 0) continue;
    throw new UsageError(
      /[*?[]/.test(name)
        ? `standardize: no file matches ${show(name)}; * stands for any name, ** for any folders`
        : `standardize: there is no file ${show(name)}; name one, or a pattern such as 'data/*.parquet'`,
    );
  }
  return [...found];
}

/** The folders that a pattern begins with are meant as well where they are there. */
function globOf(name: string): string {
  const whole = resolve(name);
  let there = dirname(whole);
  while (!existsSync(there)) there = dirname(there);
  return pattern(there) + whole.slice(there.length);
}

const versionOf = ({ dev, ino, size, mtimeMs }: Stats): string => [dev, ino, size, mtimeMs].join();

/**
 * What was summed and what was written are to be the same rows.
 * @throws FailureError where a file is another than it was
 */
export function checkUnchanged({ files, versions }: Source): void {
  const changed = files.find((file, i) => {
    const about = statSync(file, { throwIfNoEntry: false });
    return about === undefined || versionOf(about) !== versions[i];
  });
  if (changed === undefined) return;
  throw new FailureError(
    `standardize: ${show(changed)} changed while it was read; wait until it is whole, or use a copy`,
  );
}

function aboutOf(file: string): Stats {
  let about: Stats;
  try {
    about = statSync(file);
    if (about.isFile()) closeSync(openSync(file, "r"));
  } catch (error) {
    throw new UsageError(
      `standardize: cannot read ${show(file)} (${systemReason(error)}); allow it, or use a copy`,
    );
  }
  if (about.isDirectory()) {
    throw new UsageError(
      `standardize: ${show(file)} is a folder; name the files in it by a pattern, such as '${printable(pattern(file))}/**/*.parquet'`,
    );
  }
  // it is read twice
  if (!about.isFile())
    throw new UsageError(`standardize: ${show(file)} is no file; write its content to one first`);
  if (about.size === 0) throw new UsageError(`standardize: the file ${show(file)} is empty; leave it out`);
  return about;
}

/** By its name, or else by its first bytes. */
function formatOf(file: string, size: number): Format {
  const named = ENDINGS.find(([ending]) => ending.test(file))?.[1];
  const head = Buffer.alloc(Math.min(size, 4096));
  const opened = openSync(file, "r");
  try {
    readSync(opened, head);
  } finally {
    closeSync(opened);
  }
  const start = head.toString("latin1");
  if (named !== "Parquet" && /^(?:\xff\xfe|\xfe\xff)/.test(start)) {
    throw new UsageError(`standardize: ${show(file)} is in UTF-16; save it as UTF-8`);
  }
  if (named !== undefined) return named;
  if (start.startsWith("PAR1")) return "Parquet";
  if (/^(?:\xef\xbb\xbf)?\s*[[{]/.test(start)) return "JSON";
  const other =
    head.some((byte) => byte < 9 || (byte > 13 && byte < 32)) || /^\s*(?:%|@relation)/i.test(start);
  if (!other && /[,;\t|]/.test(start)) return "CSV";
  throw new UsageError(
    `standardize: ${show(file)} is no table that is known by its name or content; expected Parquet (.parquet), CSV (.csv, .tsv) or JSON (.json, .ndjson), CSV and JSON also as .gz`,
  );
}

interface Described {
  name: string;
  type: string;
}

/** The columns of a file, or of all together. */
async function described(engine: Engine, from: string, file: string): Promise<Described[]> {
  try {
    const rows = await engine.rows(`DESCRIBE SELECT * FROM ${from}`);
    return rows.map(({ column_name, column_type }) => ({
      name: String(column_name),
      type: String(column_type),
    }));
  } catch (error) {
    if (error instanceof Stopped || isOfMemory(error)) throw error;
    throw new UsageError(
      `standardize: cannot read ${show(file)} as a table: ${unreadable(error)}; write it anew, or leave it out`,
    );
  }
}

/** CSV that is none gets a page of advice. */
const unreadable = (error: unknown): string => {
  const said = engineReason(error);
  if (/not utf-8/i.test(said)) return "it is not in UTF-8";
  return /sniffing/.test(said) ? "its delimiter and quotes cannot be told" : quote(said, 200);
};

async function columnsOf(
  engine: Engine,
  source: Source,
): Promise<{ columns: Omit<Column, "shown">[]; renamed: string[] }> {
  const { format, files } = source;
  const reader = (file: string, hive: boolean) => {
    const list = `[${text(pattern(file))}]`;
    const hived = `hive_partitioning = ${hive}`;
    if (format === "Parquet") return `read_parquet(${list}, ${hived})`;
    if (format === "JSON") return `read_json(${list}, ${hived})`;
    return `read_csv(${list}, ${written(source.notation)}, ${hived})`;
  };
  const [first, ...others] = files;
  const columns = new Map<string, string>();
  const folded = new Map<string, string>();
  for (const { name, type } of await described(engine, reader(first, false), first)) {
    columns.set(name, type);
    folded.set(fold(name), name);
  }
  for (const file of others) {
    const own = await described(engine, reader(file, false), file);
    const there = new Set(own.map(({ name }) => folded.get(fold(name)) ?? name));
    const absent = [...columns.keys()].filter((name) => !there.has(name));
    const more = own.filter(({ name }) => !folded.has(fold(name))).map(({ name }) => name);
    // a record of JSON leaves out what it has not
    if (format !== "JSON" && (absent.length > 0 || more.length > 0)) {
      const differences = [
        ...(absent.length > 0 ? [`lacks ${namedFew(absent)}`] : []),
        ...(more.length > 0 ? [`has ${namedFew(more)} besides`] : []),
      ];
      throw new UsageError(
        `standardize: expected the same columns in all files, but ${show(file)} ${differences.join(" and ")} (the first is ${show(first)}); make them alike, or standardize them apart`,
      );
    }
    for (const { name, type } of own) {
      const known = folded.get(fold(name));
      const before = known === undefined ? undefined : columns.get(known);
      if (known === undefined || before === undefined) {
        columns.set(name, type);
        folded.set(fold(name), name);
      } else if (before !== type) {
        if (format === "Parquet" && isNumeric(before) !== isNumeric(type)) {
          throw new UsageError(
            `standardize: column ${quote(name)} is ${before} in ${show(first)} and ${type} in ${show(file)}; make them alike, or standardize the files apart`,
          );
        }
        columns.set(known, joined(before, type));
      }
    }
  }
  if (columns.size === 0) throw new UsageError(`standardize: ${show(first)} has no columns`);
  const ended = [...columns.keys()].find((name) => name.includes("\0"));
  if (ended !== undefined) {
    throw new UsageError(
      `standardize: column ${quote(ended)} has a character of code 0 in its name, which SQL cannot hold; rename it`,
    );
  }
  if (format === "Parquet") await checkDecimals(engine, files);
  if (format === "JSON") await checkKeys(engine, files);
  const inFiles = [...columns].map(([name, type]) => ({ name, type, inPath: false }));
  const inPaths = await pathColumns(engine, reader, files, folded);
  const whole: Source = {
    ...source,
    columns: [...inFiles, ...inPaths].map((column) => ({ ...column, shown: column.name })),
  };
  // the types that Parquet files have together
  const types =
    format === "Parquet" && others.length > 0
      ? new Map((await described(engine, fromOf(whole), first)).map(({ name, type }) => [name, type]))
      : columns;
  return {
    columns: [
      ...inFiles.map((column) => ({ ...column, type: types.get(column.name) ?? column.type })),
      ...inPaths,
    ],
    renamed: await renamedIn(engine, source, [...columns.keys()]),
  };
}

/** Of CSV and JSON, both guesses: numbers win, and what is none is told of where it is read. */
function joined(a: string, b: string): string {
  if (isNumeric(a) && isNumeric(b)) return "DOUBLE";
  if (isNumeric(a) && b === "VARCHAR") return a;
  if (isNumeric(b) && a === "VARCHAR") return b;
  return "VARCHAR";
}

const namedFew = (names: readonly string[]): string =>
  quoted(names.slice(0, MOST_NAMED)) +
  (names.length > MOST_NAMED ? ` and ${count(names.length - MOST_NAMED, "more", "more")}` : "");

/** `year=2024/month=1/part.parquet`: those that every path has. */
async function pathColumns(
  engine: Engine,
  reader: (file: string, hive: boolean) => string,
  files: readonly string[],
  inFiles: ReadonlyMap<string, string>,
): Promise<{ name: string; type: string; inPath: true }[]> {
  const keysOf = (file: string) =>
    file
      .split(/[\\/]/)
      .slice(0, -1)
      .flatMap((folder) => /^([^=]+)=/.exec(folder)?.[1] ?? []);
  const keys = keysOf(files[0]).join("/");
  if (keys === "" || files.some((file) => keysOf(file).join("/") !== keys)) return [];
  const all = await described(engine, reader(files[0], true), files[0]);
  return all
    .filter(({ name }) => !inFiles.has(fold(name)))
    .map(({ name, type }) => ({ name, type, inPath: true as const }));
}

/** Names that a file has twice, upper and lower case being the same; DuckDB gives the second another. */
async function renamedIn(
  engine: Engine,
  { format, files, notation }: Source,
  names: readonly string[],
): Promise<string[]> {
  const lower = new Set(names.map(fold));
  const doubtful = names.filter((name) => lower.has(fold(/^(.*)_\d+$/s.exec(name)?.[1] ?? "")));
  if (doubtful.length === 0 || format === "JSON") return [];
  const [file] = files;
  const own = new Set(
    format === "Parquet" ? await namesInParquet(engine, file) : await namesInText(engine, file, notation),
  );
  const renamed = doubtful.filter((name) => !own.has(name));
  return renamed.length === 0
    ? []
    : [
        `${quoted(renamed)}: renamed (a column before has the same name, in which upper and lower case are not told apart)`,
      ];
}

/** How DuckDB takes a CSV file: the delimiter, the quotes, where it begins. */
async function sniffed(engine: Engine, file: string, notation: Notation): Promise<Row> {
  const [found] = await engine.rows(`FROM sniff_csv(${text(pattern(file))}, ${written(notation)})`);
  return found;
}

/** What DuckDB decides silently: lines that it passes over, since they have another number of columns, and names of columns without. */
async function passedOver(
  engine: Engine,
  { files, notation }: Source,
  [first]: readonly { name: string }[],
): Promise<string[]> {
  const notes: string[] = [];
  let more = 0;
  let named: unknown = true;
  for (const file of files) {
    const { SkipRows, HasHeader } = await sniffed(engine, file, notation);
    named &&= HasHeader;
    const lines = Number(SkipRows);
    if (lines > 0 && notes.length === MOST_NAMED) more++;
    else if (lines > 0) {
      notes.push(
        `${quote(basename(file))}: passed over ${count(lines, "line")} at the beginning, empty or of other columns than what follows`,
      );
    }
  }
  if (more > 0) notes.push(`and so in ${count(more, "more file")}`);
  return named ? notes : [...notes, `no names of columns: they are called ${quote(first.name)} and so on`];
}

/** Decimals of more digits than DuckDB's own are doubles to it, and wrong ones. */
async function checkDecimals(engine: Engine, files: readonly string[]): Promise<void> {
  const list = files.map((file) => text(pattern(file))).join(", ");
  const [found] = await engine.rows(
    `SELECT file_name, name, precision FROM parquet_schema([${list}]) WHERE precision > ${MOST_DIGITS} LIMIT 1`,
  );
  if (found === undefined) return;
  throw new UsageError(
    `standardize: expected decimals of at most ${MOST_DIGITS} digits, got column ${quote(String(found.name))} of ${found.precision} in ${show(String(found.file_name))}, which DuckDB reads wrongly; write it as decimal(${MOST_DIGITS}, …) or as doubles`,
  );
}

/** Of keys that are one name to DuckDB it reads the first, and of an empty one nothing. */
async function checkKeys(engine: Engine, files: readonly string[]): Promise<void> {
  const seen = new Map<string, string>();
  for (const file of files) {
    const found = await engine.rows(
      `SELECT DISTINCT unnest(json_keys(json)) AS key FROM (FROM read_json_objects(${text(pattern(file))}) LIMIT ${SNIFFED}) ORDER BY key`,
    );
    for (const key of found.map(({ key }) => String(key))) {
      const before = seen.get(fold(key)) ?? key;
      seen.set(fold(key), key);
      if (key !== "" && before === key) continue;
      const problem = key === "" ? "an empty one" : `${quote(before)} and ${quote(key)}`;
      throw new UsageError(
        `standardize: expected names of columns, different in more than upper and lower case, got ${problem} in ${show(file)}; rename it`,
      );
    }
  }
}

const namesInParquet = async (engine: Engine, file: string): Promise<string[]> =>
  (await engine.rows(`SELECT name FROM parquet_schema(${text(pattern(file))})`)).map(({ name }) =>
    String(name),
  );

async function namesInText(engine: Engine, file: string, notation: Notation): Promise<string[]> {
  const { Delimiter, Quote, Escape, SkipRows } = await sniffed(engine, file, notation);
  const mark = (value: unknown) => text(value === "(empty)" ? "" : String(value));
  const [head = {}] = await engine.rows(
    `FROM read_csv(${text(pattern(file))}, header = false, all_varchar = true, delim = ${mark(Delimiter)}, quote = ${mark(Quote)}, escape = ${mark(Escape)}, skip = ${Number(SkipRows)}) LIMIT 1`,
  );
  return Object.values(head).map(String);
}

/** A column in a query about the rows `source_rows`. */
export const columnIn = (name: string): string => `source_rows.${identifier(name)}`;
