/** Sums over axes. */
import * as tf from "@tensorflow/tfjs-core";
import type { Heap } from "../../kernels/wasm/heap.js";
import { viewOf } from "../../view.js";
import type { Host, Inputs, Shipped } from "./host.js";
import type { WasmBackend } from "./wasm-backend.js";
import { addressOf, heapOf, outputOn } from "./wasm-backend.js";

/** Sums float32 over axes that a view can express, such as in the gradient of every bias. */
export function sum(
  { backend, exports, scratch, isThreaded }: Host,
  { x }: Inputs,
  { axis, keepDims }: tf.SumAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  const axes = tf.util.parseAxisParam(axis, x.shape);
  const kept = x.shape.map((_, at) => at).filter((at) => !axes.includes(at));
  const shape = keepDims
    ? x.shape.map((length, at) => (axes.includes(at) ? 1 : length))
    : kept.map((at) => x.shape[at]);
  // the shipped kernel leaves the sum of nothing unset
  if (tf.util.sizeFromShape(x.shape) === 0)
    return zeros(backend, shape, x.dtype === "float32" ? "float32" : "int32");
  const view = viewOf(x.shape, kept);
  if (isThreaded || x.dtype !== "float32" || !view) return shipped();
  const y = outputOn(backend, shape);
  const work = scratch.atLeast(exports.sumBytes(view.k2));
  exports.sum(addressOf(backend, x), addressOf(backend, y), work, view.k1, view.r1, view.k2, view.r2);
  return y;
}

function zeros(backend: WasmBackend, shape: number[], dtype: "float32" | "int32"): tf.TensorInfo {
  const y = outputOn(backend, shape, dtype);
  const { memory } = heapOf(backend) as Heap;
  new Int32Array(memory.buffer, addressOf(backend, y), tf.util.sizeFromShape(shape)).fill(0);
  return y;
}
