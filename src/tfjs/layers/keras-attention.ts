/**
 * Keras's MultiHeadAttention over sequences [batch, length, features], of a query, a value, and a key that is the value by default:
 *
 *     softmax(q·kᵀ / √keyDim)·v of each head, its results joined by a product with attention_output
 *
 * Without masks, but for a causal one. (Vaswani et al. 2017, "Attention Is All You Need".)
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn, initializers, type LayerVariable } from "@tensorflow/tfjs-layers";
import type { Config, Layer, LayerArgs, Shape, Tensors } from "../types.js";
import { product } from "./keras-operations.js";
import { type GivenMask, maskOf } from "./masks.js";

type AttentionArgs = LayerArgs & {
  numHeads: number;
  keyDim: number;
  /** Default: keyDim. */
  valueDim?: number | null;
  useBias?: boolean;
  /** Features of the output. Default: those of the query. */
  outputShape?: number | number[] | null;
  /** Whether a position sees those up to its own alone. */
  causal?: boolean;
};

class MultiHeadAttention extends builtIn.Layer {
  static readonly className = "KerasMultiHeadAttention";
  private readonly args: Required<Omit<AttentionArgs, keyof LayerArgs>>;
  private readonly projections = new Map<string, { kernel: LayerVariable; bias?: LayerVariable }>();

  constructor(given: AttentionArgs) {
    super(given);
    const { numHeads, keyDim, valueDim, useBias = true, outputShape = null, causal = false } = given;
    this.args = { numHeads, keyDim, valueDim: valueDim ?? keyDim, useBias, outputShape, causal };
  }

  override build(input: Shape | Shape[]): void {
    const shapes = (Array.isArray(input[0]) ? input : [input]) as Shape[];
    if (shapes.some(({ length }) => length !== 3)) {
      throw new RangeError("MultiHeadAttention: expected inputs [batch, length, features]");
    }
    const [query, value = query, key = value] = shapes.map((shape) => shape[2] as number);
    const { numHeads, keyDim, valueDim } = this.args;
    const outputs = this.outputs(query);
    this.project("query", [query, numHeads, keyDim as number], [numHeads, keyDim as number]);
    this.project("key", [key, numHeads, keyDim as number], [numHeads, keyDim as number]);
    this.project("value", [value, numHeads, valueDim as number], [numHeads, valueDim as number]);
    this.project("attention_output", [numHeads, valueDim as number, outputs], [outputs]);
    this.built = true;
  }

  private outputs(features: number): number {
    const [outputs = features, ...others] = [this.args.outputShape ?? []].flat();
    if (others.length > 0) throw new RangeError("MultiHeadAttention: expected an output_shape of one length");
    return outputs;
  }

  private project(name: string, kernel: number[], bias: number[]): void {
    const add = (role: string, shape: number[], initial: Parameters<Layer["addWeight"]>[3]) =>
      this.addWeight(`${name}_${role}`, shape, "float32", initial);
    this.projections.set(name, {
      kernel: add("kernel", kernel, initializers.glorotUniform({})),
      ...(this.args.useBias && { bias: add("bias", bias, initializers.zeros()) }),
    });
  }

  override call(inputs: Tensors, { mask }: { mask?: GivenMask } = {}): tf.Tensor {
    return tf.tidy(() => {
      const [query, value = query, key = value] = [inputs].flat();
      if (maskOf(this as unknown as Layer, mask)) {
        throw new Error(
          `${this.name}: a mask reaches this MultiHeadAttention, which is not supported; make the Embedding before it without mask_zero`,
        );
      }
      const projected = (name: string, x: tf.Tensor, equation: string) => {
        const { kernel, bias } = this.projections.get(name) as {
          kernel: LayerVariable;
          bias?: LayerVariable;
        };
        const y = product(equation, [x, kernel.read()]);
        return bias ? tf.add(y, bias.read()) : y;
      };
      const byHead = (name: string, x: tf.Tensor) =>
        tf.transpose(projected(name, x, "btd,dhk->bthk"), [0, 2, 1, 3]);
      const q = tf.div(byHead("query", query), Math.sqrt(this.args.keyDim));
      const [k, v] = [byHead("key", key), byHead("value", value)];
      const scores = tf.matMul(q, k, false, true);
      const seen = this.args.causal
        ? tf.add(scores, causalBias(query.shape[1] as number, key.shape[1] as number))
        : scores;
      return projected("attention_output", tf.matMul(tf.softmax(seen), v), "bhtv,hvo->bto");
    });
  }

  override computeOutputShape(input: Shape | Shape[]): Shape {
    const [batch, length, features] = (Array.isArray(input[0]) ? input[0] : input) as Shape;
    return [batch, length, this.outputs(features as number)];
  }

  override getConfig(): Config {
    return { ...super.getConfig(), ...this.args } as Config;
  }
}

/** −1e9 where a position comes after its query's. */
function causalBias(queries: number, keys: number): tf.Tensor {
  const values = Float32Array.from({ length: queries * keys }, (_, i) =>
    i % keys > Math.floor(i / keys) ? -1e9 : 0,
  );
  return tf.tensor(values, [queries, keys]);
}

export const kerasAttentionClasses = [MultiHeadAttention];
