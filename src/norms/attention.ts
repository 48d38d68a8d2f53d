/**
 * Attention with normalized queries and keys (QK-norm): attention scores cannot grow with the activations.
 *
 *     q = norm(x·Wq + bq)    k = norm(c·Wk + bk)    v = c·Wv + bv        per head; c the context, x itself by default
 *     y = softmax(factor · q·kᵀ) · v · Wo + bo
 *
 *     layer, rms   norm over a head's features with a gamma for queries and one for keys (no beta), factor 1/√size
 *                  Dehghani et al. 2023 (ViT-22B), arXiv 2302.05442
 *     unit         norm to length 1, one learned factor           Henry et al. 2020, arXiv 2010.04245
 *     none         no norm, factor 1/√size: plain attention, as a baseline
 *
 * Axes: the features of a head are reduced; batch, position and head are kept. With `over: "width"` the features of all heads are
 * reduced at once, and the gammas are of the full width (OLMo 2, arXiv 2501.00656).
 */
import { checkEpsilon, checkShape } from "../formula/checks.js";
import { checkSeed, glorotUniform, onceOf } from "../formula/initializers.js";
import { type Normalization, normalization, trained, type Weight } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { broadcastMask } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { checkLengths } from "../shape.js";
import { layerNorm } from "./layer.js";
import { rmsNorm } from "./rms.js";
import { unitNorm } from "./unit.js";

/** Options of `normalizedAttention`. */
export interface AttentionOptions {
  /** Number of heads. Default 8. */
  heads?: number;
  /** Features per head. Default: the features of x divided by `heads`. */
  size?: number;
  /** How queries and keys are normalized. Default `layer`. */
  kind?: "layer" | "rms" | "unit" | "none";
  /** Whether queries and keys are normalized by `head` (default; Qwen3, Gemma 3), or over the full `width`, all heads at once (OLMo 2). */
  over?: "head" | "width";
  /** Default 1e-6 (Flax). */
  epsilon?: number;
  /** Whether a position attends only to itself and earlier ones. Default false. */
  causal?: boolean;
  /** Whether the four dense projections have a bias. Default true. */
  bias?: boolean;
  /** Seed of the kernels' initial values (Glorot uniform). Default 0. */
  seed?: number;
}

const NAME = "normalizedAttention";
/** The score of a key that a query must not attend to. */
const MASKED_SCORE = -1e30;

/**
 * Inputs x [batch, length, features], or [x, context] with context [batch, other length, other features]; y has the shape of x.
 * A mask [batch, length] (of the context, if there is one) excludes keys; without a context, y is 0 at masked positions.
 * Weights: query, key, value and output kernels and biases; queryGamma and keyGamma [size], or
 * [heads·size] over the width (layer, rms), or factor [1] (unit).
 * @throws RangeError for options out of range; when called, for shapes that do not fit
 */
export const normalizedAttention = normalization(
  {
    name: NAME,
    title: "Attention with QK-norm",
    summary: "attention with normalized queries and keys; stabilizes the training of large transformers",
    paper: "Henry et al. 2020, arXiv 2010.04245; Dehghani et al. 2023, arXiv 2302.05442",
    takes: "sequence",
  },
  {
    heads: 8,
    size: undefined,
    kind: "layer",
    over: "head",
    epsilon: 1e-6,
    causal: false,
    bias: true,
    seed: 0,
  },
  ({ heads, size, kind, over, epsilon, causal, bias, seed }: Settled<AttentionOptions, "size">) => {
    checkEpsilon(NAME, epsilon);
    checkSeed(NAME, seed);
    for (const [name, value] of Object.entries({ heads, ...(size !== undefined && { size }) })) {
      if (Number.isInteger(value) && value > 0) continue;
      throw new RangeError(`${NAME}: ${name} must be an integer of at least 1, got ${value}`);
    }
    if (!["layer", "rms", "unit", "none"].includes(kind)) {
      throw new RangeError(`${NAME}: kind must be "layer", "rms", "unit" or "none", got "${kind}"`);
    }
    if (over !== "head" && over !== "width") {
      throw new RangeError(`${NAME}: over must be "head" or "width", got "${over}"`);
    }
    const norm = {
      layer: layerNorm({ epsilon, center: false }),
      rms: rmsNorm({ epsilon }),
      unit: unitNorm({ epsilon }),
      none: undefined,
    }[kind];
    /** Features per head. */
    const widthOf = (features: number) => {
      const width = size ?? features / heads;
      if (Number.isInteger(width)) return width;
      throw new RangeError(
        `${NAME}: heads must divide the ${features} features of x, got ${heads}; give the size of a head, or another number of heads`,
      );
    };
    const kernels = new Map<string, Weight>();
    const kernel = (name: string, rows: number, columns: number, seed: number) => {
      const key = `${name} ${rows} ${columns}`;
      const made =
        kernels.get(key) ??
        trained(
          [rows, columns],
          onceOf(() => glorotUniform(rows, columns, seed)),
        );
      kernels.set(key, made);
      return made;
    };

    /** [batch, length, heads·width] from [batch, length, features]. */
    const dense = <T>(ops: Ops<T>, x: T, matrix: T, offset: T | undefined): T => {
      const [batch, length, features] = ops.shape(x);
      const y = ops.matMul(ops.reshape(x, [batch * length, features]), matrix);
      return ops.reshape(offset === undefined ? y : ops.add(y, offset), [
        batch,
        length,
        ops.shape(matrix)[1],
      ]);
    };
    /** [batch·heads, length, width]. */
    const split = <T>(ops: Ops<T>, x: T): T => {
      const [batch, length, features] = ops.shape(x);
      const parts = ops.reshape(x, [batch, length, heads, features / heads]);
      return ops.reshape(ops.transpose(parts, [0, 2, 1, 3]), [batch * heads, length, features / heads]);
    };

    return {
      handles: { mask: "last" },
      outputs: (shape) => [shape],
      weights(shape, context = shape) {
        checkShapes(shape, context);
        const [features, others] = [shape[2], context[2]];
        const width = widthOf(features);
        const all = heads * width;
        return {
          queryKernel: kernel("query", features, all, 4 * seed),
          keyKernel: kernel("key", others, all, 4 * seed + 1),
          valueKernel: kernel("value", others, all, 4 * seed + 2),
          outputKernel: kernel("output", all, features, 4 * seed + 3),
          ...(bias && {
            queryBias: trained([all], 0),
            keyBias: trained([all], 0),
            valueBias: trained([all], 0),
            outputBias: trained([features], 0),
          }),
          ...((kind === "layer" || kind === "rms") && {
            queryGamma: trained([over === "head" ? width : all], 1),
            keyGamma: trained([over === "head" ? width : all], 1),
          }),
          // the scale of plain attention's scores: lengths √width · √width, times 1/√width
          ...(kind === "unit" && {
            factor: trained([1], Math.sqrt(width) * (over === "head" ? 1 : heads)),
          }),
        };
      },
      apply(ops, [x, context = x], weights, { mask, training }) {
        const [batch, length, features] = ops.shape(x);
        const [, others] = ops.shape(context);
        checkLengths(NAME, "scores, one for each head, query and key,", [batch * heads, length, others]);
        const width = widthOf(features);
        const normalized = (values: T, gamma: T | undefined): T =>
          norm ? norm.apply(ops, [values], gamma === undefined ? {} : { gamma }, { training }).y : values;
        type T = typeof x;
        // masked values may be NaN, and 0 · NaN in a product is NaN
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, [batch, others]);
        const keyMask = fullMask === undefined ? undefined : ops.reshape(fullMask, [batch, others, 1]);
        const masked = (values: T) => (keyMask === undefined ? values : ops.where(keyMask, values, 0));
        const own = context === x;
        const source = masked(context);
        const target = own ? source : x;
        const { queryKernel, keyKernel, valueKernel, outputKernel } = weights;
        const perHead = (projected: T, gamma: T | undefined) =>
          over === "head"
            ? normalized(split(ops, projected), gamma)
            : split(ops, normalized(projected, gamma));
        const queries = perHead(dense(ops, target, queryKernel, weights.queryBias), weights.queryGamma);
        const keys = perHead(dense(ops, source, keyKernel, weights.keyBias), weights.keyGamma);
        const values = split(ops, dense(ops, source, valueKernel, weights.valueBias));
        const products = ops.matMul(queries, ops.transpose(keys, [0, 2, 1]));
        let scores = ops.mul(products, weights.factor ?? 1 / Math.sqrt(width));
        if (causal) {
          const visible = Float32Array.from({ length: length * others }, (_, i) =>
            i % others <= Math.floor(i / others) ? 1 : 0,
          );
          scores = shown(ops, scores, ops.constant(visible, [1, length, others]));
        }
        if (fullMask !== undefined) {
          const byHead = ops.reshape(scores, [batch, heads, length, others]);
          const allowed = shown(ops, byHead, ops.reshape(fullMask, [batch, 1, 1, others]));
          scores = ops.reshape(allowed, [batch * heads, length, others]);
        }
        const attention = softmax(ops, scores);
        const attended = ops.reshape(ops.matMul(attention, values), [batch, heads, length, width]);
        const joined = ops.reshape(ops.transpose(attended, [0, 2, 1, 3]), [batch, length, heads * width]);
        const y = dense(ops, joined, outputKernel, weights.outputBias);
        return { y: own ? masked(y) : y };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

function softmax<T>(ops: Ops<T>, scores: T): T {
  if (ops.softmax) return ops.softmax(scores);
  const powers = ops.exp(ops.sub(scores, ops.largest(scores, [2])));
  return ops.div(powers, ops.sum(powers, [2]));
}

/** Scores where 1 stands, and that of no attention where 0 does; a product and a sum are several times as fast as a choice. */
function shown<T>(ops: Ops<T>, scores: T, where: T): T {
  return ops.add(ops.mul(scores, where), ops.mul(ops.sub(1, where), MASKED_SCORE));
}

function checkShapes(x: readonly number[], context: readonly number[]): void {
  for (const shape of [x, context]) checkShape(NAME, shape, ["batch", "length", "features"]);
  if (x.length === 3 && context.length === 3 && x[0] === context[0]) return;
  throw new RangeError(
    `${NAME}: x and context must be [batch, length, features] with the same batch, got [${x.join(", ")}] and [${context.join(", ")}]`,
  );
}
