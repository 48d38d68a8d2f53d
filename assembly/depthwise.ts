/**
 * Gradients of depthwise convolutions, channels last: sums over rows, channels across the SIMD lanes. Where each channel has
 * several filters (the multiplier), a row of x is widened to as many copies of each channel, and folded back for dx.
 */
import { FILTER } from "./convolution";
import { bytes } from "./matmul";
import { load, madd, zero } from "./simd";

/** Bytes of a widened row for `depthwiseBackward`. */
export function depthwiseBytes(inWidth: i32, channels: i32, multiplier: i32): i32 {
  return multiplier == 1 ? 0 : inWidth * channels * multiplier * 4;
}

/**
 * Of x [batch, inHeight, inWidth, channels] and filter [filterHeight, filterWidth, channels, multiplier], the gradient of the
 * one that `what` names, in its place, from the other and dy [batch, outHeight, outWidth, channels·multiplier].
 */
export function depthwiseBackward(
  what: i32,
  x: usize,
  filter: usize,
  dy: usize,
  scratch: usize,
  batch: i32,
  inHeight: i32,
  inWidth: i32,
  channels: i32,
  outHeight: i32,
  outWidth: i32,
  multiplier: i32,
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
  const rowY = bytes(outWidth) * <usize>wide;
  if (what == FILTER) memory.fill(filter, 0, bytes(filterHeight * filterWidth) * <usize>wide);
  else memory.fill(x, 0, rowX * <usize>(batch * inHeight));
  for (let output = 0; output < batch * outHeight; output++, dy += rowY) {
    const image = output / outHeight;
    const oy = output % outHeight;
    for (let fy = 0; fy < filterHeight; fy++) {
      const iy = oy * strideHeight + fy * dilationHeight - top;
      if (iy < 0 || iy >= inHeight) continue;
      const narrow = x + rowX * <usize>(image * inHeight + iy);
      const row = multiplier == 1 ? narrow : scratch;
      if (multiplier > 1) {
        if (what == FILTER) widen(narrow, row, inWidth * channels, multiplier);
        else memory.fill(row, 0, bytes(inWidth) * <usize>wide);
      }
      for (let fx = 0; fx < filterWidth; fx++) {
        // the outputs ox for which ox·stride + offset is a pixel of the row
        const offset = fx * dilationWidth - left;
        const first = offset >= 0 ? 0 : (strideWidth - 1 - offset) / strideWidth;
        const end = offset >= inWidth ? 0 : min(outWidth, (inWidth - 1 - offset) / strideWidth + 1);
        if (first >= end) continue;
        const rowAt = row + bytes(first * strideWidth + offset) * <usize>wide;
        const dyAt = dy + bytes(first) * <usize>wide;
        const tap = filter + bytes(fy * filterWidth + fx) * <usize>wide;
        const step = bytes(strideWidth) * <usize>wide;
        if (what == FILTER) addToTap(rowAt, step, dyAt, tap, end - first, wide);
        else addToRow(rowAt, step, dyAt, tap, end - first, wide);
      }
      if (multiplier > 1 && what != FILTER) fold(row, narrow, inWidth * channels, multiplier);
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

/** Adds every `times` neighbours to one of `count` values. */
function fold(from: usize, to: usize, count: i32, times: i32): void {
  for (let i = 0; i < count; i++, to += 4) {
    let sum: f32 = 0;
    for (let t = 0; t < times; t++, from += 4) sum += f32.load(from);
    f32.store(to, f32.load(to) + sum);
  }
}
