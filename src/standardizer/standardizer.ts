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
import { absorb, add, copyOf, empty, momentsAt, ONE_VALUE, type State } from "./stream.js";
import { kindOf, type Read, read, refuse, shown, type Table, type Tabular } from "./table.js";

/** The result for an input X: rows for rows, a table for a table; float32 for a Float32Array, float64 otherwise. */
export type Standardized<X extends Tabular> =
  X extends Table<infer Data> ? Table<Data extends Float32Array ? Float32Array : Float64Array> : number[][];

/** Options of `new Standardizer(options)`. */
export interface StandardizerOptions {
  /**
   * λ, above 0 and at most 1: each new row multiplies all older weights by λ, so that about the last 1/(1 − λ) rows
   * matter. Default 1: nothing is forgotten.
   */
  forgetting?: number;
  /** Estimator: "biased" divides by the count (default, as in scikit-learn), "unbiased" by one less. */
  variance?: "biased" | "unbiased";
}

/** A `Standardizer` as JSON: plain numbers, which survive JSON exactly. Lists have one entry per feature. */
export interface StandardizerJSON {
  type: "Standardizer";
  version: 1;
  forgetting: number;
  variance: "biased" | "unbiased";
  count: number[];
  mean: number[];
  m2: number[];
  squares: number[];
}

/** What scikit-learn and others call an option. */
const OTHER_NAMES = {
  ddof: '"variance" ("biased" for 0, "unbiased" for 1)',
  decay: '"forgetting"',
  alpha: '"forgetting"',
};

const parts = ["count", "mean", "m2", "squares"] as const;

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
  private state?: State;

  /** @throws RangeError for an unknown option, a forgetting factor outside (0, 1], or an unknown estimator of the variance. */
  constructor(options: StandardizerOptions = {}) {
    checkOptions("Standardizer", options, ["forgetting", "variance"], OTHER_NAMES);
    const { forgetting = 1, variance = "biased" } = options;
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
  }

  /** Resets the statistics to those of x, [rows ≥ 1, features]; its last row has weight 1. */
  fit(x: Tabular): this {
    const input = read("fit", x);
    if (input.rows === 0) throw new RangeError("Standardizer.fit: expected at least 1 row, got 0");
    this.state = this.absorbed("fit", empty(input.features), input);
    return this;
  }

  /** Adds rows, [rows, features], in the order of time; the last has weight 1. */
  partialFit(x: Tabular): this {
    const input = read("partialFit", x);
    this.checkWidth("partialFit", input);
    if (input.rows > 0) {
      this.state = this.absorbed(
        "partialFit",
        this.state ? copyOf(this.state) : empty(input.features),
        input,
      );
    }
    return this;
  }

  /** (x − mean) / scale in a new array, [rows, features]. */
  transform<X extends Tabular>(x: X): Standardized<X> {
    return this.mapped("transform", x, (value, mean, scale) => (value - mean) / scale);
  }

  /** y · scale + mean in a new array, [rows, features]: the inverse of `transform`. */
  inverse<X extends Tabular>(y: X): Standardized<X> {
    return this.mapped("inverse", y, (value, mean, scale) => value * scale + mean);
  }

  /** `fit(x)`, then `transform(x)`. */
  fitTransform<X extends Tabular>(x: X): Standardized<X> {
    return this.fit(x).transform(x);
  }

  /**
   * Merges another standardizer's statistics into this one; the other is unchanged. Any split and any order give the result
   * of one `fit` of everything. With forgetting, the two are parallel streams that end at the same time: the last row of
   * each has weight 1. (To append one stream to another, pass its rows to `partialFit`.) This one's estimator applies.
   *
   * @throws TypeError for a value that is not a Standardizer, RangeError for another width or another forgetting factor
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
    const state = this.state ? copyOf(this.state) : empty(features);
    for (let j = 0; j < features; j++) add(state, j, momentsAt(other.state, j), other.state.squares[j]);
    checkFinite("merge", state);
    this.state = state;
    return this;
  }

  /** Weight of all values, float64 [features]: their number, or Σ λ^age with forgetting. Empty before any fit. */
  get count(): Float64Array {
    return (this.state ?? empty(0)).count.slice();
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

  /** For `JSON.stringify`; `fromJSON(JSON.parse(text))` restores it exactly. */
  toJSON(): StandardizerJSON {
    const { count, mean, m2, squares } = this.state ?? empty(0);
    return {
      type: "Standardizer",
      version: 1,
      forgetting: this.forgetting,
      variance: this.estimator,
      count: [...count],
      mean: [...mean],
      m2: [...m2],
      squares: [...squares],
    };
  }

  /** Restores a standardizer. @throws TypeError or RangeError naming the entry, for anything but the result of `toJSON` */
  static fromJSON(json: unknown): Standardizer {
    const { forgetting, variance, ...lists } = checkJSON(json);
    const standardizer = new Standardizer({ forgetting, variance });
    if (lists.count.length > 0) {
      standardizer.state = {
        count: Float64Array.from(lists.count),
        mean: Float64Array.from(lists.mean),
        m2: Float64Array.from(lists.m2),
        squares: Float64Array.from(lists.squares),
      };
    }
    return standardizer;
  }

  /** Merges the rows of `input` into `state`, a copy that no one else holds. */
  private absorbed(caller: string, state: State, input: Read): State {
    absorb(caller, state, input, this.forgetting);
    checkFinite(caller, state);
    return state;
  }

  private mapped<X extends Tabular>(
    caller: string,
    x: X,
    formula: (value: number, mean: number, scale: number) => number,
  ): Standardized<X> {
    if (!this.state) {
      throw new Error(`Standardizer.${caller}: not fitted yet; call fit or partialFit first`);
    }
    const input = read(caller, x);
    this.checkWidth(caller, input);
    const { rows, features, data, listed } = input;
    const mean = this.mean;
    const scale = this.variance.map((variance, j) => {
      const deviation = Math.sqrt(variance);
      return deviation > Number.EPSILON * Math.abs(mean[j]) ? deviation : 1;
    });
    const result =
      kindOf(data) === "Float32Array" ? new Float32Array(data.length) : new Float64Array(data.length);
    for (let row = 0, at = 0; row < rows; row++) {
      for (let j = 0; j < features; j++, at++) {
        const value = data[at];
        if (Math.abs(value) === Number.POSITIVE_INFINITY) refuse(caller, value, row, j);
        result[at] = formula(value, mean[j], scale[j]);
      }
    }
    const made = listed
      ? Array.from({ length: rows }, (_, row) => [...result.subarray(row * features, (row + 1) * features)])
      : { shape: [rows, features], data: result };
    return made as Standardized<X>;
  }

  private checkWidth(caller: string, { rows, features }: { rows?: number; features: number }): void {
    const expected = this.state?.count.length ?? features;
    if (features === expected || (rows === 0 && features === 0)) return;
    const remedy = caller === "partialFit" ? "; fit(x) starts over" : "";
    throw new RangeError(
      `Standardizer.${caller}: expected ${expected} features, as fitted, got ${features}${remedy}`,
    );
  }
}

function checkFinite(caller: string, { mean, m2 }: State): void {
  for (let j = 0; j < mean.length; j++) {
    if (Number.isFinite(mean[j]) && Number.isFinite(m2[j])) continue;
    throw new RangeError(
      `Standardizer.${caller}: the sum of squared deviations of column ${j} exceeds float64; divide the column by a constant first`,
    );
  }
}

function checkJSON(json: unknown): StandardizerJSON {
  const said = "Standardizer.fromJSON:";
  if (typeof json !== "object" || json === null) {
    const remedy = typeof json === "string" ? "; parse a string with JSON.parse first" : "";
    throw new TypeError(`${said} expected the result of toJSON, got ${shown(json)}${remedy}`);
  }
  const found = json as Partial<Record<keyof StandardizerJSON, unknown>>;
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
  return found as StandardizerJSON;
}
