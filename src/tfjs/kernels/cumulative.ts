/** Cumulative sums and products. The shipped kernels read out of bounds for negative axes. */
import * as tf from "@tensorflow/tfjs-core";
import type { Host, Inputs, Shipped } from "./host.js";

export function cumulative(
  _: Host,
  { x }: Inputs,
  attributes: tf.CumsumAttrs | tf.CumprodAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  const [axis] = tf.util.parseAxisParam(attributes.axis, x.shape);
  return shipped({ ...attributes, axis });
}
