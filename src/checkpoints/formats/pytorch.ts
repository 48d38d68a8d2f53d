/**
 * PyTorch's files (torch/serialization.py, torch/_utils.py): ZIP archives with a pickle `data.pkl` and a storage each under `data/`; the
 * legacy files before 1.6, pickles in a row with the storages after them; TorchScript's archives, of which the parameters, buffers and
 * declared constants are read. Also plain pickles with tensors or NumPy's arrays in them, and fastai's `learn.save` and `learn.export`,
 * which are such files.
 *
 * A pickled object is read as data, of whatever class: a module by its `_modules`, `_parameters` and `_buffers`, a Learner by its
 * `model`. Of a dict with one model among other things (`state_dict`, `model`, ...) the names are those within the model; the optimizer's
 * tensors, and those of moving averages, are the checkpoint's `others`. Modules are walked under each of their paths, as `state_dict()`
 * does; of all else each object once, under its first path. Hugging Face's `pytorch_model.bin.index.json` opens all the files that it names, and
 * its `config.json` beside a file is read into `metadata.config`.
 *
 * Refused when they are read: quantized, sparse, nested and float8 tensors, and those without values (meta). Refused at once: the tar
 * archives of 2016, TorchScript before 1.4, torch.distributed.checkpoint's parts, and pickles without any array.
 */

import { MOST_AXES } from "../../shape.js";
import type { Format, Module } from "../checkpoint.js";
import {
  entriesOf,
  isBytes,
  kindOf,
  PickleGlobal,
  PickleRecord,
  type PickleValue,
  unpickle,
} from "../encodings/pickle.js";
import { firstEntryOf, isZip, zipEntries } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import { type Bytes, bytesInMemory } from "../source.js";
import { dtypes, madeTensor, rowMajor, shortened, storedTensor, type Tensor } from "../tensors.js";
import { sharded, withConfig } from "./hugging-face.js";

/** Entries of an archive, below its folder. */
const ARCHIVED =
  /^([^/]+\/)?(data\.pkl|constants\.pkl|model\.json|version|byteorder|\.(format_version|storage_alignment)|(\.data|data|constants|tensors|code)\/.+)$/;
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;

export const pytorch: Format = {
  name: "PyTorch",
  matches(head) {
    if (isZip(head)) return ARCHIVED.test(firstEntryOf(head) ?? "");
    return isPickle(head) || isTar(head);
  },
  async read(files) {
    const head = await files.bytes.read(0, Math.min(512, files.bytes.byteLength));
    if (isTar(head)) {
      throw new CheckpointError(files.name, "PyTorch (tar)", "the tar archives of 2016 are not read", {
        remedy: "load it with PyTorch and save it again with torch.save",
      });
    }
    if (files.name.endsWith(".distcp")) {
      throw new CheckpointError(
        files.name,
        "PyTorch (distributed)",
        "parts of tensors by torch.distributed.checkpoint are not read",
        { remedy: "join them by python -m torch.distributed.checkpoint.format_utils dcp_to_torch" },
      );
    }
    const contents = await contentsOf(files.bytes);
    const { tensors, others, modules, metadata } = await found(contents);
    if (contents.format === PLAIN && tensors.size + others.size === 0) {
      throw new CheckpointError(
        files.name,
        PLAIN,
        "expected tensors or arrays, there are none in the pickle",
        {
          remedy: "save the model's state_dict() with torch.save, or its arrays with numpy.savez",
        },
      );
    }
    const { format, packages } = contents;
    const known = format !== PLAIN || packages.has("torch");
    return {
      format,
      framework: packages.has("fastai") ? "fastai" : known ? "pytorch" : undefined,
      file: files.name,
      byteLength: files.bytes.byteLength,
      metadata: await withConfig(files, metadata),
      tensors,
      others,
      modules,
    };
  },
};

export const pytorchIndex = sharded({
  name: "PyTorch (sharded)",
  ending: ".bin",
  contentsOf: async (bytes) => found(await contentsOf(bytes)),
  frameworkOf: () => "pytorch",
});

/** A pickle of protocol 2 or later begins with its protocol; an earlier one with a container or a class, as text. */
function isPickle(head: Uint8Array): boolean {
  if (head[0] === 0x80) return head[1] >= 2 && head[1] <= 5 && OPCODES.includes(String.fromCharCode(head[2]));
  const text = String.fromCharCode(...head.subarray(0, 128));
  return /^(\((dp?\d*\n|lp?\d*\n|[ciS])|c[\w.]+\n[\w.]+\n[(qp)]|[\]}]q.|L\d+L\n\.)/s.test(text);
}

/** With which a pickle may go on. */
const OPCODES = "(.IJKLMNSTUVXFG]}ctld)\x88\x89\x8a\x8b\x8c\x8f\x95BC\x8e\x96";

/** One of PyTorch's, by the first file in it. */
function isTar(head: Uint8Array): boolean {
  const text = String.fromCharCode(...head.subarray(0, 512));
  return text.slice(257, 262) === "ustar" && /^(\.\/)?(sys_info|pickle|tensors|storages)\0/.test(text);
}

/** Where tensors lie. */
interface Storage {
  readonly bytes: Bytes;
  readonly dtype: string;
  readonly bigEndian: boolean;
}

/** A file's pickle, and what lies beside it. */
interface Contents {
  readonly format: string;
  readonly file: string;
  readonly value: PickleValue;
  /** Python's packages that the pickle names. */
  readonly packages: ReadonlySet<string>;
  /** @throws CheckpointError for an id of none */
  storage(id: PickleValue): Storage;
  /** TorchScript's: the tensors that its code refers to, and the code's files. */
  readonly constants?: Contents;
  code?(path: string): Bytes | undefined;
}

const PLAIN = "pickle";
const LEGACY = "PyTorch (legacy)";

/** What stands for a storage in the pickle. */
const STORAGE = new PickleGlobal("", "storage");

/** Persistent ids: of a storage, or of a module's class, which then comes with its source. */
function outside(id: PickleValue): PickleValue {
  return Array.isArray(id) && id[0] === "module" && id[1] instanceof PickleGlobal
    ? id[1]
    : new PickleRecord(STORAGE, [id]);
}

async function contentsOf(bytes: Bytes): Promise<Contents> {
  if (isZip(await bytes.read(0, Math.min(4, bytes.byteLength)))) return archived(bytes);
  const first = await unpickle(PLAIN, bytes, 0, outside);
  if (first.value === LEGACY_MAGIC) return legacy(bytes, first.end);
  return {
    format: PLAIN,
    file: bytes.file,
    value: first.value,
    packages: packagesOf(first.modules),
    storage: (id) => {
      throw new CheckpointError(
        bytes.file,
        PLAIN,
        `expected no storage outside of the pickle, got ${kindOf(id)}`,
      );
    },
  };
}

function packagesOf(modules: Iterable<string>): Set<string> {
  return new Set(Array.from(modules, (module) => module.split(".", 1)[0]));
}

async function archived(bytes: Bytes): Promise<Contents> {
  const entries = await zipEntries("PyTorch (zip)", bytes);
  const pickle = [...entries.keys()].find((name) => /^([^/]+\/)?data\.pkl$/.test(name));
  if (pickle === undefined) {
    const old = [...entries.keys()].some((name) => /^([^/]+\/)?model\.json$/.test(name));
    throw new CheckpointError(
      bytes.file,
      "PyTorch (zip)",
      `expected an entry data.pkl, there is none${old ? "; a model.json is there, of TorchScript before 1.4" : ""}`,
      old ? { remedy: "load it with PyTorch 1.4 or later and save it again" } : {},
    );
  }
  const folder = pickle.slice(0, -"data.pkl".length);
  const code = [...entries.keys()].some((name) => name.startsWith(`${folder}code/`));
  const format = code ? "TorchScript" : "PyTorch (zip)";
  const order = entries.get(`${folder}byteorder`)?.part(0, "big".length).read();
  const bigEndian = new TextDecoder().decode(await order) === "big";
  const read = async (name: string, storages: string): Promise<Contents | undefined> => {
    const entry = entries.get(`${folder}${name}`);
    if (entry === undefined) return undefined;
    const { value, modules } = await unpickle(format, entry, 0, outside);
    return {
      format,
      file: bytes.file,
      value,
      packages: packagesOf(modules),
      storage(id) {
        const { dtype, key } = storageId(format, bytes.file, id);
        const stored = entries.get(`${folder}${storages}/${key}`);
        if (stored !== undefined) return { bytes: stored, dtype, bigEndian };
        throw new CheckpointError(
          bytes.file,
          format,
          `expected an entry ${storages}/${shortened(key)}, there is none`,
        );
      },
    };
  };
  const contents = (await read("data.pkl", "data")) as Contents;
  if (!code) return contents;
  return {
    ...contents,
    constants: await read("constants.pkl", "constants"),
    code: (path) => entries.get(`${folder}code/${path}`),
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
  const ids: PickleValue[] = [];
  const main = await unpickle(LEGACY, bytes, system.end, (id) => {
    ids.push(id);
    return outside(id);
  });
  const keys = await unpickle(LEGACY, bytes, main.end);
  if (!Array.isArray(keys.value))
    throw fail(`expected a list of storages, got ${kindOf(keys.value)}`, main.end);
  const sizes = new Map<string, number>();
  for (const id of ids) {
    if (!Array.isArray(id) || id[0] !== "storage") continue;
    const { key, dtype, count } = storageId(LEGACY, bytes.file, id);
    const size = itemBytes.get(dtype);
    if (size === undefined) throw fail(`expected the type of a storage, got ${shortened(dtype)}`);
    sizes.set(key, count * size);
  }
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
  return {
    format: LEGACY,
    file: bytes.file,
    value: main.value,
    packages: packagesOf(main.modules),
    storage(id) {
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
    },
  };
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
  const named = typeof key === "string" || typeof key === "number" ? String(key) : undefined;
  const counted = Number.isSafeInteger(count) && (count as number) >= 0;
  if (kind !== "storage" || !(type instanceof PickleGlobal) || named === undefined || !counted) {
    throw new CheckpointError(file, format, `expected the id of a storage, got ${kindOf(id)}`);
  }
  const [, first, length] = Array.isArray(view) ? view : [];
  const numbered = typeof first === "number" && typeof length === "number";
  return {
    key: named,
    dtype: storageTypes.get(type.name) ?? type.name,
    count: count as number,
    view: numbered ? { first, count: length } : undefined,
  };
}

/** What the walk of a pickle gives. */
interface Found {
  readonly tensors: Map<string, Tensor>;
  readonly others: Map<string, Tensor>;
  readonly modules: Module[];
  readonly metadata: Record<string, unknown>;
}

/** Keys under which a checkpoint has its model. */
const MODEL =
  /^(model|net|network|module|weights|params|state_dict|(model|net|network)_(state|state_dict|weights))$/i;
const OPTIMIZER = /^(opt|optim)(s|_|$)|optimi[sz]er/i;
const LOSS = /(^|_)(loss|criterion|metric)/i;
const AVERAGE = /(^|_)(ema|swa)(_|$)|shadow|moving_?average/i;

async function found(contents: Contents): Promise<Found> {
  const tensors = new Map<string, Tensor>();
  const others = new Map<string, Tensor>();
  const walk = new Walk(contents);
  // what is beside the model, whose modules are none of it
  const beside = new Walk(contents);
  const { value } = contents;
  const result = { tensors, others, modules: walk.modules };
  if (contents.constants)
    await new Walk(contents.constants).all(contents.constants.value, "CONSTANTS", others);
  const learned =
    value instanceof PickleRecord && /^fastai\b/.test(value.module) && value.attributes.get("model");
  if (learned && isModule(learned)) {
    await walk.module(learned, "", tensors);
    return { ...result, metadata: walk.config(value as PickleRecord) };
  }
  const list = listOf(value);
  const several = list === undefined ? entriesOf(value) : new Map(numbered(list));
  const entries = isModule(value) || isTensor(value) ? undefined : several;
  if (entries === undefined) {
    await walk.all(value, isTensor(value) ? "tensor" : "", tensors);
    return { ...result, metadata: {} };
  }
  const models = [...entries]
    .filter(([, one]) => isModel(one))
    .map(([key, one]) => [keyText(key), one] as const);
  const main = models.filter(([name]) => MODEL.test(name));
  const model = main.length === 1 ? main[0][1] : undefined;
  const averaged = models.some(([name]) => !AVERAGE.test(name));
  const described: [string, unknown][] = [];
  const details = versionsOf(model ?? value);
  if (details !== undefined) described.push(["_metadata", await walk.plain(details)]);
  for (const [key, one] of entries) {
    const name = keyText(key);
    if (one === model) {
      await walk.all(one, "", tensors);
      continue;
    }
    const nested = !isTensor(one);
    const aside =
      (nested && (OPTIMIZER.test(name) || entriesOf(one)?.has("param_groups"))) ||
      (nested && averaged && AVERAGE.test(name)) ||
      (model !== undefined && (!isModel(one) || LOSS.test(name)));
    if (aside) await beside.all(one, name, others);
    else await walk.all(one, name, tensors);
    const plain = isTensor(one) || isModule(one) ? undefined : await walk.plain(one);
    if (plain !== undefined) described.push([name, plain]);
  }
  return { ...result, metadata: Object.fromEntries(described) };
}

/** A module, or a state dict: among its first values is a tensor. */
function isModel(value: PickleValue): boolean {
  if (isModule(value)) return true;
  let looked = 0;
  for (const one of entriesOf(value)?.values() ?? []) {
    if (isTensor(one)) return true;
    if (++looked === MOST_LOOKED) break;
  }
  return false;
}

/** Versions of a state dict's modules, by their paths. */
function versionsOf(value: PickleValue): PickleValue | undefined {
  return value instanceof PickleRecord ? value.attributes.get("_metadata") : undefined;
}

/** A pickled `torch.nn.Module`, or a module of TorchScript. */
function isModule(value: PickleValue | undefined): value is PickleRecord {
  if (!(value instanceof PickleRecord)) return false;
  if (isScripted(value)) return true;
  const { attributes } = value;
  return (
    entriesOf(attributes.get("_modules")) !== undefined &&
    entriesOf(attributes.get("_parameters")) !== undefined
  );
}

function isScripted({ module }: PickleRecord): boolean {
  return /^__torch__\b/.test(module) && !module.startsWith("__torch__.torch.classes");
}

/** What makes a tensor of a storage, or of another tensor. */
const REBUILT = /^torch\._(utils|tensor)\._rebuild_/;
/** Those that are their first argument. */
const WRAPPERS = new Set([
  "torch._utils._rebuild_parameter",
  "torch._utils._rebuild_parameter_with_state",
  "torch._utils._rebuild_device_tensor_from_cpu_tensor",
  "torch._utils._rebuild_device_tensor_from_numpy",
  "torch.nn.parameter.Parameter",
  "torch.nn.parameter.Buffer",
  "torch.autograd.variable.Variable",
]);

function isTensor(value: PickleValue): value is PickleRecord {
  if (!(value instanceof PickleRecord)) return false;
  if (REBUILT.test(value.path)) return true;
  if (WRAPPERS.has(value.path)) return value.args[0] instanceof PickleRecord;
  return arrayIn(value) !== undefined;
}

/** Values that tell a state dict. */
const MOST_LOOKED = 32;
/** How often a tensor may be wrapped. */
const MOST_WRAPPED = 8;
/** Characters of all names, and values of all options together: modules that stand in many places count in each. */
const MOST_NAMED = 2 ** 25;
/** A tensor counts as so many. */
const TENSOR = 64;
/** What metadata holds at the most, and how deep; what is beyond is left out. */
const MOST_DESCRIBED = 100_000;
const MOST_DEPTH = 8;
/** Of a file of TorchScript's code, and of a constant in it. */
const MOST_CODE = 2 ** 24;
const MOST_CONSTANT = 1000;

/** A walk through a pickle: without recursion, and bounded where references are shared. */
class Walk {
  readonly modules: Module[] = [];
  private readonly seen = new Set<PickleValue>();
  private readonly nested = new Map<Bytes, Promise<Storage>>();
  private readonly constants = new Map<string, Promise<Map<string, Record<string, unknown>>>>();
  private named = 0;
  private described = 0;

  constructor(private readonly contents: Contents) {}

  private fail(problem: string, remedy?: string): CheckpointError {
    return new CheckpointError(this.contents.file, this.contents.format, problem, { remedy });
  }

  private spend(count: number): void {
    this.named += count;
    if (this.named > MOST_NAMED) {
      throw this.fail(`expected names and options of at most ${MOST_NAMED} characters in all, got more`);
    }
  }

  /** All tensors and modules that a value holds, in its order. */
  async all(root: PickleValue, path: string, into: Map<string, Tensor>): Promise<void> {
    const waiting: [PickleValue, string][] = [[root, path]];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [value, name] = next;
      if (isTensor(value)) into.set(name, await this.tensor(value, name));
      else if (isModule(value)) await this.module(value, name, into);
      else if (typeof value === "object" && value !== null && !this.seen.has(value)) {
        this.seen.add(value);
        const parts = [...partsOf(value)];
        for (let i = parts.length - 1; i >= 0; i--) {
          const [key, part] = parts[i];
          if (typeof part === "object") waiting.push([part, joined(name, key)]);
        }
      }
    }
  }

  /** A module and those within it, parents first. */
  async module(root: PickleRecord, path: string, into: Map<string, Tensor>): Promise<void> {
    const within = new Set<PickleRecord>();
    const waiting: [PickleRecord, string, "enter" | "leave"][] = [[root, path, "enter"]];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [module, name, step] = next;
      if (step === "leave") {
        within.delete(module);
        continue;
      }
      // a module that is within itself
      if (within.has(module)) continue;
      within.add(module);
      waiting.push([module, name, "leave"]);
      this.spend(name.length + TENSOR);
      const { attributes } = module;
      const parts = isScripted(module)
        ? [...attributes]
        : ["_parameters", "_buffers", "_modules"].flatMap((kind) => [
            ...(entriesOf(attributes.get(kind)) ?? []),
          ]);
      this.spend(parts.length + attributes.size);
      const tensors: [string, Tensor][] = [];
      const children: [PickleRecord, string, "enter"][] = [];
      for (const [key, value] of parts) {
        const local = keyText(key);
        if (isModule(value)) children.push([value, joined(name, local), "enter"]);
        else if (isTensor(value)) {
          const tensor = await this.tensor(value, joined(name, local));
          into.set(tensor.name, tensor);
          tensors.push([local, tensor]);
        }
      }
      // a network of one layer is called by its class
      if (name !== "" || tensors.length > 0) {
        const config = { ...(await this.declared(module)), ...this.config(module) };
        this.modules.push({
          name: name || module.name,
          type: module.name,
          config,
          tensors: Object.fromEntries(tensors),
        });
      }
      for (let i = children.length - 1; i >= 0; i--) waiting.push(children[i]);
    }
  }

  /** Plain attributes: numbers, booleans, strings, null, and lists of these. */
  config(record: PickleRecord): Record<string, unknown> {
    const plain: [string, unknown][] = [];
    for (const [key, value] of record.attributes) {
      if (typeof key !== "string" || key.startsWith("_")) continue;
      const list = listOf(value);
      this.spend(list?.length ?? 0);
      if (isScalar(value)) plain.push([key, scalar(value)]);
      else if (list?.every(isScalar)) plain.push([key, list.map(scalar)]);
    }
    return Object.fromEntries(plain);
  }

  /** Of a scripted module: the constants that its class declares, by which `script` keeps a module's options. */
  private async declared({ module, name }: PickleRecord): Promise<Record<string, unknown>> {
    const { code } = this.contents;
    if (code === undefined) return {};
    const path = `${module.replaceAll(".", "/")}.py`;
    let classes = this.constants.get(path);
    if (classes === undefined) {
      const bytes = code(path);
      const text = Promise.resolve(bytes && bytes.byteLength <= MOST_CODE ? bytes.read() : undefined);
      classes = text.then((read) => declaredIn(new TextDecoder().decode(read)));
      this.constants.set(path, classes);
    }
    return (await classes).get(name) ?? {};
  }

  /** What of a value can be said in JSON; undefined for the rest. */
  async plain(value: PickleValue, depth = 0): Promise<unknown> {
    this.described++;
    if (this.described > MOST_DESCRIBED || depth > MOST_DEPTH) return undefined;
    if (isScalar(value)) return scalar(value);
    if (value instanceof PickleGlobal) return value.path;
    if (isBytes(value)) return undefined;
    if (value instanceof PickleRecord) {
      const record: PickleRecord = value;
      if (isTensor(value) || isModule(value)) return undefined;
      const number = await numberIn(record);
      if (number !== undefined) return number;
      const text = textOf(record);
      // texts of several parts are copies
      this.described += (text ?? "").length >> 4;
      if (text !== undefined) return text;
    }
    const list = listOf(value) ?? (value instanceof Set ? value : undefined);
    const parts: [string, unknown][] = [];
    let count = 0;
    for (const [key, part] of list === undefined ? partsOf(value) : numbered(list)) {
      if (this.described > MOST_DESCRIBED) break;
      count++;
      const plain = await this.plain(part, depth + 1);
      if (plain !== undefined) parts.push([key, plain]);
    }
    if (count > 0 && parts.length === 0) return undefined;
    return list === undefined ? Object.fromEntries(parts) : parts.map(([, plain]) => plain);
  }

  private async storage(value: PickleValue): Promise<Storage> {
    if (value instanceof PickleRecord) {
      if (value.called === STORAGE) return this.contents.storage(value.args[0]);
      const [bytes] = value.args;
      if (value.path === "torch.storage._load_from_bytes" && isBytes(bytes)) {
        const known = this.nested.get(bytes) ?? storageIn(bytes);
        this.nested.set(bytes, known);
        return known;
      }
    }
    throw this.fail(`expected a storage, got ${kindOf(value)}`);
  }

  /** The tensor that a record makes. */
  private async tensor(record: PickleRecord, name: string): Promise<Tensor> {
    this.spend(name.length + TENSOR);
    const { format, file } = this.contents;
    const fail = (problem: string, remedy?: string) =>
      this.fail(`tensor "${shortened(name)}": ${problem}`, remedy);
    const lengths = (value: PickleValue | undefined): number[] => {
      const list = lengthsIn(value);
      if (list !== undefined) return list;
      throw fail(`expected a tuple of at most ${MOST_AXES} integers, got ${kindOf(value ?? null)}`);
    };
    const listed = (shape: number[], dtype: string, problem: string): Tensor =>
      madeTensor({
        name,
        shape,
        dtype,
        at: { file, byteLength: 0 },
        read: () =>
          Promise.reject(fail(problem, "convert it to a dense float32 tensor where it was written")),
      });
    let { path, args } = record;
    let current = record;
    for (let wrapped = 0; ; wrapped++) {
      if (wrapped > MOST_WRAPPED) throw fail(`expected a tensor in at most ${MOST_WRAPPED} wrappers`);
      if (WRAPPERS.has(path) && args[0] instanceof PickleRecord) current = args[0];
      else if (/_rebuild_from_type(_v2)?$/.test(path) && Array.isArray(args[2])) {
        current = new PickleRecord(args[0], args[2]);
      } else break;
      ({ path, args } = current);
    }
    const array = arrayIn(current);
    if (array !== undefined) {
      return storedTensor(format, { ...array, name, bytes: bytesFrom(file, array.bytes) });
    }
    const made = path.slice(path.lastIndexOf("_rebuild_"));
    switch (made) {
      case "_rebuild_tensor":
      case "_rebuild_tensor_v2":
      case "_rebuild_tensor_v3":
      case "_rebuild_qtensor": {
        const { bytes, dtype, bigEndian } = await this.storage(args[0] ?? null);
        const [, first] = args;
        if (typeof first !== "number") throw fail(`expected an offset, got ${kindOf(first ?? null)}`);
        return storedTensor(format, {
          name,
          shape: lengths(args[2]),
          strides: lengths(args[3]),
          first,
          dtype: made === "_rebuild_tensor_v3" && args[6] instanceof PickleGlobal ? args[6].name : dtype,
          bytes,
          bigEndian,
        });
      }
      case "_rebuild_meta_tensor_no_storage": {
        const dtype = args[0] instanceof PickleGlobal ? args[0].name : "meta";
        return listed(lengths(args[1]), dtype, "it was saved on the meta device, without values");
      }
      case "_rebuild_sparse_tensor":
      case "_rebuild_sparse_csr_tensor": {
        const [layout, parts] = args;
        const named = layout instanceof PickleRecord ? layout.args[0] : undefined;
        const dtype = typeof named === "string" ? shortened(named.replace(/^torch\./, "")) : "sparse";
        const shape = (Array.isArray(parts) ? parts.slice(0, 5) : [])
          .map(lengthsIn)
          .find((one) => one !== undefined);
        return listed(shape ?? [], dtype, `values of type ${dtype} are not read`);
      }
      default:
        return listed(
          [],
          shortened(made),
          `tensors of ${shortened(path || kindOf(current.called))} are not read`,
        );
    }
  }
}

/** The storage that a torch file within a pickle is. */
async function storageIn(bytes: Bytes): Promise<Storage> {
  const { value, storage, file, format } = await contentsOf(bytes);
  if (value instanceof PickleRecord && value.called === STORAGE) return storage(value.args[0]);
  throw new CheckpointError(file, format, `expected a storage within the pickle, got ${kindOf(value)}`);
}

function joined(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

/** A key of a dict in a path. */
function keyText(key: PickleValue): string {
  if (typeof key === "string") return key;
  if (key instanceof PickleGlobal) return key.path;
  if (Array.isArray(key)) return key.slice(0, 8).filter(isScalar).map(String).join(",");
  return isScalar(key) ? String(key) : kindOf(key);
}

function* numbered(list: Iterable<PickleValue>): Iterable<[string, PickleValue]> {
  let i = 0;
  for (const one of list) yield [String(i++), one];
}

/** What a container or an object holds: by its keys, attributes or indices. */
function* partsOf(value: PickleValue): Iterable<[string, PickleValue]> {
  if (Array.isArray(value) || value instanceof Set) yield* numbered(value);
  else if (value instanceof Map) for (const [key, one] of value) yield [keyText(key), one];
  else if (value instanceof PickleRecord) {
    yield* partsOf(value.attributes);
    if (value.entries) yield* partsOf(value.entries);
    // what the class of a dict was called with is in its entries
    else yield* numbered(value.args);
    if (value.items) yield* numbered(value.items);
  }
}

/** Paths and devices, and objects of which no more is known than the call that made them, as text. */
function textOf(record: PickleRecord): string | undefined {
  const { args, module, name, path, attributes, entries, items } = record;
  const texts = args
    .slice(0, 32)
    .filter(isScalar)
    .map((one) => String(one).slice(0, 256));
  if (module.startsWith("pathlib")) {
    const separator = name.includes("Windows") ? "\\" : "/";
    return texts.reduce(
      (path, part) => (path === "" || path.endsWith(separator) ? path : path + separator) + part,
      "",
    );
  }
  if (path === "torch.device") return texts.join(":");
  const bare =
    attributes.size === 0 && entries === undefined && items === undefined && listOf(record) === undefined;
  return bare ? `${path}(${texts.join(", ")})` : undefined;
}

type Scalar = null | boolean | number | bigint | string;

function isScalar(value: PickleValue): value is Scalar {
  return value === null || typeof value !== "object";
}

const scalar = (value: Scalar) => (typeof value === "bigint" ? Number(value) : value);

/** A list or tuple, or a `torch.Size`. */
function listOf(value: PickleValue): PickleValue[] | undefined {
  if (Array.isArray(value)) return value;
  const sized = value instanceof PickleRecord && value.path === "torch.Size" && value.args[0];
  return Array.isArray(sized) ? sized : undefined;
}

/** The lengths or strides of a tensor. */
function lengthsIn(value: PickleValue | undefined): number[] | undefined {
  const list = listOf(value ?? null);
  if (list === undefined || list.length > MOST_AXES) return undefined;
  return list.every((one) => typeof one === "number") ? list : undefined;
}

const NUMPY = /^numpy\._?core\./;

/** A NumPy array of numbers. */
function arrayIn(record: PickleRecord) {
  if (!NUMPY.test(record.module)) return undefined;
  const { name, args, state } = record;
  const [shape, type, fortran, bytes] =
    name === "_reconstruct" && Array.isArray(state)
      ? state.slice(1)
      : name === "_frombuffer"
        ? [args[2], args[1], args[3] === "F", args[0]]
        : [];
  const known = typeIn(type);
  const lengths = lengthsIn(shape);
  if (known === undefined || lengths === undefined || !(isBytes(bytes) || typeof bytes === "string"))
    return undefined;
  const strides = fortran === true ? rowMajor(lengths.slice().reverse()).reverse() : rowMajor(lengths);
  return { shape: lengths, strides, ...known, bytes };
}

const KINDS = new Map([
  ["f", "float"],
  ["i", "int"],
  ["u", "uint"],
  ["c", "complex"],
]);

/** NumPy's type of numbers: `dtype("f4")`, whose state has the order of its bytes. */
function typeIn(value: PickleValue | undefined): { dtype: string; bigEndian: boolean } | undefined {
  if (!(value instanceof PickleRecord) || value.path !== "numpy.dtype") return undefined;
  const [text] = value.args;
  const [, kind = "", bytes = ""] = (typeof text === "string" && /^[<>|=]?([fiucb])(\d+)$/.exec(text)) || [];
  const dtype = kind === "b" ? "bool" : `${KINDS.get(kind)}${8 * Number(bytes)}`;
  const bigEndian = Array.isArray(value.state) && value.state[1] === ">";
  return Object.hasOwn(dtypes, dtype) ? { dtype, bigEndian } : undefined;
}

/** Python 2's strings are bytes. */
function bytesFrom(file: string, value: Bytes | string): Bytes {
  return typeof value === "string" ? bytesInMemory(file, new TextEncoder().encode(value)) : value;
}

/** A NumPy scalar as a number; one of bool as a boolean. */
async function numberIn({ module, name, args }: PickleRecord): Promise<number | boolean | undefined> {
  const [type, value] = args;
  const known = NUMPY.test(module) && name === "scalar" ? typeIn(type) : undefined;
  if (known === undefined || !(isBytes(value) || typeof value === "string")) return undefined;
  const bytes = bytesFrom("", value);
  const { bytes: size, decode } = dtypes[known.dtype];
  if (bytes.byteLength !== size || known.dtype.startsWith("complex")) return undefined;
  const read = await bytes.read();
  const number = Number(decode(known.bigEndian ? read.reverse() : read)[0]);
  return known.dtype === "bool" ? number !== 0 : number;
}

/** Options by their place in a call of an operator; a traced module has them there alone. */
const OPERATORS = new Map<string, Readonly<Record<string, number>>>([
  ["batch_norm", { momentum: 6, eps: 7 }],
  ["instance_norm", { momentum: 6, eps: 7 }],
  ["group_norm", { num_groups: 1, eps: 4 }],
  ["layer_norm", { normalized_shape: 1, eps: 4 }],
  ["rms_norm", { normalized_shape: 1, eps: 3 }],
]);

/**
 * Options of the classes of a file of TorchScript. A scripted one declares its constants, `  eps : Final[float] = 1.0e-05`; a traced
 * one calls `torch.group_norm(input, 2, weight, bias, 1.0e-05)`.
 */
function declaredIn(code: string): Map<string, Record<string, unknown>> {
  const classes = new Map<string, [string, unknown][]>();
  let current: [string, unknown][] = [];
  const declare = (option: string, text: string): void => {
    const value = constant(text);
    if (value !== undefined) current.push([option, value]);
  };
  for (const line of code.split("\n")) {
    const [, name] = /^class (\w+)\(/.exec(line) ?? [];
    if (name !== undefined) {
      current = [];
      classes.set(name, current);
    }
    const [, option, text] = /^ {2}([A-Za-z]\w*) : Final\[.*\] = (.*)$/.exec(line) ?? [];
    if (option !== undefined) declare(option, text);
    const [, operator, given] = /^ {4}(?:\w+ =|return) torch\.(\w+)\(([^()]{0,1000})\)$/.exec(line) ?? [];
    const args = given?.split(/, (?![^[]*\])/) ?? [];
    for (const [named, place] of Object.entries(OPERATORS.get(operator) ?? {})) {
      // in evaluation, a momentum of None is traced as 0
      if (place < args.length && !(named === "momentum" && Number(args[place]) === 0))
        declare(named, args[place]);
    }
  }
  return new Map(Array.from(classes, ([name, options]) => [name, Object.fromEntries(options)]));
}

/** A number, boolean, string, None, or a tuple or list of them; undefined for anything else. */
function constant(text: string): unknown {
  if (text.length > MOST_CONSTANT) return undefined;
  const json = text
    .replace(/^\((.*?),?\s*\)$/, "[$1]")
    .replace(/\b(True|False|None)\b/g, (word) => (word === "None" ? "null" : word.toLowerCase()))
    .replace(/(\d)\.(?!\d)/g, "$1.0");
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
