/** What the writers take: tensors in memory, by name; and their bytes. */
import { checkLengths, described, sizeOf } from "../shape.js";
import { shortened, type Values } from "./tensors.js";

/** The types that are written. */
export type WrittenType = keyof typeof arrays;

/** A tensor to be written. */
export interface WrittenTensor {
  readonly shape: readonly number[];
  /** Default: the array's own type; float32 for a list of numbers. float16, bfloat16, bool and complex types are to be named. */
  readonly dtype?: WrittenType;
  /**
   * Row-major; of complex types the real and imaginary parts in turns. Numbers are rounded to the nearest of a floating type, ties to
   * even; to another integer type nothing is converted.
   */
  readonly data: Values | readonly number[];
}

/** The array that holds each type's values in memory. */
const arrays = {
  float64: Float64Array,
  float32: Float32Array,
  float16: Float32Array,
  bfloat16: Float32Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint64: BigUint64Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  complex128: Float64Array,
  complex64: Float32Array,
};

/** A tensor as its bytes, little-endian. */
export interface Encoded {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: WrittenType;
  readonly bytes: Uint8Array;
}

/**
 * Checks tensors and encodes them.
 * @param caller the public function, for errors
 * @throws TypeError and RangeError for what is no tensor, and for a name that comes twice
 */
export function encodedTensors(
  caller: string,
  tensors: Iterable<readonly [string, WrittenTensor]>,
): Encoded[] {
  if (typeof Object(tensors)[Symbol.iterator] !== "function") {
    throw new TypeError(
      `${caller}: tensors must be a Map, or pairs of a name and a tensor, got ${described(tensors)}`,
    );
  }
  const names = new Set<string>();
  return Array.from(tensors, (pair) => {
    const [name, tensor] = (Array.isArray(pair) ? pair : []) as Partial<typeof pair>;
    if (typeof name !== "string") {
      throw new TypeError(
        `${caller}: tensors must be pairs of a name and a tensor, got ${described(pair)} among them`,
      );
    }
    if (names.has(name)) throw new RangeError(`${caller}: two tensors are called "${shortened(name)}"`);
    names.add(name);
    return encoded(caller, name, Object(tensor));
  });
}

function encoded(caller: string, name: string, tensor: WrittenTensor): Encoded {
  const called = `tensor "${shortened(name)}"`;
  const { shape, data, dtype = typeOf(data) } = tensor;
  checkLengths(caller, `the shape of ${called}`, shape);
  if (dtype === undefined || !Object.hasOwn(arrays, dtype)) {
    throw dtype === undefined
      ? new TypeError(
          `${caller}: the data of ${called} must be a typed array or a list, got ${described(data)}`,
        )
      : new RangeError(
          `${caller}: the dtype of ${called} must be one of ${Object.keys(arrays).join(", ")}, got ${described(dtype)}`,
        );
  }
  const size = sizeOf(shape) * (dtype.startsWith("complex") ? 2 : 1);
  const values = valuesOf(dtype, data);
  if (values === undefined) {
    throw new TypeError(
      `${caller}: the data of ${called} must be of ${arrays[dtype].name} for ${dtype}, got ${described(data)}`,
    );
  }
  if (values.length !== size) {
    throw new RangeError(
      `${caller}: the data of ${called} must have ${size} values for [${shape.join(", ")}], got ${values.length}`,
    );
  }
  const stored =
    dtype === "float16"
      ? toHalf(values as ArrayLike<number>)
      : dtype === "bfloat16"
        ? toBrain(values)
        : values;
  return {
    name,
    shape,
    dtype,
    bytes: new Uint8Array(stored.buffer as ArrayBuffer, stored.byteOffset, stored.byteLength),
  };
}

/** The type that a typed array has by itself. */
function typeOf(data: unknown): WrittenType | undefined {
  if (Array.isArray(data)) return "float32";
  return (Object.keys(arrays) as WrittenType[]).find((dtype) => Object(data).constructor === arrays[dtype]);
}

/** Data in the array of their type; undefined where they would have to be converted. */
function valuesOf(dtype: WrittenType, data: Values | readonly number[]): Values | undefined {
  const array = arrays[dtype];
  if (data instanceof array) return data;
  const floats = array === Float32Array || array === Float64Array;
  const numbers = data instanceof Float32Array || data instanceof Float64Array;
  const listed = Array.isArray(data) && data.every((value) => typeof value === "number");
  if (!(floats && numbers) && !(listed && array !== BigInt64Array && array !== BigUint64Array))
    return undefined;
  // a half of a double is rounded once
  if (dtype === "float16") return Float64Array.from(data as ArrayLike<number>);
  return (array as Float32ArrayConstructor).from(data as ArrayLike<number>);
}

/** Values as IEEE 754 binary16, bits each: rounded to the nearest, ties to even; beyond 65504 infinite. */
export function toHalf(values: ArrayLike<number>): Uint16Array {
  const double = new Float64Array(1);
  const words = new Uint32Array(double.buffer);
  return Uint16Array.from(values, (value) => {
    double[0] = value;
    const sign = (words[1] >>> 16) & 0x8000;
    const size = Math.abs(value);
    if (Number.isNaN(value)) return 0x7e00;
    if (size >= 65520) return sign | 0x7c00;
    const exponent = Math.max(-14, ((words[1] >>> 20) & 0x7ff) - 1023);
    const steps = size * 2 ** (10 - exponent);
    const whole = Math.floor(steps);
    const up = steps - whole > 0.5 || (steps - whole === 0.5 && whole % 2 === 1);
    // the 1 before the fraction counts as one exponent
    return sign | (((exponent + 14) << 10) + whole + (up ? 1 : 0));
  });
}

/** The upper half of a float32, rounded to the nearest, ties to even. */
function toBrain(values: Values): Uint16Array {
  const bits = new Uint32Array(Float32Array.from(values as ArrayLike<number>).buffer);
  return Uint16Array.from(bits, (word) =>
    (word & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16,
  );
}
