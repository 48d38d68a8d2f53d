/**
 * Apache Arrow's files and streams (Feather of version 2 is the former), compressed or not, in ranges and by columns.
 * Members of structs are columns of their own, dictionaries are levels; what no cell can hold is left out, and told.
 *
 * Not by flechette, which gives all batches the last dictionary where one replaces another, takes damaged offsets for
 * other texts and lists without a word, fails at dates beyond 2⁵³ and at decimals of a negative scale, and unpacks every
 * column of the whole file. What would have to be checked for it is nearly all that is here.
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
import { tableOfColumns, within } from "./records.js";
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

/** A batch of rows, or of a dictionary's values. */
interface Step {
  version: number;
  batch: Batch;
  /** Where its buffers start, and how many bytes they are. */
  body: number;
  bodyLength: number;
  /** Of the batches of rows, how many stand before it. */
  number: number;
}

/** A dictionary, in force from its first part's number on, and until another one of its id is; other parts add to it. */
interface Dictionary {
  parts: Step[];
  cells?: Promise<Value[]>;
}

/** A column: a field, or one in structs. */
interface Leaf {
  name: string;
  /** The field of the schema, and which of its children, of their children …. */
  path: number[];
  type: Type;
  /** Of its values: those of its runs. */
  inner: Type;
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
  /** Of rows. */
  private readonly batches: Step[] = [];
  /** By id, in order. */
  private readonly dictionaries = new Map<number, Dictionary[]>();
  /** Values of dictionaries that are in memory. */
  private levels = 0;

  constructor(
    private readonly source: Source,
    private readonly file: string,
    private readonly options: ReadOptions,
  ) {
    this.limits = { ...usualLimits, ...options.limits };
    this.budget = new Budget(file, this.limits.bytes);
  }

  async table(): Promise<RawTable> {
    const { schema, ended } = await this.messages();
    if (schema.bigEndian) {
      throw new UsageError(
        `${this.file}: expected an Arrow file that can be read, got one in big-endian order; write it as .parquet`,
      );
    }
    const leaves = schema.fields.flatMap((field, index) => leavesOf(field, [index], field.name));
    const rowCount = this.batches.reduce((sum, { batch }) => sum + batch.rows, 0);
    const kept = Math.min(rowCount, this.options.sample ?? rowCount);
    const columnCount = leaves.filter(({ unread }) => unread === undefined).length;
    checkSize(this.file, rowCount, kept, columnCount, this.limits);
    const rows = drawn(rowCount, this.options.sample);
    const places = this.batches.map(({ batch, version }) => placesOf(schema.fields, batch, version));
    const table = new Collected();
    for (const leaf of new Pandas(schema.metadata.get("pandas")).indexFirst(leaves)) {
      const { name, type, inner, unread } = leaf;
      const column = unread ? undefined : await this.column(leaf, places, rows);
      if (column === undefined) table.leftOut(name, unread ?? "bytes");
      else if (isList(type)) {
        const { cells } = column;
        const lists = tableOfColumns([{ name, values: cells }], cells.length, this.file, this.limits);
        table.columns.push(...lists.columns);
        for (const decision of lists.decisions) table.tell(decision);
      } else {
        table.columns.push(column);
        const told = { Time: "read as seconds since midnight", Duration: "read as seconds" }[inner.name];
        if (told !== undefined) table.tell({ columns: [printable(name)], what: told });
      }
    }
    if (!ended) {
      table.tell({ columns: [], what: "read to its end", why: "it has no mark there, and may be cut off" });
    }
    const { columns, decisions } = table;
    return { columns, rowCount, ...(rows && { rowNumbers: rows.map((row) => row + 1) }), decisions };
  }

  /** Finds the batches of a file by the index at its end, those of a stream one after the other. */
  private async messages(): Promise<{ schema: Schema; ended: boolean }> {
    const { byteLength } = this.source;
    if (byteLength === 0) throw new Error("it is empty");
    const magic = String.fromCharCode(...(await this.bytes(0, Math.min(6, byteLength))));
    if (magic === MAGIC) return { schema: await this.indexed(byteLength - 10), ended: true };
    let schema: Schema | undefined;
    let ended = false;
    for (let at = 0; at < byteLength && !ended; ) {
      const found = await this.message(at, byteLength);
      if (found === undefined) ended = true;
      else {
        schema ??= found.message.schema;
        if (schema === undefined) throw new Error("it does not start with a schema");
        this.add(found.message, found.body);
        at = found.end;
      }
    }
    if (schema === undefined) throw new Error("it has no schema");
    return { schema, ended };
  }

  /** The schema of a file whose index ends at `end`. */
  private async indexed(end: number): Promise<Schema> {
    if (end < 8) throw new Error("it ends too early");
    const tail = await this.bytes(end, end + 10);
    if (String.fromCharCode(...tail.subarray(4)) !== MAGIC) throw new Error(`it does not end in ${MAGIC}`);
    const length = viewOf(tail).getInt32(0, true);
    if (length < 0 || length > end - 8) throw new Error("its index is longer than the file");
    const { schema, messages } = readFooter(await this.bytes(end - length, end));
    let left = end;
    for (const at of messages) {
      const found = await this.message(at, end);
      if (found === undefined) throw new Error("its index points elsewhere");
      // a message that is listed a million times is a million messages
      left -= found.end - at;
      if (left < 0) throw new Error("its index lists more than the file holds");
      this.add(found.message, found.body);
    }
    return schema;
  }

  private add({ version, bodyLength, batch, dictionary }: Message, body: number): void {
    const step = { version, body, bodyLength, number: this.batches.length };
    if (batch) this.batches.push({ ...step, batch });
    if (!dictionary) return;
    const { id, delta } = dictionary;
    const part = { ...step, batch: dictionary.batch };
    const known = this.dictionaries.get(id) ?? [];
    this.dictionaries.set(id, known);
    if (delta && known.length > 0) known[known.length - 1].parts.push(part);
    else known.push({ parts: [part] });
  }

  /** The message at a place, where its buffers start, and where it ends; undefined at the mark of the end. */
  private async message(at: number, most: number) {
    if (at + 4 > most) throw new Error("it ends too early");
    const start = viewOf(await this.bytes(at, Math.min(at + 8, most)));
    // before version 0.15 there was no mark before the length
    const marked = start.getInt32(0, true) === -1;
    if (marked && start.byteLength < 8) throw new Error("it ends too early");
    const length = start.getInt32(marked ? 4 : 0, true);
    if (length === 0) return undefined;
    const metadata = at + (marked ? 8 : 4);
    const body = metadata + length;
    if (length < 0 || length > MOST_METADATA || body > most)
      throw new Error("a message ends beyond the file");
    const message = readMessage(await this.bytes(metadata, body));
    const end = body + message.bodyLength;
    if (end > most) throw new Error("a message ends beyond the file");
    return { message, body, end };
  }

  private async column(
    leaf: Leaf,
    places: readonly Place[][],
    rows: Int32Array | undefined,
  ): Promise<RawColumn | undefined> {
    const { name, inner } = leaf;
    const cells: Entry[] = [];
    const dictionaries = new Set<Value[]>();
    let first = 0;
    let taken = 0;
    try {
      for (const step of this.batches) {
        let end = taken;
        if (rows === undefined) end += step.batch.rows;
        else while (end < rows.length && rows[end] < first + step.batch.rows) end++;
        if (end > taken) {
          const entries = await this.leaf(leaf, step, places[step.number]);
          for (let i = taken; i < end; i++)
            cells.push(entries(rows === undefined ? i - taken : rows[i] - first));
          if (inner.dictionary) dictionaries.add(await this.dictionary(inner.dictionary, step));
        }
        taken = end;
        first += step.batch.rows;
      }
    } catch (error) {
      if (error instanceof NoText) return undefined;
      if (error instanceof UsageError || error instanceof FailureError) throw error;
      throw new Error(`column ${quote(name)}: ${whyOf(error)}`);
    }
    // lists are made columns by others
    const column = { name, cells: cells as Value[] };
    const type = KINDS[(inner.dictionary?.values ?? inner).name];
    if (inner.dictionary && type !== "date") {
      const levels = new Set<string>();
      for (const values of dictionaries)
        for (const value of values) if (value !== null) levels.add(`${value}`);
      const texts = column.cells.map((cell) => (cell === null ? null : `${cell}`));
      return { name, cells: texts, type: "text", levels: [...levels] };
    }
    const isInteger = inner.name === "Int" && !inner.dictionary;
    return { ...column, ...(type && { type }), ...(isInteger && integersOf(column.cells)) };
  }

  /** The cells of a column in one batch: none where a struct around it is missing. */
  private async leaf({ path, type }: Leaf, step: Step, places: readonly Place[]): Promise<Entries> {
    const around: ((index: number) => boolean)[] = [];
    let place = places[path[0]];
    for (const child of path.slice(1)) {
      around.push(await this.validity(step, place));
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
    const { dictionary, name, size, signed, unit } = type;
    const fixed = async () => viewOf(await this.buffer(step, buffers[1], (length * size) / 8));
    const integers = async () => integerAt(await fixed(), size, signed);
    if (dictionary) {
      const index = await integers();
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
        const bit = bitsOf(await this.buffer(step, buffers[1], Math.ceil(length / 8)));
        return (at) => String(bit(at));
      }
      case "Int": {
        const integer = await integers();
        return (at) => {
          const value = integer(at);
          return typeof value === "bigint" ? integerOf(value) : value;
        };
      }
      case "Float": {
        const view = await fixed();
        if (size === 16) return (at) => numberOrNone(float16(view.getUint16(2 * at, true)));
        if (size === 32) return (at) => numberOrNone(view.getFloat32(4 * at, true));
        return (at) => numberOrNone(view.getFloat64(8 * at, true));
      }
      case "Decimal": {
        const integer = await integers();
        const scale = scaleOf(type.scale);
        return (at) => decimalOf(integer(at), scale);
      }
      case "Date": {
        const integer = await integers();
        return (at) => dateOf(Number(integer(at)) * (unit === 0 ? DAY : 1));
      }
      case "Timestamp": {
        const integer = await integers();
        const by = 1000n ** BigInt(Math.max(unit - 1, 0));
        return (at) => dateOf(Number(BigInt(integer(at)) / by) * (unit === 0 ? 1000 : 1));
      }
      case "Time":
      case "Duration": {
        const integer = await integers();
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
    const view = viewOf(await this.buffer(step, place.buffers[1], (count * bits) / 8));
    const integer = integerAt(view, bits, true);
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

  private async runs(type: Type, { children: [ends, values] }: Place, step: Step): Promise<Entries> {
    const end = await this.open(type.children[0].type, ends, step);
    const entries = await this.open(type.children[1].type, values, step);
    const count = Math.min(ends.length, values.length);
    return (index) => {
      const run = firstOf(count, (at) => Number(end(at)) > index);
      if (run === count) throw new Error("its runs end too early");
      return entries(run);
    };
  }

  /** The values of the dictionary that is in force at a batch of rows; a column without values may be without one. */
  private async dictionary({ id, values }: { id: number; values: Type }, step: Step): Promise<Value[]> {
    const all = this.dictionaries.get(id) ?? [];
    const found = all[firstOf(all.length, (at) => all[at].parts[0].number > step.number) - 1];
    if (found === undefined) return NONE;
    found.cells ??= this.read(values, found.parts);
    return found.cells;
  }

  private async read(type: Type, parts: readonly Step[]): Promise<Value[]> {
    const cells: Value[] = [];
    for (const part of parts) {
      const [place] = placesOf([{ name: "", type }], part.batch, part.version);
      this.levels += place.length;
      checkSize(this.file, this.levels, this.levels, 1, this.limits);
      const entries = await this.open(type, place, part);
      for (let index = 0; index < place.length; index++) cells.push(entries(index) as Value);
    }
    return cells;
  }

  private async validity(step: Step, { length, nulls, buffers }: Place): Promise<(index: number) => boolean> {
    const region = step.batch.buffers[buffers[0]];
    if (nulls === 0 || region === undefined || region.length === 0) return () => true;
    return bitsOf(await this.buffer(step, buffers[0], Math.ceil(length / 8)));
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
    const { codec } = step.batch;
    const packed = codec !== undefined && region.length > 0;
    const length = packed ? region.length : Math.min(needed ?? region.length, region.length);
    const found = await this.bytes(start, start + length);
    const bytes = packed ? this.unpacked(found, codec, needed) : found;
    if (bytes.length < (needed ?? 0)) throw new Error("a buffer is shorter than its rows");
    return bytes;
  }

  private unpacked(packed: Uint8Array, codec: number, needed: number | undefined): Uint8Array {
    const length = Number(viewOf(packed).getBigInt64(0, true));
    const bytes = packed.subarray(8);
    // as it is, where it would not be shorter
    if (length === -1) return bytes;
    if (length < 0) throw new Error("a buffer of a negative length");
    if (needed === undefined) this.budget.spend(length);
    else if (length > 2 * needed + PADDING) throw new Error("a buffer is longer than its rows");
    const unpack = [lz4, zstd][codec];
    if (unpack === undefined) throw new Error(`compression of number ${codec}, which is not read`);
    return unpack(bytes, length);
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
}

const NONE: Value[] = [];

/** The first index for which `is` holds, as it does for all after it; `count` where it holds for none. */
function firstOf(count: number, is: (index: number) => boolean): number {
  let low = 0;
  for (let high = count; low < high; ) {
    const middle = (low + high) >> 1;
    if (is(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

const bitsOf = (bits: Uint8Array) => (index: number) => ((bits[index >> 3] >> (index & 7)) & 1) === 1;

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
function placesOf(fields: readonly Field[], batch: Batch, version: number): Place[] {
  let node = 0;
  let buffer = 0;
  let variadic = 0;
  const visit = ({ type }: Field): Place => {
    const { length, nulls } = batch.nodes[node++] ?? { length: -1, nulls: 0 };
    if (length < 0) throw new Error("a batch lacks columns");
    const views = /^(Utf8|Binary)View$/.test(type.name) ? (batch.variadic[variadic++] ?? 0) : 0;
    const count = buffersOf(type, version) + views;
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
function buffersOf({ name, unit, dictionary }: Type, version: number): number {
  if (dictionary) return 2;
  // before V5 these two had a validity too
  const old = version < 4 ? 1 : 0;
  if (name === "RunEndEncoded") return old;
  if (name === "Union") return (unit === 0 ? 1 : 2) + old;
  if (name === "Null") return 0;
  if (name === "Struct" || name === "FixedSizeList") return 1;
  return /^(Large)?(Utf8|Binary|ListView)$/.test(name) ? 3 : 2;
}

const isList = ({ name, dictionary }: Type) => !dictionary && /^(Large|FixedSize)?List$/.test(name);

/** Of a type's cells; none where they are text that is yet to be understood. */
const KINDS: Record<string, Kind> = {
  Int: "number",
  Float: "number",
  Decimal: "number",
  Time: "number",
  Duration: "number",
  Date: "date",
  Timestamp: "date",
  Bool: "text",
};

/** As they are told. */
const UNREAD: Record<string, string> = {
  Map: "maps",
  Union: "unions",
  Interval: "intervals",
  Struct: "structs",
  ListView: "lists",
  LargeListView: "lists",
};

/** The columns of a field: itself, or those of a struct's members. */
function leavesOf({ type }: Field, path: number[], name: string): Leaf[] {
  if (type.name === "Struct" && type.dictionary === undefined && type.children.length > 0) {
    return type.children.flatMap((child, index) =>
      leavesOf(child, [...path, index], within(name, child.name)),
    );
  }
  const unread = unreadOf(type);
  const inner = !unread && type.name === "RunEndEncoded" ? type.children[1].type : type;
  return [{ name, path, type, inner, unread }];
}

function unreadOf(type: Type): string | undefined {
  const { name, children } = type;
  if (type.dictionary) {
    const { values } = type.dictionary;
    return isNested(values) ? "dictionaries of lists and structs" : unreadOf(values);
  }
  if (isList(type) || name === "RunEndEncoded") {
    const inner = children.at(-1)?.type;
    if (children.length !== (name === "RunEndEncoded" ? 2 : 1) || inner === undefined) return "lists";
    return isNested(inner) ? "lists" : unreadOf(inner);
  }
  return UNREAD[name];
}

const isNested = ({ name, children }: Type) => children.length > 0 || name === "Null" || name === "Struct";
