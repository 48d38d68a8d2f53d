/**
 * The metadata of Arrow's messages, which are FlatBuffers: a schema, and where the buffers of a batch are. Every offset
 * is checked by the view through which it is read, and no vector is believed to be longer than the bytes there are.
 */

/** Of a type, by Arrow's name for it: `Utf8`, `Timestamp`. */
export interface Type {
  name: string;
  /** Bits of a value or an index; bytes of a fixed-size binary; entries of a fixed-size list. */
  size: number;
  signed: boolean;
  /** Of dates 0 days; of times 0 s, 1 ms, 2 µs, 3 ns; of unions 0 sparse, 1 dense. */
  unit: number;
  scale: number;
  children: Field[];
  /** The dictionary that a field's values index. */
  dictionary?: { id: number; values: Type };
}

export interface Field {
  name: string;
  type: Type;
}

export interface Schema {
  fields: Field[];
  bigEndian: boolean;
  /** By key. */
  metadata: Map<string, string>;
}

export interface Batch {
  rows: number;
  nodes: { length: number; nulls: number }[];
  buffers: { offset: number; length: number }[];
  /** 0 LZ4 frames, 1 Zstandard. */
  codec: number | undefined;
  /** Buffers of each column of views. */
  variadic: number[];
}

export interface Message {
  /** 3 is V4, and 4 is V5. */
  version: number;
  bodyLength: number;
  schema?: Schema;
  batch?: Batch;
  dictionary?: { id: number; batch: Batch; delta: boolean };
}

const TYPES = (
  "None Null Int Float Binary Utf8 Bool Decimal Date Time Timestamp Interval List Struct Union FixedSizeBinary " +
  "FixedSizeList Map Duration LargeBinary LargeUtf8 LargeList RunEndEncoded BinaryView Utf8View ListView LargeListView"
).split(" ");

const MOST_DEPTH = 32;
/** Fields with those within fields: a tree that shares its branches would be endless. */
const MOST_FIELDS = 100_000;
/** Bytes of names and notes together: a schema that says one long name often would be endless too. */
const MOST_TEXT = 2 ** 27;

/** A message's metadata. Throws Error or RangeError for what is none. */
export function readMessage(bytes: Uint8Array): Message {
  const message = rootOf(bytes);
  const version = message.int16(4, 0);
  if (version < 3 || version > 4) throw new Error(`Arrow of version ${version + 1}, which is not read`);
  const kind = message.uint8(6, 0);
  const header = message.table(8);
  const bodyLength = message.int64(10, 0);
  if (bodyLength < 0) throw new Error("a message of a negative length");
  if (header === undefined) return { version, bodyLength };
  if (kind === 1) return { version, bodyLength, schema: schemaOf(header) };
  if (kind === 3) return { version, bodyLength, batch: batchOf(header) };
  const data = kind === 2 ? header.table(6) : undefined;
  if (data === undefined) throw new Error(`a message of type ${kind}, which is not read`);
  return {
    version,
    bodyLength,
    dictionary: { id: header.int64(4, 0), batch: batchOf(data), delta: header.uint8(8, 0) !== 0 },
  };
}

/** The index at the end of a file: its schema, and where the messages of its dictionaries and batches start. */
export function readFooter(bytes: Uint8Array): { schema: Schema; messages: number[] } {
  const footer = rootOf(bytes);
  const schema = footer.table(6);
  if (schema === undefined) throw new Error("it has no schema");
  const starts = (slot: number) => footer.vector(slot, 24, (view, at) => size(view.getBigInt64(at, true)));
  return { schema: schemaOf(schema), messages: [...starts(8), ...starts(10)] };
}

function batchOf(table: Table): Batch {
  const compression = table.table(10);
  if (compression && compression.uint8(6, 0) !== 0) throw new Error("a compression of no known method");
  const pairs = (slot: number) =>
    table.vector(slot, 16, (view, at) => [
      size(view.getBigInt64(at, true)),
      size(view.getBigInt64(at + 8, true)),
    ]);
  return {
    rows: table.int64(4, 0),
    nodes: pairs(6).map(([length, nulls]) => ({ length, nulls })),
    buffers: pairs(8).map(([offset, length]) => ({ offset, length })),
    codec: compression?.uint8(4, 0),
    variadic: table.vector(12, 8, (view, at) => size(view.getBigInt64(at, true))),
  };
}

function size(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`it declares a size of ${number}`);
  return number;
}

function schemaOf(table: Table): Schema {
  let count = 0;
  const field = (of: Table, depth: number): Field => {
    if (depth > MOST_DEPTH || ++count > MOST_FIELDS) throw new Error("its schema is too large");
    const children = of.tables(14).map((child) => field(child, depth + 1));
    const values = typeOf(of.uint8(8, 0), of.table(10) ?? EMPTY, children);
    if (values.unit < 0 || values.unit > 3)
      throw new Error(`a unit of number ${values.unit}, which is not read`);
    const encoding = of.table(12);
    return { name: of.string(4), type: encoding ? indexOf(encoding, values) : values };
  };
  const fields = table.tables(6).map((of) => field(of, 0));
  const metadata = new Map(table.tables(8).map((entry) => [entry.string(4), entry.string(6)] as const));
  return { fields, bigEndian: table.int16(4, 0) !== 0, metadata };
}

function typeOf(id: number, table: Table, children: Field[]): Type {
  const name = TYPES[id];
  if (name === undefined || name === "None") throw new Error(`a type of number ${id}, which is not read`);
  const type: Type = { name, size: 0, signed: true, unit: 0, scale: 0, children };
  switch (name) {
    case "Int":
      return { ...type, size: table.int32(4, 0), signed: table.uint8(6, 0) !== 0 };
    case "Float":
      return { ...type, size: 2 ** (4 + table.int16(4, 0)) };
    case "Decimal":
      return { ...type, size: table.int32(8, 128), scale: table.int32(6, 0) };
    case "Date": {
      const unit = table.int16(4, 1);
      return { ...type, size: unit === 0 ? 32 : 64, unit };
    }
    case "Time":
      return { ...type, size: table.int32(6, 32), unit: table.int16(4, 1) };
    case "Timestamp":
    case "Duration":
      return { ...type, size: 64, unit: table.int16(4, name === "Duration" ? 1 : 0) };
    case "FixedSizeBinary":
    case "FixedSizeList":
      return { ...type, size: size(BigInt(table.int32(4, 0))) };
    case "Union":
      return { ...type, unit: table.int16(4, 0) };
    default:
      return type;
  }
}

/** Of indices, which are integers of 32 bits where nothing else is said. */
function indexOf(encoding: Table, values: Type): Type {
  const table = encoding.table(6);
  const index = typeOf(2, table ?? EMPTY, []);
  return {
    ...index,
    ...(!table && { size: 32, signed: true }),
    dictionary: { id: encoding.int64(4, 0), values },
  };
}

/** A table of a FlatBuffer; fields are named by their place in its table of offsets, and may be absent. */
class Table {
  private readonly offsets: number;
  private readonly end: number;

  constructor(
    private readonly view: DataView,
    private readonly at: number,
    private readonly texts: { left: number },
  ) {
    this.offsets = at - view.getInt32(at, true);
    this.end = view.getUint16(this.offsets, true);
  }

  private place(slot: number): number {
    const offset = slot < this.end ? this.view.getUint16(this.offsets + slot, true) : 0;
    return offset === 0 ? 0 : this.at + offset;
  }

  private scalar(slot: number, absent: number, get: (at: number) => number | bigint): number {
    const at = this.place(slot);
    return at === 0 ? absent : Number(get(at));
  }

  uint8(slot: number, absent: number): number {
    return this.scalar(slot, absent, (at) => this.view.getUint8(at));
  }

  int16(slot: number, absent: number): number {
    return this.scalar(slot, absent, (at) => this.view.getInt16(at, true));
  }

  int32(slot: number, absent: number): number {
    return this.scalar(slot, absent, (at) => this.view.getInt32(at, true));
  }

  int64(slot: number, absent: number): number {
    return this.scalar(slot, absent, (at) => this.view.getBigInt64(at, true));
  }

  table(slot: number): Table | undefined {
    const at = this.place(slot);
    return at === 0 ? undefined : new Table(this.view, at + this.view.getUint32(at, true), this.texts);
  }

  string(slot: number): string {
    const at = this.place(slot);
    if (at === 0) return "";
    const start = at + this.view.getUint32(at, true);
    const { buffer, byteOffset } = this.view;
    const bytes = new Uint8Array(buffer, byteOffset + start + 4, this.view.getUint32(start, true));
    this.texts.left -= bytes.length;
    if (this.texts.left < 0) throw new Error("its schema is too large");
    return new TextDecoder().decode(bytes);
  }

  vector<T>(slot: number, stride: number, entry: (view: DataView, at: number) => T): T[] {
    const at = this.place(slot);
    if (at === 0) return [];
    const start = at + this.view.getUint32(at, true);
    const length = this.view.getUint32(start, true);
    if (start + 4 + length * stride > this.view.byteLength) throw new Error("its metadata ends too early");
    return Array.from({ length }, (_, index) => entry(this.view, start + 4 + index * stride));
  }

  tables(slot: number): Table[] {
    return this.vector(slot, 4, (view, at) => new Table(view, at + view.getUint32(at, true), this.texts));
  }
}

function rootOf(bytes: Uint8Array): Table {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Table(view, view.getUint32(0, true), { left: MOST_TEXT });
}

/** A table without fields, which has all that is absent. */
const EMPTY = rootOf(Uint8Array.of(4, 0, 0, 0, 4, 0, 0, 0));
