/** Public names of `evenkeel/checkpoints`: files of other frameworks, in and out. */
export type { Architecture, Checkpoint, Module } from "./checkpoint.js";
export { CheckpointError } from "./errors.js";
export { writeNpz } from "./formats/npz.js";
export { writeSafetensors } from "./formats/safetensors.js";
export { type Finding, type Health, healthOf } from "./normalizations/health.js";
export type { MappedNormalization } from "./normalizations/normalization.js";
export { normalizationsOf } from "./normalizations/read.js";
export { type OpenOptions, open } from "./open.js";
export type { FileSet, FileSource, Source } from "./source.js";
export { fromHalf, numbersOf, type Tensor, type Values } from "./tensors.js";
export { toHalf, type WrittenTensor, type WrittenType } from "./written.js";
