/** Tensors of a file: what they are and where they lie; their values are read when they are asked for. */
import { MOST_AXES, sizeOf } from "../shape.js";
import { CheckpointError } from "./errors.js";
import type { Bytes } from "./source.js";

/** Values of a tensor, row-major. float16 and bfloat16 become float32, which holds them exactly; bool becomes uint8. */
export type Values =
  | Float64Array
  | Float32Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint32Array
  | Uint16Array
  | Uint8Array
  | BigInt64Array
  | BigUint64Array;

/** A tensor of a file. What it is is known when the file is open; its values are read when they are asked for. */
export interface Tensor {
  /** As the file has it. */
  readonly name: string;
  readonly shape: readonly number[];
  /**
   * float64, float32, float16, bfloat16, int64, int32, int16, int8, uint64, uint32, uint16, uint8, bool, complex128, complex64; or what
   * the file calls a type that `read` refuses by name, such as float8_e4m3fn or string.
   */
  readonly dtype: string;
  /** The distance between neighbours along each axis, in elements: as it lies in the file. */
  readonly strides: readonly number[];
  /** Where it lies. `offset` is undefined in what is compressed, and where values stand in a text; tied tensors lie at one place. */
  readonly at: { readonly file: string; readonly offset?: number; readonly byteLength: number };
  /** What it was quantized to: `dtype` and `read` are of the values before. */
  readonly quantized?: string;
  /**
   * The values, row-major; of complex types the real and imaginary parts in turns.
   * @throws CheckpointError for a type that is not read, and where the file ends before its values do
   */
  read(): Promise<Values>;
}

interface DType {
  readonly bytes: number;
  /** From bytes in the machine's (little-endian) order. */
  decode(bytes: Uint8Array): Values;
}

type Constructor = { new (buffer: ArrayBuffer): Values; readonly BYTES_PER_ELEMENT: number };

const as = (type: Constructor): DType => ({
  bytes: type.BYTES_PER_ELEMENT,
  decode: (bytes) => new type(aligned(bytes)),
});

/** A buffer of these bytes alone. */
function aligned({ buffer, byteOffset, byteLength }: Uint8Array): ArrayBuffer {
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}

/** Those that `read` decodes. */
export const dtypes: Readonly<Record<string, DType>> = {
  float64: as(Float64Array),
  float32: as(Float32Array),
  float16: { bytes: 2, decode: (bytes) => fromHalf(new Uint16Array(aligned(bytes))) },
  bfloat16: { bytes: 2, decode: (bytes) => fromBrain(new Uint16Array(aligned(bytes))) },
  int64: as(BigInt64Array),
  int32: as(Int32Array),
  int16: as(Int16Array),
  int8: as(Int8Array),
  uint64: as(BigUint64Array),
  uint32: as(Uint32Array),
  uint16: as(Uint16Array),
  uint8: as(Uint8Array),
  bool: as(Uint8Array),
  complex128: { bytes: 16, decode: (bytes) => new Float64Array(aligned(bytes)) },
  complex64: { bytes: 8, decode: (bytes) => new Float32Array(aligned(bytes)) },
};

let halves: Float32Array | undefined;

/** Whether the values of a tensor are of a type that is decoded. */
export const isRead = ({ dtype }: Pick<Tensor, "dtype">): boolean => Object.hasOwn(dtypes, dtype);

/** IEEE 754 binary16 as float32, which holds every value of it. */
export function fromHalf(given: Uint16Array): Float32Array {
  halves ??= Float32Array.from({ length: 2 ** 16 }, (_, bits) => valueOfHalf(bits));
  const result = new Float32Array(given.length);
  for (let i = 0; i < result.length; i++) result[i] = halves[given[i]];
  return result;
}

function valueOfHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

function fromBrain(given: Uint16Array): Float32Array {
  const result = new Uint32Array(given.length);
  for (let i = 0; i < result.length; i++) result[i] = given[i] << 16;
  return new Float32Array(result.buffer);
}

/** What a file may hold repeated, by strides of 0 or compression: so many times its own bytes, and this many in any case. */
const MOST_REPEATED = 1024;
const ALWAYS_BYTES = 2 ** 20;

/** Whether a result of so many bytes can come of `stored` ones: neither strides nor compression make more. */
export function fitsStored(bytes: number, stored: number): boolean {
  return bytes <= Math.max(ALWAYS_BYTES, MOST_REPEATED * stored);
}

/** Row-major strides of a shape, in elements. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides: number[] = new Array(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1] * shape[axis + 1];
  return strides;
}

export interface StoredTensor {
  name: string;
  shape: readonly number[];
  dtype: string;
  /** In elements, none negative. Default: row-major. */
  strides?: readonly number[];
  /** Element of `bytes` with the index 0. Default 0. */
  first?: number;
  /** The storage it lies in. */
  bytes: Bytes;
  bigEndian?: boolean;
}

/**
 * A tensor that lies in a storage.
 * @throws CheckpointError for a shape or strides that are none, or that leave the storage
 */
export function storedTensor(format: string, stored: StoredTensor): Tensor {
  const { name, shape, dtype, bytes, bigEndian = false, first = 0 } = stored;
  const { file } = bytes;
  const fail = (problem: string, remedy?: string): never => {
    throw new CheckpointError(file, format, `tensor "${shortened(name)}": ${problem}`, {
      offset: bytes.offset,
      remedy,
    });
  };
  const isIndex = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  const listed = Array.isArray(shape) && shape.length <= MOST_AXES && shape.every(isIndex);
  if (!listed)
    fail(`expected at most ${MOST_AXES} non-negative lengths, got [${String(shape).slice(0, 80)}]`);
  const strides = stored.strides ?? rowMajor(shape);
  if (strides.length !== shape.length || !strides.every(isIndex) || !isIndex(first)) {
    fail(
      `expected a stride of at least 0 for each of ${shape.length} axes, got [${String(strides).slice(0, 80)}] from ${first}`,
    );
  }
  const size = sizeOf(shape);
  const last = shape.reduce((sum, length, axis) => sum + (length - 1) * strides[axis], first);
  const type = isRead(stored) ? dtypes[dtype] : undefined;
  const needed = type && size > 0 ? (last + 1) * type.bytes : 0;
  if (!Number.isSafeInteger(size) || needed > bytes.byteLength) {
    fail(`expected ${needed} bytes for [${shape.join(", ")}] of ${dtype}, there are ${bytes.byteLength}`);
  }
  if (type && !fitsStored(size * type.bytes, bytes.byteLength)) {
    fail(
      `expected values that its ${bytes.byteLength} bytes can hold, got [${shape.join(", ")}] of ${dtype}`,
      "write it contiguous",
    );
  }
  const from = type ? first * type.bytes : 0;
  const to = type ? Math.max(from, needed) : bytes.byteLength;
  return {
    name,
    shape,
    dtype,
    strides,
    at: { file, offset: bytes.offset === undefined ? undefined : bytes.offset + from, byteLength: to - from },
    async read() {
      if (type === undefined) {
        return fail(
          `values of type ${dtype} are not read`,
          "convert it to float32, float16 or bfloat16 where it was written",
        );
      }
      const lying = await bytes.read(from, to);
      if (bigEndian) reverseEach(lying, dtype.startsWith("complex") ? type.bytes / 2 : type.bytes);
      const values = type.decode(lying);
      return isRowMajor(shape, strides)
        ? values
        : gathered(values, shape, strides, dtype.startsWith("complex") ? 2 : 1);
    },
  };
}

/** A tensor whose values are in memory already, or are made of others' when they are read. */
export function madeTensor(
  made: Pick<Tensor, "name" | "shape" | "dtype" | "at" | "read"> & { quantized?: string },
): Tensor {
  return { ...made, strides: rowMajor(made.shape) };
}

/** A name in a message. */
export function shortened(name: string): string {
  return name.length > 80 ? `${name.slice(0, 77)}...` : name;
}

function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return sizeOf(shape) === 0;
    expected *= shape[axis];
  }
  return true;
}

/** Elements of `parts` values each, in row-major order. */
function gathered(
  values: Values,
  shape: readonly number[],
  strides: readonly number[],
  parts: number,
): Values {
  const size = sizeOf(shape);
  const result = new (values.constructor as new (length: number) => Values)(size * parts);
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < size; to++) {
    for (let part = 0; part < parts; part++) result[to * parts + part] = values[from * parts + part];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      index[axis]++;
      if (index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return result;
}

/** Turns the bytes of each element around, in place. */
export function reverseEach(bytes: Uint8Array, length: number): void {
  for (let start = 0; start < bytes.length; start += length) {
    for (let low = start, high = start + length - 1; low < high; low++, high--) {
      const byte = bytes[low];
      bytes[low] = bytes[high];
      bytes[high] = byte;
    }
  }
}

/** A tensor's values as float32 or float64 numbers, row-major; integers as float64, of 64 bits as the nearest. */
export async function numbersOf(tensor: Tensor): Promise<Float32Array | Float64Array> {
  const values = await tensor.read();
  if (values instanceof Float32Array || values instanceof Float64Array) return values;
  return Float64Array.from(values as ArrayLike<number | bigint>, Number);
}
