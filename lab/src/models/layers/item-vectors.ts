/**
 * A learned vector for each item. From the weights of each user's items [batch, items] to two outputs: the sum of these
 * items' vectors so weighted [batch, width], and the vectors of all items [items, width], which are the same for each
 * batch: users and candidates share them, as in Yi et al. 2019 (doi 10.1145/3298689.3346996).
 */
import * as tf from "@tensorflow/tfjs-core";
import { initializers, type LayerVariable, layers } from "@tensorflow/tfjs-layers";

type Config = ConstructorParameters<typeof layers.Layer>[0];
type Shape = (number | null)[];

export interface ItemVectorsArgs extends Exclude<Config, undefined> {
  width: number;
  seed?: number;
}

export class ItemVectors extends layers.Layer {
  static readonly className: string = "ItemVectors";
  private readonly width: number;
  private readonly seed: number;
  private vectors!: LayerVariable;

  constructor({ width, seed = 0, ...args }: ItemVectorsArgs) {
    super(args);
    this.width = width;
    this.seed = seed;
  }

  override build(shape: Shape): void {
    const items = shape[1] as number;
    const initializer = initializers.randomNormal({ mean: 0, stddev: 1, seed: this.seed });
    this.vectors = this.addWeight("vectors", [items, this.width], "float32", initializer);
    super.build(shape as number[]);
  }

  override computeOutputShape([batch]: Shape): Shape[] {
    return [
      [batch, this.width],
      // whatever the batch: how many items there are is no business of the layers after it
      [null, this.width],
    ];
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor[] {
    const [weights] = [inputs].flat();
    const vectors = this.vectors.read() as tf.Tensor2D;
    return [tf.matMul(weights as tf.Tensor2D, vectors), tf.clone(vectors)];
  }

  override getConfig(): tf.serialization.ConfigDict {
    const { width, seed } = this;
    return { ...super.getConfig(), width, seed };
  }
}
tf.serialization.registerClass(ItemVectors);
