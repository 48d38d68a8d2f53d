/** Graph models of TensorFlow.js with mends: model.json, in which all else stays as it is written, and one more file of weights. */
import type { StoredGraphModel, StoredNode } from "../checkpoints/formats/tfjs-graph.js";
import type { Float, Graph, Integer, Mend, NewConstant, NewNode, Node } from "../checkpoints/graphs/graph.js";
import type { Files } from "../checkpoints/source.js";
import { type JSONRange, listed, rangeAt } from "./json-ranges.js";
import { type MendedGraph, mended } from "./mended.js";
import { rawValues } from "./messages.js";
import { unusedFile } from "./names.js";
import { lengthOf, type Written, type WrittenFile } from "./pieces.js";

/** A part of a text, and what stands in its place. */
type Edit = JSONRange & { readonly text: string };

/**
 * @param name of model.json
 * @param changes values that are observed stay: `execute` gives any node's by its name
 */
export async function writtenGraphModel(
  files: Files,
  model: StoredGraphModel,
  { mends = [], observe = [], name }: { mends?: readonly Mend[]; observe?: readonly string[]; name: string },
): Promise<Written> {
  for (const value of observe) {
    if (model.graph.nodes.some(({ outputs }) => outputs.includes(value))) continue;
    throw new RangeError(
      `written: observe must name values of the model's own graph, got "${value}", which is none`,
    );
  }
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(await files.bytes.read());
  const kept = new Map<Graph, readonly string[]>([[model.graph, observe]]);
  const graphs = mended("written", model.graphs, mends, kept, controls);
  const edits: Edit[] = [];
  for (const graph of model.graphs) {
    const range = rangeAt(text, graph.nodesAt);
    const changes = graphs.get(graph) as MendedGraph;
    if (range === undefined || changes.removed.size + changes.added.size + changes.constants.length === 0)
      continue;
    edits.push({ ...range, text: listed(text, range, placesOf(changes.removed), addedTo(changes)) });
  }
  const constants = [...graphs.values()].flatMap((changes) => changes.constants);
  const shard = constants.length > 0 ? shardOf(constants, model.external) : undefined;
  if (shard) edits.push(manifestWith(text, shard.group));
  const json = edits.length > 0 ? new TextEncoder().encode(withEdits(text, edits)) : undefined;
  const parts = [json ?? files.bytes];
  const main: WrittenFile = { name, parts, byteLength: lengthOf(parts) };
  let nodes = 0;
  for (const { removed } of graphs.values()) nodes += removed.size;
  return { files: shard ? [main, shard.file] : [main], dropped: { nodes, constants: 0 } };
}

/** Nodes that a node waits for, and does not read. */
const controls = (node: Node): readonly string[] => (node as StoredNode).controls;

const placesOf = (nodes: ReadonlySet<Node>): Set<number> =>
  new Set(Array.from(nodes, (node) => (node as StoredNode).place));

/** New nodes as JSON, by the places that they come after; constants before all others. */
function addedTo({ added, constants }: MendedGraph): Map<number, string[]> {
  const found = new Map<number, string[]>([[-1, constants.map(constantNode)]]);
  for (const [node, nodes] of added) found.set((node as StoredNode).place, nodes.map(nodeDef));
  return found;
}

/** NodeDef. */
function nodeDef({ name, operator, inputs, outputs, attributes }: NewNode): string {
  if (outputs[0] !== name) {
    throw new RangeError(
      `written: a node of TensorFlow gives a value of its own name, got "${name}" for "${outputs[0]}"`,
    );
  }
  const attr = Object.entries(attributes).map(([key, value]) => [key, attrValue(key, value)]);
  return JSON.stringify({ name, op: operator, input: inputs, attr: Object.fromEntries(attr) });
}

const TYPES: Readonly<Record<string, string>> = {
  float32: "DT_FLOAT",
  float16: "DT_HALF",
  float64: "DT_DOUBLE",
  int32: "DT_INT32",
  int64: "DT_INT64",
  bool: "DT_BOOL",
};
const FLAGS = new Set(
  ["keep_dims", "is_training", "transpose_a", "transpose_b", "adj_x", "adj_y", "exclusive", "reverse"].concat(
    ["half_pixel_centers", "align_corners", "Truncate", "validate_indices"],
  ),
);

/** AttrValue: of a type where the attribute is one, of a flag where it is one. */
function attrValue(key: string, value: Integer | Float | string): unknown {
  if (typeof value === "string") {
    const isType = /^(T|T[a-z]+|[A-Z][a-z]*T|dtype|out_type)$/.test(key) && Object.hasOwn(TYPES, value);
    return isType ? { type: TYPES[value] } : { s: base64(value) };
  }
  if ("float" in value)
    return typeof value.float === "number" ? { f: value.float } : { list: { f: value.float } };
  const { integer } = value;
  if (typeof integer !== "number") return { list: { i: integer.map(String) } };
  return FLAGS.has(key) ? { b: integer !== 0 } : { i: String(integer) };
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** TensorFlow.js has numbers of float32 and int32. */
const typeOf = ({ dtype }: NewConstant): "float32" | "int32" =>
  dtype.startsWith("int") ? "int32" : "float32";

/** NodeDef of a constant whose values lie among the weights. */
function constantNode(constant: NewConstant): string {
  const dtype = TYPES[typeOf(constant)];
  const tensorShape = { dim: constant.shape.map((length) => ({ size: String(length) })) };
  const attr = { dtype: { type: dtype }, value: { tensor: { dtype, tensorShape } } };
  return JSON.stringify({ name: constant.name, op: "Const", attr });
}

/** New constants in a file of their own, and the manifest's group of it. */
function shardOf(
  constants: readonly NewConstant[],
  external: readonly string[],
): { file: WrittenFile; group: string } {
  const name = unusedFile(external, (i) => `mended${i === 0 ? "" : i}-shard1of1.bin`);
  const parts = constants.map((one) => rawValues("written", { ...one, dtype: typeOf(one) }));
  const weights = constants.map((one) => ({ name: one.name, shape: one.shape, dtype: typeOf(one) }));
  return {
    file: { name, parts, byteLength: lengthOf(parts) },
    group: JSON.stringify({ paths: [name], weights }),
  };
}

function manifestWith(text: string, group: string): Edit {
  const range = rangeAt(text, ["weightsManifest"]);
  if (range && text[range.start] === "[") {
    return { ...range, text: listed(text, range, new Set(), new Map([[Number.POSITIVE_INFINITY, [group]]])) };
  }
  const start = text.indexOf("{") + 1;
  return { start, end: start, text: `"weightsManifest": [${group}], ` };
}

function withEdits(text: string, edits: readonly Edit[]): string {
  let result = "";
  let at = 0;
  for (const { start, end, text: replaced } of [...edits].sort((a, b) => a.start - b.start)) {
    result += text.slice(at, start) + replaced;
    at = end;
  }
  return result + text.slice(at);
}
