/**
 * The mask of a call: where it is 0, an element contributes to no statistic and no sum, y is 0 and dx is dSum, whatever x and dy hold.
 *
 * Masked calls run in the loops of unmasked ones. Masked rows are passed over; where a mask varies within a row or a segment, sums
 * are taken of a copy in which masked elements add nothing to them, and results are corrected in place. Only the number of elements
 * per statistic is no longer known from the sizes: it is counted.
 */
import { mask } from "./call";
import { accumulate, zero } from "./simd";
import { mk2, mr1, mr2 } from "./views";

/** Elements that are copied and corrected at a time where segments are long: they stay in the first-level cache. */
export const TILE: i32 = 2048;
/** Rows of columns that are copied at a time. */
export const TILE_ROWS: i32 = 4;

/** Bytes of a copy of a tile. */
export function tileBytes(columns: i32): u64 {
  return <u64>max(TILE, TILE_ROWS * columns) << 2;
}

// A tally, of one segment: the address of its first value of the mask (0: unknown) and its length, by which the next segment that has
// the same mask is known; how many elements to take at a time; how many are unmasked, of all and of each tile.
let tally: usize = 0;
const TALLY_BYTES: usize = 16;

export function tallyBytes(longest: i32): u64 {
  return (<u64>TALLY_BYTES + ((<u64>longest / TILE + 1) << 2) + 15) & -16;
}

/** Call before the first `tallySegment` of a stage of a part. */
export function useTally(at: usize): void {
  tally = at;
  store<usize>(tally, 0);
}

/**
 * Counts the unmasked of the `length` elements of a segment, from `index` on. Returns how many to take at a time: a tile, or all where
 * they are all masked or all unmasked.
 */
export function tallySegment(index: i32, length: i32): i32 {
  const first = mask + (<usize>((index / mr2 / (mk2 * mr1)) * mk2 + (index / mr2) % mk2) << 2);
  if (first == load<usize>(tally) && length == load<i32>(tally, 4)) return load<i32>(tally, 8);
  let all = 0;
  let to = tally + TALLY_BYTES;
  for (let i = 0; i < length; i += TILE, to += 4) {
    const ones = onesIn(index + i, min(TILE, length - i));
    store<i32>(to, ones);
    all += ones;
  }
  const isMixed = all > 0 && all < length;
  const step = isMixed ? TILE : length;
  if (!isMixed) store<i32>(tally + TALLY_BYTES, all);
  // the values that follow are the same ones where the mask's rows repeat, up to the last
  const block = <i64>mk2 * <i64>mr1 * <i64>mr2;
  const repeats = mr2 == 1 && <i64>index % block + <i64>length <= block;
  store<usize>(tally, repeats ? first : 0);
  store<i32>(tally, length, 4);
  store<i32>(tally, step, 8);
  store<i32>(tally, all, 12);
  return step;
}

/** How many elements of the segment are unmasked. */
export function onesOfSegment(): i32 {
  return load<i32>(tally, 12);
}

/** How many of the elements that are taken from element `i` of the segment on. */
export function onesAt(i: i32): i32 {
  return load<i32>(tally + TALLY_BYTES + (<usize>(i / TILE) << 2));
}

/** Whether the mask is constant along each row of so many elements. */
// @ts-ignore: decorator
@inline
export function isWhole(columns: i32): bool {
  return mr2 % columns == 0;
}

/** Whether the elements of the last `maskRun` are unmasked. */
export let counts: bool = false;

/** How many elements from `index` on, of at most `most`, are all masked or all unmasked. */
export function maskRun(index: i32, most: i32): i32 {
  let n = 0;
  while (n < most) {
    const block = (index + n) / mr2, within = index + n - block * mr2;
    const column = block % mk2;
    const at = mask + (<usize>((block / (mk2 * mr1)) * mk2 + column) << 2);
    if (n == 0) counts = f32.load(at) != 0;
    const positions = min(mk2 - column, (most - n + within - 1) / mr2 + 1);
    const alike = stretch(at, positions);
    n += alike * mr2 - within;
    if (alike < positions) return n;
  }
  return most;
}

/** Reads over n masked elements, so that memory is prefetched for what follows. */
export function pass(from: usize, n: i32): void {
  const bytes = <usize>n << 2;
  for (let i: usize = 0; i < bytes; i += 64) passed |= i32.load(from + i);
}
let passed: i32 = 0;

/** How many values of the mask, of n, say `counts` before one does not. */
function stretch(from: usize, n: i32): i32 {
  const end = from + (<usize>n << 2);
  let p = from;
  while (p + 16 <= end && areAlike(v128.load(p))) p += 16;
  while (p < end && (f32.load(p) != 0) == counts) p += 4;
  return <i32>((p - from) >>> 2);
}

// @ts-ignore: decorator
@inline
function areAlike(values: v128): bool {
  const ones = f32x4.ne(values, zero());
  return counts ? i32x4.all_true(ones) : !v128.any_true(ones);
}

/** Rows of `columns` elements from `index` on, of at most `most`, that are all masked or all unmasked (`counts`). */
export function rowRun(index: i32, columns: i32, most: i32): i32 {
  return maskRun(index, most * columns) / columns;
}

export const MASKED = 0;
export const UNMASKED = 1;
export const MIXED = 2;
/** What the rows of the last `tileRun` are. */
export let kind: i32 = MIXED;

/**
 * How many rows of columns, from `index` on, to write at once: those up to the next change, or a tile of both kinds, which is
 * written as if it were unmasked, and corrected while it is in cache: reads that skip rows are prefetched badly.
 */
export function tileRun(index: i32, columns: i32, most: i32): i32 {
  const step = min(max(1, TILE / columns), most);
  kind = MIXED;
  if (!isWhole(columns)) return step;
  const n = rowRun(index, columns, most);
  if (n < step) return step;
  kind = counts ? UNMASKED : MASKED;
  return n;
}

// The address of the first value of the last `span`.
let spanAt: usize = 0;

/** With a value per element: how many, from `index` on and of at most `most`, are in a row in memory. */
function span(index: i32, most: i32): i32 {
  const column = index % mk2;
  spanAt = mask + (<usize>((index / (mk2 * mr1)) * mk2 + column) << 2);
  return min(most, mk2 - column);
}

/** The mask's values of n elements from `index` on, one per element: where they are, or copied to `tile`. */
export function valuesOf(index: i32, n: i32, tile: usize): usize {
  if (mr2 == 1 && span(index, n) == n) return spanAt;
  for (let i = 0, k = 0; i < n; i += k) {
    k = mr2 == 1 ? span(index + i, n - i) : maskRun(index + i, n - i);
    copyRun(mr2 == 1 ? spanAt : 0, tile + (<usize>i << 2), k, counts ? 1 : 0);
  }
  return tile;
}

/** v where the mask's values are not 0; else 0. */
// @ts-ignore: decorator
@inline
export function masked(v: v128, values: v128): v128 {
  return v128.and(v, f32x4.ne(values, zero()));
}

/** How many of n elements from `index` on are unmasked. */
function onesIn(index: i32, n: i32): i32 {
  let ones = 0;
  for (let i = 0, k = 0; i < n; i += k) {
    if (mr2 > 1) {
      k = maskRun(index + i, n - i);
      if (counts) ones += k;
      continue;
    }
    k = span(index + i, n - i);
    const none = zero();
    let sums = none, others = none;
    let p = spanAt;
    const end = p + (<usize>k << 2);
    for (; p + 64 <= end; p += 64) {
      const first = i32x4.add(f32x4.ne(v128.load(p), none), f32x4.ne(v128.load(p, 16), none));
      const second = i32x4.add(f32x4.ne(v128.load(p, 32), none), f32x4.ne(v128.load(p, 48), none));
      sums = i32x4.sub(sums, first);
      others = i32x4.sub(others, second);
    }
    for (; p < end; p += 4) if (f32.load(p) != 0) ones++;
    sums = i32x4.add(sums, others);
    ones += i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
  }
  return ones;
}

/** The number of unmasked elements of each of the columns of `rows` rows, from element `index` on, into float64 [columns]. */
export function countColumns(table: usize, index: i32, rows: i32, columns: i32): void {
  memory.fill(table, 0, <usize>columns << 3);
  if (!isWhole(columns)) {
    for (let row = 0; row < rows; row++, index += columns) addOnes(table, index, columns);
    return;
  }
  const ones = <f64>(onesIn(index, rows * columns) / columns);
  for (let i = 0; i < columns; i++, table += 8) f64.store(table, ones);
}

/** Adds 1 to those of n float64 whose elements, from `index` on, are unmasked. */
function addOnes(table: usize, index: i32, n: i32): void {
  const one = f32x4.splat(1);
  for (let i = 0, k = 0; i < n; i += k) {
    let to = table + (<usize>i << 3);
    if (mr2 > 1) {
      k = maskRun(index + i, n - i);
      if (counts) for (let j = 0; j < k; j++, to += 8) f64.store(to, f64.load(to) + 1);
      continue;
    }
    k = span(index + i, n - i);
    let j: usize = 0;
    for (const vectors = <usize>(k & -4) << 2; j < vectors; j += 16) {
      accumulate(to + (j << 1), v128.and(f32x4.ne(v128.load(spanAt + j), zero()), one));
    }
    for (; j < <usize>k << 2; j += 4) if (f32.load(spanAt + j) != 0) f64.store(to + (j << 1), f64.load(to + (j << 1)) + 1);
  }
}

/**
 * to = from for the unmasked of n elements from `index` on; for the others, those at `others`, or `about` where that is 0. `from`
 * may be `to`.
 */
export function select(from: usize, to: usize, index: i32, n: i32, others: usize, about: f32): void {
  const fill = f32x4.splat(about);
  for (let i = 0, k = 0; i < n; i += k) {
    const at = <usize>i << 2;
    if (mr2 > 1) {
      k = maskRun(index + i, n - i);
      if (!counts) copyRun(others == 0 ? 0 : others + at, to + at, k, about);
      else if (from != to) copyRun(from + at, to + at, k, about);
      continue;
    }
    k = span(index + i, n - i);
    if (others == 0) selectSpan(from + at, to + at, k, 0, fill, true);
    else selectSpan(from + at, to + at, k, others + at, fill, false);
  }
}

/** `filled` is constant at each call site: whether `fill` is taken for `others`. */
// @ts-ignore: decorator
@inline
function selectSpan(from: usize, to: usize, n: i32, others: usize, fill: v128, filled: bool): void {
  const none = zero(), values = spanAt;
  const bytes = <usize>n << 2;
  let i: usize = 0;
  for (; i + 64 <= bytes; i += 64) {
    const m = values + i, p = from + i, q = to + i, o = others + i;
    const a = f32x4.ne(v128.load(m), none), b = f32x4.ne(v128.load(m, 16), none);
    v128.store(q, v128.bitselect(v128.load(p), filled ? fill : v128.load(o), a));
    v128.store(q, v128.bitselect(v128.load(p, 16), filled ? fill : v128.load(o, 16), b), 16);
    const c = f32x4.ne(v128.load(m, 32), none), d = f32x4.ne(v128.load(m, 48), none);
    v128.store(q, v128.bitselect(v128.load(p, 32), filled ? fill : v128.load(o, 32), c), 32);
    v128.store(q, v128.bitselect(v128.load(p, 48), filled ? fill : v128.load(o, 48), d), 48);
  }
  for (; i < bytes; i += 4) {
    const other = filled ? f32x4.extract_lane(fill, 0) : f32.load(others + i);
    f32.store(to + i, f32.load(values + i) != 0 ? f32.load(from + i) : other);
  }
}

/** Copies n elements; from 0: fills. */
function copyRun(from: usize, to: usize, n: i32, about: f32): void {
  const bytes = <usize>n << 2;
  const fill = f32x4.splat(about);
  let i: usize = 0;
  if (from == 0) {
    for (; i + 64 <= bytes; i += 64) {
      const q = to + i;
      v128.store(q, fill);
      v128.store(q, fill, 16);
      v128.store(q, fill, 32);
      v128.store(q, fill, 48);
    }
    for (; i < bytes; i += 4) f32.store(to + i, about);
    return;
  }
  for (; i + 64 <= bytes; i += 64) {
    const p = from + i, q = to + i;
    v128.store(q, v128.load(p));
    v128.store(q, v128.load(p, 16), 16);
    v128.store(q, v128.load(p, 32), 32);
    v128.store(q, v128.load(p, 48), 48);
  }
  for (; i < bytes; i += 4) f32.store(to + i, f32.load(from + i));
}

/** Moves the unmasked of n elements from `index` on together. */
export function compact(from: usize, to: usize, index: i32, n: i32): void {
  for (let i = 0, k = 0; i < n; i += k) {
    k = maskRun(index + i, n - i);
    if (!counts) continue;
    copyRun(from + (<usize>i << 2), to, k, 0);
    to += <usize>k << 2;
  }
}
