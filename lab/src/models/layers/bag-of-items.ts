/**
 * Which items a user has: numbers of items from 1 in any order [batch, most], 0 where there are no more, to
 * [batch, items], 0 for what the user does not have. What it has is of length 1 (`unit`, as in Liang et al. 2018, arXiv
 * 1802.05814), or adds up to 1 (`mean`, by which vectors of items are averaged). In training some are dropped, as by
 * dropout.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers } from "@tensorflow/tfjs-layers";

type Config = ConstructorParameters<typeof layers.Layer>[0];

export interface BagOfItemsArgs extends Exclude<Config, undefined> {
  items: number;
  scale: "unit" | "mean";
  /** Share of the items that is dropped in training, 0 ≤ rate < 1. */
  rate?: number;
  seed?: number;
}

export class BagOfItems extends layers.Layer {
  static readonly className: string = "BagOfItems";
  private readonly items: number;
  private readonly scale: BagOfItemsArgs["scale"];
  private readonly rate: number;
  private readonly seed: number;
  private calls = 0;

  constructor({ items, scale, rate = 0, seed = 0, ...args }: BagOfItemsArgs) {
    super(args);
    this.items = items;
    this.scale = scale;
    this.rate = rate;
    this.seed = seed;
  }

  override computeOutputShape(shape: (number | null)[]): (number | null)[] {
    return [shape[0], this.items];
  }

  override call(
    inputs: tf.Tensor | tf.Tensor[],
    { training = false }: { training?: boolean } = {},
  ): tf.Tensor {
    return tf.tidy(() => {
      const [x] = [inputs].flat();
      const numbers = tf.cast(x, "int32") as tf.Tensor2D;
      const there = tf.cast(tf.greater(x, 0), "float32");
      const size = tf.maximum(tf.sum(there, 1, true), 1);
      let weights = tf.div(there, this.scale === "unit" ? tf.sqrt(size) : size);
      if (training && this.rate > 0) {
        const drawn = tf.randomUniform(x.shape, 0, 1, "float32", `${this.seed}/${this.calls++}`);
        const kept = tf.cast(tf.greaterEqual(drawn, this.rate), "float32");
        weights = tf.div(tf.mul(weights, kept), 1 - this.rate);
      }
      return tf.slice(tf.denseBincount(numbers, weights as tf.Tensor2D, this.items + 1), [0, 1], [-1, -1]);
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    const { items, scale, rate, seed } = this;
    return { ...super.getConfig(), items, scale, rate, seed };
  }
}
tf.serialization.registerClass(BagOfItems);
