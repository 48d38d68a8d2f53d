/**
 * Streaming standardization of a table: features are columns, and each is brought to mean 0 and variance 1.
 *
 *     y = (x − mean) / scale        scale = √variance; 1 for a constant feature        x = y · scale + mean
 *
 * Each column keeps its moments (moments.ts). A batch is centred about its own mean, in two passes, and merged by
 * the formula of Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample
 * variances"; so batches, shards and machines give what one pass over everything gives, up to float64 rounding.
 *
 * With forgetting λ, a row that was taken `age` rows ago weighs λ^age; the moments are weighted ones (West 1979,
 * "Updating mean and variance estimates: an improved method"), and how the stream was cut into batches does not matter.
 */
import { type Moments, merge } from "./moments.js";

/** Row-major values of shape [rows, features]. */
export interface Table<Data = Float32Array | Float64Array | readonly number[]> {
  readonly shape: readonly number[];
  readonly data: Data;
}

/** What a `Standardizer` takes: a table, or rows of equal length. NaN is a missing value. */
export type Tabular = Table | readonly (readonly number[])[];

/** What it gives: rows for rows, a table for a table; float32 for a Float32Array, float64 otherwise. */
export type Standardized<X extends Tabular> =
  X extends Table<infer Data>
    ? Table<Data extends Float32Array ? Float32Array<ArrayBuffer> : Float64Array<ArrayBuffer>>
    : number[][];

export interface StandardizerOptions {
  /**
   * λ, above 0 and at most 1: what a row's weight is multiplied by for each row that comes after it. A batch of n
   * rows multiplies all older weights by λ^n. About 1/(1 − λ) rows count. Default 1: nothing is forgotten.
   */
  forgetting?: number;
  /** Divided by the weight (scikit-learn), or by one value less. Default "biased". */
  variance?: "biased" | "unbiased";
}

/** A `Standardizer` as JSON: plain numbers, which JSON keeps to the last bit. Lists have one entry per feature. */
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

/** Per feature, float64 [features]: what `Moments` has, and Σ weight² for the unbiased variance. */
interface State {
  readonly count: Float64Array<ArrayBuffer>;
  readonly mean: Float64Array<ArrayBuffer>;
  readonly m2: Float64Array<ArrayBuffer>;
  readonly squares: Float64Array<ArrayBuffer>;
}
const parts = ["count", "mean", "m2", "squares"] as const;

/** An input as it is read. */
interface Read {
  readonly rows: number;
  readonly features: number;
  readonly data: Float32Array | Float64Array;
  readonly listed: boolean;
}

/**
 * Standardizes the columns of tables and streams.
 *
 * NaN entries are missing: they are left out of their feature's statistics (their row still counts as time for
 * `forgetting`), and stay NaN in results. A feature without any value is NaN throughout. A feature is constant where
 * its spread is no more than float64's rounding of its mean: it is centred and not scaled.
 *
 * Methods throw TypeError for what is no table, and RangeError for ±Infinity (with its row and column), for rows of
 * another width, and for values whose variance exceeds float64. A call that throws changes nothing.
 */
export class Standardizer {
  readonly forgetting: number;
  private readonly estimator: "biased" | "unbiased";
  private state?: State;

  /** @throws RangeError for a forgetting factor outside (0, 1], or an unknown kind of variance. */
  constructor({ forgetting = 1, variance = "biased" }: StandardizerOptions = {}) {
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

  /** Forgets everything, then takes x, of shape [rows ≥ 1, features]; its last row weighs 1. */
  fit(x: Tabular): this {
    const input = read("fit", x);
    if (input.rows === 0) throw new RangeError("Standardizer.fit: expected at least 1 row, got 0");
    this.state = this.taken("fit", empty(input.features), input);
    return this;
  }

  /** Takes more rows, of shape [rows, features], in the order of time; its last row weighs 1. */
  partialFit(x: Tabular): this {
    const input = read("partialFit", x);
    this.checkWidth("partialFit", input);
    if (input.rows > 0) {
      this.state = this.taken("partialFit", this.state ? copied(this.state) : empty(input.features), input);
    }
    return this;
  }

  /** (x − mean) / scale in a new array, [rows, features]. */
  transform<X extends Tabular>(x: X): Standardized<X> {
    return this.mapped("transform", x, (value, mean, scale) => (value - mean) / scale);
  }

  /** y · scale + mean in a new array, [rows, features]: what `transform` made y from. */
  inverse<X extends Tabular>(y: X): Standardized<X> {
    return this.mapped("inverse", y, (value, mean, scale) => value * scale + mean);
  }

  /** `fit(x)`, then `transform(x)`. */
  fitTransform<X extends Tabular>(x: X): Standardized<X> {
    return this.fit(x).transform(x);
  }

  /**
   * Adds what another standardizer has taken, which stays as it is. Any split and any order give what `fit` of the
   * whole gives. With forgetting, the two are streams that ran side by side and end at the same moment: the last row
   * of each weighs 1. (To put one stream after another, give its rows to `partialFit`.) The kind of variance stays
   * this one's.
   *
   * @throws TypeError for what is no Standardizer, RangeError for another width or another forgetting factor
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
    const state = this.state ? copied(this.state) : empty(features);
    for (let j = 0; j < features; j++) add(state, j, momentsAt(other.state, j), other.state.squares[j]);
    checkFinite("merge", state);
    this.state = state;
    return this;
  }

  /** Weight of the values taken, float64 [features]: their number, or Σ λ^age with forgetting. Empty before any fit. */
  get count(): Float64Array<ArrayBuffer> {
    return (this.state ?? empty(0)).count.slice();
  }

  /** float64 [features]; NaN for a feature without values. Empty before any fit. */
  get mean(): Float64Array<ArrayBuffer> {
    const { mean, count } = this.state ?? empty(0);
    return mean.map((value, j) => (count[j] > 0 ? value : Number.NaN));
  }

  /**
   * float64 [features]: m2 / count, or unbiased m2 / (count − Σ weight² / count), which is m2 / (count − 1) without
   * forgetting. NaN for a feature without values (unbiased: with one). Empty before any fit.
   */
  get variance(): Float64Array<ArrayBuffer> {
    const { count, m2, squares } = this.state ?? empty(0);
    return m2.map((value, j) => {
      const weight = count[j];
      if (this.estimator === "biased") return weight > 0 ? value / weight : Number.NaN;
      const free = weight - squares[j] / weight;
      return free > ONE_VALUE * weight ? value / free : Number.NaN;
    });
  }

  /** For `JSON.stringify`, and back by `fromJSON(JSON.parse(text))`, exactly. */
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

  /** @throws TypeError or RangeError that names the entry, for anything that `toJSON` does not give. */
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

  /** `state`, which is nobody else's yet, with the rows of `input` merged in. */
  private taken(caller: string, state: State, input: Read): State {
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
      throw new Error(`Standardizer.${caller}: nothing was fitted yet; call fit or partialFit first`);
    }
    const input = read(caller, x);
    this.checkWidth(caller, input);
    const { rows, features, data, listed } = input;
    const mean = this.mean;
    const scale = this.variance.map((variance, j) => {
      const spread = Math.sqrt(variance);
      return spread > Number.EPSILON * Math.abs(mean[j]) ? spread : 1;
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
    const remedy = caller === "partialFit" ? "; fit(x) starts anew" : "";
    throw new RangeError(
      `Standardizer.${caller}: expected ${expected} features, as fitted, got ${features}${remedy}`,
    );
  }
}

/** Below this part of the weight, what the unbiased variance is divided by is rounding: there is one value only. */
const ONE_VALUE = 1e-12;

/**
 * No weight decays below this. What is known of a feature that is missing for long stays known, while 1e-100 beside
 * a new value's weight of 1 is nothing, and its square is far from what float64 cannot hold.
 */
const LEAST_WEIGHT = 1e-100;

/** A block is read twice, the second time from cache: 256 KiB of float64, at most 512 columns wide. */
const BLOCK_VALUES = 32768;
const BLOCK_COLUMNS = 512;

/** Merges all rows into the state, in place, a block at a time. */
function absorb(caller: string, state: State, { rows, features, data }: Read, forgetting: number): void {
  const width = Math.min(features, BLOCK_COLUMNS);
  const height = Math.min(rows, Math.floor(BLOCK_VALUES / width), longest(forgetting));
  const weights = new Float64Array(height);
  for (let age = 0; age < height; age++) weights[age] = forgetting ** age;
  const block: Block = {
    data,
    features,
    weights,
    anchor: new Float64Array(width),
    count: new Float64Array(width),
    squares: new Float64Array(width),
    first: new Float64Array(width),
    second: new Float64Array(width),
  };
  for (let left = 0; left < features; left += width) {
    const columns = Math.min(width, features - left);
    for (let top = 0; top < rows; top += height) {
      const taken = Math.min(height, rows - top);
      if (forgetting < 1) decay(state, left, columns, forgetting ** taken);
      sumBlock(caller, block, top, taken, left, columns);
      const { anchor, count, squares, first, second } = block;
      for (let j = 0; j < columns; j++) {
        if (count[j] === 0) continue;
        const mean = anchor[j] + first[j] / count[j];
        const m2 = Math.max(0, second[j] - (first[j] * first[j]) / count[j]);
        add(state, left + j, { count: count[j], mean, m2 }, squares[j]);
      }
    }
  }
}

/** Rows of a block such that the oldest one's weight is not below the least. */
function longest(forgetting: number): number {
  return forgetting === 1
    ? Number.POSITIVE_INFINITY
    : 1 + Math.floor(Math.log(LEAST_WEIGHT) / Math.log(forgetting));
}

function decay({ count, m2, squares }: State, left: number, columns: number, factor: number): void {
  for (let j = left; j < left + columns; j++) {
    if (count[j] === 0) continue;
    const kept = Math.min(1, Math.max(factor, LEAST_WEIGHT / count[j]));
    count[j] *= kept;
    m2[j] *= kept;
    squares[j] *= kept * kept;
  }
}

/** What is summed over one block, per column of it: float64 [columns]. */
interface Block {
  readonly data: Float32Array | Float64Array;
  readonly features: number;
  /** λ^age. */
  readonly weights: Float64Array;
  /** What `first` and `second` are centred about. */
  readonly anchor: Float64Array;
  /** Σ weight */
  readonly count: Float64Array;
  /** Σ weight² */
  readonly squares: Float64Array;
  /** Σ weight · (value − anchor) */
  readonly first: Float64Array;
  /** Σ weight · (value − anchor)² */
  readonly second: Float64Array;
}

/**
 * Two passes: the first finds the mean, as a distance from a value of the column, so that equal values have exactly
 * their value for a mean; the second is centred about it.
 */
function sumBlock(
  caller: string,
  { data, features, weights, anchor, count, squares, first, second }: Block,
  top: number,
  rows: number,
  left: number,
  columns: number,
): void {
  const start = top * features + left;
  for (let j = 0; j < columns; j++) {
    let row = 0;
    while (row < rows - 1 && Number.isNaN(data[start + row * features + j])) row++;
    anchor[j] = data[start + row * features + j];
  }
  count.fill(0);
  squares.fill(0);
  first.fill(0);
  second.fill(0);
  for (let row = 0, at = start; row < rows; row++, at += features) {
    const weight = weights[rows - 1 - row];
    for (let j = 0; j < columns; j++) {
      const value = data[at + j];
      if (Number.isFinite(value)) {
        count[j] += weight;
        squares[j] += weight * weight;
        first[j] += weight * (value - anchor[j]);
      } else if (!Number.isNaN(value)) {
        refuse(caller, value, top + row, left + j);
      }
    }
  }
  for (let j = 0; j < columns; j++) {
    if (count[j] > 0) anchor[j] += first[j] / count[j];
    first[j] = 0;
  }
  for (let row = 0, at = start; row < rows; row++, at += features) {
    const weight = weights[rows - 1 - row];
    for (let j = 0; j < columns; j++) {
      const distance = data[at + j] - anchor[j];
      if (Number.isNaN(distance)) continue;
      first[j] += weight * distance;
      second[j] += weight * distance * distance;
    }
  }
}

function add(state: State, j: number, moments: Moments, squares: number): void {
  const { count, mean, m2 } = merge(momentsAt(state, j), moments);
  state.count[j] = count;
  state.mean[j] = mean;
  state.m2[j] = m2;
  state.squares[j] += squares;
}

function momentsAt({ count, mean, m2 }: State, j: number): Moments {
  return { count: count[j], mean: mean[j], m2: m2[j] };
}

function empty(features: number): State {
  const zeros = () => new Float64Array(features);
  return { count: zeros(), mean: zeros(), m2: zeros(), squares: zeros() };
}

function copied({ count, mean, m2, squares }: State): State {
  return { count: count.slice(), mean: mean.slice(), m2: m2.slice(), squares: squares.slice() };
}

function checkFinite(caller: string, { mean, m2 }: State): void {
  for (let j = 0; j < mean.length; j++) {
    if (Number.isFinite(mean[j]) && Number.isFinite(m2[j])) continue;
    throw new RangeError(
      `Standardizer.${caller}: the squared spread of column ${j} exceeds float64; divide the column by a constant first`,
    );
  }
}

function refuse(caller: string, value: number, row: number, column: number): never {
  throw new RangeError(
    `Standardizer.${caller}: expected finite values, got ${value} in row ${row}, column ${column}; a missing value is NaN`,
  );
}

function read(caller: string, x: Tabular): Read {
  if (Array.isArray(x)) return readRows(caller, x);
  const { shape, data } = (x ?? {}) as Partial<Table>;
  const kind = kindOf(data);
  if (!Array.isArray(shape) || !["Float32Array", "Float64Array", "Array"].includes(kind)) {
    throw new TypeError(
      `Standardizer.${caller}: expected rows of numbers or { shape, data } with a Float32Array, Float64Array or array ` +
        `of numbers, got ${data === undefined ? shown(x) : `data that is ${shown(data)}`}`,
    );
  }
  const [rows, features] = shape;
  const whole = shape.every((length) => Number.isSafeInteger(length) && length >= 0);
  if (shape.length !== 2 || !whole || features === 0) {
    throw new RangeError(
      `Standardizer.${caller}: expected a shape of [rows, features] with at least 1 feature, got [${shape.join(", ")}]`,
    );
  }
  const values = data as NonNullable<typeof data>;
  if (values.length !== rows * features) {
    throw new RangeError(
      `Standardizer.${caller}: shape [${rows}, ${features}] needs ${rows * features} values, got ${values.length}`,
    );
  }
  if (kind !== "Array") return { rows, features, data: values as Float32Array | Float64Array, listed: false };
  const copy = new Float64Array(values.length);
  for (let i = 0; i < copy.length; i++) {
    copy[i] = numberAt(caller, values[i], Math.floor(i / features), i % features);
  }
  return { rows, features, data: copy, listed: false };
}

function readRows(caller: string, lists: readonly (readonly number[])[]): Read {
  const rows = lists.length;
  const bad = lists.findIndex((list) => !Array.isArray(list));
  if (bad >= 0) {
    throw new TypeError(
      `Standardizer.${caller}: expected rows, each an array of numbers, got ${shown(lists[bad])} as row ${bad}`,
    );
  }
  const features = rows > 0 ? lists[0].length : 0;
  if (rows > 0 && features === 0) {
    throw new RangeError(`Standardizer.${caller}: expected rows of at least 1 feature, got 0`);
  }
  const data = new Float64Array(rows * features);
  for (let row = 0, at = 0; row < rows; row++) {
    if (lists[row].length !== features) {
      throw new RangeError(
        `Standardizer.${caller}: row ${row} has ${lists[row].length} values, row 0 has ${features}`,
      );
    }
    for (let j = 0; j < features; j++) data[at++] = numberAt(caller, lists[row][j], row, j);
  }
  return { rows, features, data, listed: true };
}

function numberAt(caller: string, value: unknown, row: number, column: number): number {
  if (typeof value === "number") return value;
  throw new TypeError(
    `Standardizer.${caller}: expected numbers, got ${shown(value)} in row ${row}, column ${column}; a missing value is NaN`,
  );
}

function checkJSON(json: unknown): StandardizerJSON {
  const said = "Standardizer.fromJSON:";
  if (typeof json !== "object" || json === null) {
    const remedy = typeof json === "string" ? "; a text goes through JSON.parse first" : "";
    throw new TypeError(`${said} expected what toJSON gives, got ${shown(json)}${remedy}`);
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
    throw new TypeError(`${said} expected a text as variance, got ${shown(found.variance)}`);
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

/** "Float32Array", "Array", ...: across realms too, where instanceof fails. */
function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** A value as an error message names it. */
function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 20 ? `${value.slice(0, 20)}…` : value);
  if (typeof value === "object" && value !== null) return `an object (${kindOf(value)})`;
  return typeof value === "function" ? "a function" : String(value);
}
