/** Reads and checks the tables that users pass. */

/** A Float16Array, of hosts that have it; in a type of our own, for TypeScript's libraries that don't. */
export interface Float16Values {
  readonly BYTES_PER_ELEMENT: number;
  readonly length: number;
  readonly [index: number]: number;
  readonly [Symbol.toStringTag]: "Float16Array";
}

/** Typed arrays of integers: exact in float64 up to 2⁵³, which those of 64 bits must not exceed. */
export type IntegerValues =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** What a table's values may lie in. All become float64, without loss. */
export type TableData = Float64Array | Float32Array | Float16Values | IntegerValues | readonly number[];

/** A table: row-major values of shape [rows, features]. */
export interface Table<Data = TableData> {
  readonly shape: readonly number[];
  readonly data: Data;
}

/** Input of a `Standardizer`: a table, or rows of equal length. NaN is a missing value. */
export type Tabular = Table | readonly (readonly number[])[];

/** An input after reading; `kind`: "Float64Array", ..., of its data; `listed`: it came as rows. */
export interface Read {
  readonly rows: number;
  readonly features: number;
  readonly data: Exclude<TableData, readonly number[]>;
  readonly kind: string;
  readonly listed: boolean;
}

const typedArrays = [
  "Float64Array",
  "Float32Array",
  "Float16Array",
  "Int8Array",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "BigInt64Array",
  "BigUint64Array",
];

export function refuse(caller: string, value: number, row: number, column: number): never {
  throw new RangeError(
    `Standardizer.${caller}: expected finite values, got ${value} in row ${row}, column ${column}; a missing value is NaN`,
  );
}

export function read(caller: string, x: Tabular): Read {
  if (Array.isArray(x)) return readRows(caller, x);
  const { shape, data } = (x ?? {}) as Partial<Table>;
  const kind = kindOf(data);
  if (!Array.isArray(shape) || !(kind === "Array" || typedArrays.includes(kind))) {
    throw new TypeError(
      `Standardizer.${caller}: expected rows of numbers or { shape, data } with a typed array or array of numbers, ` +
        `got ${data === undefined ? shown(x) : `data that is ${shown(data)}`}`,
    );
  }
  const [rows, features] = shape;
  const valid = shape.every((length) => Number.isSafeInteger(length) && length >= 0);
  if (shape.length !== 2 || !valid || features === 0) {
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
  if (kind !== "Array") return { rows, features, data: values as Read["data"], kind, listed: false };
  const copy = new Float64Array(values.length);
  for (let i = 0; i < copy.length; i++) {
    copy[i] = numberAt(caller, values[i], Math.floor(i / features), i % features);
  }
  return { rows, features, data: copy, kind: "Float64Array", listed: false };
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
  return { rows, features, data, kind: "Float64Array", listed: true };
}

/** Values of a part of a table, as float64: row r, column j at start + r · stride + j. */
export interface Part {
  readonly values: Float64Array;
  readonly start: number;
  readonly stride: number;
}

/**
 * Rows from `top` on, of them the columns from `left` on: where they are, if that is float64, else converted into `buffer`,
 * [rows, columns], which `bufferFor` gives. Loops over float64 alone are fast; one that meets many kinds of arrays is slow in each.
 * @throws RangeError for an integer that float64 does not hold exactly
 */
export function partOf(
  caller: string,
  { features, data, kind }: Read,
  top: number,
  rows: number,
  left: number,
  columns: number,
  buffer: Float64Array,
): Part {
  if (kind === "Float64Array")
    return { values: data as Float64Array, start: top * features + left, stride: features };
  const whole = columns === features;
  const length = whole ? rows * features : columns;
  const convert = kind.startsWith("Big") ? convertIntegers : convertNumbers;
  for (let row = 0, at = 0; row < (whole ? 1 : rows); row++, at += columns) {
    const start = (top + row) * features + left;
    const inexact = convert(data as never, start, length, buffer, at);
    if (inexact < 0) continue;
    throw new RangeError(
      `Standardizer.${caller}: expected integers within ±2^53, which float64 holds exactly, got ${data[inexact]} ` +
        `in row ${Math.floor(inexact / features)}, column ${inexact % features}; subtract an integer first`,
    );
  }
  return { values: buffer, start: 0, stride: columns };
}

/** What `partOf` converts into, float64 [length]; empty where it need not. */
export function bufferFor({ kind }: Read, length: number): Float64Array {
  return kind === "Float64Array" ? noValues : new Float64Array(length);
}

const noValues = new Float64Array(0);

/** Returns −1, or the index of a value that is not exact. */
type Convert<Data> = (data: Data, start: number, length: number, values: Float64Array, at: number) => number;

const convertNumbers: Convert<Float64Array> = (data, start, length, values, at) => {
  values.set(data.subarray(start, start + length), at);
  return -1;
};

const convertIntegers: Convert<BigInt64Array | BigUint64Array> = (data, start, length, values, at) => {
  for (let i = 0; i < length; i++) {
    const value = Number(data[start + i]);
    if (Math.abs(value) > MOST_EXACT || (Math.abs(value) === MOST_EXACT && BigInt(value) !== data[start + i]))
      return start + i;
    values[at + i] = value;
  }
  return -1;
};

const MOST_EXACT = 2 ** 53;

/**
 * Checks weights of rows, [rows]. Others than 0 are bounded, so that sums of their squares neither overflow nor vanish.
 * @throws TypeError for what are no numbers, RangeError for another length, or a weight out of bounds
 */
export function checkWeights(caller: string, weights: unknown, rows: number): ArrayLike<number> {
  const kind = kindOf(weights);
  if (kind !== "Array" && !(typedArrays.includes(kind) && !kind.startsWith("Big"))) {
    throw new TypeError(
      `Standardizer.${caller}: weights must be a list or a typed array of numbers, got ${shown(weights)}`,
    );
  }
  const list = weights as ArrayLike<number>;
  if (list.length !== rows) {
    throw new RangeError(`Standardizer.${caller}: expected ${rows} weights, one a row, got ${list.length}`);
  }
  for (let row = 0; row < rows; row++) {
    const weight = list[row];
    if (weight === 0 || (typeof weight === "number" && weight >= 1e-100 && weight <= 1e100)) continue;
    const said = `Standardizer.${caller}: weights must be 0 or from 1e-100 to 1e100, got ${shown(weight)} for row ${row}`;
    throw typeof weight === "number" ? new RangeError(said) : new TypeError(said);
  }
  return list;
}

function numberAt(caller: string, value: unknown, row: number, column: number): number {
  if (typeof value === "number") return value;
  throw new TypeError(
    `Standardizer.${caller}: expected numbers, got ${shown(value)} in row ${row}, column ${column}; a missing value is NaN`,
  );
}

/** "Float32Array", "Array", ...: across realms too, where instanceof fails. */
function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** A value as an error message names it. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 20 ? `${value.slice(0, 20)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null) return `an object (${kindOf(value)})`;
  return typeof value === "function" ? "a function" : String(value);
}
