/** Grey-scale dilation and its gradients. The shipped kernels assume that no maximum is below 0. */
import * as tf from "@tensorflow/tfjs-core";
import { windowOf } from "./geometry.js";
import type { Host, Inputs, Shape4, Shipped } from "./host.js";
import { addressOf, outputOn } from "./wasm-backend.js";

type Attributes = tf.Dilation2DAttrs;

/** y from x [batch, height, width, channels] and filter [height, width, channels]. */
export function dilation2D(host: Host, inputs: Inputs, attributes: Attributes, shipped: Shipped) {
  return dilate(host, tf.Dilation2D, inputs, attributes, 0, shipped);
}

/** dFilter from x, filter and dy. */
export function dilation2DBackpropFilter(
  host: Host,
  inputs: Inputs,
  attributes: Attributes,
  shipped: Shipped,
) {
  return dilate(host, tf.Dilation2DBackpropFilter, inputs, attributes, 1, shipped);
}

/** dx from x, filter and dy. */
export function dilation2DBackpropInput(
  host: Host,
  inputs: Inputs,
  attributes: Attributes,
  shipped: Shipped,
) {
  return dilate(host, tf.Dilation2DBackpropInput, inputs, attributes, 2, shipped);
}

/** y, dFilter or dx, numbered as in assembly/convolution.ts; integers are left to the shipped kernel. */
function dilate(
  { backend, exports }: Host,
  name: string,
  { x, filter, dy }: Inputs,
  { strides, pad, dilations }: Attributes,
  what: 0 | 1 | 2,
  shipped: Shipped,
): tf.TensorInfo {
  if ([x, filter, dy].some((tensor) => tensor && tensor.dtype !== "float32")) return shipped();
  const info = tf.backend_util.computeDilation2DInfo(
    x.shape as Shape4,
    filter.shape as [number, number, number],
    strides,
    pad,
    "NHWC",
    dilations,
  );
  if (dy && !tf.util.arraysEqual(dy.shape, info.outShape)) {
    throw new RangeError(`${name}: dy must have the output's shape [${info.outShape}], got [${dy.shape}]`);
  }
  const result = outputOn(backend, [info.outShape, filter.shape, x.shape][what]);
  exports.dilation(
    what,
    ...[x, filter, dy ?? x, result].map((tensor) => addressOf(backend, tensor)),
    ...[info.batchSize, info.inHeight, info.inWidth, info.inChannels, info.outHeight, info.outWidth],
    ...windowOf(info),
  );
  return result;
}
