/**
 * Records as JSON, Parquet and Arrow have them, as a table. Objects in them become columns of their own, `address.city`,
 * and so do lists of numbers that all have one length, `embedding.0`. What no cell can hold (other lists, bytes) is left
 * out, and told.
 */
import { printable } from "@evenkeel/report/format";
import {
  type Decision,
  type Limits,
  type RawColumn,
  type RawTable,
  usualLimits,
  type Value,
} from "../table.js";
import { checkSize } from "./size.js";

/** Objects within objects: deeper ones are left out. */
const MOST_DEPTH = 8;
/** Keys of an object in a cell; one that has more of them over all rows is a dictionary, not a part of the record. */
const MOST_KEYS = 256;
/** Numbers of a list that become columns. */
const MOST_NUMBERS = 2048;

/** What a cell cannot hold, as it is told. */
type Unread =
  | "lists"
  | "bytes"
  | "objects nested too deep"
  | "dictionaries of many keys"
  | "values of no known type";

type From = "number" | "text" | "boolean" | "date" | "long";

/** A field of the records, with the fields of the objects in it. */
interface Field {
  name: string;
  fields: Map<string, Field>;
  /** [rows], once there is a value that a cell can hold. */
  cells?: (Value | Date)[];
  /** What its cells come from. */
  from: Set<From>;
  /** [rows], once there is a list. */
  lists?: (ArrayLike<unknown> | undefined)[];
  unread: Set<Unread>;
}

/** Rows by name; `names` are those known beforehand, in their order, and others follow in order of appearance. Throws UsageError above a limit. */
export function tableOfRecords(
  rows: readonly Readonly<Record<string, unknown>>[],
  file: string,
  names: readonly string[] = [],
  limits: Partial<Limits> = {},
): RawTable {
  const fields = new Fields(rows.length, file, limits);
  for (const name of names) fields.of(name);
  // all fields are known, and not too many, before memory is taken for their cells
  for (const record of rows) {
    for (const name of Object.keys(record)) fields.findIn(fields.of(name), record[name], 0);
  }
  for (const [row, record] of rows.entries()) {
    for (const name of Object.keys(record)) fields.put(fields.of(name), row, record[name]);
  }
  return fields.table();
}

/** As `tableOfRecords`, for formats that keep their columns: each has `rowCount` values. */
export function tableOfColumns(
  columns: readonly { name: string; values: ArrayLike<unknown> }[],
  rowCount: number,
  file: string,
  limits: Partial<Limits> = {},
): RawTable {
  const fields = new Fields(rowCount, file, limits);
  const added = columns.map(({ name, values }) => {
    const field = fields.added(name);
    for (let row = 0; row < rowCount; row++) fields.findIn(field, values[row], 0);
    return field;
  });
  for (const [index, { values }] of columns.entries()) {
    for (let row = 0; row < rowCount; row++) fields.put(added[index], row, values[row]);
  }
  return fields.table();
}

class Fields {
  /** Of the records themselves. Names may recur: a flat `a.b` beside a `b` in an `a`. */
  private readonly top: Field[] = [];
  private readonly byName = new Map<string, Field>();
  private readonly limits: Limits;
  private count = 0;

  constructor(
    private readonly rowCount: number,
    private readonly file: string,
    limits: Partial<Limits>,
  ) {
    this.limits = { ...usualLimits, ...limits };
  }

  of(name: string): Field {
    let field = this.byName.get(name);
    if (field === undefined) {
      field = this.added(name);
      this.byName.set(name, field);
    }
    return field;
  }

  added(name: string): Field {
    const field = this.made(name);
    this.top.push(field);
    return field;
  }

  /** Adds the fields of an object, and of those in it. */
  findIn(field: Field, value: unknown, depth: number): void {
    if (!isRecord(value) || field.unread.has("dictionaries of many keys")) return;
    if (depth === MOST_DEPTH) {
      field.unread.add("objects nested too deep");
      return;
    }
    for (const key of Object.keys(value)) {
      let inner = field.fields.get(key);
      if (inner === undefined) {
        if (field.fields.size === MOST_KEYS) {
          this.count -= [...everyField(field.fields.values())].length;
          field.fields.clear();
          field.unread.add("dictionaries of many keys");
          return;
        }
        inner = this.made(within(field.name, key));
        field.fields.set(key, inner);
      }
      this.findIn(inner, value[key], depth + 1);
    }
  }

  put(field: Field, row: number, value: unknown): void {
    if (value === null || value === undefined) return;
    if (typeof value === "number") {
      // NaN is how numbers say that there is none
      if (!Number.isNaN(value)) this.set(field, row, value, "number");
    } else if (typeof value === "string") this.set(field, row, value, "text");
    else if (typeof value === "boolean") this.set(field, row, String(value), "boolean");
    else if (typeof value === "bigint") {
      const number = Number(value);
      if (Number.isSafeInteger(number)) this.set(field, row, number, "number");
      else this.set(field, row, String(value), "long");
    } else if (value instanceof Date) {
      if (!Number.isNaN(value.getTime())) this.set(field, row, value, "date");
    } else if (value instanceof Uint8Array || value instanceof DataView || value instanceof ArrayBuffer) {
      field.unread.add("bytes");
    } else if (Array.isArray(value) || ArrayBuffer.isView(value)) {
      field.lists ??= new Array(this.rowCount).fill(undefined);
      field.lists[row] = value as ArrayLike<unknown>;
    } else if (isRecord(value)) {
      for (const key of Object.keys(value)) {
        const inner = field.fields.get(key);
        if (inner !== undefined) this.put(inner, row, value[key]);
      }
    } else field.unread.add("values of no known type");
  }

  private set(field: Field, row: number, value: Value | Date, from: From): void {
    field.cells ??= new Array<Value>(this.rowCount).fill(null);
    field.cells[row] = value;
    field.from.add(from);
  }

  private made(name: string): Field {
    this.grown(1);
    return { name, fields: new Map(), from: new Set(), unread: new Set() };
  }

  private grown(by: number): void {
    this.count += by;
    checkSize(this.file, this.rowCount, this.rowCount, this.count, this.limits);
  }

  table(): RawTable {
    const columns: RawColumn[] = [];
    const spread: string[] = [];
    const leftOut = new Map<Unread, string[]>();
    const missing = new Map<Unread, string[]>();
    for (const field of everyField(this.top)) {
      const { name, cells, unread } = field;
      const lists = cells === undefined && unread.size === 0 ? this.numbersOf(field) : undefined;
      if (lists !== undefined) {
        columns.push(...lists);
        spread.push(printable(name));
      } else if (field.lists !== undefined) unread.add("lists");
      for (const kind of unread) {
        const told = cells === undefined ? leftOut : missing;
        const names = told.get(kind) ?? [];
        told.set(kind, names);
        names.push(printable(name));
      }
      if (cells !== undefined) columns.push(columnOf(field, cells));
      else if (unread.size === 0 && field.fields.size === 0 && lists === undefined) {
        columns.push({ name, cells: new Array<Value>(this.rowCount).fill(null) });
      }
    }
    const decisions: Decision[] = [];
    if (spread.length > 0) {
      decisions.push({
        columns: spread,
        what: "read as columns of their own",
        why: "lists of numbers, all of one length",
      });
    }
    for (const [why, names] of leftOut) decisions.push({ columns: names, what: "left out", why });
    for (const [kind, names] of missing)
      decisions.push({ columns: names, what: "missing in some rows", why: kind });
    return { columns, rowCount: this.rowCount, decisions };
  }

  /** A column for each number of a field's lists, where they are numbers, of one length and not too many. */
  private numbersOf({ name, lists }: Field): RawColumn[] | undefined {
    if (lists === undefined) return undefined;
    let length: number | undefined;
    for (const list of lists) {
      if (list === undefined) continue;
      length ??= list.length;
      if (list.length !== length || length === 0 || length > MOST_NUMBERS) return undefined;
      for (let i = 0; i < length; i++) {
        const type = typeof list[i];
        if (type !== "number" && type !== "bigint" && list[i] !== null) return undefined;
      }
    }
    this.grown((length ?? 1) - 1);
    return Array.from({ length: length ?? 0 }, (_, i): RawColumn => {
      const cells = new Array<Value>(this.rowCount).fill(null);
      for (const [row, list] of lists.entries()) {
        const number = list === undefined || list[i] === null ? Number.NaN : Number(list[i]);
        if (!Number.isNaN(number)) cells[row] = number;
      }
      return { name: within(name, String(i)), cells, type: "number" };
    });
  }
}

/** Whether a value is an object with fields. */
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  !ArrayBuffer.isView(value) &&
  ![Date, ArrayBuffer, Map, Set].some((type) => value instanceof type);

/** Each field, and the fields in it after it. Their depth is bounded. */
function* everyField(fields: Iterable<Field>): Generator<Field> {
  for (const field of fields) {
    yield field;
    yield* everyField(field.fields.values());
  }
}

/** Whoever nests long keys in long keys gets no name for each pair of them. */
export function within(name: string, key: string): string {
  const outer = name.length > 100 ? `${name.slice(0, 99)}…` : name;
  return `${outer}.${key}`;
}

function columnOf({ name, from }: Field, cells: (Value | Date)[]): RawColumn {
  const [first, ...others] = from;
  if (others.length === 0 && first === "date") {
    return { name, cells: cells.map((cell) => (cell instanceof Date ? cell.getTime() : cell)), type: "date" };
  }
  const plain = cells.map((cell) => (cell instanceof Date ? cell.toISOString() : cell));
  // an identifier keeps all its digits, and those beside it are text too
  if (from.has("long")) return { name, cells: plain.map((cell) => (cell === null ? null : String(cell))) };
  if (others.length > 0 || first === "text") return { name, cells: plain };
  return { name, cells: plain, type: first === "number" ? "number" : "text" };
}
