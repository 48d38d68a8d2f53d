/**
 * Graph normalization: statistics of each feature over the nodes of each graph; how much of the mean is subtracted is learned.
 *
 *     z = x − alpha · mean            y = z / √(mean(z²) + epsilon) · gamma + beta        means over nodes
 *
 * Cai, Luo, Xu, He, Liu & Wang 2021, arXiv 2009.03294. Axes: graph and feature are kept, nodes are reduced; alpha, gamma and beta are
 * per feature. The divisor is the root mean square of z, not of x − mean: with alpha 1, as at the start, it is instance normalization.
 * Graphs of different sizes are padded to one size, with a mask of the nodes that there are.
 */
import { channelAxis } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import { type FusedNorm, memoizeLast, planOf } from "../formula/plan.js";
import { averaging, axesExcept, broadcastAlong, broadcastMask, centered } from "../formula/terms.js";
import type { Settled } from "../options.js";

const NAME = "graphNorm";

/** Options of `graphNorm`. */
export interface GraphNormOptions extends AffineOptions {
  /** The axis of the features: −1 (default) for [graphs, nodes, features], 1 for [graphs, features, nodes]. */
  axis?: number;
  /** Added to the mean square. Default 1e-5 (PyTorch Geometric). */
  epsilon?: number;
}

/**
 * x [graphs, nodes, features], y of its shape; a mask [graphs, nodes] says which nodes there are. Weights: alpha, the share of the
 * mean that is subtracted (initialized to 1), gamma and beta [features].
 * @throws RangeError for a negative epsilon; when called, for an x without an axis of nodes
 */
export const graphNorm = normalization(
  {
    name: NAME,
    title: "Graph normalization",
    summary:
      "standardizes each feature over a graph's nodes, with a learned share of the mean; for graph networks",
    paper: "Cai et al. 2021, arXiv 2009.03294",
    takes: "positions",
  },
  { axis: -1, epsilon: 1e-5, ...affineDefaults },
  ({ axis, epsilon, ...options }: Settled<GraphNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    const feature = (shape: readonly number[]) =>
      channelAxis(NAME, shape, axis, ["graphs", "nodes", "features"]);
    const norm: FusedNorm = {
      name: NAME,
      epsilon,
      centered: false,
      plan: memoizeLast((shape) => planOf(shape, shape, [0, feature(shape)], [feature(shape)])),
    };
    return {
      handles: { mask: true },
      weights(shape) {
        const { parameterShape } = norm.plan(shape);
        return { alpha: trained(parameterShape, 1), ...affineWeights(parameterShape, options) };
      },
      apply(ops, [x], { alpha, gamma, beta }, { mask }) {
        const shape = ops.shape(x);
        const axis = feature(shape);
        const nodes = axesExcept(shape.length, 0, axis);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const { mean, distance } = centered(ops, x, averaging(ops, shape, nodes, fullMask));
        const rest = ops.mul(mean, ops.sub(1, broadcastAlong(ops, alpha, shape.length, axis)));
        return { y: ops.normalize(norm, ops.add(distance, rest), { gamma, beta, mask }).y };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
