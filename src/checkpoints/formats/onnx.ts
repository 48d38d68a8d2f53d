/**
 * ONNX models (`.onnx`, the ModelProto of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3), read by the wire format: initializers
 * and Constant nodes of the graph, of the subgraphs of If, Loop and Scan, and of the functions that are called, once for each call.
 * Values in files beside the model are read from its folder alone.
 *
 * Modules are the normalizations, those that are written out in smaller operators too, and the other nodes that have weights, in the
 * graph's order. A node's meaning is that of `opset`, the version that the model, or the function that the node stands in, imports of its
 * domain. Listed and refused when they are read: strings, float8, 4-bit and 2-bit types, sparse tensors, tensors in segments, and those
 * whose file is missing.
 */
import { sizeOf } from "../../shape.js";
import type { Format, Module } from "../checkpoint.js";
import {
  bigIntegersIn,
  byNumber,
  type Field,
  fieldsOf,
  floatIn,
  integerIn,
  integersIn,
  textIn,
} from "../encodings/protobuf.js";
import { concatenated } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import { type Bytes, bytesInMemory, type Files } from "../source.js";
import { dtypes, madeTensor, shortened, storedTensor, type Tensor, type Values } from "../tensors.js";
import { ANCHORS, PASSING, recognizer, type Written } from "./onnx-written-out.js";

const FORMAT = "ONNX";

/** ModelProto's fields: those that are numbers, and those that have a length. */
const NUMBERS = [1, 5];
const LENGTHS = [2, 3, 4, 6, 7, 8, 14, 20, 25, 26];

export const onnx: Format = {
  name: FORMAT,
  /** By the first fields: a graph or operator sets, and a version of 3 at least; a SavedModel's stands in its place, and is 1. */
  matches(head) {
    let at = 0;
    const varint = (): number => {
      let value = 0;
      for (let factor = 1; at < head.length; factor *= 128) {
        const byte = head[at++];
        value += (byte & 0x7f) * factor;
        if (byte < 0x80) return value;
      }
      return Number.NaN;
    };
    const seen = new Set<number>();
    while (at < head.length) {
      const key = varint();
      const [number, wire] = [Math.floor(key / 8), key % 8];
      if (!(wire === 0 ? NUMBERS : wire === 2 ? LENGTHS : []).includes(number)) return false;
      const value = varint();
      if (number === 1 && !(value >= 3 && value < 1000)) return false;
      if (wire === 2) at += value;
      seen.add(number);
    }
    return seen.has(7) || (seen.has(1) && seen.has(8));
  },
  async read(files) {
    const model = await messageIn(files.bytes);
    const [graph] = model.all(7).slice(-1);
    if (graph === undefined) {
      throw new CheckpointError(files.name, FORMAT, "expected a model with a graph (field 7), there is none");
    }
    const external: External = new Map();
    const context = { files, external };
    const functions = new Map<string, Callable>();
    for (const { bytes } of model.all(25)) await addFunction(functions, context, bytes);
    const opsets = await opsetsIn(model.all(8));
    const found = await walked(files.name, await graphIn(context, graph.bytes, 0), functions, opsets);
    const beside = [...external.values()].map((bytes) => bytes?.byteLength ?? 0);
    return {
      format: FORMAT,
      framework: "onnx",
      file: files.name,
      byteLength: beside.reduce((sum, length) => sum + length, files.bytes.byteLength),
      metadata: {
        ir_version: model.integer(1),
        producer_name: await model.text(2),
        producer_version: await model.text(3),
        model_version: model.integer(5),
        opset_import: Object.fromEntries(opsets),
        metadata_props: Object.fromEntries(await entriesIn(model.all(14))),
      },
      ...found,
      others: new Map(),
    };
  },
};

/** A message's fields; those that are absent are empty, or 0. */
interface Message {
  all(number: number): readonly Field[];
  text(number: number): Promise<string>;
  integer(number: number): number;
}

/** So short a message is read at once with all that is in it: graphs have thousands of nodes. */
const SHORT = 4096;

async function messageIn(bytes: Bytes): Promise<Message> {
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

async function textsIn(fields: readonly Field[]): Promise<string[]> {
  const texts: string[] = [];
  for (const field of fields) texts.push(await textIn(field));
  return texts;
}

/** StringStringEntryProto: keys with values. */
async function entriesIn(fields: readonly Field[]): Promise<Map<string, string>> {
  const entries = new Map<string, string>();
  for (const { bytes } of fields) {
    const entry = await messageIn(bytes);
    entries.set(await entry.text(1), await entry.text(2));
  }
  return entries;
}

/** Versions of operator sets by domain. */
type Opsets = ReadonlyMap<string, number>;

async function opsetsIn(fields: readonly Field[]): Promise<Opsets> {
  const opsets = new Map<string, number>();
  for (const { bytes } of fields) {
    const set = await messageIn(bytes);
    opsets.set((await set.text(1)) || STANDARD, set.integer(2));
  }
  return opsets;
}

/** The domain of ONNX's own operators, which files call "" mostly. */
const STANDARD = "ai.onnx";

/** What the parts of a file are read with. */
interface Context {
  readonly files: Files;
  readonly external: External;
}

/** Files beside the model that tensors lie in; undefined those that are missing. */
type External = Map<string, Bytes | undefined>;

/** By TensorProto.DataType. */
const TYPES = (
  "undefined,float32,uint8,int8,uint16,int16,int32,int64,string,bool,float16,float64,uint32,uint64,complex64,complex128,bfloat16," +
  "float8_e4m3fn,float8_e4m3fnuz,float8_e5m2,float8_e5m2fnuz,uint4,int4,float4_e2m1fn,float8_e8m0fnu,uint2,int2"
).split(",");

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

/** TensorProto. */
async function tensorIn(context: Context, message: Bytes): Promise<Tensor> {
  const tensor = await messageIn(message);
  const type = tensor.integer(2);
  const name = await tensor.text(8);
  const shape = await integersIn(tensor.all(1));
  const dtype = TYPES[type] ?? `type ${type}`;
  const stored = { name, shape, dtype };
  if (tensor.all(3).length > 0) {
    return refused(stored, message, "is stored in segments", "write each tensor in one piece");
  }
  if (tensor.integer(14) === 1) return externalTensor(context, stored, message, tensor.all(13));
  const raw = tensor.all(9).at(-1);
  if (raw) return storedTensor(FORMAT, { ...stored, bytes: raw.bytes });
  const fields = tensor.all(TYPED.get(dtype) ?? 5);
  const known = Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : undefined;
  if (known === undefined) return storedTensor(FORMAT, { ...stored, bytes: message });
  return {
    ...listed(stored, message),
    async read() {
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
async function sparseIn(context: Context, message: Bytes): Promise<Tensor> {
  const sparse = await messageIn(message);
  const [values] = sparse.all(1).slice(-1);
  const { name, dtype } = values ? await tensorIn(context, values.bytes) : { name: "", dtype: "undefined" };
  const shape = await integersIn(sparse.all(3));
  return storedTensor(FORMAT, { name, shape, dtype: `sparse ${dtype}`, bytes: message });
}

/** Repeated floats or doubles, packed or one each, as bytes. */
async function fixedIn(fields: readonly Field[]): Promise<Uint8Array> {
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

interface Graph {
  readonly nodes: readonly Node[];
  readonly initializers: readonly Tensor[];
}

interface Node {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name: string;
  /** With its domain, as `Module.type` has it. */
  readonly type: string;
  readonly domain: string;
  readonly overload: string;
  readonly attributes: ReadonlyMap<string, Attribute>;
}

interface Attribute {
  /** A number, a text, or a list of them. */
  readonly value?: unknown;
  /** The tensor that it is, of a Constant's plain numbers too. */
  readonly tensor?: Tensor;
  readonly graphs: readonly Graph[];
  /** In a function: the attribute of the call that it stands for. */
  readonly reference: string;
}

/** A function of the model. */
interface Callable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly Node[];
  readonly opsets: Opsets;
  /** Attributes that a call may leave out. */
  readonly defaults: ReadonlyMap<string, Attribute>;
}

/** Of graphs in graphs, and of calls in calls. */
const MOST_DEPTH = 32;

/** GraphProto. */
async function graphIn(context: Context, bytes: Bytes, depth: number): Promise<Graph> {
  if (depth > MOST_DEPTH) {
    throw new CheckpointError(bytes.file, FORMAT, `expected at most ${MOST_DEPTH} graphs in each other`, {
      offset: bytes.offset,
    });
  }
  const graph = await messageIn(bytes);
  const initializers: Tensor[] = [];
  for (const field of graph.all(5)) initializers.push(await tensorIn(context, field.bytes));
  for (const field of graph.all(15)) initializers.push(await sparseIn(context, field.bytes));
  return { nodes: await nodesIn(context, graph.all(1), depth), initializers };
}

/** NodeProto, each. */
async function nodesIn(context: Context, fields: readonly Field[], depth: number): Promise<Node[]> {
  const nodes: Node[] = [];
  for (const { bytes } of fields) {
    const node = await messageIn(bytes);
    const domain = (await node.text(7)) || STANDARD;
    const operator = await node.text(4);
    nodes.push({
      inputs: await textsIn(node.all(1)),
      outputs: await textsIn(node.all(2)),
      name: await node.text(3),
      type: typeOf(domain, operator),
      domain,
      overload: await node.text(8),
      attributes: await attributesIn(context, node.all(5), depth),
    });
  }
  return nodes;
}

function typeOf(domain: string, operator: string): string {
  return domain === STANDARD ? operator : `${domain}.${operator}`;
}

/** FunctionProto. */
async function addFunction(functions: Map<string, Callable>, context: Context, bytes: Bytes): Promise<void> {
  const called = await messageIn(bytes);
  const type = typeOf((await called.text(10)) || STANDARD, await called.text(1));
  functions.set(`${type}:${await called.text(13)}`, {
    inputs: await textsIn(called.all(4)),
    outputs: await textsIn(called.all(5)),
    nodes: await nodesIn(context, called.all(7), 0),
    opsets: await opsetsIn(called.all(9)),
    defaults: await attributesIn(context, called.all(11), 0),
  });
}

/** AttributeProto, each by its name. */
async function attributesIn(
  context: Context,
  fields: readonly Field[],
  depth: number,
): Promise<Map<string, Attribute>> {
  const attributes = new Map<string, Attribute>();
  for (const { bytes } of fields) {
    const attribute = await messageIn(bytes);
    const graphs: Graph[] = [];
    for (const field of [...attribute.all(6), ...attribute.all(11)]) {
      graphs.push(await graphIn(context, field.bytes, depth + 1));
    }
    attributes.set(await attribute.text(1), {
      ...(await valueIn(context, attribute, bytes)),
      graphs,
      reference: await attribute.text(21),
    });
  }
  return attributes;
}

/** By AttributeProto.AttributeType; where an old file has no type, by the field that is there. */
const KINDS: Readonly<Record<number, number>> = { 1: 2, 2: 3, 3: 4, 4: 5, 6: 7, 7: 8, 8: 9, 11: 22 };

async function valueIn(context: Context, attribute: Message, bytes: Bytes): Promise<Partial<Attribute>> {
  const number =
    KINDS[attribute.integer(20)] ?? [2, 3, 4, 5, 7, 8, 9, 22].find((one) => attribute.all(one).length > 0);
  const fields = number === undefined ? [] : attribute.all(number);
  const last = fields.at(-1);
  const made = (dtype: string, shape: number[], values: Values): Partial<Attribute> => {
    const at = { file: bytes.file, offset: bytes.offset, byteLength: bytes.byteLength };
    const plain = Array.from(values as ArrayLike<number | bigint>, Number);
    return {
      value: shape.length === 0 ? plain[0] : plain,
      tensor: madeTensor({ name: "", dtype, shape, at, read: async () => values.slice() }),
    };
  };
  // an absent number is 0
  if (number === 2) return made("float32", [], Float32Array.of(last ? floatIn(last) : 0));
  if (number === 3) return made("int64", [], BigInt64Array.of(last?.bits ?? 0n));
  if (number === 4) return { value: await attribute.text(4) };
  if (number === 5 && last) return { tensor: await tensorIn(context, last.bytes) };
  if (number === 7) {
    const packed = await fixedIn(fields);
    const floats = new Float32Array(packed.slice(0, packed.length - (packed.length % 4)).buffer);
    return made("float32", [floats.length], floats);
  }
  if (number === 8) {
    const integers = await bigIntegersIn(fields);
    return made("int64", [integers.length], BigInt64Array.from(integers));
  }
  if (number === 9) return { value: await textsIn(fields) };
  if (number === 22 && last) return { tensor: await sparseIn(context, last.bytes) };
  return {};
}

/** Where names of tensors mean something: a graph, and the graphs around it. */
interface Scope {
  /** Before the names of what is in it. */
  readonly prefix: string;
  /** By the graph's own names. */
  readonly known: Map<string, Tensor>;
  readonly around?: Scope;
  readonly opsets: Opsets;
  /** Of the call, where it is a function's. */
  readonly arguments: ReadonlyMap<string, Attribute>;
  readonly depth: number;
}

function lookedUp(scope: Scope, name: string): Tensor | undefined {
  for (let one: Scope | undefined = scope; one; one = one.around) {
    const tensor = one.known.get(name);
    if (tensor) return tensor;
  }
  return undefined;
}

/**
 * What functions may multiply a file to by calling each other: so many characters of names, of which each node and tensor counts as 64
 * at least.
 */
const MOST_WALKED = 2 ** 25;

/** All tensors and modules of a graph, of the graphs in it and the functions that it calls. */
async function walked(
  file: string,
  graph: Graph,
  functions: ReadonlyMap<string, Callable>,
  opsets: Opsets,
): Promise<{ tensors: Map<string, Tensor>; modules: Module[] }> {
  const tensors = new Map<string, Tensor>();
  /** Modules, and what tells whether a node stands for another one with its neighbours, once all constants are known. */
  const found: { module?: Module; name: string; written?: () => Promise<Written | undefined> }[] = [];
  let effort = 0;
  const spend = (characters: number): void => {
    effort += 64 + characters;
    if (effort > MOST_WALKED) {
      throw new CheckpointError(file, FORMAT, "expected functions that do not call each other without end");
    }
  };
  const add = (scope: Scope, tensor: Tensor, called: string): void => {
    const name = scope.prefix + called;
    spend(name.length);
    const named = { ...tensor, name };
    if (!tensors.has(name)) tensors.set(name, named);
    scope.known.set(called, named);
  };
  const walk = (nodes: readonly Node[], scope: Scope): void => {
    if (scope.depth > MOST_DEPTH) {
      throw new CheckpointError(
        file,
        FORMAT,
        `expected at most ${MOST_DEPTH} calls of functions in each other`,
      );
    }
    let recognize: ReturnType<typeof recognizer> | undefined;
    const recognized = (node: Node): Promise<Written | undefined> => {
      recognize ??= recognizer(nodes, (name) => lookedUp(scope, name));
      return recognize(node);
    };
    for (const node of nodes) {
      spend(
        scope.prefix.length +
          node.name.length +
          8 * (node.inputs.length + node.outputs.length + node.attributes.size),
      );
      const attributes = new Map<string, Attribute>();
      for (const [name, attribute] of node.attributes) {
        const { reference } = attribute;
        const given = reference === "" ? attribute : scope.arguments.get(reference);
        if (given) attributes.set(name, given);
      }
      const inputs = node.inputs.map((name) => (name === "" ? undefined : lookedUp(scope, name)));
      const [output = ""] = node.outputs;
      // what is in a node is called by its output, which no other node has
      const within = `${scope.prefix}${output || node.name}/`;
      const depth = scope.depth + 1;
      const called = functions.get(`${node.type}:${node.overload}`);
      if (called) {
        const known = new Map<string, Tensor>();
        for (const [i, name] of called.inputs.entries()) if (inputs[i]) known.set(name, inputs[i]);
        const inner: Scope = {
          prefix: within,
          known,
          opsets: called.opsets,
          arguments: new Map([...called.defaults, ...attributes]),
          depth,
        };
        walk(called.nodes, inner);
        for (const [i, name] of called.outputs.entries()) {
          const constant = known.get(name);
          if (constant && node.outputs[i]) scope.known.set(node.outputs[i], constant);
        }
        continue;
      }
      if (node.type === "Constant") {
        for (const { tensor } of attributes.values()) if (tensor) add(scope, tensor, output);
        continue;
      }
      if (PASSING.includes(node.type) && inputs[0]) {
        scope.known.set(output, inputs[0]);
        continue;
      }
      const module = moduleOf(node, inputs, attributes, scope);
      const written = ANCHORS.includes(node.type) ? () => recognized(node) : undefined;
      if (module || written) found.push({ module, name: nameOf(node, scope), written });
      for (const [name, { graphs }] of attributes) {
        for (const [i, inside] of graphs.entries()) {
          const prefix = `${within}${name}${graphs.length > 1 ? i : ""}/`;
          enter(inside, { ...scope, prefix, known: new Map(), around: scope, depth });
        }
      }
    }
  };
  const enter = ({ initializers, nodes }: Graph, scope: Scope): void => {
    for (const tensor of initializers) add(scope, tensor, tensor.name);
    walk(nodes, scope);
  };
  enter(graph, { prefix: "", known: new Map(), opsets, arguments: new Map(), depth: 0 });
  const modules: Module[] = [];
  for (const { module, name, written } of found) {
    const whole = await written?.();
    if (whole) modules.push({ name, ...whole });
    else if (module) modules.push(module);
  }
  return { tensors, modules };
}

function nameOf({ name, outputs, type }: Node, { prefix }: Scope): string {
  return prefix + (name || outputs[0] || type);
}

/** Names of operators' inputs, from ONNX's documentation of operators, and ONNX Runtime's of its own. */
const INPUTS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    "X scale B input_mean input_var": "BatchNormalization",
    "X Scale B": "LayerNormalization",
    "X scale bias": "GroupNormalization",
    "input scale B": "InstanceNormalization",
    "X scale": "RMSNormalization SimplifiedLayerNormalization com.microsoft.SimplifiedLayerNormalization",
    "input skip gamma beta bias": "com.microsoft.SkipLayerNormalization",
    "input skip gamma bias": "com.microsoft.SkipSimplifiedLayerNormalization",
    "input_ids segment_ids word_embedding position_embedding segment_embedding gamma beta":
      "com.microsoft.EmbedLayerNormalization",
    "X gamma beta": "com.microsoft.GroupNorm",
    "X gamma beta skip bias": "com.microsoft.SkipGroupNorm",
    "X W B": "Conv ConvTranspose com.microsoft.FusedConv",
    "A B C": "Gemm com.microsoft.FusedGemm",
    "A B": "MatMul com.microsoft.FusedMatMul",
    "X slope": "PRelu",
    "X W R B sequence_lens initial_h": "RNN GRU",
    "X W R B sequence_lens initial_h initial_c P": "LSTM",
  }).flatMap(([inputs, operators]) => operators.split(" ").map((type) => [type, inputs.split(" ")] as const)),
);

/** A node as a module: a normalization, or one of the operators above that has a weight. */
function moduleOf(
  node: Node,
  inputs: readonly (Tensor | undefined)[],
  attributes: ReadonlyMap<string, Attribute>,
  scope: Scope,
): Module | undefined {
  const { type, domain } = node;
  const formal = INPUTS.get(type) ?? [];
  const own = inputs.flatMap((tensor, i) => (tensor ? [[formal[i] ?? String(i), tensor] as const] : []));
  const isWeighted = formal.length > 0 && own.length > 0;
  if (!isWeighted && !/Norm|^LRN$/.test(type)) return undefined;
  const values = [...attributes].flatMap(([key, { value }]) =>
    value === undefined ? [] : [[key, value] as const],
  );
  return {
    name: nameOf(node, scope),
    type,
    config: Object.fromEntries(values),
    tensors: Object.fromEntries(own),
    opset: scope.opsets.get(domain),
  };
}
