/** What a model's normalizations can be mended by. */
import type { StoredModel } from "../checkpoints/formats/onnx-graph.js";
import type { Found, FoundActivation } from "../checkpoints/graphs/found.js";
import type { Graph, Mend, Node } from "../checkpoints/graphs/graph.js";
import type { Place } from "./draft.js";
import { batchMend } from "./mends-batch.js";
import { normMend } from "./mends-norms.js";
import { Names, Wiring } from "./wiring.js";

/** Values of folded weights that are in memory at a time: 256 MB. Normalizations beyond stay as they are. */
const MOST_FOLDED = 2 ** 26;

/** Options of `mendsOf`. */
export interface MendOptions {
  /** Whose own operators may be used, beside ONNX's. Default: none's. */
  readonly target?: "onnxruntime";
  /** Operators of com.microsoft that the runtime has. Default: those of onnxruntime 1.30 on a CPU. */
  readonly runtimeOperators?: ReadonlySet<string>;
}

/** What is found in a model, in all of its graphs. */
export interface FoundInModel {
  readonly norms: readonly Found[];
  readonly activations: readonly FoundActivation[];
}

/**
 * Mends of a model, each for itself: any of them may be left out, and no node is in two.
 * @param found in the model's graphs
 */
export async function mendsOf(
  model: Pick<StoredModel, "graphs">,
  found: FoundInModel,
  { target, runtimeOperators = new Set() }: MendOptions = {},
): Promise<readonly Mend[]> {
  const names = new Names(model.graphs);
  const placeIn = (graph: Graph, y: string): Place => {
    const wiring = Wiring.of(graph);
    return {
      wiring,
      names,
      version: wiring.producer(y)?.opset ?? 0,
      raised: false,
      isForOnnxRuntime: target === "onnxruntime",
      microsoft: runtimeOperators,
    };
  };
  const mends: Mend[] = [];
  const budget = { values: MOST_FOLDED };
  for (const norm of found.norms) {
    const place = placeIn(norm.graph, norm.y);
    const mend = norm.norm === "batchNorm" ? await batchMend(norm, place, budget) : normMend(norm, place);
    if (mend) mends.push(mend);
  }
  return independent(mends);
}

/** Those that have no node in common with one before. */
function independent(mends: readonly Mend[]): Mend[] {
  const taken = new Set<Node>();
  return mends.filter(({ replaces }) => {
    if (replaces.some((node) => taken.has(node))) return false;
    for (const node of replaces) taken.add(node);
    return true;
  });
}
