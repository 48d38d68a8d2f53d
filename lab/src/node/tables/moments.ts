/**
 * Moments of a table's columns by DuckDB: sums about a centre c, each by Kahan's summation,
 *
 *     count = Σ w     mean = c + Σ w(x − c) / count     m2 = Σ w(x − c)² − (Σ w(x − c))² / count
 *
 * in one scan, c being the median of the first rows. The difference loses no digits where c is near the mean; where it turns out to be
 * further from it than eight standard deviations (rows in order, groups far apart), those columns are scanned once more about the
 * means that were found, of each group its own. DuckDB's var_pop is Welford's recurrence, which for a mean of 10⁹ and a spread of 1
 * has seven digits.
 */
import { count, listed, quote } from "@evenkeel/report/format";
import type { ColumnMoments } from "evenkeel";
import { argument } from "../../data/names.js";
import { UsageError } from "../../errors.js";
import { double, type Engine, fill, identifier, type Row } from "./engine.js";
import { type Column, columnIn, fromOf, isInteger, type Source, type Types } from "./source.js";

/** Rows, the first to be had, whose median is the centre. */
const SAMPLE = 2048;
/** Standard deviations between centre and mean, from which on a column is scanned again. */
const FAR = 8;
/** Above it, an integer may not be a double. */
const LARGEST_EXACT = 2 ** 53;
/** Columns that are scanned at a time: DuckDB's plans and vectors, 2 MB a column, are beyond what it counts as its memory. */
const MOST_COLUMNS = 100;
/** Columns that an error names. */
const MOST_NAMED = 5;

/** Moments of one group, or of all rows. */
export interface Measured {
  /** The text of the group's value. */
  group: string | null;
  rows: number;
  /** In the order of the columns. */
  moments: (ColumnMoments & { name: string; count: number; missing: number })[];
}

export interface Measurement {
  groups: Measured[];
  /** Columns that had to be scanned again. */
  again: string[];
  /** Columns of integers that a double does not hold: they were rounded. */
  rounded: string[];
}

export interface MeasureOptions {
  columns: readonly Column[];
  by?: Column;
  weights?: Column;
  types: Types;
}

interface Centred {
  column: Column;
  /** The centre, as SQL. */
  centre: string;
  at(group: number): number;
}

/**
 * Each column is scanned once, or twice; of wide tables some at a time.
 * @throws UsageError for infinite values, weights that are none, sums beyond float64
 */
export async function measure(engine: Engine, source: Source, options: MeasureOptions): Promise<Measurement> {
  const { columns } = options;
  const parts: Measurement[] = [];
  for (let at = 0; at < columns.length; at += MOST_COLUMNS) {
    parts.push(
      await measureSome(engine, source, { ...options, columns: columns.slice(at, at + MOST_COLUMNS) }),
    );
  }
  const [{ groups }] = parts;
  return {
    groups: groups.map((group, i) => ({
      ...group,
      moments: parts.flatMap((part) => part.groups[i].moments),
    })),
    again: parts.flatMap(({ again }) => again),
    rounded: parts.flatMap(({ rounded }) => rounded),
  };
}

async function measureSome(engine: Engine, source: Source, options: MeasureOptions): Promise<Measurement> {
  const { columns, by, weights, types } = options;
  const from = `${fromOf(source, types)} AS source_rows`;
  const value = ({ name }: Column) => `CAST(${columnIn(name)} AS DOUBLE)`;
  const centres = await engine.rows(
    `SELECT ${columns.map((_, j) => `quantile_disc(v${j}, 0.5) FILTER (isfinite(v${j})) AS c${j}`).join(", ")} FROM (SELECT ${columns.map((column, j) => `${value(column)} AS v${j}`).join(", ")} FROM ${from} LIMIT ${SAMPLE})`,
  );
  const scan = async (centred: readonly Centred[], join = ""): Promise<Row[]> => {
    const inner = [
      by === undefined ? "CAST(NULL AS VARCHAR) AS part" : `CAST(${columnIn(by.name)} AS VARCHAR) AS part`,
      ...(weights === undefined ? [] : [`${value(weights)} AS w`]),
      ...centred.map(({ column }, j) => `${value(column)} AS v${j}`),
    ];
    const between = [
      "*",
      ...centred.map((_, j) => `CASE WHEN isfinite(v${j}) THEN v${j} END AS x${j}`),
      ...centred.map(({ centre }, j) => `CASE WHEN isfinite(v${j}) THEN v${j} - ${centre} END AS d${j}`),
    ];
    const outer = [
      ...(by === undefined ? [] : ["part"]),
      "count(*) AS n",
      ...(weights === undefined
        ? []
        : ["count_if(w IS NULL OR NOT (w = 0 OR w BETWEEN 1e-100 AND 1e100)) AS bad", "fsum(w) AS total"]),
      ...centred.flatMap((_, j) => sumsOf(j, weights !== undefined)),
    ];
    return engine.rows(
      `SELECT ${outer.join(", ")} FROM (SELECT ${between.join(", ")} FROM (SELECT ${inner.join(", ")} FROM ${from}) AS rows_read ${join}) ${by === undefined ? "" : "GROUP BY part ORDER BY part NULLS LAST"}`,
    );
  };
  const about = columns.map((column, j): Centred => {
    const c = Number(centres[0]?.[`c${j}`] ?? 0);
    return { column, centre: double(c), at: () => c };
  });
  const first = await scan(about);
  checkWeights(first, weights);
  checkInfinite(columns, first);
  const found = first.map((row) => about.map((centred, j) => momentsIn(row, j, centred.at(0), weights)));
  const far = columns.filter((_, j) => found.some((group) => group[j].far));
  if (far.length > 0) {
    const at = far.map((column) => columns.indexOf(column));
    const centred = far.map(
      (column, k): Centred => ({ column, centre: `m${k}`, at: (group) => found[group][at[k]].mean ?? 0 }),
    );
    await fill(
      engine,
      "centres",
      far.map((_, k) => `m${k}`),
      first.map((row, group) => ({ group: groupOf(row), values: centred.map(({ at }) => at(group)) })),
    );
    const second = await scan(centred, "JOIN centres ON part IS NOT DISTINCT FROM of_group");
    for (const [group, row] of second.entries()) {
      for (const [k, one] of centred.entries())
        found[group][at[k]] = momentsIn(row, k, one.at(group), weights);
    }
  }
  checkSums(columns, found);
  return {
    groups: first.map((row, group) => ({
      group: groupOf(row),
      rows: Number(row.n),
      moments: found[group].map(({ far: _, least: __, most: ___, ...moments }, j) => ({
        ...moments,
        name: columns[j].name,
      })),
    })),
    again: far.map(({ shown }) => shown),
    rounded: columns.flatMap(({ type, shown }, j) =>
      isInteger(type) && found.some((group) => Math.max(-group[j].least, group[j].most) > LARGEST_EXACT)
        ? [shown]
        : [],
    ),
  };
}

/** The aggregates of column j. */
function sumsOf(j: number, weighted: boolean): string[] {
  const times = (of: string) => (weighted ? `${of} * w` : of);
  // a value without weight is none
  const counted = weighted ? " FILTER (w > 0)" : "";
  return [
    `count(d${j}) AS n${j}`,
    `count_if(isinf(v${j})) AS i${j}`,
    `min(x${j})${counted} AS l${j}`,
    `max(x${j})${counted} AS h${j}`,
    `fsum(${times(`d${j}`)}) AS s${j}`,
    `fsum(${times(`d${j} * d${j}`)}) AS t${j}`,
    ...(weighted
      ? [
          `fsum(w) FILTER (d${j} IS NOT NULL) AS w${j}`,
          `fsum(w) FILTER (d${j} IS NULL) AS u${j}`,
          `fsum(w * w) FILTER (d${j} IS NOT NULL) AS q${j}`,
        ]
      : []),
  ];
}

const groupOf = ({ part = null }: Row): string | null => (part === null ? null : String(part));

interface Found {
  count: number;
  mean: number | null;
  m2: number | null;
  squares?: number;
  missing: number;
  far: boolean;
  least: number;
  most: number;
}

function momentsIn(row: Row, j: number, centre: number, weights: Column | undefined): Found {
  const at = (name: string) => Number(row[name] ?? 0);
  const values = at(`n${j}`);
  const weighted = weights !== undefined;
  const count = weighted ? at(`w${j}`) : values;
  const missing = weighted ? at(`u${j}`) : at("n") - values;
  const squares = weighted ? { squares: at(`q${j}`) } : {};
  const [least, most] = [at(`l${j}`), at(`h${j}`)];
  if (!(count > 0))
    return { count: 0, mean: null, m2: null, ...squares, missing, far: false, least: 0, most: 0 };
  const both = { count, ...squares, missing, least, most };
  if (least === most) return { ...both, mean: least, m2: 0, far: false };
  const distance = at(`s${j}`) / count;
  const m2 = Math.max(0, at(`t${j}`) - distance * at(`s${j}`));
  return {
    ...both,
    mean: centre + distance,
    m2,
    far: distance * distance > FAR * FAR * (m2 / count),
  };
}

function checkWeights(rows: readonly Row[], weights: Column | undefined): void {
  if (weights === undefined) return;
  const bad = rows.reduce((sum, row) => sum + Number(row.bad), 0);
  if (bad > 0) {
    throw new UsageError(
      `--weights: expected 0 or numbers from 1e-100 to 1e100 in column ${quote(weights.shown)}, got ${count(bad, "row")} with another value, or none; give each row a weight, 0 for one that is not to count`,
    );
  }
  if (!rows.some(({ total }) => Number(total) > 0)) {
    throw new UsageError(
      `--weights: expected some weight above 0 in column ${quote(weights.shown)}, got none; name another column`,
    );
  }
}

function checkInfinite(columns: readonly Column[], rows: readonly Row[]): void {
  const found = columns.flatMap(({ shown }, j) => {
    const n = rows.reduce((sum, row) => sum + Number(row[`i${j}`]), 0);
    return n > 0 ? [{ shown, n }] : [];
  });
  if (found.length === 0) return;
  const named = found
    .slice(0, MOST_NAMED)
    .map(({ shown, n }) => `${n.toLocaleString("en-US")} in ${quote(shown)}`);
  const more = found.length - named.length;
  throw new UsageError(
    `standardize: expected finite numbers, got infinite ones: ${listed(more > 0 ? [...named, `in ${count(more, "more column")}`] : named)}; make them missing (NULL), or leave the columns as they are with --ignore ${found
      .slice(0, MOST_NAMED)
      .map(({ shown }) => argument(shown))
      .join(",")}`,
  );
}

function checkSums(columns: readonly Column[], found: readonly Found[][]): void {
  for (const [j, { shown }] of columns.entries()) {
    if (found.every((group) => Number.isFinite(group[j].mean ?? 0) && Number.isFinite(group[j].m2 ?? 0)))
      continue;
    throw new UsageError(
      `standardize: the sum of squared deviations of column ${quote(shown)} exceeds float64; divide the column by a constant first, or leave it as it is with --ignore ${argument(shown)}`,
    );
  }
}

/** How many different values a column has, at most one more than `most`; NULL is one. */
export async function groupsIn(
  engine: Engine,
  source: Source,
  by: Column,
  types: Types,
  most: number,
): Promise<number> {
  const [{ n }] = await engine.rows(
    `SELECT count(*) AS n FROM (SELECT DISTINCT CAST(${columnIn(by.name)} AS VARCHAR) AS ${identifier("value")} FROM ${fromOf(source, types)} AS source_rows LIMIT ${most + 1})`,
  );
  return Number(n);
}
