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
import type { Format, Module } from "../checkpoint.js";
import { CheckpointError } from "../errors.js";
import { find } from "../graphs/find.js";
import type { Found, Parameter } from "../graphs/found.js";
import { callKey, type Node } from "../graphs/graph.js";
import { madeTensor, type Tensor } from "../tensors.js";
import {
  MOST_DEPTH,
  modelIn,
  type StoredAttribute,
  type StoredGraph,
  type StoredNode,
} from "./onnx-graph.js";
import { FORMAT } from "./onnx-tensors.js";

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
    const model = await modelIn(files);
    const found = await walked(files.name, model.graph);
    const beside = [...model.external.values()].map((bytes) => bytes?.byteLength ?? 0);
    return {
      format: FORMAT,
      framework: "onnx",
      file: files.name,
      byteLength: beside.reduce((sum, length) => sum + length, files.bytes.byteLength),
      metadata: {
        ir_version: model.irVersion,
        producer_name: model.producerName,
        producer_version: model.producerVersion,
        model_version: model.modelVersion,
        opset_import: Object.fromEntries(
          Array.from(model.opsets, ([domain, version]) => [domain || "ai.onnx", version]),
        ),
        metadata_props: Object.fromEntries(model.metadata),
      },
      ...found,
      others: new Map(),
    };
  },
};

/** Where names of tensors mean something: a graph, and the graphs around it. */
interface Scope {
  /** Before the names of what is in it. */
  readonly prefix: string;
  /** By the graph's own names. */
  readonly known: Map<string, Tensor>;
  readonly around?: Scope;
  /** Of the call, where it is a function's. */
  readonly arguments: ReadonlyMap<string, StoredAttribute>;
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
  main: StoredGraph,
): Promise<{ tensors: Map<string, Tensor>; modules: Module[] }> {
  const tensors = new Map<string, Tensor>();
  /** Nodes in the graph's order, those that are modules as such. */
  const visited: { node: StoredNode; scope: Scope; module?: Module }[] = [];
  const graphs = new Map<StoredGraph, Scope>();
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
  const walk = (nodes: readonly StoredNode[], scope: Scope): void => {
    if (scope.depth > MOST_DEPTH) {
      throw new CheckpointError(
        file,
        FORMAT,
        `expected at most ${MOST_DEPTH} calls of functions in each other`,
      );
    }
    for (const node of nodes) {
      spend(
        scope.prefix.length +
          node.name.length +
          8 * (node.inputs.length + node.outputs.length + node.attributes.size),
      );
      const attributes = new Map<string, StoredAttribute>();
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
      const called = main.functions.get(callKey(node));
      if (called) {
        const known = new Map<string, Tensor>();
        for (const [i, name] of called.inputs.entries()) if (inputs[i]) known.set(name, inputs[i]);
        const inner: Scope = {
          prefix: within,
          known,
          arguments: new Map([...called.defaults, ...attributes]),
          depth,
        };
        walk(called.graph.nodes, inner);
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
      visited.push({ node, scope, module: moduleOf(node, inputs, attributes, scope) });
      for (const [name, { graphs }] of attributes) {
        for (const [i, inside] of graphs.entries()) {
          const prefix = `${within}${name}${graphs.length > 1 ? i : ""}/`;
          enter(inside, { ...scope, prefix, known: new Map(), around: scope, depth });
        }
      }
    }
  };
  const enter = (graph: StoredGraph, scope: Scope): void => {
    for (const tensor of graph.initializers) add(scope, tensor, tensor.name);
    graphs.set(graph, scope);
    walk(graph.nodes, scope);
  };
  enter(main, { prefix: "", known: new Map(), arguments: new Map(), depth: 0 });
  /** Normalizations that are written out, by the node that measures; and the nodes that they stand for. */
  const written = new Map<Node, Found>();
  const within = new Set<Node>();
  for (const graph of graphs.keys()) {
    for (const norm of await normsIn(graph)) {
      if (norm.isOperator || !Object.hasOwn(OPERATORS, norm.norm)) continue;
      written.set(
        norm.nodes.find(({ operator }) => MEASURING.test(operator)) ?? norm.nodes[norm.nodes.length - 1],
        norm,
      );
      for (const node of norm.nodes) within.add(node);
    }
  }
  const modules = visited.flatMap(({ node, scope, module }) => {
    const norm = written.get(node);
    if (norm) return [writtenOut(norm, nameOf(node, scope), (name) => lookedUp(scope, name), file)];
    return module && !within.has(node) ? [module] : [];
  });
  return { tensors, modules };
}

/** None where a constant cannot be read: the file opens all the same. */
async function normsIn(graph: StoredGraph): Promise<readonly Found[]> {
  try {
    return (await find(graph)).norms;
  } catch (error) {
    if (error instanceof CheckpointError) return [];
    throw error;
  }
}

/** In the middle of what is written out: what a normalization is known by. */
const MEASURING = /^(Sqrt|InstanceNormalization|BatchNormalization)$/;

/** The operators that stand for what is written out, the version that has them, and what they call gamma and beta. */
const OPERATORS = {
  layerNorm: ["LayerNormalization", 17, "Scale", "B"],
  rmsNorm: ["RMSNormalization", 23, "scale", "B"],
  groupNorm: ["GroupNormalization", 21, "scale", "bias"],
  instanceNorm: ["InstanceNormalization", 6, "scale", "B"],
} as const;

/** What is written out as the operator that it stands for. */
function writtenOut(
  { norm, shape, axes, epsilon, groups, gamma, beta }: Found,
  name: string,
  constant: (name: string) => Tensor | undefined,
  file: string,
): Module {
  const [type, opset, scale, bias] = OPERATORS[norm as keyof typeof OPERATORS];
  const isOfLayers = norm === "layerNorm" || norm === "rmsNorm";
  const config = {
    ...(isOfLayers && { axis: axes[0] - shape.length }),
    // as the file has it
    epsilon: Math.fround(epsilon),
    ...(norm === "groupNorm" && { num_groups: groups }),
  };
  const tensors: Record<string, Tensor> = {};
  const add = (called: string, parameter: Parameter | undefined) => {
    const tensor = parameter && tensorOf(parameter, called, constant, file);
    if (tensor) tensors[called] = tensor;
  };
  add(scale, gamma);
  add(bias, beta);
  return { name, type, config, tensors, opset };
}

/** A constant of the file, or what is computed of several. */
function tensorOf(
  { name, shape, values }: Parameter,
  called: string,
  constant: (name: string) => Tensor | undefined,
  file: string,
): Tensor | undefined {
  const stored = name === undefined ? undefined : constant(name);
  if (stored || values === undefined) return stored;
  const made = Float32Array.from(values);
  return madeTensor({
    name: called,
    dtype: "float32",
    shape,
    at: { file, byteLength: 0 },
    read: async () => made.slice(),
  });
}

function nameOf({ name, outputs, type }: StoredNode, { prefix }: Scope): string {
  return prefix + (name || outputs[0] || type);
}

/** Operators that give what they get. */
const PASSING = ["Identity", "Cast", "CastLike"];

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
  node: StoredNode,
  inputs: readonly (Tensor | undefined)[],
  attributes: ReadonlyMap<string, StoredAttribute>,
  scope: Scope,
): Module | undefined {
  const { type } = node;
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
    opset: node.opset === 0 ? undefined : node.opset,
  };
}
