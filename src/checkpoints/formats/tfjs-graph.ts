/**
 * The graphs of TensorFlow.js's graph models: a GraphDef in JSON, as protocol buffers are written in it (64-bit integers as texts, bytes in
 * base64), the functions of its library, and constants that lie in the files of the weights.
 * https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/framework (graph.proto, attr_value.proto, function.proto)
 *
 * Flags are 1 and 0, types texts such as "float32", shapes lists with −1 for what is open, functions their names.
 */
import { isObject, type JSONObject } from "../encodings/json.js";
import {
  type Attribute,
  type Callable,
  type Constant,
  callKey,
  type Graph,
  type Node,
  type ValueInfo,
} from "../graphs/graph.js";
import { inOrder } from "../graphs/order.js";
import type { Files } from "../source.js";
import { typeNumbered } from "./tensorflow.js";
import { documentIn, type Fail, weightsOf } from "./tfjs.js";

/** A graph model as its files have it. */
export interface StoredGraphModel {
  readonly graph: StoredGraph;
  /** The model's own, then those of functions. */
  readonly graphs: readonly StoredGraph[];
  readonly producer: string;
  /** Files that weights lie in, in order, by their paths. */
  readonly external: readonly string[];
  /** Of all files. */
  readonly byteLength: number;
}

export interface StoredGraph extends Graph {
  /** Where its nodes stand in the file: names of members, each within the one before. */
  readonly nodesAt: readonly string[];
}

export interface StoredNode extends Node {
  /** Among those of its graph in the file. */
  readonly place: number;
  /** Nodes that it waits for. */
  readonly controls: readonly string[];
}

/**
 * Reads `model.json`, and what its manifest says of the weights.
 * @throws CheckpointError for what is damaged, and for a model of layers
 */
export async function graphModelIn(files: Files): Promise<StoredGraphModel> {
  const { document, fail } = await documentIn(files);
  const { modelTopology, weightsManifest, signature, userDefinedMetadata, convertedBy, generatedBy } =
    document;
  const { node, library } = isObject(modelTopology) ? modelTopology : {};
  if (!Array.isArray(node)) {
    throw fail(
      'expected a graph model, with "modelTopology" that lists nodes',
      "convert a model of layers to a graph model, or open the model that it was made of",
    );
  }
  const weights = await weightsOf(files, weightsManifest ?? [], fail);
  const older = isObject(userDefinedMetadata) ? userDefinedMetadata.signature : undefined;
  const graphs = graphsIn({ node, library }, isObject(signature) ? signature : older, weights.tensors, fail);
  const groups = listIn(weightsManifest).map((group) => listIn(isObject(group) ? group.paths : []));
  return {
    graph: graphs[0],
    graphs,
    producer: [convertedBy, generatedBy].filter((one) => typeof one === "string").join(", "),
    external: [...new Set(groups.flat().map(String))],
    byteLength: files.bytes.byteLength + weights.byteLength,
  };
}

/**
 * The model's own graph, then those of functions, of a topology: a GraphDef whose nodes have been seen to be a list.
 * @param weights by the names of the constants that they are of
 */
export function graphsIn(
  { node, library }: JSONObject,
  signature: unknown,
  weights: ReadonlyMap<string, Constant>,
  fail: Fail,
): StoredGraph[] {
  const functions = new Map<string, Callable>();
  const graphs = [mainGraph(listIn(node), signature, weights, functions, fail)];
  for (const [i, definition] of listIn(isObject(library) ? library.function : []).entries()) {
    const callable = functionOf(definition, i, weights, functions, fail);
    if (callable === undefined) continue;
    functions.set(callKey({ domain: "", operator: callable.graph.path, overload: "" }), callable);
    graphs.push(callable.graph);
  }
  return graphs;
}

const listIn = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const textIn = (value: unknown): string => (typeof value === "string" ? value : "");

/**
 * The length of inputs' first axes that are open: they have as many examples each. A network that has several of one input for one of
 * another runs as well: what is found of it is then broadcast as the graph does.
 */
const BATCH = "batch";

function mainGraph(
  listed: readonly unknown[],
  signature: unknown,
  weights: ReadonlyMap<string, Constant>,
  functions: ReadonlyMap<string, Callable>,
  fail: Fail,
): StoredGraph {
  const { nodes, constants, values } = nodesIn(listed, weights, fail);
  const { inputs, outputs } = isObject(signature) ? signature : {};
  const named = (tensors: unknown) =>
    Object.values(isObject(tensors) ? tensors : {}).map((tensor) =>
      valueName(textIn(isObject(tensor) ? tensor.name : "")),
    );
  const placeholders = new Map<string, ValueInfo>();
  for (const { operator, name, attributes } of nodes) {
    if (!operator.startsWith("Placeholder")) continue;
    const { value: dtype } = attributes.get("dtype") ?? {};
    const shape = lengthsIn(attributes.get("shape")?.value)?.map((length, axis) =>
      axis === 0 && length === "" ? BATCH : length,
    );
    placeholders.set(name, { name, ...(typeof dtype === "string" && { dtype }), ...(shape && { shape }) });
  }
  const inOrder = new Set([
    ...named(inputs).filter((name) => placeholders.has(name)),
    ...placeholders.keys(),
  ]);
  const read = new Set(nodes.flatMap((node) => node.inputs));
  const last = nodes.filter(
    ({ name, operator, outputs }) =>
      !outputs.some((output) => read.has(output)) && operator !== "NoOp" && !constants.has(name),
  );
  const given = named(outputs).filter((name) => name !== "");
  const names = given.length > 0 ? [...new Set(given)] : last.map(({ name }) => name);
  return {
    dialect: "tensorflow",
    path: "",
    nodesAt: ["modelTopology", "node"],
    nodes,
    constants,
    inputs: Array.from(inOrder, (name) => placeholders.get(name) as ValueInfo),
    outputs: names.map((name) => values.get(name) ?? { name }),
    values,
    functions,
  };
}

/** FunctionDef. */
function functionOf(
  definition: unknown,
  place: number,
  weights: ReadonlyMap<string, Constant>,
  functions: ReadonlyMap<string, Callable>,
  fail: Fail,
): (Callable & { readonly graph: StoredGraph }) | undefined {
  const { signature, nodeDef, ret } = isObject(definition) ? definition : {};
  const { name, inputArg, outputArg } = isObject(signature) ? signature : {};
  if (typeof name !== "string") return undefined;
  const { nodes, constants, values } = nodesIn(listIn(nodeDef), weights, fail);
  const returned = isObject(ret) ? ret : {};
  const inputs = listIn(inputArg).map((one): ValueInfo => {
    const { name, type } = isObject(one) ? one : {};
    return { name: textIn(name), ...(type !== undefined && { dtype: typeOf(type) }) };
  });
  const operators = new Map(nodes.map((node) => [node.name, node.operator]));
  const outputs = listIn(outputArg).map((one) => {
    const key = textIn(isObject(one) ? one.name : "");
    return valueName(textIn(Object.hasOwn(returned, key) ? returned[key] : ""), operators);
  });
  const graph: StoredGraph = {
    dialect: "tensorflow",
    path: name,
    nodesAt: ["modelTopology", "library", "function", String(place), "nodeDef"],
    nodes,
    constants,
    inputs,
    outputs: outputs.map((output) => values.get(output) ?? { name: output }),
    values,
    functions,
  };
  return { graph, inputs: inputs.map((one) => one.name), outputs, defaults: new Map() };
}

/** Names of the outputs of operations that have several, which the bodies of functions call them by. */
const OUTPUTS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    "y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3":
      "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 _FusedBatchNormEx",
    "values indices": "TopK TopKV2",
    "output_false output_true": "Switch",
    "output value_index": "Merge",
    "y idx": "Unique UniqueV2",
    "out idx": "ListDiff",
    "selected_indices selected_scores": "NonMaxSuppressionV5",
    "selected_indices valid_outputs": "NonMaxSuppressionV4",
    "handle flow": "TensorArrayV3",
    "r0 r1": "BroadcastGradientArgs",
    "mean variance": "Moments",
  }).flatMap(([names, operators]) =>
    operators.split(" ").map((operator) => [operator, names.split(" ")] as const),
  ),
);

/** `name:0` is `name`; in the bodies of functions it is `name:output:0`, counted within that output. */
function valueName(input: string, operators?: ReadonlyMap<string, string>): string {
  const [name, ...rest] = input.split(":");
  const index = Number(rest.at(-1) ?? 0);
  const first = rest.length > 1 ? (OUTPUTS.get(operators?.get(name) ?? "")?.indexOf(rest[0]) ?? 0) : 0;
  const output = Math.max(0, first) + index;
  return output === 0 || !Number.isSafeInteger(output) ? name : `${name}:${output}`;
}

/** Of a graph's nodes together, beyond the first of each. */
const MOST_OUTPUTS = 2 ** 20;

/** NodeDef, each; constants and shapes that they tell of. */
function nodesIn(
  listed: readonly unknown[],
  weights: ReadonlyMap<string, Constant>,
  fail: Fail,
): { nodes: StoredNode[]; constants: Map<string, Constant>; values: Map<string, ValueInfo> } {
  const operators = new Map<string, string>();
  for (const node of listed) {
    if (!isObject(node) || typeof node.name !== "string" || typeof node.op !== "string") {
      throw fail("expected a name and an operator of each node");
    }
    if (operators.has(node.name))
      throw fail(`expected each node once, got "${node.name.slice(0, 80)}" twice`);
    operators.set(node.name, node.op);
  }
  const reads = (listed as JSONObject[]).map(({ input }) =>
    listIn(input).filter((one): one is string => typeof one === "string"),
  );
  const inputs = reads.map((names) =>
    names.filter((one) => !one.startsWith("^")).map((one) => valueName(one, operators)),
  );
  // how many outputs a node has stands nowhere: as many as are read
  const highest = new Map<string, number>();
  let most = 0;
  for (const one of inputs.flat()) {
    const [name, index = "0"] = one.split(":");
    const known = highest.get(name) ?? 0;
    const now = Math.max(known, Number(index));
    most += now - known;
    if (most > MOST_OUTPUTS) throw fail(`expected at most ${MOST_OUTPUTS} outputs of all nodes`);
    highest.set(name, now);
  }
  const constants = new Map<string, Constant>();
  const values = new Map<string, ValueInfo>();
  const nodes = (listed as JSONObject[]).map((node, place): StoredNode => {
    const name = node.name as string;
    const operator = node.op as string;
    const tensor = operator === "Const" ? weights.get(name) : undefined;
    if (tensor) constants.set(name, tensor);
    const attr = isObject(node.attr) ? node.attr : {};
    const attributes = new Map(
      Object.entries(attr).map(([key, value]) => [key, attributeOf(value)] as const),
    );
    for (const [i, shape] of shapesOf(attr).entries()) {
      const output = i === 0 ? name : `${name}:${i}`;
      if (shape) values.set(output, { name: output, shape });
    }
    const outputs = Array.from({ length: 1 + (highest.get(name) ?? 0) }, (_, i) =>
      i === 0 ? name : `${name}:${i}`,
    );
    return {
      name,
      operator,
      domain: "",
      opset: 0,
      inputs: inputs[place],
      outputs,
      attributes,
      overload: "",
      place,
      controls: reads[place].filter((one) => one.startsWith("^")).map((one) => one.slice(1)),
    };
  });
  return { nodes: inOrder(nodes), constants, values };
}

/** AttrValue, which has one member. */
function attributeOf(given: unknown): Attribute {
  const value = isObject(given) ? attrValue(given) : undefined;
  return { ...(value !== undefined && { value }), graphs: [], reference: placeholderIn(given) };
}

function placeholderIn(given: unknown): string {
  return isObject(given) ? textIn(given.placeholder) : "";
}

function attrValue({ s, i, f, b, type, shape, list, func }: JSONObject): Attribute["value"] {
  if (s !== undefined && s !== null) return bytesText(s);
  if (i !== undefined && i !== null) return numberOf(i);
  if (f !== undefined && f !== null) return Math.fround(numberOf(f));
  if (b !== undefined && b !== null) return b === true || b === "true" ? 1 : 0;
  if (type !== undefined && type !== null) return typeOf(type);
  if (isObject(shape)) return shapeOf(shape);
  if (isObject(func)) return textIn(func.name);
  if (!isObject(list)) return undefined;
  // some writers give the lists of all kinds, of which one has something in it
  const some = (kind: string): readonly unknown[] | undefined => {
    const items = listIn(list[kind]);
    return items.length > 0 ? items : undefined;
  };
  const items =
    some("s")?.map(bytesText) ??
    some("i")?.map(numberOf) ??
    some("f")?.map((one) => Math.fround(numberOf(one))) ??
    some("b")?.map((one) => (one === true ? 1 : 0)) ??
    some("type")?.map(typeOf) ??
    some("func")?.map((one) => textIn(isObject(one) ? one.name : ""));
  if (items !== undefined) return items as readonly string[] | readonly number[];
  return (some("shape") ?? some("tensor")) ? undefined : [];
}

/** 64-bit integers are texts in JSON, and so are NaN and Infinity. */
function numberOf(value: unknown): number {
  return typeof value === "number" || typeof value === "string" ? Number(value) : Number.NaN;
}

/** Bytes in base64, or as a list. What is no base64 is a text as it stands. */
function bytesText(value: unknown): string {
  if (Array.isArray(value)) return new TextDecoder().decode(Uint8Array.from(value));
  try {
    const decoded = atob(textIn(value));
    return new TextDecoder().decode(Uint8Array.from(decoded, (character) => character.charCodeAt(0)));
  } catch {
    return textIn(value);
  }
}

const NAMED_TYPES: Readonly<Record<string, string>> = {
  DT_FLOAT: "float32",
  DT_DOUBLE: "float64",
  DT_HALF: "float16",
};

/** A DataType by its name or its number. */
function typeOf(value: unknown): string {
  if (typeof value === "number") return typeNumbered(value);
  const name = textIn(value);
  return (
    (Object.hasOwn(NAMED_TYPES, name) ? NAMED_TYPES[name] : undefined) ??
    name.replace(/^DT_/, "").toLowerCase()
  );
}

/** TensorShapeProto: −1 for a length that is open; undefined where the rank is. */
function shapeOf({ unknownRank, dim }: JSONObject): number[] | undefined {
  if (unknownRank === true) return undefined;
  return listIn(dim).map((one) => {
    const { size = 0 } = isObject(one) ? one : {};
    return numberOf(size);
  });
}

/** A shape as values have it. */
function lengthsIn(shape: unknown): (number | string)[] | undefined {
  if (!Array.isArray(shape)) return undefined;
  return shape.map((length) => (Number.isSafeInteger(length) && length >= 0 ? length : ""));
}

/** Shapes of a node's outputs, as the converter's inference left them. */
function shapesOf({ _output_shapes: inferred }: JSONObject): ((number | string)[] | undefined)[] {
  const { list } = isObject(inferred) ? inferred : {};
  const shapes = listIn(isObject(list) ? list.shape : []);
  return shapes.map((shape) => (isObject(shape) ? lengthsIn(shapeOf(shape)) : undefined));
}
