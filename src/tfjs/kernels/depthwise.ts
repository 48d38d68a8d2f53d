/**
 * Depthwise convolutions and their gradients. The shipped kernels serve the forward pass, given a padding
 * that they handle correctly; there are none for the gradients.
 */
import * as tf from "@tensorflow/tfjs-core";
import {
  emptyShape,
  geometryOf,
  isReadRight,
  type Rounding,
  requireChannels,
  sidesOf,
  whatIsComputed,
  windowOf,
  windowPad,
} from "./geometry.js";
import { type Host, type Inputs, requireFloats, type Shape4, type Shipped } from "./host.js";
import { addressOf, outputOn } from "./wasm-backend.js";

type ConvInfo = ReturnType<typeof tf.backend_util.computeConv2DInfo>;
type Attributes = Pick<tf.DepthwiseConv2dNativeAttrs, "strides" | "pad"> &
  Partial<Pick<tf.DepthwiseConv2dNativeAttrs, "dilations">>;

/** y from x and filter, with or without a fused bias and activation. */
export function depthwiseConv2D(
  { backend }: Host,
  { x, filter }: Inputs,
  attributes: tf.DepthwiseConv2dNativeAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  const { strides, pad, dimRoundingMode } = attributes;
  const info = infoOf(x.shape, filter.shape, attributes, dimRoundingMode);
  const empty = emptyShape(info);
  if (empty) return outputOn(backend, empty);
  if (isReadRight(pad, strides, dimRoundingMode)) return shipped();
  return shipped({ ...attributes, pad: windowPad(info), dimRoundingMode: undefined });
}

/** dFilter from x and dy. */
export function depthwiseBackpropFilter(
  host: Host,
  { x, dy }: Inputs,
  attributes: tf.DepthwiseConv2dNativeBackpropFilterAttrs,
): tf.TensorInfo {
  const name = tf.DepthwiseConv2dNativeBackpropFilter;
  const { filterShape, dimRoundingMode } = attributes;
  requireFloats(name, x, dy);
  const info = geometryOf(name, dy, dimRoundingMode, (rounding) =>
    infoOf(x.shape, filterShape, attributes, rounding),
  );
  requireChannels(name, info, filterShape);
  return backward(host, info, { x, dy });
}

/** dx from dy and filter. */
export function depthwiseBackpropInput(
  host: Host,
  { dy, filter }: Inputs,
  attributes: tf.DepthwiseConv2dNativeBackpropInputAttrs,
): tf.TensorInfo {
  const name = tf.DepthwiseConv2dNativeBackpropInput;
  const { inputShape, dimRoundingMode } = attributes;
  requireFloats(name, dy, filter);
  const info = geometryOf(name, dy, dimRoundingMode, (rounding) =>
    infoOf(inputShape, filter.shape, attributes, rounding),
  );
  requireChannels(name, info, filter.shape);
  return backward(host, info, { dy, filter });
}

function infoOf(
  x: readonly number[],
  filter: readonly number[],
  { strides, dilations, pad }: Attributes,
  rounding: Rounding,
): ConvInfo {
  const shapes = [x as Shape4, filter as Shape4] as const;
  return tf.backend_util.computeConv2DInfo(...shapes, strides, dilations ?? 1, sidesOf(pad), rounding, true);
}

/** The gradient of x or filter, whichever is absent. */
function backward(
  { backend, exports, scratch }: Host,
  info: ConvInfo,
  { x, filter, dy }: { x?: tf.TensorInfo; filter?: tf.TensorInfo; dy: tf.TensorInfo },
): tf.TensorInfo {
  const shape = x ? info.filterShape : info.inShape;
  const gradient = outputOn(backend, shape);
  if (tf.util.sizeFromShape(shape) === 0) return gradient;
  const multiplier = info.filterShape[3];
  exports.depthwiseBackward(
    whatIsComputed(x, filter),
    ...[x, filter, dy].map((tensor) => addressOf(backend, tensor ?? gradient)),
    scratch.atLeast(exports.depthwiseBytes(info.inWidth, info.inChannels, multiplier)),
    ...[info.batchSize, info.inHeight, info.inWidth, info.inChannels],
    ...[info.outHeight, info.outWidth, multiplier],
    ...windowOf(info),
  );
  return gradient;
}
