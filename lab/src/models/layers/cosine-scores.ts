/**
 * How near each user is to each item: of vectors [batch, width] and [items, width], their cosines over a temperature
 * [batch, items] (Yi et al. 2019, doi 10.1145/3298689.3346996).
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers } from "@tensorflow/tfjs-layers";

type Config = ConstructorParameters<typeof layers.Layer>[0];
type Shape = (number | null)[];

export interface CosineScoresArgs extends Exclude<Config, undefined> {
  items: number;
  temperature: number;
}

/** Below any square of a vector that says something. */
const TINY = 1e-12;

export class CosineScores extends layers.Layer {
  static readonly className: string = "CosineScores";
  private readonly items: number;
  private readonly temperature: number;

  constructor({ items, temperature, ...args }: CosineScoresArgs) {
    super(args);
    this.items = items;
    this.temperature = temperature;
  }

  override computeOutputShape(shapes: Shape | Shape[]): Shape {
    const [[batch]] = shapes as Shape[];
    return [batch, this.items];
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => {
      const [users, items] = (inputs as tf.Tensor2D[]).map(
        (vectors): tf.Tensor2D =>
          tf.mul(vectors, tf.rsqrt(tf.maximum(tf.sum(tf.square(vectors), 1, true), TINY))),
      );
      return tf.div(tf.matMul(users, items, false, true), this.temperature);
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    const { items, temperature } = this;
    return { ...super.getConfig(), items, temperature };
  }
}
tf.serialization.registerClass(CosineScores);
