/**
 * HDF5 files (The HDF5 File Format Specification 3.0, https://docs.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html), read in ranges:
 * superblocks 0-3, object headers 1 and 2, groups by symbol table, link messages and dense links, attributes compact and dense, datasets
 * compact, contiguous and chunked by every index that the library writes, filters deflate, shuffle, fletcher32 and LZF.
 *
 * Refused by name, when they are read: other datatypes than numbers, bool and (in attributes) strings, other filters, external and virtual
 * storage. Soft and external links are not followed. Checksums of structures are not verified; what they say is checked.
 *
 * A sound file has each structure once. So each is read once, and together they are about as long as the file: that ends every cycle.
 */
import { MOST_AXES, sizeOf } from "../../shape.js";
import { CheckpointError } from "../errors.js";
import { type Bytes, bytesInMemory } from "../source.js";
import {
  dtypes,
  fitsStored,
  madeTensor,
  shortened,
  storedTensor,
  type Tensor,
  type Values,
} from "../tensors.js";
import { inflate, viewOf } from "./zip.js";

/** Of an attribute: a scalar, or a list in row-major order; undefined of a type that is not read. */
export type AttributeValue = string | number | bigint | boolean | readonly AttributeValue[] | undefined;

export interface Hdf5Object {
  readonly attributes: ReadonlyMap<string, AttributeValue>;
  /** Of a group, what it links to, by name in the order of names; empty for a dataset. */
  readonly members: ReadonlyMap<string, Hdf5Object>;
  /** Of a dataset; undefined for a group. */
  readonly dataset?: Dataset;
}

export interface Dataset {
  readonly shape: readonly number[];
  readonly dtype: string;
  /** @param dtype another type of as many bytes, where an attribute tells what opaque values are */
  tensor(name: string, dtype?: string): Tensor;
}

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
/** Groups within groups. */
const DEEPEST = 64;
/** Levels of a B-tree; each of them multiplies what it holds. */
const MOST_LEVELS = 32;

const isSignature = (bytes: Uint8Array, at: number) => SIGNATURE.every((byte, i) => bytes[at + i] === byte);

/** Whether a file begins as HDF5, after a user block of 512, 1024 or 2048 bytes too. */
export function isHdf5(head: Uint8Array): boolean {
  return [0, 512, 1024, 2048].some((at) => isSignature(head, at));
}

/** Opens a file and all its groups; of the datasets nothing but what they are. */
export async function openHdf5(format: string, bytes: Bytes): Promise<Hdf5Object> {
  for (let at = 0; at + 64 <= bytes.byteLength; at = at === 0 ? 512 : at * 2) {
    if (!isSignature(await bytes.read(at, at + 8), 0)) continue;
    return new Hdf5File(format, bytes.part(at, bytes.byteLength)).open();
  }
  throw new CheckpointError(bytes.file, format, "expected the signature of HDF5 at byte 0, 512, 1024, ...");
}

/** Fields of a structure, one after the other. */
class Fields {
  at = 0;
  private readonly view: DataView;

  constructor(
    readonly file: Hdf5File,
    readonly bytes: Uint8Array,
    /** Of its first byte, in the file. */
    readonly address: number,
  ) {
    this.view = viewOf(bytes);
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  fail(problem: string, remedy?: string): CheckpointError {
    return this.file.fail(problem, this.address + this.at, remedy);
  }

  skip(count: number): this {
    if (count > this.left)
      throw this.fail(`expected ${count} more bytes of a structure, there are ${this.left}`);
    this.at += count;
    return this;
  }

  take(count: number): Uint8Array {
    this.skip(count);
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** The next bytes as fields of their own. */
  inner(count: number): Fields {
    const address = this.address + this.at;
    return new Fields(this.file, this.take(count), address);
  }

  uint8(): number {
    return this.skip(1).view.getUint8(this.at - 1);
  }

  uint16(): number {
    return this.skip(2).view.getUint16(this.at - 2, true);
  }

  uint32(): number {
    return this.skip(4).view.getUint32(this.at - 4, true);
  }

  /** An unsigned number of `width` bytes; beyond 2⁵³ the nearest, which nothing in a file is as long as. */
  uint(width: number): number {
    const bytes = this.take(width);
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + bytes[i];
    return value;
  }

  length(): number {
    return this.uint(this.file.lengthWidth);
  }

  /** Undefined where it is all ones: nothing there. */
  addressOrNone(): number | undefined {
    const { offsetWidth } = this.file;
    const bytes = this.take(offsetWidth);
    if (bytes.every((byte) => byte === 0xff)) return undefined;
    this.at -= offsetWidth;
    return this.uint(offsetWidth);
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

  /** Up to its first zero byte. */
  text(count: number): string {
    const bytes = this.take(count);
    const end = bytes.indexOf(0);
    const text = end < 0 ? bytes : bytes.subarray(0, end);
    this.file.structures.count(text.length, this.address);
    return decoded(text);
  }
}

const decoded = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

interface Message {
  readonly type: number;
  readonly fields: Fields;
}

const MESSAGE = {
  dataspace: 0x1,
  linkInfo: 0x2,
  datatype: 0x3,
  oldFill: 0x4,
  fill: 0x5,
  link: 0x6,
  external: 0x7,
  layout: 0x8,
  filters: 0xb,
  attribute: 0xc,
  continuation: 0x10,
  symbolTable: 0x11,
  attributeInfo: 0x15,
} as const;

/** What was read of a file, so that nothing is read twice. */
class Structures {
  private readonly addresses = new Set<number>();
  private total = 0;

  constructor(readonly file: Hdf5File) {}

  /** Bytes that one structure has to itself. */
  async claim(address: number, length: number): Promise<Fields> {
    this.own(address, length);
    return this.file.peek(address, length);
  }

  own(address: number, length: number): void {
    if (!(address + length <= this.file.bytes.byteLength)) {
      throw this.file.fail(`expected ${length} bytes, the file ends before`, address);
    }
    if (this.addresses.has(address))
      throw this.file.fail("expected bytes that nothing else is made of", address);
    this.addresses.add(address);
    this.count(length, address);
  }

  /** Objects lie in structures, and texts in them: counted together they are at most three times the file. */
  count(length: number, address: number): void {
    this.total += length;
    if (this.total > 3 * this.file.bytes.byteLength) {
      throw this.file.fail("expected structures that do not overlap", address);
    }
  }
}

class Hdf5File {
  offsetWidth = 8;
  lengthWidth = 8;
  readonly structures = new Structures(this);
  private readonly objects = new Map<number, Promise<Hdf5Object>>();
  /** Objects whose members are being opened: those that hold one another. */
  private readonly opening = new Set<number>();
  private readonly headers = new Map<number, Promise<Message[]>>();
  private readonly collections = new Map<number, Promise<Map<number, Uint8Array>>>();

  constructor(
    readonly format: string,
    /** From the superblock on, which addresses count from. */
    readonly bytes: Bytes,
  ) {}

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

  async open(): Promise<Hdf5Object> {
    const head = (await this.peek(0, 64)).skip(8);
    const version = head.uint8();
    if (version > 3) throw head.fail(`expected a superblock of version 0 to 3, got ${version}`, NEWER);
    if (version <= 1) head.skip(4);
    const [offsets, lengths] = [head.uint8(), head.uint8()];
    if (![2, 4, 8].includes(offsets) || ![2, 4, 8].includes(lengths)) {
      throw head.fail(`expected addresses and lengths of 2, 4 or 8 bytes, got ${offsets} and ${lengths}`);
    }
    this.offsetWidth = offsets;
    this.lengthWidth = lengths;
    if (version <= 1) {
      // leaf and internal node sizes, flags; base, free space, end and driver addresses; the root's name
      const rest = await this.peek(0, Math.min(this.bytes.byteLength, 28 + 6 * offsets));
      rest.skip(version === 0 ? 24 : 28).skip(5 * offsets);
      return this.object(rest.addressOf("the root group"), 0);
    }
    head.skip(1).skip(3 * offsets);
    return this.object(head.addressOf("the root group"), 0);
  }

  /** Each is opened once: links to one object find the same. */
  object(address: number, depth: number): Promise<Hdf5Object> {
    const known = this.objects.get(address);
    if (known !== undefined) return known;
    if (depth > DEEPEST) throw this.fail(`expected at most ${DEEPEST} groups in one another`, address);
    const opened = this.openObject(address, depth);
    this.objects.set(address, opened);
    return opened;
  }

  private async openObject(address: number, depth: number): Promise<Hdf5Object> {
    this.opening.add(address);
    const messages = await this.messages(address);
    const attributes = new Map<string, AttributeValue>();
    for (const message of await this.attributeMessages(messages)) {
      const [name, value] = await this.attribute(message);
      attributes.set(name, value);
    }
    const layout = messages.find(({ type }) => type === MESSAGE.layout);
    if (layout !== undefined) {
      this.opening.delete(address);
      return { attributes, members: new Map(), dataset: await this.dataset(messages, layout.fields) };
    }
    const members = new Map<string, Hdf5Object>();
    const links = [...(await this.links(messages))].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    for (const [name, target] of links) {
      // a link to a group that holds this one is left out: it would have no end
      if (!this.opening.has(target)) members.set(name, await this.object(target, depth + 1));
    }
    this.opening.delete(address);
    return { attributes, members };
  }

  // Object headers

  private messages(address: number): Promise<Message[]> {
    const known = this.headers.get(address) ?? this.readMessages(address);
    this.headers.set(address, known);
    return known;
  }

  private async readMessages(address: number): Promise<Message[]> {
    const head = await this.peek(address, Math.min(16, this.bytes.byteLength - address));
    const messages: Message[] = [];
    const rest: [number, number][] = [];
    if (head.bytes[0] === 1) {
      head.skip(8);
      const size = head.uint32();
      await this.messages1((await this.structures.claim(address, 16 + size)).skip(16), messages, rest);
      for (const [at, length] of rest)
        await this.messages1(await this.structures.claim(at, length), messages, rest);
      return messages;
    }
    head.expect("OHDR");
    const version = head.uint8();
    if (version !== 2) throw head.fail(`expected an object header of version 1 or 2, got ${version}`, NEWER);
    const flags = head.uint8();
    const before = 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0);
    const width = 1 << (flags & 3);
    const size = (await this.peek(address, before + width)).skip(before).uint(width);
    const block = (await this.structures.claim(address, before + width + size)).skip(before + width);
    await this.messages2(block, flags, messages, rest);
    for (const [at, length] of rest) {
      if (length < 8) throw this.fail("expected a block of an object header", at);
      const more = (await this.structures.claim(at, length)).expect("OCHK");
      await this.messages2(more.inner(length - 8), flags, messages, rest);
    }
    return messages;
  }

  private async messages1(block: Fields, messages: Message[], rest: [number, number][]): Promise<void> {
    while (block.left >= 8) {
      const type = block.uint16();
      const size = block.uint16();
      const flags = block.uint8();
      block.skip(3);
      await this.message(type, flags, block.inner(size), messages, rest);
    }
  }

  private async messages2(
    block: Fields,
    header: number,
    messages: Message[],
    rest: [number, number][],
  ): Promise<void> {
    const prefix = header & 4 ? 6 : 4;
    while (block.left >= prefix) {
      const type = block.uint8();
      const size = block.uint16();
      const flags = block.uint8();
      block.skip(prefix - 4);
      await this.message(type, flags, block.inner(size), messages, rest);
    }
  }

  private async message(
    type: number,
    flags: number,
    fields: Fields,
    messages: Message[],
    rest: [number, number][],
  ) {
    if (type === MESSAGE.continuation) rest.push([fields.addressOf("more messages"), fields.length()]);
    else messages.push({ type, fields: flags & 2 ? await this.shared(fields, type) : fields });
  }

  /** A message that stands in another object's header: a named datatype. */
  private async shared(fields: Fields, type: number): Promise<Fields> {
    const version = fields.uint8();
    const kind = fields.uint8();
    if (version === 1) fields.skip(6);
    if (version >= 3 && kind === 1) throw fields.fail("messages in a shared table are not read", REWRITE);
    const address = fields.addressOf("a shared message");
    const found = (await this.messages(address)).find((message) => message.type === type);
    if (found === undefined) throw fields.fail("expected a message that another object shares");
    return new Fields(this, found.fields.bytes, found.fields.address);
  }

  // Groups

  private async links(messages: readonly Message[]): Promise<Map<string, number>> {
    const links = new Map<string, number>();
    for (const { type, fields } of messages) {
      if (type === MESSAGE.symbolTable) {
        const tree = fields.addressOf("a group's B-tree");
        const heap = await this.localHeap(fields.addressOf("a group's heap"));
        for await (const node of leaves(this.structures, tree, 0, this.lengthWidth)) {
          await this.symbols(node.skip(this.lengthWidth).addressOf("symbols"), heap, links);
        }
      } else if (type === MESSAGE.link) {
        this.link(fields, links);
      } else if (type === MESSAGE.linkInfo) {
        fields.skip(1);
        if (fields.uint8() & 1) fields.skip(8);
        const heap = fields.addressOrNone();
        const index = fields.addressOrNone();
        if (heap === undefined || index === undefined) continue;
        // a record: the name's hash, then where the link message is
        for (const message of await this.dense(heap, index, 5, 4)) this.link(message, links);
      }
    }
    return links;
  }

  private async localHeap(address: number): Promise<Fields> {
    const head = (await this.structures.claim(address, 8 + 2 * this.lengthWidth + this.offsetWidth))
      .expect("HEAP")
      .skip(4);
    const size = head.length();
    head.length();
    return this.structures.claim(head.addressOf("the heap's data"), size);
  }

  private async symbols(address: number, heap: Fields, links: Map<string, number>): Promise<void> {
    const count = (await this.peek(address, 8)).expect("SNOD").skip(2).uint16();
    const node = (await this.structures.claim(address, 8 + count * (2 * this.offsetWidth + 24))).skip(8);
    for (let i = 0; i < count; i++) {
      const at = node.uint(this.offsetWidth);
      const target = node.addressOrNone();
      const cached = node.uint32();
      node.skip(20);
      // a soft link has no target but a text
      if (target === undefined || cached === 2) continue;
      heap.at = 0;
      const name = heap.skip(at).text(heap.left);
      links.set(name, target);
    }
  }

  private link(fields: Fields, links: Map<string, number>): void {
    fields.skip(1);
    const flags = fields.uint8();
    const type = flags & 8 ? fields.uint8() : 0;
    if (flags & 4) fields.skip(8);
    if (flags & 0x10) fields.skip(1);
    const name = fields.text(fields.uint(1 << (flags & 3)));
    if (type === 0) links.set(name, fields.addressOf(`"${shortened(name)}"`));
  }

  // Fractal heaps

  /** Messages of a fractal heap, by an index whose records name them after `before` bytes. */
  private async dense(heap: number, index: number, type: number, before: number): Promise<Fields[]> {
    const { offsetWidth, lengthWidth } = this;
    const head = (await this.structures.claim(heap, 22 + 12 * lengthWidth + 3 * offsetWidth))
      .expect("FRHP")
      .skip(1);
    const idLength = head.uint16();
    if (head.uint16() !== 0) throw head.fail("a filtered heap is not read", REWRITE);
    const mostManaged = head.skip(1).uint32();
    const huge = head.skip(lengthWidth).addressOrNone();
    head.skip(9 * lengthWidth + offsetWidth);
    const width = head.uint16();
    const start = head.length();
    const mostDirect = head.length();
    const bits = head.uint16();
    head.skip(2);
    const root = head.addressOrNone();
    const rows = head.uint16();
    const offsetBytes = Math.ceil(bits / 8);
    const lengthBytes = Math.min(widthOf(mostDirect), widthOf(mostManaged));
    if (width === 0 || start === 0 || bits > 64) throw head.fail("expected a heap's table of blocks");
    const blocks: { from: number; bytes: Fields }[] = [];
    const rowSize = (row: number) => start * 2 ** Math.max(0, row - 1);
    // direct blocks, in the order of their offsets; indirect ones hold those of the first rows, then indirect ones
    const collect = async (address: number, count: number, from: number, depth: number): Promise<void> => {
      if (depth > MOST_LEVELS || !(count >= 1 && count <= 64) || !Number.isInteger(count))
        throw this.fail("expected a heap's block of at most 64 rows", address);
      const directRows = Math.min(count, Math.log2(mostDirect / start) + 2);
      const entries = count * width;
      const block = (
        await this.structures.claim(address, 5 + offsetWidth + offsetBytes + entries * offsetWidth)
      )
        .expect("FHIB")
        .skip(1 + offsetWidth + offsetBytes);
      let at = from;
      for (let row = 0; row < count; row++) {
        for (let column = 0; column < width; column++, at += rowSize(row)) {
          const child = block.addressOrNone();
          if (child === undefined) continue;
          if (row < directRows)
            blocks.push({ from: at, bytes: await this.structures.claim(child, rowSize(row)) });
          else await collect(child, Math.log2(rowSize(row) / (start * width)) + 1, at, depth + 1);
        }
      }
    };
    if (root !== undefined) {
      if (rows === 0) blocks.push({ from: 0, bytes: await this.structures.claim(root, start) });
      else await collect(root, rows, 0, 0);
    }
    // objects that are too long for a block lie alone; where, a B-tree says by their numbers
    let byNumber: Map<number, { address: number; length: number }> | undefined;
    const hugeOf = async (id: Fields) => {
      if (byNumber === undefined) {
        byNumber = new Map();
        if (huge === undefined) throw id.fail("expected an index of a heap's long objects");
        for await (const record of records(this.structures, huge, 1)) {
          const place = { address: record.addressOf("a long object"), length: record.length() };
          byNumber.set(record.length(), place);
        }
      }
      const place = byNumber.get(id.uint(Math.min(id.left, lengthWidth)));
      if (place === undefined) throw id.fail("expected a long object of its heap");
      return place;
    };
    // the block with an offset; they lie in that order
    const blockAt = (offset: number) => {
      let [low, high] = [0, blocks.length];
      while (low + 1 < high) {
        const middle = (low + high) >> 1;
        if (blocks[middle].from <= offset) low = middle;
        else high = middle;
      }
      return blocks[low]?.from <= offset ? blocks[low] : undefined;
    };
    const found: Fields[] = [];
    for await (const record of records(this.structures, index, type)) {
      const id = record.skip(before).inner(Math.min(idLength, record.left));
      const kind = (id.uint8() >> 4) & 3;
      if (kind === 2) {
        const length = (id.bytes[0] & 0xf) + 1;
        found.push(id.inner(length));
        continue;
      }
      if (kind === 1) {
        const { address, length } = await hugeOf(id);
        found.push(await this.structures.claim(address, length));
        continue;
      }
      const at = id.uint(offsetBytes);
      const length = id.uint(lengthBytes);
      const block = blockAt(at);
      if (block === undefined || at + length > block.from + block.bytes.bytes.length) {
        throw id.fail("expected an object within its heap");
      }
      this.structures.count(length, id.address);
      block.bytes.at = at - block.from;
      found.push(block.bytes.inner(length));
    }
    return found;
  }

  // Attributes

  private async attributeMessages(messages: readonly Message[]): Promise<Fields[]> {
    const all: Fields[] = [];
    for (const { type, fields } of messages) {
      if (type === MESSAGE.attribute) all.push(fields);
      if (type !== MESSAGE.attributeInfo) continue;
      fields.skip(1);
      if (fields.uint8() & 1) fields.skip(2);
      const heap = fields.addressOrNone();
      const index = fields.addressOrNone();
      if (heap !== undefined && index !== undefined) all.push(...(await this.dense(heap, index, 8, 0)));
    }
    return all;
  }

  private async attribute(fields: Fields): Promise<[string, AttributeValue]> {
    const version = fields.uint8();
    if (version < 1 || version > 3)
      throw fields.fail(`expected an attribute of version 1 to 3, got ${version}`, NEWER);
    const flags = version === 1 ? fields.skip(1) && 0 : fields.uint8();
    const [nameLength, typeLength, spaceLength] = [fields.uint16(), fields.uint16(), fields.uint16()];
    if (version === 3) fields.skip(1);
    // version 1 pads each to a multiple of 8 bytes
    const padded = (length: number) => (version === 1 ? Math.ceil(length / 8) * 8 : length);
    const name = fields.text(padded(nameLength));
    const typeFields = fields.inner(padded(typeLength));
    const type = datatypeOf(flags & 1 ? await this.shared(typeFields, MESSAGE.datatype) : typeFields);
    const space = dataspaceOf(fields.inner(padded(spaceLength)));
    if (flags & 2) throw fields.fail("a shared dataspace is not read", REWRITE);
    return [name, await this.attributeValue(type, space, fields)];
  }

  private async attributeValue(
    type: Datatype,
    { shape, none }: Dataspace,
    data: Fields,
  ): Promise<AttributeValue> {
    const count = none ? 0 : sizeOf(shape);
    if (count * type.size > data.left || (type.size === 0 && count > 0)) {
      throw data.fail(`expected ${count} values of ${type.size} bytes, there are ${data.left} bytes`);
    }
    const values: AttributeValue[] = [];
    for (let i = 0; i < count; i++) values.push(await this.value(type, data.inner(type.size)));
    return shape.length === 0 && !none ? values[0] : values;
  }

  private async value(type: Datatype, data: Fields): Promise<AttributeValue> {
    if (type.text === "fixed") {
      const text = data.text(type.size);
      return type.padding === 2 ? text.replace(/ +$/, "") : text;
    }
    if (type.text === "variable") {
      const length = data.uint32();
      const address = data.addressOrNone();
      const index = data.uint32();
      if (length === 0 || address === undefined || address === 0) return "";
      const object = (await this.globalHeap(address)).get(index);
      if (object === undefined || object.length < length)
        throw data.fail("expected a text in the global heap");
      this.structures.count(length, address);
      const end = object.subarray(0, length).indexOf(0);
      return decoded(object.subarray(0, end < 0 ? length : end));
    }
    const known = Object.hasOwn(dtypes, type.dtype) ? dtypes[type.dtype] : undefined;
    if (known === undefined || type.dtype.startsWith("complex")) return undefined;
    const bytes = data.bytes.slice();
    if (type.bigEndian) bytes.reverse();
    const value = known.decode(bytes)[0];
    return type.dtype === "bool" ? value !== 0 : value;
  }

  private globalHeap(address: number): Promise<Map<number, Uint8Array>> {
    const known = this.collections.get(address) ?? this.readCollection(address);
    this.collections.set(address, known);
    return known;
  }

  private async readCollection(address: number): Promise<Map<number, Uint8Array>> {
    const headLength = 8 + this.lengthWidth;
    const size = (await this.peek(address, headLength)).expect("GCOL").skip(4).length();
    const heap = (await this.structures.claim(address, Math.max(size, headLength))).skip(headLength);
    const objects = new Map<number, Uint8Array>();
    while (heap.left >= headLength) {
      const index = heap.uint16();
      heap.skip(6);
      const length = heap.length();
      // object 0 is what is free
      if (index === 0) break;
      objects.set(index, heap.take(length));
      heap.skip(Math.min(heap.left, (8 - (length % 8)) % 8));
    }
    return objects;
  }

  // Datasets

  private async dataset(messages: readonly Message[], layout: Fields): Promise<Dataset> {
    const message = (type: number) => messages.find((one) => one.type === type)?.fields;
    const [space, type] = [message(MESSAGE.dataspace), message(MESSAGE.datatype)];
    if (space === undefined || type === undefined) throw layout.fail("expected a dataset's type and shape");
    const { shape, most, none } = dataspaceOf(space);
    const datatype = datatypeOf(type);
    const lengths = none ? [0] : shape;
    const stored: Stored = {
      file: this,
      shape: lengths,
      most,
      type: datatype,
      fill: fillOf(message(MESSAGE.fill), message(MESSAGE.oldFill)),
      filters: filtersOf(message(MESSAGE.filters)),
      layout: layoutOf(layout, lengths.length),
      external: message(MESSAGE.external) !== undefined,
    };
    return {
      shape: lengths,
      dtype: datatype.dtype,
      tensor: (name, dtype = datatype.dtype) => tensorOf(stored, name, dtype),
    };
  }
}

const NEWER = "write it with h5py's default libver";
const REWRITE = "write it again with h5py's defaults";

/** Bytes that a count up to this one takes. */
function widthOf(most: number): number {
  return Math.floor(Math.log2(Math.max(1, most)) / 8) + 1;
}

interface Dataspace {
  readonly shape: readonly number[];
  /** To where each axis may grow; undefined without end. */
  readonly most: readonly (number | undefined)[];
  /** A null dataspace: no values at all. */
  readonly none: boolean;
}

function dataspaceOf(fields: Fields): Dataspace {
  const version = fields.uint8();
  const rank = fields.uint8();
  const flags = fields.uint8();
  if (version !== 1 && version !== 2)
    throw fields.fail(`expected a dataspace of version 1 or 2, got ${version}`);
  if (rank > MOST_AXES) throw fields.fail(`expected at most ${MOST_AXES} axes, got ${rank}`);
  const none = version === 2 && fields.uint8() === 2;
  if (version === 1) fields.skip(5);
  const shape = Array.from({ length: rank }, () => fields.length());
  if (!Number.isSafeInteger(sizeOf(shape))) throw fields.fail(`expected lengths, got [${shape.join(", ")}]`);
  const unlimited = 2 ** (8 * fields.file.lengthWidth);
  const most = flags & 1 ? shape.map(() => fields.length()) : shape;
  return { shape, most: most.map((length) => (length >= unlimited ? undefined : length)), none };
}

interface Datatype {
  readonly dtype: string;
  readonly size: number;
  readonly bigEndian: boolean;
  readonly text?: "fixed" | "variable";
  /** Of a fixed text: 0 ended by a zero, 1 filled with zeros, 2 with spaces. */
  readonly padding?: number;
}

const CLASSES =
  "integer,float,time,string,bitfield,opaque,compound,reference,enum,variable length,array,complex".split(
    ",",
  );

/** A type that is none of ours is named, and refused when it is read. */
function datatypeOf(fields: Fields): Datatype {
  const first = fields.uint8();
  const kind = first & 0xf;
  const [bits, sign] = [fields.uint8(), fields.uint8()];
  fields.skip(1);
  const size = fields.uint32();
  const named = (dtype: string): Datatype => ({ dtype, size, bigEndian: (bits & 1) !== 0 });
  if (kind === 0) {
    const [offset, precision] = [fields.uint16(), fields.uint16()];
    const name = `${bits & 8 ? "" : "u"}int${precision}`;
    return named(offset === 0 && precision === 8 * size ? name : `${name} in ${size} bytes`);
  }
  if (kind === 1) {
    const [, precision] = [fields.uint16(), fields.uint16()];
    const [exponentAt, exponent, , mantissa] = [
      fields.uint8(),
      fields.uint8(),
      fields.uint8(),
      fields.uint8(),
    ];
    const bias = fields.uint32();
    const layout = [size, precision, sign, exponentAt, exponent, mantissa, bias].join();
    return named(
      bits & 0x40
        ? "float of a VAX"
        : (FLOATS.get(layout) ?? `float${precision} (${exponent} bits of exponent)`),
    );
  }
  if (kind === 3) return { ...named("string"), text: "fixed", padding: bits & 0xf };
  if (kind === 8) return enumOf(fields, first >> 4, bits | (sign << 8), size);
  if (kind === 9 && (bits & 0xf) === 1) return { ...named("string"), text: "variable" };
  return named(CLASSES[kind] ?? `datatype ${kind}`);
}

/** Size, precision, sign's place, exponent's place and width, mantissa's width, bias. */
const FLOATS = new Map([
  ["2,16,15,10,5,10,15", "float16"],
  ["2,16,15,7,8,7,127", "bfloat16"],
  ["4,32,31,23,8,23,127", "float32"],
  ["8,64,63,52,11,52,1023", "float64"],
]);

/** A bool is an enumeration of FALSE and TRUE; h5py writes it so. */
function enumOf(fields: Fields, version: number, count: number, size: number): Datatype {
  if ((fields.bytes[fields.at] & 0xf) !== 0) throw fields.fail("expected an enumeration of integers");
  const base = datatypeOf(fields);
  const names = [];
  for (let i = 0; i < Math.min(count, 2); i++) {
    const end = fields.bytes.indexOf(0, fields.at);
    if (end < 0) throw fields.fail("expected the name of an enumeration's member");
    const length = end - fields.at + 1;
    names.push(fields.text(version >= 3 ? length : Math.min(fields.left, Math.ceil(length / 8) * 8)));
  }
  const isBool = size === 1 && count === 2 && names.join() === "FALSE,TRUE";
  return { ...base, dtype: isBool ? "bool" : "enum" };
}

function fillOf(fields: Fields | undefined, old: Fields | undefined): Uint8Array | undefined {
  if (fields === undefined) return old === undefined ? undefined : old.take(old.uint32()).slice();
  const version = fields.uint8();
  let defined: boolean;
  if (version <= 2) defined = fields.skip(2).uint8() !== 0 || version === 1;
  else defined = (fields.uint8() & 0x20) !== 0;
  return defined && fields.left >= 4 ? fields.take(fields.uint32()).slice() : undefined;
}

interface Filter {
  readonly id: number;
  readonly parameters: readonly number[];
}

const DEFLATE = 1;
const SHUFFLE = 2;
const FLETCHER32 = 3;
const LZF = 32000;
const FILTERS = new Map([
  [DEFLATE, "deflate"],
  [SHUFFLE, "shuffle"],
  [FLETCHER32, "fletcher32"],
  [4, "szip"],
  [5, "nbit"],
  [6, "scaleoffset"],
  [307, "bzip2"],
  [LZF, "lzf"],
  [32001, "blosc"],
  [32004, "lz4"],
  [32008, "bitshuffle"],
  [32013, "zfp"],
  [32015, "zstd"],
  [32026, "blosc2"],
]);

function filtersOf(fields: Fields | undefined): Filter[] {
  if (fields === undefined) return [];
  const version = fields.uint8();
  const count = fields.uint8();
  if (version === 1) fields.skip(6);
  return Array.from({ length: count }, () => {
    const id = fields.uint16();
    const nameLength = version === 1 || id >= 256 ? fields.uint16() : 0;
    fields.skip(2);
    const parameters = fields.uint16();
    fields.skip(version === 1 ? Math.ceil(nameLength / 8) * 8 : nameLength);
    if (4 * parameters > fields.left) throw fields.fail(`expected ${parameters} parameters of a filter`);
    const values = Array.from({ length: parameters }, () => fields.uint32());
    if (version === 1 && parameters % 2 === 1) fields.skip(4);
    return { id, parameters: values };
  });
}

type Layout =
  | { readonly kind: "compact"; readonly bytes: Uint8Array; readonly address: number }
  | { readonly kind: "contiguous"; readonly address?: number; readonly byteLength?: number }
  | {
      readonly kind: "chunked";
      readonly chunk: readonly number[];
      readonly address?: number;
      readonly index: ChunkIndex;
    }
  | { readonly kind: "refused"; readonly what: string };

type ChunkIndex =
  | { readonly kind: "B-tree 1" | "implicit" | "fixed array" | "extensible array" | "B-tree 2" }
  | { readonly kind: "single chunk"; readonly stored?: number; readonly mask: number };

function layoutOf(fields: Fields, rank: number): Layout {
  const version = fields.uint8();
  if (version < 1 || version > 5) return { kind: "refused", what: `a layout of version ${version}` };
  const axes = version <= 2 ? fields.uint8() : 0;
  const kind = fields.uint8();
  if (version <= 2) {
    fields.skip(5);
    const address = kind === 0 ? undefined : fields.addressOrNone();
    const lengths = Array.from({ length: axes }, () => fields.uint32());
    if (kind === 0) return compact(fields, fields.uint32());
    if (kind === 1) return { kind: "contiguous", address };
    return chunked(fields, lengths.slice(0, rank), rank, address, { kind: "B-tree 1" });
  }
  if (kind === 0) return compact(fields, fields.uint16());
  if (kind === 1) return { kind: "contiguous", address: fields.addressOrNone(), byteLength: fields.length() };
  if (kind !== 2) return { kind: "refused", what: kind === 3 ? "virtual storage" : `layout ${kind}` };
  if (version === 3) {
    const dimensions = fields.uint8();
    const address = fields.addressOrNone();
    const lengths = Array.from({ length: dimensions }, () => fields.uint32());
    return chunked(fields, lengths.slice(0, -1), rank, address, { kind: "B-tree 1" });
  }
  const flags = fields.uint8();
  const dimensions = fields.uint8();
  const width = fields.uint8();
  if (width < 1 || width > 8) throw fields.fail(`expected lengths of 1 to 8 bytes, got ${width}`);
  const chunk = Array.from({ length: dimensions }, () => fields.uint(width)).slice(0, -1);
  const type = fields.uint8();
  if (type === 1) {
    const filtered = (flags & 2) !== 0;
    const stored = filtered ? fields.length() : undefined;
    const mask = filtered ? fields.uint32() : 0;
    return chunked(fields, chunk, rank, fields.addressOrNone(), { kind: "single chunk", stored, mask });
  }
  const kinds = ["implicit", "fixed array", "extensible array", "B-tree 2"] as const;
  // parameters that the index's own header repeats
  const parameters = [0, 1, 5, 6];
  if (kinds[type - 2] === undefined) return { kind: "refused", what: `an index of chunks of type ${type}` };
  fields.skip(parameters[type - 2]);
  return chunked(fields, chunk, rank, fields.addressOrNone(), { kind: kinds[type - 2] });
}

function compact(fields: Fields, length: number): Layout {
  return { kind: "compact", address: fields.address + fields.at, bytes: fields.take(length) };
}

function chunked(
  fields: Fields,
  chunk: readonly number[],
  rank: number,
  address: number | undefined,
  index: ChunkIndex,
): Layout {
  if (chunk.length !== rank || chunk.some((length) => length < 1) || !Number.isSafeInteger(sizeOf(chunk))) {
    throw fields.fail(`expected a chunk of ${rank} axes, got [${chunk.join(", ")}]`);
  }
  return { kind: "chunked", chunk, address, index };
}

interface Stored {
  readonly file: Hdf5File;
  readonly shape: readonly number[];
  readonly most: readonly (number | undefined)[];
  readonly type: Datatype;
  readonly fill?: Uint8Array;
  readonly filters: readonly Filter[];
  readonly layout: Layout;
  readonly external: boolean;
}

function tensorOf(stored: Stored, name: string, dtype: string): Tensor {
  const { file, shape, type, layout } = stored;
  const { format, bytes } = file;
  const { bigEndian } = type;
  const known = Object.hasOwn(dtypes, dtype) && dtypes[dtype].bytes === type.size ? dtypes[dtype] : undefined;
  const whole = sizeOf(shape) * type.size;
  if (layout.kind === "compact") {
    const offset = bytes.offset === undefined ? undefined : bytes.offset + layout.address;
    const inHeader = bytesInMemory(bytes.file, layout.bytes, offset);
    return storedTensor(format, { name, shape, dtype, bytes: inHeader, bigEndian });
  }
  if (layout.kind === "contiguous" && layout.address !== undefined && !stored.external) {
    const lying = bytes.part(layout.address, layout.address + (layout.byteLength ?? whole));
    return storedTensor(format, { name, shape, dtype, bytes: lying, bigEndian });
  }
  const refused = (problem: string, remedy: string) =>
    new CheckpointError(bytes.file, format, `tensor "${shortened(name)}": ${problem}`, { remedy });
  return madeTensor({
    name,
    shape,
    dtype,
    at: { file: bytes.file, byteLength: whole },
    async read() {
      if (layout.kind === "refused") throw refused(`${layout.what} is not read`, NEWER);
      if (stored.external) throw refused("values in external files are not read", "write them into the file");
      if (known === undefined) {
        throw refused(`values of type ${dtype} are not read`, "convert it to float32 where it was written");
      }
      const values = await gatheredChunks(stored, refused);
      if (bigEndian)
        for (let at = 0; at < values.length; at += type.size) values.subarray(at, at + type.size).reverse();
      return known.decode(values) as Values;
    },
  });
}

// B-trees

/** The children of the lowest nodes of a B-tree of version 1, each with its key before it, in order. */
async function* leaves(
  structures: Structures,
  root: number,
  type: number,
  keyLength: number,
): AsyncGenerator<Fields> {
  const { offsetWidth } = structures.file;
  const headLength = 8 + 2 * offsetWidth;
  const stack: { address: number; level?: number }[] = [{ address: root }];
  while (stack.length > 0) {
    const { address, level: expected } = stack.pop() as { address: number; level?: number };
    const head = (await structures.file.peek(address, headLength)).expect("TREE");
    const found = head.uint8();
    const level = head.uint8();
    const count = head.uint16();
    if (found !== type || (expected ?? level) !== level || level > MOST_LEVELS) {
      throw head.fail(
        `expected a B-tree's node of type ${type} and level ${expected ?? 0}, got ${found} and ${level}`,
      );
    }
    const length = count * (keyLength + offsetWidth);
    const node = (await structures.claim(address, headLength + length)).skip(headLength);
    const children = Array.from({ length: count }, () => node.inner(keyLength + offsetWidth));
    if (level === 0) yield* children;
    else {
      for (const child of children.reverse()) {
        stack.push({ address: child.skip(keyLength).addressOf("a node"), level: level - 1 });
      }
    }
  }
}

/** The records of a B-tree of version 2, in order. */
async function* records(structures: Structures, address: number, type: number): AsyncGenerator<Fields> {
  const { offsetWidth, lengthWidth } = structures.file;
  const head = (await structures.claim(address, 22 + offsetWidth + lengthWidth)).expect("BTHD").skip(1);
  const found = head.uint8();
  if (found !== type) throw head.fail(`expected a B-tree of type ${type}, got ${found}`);
  const nodeSize = head.uint32();
  const recordSize = head.uint16();
  const depth = head.uint16();
  head.skip(2);
  const root = head.addressOrNone();
  const rootCount = head.uint16();
  if (root === undefined || rootCount === 0) return;
  if (depth > MOST_LEVELS || recordSize === 0 || nodeSize < 10 + recordSize)
    throw head.fail("expected a B-tree");
  // what a node of each level holds at the most, which its counts' widths follow from
  const most = [Math.floor((nodeSize - 10) / recordSize)];
  const total = [most[0]];
  const countWidth = widthOf(most[0]);
  const pointer = (level: number) => offsetWidth + countWidth + (level > 1 ? widthOf(total[level - 1]) : 0);
  for (let level = 1; level <= depth; level++) {
    most[level] = Math.floor((nodeSize - 10 - pointer(level)) / (recordSize + pointer(level)));
    if (most[level] < 1) throw head.fail("expected nodes that hold a record");
    total[level] = (most[level] + 1) * total[level - 1] + most[level];
  }
  type Step = { record: Fields } | { node: number; count: number; level: number };
  const stack: Step[] = [{ node: root, count: rootCount, level: depth }];
  while (stack.length > 0) {
    const step = stack.pop() as Step;
    if ("record" in step) {
      yield step.record;
      continue;
    }
    const { node: at, count, level } = step;
    if (count > most[level])
      throw structures.file.fail(`expected at most ${most[level]} records, got ${count}`, at);
    const node = (await structures.claim(at, nodeSize)).expect(level === 0 ? "BTLF" : "BTIN").skip(2);
    const records = Array.from({ length: count }, () => node.inner(recordSize));
    if (level === 0) {
      yield* records;
      continue;
    }
    const steps: Step[] = [];
    for (let i = 0; i <= count; i++) {
      const child = node.addressOf("a node");
      const inside = node.uint(countWidth);
      if (level > 1) node.skip(widthOf(total[level - 1]));
      steps.push({ node: child, count: inside, level: level - 1 });
      if (i < count) steps.push({ record: records[i] });
    }
    stack.push(...steps.reverse());
  }
}

// Chunks

interface Chunk {
  readonly address: number;
  readonly byteLength: number;
  /** A bit for each filter that was left out. */
  readonly mask: number;
  /** Of its first element. */
  readonly at: readonly number[];
}

type Refused = (problem: string, remedy: string) => CheckpointError;

/** All values of a dataset, in the order of its shape: its chunks', and the fill value where none was written. */
async function gatheredChunks(stored: Stored, refused: Refused): Promise<Uint8Array> {
  const { file, shape, type, filters, layout, fill } = stored;
  const chunks = layout.kind === "chunked" ? await chunksOf(stored, layout) : [];
  for (const { id } of filters) {
    if ([DEFLATE, SHUFFLE, FLETCHER32, LZF].includes(id)) continue;
    throw refused(`filter ${FILTERS.get(id) ?? id} is not read`, "write it with gzip or without compression");
  }
  const whole = sizeOf(shape) * type.size;
  const there = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (!fitsStored(whole, there)) {
    throw refused(
      `expected values that its ${there} stored bytes can hold, got ${whole} bytes`,
      "write all of it",
    );
  }
  const values = new Uint8Array(whole);
  if (fill?.length === type.size && fill.some((byte) => byte !== 0)) {
    for (let at = 0; at < whole; at += type.size) values.set(fill, at);
  }
  if (layout.kind !== "chunked") return values;
  const chunkBytes = sizeOf(layout.chunk) * type.size;
  for (const chunk of chunks) {
    if (!fitsStored(chunkBytes, chunk.byteLength)) {
      throw file.fail(
        `expected a chunk of ${chunkBytes} bytes, ${chunk.byteLength} cannot hold it`,
        chunk.address,
      );
    }
    const bytes = await unfiltered(stored, chunk, chunkBytes);
    copyChunk(bytes, layout.chunk, chunk.at, values, shape, type.size);
  }
  return values;
}

/** Rows of a chunk to where they belong; what reaches beyond the shape is left out. */
function copyChunk(
  from: Uint8Array,
  chunk: readonly number[],
  at: readonly number[],
  to: Uint8Array,
  shape: readonly number[],
  size: number,
): void {
  const rank = shape.length;
  if (at.some((start, axis) => start >= shape[axis])) return;
  if (rank === 0) {
    to.set(from.subarray(0, size));
    return;
  }
  const lengths = shape.map((length, axis) => Math.min(chunk[axis], length - at[axis]));
  const row = lengths[rank - 1] * size;
  const rows = sizeOf(lengths.slice(0, -1));
  const index = lengths.map(() => 0);
  for (let done = 0; done < rows; done++) {
    let source = 0;
    let target = 0;
    for (let axis = 0; axis < rank; axis++) {
      source = source * chunk[axis] + index[axis];
      target = target * shape[axis] + at[axis] + index[axis];
    }
    to.set(from.subarray(source * size, source * size + row), target * size);
    for (let axis = rank - 2; axis >= 0; axis--) {
      index[axis]++;
      if (index[axis] < lengths[axis]) break;
      index[axis] = 0;
    }
  }
}

async function unfiltered(stored: Stored, chunk: Chunk, size: number): Promise<Uint8Array> {
  const { file, filters, type } = stored;
  const fail = (problem: string) => file.fail(problem, chunk.address);
  let bytes = await file.bytes.read(chunk.address, chunk.address + chunk.byteLength);
  for (let i = filters.length - 1; i >= 0; i--) {
    if (chunk.mask & (1 << i)) continue;
    const { id, parameters } = filters[i];
    // a checksum below lengthens what this filter was given
    const sums = filters.filter(
      (filter, below) => below < i && filter.id === FLETCHER32 && !(chunk.mask & (1 << below)),
    );
    const expected = size + 4 * sums.length;
    if (id === DEFLATE) bytes = await inflate(bytes, expected, fail, "deflate");
    else if (id === LZF) bytes = unpackLzf(bytes, expected, fail);
    else if (id === SHUFFLE) bytes = unshuffled(bytes, parameters[0] || type.size);
    else bytes = checked(bytes, fail);
  }
  if (bytes.length !== size) throw fail(`expected a chunk of ${size} bytes, got ${bytes.length}`);
  return bytes;
}

/** Bytes of elements that lay plane by plane: all first bytes, all second bytes, .... */
function unshuffled(bytes: Uint8Array, size: number): Uint8Array {
  const count = Math.floor(bytes.length / size);
  if (count === 0) return bytes;
  const result = bytes.slice();
  for (let part = 0; part < size; part++) {
    for (let i = 0; i < count; i++) result[i * size + part] = bytes[part * count + i];
  }
  return result;
}

/** Without the Fletcher checksum at its end, which is compared. */
function checked(bytes: Uint8Array, fail: (problem: string) => Error): Uint8Array {
  if (bytes.length < 4) throw fail("expected a checksum at the end of a chunk");
  const data = bytes.subarray(0, -4);
  let [low, high] = [0, 0];
  for (let i = 0; i < data.length; i += 2) {
    low = (low + (data[i] << 8) + (data[i + 1] ?? 0)) % 65535;
    high = (high + low) % 65535;
  }
  const sum = viewOf(bytes).getUint32(bytes.length - 4, true);
  // 65535 and 0 are one in this sum
  if ((sum % 65536) % 65535 !== low || (sum >>> 16) % 65535 !== high)
    throw fail("a chunk's checksum (Fletcher-32) differs");
  return data;
}

/** LZF of Marc Lehmann's LibLZF: runs of literals, and references to what came before. */
function unpackLzf(bytes: Uint8Array, size: number, fail: (problem: string) => Error): Uint8Array {
  const result = new Uint8Array(size);
  let to = 0;
  let at = 0;
  while (at < bytes.length) {
    const control = bytes[at++];
    if (control < 32) {
      const end = at + control + 1;
      if (end > bytes.length || to + control + 1 > size) throw fail("its LZF data is damaged");
      result.set(bytes.subarray(at, end), to);
      to += control + 1;
      at = end;
      continue;
    }
    let length = control >> 5;
    if (length === 7) length += bytes[at++];
    const from = to - ((control & 31) << 8) - bytes[at++] - 1;
    length += 2;
    if (!(from >= 0 && to + length <= size)) throw fail("its LZF data is damaged");
    // one by one: they may overlap
    for (let i = 0; i < length; i++) result[to + i] = result[from + i];
    to += length;
  }
  if (to !== size) throw fail(`expected ${size} bytes of LZF data, got ${to}`);
  return result;
}

/** Of every kind of index: the chunks that were written, those within the shape. */
async function chunksOf(
  { file, shape, most, type, filters }: Stored,
  { chunk, address, index }: Layout & { kind: "chunked" },
): Promise<Chunk[]> {
  if (address === undefined) return [];
  const rank = shape.length;
  const chunkBytes = sizeOf(chunk) * type.size;
  const structures = new Structures(file);
  const found: Chunk[] = [];
  const add = (at: readonly number[], where: number | undefined, byteLength = chunkBytes, mask = 0) => {
    if (where === undefined || at.some((start, axis) => start >= shape[axis])) return;
    structures.own(where, byteLength);
    found.push({ address: where, byteLength, mask, at });
  };
  if (index.kind === "single chunk") {
    add(new Array(rank).fill(0), address, index.stored, index.mask);
  } else if (index.kind === "B-tree 1") {
    for await (const child of leaves(structures, address, 1, 8 + 8 * (rank + 1))) {
      const [byteLength, mask] = [child.uint32(), child.uint32()];
      const at = shape.map(() => child.uint(8));
      add(at, child.skip(8).addressOrNone(), byteLength, mask);
    }
  } else if (index.kind === "B-tree 2") {
    const filtered = filters.length > 0;
    for await (const record of records(structures, address, filtered ? 11 : 10)) {
      const where = record.addressOrNone();
      const byteLength = filtered ? record.uint(record.left - 4 - 8 * rank) : undefined;
      const mask = filtered ? record.uint32() : 0;
      const at = chunk.map((length) => length * record.uint(8));
      add(at, where, byteLength, mask);
    }
  } else {
    // these number the chunks, in the order of the shape that the dataset may grow to, an endless axis first
    const endless = most.indexOf(undefined);
    const axes = shape
      .map((_, axis) => axis)
      .sort((a, b) => Number(b === endless) - Number(a === endless) || a - b);
    const counts = most.map((length, axis) => Math.ceil((length ?? shape[axis]) / chunk[axis]));
    const placeOf = (number: number) => {
      const at: number[] = new Array(rank).fill(0);
      for (const axis of [...axes].reverse()) {
        const place = axis === axes[0] ? number : number % counts[axis];
        at[axis] = place * chunk[axis];
        number = Math.floor(number / counts[axis]);
      }
      return at;
    };
    if (index.kind === "implicit") {
      const total = sizeOf(counts);
      if (!(address + total * chunkBytes <= file.bytes.byteLength)) {
        throw file.fail(`expected ${total} chunks of ${chunkBytes} bytes, the file ends before`, address);
      }
      for (let number = 0; number < total; number++) add(placeOf(number), address + number * chunkBytes);
      return found;
    }
    const entries = index.kind === "fixed array" ? fixedArray : extensibleArray;
    for await (const [number, entry] of entries(structures, address)) {
      const where = entry.addressOrNone();
      if (entry.left === 0) add(placeOf(number), where);
      else add(placeOf(number), where, entry.uint(entry.left - 4), entry.uint32());
    }
  }
  return found;
}

/** Entries of pages, each of them followed by a checksum; those that were never written are left out. */
async function* pagesOf(
  structures: Structures,
  address: number,
  { from, count, size, perPage }: { from: number; count: number; size: number; perPage: number },
  isWritten: (page: number) => boolean,
): AsyncGenerator<[number, Fields]> {
  for (let page = 0; page * perPage < count; page++) {
    if (!isWritten(page)) continue;
    const inside = Math.min(perPage, count - page * perPage);
    const entries = await structures.claim(address + page * (perPage * size + 4), inside * size);
    for (let i = 0; i < inside; i++) yield [from + page * perPage + i, entries.inner(size)];
  }
}

const bitIn = (bits: Uint8Array, at: number) => (bits[at >> 3] & (0x80 >> (at & 7))) !== 0;

async function* fixedArray(structures: Structures, address: number): AsyncGenerator<[number, Fields]> {
  const { offsetWidth, lengthWidth } = structures.file;
  const head = (await structures.claim(address, 8 + lengthWidth + offsetWidth)).expect("FAHD").skip(2);
  const size = head.uint8();
  const pageBits = head.uint8();
  const count = head.length();
  const block = head.addressOrNone();
  checkEntries(head, size, pageBits);
  if (block === undefined) return;
  const prefix = 6 + offsetWidth;
  const perPage = 2 ** pageBits;
  if (count <= perPage) {
    const entries = (await structures.claim(block, prefix + count * size)).expect("FADB").skip(prefix - 4);
    for (let i = 0; i < count; i++) yield [i, entries.inner(size)];
    return;
  }
  const bitBytes = Math.ceil(Math.ceil(count / perPage) / 8);
  const bits = (await structures.claim(block, prefix + bitBytes))
    .expect("FADB")
    .skip(prefix - 4)
    .take(bitBytes);
  const pages = { from: 0, count, size, perPage };
  yield* pagesOf(structures, block + prefix + bitBytes + 4, pages, (page) => bitIn(bits, page));
}

/**
 * Entries in the index block, then in data blocks whose addresses stand there, then in those of super blocks. Of super block i there are
 * 2^⌊i/2⌋ data blocks of 2^⌈i/2⌉ times the least number of entries.
 */
async function* extensibleArray(structures: Structures, address: number): AsyncGenerator<[number, Fields]> {
  const { offsetWidth, lengthWidth } = structures.file;
  const head = (await structures.claim(address, 12 + 6 * lengthWidth + offsetWidth)).expect("EAHD").skip(2);
  const [size, bits, inIndex, least, pointers, pageBits] = Array.from({ length: 6 }, () => head.uint8());
  head.skip(4 * lengthWidth);
  const end = head.length();
  head.length();
  const index = head.addressOrNone();
  checkEntries(head, size, pageBits);
  if (least === 0 || pointers === 0 || bits > 64) throw head.fail("expected an extensible array");
  if (index === undefined) return;
  const direct = 2 * Math.log2(pointers);
  const supers = 1 + bits - Math.log2(least) - direct;
  if (!Number.isInteger(direct) || !Number.isInteger(supers) || supers < 0)
    throw head.fail("expected powers of 2");
  const addresses = 2 * (pointers - 1) + supers;
  const block = (await structures.claim(index, 6 + offsetWidth + inIndex * size + addresses * offsetWidth))
    .expect("EAIB")
    .skip(2 + offsetWidth);
  for (let i = 0; i < inIndex; i++) yield [i, block.inner(size)];
  const offsetBytes = Math.ceil(bits / 8);
  const prefix = 6 + offsetWidth + offsetBytes;
  const perPage = 2 ** pageBits;
  const dataBlock = async function* (
    at: number,
    from: number,
    count: number,
    isWritten: (page: number) => boolean,
  ) {
    if (count > perPage) {
      (await structures.claim(at, prefix)).expect("EADB");
      yield* pagesOf(structures, at + prefix + 4, { from, count, size, perPage }, isWritten);
      return;
    }
    const entries = (await structures.claim(at, prefix + count * size)).expect("EADB").skip(prefix - 4);
    for (let i = 0; i < count; i++) yield [from + i, entries.inner(size)] as [number, Fields];
  };
  let from = inIndex;
  for (let i = 0; i < direct + supers && from < end; i++) {
    const blocks = 2 ** Math.floor(i / 2);
    const count = 2 ** Math.ceil(i / 2) * least;
    let inside = block;
    let written: Uint8Array | undefined;
    if (i >= direct) {
      const at = block.addressOrNone();
      if (at === undefined) {
        from += blocks * count;
        continue;
      }
      const bitBytes = count > perPage ? blocks * Math.ceil(count / perPage / 8) : 0;
      inside = (await structures.claim(at, prefix + bitBytes + blocks * offsetWidth))
        .expect("EASB")
        .skip(prefix - 4);
      written = inside.take(bitBytes);
    }
    for (let j = 0; j < blocks; j++, from += count) {
      const at = inside.addressOrNone();
      const pages = j * Math.ceil(count / perPage);
      if (at !== undefined && from < end) {
        yield* dataBlock(at, from, count, (page) => written === undefined || bitIn(written, pages + page));
      }
    }
  }
}

/** An entry is an address; of filtered chunks a size and a mask too. */
function checkEntries(head: Fields, size: number, pageBits: number): void {
  const { offsetWidth } = head.file;
  const more = size - offsetWidth - 4;
  if ((size !== offsetWidth && (more < 1 || more > 8)) || pageBits > 32) {
    throw head.fail(`expected entries of ${offsetWidth} bytes or a few more, got ${size}`);
  }
}
