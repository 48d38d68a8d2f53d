/**
 * Normalizations with their neighbours: followed by an activation or dropout, and in their three placements in a residual
 * block. The result is again a normalization, and runs in every host.
 *
 *     pre        y = x + branch(norm(x))              Xiong et al. 2020, arXiv 2002.04745
 *     post       y = norm(x + branch(x))              Vaswani et al. 2017, arXiv 1706.03762
 *     sandwich   y = x + after(branch(norm(x)))       Ding et al. 2021 (CogView), arXiv 2105.13290
 */
import type { ApplyOptions, Normalization, Weight } from "./formula/normalization.js";
import type { Ops } from "./formula/ops.js";
import { checkNormalization, run } from "./formula/run.js";
import { broadcastMask } from "./formula/terms.js";
import { layerNorm } from "./norms/layer.js";
import { checkOptions } from "./options.js";
import { described, sameShape } from "./shape.js";

/** Activations of `withActivation`; `gelu` is the exact one, x·Φ(x), not its tanh approximation. */
export type ActivationName = "relu" | "gelu" | "silu" | "tanh" | "sigmoid";

const activations: Record<ActivationName, <T>(ops: Ops<T>, x: T) => T> = {
  relu: (ops, x) => ops.max(x, 0),
  gelu: (ops, x) => ops.mul(ops.mul(x, 0.5), ops.add(ops.erf(ops.mul(x, Math.SQRT1_2)), 1)),
  silu: (ops, x) => ops.mul(x, ops.sigmoid(x)),
  tanh: (ops, x) => ops.tanh(x),
  sigmoid: (ops, x) => ops.sigmoid(x),
};

/**
 * The normalization followed by the activation: same inputs, weights and shapes.
 * @throws RangeError for an unknown activation
 */
export function withActivation(norm: Normalization, activation: ActivationName): Normalization {
  checkNormalization(norm, "withActivation");
  const activate = Object.hasOwn(activations, activation) && activations[activation];
  if (!activate) {
    throw new RangeError(
      `withActivation: activation must be one of ${Object.keys(activations).join(", ")}, got ${described(activation)}`,
    );
  }
  const { name, handles, outputs, featureShape } = norm;
  return {
    ...{ name, handles, outputs, featureShape },
    weights: (...shapes) => norm.weights(...shapes),
    apply(ops, inputs, weights, options) {
      const result = norm.apply(ops, inputs, weights, options);
      const y = activate(ops, result.y);
      const { mask } = options;
      // sigmoid(0) is not 0
      return {
        ...result,
        y: mask === undefined ? y : ops.where(broadcastMask(ops, mask, ops.shape(y)), y, 0),
      };
    },
  };
}

/**
 * The normalization followed by dropout in training: y is 0 where the last input, uniform noise in [0, 1) of the shape of y, is
 * below the rate, and divided by 1 − rate elsewhere. In evaluation the noise may be omitted.
 * @throws RangeError for a rate outside [0, 1); when called, for training without noise of the shape of y
 */
export function withDropout(norm: Normalization, rate: number): Normalization {
  checkNormalization(norm, "withDropout");
  if (typeof rate !== "number") {
    throw new TypeError(`withDropout: rate must be a number from 0 up to 1, got ${described(rate)}`);
  }
  if (!(rate >= 0 && rate < 1)) {
    throw new RangeError(`withDropout: rate must be at least 0 and below 1, got ${rate}`);
  }
  const shapesOf = (shapes: (readonly number[])[]) => shapes.slice(0, Math.max(1, shapes.length - 1));
  const { name, handles, outputs, featureShape } = norm;
  return {
    ...{ name, handles, outputs, featureShape },
    weights: (...shapes) => norm.weights(...shapesOf(shapes)),
    apply(ops, inputs, weights, options) {
      if (!options.training) return norm.apply(ops, inputs, weights, options);
      const noise = inputs[inputs.length - 1];
      const needs = (shape: readonly number[]) =>
        new RangeError(
          `withDropout: training needs noise of the shape of y, [${shape.join(", ")}], as the last input`,
        );
      if (inputs.length < 2) throw needs(ops.shape(noise));
      const result = norm.apply(ops, inputs.slice(0, -1), weights, options);
      const shape = ops.shape(result.y);
      if (!sameShape(ops.shape(noise), shape)) throw needs(shape);
      const dropped = ops.greater(rate, noise);
      return { ...result, y: ops.where(dropped, 0, ops.mul(result.y, 1 / (1 - rate))) };
    },
  };
}

/** Options of `residualBlock`. */
export interface ResidualOptions {
  /** Placement of the normalization. Default `pre`, which trains deep networks without warm-up. */
  placement?: "pre" | "post" | "sandwich";
  /** The normalization before the branch, or after the sum. Default `layerNorm()`. */
  norm?: Normalization;
  /** The normalization after the branch, in a sandwich. Default `layerNorm()`. */
  after?: Normalization;
}

/**
 * A residual block around a branch: any normalization whose y has the shape of x, such as `normalizedAttention()`. Weights are
 * named `norm/gamma`, `branch/kernel`, `after/gamma`, ...
 * @throws RangeError for an unknown option or placement; TypeError for a branch or norm that is not a normalization
 */
export function residualBlock(branch: Normalization, options: ResidualOptions = {}): Normalization {
  checkOptions("residualBlock", options, ["placement", "norm", "after"]);
  const { placement = "pre", norm = layerNorm(), after = layerNorm() } = options;
  if (placement !== "pre" && placement !== "post" && placement !== "sandwich") {
    throw new RangeError(
      `residualBlock: placement must be "pre", "post" or "sandwich", got ${described(placement)}`,
    );
  }
  const parts: Readonly<Record<string, Normalization>> = {
    norm,
    branch,
    ...(placement === "sandwich" && { after }),
  };
  for (const [part, normalization] of Object.entries(parts)) {
    checkNormalization(normalization, "residualBlock", part);
  }
  return {
    name: "residualBlock",
    featureShape: (shape) => Object.values(parts).flatMap((part) => part.featureShape?.(shape) ?? []),
    weights(shape) {
      const all: Record<string, Weight> = {};
      for (const [part, normalization] of Object.entries(parts)) {
        for (const [name, weight] of Object.entries(normalization.weights(shape)))
          all[`${part}/${name}`] = weight;
      }
      return all;
    },
    apply<T>(ops: Ops<T>, [x]: readonly T[], weights: Readonly<Record<string, T>>, options: ApplyOptions<T>) {
      const state: Record<string, T> = {};
      const call = (part: string, input: T, residual?: T): T => {
        const start = `${part}/`;
        const own = Object.entries(weights).filter(([name]) => name.startsWith(start));
        const held = Object.fromEntries(own.map(([name, values]) => [name.slice(start.length), values]));
        const named = (state: Readonly<Record<string, T>>) =>
          Object.fromEntries(Object.entries(state).map(([name, values]) => [start + name, values]));
        const { moveState } = options;
        const result = run(ops, parts[part], [input], held, {
          ...options,
          residual,
          ...(moveState && { moveState: (updates) => moveState(named(updates)) }),
        });
        Object.assign(state, named(result.state ?? {}));
        return result.y;
      };
      const placed = () => {
        if (placement === "post") return call("norm", call("branch", x), x);
        const inner = call("branch", call("norm", x));
        return ops.add(x, placement === "sandwich" ? call("after", inner) : inner);
      };
      const y = placed();
      return { y, ...(Object.keys(state).length > 0 && { state }) };
    },
  };
}
