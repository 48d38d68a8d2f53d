/** Graph models of TensorFlow.js, as they lie in memory: what runs them, and a copy of it in which nodes are replaced. */
import * as tf from "@tensorflow/tfjs-core";
import { described } from "../../shape.js";
import { type Carried, carryOn } from "../kernels/carried.js";

/** A `tf.GraphModel`, as its types tell. */
export interface GraphModel {
  readonly inputNodes: string[];
  readonly outputNodes: string[];
  readonly weights: Record<string, tf.Tensor[]>;
  execute(
    inputs: tf.Tensor | tf.Tensor[] | tf.NamedTensorMap,
    outputs?: string | string[],
  ): tf.Tensor | tf.Tensor[];
  dispose(): void;
}

/** The parts of `GraphModel` (tfjs-converter 4.22) that are used; they are internal to it. */
export interface LoadedGraphModel extends GraphModel {
  executor: GraphExecutor;
  readonly artifacts: { readonly modelTopology?: unknown };
  readonly signature?: unknown;
  readonly resourceManager: object;
}

type Execute<R> = (inputs: tf.NamedTensorMap, outputs: string[]) => R;

/** Its `GraphExecutor`. */
export interface GraphExecutor {
  readonly graph: ExecutorGraph;
  weightMap: Record<string, tf.Tensor[]>;
  resourceManager: object;
  execute: Execute<tf.Tensor[]>;
  executeAsync: Execute<Promise<tf.Tensor[]>>;
  /** Of the last run, where TensorFlow.js is told to keep them. */
  getIntermediateTensors(): unknown;
  disposeIntermediateTensors(): void;
}

/** Its graph: the model's, or a function's. */
export interface ExecutorGraph {
  readonly nodes: Readonly<Record<string, ExecutorNode>>;
  readonly inputs: readonly ExecutorNode[];
  readonly outputs: readonly ExecutorNode[];
  readonly weights: readonly ExecutorNode[];
  readonly placeholders: readonly ExecutorNode[];
  readonly initNodes?: readonly ExecutorNode[];
  readonly functions?: Readonly<Record<string, ExecutorGraph>>;
  readonly signature?: { readonly inputs?: Named; readonly outputs?: Named };
}

type Named = Readonly<Record<string, { readonly name: string }>>;

export interface ExecutorNode {
  readonly name: string;
  readonly op: string;
  readonly category?: string;
  /** `name`, `name:1`, or `name:output:0`; control inputs too. */
  readonly inputNames: readonly string[];
  readonly inputs: readonly ExecutorNode[];
  readonly children: readonly ExecutorNode[];
  readonly inputParams: object;
  readonly attrParams: Readonly<Record<string, { readonly type: string; readonly value?: unknown }>>;
}

/** @throws TypeError for what is no graph model, RangeError for one that is not loaded, or disposed of */
export function checkGraphModel(caller: string, model: unknown): asserts model is LoadedGraphModel {
  const { executor, artifacts, layers, load } = (model ?? {}) as Partial<LoadedGraphModel> & {
    layers?: unknown;
    load?: unknown;
  };
  const problem = (got: string) =>
    new TypeError(`${caller}: model must be a GraphModel, such as tf.loadGraphModel(url) gives, got ${got}`);
  if (Array.isArray(layers)) {
    throw problem("a LayersModel, whose normalizations install() makes run our operation");
  }
  if (typeof load === "function" && typeof (model as GraphModel).execute === "function" && !executor) {
    throw new RangeError(`${caller}: the model is not loaded; await model.load() first`);
  }
  // not by instanceof: our code imports no converter, and there may be several copies of it
  const graph = executor?.graph;
  const isKnown =
    typeof executor?.execute === "function" &&
    typeof graph?.nodes === "object" &&
    Array.isArray(graph.weights) &&
    typeof executor.weightMap === "object" &&
    typeof artifacts?.modelTopology === "object";
  if (!isKnown || !executor) throw problem(described(model));
  if (Object.values(executor.weightMap).some((tensors) => tensors.some((tensor) => tensor.isDisposed))) {
    throw new RangeError(`${caller}: the model is disposed of; load it again`);
  }
}

/** What a node does from now on. */
export interface Replacement {
  readonly inputs: readonly string[];
  /** What must have run before, and is not read. */
  readonly controls: readonly string[];
  readonly carried: Carried;
  /** Nodes whose values it no longer reads: where one of them is fed by the caller, the model runs as it was. */
  readonly bypasses: readonly string[];
}

/** Of one graph: by the names of nodes. */
export type Replacements = ReadonlyMap<string, Replacement>;

/** Replacements in a model, by the function that they are in ("" the model itself) and the node, and whether they run now. */
export interface Variant {
  readonly replacements: ReadonlyMap<string, Replacements>;
  runs(): boolean;
}

/**
 * Lets a model run copies of its graph in which nodes are replaced: the first variant that runs now and has what is asked for; where
 * outputs are asked for, or values fed, that a copy has not, the graph itself runs. Weights are shared, and `constants` are weights too from
 * now on: the model disposes of them.
 */
export function runReplaced(
  model: LoadedGraphModel,
  variants: readonly Variant[],
  constants: Readonly<Record<string, tf.Tensor>>,
): void {
  const { executor: original } = model;
  const weights = original.weightMap;
  for (const [name, tensor] of Object.entries(constants)) weights[name] = [tensor];
  const Executor = original.constructor as new (graph: ExecutorGraph) => GraphExecutor;
  const made = variants.map(({ replacements, runs }) => {
    const executor = new Executor(replaced("", original.graph, replacements));
    executor.resourceManager = model.resourceManager;
    const bypassed = [...(replacements.get("")?.values() ?? [])].flatMap(({ bypasses }) => bypasses);
    return { executor, runs, bypassed: new Set(bypassed) };
  });
  // through its setter, which keeps what must not be disposed of
  for (const executor of [original, ...made.map(({ executor }) => executor)]) executor.weightMap = weights;
  const { inputs: given = {}, outputs: named = {} } = original.graph.signature ?? {};
  const nodeOf = (name: string, signature: Named) => nodeName(signature[name]?.name ?? name);
  let running = original;
  const chosen = (inputs: tf.NamedTensorMap, outputs: readonly string[]) => {
    const fed = Object.keys(inputs).map((name) => nodeOf(name, given));
    const names = [...fed, ...outputs.map((name) => nodeOf(name, named))];
    const one = made.find(
      ({ executor: { graph }, runs, bypassed }) =>
        runs() &&
        names.every((name) => Object.hasOwn(graph.nodes, name)) &&
        !fed.some((name) => bypassed.has(name)),
    );
    if (one) carryOn(tf.getBackend());
    running = one?.executor ?? original;
    return running;
  };
  // what the model asks for its nodes, and to dispose of its weights
  const executor = new Executor(made[0].executor.graph);
  executor.weightMap = weights;
  executor.resourceManager = model.resourceManager;
  executor.execute = (inputs, outputs) => chosen(inputs, outputs).execute(inputs, outputs);
  executor.executeAsync = async (inputs, outputs) => chosen(inputs, outputs).executeAsync(inputs, outputs);
  executor.getIntermediateTensors = () => running.getIntermediateTensors();
  executor.disposeIntermediateTensors = () => running.disposeIntermediateTensors();
  model.executor = executor;
}

/** Without the output's name and number. */
export function nodeName(value: string): string {
  return value.split(":", 1)[0];
}

type Changing<T> = { -readonly [K in keyof T]: T[K] };
type NewNode = Changing<Omit<ExecutorNode, "inputs" | "children">> & {
  inputs: NewNode[];
  children: NewNode[];
};

/** A copy of a graph, of functions too, without the nodes that only replaced ones have read. */
function replaced(
  path: string,
  graph: ExecutorGraph,
  replacements: ReadonlyMap<string, Replacements>,
): ExecutorGraph {
  const here: Replacements = replacements.get(path) ?? new Map();
  const nodes: Record<string, NewNode> = {};
  for (const [name, node] of Object.entries(graph.nodes)) nodes[name] = { ...node, inputs: [], children: [] };
  const added: NewNode[] = [];
  for (const [name, { inputs, controls, carried }] of here) {
    for (const input of inputs.map(nodeName)) {
      if (nodes[input]) continue;
      nodes[input] = weightNode(input);
      added.push(nodes[input]);
    }
    nodes[name] = {
      ...nodes[name],
      op: tf.Einsum,
      category: "matrices",
      inputNames: [...inputs, ...controls],
      inputParams: { tensors: { type: "tensors", inputIndexStart: 0, inputIndexEnd: inputs.length } },
      attrParams: { equation: { type: "string", value: carried } },
    };
  }
  for (const node of Object.values(nodes)) {
    node.inputs = node.inputNames.map((name) => nodes[nodeName(name)]);
    for (const input of node.inputs) input.children.push(node);
  }
  const stays = new Set([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  const unread = [...here.keys()].flatMap((name) => graph.nodes[name].inputs);
  for (let one = unread.pop(); one !== undefined; one = unread.pop()) {
    const node = nodes[one.name];
    if (!node || node.children.length > 0 || stays.has(one.name)) continue;
    delete nodes[one.name];
    for (const input of node.inputs) input.children = input.children.filter((child) => child !== node);
    unread.push(...node.inputs);
  }
  const listed = (list: readonly ExecutorNode[]) => list.flatMap(({ name }) => nodes[name] ?? []);
  const { functions, initNodes } = graph;
  return {
    ...graph,
    nodes,
    inputs: listed(graph.inputs),
    outputs: listed(graph.outputs),
    weights: [...listed(graph.weights), ...added],
    placeholders: listed(graph.placeholders),
    ...(initNodes && { initNodes: listed(initNodes) }),
    ...(functions && {
      functions: Object.fromEntries(
        Object.entries(functions).map(([name, one]) => [name, replaced(name, one, replacements)]),
      ),
    }),
  };
}

function weightNode(name: string): NewNode {
  return {
    name,
    op: "Const",
    category: "graph",
    inputNames: [],
    inputs: [],
    children: [],
    inputParams: {},
    attrParams: {},
  };
}
