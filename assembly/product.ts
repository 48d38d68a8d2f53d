/**
 * Matrix products of formulas: y = a·b, by tiles of four rows and eight columns. Sums are float32 over at most 64 products, float64
 * beyond. (matmul.ts is for large matrices, transposed or not, in float32.)
 */
import { accumulate, load, madd, zero } from "./simd";

/** A tile's sums in float64. */
const SUM_BYTES: usize = 256;
const STRETCH = 64;

/** Scratch of `product`: sums, and eight columns of b side by side. */
export function productBytes(k: i32): f64 {
  return <f64>SUM_BYTES + 32 * <f64>k;
}

/** y [count, m, n] = a [count, m, k] · b [count, k, n]. */
export function product(a: usize, b: usize, y: usize, scratch: usize, count: i32, m: i32, k: i32, n: i32): void {
  const rowA = <usize>k << 2, rowY = <usize>n << 2;
  const packed = scratch + SUM_BYTES;
  for (; count > 0; count--) {
    for (let j = 0; j < n; j += 8) {
      const columns = min(8, n - j);
      const from = b + (<usize>j << 2);
      // for few rows it is not worth a copy
      const direct = columns == 8 && m <= 4;
      if (!direct) pack(from, rowY, packed, k, columns);
      for (let i = 0; i < m; i += 4) {
        const rows = min(4, m - i);
        sumTile(a + <usize>i * rowA, rowA, rows, direct ? from : packed, direct ? rowY : 32, k, scratch);
        store(scratch, y + <usize>i * rowY + (<usize>j << 2), rowY, rows, columns);
      }
    }
    a += <usize>m * rowA;
    b += <usize>k * rowY;
    y += <usize>m * rowY;
  }
}

/** `columns` ≤ 8 of k rows, and zeros up to eight. */
function pack(from: usize, row: usize, to: usize, k: i32, columns: i32): void {
  for (; k > 0; k--, from += row, to += 32) {
    if (columns == 8) {
      v128.store(to, load(from));
      v128.store(to, v128.load(from, 16), 16);
      continue;
    }
    for (let at: usize = 0; at < 32; at += 4) f32.store(to + at, at < <usize>columns << 2 ? f32.load(from + at) : 0);
  }
}

/** Sums of a tile; rows that are not there are the last one again. */
function sumTile(a: usize, rowA: usize, rows: i32, b: usize, stepB: usize, k: i32, sums: usize): void {
  const a1 = rows > 1 ? rowA : 0, a2 = rows > 2 ? a1 + rowA : a1, a3 = rows > 3 ? a2 + rowA : a2;
  memory.fill(sums, 0, SUM_BYTES);
  for (; k > 0; k -= STRETCH) {
    let low0 = zero(), high0 = zero(), low1 = zero(), high1 = zero();
    let low2 = zero(), high2 = zero(), low3 = zero(), high3 = zero();
    for (let s = min(k, STRETCH); s > 0; s--, a += 4, b += stepB) {
      const low = load(b), high = v128.load(b, 16);
      let factor = v128.load32_splat(a);
      low0 = madd(factor, low, low0);
      high0 = madd(factor, high, high0);
      factor = v128.load32_splat(a + a1);
      low1 = madd(factor, low, low1);
      high1 = madd(factor, high, high1);
      factor = v128.load32_splat(a + a2);
      low2 = madd(factor, low, low2);
      high2 = madd(factor, high, high2);
      factor = v128.load32_splat(a + a3);
      low3 = madd(factor, low, low3);
      high3 = madd(factor, high, high3);
    }
    add(sums, low0, high0);
    add(sums + 64, low1, high1);
    add(sums + 128, low2, high2);
    add(sums + 192, low3, high3);
  }
}

function add(sums: usize, low: v128, high: v128): void {
  accumulate(sums, low);
  accumulate(sums + 32, high);
}

function store(sums: usize, y: usize, rowY: usize, rows: i32, columns: i32): void {
  for (; rows > 0; rows--, sums += 64, y += rowY) {
    for (let x: usize = 0; x < <usize>columns; x++) f32.store(y + (x << 2), <f32>f64.load(sums + (x << 3)));
  }
}
