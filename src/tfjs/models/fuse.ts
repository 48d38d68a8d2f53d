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
import type { Found, FoundNorm, Parameter } from "../../checkpoints/graphs/found.js";
import type { Constant } from "../../checkpoints/graphs/graph.js";
import type { Values } from "../../checkpoints/tensors.js";
import { type FusedNorm, memoizeLast, planOf } from "../../formula/plan.js";
import { Carried } from "../kernels/carried.js";
import { fusedKernels, readyFused } from "../kernels/fused.js";
import { type NormalizeParameters, normalize } from "../kernels/normalize.js";
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

/** What `fuse` did. */
export interface FusedModel {
  /** Normalizations that one node computes now: the name of the node that gives what they give, which norm, of how many nodes. */
  readonly norms: readonly { readonly name: string; readonly norm: FoundNorm; readonly nodes: number }[];
  /** Those that were found and stay as they are, and why. */
  readonly left: readonly { readonly name: string; readonly norm: FoundNorm; readonly reason: string }[];
}

/**
 * Puts our operation in place of the normalizations of a graph model: of those that a converter wrote out as primitive operations (layer,
 * RMS, group, instance and batch normalization) and of FusedBatchNorm. The model is changed, and is the same in all else: `predict`,
 * `execute` and `executeAsync` with any nodes, also those that are fused away; signatures, functions, control flow, weights, `save`, and
 * `dispose`. Outputs are the same up to the rounding of float32, and nearer to the truth where the model takes the variance as
 * E[x²] − E[x]².
 *
 * The kernels run on the wasm backend. On others, and where gradients are taken, the model runs as it was: their own operations are as fast
 * as ours composed of them. A second call changes nothing, and returns the same.
 * @throws TypeError for what is no graph model, RangeError for one that is not loaded, or disposed of
 */
export function fuse(model: GraphModel): Promise<FusedModel> {
  try {
    checkGraphModel("fuse", model);
  } catch (error) {
    return Promise.reject(error);
  }
  const known = fused.get(model.executor);
  if (known) return known;
  const { executor } = model;
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
  const norms: Found[] = [];
  const topology = model.artifacts.modelTopology as JSONObject;
  const fail: Fail = (problem, remedy) =>
    new CheckpointError("the model", "TensorFlow.js", problem, { remedy });
  for (const graph of graphsIn(topology, model.signature, weights, fail)) {
    norms.push(...(await find(graph)).norms);
  }
  return replace(model, norms);
}

function constantOf(name: string, tensor: tf.Tensor): Constant {
  const { shape, dtype } = tensor;
  return { name, shape, dtype, read: async () => (await tensor.data()) as Values };
}

/** Lets a model run our operation where these were found. */
export function replace(model: LoadedGraphModel, found: readonly Found[]): FusedModel {
  const { graph } = model.executor;
  const replacements = new Map<string, Map<string, Replacement>>();
  const constants: Record<string, tf.Tensor> = {};
  const several = new Map<ExecutorGraph, ReadonlySet<string>>();
  const norms: FusedModel["norms"][number][] = [];
  const left: FusedModel["left"][number][] = [];
  for (const one of found) {
    const { norm, y, nodes } = one;
    const { path } = one.graph;
    const name = nodeName(y);
    const within = path === "" ? graph : graph.functions?.[path];
    if (!within) throw new Error(`fuse: expected that the model has the function ${path}`);
    const others = several.get(within) ?? readBeyondFirst(within);
    several.set(within, others);
    const reason = reasonAgainst(one, within, others);
    if (reason !== undefined) {
      left.push({ name, norm, reason });
      continue;
    }
    const list = replacements.get(path) ?? new Map<string, Replacement>();
    replacements.set(path, list.set(name, replacementOf(one, within, constants, model)));
    norms.push({ name, norm, nodes: nodes.length });
  }
  if (norms.length > 0) runReplaced(model, replacements, constants, runsHere);
  return { norms, left };
}

/** Whether our kernels run here, and nobody asks for gradients, which TensorFlow.js takes of its own operations. */
function runsHere(): boolean {
  return fusedKernels(tf.backend()) !== null && tf.engine().state.gradientDepth === 0;
}

/** Normalizations that the operation computes; of weights and of lengths there are others. */
const OURS: ReadonlySet<FoundNorm> = new Set([
  "layerNorm",
  "rmsNorm",
  "groupNorm",
  "instanceNorm",
  "batchNorm",
]);

/** Why a normalization stays as it is; undefined where it need not. */
function reasonAgainst(found: Found, graph: ExecutorGraph, several: ReadonlySet<string>): string | undefined {
  const { norm, y, nodes, isOperator, mean, variance, dtype } = found;
  if (!OURS.has(norm)) return "it is not the fused operation";
  if (dtype !== undefined && dtype !== "float32") return `it is of ${dtype}`;
  if (norm === "batchNorm" && isOperator && !(mean && variance)) {
    return "it measures the batch; after install() the wasm backend runs it by the same kernel";
  }
  if (y.includes(":") || several.has(y)) return "other outputs of its last node are read";
  return nodes.every(({ name }) => graph.nodes[name])
    ? undefined
    : "the model has other nodes than its topology";
}

/** Names of nodes of which others read more than the first output. */
function readBeyondFirst({ nodes }: ExecutorGraph): ReadonlySet<string> {
  const read = Object.values(nodes).flatMap(({ inputNames }) => inputNames);
  return new Set(read.filter((name) => /:[1-9]\d*$/.test(name)).map(nodeName));
}

type ParameterName = "gamma" | "beta" | "mean" | "variance";

/** A parameter as the operation reads it. */
interface Read {
  readonly name: ParameterName;
  /** Of x, that it follows. */
  readonly axes: readonly number[];
  /** As the model runs: it broadcasts to x, and may have one value along an axis where others were expected. */
  readonly isComputed: boolean;
}

function replacementOf(
  found: Found,
  graph: ExecutorGraph,
  constants: Record<string, tf.Tensor>,
  model: LoadedGraphModel,
): Replacement {
  const inputs = [found.x];
  const reads: Read[] = [];
  for (const name of ["gamma", "beta", "mean", "variance"] as const) {
    const parameter = found[name];
    if (!parameter) continue;
    reads.push({ name, axes: parameter.axes, isComputed: !parameter.values });
    inputs.push(parameter.name ?? added(`${found.y}/${name}`, parameter, constants, model));
  }
  const last = found.nodes[found.nodes.length - 1];
  const inside = found.nodes.filter((node) => node !== last);
  const bypasses = new Set([
    ...inside.map(({ name }) => name),
    ...found.nodes.flatMap((node) => node.inputs.map(nodeName)),
  ]);
  for (const input of inputs) bypasses.delete(nodeName(input));
  return {
    inputs,
    controls: graph.nodes[last.name].inputNames.slice(last.inputs.length),
    carried: new Carried(operation(found, reads)),
    bypasses: [...bypasses],
  };
}

/** A weight of its own; returns its name. */
function added(
  wanted: string,
  { shape, values = new Float64Array() }: Parameter,
  constants: Record<string, tf.Tensor>,
  { executor }: LoadedGraphModel,
): string {
  let name = wanted;
  const { nodes } = executor.graph;
  while (nodes[name] || executor.weightMap[name] || constants[name]) name += "_";
  constants[name] = tf.tensor(Float32Array.from(values), [...shape]);
  return name;
}

/** The operation on x and what else is read. */
function operation(found: Found, reads: readonly Read[]): Carried["run"] {
  const norms = new Map<string, FusedNorm>();
  const normOf = (axes: readonly number[]) => {
    const key = axes.join();
    const known = norms.get(key) ?? normOver(found, axes);
    norms.set(key, known);
    return known;
  };
  return ([x, ...tensors]) => {
    if (x.size === 0) return tf.clone(x);
    return tf.tidy(() => {
      const given: Partial<Record<ParameterName, Aligned>> = {};
      for (const [i, read] of reads.entries()) given[read.name] = alignedTo(x, tensors[i], read);
      const { gamma, beta, mean, variance } = given;
      const along = (gamma ?? beta)?.axes ?? [];
      const isOurs = (one: Aligned | undefined) => one?.axes?.join() === along.join();
      // what the operation cannot take is broadcast, as in the graph
      const [scales, offsets] = [isOurs(gamma), isOurs(beta) && (!gamma || isOurs(gamma))];
      const parameters: NormalizeParameters = {
        ...(gamma && scales && { gamma: gamma.tensor }),
        ...(beta && offsets && { beta: beta.tensor }),
        ...(mean && variance && { mean: mean.tensor, variance: variance.tensor }),
      };
      let { y } = normalize(normOf(along), x, parameters);
      if (gamma && !scales) y = tf.mul(y, gamma.tensor);
      if (beta && !offsets) y = tf.add(y, beta.tensor);
      return y;
    });
  };
}

/** A parameter along axes of x: one value for each place, in their order. Without axes, as it broadcasts to x, or x to it. */
interface Aligned {
  readonly tensor: tf.Tensor;
  readonly axes?: readonly number[];
}

function alignedTo(x: tf.Tensor, tensor: tf.Tensor, { axes, isComputed }: Read): Aligned {
  const along = isComputed && tensor.rank === x.rank ? axes.filter((axis) => tensor.shape[axis] !== 1) : axes;
  const lengths = along.map((axis) => x.shape[axis]);
  if (tensor.size !== tf.util.sizeFromShape(lengths)) return { tensor };
  const isPlain = tf.util.arraysEqual(tensor.shape, lengths);
  return { tensor: isPlain ? tensor : tf.reshape(tensor, lengths), axes: along };
}

/** The norm with parameters along these axes of x. */
function normOver({ norm, axes, channels, groups, epsilon }: Found, along: readonly number[]): FusedNorm {
  // an axis that is cut into groups is two
  const isCut = (axis: number) => groups !== undefined && axis === channels;
  const places = (axis: number) => {
    const at = groups !== undefined && channels !== undefined && axis > channels ? axis + 1 : axis;
    return isCut(axis) ? [at, at + 1] : [at];
  };
  return {
    name: norm,
    epsilon,
    centered: norm !== "rmsNorm",
    plan: memoizeLast((shape) => {
      const viewed = shape.flatMap((length, axis) =>
        isCut(axis) ? [groups as number, length / (groups as number)] : [length],
      );
      const kept = [...shape.keys()].flatMap((axis) => {
        if (isCut(axis)) return places(axis).slice(0, 1);
        return axes.includes(axis) ? [] : places(axis);
      });
      return {
        ...planOf(shape, viewed, kept, along.flatMap(places)),
        parameterShape: along.map((axis) => shape[axis]),
      };
    }),
  };
}
