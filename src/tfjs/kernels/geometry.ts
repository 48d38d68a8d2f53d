/** Geometry of the windows of convolutions and pools. */
import * as tf from "@tensorflow/tfjs-core";

export type Pad = tf.Conv2DAttrs["pad"];
/** Padding before and after, for each axis of an image. */
type Sides = [[number, number], [number, number], [number, number], [number, number]];
export type Rounding = "floor" | "round" | "ceil" | undefined;

/** The geometry in what `computeConv2DInfo` and `computePool2DInfo` return. */
interface Window {
  readonly inHeight: number;
  readonly inWidth: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly filterHeight: number;
  readonly filterWidth: number;
  readonly effectiveFilterHeight: number;
  readonly effectiveFilterWidth: number;
  readonly strideHeight: number;
  readonly strideWidth: number;
  readonly dilationHeight: number;
  readonly dilationWidth: number;
  readonly padInfo: {
    readonly top: number;
    readonly bottom: number;
    readonly left: number;
    readonly right: number;
  };
}

/**
 * Expands numeric padding to every side: given a number, TensorFlow.js uses the height's geometry for the
 * width as well.
 */
export function sidesOf(pad: Pad, format = "channelsLast"): Pad {
  if (typeof pad !== "number") return pad;
  const sides = format === "channelsLast" ? [0, pad, pad, 0] : [0, 0, pad, pad];
  return sides.map((side) => [side, side]) as Pad;
}

/**
 * The output's shape if it is empty, since windows fit nowhere or there are no images: shipped kernels then read and
 * write out of bounds. (Rounding may leave a length of −0.)
 */
export function emptyShape({ outShape }: { readonly outShape: number[] }): number[] | undefined {
  return tf.util.sizeFromShape(outShape) === 0 ? outShape.map((length) => Math.max(0, length)) : undefined;
}

/** Whether the shipped kernels handle this padding correctly: the common cases, for which nothing need be computed. */
export function isReadRight(pad: Pad, strides: number | number[], rounding: Rounding): boolean {
  if (rounding && rounding !== "floor") return false;
  return pad === "valid" || (pad === "same" && [strides].flat().every((stride) => stride === 1));
}

/**
 * Explicit padding with which the shipped kernels (XNNPACK) give the same outputs: on each side, as far as
 * the last window reaches. For "same" they compute a negative padding where strides reach past the input, and
 * they round down.
 */
export function windowPad(window: Window): Sides {
  const { padInfo, outHeight, outWidth, strideHeight, strideWidth } = window;
  const { inHeight, inWidth, effectiveFilterHeight, effectiveFilterWidth } = window;
  const bottom = (outHeight - 1) * strideHeight + effectiveFilterHeight - inHeight - padInfo.top;
  const right = (outWidth - 1) * strideWidth + effectiveFilterWidth - inWidth - padInfo.left;
  return [
    [0, 0],
    [padInfo.top, Math.max(0, bottom)],
    [padInfo.left, Math.max(0, right)],
    [0, 0],
  ];
}

/**
 * The geometry in which dy has the output's shape. TensorFlow.js's gradients drop the forward operation's
 * rounding mode, so where none is given, each is tried.
 * @throws RangeError where dy fits none
 */
export function geometryOf<Info extends { outShape: number[] }>(
  name: string,
  dy: tf.TensorInfo,
  rounding: Rounding,
  infoOf: (rounding: Rounding) => Info,
): Info {
  const infos = (rounding ? [rounding] : ([undefined, "ceil", "round"] as const)).map(infoOf);
  const info = infos.find(({ outShape }) => tf.util.arraysEqual(outShape, dy.shape));
  if (info) return info;
  throw new RangeError(`${name}: dy must have the output's shape [${infos[0].outShape}], got [${dy.shape}]`);
}

/** A window in the order that the exports take it. */
export function windowOf(window: Omit<Window, `effective${string}`>): number[] {
  return [
    ...[window.filterHeight, window.filterWidth, window.strideHeight, window.strideWidth],
    ...[window.dilationHeight, window.dilationWidth, window.padInfo.top, window.padInfo.left],
  ];
}

/** Arguments of the exports for convolutions and pools over volumes. */
export interface VolumeWindow {
  readonly batchSize: number;
  readonly inDepth: number;
  readonly inHeight: number;
  readonly inWidth: number;
  readonly inChannels: number;
  readonly outDepth: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly filterDepth: number;
  readonly filterHeight: number;
  readonly filterWidth: number;
  readonly strideDepth: number;
  readonly strideHeight: number;
  readonly strideWidth: number;
  readonly dilationDepth: number;
  readonly dilationHeight: number;
  readonly dilationWidth: number;
  readonly padInfo: { readonly front: number; readonly top: number; readonly left: number };
}

/** Images as volumes of depth 1. */
export function asVolume<Info extends Window>(info: Info) {
  const flat = { inDepth: 1, outDepth: 1, filterDepth: 1, strideDepth: 1, dilationDepth: 1 };
  return { ...info, ...flat, padInfo: { ...info.padInfo, front: 0 } };
}

/** Which of y (0), filter (1) and x (2) is computed, numbered as in assembly/convolution.ts: the absent one. */
export function whatIsComputed(x: unknown, filter: unknown): number {
  return x ? (filter ? 0 : 1) : 2;
}

/** The kernels address memory by these shapes, so they must match the tensors. */
export function requireChannels(
  name: string,
  { inChannels }: { inChannels: number },
  filterShape: readonly number[],
): void {
  if (filterShape[filterShape.length - 2] === inChannels) return;
  throw new RangeError(`${name}: the filter must have ${inChannels} input channels, got [${filterShape}]`);
}
