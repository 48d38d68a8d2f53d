/**
 * Grey-scale dilation (Dilation2D), channels last, and its gradients: y is the maximum over the window of x + filter, and each
 * window passes its dy on to the pixel and to the tap of its maximum: the first, row by row, of several that are equal.
 */
import { FILTER, INPUT, OUTPUT, taps } from "./convolution";
import { bytes } from "./matmul";
import { add } from "./pooling";
import { load } from "./simd";

/**
 * From x [batch, inHeight, inWidth, channels] and filter [filterHeight, filterWidth, channels] computes what `what` names: y
 * [batch, outHeight, outWidth, channels], −∞ where a window is entirely in the padding, or, from dy in the shape of y, the
 * gradient of filter or x, in its shape.
 */
export function dilation(
  what: i32,
  x: usize,
  filter: usize,
  dy: usize,
  result: usize,
  batch: i32,
  inHeight: i32,
  inWidth: i32,
  channels: i32,
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
  const pixel = bytes(channels);
  if (what == FILTER) memory.fill(result, 0, pixel * <usize>(filterHeight * filterWidth));
  if (what == INPUT) memory.fill(result, 0, pixel * <usize>(batch * inHeight * inWidth));
  for (let output = 0; output < batch * outHeight * outWidth; output++) {
    const row = output / outWidth;
    const y0 = (row % outHeight) * strideHeight - top;
    const x0 = (output % outWidth) * strideWidth - left;
    // the taps within the image
    const fy0 = taps(-y0, dilationHeight, filterHeight);
    const fy1 = taps(inHeight - y0, dilationHeight, filterHeight);
    const fx0 = taps(-x0, dilationWidth, filterWidth);
    const fx1 = taps(inWidth - x0, dilationWidth, filterWidth);
    const isEmpty = fy0 >= fy1 || fx0 >= fx1;
    const to = pixel * <usize>output;
    const image = pixel * <usize>(row / outHeight) * <usize>(inHeight * inWidth);
    let c: usize = 0;
    for (; c + 16 <= pixel; c += 16) {
      let best = f32x4.splat(-Infinity);
      let most = i32x4.splat(fy0 * filterWidth + fx0);
      for (let fy = fy0; fy < fy1; fy++) {
        for (let fx = fx0; fx < fx1; fx++) {
          const tap = fy * filterWidth + fx;
          const at = (y0 + fy * dilationHeight) * inWidth + x0 + fx * dilationWidth;
          const here = load(x + image + pixel * <usize>at + c);
          const value = f32x4.add(here, load(filter + pixel * <usize>tap + c));
          const isMore = f32x4.gt(value, best);
          best = v128.bitselect(value, best, isMore);
          most = v128.bitselect(i32x4.splat(tap), most, isMore);
        }
      }
      if (what == OUTPUT) v128.store(result + to + c, best);
      if (what == OUTPUT || isEmpty) continue;
      for (let lane: usize = 0; lane < 16; lane += 4) {
        const tap = i32x4.extract_lane(most, 0);
        most = i32x4.shuffle(most, most, 1, 2, 3, 0);
        const at = (y0 + (tap / filterWidth) * dilationHeight) * inWidth + x0 + (tap % filterWidth) * dilationWidth;
        const place = what == FILTER ? pixel * <usize>tap : image + pixel * <usize>at;
        add(result + place + c + lane, dy + to + c + lane);
      }
    }
    for (; c < pixel; c += 4) {
      let best: f32 = -Infinity;
      let most = fy0 * filterWidth + fx0;
      for (let fy = fy0; fy < fy1; fy++) {
        for (let fx = fx0; fx < fx1; fx++) {
          const tap = fy * filterWidth + fx;
          const at = (y0 + fy * dilationHeight) * inWidth + x0 + fx * dilationWidth;
          const value = f32.load(x + image + pixel * <usize>at + c) + f32.load(filter + pixel * <usize>tap + c);
          if (value > best) {
            best = value;
            most = tap;
          }
        }
      }
      if (what == OUTPUT) f32.store(result + to + c, best);
      if (what == OUTPUT || isEmpty) continue;
      const at = (y0 + (most / filterWidth) * dilationHeight) * inWidth + x0 + (most % filterWidth) * dilationWidth;
      const place = what == FILTER ? pixel * <usize>most : image + pixel * <usize>at;
      add(result + place + c, dy + to + c);
    }
  }
}
