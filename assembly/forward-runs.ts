/** Normalizing a contiguous run of elements that share their statistics. */
import { masked } from "./masked";
import { madd } from "./simd";

/** y = (x − high)·scale + shift */
export function normalizeRun(x: usize, y: usize, n: i32, high: f32, scale: f32, shift: f32): void {
  writeRun(x, y, 0, n, high, scale, shift, false);
}

/** The same; 0 where the mask's `values`, of which there is one per element, are 0. */
export function normalizeMaskedRun(x: usize, y: usize, values: usize, n: i32, high: f32, scale: f32, shift: f32): void {
  writeRun(x, y, values, n, high, scale, shift, true);
}

/** `masks` is constant at each call site. */
// @ts-ignore: decorator
@inline
function writeRun(x: usize, y: usize, values: usize, n: i32, high: f32, scale: f32, shift: f32, masks: bool): void {
  const h = f32x4.splat(high);
  const s = f32x4.splat(scale);
  const t = f32x4.splat(shift);
  let i = 0;
  for (; i + 16 <= n; i += 16, x += 64, y += 64) {
    const a = madd(f32x4.sub(v128.load(x), h), s, t);
    const b = madd(f32x4.sub(v128.load(x, 16), h), s, t);
    const c = madd(f32x4.sub(v128.load(x, 32), h), s, t);
    const d = madd(f32x4.sub(v128.load(x, 48), h), s, t);
    v128.store(y, masks ? masked(a, v128.load(values)) : a);
    v128.store(y, masks ? masked(b, v128.load(values, 16)) : b, 16);
    v128.store(y, masks ? masked(c, v128.load(values, 32)) : c, 32);
    v128.store(y, masks ? masked(d, v128.load(values, 48)) : d, 48);
    if (masks) values += 64;
  }
  for (; i < n; i++, x += 4, y += 4) {
    const value = (f32.load(x) - high) * scale + shift;
    f32.store(y, masks && f32.load(values) == 0 ? 0 : value);
    if (masks) values += 4;
  }
}

/** y = ((x − high)·rstd + shift)·gamma + beta, gamma and beta per element, each 0 where absent. */
export function normalizeVector(x: usize, y: usize, n: i32, high: f32, rstd: f32, shift: f32, gamma: usize, beta: usize): void {
  if (gamma == 0 && beta == 0) normalizeRun(x, y, n, high, rstd, shift);
  else if (beta == 0) vectorRun(x, y, n, high, rstd, shift, gamma, 0, true, false);
  else if (gamma == 0) vectorRun(x, y, n, high, rstd, shift, 0, beta, false, true);
  else vectorRun(x, y, n, high, rstd, shift, gamma, beta, true, true);
}

/** `scale` and `offset` are constant at each call site: whether there is a gamma, and a beta. */
// @ts-ignore: decorator
@inline
function vectorRun(
  x: usize, y: usize, n: i32, high: f32, rstd: f32, shift: f32, gamma: usize, beta: usize, scale: bool, offset: bool,
): void {
  const h = f32x4.splat(high);
  const r = f32x4.splat(rstd);
  const t = f32x4.splat(shift);
  let i: usize = 0;
  const vectors = <usize>(n & -8) << 2;
  for (; i < vectors; i += 32) {
    const p = x + i, q = y + i, g = gamma + i, b = beta + i;
    const u = madd(f32x4.sub(v128.load(p), h), r, t);
    const v = madd(f32x4.sub(v128.load(p, 16), h), r, t);
    v128.store(q, affine(u, scale ? v128.load(g) : r, offset ? v128.load(b) : r, scale, offset));
    v128.store(q, affine(v, scale ? v128.load(g, 16) : r, offset ? v128.load(b, 16) : r, scale, offset), 16);
  }
  for (; i < <usize>n << 2; i += 4) {
    let u = (f32.load(x + i) - high) * rstd + shift;
    if (scale) u *= f32.load(gamma + i);
    if (offset) u += f32.load(beta + i);
    f32.store(y + i, u);
  }
}

/** u·gamma + beta; `scale` and `offset` say which of the two there are. */
// @ts-ignore: decorator
@inline
export function affine(u: v128, gamma: v128, beta: v128, scale: bool, offset: bool): v128 {
  if (scale) return offset ? madd(u, gamma, beta) : f32x4.mul(u, gamma);
  return offset ? f32x4.add(u, beta) : u;
}

/** sum = x + y */
export function addRun(x: usize, y: usize, sum: usize, n: i32): void {
  let i: usize = 0;
  const vectors = <usize>(n & -8) << 2;
  for (; i < vectors; i += 32) {
    const p = x + i, q = y + i, to = sum + i;
    v128.store(to, f32x4.add(v128.load(p), v128.load(q)));
    v128.store(to, f32x4.add(v128.load(p, 16), v128.load(q, 16)), 16);
  }
  for (; i < <usize>n << 2; i += 4) f32.store(sum + i, f32.load(x + i) + f32.load(y + i));
}
