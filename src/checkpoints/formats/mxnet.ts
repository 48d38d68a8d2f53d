/**
 * MXNet's and Gluon's parameters (`.params`, `mx.nd.save`) with the symbol JSON beside them. The list's layout is that of MXNet's
 * src/ndarray/ndarray.cc (NDArray::Save, Load and LegacyLoad), in four versions of an array:
 *
 *     V0  no magic: uint32 axes, uint32 lengths            V2  0xf993fac9: storage type, int32 axes, int64 lengths
 *     V1  0xf993fac8: uint32 axes, int64 lengths           V3  0xf993faca: as V2; no axes are a scalar there, −1 an unknown shape
 *
 * Sparse arrays (row_sparse, csr) and those without a shape are listed and refused when they are read.
 *
 * Operators of the symbol are the modules, in the graph's order: `config` has their attributes as the strings that they are in the file,
 * whether it calls them "attrs" (from 1.0), "attr" (0.9 to 0.12) or "param" (before). What it leaves out is MXNet's default.
 */
import { MOST_AXES } from "../../shape.js";
import type { Checkpoint, Format, Module } from "../checkpoint.js";
import { viewOf } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import type { Bytes, Files } from "../source.js";
import { dtypes, storedTensor, type Tensor } from "../tensors.js";

const FORMAT = "MXNet";
const LIST = 0x112;
const V1 = 0xf993fac8;
const V3 = 0xf993faca;
/** By mshadow's type flag. */
const TYPES = "float32,float64,float16,uint8,int32,int8,int64,bool,int16,uint16,uint32,uint64,bfloat16".split(
  ",",
);
/** By storage type; that many arrays of indices belong to it. */
const STORAGES = [
  { name: "dense", indices: 0 },
  { name: "row_sparse", indices: 1 },
  { name: "csr", indices: 2 },
];

export const mxnet: Format = {
  name: FORMAT,
  matches(head) {
    return isList(head) || isSymbol(head);
  },
  async read(files) {
    const { bytes, name } = files;
    if (!isList(await bytes.read(0, Math.min(16, bytes.byteLength)))) return readSymbolFirst(files);
    const tensors = await tensorsOf(bytes);
    return checkpointOf(files, name, bytes, tensors, await symbolBeside(files, tensors));
  },
};

function isList(head: Uint8Array): boolean {
  return head.length >= 16 && viewOf(head).getBigUint64(0, true) === BigInt(LIST);
}

/** A graph of nodes that have an `op`; in MXNet's own order of keys, or sorted. */
function isSymbol(head: Uint8Array): boolean {
  const text = new TextDecoder().decode(head);
  return /^\s*\{\s*"(nodes|arg_nodes|attrs|heads)"\s*:/.test(text) && /"(op|arg_nodes)"\s*:/.test(text);
}

interface Parameters {
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Whether names have "arg:" or "aux:" in the file; they are without it here. */
  readonly isPrefixed: boolean;
  /** Names of those that had "aux:": states that are no arguments, such as running statistics. */
  readonly auxiliary: readonly string[];
}

async function tensorsOf(list: Bytes): Promise<Parameters> {
  const tensors = new Map<string, Tensor>();
  const auxiliary: string[] = [];
  let isPrefixed = false;
  for (const { name: whole, ...array } of await arraysOf(list)) {
    const [, kind, bare] = /^(arg|aux):(.*)$/s.exec(whole) ?? [];
    // the prefix stays where a name would be there twice
    const name = bare === undefined || tensors.has(bare) ? whole : bare;
    if (kind === "aux") auxiliary.push(name);
    isPrefixed ||= kind !== undefined;
    tensors.set(name, storedTensor(FORMAT, { ...array, name }));
  }
  return { tensors, isPrefixed, auxiliary };
}

/** @param file name of the parameters, whose bytes are `list` */
function checkpointOf(
  files: Files,
  file: string,
  list: Bytes,
  { tensors, isPrefixed, auxiliary }: Parameters,
  symbol: Graph | undefined,
): Checkpoint {
  const isGluon = [...tensors.keys()].some((name) => GLUON_NAME.test(name));
  const { epoch } = partsOf(file);
  return {
    format: FORMAT,
    framework: symbol || isPrefixed ? "mxnet" : isGluon ? "gluon" : undefined,
    version: symbol?.version,
    file: files.name,
    byteLength: list.byteLength + (symbol?.byteLength ?? 0),
    metadata: {
      ...(epoch === undefined ? {} : { epoch }),
      ...(symbol ? { parameters: lastOf(file), symbol: lastOf(symbol.file) } : {}),
      ...(auxiliary.length > 0 ? { auxiliary } : {}),
    },
    tensors,
    others: new Map(),
    modules: symbol ? modulesOf(symbol.nodes, tensors) : [],
  };
}

/** Names of `save_parameters` ("features.1.running_mean") and of `ParameterDict.save` ("batchnorm0_gamma"). */
const GLUON_NAME = /(^|[._])(weight|bias|gamma|beta|alpha|running_mean|running_var)$/;

function lastOf(path: string): string {
  return path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
}

/** Of "folder/net-0012.params" the prefix "net" and the epoch 12, of "net.params" no epoch. */
function partsOf(parameters: string): { prefix: string; epoch?: number } {
  const name = lastOf(parameters).replace(/\.[^.]*$/, "");
  const [, prefix = name, epoch] = /^(.*)-(\d{4,})$/s.exec(name) ?? [];
  return epoch === undefined ? { prefix } : { prefix, epoch: Number(epoch) };
}

/** Where the symbol was opened: with the parameters of the last epoch beside it. */
async function readSymbolFirst(files: Files): Promise<Checkpoint> {
  const symbol = await symbolOf(files.name, files.bytes);
  const prefix = lastOf(files.name).replace(/(-symbol)?\.json$/, "");
  const found = (await files.list()).filter(
    (name) => name.endsWith(".params") && partsOf(name).prefix === prefix,
  );
  const epochOf = (name: string) => partsOf(name).epoch ?? -1;
  const latest = found.sort((a, b) => epochOf(b) - epochOf(a))[0];
  const list = latest === undefined ? undefined : await files.beside(latest);
  if (list === undefined) {
    throw new CheckpointError(
      files.name,
      FORMAT,
      `expected the parameters of this symbol beside it, such as ${prefix}-0000.params, there are none`,
      { remedy: "put them into its folder, or open both files as a list" },
    );
  }
  return checkpointOf(files, latest, list, await tensorsOf(list), symbol);
}

/** An array of the list: what `storedTensor` takes. */
interface Stored {
  name: string;
  shape: number[];
  dtype: string;
  bytes: Bytes;
}

/** All arrays of a list; their headers are read, their values passed over. */
async function arraysOf(list: Bytes): Promise<Stored[]> {
  const { byteLength, file } = list;
  let at = 16;
  const fail = (problem: string, offset = at, remedy?: string) =>
    new CheckpointError(file, FORMAT, problem, { offset, remedy });
  const next = async (count: number, what: string): Promise<DataView> => {
    if (count > byteLength - at) {
      throw fail(`expected ${count} bytes of ${what}, the file ends after ${byteLength - at}`);
    }
    at += count;
    return viewOf(await list.read(at - count, at));
  };
  const int32 = async (what: string) => (await next(4, what)).getInt32(0, true);
  const uint32 = async (what: string) => (await next(4, what)).getUint32(0, true);
  /** @param least bytes of each of the things counted */
  const counted = async (what: string, least: number): Promise<number> => {
    const count = Number((await next(8, `the number of ${what}`)).getBigUint64(0, true));
    if (count * least > byteLength - at) {
      throw fail(
        `expected ${count} ${what}, the ${byteLength - at} bytes that follow cannot hold them`,
        at - 8,
      );
    }
    return count;
  };
  const lengths = async (axes: number, bytes: 4 | 8): Promise<number[]> => {
    if (axes < 0 || axes > MOST_AXES) {
      throw fail(`expected an array of at most ${MOST_AXES} axes, got ${axes}`, at - 4);
    }
    const view = await next(axes * bytes, `${axes} lengths`);
    return Array.from({ length: axes }, (_, axis) =>
      bytes === 4 ? view.getUint32(4 * axis, true) : Number(view.getBigInt64(8 * axis, true)),
    );
  };
  const typed = async (): Promise<string> => {
    const flag = await int32("a type");
    if (TYPES[flag] !== undefined) return TYPES[flag];
    throw fail(`expected a type from 0 to ${TYPES.length - 1}, got ${flag}`, at - 4);
  };
  /** Passes over the values of a shape. */
  const values = (shape: readonly number[], dtype: string): Bytes => {
    const size = shape.reduce((product, length) => product * length, dtypes[dtype].bytes);
    if (!(size >= 0 && size <= byteLength - at)) {
      throw fail(
        `expected the values of [${shape.join(", ")}] of ${dtype}, the file ends after ${byteLength - at} bytes`,
      );
    }
    at += size;
    return list.part(at - size, at);
  };
  const none = { shape: [0], dtype: "none", bytes: list.part(0, 0) };

  const array = async (): Promise<Omit<Stored, "name">> => {
    const first = await uint32("an array");
    if (first < V1 || first > V3) {
      // V0 begins with the number of its axes
      const shape = await lengths(first, 4);
      return shape.length === 0 ? none : dense(shape);
    }
    if (first === V1) {
      const shape = await lengths(await uint32("axes"), 8);
      return shape.length === 0 ? none : dense(shape);
    }
    const code = await int32("a storage type");
    const storage = STORAGES[code];
    if (storage === undefined) throw fail(`expected a storage type of 0, 1 or 2, got ${code}`, at - 4);
    const storedShape = storage.indices > 0 ? await lengths(await int32("axes"), 8) : undefined;
    const axes = await int32("axes");
    if (first === V3 ? axes === -1 : axes === 0) return none;
    const shape = await lengths(axes, 8);
    if (storedShape === undefined) return dense(shape);
    await next(8, "a device");
    const dtype = await typed();
    const indices: [number[], string][] = [];
    for (let i = 0; i < storage.indices; i++) {
      const type = await typed();
      indices.push([await lengths(await int32("axes"), 8), type]);
    }
    const bytes = values(storedShape, dtype);
    for (const [shapeOf, type] of indices) values(shapeOf, type);
    return { shape, dtype: `${storage.name} ${dtype}`, bytes };
  };
  const dense = async (shape: number[]): Promise<Omit<Stored, "name">> => {
    await next(8, "a device");
    const dtype = await typed();
    return { shape, dtype, bytes: values(shape, dtype) };
  };

  const count = await counted("arrays", 4);
  const arrays: Omit<Stored, "name">[] = [];
  while (arrays.length < count) arrays.push(await array());
  const named = await counted("names", 8);
  if (named !== 0 && named !== count) throw fail(`expected ${count} names or none, got ${named}`, at - 8);
  const result: Stored[] = [];
  const seen = new Set<string>();
  for (const [index, one] of arrays.entries()) {
    const length = named === 0 ? 0 : await counted("bytes of a name", 1);
    const bytes = await next(length, "a name");
    const name = named === 0 ? String(index) : new TextDecoder().decode(bytes);
    if (seen.has(name)) throw fail(`expected each name once, got "${name.slice(0, 80)}" again`, at - length);
    seen.add(name);
    result.push({ ...one, name });
  }
  return result;
}

interface Node {
  readonly op: string;
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Nodes by their index. */
  readonly inputs: readonly number[];
}

interface Graph {
  readonly file: string;
  readonly byteLength: number;
  readonly version?: string;
  readonly nodes: readonly Node[];
}

/** The symbol of these parameters: by its prefix, or the only one in the folder; some of them must be its variables. */
async function symbolBeside(files: Files, { tensors }: Parameters): Promise<Graph | undefined> {
  const named = `${partsOf(files.name).prefix}-symbol.json`;
  const all = (await files.list()).filter((name) => name.endsWith("-symbol.json"));
  const file = all.includes(named) ? named : all.length === 1 ? all[0] : undefined;
  const bytes = file === undefined ? undefined : await files.beside(file);
  if (file === undefined || bytes === undefined) return undefined;
  const symbol = await symbolOf(file, bytes);
  return symbol.nodes.some(({ op, name }) => op === "null" && tensors.has(name)) ? symbol : undefined;
}

async function symbolOf(file: string, bytes: Bytes): Promise<Graph> {
  const fail = (problem: string) => new CheckpointError(file, FORMAT, problem);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(await bytes.read()));
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw fail(`expected a symbol as JSON: ${error instanceof Error ? error.message : error}`);
  }
  const { nodes, attrs } = Object(json) as { nodes?: unknown; attrs?: unknown };
  if (!Array.isArray(nodes)) throw fail("expected a symbol with a list of nodes");
  const read = nodes.map((node, index): Node => {
    const { op, name, inputs, param, attr, attrs: newer } = Object(node) as Record<string, unknown>;
    const sources = Array.isArray(inputs) ? inputs.map((input) => Object(input)[0] as unknown) : undefined;
    // each node follows those that it is made of
    const isEarlier = (source: unknown) =>
      Number.isInteger(source) && (source as number) >= 0 && (source as number) < index;
    if (typeof op !== "string" || typeof name !== "string" || !sources?.every(isEarlier)) {
      throw fail(`expected node ${index} of the symbol to have an op, a name, and inputs before it`);
    }
    return {
      op,
      name,
      config: { ...Object(attr), ...Object(param), ...Object(newer) },
      inputs: sources as number[],
    };
  });
  const number: unknown = Object(Object(attrs).mxnet_version)[1];
  const version =
    typeof number === "number"
      ? [number / 1e4, (number / 100) % 100, number % 100].map(Math.floor).join(".")
      : undefined;
  return { file, byteLength: bytes.byteLength, version, nodes: read };
}

/** Names of operators' inputs. Those of others are what follows the node's own name in the variable's. */
const INPUTS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    "data gamma beta moving_mean moving_var":
      "BatchNorm BatchNorm_v1 CuDNNBatchNorm _contrib_SyncBatchNorm _contrib_BatchNormWithReLU",
    "data gamma beta": "LayerNorm GroupNorm InstanceNorm",
    "data weight bias": "FullyConnected Convolution Convolution_v1 Deconvolution",
    "data weight": "Embedding",
    "data gamma": "LeakyReLU",
    "data parameters state state_cell": "RNN",
  }).flatMap(([inputs, operators]) => operators.split(" ").map((op) => [op, inputs.split(" ")] as const)),
);

/** Operators that give what they get: mixed precision puts casts before weights. */
const PASSING = new Set(["amp_cast", "Cast", "_copy", "BlockGrad"]);

function modulesOf(nodes: readonly Node[], tensors: ReadonlyMap<string, Tensor>): Module[] {
  const modules: Module[] = [];
  /** Where each node's value comes from, behind those that pass it on. */
  const origins: Node[] = [];
  for (const node of nodes) {
    const { op, name, config, inputs } = node;
    origins.push(PASSING.has(op) && inputs.length > 0 ? origins[inputs[0]] : node);
    if (op === "null") continue;
    const formal = INPUTS.get(op) ?? [];
    const own = new Map<string, Tensor>();
    for (const [position, input] of inputs.entries()) {
      const origin = origins[input];
      const tensor = origin.op === "null" ? tensors.get(origin.name) : undefined;
      const suffix = origin.name.startsWith(`${name}_`) ? origin.name.slice(name.length + 1) : origin.name;
      const called = formal[position] ?? suffix;
      if (tensor && called !== "data") own.set(called, tensor);
    }
    // before 0.9 running statistics were no inputs, but named after the node
    for (const state of formal.slice(inputs.length).filter((one) => one.startsWith("moving_"))) {
      const tensor = tensors.get(`${name}_${state}`);
      if (tensor) own.set(state, tensor);
    }
    modules.push({ name, type: op, config, tensors: Object.fromEntries(own) });
  }
  return modules;
}
