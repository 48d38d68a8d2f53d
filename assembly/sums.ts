/** Sums over a view, such as the gradient of a bias: in float32 over short stretches, in float64 across stretches. */
import { accumulate, laneSum, load, zero } from "./simd";

/** Additions to a float32 sum before it is added to the float64 one. */
const STRETCH = 32;

/** Bytes of scratch that `sum` needs. */
export function sumBytes(k2: i32): i32 {
  return ((k2 + 3) & -4) * 12;
}

/** y [k1, k2] = Σ over r1 and r2 of x [k1, r1, k2, r2]. */
export function sum(x: usize, y: usize, scratch: usize, k1: i32, r1: i32, k2: i32, r2: i32): void {
  const block = <usize>(r1 * k2 * r2) << 2;
  const totals = scratch;
  const partial = scratch + (<usize>((k2 + 3) & -4) << 3);
  for (let a = 0; a < k1; a++, x += block, y += <usize>k2 << 2) {
    memory.fill(totals, 0, <usize>k2 << 3);
    if (r2 == 1) sumColumns(x, r1, k2, totals, partial);
    else sumSegments(x, r1, k2, r2, totals);
    for (let c: usize = 0; c < <usize>k2 << 2; c += 4) f32.store(y + c, <f32>f64.load(totals + (c << 1)));
  }
}

function sumSegments(x: usize, rows: i32, columns: i32, length: i32, totals: usize): void {
  for (let b = 0; b < rows; b++) {
    for (let c: usize = 0; c < <usize>columns << 3; c += 8, x += <usize>length << 2) {
      f64.store(totals + c, f64.load(totals + c) + sumRun(x, length));
    }
  }
}

// @ts-ignore: decorator
@inline
function sumRun(x: usize, n: i32): f64 {
  let total: f64 = 0;
  let i: usize = 0;
  const bytes = <usize>n << 2;
  while (i < bytes) {
    const end = min(i + (STRETCH << 6), bytes);
    let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    for (; i + 64 <= end; i += 64) {
      const p = x + i;
      s0 = f32x4.add(s0, v128.load(p));
      s1 = f32x4.add(s1, v128.load(p, 16));
      s2 = f32x4.add(s2, v128.load(p, 32));
      s3 = f32x4.add(s3, v128.load(p, 48));
    }
    total += laneSum(s0) + laneSum(s1) + (laneSum(s2) + laneSum(s3));
    for (; i < end; i += 4) total += <f64>f32.load(x + i);
  }
  return total;
}

/** Rows are read in order, four at a time. */
function sumColumns(x: usize, rows: i32, columns: i32, totals: usize, partial: usize): void {
  const stride = <usize>columns << 2;
  for (let row = 0; row < rows; row += STRETCH) {
    const end = min(row + STRETCH, rows);
    memory.fill(partial, 0, stride);
    let r = row;
    for (; r + 4 <= end; r += 4, x += 4 * stride) {
      const x1 = x + stride, x2 = x1 + stride, x3 = x2 + stride;
      let i: usize = 0;
      for (; i + 16 <= stride; i += 16) {
        const sum = f32x4.add(f32x4.add(load(x + i), load(x1 + i)), f32x4.add(load(x2 + i), load(x3 + i)));
        v128.store(partial + i, f32x4.add(load(partial + i), sum));
      }
      for (; i < stride; i += 4) {
        const sum = f32.load(x + i) + f32.load(x1 + i) + (f32.load(x2 + i) + f32.load(x3 + i));
        f32.store(partial + i, f32.load(partial + i) + sum);
      }
    }
    for (; r < end; r++, x += stride) {
      for (let i: usize = 0; i < stride; i += 4) f32.store(partial + i, f32.load(partial + i) + f32.load(x + i));
    }
    let i: usize = 0;
    for (; i + 16 <= stride; i += 16) accumulate(totals + (i << 1), load(partial + i));
    for (; i < stride; i += 4) f64.store(totals + (i << 1), f64.load(totals + (i << 1)) + <f64>f32.load(partial + i));
  }
}
