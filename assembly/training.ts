/**
 * Kernels that training on TensorFlow.js's wasm backend lacks. Pointers are byte addresses in the host's memory; arrays are
 * float32, row-major, unless stated otherwise. Nothing here allocates: the host provides scratch.
 */
export { convolution, patchesBytes } from "./convolution";
export { depthwiseBackward, depthwiseBytes } from "./depthwise";
export { dilation } from "./dilation";
export { matMul, matMulIntegers, matMulScratchBytes } from "./matmul";
export { averagePoolBackward, maxPool } from "./pooling";
export { segmentSum } from "./segments";
export { sum, sumBytes } from "./sums";
