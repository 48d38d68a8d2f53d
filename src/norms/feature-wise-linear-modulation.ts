/**
 * Feature-wise linear modulation (FiLM): a condition scales and shifts each channel; no statistics.
 *
 *     y = x · gamma(c) + beta(c)        gamma(c) = gamma + c · gammaKernel        beta(c) = beta + c · betaKernel
 *
 * Perez, Strub, de Vries, Dumoulin & Courville 2018, arXiv 1709.07871. Axes: none is reduced; gamma(c) and beta(c) are per
 * example and channel.
 */
import { channelAxis } from "../formula/channels.js";
import { checkBatch, conditionFeatures, modulation, modulationWeights } from "../formula/conditioning.js";
import { type Normalization, normalization } from "../formula/normalization.js";
import { affine } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { viewOf } from "../view.js";

const NAME = "featureWiseLinearModulation";

/** Options of `featureWiseLinearModulation`. */
export interface FeatureWiseLinearModulationOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
}

/**
 * Inputs [x, condition]: x [batch, ..., channels], condition [batch, features]. Weights: gammaKernel and betaKernel [features,
 * channels], gamma and beta [channels]; gamma is initialized to 1, the others to 0, so that y is x.
 * @throws RangeError, when called, for a condition that is not [batch, features]
 */
export const featureWiseLinearModulation = normalization(
  {
    name: NAME,
    title: "Feature-wise linear modulation",
    summary: "a condition scales and shifts each channel (FiLM); no statistics; alone or after another norm",
    paper: "Perez et al. 2018, arXiv 1709.07871",
    takes: "condition",
  },
  { axis: -1 },
  ({ axis }: Settled<FeatureWiseLinearModulationOptions>) =>
    ({
      weights: (...[shape, condition]: (readonly number[])[]) =>
        modulationWeights(conditionFeatures(NAME, condition), shape[channelAxis(NAME, shape, axis)]),
      apply(ops, [x, condition], weights) {
        const shape = ops.shape(x);
        checkBatch(NAME, "condition", shape, ops.shape(condition));
        const view = viewOf(shape, [0, channelAxis(NAME, shape, axis)]);
        // two kept axes, one of them the first, always form a view
        if (view === undefined) throw new Error(`${NAME}: no view`);
        const { gamma, beta } = modulation(ops, condition, weights);
        return { y: affine(ops, x, view, gamma, beta) };
      },
    }) satisfies Omit<Normalization, "name">,
);
