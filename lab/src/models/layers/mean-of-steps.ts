/** The mean of the steps that are not masked: [batch, steps, channels] to [batch, channels]; 0 where all are. */
import * as tf from "@tensorflow/tfjs-core";
import { layers } from "@tensorflow/tfjs-layers";

export class MeanOfSteps extends layers.Layer {
  static readonly className: string = "MeanOfSteps";

  constructor(args: Exclude<ConstructorParameters<typeof layers.Layer>[0], undefined>) {
    super(args);
    this.supportsMasking = true;
  }

  override computeOutputShape([batch, , channels]: (number | null)[]): (number | null)[] {
    return [batch, channels];
  }

  override computeMask(): tf.Tensor[] {
    // none, as layers of TensorFlow.js say it: the steps are gone
    return null as unknown as tf.Tensor[];
  }

  override call(
    inputs: tf.Tensor | tf.Tensor[],
    { mask }: { mask?: tf.Tensor | tf.Tensor[] | null } = {},
  ): tf.Tensor {
    const [x] = [inputs].flat();
    const [given] = [mask ?? []].flat();
    if (given === undefined) return tf.mean(x, 1);
    return tf.tidy(() => {
      const [batch, steps, channels] = x.shape;
      // a sum of two layers gives its mask another axis
      const counts = tf.cast(tf.reshape(given, [batch, 1, steps]), "float32");
      const sums = tf.reshape(tf.matMul(counts, x as tf.Tensor3D), [batch, channels]);
      return tf.div(sums, tf.maximum(tf.sum(counts, 2), 1));
    });
  }
}
tf.serialization.registerClass(MeanOfSteps);
