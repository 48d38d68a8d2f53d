/** Sums of rows by segment: the gradient of gather, and so of an embedding. */
import { bytes } from "./matmul";
import { load } from "./simd";

/** y [segments, size]: for each segment the sum, in order, of the rows of x [rows, size] that have its id (int32). */
export function segmentSum(x: usize, ids: usize, y: usize, rows: i32, size: i32, segments: i32): void {
  const row = bytes(size);
  memory.fill(y, 0, row * <usize>segments);
  for (let i = 0; i < rows; i++, x += row, ids += 4) {
    const id = i32.load(ids);
    // an id out of range (-1 by convention) is skipped
    if (id >= 0 && id < segments) addRow(y + row * <usize>id, x, size);
  }
}

/** to[i] += from[i] */
// @ts-ignore: decorator
@inline
export function addRow(to: usize, from: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4, to += 16, from += 16) v128.store(to, f32x4.add(load(to), load(from)));
  for (; i < count; i++, to += 4, from += 4) f32.store(to, f32.load(to) + f32.load(from));
}
