/** Normalizing a contiguous run of elements that share their statistics. */
import { load } from "./simd";

/** y = (x − high)·scale + shift */
export function normalizeRun(x: usize, y: usize, n: i32, high: f32, scale: f32, shift: f32): void {
  const h = f32x4.splat(high);
  const s = f32x4.splat(scale);
  const t = f32x4.splat(shift);
  let i = 0;
  for (; i + 16 <= n; i += 16, x += 64, y += 64) {
    v128.store(y, f32x4.add(f32x4.mul(f32x4.sub(v128.load(x), h), s), t));
    v128.store(y, f32x4.add(f32x4.mul(f32x4.sub(v128.load(x, 16), h), s), t), 16);
    v128.store(y, f32x4.add(f32x4.mul(f32x4.sub(v128.load(x, 32), h), s), t), 32);
    v128.store(y, f32x4.add(f32x4.mul(f32x4.sub(v128.load(x, 48), h), s), t), 48);
  }
  for (; i + 4 <= n; i += 4, x += 16, y += 16) {
    v128.store(y, f32x4.add(f32x4.mul(f32x4.sub(v128.load(x), h), s), t));
  }
  for (; i < n; i++, x += 4, y += 4) f32.store(y, (f32.load(x) - high) * scale + shift);
}

/** y = ((x − high)·rstd + shift)·gamma + beta, gamma and beta per element, each 0 where absent. */
export function normalizeVector(x: usize, y: usize, n: i32, high: f32, rstd: f32, shift: f32, gamma: usize, beta: usize): void {
  if (gamma == 0 && beta == 0) normalizeRun(x, y, n, high, rstd, shift);
  else if (beta == 0) scaleVector(x, y, n, high, rstd, shift, gamma);
  else if (gamma == 0) shiftVector(x, y, n, high, rstd, shift, beta);
  else affineVector(x, y, n, high, rstd, shift, gamma, beta);
}

/** y = ((x − high)·rstd + shift)·gamma + beta, gamma and beta per element. */
function affineVector(x: usize, y: usize, n: i32, high: f32, rstd: f32, shift: f32, gamma: usize, beta: usize): void {
  const h = f32x4.splat(high);
  const r = f32x4.splat(rstd);
  const t = f32x4.splat(shift);
  let i: usize = 0;
  const vectors = <usize>(n & -8) << 2;
  for (; i < vectors; i += 32) {
    const u = f32x4.add(f32x4.mul(f32x4.sub(load(x + i), h), r), t);
    const v = f32x4.add(f32x4.mul(f32x4.sub(v128.load(x + i, 16), h), r), t);
    v128.store(y + i, f32x4.add(f32x4.mul(u, load(gamma + i)), load(beta + i)));
    v128.store(y + i, f32x4.add(f32x4.mul(v, v128.load(gamma + i, 16)), v128.load(beta + i, 16)), 16);
  }
  for (; i < <usize>n << 2; i += 4) {
    const xHat = (f32.load(x + i) - high) * rstd + shift;
    f32.store(y + i, xHat * f32.load(gamma + i) + f32.load(beta + i));
  }
}

/** y = ((x − high)·rstd + shift)·gamma */
function scaleVector(x: usize, y: usize, n: i32, high: f32, rstd: f32, shift: f32, gamma: usize): void {
  const h = f32x4.splat(high);
  const r = f32x4.splat(rstd);
  const t = f32x4.splat(shift);
  let i: usize = 0;
  const vectors = <usize>(n & -4) << 2;
  for (; i < vectors; i += 16) {
    v128.store(y + i, f32x4.mul(f32x4.add(f32x4.mul(f32x4.sub(load(x + i), h), r), t), load(gamma + i)));
  }
  for (; i < <usize>n << 2; i += 4) {
    f32.store(y + i, ((f32.load(x + i) - high) * rstd + shift) * f32.load(gamma + i));
  }
}

/** y = (x − high)·rstd + shift + beta */
function shiftVector(x: usize, y: usize, n: i32, high: f32, rstd: f32, shift: f32, beta: usize): void {
  const h = f32x4.splat(high);
  const r = f32x4.splat(rstd);
  const t = f32x4.splat(shift);
  let i: usize = 0;
  const vectors = <usize>(n & -4) << 2;
  for (; i < vectors; i += 16) {
    v128.store(y + i, f32x4.add(f32x4.add(f32x4.mul(f32x4.sub(load(x + i), h), r), t), load(beta + i)));
  }
  for (; i < <usize>n << 2; i += 4) {
    f32.store(y + i, (f32.load(x + i) - high) * rstd + shift + f32.load(beta + i));
  }
}
