/** PReLU. The shipped kernel (XNNPACK) assumes one alpha per channel, whatever its shape. */
import * as tf from "@tensorflow/tfjs-core";
import { call, dispose, type Host, type Inputs, type Shipped } from "./host.js";

/** y = x where x > 0, alpha·x elsewhere; x and alpha are broadcast against each other. */
export function prelu(host: Host, { x, alpha }: Inputs, _: tf.NamedAttrMap, shipped: Shipped): tf.TensorInfo {
  const size = tf.util.sizeFromShape(alpha.shape);
  const isByChannel =
    x.dtype === "float32" &&
    alpha.dtype === "float32" &&
    x.shape.length > 0 &&
    alpha.shape.length <= x.shape.length;
  if (isByChannel && size > 0 && size === x.shape[x.shape.length - 1] && size === alpha.shape.at(-1))
    return shipped();
  const zero = call(host, tf.Fill, {}, { shape: [], value: 0, dtype: x.dtype });
  const above = call(host, tf.Maximum, { a: x, b: zero });
  const below = call(host, tf.Minimum, { a: x, b: zero });
  const scaled = call(host, tf.Multiply, { a: below, b: alpha });
  const y = call(host, tf.Add, { a: above, b: scaled });
  dispose(host, zero, above, below, scaled);
  return y;
}
