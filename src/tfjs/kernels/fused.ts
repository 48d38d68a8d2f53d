/** The normalization operation by the fused kernels, on the wasm backend's own memory. */
import * as tf from "@tensorflow/tfjs-core";
import { threadsHere } from "../../kernels/wasm/pool.js";
import { normalizationModule, WasmKernels } from "../../kernels/wasm/wasm.js";
import type { Attributes } from "./attributes.js";
import { gradientInputs, named } from "./attributes.js";
import type { WasmBackend } from "./wasm-backend.js";
import { addressOf, heapOf, isThreaded, outputOn } from "./wasm-backend.js";

/** The compiled kernels, for shared memory or not. */
let normalization: { module: WebAssembly.Module; shared: boolean } | undefined;
let kernelsOf = new WeakMap<object, WasmKernels | null>();

/** Enables the fused kernels; called by `install`. */
export function useFused(module: WebAssembly.Module, shared: boolean): void {
  if (normalization?.module !== module) kernelsOf = new WeakMap();
  normalization = { module, shared };
}

/** Enables them on the current backend, where they can run and `install` has not. */
export async function readyFused(): Promise<void> {
  await tf.ready();
  const backend = tf.backend() as object as WasmBackend;
  if (normalization || !heapOf(backend)) return;
  const shared = isThreaded(backend);
  try {
    useFused(await normalizationModule({ shared }), shared);
  } catch {
    // this engine has no SIMD
  }
}

/** The fused kernels on this backend's memory, or null where they cannot run on it. */
export function fusedKernels(backend: object): WasmKernels | null {
  if (!normalization) return null;
  let kernels = kernelsOf.get(backend);
  if (kernels === undefined) {
    const { module, shared } = normalization;
    const heap = isThreaded(backend as WasmBackend) === shared ? heapOf(backend as WasmBackend) : undefined;
    kernels = heap ? new WasmKernels(module, heap, shared ? threadsHere() : 1) : null;
    kernelsOf.set(backend, kernels);
  }
  return kernels;
}

export function fused(
  kernels: WasmKernels,
  backend: WasmBackend,
  inputs: tf.TensorInfo[],
  attributes: Attributes,
): tf.TensorInfo[] {
  const { statistics, parameters, statisticsShape, epsilon, centered, given, masks } = attributes;
  const tensors = named(inputs, attributes);
  const y = outputOn(backend, tensors.x.shape);
  const sum = tensors.residual && outputOn(backend, tensors.x.shape);
  const room = () => outputOn(backend, statisticsShape);
  const mean = given ? tensors.mean : centered ? room() : undefined;
  const variance = given ? (tensors.variance as tf.TensorInfo) : room();
  const address = (tensor?: tf.TensorInfo) => tensor && addressOf(backend, tensor);
  kernels.forward({
    x: addressOf(backend, tensors.x),
    residual: address(tensors.residual),
    sum: address(sum),
    y: addressOf(backend, y),
    mean: address(mean),
    variance: addressOf(backend, variance),
    given,
    epsilon,
    statistics,
    parameters,
    gamma: address(tensors.gamma),
    beta: address(tensors.beta),
    mask: address(tensors.mask),
    masks,
  });
  const measured = given ? [] : [mean, variance];
  return [y, ...measured, sum].filter((tensor) => tensor !== undefined);
}

export function fusedGradient(
  kernels: WasmKernels,
  backend: WasmBackend,
  list: tf.TensorInfo[],
  attributes: Attributes,
): tf.TensorInfo[] {
  const { statistics, parameters, parameterShape, epsilon, given, scale, offset, masks } = attributes;
  const { dy, dSum, x, gamma, mean, variance, mask } = gradientInputs(list, attributes);
  const dx = outputOn(backend, x.shape);
  const dGamma = scale ? outputOn(backend, parameterShape) : undefined;
  const dBeta = offset ? outputOn(backend, parameterShape) : undefined;
  const address = (tensor?: tf.TensorInfo) => tensor && addressOf(backend, tensor);
  kernels.backward({
    dy: addressOf(backend, dy),
    dSum: address(dSum),
    x: addressOf(backend, x),
    mean: address(mean),
    variance: addressOf(backend, variance),
    given,
    epsilon,
    statistics,
    parameters,
    gamma: address(gamma),
    dx: addressOf(backend, dx),
    dGamma: address(dGamma),
    dBeta: address(dBeta),
    mask: address(mask),
    masks,
  });
  return [dx, dGamma, dBeta].filter((tensor) => tensor !== undefined);
}
