/**
 * What TensorFlow's formats share: types and shapes, tensors inside messages, and the objects of a program by their names. Messages are as
 * in https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core: framework/*.proto and protobuf/*.proto.
 */
import { MOST_AXES, sizeOf } from "../../shape.js";
import { bigIntegersIn, byNumber, type Field, fieldsOf, integerIn, textIn } from "../encodings/protobuf.js";
import { concatenated } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import { type Bytes, bytesInMemory } from "../source.js";
import { dtypes, fitsStored, madeTensor, shortened, storedTensor, type Tensor } from "../tensors.js";

/** By their numbers in types.proto. */
const TYPES = [
  ...["invalid", "float32", "float64", "int32", "uint8", "int16", "int8", "string", "complex64", "int64"],
  ...["bool", "qint8", "quint8", "qint32", "bfloat16", "qint16", "quint16", "uint16", "complex128"],
  ...["float16", "resource", "variant", "uint32", "uint64", "float8_e5m2", "float8_e4m3fn"],
  ...["float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz", "int4", "uint4", "int2", "uint2"],
];

/** Of a field that is a DataType. */
export function typeIn(field: Field | undefined): string {
  return typeNumbered(field === undefined ? 0 : integerIn(field));
}

/** A DataType by its number; references count as what they refer to. */
export function typeNumbered(number: number): string {
  return TYPES[number > 100 ? number - 100 : number] ?? `type ${number}`;
}

/** Lengths of a TensorShapeProto; −1 stands for one that the file leaves open. */
export async function shapeIn(format: string, message: Bytes | undefined): Promise<number[]> {
  if (message === undefined) return [];
  const dims = (await fieldsOf(format, message)).filter(({ number }) => number === 2);
  if (dims.length > MOST_AXES) {
    throw new CheckpointError(
      message.file,
      format,
      `expected at most ${MOST_AXES} axes, got ${dims.length}`,
      {
        offset: message.offset,
      },
    );
  }
  const shape: number[] = [];
  for (const { bytes } of dims) {
    const size = (await fieldsOf(format, bytes)).find(({ number }) => number === 1);
    shape.push(size === undefined ? 0 : integerIn(size));
  }
  return shape;
}

/** The fields of a message by their numbers. */
export async function messageIn(format: string, message: Bytes) {
  const all = byNumber(await fieldsOf(format, message));
  return {
    all: (number: number): readonly Field[] => all.get(number) ?? [],
    /** The last one counts, as the wire format has it. */
    one: (number: number): Field | undefined => all.get(number)?.at(-1),
    text: async (number: number): Promise<string> => {
      const field = all.get(number)?.at(-1);
      return field === undefined ? "" : textIn(field);
    },
  };
}

export type Message = Awaited<ReturnType<typeof messageIn>>;

/** Folders in a name, and layers in layers, that are looked at: more than a network has. */
export const MOST_LEVELS = 64;

/** An object of a program, as SavedObjectGraph and TrackableObjectGraph have it. */
export interface ProgramObject {
  readonly children: readonly { readonly id: number; readonly name: string }[];
  readonly message: Message;
}

export async function objectsIn(format: string, graph: Bytes): Promise<ProgramObject[]> {
  const objects: ProgramObject[] = [];
  // of thousands of small messages: at once
  const whole = bytesInMemory(graph.file, await graph.read(), graph.offset);
  for (const { number, bytes } of await fieldsOf(format, whole)) {
    if (number !== 1) continue;
    const message = await messageIn(format, bytes);
    const children: { id: number; name: string }[] = [];
    for (const child of message.all(1)) {
      const reference = await messageIn(format, child.bytes);
      const id = reference.one(1);
      children.push({ id: id === undefined ? 0 : integerIn(id), name: await reference.text(2) });
    }
    objects.push({ children, message });
  }
  return objects;
}

/** Where a TensorProto has its values when it has no `tensor_content`, by type. */
const VALUE_FIELDS: Readonly<Record<string, number>> = {
  float32: 5,
  float64: 6,
  int32: 7,
  int16: 7,
  int8: 7,
  uint16: 7,
  uint8: 7,
  complex64: 9,
  int64: 10,
  bool: 11,
  complex128: 12,
  float16: 13,
  bfloat16: 13,
  uint32: 16,
  uint64: 17,
};

/**
 * The tensor of a TensorProto, which may leave out what repeats its last value.
 * @param whole bytes of the file, which bound what it can be
 */
export async function tensorIn(format: string, name: string, proto: Bytes, whole: number): Promise<Tensor> {
  const { one, all } = await messageIn(format, proto);
  const dtype = typeIn(one(1));
  const shape = await shapeIn(format, one(2)?.bytes);
  const content = one(4)?.bytes;
  if (!Object.hasOwn(VALUE_FIELDS, dtype) || (content && content.byteLength > 0)) {
    return storedTensor(format, { name, shape, dtype, bytes: content ?? proto });
  }
  const { bytes: each } = dtypes[dtype];
  const size = sizeOf(shape);
  const fail = (problem: string) =>
    new CheckpointError(proto.file, format, `tensor "${shortened(name)}": ${problem}`, {
      offset: proto.offset,
    });
  if (!shape.every((length) => length >= 0)) {
    throw fail(`expected lengths of at least 0, got [${shape.join(", ")}]`);
  }
  const stored = all(VALUE_FIELDS[dtype]);
  return madeTensor({
    name,
    shape,
    dtype,
    // where none are stored, all are 0
    at: {
      file: proto.file,
      offset: proto.offset,
      byteLength: stored.length === 0 ? 0 : proto.byteLength,
    },
    async read() {
      if (!fitsStored(size * each, whole)) {
        throw fail(`expected values that a file of ${whole} bytes can hold, got [${shape.join(", ")}]`);
      }
      const bytes = new Uint8Array(size * each);
      const listed = await valueBytes(stored, dtype, each);
      if (listed.length > bytes.length || listed.length % each !== 0) {
        throw fail(`expected at most ${size} values, got ${listed.length / each}`);
      }
      bytes.set(listed);
      const last = listed.subarray(listed.length - each);
      if (last.length > 0) for (let at = listed.length; at < bytes.length; at += each) bytes.set(last, at);
      return dtypes[dtype].decode(bytes);
    },
  });
}

/** Values of a repeated field as bytes of the type, little-endian. */
async function valueBytes(fields: readonly Field[], dtype: string, each: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  if (["float32", "float64", "complex64", "complex128"].includes(dtype)) {
    for (const { wire, bits, bytes } of fields) {
      if (wire === 2) parts.push(await bytes.read());
      else if (wire === 5) parts.push(new Uint8Array(Uint32Array.of(Number(bits)).buffer));
      else parts.push(new Uint8Array(BigUint64Array.of(bits).buffer));
    }
    return concatenated(parts);
  }
  const values = await bigIntegersIn(fields);
  const result = new Uint8Array(values.length * each);
  values.forEach((value, i) => {
    const bytes = new Uint8Array(BigInt64Array.of(value).buffer);
    result.set(bytes.subarray(0, each), i * each);
  });
  return result;
}
