/** Steps that are told apart by their places: x + table, [batch, steps, channels], a learned vector for each step. */
import * as tf from "@tensorflow/tfjs-core";
import { initializers, type LayerVariable, layers } from "@tensorflow/tfjs-layers";

type Config = ConstructorParameters<typeof layers.Layer>[0];

export interface PositionsArgs extends Exclude<Config, undefined> {
  /** Standard deviation of the initial values. */
  deviation?: number;
  seed?: number;
}

export class Positions extends layers.Layer {
  static readonly className: string = "Positions";
  private readonly deviation: number;
  private readonly seed: number;
  private table?: LayerVariable;

  constructor({ deviation = 0.02, seed = 0, ...args }: PositionsArgs) {
    super(args);
    this.deviation = deviation;
    this.seed = seed;
    this.supportsMasking = true;
  }

  override build(shape: number[] | (number | null)[]): void {
    const [, steps, channels] = shape as number[];
    const { deviation: stddev, seed } = this;
    const initializer = initializers.randomNormal({ mean: 0, stddev, seed });
    this.table = this.addWeight("table", [steps, channels], "float32", initializer);
    super.build(shape as number[]);
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const [x] = [inputs].flat();
    return tf.tidy(() => tf.add(x, (this.table as LayerVariable).read()));
  }

  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), deviation: this.deviation, seed: this.seed };
  }
}
tf.serialization.registerClass(Positions);
