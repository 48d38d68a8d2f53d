/**
 * Normalizations with their neighbours: followed by an activation or dropout, and in their placements in a residual block. The
 * result is again a normalization, and runs in every host.
 *
 *     pre        y = x + branch(norm(x))              Xiong et al. 2020, arXiv 2002.04745
 *     post       y = norm(x + branch(x))              Vaswani et al. 2017, arXiv 1706.03762
 *     sandwich   y = x + after(branch(norm(x)))       Ding et al. 2021 (CogView), arXiv 2105.13290
 *     reordered  y = x + norm(branch(x))              Liu et al. 2021 (Swin V2), arXiv 2111.09883; OLMo 2, arXiv 2501.00656
 *     post       y = norm(alpha·x + branch(x))        Wang et al. 2022 (DeepNorm), arXiv 2203.00555
 */
import type { ApplyOptions, Normalization, Weight } from "./formula/normalization.js";
import type { Ops } from "./formula/ops.js";
import { checkNormalization, run } from "./formula/run.js";
import { broadcastMask } from "./formula/terms.js";
import { layerNorm } from "./norms/layer.js";
import { checkOptions, nearest } from "./options.js";
import { described, sameShape } from "./shape.js";

/** Activations of `withActivation`; `gelu` is the exact one, x·Φ(x), not its tanh approximation. */
export type ActivationName = "relu" | "leakyRelu" | "gelu" | "silu" | "tanh" | "sigmoid";

/** Options of `withActivation`. */
export interface ActivationOptions {
  /** Of `leakyRelu`, below 0. Default 0.01, as in PyTorch; Keras's activation of that name has 0.2, and its layer 0.3. */
  negativeSlope?: number;
}

/** A function of each element, as a formula. */
export type Activation = <T>(ops: Ops<T>, x: T) => T;

/** By name, from the slope below 0. At 0 the slope of both rectifiers is that of negative x, as in the frameworks: the first of equals gets the gradient. */
const activations: Record<ActivationName, (negativeSlope: number) => Activation> = {
  relu: () => (ops, x) => ops.max(0, x),
  leakyRelu: (slope) => (ops, x) => {
    // 0 times an infinite x would be no number
    if (slope === 0) return ops.max(0, x);
    const below = ops.mul(x, slope);
    return slope > 1 ? ops.min(below, x) : ops.max(below, x);
  },
  gelu: () => (ops, x) => ops.mul(ops.mul(x, 0.5), ops.add(ops.erf(ops.mul(x, Math.SQRT1_2)), 1)),
  silu: () => (ops, x) => ops.mul(x, ops.sigmoid(x)),
  tanh: () => (ops, x) => ops.tanh(x),
  sigmoid: () => (ops, x) => ops.sigmoid(x),
};

/** What other frameworks call them. */
const activationNames: Readonly<Record<string, ActivationName>> = {
  swish: "silu",
  leaky_relu: "leakyRelu",
  LeakyReLU: "leakyRelu",
  ReLU: "relu",
  SiLU: "silu",
};

/**
 * The activation of that name, as a formula.
 * @throws RangeError for an unknown name, with the nearest known one, or a slope that is not finite; TypeError for a slope that is not a
 * number, or of an activation that has none
 */
export function activationOf(
  caller: string,
  name: unknown,
  { negativeSlope }: ActivationOptions = {},
): Activation {
  if (typeof name !== "string" || !Object.hasOwn(activations, name)) {
    const known = Object.keys(activations);
    const near =
      typeof name === "string"
        ? Object.hasOwn(activationNames, name)
          ? activationNames[name]
          : nearest(name, known)
        : undefined;
    throw new RangeError(
      `${caller}: activation must be one of ${known.join(", ")}, got ${described(name)}${near ? `; did you mean "${near}"?` : ""}`,
    );
  }
  if (negativeSlope !== undefined) {
    if (name !== "leakyRelu") {
      throw new TypeError(
        `${caller}: negativeSlope is for the activation "leakyRelu", got it with "${name}"; leave it out`,
      );
    }
    if (typeof negativeSlope !== "number") {
      throw new TypeError(`${caller}: negativeSlope must be a number, got ${described(negativeSlope)}`);
    }
    if (!Number.isFinite(negativeSlope)) {
      throw new RangeError(`${caller}: negativeSlope must be finite, got ${negativeSlope}`);
    }
  }
  return activations[name as ActivationName](negativeSlope ?? 0.01);
}

/**
 * The normalization followed by the activation: same inputs, weights and shapes.
 * @throws RangeError for an unknown activation, or a slope that is not finite; TypeError for an unknown option, or what is not a normalization
 */
export function withActivation(
  norm: Normalization,
  activation: ActivationName,
  options: ActivationOptions = {},
): Normalization {
  checkNormalization(norm, "withActivation");
  checkOptions("withActivation", options, ["negativeSlope"]);
  return followedBy(norm, activationOf("withActivation", activation, options));
}

/** Options of a layer of any host, for what follows its normalization. */
export interface ActivatedOptions extends ActivationOptions {
  /** Follows the normalization, in the same pass over memory where the backend has kernels. Default: none. */
  activation?: ActivationName;
}

/** A layer's normalization, followed by the activation that its options name, if they do. @throws as `withActivation`, in the layer's name */
export function activatedBy(
  layer: string,
  norm: Normalization,
  { activation, negativeSlope }: ActivatedOptions,
): Normalization {
  if (activation === undefined && negativeSlope === undefined) return norm;
  return followedBy(norm, activationOf(layer, activation, { negativeSlope }));
}

/** The normalization followed by a function of each element of y. */
export function followedBy(norm: Normalization, activate: Activation): Normalization {
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
  /**
   * Placement of the normalization. Default `pre`, which trains deep networks without warm-up; `reordered`, on the branch's output,
   * keeps branches from growing.
   */
  placement?: "pre" | "post" | "sandwich" | "reordered";
  /** The normalization before the branch, after the sum, or after the branch. Default `layerNorm()`. */
  norm?: Normalization;
  /** The normalization after the branch, in a sandwich. Default `layerNorm()`. */
  after?: Normalization;
  /** Factor of x in the sum, in `post`: that of `deepNorm`. Default 1. */
  alpha?: number;
  /** Factor of the branch's initial kernels (weights of two axes and more), but for those of queries and keys: that of `deepNorm`. Default 1. */
  gain?: number;
}

const placements = ["pre", "post", "sandwich", "reordered"];

/**
 * A residual block around a branch: any normalization whose y has the shape of x, such as `normalizedAttention()`. Weights are
 * named `norm/gamma`, `branch/kernel`, `after/gamma`, ...
 * @throws RangeError for an unknown option or placement, and an option out of range; TypeError for a branch or norm that is not a
 * normalization
 */
export function residualBlock(branch: Normalization, options: ResidualOptions = {}): Normalization {
  checkOptions("residualBlock", options, ["placement", "norm", "after", "alpha", "gain"]);
  const { placement = "pre", norm = layerNorm(), after = layerNorm(), alpha = 1, gain = 1 } = options;
  if (!placements.includes(placement)) {
    throw new RangeError(
      `residualBlock: placement must be "pre", "post", "sandwich" or "reordered", got ${described(placement)}`,
    );
  }
  for (const [name, value] of Object.entries({ alpha, gain })) {
    if (typeof value === "number" && value > 0 && Number.isFinite(value)) continue;
    const Kind = typeof value === "number" ? RangeError : TypeError;
    throw new Kind(
      `residualBlock: ${name} must be a finite number above 0, got ${described(value)}; deepNorm gives it`,
    );
  }
  if (alpha !== 1 && placement !== "post") {
    throw new RangeError(
      `residualBlock: alpha must be left out with placement "${placement}", got ${alpha}; it is DeepNorm's factor, for "post"`,
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
  const merging = Object.values(parts).map(({ handles }) => handles?.merge);
  return {
    name: "residualBlock",
    handles: { merge: merging.includes(false) ? false : merging.includes(true) || undefined },
    featureShape: (shape) => Object.values(parts).flatMap((part) => part.featureShape?.(shape) ?? []),
    weights(shape) {
      const all: Record<string, Weight> = {};
      for (const [part, normalization] of Object.entries(parts)) {
        for (const [name, weight] of Object.entries(normalization.weights(shape)))
          all[`${part}/${name}`] = part === "branch" ? withGain(name, weight, gain) : weight;
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
        if (placement === "post") return call("norm", call("branch", x), alpha === 1 ? x : ops.mul(x, alpha));
        if (placement === "reordered") return ops.add(x, call("norm", call("branch", x)));
        const inner = call("branch", call("norm", x));
        return ops.add(x, placement === "sandwich" ? call("after", inner) : inner);
      };
      const y = placed();
      return { y, ...(Object.keys(state).length > 0 && { state }) };
    },
  };
}

/** Kernels of queries and keys: their scale is that of attention's scores, not of its output. */
const SCORING = /(^|\/)(query|key)[A-Z]\w*$/;

/** A weight of the branch, whose initial values are multiplied where it is a kernel. */
function withGain(name: string, weight: Weight, gain: number): Weight {
  const { shape, initial, trained } = weight;
  if (gain === 1 || !trained || shape.length < 2 || SCORING.test(name)) return weight;
  const times = (values: ArrayLike<number>) => Float64Array.from(values, (value) => value * gain);
  if (typeof initial === "number") return { ...weight, initial: initial * gain };
  return { ...weight, initial: typeof initial === "function" ? () => times(initial()) : times(initial) };
}

/** Options of `residualBlock` for DeepNorm. */
export type DeepNormOptions = Required<Pick<ResidualOptions, "placement" | "alpha" | "gain">>;

/**
 * DeepNorm: options of `residualBlock` by which post-normalized transformers of up to 1,000 layers train; the encoder's where there
 * is one, and the decoder's.
 *
 *     encoder alone, N layers, or decoder alone     alpha = (2N)^(1/4)                gain = (8N)^(−1/4)
 *     both, N and M layers     encoder              alpha = 0.81·(N⁴·M)^(1/16)        gain = 0.87·(N⁴·M)^(−1/16)
 *                              decoder              alpha = (3M)^(1/4)                gain = (12M)^(−1/4)
 *
 * Wang et al. 2022, arXiv 2203.00555. Kernels are to start as Xavier's (Glorot's) times the gain.
 *
 *     const { decoder } = deepNorm({ decoder: 48 });
 *     residualBlock(normalizedAttention({ kind: "none", causal: true }), decoder);
 *
 * @param layers how many layers (of attention and feed-forward part) there are of each
 * @throws RangeError where neither is given, or one is not an integer above 0
 */
export function deepNorm(layers: { readonly encoder?: number; readonly decoder?: number }): {
  readonly encoder?: DeepNormOptions;
  readonly decoder?: DeepNormOptions;
} {
  checkOptions("deepNorm", layers, ["encoder", "decoder"]);
  const { encoder, decoder } = layers;
  for (const [name, count] of Object.entries({ encoder, decoder })) {
    if (count === undefined || (Number.isInteger(count) && count > 0)) continue;
    throw new RangeError(
      `deepNorm: ${name} must be a number of layers, an integer above 0, got ${described(count)}; leave it out for none`,
    );
  }
  const scales = (alpha: number, gain: number): DeepNormOptions => ({ placement: "post", alpha, gain });
  const alone = (count: number) => scales((2 * count) ** 0.25, (8 * count) ** -0.25);
  if (encoder === undefined && decoder === undefined) {
    throw new RangeError("deepNorm: expected a number of layers, as in { encoder: 12 }, got none");
  }
  if (encoder === undefined || decoder === undefined) {
    return encoder === undefined ? { decoder: alone(decoder as number) } : { encoder: alone(encoder) };
  }
  const both = (encoder ** 4 * decoder) ** (1 / 16);
  return {
    encoder: scales(0.81 * both, 0.87 / both),
    decoder: scales((3 * decoder) ** 0.25, (12 * decoder) ** -0.25),
  };
}
