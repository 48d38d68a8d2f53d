/** Geometries of convolutions of images. */
import * as tf from "@tensorflow/tfjs-core";
import { random } from "./wasm-and-cpu.js";

export type Pad = "valid" | "same" | number | [[0, 0], [number, number], [number, number], [0, 0]];
export interface Geometry {
  input: [number, number, number, number];
  /** Height, width, and output channels or multiplier. */
  filter: [number, number, number];
  strides?: [number, number];
  dilations?: [number, number];
  pad?: Pad;
  rounding?: "floor" | "round" | "ceil";
  format?: "NHWC" | "NCHW";
}

export const geometries: Geometry[] = [
  { input: [1, 1, 1, 1], filter: [1, 1, 1] },
  { input: [2, 5, 7, 3], filter: [3, 3, 5] },
  { input: [2, 5, 7, 3], filter: [3, 3, 5], pad: "same" },
  { input: [3, 7, 5, 4], filter: [2, 3, 8], pad: "same", strides: [2, 2] },
  { input: [1, 11, 13, 2], filter: [5, 4, 7], pad: "same", strides: [3, 2] },
  { input: [2, 6, 9, 5], filter: [3, 2, 3], pad: "valid", strides: [2, 3] },
  { input: [2, 4, 4, 8], filter: [1, 1, 16] },
  { input: [2, 5, 5, 8], filter: [1, 1, 3], strides: [2, 2] },
  { input: [2, 4, 4, 3], filter: [1, 1, 2], pad: 1 },
  // as many outputs as pixels, but not the same ones; as many columns, but not rows
  { input: [2, 5, 5, 3], filter: [1, 1, 2], pad: 2, strides: [2, 2] },
  {
    input: [2, 4, 3, 3],
    filter: [1, 1, 2],
    pad: [
      [0, 0],
      [1, 1],
      [0, 0],
      [0, 0],
    ],
  },
  { input: [2, 4, 3, 1], filter: [3, 3, 1], pad: 2 },
  { input: [2, 4, 5, 17], filter: [3, 3, 2], pad: 1, strides: [2, 2], rounding: "floor" },
  { input: [2, 4, 5, 3], filter: [3, 3, 2], pad: 1, strides: [2, 2], rounding: "ceil" },
  {
    input: [2, 6, 5, 3],
    filter: [3, 2, 4],
    pad: [
      [0, 0],
      [2, 1],
      [0, 3],
      [0, 0],
    ],
  },
  // wider than its input: most of each patch hangs over the edge
  { input: [2, 2, 3, 2], filter: [7, 7, 3], pad: "same" },
  { input: [2, 2, 3, 2], filter: [7, 7, 3], pad: "same", strides: [2, 2] },
  { input: [2, 2, 2, 3], filter: [2, 2, 2], pad: 4, strides: [3, 3] },
  // more outputs than patches are made at once
  { input: [3, 13, 19, 2], filter: [3, 3, 3], pad: "same" },
  { input: [1, 3, 150, 33], filter: [1, 129, 2], pad: "same" },
  { input: [0, 4, 4, 2], filter: [3, 3, 2], pad: "same" },
];
export function title({ input, filter, strides, dilations, pad, rounding, format }: Geometry): string {
  return JSON.stringify({ input, filter, strides, dilations, pad, rounding, format });
}

/** x, dy and filter of a geometry, and the number of terms in a sum over outputs and over a patch. */
export function tensorsOf(geometry: Geometry, isDepthwise: boolean) {
  const { input, filter, strides = [1, 1], dilations = 1, pad = "valid", rounding, format } = geometry;
  const channels = format === "NCHW" ? input[1] : input[3];
  const filterShape: [number, number, number, number] = [filter[0], filter[1], channels, filter[2]];
  const info = tf.backend_util.computeConv2DInfo(
    ...([input, filterShape, strides, dilations, pad, rounding, isDepthwise] as const),
    tf.backend_util.convertConv2DDataFormat(format ?? "NHWC"),
  );
  return {
    x: random(...input),
    dy: random(...info.outShape),
    filter: random(...filterShape),
    attributes: { strides, pad, dimRoundingMode: rounding, dataFormat: format ?? "NHWC" },
    info,
    terms: info.batchSize * info.outHeight * info.outWidth,
    patchTerms: filter[0] * filter[1] * filter[2],
  };
}

/** Where XNNPACK, left to find the padding by itself, reads or writes elsewhere: strides beyond the filter, and unequal ones. */
export const strided: Geometry[] = [
  { input: [2, 9, 8, 3], filter: [2, 2, 4], pad: "same", strides: [3, 3] },
  { input: [2, 9, 8, 3], filter: [1, 1, 2], pad: "same", strides: [4, 4] },
  { input: [2, 9, 8, 3], filter: [2, 2, 1], pad: "same", strides: [4, 1] },
  { input: [2, 9, 8, 3], filter: [3, 3, 2], pad: "same", strides: [1, 2] },
  { input: [2, 9, 8, 3], filter: [3, 2, 2], pad: "valid", strides: [2, 1] },
  { input: [2, 9, 8, 3], filter: [2, 2, 2], pad: "valid", strides: [3, 5] },
  { input: [2, 9, 8, 3], filter: [3, 3, 2], pad: 1, strides: [2, 2], rounding: "ceil" },
  { input: [2, 10, 11, 3], filter: [2, 2, 2], pad: "valid", dilations: [1, 3] },
  { input: [2, 10, 11, 3], filter: [3, 2, 2], pad: "same", dilations: [2, 1] },
];
