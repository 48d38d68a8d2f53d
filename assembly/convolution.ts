/**
 * Convolutions over volumes, channels last, and their gradients; an image is a volume of depth 1. They are matrix products
 * over patches (im2col; Chellapilla, Puri & Simard 2006). With patches
 * [outputs, filterDepth·filterHeight·filterWidth·inChannels] of x, and y and dy [outputs, outChannels]: y = patches·filter,
 * dFilter = patchesᵀ·dy, and dx is dy·filterᵀ with every patch added back to where it was taken from (col2im). Patches
 * are made for a number of outputs at a time, in scratch.
 */
import { bytes, multiply } from "./matmul";
import { addRow } from "./segments";
import { load, zero } from "./simd";

/** Patches that are made at once: as many as fit into these bytes, within these bounds. */
const PATCH_BYTES = 1 << 19;
const FEWEST_PATCHES = 32;
const MOST_PATCHES = 256;

/** What is computed (src/tfjs/kernels/geometry.ts), into its own array: y, or the gradient of the filter or of x. */
export const OUTPUT = 0;
export const FILTER = 1;
export const INPUT = 2;

function patchesAtOnce(patch: i32): i32 {
  return max(FEWEST_PATCHES, min(MOST_PATCHES, PATCH_BYTES / 4 / max(1, patch)));
}

/** Bytes for the patches of `convolution`, where a patch has filterDepth·filterHeight·filterWidth·inChannels elements. */
export function patchesBytes(patch: i32): i32 {
  return patchesAtOnce(patch) * patch * 4;
}

// The geometry of the call in progress.
let inDepth: i32 = 0;
let inHeight: i32 = 0;
let inWidth: i32 = 0;
let channels: i32 = 0;
let filterDepth: i32 = 0;
let filterHeight: i32 = 0;
let filterWidth: i32 = 0;
let dilationDepth: i32 = 0;
let dilationHeight: i32 = 0;
let dilationWidth: i32 = 0;

/**
 * Of x [batch, depth, height, width, inChannels], filter [filterDepth, filterHeight, filterWidth, inChannels, outChannels]
 * and y (dy) [batch, outDepth, outHeight, outWidth, outChannels], computes the one that `what` names from the other two.
 */
export function convolution(
  what: i32,
  x: usize,
  filter: usize,
  y: usize,
  patches: usize,
  scratch: usize,
  batch: i32,
  depth: i32,
  height: i32,
  width: i32,
  inChannels: i32,
  outDepth: i32,
  outHeight: i32,
  outWidth: i32,
  outChannels: i32,
  depthOfFilter: i32,
  heightOfFilter: i32,
  widthOfFilter: i32,
  strideDepth: i32,
  strideHeight: i32,
  strideWidth: i32,
  depthOfDilation: i32,
  heightOfDilation: i32,
  widthOfDilation: i32,
  front: i32,
  top: i32,
  left: i32,
): void {
  inDepth = depth;
  inHeight = height;
  inWidth = width;
  channels = inChannels;
  filterDepth = depthOfFilter;
  filterHeight = heightOfFilter;
  filterWidth = widthOfFilter;
  dilationDepth = depthOfDilation;
  dilationHeight = heightOfDilation;
  dilationWidth = widthOfDilation;
  const patch = filterDepth * filterHeight * filterWidth * channels;
  const outputs = batch * outDepth * outHeight * outWidth;
  // whether the patches are the pixels themselves
  const isProduct =
    filterDepth * filterHeight * filterWidth == 1 &&
    strideDepth * strideHeight * strideWidth == 1 &&
    depth == outDepth &&
    height == outHeight &&
    width == outWidth &&
    front == 0 &&
    top == 0 &&
    left == 0;
  if (isProduct) {
    product(what, x, filter, y, patch, outputs, outChannels, false, scratch);
    return;
  }
  const image = bytes(inDepth * inHeight * inWidth) * <usize>channels;
  if (what == INPUT) memory.fill(x, 0, image * <usize>batch);
  const most = patchesAtOnce(patch);
  // without outputs there is one empty product, which writes the zeros of dFilter
  for (let first = 0; first == 0 || first < outputs; first += most) {
    const count = min(most, outputs - first);
    const at = y + bytes(outChannels) * <usize>first;
    if (what == INPUT) product(what, patches, filter, at, patch, count, outChannels, false, scratch);
    for (let i = 0; i < count; i++) {
      const output = first + i;
      const row = output / outWidth;
      const plane = row / outHeight;
      const from = x + image * <usize>(plane / outDepth);
      const z0 = (plane % outDepth) * strideDepth - front;
      const y0 = (row % outHeight) * strideHeight - top;
      const x0 = (output % outWidth) * strideWidth - left;
      const to = patches + bytes(i) * <usize>patch;
      if (what == INPUT) addPatch(from, to, z0, y0, x0);
      else takePatch(from, to, z0, y0, x0);
    }
    if (what != INPUT) product(what, patches, filter, at, patch, count, outChannels, first > 0, scratch);
  }
}

/** Of patches [count, patch], filter [patch, outChannels] and y [count, outChannels], the one that `what` names. */
function product(
  what: i32,
  patches: usize,
  filter: usize,
  y: usize,
  patch: i32,
  count: i32,
  outChannels: i32,
  accumulate: bool,
  scratch: usize,
): void {
  const rowX = bytes(patch);
  const rowY = bytes(outChannels);
  if (what == OUTPUT) {
    multiply(patches, rowX, false, filter, rowY, false, y, rowY, count, outChannels, patch, false, scratch);
  } else if (what == FILTER) {
    multiply(patches, rowX, true, y, rowY, false, filter, rowY, patch, outChannels, count, accumulate, scratch);
  } else {
    multiply(y, rowY, false, filter, rowY, true, patches, rowX, count, patch, outChannels, false, scratch);
  }
}

/** The patch whose first pixel is (z0, y0, x0) of a volume, zeros where it hangs over the edge. */
function takePatch(volume: usize, patch: usize, z0: i32, y0: i32, x0: i32): void {
  const first = taps(-x0, dilationWidth, filterWidth);
  const end = max(first, taps(inWidth - x0, dilationWidth, filterWidth));
  for (let row = 0; row < filterDepth * filterHeight; row++) {
    const z = z0 + (row / filterHeight) * dilationDepth;
    const y = y0 + (row % filterHeight) * dilationHeight;
    if (z < 0 || z >= inDepth || y < 0 || y >= inHeight) {
      patch = clear(patch, filterWidth * channels);
      continue;
    }
    patch = clear(patch, first * channels);
    let from = pixel(volume, z, y, x0 + first * dilationWidth);
    if (dilationWidth == 1) patch = copy(patch, from, (end - first) * channels);
    else {
      for (let i = first; i < end; i++, from += bytes(dilationWidth * channels)) patch = copy(patch, from, channels);
    }
    patch = clear(patch, (filterWidth - end) * channels);
  }
}

/** Adds a patch to a volume; what hangs over the edge is dropped. */
function addPatch(volume: usize, patch: usize, z0: i32, y0: i32, x0: i32): void {
  const first = taps(-x0, dilationWidth, filterWidth);
  const end = max(first, taps(inWidth - x0, dilationWidth, filterWidth));
  for (let row = 0; row < filterDepth * filterHeight; row++) {
    const z = z0 + (row / filterHeight) * dilationDepth;
    const y = y0 + (row % filterHeight) * dilationHeight;
    if (z < 0 || z >= inDepth || y < 0 || y >= inHeight) continue;
    let from = patch + bytes((row * filterWidth + first) * channels);
    let to = pixel(volume, z, y, x0 + first * dilationWidth);
    if (dilationWidth == 1) addRow(to, from, (end - first) * channels);
    else {
      for (let i = first; i < end; i++, from += bytes(channels), to += bytes(dilationWidth * channels)) {
        addRow(to, from, channels);
      }
    }
  }
}

/** How many of a filter's rows or columns come before the pixel at `distance` from its first one. */
// @ts-ignore: decorator
@inline
export function taps(distance: i32, dilation: i32, length: i32): i32 {
  return distance <= 0 ? 0 : min(length, (distance + dilation - 1) / dilation);
}

// @ts-ignore: decorator
@inline
function pixel(volume: usize, z: i32, y: i32, x: i32): usize {
  return volume + bytes((z * inHeight + y) * inWidth + x) * <usize>channels;
}

/** Both return the address after what they wrote. */
// @ts-ignore: decorator
@inline
function clear(to: usize, count: i32): usize {
  let i = 0;
  for (; i + 4 <= count; i += 4, to += 16) v128.store(to, zero());
  for (; i < count; i++, to += 4) f32.store(to, 0);
  return to;
}

// @ts-ignore: decorator
@inline
function copy(to: usize, from: usize, count: i32): usize {
  let i = 0;
  for (; i + 4 <= count; i += 4, to += 16, from += 16) v128.store(to, load(from));
  for (; i < count; i++, to += 4, from += 4) f32.store(to, f32.load(from));
  return to;
}
