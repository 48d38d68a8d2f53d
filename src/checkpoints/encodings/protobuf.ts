/**
 * Protocol buffers' wire format, read field by field from a range of bytes: what a message holds is read when it is asked for, so that a
 * tensor of gigabytes is passed over; and written, field by field. https://protobuf.dev/programming-guides/encoding
 */
import { CheckpointError } from "../errors.js";
import { type Bytes, bytesInMemory } from "../source.js";
import { concatenated } from "./zip.js";

/** A field of a message. */
export interface Field {
  readonly number: number;
  /** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
  readonly wire: number;
  /** Of wire type 0: the 64 bits, unsigned. Of 1 and 5: the bits as an unsigned number, to be read as its type demands. */
  readonly bits: bigint;
  /** Of wire type 2: the range; of others empty. */
  readonly bytes: Bytes;
  /** From the beginning of the file. */
  readonly offset: number;
}

/** Messages are read into memory in whole when they are no longer than this, which most are, and what is in them from there. */
const WHOLE = 2 ** 16;
/** Bytes of a key and of what follows it, but what a length is of. */
const LONGEST = 20;

/**
 * All fields of a message, in their order. Long ones of length-delimited type stay where they are.
 * @param format for errors
 * @throws CheckpointError for what is not the wire format
 */
export async function fieldsOf(format: string, stored: Bytes): Promise<Field[]> {
  const fields: Field[] = [];
  const message =
    stored.byteLength <= WHOLE ? bytesInMemory(stored.file, await stored.read(), stored.offset) : stored;
  const base = message.offset ?? 0;
  const fail = (problem: string, at: number) =>
    new CheckpointError(message.file, format, problem, { offset: base + at });
  let window: Uint8Array = new Uint8Array();
  let windowAt = 0;
  let at = 0;
  const byte = (): number => {
    if (at === message.byteLength) throw fail("expected 1 more bytes of a message, it ends", at);
    return window[at++ - windowAt];
  };
  /** Most are of one byte. */
  const varint = (): number | bigint => {
    const first = byte();
    if (first < 0x80) return first;
    let value = BigInt(first & 0x7f);
    for (let shift = 7n; shift < 70n; shift += 7n) {
      const next = byte();
      value |= BigInt(next & 0x7f) << shift;
      if (next < 0x80) return BigInt.asUintN(64, value);
    }
    throw fail("expected a varint of at most 10 bytes", at);
  };
  const fixed = (count: 4 | 8): bigint => {
    if (at + count > message.byteLength) throw fail(`expected ${count} more bytes of a message, it ends`, at);
    const view = new DataView(window.buffer, window.byteOffset + at - windowAt, count);
    at += count;
    return count === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
  };
  const none = message.part(0, 0);
  while (at < message.byteLength) {
    if (at + LONGEST > windowAt + window.length && windowAt + window.length < message.byteLength) {
      windowAt = at;
      window = await message.read(at, Math.min(message.byteLength, at + WHOLE));
    }
    const offset = base + at;
    const key = Number(varint());
    const [number, wire] = [Math.floor(key / 8), key % 8];
    if (number < 1 || number > 2 ** 29) throw fail(`expected the number of a field, got ${number}`, at);
    if (wire === 0) fields.push({ number, wire, bits: BigInt(varint()), bytes: none, offset });
    else if (wire === 1 || wire === 5) {
      fields.push({ number, wire, bits: fixed(wire === 1 ? 8 : 4), bytes: none, offset });
    } else if (wire === 2) {
      const length = Number(varint());
      if (length > message.byteLength - at)
        throw fail(`expected ${length} bytes of field ${number}, the message ends`, at);
      fields.push({ number, wire, bits: 0n, bytes: message.part(at, at + length), offset });
      at += length;
    } else throw fail(`expected a wire type of 0, 1, 2 or 5, got ${wire}`, at);
  }
  return fields;
}

/** By number, in their order. */
export function byNumber(fields: readonly Field[]): Map<number, Field[]> {
  const found = new Map<number, Field[]>();
  for (const field of fields) {
    const others = found.get(field.number);
    if (others) others.push(field);
    else found.set(field.number, [field]);
  }
  return found;
}

export async function textIn({ bytes }: Field): Promise<string> {
  return new TextDecoder().decode(await bytes.read());
}

/** A signed 64-bit varint (int64, enum), as a number; beyond 2⁵³ the nearest. */
export function integerIn({ bits }: Field): number {
  return Number(BigInt.asIntN(64, bits));
}

/** A float of four bytes. */
export function floatIn({ bits }: Field): number {
  return new Float32Array(Uint32Array.of(Number(bits)).buffer)[0];
}

/** Signed integers of a repeated field, packed into one or one each. */
export async function bigIntegersIn(fields: readonly Field[] = []): Promise<bigint[]> {
  const all: bigint[] = [];
  for (const { wire, bits, bytes } of fields) {
    if (wire === 0) {
      all.push(BigInt.asIntN(64, bits));
      continue;
    }
    let value = 0n;
    let shift = 0n;
    for (const byte of await bytes.read()) {
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte >= 0x80 && shift < 70n) continue;
      all.push(BigInt.asIntN(64, value));
      value = 0n;
      shift = 0n;
    }
  }
  return all;
}

/** As `bigIntegersIn`, as numbers; beyond 2⁵³ the nearest. */
export async function integersIn(fields: readonly Field[] = []): Promise<number[]> {
  return (await bigIntegersIn(fields)).map(Number);
}

/** A varint without a key: 64 bits, of negative numbers in two's complement. */
export function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.of(...bytes, Number(rest));
}

/** What stands before a field of wire type 2: its key, and its length in bytes. */
export function lengthField(number: number, byteLength: number): Uint8Array {
  return concatenated([varint(number * 8 + 2), varint(byteLength)]);
}

/** A field of bytes, or of a message that `message` gives. */
export function bytesField(number: number, bytes: Uint8Array): Uint8Array {
  return concatenated([lengthField(number, bytes.length), bytes]);
}

/** A field of a text, in UTF-8. */
export function textField(number: number, text: string): Uint8Array {
  return bytesField(number, new TextEncoder().encode(text));
}

/** A field of an integer or an enum. @param value an integer, of a number within ±2⁵³ */
export function integerField(number: number, value: number | bigint): Uint8Array {
  return concatenated([varint(number * 8), varint(value)]);
}

/** A field of a float of four bytes. */
export function floatField(number: number, value: number): Uint8Array {
  const bytes = new Uint8Array(5 + 4);
  const key = varint(number * 8 + 5);
  bytes.set(key);
  new DataView(bytes.buffer).setFloat32(key.length, value, true);
  return bytes.slice(0, key.length + 4);
}

/** A repeated field of integers, packed into one. */
export function packedIntegers(number: number, values: Iterable<number | bigint>): Uint8Array {
  return bytesField(number, concatenated(Array.from(values, varint)));
}

/** A repeated field of floats of four bytes, packed into one. */
export function packedFloats(number: number, values: readonly number[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(4 * values.length));
  for (const [i, value] of values.entries()) bytes.setFloat32(4 * i, value, true);
  return bytesField(number, new Uint8Array(bytes.buffer));
}

/** The bytes of a message: its fields one after another. */
export function message(fields: readonly Uint8Array[]): Uint8Array {
  return concatenated(fields);
}
