/**
 * HDF5's attributes (specification, IV.A.2.m): in the header, or in a fractal heap (IV.A.2.v). Numbers, bool and texts are read, those of
 * any length from the global heap.
 */
import { sizeOf } from "../../../shape.js";
import { dtypes, reverseEach } from "../../tensors.js";
import { type Fields, NEWER, REWRITE, type Structures } from "./fields.js";
import { type Headers, MESSAGE, type Message } from "./headers.js";
import { fractalHeap, globalHeap } from "./heaps.js";
import { type Datatype, dataspaceOf, datatypeOf } from "./types.js";

/** Of an attribute: a scalar, or a list in row-major order; undefined of a type that is not read. */
export type AttributeValue = string | number | bigint | boolean | readonly AttributeValue[] | undefined;

/** The attributes of a file's objects. */
export class Attributes {
  private readonly collections = new Map<number, ReadonlyMap<number, Fields>>();

  constructor(
    private readonly structures: Structures,
    private readonly headers: Headers,
  ) {}

  async of(messages: readonly Message[]): Promise<Map<string, AttributeValue>> {
    const attributes = new Map<string, AttributeValue>();
    for (const { type, fields } of messages) {
      if (type === MESSAGE.attribute) attributes.set(...(await this.attribute(fields)));
      if (type !== MESSAGE.attributeInfo) continue;
      if (fields.skip(1).uint8() & 1) fields.skip(2);
      const heap = fields.addressOrNone();
      const index = fields.addressOrNone();
      if (heap === undefined || index === undefined) continue;
      for await (const message of fractalHeap(this.structures, heap, index, 8, 0)) {
        attributes.set(...(await this.attribute(message)));
      }
    }
    return attributes;
  }

  private async attribute(fields: Fields): Promise<[string, AttributeValue]> {
    const version = fields.uint8();
    if (version < 1 || version > 3)
      throw fields.fail(`expected an attribute of version 1 to 3, got ${version}`, NEWER);
    const flags = fields.uint8() & (version === 1 ? 0 : 3);
    const [nameLength, typeLength, spaceLength] = [fields.uint16(), fields.uint16(), fields.uint16()];
    if (version === 3) fields.skip(1);
    // version 1 pads each to a multiple of 8 bytes
    const padded = (length: number) => (version === 1 ? Math.ceil(length / 8) * 8 : length);
    const name = fields.text(padded(nameLength));
    const typeFields = fields.inner(padded(typeLength));
    const type = datatypeOf(flags & 1 ? await this.headers.shared(typeFields, MESSAGE.datatype) : typeFields);
    const { shape } = dataspaceOf(fields.inner(padded(spaceLength)));
    if (flags & 2) throw fields.fail("a shared dataspace is not read", REWRITE);
    const count = sizeOf(shape);
    if (count * type.size > fields.left || (type.size === 0 && count > 0)) {
      throw fields.fail(`expected ${count} values of ${type.size} bytes, there are ${fields.left} bytes`);
    }
    const values = await this.values(type, count, fields);
    return [name, shape.length === 0 ? values[0] : values];
  }

  private async values(type: Datatype, count: number, fields: Fields): Promise<AttributeValue[]> {
    if (type.text === undefined) return numbersIn(type, count, fields.take(count * type.size));
    const values: string[] = [];
    for (let i = 0; i < count; i++) {
      const one = fields.inner(type.size);
      if (type.text === "variable") values.push(await this.textOfAnyLength(one));
      else if (type.text === "fixed") values.push(one.text(type.size));
      else values.push(one.text(type.size).replace(/ +$/, ""));
    }
    return values;
  }

  private async textOfAnyLength(place: Fields): Promise<string> {
    const length = place.uint32();
    const address = place.addressOrNone();
    const number = place.uint32();
    if (length === 0 || address === undefined || address === 0) return "";
    const collection = this.collections.get(address) ?? (await globalHeap(this.structures, address));
    this.collections.set(address, collection);
    const object = collection.get(number);
    if (object === undefined) throw place.fail("expected a text in the global heap");
    return object.seek(0).text(length);
  }
}

/** Undefined each, where they are no numbers of ours. */
function numbersIn(
  { dtype, size, bigEndian }: Datatype,
  count: number,
  stored: Uint8Array,
): AttributeValue[] {
  const known = Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : undefined;
  if (known === undefined) return new Array(count).fill(undefined);
  const bytes = stored.slice();
  if (bigEndian) reverseEach(bytes, size);
  const values = Array.from(known.decode(bytes) as ArrayLike<number | bigint>);
  return dtype === "bool" ? values.map((value) => value !== 0) : values;
}
