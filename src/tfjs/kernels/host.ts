/** What every training kernel needs: the backend, the exports of assembly/training.ts on its memory, and scratch. */
import * as tf from "@tensorflow/tfjs-core";
import type { Scratch } from "../../kernels/wasm/wasm.js";
import type { WasmBackend } from "./wasm-backend.js";

/** Exports of assembly/training.ts; addresses are in bytes. */
export interface Exports {
  matMul(...values: number[]): void;
  matMulIntegers(...values: number[]): void;
  matMulScratchBytes(): number;
  convolution(...values: number[]): void;
  patchesBytes(patch: number): number;
  depthwiseBackward(...values: number[]): void;
  depthwiseBytes(inWidth: number, channels: number, multiplier: number): number;
  dilation(...values: number[]): void;
  averagePoolBackward(...values: number[]): void;
  maxPool(...values: number[]): void;
  segmentSum(...values: number[]): void;
  sum(...values: number[]): void;
  sumBytes(k2: number): number;
}

/** One backend, the kernels on its memory, and their scratch. */
export interface Host {
  readonly backend: WasmBackend;
  readonly exports: Exports;
  readonly scratch: Scratch;
  /** Whether the shipped kernels run on several threads. */
  readonly isThreaded: boolean;
}

export type Inputs = Record<string, tf.TensorInfo>;
/**
 * A kernel that replaces another. `shipped` runs the backend's own kernel of that name, with the same
 * arguments or others.
 */
export type Kernel = (
  host: Host,
  inputs: Inputs,
  attributes: tf.NamedAttrMap,
  shipped: Shipped,
) => tf.TensorInfo | tf.TensorInfo[];
export type Shipped = (attributes?: object, inputs?: Inputs) => tf.TensorInfo;

export type Shape4 = [number, number, number, number];

/** Runs one of the wasm backend's kernels; the caller disposes of its result. */
export function call(
  { backend }: Host,
  kernelName: string,
  inputs: Inputs,
  attrs: tf.NamedAttrMap = {},
): tf.TensorInfo {
  return tf.getKernel(kernelName, "wasm").kernelFunc({ inputs, backend, attrs }) as tf.TensorInfo;
}

/** x with its axes in the order `perm`; the caller disposes of it. */
export function transpose(host: Host, x: tf.TensorInfo, perm: number[]): tf.TensorInfo {
  return call(host, tf.Transpose, { x }, { perm });
}

export function dispose({ backend }: Host, ...tensors: tf.TensorInfo[]): void {
  for (const { dataId } of tensors) backend.disposeData(dataId);
}

export function requireFloats(name: string, ...tensors: tf.TensorInfo[]): void {
  if (tensors.every((tensor) => tensor.dtype === "float32")) return;
  throw new TypeError(
    `${name}: inputs must be float32, got ${described(tensors)}; convert them with tf.cast(x, "float32")`,
  );
}

export function described(tensors: readonly tf.TensorInfo[]): string {
  return tensors.map(({ dtype, shape }) => `${dtype} [${shape}]`).join(" and ");
}
