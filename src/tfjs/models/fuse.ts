/**
 * Normalizations of TensorFlow.js's graph models, run by our operation.
 *
 *     const model = await tf.loadGraphModel(url);
 *     const { norms, left } = await fuse(model);
 *
 * The model keeps its graph, and gets a second executor, of the same class, for a copy in which one node stands for each normalization: a
 * topology written anew would need the converter's registry of custom operations, which no model leads to, and nodes changed in place would
 * take from other outputs what they are computed by.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { JSONObject } from "../../checkpoints/encodings/json.js";
import { CheckpointError } from "../../checkpoints/errors.js";
import type { Fail } from "../../checkpoints/formats/tfjs.js";
import { graphsIn } from "../../checkpoints/formats/tfjs-graph.js";
import { find } from "../../checkpoints/graphs/find.js";
import type { Found, FoundActivation, FoundNorm } from "../../checkpoints/graphs/found.js";
import type { Constant, Node } from "../../checkpoints/graphs/graph.js";
import type { Values } from "../../checkpoints/tensors.js";
import { Carried } from "../kernels/carried.js";
import { fusedKernels, readyFused } from "../kernels/fused.js";
import {
  checkGraphModel,
  type ExecutorGraph,
  type GraphExecutor,
  type GraphModel,
  type LoadedGraphModel,
  nodeName,
  type Replacement,
  runReplaced,
} from "./graph-executor.js";
import {
  activating,
  normalizing,
  normalizingBatch,
  type Operation,
  parametersOf,
} from "./graph-operations.js";

/** What `fuse` did. */
export interface FusedModel {
  /** Normalizations that one node computes now: the name of the node that gives their output, which norm, of how many nodes. */
  readonly norms: readonly { readonly name: string; readonly norm: FoundNorm; readonly nodes: number }[];
  /** Activations that were written out, likewise. */
  readonly activations: readonly {
    readonly name: string;
    readonly activation: FoundActivation["activation"];
    readonly nodes: number;
  }[];
  /** Normalizations that were found and stay as they are, and why. */
  readonly left: readonly { readonly name: string; readonly norm: FoundNorm; readonly reason: string }[];
}

/**
 * Puts our operation in place of the normalizations of a graph model: of those that a converter wrote out as primitive operations (layer,
 * RMS, group, instance and batch normalization) and of FusedBatchNorm; and one pass in place of SiLU and GELU that are written out. The
 * model is changed, and is the same in all else: `predict`, `execute` and `executeAsync` with any nodes, also those that are fused away;
 * signatures, functions, control flow, weights, `save`, and `dispose`. Outputs are the same up to the rounding of float32, and nearer to
 * the truth where the model takes the variance as E[x²] − E[x]².
 *
 * The kernels run on the wasm backend. On others the model runs as it was, since what a converter wrote is faster there than our operation
 * composed of theirs; so it does where gradients are taken. What TensorFlow.js gives NaN for is repaired on every backend: a FusedBatchNorm
 * that measures the batch, as which Keras 2 writes layer normalization. A second call changes nothing, and returns the same.
 * @throws TypeError for what is no graph model, RangeError for one that is not loaded, or disposed of
 */
export function fuse(model: GraphModel): Promise<FusedModel> {
  try {
    checkGraphModel("fuse", model);
  } catch (error) {
    return Promise.reject(error);
  }
  const { executor } = model;
  const known = fused.get(executor);
  if (known) return known;
  const result = fuseLoaded(model);
  fused.set(executor, result);
  result.then(
    () => fused.set(model.executor, result),
    () => fused.delete(executor),
  );
  return result;
}

/** By the executor: a model may be loaded anew. */
const fused = new WeakMap<GraphExecutor, Promise<FusedModel>>();

async function fuseLoaded(model: LoadedGraphModel): Promise<FusedModel> {
  await readyFused();
  const weights = new Map(
    Object.entries(model.weights).map(([name, [tensor]]) => [name, constantOf(name, tensor)] as const),
  );
  const fail: Fail = (problem, remedy) =>
    new CheckpointError("the model", "TensorFlow.js", problem, { remedy });
  const topology = model.artifacts.modelTopology as JSONObject;
  const found: Awaited<ReturnType<typeof find>>[] = [];
  for (const graph of graphsIn(topology, model.signature, weights, fail)) found.push(await find(graph));
  // which may have been disposed of meanwhile
  checkGraphModel("fuse", model);
  const fusing = new Fusing(model);
  for (const { norms, activations } of found) {
    for (const one of norms) fusing.norm(one);
    for (const one of activations) fusing.activation(one);
  }
  return fusing.done();
}

function constantOf(name: string, tensor: tf.Tensor): Constant {
  const { shape, dtype } = tensor;
  return { name, shape, dtype, read: async () => (await tensor.data()) as Values };
}

/** Whether nobody asks for gradients, which TensorFlow.js takes of its own operations. */
const isForward = () => tf.engine().state.gradientDepth === 0;

/** Whether our kernels run here. */
const isFast = () => fusedKernels(tf.backend()) !== null;

/** Normalizations that the operation computes; those of weights and by length are others. */
const OURS: ReadonlySet<FoundNorm> = new Set([
  "layerNorm",
  "rmsNorm",
  "groupNorm",
  "instanceNorm",
  "batchNorm",
]);

type List<K extends keyof FusedModel> = FusedModel[K][number][];
type Lists = Map<string, Map<string, Replacement>>;

/** What a model will run, while it is gathered. */
class Fusing {
  private readonly norms: List<"norms"> = [];
  private readonly activations: List<"activations"> = [];
  private readonly left: List<"left"> = [];
  /** By the function that they are in, and the node that they stand for. */
  private readonly all: Lists = new Map();
  /** Those of what TensorFlow.js gives no numbers for: on every backend. */
  private readonly repairs: Lists = new Map();
  private readonly constants: Record<string, tf.Tensor> = {};
  /** Nodes of which others read more than the first output. */
  private readonly several = new Map<string, ReadonlySet<string>>();

  constructor(private readonly model: LoadedGraphModel) {}

  norm(found: Found): void {
    const { norm, y, x, nodes } = found;
    const name = nodeName(y);
    const reason = this.reasonAgainst(found);
    if (reason !== undefined) {
      this.left.push({ name, norm, reason });
      return;
    }
    const [node] = nodes;
    if (found.isOperator && !this.lacksStatistics(node)) {
      const { epsilon } = this.graph(found.graph.path).nodes[node.name].attrParams;
      this.replace(found, node.inputs.slice(0, 5), normalizingBatch(epsilon.value as number));
    } else {
      const inputs = parametersOf(found).map(
        ({ name, parameter }) =>
          parameter.name ?? this.added(`${y}/${name}`, parameter.shape, parameter.values),
      );
      this.replace(found, [x, ...inputs], normalizing(found));
    }
    this.norms.push({ name, norm, nodes: nodes.length });
  }

  activation(found: FoundActivation): void {
    const { activation, x, y, nodes } = found;
    if (y.includes(":") || this.all.get(found.graph.path)?.has(y)) return;
    this.replace(found, [x], activating(found));
    this.activations.push({ name: y, activation, nodes: nodes.length });
  }

  /** Lets the model run what was gathered. */
  done(): FusedModel {
    const { norms, activations, left, all, repairs } = this;
    const variants = [
      { replacements: all, runs: () => isFast() && isForward() },
      { replacements: repairs, runs: isForward },
    ].filter(({ replacements }) => replacements.size > 0);
    if (variants.length > 0) runReplaced(this.model, variants, this.constants);
    return { norms, activations, left };
  }

  private graph(path: string): ExecutorGraph {
    const { graph } = this.model.executor;
    const found = path === "" ? graph : graph.functions?.[path];
    if (!found) throw new Error(`fuse: expected that the model has the function ${path}`);
    return found;
  }

  /** Why a normalization stays as it is; undefined where it need not. */
  private reasonAgainst(found: Found): string | undefined {
    const { norm, y, nodes, epsilonAt, isOperator, dtype, graph } = found;
    if (!OURS.has(norm)) return "it is not the fused operation";
    if (epsilonAt !== "inside") return "its epsilon is not inside the root";
    if (dtype !== undefined && dtype !== "float32") return `it is of ${dtype}, not float32`;
    if (
      isOperator &&
      nodes[0].attributes.get("is_training")?.value !== 0 &&
      !this.lacksStatistics(nodes[0])
    ) {
      return "it measures the batch, and has statistics";
    }
    const { path } = graph;
    const several = this.several.get(path) ?? readBeyondFirst(this.graph(path));
    this.several.set(path, several);
    return y.includes(":") || several.has(y) ? "other outputs of its last node are read" : undefined;
  }

  private replace(
    { graph: { path }, nodes }: Found | FoundActivation,
    inputs: readonly string[],
    operation: Operation,
  ): void {
    const last = nodes[nodes.length - 1];
    const read = new Set(inputs.map(nodeName));
    const inside = nodes.flatMap((node) => [
      ...(node === last ? [] : [node.name]),
      ...node.inputs.map(nodeName),
    ]);
    const replacement: Replacement = {
      inputs,
      controls: this.graph(path).nodes[last.name].inputNames.slice(last.inputs.length),
      carried: new Carried(operation),
      bypasses: inside.filter((name) => !read.has(name)),
    };
    for (const lists of nodes.some((node) => this.lacksStatistics(node))
      ? [this.all, this.repairs]
      : [this.all]) {
      lists.set(path, (lists.get(path) ?? new Map()).set(last.name, replacement));
    }
  }

  /**
   * Whether it measures the batch, and has empty statistics, as TensorFlow says so: TensorFlow.js, which knows no such thing, gives NaN.
   * Keras 2 writes layer normalization so.
   */
  private lacksStatistics({ operator, inputs, attributes }: Node): boolean {
    if (!operator.startsWith("FusedBatchNorm") || attributes.get("is_training")?.value === 0) return false;
    const [mean] = this.model.weights[nodeName(inputs[3])] ?? [];
    return mean?.size === 0;
  }

  /** A weight of its own; returns its name. */
  private added(wanted: string, shape: readonly number[], values: Float64Array = new Float64Array()): string {
    const { graph, weightMap } = this.model.executor;
    const graphs = [graph, ...Object.values(graph.functions ?? {})];
    let name = wanted;
    while (weightMap[name] || this.constants[name] || graphs.some(({ nodes }) => nodes[name])) name += "_";
    this.constants[name] = tf.tensor(Float32Array.from(values), [...shape]);
    return name;
  }
}

function readBeyondFirst({ nodes }: ExecutorGraph): ReadonlySet<string> {
  const read = Object.values(nodes).flatMap(({ inputNames }) => inputNames);
  return new Set(read.filter((name) => /:[1-9]\d*$/.test(name)).map(nodeName));
}
