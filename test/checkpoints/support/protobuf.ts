/** Messages of protocol buffers, written as a test needs them. */
import { concatenated } from "../../../src/checkpoints/encodings/zip.js";

export function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.of(...bytes, Number(rest));
}

/** A varint where the value is an integer, length-delimited where it is a text or bytes. */
export function field(number: number, value: number | bigint | string | Uint8Array): Uint8Array {
  if (typeof value === "number" || typeof value === "bigint") {
    return concatenated([varint(number * 8), varint(value)]);
  }
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return concatenated([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

export function fixed32(number: number, value: number): Uint8Array {
  return concatenated([varint(number * 8 + 5), new Uint8Array(Uint32Array.of(value).buffer)]);
}

export function float(number: number, value: number): Uint8Array {
  return concatenated([varint(number * 8 + 5), new Uint8Array(Float32Array.of(value).buffer)]);
}

export function double(number: number, value: number): Uint8Array {
  return concatenated([varint(number * 8 + 1), new Uint8Array(Float64Array.of(value).buffer)]);
}

export const message = (...fields: Uint8Array[]): Uint8Array => concatenated(fields);
