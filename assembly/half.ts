/**
 * Arrays of 16 bits a value: float16 (IEEE 754 binary16), and bfloat16 (the upper half of a float32). Arithmetic is float32.
 *
 * The kernels see such arrays through windows. A stretch that fits the first-level cache is widened there; x, y, dy and dx point so
 * that its elements have the addresses that they would have in an array of float32, the kernels run on it, and what they wrote is
 * rounded into the array, ties to even. Results take the place of x and dy: every kernel reads an element before it writes it. So
 * no kernel is written twice, and memory sees 16 bits a value.
 */
import {
  blockSize, dSum, dx, dy, isBackward, mask, residual, setWindows, size, storage, sum, x, y,
} from "./call";
import { addRun } from "./forward-runs";
import { load, zero } from "./simd";
import { asColumns, k2, r2 } from "./views";

const BFLOAT16 = 2;
/** Elements of a window. */
export const WINDOW = 4096;
/** Rows of columns in a window, where they are not too wide: what is computed once a window costs as much as some rows. */
const COLUMN_ROWS = 64;
const WIDEST = 65536;

// The arrays themselves, while those of call.ts are windows.
let storedX: usize = 0;
let storedY: usize = 0;
let storedDy: usize = 0;
let storedDx: usize = 0;
let storedResidual: usize = 0;
let storedSum: usize = 0;
let storedDSum: usize = 0;

/** Whether the call's arrays are of 16 bits, and its parts open windows on them. */
// @ts-ignore: decorator
@inline
export function isWindowed(): bool {
  return storage != 0 && mask == 0;
}

/** Whether they are seen through one window, with a mask: the call is run as a whole. */
export function isInOneWindow(): bool {
  return storage != 0 && mask != 0;
}

/** Call after `call.begin`. */
export function beginHalf(): void {
  if (storage == 0) return;
  type = storage;
  storedX = x;
  storedY = y;
  storedDy = dy;
  storedDx = dx;
  storedResidual = residual;
  storedSum = sum;
  storedDSum = dSum;
  // the sum is added as a window is opened
  setWindows(0, 0, 0);
}

/** Whether the window of a part holds whole blocks. */
// @ts-ignore: decorator
@inline
export function holdsBlocks(): bool {
  return blockSize <= WINDOW;
}

// @ts-ignore: decorator
@inline
function rowsInWindow(): i32 {
  const row = k2 * r2;
  return max(1, max(WINDOW / row, min(COLUMN_ROWS, WIDEST / row)));
}

// @ts-ignore: decorator
@inline
function planeBytes(): u64 {
  let elements = WINDOW;
  if (mask != 0) elements = size;
  else if (asColumns(k2, r2) && !holdsBlocks()) elements = max(WINDOW, rowsInWindow() * k2 * r2);
  // vectors of eight may reach beyond the end; planes a power of two apart would evict each other
  return ((<u64>min(elements, size) << 2) + 32 + 1087) & -64;
}

/** Bytes of a part's window; a multiple of 64. */
export function windowBytes(): u64 {
  if (storage == 0) return 0;
  const planes = isBackward ? (storedDSum == 0 ? 2 : 3) : storedResidual == 0 ? 1 : 2;
  return planeBytes() * planes + 64;
}

// How values are stored, and 64 bytes for the last few of an array.
let type: i32 = 0;
let spare: usize = 0;
// The window of the current part, and its elements; -1: none.
let planes: usize = 0;
let openFrom: i32 = -1;
let openCount: i32 = 0;

/** Takes the window at address `at`, at the beginning of a part. */
export function useWindow(at: usize): void {
  spare = at;
  planes = at + 64;
  openFrom = -1;
}

// The walk over a stretch of a block, and the window that it has come to.
let base: i32 = 0;
let rows: i32 = 0;
let length: i32 = 0;
let row: i32 = 0;
let column: i32 = 0;
let offset: i32 = 0;

/** First element, rows, segments of each row (from the first to before the last), their length, and values of each before. */
export let windowBase: i32 = 0;
export let windowRows: i32 = 0;
export let windowFrom: i32 = 0;
export let windowTo: i32 = 0;
export let windowLength: i32 = 0;
export let windowBefore: i32 = 0;

/** A walk over `count` rows of k2 segments of `size` elements, from element `from` on. */
export function startWindows(from: i32, count: i32, size: i32): void {
  base = from;
  rows = count;
  length = size;
  row = 0;
  column = 0;
  offset = 0;
}

export function nextWindow(): bool {
  if (row == rows) return false;
  windowBase = base + (row * k2 + column) * length + offset;
  windowBefore = row * length + offset;
  windowRows = 1;
  windowFrom = column;
  windowTo = k2;
  windowLength = length;
  if (asColumns(k2, r2) || k2 * length <= WINDOW) {
    windowRows = min(rows - row, asColumns(k2, r2) ? rowsInWindow() : WINDOW / (k2 * length));
    row += windowRows;
    return true;
  }
  if (length <= WINDOW) {
    windowTo = min(k2, column + WINDOW / length);
    column = windowTo;
  } else {
    windowTo = column + 1;
    windowLength = min(length - offset, WINDOW);
    offset += windowLength;
    if (offset == length) {
      offset = 0;
      column++;
    }
  }
  if (column == k2) {
    column = 0;
    row++;
  }
  return true;
}

// @ts-ignore: decorator
@inline
export function windowCount(): i32 {
  return windowRows * (windowTo - windowFrom) * windowLength;
}

// @ts-ignore: decorator
@inline
function halfAt(array: usize, index: i32): usize {
  return array + (<usize>index << 1);
}

/** Where element 0 of an array would be whose element `openFrom` is in plane `i`. */
// @ts-ignore: decorator
@inline
function originOf(i: usize): usize {
  return planes + i * <usize>planeBytes() - (<usize>openFrom << 2);
}

/**
 * Opens a window on `count` elements from `from` on, unless it is open. `adds`: the residual, if there is one, is added, and the sum
 * stored; else x is the sum that was stored.
 */
export function openWindow(from: i32, count: i32, adds: bool): void {
  if (openFrom == from && openCount == count) return;
  openFrom = from;
  openCount = count;
  const second = planes + <usize>planeBytes();
  if (isBackward) {
    widen(halfAt(storedX, from), planes, count);
    widen(halfAt(storedDy, from), second, count);
    if (storedDSum != 0) widen(halfAt(storedDSum, from), second + <usize>planeBytes(), count);
  } else if (storedResidual == 0 || !adds) {
    widen(halfAt(storedResidual == 0 ? storedX : storedSum, from), planes, count);
  } else {
    const to = halfAt(storedSum, from);
    widen(halfAt(storedX, from), planes, count);
    widen(halfAt(storedResidual, from), second, count);
    addRun(planes, second, planes, count);
    narrow(planes, to, count);
    widen(to, planes, count);
  }
  setWindows(originOf(0), isBackward ? originOf(1) : 0, isBackward && storedDSum != 0 ? originOf(2) : 0);
}

/** Rounds what was written through the open window, y or dx, into its array. */
export function closeWindow(): void {
  if (isBackward) narrow(planes + <usize>planeBytes(), halfAt(storedDx, openFrom), openCount);
  else narrow(planes, halfAt(storedY, openFrom), openCount);
  openFrom = -1;
}

/** float32 `to` [n] of `from` [n] in 16 bits, in whole vectors of eight: up to seven values beyond are written. */
function widen(from: usize, to: usize, n: i32): void {
  const rest = <usize>(n & 7) << 1;
  const end = from + (<usize>n << 1) - rest;
  if (type == BFLOAT16) widenBrain(from, to, end);
  else widenHalf(from, to, end);
  if (rest == 0) return;
  const last = to + (end - from << 1);
  memory.copy(spare, end, rest);
  if (type == BFLOAT16) widenBrain(spare, last, spare + 16);
  else widenHalf(spare, last, spare + 16);
}

/** `from` float32 [n], which has room for seven values beyond, rounded to 16 bits. */
function narrow(from: usize, to: usize, n: i32): void {
  const rest = <usize>(n & 7) << 1;
  const end = to + (<usize>n << 1) - rest;
  if (type == BFLOAT16) narrowBrain(from, to, end);
  else narrowHalf(from, to, end);
  if (rest == 0) return;
  const last = from + (end - to << 1);
  if (type == BFLOAT16) narrowBrain(last, spare, spare + 16);
  else narrowHalf(last, spare, spare + 16);
  memory.copy(end, spare, rest);
}

/** The same as `value`, to be splat: V8 makes a constant vector anew at each use, and keeps one of a variable. */
// @ts-ignore: decorator
@inline
function opaque(value: i32): i32 {
  return value + (type >> 2);
}

function widenBrain(from: usize, to: usize, end: usize): void {
  const none = zero();
  for (; from < end; from += 16, to += 32) {
    const h = load(from);
    v128.store(to, i8x16.shuffle(none, h, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23));
    v128.store(to, i8x16.shuffle(none, h, 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31), 16);
  }
}

/** To the nearest, ties to even; NaN stays NaN, with its upper payload, and is quiet. */
function narrowBrain(from: usize, to: usize, end: usize): void {
  const half = i32x4.splat(opaque(0x7fff)), one = i32x4.splat(opaque(1));
  let p = from, q = to, s0 = zero(), s1 = zero();
  for (; q < end; p += 32, q += 16) {
    const a = v128.load(p), b = v128.load(p, 16);
    // NaN where one of them is
    s0 = f32x4.add(s0, a);
    s1 = f32x4.add(s1, b);
    v128.store(q, joined(upper(a, half, one), upper(b, half, one)));
  }
  const sum = f32x4.add(s0, s1);
  if (!v128.any_true(f32x4.ne(sum, sum))) return;
  for (; to < end; from += 32, to += 16) {
    v128.store(to, joined(upper(quiet(load(from)), half, one), upper(quiet(load(from + 16)), half, one)));
  }
}

/** The upper half of each, rounded to it. */
// @ts-ignore: decorator
@inline
function upper(v: v128, half: v128, one: v128): v128 {
  return i32x4.add(i32x4.add(v, half), v128.and(i32x4.shr_u(v, 16), one));
}

/** The upper halves of eight. */
// @ts-ignore: decorator
@inline
function joined(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
}

/** NaN so that rounding leaves it what it is. */
function quiet(v: v128): v128 {
  const kept = v128.and(v128.or(v, i32x4.splat(0x400000)), i32x4.splat(0xffff0000));
  return v128.bitselect(kept, v, f32x4.ne(v, v));
}

/** 2¹¹², in bits of float32: float16's exponents are 112 less than those of float32. */
const BIAS = 0x77800000;

/** Subnormal float16 becomes subnormal float32, which the product makes normal. */
function widenHalf(from: usize, to: usize, end: usize): void {
  const kept = i32x4.splat(opaque(0x8fffe000)), bias = i32x4.splat(opaque(BIAS)), magnitude = i16x8.splat(<i16>opaque(0x7fff));
  let p = from, q = to, most = zero();
  for (; p < end; p += 16, q += 32) {
    const h = load(p);
    most = i16x8.max_s(most, v128.and(h, magnitude));
    v128.store(q, f32x4.mul(v128.and(i32x4.shl(i32x4.extend_low_i16x8_s(h), 13), kept), bias));
    v128.store(q, f32x4.mul(v128.and(i32x4.shl(i32x4.extend_high_i16x8_s(h), 13), kept), bias), 16);
  }
  // ∞ and NaN came out as numbers from 65536 on
  if (!v128.any_true(i16x8.gt_s(most, i16x8.splat(0x7bff)))) return;
  for (; to < q; to += 16) {
    const v = load(to);
    v128.store(to, v128.or(v, v128.and(f32x4.ge(f32x4.abs(v), f32x4.splat(65536)), i32x4.splat(0x7f800000))));
  }
}

/** Values that are looked at together for such as are no normal numbers of float16. */
const LOOK: usize = 64;

/** To the nearest, ties to even; ∞ from 65520 on; NaN stays NaN, and is quiet. */
function narrowHalf(from: usize, to: usize, end: usize): void {
  const half = i32x4.splat(opaque(0xfff - (112 << 23))), one = i32x4.splat(opaque(1)), magnitude = i32x4.splat(opaque(0x7fffffff));
  const sign = i16x8.splat(<i16>opaque(-0x8000)), least = i16x8.splat(<i16>opaque(0x400));
  while (to < end) {
    const stop = min(to + 2 * LOOK, end);
    let p = from, q = to, most = zero();
    for (; q < stop; p += 32, q += 16) {
      const a = v128.load(p), b = v128.load(p, 16);
      const h = i16x8.narrow_i32x4_s(exponentLess(a, half, one, magnitude), exponentLess(b, half, one, magnitude));
      most = i16x8.max_u(most, i16x8.sub(h, least));
      v128.store(q, v128.or(h, v128.and(joined(a, b), sign)));
    }
    if (v128.any_true(i16x8.gt_u(most, i16x8.splat(0x77ff)))) {
      for (; to < stop; from += 32, to += 16) v128.store(to, i16x8.narrow_i32x4_s(anyHalf(load(from)), anyHalf(load(from + 16))));
    }
    from = p;
    to = q;
  }
}

/** Magnitudes in the low bits: 4095 and the odd bit are added, so that ties go to even, and the exponent loses 112. */
// @ts-ignore: decorator
@inline
function exponentLess(v: v128, half: v128, one: v128, magnitude: v128): v128 {
  return i32x4.shr_s(i32x4.add(i32x4.add(v128.and(v, magnitude), half), v128.and(i32x4.shr_u(v, 13), one)), 13);
}

/**
 * float16 in the low bits, its sign extended: |v| is added to the power of two whose last bit is worth float16's last bit there, or
 * its smallest number, so that the sum is rounded as it should be (M. Dukhan's FP16).
 */
function anyHalf(v: v128): v128 {
  const bits = v128.and(v, i32x4.splat(0x7fffffff));
  // beyond 65520, ∞; |v|·2¹¹²·2⁻¹¹⁰ overflows there
  const size = f32x4.mul(f32x4.mul(bits, i32x4.splat(BIAS)), f32x4.splat(7.70371977754894341222391177e-34));
  const bias = i32x4.max_u(v128.and(i32x4.shl(v, 1), i32x4.splat(0xff000000)), i32x4.splat(0x71000000));
  const summed = f32x4.add(i32x4.add(i32x4.shr_u(bias, 1), i32x4.splat(0x07800000)), size);
  const exponent = v128.and(i32x4.shr_u(summed, 13), i32x4.splat(0x7c00));
  const number = i32x4.add(exponent, v128.and(summed, i32x4.splat(0xfff)));
  const magnitude = v128.bitselect(i32x4.splat(0x7e00), number, f32x4.ne(v, v));
  return v128.or(magnitude, v128.and(i32x4.shr_s(v, 16), i32x4.splat(0xffff8000)));
}

/** y [n] of x [n]: float32 of what is stored as `stored` says, or the other way round. `work` is 128 bytes of scratch. */
export function cast(x: usize, y: usize, n: i32, stored: i32, widens: bool, work: usize): void {
  type = stored;
  spare = work;
  const whole = n & -8, rest = n & 7;
  const wide = work + 64;
  if (widens) {
    widen(x, y, whole);
    widen(halfAt(x, whole), wide, rest);
    memory.copy(y + (<usize>whole << 2), wide, <usize>rest << 2);
  } else {
    narrow(x, y, whole);
    memory.copy(wide, x + (<usize>whole << 2), <usize>rest << 2);
    narrow(wide, halfAt(y, whole), rest);
  }
}
