/**
 * Pages of Parquet: levels and values in its encodings, read where they are asked for, in ascending order. Nothing is
 * allocated for what a page declares: a run of two billion values is one number and its length here. (hyparquet's
 * decoders write such a run out.)
 */

/** As the file has it: bytes for what is text, decimal and the like. */
export type Stored = number | bigint | boolean | Uint8Array;

/** The value of an index, which never decreases from call to call. Throws Error beyond what there is. */
export type Values = (index: number) => Stored;

const beyond = () => new Error("a page holds fewer values than it declares");

/** Runs of one value, or of values packed in bits: levels, and indices into a dictionary. */
export class Runs {
  private from = 0;
  private to = 0;
  private value = 0;
  /** Where the bits of a packed run start; -1 for a run of one value. */
  private packed = -1;

  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
    private readonly end: number,
    private readonly width: number,
  ) {
    if (width > 32) throw new Error(`values of ${width} bits`);
  }

  get(index: number): number {
    if (this.width === 0) return 0;
    while (index >= this.to) this.next();
    return this.packed < 0 ? this.value : this.bits(index - this.from);
  }

  /** How many of `from` up to `to` are `value`. */
  equal(value: number, from: number, to: number): number {
    if (this.width === 0) return value === 0 ? to - from : 0;
    let count = 0;
    for (let index = from; index < to; ) {
      while (index >= this.to) this.next();
      const stop = Math.min(to, this.to);
      if (this.packed < 0) count += this.value === value ? stop - index : 0;
      else for (let i = index; i < stop; i++) if (this.bits(i - this.from) === value) count++;
      index = stop;
    }
    return count;
  }

  private next(): void {
    const header = new Cursor(this.bytes, this.at, this.end);
    const kind = header.varint();
    this.at = header.at;
    this.from = this.to;
    if (kind & 1) {
      const groups = Math.floor(kind / 2);
      this.packed = this.at;
      this.to += 8 * groups;
      this.at += groups * this.width;
    } else {
      this.packed = -1;
      this.to += kind / 2;
      const bytes = (this.width + 7) >> 3;
      if (this.at + bytes > this.end) throw beyond();
      this.value = 0;
      for (let i = 0; i < bytes; i++) this.value |= this.bytes[this.at++] << (8 * i);
      this.value >>>= 0;
    }
  }

  private bits(index: number): number {
    const bit = index * this.width;
    const byte = this.packed + Math.floor(bit / 8);
    const shift = bit % 8;
    if (byte + Math.ceil((shift + this.width) / 8) > this.end) throw beyond();
    const { bytes } = this;
    let low = bytes[byte] | (bytes[byte + 1] << 8) | (bytes[byte + 2] << 16) | (bytes[byte + 3] << 24);
    low >>>= shift;
    if (shift + this.width > 32) low |= bytes[byte + 4] << (32 - shift);
    return this.width === 32 ? low >>> 0 : low & ((1 << this.width) - 1);
  }
}

class Cursor {
  constructor(
    readonly bytes: Uint8Array,
    public at: number,
    readonly end: number,
  ) {}

  byte(): number {
    if (this.at >= this.end) throw beyond();
    return this.bytes[this.at++];
  }

  varint(): number {
    let value = 0;
    for (let i = 0; i < 5; i++) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw new Error("a number in a page is too long");
  }

  zigzag(): bigint {
    let value = 0n;
    for (let i = 0n; i < 10n; i++) {
      const byte = this.byte();
      value |= BigInt(byte & 127) << (7n * i);
      if (byte < 128) return (value >> 1n) ^ -(value & 1n);
    }
    throw new Error("a number in a page is too long");
  }
}

export interface PageValues {
  /** A page's values, without its levels. */
  bytes: Uint8Array;
  /** Values that are there. */
  count: number;
  encoding: string;
  /** The physical type; `length` for bytes of a fixed length. */
  type: string;
  length: number | undefined;
  /** Takes bytes that are made of shared prefixes from what may be unpacked. */
  spend: (bytes: number) => void;
}

/** Reads the values of a page in the encoding that it says, which is not that of a dictionary. */
export function valuesOf(page: PageValues): Values {
  const { bytes, encoding, type } = page;
  switch (encoding) {
    case "PLAIN":
      return plain(page);
    case "RLE": {
      if (type !== "BOOLEAN") break;
      // its length comes first
      const runs = new Runs(bytes, 4, bytes.length, 1);
      return (index) => runs.get(index) === 1;
    }
    case "DELTA_BINARY_PACKED":
      if (type === "INT32" || type === "INT64")
        return new Deltas(bytes, 0, type === "INT32" ? 32 : 64).reader();
      break;
    case "DELTA_LENGTH_BYTE_ARRAY":
      if (type === "BYTE_ARRAY") return lengthsThenBytes(page, 0);
      break;
    case "DELTA_BYTE_ARRAY":
      if (type === "BYTE_ARRAY" || type === "FIXED_LEN_BYTE_ARRAY") return sharedPrefixes(page);
      break;
    case "BYTE_STREAM_SPLIT":
      if (type !== "BYTE_ARRAY" && type !== "BOOLEAN") return split(page);
      break;
  }
  throw new Error(`values of type ${type} in the encoding ${encoding}`);
}

const WIDTHS: Record<string, number> = { INT32: 4, INT64: 8, INT96: 12, FLOAT: 4, DOUBLE: 8 };

function widthOf({ type, length }: PageValues): number {
  const width = type === "FIXED_LEN_BYTE_ARRAY" ? length : WIDTHS[type];
  if (width === undefined || width <= 0) throw new Error(`values of type ${type} without a length`);
  return width;
}

/** What stands at a place of `view`, for the types of a fixed width. */
function fixed(type: string): (view: DataView, at: number) => Stored {
  switch (type) {
    case "INT32":
      return (view, at) => view.getInt32(at, true);
    case "INT64":
      return (view, at) => view.getBigInt64(at, true);
    case "FLOAT":
      return (view, at) => view.getFloat32(at, true);
    default:
      return (view, at) => view.getFloat64(at, true);
  }
}

function plain(page: PageValues): Values {
  const { bytes, type } = page;
  if (type === "BOOLEAN") {
    return (index) => {
      if (index >= 8 * bytes.length) throw beyond();
      return ((bytes[index >>> 3] >> (index & 7)) & 1) === 1;
    };
  }
  if (type === "BYTE_ARRAY") {
    const view = viewOf(bytes);
    let next = 0;
    let at = 0;
    let value = bytes.subarray(0, 0);
    return (index) => {
      for (; next <= index; next++) {
        if (at + 4 > bytes.length) throw beyond();
        const end = at + 4 + view.getUint32(at, true);
        if (end > bytes.length) throw beyond();
        value = bytes.subarray(at + 4, end);
        at = end;
      }
      return value;
    };
  }
  const width = widthOf(page);
  const last = bytes.length - width;
  if (type === "FIXED_LEN_BYTE_ARRAY" || type === "INT96") {
    return (index) => {
      if (index * width > last) throw beyond();
      return bytes.subarray(index * width, (index + 1) * width);
    };
  }
  const view = viewOf(bytes);
  const read = fixed(type);
  return (index) => {
    if (index * width > last) throw beyond();
    return read(view, index * width);
  };
}

/** The first bytes of all values, then their second bytes, and so on. */
function split(page: PageValues): Values {
  const { bytes, count, type } = page;
  const width = widthOf(page);
  if (bytes.length < count * width) throw beyond();
  const gather = (index: number, into: Uint8Array) => {
    if (index >= count) throw beyond();
    for (let i = 0; i < width; i++) into[i] = bytes[index + i * count];
    return into;
  };
  if (type === "FIXED_LEN_BYTE_ARRAY" || type === "INT96")
    return (index) => gather(index, new Uint8Array(width));
  const one = new Uint8Array(width);
  const view = viewOf(one);
  const read = fixed(type);
  return (index) => {
    gather(index, one);
    return read(view, 0);
  };
}

/** Integers by their differences, in blocks of bits. */
class Deltas {
  readonly count: number;
  private readonly cursor: Cursor;
  private readonly perMini: number;
  private readonly minis: number;
  private value: bigint;
  private done = 0;
  private widths: Uint8Array = new Uint8Array(0);
  private lowest = 0n;
  /** Of the current miniblock: which, where its bits start, and how many of its values are read. */
  private mini = 0;
  private start = 0;
  private read = 0;

  constructor(
    bytes: Uint8Array,
    at: number,
    private readonly bits: 32 | 64,
  ) {
    this.cursor = new Cursor(bytes, at, bytes.length);
    const block = this.cursor.varint();
    this.minis = this.cursor.varint();
    this.count = this.cursor.varint();
    this.value = this.cursor.zigzag();
    this.perMini = block / this.minis;
    if (!Number.isInteger(this.perMini) || this.perMini < 8 || this.perMini % 8 !== 0 || block > 2 ** 20) {
      throw new Error(`blocks of ${block} values in ${this.minis} parts`);
    }
    this.mini = this.minis;
    this.read = this.perMini;
  }

  next(): bigint {
    if (this.done >= this.count) throw beyond();
    if (this.done++ > 0) this.value += this.delta();
    this.value = BigInt.asIntN(this.bits, this.value);
    return this.value;
  }

  private delta(): bigint {
    if (this.read === this.perMini) {
      if (this.mini < this.minis) this.skipMini();
      if (this.mini >= this.minis) {
        this.lowest = this.cursor.zigzag();
        const { at, end, bytes } = this.cursor;
        if (at + this.minis > end) throw beyond();
        this.widths = bytes.subarray(at, at + this.minis);
        this.cursor.at += this.minis;
        this.mini = 0;
      }
      this.start = this.cursor.at;
      this.read = 0;
    }
    const width = this.widths[this.mini];
    if (width > this.bits) throw new Error(`differences of ${width} bits`);
    return this.lowest + bitsAt(this.cursor, this.start, this.read++ * width, width);
  }

  private skipMini(): void {
    this.cursor.at = this.start + (this.perMini / 8) * this.widths[this.mini];
    this.mini++;
  }

  /** Where the data after the last value start. */
  end(): number {
    if (this.done < this.count) throw new Error("differences are not read to their end");
    // the bits of a miniblock are whole, of those after the last value there are none
    if (this.mini < this.minis && this.read > 0 && this.count > 1) this.skipMini();
    this.read = 0;
    return this.cursor.at;
  }

  reader(): Values {
    let value = 0n;
    return (index) => {
      while (this.done <= index) value = this.next();
      return this.bits === 32 ? Number(value) : value;
    };
  }
}

function bitsAt({ bytes, end }: Cursor, start: number, bit: number, width: number): bigint {
  if (width === 0) return 0n;
  const byte = start + Math.floor(bit / 8);
  const shift = bit % 8;
  const count = Math.ceil((shift + width) / 8);
  if (byte + count > end) throw beyond();
  if (shift + width <= 30) {
    let low = 0;
    for (let i = 0; i < count; i++) low |= bytes[byte + i] << (8 * i);
    return BigInt((low >> shift) & ((1 << width) - 1));
  }
  let value = 0n;
  for (let i = 0; i < count; i++) value |= BigInt(bytes[byte + i]) << BigInt(8 * i);
  return (value >> BigInt(shift)) & ((1n << BigInt(width)) - 1n);
}

/** Lengths as differences; there are as many as the page has values, for each of which its header answers. */
function lengthsOf({ bytes, count }: PageValues, at: number): { lengths: Int32Array; end: number } {
  if (count > MOST_TEXTS) throw new Error(`${count} texts in one page`);
  const deltas = new Deltas(bytes, at, 32);
  if (deltas.count < count) throw beyond();
  const lengths = new Int32Array(Math.min(deltas.count, MOST_TEXTS));
  for (let i = 0; i < lengths.length; i++) {
    lengths[i] = Number(deltas.next());
    if (lengths[i] < 0) throw new Error("a text of a negative length");
  }
  return { lengths, end: deltas.end() };
}

/** Values of one page whose lengths are held at a time. */
const MOST_TEXTS = 2 ** 24;

function lengthsThenBytes(page: PageValues, at: number): Values {
  const { bytes } = page;
  const { lengths, end } = lengthsOf(page, at);
  let from = end;
  let next = 0;
  let value = bytes.subarray(0, 0);
  return (index) => {
    for (; next <= index; next++) {
      if (next >= lengths.length || from + lengths[next] > bytes.length) throw beyond();
      value = bytes.subarray(from, from + lengths[next]);
      from += lengths[next];
    }
    return value;
  };
}

/** Each value begins as the one before it. */
function sharedPrefixes(page: PageValues): Values {
  const { lengths: prefixes, end } = lengthsOf(page, 0);
  const suffix = lengthsThenBytes(page, end);
  let next = 0;
  let value: Uint8Array = page.bytes.subarray(0, 0);
  return (index) => {
    for (; next <= index; next++) {
      const rest = suffix(next) as Uint8Array;
      const prefix = prefixes[next];
      if (next >= prefixes.length || prefix > value.length)
        throw new Error("a text has more of the last than that has");
      if (prefix === 0) {
        value = rest;
        continue;
      }
      page.spend(prefix + rest.length);
      const whole = new Uint8Array(prefix + rest.length);
      whole.set(value.subarray(0, prefix));
      whole.set(rest, prefix);
      value = whole;
    }
    return value;
  };
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
