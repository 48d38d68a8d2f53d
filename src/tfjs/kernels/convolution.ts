/**
 * Convolutions of images and volumes, and their gradients. The shipped kernels serve the forward pass over
 * images, channels last, given a padding that they handle correctly. Of the rest, dFilter of images is
 * missing, dFilter of volumes is wrong with strides, dx of volumes is wrong, and all are plain loops.
 */
import * as tf from "@tensorflow/tfjs-core";
import {
  asVolume,
  emptyShape,
  geometryOf,
  isReadRight,
  type Rounding,
  requireChannels,
  sidesOf,
  type VolumeWindow,
  whatIsComputed,
  windowPad,
} from "./geometry.js";
import {
  dispose,
  type Host,
  type Inputs,
  requireFloats,
  type Shape4,
  type Shipped,
  transpose,
} from "./host.js";
import { addressOf, outputOn } from "./wasm-backend.js";

type ConvInfo = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

/** y from x and filter, with or without a fused bias and activation. */
export function conv2D(
  host: Host,
  inputs: Inputs,
  attributes: tf.Conv2DAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  const { x, filter } = inputs;
  const { strides, pad, dimRoundingMode, dataFormat } = attributes;
  const info = infoOf(x.shape, filter.shape, attributes, dimRoundingMode);
  const empty = emptyShape(info);
  if (empty) return outputOn(host.backend, empty);
  if (dataFormat === "NHWC" && isReadRight(pad, strides, dimRoundingMode)) return shipped();
  const padded = { ...attributes, pad: windowPad(info), dimRoundingMode: undefined };
  if (info.dataFormat === "channelsLast") return shipped(padded);
  const last = transpose(host, x, TO_LAST);
  const y = shipped({ ...padded, dataFormat: "NHWC" }, { ...inputs, x: last });
  const first = transpose(host, y, TO_FIRST);
  dispose(host, last, y);
  return first;
}

/** dFilter from x and dy. */
export function conv2DBackpropFilter(
  host: Host,
  { x, dy }: Inputs,
  attributes: tf.Conv2DBackpropFilterAttrs,
): tf.TensorInfo {
  const { filterShape, dimRoundingMode } = attributes;
  requireFloats(tf.Conv2DBackpropFilter, x, dy);
  const info = geometryOf(tf.Conv2DBackpropFilter, dy, dimRoundingMode, (rounding) =>
    infoOf(x.shape, filterShape, attributes, rounding),
  );
  requireChannels(tf.Conv2DBackpropFilter, info, filterShape);
  return convolveImages(host, info, { x, y: dy });
}

/** dx from dy and filter. */
export function conv2DBackpropInput(
  host: Host,
  { dy, filter }: Inputs,
  attributes: tf.Conv2DBackpropInputAttrs,
): tf.TensorInfo {
  const { inputShape, dimRoundingMode } = attributes;
  requireFloats(tf.Conv2DBackpropInput, dy, filter);
  const info = geometryOf(tf.Conv2DBackpropInput, dy, dimRoundingMode, (rounding) =>
    infoOf(inputShape, filter.shape, attributes, rounding),
  );
  requireChannels(tf.Conv2DBackpropInput, info, filter.shape);
  return convolveImages(host, info, { y: dy, filter });
}

/** y from x and filter, of volumes. */
export function conv3D(host: Host, { x, filter }: Inputs, attributes: tf.Conv3DAttrs): tf.TensorInfo {
  const { strides, pad, dilations } = attributes;
  requireFloats(tf.Conv3D, x, filter);
  const shapes = [x.shape as Shape5, filter.shape as Shape5] as const;
  const info = tf.backend_util.computeConv3DInfo(...shapes, strides, dilations, pad);
  return convolve(host, info, { x, filter });
}

/** dFilter from x and dy, of volumes. */
export function conv3DBackpropFilter(
  host: Host,
  { x, dy }: Inputs,
  { filterShape, strides, pad }: tf.Conv3DBackpropFilterV2Attrs,
): tf.TensorInfo {
  requireFloats(tf.Conv3DBackpropFilterV2, x, dy);
  const info = geometryOf(tf.Conv3DBackpropFilterV2, dy, "floor", () =>
    tf.backend_util.computeConv3DInfo(x.shape as Shape5, filterShape, strides, 1, pad),
  );
  requireChannels(tf.Conv3DBackpropFilterV2, info, filterShape);
  return convolve(host, info, { x, y: dy });
}

/** dx from dy and filter, of volumes. */
export function conv3DBackpropInput(
  host: Host,
  { dy, filter }: Inputs,
  { inputShape, strides, pad }: tf.Conv3DBackpropInputV2Attrs,
): tf.TensorInfo {
  requireFloats(tf.Conv3DBackpropInputV2, dy, filter);
  const info = geometryOf(tf.Conv3DBackpropInputV2, dy, "floor", () =>
    tf.backend_util.computeConv3DInfo(inputShape, filter.shape as Shape5, strides, 1, pad),
  );
  requireChannels(tf.Conv3DBackpropInputV2, info, filter.shape);
  return convolve(host, info, { y: dy, filter });
}

type Shape5 = [number, number, number, number, number];
type Attributes = Pick<tf.Conv2DAttrs, "strides" | "pad" | "dataFormat"> &
  Partial<Pick<tf.Conv2DAttrs, "dilations">>;

function infoOf(
  x: readonly number[],
  filter: readonly number[],
  { strides, dilations = 1, pad, dataFormat }: Attributes,
  rounding: Rounding,
): ConvInfo {
  const format = tf.backend_util.convertConv2DDataFormat(dataFormat);
  const shapes = [x as Shape4, filter as Shape4] as const;
  const sides = sidesOf(pad, format);
  return tf.backend_util.computeConv2DInfo(...shapes, strides, dilations, sides, rounding, false, format);
}

/** x, filter and y (or dy); the one to compute is absent. */
interface Arrays {
  x?: tf.TensorInfo;
  filter?: tf.TensorInfo;
  y?: tf.TensorInfo;
}

const TO_LAST = [0, 2, 3, 1];
const TO_FIRST = [0, 3, 1, 2];

/** Convolves images, channels first or last. */
function convolveImages(host: Host, info: ConvInfo, { x, filter, y }: Arrays): tf.TensorInfo {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels } = info;
  const inShape = [batchSize, inHeight, inWidth, inChannels];
  const outShape = [batchSize, outHeight, outWidth, outChannels];
  const volume = { ...asVolume(info), inShape, outShape };
  if (info.dataFormat === "channelsLast") return convolve(host, volume, { x, filter, y });
  const toLast = (tensor?: tf.TensorInfo) => tensor && transpose(host, tensor, TO_LAST);
  const [xLast, yLast] = [toLast(x), toLast(y)];
  const result = convolve(host, volume, { x: xLast, filter, y: yLast });
  dispose(host, ...[xLast, yLast].filter((tensor) => tensor !== undefined));
  if (!filter) return result;
  const first = transpose(host, result, TO_FIRST);
  dispose(host, result);
  return first;
}

type Info = VolumeWindow & {
  outChannels: number;
  inShape: number[];
  filterShape: number[];
  outShape: number[];
};

/** Convolves volumes, channels last. */
function convolve({ backend, exports, scratch }: Host, info: Info, { x, filter, y }: Arrays): tf.TensorInfo {
  const shape = !x ? info.inShape : !filter ? info.filterShape : info.outShape;
  const result = outputOn(backend, shape);
  if (tf.util.sizeFromShape(shape) === 0) return result;
  const matMulBytes = exports.matMulScratchBytes();
  const patch = info.filterDepth * info.filterHeight * info.filterWidth * info.inChannels;
  const at = scratch.atLeast(matMulBytes + exports.patchesBytes(patch));
  exports.convolution(
    whatIsComputed(x, filter),
    ...[x, filter, y].map((tensor) => addressOf(backend, tensor ?? result)),
    at + matMulBytes,
    at,
    ...[info.batchSize, info.inDepth, info.inHeight, info.inWidth, info.inChannels],
    ...[info.outDepth, info.outHeight, info.outWidth, info.outChannels],
    ...[info.filterDepth, info.filterHeight, info.filterWidth],
    ...[info.strideDepth, info.strideHeight, info.strideWidth],
    ...[info.dilationDepth, info.dilationHeight, info.dilationWidth],
    ...[info.padInfo.front, info.padInfo.top, info.padInfo.left],
  );
  return result;
}
