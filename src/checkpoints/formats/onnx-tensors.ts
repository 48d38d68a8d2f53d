/**
 * TensorProto of ONNX files (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3), in the model or in files beside it, which are
 * looked for in its folder alone; and what all messages of ONNX are read with.
 *
 * Listed and refused when they are read: strings, float8, 4-bit and 2-bit types, sparse tensors, tensors in segments, and those whose
 * file is missing.
 */
import { sizeOf } from "../../shape.js";
import {
  bigIntegersIn,
  byNumber,
  type Field,
  fieldsOf,
  integerIn,
  integersIn,
  textIn,
} from "../encodings/protobuf.js";
import { concatenated } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import { ONNX_TYPES } from "../graphs/types.js";
import { type Bytes, bytesInMemory, type Files } from "../source.js";
import { dtypes, shortened, storedTensor, type Tensor } from "../tensors.js";

export const FORMAT = "ONNX";

/** A message's fields; those that are absent are empty, or 0. */
export interface Message {
  all(number: number): readonly Field[];
  text(number: number): Promise<string>;
  integer(number: number): number;
}

/** So short a message is read at once with all that is in it: graphs have thousands of nodes. */
const SHORT = 4096;

export async function messageIn(bytes: Bytes): Promise<Message> {
  const isShort = bytes.byteLength <= SHORT;
  const near = isShort ? bytesInMemory(bytes.file, await bytes.read(), bytes.offset) : bytes;
  const fields = byNumber(await fieldsOf(FORMAT, near));
  const last = (number: number) => fields.get(number)?.at(-1);
  return {
    all: (number) => fields.get(number) ?? [],
    async text(number) {
      const field = last(number);
      return field ? textIn(field) : "";
    },
    integer(number) {
      const field = last(number);
      return field ? integerIn(field) : 0;
    },
  };
}

export async function textsIn(fields: readonly Field[]): Promise<string[]> {
  const texts: string[] = [];
  for (const field of fields) texts.push(await textIn(field));
  return texts;
}

/** StringStringEntryProto: keys with values. */
export async function entriesIn(fields: readonly Field[]): Promise<Map<string, string>> {
  const entries = new Map<string, string>();
  for (const { bytes } of fields) {
    const entry = await messageIn(bytes);
    entries.set(await entry.text(1), await entry.text(2));
  }
  return entries;
}

/** What the parts of a file are read with. */
export interface Context {
  readonly files: Files;
  readonly external: External;
}

/** Files beside the model that tensors lie in; undefined those that are missing. */
export type External = Map<string, Bytes | undefined>;

/** The field of TensorProto that has values of a type which are not raw; of others it is `int32_data`, 5. */
const TYPED = new Map([
  ["float32", 4],
  ["complex64", 4],
  ["string", 6],
  ["int64", 7],
  ["float64", 10],
  ["complex128", 10],
  ["uint32", 11],
  ["uint64", 11],
]);

/** Bytes as a part of the file: what is kept of a message keeps nothing in memory but what is short. */
export function inFile({ files }: Context, bytes: Bytes): Bytes {
  if (bytes.byteLength <= SHORT || bytes.offset === undefined || files.bytes.offset !== 0) return bytes;
  return files.bytes.part(bytes.offset, bytes.offset + bytes.byteLength);
}

/** TensorProto. */
export async function tensorIn(context: Context, found: Bytes): Promise<Tensor> {
  const message = inFile(context, found);
  const tensor = await messageIn(message);
  const type = tensor.integer(2);
  const name = await tensor.text(8);
  const shape = await integersIn(tensor.all(1));
  const dtype = ONNX_TYPES[type] ?? `type ${type}`;
  const stored = { name, shape, dtype };
  if (tensor.all(3).length > 0) {
    return refused(stored, message, "is stored in segments", "write each tensor in one piece");
  }
  if (tensor.integer(14) === 1) return externalTensor(context, stored, message, tensor.all(13));
  const raw = tensor.all(9).at(-1);
  if (raw) return storedTensor(FORMAT, { ...stored, bytes: inFile(context, raw.bytes) });
  const known = Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : undefined;
  if (known === undefined) return storedTensor(FORMAT, { ...stored, bytes: message });
  return {
    ...listed(stored, message),
    async read() {
      const fields = (await messageIn(message)).all(TYPED.get(dtype) ?? 5);
      const bytes = await (isFloating(dtype) ? fixedIn(fields) : integralIn(fields, known.bytes));
      const expected = sizeOf(shape) * known.bytes;
      if (bytes.length === expected) return known.decode(bytes);
      throw new CheckpointError(
        message.file,
        FORMAT,
        `tensor "${shortened(name)}": expected ${expected} bytes for [${shape.join(", ")}] of ${dtype}, there are ${bytes.length}`,
        { offset: message.offset },
      );
    },
  };
}

/** Whether values that are not raw are floats and doubles; all others, float16 and bfloat16 too, are varints. */
function isFloating(dtype: string): boolean {
  return [4, 10].includes(TYPED.get(dtype) ?? 5);
}

/** A tensor in its message, whose values are another matter: its shape is checked, but not against the bytes. */
function listed(stored: { name: string; shape: number[]; dtype: string }, bytes: Bytes): Tensor {
  return { ...storedTensor(FORMAT, { ...stored, dtype: "listed", bytes }), dtype: stored.dtype };
}

function refused(
  stored: Parameters<typeof listed>[0],
  message: Bytes,
  problem: string,
  remedy: string,
): Tensor {
  return {
    ...listed(stored, message),
    async read() {
      throw new CheckpointError(message.file, FORMAT, `tensor "${shortened(stored.name)}" ${problem}`, {
        offset: message.offset,
        remedy,
      });
    },
  };
}

async function externalTensor(
  { files, external }: Context,
  stored: Parameters<typeof listed>[0],
  message: Bytes,
  fields: readonly Field[],
): Promise<Tensor> {
  const entries = await entriesIn(fields);
  const location = entries.get("location") ?? "";
  const fail = (problem: string) =>
    new CheckpointError(message.file, FORMAT, `tensor "${shortened(stored.name)}": ${problem}`, {
      offset: message.offset,
    });
  const number = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined || /^\d{1,15}$/.test(text)) return text === undefined ? undefined : Number(text);
    throw fail(`expected the ${key} of its values in another file, got "${shortened(text)}"`);
  };
  if (!external.has(location)) external.set(location, await files.beside(location));
  const bytes = external.get(location);
  if (bytes === undefined) {
    const remedy = "put it there, or open both files as a list";
    return refused(stored, message, `has its values in "${location}", which is not beside the model`, remedy);
  }
  const offset = number("offset") ?? 0;
  const length = number("length") ?? Math.max(0, bytes.byteLength - offset);
  if (offset + length > bytes.byteLength) {
    throw fail(
      `expected ${length} bytes from byte ${offset} of "${location}", which has ${bytes.byteLength}`,
    );
  }
  return storedTensor(FORMAT, { ...stored, bytes: bytes.part(offset, offset + length) });
}

/** SparseTensorProto: named by its values. */
export async function sparseIn(context: Context, found: Bytes): Promise<Tensor> {
  const message = inFile(context, found);
  const sparse = await messageIn(message);
  const [values] = sparse.all(1).slice(-1);
  const { name, dtype } = values ? await tensorIn(context, values.bytes) : { name: "", dtype: "undefined" };
  const shape = await integersIn(sparse.all(3));
  return storedTensor(FORMAT, { name, shape, dtype: `sparse ${dtype}`, bytes: message });
}

/** Repeated floats or doubles, packed or one each, as bytes. */
export async function fixedIn(fields: readonly Field[]): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (const { wire, bits, bytes } of fields) {
    if (wire === 2) parts.push(await bytes.read());
    else
      parts.push(
        new Uint8Array(wire === 5 ? Uint32Array.of(Number(bits)).buffer : BigUint64Array.of(bits).buffer),
      );
  }
  return concatenated(parts);
}

/** Repeated varints, the lowest bytes of each. */
async function integralIn(fields: readonly Field[], width: number): Promise<Uint8Array> {
  const integers = BigUint64Array.from(await bigIntegersIn(fields));
  const bytes = new Uint8Array(integers.buffer);
  return width === 8 ? bytes : bytes.filter((_, i) => i % 8 < width);
}
