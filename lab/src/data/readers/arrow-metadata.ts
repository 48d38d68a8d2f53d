/**
 * The metadata of Arrow's messages, which are FlatBuffers: a schema, and where the buffers of a batch are. Every offset
 * is checked by the view through which it is read, and no vector is believed to be longer than the bytes there are.
 * (flechette allocates the length that a vector declares, and follows fields that contain themselves.)
 */

/** Of a type, by Arrow's name for it: `Utf8`, `Timestamp`. */
export interface Type {
  name: string;
  /** Bits of an integer, a decimal, a time or an index; bytes of a fixed-size binary; entries of a fixed-size list. */
  size: number;
  signed: boolean;
  /** 0 half, 1 single, 2 double; of dates 0 days; of times 0 s, 1 ms, 2 µs, 3 ns. */
  unit: number;
  scale: number;
  /** Of unions: 0 sparse, 1 dense. */
  mode: number;
  children: Field[];
  /** The dictionary that a field's values index. */
  dictionary?: { id: number; ordered: boolean; values: Type };
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

const TYPES = [
  "None",
  "Null",
  "Int",
  "Float",
  "Binary",
  "Utf8",
  "Bool",
  "Decimal",
  "Date",
  "Time",
  "Timestamp",
  "Interval",
  "List",
  "Struct",
  "Union",
  "FixedSizeBinary",
  "FixedSizeList",
  "Map",
  "Duration",
  "LargeBinary",
  "LargeUtf8",
  "LargeList",
  "RunEndEncoded",
  "BinaryView",
  "Utf8View",
  "ListView",
  "LargeListView",
];

const MOST_DEPTH = 32;
/** Fields with those within fields: a tree that shares its branches would be endless. */
const MOST_FIELDS = 100_000;

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
    const values = typeOf(of.uint8(8, 0), of.table(10), children);
    const encoding = of.table(12);
    return { name: of.string(4), type: encoding ? indexOf(encoding, values) : values };
  };
  const fields = table.tables(6).map((of) => field(of, 0));
  const metadata = new Map(table.tables(8).map((entry) => [entry.string(4), entry.string(6)] as const));
  return { fields, bigEndian: table.int16(4, 0) !== 0, metadata };
}

function typeOf(id: number, table: Table | undefined, children: Field[]): Type {
  const name = TYPES[id];
  if (name === undefined || name === "None") throw new Error(`a type of number ${id}, which is not read`);
  const type: Type = { name, size: 0, signed: false, unit: 0, scale: 0, mode: 0, children };
  switch (name) {
    case "Int":
      return { ...type, size: table?.int32(4, 0) ?? 0, signed: (table?.uint8(6, 0) ?? 0) !== 0 };
    case "Decimal":
      return { ...type, size: table?.int32(8, 128) ?? 128, scale: table?.int32(6, 0) ?? 0 };
    case "Time":
      return { ...type, size: table?.int32(6, 32) ?? 32, unit: table?.int16(4, 1) ?? 1 };
    case "Float":
    case "Timestamp":
    case "Interval":
      return { ...type, unit: table?.int16(4, 0) ?? 0 };
    case "Date":
    case "Duration":
      return { ...type, unit: table?.int16(4, 1) ?? 1 };
    case "FixedSizeBinary":
    case "FixedSizeList":
      return { ...type, size: table?.int32(4, 0) ?? 0 };
    case "Union":
      return { ...type, mode: table?.int16(4, 0) ?? 0 };
    default:
      return type;
  }
}

function indexOf(encoding: Table, values: Type): Type {
  const index = encoding.table(6);
  return {
    ...typeOf(2, index, []),
    size: index?.int32(4, 0) ?? 32,
    signed: index === undefined || index.uint8(6, 0) !== 0,
    dictionary: { id: encoding.int64(4, 0), ordered: encoding.uint8(8, 0) !== 0, values },
  };
}

/** A table of a FlatBuffer; fields are named by their place in its table of offsets, and may be absent. */
class Table {
  private readonly offsets: number;
  private readonly end: number;

  constructor(
    private readonly view: DataView,
    private readonly at: number,
  ) {
    this.offsets = at - view.getInt32(at, true);
    this.end = view.getUint16(this.offsets, true);
  }

  private place(slot: number): number {
    const offset = slot < this.end ? this.view.getUint16(this.offsets + slot, true) : 0;
    return offset === 0 ? 0 : this.at + offset;
  }

  uint8(slot: number, absent: number): number {
    const at = this.place(slot);
    return at === 0 ? absent : this.view.getUint8(at);
  }

  int16(slot: number, absent: number): number {
    const at = this.place(slot);
    return at === 0 ? absent : this.view.getInt16(at, true);
  }

  int32(slot: number, absent: number): number {
    const at = this.place(slot);
    return at === 0 ? absent : this.view.getInt32(at, true);
  }

  int64(slot: number, absent: number): number {
    const at = this.place(slot);
    return at === 0 ? absent : Number(this.view.getBigInt64(at, true));
  }

  table(slot: number): Table | undefined {
    const at = this.place(slot);
    return at === 0 ? undefined : new Table(this.view, at + this.view.getUint32(at, true));
  }

  string(slot: number): string {
    const at = this.place(slot);
    if (at === 0) return "";
    const start = at + this.view.getUint32(at, true);
    const length = this.view.getUint32(start, true);
    return new TextDecoder().decode(
      new Uint8Array(this.view.buffer, this.view.byteOffset + start + 4, length),
    );
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
    return this.vector(slot, 4, (view, at) => new Table(view, at + view.getUint32(at, true)));
  }
}

function rootOf(bytes: Uint8Array): Table {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Table(view, view.getUint32(0, true));
}
