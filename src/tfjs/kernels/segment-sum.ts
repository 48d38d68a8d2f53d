/** Sums of rows by segment: the gradient of gather, and so of an embedding. */
import * as tf from "@tensorflow/tfjs-core";
import { call, described, dispose, type Host, type Inputs } from "./host.js";
import { addressOf, outputOn } from "./wasm-backend.js";

/**
 * y [numSegments, ...] from x [rows, ...] and segmentIds int32 [rows]. Rows with an id out of range are
 * dropped; a segment without rows is 0.
 */
export function segmentSum(
  host: Host,
  { x, segmentIds: ids }: Inputs,
  { numSegments }: tf.UnsortedSegmentSumAttrs,
): tf.TensorInfo {
  const { backend, exports } = host;
  const [rows, ...shape] = x.shape;
  if (ids.dtype !== "int32" || ids.shape.length !== 1 || ids.shape[0] !== rows) {
    throw new RangeError(
      `unsortedSegmentSum: segmentIds must be int32 [${rows}], one for each row of x [${x.shape}], ` +
        `got ${described([ids])}; flatten both with tf.reshape where ids have several axes`,
    );
  }
  const values = x.dtype === "float32" ? x : call(host, tf.Cast, { x }, { dtype: "float32" });
  const y = outputOn(backend, [numSegments, ...shape]);
  const size = tf.util.sizeFromShape(shape);
  const [atX, atIds, atY] = [values, ids, y].map((tensor) => addressOf(backend, tensor));
  exports.segmentSum(atX, atIds, atY, rows, size, numSegments);
  if (values !== x) dispose(host, values);
  return y;
}
