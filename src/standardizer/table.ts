/** Reads and checks the tables that users pass. */

/** A table: row-major values of shape [rows, features]. */
export interface Table<Data = Float32Array | Float64Array | readonly number[]> {
  readonly shape: readonly number[];
  readonly data: Data;
}

/** Input of a `Standardizer`: a table, or rows of equal length. NaN is a missing value. */
export type Tabular = Table | readonly (readonly number[])[];

/** An input after reading; `listed`: it came as rows. */
export interface Read {
  readonly rows: number;
  readonly features: number;
  readonly data: Float32Array | Float64Array;
  readonly listed: boolean;
}

export function refuse(caller: string, value: number, row: number, column: number): never {
  throw new RangeError(
    `Standardizer.${caller}: expected finite values, got ${value} in row ${row}, column ${column}; a missing value is NaN`,
  );
}

export function read(caller: string, x: Tabular): Read {
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

/** "Float32Array", "Array", ...: across realms too, where instanceof fails. */
export function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** A value as an error message names it. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 20 ? `${value.slice(0, 20)}…` : value);
  if (typeof value === "object" && value !== null) return `an object (${kindOf(value)})`;
  return typeof value === "function" ? "a function" : String(value);
}
