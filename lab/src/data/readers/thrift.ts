/**
 * Thrift's compact protocol, of which Parquet makes its metadata. Nothing that is declared is believed: a list has no
 * more entries than there are bytes, and the depth and the number of things are bounded, so that a file of a few bytes
 * asks for no memory.
 */

/** A struct's fields by their number. */
export type Struct = Map<number, unknown>;

const MOST_DEPTH = 24;
/** Structs, lists and strings: what takes memory far beyond its bytes. */
const MOST_THINGS = 4_000_000;

/** The struct at `start` of `bytes`, and where it ends. Throws Error for anything else. */
export function readStruct(bytes: Uint8Array, start = 0): { struct: Struct; end: number } {
  const reader = new Reader(bytes, start);
  return { struct: reader.struct(0), end: reader.at };
}

/** The number of a struct's field; throws where it has none. */
export function numberOf(struct: Struct, field: number): number {
  const value = struct.get(field);
  if (typeof value !== "number") throw new Error(`expected a number in field ${field} of its metadata`);
  return value;
}

class Reader {
  private readonly view: DataView;
  private things = 0;

  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  struct(depth: number): Struct {
    this.thing(depth);
    const fields: Struct = new Map();
    let id = 0;
    for (;;) {
      const byte = this.byte();
      const type = byte & 15;
      if (type === 0) return fields;
      id = byte >> 4 ? id + (byte >> 4) : this.zigzag(3);
      fields.set(id, this.element(type, depth));
    }
  }

  private element(type: number, depth: number): unknown {
    switch (type) {
      case 1:
        return true;
      case 2:
        return false;
      case 3:
        return (this.byte() << 24) >> 24;
      case 4:
      case 5:
        return this.zigzag(5);
      case 6:
        return this.zigzag(10);
      case 7:
        this.at += 8;
        return this.view.getFloat64(this.at - 8, true);
      case 8: {
        this.thing(depth);
        const length = this.varint(5);
        this.fits(length);
        this.at += length;
        return this.bytes.subarray(this.at - length, this.at);
      }
      case 9:
        return this.list(depth);
      case 12:
        return this.struct(depth + 1);
      default:
        throw new Error(`unknown type ${type} in its metadata`);
    }
  }

  private list(depth: number): unknown[] {
    this.thing(depth);
    const byte = this.byte();
    const type = byte & 15;
    const length = byte >> 4 === 15 ? this.varint(5) : byte >> 4;
    // each entry takes a byte or more, that of a boolean too
    this.fits(length);
    const entries: unknown[] = [];
    for (let i = 0; i < length; i++) {
      entries.push(type === 1 || type === 2 ? this.byte() === 1 : this.element(type, depth + 1));
    }
    return entries;
  }

  private byte(): number {
    if (this.at >= this.bytes.length) throw new Error("its metadata ends too early");
    return this.bytes[this.at++];
  }

  /** Exact up to 2⁵³, which no size exceeds. */
  private varint(most: number): number {
    let value = 0;
    for (let i = 0; i < most; i++) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw new Error("a number in its metadata is too long");
  }

  private zigzag(most: number): number {
    const value = this.varint(most);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  private fits(length: number): void {
    if (length > this.bytes.length - this.at) {
      throw new Error(`its metadata declares ${length} bytes where ${this.bytes.length - this.at} are left`);
    }
  }

  private thing(depth: number): void {
    if (depth > MOST_DEPTH) throw new Error("its metadata is nested too deep");
    if (++this.things > MOST_THINGS) throw new Error("its metadata is too large");
  }
}
