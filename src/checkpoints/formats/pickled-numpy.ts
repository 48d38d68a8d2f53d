/**
 * NumPy's objects in pickles (numpy/_core/numeric.py and src/multiarray/methods.c, `array_reduce_ex`): arrays of numbers, by
 * `_reconstruct` with a state, or `_frombuffer` since protocol 5; and scalars. Those of objects and of texts are none.
 */
import { MOST_AXES } from "../../shape.js";
import { isBytes, PickleRecord, type PickleValue } from "../encodings/pickle.js";
import type { Bytes } from "../source.js";
import { dtypes, rowMajor } from "../tensors.js";
import { numpyTypes } from "./npz.js";

const NUMPY = /^numpy\._?core\./;

interface PickledArray {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly dtype: string;
  readonly bigEndian: boolean;
  /** Python 2's strings are bytes. */
  readonly data: Bytes | string;
}

/** An array of numbers; undefined for anything else. */
export function arrayIn({ module, name, args, state }: PickleRecord): PickledArray | undefined {
  if (!NUMPY.test(module)) return undefined;
  const [shape, type, fortran, data] =
    name === "_reconstruct" && Array.isArray(state)
      ? state.slice(1)
      : name === "_frombuffer"
        ? [args[2], args[1], args[3] === "F", args[0]]
        : [];
  const known = typeIn(type);
  const lengths = lengthsIn(shape);
  if (known === undefined || lengths === undefined || !(isBytes(data) || typeof data === "string"))
    return undefined;
  const strides = fortran === true ? rowMajor(lengths.slice().reverse()).reverse() : rowMajor(lengths);
  return { shape: lengths, strides, ...known, data };
}

/** A scalar as a number; one of bool as a boolean. */
export async function numberIn({ module, name, args }: PickleRecord): Promise<number | boolean | undefined> {
  const [type, data] = args;
  const known = NUMPY.test(module) && name === "scalar" ? typeIn(type) : undefined;
  if (known === undefined || known.dtype.startsWith("complex")) return undefined;
  const { bytes: size, decode } = dtypes[known.dtype];
  let bytes: Uint8Array | undefined;
  // a character takes at least a byte
  if (typeof data === "string" && data.length <= size) bytes = new TextEncoder().encode(data);
  else if (isBytes(data) && data.byteLength === size) bytes = await data.read();
  if (bytes?.length !== size) return undefined;
  const number = Number(decode(known.bigEndian ? bytes.reverse() : bytes)[0]);
  return known.dtype === "bool" ? number !== 0 : number;
}

/** The lengths, or strides, of an array's axes. */
export function lengthsIn(value: PickleValue | undefined): number[] | undefined {
  if (!Array.isArray(value) || value.length > MOST_AXES) return undefined;
  return value.every((one) => typeof one === "number") ? value : undefined;
}

/** A type of numbers: `dtype("f4")`, whose state has the order of its bytes. */
function typeIn(value: PickleValue | undefined): { dtype: string; bigEndian: boolean } | undefined {
  if (!(value instanceof PickleRecord) || value.path !== "numpy.dtype") return undefined;
  const [text] = value.args;
  const dtype = typeof text === "string" ? numpyTypes.get(text.replace(/^[<>|=]/, "")) : undefined;
  if (dtype === undefined) return undefined;
  return { dtype, bigEndian: Array.isArray(value.state) && value.state[1] === ">" };
}
