/**
 * Adaptive layer normalization: shift and scale come from a condition, through one dense layer.
 *
 *     shift, scale, gate = activation(condition) · kernel + bias
 *     y = (x − mean) / √(variance + epsilon) · (1 + scale) + shift        variance biased
 *
 * Peebles & Xie 2022 (DiT), arXiv 2212.09748; scale and shift as in FiLM (Perez et al. 2018). Axes: the feature axis is
 * reduced; scale, shift and gate are per example and feature. The gate (adaLN-Zero) scales the branch that follows.
 */
import { channelAxis, examplePlan } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { checkBatch, conditionFeatures } from "../formula/conditioning.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import type { FusedNorm } from "../formula/plan.js";
import { axesExcept } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { sizeOf } from "../shape.js";

const NAME = "adaptiveLayerNorm";

/** Options of `adaptiveLayerNorm`. */
export interface AdaptiveLayerNormOptions {
  /** The axis of the features. Default −1. */
  axis?: number;
  /** Default 1e-6 (DiT). */
  epsilon?: number;
  /** Activation of the condition before the dense layer. Default `silu` (DiT). */
  activation?: "silu" | "none";
  /** adaLN-Zero: `more[0]` is a gate, initialized to 0, that multiplies the branch after this norm. Default false. */
  zero?: boolean;
}

/**
 * Inputs [x, condition]: x [batch, ..., features], condition [batch, conditionFeatures]. Weights: kernel [conditionFeatures,
 * 2·features] (3·features with a gate; in the order shift, scale, gate) and bias, initialized to 0, so that y starts as plain layer
 * normalization. The gate has the shape of x with length 1 between batch and features.
 * @throws RangeError for options out of range; when called, for a condition that is not [batch, conditionFeatures]
 */
export const adaptiveLayerNorm = normalization(
  {
    name: NAME,
    title: "Adaptive layer normalization",
    summary: "layer normalization with scale and shift from a condition (adaLN); for diffusion transformers",
    paper: "Peebles & Xie 2022, arXiv 2212.09748",
    takes: "condition",
  },
  { axis: -1, epsilon: 1e-6, activation: "silu", zero: false },
  ({ axis, epsilon, activation, zero }: Settled<AdaptiveLayerNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    if (activation !== "silu" && activation !== "none") {
      throw new RangeError(`${NAME}: activation must be "silu" or "none", got "${activation}"`);
    }
    const norm: FusedNorm = {
      name: NAME,
      epsilon,
      centered: true,
      plan: examplePlan(NAME, axis, ({ length }, channel) => axesExcept(length, channel)),
    };
    const parts = zero ? 3 : 2;
    /** The shape of x with length 1 between batch and features. */
    const gateShape = (shape: readonly number[]) => {
      const channel = channelAxis(NAME, shape, axis);
      return shape.map((length, one) => (one === 0 || one === channel ? length : 1));
    };
    return {
      handles: { mask: true, residual: true },
      weights(...[shape, condition]: (readonly number[])[]) {
        const width = parts * shape[channelAxis(NAME, shape, axis)];
        return {
          kernel: trained([conditionFeatures(NAME, condition), width], 0),
          bias: trained([width], 0),
        };
      },
      ...(zero && { outputs: (...[shape]: (readonly number[])[]) => [shape, gateShape(shape)] }),
      apply(ops, [x, condition], { kernel, bias }, { mask, residual }) {
        const shape = ops.shape(x);
        checkBatch(NAME, "condition", shape, ops.shape(condition));
        const active = activation === "none" ? condition : ops.mul(condition, ops.sigmoid(condition));
        const dense = ops.add(ops.matMul(active, kernel), bias);
        const features = sizeOf(ops.shape(bias)) / parts;
        const part = (i: number) => ops.slice(dense, 1, i * features, (i + 1) * features);
        const { y, sum } = ops.normalize(norm, x, {
          gamma: ops.add(part(1), 1),
          beta: part(0),
          mask,
          residual,
        });
        return { y, sum, ...(zero && { more: [ops.reshape(part(2), gateShape(shape))] }) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
