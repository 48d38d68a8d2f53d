/**
 * NumPy's files: `.npy`, one array with a header that is a Python literal, versions 1 to 3; and `.npz`, a ZIP archive of them.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 *
 * The literal is parsed, never evaluated. Refused when they are read: objects (they are pickles), texts, structures, dates, and floats
 * longer than 8 bytes.
 */
import type { Checkpoint, Format } from "../checkpoint.js";
import { concatenated, firstEntryOf, viewOf, writeZip, zipEntries } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import type { Bytes, Files } from "../source.js";
import { dtypes, shortened, storedTensor, type Tensor } from "../tensors.js";
import { encodedTensors, type WrittenTensor } from "../written.js";

const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);
/** The header of an array of hundreds of fields has some ten thousand. */
const MOST_HEADER = 2 ** 20;
const ENDING = /\.npy$/;

/** Types by NumPy's kind and bytes. */
export const numpyTypes = new Map([
  ["f8", "float64"],
  ["f4", "float32"],
  ["f2", "float16"],
  ["i8", "int64"],
  ["i4", "int32"],
  ["i2", "int16"],
  ["i1", "int8"],
  ["u8", "uint64"],
  ["u4", "uint32"],
  ["u2", "uint16"],
  ["u1", "uint8"],
  ["b1", "bool"],
  ["c16", "complex128"],
  ["c8", "complex64"],
]);

/** What is listed and not read, by NumPy's kind. */
const refused = new Map([
  ["f", "longdouble"],
  ["c", "clongdouble"],
  ["O", "object"],
  ["U", "str"],
  ["S", "bytes"],
  ["V", "void"],
  ["M", "datetime64"],
  ["m", "timedelta64"],
]);

export const npy: Format = {
  name: "npy",
  matches: (head) => MAGIC.every((byte, at) => head[at] === byte),
  async read(files) {
    const [base = ""] = files.name.split(/[/\\]/).slice(-1);
    const tensor = await arrayIn("npy", base.replace(ENDING, ""), files.bytes);
    // there is nothing else in the file: what it refuses is the file's error
    if (!Object.hasOwn(dtypes, tensor.dtype)) await tensor.read();
    return checkpointOf("npy", files, [tensor]);
  },
};

export const npz: Format = {
  name: "npz",
  matches: (head) => ENDING.test(firstEntryOf(head) ?? ""),
  async read(files) {
    const tensors: Tensor[] = [];
    for (const [entry, bytes] of await zipEntries("npz", files.bytes)) {
      if (ENDING.test(entry)) tensors.push(await arrayIn("npz", entry.replace(ENDING, ""), bytes));
    }
    return checkpointOf("npz", files, tensors);
  },
};

function checkpointOf(format: string, files: Files, tensors: readonly Tensor[]): Checkpoint {
  return {
    format,
    file: files.name,
    byteLength: files.bytes.byteLength,
    metadata: {},
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    others: new Map(),
    modules: [],
  };
}

async function arrayIn(format: string, name: string, bytes: Bytes): Promise<Tensor> {
  const fail = (problem: string, remedy?: string) =>
    new CheckpointError(bytes.file, format, `array "${shortened(name)}": ${problem}`, {
      offset: bytes.offset,
      remedy,
    });
  const start = await bytes.read(0, Math.min(12, bytes.byteLength));
  const version = start[6];
  if (start.length < 12 || !MAGIC.every((byte, at) => start[at] === byte)) {
    throw fail("expected a header that begins with \\x93NUMPY");
  }
  if (version < 1 || version > 3) throw fail(`version ${version} is not read`, "save it with NumPy's save");
  const from = version === 1 ? 10 : 12;
  const length = version === 1 ? viewOf(start).getUint16(8, true) : viewOf(start).getUint32(8, true);
  if (length > MOST_HEADER) throw fail(`expected a header of at most ${MOST_HEADER} bytes, got ${length}`);
  if (from + length > bytes.byteLength) {
    throw fail(`expected a header of ${length} bytes, the array ends after ${bytes.byteLength - from}`);
  }
  const text = new TextDecoder(version === 3 ? "utf-8" : "latin1").decode(
    await bytes.read(from, from + length),
  );
  const header = literal(text, fail);
  const field = (key: string) => (header instanceof Map ? header.get(key) : undefined);
  const [descr, fortran, shape] = [field("descr"), field("fortran_order"), field("shape")];
  if (descr === undefined || typeof fortran !== "boolean" || !Array.isArray(shape)) {
    throw fail(`expected a header of descr, fortran_order and shape, got ${text.slice(0, 80).trim()}`);
  }
  const lengths = shape as number[];
  return storedTensor(format, {
    name,
    shape: lengths,
    dtype: typeOf(descr),
    strides: fortran
      ? lengths.map((_, axis) => lengths.slice(0, axis).reduce((a, b) => a * b, 1))
      : undefined,
    bytes: bytes.part(from + length, bytes.byteLength),
    bigEndian: typeof descr === "string" && descr.startsWith(">"),
  });
}

/** Ours of what a header calls a type: "<f4", ">i8", "|O", "<M8[ns]", a list of fields. */
function typeOf(descr: Literal): string {
  if (typeof descr !== "string") return "structure";
  const [, kind = "", bytes = ""] = /^[<>=|]?([A-Za-z])(\d*)/.exec(descr) ?? [];
  const known = numpyTypes.get(kind + bytes);
  if (known !== undefined) return known;
  return `${refused.get(kind) ?? "type"} (${shortened(descr)})`;
}

type Literal = string | number | boolean | null | Literal[] | Map<Literal, Literal>;

const MOST_NESTED = 32;

/** A Python literal of dicts, tuples, lists, texts, integers, True, False and None: all that headers hold. */
function literal(text: string, fail: (problem: string) => Error): Literal {
  const tokens = /\s*([{}()[\],:]|[bu]?'(?:[^'\\]|\\.)*'|[bu]?"(?:[^"\\]|\\.)*"|-?\d+L?|True|False|None)/y;
  const next = (): string => {
    const at = tokens.lastIndex;
    const token = tokens.exec(text)?.[1];
    if (token === undefined)
      throw fail(`expected a Python literal in its header, got ${text.slice(at, at + 40)}`);
    return token;
  };
  const peek = (): string => {
    const at = tokens.lastIndex;
    const token = next();
    tokens.lastIndex = at;
    return token;
  };
  const items = (closing: string, item: () => void): void => {
    while (peek() !== closing) {
      item();
      if (peek() === ",") next();
      else if (peek() !== closing) throw fail(`expected "," or "${closing}" in its header, got ${peek()}`);
    }
    next();
  };
  const value = (nested: number): Literal => {
    if (nested > MOST_NESTED) throw fail(`expected a header nested at most ${MOST_NESTED} deep`);
    const token = next();
    if (token === "{") {
      const dict = new Map<Literal, Literal>();
      items("}", () => {
        const key = value(nested + 1);
        if (next() !== ":") throw fail('expected ":" after a key in its header');
        dict.set(key, value(nested + 1));
      });
      return dict;
    }
    if (token === "(" || token === "[") {
      const list: Literal[] = [];
      items(token === "(" ? ")" : "]", () => list.push(value(nested + 1)));
      return list;
    }
    if (/['"]$/.test(token)) return token.slice(token.search(/['"]/) + 1, -1);
    if (token === "None") return null;
    if (token === "True" || token === "False") return token === "True";
    if (/\d/.test(token)) return Number.parseInt(token, 10);
    throw fail(`expected a value in its header, got ${token}`);
  };
  return value(0);
}

/** NumPy's kind and bytes, by our names. */
const written = new Map([...numpyTypes].map(([theirs, ours]) => [ours, theirs]));

/**
 * An `.npz` file of arrays, as `numpy.savez` writes it.
 *
 *     writeNpz([["gamma", { shape: [4], data: Float32Array.of(1, 1, 1, 1) }]]);
 *
 * @param tensors a Map, or pairs of a name and a tensor
 * @throws TypeError and RangeError for what is no tensor, a name twice, bfloat16, and 4 GiB or more
 */
export function writeNpz(tensors: Iterable<readonly [string, WrittenTensor]>): Uint8Array {
  return writeZip(
    encodedTensors("writeNpz", tensors).map(({ name, shape, dtype, bytes }) => {
      const type = written.get(dtype);
      if (type === undefined) {
        throw new RangeError(
          `writeNpz: tensor "${shortened(name)}": NumPy has no ${dtype}; leave dtype out, which writes float32`,
        );
      }
      const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
      const descr = `${type.endsWith("1") ? "|" : "<"}${type}`;
      const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tuple}), }`;
      // the values begin at a multiple of 64 bytes
      const padded = text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11);
      const header = new Uint8Array(10 + padded.length + 1);
      header.set(MAGIC);
      header.set([1, 0], 6);
      viewOf(header).setUint16(8, padded.length + 1, true);
      header.set(new TextEncoder().encode(`${padded}\n`), 10);
      return [`${name}.npy`, concatenated([header, bytes])] as const;
    }),
  );
}
