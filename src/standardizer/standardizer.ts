/**
 * Streaming standardization of a table: each column, a feature, is transformed to mean 0 and variance 1.
 *
 *     y = (x − mean) / scale        scale = √variance; 1 for a constant feature        x = y · scale + mean
 *
 * Moments (moments.ts) are stored per column. A batch is centred about its own mean, in two passes, and merged by
 * the formula of Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample
 * variances"; so batches, shards and machines give the result of one pass over everything, up to float64 rounding.
 *
 * With forgetting λ, a row of `age` rows ago has weight λ^age; the moments are weighted (West 1979, "Updating mean and
 * variance estimates: an improved method"), and do not depend on how the stream is cut into batches.
 */
import { checkOptions } from "../options.js";
import {
  type ColumnMoments,
  checkColumns,
  checkJSON,
  type StandardizerJSON,
  stateOfMoments,
} from "./restore.js";
import {
  type MomentsSQLOptions,
  momentsSQL,
  type SQLEngine,
  type StandardizerSQL,
  type StandardizerSQLOptions,
  transformSQL,
} from "./sql.js";
import { absorb, add, BLOCK_VALUES, copyOf, empty, momentsAt, ONE_VALUE, type State } from "./stream.js";
import {
  bufferFor,
  checkWeights,
  type Float16Values,
  partOf,
  type Read,
  read,
  refuse,
  shown,
  type Table,
  type Tabular,
} from "./table.js";

/**
 * The result for an input X: rows for rows, a table for a table; float32 for a Float32Array or Float16Array, float64 for any other, and
 * the type that was asked for where one was.
 */
export type Standardized<X extends Tabular, Type extends "float32" | "float64" | undefined = undefined> =
  X extends Table<infer Data>
    ? Table<
        Type extends "float32"
          ? Float32Array
          : Type extends "float64"
            ? Float64Array
            : Data extends Float32Array | Float16Values
              ? Float32Array
              : Float64Array
      >
    : number[][];

/** Options of `fit` and `partialFit`. */
export interface FitOptions {
  /**
   * A weight for each row, [rows]: 0, or from 1e-100 to 1e100. A row of weight 2 counts as two, one of 0 as none (but as time, for
   * `forgetting`, whose λ^age multiplies the weight). Default: 1 for each.
   */
  weights?: ArrayLike<number>;
}

/** Options of `transform` and `inverse`. */
export interface TransformOptions<Type extends "float32" | "float64" | undefined = undefined> {
  /** Type of the result, which is computed in float64 and rounded once. Default: float32 where the input is no wider, else float64. */
  type?: Type;
}

/** Options of `new Standardizer(options)`. */
export interface StandardizerOptions {
  /**
   * λ, above 0 and at most 1: each new row multiplies all older weights by λ, so that about the last 1/(1 − λ) rows
   * matter. Default 1: nothing is forgotten.
   */
  forgetting?: number;
  /** Estimator: "biased" divides by the count (default, as in scikit-learn), "unbiased" by one less. */
  variance?: "biased" | "unbiased";
  /** Names of the columns, in their order, each once: saved with the statistics, and used by `sql`. */
  columns?: readonly string[];
}

/** What scikit-learn and others call an option. */
const otherNames = {
  sample_weight: '"weights"',
  sampleWeight: '"weights"',
  dtype: '"type"',
  feature_names_in_: '"columns"',
  ddof: '"variance" ("biased" for 0, "unbiased" for 1)',
  decay: '"forgetting"',
  alpha: '"forgetting"',
};

/**
 * Standardizes the columns of tables and streams.
 *
 * NaN entries are missing values: they are excluded from their feature's statistics (their row still counts as time for
 * `forgetting`), and remain NaN in results. A feature without any value is NaN throughout. A feature is constant if its
 * standard deviation is within float64's rounding of its mean: it is centred and not scaled.
 *
 * Methods throw TypeError for input that is not a table, and RangeError for ±Infinity (with its row and column), for
 * rows of another width, and for values whose variance exceeds float64. A call that throws changes nothing.
 */
export class Standardizer {
  readonly forgetting: number;
  private readonly estimator: "biased" | "unbiased";
  private names?: readonly string[];
  private state?: State;

  /**
   * @throws TypeError for an unknown option or columns that are no names, RangeError for a forgetting factor outside (0, 1], an unknown
   * estimator of the variance, or a column named twice
   */
  constructor(options: StandardizerOptions = {}) {
    checkOptions("Standardizer", options, ["forgetting", "variance", "columns"], otherNames);
    const { forgetting = 1, variance = "biased", columns } = options;
    if (typeof forgetting !== "number" || !(forgetting > 0 && forgetting <= 1)) {
      throw new RangeError(
        `Standardizer: forgetting must be above 0 and at most 1, got ${shown(forgetting)}; 1 forgets nothing`,
      );
    }
    if (variance !== "biased" && variance !== "unbiased") {
      throw new RangeError(`Standardizer: variance must be "biased" or "unbiased", got ${shown(variance)}`);
    }
    this.forgetting = forgetting;
    this.estimator = variance;
    if (columns !== undefined) this.names = checkColumns("Standardizer", columns);
  }

  /**
   * A standardizer of moments that others have summed: a database (the rows that the query of `sql` gives, in any order), another
   * machine or language. One entry per feature; those that have names are put into the order of `options.columns`, and give the names
   * where it is left out.
   *
   * @throws TypeError for what are no moments, RangeError for numbers that are negative or not finite (with the entry), or names that
   * are not those of `options.columns`
   */
  static fromMoments(moments: readonly ColumnMoments[], options: StandardizerOptions = {}): Standardizer {
    const standardizer = new Standardizer(options);
    const { state, columns } = stateOfMoments(moments, standardizer.names);
    checkFinite("fromMoments", state);
    standardizer.state = state;
    standardizer.names = columns;
    return standardizer;
  }

  /**
   * Resets the statistics to those of x, [rows ≥ 1, features]; its last row has weight 1, or the last of `weights`. Some weight must
   * be above 0.
   */
  fit(x: Tabular, options: FitOptions = noOptions): this {
    const input = read("fit", x);
    if (input.rows === 0) throw new RangeError("Standardizer.fit: expected at least 1 row, got 0");
    this.checkNamed("fit", input.features);
    const weights = weightsOf("fit", options, input.rows);
    if (weights && Array.from(weights).every((weight) => weight === 0)) {
      throw new RangeError("Standardizer.fit: expected a weight above 0, got 0 for every row");
    }
    this.state = this.absorbed("fit", empty(input.features), input, weights);
    return this;
  }

  /** Adds rows, [rows, features], in the order of time; the last has weight 1, or the last of `weights`. */
  partialFit(x: Tabular, options: FitOptions = noOptions): this {
    const input = read("partialFit", x);
    this.checkWidth("partialFit", input);
    const weights = weightsOf("partialFit", options, input.rows);
    if (input.rows > 0) {
      const state = this.state ? copyOf(this.state) : empty(input.features);
      this.state = this.absorbed("partialFit", state, input, weights);
    }
    return this;
  }

  /** (x − mean) / scale in a new array, [rows, features]. */
  transform<X extends Tabular, Type extends "float32" | "float64" | undefined = undefined>(
    x: X,
    options: TransformOptions<Type> = {},
  ): Standardized<X, Type> {
    return this.mapped("transform", x, options, (value, mean, scale) => (value - mean) / scale);
  }

  /** y · scale + mean in a new array, [rows, features]: the inverse of `transform`. */
  inverse<X extends Tabular, Type extends "float32" | "float64" | undefined = undefined>(
    y: X,
    options: TransformOptions<Type> = {},
  ): Standardized<X, Type> {
    return this.mapped("inverse", y, options, (value, mean, scale) => value * scale + mean);
  }

  /** `fit(x)`, then `transform(x)`, with the options of both. */
  fitTransform<X extends Tabular, Type extends "float32" | "float64" | undefined = undefined>(
    x: X,
    options: FitOptions & TransformOptions<Type> = {},
  ): Standardized<X, Type> {
    checkOptions("Standardizer.fitTransform", options, ["weights", "type"], otherNames);
    const { weights, type } = options;
    return this.fit(x, { weights }).transform(x, { type });
  }

  /**
   * Merges another standardizer's statistics into this one; the other is unchanged. Any split and any order give the result
   * of one `fit` of everything. With forgetting, the two are parallel streams that end at the same time: the last row of
   * each has weight 1. (To append one stream to another, pass its rows to `partialFit`.) This one's estimator applies. Where one of
   * the two has names of columns, both have them then.
   *
   * @throws TypeError for a value that is not a Standardizer, RangeError for another width, other names of columns or another
   * forgetting factor
   */
  merge(other: Standardizer): this {
    if (!(other instanceof Standardizer)) {
      throw new TypeError(`Standardizer.merge: expected a Standardizer, got ${shown(other)}`);
    }
    if (other.forgetting !== this.forgetting) {
      throw new RangeError(
        `Standardizer.merge: both need the same forgetting factor, got ${this.forgetting} here and ${other.forgetting} there`,
      );
    }
    if (!other.state) return this;
    const features = other.state.count.length;
    this.checkWidth("merge", { features });
    const differs = other.names?.findIndex((name, j) => this.names && name !== this.names[j]) ?? -1;
    if (differs >= 0) {
      throw new RangeError(
        `Standardizer.merge: both need the same columns, got ${shown(this.names?.[differs])} here and ` +
          `${shown(other.names?.[differs])} there as column ${differs}`,
      );
    }
    const state = this.state ? copyOf(this.state) : empty(features);
    for (let j = 0; j < features; j++) {
      add(state, j, momentsAt(other.state, j), other.state.squares[j]);
      state.missing[j] += other.state.missing[j];
    }
    checkFinite("merge", state);
    this.state = state;
    this.names ??= other.names;
    return this;
  }

  /** Names of the columns, where they are known. */
  get columns(): readonly string[] | undefined {
    return this.names;
  }

  /** Weight of all values, float64 [features]: their number, or Σ λ^age with forgetting. Empty before any fit. */
  get count(): Float64Array {
    return (this.state ?? empty(0)).count.slice();
  }

  /**
   * Weight of the missing values, float64 [features]: their number, or Σ λ^age with forgetting, so that count + missing is the weight
   * of all rows. Empty before any fit.
   */
  get missing(): Float64Array {
    return (this.state ?? empty(0)).missing.slice();
  }

  /** Mean, float64 [features]; NaN for a feature without values. Empty before any fit. */
  get mean(): Float64Array {
    const { mean, count } = this.state ?? empty(0);
    return mean.map((value, j) => (count[j] > 0 ? value : Number.NaN));
  }

  /**
   * Variance, float64 [features]: m2 / count, or unbiased m2 / (count − Σ weight² / count), which is m2 / (count − 1) without
   * forgetting. NaN for a feature without values (unbiased: with fewer than two). Empty before any fit.
   */
  get variance(): Float64Array {
    const { count, m2, squares } = this.state ?? empty(0);
    return m2.map((value, j) => {
      const weight = count[j];
      if (this.estimator === "biased") return weight > 0 ? value / weight : Number.NaN;
      const free = weight - squares[j] / weight;
      return free > ONE_VALUE * weight ? value / free : Number.NaN;
    });
  }

  /**
   * The query that takes moments of a table's columns in a database, for `fromMoments`.
   *
   *     const { moments } = Standardizer.sql("postgres", { table: ["public", "houses"], columns: ["area", "price"] });
   *     const { rows } = await client.query(moments);
   *     const standardizer = Standardizer.fromMoments(rows);
   *
   * A row for each column: name, count, mean, m2, missing (NULL and NaN), infinite (±Infinity, which `fromMoments` refuses). With `by`,
   * rows of each group, which `group` names first.
   *
   * @throws RangeError for an unknown engine, or names that it cannot hold; TypeError for unknown options
   */
  static sql(engine: SQLEngine, options: MomentsSQLOptions): Pick<StandardizerSQL, "moments"> {
    return { moments: momentsSQL("Standardizer.sql", engine, options) };
  }

  /**
   * This standardizer for a database: the query of its moments, as `Standardizer.sql` gives it, and the transforming query. What that
   * gives is what `transform` does, to the bit, but that ±Infinity stays infinite. NULL stays NULL, NaN stays NaN; a feature without
   * values is NULL.
   *
   * @throws Error before any fit, or without names of columns; RangeError for an unknown engine, names that it cannot hold, or columns
   * that are not as many as features; TypeError for unknown options
   */
  sql(engine: SQLEngine, options: StandardizerSQLOptions = {}): StandardizerSQL {
    const caller = "Standardizer.sql";
    if (options !== null && Object.hasOwn(options, "by")) {
      throw new TypeError(
        `${caller}: a standardizer is of one group; Standardizer.sql(engine, { table, columns, by }) gives the moments of each`,
      );
    }
    checkOptions(caller, options, ["table", "columns", "keep"]);
    if (!this.state) {
      throw new Error(
        `${caller}: not fitted yet; Standardizer.sql(engine, { table, columns }) gives the moments' query`,
      );
    }
    const columns = checkColumns(caller, options.columns ?? this.names ?? []);
    const features = this.state.count.length;
    if (columns.length !== features) {
      throw new RangeError(`${caller}: expected ${features} columns, one a feature, got ${columns.length}`);
    }
    return {
      moments: momentsSQL(caller, engine, { table: options.table, columns }),
      ...transformSQL(caller, engine, { mean: this.mean, scale: this.scale }, { ...options, columns }),
    };
  }

  /** What features are divided by, float64 [features]: the standard deviation, 1 for a constant feature or one without variance. Empty before any fit. */
  get scale(): Float64Array {
    const mean = this.mean;
    return this.variance.map((variance, j) => {
      const deviation = Math.sqrt(variance);
      return deviation > Number.EPSILON * Math.abs(mean[j]) ? deviation : 1;
    });
  }

  /** For `JSON.stringify`; `fromJSON(JSON.parse(text))` restores it exactly. */
  toJSON(): StandardizerJSON {
    const { count, mean, m2, squares, missing } = this.state ?? empty(0);
    return {
      type: "Standardizer",
      version: 1,
      forgetting: this.forgetting,
      variance: this.estimator,
      ...(this.names && { columns: [...this.names] }),
      count: [...count],
      mean: [...mean],
      m2: [...m2],
      squares: [...squares],
      missing: [...missing],
    };
  }

  /** Restores a standardizer. @throws TypeError or RangeError naming the entry, for anything but the result of `toJSON` */
  static fromJSON(json: unknown): Standardizer {
    const { forgetting, variance, columns, ...lists } = checkJSON(json);
    const standardizer = new Standardizer({ forgetting, variance, columns });
    if (lists.count.length > 0) {
      standardizer.state = {
        count: Float64Array.from(lists.count),
        mean: Float64Array.from(lists.mean),
        m2: Float64Array.from(lists.m2),
        squares: Float64Array.from(lists.squares),
        missing: Float64Array.from(lists.missing),
      };
      checkFinite("fromJSON", standardizer.state);
    }
    return standardizer;
  }

  /** Merges the rows of `input` into `state`, a copy that no one else holds. */
  private absorbed(caller: string, state: State, input: Read, weights?: ArrayLike<number>): State {
    absorb(caller, state, input, this.forgetting, weights);
    checkFinite(caller, state);
    return state;
  }

  private mapped<X extends Tabular, Type extends "float32" | "float64" | undefined>(
    caller: string,
    x: X,
    options: TransformOptions<Type>,
    formula: (value: number, mean: number, scale: number) => number,
  ): Standardized<X, Type> {
    if (!this.state) {
      throw new Error(`Standardizer.${caller}: not fitted yet; call fit or partialFit first`);
    }
    const input = read(caller, x);
    this.checkWidth(caller, input);
    const { rows, features, data, kind, listed } = input;
    const [mean, scale] = [this.mean, this.scale];
    const narrow = typeOf(caller, options, kind) === "float32";
    const result = narrow ? new Float32Array(data.length) : new Float64Array(data.length);
    const height = Math.max(1, Math.min(rows, Math.floor(BLOCK_VALUES / features)));
    const buffer = bufferFor(input, height * features);
    for (let top = 0; top < rows; top += height) {
      const length = Math.min(height, rows - top) * features;
      const { values, start } = partOf(caller, input, top, length / features, 0, features, buffer);
      for (let i = 0, j = 0, at = top * features; i < length; i++, at++) {
        const value = values[start + i];
        if (Math.abs(value) === Number.POSITIVE_INFINITY) refuse(caller, value, Math.floor(at / features), j);
        result[at] = formula(value, mean[j], scale[j]);
        if (++j === features) j = 0;
      }
    }
    const made = listed
      ? Array.from({ length: rows }, (_, row) => [...result.subarray(row * features, (row + 1) * features)])
      : { shape: [rows, features], data: result };
    return made as Standardized<X, Type>;
  }

  private checkNamed(caller: string, features: number): void {
    if (!this.names || features === this.names.length) return;
    throw new RangeError(
      `Standardizer.${caller}: expected ${this.names.length} features, as many as columns have names, got ${features}`,
    );
  }

  private checkWidth(caller: string, { rows, features }: { rows?: number; features: number }): void {
    if (rows === 0 && features === 0) return;
    if (!this.state) this.checkNamed(caller, features);
    const expected = this.state?.count.length ?? features;
    if (features === expected) return;
    const remedy = caller === "partialFit" ? "; fit(x) starts over" : "";
    throw new RangeError(
      `Standardizer.${caller}: expected ${expected} features, as fitted, got ${features}${remedy}`,
    );
  }
}

const noOptions: FitOptions = Object.freeze({});

function weightsOf(caller: string, options: FitOptions, rows: number): ArrayLike<number> | undefined {
  if (options === noOptions) return undefined;
  checkOptions(`Standardizer.${caller}`, options, ["weights"], otherNames);
  return options.weights === undefined ? undefined : checkWeights(caller, options.weights, rows);
}

function typeOf(
  caller: string,
  options: TransformOptions<"float32" | "float64" | undefined>,
  kind: string,
): "float32" | "float64" {
  checkOptions(`Standardizer.${caller}`, options, ["type"], otherNames);
  const { type } = options;
  if (type === undefined) return /^Float(32|16)Array$/.test(kind) ? "float32" : "float64";
  if (type === "float32" || type === "float64") return type;
  throw new RangeError(`Standardizer.${caller}: type must be "float32" or "float64", got ${shown(type)}`);
}

function checkFinite(caller: string, { count, mean, m2, squares, missing }: State): void {
  for (let j = 0; j < mean.length; j++) {
    if (!Number.isFinite(count[j] + squares[j] + missing[j])) {
      throw new RangeError(
        `Standardizer.${caller}: the weights of column ${j} exceed float64; divide all of them by a constant first`,
      );
    }
    if (Number.isFinite(mean[j]) && Number.isFinite(m2[j] / (count[j] || 1))) continue;
    throw new RangeError(
      `Standardizer.${caller}: the sum of squared deviations of column ${j} exceeds float64; divide the column by a constant first`,
    );
  }
}
