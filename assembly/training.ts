/**
 * What training on TensorFlow.js's wasm backend lacks. Pointers are byte addresses in the host's memory; arrays are
 * float32, row-major. Nothing here allocates: the host brings the scratch.
 */
export {
  convolutionBackwardFilter,
  convolutionBackwardInput,
  depthwiseBackward,
  depthwiseBytes,
  patchesBytes,
} from "./convolution";
export { matMul, matMulScratchBytes } from "./matmul";
export { segmentSum } from "./segments";
export { sum, sumBytes } from "./sums";
