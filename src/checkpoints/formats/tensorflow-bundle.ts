/**
 * Checkpoints of TensorFlow ("tensor bundles"): a table `<prefix>.index` that says where each variable lies in `<prefix>.data-*-of-*`.
 * tensorflow/core/protobuf/tensor_bundle.proto, tensorflow/core/util/tensor_bundle; the graph of objects that TensorFlow 2 keeps in it:
 * trackable_object_graph.proto. Opened by the index, by a shard, or by the text file `checkpoint` that names the latest. Checkpoints of
 * TensorFlow before 0.12 (V1, one file) are refused.
 */
import type { Framework } from "../../frameworks/conventions.js";
import { sizeOf } from "../../shape.js";
import type { Format } from "../checkpoint.js";
import { type Field, integerIn } from "../encodings/protobuf.js";
import { crc32c, isTable, tableEntries, unmasked } from "../encodings/sstable.js";
import { CheckpointError } from "../errors.js";
import { type Bytes, bytesInMemory, type Files } from "../source.js";
import {
  dtypes,
  fitsStored,
  madeTensor,
  rowMajor,
  shortened,
  storedTensor,
  type Tensor,
  type Values,
} from "../tensors.js";
import {
  type Message,
  MOST_LEVELS,
  messageIn,
  objectsIn,
  type ProgramObject,
  shapeIn,
  typeIn,
} from "./tensorflow.js";

const NAME = "TensorFlow checkpoint";
const SHARD = /\.data-\d{5}-of-\d{5}$/;
/** What the graph of objects is stored as. */
const OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH";
const VALUE = "/.ATTRIBUTES/VARIABLE_VALUE";

export const tensorflowBundle: Format = {
  name: NAME,
  async matches(head, files) {
    if (isState(head) || (await isTable(files.bytes))) return true;
    return SHARD.test(files.name) && (await files.beside(indexOf(baseOf(files.name)))) !== undefined;
  },
  async read(files) {
    const { index, prefix } = await indexFor(files);
    const bundle = await readBundle(NAME, index, (shard) => files.beside(prefix + shard));
    return {
      format: NAME,
      framework: frameworkOf(bundle),
      file: files.name,
      byteLength: bundle.byteLength,
      metadata: { shards: bundle.shards, endianness: bundle.bigEndian ? "big" : "little" },
      tensors: bundle.tensors,
      others: bundle.others,
      modules: [],
    };
  },
};

export interface Bundle {
  /**
   * By the path of their object where there are objects, in the order of these, and by their name elsewhere. A tensor's own name is the
   * variable's in the program where that tells its layer.
   */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly others: ReadonlyMap<string, Tensor>;
  /** By the key in the table. */
  readonly entries: ReadonlyMap<string, Tensor>;
  readonly objects: readonly ProgramObject[];
  readonly shards: number;
  readonly bigEndian: boolean;
  readonly byteLength: number;
}

/** @param shard a file by what follows the prefix, such as ".data-00000-of-00001" */
export async function readBundle(
  format: string,
  index: Bytes,
  shard: (suffix: string) => Promise<Bytes | undefined>,
): Promise<Bundle> {
  const fail: Fail = (problem, offset, remedy) =>
    new CheckpointError(index.file, format, problem, { offset, remedy });
  const values = new Map<string, Bytes>();
  const slices = new Map<string, Bytes>();
  for (const { key, value } of await tableEntries(format, index)) {
    // slices of partitioned variables have keys that begin with 0
    if (key[0] === 0) slices.set(binaryText(key), value);
    else values.set(new TextDecoder().decode(key), value);
  }
  const headerBytes = values.get("");
  if (headerBytes === undefined) {
    throw fail(
      "expected a bundle's header, the table has none",
      undefined,
      "a checkpoint of TensorFlow before 0.12 (V1) is not read: load it and save it again",
    );
  }
  const header = await messageIn(format, headerBytes);
  const shards = numberIn(header.one(1), 0);
  const bigEndian = numberIn(header.one(2), 0) === 1;
  // each entry is in one of them, and an empty checkpoint has one
  if (shards > Math.max(1, values.size)) throw fail(`expected at most ${values.size} shards, got ${shards}`);
  const files: Bytes[] = [];
  for (let i = 0; i < shards; i++) {
    const suffix = `.data-${String(i).padStart(5, "0")}-of-${String(shards).padStart(5, "0")}`;
    const file = await shard(suffix);
    if (file === undefined) {
      throw fail(
        `expected a file that ends in ${suffix} beside it`,
        undefined,
        "give the index and all of its shards",
      );
    }
    files.push(file);
  }
  const store: Store = { format, slices, files, bigEndian, fail };
  const stored = values.get(OBJECTS);
  const objects = stored ? await storedObjects(store, stored) : [];
  const names = await variableNames(format, objects);
  // in the order of the network's objects; what is none of them after, in the order of the table
  const keys = new Set([...names.keys(), ...values.keys()]);
  keys.delete("");
  const scopes = uniqueScopes(names);
  const entries = new Map<string, Tensor>();
  for (const key of keys) {
    const value = values.get(key);
    if (value) entries.set(key, await entryTensor(store, scopes.get(key) ?? pathOf(key), key, value));
  }
  const isOther = othersAmong(entries, names);
  const paths = [...entries].map(([key, tensor]) => [key, pathOf(key), tensor] as const);
  return {
    tensors: new Map(paths.filter(([key]) => !isOther(key)).map(([, path, tensor]) => [path, tensor])),
    others: new Map(paths.filter(([key]) => isOther(key)).map(([, path, tensor]) => [path, tensor])),
    entries,
    objects,
    shards,
    bigEndian,
    byteLength: files.reduce((sum, { byteLength }) => sum + byteLength, index.byteLength),
  };
}

/** The key of the variable that an object is; undefined for other objects. */
export async function keyOf(format: string, object: ProgramObject): Promise<string | undefined> {
  for (const { bytes } of object.message.all(2)) {
    const { text } = await messageIn(format, bytes);
    if ((await text(1)) === "VARIABLE_VALUE") return text(3);
  }
  return undefined;
}

/** Of the layers whose variables have such names; TensorFlow's own have Keras's. */
export function frameworkOf({ entries, objects }: Bundle): Framework | undefined {
  const children = new Set(objects.flatMap((object) => object.children.map(({ name }) => name)));
  if (children.has("_operations") || children.has("_all_variables")) return "keras3";
  if (children.has("layer_with_weights-0")) return "keras2";
  return [...entries.keys()].some((key) => pathOf(key).endsWith("moving_variance")) ? "keras2" : undefined;
}

type Fail = (problem: string, offset?: number, remedy?: string) => CheckpointError;

function numberIn(field: Field | undefined, otherwise: number): number {
  return field === undefined ? otherwise : field.wire === 5 ? Number(field.bits) : integerIn(field);
}

function baseOf(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

function indexOf(shard: string): string {
  return shard.replace(SHARD, ".index");
}

/** Whether it is the text file that names a folder's latest checkpoint. */
function isState(head: Uint8Array): boolean {
  return new TextDecoder().decode(head.subarray(0, 23)) === "model_checkpoint_path: ";
}

async function indexFor(files: Files): Promise<{ index: Bytes; prefix: string }> {
  const base = baseOf(files.name);
  const head = await files.bytes.read(0, Math.min(files.bytes.byteLength, 4096));
  if (isState(head)) {
    // a path of where it was written, perhaps with escaped backslashes: its file lies here
    const path = /^model_checkpoint_path: "((?:[^"\\]|\\.)*)"/.exec(new TextDecoder().decode(head))?.[1];
    const prefix = path?.split(/[/\\]+/).at(-1) ?? "";
    const index = prefix === "" ? undefined : await files.beside(`${prefix}.index`);
    if (index) return { index, prefix };
    throw new CheckpointError(
      files.name,
      NAME,
      `expected ${shortened(prefix)}.index, which it names, beside it`,
      {
        remedy: "open the checkpoint's .index file",
      },
    );
  }
  if (await isTable(files.bytes)) return { index: files.bytes, prefix: base.replace(/\.index$/, "") };
  const index = (await files.beside(indexOf(base))) as Bytes;
  return { index, prefix: base.replace(SHARD, "") };
}

/** Bytes as a text of as many characters, so that they can be a key of a Map. */
function binaryText(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function pathOf(key: string): string {
  return key.endsWith(VALUE) ? key.slice(0, -VALUE.length) : key;
}

async function storedObjects(store: Store, value: Bytes): Promise<ProgramObject[]> {
  const { entry, bytes } = await placeOf(store.format, value, store.files, store.fail);
  const graph = await onlyString(bytes, numberIn(entry.one(6), 0), store.fail);
  return objectsIn(store.format, bytesInMemory(bytes.file, graph));
}

/** The names that variables had in the program, by their keys, as one comes to them through the objects. */
async function variableNames(
  format: string,
  objects: readonly ProgramObject[],
): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  const seen = new Set<number>();
  // slots of optimizers are no object's children
  const waiting = [...objects.keys()].reverse();
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    const object = objects[id];
    if (object === undefined || seen.has(id)) continue;
    seen.add(id);
    for (const { bytes } of object.message.all(2)) {
      const { text } = await messageIn(format, bytes);
      names.set(await text(3), await text(2));
    }
    for (let i = object.children.length - 1; i >= 0; i--) waiting.push(object.children[i].id);
  }
  return names;
}

/** Of names with a layer in them, such as bn/gamma, those that one variable has; of a copy that Keras 3 exports not. */
function uniqueScopes(names: ReadonlyMap<string, string>): Map<string, string> {
  const scoped = [...names].filter(([key, name]) => name.includes("/") && !isCopy(key));
  const counts = new Map<string, number>();
  for (const [, name] of scoped) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map(scoped.filter(([, name]) => counts.get(name) === 1));
}

/** Keras 3 exports each variable twice. */
function isCopy(key: string): boolean {
  return key.startsWith("_all_variables/");
}

async function placeOf(format: string, value: Bytes, files: readonly Bytes[], fail: Fail) {
  const entry = await messageIn(format, value);
  const [shard, offset, size] = [3, 4, 5].map((field) => numberIn(entry.one(field), 0));
  const file = files[shard];
  if (file === undefined) throw fail(`expected one of ${files.length} shards, got ${shard}`, value.offset);
  if (!(offset >= 0 && size >= 0 && offset + size <= file.byteLength)) {
    throw fail(
      `expected ${size} bytes from byte ${offset} in ${file.file}, which has ${file.byteLength}`,
      value.offset,
      "the shards are cut off, or of another checkpoint: fetch all of one",
    );
  }
  return { entry, bytes: file.part(offset, offset + size) };
}

/** What a bundle's tensors are read with. */
interface Store {
  readonly format: string;
  /** By their binary keys. */
  readonly slices: ReadonlyMap<string, Bytes>;
  readonly files: readonly Bytes[];
  readonly bigEndian: boolean;
  readonly fail: Fail;
}

async function entryTensor(store: Store, name: string, key: string, value: Bytes): Promise<Tensor> {
  const { format, files, fail } = store;
  const { entry, bytes } = await placeOf(format, value, files, fail);
  const parts = entry.all(7);
  if (parts.length === 0) return wholeTensor(store, name, entry, bytes);
  const shape = await shapeIn(format, entry.one(2)?.bytes);
  const dtype = typeIn(entry.one(1));
  const slices: Slice[] = [];
  for (const slice of parts) {
    const extents = await extentsOf(format, slice.bytes, shape.length);
    const stored = store.slices.get(sliceKey(key, extents));
    if (stored === undefined)
      throw fail(`expected each slice of "${shortened(name)}" in the table`, slice.offset);
    const place = await placeOf(format, stored, files, fail);
    const tensor = await wholeTensor(store, name, place.entry, place.bytes);
    const starts = extents.map(({ start }) => start);
    const fits = shape.every(
      (length, axis) => starts[axis] >= 0 && starts[axis] + (tensor.shape[axis] ?? Number.NaN) <= length,
    );
    if (!fits || tensor.shape.length !== shape.length || tensor.dtype !== dtype) {
      throw fail(
        `expected a slice of [${shape.join(", ")}] of ${dtype} for "${shortened(name)}", got [${tensor.shape.join(", ")}] of ${tensor.dtype}`,
        slice.offset,
      );
    }
    slices.push({ starts, tensor });
  }
  const covered = slices.reduce((sum, { tensor }) => sum + sizeOf(tensor.shape), 0);
  const stored = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const each = Object.hasOwn(dtypes, dtype) ? dtypes[dtype].bytes : 0;
  if (covered !== sizeOf(shape) || !fitsStored(covered * each, stored)) {
    throw fail(
      `expected slices of the ${sizeOf(shape)} values of "${shortened(name)}", got ${covered}`,
      value.offset,
    );
  }
  return assembled(name, shape, dtype, slices);
}

async function wholeTensor(store: Store, name: string, entry: Message, bytes: Bytes): Promise<Tensor> {
  const { format, bigEndian, fail } = store;
  const shape = await shapeIn(format, entry.one(2)?.bytes);
  const dtype = typeIn(entry.one(1));
  const needed = Object.hasOwn(dtypes, dtype) ? sizeOf(shape) * dtypes[dtype].bytes : bytes.byteLength;
  if (needed !== bytes.byteLength) {
    throw fail(
      `expected ${needed} bytes for "${shortened(name)}", [${shape.join(", ")}] of ${dtype}, got ${bytes.byteLength}`,
      bytes.offset,
    );
  }
  const checked = withChecksum(bytes, numberIn(entry.one(6), 0), () =>
    fail(
      `the checksum (CRC-32C) of "${shortened(name)}" in ${bytes.file} differs from what is stored`,
      bytes.offset,
    ),
  );
  return storedTensor(format, { name, shape, dtype, bytes: checked, bigEndian });
}

/** The same bytes, of which all are read, whatever is asked for, and compared with their checksum. */
function withChecksum(bytes: Bytes, stored: number, fail: () => CheckpointError): Bytes {
  return {
    ...bytes,
    async read(start = 0, end = bytes.byteLength) {
      const all = await bytes.read();
      if (crc32c(all) !== unmasked(stored)) throw fail();
      return all.subarray(start, end);
    },
  };
}

/** Of a string tensor with one element: its length, a checksum of the length, the bytes. */
async function onlyString(bytes: Bytes, checksum: number, fail: Fail): Promise<Uint8Array> {
  const all = await bytes.read();
  let length = 0;
  let at = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = all[at++];
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
    if (!(at < all.length && scale < 2 ** 42)) throw fail("expected the length of a string", bytes.offset);
  }
  if (at + 4 + length !== all.length) {
    throw fail(`expected the graph of objects in ${all.length} bytes, got ${length}`, bytes.offset);
  }
  // the checksums are of the length as four bytes, or eight where those are too few
  const four = length < 2 ** 32;
  const counted = new Uint8Array(
    four ? Uint32Array.of(length).buffer : BigUint64Array.of(BigInt(length)).buffer,
  );
  const sum = crc32c(all.subarray(at), crc32c(counted));
  if (sum !== unmasked(checksum)) {
    throw fail(
      `the checksum (CRC-32C) of the graph of objects in ${bytes.file} differs from what is stored`,
      bytes.offset,
    );
  }
  return all.subarray(at + 4);
}

interface Extent {
  readonly start: number;
  /** −1 for all of the axis. */
  readonly length: number;
}

async function extentsOf(format: string, slice: Bytes, rank: number): Promise<Extent[]> {
  const extents: Extent[] = [];
  for (const { bytes } of (await messageIn(format, slice)).all(1).slice(0, rank)) {
    const { one } = await messageIn(format, bytes);
    extents.push({ start: numberIn(one(1), 0), length: numberIn(one(2), -1) });
  }
  return extents;
}

/** The key of a slice, in which numbers and texts sort as their bytes do (tensorflow/core/lib/strings/ordered_code.cc). */
function sliceKey(key: string, extents: readonly Extent[]): string {
  const escaped = binaryText(new TextEncoder().encode(key)).replace(/[\0\xff]/g, (char) =>
    char === "\0" ? "\0\xff" : "\xff\0",
  );
  const rank = extents.length === 0 ? "\0" : `\x01${String.fromCharCode(extents.length)}`;
  const numbers = extents.flatMap(({ start, length }) => [ordered(start), ordered(length)]);
  return `\0${escaped}\0\x01${rank}${numbers.join("")}`;
}

/** A signed number in as many bytes as it needs: their count in the leading bits, then the number, big-endian. */
function ordered(value: number): string {
  let count = 1;
  while (count < 8 && !(value >= -(2 ** (7 * count - 1)) && value < 2 ** (7 * count - 1))) count++;
  const bits = BigInt.asUintN(8 * count, BigInt(value));
  // the count is told by ones before a zero, where the number is negative by zeros before a one
  const marks = BigInt.asUintN(8 * count, ((1n << BigInt(count)) - 1n) << BigInt(7 * count));
  let text = "";
  for (let i = count - 1; i >= 0; i--)
    text += String.fromCharCode(Number(((bits ^ marks) >> BigInt(8 * i)) & 0xffn));
  return text;
}

/** A part of a partitioned variable, and where it begins along each axis. */
interface Slice {
  readonly starts: readonly number[];
  readonly tensor: Tensor;
}

function assembled(name: string, shape: readonly number[], dtype: string, parts: readonly Slice[]): Tensor {
  const { file, offset } = parts[0].tensor.at;
  const byteLength = parts.reduce((sum, { tensor }) => sum + tensor.at.byteLength, 0);
  return madeTensor({
    name,
    shape,
    dtype,
    at: { file, offset, byteLength },
    async read() {
      const perValue = dtype.startsWith("complex") ? 2 : 1;
      const strides = rowMajor(shape);
      let result: Values | undefined;
      for (const { starts, tensor } of parts) {
        const values = await tensor.read();
        result ??= new (values.constructor as new (length: number) => Values)(sizeOf(shape) * perValue);
        // along the last axis values lie side by side in both
        const run = tensor.shape.at(-1) ?? 1;
        const index = tensor.shape.slice(0, -1).map(() => 0);
        for (let from = 0; from < sizeOf(tensor.shape); from += run) {
          const to = starts.reduce(
            (sum, start, axis) => sum + (start + (index[axis] ?? 0)) * strides[axis],
            0,
          );
          const some = values.subarray(from * perValue, (from + run) * perValue);
          (result as Float32Array).set(some as Float32Array, to * perValue);
          for (let axis = index.length - 1; axis >= 0 && ++index[axis] === tensor.shape[axis]; axis--)
            index[axis] = 0;
        }
      }
      return result as Values;
    },
  });
}

/** Whether what has a key is an optimizer's, a moving average's shadow, a metric's, or a counter. */
function othersAmong(
  entries: ReadonlyMap<string, Tensor>,
  names: ReadonlyMap<string, string>,
): (key: string) => boolean {
  const paths = new Set([...entries.keys()].map(pathOf));
  const optimizers = new Set(["optimizer"]);
  for (const [key, { dtype, shape }] of entries) {
    const counter = /^(.+)\/(_iterations|iterations|iter)$/.exec(pathOf(key));
    if (counter && dtype === "int64" && shape.length === 0) optimizers.add(counter[1]);
  }
  const exported = new Set([...names].filter(([key]) => !isCopy(key)).map(([, name]) => name));
  return (key) => {
    const path = pathOf(key);
    if (key.endsWith(VALUE) ? key.startsWith("keras_api/") : key.includes("/.ATTRIBUTES/")) return true;
    if (COUNTER.test(path) || path.endsWith("/ExponentialMovingAverage")) return true;
    if (isCopy(key) && exported.has(names.get(key) ?? "")) return true;
    if (LISTED_WEIGHT.test(path)) return false;
    // what is made for a variable is named as though the variable were its folder
    let at = path.indexOf("/");
    for (let level = 0; at >= 0 && level < MOST_LEVELS; level++, at = path.indexOf("/", at + 1)) {
      const folder = path.slice(0, at);
      if (paths.has(folder) || optimizers.has(folder)) return true;
    }
    return false;
  };
}

/** Optimizers of Keras 3 list the model's own weights, which a checkpoint has under the first path that leads to them. */
const LISTED_WEIGHT = /(^|\/)_trainable_variables\/\d+$/;
const COUNTER = /^(.*\/)?(save_counter|global_step|beta[12]_power(_\d+)?|_CHECKPOINTABLE_OBJECT_GRAPH)$/;
