/**
 * Structures of an HDF5 file, and the fields that they are made of: integers with their lowest byte first, addresses and lengths as wide as
 * the superblock says, texts (specification, II.A and III).
 *
 * A sound file has each structure once. So each is read once, and together they are about as long as the file: that ends every cycle.
 */
import { CheckpointError } from "../../errors.js";
import type { Bytes } from "../../source.js";

/** The structures of a file, of which none is read twice. */
export class Structures {
  private readonly addresses = new Set<number>();
  private total = 0;

  constructor(
    readonly format: string,
    /** From the superblock on, which addresses count from. */
    readonly bytes: Bytes,
    readonly offsetWidth = 8,
    readonly lengthWidth = 8,
  ) {}

  /** Of the same file, with nothing read yet. */
  again(): Structures {
    return new Structures(this.format, this.bytes, this.offsetWidth, this.lengthWidth);
  }

  fail(problem: string, address?: number, remedy?: string): CheckpointError {
    const start = this.bytes.offset;
    const offset = address === undefined || start === undefined ? undefined : start + address;
    return new CheckpointError(this.bytes.file, this.format, problem, { offset, remedy });
  }

  /** Bytes at the beginning of a structure, to learn how long it is. */
  async peek(address: number, length: number): Promise<Fields> {
    if (!(address + length <= this.bytes.byteLength)) {
      throw this.fail(`expected ${length} bytes of a structure, the file ends before`, address);
    }
    return new Fields(this, await this.bytes.read(address, address + length), address);
  }

  /** Bytes that one structure has to itself. */
  async claim(address: number, length: number): Promise<Fields> {
    this.own(address, length);
    return this.peek(address, length);
  }

  own(address: number, length: number): void {
    if (!(address + length <= this.bytes.byteLength)) {
      throw this.fail(`expected ${length} bytes, the file ends before`, address);
    }
    if (this.addresses.has(address)) throw this.fail("expected bytes that nothing else is made of", address);
    this.addresses.add(address);
    this.count(length, address);
  }

  /** Objects lie in structures, and texts in them: counted together they are at most three times the file. */
  count(length: number, address: number): void {
    this.total += length;
    if (this.total > 3 * this.bytes.byteLength) {
      throw this.fail("expected structures that do not overlap", address);
    }
  }
}

/** Fields of a structure, one after the other. */
export class Fields {
  at = 0;

  constructor(
    readonly structures: Structures,
    readonly bytes: Uint8Array,
    /** Of its first byte, in the file. */
    readonly address: number,
  ) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  fail(problem: string, remedy?: string): CheckpointError {
    return this.structures.fail(problem, this.address + this.at, remedy);
  }

  skip(count: number): this {
    if (!(count >= 0 && count <= this.left))
      throw this.fail(`expected ${count} more bytes of a structure, there are ${this.left}`);
    this.at += count;
    return this;
  }

  /** Goes to a place from the first byte on. */
  seek(at: number): this {
    this.at = 0;
    return this.skip(at);
  }

  take(count: number): Uint8Array {
    this.skip(count);
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** The next bytes as fields of their own. */
  inner(count: number): Fields {
    const address = this.address + this.at;
    return new Fields(this.structures, this.take(count), address);
  }

  uint8(): number {
    return this.uint(1);
  }

  uint16(): number {
    return this.uint(2);
  }

  uint32(): number {
    return this.uint(4);
  }

  /** An unsigned number of `width` bytes; beyond 2⁵³ the nearest, which nothing in a file is as long as. */
  uint(width: number): number {
    this.skip(width);
    let value = 0;
    for (let i = 1; i <= width; i++) value = value * 256 + this.bytes[this.at - i];
    return value;
  }

  length(): number {
    return this.uint(this.structures.lengthWidth);
  }

  /** Undefined where it is all ones: nothing there. */
  addressOrNone(): number | undefined {
    const { offsetWidth } = this.structures;
    const address = this.uint(offsetWidth);
    return address < 2 ** (8 * offsetWidth) - 1 ? address : undefined;
  }

  addressOf(what: string): number {
    const address = this.addressOrNone();
    if (address === undefined) throw this.fail(`expected the address of ${what}`);
    return address;
  }

  expect(signature: string): this {
    const found = String.fromCharCode(...this.take(signature.length));
    if (found === signature) return this;
    this.at -= signature.length;
    throw this.fail(`expected "${signature}"`);
  }

  /** Of `count` bytes, up to the first that is zero. */
  text(count: number): string {
    const bytes = this.take(count);
    const end = bytes.indexOf(0);
    const text = end < 0 ? bytes : bytes.subarray(0, end);
    this.structures.count(text.length, this.address);
    return decoder.decode(text);
  }
}

const decoder = new TextDecoder();

/** Bytes that a count up to this one takes. */
export function widthOf(most: number): number {
  return Math.floor(Math.log2(Math.max(1, most)) / 8) + 1;
}

/** What to do about structures that only newer libraries write, and those that h5py does not write by itself. */
export const NEWER = "write it with h5py's default libver";
export const REWRITE = "write it again with h5py's defaults";
