/**
 * Pooling over volumes, channels last, and its gradients; an image is a volume of depth 1. A window passes its dy to its maximum,
 * the first in order of depth, row and column where several are equal, or, if it is a mean, in equal parts to its elements inside
 * the volume.
 */
import { bytes } from "./matmul";
import { load, madd } from "./simd";

/**
 * From x [batch, inDepth, inHeight, inWidth, channels] computes whichever of these has an address other than 0:
 * y [batch, outDepth, outHeight, outWidth, channels], the maxima, −∞ where a window is entirely in the padding;
 * indices (int32, shape of y), the positions of the maxima in x, counted from the first image if `batchInIndex`, else from their
 * own;
 * dx (shape of x), from dy (shape of y).
 */
export function maxPool(
  x: usize,
  y: usize,
  indices: usize,
  dy: usize,
  dx: usize,
  batchInIndex: bool,
  batch: i32,
  inDepth: i32,
  inHeight: i32,
  inWidth: i32,
  channels: i32,
  outDepth: i32,
  outHeight: i32,
  outWidth: i32,
  filterDepth: i32,
  filterHeight: i32,
  filterWidth: i32,
  strideDepth: i32,
  strideHeight: i32,
  strideWidth: i32,
  front: i32,
  top: i32,
  left: i32,
): void {
  const pixel = bytes(channels);
  const volume = pixel * <usize>(inDepth * inHeight * inWidth);
  if (dx != 0) memory.fill(dx, 0, volume * <usize>batch);
  const outputs = outDepth * outHeight * outWidth;
  let to: usize = 0;
  for (let output = 0; output < batch * outputs; output++) {
    const image = volume * <usize>(output / outputs);
    const base = batchInIndex ? <i32>(image >> 2) : 0;
    const oz = output / outWidth / outHeight % outDepth * strideDepth - front;
    const oy = output / outWidth % outHeight * strideHeight - top;
    const ox = output % outWidth * strideWidth - left;
    const z0 = max(0, oz), z1 = min(inDepth, oz + filterDepth);
    const y0 = max(0, oy), y1 = min(inHeight, oy + filterHeight);
    const x0 = max(0, ox), x1 = min(inWidth, ox + filterWidth);
    const isEmpty = z0 >= z1 || y0 >= y1 || x0 >= x1;
    const corner: usize = isEmpty ? 0 : pixel * <usize>((z0 * inHeight + y0) * inWidth + x0);
    let c: usize = 0;
    for (; c + 16 <= pixel; c += 16, to += 16) {
      let best = f32x4.splat(-Infinity);
      let at = i32x4.splat(<i32>corner);
      for (let z = z0; z < z1; z++) {
        for (let row = y0; row < y1; row++) {
          let here = pixel * <usize>((z * inHeight + row) * inWidth + x0);
          for (let i = x0; i < x1; i++, here += pixel) {
            const value = load(x + image + here + c);
            const isMore = f32x4.gt(value, best);
            best = v128.bitselect(value, best, isMore);
            at = v128.bitselect(i32x4.splat(<i32>here), at, isMore);
          }
        }
      }
      if (y != 0) v128.store(y + to, best);
      for (let lane: usize = 0; lane < 16; lane += 4) {
        const from = <usize>i32x4.extract_lane(at, 0) + c + lane;
        at = i32x4.shuffle(at, at, 1, 2, 3, 0);
        if (indices != 0) i32.store(indices + to + lane, base + <i32>(from >> 2));
        if (dx != 0 && !isEmpty) add(dx + image + from, dy + to + lane);
      }
    }
    for (; c < pixel; c += 4, to += 4) {
      let best: f32 = -Infinity;
      let at = corner;
      for (let z = z0; z < z1; z++) {
        for (let row = y0; row < y1; row++) {
          let here = pixel * <usize>((z * inHeight + row) * inWidth + x0);
          for (let i = x0; i < x1; i++, here += pixel) {
            const value = f32.load(x + image + here + c);
            if (value > best) {
              best = value;
              at = here;
            }
          }
        }
      }
      if (y != 0) f32.store(y + to, best);
      if (indices != 0) i32.store(indices + to, base + <i32>((at + c) >> 2));
      if (dx != 0 && !isEmpty) add(dx + image + at + c, dy + to);
    }
  }
}

/** dx [batch, inDepth, inHeight, inWidth, channels] from dy [batch, outDepth, outHeight, outWidth, channels] of average pools. */
export function averagePoolBackward(
  dy: usize,
  dx: usize,
  batch: i32,
  inDepth: i32,
  inHeight: i32,
  inWidth: i32,
  channels: i32,
  outDepth: i32,
  outHeight: i32,
  outWidth: i32,
  filterDepth: i32,
  filterHeight: i32,
  filterWidth: i32,
  strideDepth: i32,
  strideHeight: i32,
  strideWidth: i32,
  front: i32,
  top: i32,
  left: i32,
): void {
  const pixel = bytes(channels);
  const volume = pixel * <usize>(inDepth * inHeight * inWidth);
  memory.fill(dx, 0, volume * <usize>batch);
  const outputs = outDepth * outHeight * outWidth;
  for (let output = 0; output < batch * outputs; output++, dy += pixel) {
    const image = dx + volume * <usize>(output / outputs);
    const oz = output / outWidth / outHeight % outDepth * strideDepth - front;
    const oy = output / outWidth % outHeight * strideHeight - top;
    const ox = output % outWidth * strideWidth - left;
    const z0 = max(0, oz), z1 = min(inDepth, oz + filterDepth);
    const y0 = max(0, oy), y1 = min(inHeight, oy + filterHeight);
    const x0 = max(0, ox), x1 = min(inWidth, ox + filterWidth);
    const share: f32 = 1 / <f32>((z1 - z0) * (y1 - y0) * (x1 - x0));
    const shares = f32x4.splat(share);
    for (let z = z0; z < z1; z++) {
      for (let y = y0; y < y1; y++) {
        let to = image + pixel * <usize>((z * inHeight + y) * inWidth + x0);
        for (let x = x0; x < x1; x++, to += pixel) {
          let c: usize = 0;
          for (; c + 16 <= pixel; c += 16) v128.store(to + c, madd(load(dy + c), shares, load(to + c)));
          for (; c < pixel; c += 4) f32.store(to + c, f32.load(to + c) + f32.load(dy + c) * share);
        }
      }
    }
  }
}

/** to += from */
// @ts-ignore: decorator
@inline
export function add(to: usize, from: usize): void {
  f32.store(to, f32.load(to) + f32.load(from));
}
