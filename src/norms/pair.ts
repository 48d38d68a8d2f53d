/**
 * Pair normalization: node features are centred over the nodes of each graph and scaled to one length, so that the sum of all
 * pairwise squared distances stays the same from layer to layer (against oversmoothing). No weights.
 *
 *     d = x − mean over nodes
 *     y = length · d / √(mean over nodes of ‖d‖² + epsilon)          ‖d‖: of a node, over its features
 *     individually:  y = length · d / √(‖d‖² + epsilon),  or  length · d / (‖d‖ + epsilon) with the guard "length"
 *
 * Zhao & Akoglu 2020, arXiv 1909.12223 (PairNorm, and PairNorm-SI). Axes: the mean is over nodes, per graph and feature; the divisor is
 * one of the graph, or of each node. Graphs of different sizes are padded to one size, with a mask of the nodes that there are.
 */
import { channelAxis } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { memoizeLast, oneParameter, planOf } from "../formula/plan.js";
import { averaging, axesExcept, broadcastMask, centered, lengthOf } from "../formula/terms.js";
import type { Settled } from "../options.js";

const NAME = "pairNorm";

/** Options of `pairNorm`. */
export interface PairNormOptions {
  /** The axis of the features: −1 (default) for [graphs, nodes, features], 1 for [graphs, features, nodes]. */
  axis?: number;
  /** Default 1e-5 (PyTorch Geometric; the authors' code has 1e-6). */
  epsilon?: number;
  /** What the root mean square of the nodes' lengths becomes: the paper's s. Default 1. */
  length?: number;
  /** Whether each node is scaled to that length, instead of all by one factor. Default false. */
  individually?: boolean;
  /** Where epsilon stands: inside the `root` (default, the authors' code), or added to each node's `length` (PyTorch Geometric). */
  guard?: "root" | "length";
}

/**
 * x [graphs, nodes, features], y of its shape; a mask [graphs, nodes] says which nodes there are. No weights.
 * @throws RangeError for options out of range; when called, for an x without an axis of nodes
 */
export const pairNorm = normalization(
  {
    name: NAME,
    title: "Pair normalization",
    summary:
      "centres a graph's nodes and keeps their distances from shrinking (PairNorm); for deep graph networks",
    paper: "Zhao & Akoglu 2020, arXiv 1909.12223",
    takes: "positions",
  },
  { axis: -1, epsilon: 1e-5, length: 1, individually: false, guard: "root" },
  ({ axis, epsilon, length, individually, guard }: Settled<PairNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    if (!(length > 0) || !Number.isFinite(length)) {
      throw new RangeError(`${NAME}: length must be a finite number above 0, got ${length}`);
    }
    if (guard !== "root" && guard !== "length") {
      throw new RangeError(`${NAME}: guard must be "root" or "length", got "${guard}"`);
    }
    if (guard === "length" && !individually) {
      throw new RangeError(
        `${NAME}: guard "length" is of the nodes' own lengths, and needs individually: true; leave it out otherwise`,
      );
    }
    const feature = (shape: readonly number[]) =>
      channelAxis(NAME, shape, axis, ["graphs", "nodes", "features"]);
    const plan = memoizeLast((shape) => {
      const features = feature(shape);
      return oneParameter(planOf(shape, shape, individually ? axesExcept(shape.length, features) : [0], [0]));
    });
    return {
      handles: { mask: true },
      weights(shape) {
        plan(shape);
        return {};
      },
      apply(ops, [x], _, { mask }) {
        const shape = ops.shape(x);
        const axis = feature(shape);
        const nodes = axesExcept(shape.length, 0, axis);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const { distance } = centered(ops, x, averaging(ops, shape, nodes, fullMask));
        if (guard === "length") {
          const divisor = ops.add(lengthOf(ops, distance, [axis]), Math.max(epsilon, LEAST));
          return { y: ops.mul(ops.div(distance, divisor), length) };
        }
        // ‖d‖² = features · mean(d²)
        const features = shape[axis];
        const norm = { name: NAME, epsilon: epsilon / features, centered: false, plan };
        const gamma = ops.constant([length / Math.sqrt(features)], [1]);
        return { y: ops.normalize(norm, distance, { gamma, mask }).y };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** Above 0 in float32, if epsilon is not: nodes that are all the same are divided by it. */
const LEAST = 1e-30;
