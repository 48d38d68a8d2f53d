/**
 * Moments and standardization as SQL, for databases that hold the table: what is read from it are a few numbers a column.
 *
 * A column is cast to a double, and its finite values are taken as distances from a level, which removes most of what a large mean costs
 * in any algorithm. Where an engine's VAR_POP is stable (DuckDB: Welford 1962; PostgreSQL from 12 on: Youngs & Cramer 1971; Spark: Meng
 * 2015; each merges partial moments), the level is the median of some rows, and the table is scanned once; else it is the mean, by a scan of its
 * own, about which E[x²] − E[x]² is as good. Equal values have a variance of exactly 0, and their mean is that value.
 */
import { checkOptions, nearest } from "../options.js";
import { checkColumns } from "./restore.js";
import { shown } from "./table.js";

/** A database whose SQL is spoken. */
export type SQLEngine = "duckdb" | "postgres" | "bigquery" | "spark";

/** Where the table is. */
export interface TableOptions {
  /**
   * A table's name, a list of names as ["schema", "table"], each of which is quoted; or `{ sql }`, text that may stand after FROM and is
   * taken as it is: a function of files, a query in parentheses. Default "data".
   */
  table?: string | readonly string[] | { readonly sql: string };
}

/** Options of `Standardizer.sql`. */
export interface MomentsSQLOptions extends TableOptions {
  /** Names of the columns whose moments are taken, each once. */
  columns: readonly string[];
  /** A column: moments of each group of equal values in it. Default: of all rows. */
  by?: string;
}

/** Options of `standardizer.sql`. */
export interface StandardizerSQLOptions extends TableOptions {
  /** Names of the features in that table, [features]. Default: the standardizer's own `columns`. */
  columns?: readonly string[];
  /** Further columns that the transforming query passes on as they are. Default: none. */
  keep?: readonly string[];
}

/** Queries and expressions that `standardizer.sql` gives. */
export interface StandardizerSQL {
  /** One row for each column, in their order, of name, count, mean, m2, missing, infinite: what `Standardizer.fromMoments` takes. */
  moments: string;
  /** The table, standardized: a SELECT of columns of the same names, as doubles, after those that are kept. */
  transform: string;
  /** The standardized columns alone, for queries of your own, [features]. */
  expressions: readonly string[];
}

/** How many rows, the first to be had, give the level. */
const SAMPLE = 1000;

/** A query, in lines for the eye. A name may hold the end of a line, so that text is never cut or indented by its own. */
type Lines = readonly string[];

/** What an engine does otherwise. */
interface Dialect {
  readonly double: string;
  /** What opens and closes an identifier. */
  readonly quote: '"' | "`";
  /** Inside quotes, backslashes escape; otherwise quotes are doubled. Of identifiers, and of strings. */
  readonly escapes: { readonly identifiers: boolean; readonly strings: boolean };
  readonly mean: string;
  /** The level of a column among some of its values, which outliers don't move; none where it must be the mean of all. */
  readonly level?: (x: string) => string;
  /** The sums, one row wide, as one row for each column. */
  unpivot(rows: readonly (readonly string[])[], names: readonly string[]): Lines;
}

const values: Dialect["unpivot"] = (rows, names) => [
  "CROSS JOIN LATERAL (VALUES",
  ...commas(rows.map((row) => `  (${row.join(", ")})`)),
  `) AS m(${names.join(", ")})`,
];

const dialects: Readonly<Record<SQLEngine, Dialect>> = {
  duckdb: {
    double: "DOUBLE",
    quote: '"',
    escapes: { identifiers: false, strings: false },
    // with Kahan's summation
    mean: "FAVG",
    level: (x) => `QUANTILE_DISC(${x}, 0.5)`,
    unpivot: values,
  },
  postgres: {
    double: "double precision",
    quote: '"',
    escapes: { identifiers: false, strings: false },
    mean: "AVG",
    level: (x) => `PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY ${x})`,
    unpivot: values,
  },
  bigquery: {
    double: "FLOAT64",
    quote: "`",
    escapes: { identifiers: true, strings: true },
    // its VAR_POP is, by its documentation, "potentially unstable"
    mean: "AVG",
    unpivot: (rows, names) => [
      "CROSS JOIN UNNEST([",
      ...commas(rows.map((row) => `  STRUCT(${row.map((of, i) => `${of} AS ${names[i]}`).join(", ")})`)),
      "]) AS m",
    ],
  },
  spark: {
    double: "DOUBLE",
    quote: "`",
    escapes: { identifiers: false, strings: true },
    mean: "AVG",
    level: (x) => `PERCENTILE(${x}, 0.5)`,
    unpivot: (rows, names) => [
      `LATERAL VIEW STACK(${rows.length},`,
      ...commas(rows.map((row) => `  ${row.join(", ")}`)),
      `) m AS ${names.join(", ")}`,
    ],
  },
};

/** The query of `Standardizer.sql`. */
export function momentsSQL(caller: string, engine: SQLEngine, options: MomentsSQLOptions): string {
  const write = writer(caller, engine);
  checkOptions(caller, options, ["table", "columns", "by"], {
    group: '"by"',
    groupBy: '"by"',
    from: '"table"',
  });
  const { table, by } = options;
  const columns = checkColumns(caller, options.columns);
  const { double, mean, level, unpivot } = dialects[engine];
  const levelOf = level ?? ((x: string) => `${mean}(${x})`);
  const infinity = `CAST('Infinity' AS ${double})`;
  const each = (line: (j: number) => string) => columns.map((_, j) => line(j));
  const part = by === undefined ? [] : ["part"];
  const group = by === undefined ? [] : ["GROUP BY part"];
  const cast = select(
    [
      ...(by === undefined ? [] : [`${write.name(by)} AS part`]),
      ...each((j) => `CAST(${write.name(columns[j])} AS ${double}) AS v${j}`),
    ],
    write.table(table),
  );
  // NaN is above infinity in three engines, and compares as false in the other
  const finite = (rows: Lines, name: string) =>
    nested(
      select(
        [
          ...part,
          ...each((j) => `CASE WHEN ABS(v${j}) < ${infinity} THEN v${j} END AS x${j}`),
          ...each((j) => `CASE WHEN ABS(v${j}) = ${infinity} THEN 1 END AS i${j}`),
        ],
        nested(rows, "cast_rows"),
      ),
      name,
    );
  const joined = by !== undefined && !level;
  const about = [
    ...select(
      [
        ...(joined ? ["part AS about_part"] : []),
        ...each((j) => `COALESCE(${levelOf(`x${j}`)}, ${literal(0)}) AS about${j}`),
      ],
      finite(level ? [...cast, `LIMIT ${SAMPLE}`] : cast, "sample_rows"),
    ),
    ...(joined ? group : []),
  ];
  const sums = [
    ...select(
      [
        ...part,
        "COUNT(*) AS n",
        ...each((j) => `COUNT(x${j}) AS n${j}`),
        ...each((j) => `COUNT(i${j}) AS i${j}`),
        ...each((j) => `MIN(x${j}) AS least${j}`),
        ...each((j) => `MAX(x${j}) AS most${j}`),
        ...each((j) => `MIN(about${j}) + ${mean}(x${j} - about${j}) AS mean${j}`),
        ...each((j) => `VAR_POP(x${j} - about${j}) * COUNT(x${j}) AS squares${j}`),
      ],
      finite(cast, "finite_rows"),
    ),
    joined ? "JOIN" : "CROSS JOIN",
    ...nested(about, "level"),
    ...(joined ? ["ON part IS NOT DISTINCT FROM about_part"] : []),
    ...group,
  ];
  const constant = (j: number, value: string, otherwise: string) =>
    `CASE WHEN least${j} = most${j} THEN ${value} ELSE ${otherwise} END`;
  const rows = columns.map((name, j) => [
    String(j),
    write.text(name),
    `n${j}`,
    constant(j, `least${j}`, `mean${j}`),
    constant(j, literal(0), `squares${j}`),
    `n - n${j} - i${j}`,
    `i${j}`,
  ]);
  const names = ["position", "name", "count", "mean", "m2", "missing", "infinite"].map(write.name);
  return [
    ...select(
      [
        ...part.map((column) => `${column} AS ${write.name("group")}`),
        ...names.slice(1).map((name) => `m.${name} AS ${name}`),
      ],
      nested(sums, "sums"),
    ),
    ...unpivot(rows, names),
    `ORDER BY ${[...part, `m.${names[0]}`].join(", ")}`,
  ].join("\n");
}

/** The columns of a fitted standardizer, as `standardizer.sql` takes them. mean is NaN where there are no values. */
export function transformSQL(
  caller: string,
  engine: SQLEngine,
  { mean, scale }: { mean: Float64Array; scale: Float64Array },
  { table, columns, keep = [] }: StandardizerSQLOptions & { columns: readonly string[] },
): Pick<StandardizerSQL, "transform" | "expressions"> {
  const write = writer(caller, engine);
  const { double } = dialects[engine];
  const kept = keep.length === 0 ? [] : checkColumns(caller, keep, "keep");
  const twice = kept.find((name) => columns.includes(name));
  if (twice !== undefined) {
    throw new RangeError(
      `${caller}: keep must name other columns than those that are standardized, got ${shown(twice)}`,
    );
  }
  const expressions = columns.map((name, j) => {
    if (Number.isNaN(mean[j])) return `CAST(NULL AS ${double})`;
    const distance = `(CAST(${write.name(name)} AS ${double}) - ${literal(mean[j])})`;
    return scale[j] === 1 ? distance : `${distance} / ${literal(scale[j])}`;
  });
  const transform = select(
    [
      ...kept.map(write.name),
      ...expressions.map((expression, j) => `${expression} AS ${write.name(columns[j])}`),
    ],
    write.table(table),
  );
  return { transform: transform.join("\n"), expressions };
}

/** Writes names and strings as an engine reads them. */
function writer(caller: string, engine: SQLEngine) {
  if (typeof engine !== "string" || !Object.hasOwn(dialects, engine)) {
    const engines = Object.keys(dialects);
    const near = typeof engine === "string" ? nearest(engine, engines) : undefined;
    const remedy = near === undefined ? "" : `; did you mean "${near}"?`;
    throw new RangeError(
      `${caller}: engine must be ${engines.map((name) => `"${name}"`).join(", ")}, got ${shown(engine)}${remedy}`,
    );
  }
  const { quote, escapes } = dialects[engine];
  const quoted = (value: string, mark: string, escaped: boolean) =>
    mark +
    (escaped
      ? value.replace(/[\\'"`\n\r]/g, (of) =>
          of === "\n" ? "\\n" : of === "\r" ? "\\r" : of === "\\" || of === mark ? `\\${of}` : of,
        )
      : value.replaceAll(mark, mark + mark)) +
    mark;
  const checked = (value: unknown): string => {
    if (typeof value !== "string") throw new TypeError(`${caller}: expected a name, got ${shown(value)}`);
    const faults: readonly [boolean, string][] = [
      [value === "", "an empty one"],
      [value.includes("\0"), "one with a character of code 0"],
      [/\p{Surrogate}/u.test(value), "half of a surrogate pair"],
      [
        engine === "spark" && value.includes("${"),
        `${shown(value)}, in which Spark replaces \${…} before it reads names; rename it in the table`,
      ],
    ];
    const fault = faults.find(([found]) => found);
    if (fault) throw new RangeError(`${caller}: expected a name that SQL can hold, got ${fault[1]}`);
    return value;
  };
  const name = (value: string): string => quoted(checked(value), quote, escapes.identifiers);
  return {
    name,
    text(value: string): string {
      const text = quoted(checked(value), "'", escapes.strings);
      // read the same whether standard_conforming_strings is on or off
      return engine === "postgres" && text.includes("\\") ? `E${text.replaceAll("\\", "\\\\")}` : text;
    },
    /** On a line of its own, for its end may be a comment. */
    table(table: TableOptions["table"] = "data"): Lines {
      const alias = "AS source_rows";
      if (typeof table === "string") return [`${name(table)} ${alias}`];
      if (Array.isArray(table) && table.length > 0) return [`${table.map(name).join(".")} ${alias}`];
      const { sql } = (table ?? {}) as { sql?: unknown };
      if (typeof sql === "string") return [sql, alias];
      throw new TypeError(
        `${caller}: table must be a name, a list of names or { sql: "what stands after FROM" }, got ${shown(table)}`,
      );
    },
  };
}

/** A double that every engine reads back to the bit: the shortest digits, with an exponent, without which it were a decimal. */
function literal(value: number): string {
  const text = value.toExponential().replace("e+", "e");
  return value < 0 ? `(${text})` : text;
}

function select(list: readonly string[], [from, ...more]: Lines): Lines {
  return ["SELECT", ...commas(list.map((entry) => `  ${entry}`)), `FROM ${from}`, ...more];
}

function nested(query: Lines, name: string): Lines {
  return ["(", ...query.map((line) => `  ${line}`), `) AS ${name}`];
}

function commas(lines: Lines): Lines {
  return lines.map((line, i) => (i < lines.length - 1 ? `${line},` : line));
}
