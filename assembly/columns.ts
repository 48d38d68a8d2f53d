/**
 * Sums over the rows of a matrix, column by column: for the moments of columns (moments.ts says why about 0 first), and for the
 * two sums that the backward pass needs.
 *
 * Rows are read in order, as hardware prefetches best; short ones, which are adjacent, several at a time. Float32 sums are in
 * memory, over a few rows, and are then added to float64 ones.
 */
import { mask } from "./call";
import { counts, isWhole, pass, rowRun, select, TILE_ROWS } from "./masked";
import { momentsInDoubles } from "./moments";
import { accumulate, load, madd } from "./simd";
import { isNear, fitsFloat32, isResolved } from "./precision";

/** Rows of a chunk: few enough for float32 sums. */
const CHUNK_ROWS = 32;
/** Rows up to this many bytes are taken several at a time. */
const SHORT_ROW: usize = 256;

// Results of `nextRows`.
let rowsX: usize = 0;
let rowsDy: usize = 0;

/**
 * With a mask: how many of at most `most` rows, from element `index` of the call on, are summed next, and where they are: nowhere
 * (0), where they are masked, or in `tile`, where the mask varies within a row. There x is `abouts` (0: none) where it is masked, and
 * dy (0: none) is 0.
 */
function nextRows(x: usize, dy: usize, index: i32, columns: i32, most: i32, tile: usize, abouts: usize): i32 {
  rowsX = x;
  rowsDy = dy;
  if (isWhole(columns)) {
    const n = rowRun(index, columns, most);
    if (counts) return n;
    pass(x, n * columns);
    if (dy != 0) pass(dy, n * columns);
    rowsX = 0;
    return n;
  }
  const n = min(most, TILE_ROWS);
  const stride = <usize>columns << 2;
  rowsX = tile;
  for (let i: usize = 0; i < <usize>n * stride; i += stride) {
    select(x + i, tile + i, index + <i32>(i >>> 2), columns, abouts, 0);
  }
  if (dy == 0) return n;
  rowsDy = tile + <usize>TILE_ROWS * stride;
  select(dy, rowsDy, index, n * columns, 0, 0);
  return n;
}

/**
 * Moments of each column of x [rows, columns] into float64 mean [columns] and m2 [columns]. Not centred: means are taken
 * as 0. `work` is scratch for float32 [3, columns]. With a mask, x starts at element `index` of the call, `numbers` (else 0) are those
 * of unmasked elements, float64 [columns], and `tile` is scratch (`tileBytes`).
 */
export function columnMoments(
  x: usize, index: i32, rows: i32, columns: i32, mean: usize, m2: usize, numbers: usize, work: usize, tile: usize, centered: bool,
): void {
  const plane = <usize>columns << 2;
  const abouts = work + 2 * plane;
  squareSums(x, index, rows, columns, mean, m2, work, tile, abouts, false);
  let share = 1.0 / <f64>rows;
  let enough = true;
  for (let i: usize = 0; i < plane; i += 4) {
    if (numbers != 0) share = 1.0 / max(1, f64.load(numbers + (i << 1)));
    const sum = centered ? f64.load(mean + (i << 1)) : 0;
    const center = sum * share;
    const squares = f64.load(m2 + (i << 1)) - center * sum;
    const spread = squares * share;
    f64.store(mean + (i << 1), center);
    f64.store(m2 + (i << 1), squares);
    f32.store(abouts + i, <f32>center);
    enough = enough && isNear(center, spread) && fitsFloat32(spread);
  }
  if (enough) return;
  if (centered) {
    squareSums(x, index, rows, columns, mean, m2, work, tile, abouts, true);
    enough = true;
    for (let i: usize = 0; i < plane; i += 4) {
      if (numbers != 0) share = 1.0 / max(1, f64.load(numbers + (i << 1)));
      const sum = f64.load(mean + (i << 1));
      const left = sum * share;
      const center = <f64>f32.load(abouts + i) + left;
      const squares = max(0, f64.load(m2 + (i << 1)) - left * sum);
      f64.store(mean + (i << 1), center);
      f64.store(m2 + (i << 1), squares);
      if (!isResolved(center, squares * share)) enough = false;
    }
  }
  if (!enough) momentsInDoubles(x, index, rows, columns, 1, mean, m2, numbers, 0, centered);
}

/** Σ d and Σ d² of each column, float64, d = x − about, or x where not `shifted`, which is constant at each call site. */
// @ts-ignore: decorator
@inline
function squareSums(
  x: usize, index: i32, rows: i32, columns: i32, first: usize, second: usize, work: usize, tile: usize, abouts: usize, shifted: bool,
): void {
  const stride = <usize>columns << 2;
  const squares = work + stride;
  memory.fill(first, 0, 2 * stride);
  memory.fill(second, 0, 2 * stride);
  memory.fill(work, 0, 2 * stride);
  // rows that float32 sums may still take
  let left = CHUNK_ROWS;
  for (let row = 0, n = 0; row < rows; row += n) {
    n = rows - row;
    let p = x + <usize>row * stride;
    if (mask != 0) {
      n = nextRows(p, 0, index + row * columns, columns, n, tile, shifted ? abouts : 0);
      p = rowsX;
      if (p == 0) continue;
    }
    for (let i = 0; i < n; ) {
      if (left == 0) {
        left = CHUNK_ROWS;
        moveSums(first, work, columns);
        moveSums(second, squares, columns);
      }
      const end = min(i + left, n);
      left -= end - i;
      if (stride <= SHORT_ROW) {
        for (; i + 4 <= end; i += 4, p += 4 * stride) addFourRows(p, stride, work, squares, abouts, shifted);
      }
      for (; i < end; i++, p += stride) addRow(p, stride, work, squares, abouts, shifted);
    }
  }
  moveSums(first, work, columns);
  moveSums(second, squares, columns);
}

/** Adds n float32 to n float64, and sets them to 0. */
function moveSums(totals: usize, sums: usize, n: i32): void {
  const plane = <usize>n << 2;
  let i: usize = 0;
  for (; i + 16 <= plane; i += 16) accumulate(totals + (i << 1), load(sums + i));
  for (; i < plane; i += 4) f64.store(totals + (i << 1), f64.load(totals + (i << 1)) + <f64>f32.load(sums + i));
  memory.fill(sums, 0, plane);
}

// @ts-ignore: decorator
@inline
function distance(x: v128, about: v128, shifted: bool): v128 {
  return shifted ? f32x4.sub(x, about) : x;
}

/** Adds d and d² of a row of `stride` bytes to the sums of their columns. */
// @ts-ignore: decorator
@inline
function addRow(x: usize, stride: usize, sums: usize, squares: usize, abouts: usize, shifted: bool): void {
  let i: usize = 0;
  for (; i + 64 <= stride; i += 64) {
    const p = x + i, s = sums + i, q = squares + i, m = abouts + i;
    const a = shifted ? f32x4.sub(v128.load(p), v128.load(m)) : v128.load(p);
    const b = shifted ? f32x4.sub(v128.load(p, 16), v128.load(m, 16)) : v128.load(p, 16);
    const c = shifted ? f32x4.sub(v128.load(p, 32), v128.load(m, 32)) : v128.load(p, 32);
    const d = shifted ? f32x4.sub(v128.load(p, 48), v128.load(m, 48)) : v128.load(p, 48);
    v128.store(s, f32x4.add(v128.load(s), a));
    v128.store(s, f32x4.add(v128.load(s, 16), b), 16);
    v128.store(s, f32x4.add(v128.load(s, 32), c), 32);
    v128.store(s, f32x4.add(v128.load(s, 48), d), 48);
    v128.store(q, madd(a, a, v128.load(q)));
    v128.store(q, madd(b, b, v128.load(q, 16)), 16);
    v128.store(q, madd(c, c, v128.load(q, 32)), 32);
    v128.store(q, madd(d, d, v128.load(q, 48)), 48);
  }
  addRest(x, i, stride, sums, squares, abouts, shifted);
}

/** The columns of a row from byte `from` on. */
// @ts-ignore: decorator
@inline
function addRest(x: usize, from: usize, stride: usize, sums: usize, squares: usize, abouts: usize, shifted: bool): void {
  for (let i = from; i < stride; i += 4) {
    const d = shifted ? f32.load(x + i) - f32.load(abouts + i) : f32.load(x + i);
    f32.store(sums + i, f32.load(sums + i) + d);
    f32.store(squares + i, f32.load(squares + i) + d * d);
  }
}

/** The same for four rows. */
// @ts-ignore: decorator
@inline
function addFourRows(x: usize, stride: usize, sums: usize, squares: usize, abouts: usize, shifted: bool): void {
  const x1 = x + stride, x2 = x1 + stride, x3 = x2 + stride;
  let i: usize = 0;
  for (; i + 16 <= stride; i += 16) {
    const m = shifted ? load(abouts + i) : load(x + i);
    const a = distance(load(x + i), m, shifted), b = distance(load(x1 + i), m, shifted);
    const c = distance(load(x2 + i), m, shifted), d = distance(load(x3 + i), m, shifted);
    v128.store(sums + i, f32x4.add(load(sums + i), f32x4.add(f32x4.add(a, b), f32x4.add(c, d))));
    v128.store(squares + i, f32x4.add(load(squares + i), f32x4.add(madd(a, a, f32x4.mul(b, b)), madd(c, c, f32x4.mul(d, d)))));
  }
  if (i == stride) return;
  addRest(x, i, stride, sums, squares, abouts, shifted);
  addRest(x1, i, stride, sums, squares, abouts, shifted);
  addRest(x2, i, stride, sums, squares, abouts, shifted);
  addRest(x3, i, stride, sums, squares, abouts, shifted);
}

/**
 * Σ dy, Σ dy·d and Σ d of each column, float64 [3, columns], d = x − mean with float32 means [columns]; `work` is scratch for
 * float32 [3, columns]. Where all means are `near` 0, Σ dy·x is as exact. Σ d, from which `settle` recovers the rounding of the
 * mean, is summed only where one is `far` from 0. With a mask, `index` and `tile` are as in `columnMoments`, with two tiles.
 */
export function columnSums(
  dy: usize, x: usize, index: i32, rows: i32, columns: i32, means: usize, near: bool, far: bool, sums: usize, work: usize, tile: usize,
): void {
  if (far) {
    productSums(dy, x, index, rows, columns, means, sums, work, tile, true, true);
    return;
  }
  if (!near) {
    productSums(dy, x, index, rows, columns, means, sums, work, tile, true, false);
    return;
  }
  productSums(dy, x, index, rows, columns, means, sums, work, tile, false, false);
  const dyXSums = sums + (<usize>columns << 3);
  for (let i: usize = 0; i < <usize>columns << 2; i += 4) {
    const at = dyXSums + (i << 1);
    f64.store(at, f64.load(at) - <f64>f32.load(means + i) * f64.load(sums + (i << 1)));
  }
}

/** `shifted` (else d = x) and `recentered` (Σ d is summed too) are constant at each call site. */
// @ts-ignore: decorator
@inline
function productSums(
  dy: usize, x: usize, index: i32, rows: i32, columns: i32, means: usize, totals: usize, work: usize, tile: usize,
  shifted: bool, recentered: bool,
): void {
  const stride = <usize>columns << 2;
  const planes: usize = recentered ? 3 : 2;
  memory.fill(totals, 0, 2 * planes * stride);
  memory.fill(work, 0, planes * stride);
  let left = CHUNK_ROWS;
  for (let row = 0, n = 0; row < rows; row += n) {
    n = rows - row;
    let p = x + <usize>row * stride, u = dy + <usize>row * stride;
    if (mask != 0) {
      n = nextRows(p, u, index + row * columns, columns, n, tile, means);
      p = rowsX;
      u = rowsDy;
      if (p == 0) continue;
    }
    for (let i = 0; i < n; ) {
      if (left == 0) {
        left = CHUNK_ROWS;
        moveSums(totals, work, <i32>planes * columns);
      }
      const end = min(i + left, n);
      left -= end - i;
      if (stride <= SHORT_ROW) {
        for (; i + 2 <= end; i += 2, u += 2 * stride, p += 2 * stride) {
          addTwoProducts(u, p, stride, means, work, shifted, recentered);
        }
      }
      for (; i < end; i++, u += stride, p += stride) addProducts(u, p, stride, means, work, shifted, recentered);
    }
  }
  moveSums(totals, work, <i32>planes * columns);
}

/** Adds a row of `stride` bytes to the sums of its columns, float32 [3, columns]. */
// @ts-ignore: decorator
@inline
function addProducts(dy: usize, x: usize, stride: usize, means: usize, sums: usize, shifted: bool, recentered: bool): void {
  const sumsX = sums + stride;
  let i: usize = 0;
  for (; i + 64 <= stride; i += 64) {
    const m = means + i, p = x + i, u = dy + i, s = sums + i, q = sumsX + i, r = q + stride;
    const a = v128.load(u), b = v128.load(u, 16), c = v128.load(u, 32), d = v128.load(u, 48);
    v128.store(s, f32x4.add(v128.load(s), a));
    v128.store(s, f32x4.add(v128.load(s, 16), b), 16);
    v128.store(s, f32x4.add(v128.load(s, 32), c), 32);
    v128.store(s, f32x4.add(v128.load(s, 48), d), 48);
    const e = shifted ? f32x4.sub(v128.load(p), v128.load(m)) : v128.load(p);
    v128.store(q, madd(a, e, v128.load(q)));
    const f = shifted ? f32x4.sub(v128.load(p, 16), v128.load(m, 16)) : v128.load(p, 16);
    v128.store(q, madd(b, f, v128.load(q, 16)), 16);
    const g = shifted ? f32x4.sub(v128.load(p, 32), v128.load(m, 32)) : v128.load(p, 32);
    v128.store(q, madd(c, g, v128.load(q, 32)), 32);
    const h = shifted ? f32x4.sub(v128.load(p, 48), v128.load(m, 48)) : v128.load(p, 48);
    v128.store(q, madd(d, h, v128.load(q, 48)), 48);
    if (recentered) {
      v128.store(r, f32x4.add(v128.load(r), e));
      v128.store(r, f32x4.add(v128.load(r, 16), f), 16);
      v128.store(r, f32x4.add(v128.load(r, 32), g), 32);
      v128.store(r, f32x4.add(v128.load(r, 48), h), 48);
    }
  }
  addProductsFrom(dy, x, i, stride, means, sums, shifted, recentered);
}

// @ts-ignore: decorator
@inline
function addProductsFrom(
  dy: usize, x: usize, from: usize, stride: usize, means: usize, sums: usize, shifted: bool, recentered: bool,
): void {
  const sumsX = sums + stride;
  for (let i = from; i < stride; i += 4) {
    const u = f32.load(dy + i), r = sumsX + stride + i;
    const d = shifted ? f32.load(x + i) - f32.load(means + i) : f32.load(x + i);
    f32.store(sums + i, f32.load(sums + i) + u);
    f32.store(sumsX + i, f32.load(sumsX + i) + u * d);
    if (recentered) f32.store(r, f32.load(r) + d);
  }
}

/** The same for two rows. */
// @ts-ignore: decorator
@inline
function addTwoProducts(dy: usize, x: usize, stride: usize, means: usize, sums: usize, shifted: bool, recentered: bool): void {
  const dy1 = dy + stride, x1 = x + stride, sumsX = sums + stride;
  let i: usize = 0;
  for (; i + 16 <= stride; i += 16) {
    const u = load(dy + i), u1 = load(dy1 + i), r = sumsX + stride + i;
    const m = shifted ? load(means + i) : u;
    const d = distance(load(x + i), m, shifted), d1 = distance(load(x1 + i), m, shifted);
    v128.store(sums + i, f32x4.add(load(sums + i), f32x4.add(u, u1)));
    v128.store(sumsX + i, f32x4.add(load(sumsX + i), madd(u, d, f32x4.mul(u1, d1))));
    if (recentered) v128.store(r, f32x4.add(load(r), f32x4.add(d, d1)));
  }
  if (i == stride) return;
  addProductsFrom(dy, x, i, stride, means, sums, shifted, recentered);
  addProductsFrom(dy1, x1, i, stride, means, sums, shifted, recentered);
}
