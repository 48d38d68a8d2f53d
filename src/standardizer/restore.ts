/** What comes from elsewhere: saved standardizers, and moments that others have summed. */
import { empty, type State } from "./stream.js";
import { shown } from "./table.js";

/** A number as clients of databases give it: "12", 12n and 12 are the same. */
export type Numeric = number | bigint | string;

/**
 * Moments of one column: `Moments` (moments.ts) with what a `Standardizer` keeps besides, or a row that the query of
 * `Standardizer.sql` gives. Where count is 0, mean and m2 are not looked at.
 */
export interface ColumnMoments {
  /** The column's name; in all entries or in none. */
  readonly name?: string;
  /** Number of values, or Σ weight; without missing ones. */
  readonly count: Numeric;
  readonly mean: Numeric | null;
  /** Σ weight · (value − mean)². */
  readonly m2: Numeric | null;
  /** Σ weight². Default: count, every value weighs 1. */
  readonly squares?: Numeric;
  /** Number, or Σ weight, of missing values. Default 0. */
  readonly missing?: Numeric;
  /** Number of infinite values, for which there is no standardization: anything but 0 is an error. Default 0. */
  readonly infinite?: Numeric;
}

/** A `Standardizer` as JSON: plain numbers, which survive JSON exactly. Lists have one entry per feature. */
export interface StandardizerJSON {
  type: "Standardizer";
  version: 1;
  forgetting: number;
  variance: "biased" | "unbiased";
  /** Only where columns have names. */
  columns?: string[];
  count: number[];
  mean: number[];
  m2: number[];
  squares: number[];
  /** Not in what was saved before missing values were counted; 0 then. */
  missing?: number[];
}

const parts = ["count", "mean", "m2", "squares", "missing"] as const;

/**
 * Names of columns: a list of different strings.
 * @throws TypeError for another value, RangeError for none or one twice
 */
export function checkColumns(caller: string, columns: unknown, called = "columns"): readonly string[] {
  if (!Array.isArray(columns)) {
    throw new TypeError(`${caller}: ${called} must be a list of names, got ${shown(columns)}`);
  }
  const seen = new Set<string>();
  // by for...of, which visits the holes of a sparse list
  for (const [j, name] of columns.entries()) {
    if (typeof name !== "string") {
      throw new TypeError(`${caller}: ${called} must be names, got ${shown(name)} as ${called}[${j}]`);
    }
    if (seen.has(name)) {
      throw new RangeError(`${caller}: ${called} must name each column once, got ${shown(name)} twice`);
    }
    seen.add(name);
  }
  if (seen.size === 0) throw new RangeError(`${caller}: ${called} must name at least 1 column, got none`);
  return Object.freeze([...seen]);
}

/**
 * The state that these moments make, and the names that they carry. Entries with names are put into the order of `columns`, where it
 * is given: rows of a query come in any.
 */
export function stateOfMoments(
  moments: readonly ColumnMoments[],
  columns: readonly string[] | undefined,
): { state: State; columns?: readonly string[] } {
  const caller = "Standardizer.fromMoments";
  if (!Array.isArray(moments)) {
    throw new TypeError(`${caller}: expected a list of { count, mean, m2 }, got ${shown(moments)}`);
  }
  if (moments.length === 0)
    throw new RangeError(`${caller}: expected moments of at least 1 column, got none`);
  const bad = moments.findIndex((one) => typeof one !== "object" || one === null);
  if (bad >= 0) {
    throw new TypeError(
      `${caller}: expected { count, mean, m2 } as moments[${bad}], got ${shown(moments[bad])}`,
    );
  }
  const names = namesOf(caller, moments);
  const features = columns?.length ?? moments.length;
  if (moments.length !== features) {
    throw new RangeError(
      `${caller}: expected moments of ${features} columns, as many as have names, got ${moments.length}`,
    );
  }
  const state = empty(features);
  for (const [i, one] of moments.entries()) {
    const j = names && columns ? columns.indexOf(names[i]) : i;
    if (j < 0) {
      throw new RangeError(
        `${caller}: moments[${i}] is of ${shown(names?.[i])}, which is none of columns (${columns?.map(shown).join(", ")})`,
      );
    }
    const entry = (part: Exclude<keyof ColumnMoments, "name">) => {
      const of = names ? ` (column ${shown(names[i])})` : "";
      return numberOf(caller, `moments[${i}].${part}${of}`, one[part], part !== "mean");
    };
    const infinite = one.infinite === undefined ? 0 : entry("infinite");
    if (infinite > 0) {
      throw new RangeError(
        `${caller}: expected finite values, got ${infinite} that are infinite in column ` +
          `${names ? shown(names[i]) : i}; a missing value is NULL or NaN`,
      );
    }
    state.count[j] = entry("count");
    state.missing[j] = one.missing === undefined ? 0 : entry("missing");
    if (state.count[j] === 0) continue;
    state.mean[j] = entry("mean");
    state.m2[j] = entry("m2");
    state.squares[j] = one.squares === undefined ? state.count[j] : entry("squares");
  }
  return { state, columns: columns ?? names };
}

function namesOf(caller: string, moments: readonly ColumnMoments[]): readonly string[] | undefined {
  const named = moments.filter(({ name }) => name !== undefined);
  if (named.length === 0) return undefined;
  const seen = new Set<string>();
  for (const [i, { name }] of moments.entries()) {
    if (typeof name !== "string") {
      throw new TypeError(
        `${caller}: expected a name in all moments or in none, got ${shown(name)} as moments[${i}].name`,
      );
    }
    if (seen.has(name)) {
      throw new RangeError(
        `${caller}: moments[${i}] is of ${shown(name)}, which was before; groups make a standardizer each`,
      );
    }
    seen.add(name);
  }
  return Object.freeze([...seen]);
}

/** A number that is finite, exact and, where it counts, at least 0. */
function numberOf(caller: string, name: string, given: unknown, counts: boolean): number {
  const said = `${caller}: expected a finite number as ${name}, got ${shown(given)}`;
  const written = typeof given === "string" && /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(given);
  if (typeof given !== "number" && typeof given !== "bigint" && !written) throw new TypeError(said);
  // 0 for −0, as JSON has it
  const value = Number(given) + 0;
  if (!Number.isFinite(value)) throw new RangeError(said);
  if (counts && value < 0) throw new RangeError(`${caller}: expected at least 0 as ${name}, got ${value}`);
  return value;
}

/** Checks the result of `toJSON`; `missing`, which may be absent, is filled in. */
export function checkJSON(json: unknown): StandardizerJSON & { missing: number[] } {
  const said = "Standardizer.fromJSON:";
  if (typeof json !== "object" || json === null) {
    const remedy = typeof json === "string" ? "; parse a string with JSON.parse first" : "";
    throw new TypeError(`${said} expected the result of toJSON, got ${shown(json)}${remedy}`);
  }
  const found: Partial<Record<keyof StandardizerJSON, unknown>> = { ...json };
  if (found.type !== "Standardizer") {
    throw new TypeError(`${said} expected type "Standardizer", got ${shown(found.type)}`);
  }
  if (found.version !== 1) {
    throw new RangeError(
      `${said} expected version 1, got ${shown(found.version)}; a newer evenkeel may read it`,
    );
  }
  if (typeof found.forgetting !== "number") {
    throw new TypeError(`${said} expected a number as forgetting, got ${shown(found.forgetting)}`);
  }
  if (typeof found.variance !== "string") {
    throw new TypeError(`${said} expected a string as variance, got ${shown(found.variance)}`);
  }
  const features = Array.isArray(found.count) ? found.count.length : 0;
  if (found.missing === undefined) found.missing = new Array(features).fill(0);
  for (const part of parts) {
    const list = found[part];
    if (!Array.isArray(list)) {
      throw new TypeError(`${said} expected a list of numbers as ${part}, got ${shown(list)}`);
    }
    if (list.length !== features) {
      throw new RangeError(`${said} count has ${features} entries, ${part} has ${list.length}`);
    }
    for (const [j, value] of list.entries()) {
      if (typeof value !== "number" || !Number.isFinite(value)) {
        throw new TypeError(`${said} expected a finite number as ${part}[${j}], got ${shown(value)}`);
      }
      if (value < 0 && part !== "mean") {
        throw new RangeError(`${said} expected at least 0 as ${part}[${j}], got ${value}`);
      }
    }
  }
  if (found.columns !== undefined) {
    const { length } = checkColumns("Standardizer.fromJSON", found.columns);
    if (features > 0 && length !== features) {
      throw new RangeError(`${said} count has ${features} entries, columns has ${length}`);
    }
  }
  return found as StandardizerJSON & { missing: number[] };
}
