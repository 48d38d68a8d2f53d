/**
 * Kernels that training needs and TensorFlow.js's wasm backend lacks, has wrong, or has as slow loops. They
 * run on the backend's own memory (assembly/training.ts) and have the names, attributes and results of
 * TensorFlow.js's cpu backend, except where that is wrong: it ignores dilations in depthwise gradients,
 * distributes the gradient of a mean over the padding too, passes some of that of a maximum in a volume to
 * other elements, and lets a NaN in one segment into all of them. Where the shipped kernel is right and as
 * fast, it is called.
 */
import * as tf from "@tensorflow/tfjs-core";
import { type CompileOptions, compile } from "../../kernels/wasm/module.js";
import { Scratch } from "../../kernels/wasm/wasm.js";
import { fusedBatchNorm } from "./batch-norm.js";
import {
  conv2D,
  conv2DBackpropFilter,
  conv2DBackpropInput,
  conv3D,
  conv3DBackpropFilter,
  conv3DBackpropInput,
} from "./convolution.js";
import { cumulative } from "./cumulative.js";
import { depthwiseBackpropFilter, depthwiseBackpropInput, depthwiseConv2D } from "./depthwise.js";
import { dilation2D, dilation2DBackpropFilter, dilation2DBackpropInput } from "./dilation.js";
import { einsum } from "./einsum.js";
import type { Exports, Host, Inputs, Kernel, Shipped } from "./host.js";
import { batchMatMul, fusedMatMul } from "./matmul.js";
import {
  avgPool,
  avgPool3DGrad,
  avgPoolGrad,
  maxPool,
  maxPool3D,
  maxPool3DGrad,
  maxPoolGrad,
  maxPoolWithArgmax,
} from "./pooling.js";
import { prelu } from "./prelu.js";
import { segmentSum } from "./segment-sum.js";
import { sum } from "./sum.js";
import { binary } from "./training-binary.js";
import { cast, clipByValue, oneHot, reverse } from "./types.js";
import { heapOf, isThreaded, type WasmBackend } from "./wasm-backend.js";

/** Each takes the attributes of its kernel, which TensorFlow.js passes as a plain map. */
const kernels = {
  [tf.AvgPool]: avgPool,
  [tf.AvgPool3DGrad]: avgPool3DGrad,
  [tf.AvgPoolGrad]: avgPoolGrad,
  [tf.BatchMatMul]: batchMatMul,
  [tf.Cast]: cast,
  [tf.ClipByValue]: clipByValue,
  [tf.Conv2D]: conv2D,
  [tf.Conv2DBackpropFilter]: conv2DBackpropFilter,
  [tf.Conv2DBackpropInput]: conv2DBackpropInput,
  [tf.Conv3D]: conv3D,
  [tf.Conv3DBackpropFilterV2]: conv3DBackpropFilter,
  [tf.Conv3DBackpropInputV2]: conv3DBackpropInput,
  [tf.Cumprod]: cumulative,
  [tf.Cumsum]: cumulative,
  [tf.DepthwiseConv2dNative]: depthwiseConv2D,
  [tf.DepthwiseConv2dNativeBackpropFilter]: depthwiseBackpropFilter,
  [tf.DepthwiseConv2dNativeBackpropInput]: depthwiseBackpropInput,
  [tf.Dilation2D]: dilation2D,
  [tf.Dilation2DBackpropFilter]: dilation2DBackpropFilter,
  [tf.Dilation2DBackpropInput]: dilation2DBackpropInput,
  [tf.Einsum]: einsum,
  [tf.FusedBatchNorm]: fusedBatchNorm,
  [tf.FusedConv2D]: conv2D,
  [tf.FusedDepthwiseConv2D]: depthwiseConv2D,
  [tf.MaxPool]: maxPool,
  [tf.MaxPool3D]: maxPool3D,
  [tf.MaxPool3DGrad]: maxPool3DGrad,
  [tf.MaxPoolGrad]: maxPoolGrad,
  [tf.MaxPoolWithArgmax]: maxPoolWithArgmax,
  [tf.OneHot]: oneHot,
  [tf.Prelu]: prelu,
  [tf.Reverse]: reverse,
  [tf.Sum]: sum,
  [tf.UnsortedSegmentSum]: segmentSum,
  [tf._FusedMatMul]: fusedMatMul,
} as unknown as Record<string, Kernel>;

/** Compiles the kernels; throws where the engine has no SIMD. */
export function compileTraining(options?: CompileOptions): Promise<WebAssembly.Module> {
  return compile(binary, options);
}

/** Registered here, so that they do not replace themselves. */
const registered = new WeakSet<tf.KernelFunc>();

/**
 * Registers the kernels for the wasm backend and returns their names; none where that backend is not loaded.
 * `shared`: whether the module was compiled for the threaded build's memory.
 */
export function registerTrainingKernels(module: WebAssembly.Module, shared: boolean): string[] {
  if (!tf.getKernel(tf.BatchMatMul, "wasm")) return [];
  const hosts = new WeakMap<WasmBackend, Host>();
  const hostOf = (backend: WasmBackend) => {
    let host = hosts.get(backend);
    if (!host) {
      const heap = isThreaded(backend) === shared ? heapOf(backend) : undefined;
      if (!heap) return undefined;
      const instance = new WebAssembly.Instance(module, { env: { memory: heap.memory } });
      const exports = instance.exports as unknown as Exports;
      host = { backend, exports, scratch: new Scratch(heap), isThreaded: shared };
      hosts.set(backend, host);
    }
    return host;
  };
  for (const [kernelName, kernel] of Object.entries(kernels)) {
    const shipped: tf.KernelConfig | undefined = tf.getKernel(kernelName, "wasm");
    if (shipped && registered.has(shipped.kernelFunc)) continue;
    const kernelFunc: tf.KernelFunc = (params) => {
      const host = hostOf(params.backend as WasmBackend);
      const runShipped: Shipped = (attrs = params.attrs, inputs = params.inputs as Inputs) => {
        if (shipped)
          return shipped.kernelFunc({ ...params, inputs, attrs: attrs as tf.NamedAttrMap }) as tf.TensorInfo;
        throw new Error(
          `evenkeel: ${kernelName} was installed for another build of TensorFlow.js's wasm backend than the one that runs; ` +
            'call install() once, after tf.setBackend("wasm")',
        );
      };
      return host ? kernel(host, params.inputs as Inputs, params.attrs ?? {}, runShipped) : runShipped();
    };
    if (shipped) tf.unregisterKernel(kernelName, "wasm");
    // with the shipped kernel's other fields: its setup may not have run yet
    tf.registerKernel({ ...shipped, kernelName, backendName: "wasm", kernelFunc });
    registered.add(kernelFunc);
  }
  return Object.keys(kernels);
}
