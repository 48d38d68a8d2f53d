/**
 * The containers of PyTorch's files (torch/serialization.py): a pickle, and the storages that it refers to by persistent ids. ZIP archives
 * with the pickle `data.pkl` and an entry for each storage under `data/`, of TorchScript too; the legacy files before 1.6, pickles in a row
 * with the storages after them; and plain pickles, where each storage is such a file within.
 *
 * Refused: TorchScript before 1.4, which has a `model.json`.
 */
import {
  isBytes,
  kindOf,
  type Pickle,
  PickleGlobal,
  PickleRecord,
  type PickleValue,
  unpickle,
} from "../encodings/pickle.js";
import { isZip, zipEntries } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import { type Bytes, bytesInMemory } from "../source.js";
import { dtypes, shortened } from "../tensors.js";
import { declarations } from "./torchscript.js";

export const PLAIN = "pickle";
const LEGACY = "PyTorch (legacy)";
const ZIP = "PyTorch (zip)";

const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;

/** Where tensors lie. */
interface Storage {
  readonly bytes: Bytes;
  readonly dtype: string;
  readonly bigEndian: boolean;
}

/** A file's pickle, and what lies beside it. */
export interface Contents {
  readonly format: string;
  readonly file: string;
  readonly value: PickleValue;
  /** Python's packages that the pickle names. */
  readonly packages: ReadonlySet<string>;
  /** @throws CheckpointError for a value that stands for none */
  storage(value: PickleValue): Promise<Storage>;
  /** A byte string's bytes. Those of Python 2 are text where they are UTF-8; one that many arrays share has its bytes once. */
  bytesOf(data: Bytes | string): Bytes;
  /** TorchScript's: the tensors that its code refers to, and options that its classes declare. */
  readonly constants?: Contents;
  readonly declared?: ReturnType<typeof declarations>;
}

export async function contentsOf(bytes: Bytes): Promise<Contents> {
  if (isZip(await bytes.read(0, Math.min(4, bytes.byteLength)))) return archived(bytes);
  const first = await unpickle(PLAIN, bytes, 0, outside);
  if (first.value === LEGACY_MAGIC) return legacy(bytes, first.end);
  return contents(PLAIN, bytes.file, first, (id) => {
    throw new CheckpointError(
      bytes.file,
      PLAIN,
      `expected no storage outside of the pickle, got ${kindOf(id)}`,
    );
  });
}

/** What stands for a storage in the pickle. */
const STORAGE = new PickleGlobal("", "storage");

/** Persistent ids: of a storage, or of a module's class, which then comes with its source. */
function outside(id: PickleValue): PickleValue {
  return Array.isArray(id) && id[0] === "module" && id[1] instanceof PickleGlobal
    ? id[1]
    : new PickleRecord(STORAGE, [id]);
}

/** @param stored the storage of a persistent id */
function contents(
  format: string,
  file: string,
  { value, modules }: Pickle,
  stored: (id: PickleValue) => Storage,
): Contents {
  const within = new Map<Bytes, Promise<Storage>>();
  const texts = new Map<string, Bytes>();
  return {
    format,
    file,
    value,
    packages: new Set(Array.from(modules, (module) => module.split(".", 1)[0])),
    async storage(one) {
      if (one instanceof PickleRecord) {
        if (one.called === STORAGE) return stored(one.args[0]);
        const [bytes] = one.args;
        if (one.path === "torch.storage._load_from_bytes" && isBytes(bytes)) {
          const known = within.get(bytes) ?? storageIn(bytes);
          within.set(bytes, known);
          return known;
        }
      }
      throw new CheckpointError(file, format, `expected a storage, got ${kindOf(one)}`);
    },
    bytesOf(data) {
      if (typeof data !== "string") return data;
      const bytes = texts.get(data) ?? bytesInMemory(file, new TextEncoder().encode(data));
      texts.set(data, bytes);
      return bytes;
    },
  };
}

/** The storage that a file of PyTorch's within a pickle is. */
async function storageIn(bytes: Bytes): Promise<Storage> {
  const { value, storage, file, format } = await contentsOf(bytes);
  if (value instanceof PickleRecord && value.called === STORAGE) return storage(value);
  throw new CheckpointError(file, format, `expected a storage within the pickle, got ${kindOf(value)}`);
}

async function archived(bytes: Bytes): Promise<Contents> {
  const entries = await zipEntries(ZIP, bytes);
  const names = [...entries.keys()];
  const main = [...entries].find(([name]) => /^([^/]+\/)?data\.pkl$/.test(name));
  if (main === undefined) {
    const old = names.some((name) => /^([^/]+\/)?model\.json$/.test(name));
    throw new CheckpointError(
      bytes.file,
      ZIP,
      `expected an entry data.pkl, there is none${old ? "; a model.json is there, of TorchScript before 1.4" : ""}`,
      old ? { remedy: "load it with PyTorch 1.4 or later and save it again" } : {},
    );
  }
  const folder = main[0].slice(0, -"data.pkl".length);
  const scripted = names.some((name) => name.startsWith(`${folder}code/`));
  const format = scripted ? "TorchScript" : ZIP;
  const order = await entries.get(`${folder}byteorder`)?.part(0, "big".length).read();
  const bigEndian = new TextDecoder().decode(order) === "big";
  const read = async (pickle: Bytes, storages: string): Promise<Contents> =>
    contents(format, bytes.file, await unpickle(format, pickle, 0, outside), (id) => {
      const { dtype, key } = storageId(format, bytes.file, id);
      const stored = entries.get(`${folder}${storages}/${key}`);
      if (stored !== undefined) return { bytes: stored, dtype, bigEndian };
      throw new CheckpointError(
        bytes.file,
        format,
        `expected an entry ${storages}/${shortened(key)}, there is none`,
      );
    });
  const all = await read(main[1], "data");
  if (!scripted) return all;
  const constants = entries.get(`${folder}constants.pkl`);
  return {
    ...all,
    constants: constants && (await read(constants, "constants")),
    declared: declarations((path) => entries.get(`${folder}code/${path}`)),
  };
}

/** A magic number, a protocol, facts of the system, the pickle, the keys of its storages, and these one after the other. */
async function legacy(bytes: Bytes, start: number): Promise<Contents> {
  const fail = (problem: string, offset?: number) =>
    new CheckpointError(bytes.file, LEGACY, problem, { offset });
  const protocol = await unpickle(LEGACY, bytes, start);
  if (protocol.value !== LEGACY_PROTOCOL) {
    throw fail(`expected protocol ${LEGACY_PROTOCOL}, got ${kindOf(protocol.value)}`, start);
  }
  const system = await unpickle(LEGACY, bytes, protocol.end);
  const sizes = new Map<string, number>();
  const main = await unpickle(LEGACY, bytes, system.end, (id) => {
    if (Array.isArray(id) && id[0] === "storage") {
      const { key, dtype, count } = storageId(LEGACY, bytes.file, id);
      const size = itemBytes.get(dtype);
      if (size === undefined) throw fail(`expected the type of a storage, got ${shortened(dtype)}`);
      sizes.set(key, count * size);
    }
    return outside(id);
  });
  const keys = await unpickle(LEGACY, bytes, main.end);
  if (!Array.isArray(keys.value))
    throw fail(`expected a list of storages, got ${kindOf(keys.value)}`, main.end);
  const storages = new Map<string, Bytes>();
  let at = keys.end;
  for (const key of keys.value) {
    const size = typeof key === "string" ? sizes.get(key) : undefined;
    if (size === undefined) throw fail(`expected the key of a storage, got ${kindOf(key)}`, main.end);
    // before each stands its length
    const from = at + 8;
    if (from + size > bytes.byteLength) {
      throw fail(
        `expected ${size} bytes of storage ${key as string}, there are ${Math.max(0, bytes.byteLength - from)}`,
        from,
      );
    }
    storages.set(key as string, bytes.part(from, from + size));
    at = from + size;
  }
  return contents(LEGACY, bytes.file, main, (id) => {
    const { key, dtype, view } = storageId(LEGACY, bytes.file, id);
    const stored = storages.get(key);
    if (stored === undefined) throw fail(`expected storage ${shortened(key)} in the file, it is not there`);
    if (view === undefined) return { bytes: stored, dtype, bigEndian: false };
    const size = itemBytes.get(dtype) as number;
    const [from, to] = [view.first * size, (view.first + view.count) * size];
    if (!(from >= 0 && from <= to && to <= stored.byteLength)) {
      throw fail(
        `expected a view within the ${stored.byteLength} bytes of storage ${shortened(key)}, got ${from} to ${to}`,
      );
    }
    return { bytes: stored.part(from, to), dtype, bigEndian: false };
  });
}

/** Of types that are not read too: a storage of them has to be passed over. */
const itemBytes = new Map<string, number>([
  ...Object.entries(dtypes).map(([name, { bytes }]) => [name, bytes] as const),
  ...["quint8", "qint8", "quint4x2", "quint2x4"].map((name) => [name, 1] as const),
  ["qint32", 4],
]);

/** Types by the names of their storages' classes. */
const storageTypes = new Map([
  ["DoubleStorage", "float64"],
  ["FloatStorage", "float32"],
  ["HalfStorage", "float16"],
  ["BFloat16Storage", "bfloat16"],
  ["LongStorage", "int64"],
  ["IntStorage", "int32"],
  ["ShortStorage", "int16"],
  ["CharStorage", "int8"],
  ["ByteStorage", "uint8"],
  ["BoolStorage", "bool"],
  ["ComplexDoubleStorage", "complex128"],
  ["ComplexFloatStorage", "complex64"],
  ["QUInt8Storage", "quint8"],
  ["QInt8Storage", "qint8"],
  ["QInt32Storage", "qint32"],
  ["QUInt4x2Storage", "quint4x2"],
  ["QUInt2x4Storage", "quint2x4"],
  // bytes: the tensor has the type
  ["UntypedStorage", "uint8"],
  ["_UntypedStorage", "uint8"],
]);

/** `("storage", class, key, device, count)`, and in legacy files a view: `(key, first, count)` or None. */
function storageId(format: string, file: string, id: PickleValue) {
  const [kind, type, key, , count, view] = Array.isArray(id) ? id : [];
  const [, first, viewed] = Array.isArray(view) ? view : [];
  const named = typeof key === "string" || typeof key === "number";
  const placed = !Array.isArray(view) || (isIndex(first) && isIndex(viewed));
  if (kind !== "storage" || !(type instanceof PickleGlobal) || !named || !isIndex(count) || !placed) {
    throw new CheckpointError(file, format, `expected the id of a storage, got ${kindOf(id)}`);
  }
  return {
    key: String(key),
    dtype: storageTypes.get(type.name) ?? type.name,
    count,
    view: isIndex(first) && isIndex(viewed) ? { first, count: viewed } : undefined,
  };
}

function isIndex(value: PickleValue | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
