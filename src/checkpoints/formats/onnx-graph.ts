/**
 * The graphs of ONNX models (`.onnx`, the ModelProto of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3), read by the wire format:
 * the model's own, those in its nodes, and those of its functions. Types of data are texts in `Cast.to` alone; elsewhere they are the
 * numbers of TensorProto.DataType.
 */
import { bigIntegersIn, type Field, floatIn } from "../encodings/protobuf.js";
import { CheckpointError } from "../errors.js";
import {
  type Attribute,
  type Callable,
  callKey,
  type Graph,
  type Node,
  type ValueInfo,
} from "../graphs/graph.js";
import { inOrder } from "../graphs/order.js";
import { ONNX_TYPES } from "../graphs/types.js";
import { readWithin } from "../graphs/values.js";
import type { Bytes, Files } from "../source.js";
import { madeTensor, type Tensor, type Values } from "../tensors.js";
import {
  type Context,
  type External,
  entriesIn,
  FORMAT,
  fixedIn,
  inFile,
  type Message,
  messageIn,
  sparseIn,
  tensorIn,
  textsIn,
} from "./onnx-tensors.js";

/** Of graphs in graphs, and of calls in calls. */
export const MOST_DEPTH = 32;

/** The file format's version from which on an initializer that is an input too is its default; before, each had to be both. */
const REPLACES = 4;

/** Versions of operator sets by domain, "" of ONNX's own. */
export type Opsets = ReadonlyMap<string, number>;

/** A model as its file has it. */
export interface StoredModel {
  readonly graph: StoredGraph;
  /** All of them: the model's own, then those in its nodes, then those of functions. */
  readonly graphs: readonly StoredGraph[];
  readonly opsets: Opsets;
  readonly irVersion: number;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly modelVersion: number;
  readonly metadata: ReadonlyMap<string, string>;
  /** Files that tensors lie in, by their paths; undefined those that are missing. */
  readonly external: ReadonlyMap<string, Bytes | undefined>;
}

/** A graph, and where it lies. */
export interface StoredGraph extends Graph {
  readonly nodes: readonly StoredNode[];
  readonly constants: ReadonlyMap<string, Tensor>;
  readonly functions: ReadonlyMap<string, StoredCallable>;
  readonly around?: StoredGraph;
  /** In the file's order, the sparse ones last. */
  readonly initializers: readonly Tensor[];
  /** What it imports, or what the function does that it is in. */
  readonly opsets: Opsets;
  /** Values that are read besides by nodes: parameters of quantization, and what training reads. */
  readonly alsoRead: readonly string[];
  /** GraphProto, or FunctionProto. */
  readonly message: Bytes;
  readonly isFunction: boolean;
}

export interface StoredNode extends Node {
  /** The operator with its domain, as `Module.type` has it. */
  readonly type: string;
  /** Among those of its graph in the file, where some have them in an order that cannot be computed. */
  readonly place: number;
  readonly attributes: ReadonlyMap<string, StoredAttribute>;
}

export interface StoredAttribute extends Attribute {
  readonly graphs: readonly StoredGraph[];
  /** What a Constant gives by it: the tensor that it is, or its plain numbers as one. */
  readonly tensor?: Tensor;
}

export interface StoredCallable extends Callable {
  readonly graph: StoredGraph;
  readonly defaults: ReadonlyMap<string, StoredAttribute>;
}

/**
 * Reads ModelProto: what its nodes are, and where its tensors lie.
 * @throws CheckpointError for what is damaged, and a model without a graph
 */
export async function modelIn(files: Files): Promise<StoredModel> {
  const model = await messageIn(files.bytes);
  const [graph] = model.all(7).slice(-1);
  if (graph === undefined) {
    throw new CheckpointError(files.name, FORMAT, "expected a model with a graph (field 7), there is none");
  }
  const external: External = new Map();
  const functions = new Map<string, StoredCallable>();
  const opsets = await opsetsIn(model.all(8));
  const within: StoredGraph[] = [];
  const replaces = model.integer(1) >= REPLACES;
  const reading: Reading = { files, external, functions, opsets, replaces, graphs: within };
  const training = await readInTraining({ ...reading, external: new Map(), graphs: [] }, model.all(20));
  const main = await graphIn(reading, graph.bytes, { path: "", depth: 0, alsoRead: training });
  const ofFunctions: StoredGraph[] = [];
  for (const { bytes } of model.all(25)) {
    const [key, callable] = await functionIn({ ...reading, graphs: ofFunctions }, bytes);
    functions.set(key, callable);
  }
  return {
    graph: main,
    graphs: [...within, ...ofFunctions],
    opsets,
    irVersion: model.integer(1),
    producerName: await model.text(2),
    producerVersion: await model.text(3),
    modelVersion: model.integer(5),
    metadata: await entriesIn(model.all(14)),
    external,
  };
}

/** What graphs are read with. */
interface Reading extends Context {
  readonly functions: ReadonlyMap<string, StoredCallable>;
  readonly opsets: Opsets;
  /** Whether a caller may replace initializers that are inputs. */
  readonly replaces: boolean;
  /** Those that were read. */
  readonly graphs: StoredGraph[];
}

async function opsetsIn(fields: readonly Field[]): Promise<Opsets> {
  const opsets = new Map<string, number>();
  for (const { bytes } of fields) {
    const set = await messageIn(bytes);
    opsets.set(domainOf(await set.text(1)), set.integer(2));
  }
  return opsets;
}

/** ONNX's own has two names. */
function domainOf(name: string): string {
  return name === "ai.onnx" ? "" : name;
}

/** TrainingInfoProto: names that its graphs, and what they are bound to, have of the model's graph. */
async function readInTraining(reading: Reading, fields: readonly Field[]): Promise<string[]> {
  const names: string[] = [];
  for (const { bytes } of fields) {
    const training = await messageIn(bytes);
    for (const field of [...training.all(1), ...training.all(2)]) {
      await graphIn(reading, field.bytes, { path: "training", depth: 0 });
    }
    for (const entry of await entriesIn([...training.all(3), ...training.all(4)])) names.push(...entry);
  }
  const nodes = reading.graphs.flatMap((graph) => graph.nodes);
  return [...names, ...nodes.flatMap((node) => node.inputs)];
}

/** TensorAnnotation: scales and zero points. */
async function quantizedBy(fields: readonly Field[]): Promise<string[]> {
  const names: string[] = [];
  for (const { bytes } of fields) {
    names.push(...(await entriesIn((await messageIn(bytes)).all(2))).values());
  }
  return names;
}

/** Where a graph is. */
interface Place {
  readonly path: string;
  readonly depth: number;
  readonly around?: StoredGraph;
  readonly alsoRead?: readonly string[];
}

/** GraphProto. */
async function graphIn(
  reading: Reading,
  bytes: Bytes,
  { path, depth, around, alsoRead = [] }: Place,
): Promise<StoredGraph> {
  if (depth > MOST_DEPTH) {
    throw new CheckpointError(bytes.file, FORMAT, `expected at most ${MOST_DEPTH} graphs in each other`, {
      offset: bytes.offset,
    });
  }
  const message = inFile(reading, bytes);
  const graph = await messageIn(message);
  const initializers: Tensor[] = [];
  for (const field of graph.all(5)) initializers.push(await tensorIn(reading, field.bytes));
  for (const field of graph.all(15)) initializers.push(await sparseIn(reading, field.bytes));
  const constants = new Map(initializers.map((tensor) => [tensor.name, tensor]));
  const inputs = await valuesIn(graph.all(11));
  if (reading.replaces) for (const { name } of inputs) constants.delete(name);
  const parts = {
    path,
    initializers,
    constants,
    inputs: inputs.filter(({ name }) => !constants.has(name)),
    outputs: await valuesIn(graph.all(12)),
    values: await namedValues(graph.all(13)),
    around,
    alsoRead: [...alsoRead, ...(await quantizedBy(graph.all(14)))],
    message,
    isFunction: false,
  };
  return graphOf(reading, parts, graph.all(1), depth);
}

/** A graph with its nodes, and with what its Constant nodes give. */
async function graphOf(
  reading: Reading,
  parts: Omit<StoredGraph, "dialect" | "nodes" | "functions" | "constants" | "opsets"> & {
    constants: Map<string, Tensor>;
  },
  fields: readonly Field[],
  depth: number,
): Promise<StoredGraph> {
  const nodes: StoredNode[] = [];
  const { functions, opsets } = reading;
  const graph: StoredGraph = { dialect: "onnx", ...parts, nodes, functions, opsets };
  reading.graphs.push(graph);
  const listed: StoredNode[] = [];
  for (const [place, { bytes }] of fields.entries()) {
    const node = await nodeIn(reading, bytes, { graph, depth, place });
    listed.push(node);
    const [output = ""] = node.outputs;
    if (node.type !== "Constant" || output === "") continue;
    for (const { tensor } of node.attributes.values()) {
      if (tensor) parts.constants.set(output, { ...tensor, name: output });
    }
  }
  for (const node of inOrder(listed, readWithin)) nodes.push(node);
  return graph;
}

/** NodeProto. */
async function nodeIn(
  reading: Reading,
  bytes: Bytes,
  { graph, depth, place }: { graph: StoredGraph; depth: number; place: number },
): Promise<StoredNode> {
  const node = await messageIn(bytes);
  const domain = domainOf(await node.text(7));
  const operator = await node.text(4);
  const type = domain === "" ? operator : `${domain}.${operator}`;
  const name = await node.text(3);
  const outputs = await textsIn(node.all(2));
  const path = `${graph.path === "" ? "" : `${graph.path}/`}${name || outputs[0] || type}`;
  return {
    name,
    operator,
    domain,
    type,
    place,
    // of ONNX's own, 1 is what a model says that says nothing
    opset: reading.opsets.get(domain) ?? (domain === "" ? 1 : 0),
    inputs: await textsIn(node.all(1)),
    outputs,
    overload: await node.text(8),
    attributes: await attributesIn(reading, node.all(5), type, { path, depth, graph }),
  };
}

/** FunctionProto. */
async function functionIn(reading: Reading, bytes: Bytes): Promise<[string, StoredCallable]> {
  const message = inFile(reading, bytes);
  const called = await messageIn(message);
  const operator = await called.text(1);
  const domain = domainOf(await called.text(10));
  const inputs = await textsIn(called.all(4));
  const outputs = await textsIn(called.all(5));
  const values = await namedValues(called.all(12));
  const own: Reading = { ...reading, opsets: await opsetsIn(called.all(9)) };
  const named = (name: string): ValueInfo => values.get(name) ?? { name };
  const parts = {
    path: domain === "" ? operator : `${domain}.${operator}`,
    initializers: [],
    constants: new Map<string, Tensor>(),
    inputs: inputs.map(named),
    outputs: outputs.map(named),
    values,
    alsoRead: [],
    message,
    isFunction: true,
  };
  const graph = await graphOf(own, parts, called.all(7), 0);
  const defaults = await attributesIn(own, called.all(11), "", { path: parts.path, depth: 0, graph });
  return [
    callKey({ domain, operator, overload: await called.text(13) }),
    { graph, inputs, outputs, defaults },
  ];
}

/** ValueInfoProto, each. */
async function valuesIn(fields: readonly Field[]): Promise<ValueInfo[]> {
  const values: ValueInfo[] = [];
  for (const { bytes } of fields) {
    const value = await messageIn(bytes);
    const name = await value.text(1);
    const [type] = value.all(2).slice(-1);
    const [tensor] = type ? (await messageIn(type.bytes)).all(1).slice(-1) : [];
    values.push(tensor ? { name, ...(await tensorTypeIn(tensor.bytes)) } : { name });
  }
  return values;
}

async function namedValues(fields: readonly Field[]): Promise<Map<string, ValueInfo>> {
  return new Map((await valuesIn(fields)).map((value) => [value.name, value]));
}

/** TypeProto.Tensor. */
async function tensorTypeIn(bytes: Bytes): Promise<Omit<ValueInfo, "name">> {
  const tensor = await messageIn(bytes);
  const type = tensor.integer(1);
  const dtype = type === 0 ? undefined : (ONNX_TYPES[type] ?? `type ${type}`);
  const [shape] = tensor.all(2).slice(-1);
  if (shape === undefined) return { dtype };
  const lengths: (number | string)[] = [];
  for (const field of (await messageIn(shape.bytes)).all(1)) {
    const dimension = await messageIn(field.bytes);
    // exporters write -1 for a length that is open
    const length = dimension.all(1).length > 0 ? dimension.integer(1) : -1;
    lengths.push(length >= 0 ? length : await dimension.text(2));
  }
  return { dtype, shape: lengths };
}

/** AttributeProto, each by its name. @param type of the node */
async function attributesIn(
  reading: Reading,
  fields: readonly Field[],
  type: string,
  { path, depth, graph }: { path: string; depth: number; graph: StoredGraph },
): Promise<Map<string, StoredAttribute>> {
  const attributes = new Map<string, StoredAttribute>();
  for (const { bytes } of fields) {
    const attribute = await messageIn(bytes);
    const name = await attribute.text(1);
    const graphs: StoredGraph[] = [];
    const within = [...attribute.all(6), ...attribute.all(11)];
    for (const [i, field] of within.entries()) {
      const inner = `${path}/${name}${within.length > 1 ? i : ""}`;
      graphs.push(await graphIn(reading, field.bytes, { path: inner, depth: depth + 1, around: graph }));
    }
    const reference = await attribute.text(21);
    // which has no number of its own, not even an absent one
    const found = reference === "" ? await valueIn(reading, attribute, bytes) : {};
    const isType = type === "Cast" && name === "to" && typeof found.value === "number";
    attributes.set(name, {
      ...found,
      ...(isType && { value: ONNX_TYPES[found.value as number] ?? `type ${found.value}` }),
      graphs,
      reference,
    });
  }
  return attributes;
}

/** By AttributeProto.AttributeType; where an old file has no type, by the field that is there. */
const KINDS: Readonly<Record<number, number>> = { 1: 2, 2: 3, 3: 4, 4: 5, 6: 7, 7: 8, 8: 9, 11: 22 };

async function valueIn(
  context: Context,
  attribute: Message,
  bytes: Bytes,
): Promise<Partial<StoredAttribute>> {
  const number =
    KINDS[attribute.integer(20)] ?? [2, 3, 4, 5, 7, 8, 9, 22].find((one) => attribute.all(one).length > 0);
  const fields = number === undefined ? [] : attribute.all(number);
  const last = fields.at(-1);
  const made = (dtype: string, shape: number[], values: Values): Partial<StoredAttribute> => {
    const at = { file: bytes.file, offset: bytes.offset, byteLength: bytes.byteLength };
    const plain = Array.from(values as ArrayLike<number | bigint>, Number);
    return {
      value: shape.length === 0 ? plain[0] : plain,
      tensor: madeTensor({ name: "", dtype, shape, at, read: async () => values.slice() }),
    };
  };
  const constant = (tensor: Tensor) => ({ constant: tensor, tensor });
  // an absent number is 0
  if (number === 2) return made("float32", [], Float32Array.of(last ? floatIn(last) : 0));
  if (number === 3) return made("int64", [], BigInt64Array.of(last?.bits ?? 0n));
  if (number === 4) return { value: await attribute.text(4) };
  if (number === 5 && last) return constant(await tensorIn(context, last.bytes));
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
  if (number === 22 && last) return constant(await sparseIn(context, last.bytes));
  return {};
}
