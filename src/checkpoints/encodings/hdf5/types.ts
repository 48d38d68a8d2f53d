/**
 * What the values of HDF5's datasets and attributes are: dataspaces, datatypes and fill values (specification, IV.A.2.b, d, e and f).
 * A datatype that is none of ours gets a name, by which it is refused when it is read.
 */
import { MOST_AXES, sizeOf } from "../../../shape.js";
import type { Fields } from "./fields.js";

export interface Dataspace {
  /** Of a null dataspace, which has no values at all, [0]. */
  readonly shape: readonly number[];
  /** To where each axis may grow; undefined without end. */
  readonly most: readonly (number | undefined)[];
}

export function dataspaceOf(fields: Fields): Dataspace {
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
  if (none) return { shape: [0], most: [0] };
  const unlimited = 2 ** (8 * fields.structures.lengthWidth);
  const most = flags & 1 ? shape.map(() => fields.length()) : shape;
  return { shape, most: most.map((length) => (length >= unlimited ? undefined : length)) };
}

export interface Datatype {
  readonly dtype: string;
  readonly size: number;
  readonly bigEndian: boolean;
  readonly text?: "fixed" | "padded with spaces" | "variable";
}

const CLASSES =
  "integer,float,time,string,bitfield,opaque,compound,reference,enum,variable length,array,complex".split(
    ",",
  );

/** A type that is none of ours is named, and refused when it is read. */
export function datatypeOf(fields: Fields): Datatype {
  const first = fields.uint8();
  const kind = first & 0xf;
  const [bits, sign] = [fields.uint8(), fields.uint8()];
  const size = fields.skip(1).uint32();
  const named = (dtype: string): Datatype => ({ dtype, size, bigEndian: (bits & 1) !== 0 });
  if (kind === 0) {
    const [offset, precision] = [fields.uint16(), fields.uint16()];
    const name = `${bits & 8 ? "" : "u"}int${precision}`;
    return named(offset === 0 && precision === 8 * size ? name : `${name} in ${size} bytes`);
  }
  if (kind === 1) return named(bits & 0x40 ? "float of a VAX" : floatOf(fields, size, sign));
  if (kind === 3) return { ...named("string"), text: (bits & 0xf) === 2 ? "padded with spaces" : "fixed" };
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

function floatOf(fields: Fields, size: number, sign: number): string {
  const precision = fields.skip(2).uint16();
  const [exponentAt, exponent] = [fields.uint8(), fields.uint8()];
  const mantissa = fields.skip(1).uint8();
  const layout = [size, precision, sign, exponentAt, exponent, mantissa, fields.uint32()];
  return FLOATS.get(layout.join()) ?? `float${precision} (${exponent} bits of exponent)`;
}

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

/** What stands where nothing was written, of a message or of the older kind of it; zeros where it is undefined. */
export function fillOf(fields: Fields | undefined, old: Fields | undefined): Uint8Array | undefined {
  if (fields === undefined) return old?.take(old.uint32()).slice();
  const version = fields.uint8();
  let defined: boolean;
  if (version <= 2) defined = fields.skip(2).uint8() !== 0 || version === 1;
  else defined = (fields.uint8() & 0x20) !== 0;
  return defined && fields.left >= 4 ? fields.take(fields.uint32()).slice() : undefined;
}
