/**
 * A layer that sees each step by itself, [batch, steps, channels] as [batch · steps, channels]: what normalizes over
 * positions cannot tell a step what comes after it.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers } from "@tensorflow/tfjs-layers";

type Layer = InstanceType<typeof layers.Layer>;

// the class that calls a layer for one step after the other; TensorFlow.js exports no class of wrappers
const probe = layers.timeDistributed({
  layer: layers.activation({ activation: "linear", name: "step_probe" }),
  name: "steps_probe",
});
const TimeDistributed = Object.getPrototypeOf(probe).constructor as new (
  args: EachStepArgs,
) => Layer & { layer: Layer };

export interface EachStepArgs {
  layer: Layer;
  name?: string;
}

export class EachStep extends TimeDistributed {
  static readonly className: string = "EachStep";

  override call(
    inputs: tf.Tensor | tf.Tensor[],
    { mask, ...options }: { mask?: tf.Tensor | tf.Tensor[] | null; training?: boolean } = {},
  ): tf.Tensor {
    const [x] = [inputs].flat();
    const [given] = [mask ?? []].flat();
    return tf.tidy(() => {
      const [batch, steps] = x.shape;
      const rows = [batch * steps, ...x.shape.slice(2)];
      const y = this.layer.call(tf.reshape(x, rows), {
        ...options,
        ...(given && { mask: tf.reshape(given, [batch * steps]) }),
      } as object) as tf.Tensor;
      return tf.reshape(y, [batch, steps, ...y.shape.slice(1)]);
    });
  }
}
tf.serialization.registerClass(EachStep as unknown as tf.serialization.SerializableConstructor<EachStep>);
