/**
 * Pooling and its gradients. The shipped kernels that locate maxima, and those for volumes, assume that none
 * is below 0; and the gradients of average pools distribute dy over the padding too, which the averages
 * exclude (on every backend).
 */
import * as tf from "@tensorflow/tfjs-core";
import {
  asVolume,
  emptyShape,
  geometryOf,
  isReadRight,
  type Pad,
  type Rounding,
  sidesOf,
  type VolumeWindow,
  windowPad,
} from "./geometry.js";
import type { Host, Inputs, Shape4, Shipped } from "./host.js";
import { addressOf, outputOn } from "./wasm-backend.js";

type Shape5 = [number, number, number, number, number];
type Info2 = ReturnType<typeof tf.backend_util.computePool2DInfo>;

/** y from x [batch, height, width, channels]; a window entirely in the padding gives −∞. */
export function maxPool(
  host: Host,
  { x }: Inputs,
  attributes: tf.MaxPoolAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  const { filterSize, strides, pad, dimRoundingMode } = attributes;
  const info = poolInfo(x.shape, filterSize, strides, pad, dimRoundingMode);
  const empty = emptyShape(info);
  if (empty) return outputOn(host.backend, empty);
  if (isReadRight(pad, strides, dimRoundingMode)) return shipped();
  const [, rows, columns] = windowPad(info);
  const isShipped = Math.max(...rows) < info.filterHeight && Math.max(...columns) < info.filterWidth;
  if (isShipped || x.dtype !== "float32") {
    return shipped({ ...attributes, pad: windowPad(info), dimRoundingMode: undefined });
  }
  const y = outputOn(host.backend, info.outShape);
  pool(host, asVolume(info), { x, y });
  return y;
}

/** The same for average pools. */
export function avgPool(
  host: Host,
  { x }: Inputs,
  attributes: tf.AvgPoolAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  const { filterSize, strides, pad, dimRoundingMode } = attributes;
  const info = poolInfo(x.shape, filterSize, strides, pad, dimRoundingMode);
  const empty = emptyShape(info);
  if (empty) return outputOn(host.backend, empty);
  if (isReadRight(pad, strides, dimRoundingMode)) return shipped();
  return shipped({ ...attributes, pad: windowPad(info), dimRoundingMode: undefined });
}

/** dx from dy and the input of an average pool. */
export function avgPoolGrad(
  host: Host,
  { dy, input: x }: Inputs,
  { filterSize, strides, pad }: tf.AvgPoolGradAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  if (x.dtype !== "float32" || dy.dtype !== "float32") return shipped();
  const info = geometryOf(tf.AvgPoolGrad, dy, undefined, (rounding) =>
    poolInfo(x.shape, filterSize, strides, pad, rounding),
  );
  return backwardOfMeans(host, asVolume(info), x, dy);
}

/** The same for volumes. */
export function avgPool3DGrad(
  host: Host,
  { dy, input: x }: Inputs,
  { filterSize, strides, pad, dimRoundingMode }: tf.AvgPool3DGradAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  if (x.dtype !== "float32" || dy.dtype !== "float32") return shipped();
  const info = geometryOf(tf.AvgPool3DGrad, dy, dimRoundingMode, (rounding) =>
    tf.backend_util.computePool3DInfo(x.shape as Shape5, filterSize, strides, 1, pad, rounding),
  );
  return backwardOfMeans(host, info, x, dy);
}

/** y, and the index in x of each maximum (int32). */
export function maxPoolWithArgmax(
  host: Host,
  { x }: Inputs,
  { filterSize, strides, pad, includeBatchInIndex }: tf.MaxPoolWithArgmaxAttrs,
  shipped: Shipped,
): tf.TensorInfo | tf.TensorInfo[] {
  if (x.dtype !== "float32") return shipped();
  const info = poolInfo(x.shape, filterSize, strides, pad);
  const y = outputOn(host.backend, info.outShape);
  const indices = outputOn(host.backend, info.outShape, "int32");
  pool(host, asVolume(info), { x, y, indices }, includeBatchInIndex);
  return [y, indices];
}

/** y from x [batch, depth, height, width, channels]. */
export function maxPool3D(
  host: Host,
  { x }: Inputs,
  attributes: tf.MaxPool3DAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  const { filterSize, strides, pad, dimRoundingMode } = attributes;
  if (x.dtype !== "float32") return shipped();
  const info = tf.backend_util.computePool3DInfo(
    x.shape as Shape5,
    filterSize,
    strides,
    1,
    pad,
    dimRoundingMode,
  );
  const y = outputOn(host.backend, info.outShape);
  pool(host, info, { x, y });
  return y;
}

/** dx from dy and the pool's input. */
export function maxPoolGrad(
  host: Host,
  { dy, input: x }: Inputs,
  { filterSize, strides, pad, dimRoundingMode }: tf.MaxPoolGradAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  if (x.dtype !== "float32" || dy.dtype !== "float32") return shipped();
  const info = geometryOf(tf.MaxPoolGrad, dy, dimRoundingMode, (rounding) =>
    poolInfo(x.shape, filterSize, strides, pad, rounding),
  );
  const dx = outputOn(host.backend, x.shape);
  pool(host, asVolume(info), { x, dy, dx });
  return dx;
}

/** The same for volumes. */
export function maxPool3DGrad(
  host: Host,
  { dy, input: x }: Inputs,
  { filterSize, strides, pad, dimRoundingMode }: tf.MaxPool3DGradAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  if (x.dtype !== "float32" || dy.dtype !== "float32") return shipped();
  const info = geometryOf(tf.MaxPool3DGrad, dy, dimRoundingMode, (rounding) =>
    tf.backend_util.computePool3DInfo(x.shape as Shape5, filterSize, strides, 1, pad, rounding),
  );
  const dx = outputOn(host.backend, x.shape);
  pool(host, info, { x, dy, dx });
  return dx;
}

function poolInfo(
  shape: number[],
  filterSize: number | [number, number],
  strides: number | [number, number],
  pad: Pad,
  rounding?: Rounding,
): Info2 {
  return tf.backend_util.computePool2DInfo(shape as Shape4, filterSize, strides, 1, sidesOf(pad), rounding);
}

interface Arrays {
  x: tf.TensorInfo;
  y?: tf.TensorInfo;
  indices?: tf.TensorInfo;
  dy?: tf.TensorInfo;
  dx?: tf.TensorInfo;
}

/** Computes whichever of y, indices and dx is present, from x and, for dx, dy. */
function pool({ backend, exports }: Host, info: VolumeWindow, arrays: Arrays, batchInIndex = false): void {
  const { x, y, indices, dy, dx } = arrays;
  exports.maxPool(
    ...[x, y, indices, dy, dx].map((tensor) => (tensor ? addressOf(backend, tensor) : 0)),
    Number(batchInIndex),
    ...sizesOf(info),
  );
}

function backwardOfMeans(
  { backend, exports }: Host,
  info: VolumeWindow,
  x: tf.TensorInfo,
  dy: tf.TensorInfo,
): tf.TensorInfo {
  const dx = outputOn(backend, x.shape);
  exports.averagePoolBackward(addressOf(backend, dy), addressOf(backend, dx), ...sizesOf(info));
  return dx;
}

function sizesOf(info: VolumeWindow): number[] {
  return [
    ...[info.batchSize, info.inDepth, info.inHeight, info.inWidth, info.inChannels],
    ...[info.outDepth, info.outHeight, info.outWidth],
    ...[info.filterDepth, info.filterHeight, info.filterWidth],
    ...[info.strideDepth, info.strideHeight, info.strideWidth],
    ...[info.padInfo.front, info.padInfo.top, info.padInfo.left],
  ];
}
