/** What a model's normalizations can be mended by. */
import type { Graph, Mend, Node } from "../checkpoints/graphs/graph.js";
import { described } from "../shape.js";
import type { Place } from "./draft.js";
import type { FoundInModel } from "./find.js";
import { batchMend, evaluationMend, isTraining } from "./mends-batch.js";
import { normMend } from "./mends-norms.js";
import { activationMend, RUNTIME_OPERATORS, skipMend } from "./mends-runtime.js";
import { isOfWeight, weightMend } from "./mends-weights.js";
import type { Model } from "./model.js";
import { Names } from "./names.js";
import { canRaise } from "./opsets.js";
import { Wiring } from "./wiring.js";

/** Values of folded weights that are in memory at a time: 256 MB. Normalizations beyond stay as they are. */
const MOST_FOLDED = 2 ** 26;

/** Options of `mendsOf`. */
export interface MendOptions {
  /** Whose own operators may be used, beside ONNX's. Default: none's. */
  readonly target?: "onnxruntime";
  /**
   * The version of ONNX's operators that the model may be raised to, up to 23. Where a node of it would mean something else and has no
   * conversion (see `canRaise`), the model keeps its own. Default: its own.
   */
  readonly opset?: number;
  /**
   * Operators of com.microsoft that the runtime has: of SkipLayerNormalization, SkipSimplifiedLayerNormalization, Gelu, BiasGelu, FastGelu
   * and QuickGelu. Default: those that make onnxruntime 1.30 faster on a CPU, the last four.
   */
  readonly runtimeOperators?: ReadonlySet<string>;
  /**
   * Whether batch normalization that was left in training mode is made that of evaluation. The network gives something else then. Default
   * false.
   */
  readonly evaluation?: boolean;
}

/**
 * Mends of a model, each for itself: any of them may be left out, and no node is in two. Nodes of other versions that stay where a model is
 * raised are converted by `raising`.
 * @param found in the model's graphs
 * @throws RangeError for an unknown target or opset
 */
export async function mendsOf(
  model: Pick<Model, "graphs">,
  found: FoundInModel,
  options: MendOptions = {},
): Promise<readonly Mend[]> {
  const { target, opset, evaluation = false } = options;
  if (target !== undefined && target !== "onnxruntime") {
    throw new RangeError(`mendsOf: target must be "onnxruntime" or left out, got ${described(target)}`);
  }
  if (opset !== undefined && !(Number.isInteger(opset) && opset >= 1)) {
    throw new RangeError(`mendsOf: opset must be a version such as 17, got ${described(opset)}`);
  }
  const names = new Names(model.graphs);
  const to = opset !== undefined && canRaise(model, opset).possible ? opset : 0;
  const isForOnnxRuntime = target === "onnxruntime";
  const microsoft = isForOnnxRuntime ? (options.runtimeOperators ?? RUNTIME_OPERATORS) : new Set<string>();
  const placeIn = (graph: Graph, y: string): Place => {
    const wiring = Wiring.of(graph);
    const own = versionOf(graph, wiring.producer(y));
    const version = Math.max(own, to);
    // LayerNormalization below its version is no operator there in functions: onnxruntime 1.30 does not survive it
    const hasOwn = isForOnnxRuntime && !isInFunction(graph);
    return { wiring, names, version, raised: version > own, isForOnnxRuntime: hasOwn, microsoft };
  };
  const budget = { values: MOST_FOLDED };
  const taken = new Set<Node>();
  const mends: Mend[] = [];
  /** The first of these that has no node in common with one before. */
  const add = async (...ways: readonly (() => Promise<Mend | undefined> | Mend | undefined)[]) => {
    for (const way of ways) {
      const mend = await way();
      if (mend === undefined || mend.replaces.some((node) => taken.has(node))) continue;
      for (const node of mend.replaces) taken.add(node);
      mends.push(mend);
      return;
    }
  };
  for (const norm of found.norms) {
    if (norm.graph.dialect !== "onnx") continue;
    const place = placeIn(norm.graph, norm.y);
    if (isTraining(norm)) {
      if (evaluation) await add(() => evaluationMend(norm, place));
    } else if (norm.norm === "batchNorm") {
      await add(() => batchMend(norm, place, budget));
    } else if (isOfWeight(norm)) {
      await add(() => weightMend(norm, place, budget));
    } else {
      await add(
        () => skipMend(norm, place),
        () => normMend(norm, place),
      );
    }
  }
  for (const one of found.activations) {
    if (one.graph.dialect !== "onnx") continue;
    await add(() => activationMend(one, placeIn(one.graph, one.y)));
  }
  return mends;
}

function isInFunction(graph: Graph): boolean {
  if (graph.around) return isInFunction(graph.around);
  return [...graph.functions.values()].some((called) => called.graph === graph);
}

/** The version of ONNX's own operators that a graph speaks: what a node says is of its domain. */
function versionOf({ nodes }: Graph, node: Node | undefined): number {
  const own = node?.domain === "" ? node : nodes.find(({ domain }) => domain === "");
  return own?.opset ?? 0;
}
