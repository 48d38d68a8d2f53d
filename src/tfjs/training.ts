/**
 * Kernels that training needs and TensorFlow.js's wasm backend lacks or has as slow loops: matrix products, the
 * gradients of convolutions, sums (the gradient of a bias), and sums by segment (the gradient of gather). They stand
 * on the backend's own memory (assembly/training.ts) and have the names, attributes and results of TensorFlow.js's cpu
 * backend, except where that is wrong: it leaves dilations out of depthwise gradients, and lets a NaN of one segment
 * into all of them.
 */
import * as tf from "@tensorflow/tfjs-core";
import { type CompileOptions, compile } from "../kernels/wasm/module.js";
import { Scratch } from "../kernels/wasm/wasm.js";
import { viewOf } from "../view.js";
import { binaries } from "./training-binary.js";
import { addressOf, heapOf, isThreaded, outputOn, type WasmBackend } from "./wasm-backend.js";

/** What assembly/training.ts exports; addresses in bytes. */
interface Exports {
  matMul(...values: number[]): void;
  matMulScratchBytes(): number;
  convolutionBackwardFilter(...values: number[]): void;
  convolutionBackwardInput(...values: number[]): void;
  patchesBytes(patch: number): number;
  depthwiseBackward(...values: number[]): void;
  depthwiseBytes(inWidth: number, channels: number, multiplier: number): number;
  segmentSum(...values: number[]): void;
  sum(...values: number[]): void;
  sumBytes(k2: number): number;
}

type ConvInfo = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

/** One backend, the kernels that stand on its memory, and their scratch. */
interface Host {
  readonly backend: WasmBackend;
  readonly exports: Exports;
  readonly scratch: Scratch;
}

type Inputs = Record<string, tf.TensorInfo>;
/** Undefined: what the backend shipped under the name is to do it. */
type Kernel = (host: Host, inputs: Inputs, attributes: tf.NamedAttrMap) => tf.TensorInfo | undefined;

const kernels: Record<string, Kernel> = {
  [tf.BatchMatMul]: (host, { a, b }, attributes) =>
    matMul(host, a, b, attributes as unknown as tf.BatchMatMulAttrs),
  [tf.Conv2DBackpropFilter]: (host, { x, dy }, attributes) =>
    convolutionFilter(host, x, dy, attributes as unknown as tf.Conv2DBackpropFilterAttrs),
  [tf.Conv2DBackpropInput]: (host, { dy, filter }, attributes) =>
    convolutionInput(host, dy, filter, attributes as unknown as tf.Conv2DBackpropInputAttrs),
  [tf.DepthwiseConv2dNativeBackpropFilter]: (host, { x, dy }, attributes) =>
    depthwiseFilter(host, x, dy, attributes as unknown as tf.DepthwiseConv2dNativeBackpropFilterAttrs),
  [tf.DepthwiseConv2dNativeBackpropInput]: (host, { dy, filter }, attributes) =>
    depthwiseInput(host, dy, filter, attributes as unknown as tf.DepthwiseConv2dNativeBackpropInputAttrs),
  [tf.Sum]: (host, { x }, attributes) => sum(host, x, attributes as unknown as tf.SumAttrs),
  [tf.UnsortedSegmentSum]: (host, { x, segmentIds }, attributes) =>
    segmentSum(host, x, segmentIds, attributes as unknown as tf.UnsortedSegmentSumAttrs),
};

/** The kernels, compiled; throws where the engine has no SIMD. */
export function compileTraining(options?: CompileOptions): Promise<WebAssembly.Module> {
  return compile(binaries, options);
}

/** Ours, so that they do not replace themselves. */
const registered = new WeakSet<tf.KernelFunc>();

/**
 * Registers the kernels for the wasm backend and gives their names; none where that backend is not loaded. `shared`: the
 * module was compiled for the threaded build's memory. What that build has itself, on all of its threads, keeps serving it.
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
      host = { backend, exports: instance.exports as unknown as Exports, scratch: new Scratch(heap) };
      hosts.set(backend, host);
    }
    return host;
  };
  for (const [kernelName, kernel] of Object.entries(kernels)) {
    const shipped: tf.KernelConfig | undefined = tf.getKernel(kernelName, "wasm");
    if (shipped && registered.has(shipped.kernelFunc)) continue;
    const kernelFunc: tf.KernelFunc = (params) => {
      const host = shipped && shared ? undefined : hostOf(params.backend as WasmBackend);
      const result = host && kernel(host, params.inputs as Inputs, params.attrs ?? {});
      if (result) return result;
      if (shipped) return shipped.kernelFunc(params);
      throw new Error(
        `evenkeel: ${kernelName} was installed for another build of TensorFlow.js's wasm backend than the one that runs; ` +
          'call install() once, after tf.setBackend("wasm")',
      );
    };
    if (shipped) tf.unregisterKernel(kernelName, "wasm");
    // with what else the shipped kernel has: it may not have been set up yet
    tf.registerKernel({ ...shipped, kernelName, backendName: "wasm", kernelFunc });
    registered.add(kernelFunc);
  }
  return Object.keys(kernels);
}

/** a [..., m, k] · b [..., k, n] = [..., m, n], each stored transposed where the attributes say so. */
function matMul(
  host: Host,
  a: tf.TensorInfo,
  b: tf.TensorInfo,
  { transposeA, transposeB }: tf.BatchMatMulAttrs,
): tf.TensorInfo {
  requireFloats(tf.BatchMatMul, a, b);
  const [rowsA, columnsA] = a.shape.slice(-2);
  const [rowsB, columnsB] = b.shape.slice(-2);
  const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [n, innerB] = transposeB ? [rowsB, columnsB] : [columnsB, rowsB];
  if (a.shape.length < 2 || b.shape.length < 2 || k !== innerB) {
    throw new RangeError(
      "matMul: a must be [..., m, k] and b [..., k, n], each transposed where so asked, got " +
        `a [${a.shape}], transposeA ${transposeA}, and b [${b.shape}], transposeB ${transposeB}`,
    );
  }
  const batchShapeA = a.shape.slice(0, -2);
  const batchShapeB = b.shape.slice(0, -2);
  const batchShape = tf.broadcast_util.assertAndGetBroadcastShape(batchShapeA, batchShapeB);
  const batch = tf.util.sizeFromShape(batchShape);
  const { backend, exports } = host;
  const y = outputOn(backend, [...batchShape, m, n]);
  if (batch * m * n === 0) return y;

  const scratch = host.scratch.atLeast(exports.matMulScratchBytes());
  const [atA, atB, atY] = [a, b, y].map((tensor) => addressOf(backend, tensor));
  const indexA = broadcastIndices(batchShapeA, batchShape);
  const indexB = broadcastIndices(batchShapeB, batchShape);
  // matrices that lie evenly in a, b and y go together
  for (let first = 0, end: number; first < batch; first = end) {
    end = first + 1;
    const stepA = end < batch ? indexA[end] - indexA[first] : 0;
    const stepB = end < batch ? indexB[end] - indexB[first] : 0;
    const isEven = (at: number) =>
      indexA[at] - indexA[at - 1] === stepA && indexB[at] - indexB[at - 1] === stepB;
    while (end < batch && isEven(end)) end++;
    // one b for neighbours in a: one product with more rows
    const joined = stepA === 1 && stepB === 0 && !transposeA;
    exports.matMul(
      ...[atA + indexA[first] * m * k * 4, atB + indexB[first] * k * n * 4, atY + first * m * n * 4, scratch],
      ...(joined ? [1, 0, 0, m * (end - first)] : [end - first, stepA * m * k, stepB * k * n, m]),
      ...[n, k, Number(transposeA), Number(transposeB)],
    );
  }
  return y;
}

/** For each element of an array of shape `to`, row-major, the element of one of shape `from` that it is copied from. */
function broadcastIndices(from: readonly number[], to: readonly number[]): number[] {
  let indices = [0];
  for (let axis = 0; axis < to.length; axis++) {
    const size = from[axis - to.length + from.length] ?? 1;
    indices = indices.flatMap((index) =>
      Array.from({ length: to[axis] }, (_, i) => index * size + (size === 1 ? 0 : i)),
    );
  }
  return indices;
}

type Shape4 = [number, number, number, number];

/** dFilter from x and dy. */
function convolutionFilter(
  host: Host,
  x: tf.TensorInfo,
  dy: tf.TensorInfo,
  { filterShape, strides, pad, dataFormat, dimRoundingMode: rounding }: tf.Conv2DBackpropFilterAttrs,
): tf.TensorInfo {
  requireFloats(tf.Conv2DBackpropFilter, x, dy);
  const format = tf.backend_util.convertConv2DDataFormat(dataFormat);
  const shape = x.shape as Shape4;
  const info = tf.backend_util.computeConv2DInfo(
    shape,
    filterShape,
    strides,
    1,
    pad,
    rounding,
    false,
    format,
  );
  checkShapes(tf.Conv2DBackpropFilter, info, dy, filterShape);
  if (format === "channelsLast") return convolve(host, info, x, dy, undefined);
  const last = [x, dy].map((tensor) => transpose(host, tensor, TO_LAST));
  const dFilter = convolve(host, info, last[0], last[1], undefined);
  dispose(host, ...last);
  return dFilter;
}

/** dx from dy and filter. */
function convolutionInput(
  host: Host,
  dy: tf.TensorInfo,
  filter: tf.TensorInfo,
  { inputShape, strides, pad, dataFormat, dimRoundingMode: rounding }: tf.Conv2DBackpropInputAttrs,
): tf.TensorInfo {
  requireFloats(tf.Conv2DBackpropInput, dy, filter);
  const format = tf.backend_util.convertConv2DDataFormat(dataFormat);
  const shape = filter.shape as Shape4;
  const info = tf.backend_util.computeConv2DInfo(inputShape, shape, strides, 1, pad, rounding, false, format);
  checkShapes(tf.Conv2DBackpropInput, info, dy, shape);
  if (format === "channelsLast") return convolve(host, info, undefined, dy, filter);
  const last = transpose(host, dy, TO_LAST);
  const dxLast = convolve(host, info, undefined, last, filter);
  const dx = transpose(host, dxLast, TO_FIRST);
  dispose(host, last, dxLast);
  return dx;
}

/** Channels last; of x and filter, the gradient of the one that is not given. */
function convolve(
  { backend, exports, scratch }: Host,
  info: ConvInfo,
  x: tf.TensorInfo | undefined,
  dy: tf.TensorInfo,
  filter: tf.TensorInfo | undefined,
): tf.TensorInfo {
  const { batchSize, inHeight, inWidth, inChannels, filterHeight, filterWidth } = info;
  const shape = x ? info.filterShape : [batchSize, inHeight, inWidth, inChannels];
  const gradient = outputOn(backend, shape);
  if (tf.util.sizeFromShape(shape) === 0) return gradient;
  const matMulBytes = exports.matMulScratchBytes();
  const patch = filterHeight * filterWidth * inChannels;
  const at = scratch.atLeast(matMulBytes + exports.patchesBytes(patch));
  const backward = x ? exports.convolutionBackwardFilter : exports.convolutionBackwardInput;
  backward(
    ...(x ? [x, dy, gradient] : [dy, filter as tf.TensorInfo, gradient]).map((t) => addressOf(backend, t)),
    at + matMulBytes,
    at,
    ...[batchSize, inHeight, inWidth, inChannels],
    ...[info.outHeight, info.outWidth, info.outChannels],
    ...[filterHeight, filterWidth, info.strideHeight, info.strideWidth],
    ...[info.padInfo.top, info.padInfo.left],
  );
  return gradient;
}

/** dFilter from x and dy. */
function depthwiseFilter(
  host: Host,
  x: tf.TensorInfo,
  dy: tf.TensorInfo,
  attributes: tf.DepthwiseConv2dNativeBackpropFilterAttrs,
): tf.TensorInfo {
  requireFloats(tf.DepthwiseConv2dNativeBackpropFilter, x, dy);
  const { filterShape, strides, dilations, pad, dimRoundingMode: rounding } = attributes;
  const shape = x.shape as Shape4;
  const info = tf.backend_util.computeConv2DInfo(shape, filterShape, strides, dilations, pad, rounding, true);
  checkShapes(tf.DepthwiseConv2dNativeBackpropFilter, info, dy, filterShape);
  return depthwise(host, info, x, dy, undefined);
}

/** dx from dy and filter. */
function depthwiseInput(
  host: Host,
  dy: tf.TensorInfo,
  filter: tf.TensorInfo,
  attributes: tf.DepthwiseConv2dNativeBackpropInputAttrs,
): tf.TensorInfo {
  requireFloats(tf.DepthwiseConv2dNativeBackpropInput, dy, filter);
  const { inputShape, strides, dilations, pad, dimRoundingMode: rounding } = attributes;
  const shape = filter.shape as Shape4;
  const info = tf.backend_util.computeConv2DInfo(inputShape, shape, strides, dilations, pad, rounding, true);
  checkShapes(tf.DepthwiseConv2dNativeBackpropInput, info, dy, shape);
  return depthwise(host, info, undefined, dy, filter);
}

/** Of x and filter, the gradient of the one that is not given. */
function depthwise(
  { backend, exports, scratch }: Host,
  info: ConvInfo,
  x: tf.TensorInfo | undefined,
  dy: tf.TensorInfo,
  filter: tf.TensorInfo | undefined,
): tf.TensorInfo {
  const shape = x ? info.filterShape : info.inShape;
  const gradient = outputOn(backend, shape);
  if (tf.util.sizeFromShape(shape) === 0) return gradient;
  const multiplier = info.filterShape[3];
  exports.depthwiseBackward(
    Number(x !== undefined),
    ...[x ?? gradient, dy, filter ?? gradient].map((tensor) => addressOf(backend, tensor)),
    scratch.atLeast(exports.depthwiseBytes(info.inWidth, info.inChannels, multiplier)),
    ...[info.batchSize, info.inHeight, info.inWidth, info.inChannels, multiplier],
    ...[info.outHeight, info.outWidth, info.filterHeight, info.filterWidth],
    ...[info.strideHeight, info.strideWidth, info.dilationHeight, info.dilationWidth],
    ...[info.padInfo.top, info.padInfo.left],
  );
  return gradient;
}

/** The kernels read and write by these shapes, so they must be true of the tensors. */
function checkShapes(name: string, info: ConvInfo, dy: tf.TensorInfo, filterShape: readonly number[]): void {
  if (!tf.util.arraysEqual(dy.shape, info.outShape)) {
    throw new RangeError(`${name}: dy must have the output's shape [${info.outShape}], got [${dy.shape}]`);
  }
  if (filterShape[2] !== info.inChannels) {
    throw new RangeError(
      `${name}: the filter must have ${info.inChannels} input channels, got [${filterShape}]`,
    );
  }
}

/**
 * y [numSegments, ...] from x [rows, ...] and segmentIds int32 [rows]. Rows whose id names no segment are left out; a
 * segment without rows is 0.
 */
function segmentSum(
  host: Host,
  x: tf.TensorInfo,
  ids: tf.TensorInfo,
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
  const values = x.dtype === "float32" ? x : call(host, tf.Cast, x, { dtype: "float32" });
  const y = outputOn(backend, [numSegments, ...shape]);
  const size = tf.util.sizeFromShape(shape);
  const [atX, atIds, atY] = [values, ids, y].map((tensor) => addressOf(backend, tensor));
  exports.segmentSum(atX, atIds, atY, rows, size, numSegments);
  if (values !== x) dispose(host, values);
  return y;
}

/** Sums of float32 over axes that have a view; the gradient of every bias is one. */
function sum(
  { backend, exports, scratch }: Host,
  x: tf.TensorInfo,
  { axis, keepDims }: tf.SumAttrs,
): tf.TensorInfo | undefined {
  const axes = tf.util.parseAxisParam(axis, x.shape);
  const kept = x.shape.map((_, at) => at).filter((at) => !axes.includes(at));
  const view = viewOf(x.shape, kept);
  if (x.dtype !== "float32" || !view) return undefined;
  const shape = keepDims
    ? x.shape.map((length, at) => (axes.includes(at) ? 1 : length))
    : kept.map((at) => x.shape[at]);
  const y = outputOn(backend, shape);
  const work = scratch.atLeast(exports.sumBytes(view.k2));
  exports.sum(addressOf(backend, x), addressOf(backend, y), work, view.k1, view.r1, view.k2, view.r2);
  return y;
}

function requireFloats(name: string, ...tensors: tf.TensorInfo[]): void {
  if (tensors.every((tensor) => tensor.dtype === "float32")) return;
  throw new TypeError(
    `${name}: inputs must be float32, got ${described(tensors)}; convert them with tf.cast(x, "float32")`,
  );
}

function described(tensors: readonly tf.TensorInfo[]): string {
  return tensors.map(({ dtype, shape }) => `${dtype} [${shape}]`).join(" and ");
}

const TO_LAST = [0, 2, 3, 1];
const TO_FIRST = [0, 3, 1, 2];

function transpose(host: Host, x: tf.TensorInfo, perm: number[]): tf.TensorInfo {
  return call(host, tf.Transpose, x, { perm });
}

/** Runs one of the backend's own kernels; its result is to be disposed of. */
function call(
  { backend }: Host,
  kernelName: string,
  x: tf.TensorInfo,
  attrs: tf.NamedAttrMap,
): tf.TensorInfo {
  return tf.getKernel(kernelName, "wasm").kernelFunc({ inputs: { x }, backend, attrs }) as tf.TensorInfo;
}

function dispose({ backend }: Host, ...tensors: tf.TensorInfo[]): void {
  for (const { dataId } of tensors) backend.disposeData(dataId);
}
