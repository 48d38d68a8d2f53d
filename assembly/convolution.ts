/**
 * Gradients of two-dimensional convolutions, channels last.
 *
 * A convolution's are matrix products over patches (im2col; Chellapilla, Puri & Simard 2006): with patches
 * [outputs, filterHeight·filterWidth·inChannels] of x and dy [outputs, outChannels], dFilter = patchesᵀ·dy, and dx is
 * dy·filterᵀ with every patch added back to where it was taken from (col2im). Patches are made for some outputs at a
 * time, in scratch.
 *
 * A depthwise convolution's are sums over rows, channels across the SIMD lanes. Where each of the channels has several
 * filters (the multiplier), a row of x is widened by as many copies of each channel, and folded again for dx.
 */
import { bytes, multiply } from "./matmul";
import { addRow } from "./segments";
import { load, madd, zero } from "./simd";

/** Patches that are made at once: as many as fit into these bytes, within these bounds. */
const PATCH_BYTES = 1 << 19;
const FEWEST_PATCHES = 32;
const MOST_PATCHES = 256;

function patchesAtOnce(patch: i32): i32 {
  return max(FEWEST_PATCHES, min(MOST_PATCHES, PATCH_BYTES / 4 / max(1, patch)));
}

/** Bytes for the patches of `convolutionBackward…`, where a patch has filterHeight·filterWidth·inChannels elements. */
export function patchesBytes(patch: i32): i32 {
  return patchesAtOnce(patch) * patch * 4;
}

/** dFilter [filterHeight, filterWidth, inChannels, outChannels] from x [batch, inHeight, inWidth, inChannels] and dy. */
export function convolutionBackwardFilter(
  x: usize,
  dy: usize,
  dFilter: usize,
  patches: usize,
  scratch: usize,
  batch: i32,
  inHeight: i32,
  inWidth: i32,
  inChannels: i32,
  outHeight: i32,
  outWidth: i32,
  outChannels: i32,
  filterHeight: i32,
  filterWidth: i32,
  strideHeight: i32,
  strideWidth: i32,
  top: i32,
  left: i32,
): void {
  const patch = filterHeight * filterWidth * inChannels;
  const outputs = batch * outHeight * outWidth;
  const rowY = bytes(outChannels);
  if (isProduct(inHeight, inWidth, outHeight, outWidth, filterHeight, filterWidth, strideHeight, strideWidth)) {
    multiply(x, bytes(patch), true, dy, rowY, false, dFilter, rowY, patch, outChannels, outputs, false, scratch);
    return;
  }
  const most = patchesAtOnce(patch);
  // without outputs there is one empty product, which writes the zeros
  for (let first = 0; first == 0 || first < outputs; first += most) {
    const count = min(most, outputs - first);
    for (let i = 0; i < count; i++) {
      const output = first + i;
      const oy = (output / outWidth) % outHeight;
      const image = x + bytes((output / outWidth / outHeight) * inHeight) * <usize>(inWidth * inChannels);
      takePatch(
        image,
        patches + bytes(i) * <usize>patch,
        oy * strideHeight - top,
        (output % outWidth) * strideWidth - left,
        inHeight,
        inWidth,
        inChannels,
        filterHeight,
        filterWidth,
      );
    }
    const from = dy + rowY * <usize>first;
    multiply(patches, bytes(patch), true, from, rowY, false, dFilter, rowY, patch, outChannels, count, first > 0, scratch);
  }
}

/** dx [batch, inHeight, inWidth, inChannels] from dy and filter [filterHeight, filterWidth, inChannels, outChannels]. */
export function convolutionBackwardInput(
  dy: usize,
  filter: usize,
  dx: usize,
  patches: usize,
  scratch: usize,
  batch: i32,
  inHeight: i32,
  inWidth: i32,
  inChannels: i32,
  outHeight: i32,
  outWidth: i32,
  outChannels: i32,
  filterHeight: i32,
  filterWidth: i32,
  strideHeight: i32,
  strideWidth: i32,
  top: i32,
  left: i32,
): void {
  const patch = filterHeight * filterWidth * inChannels;
  const outputs = batch * outHeight * outWidth;
  const rowY = bytes(outChannels);
  if (isProduct(inHeight, inWidth, outHeight, outWidth, filterHeight, filterWidth, strideHeight, strideWidth)) {
    multiply(dy, rowY, false, filter, rowY, true, dx, bytes(patch), outputs, patch, outChannels, false, scratch);
    return;
  }
  memory.fill(dx, 0, bytes(batch * inHeight) * <usize>(inWidth * inChannels));
  const most = patchesAtOnce(patch);
  for (let first = 0; first < outputs; first += most) {
    const count = min(most, outputs - first);
    const from = dy + rowY * <usize>first;
    multiply(from, rowY, false, filter, rowY, true, patches, bytes(patch), count, patch, outChannels, false, scratch);
    for (let i = 0; i < count; i++) {
      const output = first + i;
      const oy = (output / outWidth) % outHeight;
      const image = dx + bytes((output / outWidth / outHeight) * inHeight) * <usize>(inWidth * inChannels);
      addPatch(
        image,
        patches + bytes(i) * <usize>patch,
        oy * strideHeight - top,
        (output % outWidth) * strideWidth - left,
        inHeight,
        inWidth,
        inChannels,
        filterHeight,
        filterWidth,
      );
    }
  }
}

/** Whether the patches are the pixels themselves. */
function isProduct(
  inHeight: i32,
  inWidth: i32,
  outHeight: i32,
  outWidth: i32,
  filterHeight: i32,
  filterWidth: i32,
  strideHeight: i32,
  strideWidth: i32,
): bool {
  return (
    filterHeight * filterWidth == 1 &&
    strideHeight * strideWidth == 1 &&
    inHeight == outHeight &&
    inWidth == outWidth
  );
}

/** The patch whose first pixel is (y0, x0) of an image, zeros where it hangs over the edge. */
function takePatch(
  image: usize,
  patch: usize,
  y0: i32,
  x0: i32,
  inHeight: i32,
  inWidth: i32,
  channels: i32,
  filterHeight: i32,
  filterWidth: i32,
): void {
  const before = min(filterWidth, max(0, -x0));
  const within = max(0, min(filterWidth, inWidth - x0) - before);
  const after = filterWidth - before - within;
  for (let row = 0; row < filterHeight; row++) {
    const y = y0 + row;
    if (y < 0 || y >= inHeight) {
      patch = clear(patch, filterWidth * channels);
      continue;
    }
    patch = clear(patch, before * channels);
    patch = copy(patch, image + bytes(y * inWidth + x0 + before) * <usize>channels, within * channels);
    patch = clear(patch, after * channels);
  }
}

/** Adds a patch to an image; what hangs over the edge is dropped. */
function addPatch(
  image: usize,
  patch: usize,
  y0: i32,
  x0: i32,
  inHeight: i32,
  inWidth: i32,
  channels: i32,
  filterHeight: i32,
  filterWidth: i32,
): void {
  const before = min(filterWidth, max(0, -x0));
  const within = max(0, min(filterWidth, inWidth - x0) - before);
  const row = bytes(filterWidth * channels);
  for (let y = max(0, y0); y < min(inHeight, y0 + filterHeight); y++) {
    const from = patch + row * <usize>(y - y0) + bytes(before * channels);
    addRow(image + bytes(y * inWidth + x0 + before) * <usize>channels, from, within * channels);
  }
}

/** Both give the address after what it wrote. */
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

/** Bytes of a widened row for `depthwiseBackward`. */
export function depthwiseBytes(inWidth: i32, channels: i32, multiplier: i32): i32 {
  return multiplier == 1 ? 0 : inWidth * channels * multiplier * 4;
}

/**
 * With `forFilter`: dFilter (`filter`) [filterHeight, filterWidth, channels, multiplier] from x [batch, inHeight,
 * inWidth, channels] and dy [batch, outHeight, outWidth, channels·multiplier]; else dx (`x`) from dy and filter.
 */
export function depthwiseBackward(
  forFilter: bool,
  x: usize,
  dy: usize,
  filter: usize,
  scratch: usize,
  batch: i32,
  inHeight: i32,
  inWidth: i32,
  channels: i32,
  multiplier: i32,
  outHeight: i32,
  outWidth: i32,
  filterHeight: i32,
  filterWidth: i32,
  strideHeight: i32,
  strideWidth: i32,
  dilationHeight: i32,
  dilationWidth: i32,
  top: i32,
  left: i32,
): void {
  const wide = channels * multiplier;
  const rowX = bytes(inWidth) * <usize>channels;
  if (forFilter) memory.fill(filter, 0, bytes(filterHeight * filterWidth) * <usize>wide);
  else memory.fill(x, 0, rowX * <usize>(batch * inHeight));
  for (let image = 0; image < batch; image++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let fy = 0; fy < filterHeight; fy++) {
        const y = oy * strideHeight + fy * dilationHeight - top;
        if (y < 0 || y >= inHeight) continue;
        const narrow = x + rowX * <usize>(image * inHeight + y);
        const row = multiplier == 1 ? narrow : scratch;
        if (multiplier > 1) {
          if (forFilter) widen(narrow, row, inWidth * channels, multiplier);
          else memory.fill(row, 0, bytes(inWidth) * <usize>wide);
        }
        for (let fx = 0; fx < filterWidth; fx++) {
          // the outputs ox for which ox·stride + offset is a pixel of the row
          const offset = fx * dilationWidth - left;
          const first = offset >= 0 ? 0 : (strideWidth - 1 - offset) / strideWidth;
          const end = offset >= inWidth ? 0 : min(outWidth, (inWidth - 1 - offset) / strideWidth + 1);
          if (first >= end) continue;
          const rowAt = row + bytes(first * strideWidth + offset) * <usize>wide;
          const dyAt = dy + bytes((image * outHeight + oy) * outWidth + first) * <usize>wide;
          const tap = filter + bytes(fy * filterWidth + fx) * <usize>wide;
          const step = bytes(strideWidth) * <usize>wide;
          if (forFilter) addToTap(rowAt, step, dyAt, tap, end - first, wide);
          else addToRow(rowAt, step, dyAt, tap, end - first, wide);
        }
        if (multiplier > 1 && !forFilter) fold(row, narrow, inWidth * channels, multiplier);
      }
    }
  }
}

/** tap[c] += Σ x[i, c]·dy[i, c], where the x are `step` bytes apart. */
function addToTap(x: usize, step: usize, dy: usize, tap: usize, count: i32, channels: i32): void {
  const row = bytes(channels);
  let c = 0;
  for (; c + 16 <= channels; c += 16) {
    let p = x + bytes(c);
    let q = dy + bytes(c);
    let s0 = zero();
    let s1 = zero();
    let s2 = zero();
    let s3 = zero();
    for (let i = 0; i < count; i++, p += step, q += row) {
      s0 = madd(load(p), load(q), s0);
      s1 = madd(v128.load(p, 16), v128.load(q, 16), s1);
      s2 = madd(v128.load(p, 32), v128.load(q, 32), s2);
      s3 = madd(v128.load(p, 48), v128.load(q, 48), s3);
    }
    const to = tap + bytes(c);
    v128.store(to, f32x4.add(load(to), s0));
    v128.store(to, f32x4.add(v128.load(to, 16), s1), 16);
    v128.store(to, f32x4.add(v128.load(to, 32), s2), 32);
    v128.store(to, f32x4.add(v128.load(to, 48), s3), 48);
  }
  for (; c + 4 <= channels; c += 4) {
    let p = x + bytes(c);
    let q = dy + bytes(c);
    let sum = zero();
    for (let i = 0; i < count; i++, p += step, q += row) sum = madd(load(p), load(q), sum);
    const to = tap + bytes(c);
    v128.store(to, f32x4.add(load(to), sum));
  }
  for (; c < channels; c++) {
    let p = x + bytes(c);
    let q = dy + bytes(c);
    let sum: f32 = 0;
    for (let i = 0; i < count; i++, p += step, q += row) sum += f32.load(p) * f32.load(q);
    const to = tap + bytes(c);
    f32.store(to, f32.load(to) + sum);
  }
}

/** dx[i, c] += dy[i, c]·tap[c], where the dx are `step` bytes apart. */
function addToRow(dx: usize, step: usize, dy: usize, tap: usize, count: i32, channels: i32): void {
  const row = bytes(channels);
  let c = 0;
  for (; c + 16 <= channels; c += 16) {
    let p = dx + bytes(c);
    let q = dy + bytes(c);
    const w = tap + bytes(c);
    const w0 = load(w);
    const w1 = v128.load(w, 16);
    const w2 = v128.load(w, 32);
    const w3 = v128.load(w, 48);
    for (let i = 0; i < count; i++, p += step, q += row) {
      v128.store(p, madd(load(q), w0, load(p)));
      v128.store(p, madd(v128.load(q, 16), w1, v128.load(p, 16)), 16);
      v128.store(p, madd(v128.load(q, 32), w2, v128.load(p, 32)), 32);
      v128.store(p, madd(v128.load(q, 48), w3, v128.load(p, 48)), 48);
    }
  }
  for (; c + 4 <= channels; c += 4) {
    let p = dx + bytes(c);
    let q = dy + bytes(c);
    const w = load(tap + bytes(c));
    for (let i = 0; i < count; i++, p += step, q += row) v128.store(p, madd(load(q), w, load(p)));
  }
  for (; c < channels; c++) {
    let p = dx + bytes(c);
    let q = dy + bytes(c);
    const w = f32.load(tap + bytes(c));
    for (let i = 0; i < count; i++, p += step, q += row) f32.store(p, f32.load(p) + f32.load(q) * w);
  }
}

/** `times` copies of each of `count` values. */
function widen(from: usize, to: usize, count: i32, times: i32): void {
  for (let i = 0; i < count; i++, from += 4) {
    const value = f32.load(from);
    for (let t = 0; t < times; t++, to += 4) f32.store(to, value);
  }
}

/** Adds each `times` neighbours to one of `count` values. */
function fold(from: usize, to: usize, count: i32, times: i32): void {
  for (let i = 0; i < count; i++, to += 4) {
    let sum: f32 = 0;
    for (let t = 0; t < times; t++, from += 4) sum += f32.load(from);
    f32.store(to, f32.load(to) + sum);
  }
}
