/**
 * The normalization kernels. Pointers are byte addresses in the host's memory; 0 stands for an absent array.
 * Arrays are float32, row-major; views are four sizes (src/view.ts). Nothing here allocates: the host brings
 * `scratchBytes` of scratch.
 */
export { backward, scratchBytes } from "./backward";
export { forward } from "./forward";
export { transpose } from "./transpose";
