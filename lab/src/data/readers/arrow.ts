/**
 * Apache Arrow's files and streams (Feather of version 2 is the former), compressed or not, in ranges and by columns.
 * Members of structs are columns of their own, dictionaries are levels; what no cell can hold is left out, and told.
 */
import { printable, quote } from "@evenkeel/report/format";
import { FailureError, UsageError } from "../../errors.js";
import {
  type Kind,
  type Limits,
  type RawColumn,
  type RawTable,
  type ReadOptions,
  usualLimits,
  type Value,
} from "../table.js";
import {
  type Batch,
  type Field,
  type Message,
  readFooter,
  readMessage,
  type Schema,
  type Type,
} from "./arrow-metadata.js";
import { lz4 } from "./lz4.js";
import { tableOfColumns } from "./records.js";
import { drawn } from "./sample.js";
import { checkSize } from "./size.js";
import type { Source } from "./source.js";
import {
  Budget,
  Collected,
  DAY,
  dateOf,
  decimalOf,
  float16,
  integerOf,
  integersOf,
  NoText,
  numberOrNone,
  Pandas,
  scaleOf,
  textOfBytes,
  whyOf,
} from "./stored.js";
import { zstd } from "./zstd.js";

const MAGIC = "ARROW1";
/** Metadata of one message: that of a table of many columns is long. */
const MOST_METADATA = 2 ** 27;
/** What pads a buffer. */
const PADDING = 1024;

/** A cell, or a list of cells. */
type Entry = Value | Entry[];
type Entries = (index: number) => Entry;

/** A batch of rows, or of a dictionary's values, with the dictionaries that are in force. */
interface Step {
  version: number;
  batch: Batch;
  /** Where its buffers start, and how many bytes they are. */
  body: number;
  bodyLength: number;
  dictionaries: ReadonlyMap<number, readonly Step[]>;
}

/** A column: a field, or one in structs. */
interface Leaf {
  name: string;
  /** The field of the schema, and which of its children, of their children …. */
  path: number[];
  type: Type;
  /** Why it is not read. */
  unread: string | undefined;
}

/** Where a field's nodes and buffers are in its batch. */
interface Place {
  length: number;
  nulls: number;
  /** Of its own buffers, by their number in the batch. */
  buffers: number[];
  children: Place[];
}

/**
 * The columns of an Arrow file or stream; `file` is its name in messages. Throws UsageError for what is not read, with
 * the remedy, and above a limit, FailureError for what is not whole.
 */
export async function readArrow(source: Source, file: string, options: ReadOptions): Promise<RawTable> {
  try {
    return await new Reader(source, file, options).table();
  } catch (error) {
    if (error instanceof UsageError || error instanceof FailureError) throw error;
    throw new FailureError(
      `${file}: not a complete Arrow file (${whyOf(error)}); it may be truncated: fetch or write it again`,
    );
  }
}

class Reader {
  private readonly limits: Limits;
  private readonly budget: Budget;
  private readonly dictionaries = new Map<Step, Promise<Value[]>>();

  constructor(
    private readonly source: Source,
    private readonly file: string,
    private readonly options: ReadOptions,
  ) {
    this.limits = { ...usualLimits, ...options.limits };
    this.budget = new Budget(file, this.limits.bytes);
  }

  async table(): Promise<RawTable> {
    const { schema, batches, ended } = await this.messages();
    if (schema.bigEndian) throw this.unread("one in big-endian order");
    const leaves = schema.fields.flatMap((field, index) => leavesOf(field, [index], field.name));
    const rowCount = batches.reduce((sum, { batch }) => sum + batch.rows, 0);
    const kept = Math.min(rowCount, this.options.sample ?? rowCount);
    checkSize(
      this.file,
      rowCount,
      kept,
      leaves.filter(({ unread }) => unread === undefined).length,
      this.limits,
    );
    const rows = drawn(rowCount, this.options.sample);
    const places = batches.map(({ batch, version }) => placesOf(schema, batch, version));
    const table = new Collected();
    for (const leaf of new Pandas(schema.metadata.get("pandas")).indexFirst(leaves)) {
      const column = leaf.unread ? undefined : await this.column(leaf, schema, batches, places, rows);
      if (column === undefined) table.leftOut(leaf.name, leaf.unread ?? "bytes");
      else if (isList(leaf.type)) {
        const lists = tableOfColumns(
          [{ name: leaf.name, values: column.cells }],
          column.cells.length,
          this.file,
          this.limits,
        );
        table.columns.push(...lists.columns);
        for (const decision of lists.decisions) table.tell(decision);
      } else {
        table.columns.push(column);
        const told = { Time: "read as seconds since midnight", Duration: "read as seconds" }[leaf.type.name];
        if (told !== undefined) table.tell({ columns: [printable(leaf.name)], what: told });
      }
    }
    if (!ended) {
      table.tell({ columns: [], what: "read to its end", why: "it has no mark there, and may be cut off" });
    }
    const { columns, decisions } = table;
    return { columns, rowCount, ...(rows && { rowNumbers: rows.map((row) => row + 1) }), decisions };
  }

  /** The batches of a file by the index at its end, those of a stream one after the other. */
  private async messages(): Promise<{ schema: Schema; batches: Step[]; ended: boolean }> {
    const { byteLength } = this.source;
    if (byteLength === 0) throw new Error("it is empty");
    const steps = new Steps();
    const magic = String.fromCharCode(...(await this.bytes(0, Math.min(6, byteLength))));
    if (magic === MAGIC) {
      if (byteLength < 18) throw new Error("it ends too early");
      const tail = await this.bytes(byteLength - 10, byteLength);
      if (String.fromCharCode(...tail.subarray(4)) !== MAGIC) throw new Error(`it does not end in ${MAGIC}`);
      const length = viewOf(tail).getInt32(0, true);
      if (length < 0 || length > byteLength - 18) throw new Error("its index is longer than the file");
      const { schema, messages } = readFooter(await this.bytes(byteLength - 10 - length, byteLength - 10));
      for (const at of messages) {
        const found = await this.message(at, byteLength - 10);
        if (found === undefined) throw new Error("its index points elsewhere");
        steps.add(found.message, found.body);
      }
      return { schema, batches: steps.batches, ended: true };
    }
    let schema: Schema | undefined;
    for (let at = 0; at < byteLength; ) {
      const found = await this.message(at, byteLength);
      if (found === undefined) {
        if (schema === undefined) throw new Error("it has no schema");
        return { schema, batches: steps.batches, ended: true };
      }
      schema ??= found.message.schema;
      if (schema === undefined) throw new Error("it does not start with a schema");
      steps.add(found.message, found.body);
      at = found.body + found.message.bodyLength;
    }
    if (schema === undefined) throw new Error("it has no schema");
    return { schema, batches: steps.batches, ended: false };
  }

  /** The message at a place, and where its buffers start; undefined at the mark of the end. */
  private async message(at: number, end: number): Promise<{ message: Message; body: number } | undefined> {
    if (at + 4 > end) throw new Error("it ends too early");
    const start = viewOf(await this.bytes(at, Math.min(at + 8, end)));
    // before version 0.15 there was no mark before the length
    const marked = start.getInt32(0, true) === -1;
    if (marked && start.byteLength < 8) throw new Error("it ends too early");
    const length = start.getInt32(marked ? 4 : 0, true);
    if (length === 0) return undefined;
    const metadata = at + (marked ? 8 : 4);
    const body = metadata + length;
    if (length < 0 || length > MOST_METADATA || body > end) throw new Error("a message ends beyond the file");
    const message = readMessage(await this.bytes(metadata, body));
    if (body + message.bodyLength > end) throw new Error("a message ends beyond the file");
    return { message, body };
  }

  private async column(
    leaf: Leaf,
    schema: Schema,
    batches: readonly Step[],
    places: readonly Place[][],
    rows: Int32Array | undefined,
  ): Promise<RawColumn | undefined> {
    const cells: Entry[] = [];
    const levels = new Set<string>();
    let first = 0;
    let taken = 0;
    try {
      for (const [index, step] of batches.entries()) {
        let end = taken;
        if (rows === undefined) end += step.batch.rows;
        else while (end < rows.length && rows[end] < first + step.batch.rows) end++;
        if (end > taken) {
          const entries = await this.leaf(leaf, schema, step, places[index]);
          for (let i = taken; i < end; i++)
            cells.push(entries(rows === undefined ? i - taken : rows[i] - first));
          if (leaf.type.dictionary) {
            for (const level of await this.dictionary(leaf.type.dictionary, step)) {
              if (level !== null) levels.add(String(level));
            }
          }
        }
        taken = end;
        first += step.batch.rows;
      }
    } catch (error) {
      if (error instanceof NoText) return undefined;
      if (error instanceof UsageError || error instanceof FailureError) throw error;
      throw new Error(`column ${quote(leaf.name)}: ${whyOf(error)}`);
    }
    // lists are made columns by others
    const column = { name: leaf.name, cells: cells as Value[] };
    const kind = kindOf(leaf.type.dictionary?.values ?? leaf.type);
    if (leaf.type.dictionary && kind !== "date") {
      return {
        ...column,
        cells: column.cells.map((cell) => (cell === null ? null : String(cell))),
        type: "text",
        levels: [...levels],
      };
    }
    return { ...column, ...(kind && { type: kind }), ...(isInteger(leaf.type) && integersOf(column.cells)) };
  }

  /** The cells of a column in one batch: none where a struct around it is missing. */
  private async leaf(leaf: Leaf, schema: Schema, step: Step, places: readonly Place[]): Promise<Entries> {
    const [top, ...within] = leaf.path;
    let { type } = schema.fields[top];
    let place = places[top];
    const around: ((index: number) => boolean)[] = [];
    for (const child of within) {
      around.push(await this.validity(step, place));
      type = type.children[child].type;
      place = place.children[child];
    }
    const entries = await this.open(type, place, step);
    return (index) => (around.every((valid) => valid(index)) ? entries(index) : null);
  }

  /** Reads the entries of a field in one batch, in any order. */
  private async open(type: Type, place: Place, step: Step): Promise<Entries> {
    if (type.name === "Null") return () => null;
    if (type.name === "RunEndEncoded") return this.runs(type, place, step);
    const valid = await this.validity(step, place);
    const entries = await this.values(type, place, step);
    return (index) => (valid(index) ? entries(index) : null);
  }

  private async values(type: Type, place: Place, step: Step): Promise<Entries> {
    const { length, buffers } = place;
    const fixed = async (bytes: number) => viewOf(await this.buffer(step, buffers[1], length * bytes));
    const { dictionary, name, size, unit } = type;
    if (dictionary) {
      const index = integerAt(await fixed(size / 8), size, type.signed);
      const cells = await this.dictionary(dictionary, step);
      return (at) => {
        const entry = Number(index(at));
        if (!(entry >= 0 && entry < cells.length))
          throw new Error("it refers to a value that its dictionary lacks");
        return cells[entry];
      };
    }
    switch (name) {
      case "Bool": {
        const bits = await this.buffer(step, buffers[1], Math.ceil(length / 8));
        return (at) => String(((bits[at >> 3] >> (at & 7)) & 1) === 1);
      }
      case "Int": {
        const integer = integerAt(await fixed(size / 8), size, type.signed);
        return (at) => {
          const value = integer(at);
          return typeof value === "bigint" ? integerOf(value) : value;
        };
      }
      case "Float": {
        const view = await fixed(2 ** (unit + 1));
        if (unit === 0) return (at) => numberOrNone(float16(view.getUint16(2 * at, true)));
        if (unit === 1) return (at) => numberOrNone(view.getFloat32(4 * at, true));
        return (at) => numberOrNone(view.getFloat64(8 * at, true));
      }
      case "Decimal": {
        const integer = integerAt(await fixed(size / 8), size, true);
        const scale = scaleOf(type.scale);
        return (at) => decimalOf(integer(at), scale);
      }
      case "Date": {
        const integer = integerAt(await fixed(unit === 0 ? 4 : 8), unit === 0 ? 32 : 64, true);
        return (at) => dateOf(Number(integer(at)) * (unit === 0 ? DAY : 1));
      }
      case "Timestamp": {
        const integer = integerAt(await fixed(8), 64, true);
        const [times, by] = [
          [1000n, 1n],
          [1n, 1n],
          [1n, 1000n],
          [1n, 1_000_000n],
        ][unit] ?? [1n, 1n];
        return (at) => dateOf(Number((BigInt(integer(at)) * times) / by));
      }
      case "Time":
      case "Duration": {
        const bits = name === "Duration" ? 64 : size;
        const integer = integerAt(await fixed(bits / 8), bits, true);
        return (at) => Number(integer(at)) / 1000 ** unit;
      }
      case "FixedSizeBinary": {
        const bytes = await this.buffer(step, buffers[1], length * size);
        return (at) => this.text(bytes.subarray(at * size, (at + 1) * size), false);
      }
      case "Utf8":
      case "LargeUtf8":
      case "Binary":
      case "LargeBinary": {
        const range = await this.offsets(type, place, step);
        const bytes = await this.buffer(step, buffers[2]);
        return (at) => {
          const [start, end] = range(at);
          if (end > bytes.length) throw new Error("a text ends beyond its buffer");
          return this.text(bytes.subarray(start, end), name.endsWith("Utf8"));
        };
      }
      case "Utf8View":
      case "BinaryView":
        return this.views(place, step, name === "Utf8View");
      case "List":
      case "LargeList": {
        const range = await this.offsets(type, place, step);
        return this.lists(type, place, step, range);
      }
      case "FixedSizeList":
        return this.lists(type, place, step, (at) => [at * size, (at + 1) * size]);
      default:
        throw new Error(`values of type ${name}, which is not read`);
    }
  }

  private async lists(
    type: Type,
    place: Place,
    step: Step,
    range: (at: number) => [number, number],
  ): Promise<Entries> {
    const [child] = place.children;
    const entries = await this.open(type.children[0].type, child, step);
    return (at) => {
      const [start, end] = range(at);
      if (end > child.length) throw new Error("a list ends beyond its values");
      // as many as there are bytes for them: lists may be of the same values
      this.budget.spend(8 * (end - start));
      return Array.from({ length: end - start }, (_, index) => entries(start + index));
    };
  }

  private async offsets(type: Type, place: Place, step: Step): Promise<(at: number) => [number, number]> {
    const bits = type.name.startsWith("Large") ? 64 : 32;
    // a column without rows may be without its one offset
    const count = place.length === 0 ? 0 : place.length + 1;
    const integer = integerAt(
      viewOf(await this.buffer(step, place.buffers[1], (count * bits) / 8)),
      bits,
      true,
    );
    return (at) => {
      const start = Number(integer(at));
      const end = Number(integer(at + 1));
      if (!(start >= 0 && start <= end)) throw new Error("its offsets are damaged");
      return [start, end];
    };
  }

  /** Texts of up to 12 bytes in place, longer ones by where they are. */
  private async views({ buffers, length }: Place, step: Step, declared: boolean): Promise<Entries> {
    const places = await this.buffer(step, buffers[1], 16 * length);
    const view = viewOf(places);
    const parts: Uint8Array[] = [];
    for (const number of buffers.slice(2)) parts.push(await this.buffer(step, number));
    return (at) => {
      const bytes = view.getInt32(16 * at, true);
      if (bytes < 0) throw new Error("a text of a negative length");
      if (bytes <= 12) return this.text(places.subarray(16 * at + 4, 16 * at + 4 + bytes), declared);
      const part = parts[view.getInt32(16 * at + 8, true)];
      const start = view.getInt32(16 * at + 12, true);
      if (part === undefined || start < 0 || start + bytes > part.length) {
        throw new Error("a text ends beyond its buffer");
      }
      return this.text(part.subarray(start, start + bytes), declared);
    };
  }

  private async runs(type: Type, place: Place, step: Step): Promise<Entries> {
    const [endsPlace, valuesPlace] = place.children;
    const ends = await this.open(type.children[0].type, endsPlace, step);
    const values = await this.open(type.children[1].type, valuesPlace, step);
    return (index) => {
      let low = 0;
      let high = Math.min(endsPlace.length, valuesPlace.length);
      while (low < high) {
        const middle = (low + high) >> 1;
        if (Number(ends(middle)) > index) high = middle;
        else low = middle + 1;
      }
      if (low >= Math.min(endsPlace.length, valuesPlace.length)) throw new Error("its runs end too early");
      return values(low);
    };
  }

  /** The values of a dictionary where a batch begins. */
  private async dictionary({ id, values }: { id: number; values: Type }, step: Step): Promise<Value[]> {
    const cells: Value[] = [];
    for (const part of step.dictionaries.get(id) ?? []) {
      let known = this.dictionaries.get(part);
      if (known === undefined) {
        known = this.dictionaryPart(values, part);
        this.dictionaries.set(part, known);
      }
      const more = await known;
      if (step.dictionaries.get(id)?.length === 1) return more;
      for (const cell of more) cells.push(cell);
    }
    return cells;
  }

  private async dictionaryPart(type: Type, step: Step): Promise<Value[]> {
    const [place] = placesOf({ fields: [{ name: "", type }] }, step.batch, step.version);
    checkSize(this.file, place.length, place.length, 1, this.limits);
    const entries = await this.open(type, place, step);
    return Array.from({ length: place.length }, (_, index) => entries(index) as Value);
  }

  private async validity(step: Step, { length, nulls, buffers }: Place): Promise<(index: number) => boolean> {
    const region = step.batch.buffers[buffers[0]];
    if (nulls === 0 || region === undefined || region.length === 0) return () => true;
    const bits = await this.buffer(step, buffers[0], Math.ceil(length / 8));
    return (index) => ((bits[index >> 3] >> (index & 7)) & 1) === 1;
  }

  /**
   * A buffer of a batch, decompressed: the `needed` bytes at its start, or all of it. Throws where it is shorter, and
   * where it declares much more than is needed.
   */
  private async buffer(step: Step, number: number, needed?: number): Promise<Uint8Array> {
    const region = step.batch.buffers[number];
    if (region === undefined || region.offset + region.length > step.bodyLength) {
      throw new Error("a buffer ends beyond its message");
    }
    const start = step.body + region.offset;
    if (region.length === 0 && !needed) return new Uint8Array(0);
    const { codec } = step.batch;
    if (codec === undefined) {
      if (needed !== undefined && needed > region.length)
        throw new Error("a buffer is shorter than its rows");
      return this.bytes(start, start + (needed ?? region.length));
    }
    if (region.length < 8) throw new Error("a buffer is shorter than its rows");
    const packed = await this.bytes(start, start + region.length);
    const length = Number(viewOf(packed).getBigInt64(0, true));
    const bytes = packed.subarray(8);
    if (length !== -1) {
      if (!(length >= 0)) throw new Error("a buffer of a negative length");
      if (needed === undefined) this.budget.spend(length);
      else if (length > 2 * needed + PADDING) throw new Error("a buffer is longer than its rows");
    }
    const unpacked = length === -1 ? bytes : decompress(bytes, length, codec);
    if (needed !== undefined && needed > unpacked.length)
      throw new Error("a buffer is shorter than its rows");
    return unpacked;
  }

  private text(bytes: Uint8Array, declared: boolean): string {
    this.budget.spend(bytes.length);
    return textOfBytes(bytes, declared);
  }

  private async bytes(start: number, end: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(await this.source.slice(start, end));
    if (bytes.length < end - start) throw new Error("it ends too early");
    return bytes;
  }

  private unread(what: string): UsageError {
    return new UsageError(
      `${this.file}: expected an Arrow file that can be read, got ${what}; write it as .parquet`,
    );
  }
}

function decompress(bytes: Uint8Array, length: number, codec: number): Uint8Array {
  if (codec === 0) return lz4(bytes, length);
  if (codec === 1) return zstd(bytes, length);
  throw new Error(`compression of number ${codec}, which is not read`);
}

/** Batches, with the dictionaries that came before them. */
class Steps {
  readonly batches: Step[] = [];
  private dictionaries: ReadonlyMap<number, readonly Step[]> = new Map();

  add({ version, bodyLength, batch, dictionary }: Message, body: number): void {
    const step = { version, body, bodyLength, dictionaries: this.dictionaries };
    if (batch) this.batches.push({ ...step, batch });
    if (dictionary) {
      const { id, delta } = dictionary;
      const before = delta ? (this.dictionaries.get(id) ?? []) : [];
      this.dictionaries = new Map(this.dictionaries).set(id, [
        ...before,
        { ...step, batch: dictionary.batch },
      ]);
    }
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Integers in little-endian order; those of 64 bits and more are bigints. */
function integerAt(view: DataView, bits: number, signed: boolean): (index: number) => number | bigint {
  switch (bits) {
    case 8:
      return signed ? (at) => view.getInt8(at) : (at) => view.getUint8(at);
    case 16:
      return signed ? (at) => view.getInt16(2 * at, true) : (at) => view.getUint16(2 * at, true);
    case 32:
      return signed ? (at) => view.getInt32(4 * at, true) : (at) => view.getUint32(4 * at, true);
    case 64:
      return signed ? (at) => view.getBigInt64(8 * at, true) : (at) => view.getBigUint64(8 * at, true);
    case 128:
    case 256:
      return (at) => {
        let value = 0n;
        for (let i = bits / 64 - 1; i >= 0; i--) {
          value = (value << 64n) | view.getBigUint64((at * bits) / 8 + 8 * i, true);
        }
        return BigInt.asIntN(bits, value);
      };
    default:
      throw new Error(`integers of ${bits} bits`);
  }
}

/** Where each field's nodes and buffers are: they stand in the order of a walk through the schema. */
function placesOf({ fields }: Pick<Schema, "fields">, batch: Batch, version: number): Place[] {
  let node = 0;
  let buffer = 0;
  let variadic = 0;
  const visit = ({ type }: Field): Place => {
    const { length, nulls } = batch.nodes[node++] ?? { length: -1, nulls: 0 };
    if (length < 0) throw new Error("a batch lacks columns");
    let count = buffersOf(type, version);
    if (type.name.endsWith("View") && !type.name.startsWith("L")) count += batch.variadic[variadic++] ?? 0;
    if (buffer + count > batch.buffers.length) throw new Error("a batch lacks buffers");
    const buffers = Array.from({ length: count }, (_, index) => buffer + index);
    buffer += count;
    const children = type.dictionary ? [] : type.children.map(visit);
    // members of a struct are as many as there are structs
    if (type.name === "Struct" && children.some((child) => child.length < length)) {
      throw new Error("a struct lacks members");
    }
    return { length, nulls, buffers, children };
  };
  return fields.map((field) => {
    const place = visit(field);
    if (place.length !== batch.rows) throw new Error("a column has more or fewer values than rows");
    return place;
  });
}

/** How many buffers a type has, besides those of its children and of its long texts. */
function buffersOf(type: Type, version: number): number {
  if (type.dictionary) return 2;
  const old = version < 4 ? 1 : 0;
  switch (type.name) {
    case "Null":
      return 0;
    // before V5 these had a validity too
    case "RunEndEncoded":
      return old;
    case "Union":
      return (type.mode === 0 ? 1 : 2) + old;
    case "Struct":
    case "FixedSizeList":
      return 1;
    case "Utf8":
    case "LargeUtf8":
    case "Binary":
    case "LargeBinary":
    case "ListView":
    case "LargeListView":
      return 3;
    default:
      return 2;
  }
}

const isList = ({ name, dictionary }: Type) =>
  dictionary === undefined && (name === "List" || name === "LargeList" || name === "FixedSizeList");

/** Whether a column's cells are integers, of which those beyond 2⁵³ are text. */
function isInteger(type: Type): boolean {
  if (type.dictionary) return false;
  return type.name === "RunEndEncoded" ? isInteger(type.children[1].type) : type.name === "Int";
}

/** The kind of a type's cells; none where it is text that is yet to be understood. */
function kindOf(type: Type): Kind | undefined {
  switch (type.name) {
    case "Int":
    case "Float":
    case "Decimal":
    case "Time":
    case "Duration":
      return "number";
    case "Date":
    case "Timestamp":
      return "date";
    case "Bool":
      return "text";
    case "RunEndEncoded":
      return kindOf(type.children[1].type);
    default:
      return undefined;
  }
}

/** The columns of a field: itself, or those of a struct's members. */
function leavesOf({ type }: Field, path: number[], name: string): Leaf[] {
  if (type.name === "Struct" && type.dictionary === undefined && type.children.length > 0) {
    return type.children.flatMap((child, index) =>
      leavesOf(child, [...path, index], `${name}.${child.name}`),
    );
  }
  return [{ name, path, type, unread: unreadOf(type) }];
}

function unreadOf(type: Type): string | undefined {
  const { name, children } = type;
  if (type.dictionary) {
    const { values } = type.dictionary;
    return isNested(values) || values.dictionary ? "dictionaries of lists and structs" : unreadOf(values);
  }
  if (isList(type) || name === "RunEndEncoded") {
    const inner = children.at(-1)?.type;
    if (children.length !== (name === "RunEndEncoded" ? 2 : 1) || inner === undefined) return "lists";
    return isNested(inner) ? "lists" : unreadOf(inner);
  }
  const why: Record<string, string> = {
    Map: "maps",
    Union: "unions",
    Interval: "intervals",
    Struct: "structs",
    ListView: "lists",
    LargeListView: "lists",
  };
  return why[name];
}

const isNested = ({ name, children }: Type) => children.length > 0 || name === "Null" || name === "Struct";
