/**
 * Apache Parquet with any of its compressions, in ranges and by columns: of a sample no more is decompressed than the
 * pages that hold its rows. Members of structs are columns of their own; what no cell can hold is left out, and told.
 */
import { printable, quote } from "@evenkeel/report/format";
import { parquetMetadata, type SchemaElement } from "hyparquet";
import { compressors } from "hyparquet-compressors";
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
import { lz4Page } from "./lz4.js";
import { Runs, type Stored, valuesOf } from "./parquet-pages.js";
import { tableOfColumns } from "./records.js";
import { drawn } from "./sample.js";
import { checkSize } from "./size.js";
import type { Source } from "./source.js";
import {
  Budget,
  bigEndian,
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
import { numberOf, readStruct, type Struct } from "./thrift.js";
import { zstd } from "./zstd.js";

/** Bytes that are read at a time where less is asked for. */
const AHEAD = 2 ** 22;
/** A page's header, which holds the lowest and highest of its texts. */
const MOST_HEADER = 2 ** 20;
const MOST_DEPTH = 32;
/** What pages of numbers take at most, levels and blocks that are padded included. */
const BYTES_A_NUMBER = 32;
const BYTES_A_PAGE = 2 ** 17;
/** A column chunk of old writers is a little longer than they say (PARQUET-816). */
const SLACK = 100;

const ENCODINGS = [
  "PLAIN",
  "GROUP_VAR_INT",
  "PLAIN_DICTIONARY",
  "RLE",
  "BIT_PACKED",
  "DELTA_BINARY_PACKED",
  "DELTA_LENGTH_BYTE_ARRAY",
  "DELTA_BYTE_ARRAY",
  "RLE_DICTIONARY",
  "BYTE_STREAM_SPLIT",
];

/** hyparquet's take any LZ4 for Hadoop's whose second size is negative, and Zstandard at its word. */
const CODECS = new Map<string, (packed: Uint8Array, length: number) => Uint8Array>([
  ...Object.entries(compressors),
  ["ZSTD", zstd],
  ["LZ4", lz4Page],
  ["LZ4_RAW", lz4Page],
]);

/** A column of the file: a leaf of its schema. */
interface Leaf {
  name: string;
  /** Among the leaves, as in each group of rows. */
  index: number;
  element: SchemaElement;
  /** Levels of a value that is there, and of an entry of a list: 0 where it is in none. */
  defined: number;
  entry: number;
  /** Lists within which it is. */
  repeated: number;
  /** Why it is not read. */
  unread?: "lists" | "maps" | "bytes" | "intervals" | "variants" | "geometries";
}

interface Chunk {
  codec: string;
  values: number;
  start: number;
  end: number;
}

interface Group {
  rows: number;
  /** [leaves] */
  chunks: Chunk[];
}

/** What is read of a column: cells, or lists of them. */
interface Cells {
  values: (Value | Value[] | undefined)[];
  /** Levels in the order of the file, where every page has its values from a dictionary. */
  levels?: Set<string>;
}

/**
 * The columns of a Parquet file; `file` is its name in messages. Throws UsageError for an encrypted file and above a
 * limit, FailureError for anything but a whole Parquet file.
 */
export async function readParquet(source: Source, file: string, options: ReadOptions): Promise<RawTable> {
  try {
    return await new Reader(source, file, options).table();
  } catch (error) {
    if (error instanceof UsageError || error instanceof FailureError) throw error;
    throw new FailureError(
      `${file}: not a complete Parquet file (${whyOf(error)}); it may be truncated: fetch or write it again`,
    );
  }
}

class Reader {
  private readonly limits: Limits;
  readonly spend: (bytes: number) => void;

  constructor(
    private readonly source: Source,
    private readonly file: string,
    private readonly options: ReadOptions,
  ) {
    this.limits = { ...usualLimits, ...options.limits };
    this.spend = new Budget(file, this.limits.bytes).spend;
  }

  async table(): Promise<RawTable> {
    const { leaves, groups, pandas } = await this.footer();
    const rowCount = groups.reduce((sum, { rows }) => sum + rows, 0);
    const kept = Math.min(rowCount, this.options.sample ?? rowCount);
    checkSize(this.file, rowCount, kept, leaves.filter(({ unread }) => !unread).length, this.limits);
    const rows = drawn(rowCount, this.options.sample);
    const table = new Collected();
    for (const leaf of pandas.indexFirst(leaves)) {
      const column = leaf.unread
        ? undefined
        : await this.column(leaf, groups, rows, pandas.isCategorical(leaf));
      if (column === undefined) table.leftOut(leaf.name, leaf.unread ?? "bytes");
      else if (leaf.repeated > 0) {
        const { name, cells: values } = column;
        const lists = tableOfColumns([{ name, values }], values.length, this.file, this.limits);
        table.columns.push(...lists.columns);
        for (const decision of lists.decisions) table.tell(decision);
      } else {
        table.columns.push(column as RawColumn);
        if (unitOf(leaf.element, "TIME") !== undefined) {
          table.tell({ columns: [printable(leaf.name)], what: "read as seconds since midnight" });
        }
      }
    }
    const { columns, decisions } = table;
    return { columns, rowCount, ...(rows && { rowNumbers: rows.map((row) => row + 1) }), decisions };
  }

  private async footer(): Promise<{ leaves: Leaf[]; groups: Group[]; pandas: Pandas }> {
    const { byteLength } = this.source;
    if (byteLength < 12) throw new Error("it is too short");
    const end = new DataView(await this.source.slice(byteLength - 8, byteLength));
    const magic = String.fromCharCode(...new Uint8Array(end.buffer, 4));
    if (magic === "PARE") throw this.encrypted();
    if (magic !== "PAR1") throw new Error("it does not end in PAR1");
    const length = end.getUint32(0, true);
    if (length > byteLength - 12) throw new Error("its metadata is longer than the file");
    const footer = await this.source.slice(byteLength - 8 - length, byteLength);
    // hyparquet takes the sizes in it on trust
    const fields = readStruct(new Uint8Array(footer, 0, length)).struct;
    if (fields.get(8) instanceof Map) throw this.encrypted();
    const { schema, row_groups, num_rows, key_value_metadata } = parquetMetadata(footer, {
      geoparquet: false,
    });
    const leaves = leavesOf(schema);
    const groups = row_groups.map(({ columns, num_rows: rows }): Group => {
      if (columns.length !== leaves.length) throw new Error("a group of rows lacks columns");
      return {
        rows: sizeOf(rows, "rows"),
        chunks: columns.map(({ meta_data: meta, file_path, crypto_metadata }) => {
          if (crypto_metadata !== undefined) throw this.encrypted();
          if (meta === undefined) throw new Error("a column lacks its metadata");
          if (file_path) {
            throw new UsageError(
              `${this.file}: expected a file with its data in it, got one that refers to others (${quote(file_path)}); name one of those`,
            );
          }
          const data = sizeOf(meta.data_page_offset, "bytes");
          const dictionary = sizeOf(meta.dictionary_page_offset ?? 0n, "bytes");
          const start = dictionary > 0 && dictionary < data ? dictionary : data;
          const end = start + sizeOf(meta.total_compressed_size, "bytes");
          if (end > byteLength - 8 - length) throw new Error("a column ends beyond the file");
          return {
            codec: meta.codec,
            values: sizeOf(meta.num_values, "values"),
            start,
            end: Math.min(end + SLACK, byteLength - 8 - length),
          };
        }),
      };
    });
    if (groups.reduce((sum, { rows }) => sum + rows, 0) !== sizeOf(num_rows, "rows")) {
      throw new Error("its groups of rows are not all of its rows");
    }
    const metadata = key_value_metadata?.find(({ key }) => key === "pandas")?.value;
    return { leaves, groups, pandas: new Pandas(metadata) };
  }

  /** A column's cells, or lists of them where it is in a list; undefined where it holds bytes. */
  private async column(
    leaf: Leaf,
    groups: readonly Group[],
    kept: Int32Array | undefined,
    categorical: boolean,
  ): Promise<{ name: string; cells: Cells["values"]; type?: Kind; levels?: string[] } | undefined> {
    const converter = converterOf(leaf.element, categorical);
    // numbers are in a dictionary as they come, and not as their categories are ordered
    const ordered = categorical && leaf.element.type === "BYTE_ARRAY";
    const cells: Cells = { values: [], ...(ordered && { levels: new Set() }) };
    let first = 0;
    let taken = 0;
    try {
      for (const { rows, chunks } of groups) {
        let end = taken;
        if (kept === undefined) end += rows;
        else while (end < kept.length && kept[end] < first + rows) end++;
        // rows of this group, from 0
        const rowOf = (index: number) => (kept === undefined ? index : kept[taken + index] - first);
        if (end > taken) {
          const chunk = new ChunkReader(this, leaf, chunks[leaf.index], converter, cells);
          await chunk.read(rows, end - taken, rowOf);
        }
        taken = end;
        first += rows;
      }
    } catch (error) {
      if (error instanceof NoText) return undefined;
      if (error instanceof UsageError || error instanceof FailureError) throw error;
      throw new Error(`column ${quote(leaf.name)}: ${whyOf(error)}`);
    }
    const { values, levels } = cells;
    const whole = converter.whole && leaf.repeated === 0 ? integersOf(values) : undefined;
    return {
      name: leaf.name,
      cells: values,
      ...(converter.type && { type: converter.type }),
      ...whole,
      ...(levels !== undefined && levels.size > 0 && { levels: [...levels] }),
    };
  }

  bytes(start: number, end: number): Promise<ArrayBuffer> {
    return this.source.slice(start, end);
  }

  get mostValues(): number {
    return this.limits.cells;
  }

  private encrypted(): UsageError {
    return new UsageError(
      `${this.file}: expected a file without encryption, got an encrypted one; write it without, or as .csv`,
    );
  }
}

interface Header {
  type: number;
  unpacked: number;
  packed: number;
  values: number;
  encoding: string;
  /** Of pages of the second version, whose levels are not compressed. */
  second?: { repetition: number; definition: number; compressed: boolean };
}

/** Reads one column of one group of rows, page by page. */
class ChunkReader {
  private window = new Uint8Array(0);
  private windowStart = 0;
  private dictionary: Value[] | undefined;
  private entries = 0;

  constructor(
    private readonly reader: Reader,
    private readonly leaf: Leaf,
    private readonly chunk: Chunk,
    private readonly converter: Converter,
    private readonly into: Cells,
  ) {}

  /** Appends `count` rows, rising and numbered in the group by `rowOf`, to the column's cells. */
  async read(rows: number, count: number, rowOf: (index: number) => number): Promise<void> {
    const { leaf, chunk, into } = this;
    if (leaf.repeated === 0 && chunk.values !== rows)
      throw new Error("it has more or fewer values than rows");
    let at = chunk.start;
    let seen = 0;
    let firstRow = 0;
    let taken = 0;
    const done = into.values.length + count;
    while (seen < chunk.values && (leaf.repeated > 0 || taken < count)) {
      const { header, end } = await this.header(at);
      at = end + header.packed;
      if (at > chunk.end) throw new Error("a page ends beyond its column");
      if (header.type === 1) continue;
      if (header.type === 2) {
        if (this.dictionary !== undefined) throw new Error("it has two dictionaries");
        this.dictionary = this.dictionaryOf(header, await this.bytes(end, header.packed));
        continue;
      }
      if (header.values > chunk.values - seen) throw new Error("a page has more values than its column");
      seen += header.values;
      if (leaf.repeated > 0) {
        firstRow = this.lists(await this.page(header, end), header.values, firstRow, count, rowOf, taken);
        while (taken < count && rowOf(taken) < firstRow) taken++;
        continue;
      }
      let last = taken;
      while (last < count && rowOf(last) < firstRow + header.values) last++;
      if (last > taken) {
        const { definitions, cell } = await this.page(header, end);
        let row = 0;
        let place = 0;
        for (let index = taken; index < last; index++) {
          const next = rowOf(index) - firstRow;
          if (definitions === undefined) place = next;
          else {
            place += definitions.equal(leaf.defined, row, next);
            row = next;
            if (definitions.get(row) !== leaf.defined) {
              into.values.push(null);
              continue;
            }
          }
          into.values.push(cell(place));
        }
        taken = last;
      }
      firstRow += header.values;
    }
    // a list may be open until the last page
    if (leaf.repeated > 0 && firstRow !== rows) throw new Error("it has more or fewer lists than rows");
    if (into.values.length !== done) throw new Error("it has fewer values than rows");
  }

  /** Appends the lists of a page, of which the first may go on from the page before; gives the row after them. */
  private lists(
    { repetitions, definitions, cell }: Page,
    count: number,
    firstRow: number,
    wanted: number,
    rowOf: (index: number) => number,
    taken: number,
  ): number {
    const { leaf, into, reader } = this;
    let row = firstRow - 1;
    let index = taken;
    let place = 0;
    // the row that goes on from the page before is the last that was taken, or it is not wanted
    let list = index > 0 && rowOf(index - 1) === row ? into.values.at(-1) : undefined;
    let open = index > 0 && rowOf(index - 1) === row;
    for (let i = 0; i < count; i++) {
      const level = definitions?.get(i) ?? leaf.defined;
      if (repetitions === undefined || repetitions.get(i) === 0) {
        row++;
        open = index < wanted && rowOf(index) === row;
        if (open) {
          list = level >= leaf.entry - 1 ? [] : undefined;
          into.values.push(list);
          index++;
        }
      } else if (row < 0) throw new Error("a list goes on before it starts");
      if (level < leaf.entry) continue;
      const there = level === leaf.defined;
      if (open && Array.isArray(list)) {
        if (++this.entries > reader.mostValues) throw new Error("its lists are too long");
        list.push(there ? cell(place) : null);
      }
      if (there) place++;
    }
    return row + 1;
  }

  private async header(at: number): Promise<{ header: Header; end: number }> {
    const bytes = await this.bytes(at, Math.min(MOST_HEADER, this.chunk.end - at), true);
    const { struct, end } = readStruct(bytes);
    const type = numberOf(struct, 1);
    const details = struct.get({ 0: 5, 2: 7, 3: 8 }[type] ?? -1) as Struct | undefined;
    if (type !== 1 && !(details instanceof Map)) throw new Error(`a page of type ${type}`);
    const header: Header = {
      type,
      unpacked: numberOf(struct, 2),
      packed: numberOf(struct, 3),
      values: details ? numberOf(details, 1) : 0,
      encoding: ENCODINGS[details ? numberOf(details, type === 3 ? 4 : 2) : 0] ?? "an unknown one",
    };
    if (details && type === 3) {
      header.second = {
        definition: numberOf(details, 5),
        repetition: numberOf(details, 6),
        compressed: details.get(7) !== false,
      };
    } else if (details && type === 0) {
      const bits = (maximum: number, field: number) =>
        maximum > 0 && ENCODINGS[numberOf(details, field)] !== "RLE";
      if (bits(this.leaf.defined, 3) || bits(this.leaf.repeated, 4)) {
        throw new Error("its levels are in the encoding BIT_PACKED, which is not read");
      }
    }
    const sizes = [
      header.unpacked,
      header.packed,
      header.values,
      header.second?.definition ?? 0,
      header.second?.repetition ?? 0,
    ];
    if (sizes.some((size) => size < 0)) throw new Error("a page of a negative size");
    return { header, end: at + end };
  }

  private dictionaryOf(header: Header, packed: Uint8Array): Value[] {
    const { element } = this.leaf;
    this.reader.spend(header.unpacked);
    const bytes = decompress(packed, header.unpacked, this.chunk.codec);
    // the least that a value of it takes
    const least = element.type === "BYTE_ARRAY" ? 4 : 1;
    if (header.values * least > bytes.length)
      throw new Error("its dictionary holds fewer values than it declares");
    const values = valuesOf({
      bytes,
      count: header.values,
      encoding: "PLAIN",
      type: element.type ?? "",
      length: element.type_length,
      spend: this.reader.spend,
    });
    const dictionary: Value[] = [];
    for (let i = 0; i < header.values; i++) {
      const cell = this.converter.cell(values(i));
      dictionary.push(cell);
      if (cell !== null) this.into.levels?.add(String(cell));
    }
    return dictionary;
  }

  private async page(header: Header, start: number): Promise<Page> {
    const { leaf, chunk, reader } = this;
    const packed = await this.bytes(start, header.packed);
    const ofDictionary = header.encoding.endsWith("_DICTIONARY");
    if (!ofDictionary && header.values > 0) this.into.levels = undefined;
    const ofNumbers = leaf.element.type !== "BYTE_ARRAY" && leaf.element.type !== "FIXED_LEN_BYTE_ARRAY";
    if (!ofNumbers && !ofDictionary) reader.spend(header.unpacked);
    else if (header.unpacked > BYTES_A_NUMBER * header.values + BYTES_A_PAGE) {
      throw new Error(`a page of ${header.values} values declares ${header.unpacked} bytes`);
    }
    let bytes: Uint8Array;
    let at = 0;
    /** Where the repetition and the definition levels start and end. */
    let levels: [start: number, end: number][];
    let ofLevels: Uint8Array;
    if (header.second) {
      const { repetition, definition, compressed } = header.second;
      const length = repetition + definition;
      if (length > packed.length || length > header.unpacked) throw shorter();
      ofLevels = packed;
      levels = [
        [0, repetition],
        [repetition, length],
      ];
      const rest = packed.subarray(length);
      bytes = compressed ? decompress(rest, header.unpacked - length, chunk.codec) : rest;
    } else {
      bytes = decompress(packed, header.unpacked, chunk.codec);
      ofLevels = bytes;
      levels = [leaf.repeated, leaf.defined].map((most) => {
        if (most === 0) return [at, at];
        if (at + 4 > bytes.length) throw shorter();
        const start = at + 4;
        at = start + new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0, true);
        if (at > bytes.length) throw shorter();
        return [start, at];
      });
    }
    const [repetitions, definitions] = levels.map(
      ([start, end], index) =>
        () =>
          runsOf(ofLevels, start, end, index === 0 ? leaf.repeated : leaf.defined),
    );
    let cells: ((place: number) => Value) | undefined;
    return {
      repetitions: repetitions(),
      definitions: definitions(),
      cell: (place) => {
        // not before there is one: a page of missing values alone may have no bytes
        cells ??= this.cellsOf(header, bytes.subarray(at), definitions());
        return cells(place);
      },
    };
  }

  /** Reads the cells that are there of a page, of which `levels` say how many. */
  private cellsOf(header: Header, bytes: Uint8Array, levels: Runs | undefined): (place: number) => Value {
    const { leaf, dictionary, converter, reader } = this;
    if (header.encoding.endsWith("_DICTIONARY")) {
      if (dictionary === undefined) throw new Error("a page refers to a dictionary that is not there");
      const indices = new Runs(bytes, 1, bytes.length, bytes[0] ?? 0);
      return (place) => {
        const at = indices.get(place);
        if (at >= dictionary.length) throw new Error("a page refers to a value that its dictionary lacks");
        return dictionary[at];
      };
    }
    const values = valuesOf({
      bytes,
      count: levels?.equal(leaf.defined, 0, header.values) ?? header.values,
      encoding: header.encoding,
      type: leaf.element.type ?? "",
      length: leaf.element.type_length,
      spend: reader.spend,
    });
    return (place) => converter.cell(values(place));
  }

  /** Bytes of the file, by a window that is read ahead; fewer where `upTo` and the column ends. */
  private async bytes(start: number, length: number, upTo = false): Promise<Uint8Array> {
    const end = upTo ? Math.min(start + length, this.chunk.end) : start + length;
    if (start < this.windowStart || end > this.windowStart + this.window.length) {
      const ahead = Math.min(this.chunk.end, Math.max(end, start + AHEAD));
      this.window = new Uint8Array(await this.reader.bytes(start, ahead));
      this.windowStart = start;
      if (end > start + this.window.length) throw new Error("it ends too early");
    }
    return this.window.subarray(start - this.windowStart, end - this.windowStart);
  }
}

interface Page {
  repetitions: Runs | undefined;
  definitions: Runs | undefined;
  /** Of the cells that are there; the place never decreases. */
  cell(place: number): Value;
}

const shorter = () => new Error("a page is shorter than its levels");

const runsOf = (bytes: Uint8Array, start: number, end: number, most: number) =>
  most === 0 ? undefined : new Runs(bytes, start, end, 32 - Math.clz32(most));

function decompress(packed: Uint8Array, length: number, codec: string): Uint8Array {
  if (codec === "UNCOMPRESSED") {
    if (packed.length !== length) throw new Error("a page is shorter than it declares");
    return packed;
  }
  const unpack = CODECS.get(codec);
  if (unpack === undefined) throw new Error(`compression ${codec}, which is not read`);
  const bytes = length === 0 ? new Uint8Array(0) : unpack(packed, length);
  if (bytes.length !== length) throw new Error("a page is shorter than it declares");
  return bytes;
}

/** A size of the metadata, which may be negative or beyond what a number holds. */
function sizeOf(size: bigint | number, what: string): number {
  const number = Number(size);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`it declares ${number} ${what}`);
  return number;
}

/** The leaves of a schema, which is a list in the order of a walk through the tree. */
function leavesOf(schema: readonly SchemaElement[]): Leaf[] {
  const leaves: Leaf[] = [];
  let next = 0;
  const visit = (path: SchemaElement[]): void => {
    const element = schema[next++];
    if (element === undefined || path.length > MOST_DEPTH) throw new Error("its schema is broken");
    const inner = [...path, element];
    const children = element.num_children ?? 0;
    if (children > schema.length) throw new Error("its schema is broken");
    if (element.type !== undefined) leaves.push(leafOf(inner.slice(1), leaves.length));
    else for (let i = 0; i < children; i++) visit(inner);
  };
  visit([]);
  if (next !== schema.length) throw new Error("its schema is broken");
  return leaves;
}

function leafOf(path: readonly SchemaElement[], index: number): Leaf {
  const element = path[path.length - 1];
  if (element === undefined) throw new Error("its schema is broken");
  const levels = path.map(({ repetition_type }) => repetition_type !== "REQUIRED");
  const list = path.findIndex(({ repetition_type }) => repetition_type === "REPEATED");
  const repeated = path.filter(({ repetition_type }) => repetition_type === "REPEATED").length;
  const named = list < 0 ? path : path.slice(0, Math.max(1, list + (isListed(path[list - 1]) ? 0 : 1)));
  const leaf: Leaf = {
    name: named.map(({ name }) => name).join("."),
    index,
    element,
    defined: levels.filter(Boolean).length,
    entry: list < 0 ? 0 : levels.slice(0, list + 1).filter(Boolean).length,
    repeated,
  };
  const within = path.map(({ converted_type, logical_type }) => logical_type?.type ?? converted_type);
  const inner = path[list];
  if (within.some((type) => type === "MAP" || type === "MAP_KEY_VALUE")) leaf.unread = "maps";
  else if (repeated > 1 || (list >= 0 && path.length - list > 2) || (inner?.num_children ?? 0) > 1)
    leaf.unread = "lists";
  else if (within.includes("VARIANT")) leaf.unread = "variants";
  else if (within.includes("INTERVAL")) leaf.unread = "intervals";
  else if (within.includes("GEOMETRY") || within.includes("GEOGRAPHY")) leaf.unread = "geometries";
  else if (within.includes("BSON")) leaf.unread = "bytes";
  return leaf;
}

/** Whether the lists of a group have its name, and not that of what is repeated in it. */
const isListed = (element: SchemaElement | undefined) =>
  /^(LIST|MAP)/.test(element?.logical_type?.type ?? element?.converted_type ?? "");

interface Converter {
  /** Left out where it is text that is yet to be understood. */
  type?: Kind;
  cell(stored: Stored): Value;
  /** Whether its cells are integers, those beyond 2⁵³ as text. */
  whole?: boolean;
}

/** The unit of a time or a timestamp, in its parts of a millisecond; undefined where it is none. */
function unitOf(
  { converted_type, logical_type }: SchemaElement,
  type: "TIME" | "TIMESTAMP",
): bigint | undefined {
  if (logical_type?.type === type && "unit" in logical_type) {
    return { MILLIS: 1n, MICROS: 1000n, NANOS: 1_000_000n }[logical_type.unit];
  }
  if (converted_type === `${type}_MILLIS`) return 1n;
  return converted_type === `${type}_MICROS` ? 1000n : undefined;
}

function converterOf(element: SchemaElement, categorical: boolean): Converter {
  const { type, converted_type: converted, logical_type: logical } = element;
  const timestamp = unitOf(element, "TIMESTAMP");
  if (timestamp !== undefined && type === "INT64") {
    return { type: "date", cell: (stored) => dateOf(Number((stored as bigint) / timestamp)) };
  }
  if (type === "INT96") return { type: "date", cell: (stored) => dateOf(int96(stored as Uint8Array)) };
  if ((converted === "DATE" || logical?.type === "DATE") && type === "INT32") {
    return { type: "date", cell: (stored) => dateOf((stored as number) * DAY) };
  }
  const time = unitOf(element, "TIME");
  if (time !== undefined && (type === "INT32" || type === "INT64")) {
    const seconds = 1000 * Number(time);
    return { type: "number", cell: (stored) => Number(stored) / seconds };
  }
  if (type === "BOOLEAN") return { type: "text", cell: String };
  if (converted === "DECIMAL" || logical?.type === "DECIMAL") return decimals(element);
  if (logical?.type === "FLOAT16" && element.type_length === 2) {
    return { type: "number", cell: (stored) => numberOrNone(halfOf(stored as Uint8Array)) };
  }
  if (type === "FLOAT" || type === "DOUBLE") {
    return { type: "number", cell: (stored) => numberOrNone(stored as number) };
  }
  if (type === "INT32" || type === "INT64") return integers(element, categorical);
  if (logical?.type === "UUID") return { type: "text", cell: (stored) => uuid(stored as Uint8Array) };
  const annotated =
    converted === "UTF8" ||
    converted === "ENUM" ||
    converted === "JSON" ||
    ["STRING", "ENUM", "JSON"].includes(logical?.type ?? "");
  return {
    ...(categorical && { type: "text" }),
    cell: (stored) => textOfBytes(stored as Uint8Array, annotated),
  };
}

function integers({ type, converted_type, logical_type }: SchemaElement, categorical: boolean): Converter {
  const unsigned =
    converted_type?.startsWith("UINT") || (logical_type?.type === "INTEGER" && !logical_type.isSigned);
  const cell = (stored: Stored) => {
    if (type === "INT32") return unsigned ? (stored as number) >>> 0 : (stored as number);
    return integerOf(unsigned ? BigInt.asUintN(64, stored as bigint) : (stored as bigint));
  };
  return categorical
    ? { type: "text", cell: (stored) => String(cell(stored)) }
    : { type: "number", cell, whole: true };
}

function decimals({ scale, logical_type }: SchemaElement): Converter {
  const digits = scaleOf(scale ?? (logical_type?.type === "DECIMAL" ? logical_type.scale : 0) ?? 0);
  return {
    type: "number",
    cell: (stored) =>
      decimalOf(stored instanceof Uint8Array ? bigEndian(stored) : (stored as number), digits),
  };
}

/** Nanoseconds of a day, and the Julian day. */
function int96(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 12);
  return (view.getUint32(8, true) - 2_440_588) * DAY + Number(view.getBigUint64(0, true) / 1_000_000n);
}

const halfOf = (bytes: Uint8Array) => float16(bytes[0] | (bytes[1] << 8));

function uuid(bytes: Uint8Array): string {
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
